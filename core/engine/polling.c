/*
 * polling.c - the long-polling transport: see polling.h.
 *
 * Called by: route.c, open.c (requests, LOOP_PACK), session.c (packets to send). http_respond()
 * may let in the next request of its connection, so it is always the last thing done.
 * Thread: shard.
 */
#include "core/engine/polling.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/compress.h"
#include "core/engine/packet.h"
#include "core/engine/polling_body.h"
#include "core/engine/session_impl.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/net/conn.h"
#include "core/net/net.h"

enum { KEPT_QUEUE = 8 /* a longer array is given back once it is empty */ };

#define NO_STORE "Cache-Control: no-store\r\n"

/* ---- the queue */

static void count_queued(struct session *session, int64_t n)
{
    struct polling *polling = session->polling;

    polling->queued_bytes = (size_t)((int64_t)polling->queued_bytes + n);
    metric_add(engine_metrics(session->engine), METRIC_QUEUED_BYTES, n);
}

/* How many there are is for the client to say, who does not poll. Returns false without
 * memory for more. */
static bool append(struct polling *polling, struct bytes *packet)
{
    if (polling->n_queued == polling->queue_cap) {
        uint32_t cap = polling->queue_cap ? polling->queue_cap * 2 : 2;
        struct bytes **queue = mem_try_realloc(polling->queue, /* slots of refs */
                                               cap * sizeof(struct bytes *));

        if (!queue)
            return false;
        polling->queue = queue;
        polling->queue_cap = cap;
    }
    bytes_ref(packet, 1);
    polling->queue[polling->n_queued++] = packet;
    return true;
}

void polling_drop_queue(struct session *session)
{
    struct polling *polling = session->polling;

    for (uint32_t i = 0; i < polling->n_queued; i++)
        bytes_unref(polling->queue[i]);
    polling->n_queued = 0;
    polling->may_compress = false;
    count_queued(session, -(int64_t)polling->queued_bytes);
    timer_stop(&polling->slow);
    if (polling->queue_cap > KEPT_QUEUE) {
        free(polling->queue);
        polling->queue = NULL;
        polling->queue_cap = 0;
    }
}

/* Nobody takes what is queued: how long may that go on? */
static void check_limits(struct session *session)
{
    const struct settings *settings = session->engine->settings;
    struct polling *polling = session->polling;

    if (polling->queued_bytes > settings->max_queue_bytes ||
        (int64_t)polling->n_queued > settings->max_queue_frames)
        polling->is_over_limit = true;
    else if (polling->queued_bytes > settings->soft_queue_bytes &&
             !timer_is_running(&polling->slow))
        timer_start(&session->engine->slow, &polling->slow);
}

void polling_push(struct session *session, struct bytes *packet)
{
    struct polling *polling = session->polling;

    if (polling->is_over_limit)
        return;
    if (append(polling, packet))
        count_queued(session, (int64_t)packet->len);
    else
        polling->is_over_limit = true;
    if (!polling->get) /* a held one takes all of it at the turn's end */
        check_limits(session);
    if (polling->get || polling->is_over_limit)
        session_mark_dirty(session);
}

void polling_send(struct session *session, const struct outgoing *out)
{
    const struct polling *polling = session->polling;

    if (out->is_volatile && (!polling->get || polling->n_queued)) {
        metric_add(engine_metrics(session->engine), METRIC_VOLATILE_DROPPED, 1);
        return;
    }
    session->polling->may_compress |= out->may_compress;
    polling_push(session, out->packet);
}

void polling_on_slow(struct timer_node *node)
{
    struct polling *polling =
        (struct polling *)(void *)((char *)node - offsetof(struct polling, slow));

    session_end(polling->session, SESSION_SLOW, "polls too seldom");
}

/* ---- birth and death */

struct polling *polling_new(struct session *session)
{
    struct polling *polling = mem_calloc(1, sizeof *polling);

    polling->session = session;
    return polling;
}

void polling_free(struct session *session)
{
    struct polling *polling = session->polling;

    if (!polling)
        return;
    session_unmark_dirty(session);
    polling_drop_queue(session);
    polling_forget_post(session);
    timer_stop(&polling->upgrade);
    free(polling->queue);
    free(polling->get_headers);
    free(polling->headers);
    free(polling);
    session->polling = NULL;
}

/* ---- answers */

