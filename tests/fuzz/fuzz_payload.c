/*
 * fuzz_payload.c - Engine.IO v4 packets, payloads of polling, base64
 * (core/engine/packet.c).
 *
 * Input: a payload. Properties:
 *   - its packets, joined again, are the payload, and there is one more of them than there
 *     are separators;
 *   - a packet of a known type, written again, is the same packet;
 *   - base64 that decodes encodes to the very same text (both alphabets), and whatever is
 *     encoded decodes;
 *   - its packets as the parts of one that goes out come back from the payload of that.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "payload";

/* ---- base64 the other way */

static const char standard[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Into out (len * 2 + 4 bytes suffice). Returns the length. */
static size_t encode(const unsigned char *bytes, size_t len, const char *alphabet,
                     bool is_padded, char *out)
{
    size_t n = 0, n_bits = 0;
    uint32_t bits = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            out[n++] = alphabet[bits >> (n_bits - 6) & 63];
    }
    if (n_bits > 0)
        out[n++] = alphabet[bits << (6 - n_bits) & 63];
    while (is_padded && n % 4)
        out[n++] = '=';
    return n;
}

typedef long decoder(const char *text, size_t len, void *out);

static void check_text(const char *text, size_t len, decoder *decode,
                       const char *alphabet, bool is_padded)
{
    size_t room = is_padded ? len / 4 * 3 : len * 3 / 4;
    unsigned char *bytes = malloc(room ? room : 1); /* exactly what is promised */
    char *again = malloc(len * 2 + 4);
    long n = decode(text, len, bytes);

    FUZZ_CHECK(n <= (long)room, "base64 decodes into the promised room");
    if (n >= 0) {
        FUZZ_CHECK(encode(bytes, (size_t)n, alphabet, is_padded, again) == len &&
                       memcmp(again, text, len) == 0,
                   "base64 that decodes is the one way to write these bytes");
    }
    free(bytes);
    free(again);
}

static void check_bytes(const char *input, size_t len, decoder *decode,
                        const char *alphabet, bool is_padded)
{
    char *text = malloc(len * 2 + 4);
    size_t text_len =
        encode((const unsigned char *)input, len, alphabet, is_padded, text);
    char *bytes = malloc(text_len + 1);

    if (is_padded) {
        char *ours = malloc(base64_size(len) + 1);

        FUZZ_CHECK(base64_encode(input, len, ours) == text_len &&
                       memcmp(ours, text, text_len) == 0,
                   "our own encoder writes the same");
        free(ours);
    }
    FUZZ_CHECK(decode(text, text_len, bytes) == (long)len &&
                   memcmp(bytes, input, len) == 0,
               "what is encoded decodes");
    free(text);
    free(bytes);
}

/* ---- packets */

static void check_packet(const struct packet *packet, const char *raw, size_t len)
{
    static const char types[] = "0123456b";
    struct fuzz_text text = {0};
    struct packet again;
    char *copy;

    if (packet->type == PACKET_BAD) {
        FUZZ_CHECK(len == 0 || !strchr(types, raw[0]) || !raw[0],
                   "a known type is not refused");
        return;
    }
    fuzz_put(&text, &types[packet->type], 1);
    fuzz_put(&text, packet->data, packet->len);
    FUZZ_CHECK(text.len == len && memcmp(text.text, raw, len) == 0,
               "a packet written again is what was sent");
    copy = fuzz_copy(text.text, text.len);
    again = packet_decode(copy, text.len);
    FUZZ_CHECK(again.type == packet->type && again.len == packet->len &&
                   memcmp(again.data, packet->data, again.len) == 0,
               "a packet written again decodes to itself");
    free(copy);
    free(text.text);
    if (packet->type == PACKET_BINARY)
        check_text(packet->data, packet->len, base64_decode, standard, true);
}

/* ---- packets in parts */

/* The first packet as the text, what stands in the others as attachments. */
static struct bytes *in_parts(const char *input, size_t len, size_t n)
{
    struct bytes *bytes = packet_try_new(len, len, (unsigned)n - 1);
    struct payload payload;
    struct packet packet;

    payload_init(&payload, input, len);
    payload_next(&payload, &packet);
    memcpy(bytes->data, input, packet.len + (packet.data != input));
    packet_end_text(bytes, packet.len + (packet.data != input));
    while (payload_next(&payload, &packet))
        packet_attach(bytes, packet.data, packet.len);
    return bytes;
}

static void check_parts(const char *input, size_t len, size_t n)
{
    struct bytes *bytes = in_parts(input, len, n);
    size_t text_len = packet_payload_len(bytes);
    char *text = malloc(text_len ? text_len : 1), *decoded = malloc(text_len + 1);
    struct payload payload, written;
    struct packet packet, part;

    FUZZ_CHECK(packet_write_payload(bytes, text) == text + text_len,
               "a payload has the length that was promised");
    payload_init(&payload, input, len);
    payload_init(&written, text, text_len);
    payload_next(&payload, &packet);
    if (bytes_part_end(bytes, 0) > 0) {
        payload_next(&written, &part);
        FUZZ_CHECK(part.type == packet.type && part.len == packet.len &&
                       memcmp(part.data, packet.data, part.len) == 0,
                   "a text leaves as it is");
    }
    while (payload_next(&payload, &packet))
        FUZZ_CHECK(payload_next(&written, &part) && part.type == PACKET_BINARY &&
                       base64_decode(part.data, part.len, decoded) == (long)packet.len &&
                       memcmp(decoded, packet.data, packet.len) == 0,
                   "an attachment leaves as its bytes");
    free(text);
    free(decoded);
    bytes_unref(bytes);
}

void fuzz_one(const char *input, size_t len)
{
    struct payload payload;
    struct packet packet;
    const char *at = input;
    size_t n = 0, n_separators = 0;

    for (size_t i = 0; i < len; i++)
        n_separators += input[i] == PACKET_SEPARATOR;
    payload_init(&payload, input, len);
    while (payload_next(&payload, &packet)) {
        size_t raw_len = packet.len + (packet.data != at);

        FUZZ_CHECK(packet.data == at || packet.data == at + 1,
                   "a packet begins behind the separator");
        FUZZ_CHECK(at + raw_len <= input + len, "a packet lies within the payload");
        FUZZ_CHECK(!memchr(at, PACKET_SEPARATOR, raw_len), "a packet holds no separator");
        FUZZ_CHECK(at + raw_len == input + len || at[raw_len] == PACKET_SEPARATOR,
                   "a packet ends at a separator or with the payload");
        check_packet(&packet, at, raw_len);
        at += raw_len + 1;
        n++;
    }
    FUZZ_CHECK(n == n_separators + 1, "n separators make n + 1 packets");
    FUZZ_CHECK(at == input + len + 1, "the packets joined are the payload");
    FUZZ_CHECK(!payload_next(&payload, &packet), "the end is the end");
    if (n <= PACKET_MAX_ATTACHMENTS)
        check_parts(input, len, n);

    check_text(input, len, base64_decode, standard, true);
    check_text(input, len, base64url_decode, for_urls, false);
    check_bytes(input, len, base64_decode, standard, true);
    check_bytes(input, len, base64url_decode, for_urls, false);
}
