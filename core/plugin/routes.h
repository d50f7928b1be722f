/*
 * routes.h - HTTP paths that are answered in the logic thread.
 *
 * The shard copies a complete request into a lane record, logic calls the handler, and
 * the answer goes back as a record to the connection's handle: a connection that has gone
 * meanwhile is simply not found.
 */
#ifndef PLUGIN_ROUTES_H
#define PLUGIN_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include <sockhop/route.h>

#include "core/loop/slots.h"
#include "core/net/httpconn.h"

struct bytes;
struct logic_route;
struct plugin;
struct table;

/*
 * A request in a record from shard to logic. Its texts stand in one block: query NUL, then
 * for each header name NUL value NUL, then body NUL.
 */
struct hop_request {
    const char *path;                /* borrowed: of the route, or the endpoint */
    const struct logic_route *route; /* borrowed: outlives the loops; NULL: an endpoint */
    struct net *net;                 /* borrowed: the shard's, handed back to it unread */
    struct loop *shard;              /* borrowed: as net */
    handle conn;
    struct bytes *texts; /* ref: owned by the record */
    size_t n_headers, headers_at, body_at, body_len;
    bool was_answered; /* logic */
};

/*
 * Fill a request's texts. Returns false when there is no memory for them.
 * Thread: shard.
 */
bool request_copy(hop_request *request, const struct http_request *in, const char *body,
                  size_t body_len);

/*
 * A route for a router of the caller's own (the status listener), made before the loops
 * start. max_body_bytes: more is answered 413. Freed with logic_route_free() after the
 * loops have ended. Thread: start.
 */
struct logic_route *logic_route_new(hop_server *server, const char *path,
                                    size_t max_body_bytes, hop_route_handler *handler,
                                    void *self);
void logic_route_free(struct logic_route *route); /* takes NULL */

/* What router_add() wants. Borrowed: lives as long as the route. */
const struct http_route *logic_route_http(const struct logic_route *route);

/* Whether a plugin may name it as a path. NULL: no. */
bool route_is_path(const char *path);
/* Whether path is prefix, or below it. */
bool route_is_below(const char *path, const char *prefix);

/* A plugin's route on the public router; owned by the server. -1: the path is taken. */
int routes_add(hop_server *server, const char *method, const char *path,
               hop_route_handler *handler, void *self);

/* A plugin's routes answer 503 from now on: a router forgets nothing. */
void routes_remove(hop_server *server, const struct plugin *plugin);

/* The routes that a plugin has registered while it was to replace another are its own. */
void routes_take_over(hop_server *server, const struct plugin *plugin);
/* A plugin is live now that was not, or not any more: its paths come, or go. */
void routes_look(hop_server *server);

/* For --print-hooks. */
void routes_show(const hop_server *server, struct table *table);
void routes_free(hop_server *server);

#endif