/* Replace the body by a packed one where the client takes it, and it is worth it. */
static void compress(const struct session *session, struct http_response *response)
{
    const struct polling *polling = session->polling;
    const struct engine *engine = session->engine;
    struct bytes *packed;

    if (!polling->may_compress || polling->get_encoding == HTTP_IDENTITY ||
        response->bytes->len < engine->settings->http_compression_threshold)
        return;
    packed = compressor_pack(engine->compressor, response->bytes,
                             (enum http_encoding)polling->get_encoding);
    if (!packed)
        return;
    bytes_unref(response->bytes);
    response->bytes = packed;
    response->encoding = http_encoding_name((enum http_encoding)polling->get_encoding);
}

bool polling_answer(struct session *session, struct bytes *last)
{
    struct polling *polling = session->polling;
    struct httpconn *get = polling->get;
    char *headers = polling->get_headers;
    struct http_response response = {
        .status = 200,
        .headers = headers ? headers : NO_STORE,
        .more_headers = polling->headers,
    };

    if (!get)
        return false;
    response.bytes = polling_body_join(polling, last, &response.content_type);
    if (response.bytes)
        compress(session, &response);
    polling_drop_queue(session);
    polling->get = NULL;
    polling->get_headers = NULL;
    if (!response.bytes) {
        free(headers);
        session_end(session, SESSION_TRANSPORT_ERROR, "no memory for a poll");
        http_respond_error(get, 503, "no memory for a poll");
        return true;
    }
    http_respond(get, &response);
    free(headers);
    return true;
}

void polling_pack(struct session *session)
{
    if (session->polling->is_over_limit)
        session_end(session, SESSION_SLOW, "queue is full");
    else if (session->polling->n_queued)
        polling_answer(session, NULL);
}

static void respond_empty(struct httpconn *http, int status)
{
    http_respond(http, &(struct http_response){.status = status});
}

/* ---- requests */

static void on_aborted(struct httpconn *http, void *arg)
{
    struct session *session = arg;

    (void)http;
    session->polling->get = NULL;
    session_end(session, SESSION_TRANSPORT_ERROR, "poll aborted");
}

/* Owned by the caller; NULL when there are none. */
static char *copy_headers(const char *headers)
{
    size_t len = strlen(headers);
    char *lines;

    if (len == 0)
        return NULL;
    lines = mem_alloc(sizeof NO_STORE + len);
    strcpy(stpcpy(lines, NO_STORE), headers);
    return lines;
}

void polling_get(struct session *session, struct httpconn *http,
                 const struct http_request *request, const char *headers)
{
    struct polling *polling = session->polling;

    if (polling->get) {
        session_end(session, SESSION_TRANSPORT_ERROR, "two polls at once");
        respond_empty(http, 400);
        return;
    }
    polling->get = http;
    polling->get_headers = copy_headers(headers);
    polling->get_encoding =
        session->engine->settings->http_compression
            ? (uint8_t)http_choose_encoding(request, COMPRESS_ENCODINGS)
            : HTTP_IDENTITY;
    if (session->is_lingering && polling->n_queued) {
        polling_answer(session, NULL); /* the close packet is for the next GET */
        return;
    }
    if (session->is_lingering) {
        session_stop_lingering(session);
        return;
    }
    http_hold(http, on_aborted, session);
    if (polling->n_queued)
        session_mark_dirty(session);
}

static void on_post_aborted(struct httpconn *http, void *arg)
{
    struct session *session = arg;

    (void)http;
    session->polling->post = NULL;
    session_end(session, SESSION_TRANSPORT_ERROR, "post aborted");
}

void polling_post_begins(struct session *session, struct httpconn *http)
{
    if (session->polling->post) { /* T26; or the rest of one */
        session_end(session, SESSION_TRANSPORT_ERROR, "two posts at once");
        respond_empty(http, 400);
        return;
    }
    session->polling->post = http;
    http_hold(http, on_post_aborted, session);
}

void polling_post_refused(struct session *session, const struct httpconn *http)
{
    if (!session->polling->is_posting && session->polling->post == http)
        session->polling->post = NULL;
}

/* Packets of a POST that wait for their turn: see below. */
struct rest {
    struct net_work work;
    struct engine *engine; /* borrowed: no work runs once it is gone */
    handle session, conn;
    char *body;             /* owned: NULL once nobody wants it */
    struct payload payload; /* in body */
    char cors[ORIGIN_HEADERS_MAX];
};

static void drop_body(struct rest *rest)
{
    free(rest->body);
    rest->body = NULL;
    rest->payload.left = 0;
}

size_t polling_bytes(const struct session *session)
{
    const struct polling *polling = session->polling;

    return polling->queued_bytes +
           (polling->is_posting ? polling->rest->payload.left : 0);
}

