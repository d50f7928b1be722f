/*
 * fuzz_payload3.c - packets and payloads of Engine.IO v3 (core/engine/payload3.c).
 *
 * Input: a payload, read as bytes, and as text where it is UTF-8. Properties:
 *   - packets lie within the payload, one behind the other, and nothing follows a bad one;
 *   - what decodes, written again, is the payload, but for empty entries of text;
 *   - written in the other form it decodes to the same packets;
 *   - a length of UTF-16 units is what counting code points gives.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine/payload3.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "payload3";

/* Write a packet as an entry; binary ones that were base64 stay so. */
static void put_entry(struct fuzz_text *text, enum payload_format format,
                      const struct packet *packet)
{
    static const char types[] = "0123456";
    size_t room = payload3_room(packet->len + 2);
    struct fuzz_text plain = {0};
    char *entry, *end;

    if (packet->type == PACKET_BYTES) {
        room = payload3_room_bytes(format, packet->len);
        entry = malloc(room);
        end = payload3_put_bytes(entry, format, packet->data, packet->len);
    } else {
        fuzz_put(&plain, packet->type == PACKET_BINARY ? "b4" : &types[packet->type],
                 packet->type == PACKET_BINARY ? 2 : 1);
        fuzz_put(&plain, packet->data, packet->len);
        entry = malloc(room);
        end = payload3_put(entry, format, plain.text, plain.len);
    }
    FUZZ_CHECK((size_t)(end - entry) <= room, "an entry fits the promised room");
    fuzz_put(text, entry, (size_t)(end - entry));
    free(entry);
    free(plain.text);
}

/* Type and data of each packet: bytes that became base64 on the way are those bytes. */
static void describe(struct fuzz_text *text, const struct packet *packet)
{
    char *data = NULL;
    size_t len = packet->len;

    if (packet->type == PACKET_BINARY) {
        long n;

        data = malloc(packet->len + 1);
        n = base64_decode(packet->data, packet->len, data);
        len = n < 0 ? 0 : (size_t)n;
        fuzz_print(text, n < 0 ? "[bad base64]" : "[bytes %zu ", len);
    } else if (packet->type == PACKET_BYTES) {
        fuzz_print(text, "[bytes %zu ", len);
    } else {
        fuzz_print(text, "[%d %zu ", (int)packet->type, len);
    }
    fuzz_put(text, data ? data : packet->data, len);
    free(data);
}

static void init(struct payload *payload, enum payload_format format, const char *data,
                 size_t len)
{
    if (format == PAYLOAD_V3_TEXT)
        payload3_init(payload, data, len);
    else
        payload3_init_bytes(payload, data, len);
}

static void check_units(const char *text, size_t len)
{
    size_t n = 0, at = 0;
    uint32_t code;

    while (at < len) {
        at += utf8_decode(text + at, len - at, &code);
        n += code > 0xffff ? 2 : 1;
    }
    FUZZ_CHECK(utf16_length(text, len) == n, "units are those of the code points");
}

static void check_same(enum payload_format format, const struct fuzz_text *payload_text,
                       const struct fuzz_text *expected)
{
    struct fuzz_text words = {0};
    char *copy = fuzz_copy(payload_text->text, payload_text->len);
    struct payload payload;
    struct packet packet;

    init(&payload, format, copy, payload_text->len);
    while (payload_next(&payload, &packet))
        describe(&words, &packet);
    FUZZ_CHECK(fuzz_same(&words, expected),
               "in either form a payload has the same packets");
    free(words.text);
    free(copy);
}

static void check(enum payload_format format, const char *input, size_t len)
{
    enum payload_format other =
        format == PAYLOAD_V3_TEXT ? PAYLOAD_V3_BYTES : PAYLOAD_V3_TEXT;
    struct fuzz_text again = {0}, elsewhere = {0}, words = {0};
    struct payload payload;
    struct packet packet = {.type = PACKET_NOOP};
    const char *behind = input;

    init(&payload, format, input, len);
    while (payload_next(&payload, &packet)) {
        FUZZ_CHECK(packet.data >= behind && packet.data + packet.len <= input + len,
                   "packets follow each other");
        behind = packet.data + packet.len;
        FUZZ_CHECK(payload.at + payload.left == input + len, "the walk stays inside");
        if (packet.type == PACKET_BAD)
            break;
        put_entry(&again, format, &packet);
        put_entry(&elsewhere, other, &packet);
        describe(&words, &packet);
    }
    if (packet.type != PACKET_BAD) {
        FUZZ_CHECK(payload.left == 0, "all of it was read");
        FUZZ_CHECK(again.len <= len && (len - again.len) % 2 == 0,
                   "empty entries are all that is skipped");
        FUZZ_CHECK(format == PAYLOAD_V3_TEXT || again.len == len,
                   "nothing is skipped of bytes");
        FUZZ_CHECK(again.len != len || len == 0 || memcmp(again.text, input, len) == 0,
                   "what decodes encodes to itself");
    }
    FUZZ_CHECK(!payload_next(&payload, &packet), "the end is the end");
    if (again.len > 0)
        check_same(other, &elsewhere, &words);
    free(again.text);
    free(elsewhere.text);
    free(words.text);
}

void fuzz_one(const char *input, size_t len)
{
    check(PAYLOAD_V3_BYTES, input, len);
    if (!utf8_is_valid(input, len))
        return;
    check(PAYLOAD_V3_TEXT, input, len);
    check_units(input, len);
}
