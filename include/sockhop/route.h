/*
 * route.h - HTTP paths that a plugin answers.
 */
#ifndef SOCKHOP_ROUTE_H
#define SOCKHOP_ROUTE_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One request, borrowed: lives until the handler returns. */
typedef struct hop_request hop_request;

/* Answers with hop_respond() before it returns; else the client gets 500. */
typedef void hop_route_handler(hop_request *request, void *self);

/*
 * Answer a path. Exact match of the decoded path, before static files.
 *   method  "GET" (answers HEAD too) or "POST"
 *   path    starts with '/', not below the Socket.IO path
 * Once the plugin has gone the path is what it was without it, of the page perhaps.
 * Only in init(). Returns 0, or -1 when taken or malformed. Thread: logic.
 */
HOP_API int hop_route(hop_server *server, const char *method, const char *path,
                      hop_route_handler *handler, void *self);

/* The request's parts; borrowed. NULL where there is no such header. Thread: logic. */
HOP_API const char *hop_request_path(const hop_request *request);
HOP_API const char *hop_request_query(const hop_request *request); /* raw, without '?' */
HOP_API const char *hop_request_header(const hop_request *request, const char *name);
/* The n-th header of all, as they came: its value, and its name in *name; NULL behind the
 * last. */
HOP_API const char *hop_request_header_at(const hop_request *request, size_t n,
                                          const char **name);
HOP_API const char *hop_request_body(const hop_request *request, size_t *len);

/*
 * Answer.
 *   status        200 to 599; 204 and 304 go without the body
 *   content_type  a header value of less than 128 bytes without control bytes, or NULL
 *                 for a response without that header
 *   body          copied; NULL where len is 0
 * Returns 0, or -1 when it was answered before or an argument is none of these; nothing
 * was sent then. Thread: logic.
 */
HOP_API int hop_respond(hop_request *request, int status, const char *content_type,
                        const void *body, size_t len);

#ifdef __cplusplus
}
#endif

#endif
