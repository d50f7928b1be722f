/*
 * websocket_send.c - what a connection sends: packets as frames, made once for all who get
 * them, long ones from where they are, deflated where that was agreed; and single frames.
 *
 * Called by: session.c, upgrade.c, raw.c (packets), websocket.c (control frames).
 * Thread: shard.
 */
#include "core/engine/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/engine/packet.h"
#include "core/engine/payload3.h"
#include "core/engine/session_impl.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/loop/turnbuf.h"
#include "core/net/conn.h"

enum {
    LONG_BYTES = 4096,    /* a packet's: then a slice more costs less than a copy */
    LONG_PART_BYTES = 512 /* a part's of such a packet: the same, for many receivers */
};

bool websocket_can_send(const struct websocket *ws)
{
    return ws->conn && !ws->is_closing;
}

void websocket_send_frame(struct websocket *ws, enum frame_kind kind, const void *data,
                          size_t len)
{
    char *space = conn_send_space(ws->conn, frame_size(len));

    if (space)
        frame_write(ws->engine->writer, kind, data, len, space);
}

/* ---- one packet for one */

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

/* b64=1: text. It is as long as its author chose, so it is no part of what many share. */
static void send_base64(struct websocket *ws, const struct packet_part *part)
{
    size_t len = 2 + base64_size(part->len), head_len;
    unsigned char head[FRAME_HEAD_MAX];
    struct bytes *frame;

    head_len = frame_head(FRAME_KIND_TEXT, len, head);
    frame = bytes_try_new(head_len + len);
    if (!frame) {
        conn_doom(ws->conn, CONN_FAILED);
        return;
    }
    memcpy(frame->data, head, head_len);
    frame->data[head_len] = 'b';
    frame->data[head_len + 1] = '0' + PACKET_MESSAGE;
    base64_encode(part->data, part->len, frame->data + head_len + 2);
    conn_send(ws->conn, frame, 0, frame->len);
    bytes_unref(frame);
}

/* A message of bytes as v3 has it: its type goes before. */
static void send_bytes3(struct websocket *ws, struct bytes *packet,
                        const struct packet_part *part)
{
    unsigned char head[FRAME_HEAD_MAX + 1];
    size_t head_len = frame_head(FRAME_KIND_BINARY, 1 + part->len, head);

    head[head_len++] = PACKET_MESSAGE;
    if (!conn_send_copy(ws->conn, head, head_len))
        return;
    if (part->len > LONG_PART_BYTES)
        conn_send(ws->conn, packet, part->from, part->from + part->len);
    else
        conn_send_copy(ws->conn, part->data, part->len);
}

__attribute__((noinline)) void websocket_send_packet(struct websocket *ws,
                                                     struct bytes *packet)
{
    size_t long_bytes = packet->len > LONG_BYTES ? LONG_PART_BYTES : LONG_BYTES;
    struct packet_parts parts;
    struct packet_part part;

    if (!websocket_can_send(ws))
        return;
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        if (part.is_binary && ws->is_base64)
            send_base64(ws, &part);
        else if (part.is_binary && ws->is_v3)
            send_bytes3(ws, packet, &part);
        else if (part.len > long_bytes)
            send_long(ws, packet, &part);
        else
            websocket_send_frame(ws, kind_of(&part), part.data, part.len);
}

void websocket_ping(struct websocket *ws)
{
    if (websocket_can_send(ws))
        websocket_send_frame(ws, FRAME_KIND_PING, "", 0);
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

/* ---- one packet for many */

/* Returns where the next one goes. */
static char *put_frame(enum frame_kind kind, const char *data, size_t len, char *at)
{
    size_t head_len = frame_head(kind, len, (unsigned char *)at);

    memcpy(at + head_len, data, len);
    return at + head_len + len;
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
    while (packet_parts_next(&parts, &part))
        space = put_frame(kind_of(&part), part.data, part.len, space);
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
    if (!websocket_can_send(ws))
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
