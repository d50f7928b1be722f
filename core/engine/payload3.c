/*
 * payload3.c - packets and payloads of Engine.IO v3: see payload3.h.
 *
 * What decodes is what the reference would write, byte for byte, but for empty entries of
 * text, which it skips: lengths have no leading zeros, and no more digits than any body
 * that is let in could need. Called by: polling_body.c, websocket.c, packet.c (payload_next).
 * Thread: any: no state.
 */
#include "core/engine/payload3.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"

enum {
    LENGTH_DIGITS = 10, /* max_http_buffer_size is at most 2^30 */
    ENTRY_TEXT = 0,
    ENTRY_BINARY = 1,
    ENTRY_DATA = 255 /* ends the digits */
};

/* ---- packets */

struct packet packet3_decode(const char *text, size_t len)
{
    struct packet packet = packet_decode(text, len);

    if (packet.type != PACKET_BINARY)
        return packet;
    if (packet.len == 0 || *packet.data != '0' + PACKET_MESSAGE) {
        packet.type = PACKET_BAD;
        return packet;
    }
    packet.data++;
    packet.len--;
    return packet;
}

struct packet packet3_decode_bytes(const void *data, size_t len)
{
    const char *bytes = data;

    if (len == 0 || *bytes != PACKET_MESSAGE)
        return (struct packet){.type = PACKET_BAD, .data = bytes};
    return (struct packet){.type = PACKET_BYTES, .data = bytes + 1, .len = len - 1};
}

/* ---- UTF-16 */

/* Whether a UTF-16 unit begins with this byte; the second of a pair, with the last of four. */
static size_t units_at(const char *byte)
{
    unsigned char lead = (unsigned char)*byte;

    return (lead & 0xc0) == 0x80 ? 0 : lead >= 0xf0 ? 2 : 1;
}

size_t utf16_length(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += units_at(text + i);
    return n;
}

/* Bytes of the first n units of valid UTF-8; SIZE_MAX when there are fewer, or when a pair
 * would be cut. */
static size_t skip_units(const char *text, size_t len, size_t n)
{
    size_t i = 0;

    while (i < len) {
        size_t units = units_at(text + i);

        if (units > n)
            break;
        n -= units;
        i++;
    }
    return n == 0 ? i : SIZE_MAX;
}

/* ---- payloads in */

void payload3_init(struct payload *payload, const char *text, size_t len)
{
    *payload = (struct payload){.at = text, .left = len, .format = PAYLOAD_V3_TEXT};
}

void payload3_init_bytes(struct payload *payload, const char *data, size_t len)
{
    *payload = (struct payload){.at = data, .left = len, .format = PAYLOAD_V3_BYTES};
}

static void advance(struct payload *payload, size_t n)
{
    payload->at += n;
    payload->left -= n;
}

/* Decimal digits, from `zero` on, and the byte that ends them. Returns false when there is no
 * such length. */
static bool read_length(struct payload *payload, char zero, char end, size_t *length)
{
    size_t i = 0;

    for (*length = 0; i < payload->left && i <= LENGTH_DIGITS; i++) {
        unsigned digit = (unsigned char)payload->at[i] - (unsigned)zero;

        if (payload->at[i] == end)
            break;
        if (digit > 9 || (i > 0 && *length == 0))
            return false;
        *length = *length * 10 + digit;
    }
    if (i == 0 || i > LENGTH_DIGITS || i == payload->left)
        return false;
    advance(payload, i + 1);
    return true;
}

/* Returns the packet; PACKET_BAD when there is none. */
static struct packet next_text(struct payload *payload)
{
    struct packet bad = {.type = PACKET_BAD, .data = payload->at};
    struct packet packet;
    size_t n_units, len;

    if (!read_length(payload, '0', ':', &n_units))
        return bad;
    len = skip_units(payload->at, payload->left, n_units);
    if (len == SIZE_MAX)
        return bad;
    packet = packet3_decode(payload->at, len);
    advance(payload, len);
    return packet;
}

static struct packet next_bytes(struct payload *payload)
{
    struct packet bad = {.type = PACKET_BAD, .data = payload->at};
    struct packet packet;
    const char *data;
    char kind = *payload->at;
    size_t len;

    advance(payload, 1);
    if ((kind != ENTRY_TEXT && kind != ENTRY_BINARY) ||
        !read_length(payload, 0, (char)ENTRY_DATA, &len) || len > payload->left)
        return bad;
    data = payload->at;
    if (kind == ENTRY_TEXT && !utf8_is_valid(data, len))
        return bad;
    packet =
        kind == ENTRY_TEXT ? packet3_decode(data, len) : packet3_decode_bytes(data, len);
    advance(payload, len);
    return packet;
}

/* Entries of no length, which say nothing. */
static void skip_empty(struct payload *payload)
{
    while (payload->left >= 2 && memcmp(payload->at, "0:", 2) == 0)
        advance(payload, 2);
}

bool payload3_next(struct payload *payload, struct packet *packet)
{
    bool is_text = payload->format == PAYLOAD_V3_TEXT;

    if (payload->is_done)
        return false;
    if (payload->left == 0) { /* there was nothing at all: refused as text only */
        payload->is_done = true;
        *packet = (struct packet){.type = PACKET_BAD, .data = payload->at};
        return is_text;
    }
    if (is_text)
        skip_empty(payload);
    if (payload->left == 0) {
        payload->is_done = true;
        return false;
    }
    *packet = is_text ? next_text(payload) : next_bytes(payload);
    if (is_text)
        skip_empty(payload);
    payload->is_done = payload->left == 0 || packet->type == PACKET_BAD;
    return true;
}

/* ---- payloads out */

size_t payload3_room(size_t len)
{
    return 1 + LENGTH_DIGITS + 1 + len;
}

static char *put_length(char *at, enum payload_format format, char kind, size_t length)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%zu", length);
    bool is_text = format == PAYLOAD_V3_TEXT;

    if (!is_text)
        *at++ = kind;
    for (int i = 0; i < n; i++)
        *at++ = (char)(is_text ? digits[i] : digits[i] - '0');
    *at++ = is_text ? ':' : (char)ENTRY_DATA;
    return at;
}

char *payload3_put(char *at, enum payload_format format, const char *packet, size_t len)
{
    at = put_length(at, format, ENTRY_TEXT,
                    format == PAYLOAD_V3_TEXT ? utf16_length(packet, len) : len);
    memcpy(at, packet, len);
    return at + len;
}

size_t payload3_room_bytes(enum payload_format format, size_t len)
{
    return format == PAYLOAD_V3_TEXT ? payload3_room(2 + base64_size(len))
                                     : payload3_room(1 + len);
}

char *payload3_put_bytes(char *at, enum payload_format format, const void *data,
                         size_t len)
{
    if (format == PAYLOAD_V3_TEXT) {
        at = put_length(at, format, ENTRY_TEXT, 2 + base64_size(len));
        *at++ = 'b';
        *at++ = '0' + PACKET_MESSAGE;
        return at + base64_encode(data, len, at);
    }
    at = put_length(at, format, ENTRY_BINARY, 1 + len);
    *at++ = PACKET_MESSAGE;
    if (len > 0)
        memcpy(at, data, len);
    return at + len;
}
