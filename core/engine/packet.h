/*
 * packet.h - Engine.IO v4 packets as text, and the polling payload that joins them.
 *
 * A codec: knows neither sessions nor sockets. Thread: any.
 * Source: Engine.IO protocol v4, "Packet encoding".
 */
#ifndef ENGINE_PACKET_H
#define ENGINE_PACKET_H

#include <stdbool.h>
#include <stddef.h>

enum packet_type {
    PACKET_OPEN,    /* 0: server only */
    PACKET_CLOSE,   /* 1 */
    PACKET_PING,    /* 2: from the server; from a client only "2probe" */
    PACKET_PONG,    /* 3 */
    PACKET_MESSAGE, /* 4 */
    PACKET_UPGRADE, /* 5 */
    PACKET_NOOP,    /* 6 */
    PACKET_BINARY,  /* b and base64: a message of bytes */
    PACKET_BAD      /* no such type */
};

struct packet {
    enum packet_type type;
    const char *data; /* borrowed from the text: what stands behind the type */
    size_t len;
};

/* U+001E between the packets of a payload. */
enum { PACKET_SEPARATOR = 0x1e };

/* The type of a packet and its data; PACKET_BAD for an empty one too. */
struct packet packet_decode(const char *text, size_t len);

/* A walk over the packets of a payload. A payload of n separators has n + 1 packets. */
struct payload {
    const char *at; /* borrowed */
    size_t left;
    bool is_done;
};

void payload_init(struct payload *payload, const char *text, size_t len);
/* False behind the last packet. */
bool payload_next(struct payload *payload, struct packet *packet);

/*
 * Decode base64 (RFC 4648 section 4: padded, no other characters, no stray bits) into out
 * (len / 4 * 3 bytes suffice). Returns the number of bytes, or -1.
 */
long base64_decode(const char *text, size_t len, void *out);

/*
 * Decode n characters of base64url without padding (section 5, no stray bits) into
 * n * 3 / 4 bytes. Returns that number, or -1.
 */
long base64url_decode(const char *text, size_t len, void *out);

#endif
