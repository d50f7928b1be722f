/*
 * websocket.c - one connection that speaks WebSocket: see websocket.h. What it sends but
 * for control frames is in websocket_send.c.
 *
 * Called by: open.c, raw.c (handshake), session.c and upgrade.c (close), conn.c (ops).
 * It dies with its connection; the struct itself is freed at LOOP_FREE, so that whoever
 * is up the stack may still look at it. Thread: shard.
 */
#include "core/engine/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/engine/packet.h"
#include "core/engine/payload3.h"
#include "core/engine/raw.h"
#include "core/engine/session_impl.h"
#include "core/engine/upgrade.h"
#include "core/loop/loop.h"
#include "core/net/conn.h"

enum {
    KEY_CHARS = 24, /* RFC 6455 4.1: base64 of 16 bytes */
    KEY_BYTES = 16,
    CONTROL_WINDOW_MS = 1000,            /* of limits.max_controls */
    INFLATED_A_TURN = 4 * NET_READ_BYTES /* what one connection's messages may become */
};

/* ---- opening handshake */

/* The one value of a header that must stand once; NULL otherwise. */
static const char *single_header(const struct http_request *request, const char *name)
{
    size_t n = 0;
    const char *value = http_header(request, name, &n);

    return n == 1 ? value : NULL;
}

EVP_MD_CTX *websocket_hash_new(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();

    if (!hash || !EVP_DigestInit_ex(hash, EVP_sha1(), NULL))
        mem_exhausted(sizeof(SHA_CTX));
    return hash;
}

