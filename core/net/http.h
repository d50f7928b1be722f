/*
 * http.h - HTTP/1.1 codec over llhttp: bytes in, requests out; no I/O.
 *
 * The head is collected whole (at most max_head bytes), its lines checked for what llhttp
 * lets through (DESIGN.md 4: space before the colon, obs-fold, Host count, HTTP/0.9,
 * "gzip, chunked", bare LF), then parsed in one piece, so that names and values are spans
 * of one buffer. Trailers are read and dropped. Thread: any; a parser has one user.
 * Source: RFC 9110, RFC 9112.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_method { HTTP_M_GET, HTTP_M_HEAD, HTTP_M_POST, HTTP_M_OPTIONS, HTTP_M_OTHER };

struct http_span {
    const char *text; /* NUL-terminated in the head buffer */
    size_t len;
};

struct http_header {
    struct http_span name, value;
};

/* One request's head. Borrowed from the parser until http_parser_next(). */
struct http_request {
    enum http_method method;
    struct http_span target; /* as sent */
    struct http_span path;   /* of the target, still percent-encoded */
    struct http_span query;  /* behind '?', without it; len 0 when none */
    struct http_header *headers;
    size_t n_headers;
    int minor; /* HTTP/1.minor */
    bool keep_alive;
    bool has_body;           /* Content-Length > 0 or chunked */
    uint64_t content_length; /* 0 when chunked */
    bool expects_continue;   /* Expect: 100-continue, and a body to wait for */
    bool is_websocket;       /* GET, no body, Connection: upgrade, Upgrade: websocket */
};

struct http_limits {
    size_t max_head_bytes, max_target_bytes, max_headers;
};

enum http_status {
    HTTP_MORE,      /* wants more input */
    HTTP_HEAD_DONE, /* the head is complete: see http_parser_request() */
    HTTP_BODY,      /* a piece of the body: *body, *body_len, borrowed from the input */
    HTTP_DONE,      /* the request is complete: http_parser_next() before going on */
    HTTP_ERROR      /* refused: http_parser_error() */
};

struct http_parser;

struct http_parser *http_parser_new(const struct http_limits *limits); /* copied */
void http_parser_free(struct http_parser *parser);                     /* takes NULL */

/*
 * Take input; *used says how much of it was taken (the rest is to be given again). Call
 * until it returns HTTP_MORE (all is used then), HTTP_DONE or HTTP_ERROR. Behind
 * HTTP_HEAD_DONE and HTTP_BODY the end may be known already: call again even with nothing
 * left to give.
 */
enum http_status http_parse(struct http_parser *parser, const char *data, size_t len,
                            size_t *used, const char **body, size_t *body_len);

const struct http_request *http_parser_request(const struct http_parser *parser);

/*
 * The status code to answer with (400, 413, 414, 417, 431, 501, 505) and a reason for the
 * log: a constant, nothing of what the client sent.
 */
int http_parser_error(const struct http_parser *parser, const char **reason);

/* Ready for the next request of the connection; small buffers are released. */
void http_parser_next(struct http_parser *parser);

/* What it has allocated. Takes NULL. */
size_t http_parser_bytes(const struct http_parser *parser);

/* Whether any byte of a request has come since the last one ended (the two empty lines
 * that may stand before a request are none). */
bool http_parser_has_begun(const struct http_parser *parser);

/* A copy in one piece, for free(); n_bytes: its size. NULL without memory. */
struct http_request *http_request_copy(const struct http_request *request,
                                       size_t *n_bytes);

/* A header's value by lower-case name; NULL when absent. n_found: how often, or NULL. */
const char *http_header(const struct http_request *request, const char *name,
                        size_t *n_found);

/* Whether a header that is a list ("Connection: keep-alive, Upgrade") holds the token;
 * case does not count, several lines of that name are one list. name: lower case. */
bool http_has_token(const struct http_request *request, const char *name,
                    const char *token);

/* Whether text may be a name or another token: RFC 9110 5.6.2. */
bool http_is_token(const char *text, size_t len);

/* The standard reason phrase, "OK" for 200; "Unknown" for what has none. */
const char *http_reason(int status);

#endif
