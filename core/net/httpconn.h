/*
 * httpconn.h - one connection while it speaks HTTP: request by request, in order.
 *
 * The head of a request is routed before its body is read; a route may ask for another
 * shard (conn_move()), and the connection then moves once earlier responses are written.
 * While a response is due nothing further is parsed; up to 64 KiB of pipelined input are
 * kept, then reading stops. Thread: shard.
 */
#ifndef NET_HTTPCONN_H
#define NET_HTTPCONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/net/conn.h"
#include "core/net/http.h"

struct bytes;
struct httpconn;

/*
 * Who answers. All are called in the shard; `arg` is the route's own.
 */
struct http_route {
    /* Shard that must serve it, or -1 for this one. May be NULL. */
    int (*shard_for)(const struct http_request *request, void *arg);
    /*
     * The head of a request with a body is here, in the shard that serves it; the body
     * comes next. It may take note and http_hold(): it is then told if the request ends
     * before on_request. Or it answers: the body is not read and the connection closes.
     * May be NULL.
     */
    void (*on_body)(struct httpconn *http, const struct http_request *request, void *arg);
    /* The longest body it takes; more is answered 413 and closed. */
    size_t max_body_bytes;
    /*
     * The request is complete; request and body are borrowed until this returns, a NUL
     * stands behind the body. Answers now with http_respond(), later (then it is told of
     * the end by on_aborted, see http_hold()), or takes the connection over with
     * http_upgrade().
     */
    void (*on_request)(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg);
    /* A body over max_body_bytes was met: close what belongs to it; 413 is sent by us
     * afterwards. May be NULL. */
    void (*on_too_large)(struct httpconn *http, const struct http_request *request,
                         void *arg);
    /* That 413 has no words behind its head, as clients of the reference server know it. */
    bool is_terse;
    /* Borrowed: whether the route is there just now, for one that comes and goes; NULL: it
     * always is. */
    const atomic_bool *is_there;
    void *arg;
};

/* Content of a response. Either bytes, or data, or a file. */
struct http_response {
    int status;
    const char *content_type; /* NULL: none */
    const char *headers;      /* further lines, each ended by CRLF; "" or NULL: none */
    const char *more_headers; /* the same, behind them */
    const char *encoding;     /* Content-Encoding; NULL: none */
    const void *data;         /* copied */
    size_t len;
    struct bytes *bytes; /* ref taken over: instead of data */
    int file;            /* fd taken over when has_file: instead of data */
    bool has_file;
    uint64_t file_len;
    bool close; /* Connection: close, and close behind it */
};

/* listener_deal: what a new connection of the public and of the status listener gets. */
struct conn *httpconn_deal(struct net *net, int fd, const struct sockaddr_storage *peer,
                           const struct router *router);

/*
 * Answer the request at hand. HEAD: the body is left out, its length kept. Date,
 * Content-Length, Connection and X-Content-Type-Options are added here. The next
 * pipelined request is taken up later, never from inside this call.
 * Returns -1 when none is due; bytes and file are released then too.
 */
int http_respond(struct httpconn *http, const struct http_response *response);

/* Plain text error, closing: for refusals before or outside any route. The client sees
 * the status and its standard phrase; reason, a constant, goes to the log. */
void http_respond_error(struct httpconn *http, int status, const char *reason);

/* While a response is due: whom to tell when the peer goes. Cleared by http_respond().
 * Such a connection holds neither head nor body. */
void http_hold(struct httpconn *http, void (*on_aborted)(struct httpconn *, void *),
               void *arg);

/* Behind http_hold(): what is kept for this request elsewhere, so that it counts as the
 * connection's where memory is full. */
void http_note_kept(struct httpconn *http, size_t n_bytes);

/*
 * Leave HTTP: frees the HTTP state, returns the connection with `ops` and `user` put in,
 * and calls ops->on_data once in the loop's next turn with bytes that came behind the
 * head. The caller has sent the 101 itself.
 */
struct conn *http_upgrade(struct httpconn *http, const struct conn_ops *ops, void *user);

struct conn *http_conn(const struct httpconn *http);

/* The connection's current httpconn by handle, or NULL: to answer from a lane record. */
struct httpconn *httpconn_find(struct net *net, handle conn);

#endif
