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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_character_is_the_type),
        cmocka_unit_test(a_payload_has_one_packet_more_than_separators),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(base64url_has_no_padding),
    };

    return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
