/*
 * open.c - new sessions: see open.h.
 *
 * Called by: route.c, raw.c (refusals), core/plugin through engine.h (the answer to a held
 * handshake). Thread: shard, but for held_handshake_free(): any.
 */
#include "core/engine/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/cookie.h"
#include "core/engine/packet.h"
#include "core/engine/polling.h"
#include "core/engine/upgrade.h"
#include "core/engine/websocket.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/net/pressure.h"

enum { WARN_MS = 10000 /* between two lines of one kind */ };

/* A handshake that waits: what the layer above sees, and what we need to go on. */
struct held {
    struct held_handshake seen;
    struct http_request *request; /* owned */
    struct handshake handshake;
    struct websocket_offer offer;
};

/* ---- refusals */

void open_respond_text(struct httpconn *http, int status, const char *headers,
                       const char *text)
{
    http_respond(http, &(struct http_response){.status = status,
                                               .content_type = "text/html",
                                               .headers = headers,
                                               .data = text,
                                               .len = strlen(text),
                                               .close = true});
}

void engine_refuse_full(struct httpconn *http, const char *reason)
{
    hop_log(HOP_DEBUG, "handshake.refused code=503 reason=\"%s\"", reason);
    open_respond_text(http, 503, "Retry-After: 10\r\n", reason);
}

static bool may_warn(const struct engine *engine, uint64_t *last_ms)
{
    const uint64_t now_ms = loop_now(engine->net->loop);

    if (*last_ms && now_ms - *last_ms < WARN_MS)
        return false;
    *last_ms = now_ms;
    return true;
}

/* A connection that is inside may open sessions without end (T47). */
bool engine_is_out_of_memory(struct engine *engine)
{
    struct net *net = engine->net;

    if (!pressure_is_tight(net->pressure, net->loop))
        return false;
    metric_add(engine_metrics(engine), METRIC_REFUSED_MEMORY, 1);
    return true;
}

void open_refuse(struct engine *engine, struct httpconn *http,
                 const struct http_request *request, enum handshake_error error,
                 const struct handshake *handshake)
{
    const struct engine_gate *gate = &engine->gate;
    struct handshake_refusal refusal = {
        .shard = engine->net->loop->index,
        .code = error,
        .message =
            handshake->message ? handshake->message : handshake_error_message(error),
        .reason = handshake->reason ? handshake->reason : "",
        .request = request,
    };

    if (gate->on_refused) {
        conn_address(http_conn(http), refusal.address, sizeof refusal.address);
        gate->on_refused(&refusal, gate->arg);
    }
    handshake_refuse(http, request, error, handshake);
}

/* ---- sessions */

/* A session of the id that was decided, or of one that is drawn. NULL: it was refused. */
static struct session *begin_session(struct engine *engine, struct httpconn *http,
                                     const struct http_request *request,
                                     const struct handshake *handshake,
                                     const struct held_handshake *decision)
{
    struct handshake refused = *handshake;
    struct session *session;

    if (decision->id && session_id_is_taken(engine, decision->id)) {
        if (may_warn(engine, &engine->id_warned_ms))
            hop_log(HOP_WARN,
                    "handshake.id_taken path=%s hint=\"a plugin gave an id that a "
                    "session has already\"",
                    engine->settings->path);
        refused.reason = "the plugin's id is taken";
        open_refuse(engine, http, request, HANDSHAKE_BAD_REQUEST, &refused);
        return NULL;
    }
    session = session_new(engine, decision->id);
    if (!session)
        engine_refuse_full(http, "too many sessions");
    return session;
}

/* The lines of a polling handshake's response. */
static void open_headers(const struct session *session, const struct handshake *handshake,
                         const char *first, char *out, size_t size)
{
    char sid[SESSION_SID_SIZE], cookie[COOKIE_BYTES];

    session_sid(session, sid);
    cookie_print(session->engine->settings, sid, cookie, sizeof cookie);
    snprintf(out, size, "%s%s%s", handshake->headers, cookie, first ? first : "");
}

static void open_polling(struct engine *engine, struct httpconn *http,
                         const struct http_request *request,
                         const struct handshake *handshake,
                         struct held_handshake *decision)
{
    char headers[ORIGIN_HEADERS_MAX + COOKIE_BYTES + HELD_HEADERS_MAX];
    struct session *session = begin_session(engine, http, request, handshake, decision);
    struct bytes *open;

