/*
 * websocket.c - one connection that speaks WebSocket: see websocket.h.
 *
 * Called by: engine.c (handshake), session.c and upgrade.c (send, close), conn.c (ops).
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
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/loop/turnbuf.h"
#include "core/net/conn.h"

enum {
    KEY_CHARS = 24, /* RFC 6455 4.1: base64 of 16 bytes */
    KEY_BYTES = 16,
    CONTROL_WINDOW_MS = 1000, /* of limits.max_controls */
    LONG_BYTES = 4096,        /* a packet's: then a slice more costs less than a copy */
    LONG_PART_BYTES = 512 /* a part's of such a packet: the same, for many receivers */
};

/* ---- opening handshake */

/* The one value of a header that must stand once; NULL otherwise. */
static const char *single_header(const struct http_request *request, const char *name)
{
    size_t n = 0;
    const char *value = http_header(request, name, &n);

    return n == 1 ? value : NULL;
}

static void accept_key(const char *key, char *accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    unsigned char text[KEY_CHARS + sizeof guid - 1];
    unsigned char digest[SHA_DIGEST_LENGTH];

    memcpy(text, key, KEY_CHARS);
    memcpy(text + KEY_CHARS, guid, sizeof guid - 1);
    SHA1(text, sizeof text, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof digest);
}

int websocket_check(const struct http_request *request, struct websocket_offer *offer,
                    const char **reason)
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
    accept_key(key, offer->accept);
    return 0;
}

/* ---- birth and death */

static void link_to_engine(struct websocket *ws)
{
    struct engine *engine = ws->engine;

    ws->next = engine->websockets;
    if (ws->next)
        ws->next->prev = ws;
    engine->websockets = ws;
}

static void bury(struct websocket *ws)
{
    struct engine *engine = ws->engine;

    if (ws->prev)
        ws->prev->next = ws->next;
    else
        engine->websockets = ws->next;
    if (ws->next)
        ws->next->prev = ws->prev;
    ws->prev = NULL;
    ws->next = engine->dead_websockets;
    engine->dead_websockets = ws;
}

