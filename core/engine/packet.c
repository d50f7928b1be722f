/*
 * packet.c - Engine.IO v4 packets, polling payloads, packets in parts: see packet.h.
 *
 * Called by: polling.c, session.c, upgrade.c, websocket.c; the layer above makes packets. Thread: any: no state.
 */
#include "core/engine/packet.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "core/engine/payload3.h"
#include "core/loop/bytes.h"

struct packet packet_decode(const char *text, size_t len)
{
    struct packet packet = {.type = PACKET_BAD, .data = text, .len = 0};

    if (len == 0)
        return packet;
    if (text[0] >= '0' && text[0] <= '6')
        packet.type = (enum packet_type)(text[0] - '0');
    else if (text[0] == 'b')
        packet.type = PACKET_BINARY;
    packet.data = text + 1;
    packet.len = len - 1;
    return packet;
}

void payload_init(struct payload *payload, const char *text, size_t len)
{
    *payload = (struct payload){.at = text, .left = len};
}

bool payload_next(struct payload *payload, struct packet *packet)
{
    const char *end;
    size_t len;

    if (payload->format != PAYLOAD_V4)
        return payload3_next(payload, packet);
    if (payload->is_done)
        return false;
    end = payload->left ? memchr(payload->at, PACKET_SEPARATOR, payload->left) : NULL;
    len = end ? (size_t)(end - payload->at) : payload->left;
    *packet = packet_decode(payload->at, len);
    if (!end) {
        payload->is_done = true;
        return true;
    }
    payload->at = end + 1;
    payload->left -= len + 1;
    return true;
}

/* ---- base64 */

static int digit_value(char digit, char digit_62, char digit_63)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    if (digit == digit_62)
        return 62;
    return digit == digit_63 ? 63 : -1;
}

/* len digits, no padding; the bits that fill no byte must be zero. */
static long decode_digits(const char *text, size_t len, char digit_62, char digit_63,
                          unsigned char *out)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    long n = 0;

    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int value = digit_value(text[i], digit_62, digit_63);

        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n++] = (unsigned char)(bits >> n_bits);
        }
    }
    return bits & ((1u << n_bits) - 1) ? -1 : n;
}

long base64_decode(const char *text, size_t len, void *out)
{
    if (len % 4)
        return -1;
    for (int i = 0; i < 2 && len && text[len - 1] == '='; i++)
        len--;
    return decode_digits(text, len, '+', '/', out);
}

long base64url_decode(const char *text, size_t len, void *out)
{
    return decode_digits(text, len, '-', '_', out);
}

size_t base64_size(size_t len)
{
    return (len + 2) / 3 * 4;
}

size_t base64_encode(const void *data, size_t len, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = data;
    char *put = out;

    for (; len > 0; at += 3) {
        size_t n = len < 3 ? len : 3;
        uint32_t bits = (uint32_t)at[0] << 16;

        if (n > 1)
            bits |= (uint32_t)at[1] << 8;
        if (n > 2)
            bits |= at[2];
        *put++ = digits[bits >> 18];
        *put++ = digits[bits >> 12 & 63];
        *put++ = n > 1 ? digits[bits >> 6 & 63] : '=';
        *put++ = n > 2 ? digits[bits & 63] : '=';
        len -= n;
    }
    return (size_t)(put - out);
}

/* ---- packets in parts: the first is the text */

struct bytes *packet_try_new(size_t max_text, size_t attachments_len,
                             unsigned n_attachments)
{
    size_t len;

    assert(n_attachments <= PACKET_MAX_ATTACHMENTS);
    if (__builtin_add_overflow(max_text, attachments_len, &len))
        return NULL;
    return bytes_try_new_parts(len, n_attachments + 1);
}

void packet_end_text(struct bytes *packet, size_t len)
{
    assert(packet->n_parts == 0);
    bytes_end_part(packet, len);
}

void packet_attach(struct bytes *packet, const void *data, size_t len)
{
    assert(packet->n_parts > 0);
    if (len)
        memcpy(packet->data + packet->len, data, len);
    bytes_end_part(packet, len);
}

void packet_parts_init(struct packet_parts *parts, const struct bytes *packet)
{
    *parts = (struct packet_parts){.packet = packet};
    if (packet->n_parts > 0 && bytes_part_end(packet, 0) == 0)
        parts->next = 1; /* no text */
}

bool packet_parts_next(struct packet_parts *parts, struct packet_part *part)
{
    const struct bytes *packet = parts->packet;
    unsigned n = parts->next++;
    size_t from = n > 0 && n < packet->n_parts ? bytes_part_end(packet, n - 1) : 0;
    size_t to = n < packet->n_parts ? bytes_part_end(packet, n) : packet->len;

    if (n > 0 && n >= packet->n_parts)
        return false;
    *part = (struct packet_part){packet->data + from, from, to - from, n > 0};
    return true;
}

size_t packet_payload_len(const struct bytes *packet)
{
    struct packet_parts parts;
    struct packet_part part;
    size_t len = 0;

    if (packet->n_parts == 0)
        return packet->len;
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        len += (len > 0) + (part.is_binary ? 1 + base64_size(part.len) : part.len);
    return len;
}

char *packet_write_payload(const struct bytes *packet, char *out)
{
    struct packet_parts parts;
    struct packet_part part;
    char *put = out;

    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part)) {
        if (put > out)
            *put++ = PACKET_SEPARATOR;
        if (part.is_binary) {
            *put++ = 'b';
            put += base64_encode(part.data, part.len, put);
        } else {
            memcpy(put, part.data, part.len);
            put += part.len;
        }
    }
    return put;
}
