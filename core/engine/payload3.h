/*
 * payload3.h - what Engine.IO v3 writes otherwise than v4: the payloads of polling, and
 * binary packets.
 *
 * A payload is text, "LENGTH:PACKET" for each packet with lengths in UTF-16 units, or, for
 * clients that take bytes and where a packet is binary, "0 DIGITS 255 PACKET" for text and
 * "1 DIGITS 255 PACKET" for binary, with lengths in bytes and digits as bytes 0 to 9.
 * A binary packet begins with its type as a byte, or in text with "b4" before base64.
 *
 * A codec: knows neither sessions nor sockets. Thread: any.
 * Source: Engine.IO protocol v3, "Encoding".
 */
#ifndef ENGINE_PAYLOAD3_H
#define ENGINE_PAYLOAD3_H

#include <stddef.h>

#include "core/engine/packet.h"

/* A packet as text. */
struct packet packet3_decode(const char *text, size_t len);
/* A packet as bytes: PACKET_BYTES, or PACKET_BAD when it is no message. */
struct packet packet3_decode_bytes(const void *data, size_t len);

/*
 * Begin the walk over a payload: payload_next() does the rest. One that is malformed yields
 * PACKET_BAD where it is, and ends there.
 *   text  valid UTF-8, borrowed
 */
void payload3_init(struct payload *payload, const char *text, size_t len);
/* The binary form: its texts are checked on the way. */
void payload3_init_bytes(struct payload *payload, const char *data, size_t len);
bool payload3_next(struct payload *payload, struct packet *packet); /* payload_next()'s */

/*
 * Write one text packet of valid UTF-8 as an entry of a payload. Returns the end of it;
 * payload3_room(len) bytes are enough.
 */
size_t payload3_room(size_t len);
char *payload3_put(char *at, enum payload_format format, const char *packet, size_t len);

/* The same for a message of bytes, which are borrowed and stand without their type. */
size_t payload3_room_bytes(enum payload_format format, size_t len);
char *payload3_put_bytes(char *at, enum payload_format format, const void *data,
                         size_t len);

/* UTF-16 units of valid UTF-8. */
size_t utf16_length(const char *text, size_t len);

#endif
