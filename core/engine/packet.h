/*
 * packet.h - Engine.IO v4 packets as text, the polling payload that joins them, and what
 * stands in a packet on its way out.
 *
 * A codec: knows neither sessions nor sockets. Thread: any.
 * Source: Engine.IO protocol v4, "Packet encoding".
 */
#ifndef ENGINE_PACKET_H
#define ENGINE_PACKET_H

#include <stdbool.h>
#include <stddef.h>

struct bytes;

enum packet_type {
    PACKET_OPEN,    /* 0: server only */
    PACKET_CLOSE,   /* 1 */
    PACKET_PING,    /* 2: from the server; from a client only "2probe" */
    PACKET_PONG,    /* 3 */
    PACKET_MESSAGE, /* 4 */
    PACKET_UPGRADE, /* 5 */
    PACKET_NOOP,    /* 6 */
    PACKET_BINARY,  /* b and base64: a message of bytes */
    PACKET_BAD,     /* no such type */
    PACKET_BYTES    /* of v3 only (payload3.h): a message of bytes as they are */
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

/* How a payload joins its packets: by separators, or as payload3.h says. */
enum payload_format { PAYLOAD_V4, PAYLOAD_V3_TEXT, PAYLOAD_V3_BYTES };

/* A walk over the packets of a payload. A payload of n separators has n + 1 packets. */
struct payload {
    const char *at; /* borrowed */
    size_t left;
    enum payload_format format;
    bool is_done;
};

void payload_init(struct payload *payload, const char *text, size_t len); /* v4 */
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

/*
 * Encode len bytes as base64 with padding into out, which holds base64_size(len) and gets
 * no NUL. Returns the length.
 */
size_t base64_size(size_t len);
size_t base64_encode(const void *data, size_t len, char *out);

/*
 * ---- A packet on its way out: one counted block, whatever belongs to it, so that nothing
 * comes in between and who drops it drops all of it.
 *
 * Most are one piece of text: the packet, its type first ('4' and a message). One with
 * attachments is made by packet_try_new(): its text, then its attachments, each of which
 * leaves as a message of bytes (without a type: the transport adds what it needs). The
 * text may be empty: then there is none, and what leaves is the attachments alone.
 *
 *   struct bytes *packet = packet_try_new(max_text, sum_of_attachments, n_attachments);
 *   n = write_text(packet->data);    up to max_text bytes
 *   packet_end_text(packet, n);
 *   packet_attach(packet, data, len);  n_attachments times
 *
 * packet->len counts all of its bytes.
 */
enum { PACKET_MAX_ATTACHMENTS = 65534 };
struct bytes *packet_try_new(size_t max_text, size_t attachments_len,
                             unsigned n_attachments); /* NULL without memory */
void packet_end_text(struct bytes *packet, size_t len);
void packet_attach(struct bytes *packet, const void *data, size_t len);

struct packet_part {
    const char *data; /* borrowed from the packet: at data + from */
    size_t from, len;
    bool is_binary;
};

/* A walk over what leaves, in order: the text, then each attachment. */
struct packet_parts {
    const struct bytes *packet; /* borrowed */
    unsigned next;
};
void packet_parts_init(struct packet_parts *parts, const struct bytes *packet);
bool packet_parts_next(struct packet_parts *parts, struct packet_part *part);

/*
 * The packet as it stands in a polling payload: text as it is, bytes as 'b' and base64, a
 * separator between each two. packet_write_payload() writes packet_payload_len() bytes.
 */
size_t packet_payload_len(const struct bytes *packet);
char *packet_write_payload(const struct bytes *packet, char *out); /* the end */

#endif
