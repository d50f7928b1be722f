/*
 * packet.c - Engine.IO v4 packets and polling payloads: see packet.h.
 *
 * Called by: polling.c, session.c, upgrade.c. Thread: any: no state.
 */
#include "core/engine/packet.h"

#include <stdint.h>
#include <string.h>

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
