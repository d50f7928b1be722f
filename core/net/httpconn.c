/*
 * httpconn.c - one connection while it speaks HTTP: reading its requests, giving them to
 * their routes, moving to another shard, leaving HTTP; see httpconn.h. Responses are
 * http_response.c's.
 *
 * Called by: listener.c (httpconn_deal), conn.c (through http_ops), http_response.c, and
 * whoever serves a route. Thread: shard.
 * The walk: on_data -> feed -> begin_request (route, limits, shard) -> take_body ->
 * dispatch -> http_respond -> end_response -> feed again. What must not happen inside a
 * caller's call, or inside the flush, is put off to the loop's next turn
 * (httpconn_resume_later): going on with kept input, and moving to another shard. So is
 * what follows the first limits.max_turn_packets requests of one turn. The
 * parser and the body exist only while a request is being read, so that an idle
 * connection and a held poll cost struct httpconn alone.
 */
#include "core/net/httpconn.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/net/httpconn_impl.h"
#include "core/net/router.h"

enum {
    KEPT_MAX = 64 * 1024 /* pipelined input; reading stops there */
};

/* Unread input, while feed() walks it. */
struct input {
    const char *data;
    size_t len;
    int64_t n_requests; /* begun in this turn */
};

static const struct conn_ops http_ops;

/* ---- life: whoever calls out of here keeps the memory with enter() and leave() */

static void end_reading(struct httpconn *http)
{
    http_parser_free(http->parser);
    http->parser = NULL;
    free(http->body);
    http->body = NULL;
    http->body_len = http->body_cap = 0;
}

static void release(struct httpconn *http)
{
    http_response_end_file(http);
    end_reading(http);
    free(http->kept);
    free(http);
}

static void enter(struct httpconn *http)
{
    http->n_inside++;
}

static void leave(struct httpconn *http)
{
    if (--http->n_inside == 0 && http->is_gone)
        release(http);
}

/* ---- putting off */

struct resume {
    struct net *net; /* borrowed: outlives its loop's turns */
    handle conn;
};

static void resume(struct httpconn *http);

static void on_resume(struct loop *loop, void *payload)
{
    const struct resume *record = payload;
    struct httpconn *http = httpconn_find(record->net, record->conn);

    (void)loop;
    if (http)
        resume(http);
}

void httpconn_resume_later(struct httpconn *http)
{
    struct net *net = http->conn->net;
    struct resume *record;

    if (http->is_resuming)
        return;
    http->is_resuming = true;
    record = loop_send_next_turn(net->loop, on_resume, sizeof *record);
    *record = (struct resume){.net = net, .conn = http->conn->self};
}

/* Keep input for later; a full store stops the reading. */
static void keep(struct httpconn *http, const struct input *in)
{
    char *kept;

    if (in->len == 0)
        return;
    kept = mem_try_realloc(http->kept, http->kept_len + in->len);
    if (!kept) {
        conn_doom(http->conn, CONN_FAILED);
        return;
    }
    http->kept = kept;
    memcpy(http->kept + http->kept_len, in->data, in->len);
    http->kept_len += in->len;
    if (http->kept_len >= KEPT_MAX)
        conn_read(http->conn, false);
}

/* ---- reading requests; each of these returns whether to go on */

/* The request at hand will not be answered by whoever holds it. */
static void tell_aborted(struct httpconn *http)
{
    void (*on_aborted)(struct httpconn *, void *) = http->on_aborted;

    http->on_aborted = NULL;
    if (on_aborted)
        on_aborted(http, http->aborted_arg);
}

static bool refuse(struct httpconn *http, int status, const char *reason)
{
    tell_aborted(http);
    http_respond_error(http, status, reason);
    return false;
}

static bool refuse_body(struct httpconn *http)
{
    const struct http_request *request = http_parser_request(http->parser);

    if (http->route->on_too_large)
        http->route->on_too_large(http, request, http->route->arg);
    http->on_aborted = NULL; /* it knows */
    return refuse(http, 413, "body too large");
}

/* The request is read and nobody needs its head any more. */
static bool answer_unrouted(struct httpconn *http, int status, const char *allow)
{
    const struct http_request *request = http_parser_request(http->parser);

    if (request->has_body)
        http->keeps_alive = false; /* sooner than read what nobody wants */
    end_reading(http);
    http_response_status(http, status, allow);
    return http->state == HTTPCONN_READING;
}

