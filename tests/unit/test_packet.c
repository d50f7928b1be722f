/*
 * test_packet.c - Engine.IO packets, payloads and base64 (core/engine/packet.c), by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/engine/packet.h"
#include "core/loop/bytes.h"

static void the_first_character_is_the_type(void **state)
{
    static const struct {
        const char *text;
        enum packet_type type;
        const char *data;
    } rows[] = {
        {"0{}", PACKET_OPEN, "{}"},
        {"1", PACKET_CLOSE, ""},
        {"2", PACKET_PING, ""},
        {"2probe", PACKET_PING, "probe"},
        {"3probe", PACKET_PONG, "probe"},
        {"4", PACKET_MESSAGE, ""},
        {"42[\"a\"]", PACKET_MESSAGE, "2[\"a\"]"},
        {"5", PACKET_UPGRADE, ""},
        {"6", PACKET_NOOP, ""},
        {"bAQID", PACKET_BINARY, "AQID"},
        {"", PACKET_BAD, ""},
        {"7", PACKET_BAD, ""},
        {"/", PACKET_BAD, ""},
        {"B", PACKET_BAD, ""},
        {" 4", PACKET_BAD, "4"},
        {"\x1e", PACKET_BAD, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct packet packet = packet_decode(rows[i].text, strlen(rows[i].text));

        assert_int_equal(packet.type, rows[i].type);
        assert_int_equal(packet.len, strlen(rows[i].data));
        assert_memory_equal(packet.data, rows[i].data, packet.len);
    }
}

static void a_payload_has_one_packet_more_than_separators(void **state)
{
    static const struct {
        const char *text;
        const char *walk; /* type and data of each */
    } rows[] = {
        {"4a", "[4 a]"},
        {"4a\x1e"
         "4b",
         "[4 a][4 b]"},
        {"4a\x1e"
         "2\x1e"
         "bAQI=",
         "[4 a][2 ][7 AQI=]"},
        {"", "[8 ]"},
        {"\x1e", "[8 ][8 ]"},
        {"4a\x1e", "[4 a][8 ]"},
        {"\x1e"
         "4a",
         "[8 ][4 a]"},
        {"4\x1e\x1e"
         "6",
         "[4 ][8 ][6 ]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct payload payload;
        struct packet packet;
        char walk[128] = "";

        payload_init(&payload, rows[i].text, strlen(rows[i].text));
        while (payload_next(&payload, &packet))
            snprintf(walk + strlen(walk), sizeof walk - strlen(walk), "[%d %.*s]",
                     (int)packet.type, (int)packet.len, packet.data);
        assert_string_equal(walk, rows[i].walk);
        assert_false(payload_next(&payload, &packet));
    }
}

static void base64_is_strict(void **state)
{
    static const struct {
        const char *text;
        long len; /* -1: refused */
        const char *bytes;
    } rows[] = {
        {"", 0, ""},           {"AQIDBA==", 4, "\1\2\3\4"},
        {"AQI=", 2, "\1\2"},   {"+/+/", 3, "\xfb\xff\xbf"},
        {"AQID", 3, "\1\2\3"}, {"AQI", -1, ""},
        {"AQ", -1, ""},        {"A===", -1, ""},
        {"====", -1, ""},      {"AR==", -1, ""},
        {"AQJ=", -1, ""},      {"AQ=I", -1, ""},
        {"-_-_", -1, ""},      {"AQ I", -1, ""},
        {"AQI=AQI=", -1, ""},  {"AQID\n", -1, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[32];

        assert_int_equal(base64_decode(rows[i].text, strlen(rows[i].text), out),
                         rows[i].len);
        if (rows[i].len > 0)
            assert_memory_equal(out, rows[i].bytes, (size_t)rows[i].len);
    }
}

static void what_is_encoded_as_base64_decodes_again(void **state)
{
    unsigned char bytes[300], back[300];
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 151 + 3);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        assert_int_equal(base64_encode(bytes, len, text), base64_size(len));
        assert_int_equal(base64_decode(text, base64_size(len), back), len);
        assert_memory_equal(back, bytes, len);
    }
    assert_int_equal(base64_encode("\xfb\xff\xbf", 3, text), 4);
    assert_memory_equal(text, "+/+/", 4);
}

static void base64url_has_no_padding(void **state)
{
    char out[32];

    (void)state;
    assert_int_equal(base64url_decode("AQI", 3, out), 2);
    assert_memory_equal(out, "\1\2", 2);
    assert_int_equal(base64url_decode("-_-_", 4, out), 3);
    assert_int_equal(base64url_decode("+/+/", 4, out), -1);
    assert_int_equal(base64url_decode("AQI=", 4, out), -1);
    assert_int_equal(base64url_decode("AQJ", 3, out), -1);
    assert_int_equal(base64url_decode("A", 1, out), -1);
}

/* NULL in place of the text: a packet of one piece, which is the first attachment. */
static void a_packet_leaves_as_its_text_and_its_attachments(void **state)
{
    static const struct {
        const char *text, *attachments[4];
        const char *walk, *payload;
    } rows[] = {
        {NULL, {"42[1]"}, "[text 42[1]]", "42[1]"},
        {NULL, {""}, "[text ]", ""},
        {"4a", {NULL}, "[text 4a]", "4a"},
        {"4a",
         {""},
         "[text 4a][bytes ]",
         "4a\x1e"
         "b"},
        {"4a",
         {"abc", "", "d"},
         "[text 4a][bytes abc][bytes ][bytes d]",
         "4a\x1e"
         "bYWJj\x1e"
         "b\x1e"
         "bZA=="},
        {"", {"abc"}, "[bytes abc]", "bYWJj"},
        {"",
         {"", "abc"},
         "[bytes ][bytes abc]",
         "b\x1e"
         "bYWJj"},
        {"", {NULL}, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text = rows[i].text, *const *attachments = rows[i].attachments;
        struct bytes *packet;
        struct packet_parts parts;
        struct packet_part part;
        char walk[200] = "", payload[200];
        size_t len = 0;
        unsigned n = 0;

        for (; attachments[n]; n++)
            len += strlen(attachments[n]);
        if (!text) {
            packet = bytes_copy(attachments[0], len);
        } else {
            packet = packet_try_new(strlen(text) + 7, len, n); /* more than it needs */
            memcpy(packet->data, text, strlen(text));
            packet_end_text(packet, strlen(text));
            for (unsigned j = 0; j < n; j++)
                packet_attach(packet, attachments[j], strlen(attachments[j]));
            len += strlen(text);
        }
        assert_int_equal(packet->len, len);
        packet_parts_init(&parts, packet);
        while (packet_parts_next(&parts, &part)) {
            assert_ptr_equal(part.data, packet->data + part.from);
            snprintf(walk + strlen(walk), sizeof walk - strlen(walk), "[%s %.*s]",
                     part.is_binary ? "bytes" : "text", (int)part.len, part.data);
        }
        assert_string_equal(walk, rows[i].walk);
        assert_int_equal(packet_payload_len(packet), strlen(rows[i].payload));
        assert_ptr_equal(packet_write_payload(packet, payload),
                         payload + strlen(rows[i].payload));
        assert_memory_equal(payload, rows[i].payload, strlen(rows[i].payload));
        bytes_unref(packet);
    }
    assert_null(packet_try_new(10, SIZE_MAX - 5, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_character_is_the_type),
        cmocka_unit_test(a_payload_has_one_packet_more_than_separators),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(what_is_encoded_as_base64_decodes_again),
        cmocka_unit_test(base64url_has_no_padding),
        cmocka_unit_test(a_packet_leaves_as_its_text_and_its_attachments),
    };

    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
