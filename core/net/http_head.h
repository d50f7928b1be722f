/*
 * http_head.h - what http.c asks of http_head.c, and nobody else: the rules for a head
 * beyond the limits and control bytes that http.c watches as the bytes come, and beyond
 * what llhttp understands. Thread: any; no state.
 * Source: RFC 9110, RFC 9112.
 */
#ifndef NET_HTTP_HEAD_H
#define NET_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "core/net/http.h"

/* Why a request is refused. */
struct http_refusal {
    int status;         /* to answer with */
    const char *reason; /* borrowed: a constant */
};

static inline bool http_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* All three return 0, or -1 with *refusal set. The lines come without their CRLF. */

/* method SP target SP version, one blank each. */
int http_head_check_request_line(const char *line, size_t len,
                                 struct http_refusal *refusal);
/* A name, and the colon right behind it. */
int http_head_check_header_line(const char *line, size_t len,
                                struct http_refusal *refusal);
/*
 * Check the head as a whole and fill in what is derived from it: path and query, the
 * length of the body, keep_alive, expects_continue, is_websocket. Method, minor, target
 * and headers are there, each span with a NUL behind it.
 * path: room for the target's length and two bytes more; the request borrows it.
 */
int http_head_check(struct http_request *request, char *path,
                    struct http_refusal *refusal);

#endif
