/*
 * opening.h - what the first request of a session said: its target and its headers, in one
 * counted block that a shard fills and logic reads. Made only where a plugin asks for it.
 * Thread: any.
 */
#ifndef SOCKETIO_OPENING_H
#define SOCKETIO_OPENING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;
struct http_request;

/* A new reference, or NULL without memory: it is as long as the request's head. */
struct bytes *opening_pack(const struct http_request *request);

/* The request's target, NUL-terminated. Borrowed. */
const char *opening_url(const struct bytes *opening);

/*
 * As the reference's handshake has them: header names in lower case, several lines of one
 * name as one value; parameters decoded, several of one name as an array. What is no UTF-8
 * is taken for Latin-1 in headers, and replaced in parameters. New references.
 */
json_t *opening_headers(const struct bytes *opening);
json_t *opening_query(const struct bytes *opening);

/*
 * Parameters of a query as above, which win over those that are there. query: without "?".
 */
void opening_add_query(json_t *into, const char *query, size_t len);

/* The whole handshake object. issued_ms: since the epoch; auth: borrowed. */
json_t *opening_handshake(const struct bytes *opening, const char *address,
                          int64_t issued_ms, json_t *auth);

#endif