/* Let the route see the head before the body. Returns false when it has answered. */
static bool announce_body(struct httpconn *http, const struct http_request *request)
{
    bool keeps_alive = http->keeps_alive;

    if (!http->route->on_body)
        return true;
    http->keeps_alive = false; /* nobody would read the body */
    http->state = HTTPCONN_DUE;
    http->route->on_body(http, request, http->route->arg);
    if (http->is_gone || http->state != HTTPCONN_DUE)
        return false;
    http->state = HTTPCONN_READING;
    http->keeps_alive = keeps_alive;
    return true;
}

/* Here the request is served: its body comes next. */
static bool await_body(struct httpconn *http)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct http_request *request = http_parser_request(http->parser);

    if (request->content_length > http->route->max_body_bytes)
        return refuse_body(http);
    if (!request->has_body)
        return true;
    if (!announce_body(http, request))
        return false;
    conn_set_deadline(http->conn, NET_BODY);
    if (request->expects_continue && http->in->len == 0)
        conn_send_copy(http->conn, go_on, strlen(go_on));
    return true;
}

/* The head is here: find who serves it, and where. */
static bool begin_request(struct httpconn *http)
{
    const struct http_request *request = http_parser_request(http->parser);
    struct conn *conn = http->conn;
    const char *allow = NULL;
    int status, shard = -1;

    metric_add(&conn->net->loop->metrics, METRIC_HTTP_REQUESTS, 1);
    http->is_head = request->method == HTTP_M_HEAD;
    http->keeps_alive = request->keep_alive;
    http->minor = (uint8_t)request->minor;
    http->is_in_head = false;
    http->route = router_find(http->router, request, &status, &allow);
    if (!http->route)
        return answer_unrouted(http, status, allow);
    if (http->route->shard_for)
        shard = http->route->shard_for(request, http->route->arg);
    if (shard < 0 || conn->net->all[shard] == conn->net)
        return await_body(http);
    http->state = HTTPCONN_MOVING;
    http->move_to = (int16_t)shard;
    if (conn->n_slices == 0)
        httpconn_resume_later(http); /* else when the queue has drained */
    return false;
}

static bool grow_body(struct httpconn *http, size_t need)
{
    size_t cap = http->body_cap ? http->body_cap * 2 : 1024;
    char *body;

    if (need <= http->body_cap)
        return true;
    if (cap < need)
        cap = need;
    body = mem_try_realloc(http->body, cap);
    if (!body)
        return false;
    http->body = body;
    http->body_cap = cap;
    return true;
}

static bool take_body(struct httpconn *http, const char *data, size_t len)
{
    if (len > http->route->max_body_bytes - http->body_len)
        return refuse_body(http);
    if (!grow_body(http, http->body_len + len + 1))
        return refuse(http, 503, "no memory for the body");
    memcpy(http->body + http->body_len, data, len);
    http->body_len += len;
    return true;
}

/* The request is complete: give it to its route. */
static bool dispatch(struct httpconn *http)
{
    static const char nothing[] = "";
    const struct http_route *route = http->route;
    struct http_parser *parser = http->parser;
    char *body = http->body;
    size_t len = http->body_len;

    /* Ours for the call: the route may answer, and the connection go, inside it. */
    http->parser = NULL;
    http->body = NULL;
    http->body_len = http->body_cap = 0;
    http->state = HTTPCONN_DUE;
    http->on_aborted = NULL; /* on_body's */
    conn_clear_deadline(http->conn);
    if (body)
        body[len] = '\0';
    route->on_request(http, http_parser_request(parser), body ? body : nothing, len,
                      route->arg);
    http_parser_free(parser);
    free(body);
    return !http->is_gone && http->state == HTTPCONN_READING;
}

/* More of the head is to come: its time runs from the first byte. */
static void watch_head(struct httpconn *http)
{
    if (http->route || http->is_in_head || !http_parser_has_begun(http->parser))
        return;
    http->is_in_head = true;
    if (http->conn->deadline_kind != NET_HEAD || !conn_has_deadline(http->conn))
        conn_set_deadline(http->conn, NET_HEAD);
}

