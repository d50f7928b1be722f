/*
 * packet.h - codec of Socket.IO packets: text <-> struct. The payload's JSON is json.h's.
 *
 *   TYPE [ATTACHMENTS "-"] [NAMESPACE ","] [ACK ID] [PAYLOAD]
 *
 * Thread: any. Source: Socket.IO protocol v5, "Packet encoding"; docs/PROTOCOL.md 1.5.
 */
#ifndef SOCKETIO_PACKET_H
#define SOCKETIO_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sio_packet_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT,
    SIO_BINARY_ACK
};

enum {
    SIO_MAX_ATTACHMENTS = 1000, /* as engine.max_attachments at most */
    SIO_MAX_ID_DIGITS = 16,     /* as 2^53 - 1, the largest id that JavaScript can hold */
    SIO_HEAD_SIZE = 48          /* type, attachments, id, commas: all but the namespace */
};

/*
 * An ack id is echoed digit by digit. Its value is below 2^53, and the number of zeros
 * written before it stands in the topmost byte: 0 in all ids of stock clients, so that an
 * id is just its value there.
 */
static inline uint64_t sio_id_value(uint64_t id)
{
    return id & (UINT64_MAX >> 8);
}

struct sio_packet {
    enum sio_packet_type type;
    bool has_id;
    uint64_t id;            /* see sio_id_value() */
    unsigned n_attachments; /* of the two binary types */
    const char *nsp;        /* borrowed from the text; "/" when it names none */
    size_t nsp_len;
    const char *payload; /* borrowed from the text; NULL when there is none */
    size_t payload_len;
};

enum sio_packet_result {
    SIO_PACKET_OK,
    SIO_PACKET_EMPTY,
    SIO_PACKET_BAD_TYPE,
    SIO_PACKET_BAD_ATTACHMENTS,
    SIO_PACKET_MANY_ATTACHMENTS,
    SIO_PACKET_BAD_ID /* above 2^53 - 1, or more than 16 digits */
};

enum sio_packet_result sio_packet_decode(const char *text, size_t len,
                                         struct sio_packet *packet);

/* For logs: what is wrong with it. */
const char *sio_packet_word(enum sio_packet_result result);

/*
 * All of a packet before its payload, into out (SIO_HEAD_SIZE + nsp_len bytes suffice).
 * Returns the length.
 */
size_t sio_packet_head(const struct sio_packet *packet, char *out);

#endif
