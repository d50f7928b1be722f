/*
 * test_payload3.c - packets and payloads of Engine.IO v3 (core/engine/payload3.c), by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/payload3.h"

/* A row's bytes, which may hold NULs. */
#define BYTES(text) (text), sizeof(text) - 1

/* Type and data of each packet: "[4 a][9 \1\2]". */
static const char *walk(struct payload *payload)
{
    static char words[512];
    struct packet packet;
    size_t at = 0;

    words[0] = '\0';
    while (payload_next(payload, &packet))
        at += (size_t)snprintf(words + at, sizeof words - at, "[%d %.*s]",
                               (int)packet.type, (int)packet.len, packet.data);
    assert_false(payload_next(payload, &packet));
    return words;
}

static void text_is_counted_in_units_of_utf16(void **state)
{
    static const struct {
        const char *text;
        const char *walk;
    } rows[] = {
        {"6:4hello", "[4 hello]"},
        {"6:4hello6:4world", "[4 hello][4 world]"},
        {"1:2", "[2 ]"},
        {"6:2probe", "[2 probe]"},
        {"1:4", "[4 ]"},
        {"2:4\xe2\x82\xac", "[4 \xe2\x82\xac]"},
        {"3:4\xf0\x9f\x98\x80", "[4 \xf0\x9f\x98\x80]"}, /* a surrogate pair */
        {"4:4\xf0\x9f\x98\x80x2:4y", "[4 \xf0\x9f\x98\x80x][4 y]"},
        {"2:4\xf0\x9f\x98\x80", "[8 ]"}, /* half of one */
        {"3:4\xe2\x82\xac", "[8 ]"},     /* counted in bytes */
        {"6:4hello10:b4AQIDBA==", "[4 hello][7 AQIDBA==]"},
        {"2:b4", "[7 ]"},
        {"1:b", "[8 ]"},
        {"3:b2x", "[8 2x]"}, /* binary, but no message */
        {"1:7", "[8 ]"},
        {"4:abcd1:4", "[8 bcd]"},
        {"1:11:41:x1:4", "[1 ][4 ][8 ]"},
        {"0:", ""},
        {"0:1:40:0:1:20:", "[4 ][2 ]"},
        {"11:4:4:4:4:4:4", "[4 :4:4:4:4:4]"},
        /* malformed */
        {"", "[8 ]"},
        {"abc", "[8 ]"},
        {"4hello", "[8 ]"},
        {":4", "[8 ]"},
        {"1", "[8 ]"},
        {"1:", "[8 ]"},
        {"2:4", "[8 ]"},
        {"1:4x", "[4 ][8 ]"},
        {"1:4:", "[4 ][8 ]"},
        {"01:4", "[8 ]"},
        {"00:1:4", "[8 ]"},
        {"-1:4", "[8 ]"},
        {"+1:4", "[8 ]"},
        {" 1:4", "[8 ]"},
        {"1 :4", "[8 ]"},
        {"1.0:4", "[8 ]"},
        {"1e0:4", "[8 ]"},
        {"0x1:4", "[8 ]"},
        {"4294967297:4", "[8 ]"},
        {"9999999999:4", "[8 ]"},
        {"10000000000:4", "[8 ]"},
        {"18446744073709551617:4", "[8 ]"},
        {"1:4\x1e"
         "4b",
         "[4 ][8 ]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct payload payload;

        payload3_init(&payload, rows[i].text, strlen(rows[i].text));
        assert_string_equal(walk(&payload), rows[i].walk);
    }
}

static void bytes_are_counted_as_such(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *walk;
    } rows[] = {
        {BYTES("\0\6\xff"
               "4hello\1\5\xff\4abcd"),
         "[4 hello][9 abcd]"},
        {BYTES("\0\4\xff"
               "4\xe2\x82\xac"),
         "[4 \xe2\x82\xac]"},
        {BYTES("\0\1\xff"
               "2"),
         "[2 ]"},
        {BYTES("\1\1\xff\4"), "[9 ]"},
        {BYTES("\1\1\0\xff\4abcdefghi"), "[9 abcdefghi]"},
        {BYTES("\0\6\xff"
               "b4AQID"),
         "[7 AQID]"},
        {BYTES(""), ""},
        /* malformed */
        {BYTES("\0"), "[8 ]"},
        {BYTES("\0\1"), "[8 ]"},
        {BYTES("\0\xff"), "[8 ]"},
        {BYTES("\0\0\xff"), "[8 ]"},
        {BYTES("\1\0\xff"), "[8 ]"},
        {BYTES("\1\0\1\xff\4"), "[8 ]"},
        {BYTES("\1\2\xff\4"), "[8 ]"},
        {BYTES("\2\1\xff\4"), "[8 ]"},
        {BYTES("4\1\xff\4"), "[8 ]"},
        {BYTES("\1\1\xff\3"), "[8 ]"}, /* no message */
        {BYTES("\1\1\xff"
               "4"),
         "[8 ]"}, /* the digit, not the type */
        {BYTES("\1\x0a\xff\4abcdefghij"), "[8 ]"},
        {BYTES("\1"
               "1\xff\4"),
         "[8 ]"},
        {BYTES("\0\2\xff"
               "4\xff"),
         "[8 ]"}, /* text must be UTF-8 */
        {BYTES("\0\3\xff"
               "4\xe2\x82"),
         "[8 ]"},
        {BYTES("\1\7\7\7\7\7\7\7\7\7\7\7\xff\4"), "[8 ]"},
        {BYTES("\0\1\xff"
               "4\0"),
         "[4 ][8 ]"},
        {BYTES("6:4hello"), "[8 ]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct payload payload;

        payload3_init_bytes(&payload, rows[i].bytes, rows[i].len);
        assert_string_equal(walk(&payload), rows[i].walk);
    }
}

static void a_binary_message_begins_with_its_type(void **state)
{
    struct packet packet = packet3_decode_bytes(BYTES("\4\0\1"));

    (void)state;
    assert_int_equal(packet.type, PACKET_BYTES);
    assert_int_equal(packet.len, 2);
    assert_memory_equal(packet.data, "\0\1", 2);
    assert_int_equal(packet3_decode_bytes(BYTES("")).type, PACKET_BAD);
    assert_int_equal(packet3_decode_bytes(BYTES("\2")).type, PACKET_BAD);
    assert_int_equal(packet3_decode_bytes(BYTES("4a")).type, PACKET_BAD);
}

/* The examples of the protocol's document. */
static void what_is_written_is_what_the_protocol_shows(void **state)
{
    static const struct {
        enum payload_format format;
        const char *expected;
        size_t len;
    } rows[] = {
        {PAYLOAD_V3_TEXT, BYTES("2:4\xe2\x82\xac"
                                "10:b4AQIDBA==3:4\xf0\x9f\x98\x80")},
        {PAYLOAD_V3_BYTES, BYTES("\0\4\xff"
                                 "4\xe2\x82\xac"
                                 "\1\5\xff\4\1\2\3\4"
                                 "\0\5\xff"
                                 "4\xf0\x9f\x98\x80")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum payload_format format = rows[i].format;
        char *out =
            malloc(payload3_room(4) + payload3_room_bytes(format, 4) + payload3_room(5));
        char *at = payload3_put(out, format, "4\xe2\x82\xac", 4);

        at = payload3_put_bytes(at, format, "\1\2\3\4", 4);
        at = payload3_put(at, format, "4\xf0\x9f\x98\x80", 5);
        assert_int_equal(at - out, rows[i].len);
        assert_memory_equal(out, rows[i].expected, rows[i].len);
        free(out);
    }
}

static void empty_messages_are_written_too(void **state)
{
    char out[64];

    (void)state;
    assert_int_equal(payload3_put(out, PAYLOAD_V3_TEXT, "4", 1) - out, 3);
    assert_memory_equal(out, "1:4", 3);
    assert_int_equal(payload3_put_bytes(out, PAYLOAD_V3_TEXT, NULL, 0) - out, 4);
    assert_memory_equal(out, "2:b4", 4);
    assert_int_equal(payload3_put_bytes(out, PAYLOAD_V3_BYTES, NULL, 0) - out, 4);
    assert_memory_equal(out, "\1\1\xff\4", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_counted_in_units_of_utf16),
        cmocka_unit_test(bytes_are_counted_as_such),
        cmocka_unit_test(a_binary_message_begins_with_its_type),
        cmocka_unit_test(what_is_written_is_what_the_protocol_shows),
        cmocka_unit_test(empty_messages_are_written_too),
    };

    return cmocka_run_group_tests_name("payload3", tests, NULL, NULL);
}
