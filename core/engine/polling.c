/*
 * polling.c - the long-polling transport: see polling.h.
 *
 * Called by: engine.c (requests, LOOP_PACK), session.c (packets to send). http_respond()
 * may let in the next request of its connection, so it is always the last thing done.
 * Thread: shard.
 */
#include "core/engine/polling.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/engine/session_impl.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"

enum { KEPT_QUEUE = 8 /* a longer array is given back once it is empty */ };

#define NO_STORE "Cache-Control: no-store\r\n"

/* ---- the queue */

static void count_queued(struct session *session, int64_t n)
{
    struct polling *polling = session->polling;

    polling->queued_bytes = (size_t)((int64_t)polling->queued_bytes + n);
    metric_add(engine_metrics(session->engine), METRIC_QUEUED_BYTES, n);
}

static void append(struct polling *polling, struct bytes *packet)
{
    if (polling->n_queued == polling->queue_cap) {
        polling->queue_cap = polling->queue_cap ? polling->queue_cap * 2 : 2;
        polling->queue = mem_realloc(polling->queue, /* slots of refs */
                                     polling->queue_cap * sizeof(struct bytes *));
    }
    bytes_ref(packet, 1);
    polling->queue[polling->n_queued++] = packet;
}

void polling_drop_queue(struct session *session)
{
    struct polling *polling = session->polling;

    for (uint32_t i = 0; i < polling->n_queued; i++)
        bytes_unref(polling->queue[i]);
    polling->n_queued = 0;
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
    append(polling, packet);
    count_queued(session, (int64_t)packet->len);
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
    polling_drop_queue(session);
    polling_forget_post(session);
    timer_stop(&polling->upgrade);
    free(polling->queue);
    free(polling->get_headers);
    free(polling);
    session->polling = NULL;
}

/* ---- answers */

/* What is queued, and `last` unless NULL, in one body. A new reference. */
static struct bytes *join(const struct polling *polling, struct bytes *last)
{
    size_t len = polling->queued_bytes + polling->n_queued + (last ? last->len : 0);
    struct bytes *body;
    char *at;

    if (polling->n_queued + (last != NULL) == 1) { /* the packet is the body */
        body = last ? last : polling->queue[0];
        bytes_ref(body, 1);
        return body;
    }
    body = bytes_new(last ? len : len - 1); /* a separator between each two */
    at = body->data;
    for (uint32_t i = 0; i <= polling->n_queued; i++) {
        const struct bytes *packet = i < polling->n_queued ? polling->queue[i] : last;

        if (!packet)
            break;
        if (i > 0)
            *at++ = PACKET_SEPARATOR;
        memcpy(at, packet->data, packet->len);
        at += packet->len;
    }
    return body;
}

bool polling_answer(struct session *session, struct bytes *last)
{
    struct polling *polling = session->polling;
    struct httpconn *get = polling->get;
    char *cors = polling->get_headers;
    char headers[sizeof NO_STORE + ORIGIN_HEADERS_MAX];
    struct http_response response = {
        .status = 200,
        .content_type = "text/plain; charset=UTF-8",
        .headers = headers,
    };

    if (!get)
        return false;
    response.bytes = join(polling, last);
    polling_drop_queue(session);
    polling->get = NULL;
    polling->get_headers = NULL;
    memcpy(headers, NO_STORE, sizeof NO_STORE);
    if (cors)
        strcat(headers, cors);
    free(cors);
    http_respond(get, &response);
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

void polling_get(struct session *session, struct httpconn *http, const char *headers)
{
    struct polling *polling = session->polling;

    if (polling->get) {
        session_end(session, SESSION_TRANSPORT_ERROR, "two polls at once");
        respond_empty(http, 400);
        return;
    }
    polling->get = http;
    polling->get_headers = *headers ? mem_strdup(headers) : NULL;
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
    else if (polling->is_probing) /* the client waits for its poll to end */
        polling_answer(session, session->engine->noop_packet);
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
    if (session->polling->post) { /* T26 */
        session_end(session, SESSION_TRANSPORT_ERROR, "two posts at once");
        respond_empty(http, 400);
        return;
    }
    session->polling->post = http;
    http_hold(http, on_post_aborted, session);
}

void polling_post_refused(struct session *session, const struct httpconn *http)
{
    if (session->polling->post == http)
        session->polling->post = NULL;
}

void polling_forget_post(struct session *session)
{
    struct polling *polling = session->polling;

    if (!polling->post)
        return;
    http_hold(polling->post, NULL, NULL);
    polling->post = NULL;
}

static bool is_octet_stream(const struct http_request *request)
{
    const char *type = http_header(request, "content-type", NULL);
    size_t len = type ? strcspn(type, "; \t") : 0;

    return type && ascii_equal_nocase(type, len, "application/octet-stream");
}

/* Returns the status to answer with. */
static int take_packets(struct session *session, const struct http_request *request,
                        const char *body, size_t body_len)
{
    struct payload payload;
    struct packet packet;

    if (is_octet_stream(request)) {
        session_end(session, SESSION_TRANSPORT_ERROR, "octet-stream from a v4 client");
        return 400;
    }
    if (!utf8_is_valid(body, body_len)) {
        session_end(session, SESSION_PARSE_ERROR, "body is not UTF-8");
        return 400;
    }
    payload_init(&payload, body, body_len);
    while (session->is_open && payload_next(&payload, &packet))
        session_on_packet(session, &packet);
    return 200; /* as the reference, also when a packet was bad: the session has ended */
}

void polling_post(struct session *session, struct httpconn *http,
                  const struct http_request *request, const char *body, size_t body_len,
                  const char *headers)
{
    int status;
    char lines[sizeof NO_STORE + ORIGIN_HEADERS_MAX] = NO_STORE;
    struct http_response response = {
        .status = 200,
        .content_type = "text/html", /* text/plain made old browsers offer a download */
        .headers = lines,
        .data = "ok",
        .len = 2,
    };

    if (session->polling->post == http)
        session->polling->post = NULL;
    status = take_packets(session, request, body, body_len);
    if (status != 200) {
        respond_empty(http, status);
        return;
    }
    strcat(lines, headers);
    http_respond(http, &response);
}