    if (!session)
        return;
    session->is_v3 = handshake->is_v3;
    session->polling = polling_new(session);
    session->polling->jsonp = handshake->jsonp;
    session->polling->takes_bytes =
        session->is_v3 && !handshake->is_base64 && !handshake->jsonp.is_given;
    session->polling->headers = decision->headers;
    decision->headers = NULL;
    open = session_open_packet(session);
    open_headers(session, handshake, decision->first_headers, headers, sizeof headers);
    polling_get(session, http, request, headers);
    polling_push(session, open);
    bytes_unref(open);
    if (engine->initial_packet)
        polling_push(session, engine->initial_packet);
    session_announce(session, request, http_conn(http));
}

static void open_websocket(struct engine *engine, struct httpconn *http,
                           const struct http_request *request,
                           const struct handshake *handshake,
                           struct websocket_offer *offer,
                           const struct held_handshake *decision)
{
    struct session *session = begin_session(engine, http, request, handshake, decision);
    struct websocket *ws;
    struct bytes *open;

    if (!session)
        return;
    session->is_v3 = handshake->is_v3;
    offer->headers = decision->first_headers;
    offer->more_headers = decision->headers;
    ws = websocket_accept(engine, http, offer);
    ws->is_v3 = handshake->is_v3;
    ws->is_base64 = handshake->is_base64;
    if (ws->is_v3) /* such clients may look for messages only once it is open */
        conn_write_now(ws->conn);
    session->ws = ws;
    ws->session = session;
    open = session_open_packet(session);
    websocket_send_packet(ws, open);
    bytes_unref(open);
    if (engine->initial_packet)
        websocket_send_packet(ws, engine->initial_packet);
    session_announce(session, request, http_conn(http));
    websocket_adopt(ws, http);
}

/* ---- WebSockets */

/* One header or several: they are one list. */
static enum deflate_offer find_deflate_offer(const struct http_request *request,
                                             unsigned *window_bits)
{
    enum deflate_offer result = DEFLATE_NONE;

    for (size_t i = 0; i < request->n_headers && result == DEFLATE_NONE; i++) {
        const struct http_header *header = &request->headers[i];

        if (ascii_equal_nocase(header->name.text, header->name.len,
                               "sec-websocket-extensions"))
            result = deflate_read_offer(header->value.text, window_bits);
    }
    return result;
}

bool engine_take_offer(const struct engine *engine, struct httpconn *http,
                       const struct http_request *request, struct websocket_offer *offer)
{
    enum deflate_offer deflate = DEFLATE_NONE;
    const char *reason;
    int status;

    *offer = (struct websocket_offer){0};
    status = websocket_check(engine, request, offer, &reason);
    if (!status && engine->settings->permessage_deflate)
        deflate = find_deflate_offer(request, &offer->window_bits);
    if (deflate == DEFLATE_MALFORMED) {
        status = 400;
        reason = "Sec-WebSocket-Extensions is malformed";
    }
    if (!status)
        return true;
    hop_log(HOP_DEBUG, "handshake.refused code=%d reason=\"%s\"", status, reason);
    open_respond_text(http, status,
                      status == 426 ? "Sec-WebSocket-Version: 13\r\n" : NULL, reason);
    return false;
}

/* A second WebSocket for one session is closed, and the session kept (C09). */
void open_probe(struct session *session, struct httpconn *http,
                const struct http_request *request, const struct handshake *handshake)
{
    struct websocket_offer offer;
    struct websocket *ws;

    if (!engine_take_offer(session->engine, http, request, &offer))
        return;
    if (session->polling)
        offer.more_headers = session->polling->headers;
    ws = websocket_accept(session->engine, http, &offer);
    ws->is_v3 = session->is_v3;
    ws->is_base64 = handshake->is_base64;
    if (upgrade_is_possible(session))
        upgrade_begin(session, ws);
    else
        websocket_close(ws, WS_CLOSE_POLICY);
    websocket_adopt(ws, http);
}

/* ---- handshakes that the layer above decides */

void engine_set_gate(struct engine *engine, const struct engine_gate *gate)
{
    engine->gate = *gate;
}