static struct http_parser *new_parser(const struct settings *settings)
{
    const struct http_limits limits = {
        .max_head_bytes = settings->max_head_bytes,
        .max_target_bytes = settings->max_target_bytes,
        .max_headers = (size_t)settings->max_headers,
    };

    return http_parser_new(&limits);
}

/* The rest is for the next turn: others come in between. */
static void put_off(struct httpconn *http)
{
    metric_add(&http->conn->net->loop->metrics, METRIC_PUT_OFF, 1);
    conn_read(http->conn, false); /* feed_kept() reads on */
    httpconn_resume_later(http);
}

/* Take one step of parsing. Returns whether another is possible. */
static bool step(struct httpconn *http, struct input *in)
{
    size_t used, body_len;
    const char *body, *reason;
    enum http_status status;
    int code;

    if (!http->parser) {
        if (in->len == 0)
            return false;
        if (http->conn->queued_bytes >= QUEUE_HIGH) {
            http->waits_for_drain = true;
            return false;
        }
        if (in->n_requests > 0 &&
            in->n_requests >= http->conn->net->settings->max_turn_packets) {
            put_off(http);
            return false;
        }
        in->n_requests++;
        http->parser = new_parser(http->conn->net->settings);
    }
    status = http_parse(http->parser, in->data, in->len, &used, &body, &body_len);
    in->data += used;
    in->len -= used;
    switch (status) {
    case HTTP_MORE:
        watch_head(http);
        return false;
    case HTTP_HEAD_DONE:
        return begin_request(http);
    case HTTP_BODY:
        return take_body(http, body, body_len);
    case HTTP_DONE:
        return dispatch(http);
    case HTTP_ERROR:
        break;
    }
    code = http_parser_error(http->parser, &reason);
    return refuse(http, code, reason);
}

static void feed(struct httpconn *http, struct input *in)
{
    http->in = in;
    while (step(http, in))
        continue;
    http->in = NULL;
    if (http->is_gone)
        return;
    if (http->state == HTTPCONN_CLOSING) {
        end_reading(http);
        return;
    }
    keep(http, in);
}

/* Walk the input that was kept. */
static void feed_kept(struct httpconn *http, bool is_at_body)
{
    char *owned = http->kept;
    struct input in = {.data = owned ? owned : "", .len = http->kept_len};

    http->kept = NULL;
    http->kept_len = 0;
    if (!http->conn->wants_read)
        conn_read(http->conn, true);
    enter(http);
    http->in = &in;
    if (!is_at_body || await_body(http))
        feed(http, &in);
    else
        end_reading(http);
    http->in = NULL; /* it is ours, and going */
    leave(http);
    free(owned);
}

/* Go on with what was put off. */
static void resume(struct httpconn *http)
{
    struct conn *conn = http->conn;

    http->is_resuming = false;
    if (http->state == HTTPCONN_MOVING && conn->n_slices == 0)
        conn_move(conn, conn->net->all[http->move_to]); /* not ours any more */
    else if (http->state == HTTPCONN_READING)
        feed_kept(http, false);
}

/* ---- what conn.c tells us */

static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct httpconn *http = conn->user;
    struct input in = {.data = data, .len = len};

    if (http->state == HTTPCONN_CLOSING)
        return;
    if (http->state != HTTPCONN_READING || http->kept_len > 0) {
        keep(http, &in);
        return;
    }
    enter(http);
    feed(http, &in);
    leave(http);
}

static void on_drained(struct conn *conn)
{
    struct httpconn *http = conn->user;

    if (http->state == HTTPCONN_SENDING) {
        http_response_continue(http);
    } else if (http->state == HTTPCONN_MOVING) {
        httpconn_resume_later(http);
    } else if (http->state == HTTPCONN_CLOSING) {
        conn_close_after_flush(conn);
    } else if (http->waits_for_drain) {
        http->waits_for_drain = false;
        httpconn_resume_later(http);
    }
    if (http->state == HTTPCONN_READING && conn->deadline_kind == NET_SEND)
        conn_set_deadline(conn, NET_KEEP_ALIVE);
}