void polling_drop_rest(struct session *session)
{
    if (!session->polling->is_posting)
        return;
    drop_body(session->polling->rest);
    polling_forget_post(session);
}

void polling_forget_post(struct session *session)
{
    struct polling *polling = session->polling;

    if (!polling->post) /* nor a rest */
        return;
    if (!polling->is_posting)
        http_hold(polling->post, NULL, NULL);
    polling->post = NULL;
    polling->is_posting = false;
}

/* As many packets as one turn takes. Returns whether more wait; the session may end. */
static bool take_packets(struct session *session, struct payload *payload)
{
    int64_t n_left = session->engine->settings->max_turn_packets;
    struct packet packet;

    do {
        if (!session->is_open || !payload_next(payload, &packet))
            return false;
        session_on_packet(session, &packet);
    } while (--n_left > 0);
    return session->is_open && !payload->is_done;
}

/* As the reference, also when a packet was bad: the session has ended then. session: NULL
 * once it has gone. */
static void respond_ok(const struct session *session, struct httpconn *http,
                       const char *cors)
{
    char headers[sizeof NO_STORE + ORIGIN_HEADERS_MAX] = NO_STORE;

    strcat(headers, cors);
    http_respond(http,
                 &(struct http_response){
                     .status = 200,
                     .content_type = "text/html", /* text/plain made old browsers
                                                           offer a download */
                     .headers = headers,
                     .more_headers =
                         session && session->polling ? session->polling->headers : NULL,
                     .data = "ok",
                     .len = 2,
                 });
}

/* ---- the packets of a POST that wait for their turn */

/*
 * They are the session's, which may have changed to WebSocket meanwhile, and they count
 * though their peer has gone: all of the POST was here. The answer is the connection's.
 */
static void end_rest(struct net *net, struct rest *rest)
{
    struct session *session = engine_find(rest->engine, rest->session);
    struct httpconn *http = httpconn_find(net, rest->conn);

    if (session && session->polling) {
        session->polling->rest = NULL;
        session->polling->is_posting = false;
    }
    if (http) { /* it waits for this answer, and for nothing else */
        conn_read(http_conn(http), true);
        respond_ok(session, http, rest->cors);
    }
    drop_body(rest);
    free(rest);
}

static void run_rest(struct net *net, struct net_work *work)
{
    struct rest *rest = (struct rest *)(void *)work;
    struct session *session = engine_find(rest->engine, rest->session);

    if (session && take_packets(session, &rest->payload))
        net_put_off(net, work);
    else
        end_rest(net, rest);
}

static void drop_rest(struct net_work *work)
{
    struct rest *rest = (struct rest *)(void *)work;

    drop_body(rest);
    free(rest);
}

/* Returns false when there is no memory for it. */
static bool put_off(struct session *session, struct httpconn *http,
                    const struct payload *payload, const char *cors)
{
    struct rest *rest;
    char *body = mem_try_alloc(payload->left);

    if (!body)
        return false;
    rest = mem_alloc(sizeof *rest);
    *rest = (struct rest){
        .work = {.run = run_rest, .drop = drop_rest},
        .engine = session->engine,
        .session = session->self,
        .conn = http_conn(http)->self,
        .body = body,
    };
    memcpy(body, payload->at, payload->left);
    rest->payload = *payload;
    rest->payload.at = body;
    strcpy(rest->cors, cors);
    session->polling->rest = rest;
    session->polling->is_posting = true;
    conn_read(http_conn(http), false);
    net_put_off(session->engine->net, &rest->work);
    return true;
}

void polling_post(struct session *session, struct httpconn *http,
                  const struct http_request *request, const char *body, size_t body_len,
                  const char *headers)
{
    struct payload payload;
    char *decoded;
    int status;

    if (session->polling
            ->is_posting) { /* T26; this one has no body: none was announced */
        session_end(session, SESSION_TRANSPORT_ERROR, "two posts at once");
        respond_empty(http, 400);
        return;
    }
    if (session->polling->post == http)
        session->polling->post = NULL;
    status = polling_body_open(session, request, body, body_len, &payload, &decoded);
    if (status) {
        free(decoded);
        respond_empty(http, status);
        return;
    }
    if (!take_packets(session, &payload)) {
        respond_ok(session, http, headers);
    } else if (!put_off(session, http, &payload, headers)) {
        session_end(session, SESSION_TRANSPORT_ERROR, "no memory for a POST");
        respond_empty(http, 503);
    }
    free(decoded);
}