void held_handshake_free(struct held_handshake *seen)
{
    struct held *held = (struct held *)(void *)seen;

    free(held->request);
    free(seen->message);
    free(seen->id);
    free(seen->first_headers);
    free(seen->headers);
    free(held);
}

/* Its answer finds no connection then, and comes at once. */
static void on_aborted(struct httpconn *http, void *arg)
{
    struct engine *engine = arg;

    engine->gate.on_abandoned(http_conn(http)->self, engine->gate.arg);
}

static void refuse_held(struct engine *engine, struct httpconn *http)
{
    metric_add(engine_metrics(engine), METRIC_HANDSHAKES_REFUSED, 1);
    if (may_warn(engine, &engine->held_warned_ms))
        hop_log(HOP_WARN,
                "handshake.too_many path=%s max_handshakes=%lld hint=\"plugins take "
                "long to decide; raise limits.max_handshakes, if clients are not "
                "hostile\"",
                engine->settings->path, (long long)engine->settings->max_handshakes);
    engine_refuse_full(http, "too many handshakes wait");
}

static void hold(struct engine *engine, struct httpconn *http,
                 const struct http_request *request, const struct handshake *handshake,
                 const struct websocket_offer *offer)
{
    struct http_request *copy;
    struct held *held;
    size_t n_bytes;

    if (engine->n_held >= engine->settings->max_handshakes) {
        refuse_held(engine, http);
        return;
    }
    copy = http_request_copy(request, &n_bytes);
    if (!copy) {
        engine_refuse_full(http, "no memory for the request");
        return;
    }
    held = mem_calloc(1, sizeof *held);
    held->request = copy;
    held->handshake = *handshake;
    held->offer = *offer;
    held->seen.engine = engine;
    held->seen.conn = http_conn(http)->self;
    held->seen.request = copy;
    held->seen.n_bytes = sizeof *held + n_bytes;
    held->seen.is_websocket = request->is_websocket;
    conn_address(http_conn(http), held->seen.address, sizeof held->seen.address);
    http_hold(http, on_aborted, engine);
    http_note_kept(http, held->seen.n_bytes);
    engine->n_held++;
    metric_add(engine_metrics(engine), METRIC_HANDSHAKES_HELD, 1);
    engine->gate.on_handshake(&held->seen, engine->gate.arg);
}

/* Much may have changed while it waited. */
static void go_on(struct held *held, struct httpconn *http)
{
    struct engine *engine = held->seen.engine;

    if (held->seen.is_refused) {
        held->handshake.message = held->seen.message;
        held->handshake.reason = "a plugin's";
        held->handshake.more_headers = held->seen.first_headers;
        open_refuse(engine, http, held->request, HANDSHAKE_FORBIDDEN, &held->handshake);
    } else if (engine->is_shut_down) {
        engine_refuse_full(http, "server shutting down");
    } else if (engine_is_out_of_memory(engine)) {
        engine_refuse_full(http, "memory is full");
    } else if (held->seen.is_websocket) {
        open_websocket(engine, http, held->request, &held->handshake, &held->offer,
                       &held->seen);
    } else {
        open_polling(engine, http, held->request, &held->handshake, &held->seen);
    }
}

void engine_answer_handshake(struct held_handshake *seen)
{
    struct held *held = (struct held *)(void *)seen;
    struct engine *engine = seen->engine;
    struct httpconn *http = httpconn_find(engine->net, seen->conn);

    engine->n_held--;
    metric_add(engine_metrics(engine), METRIC_HANDSHAKES_HELD, -1);
    if (http)
        go_on(held, http);
    held_handshake_free(seen);
}

void open_session(struct engine *engine, struct httpconn *http,
                  const struct http_request *request, const struct handshake *handshake)
{
    struct held_handshake nobody = {0}; /* has decided anything */
    struct websocket_offer offer = {0};

    if (engine->is_shut_down)
        engine_refuse_full(http, "server shutting down");
    else if (engine_is_out_of_memory(engine))
        engine_refuse_full(http, "memory is full");
    else if (request->is_websocket && !engine_take_offer(engine, http, request, &offer))
        return; /* it has been refused */
    else if (engine->gate.on_handshake)
        hold(engine, http, request, handshake, &offer);
    else if (request->is_websocket)
        open_websocket(engine, http, request, handshake, &offer, &nobody);
    else
        open_polling(engine, http, request, handshake, &nobody);
}