/* T03, T04: whoever has begun a request is told; an idle peer is not. */
static void on_deadline(struct conn *conn, enum net_deadline which)
{
    struct httpconn *http = conn->user;
    bool has_begun = http->parser && http_parser_has_begun(http->parser);

    if (http->state == HTTPCONN_READING && has_begun && !conn->queued_bytes &&
        (which == NET_HEAD || which == NET_BODY)) {
        enter(http);
        http->keeps_alive = false;
        refuse(http, 408, which == NET_HEAD ? "head too slow" : "body too slow");
        end_reading(http);
        leave(http);
        return;
    }
    if (which == NET_KEEP_ALIVE && conn->queued_bytes) { /* it is no idler yet */
        conn_set_deadline(conn, NET_SEND);
        return;
    }
    conn_close(conn, CONN_TIMED_OUT);
}

static void on_closed(struct conn *conn, enum conn_end end)
{
    struct httpconn *http = conn->user;

    (void)end;
    enter(http);
    http->is_gone = true;
    tell_aborted(http);
    leave(http);
}

/* What is queued or on its way is still wanted. What is due is not: who holds it learns
 * that the peer has gone. */
static bool on_half_closed(struct conn *conn)
{
    struct httpconn *http = conn->user;

    if (http->state == HTTPCONN_DUE ||
        (http->state != HTTPCONN_SENDING && !conn->n_slices))
        return false;
    http->kept_len = 0;
    http->keeps_alive = false;
    if (http->state != HTTPCONN_SENDING && http->state != HTTPCONN_CLOSING)
        conn_close_after_flush(conn);
    return true;
}

/* Arrived where the request is to be served: its head is here, the body comes next. */
static void on_moved(struct conn *conn)
{
    struct httpconn *http = conn->user;

    http->state = HTTPCONN_READING;
    feed_kept(http, true);
}

static size_t held(const struct conn *conn)
{
    const struct httpconn *http = conn->user;

    return http->kept_len + http->body_cap + http_parser_bytes(http->parser) +
           (http->on_aborted ? http->n_kept_bytes : 0);
}

static const struct conn_ops http_ops = {
    .held = held,
    .on_data = on_data,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_half_closed = on_half_closed,
    .on_closed = on_closed,
    .on_moved = on_moved,
};

/* ---- the interface */

struct conn *httpconn_deal(struct net *net, int fd, const struct sockaddr_storage *peer,
                           const struct router *router)
{
    struct httpconn *http = mem_calloc(1, sizeof *http);

    http->router = router;
    http->conn = conn_new(net, fd, peer, &http_ops, http);
    if (!http->conn) {
        free(http);
        return NULL;
    }
    conn_set_deadline(http->conn, NET_HEAD);
    return http->conn;
}

void http_hold(struct httpconn *http, void (*on_aborted)(struct httpconn *, void *),
               void *arg)
{
    http->on_aborted = on_aborted;
    http->aborted_arg = arg;
    http->n_kept_bytes = 0;
}

void http_note_kept(struct httpconn *http, size_t n_bytes)
{
    http->n_kept_bytes = n_bytes;
}

struct conn *http_conn(const struct httpconn *http)
{
    return http->conn;
}

struct httpconn *httpconn_find(struct net *net, handle conn_handle)
{
    struct conn *conn = slots_get(&net->conns, conn_handle);

    return conn && conn->ops == &http_ops ? conn->user : NULL;
}

/* ---- leaving HTTP */

/* Give the new owner what came behind the head, before anything else that comes. */
static void pass_leftover(struct httpconn *http)
{
    size_t in_len = http->in ? http->in->len : 0;

    if (in_len > 0) { /* what feed() walks is older than what was kept since */
        char *kept = mem_try_realloc(http->kept, in_len + http->kept_len);

        if (!kept) {
            conn_doom(http->conn, CONN_FAILED);
            return;
        }
        http->kept = kept;
        memmove(http->kept + in_len, http->kept, http->kept_len);
        memcpy(http->kept, http->in->data, in_len);
        http->kept_len += in_len;
    }
    conn_hold(http->conn, http->kept, http->kept_len);
    http->kept_len = 0;
    conn_read(http->conn, true);
}

struct conn *http_upgrade(struct httpconn *http, const struct conn_ops *ops, void *user)
{
    struct conn *conn = http->conn;

    enter(http);
    pass_leftover(http);
    http->state = HTTPCONN_UPGRADED;
    http->is_gone = true;
    http->on_aborted = NULL;
    conn->ops = ops;
    conn->user = user;
    leave(http);
    return conn;
}
