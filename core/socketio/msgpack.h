/*
 * msgpack.h - Socket.IO packets as socket.io-msgpack-parser has them: one binary message, a
 * map of type, nsp, data and id in MessagePack. Inside the server a packet is JSON text with
 * placeholders, whatever parser is set: these two translate.
 *
 * What JSON has no word for becomes what JSON.stringify() makes of it: NaN and the
 * infinities null, a Date its ISO string, undefined nothing (null in an array), bytes in a
 * CONNECT an object of their numbers. Bytes and ArrayBuffers of events become attachments. A
 * member "__proto__" is left out, as by the Node server. Thread: any; no state.
 * Source: the MessagePack specification; socket.io-msgpack-parser 3, notepack.io.
 */
#ifndef SOCKETIO_MSGPACK_H
#define SOCKETIO_MSGPACK_H

#include <stddef.h>

#include "core/socketio/json.h"
#include "core/socketio/packet.h"

struct bytes;

enum msgpack_result {
    MSGPACK_OK,
    MSGPACK_BAD,        /* no MessagePack, or cut off, or something behind it */
    MSGPACK_BAD_PACKET, /* not a map, or type, nsp or id are not what they must be */
    MSGPACK_TOO_DEEP,
    MSGPACK_TOO_MANY, /* values: limits->max_values */
    MSGPACK_MANY_ATTACHMENTS,
    MSGPACK_TOO_LONG, /* as JSON: control characters without end */
    MSGPACK_NO_MEMORY /* for what the client sent */
};

struct msgpack_piece {
    const char *data; /* borrowed from the message */
    size_t len;
};

/* A packet that was read. Release it with msgpack_done(). */
struct msgpack_packet {
    struct sio_packet
        packet; /* its texts: in `text`; n_attachments are in `attachments` */
    char *text; /* owned */
    struct msgpack_piece *attachments; /* owned */
};

/*
 * Read a message. limits: of its data, as of JSON: whoever scans the text checks them
 * again, exactly. On any other result than MSGPACK_OK there is nothing to release.
 */
enum msgpack_result msgpack_decode(const char *data, size_t len,
                                   const struct json_limits *limits,
                                   size_t max_attachments, struct msgpack_packet *out);
void msgpack_done(struct msgpack_packet *packet);

/* For logs: what is wrong with it. */
const char *msgpack_word(enum msgpack_result result);

/*
 * A packet to send: payload is JSON text that we have written or scanned, where each
 * placeholder below n stands for one of the attachments (borrowed). Returns a packet of one
 * part of bytes (core/engine/packet.h), or NULL without memory.
 */
struct bytes *msgpack_encode(const struct sio_packet *packet,
                             struct bytes *const *attachments, size_t n);

#endif