static void accept_key(const struct engine *engine, const char *key, char *accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    unsigned char text[KEY_CHARS + sizeof guid - 1];
    unsigned char digest[SHA_DIGEST_LENGTH] = {0};

    memcpy(text, key, KEY_CHARS);
    memcpy(text + KEY_CHARS, guid, sizeof guid - 1);
    EVP_DigestInit_ex(engine->accept_hash, NULL, NULL); /* the same again */
    EVP_DigestUpdate(engine->accept_hash, text, sizeof text);
    EVP_DigestFinal_ex(engine->accept_hash, digest, NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

int websocket_check(const struct engine *engine, const struct http_request *request,
                    struct websocket_offer *offer, const char **reason)
{
    const char *version = single_header(request, "sec-websocket-version");
    const char *key = single_header(request, "sec-websocket-key");
    unsigned char bytes[KEY_CHARS];

    *reason = "";
    if (!version || strcmp(version, "13") != 0) {
        *reason = "Sec-WebSocket-Version must be 13";
        return 426;
    }
    if (!key || strlen(key) != KEY_CHARS ||
        base64_decode(key, KEY_CHARS, bytes) != KEY_BYTES) {
        *reason = "Sec-WebSocket-Key must be 16 bytes in base64";
        return 400;
    }
    if (request->minor < 1 || request->has_body) {
        *reason = "an upgrade needs HTTP/1.1 and no body";
        return 400;
    }
    accept_key(engine, key, offer->accept);
    return 0;
}

/* ---- birth and death */

static void bury(struct websocket *ws)
{
    struct engine *engine = ws->engine;

    free(ws->pong);
    ws->next_dead = engine->dead_websockets;
    engine->dead_websockets = ws;
}

void websocket_free(struct websocket *ws)
{
    free(ws);
}

/* Give the reader back when nothing is pending, or nothing will be read any more. */
static void settle_reader(struct websocket *ws)
{
    bool is_over = !ws->conn || ws->is_closing;

    if (!ws->reader || ws->is_reading)
        return;
    if (is_over || frame_reader_is_idle(ws->reader)) {
        frame_pool_give(&ws->engine->readers, ws->reader);
        ws->reader = NULL;
    }
    if (is_over)
        return;
    if (!ws->reader)
        conn_clear_deadline(ws->conn);
    else if (!ws->has_deadline)
        conn_set_deadline(ws->conn, NET_BODY); /* in total, for the whole message (T08) */
    ws->has_deadline = ws->reader != NULL;
}

static void tell_raw(struct websocket *ws, uint16_t code, const char *reason, size_t len)
{
    struct raw *raw = ws->raw;

    ws->raw = NULL;
    if (raw)
        raw_on_over(raw, code, reason, len);
}

/* The connection is no good to its session any more. */
static void tell_session(struct websocket *ws, enum session_end end, const char *reason)
{
    struct session *session = ws->session;

    if (!session)
        return;
    if (session->ws == ws)
        session_end(session, end, reason);
    else
        upgrade_give_up(session, reason);
}

static void fail(struct websocket *ws, uint16_t code, const char *reason)
{
    hop_log(HOP_DEBUG, "websocket.refused code=%u reason=\"%s\"", (unsigned)code, reason);
    websocket_close(ws, code);
    if (ws->is_raw)
        tell_raw(ws, code, reason, strlen(reason));
    else
        tell_session(ws, SESSION_TRANSPORT_ERROR, reason);
}

/* ---- closing */

void websocket_close(struct websocket *ws, uint16_t code)
{
    websocket_close_with(ws, code, "", 0);
}

void websocket_close_with(struct websocket *ws, uint16_t code, const char *reason,
                          size_t len)
{
    unsigned char payload[FRAME_CONTROL_MAX] = {(unsigned char)(code >> 8),
                                                (unsigned char)code};

    if (!websocket_can_send(ws))
        return;
    if (!ws->is_ours) {
        ws->close_code = code;
        return;
    }
    memcpy(payload + 2, reason, len);
    websocket_send_frame(ws, FRAME_KIND_CLOSE, payload, code ? 2 + len : 0);
    ws->is_closing = true;
    conn_close_after_flush(ws->conn);
    settle_reader(ws);
}

void websocket_abort(struct websocket *ws)
{
    if (ws->conn)
        conn_close(ws->conn, CONN_BY_US);
}

/* ---- control frames in */

static bool is_flooding(struct websocket *ws)
{
    uint32_t now_ms = (uint32_t)loop_now(ws->engine->net->loop);

    if (now_ms - ws->controls_since_ms >= CONTROL_WINDOW_MS) {
        ws->controls_since_ms = now_ms;
        ws->n_controls = 0;
    }
    return ++ws->n_controls > (uint64_t)ws->engine->settings->max_controls;
}

/* While the peer does not read, one pong waits: the newest (T06). */
static void on_ping(struct websocket *ws, const struct frame *frame)
{
    if (!ws->conn->is_blocked) {
        websocket_send_frame(ws, FRAME_KIND_PONG, frame->data, frame->len);
        return;
    }
    if (!ws->pong)
        ws->pong = mem_alloc(FRAME_CONTROL_MAX);
    memcpy(ws->pong, frame->data, frame->len);
    ws->pong_len = (uint8_t)frame->len;
}

static void on_drained(struct conn *conn)
{
    struct websocket *ws = conn->user;

    if (!ws->pong || !websocket_can_send(ws))
        return;
    websocket_send_frame(ws, FRAME_KIND_PONG, ws->pong, ws->pong_len);
    free(ws->pong);
    ws->pong = NULL;
}

static void on_close_frame(struct websocket *ws, const struct frame *frame)
{
    websocket_close(ws, frame->code); /* the echo that RFC 6455 5.5.1 asks for */
    if (!ws->is_raw)
        tell_session(ws, SESSION_TRANSPORT_CLOSE, "close frame");
    else if (frame->code)
        tell_raw(ws, frame->code, frame->data + 2, frame->len - 2);
    else
        tell_raw(ws, WS_CLOSE_NO_STATUS, "", 0);
}

static void on_control(struct websocket *ws, enum frame_event event,
                       const struct frame *frame)
{
    if (event == FRAME_CLOSE) {
        on_close_frame(ws, frame);
    } else if (is_flooding(ws)) {
        fail(ws, WS_CLOSE_POLICY, "too many control frames");
    } else if (event == FRAME_PING) {
        on_ping(ws, frame);
    } else if (ws->is_raw && ws->raw) {
        raw_on_pong(ws->raw);
    }
}

/* ---- messages in */

static void on_message(struct websocket *ws, enum frame_event event,
                       const struct frame *frame)
{
    struct session *session = ws->session;
    struct packet packet;

    if (!session)
        return;
    if (session->ws != ws && event == FRAME_TEXT) {
        upgrade_on_text(ws, frame->data, frame->len);
    } else if (session->ws != ws) {
        upgrade_give_up(session, "binary on the probe");
    } else if (ws->is_v3) {
        packet = event == FRAME_BINARY ? packet3_decode_bytes(frame->data, frame->len)
                                       : packet3_decode(frame->data, frame->len);
        session_on_packet(session, &packet);
    } else if (event == FRAME_BINARY) {
        session_on_binary(session, frame->data, frame->len);
    } else {
        packet = packet_decode(frame->data, frame->len);
        session_on_packet(session, &packet);
    }
}

static void take_message(struct websocket *ws, enum frame_event event,
                         const struct frame *frame)
{
    ws->has_deadline = false; /* the next message has its own time */
    if (!ws->is_raw)
        on_message(ws, event, frame);
    else if (ws->raw)
        raw_on_message(ws->raw, event, frame);
}

static void on_frame(struct websocket *ws, enum frame_event event,
                     const struct frame *frame)
{
    if (event == FRAME_BAD)
        fail(ws, frame->code, frame->reason);
    else if (event != FRAME_TEXT && event != FRAME_BINARY)
        on_control(ws, event, frame);
    else
        take_message(ws, event, frame);
}

/* What has become of a few bytes is memory and work as if it had come so. Returns whether it
 * is enough for this turn. */
static bool count_inflated(struct websocket *ws, size_t *sum)
{
    struct frame_pool *pool = &ws->engine->readers;

    *sum += pool->n_inflated;
    ws->engine->net->read_bytes += (int64_t)pool->n_inflated;
    pool->n_inflated = 0;
    return *sum >= INFLATED_A_TURN;
}

/* As many as one turn takes; the rest is held for the next. */
static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct websocket *ws = conn->user;
    const struct frame_limits *limits =
        ws->window_bits ? &ws->engine->deflate_limits : &ws->engine->frame_limits;
    int64_t n_left = ws->engine->settings->max_turn_packets;
    size_t n_inflated = 0;
    struct frame frame;

    ws->is_reading = true;
    if (!ws->reader && websocket_can_send(ws))
        ws->reader = frame_pool_take(&ws->engine->readers);
    while (websocket_can_send(ws)) {
        enum frame_event event = frame_read(ws->reader, limits, &data, &len, &frame);
        bool is_enough = count_inflated(ws, &n_inflated);

        if (event == FRAME_MORE)
            break;
        on_frame(ws, event, &frame);
        if ((--n_left <= 0 || is_enough) && websocket_can_send(ws)) {
            conn_hold(conn, data, len);
            break;
        }
    }
    ws->is_reading = false;
    settle_reader(ws);
}

/* ---- ends */

static void on_deadline(struct conn *conn, enum net_deadline which)
{
    struct websocket *ws = conn->user;

    (void)which;
    fail(ws, WS_CLOSE_POLICY, "message took too long");
}

static void on_closed(struct conn *conn, enum conn_end end)
{
    struct websocket *ws = conn->user;

    ws->conn = NULL;
    settle_reader(ws);
    if (ws->is_raw)
        tell_raw(ws, WS_CLOSE_LOST, end == CONN_SLOW ? "queue is full" : "",
                 end == CONN_SLOW ? strlen("queue is full") : 0);
    else if (end == CONN_SLOW)
        tell_session(ws, SESSION_SLOW, "queue is full");
    else
        tell_session(ws, SESSION_TRANSPORT_CLOSE,
                     end == CONN_FAILED ? "connection reset" : "connection closed");
    bury(ws);
}

static size_t held(const struct conn *conn)
{
    const struct websocket *ws = conn->user;
    const struct session *session = ws->is_raw ? NULL : ws->session;

    return frame_reader_bytes(ws->reader) +
           (session && session->ws == ws ? session_held(session) : 0);
}

static const struct conn_ops websocket_ops = {
    .held = held,
    .on_data = on_data,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
    /* no on_moved: the request came to its session's shard before */
};

struct websocket *websocket_accept(struct engine *engine, struct httpconn *http,
                                   const struct websocket_offer *offer)
{
    struct websocket *ws = mem_calloc(1, sizeof *ws);
    char extension[DEFLATE_ANSWER_MAX];
    char head[192 + 32 + DEFLATE_ANSWER_MAX], *end;

    end = stpcpy(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    end = stpcpy(stpcpy(end, offer->accept), "\r\n");
    if (offer->window_bits) {
        deflate_answer(offer->window_bits, extension);
        end = stpcpy(stpcpy(end, "Sec-WebSocket-Extensions: "), extension);
        end = stpcpy(end, "\r\n");
    }
    ws->window_bits = (uint8_t)offer->window_bits;
    ws->engine = engine;
    ws->conn = http_conn(http);
    conn_send_copy(ws->conn, head, (size_t)(end - head));
    if (offer->headers)
        conn_send_copy(ws->conn, offer->headers, strlen(offer->headers));
    if (offer->more_headers)
        conn_send_copy(ws->conn, offer->more_headers, strlen(offer->more_headers));
    conn_send_copy(ws->conn, "\r\n", 2);
    return ws;
}

void websocket_adopt(struct websocket *ws, struct httpconn *http)
{
    ws->conn = http_upgrade(http, &websocket_ops, ws);
    ws->conn->is_capped = true;
    ws->is_ours = true;
    conn_clear_deadline(ws->conn);
    if (ws->close_code)
        websocket_close(ws, ws->close_code);
}

void websockets_abort(struct engine *engine)
{
    const struct slots *conns = &engine->net->conns;

    for (uint32_t i = 0; i < conns->n; i++) {
        struct conn *conn = slots_at(conns, i);
        struct websocket *ws = conn && conn->ops == &websocket_ops ? conn->user : NULL;

        if (ws && ws->engine == engine)
            websocket_abort(ws);
    }
}
