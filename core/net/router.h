/*
 * router.h - path -> route. One thread fills it (start, then logic), any finds meanwhile.
 */
#ifndef NET_ROUTER_H
#define NET_ROUTER_H

#include "core/net/httpconn.h"

struct router;

struct router *router_new(void);
void router_free(struct router *router);

/* Exact decoded path, while route->is_there says so. method NULL: all; "GET" answers HEAD too. -1 when taken. */
int router_add(struct router *router, const char *method, const char *path,
               const struct http_route *route);

/* Every path that is `prefix` or starts with prefix + "/": after exact ones, longer prefixes
 * first, while route->is_there says so. -1 when taken. */
int router_add_prefix(struct router *router, const char *prefix,
                      const struct http_route *route);

/* What is left (static files). */
void router_set_fallback(struct router *router, const struct http_route *route);

/*
 * The route of a request. *status: 0, or 404 (no route), 405 (path known, method not;
 * *allow lists those known, static storage).
 */
const struct http_route *router_find(const struct router *router,
                                     const struct http_request *request, int *status,
                                     const char **allow);

#endif