void websocket_free(struct websocket *ws)
{
    free(ws->pong);
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

/* ---- frames out */

static bool can_send(const struct websocket *ws)
{
    return ws->conn && !ws->is_closing;
}

static void send_frame(struct websocket *ws, enum frame_kind kind, const void *data,
                       size_t len)
{
    char *space = conn_send_space(ws->conn, frame_size(len));

    if (space)
        frame_write(ws->engine->writer, kind, data, len, space);
}

static enum frame_kind kind_of(const struct packet_part *part)
{
    return part->is_binary ? FRAME_KIND_BINARY : FRAME_KIND_TEXT;
}

/* What is long is sent from where it is, behind a head of its own: no size that its author
 * chose is allocated or copied once more, whoever is slow to read it. */
static void send_long(struct websocket *ws, struct bytes *packet,
                      const struct packet_part *part)
{
    unsigned char head[FRAME_HEAD_MAX];
    size_t head_len = frame_head(kind_of(part), part->len, head);

    if (conn_send_copy(ws->conn, head, head_len))
        conn_send(ws->conn, packet, part->from, part->from + part->len);
}

/* A message of bytes as v3 has it: its type goes before, and b64=1 makes it text. */
static void send_bytes3(struct websocket *ws, struct bytes *packet,
                        const struct packet_part *part)
{
    enum frame_kind kind = ws->is_base64 ? FRAME_KIND_TEXT : FRAME_KIND_BINARY;
    size_t len = ws->is_base64 ? 2 + base64_size(part->len) : 1 + part->len;
    unsigned char head[FRAME_HEAD_MAX + 1];
    size_t head_len = frame_head(kind, len, head);
    char *space;

    if (!ws->is_base64 && part->len > LONG_PART_BYTES) {
        head[head_len++] = PACKET_MESSAGE;
        if (conn_send_copy(ws->conn, head, head_len))
            conn_send(ws->conn, packet, part->from, part->from + part->len);
        return;
    }
    space = conn_send_space(ws->conn, head_len + len);
    if (!space)
        return;
    memcpy(space, head, head_len);
    space += head_len;
    if (ws->is_base64) {
        memcpy(space, "b4", 2);
        base64_encode(part->data, part->len, space + 2);
    } else {
        *space = PACKET_MESSAGE;
        memcpy(space + 1, part->data, part->len);
    }
}

__attribute__((noinline)) void websocket_send_packet(struct websocket *ws,
                                                     struct bytes *packet)
{
    size_t long_bytes = packet->len > LONG_BYTES ? LONG_PART_BYTES : LONG_BYTES;
    struct packet_parts parts;
    struct packet_part part;

    if (!can_send(ws))
        return;
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        if (part.is_binary && ws->is_v3)
            send_bytes3(ws, packet, &part);
        else if (part.len > long_bytes)
            send_long(ws, packet, &part);
        else
            send_frame(ws, kind_of(&part), part.data, part.len);
}

void websocket_ping(struct websocket *ws)
{
    if (can_send(ws))
        send_frame(ws, FRAME_KIND_PING, "", 0);
}

static size_t frames_size(const struct bytes *packet)
{
    struct packet_parts parts;
    struct packet_part part;
    size_t size = 0;

    if (packet->n_parts == 0)
        return frame_size(packet->len);
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        size += frame_size(part.len);
    return size;
}

/* The frames are made for the first receiver and shared by those that follow: which save
 * no registers for it, and so are 3 % cheaper. */
static __attribute__((noinline)) void make_frames(struct websocket *ws,
                                                  struct outgoing *out)
{
    struct net *net = ws->engine->net;
    struct turnbuf *buffer = out->buffer ? out->buffer : &net->direct;
    size_t size = frames_size(out->packet);
    char *space = turnbuf_append(buffer, net->loop, size, &out->frame, &out->from);
    struct packet_parts parts;
    struct packet_part part;

    packet_parts_init(&parts, out->packet);
    while (packet_parts_next(&parts, &part)) {
        frame_write(ws->engine->writer, kind_of(&part), part.data, part.len, space);
        space += frame_size(part.len);
    }
    out->to = out->from + size;
}

/* ---- frames out, deflated */

/* One frame of a packet: deflated where that pays. Returns where the next one goes. */
static char *put_part(const struct websocket *ws, unsigned window_bits,
                      const struct packet_part *part, char *at)
{
    struct engine *engine = ws->engine;
    const char *data = part->data;
    size_t len = 0, head_len;

    if (part->len >= engine->settings->deflate_min_bytes)
        len = deflate_message(&engine->readers.deflate, window_bits, part->data,
                              part->len, &data);
    head_len = frame_head(kind_of(part), len ? len : part->len, (unsigned char *)at);
    if (len)
        *at = (char)(*at | FRAME_DEFLATED);
    else
        len = part->len;
    memcpy(at + head_len, data, len);
    return at + head_len + len;
}

/* A new reference; NULL when nothing becomes shorter, or without memory. */
static struct bytes *deflate_packet(const struct websocket *ws, unsigned window_bits,
                                    const struct bytes *packet)
{
    size_t size = frames_size(packet);
    char *space = mem_try_alloc(size + FRAME_HEAD_MAX), *at = space;
    struct bytes *frames = NULL;
    struct packet_parts parts;
    struct packet_part part;

    if (!space)
        return NULL;
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        at = put_part(ws, window_bits, &part, at);
    if ((size_t)(at - space) < size)
        frames = bytes_try_new((size_t)(at - space)); /* a slow reader holds no more */
    if (frames)
        memcpy(frames->data, space, frames->len);
    free(space);
    return frames;
}

/* Deflated once for all receivers. Returns false when it has to be sent as it is. */
static bool send_deflated(struct websocket *ws, struct outgoing *out)
{
    static const unsigned bits[DEFLATE_CLASSES] = {DEFLATE_MAX_BITS, DEFLATE_NARROW_BITS};
    enum deflate_class class = deflate_class(ws->window_bits, out->packet->len);

    if (class == DEFLATE_NOT)
        return false;
    if (!out->deflated[class].was_tried) {
        out->deflated[class].was_tried = true;
        out->deflated[class].frames = deflate_packet(ws, bits[class], out->packet);
        if (out->deflated[class].frames)
            loop_keep_bytes(ws->engine->net->loop, out->deflated[class].frames);
    }
    if (!out->deflated[class].frames)
        return false;
    conn_send(ws->conn, out->deflated[class].frames, 0, out->deflated[class].frames->len);
    return true;
}

static bool may_deflate(const struct websocket *ws, const struct outgoing *out)
{
    return ws->window_bits && out->may_compress &&
           out->packet->len >= ws->engine->settings->deflate_min_bytes &&
           !(ws->is_v3 && out->packet->n_parts > 0);
}

void websocket_send(struct websocket *ws, struct outgoing *out)
{
    if (!can_send(ws))
        return;
    if (out->is_volatile && !conn_is_writable(ws->conn)) {
        metric_add(engine_metrics(ws->engine), METRIC_VOLATILE_DROPPED, 1);
        return;
    }
    if (may_deflate(ws, out) && send_deflated(ws, out))
        return;
    if (out->packet->len > LONG_BYTES || (ws->is_v3 && out->packet->n_parts > 0) ||
        (!out->frame && !out->buffer && ws->conn->is_blocked)) {
        websocket_send_packet(ws, out->packet); /* keeps nobody else's frames alive */
        return;
    }
    if (!out->frame)
        make_frames(ws, out);
    conn_send(ws->conn, out->frame, out->from, out->to);
}

void websocket_close(struct websocket *ws, uint16_t code)
{
    websocket_close_with(ws, code, "", 0);
}

void websocket_close_with(struct websocket *ws, uint16_t code, const char *reason,
                          size_t len)
{
    unsigned char payload[FRAME_CONTROL_MAX] = {(unsigned char)(code >> 8),
                                                (unsigned char)code};

    if (!can_send(ws))
        return;
    if (!ws->is_ours) {
        ws->close_code = code;
        return;
    }
    memcpy(payload + 2, reason, len);
    send_frame(ws, FRAME_KIND_CLOSE, payload, code ? 2 + len : 0);
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
    uint64_t now_ms = loop_now(ws->engine->net->loop);

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
        send_frame(ws, FRAME_KIND_PONG, frame->data, frame->len);
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

    if (!ws->pong || !can_send(ws))
        return;
    send_frame(ws, FRAME_KIND_PONG, ws->pong, ws->pong_len);
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

/* As many as one turn takes; the rest is held for the next. */
static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct websocket *ws = conn->user;
    const struct frame_limits *limits =
        ws->window_bits ? &ws->engine->deflate_limits : &ws->engine->frame_limits;
    int64_t n_left = ws->engine->settings->max_turn_packets;
    struct frame frame;

    ws->is_reading = true;
    if (!ws->reader && can_send(ws))
        ws->reader = frame_pool_take(&ws->engine->readers);
    while (can_send(ws)) {
        enum frame_event event = frame_read(ws->reader, limits, &data, &len, &frame);

        if (event == FRAME_MORE)
            break;
        on_frame(ws, event, &frame);
        if (--n_left <= 0 && can_send(ws)) {
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
    const struct session *session = ws->session;

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
    char extension[DEFLATE_ANSWER_MAX] = "";
    char head[192 + 32 + DEFLATE_ANSWER_MAX];
    int len;

    if (offer->window_bits)
        deflate_answer(offer->window_bits, extension);
    len = snprintf(head, sizeof head,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
                   offer->accept, *extension ? "Sec-WebSocket-Extensions: " : "",
                   extension, *extension ? "\r\n" : "");
    ws->window_bits = (uint8_t)offer->window_bits;
    ws->engine = engine;
    ws->conn = http_conn(http);
    link_to_engine(ws);
    conn_send_copy(ws->conn, head, (size_t)len);
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
