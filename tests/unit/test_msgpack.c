/*
 * test_msgpack.c - core/socketio/msgpack_decode.c, msgpack_encode.c: packets as
 * socket.io-msgpack-parser writes them, those that it would refuse, and the way back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/socketio/msgpack.h"

static const struct json_limits limits = {.max_depth = 64, .max_values = 1000};

enum { MOST = 3 /* attachments */ };

/* ---- reading */

/* A block of exactly that size, so that a read behind it is seen. */
static enum msgpack_result decode(const char *data, size_t len,
                                  struct msgpack_packet *out)
{
    char *copy = malloc(len ? len : 1);
    enum msgpack_result result;

    memcpy(copy, data, len);
    result = msgpack_decode(copy, len, &limits, MOST, out);
    if (result == MSGPACK_OK) /* the pieces point into it: look at them first */
        for (unsigned i = 0; i < out->packet.n_attachments; i++) {
            assert_true(out->attachments[i].data >= copy);
            assert_true(out->attachments[i].data + out->attachments[i].len <= copy + len);
            out->attachments[i].data = data + (out->attachments[i].data - copy);
        }
    free(copy);
    return result;
}

/* "TYPE NSP ID PAYLOAD <BYTES>...". */
static const char *words_of(const struct msgpack_packet *in)
{
    static char words[4096];
    const struct sio_packet *packet = &in->packet;
    size_t len = (size_t)snprintf(words, sizeof words, "%d %.*s ", (int)packet->type,
                                  (int)packet->nsp_len, packet->nsp);

    if (packet->has_id)
        len += (size_t)snprintf(words + len, sizeof words - len, "%llu",
                                (unsigned long long)packet->id);
    else
        words[len++] = '-';
    len += (size_t)snprintf(words + len, sizeof words - len, " %.*s",
                            packet->payload ? (int)packet->payload_len : 1,
                            packet->payload ? packet->payload : "-");
    for (unsigned i = 0; i < packet->n_attachments; i++)
        len += (size_t)snprintf(words + len, sizeof words - len, " <%.*s>",
                                (int)in->attachments[i].len, in->attachments[i].data);
    return words;
}

#define BYTES(text) (text), sizeof(text) - 1

/* {"type":TYPE,"nsp":"/","data":...} */
#define PACKET(type, data)                                                               \
    BYTES("\x83\xa4type" type "\xa3nsp\xa1/\xa4"                                         \
          "data" data)
#define EVENT(data)                                                                      \
    PACKET("\x02", "\x92\xa1"                                                            \
                   "e" data)

struct row {
    const char *data;
    size_t len;
    const char *expected;
};

static void what_the_parser_writes_is_read(void **state)
{
    static const struct row rows[] = {
        {BYTES("\x82\xa4type\x00\xa3nsp\xa1/"), "0 / - -"},
        {PACKET("\x00", "\x81\xa1"
                        "a\x01"),
         "0 / - {\"a\":1}"},
        {BYTES("\x83\xa4type\x00\xa4"
               "data\xd4\x00\x00\xa3nsp\xa1/"),
         "0 / - -"}, /* undefined */
        {BYTES("\x82\xa4type\x01\xa3nsp\xa5/chat"), "1 /chat - -"},
        {BYTES("\x84\xa4type\x02\xa4"
               "data\x91\xa1"
               "e\xa2id\xcd\x01\x2c\xa3nsp\xa1/"),
         "2 / 300 [\"e\"]"},
        {BYTES("\x85\xa4type\x03\xa4"
               "data\x90\xa2id\x00\xa3nsp\xa1/\xa7options\x81\xa8"
               "compress\xc3"),
         "3 / 0 []"},
        {BYTES("\x84\xa4type\x02\xa4"
               "data\x91\xa1"
               "e\xa2id\xd4\x00\x00\xa3nsp\xa1/"),
         "2 / - [\"e\"]"},
        {BYTES("\xde\x00\x03\xd9\x04type\xcc\x02\xda\x00\x03nsp\xdb\x00\x00\x00\x01/"
               "\xa4"
               "data\xdd\x00\x00\x00\x01\xa1"
               "e"),
         "2 / - [\"e\"]"}, /* longer heads than needed */
        {PACKET("\x00", "\x81\xa1"
                        "a\xc4\x02x\xff"),
         "0 / - {\"a\":{\"type\":\"Buffer\",\"data\":[120,255]}}"},
        {PACKET("\xd0\x02", "\x90"), "2 / - []"},
        {PACKET("\x02", "\xc0"), "2 / - -"}, /* as python-socketio says nothing */
        {PACKET("\x04", "\xa1x"), "4 / - \"x\""},
        /* a name that comes twice: the last counts */
        {BYTES("\x84\xa4type\x02\xa3nsp\xa2/a\xa3nsp\xa2/b\xa4"
               "data\x90"),
         "2 /b - []"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct msgpack_packet packet;

        assert_int_equal(decode(rows[i].data, rows[i].len, &packet), MSGPACK_OK);
        assert_string_equal(words_of(&packet), rows[i].expected);
        msgpack_done(&packet);
    }
}

static void each_value_becomes_json(void **state)
{
    static const struct row rows[] = {
        {EVENT("\xc0"), "null"},
        {EVENT("\xc2"), "false"},
        {EVENT("\xc3"), "true"},
        {EVENT("\x7f"), "127"},
        {EVENT("\xff"), "-1"},
        {EVENT("\xe0"), "-32"},
        {EVENT("\xcc\xff"), "255"},
        {EVENT("\xcd\xff\xff"), "65535"},
        {EVENT("\xce\xff\xff\xff\xff"), "4294967295"},
        {EVENT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
        {EVENT("\xd0\x80"), "-128"},
        {EVENT("\xd1\x80\x00"), "-32768"},
        {EVENT("\xd2\x80\x00\x00\x00"), "-2147483648"},
        {EVENT("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808"},
        {EVENT("\xd3\x00\x00\x00\x00\x00\x00\x00\x07"), "7"},
        {EVENT("\xca\x3f\x80\x00\x00"), "1"},
        {EVENT("\xca\x3d\xcc\xcc\xcd"), "0.10000000149011612"},
        {EVENT("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.10000000000000001"},
        {EVENT("\xcb\x44\xb5\x2d\x02\xc7\xe1\x4a\xf6"), "9.9999999999999992e+22"},
        {EVENT("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "null"}, /* Infinity */
        {EVENT("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "null"}, /* NaN */
        {EVENT("\xa0"), "\"\""},
        {EVENT("\xa8 \"\\\n\xc3\xa4\x7f\x01"), "\" \\\"\\\\\\n\xc3\xa4\x7f\\u0001\""},
        {EVENT("\xa3"
               "a\0b"),
         "\"a\\u0000b\""},
        {EVENT("\xa4"
               "a\xff\xf0z"),
         "\"a\xef\xbf\xbd\xef\xbf\xbdz\""},
        {EVENT("\xa3\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {EVENT("\x90"), "[]"},
        {EVENT("\x92\x01\x91\x02"), "[1,[2]]"},
        {EVENT("\x80"), "{}"},
        {EVENT("\x82\xa1"
               "a\x01\xa1"
               "b\x80"),
         "{\"a\":1,\"b\":{}}"},
        {EVENT("\x82\x05\x01\xff\x02"), "{\"5\":1,\"-1\":2}"},
        {EVENT("\x83\xc0\x01\xc3\x02\xca\x3f\xc0\x00\x00\x03"),
         "{\"null\":1,\"true\":2,\"1.5\":3}"},
        {EVENT("\x82\xa9__proto__\x81\xa1"
               "a\x92\x01\xd4\x00\x00\xa1"
               "b\x01"),
         "{\"b\":1}"},
        {EVENT("\x83\xa1"
               "a\xd4\x00\x00\xa1"
               "b\x01\xa1"
               "c\xd4\x00\x00"),
         "{\"b\":1}"}, /* as JSON.stringify() */
        {EVENT("\x91\xd4\x00\x00"), "[null]"},
        {EVENT("\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
         "\"1970-01-01T00:00:00.000Z\""},
        {EVENT("\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
         "\"1969-12-31T23:59:59.999Z\""},
        {EVENT("\xd7\x00\x00\x00\x01\x9b\x00\x00\x00\x01"),
         "\"2025-12-08T22:05:58.657Z\""},
        {EVENT("\xd7\x00\x00\x1e\xb2\x08\xc2\xdc\x00\x00"),
         "\"+275760-09-13T00:00:00.000Z\""},
        {EVENT("\xd7\x00\x00\x1e\xb2\x08\xc2\xdc\x00\x01"), "null"},
        {EVENT("\xd7\x00\xff\xe1\x4d\xf7\x3d\x24\x00\x00"),
         "\"-271821-04-20T00:00:00.000Z\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct msgpack_packet packet;
        char expected[200];

        assert_int_equal(decode(rows[i].data, rows[i].len, &packet), MSGPACK_OK);
        snprintf(expected, sizeof expected, "2 / - [\"e\",%s]", rows[i].expected);
        assert_string_equal(words_of(&packet), expected);
        assert_int_equal(
            json_scan(packet.packet.payload, packet.packet.payload_len, &limits),
            JSON_OK);
        msgpack_done(&packet);
    }
}

#define HOLE(n) "{\"_placeholder\":true,\"num\":" #n "}"

static void bytes_become_attachments(void **state)
{
    static const struct row rows[] = {
        {EVENT("\xc4\x02xy"), "5 / - [\"e\"," HOLE(0) "] <xy>"},
        {EVENT("\xc5\x00\x01x"), "5 / - [\"e\"," HOLE(0) "] <x>"},
        {EVENT("\xc6\x00\x00\x00\x01x"), "5 / - [\"e\"," HOLE(0) "] <x>"},
        {EVENT("\xc4\x00"), "5 / - [\"e\"," HOLE(0) "] <>"},
        {EVENT("\xc7\x03\x00"
               "abc"),
         "5 / - [\"e\"," HOLE(0) "] <abc>"}, /* ArrayBuffer */
        {EVENT("\xc8\x00\x01\x00"
               "a"),
         "5 / - [\"e\"," HOLE(0) "] <a>"},
        {EVENT("\xc9\x00\x00\x00\x01\x00"
               "a"),
         "5 / - [\"e\"," HOLE(0) "] <a>"},
        {EVENT("\xd4\x05x"), "5 / - [\"e\",[5," HOLE(0) "]] <x>"},
        {EVENT("\xd5\xffxy"), "5 / - [\"e\",[-1," HOLE(0) "]] <xy>"},
        {EVENT("\xd6\x01wxyz"), "5 / - [\"e\",[1," HOLE(0) "]] <wxyz>"},
        {EVENT("\xd7\x01stuvwxyz"), "5 / - [\"e\",[1," HOLE(0) "]] <stuvwxyz>"},
        {EVENT("\xd8\x01klmnopqrstuvwxyz"),
         "5 / - [\"e\",[1," HOLE(0) "]] <klmnopqrstuvwxyz>"},
        {EVENT("\xd5\x00xy"), "5 / - [\"e\",[0," HOLE(0) "]] <xy>"},
        {EVENT("\x93\xc4\x01x\xc4\x01y\x81\xa1"
               "a\xc4\x01z"),
         "5 / - [\"e\",[" HOLE(0) "," HOLE(1) ",{\"a\":" HOLE(2) "}]] <x> <y> <z>"},
        {PACKET("\x03", "\x91\xc4\x01x"), "6 / - [" HOLE(0) "] <x>"},
        /* what only looks like one, with attachments and without */
        {EVENT("\x92\x82\xac_placeholder\xc3\xa3num\x00\xc4\x01x"),
         "5 / - [\"e\",[{\"_placeholder\":1,\"num\":0}," HOLE(0) "]] <x>"},
        {EVENT("\x82\xac_placeholder\xc3\xa3num\x00"), "2 / - [\"e\"," HOLE(0) "]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct msgpack_packet packet;

        assert_int_equal(decode(rows[i].data, rows[i].len, &packet), MSGPACK_OK);
        assert_string_equal(words_of(&packet), rows[i].expected);
        msgpack_done(&packet);
    }
}

static void what_is_no_packet_is_refused(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        enum msgpack_result expected;
    } rows[] = {
        {BYTES(""), MSGPACK_BAD},
        {BYTES("\xc1"), MSGPACK_BAD},
        {BYTES("\x90"), MSGPACK_BAD_PACKET},
        {BYTES("\xc0"), MSGPACK_BAD_PACKET},
        {BYTES("\x80"), MSGPACK_BAD_PACKET},
        {BYTES("\x81\xa4type\x02"), MSGPACK_BAD_PACKET},
        {BYTES("\x81\xa3nsp\xa1/"), MSGPACK_BAD_PACKET},
        {PACKET("\x05", "\x90"), MSGPACK_BAD_PACKET},
        {PACKET("\xff", "\x90"), MSGPACK_BAD_PACKET},
        {PACKET("\xa1"
                "2",
                "\x90"),
         MSGPACK_BAD_PACKET},
        {BYTES("\x82\xa4type\x02\xa3nsp\xc4\x01/"), MSGPACK_BAD_PACKET},
        {BYTES("\x83\xa4type\x02\xa3nsp\xa1/\xa2id\xff"), MSGPACK_BAD_PACKET},
        {BYTES("\x83\xa4type\x02\xa3nsp\xa1/\xa2id\xa1"
               "1"),
         MSGPACK_BAD_PACKET},
        {BYTES("\x83\xa4type\x02\xa3nsp\xa1/\xa2id\xcf\x00\x20\x00\x00\x00\x00\x00\x00"),
         MSGPACK_BAD_PACKET},                                     /* 2^53 */
        {BYTES("\x82\xa4type\x01\xa3nsp\xa1/\x00"), MSGPACK_BAD}, /* trailing */
        {BYTES("\x82\x90\x01\xa3nsp\xa1/"), MSGPACK_BAD_PACKET},
        {EVENT("\x81\x90\x01"), MSGPACK_BAD_PACKET}, /* an array as a name */
        {EVENT("\x81\xd4\x00\x00\x01"), MSGPACK_BAD_PACKET},
        {EVENT("\x81\xc4\x00\x01"), MSGPACK_BAD_PACKET},
        /* a bad name of what would be left out */
        {EVENT("\x81\x91\xd4\x00\x00\xd4\x00\x00"), MSGPACK_BAD_PACKET},
        {EVENT("\x81\xc4\x00\xd4\x00\x00"), MSGPACK_BAD_PACKET},
        {EVENT("\x94\xc4\x01x\xc4\x01x\xc4\x01x\xc4\x01x"), MSGPACK_MANY_ATTACHMENTS},
        /* lengths that nothing is behind */
        {EVENT("\xdd\xff\xff\xff\xff"), MSGPACK_BAD},
        {EVENT("\xdf\xff\xff\xff\xff"), MSGPACK_BAD},
        {EVENT("\xdb\xff\xff\xff\xff"), MSGPACK_BAD},
        {EVENT("\xc6\xff\xff\xff\xff"), MSGPACK_BAD},
        {EVENT("\xc9\xff\xff\xff\xff\x00"), MSGPACK_BAD},
        {BYTES("\xdf\xff\xff\xff\xff"), MSGPACK_BAD},
    };
    struct msgpack_packet packet;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(decode(rows[i].data, rows[i].len, &packet), rows[i].expected);
    for (int result = MSGPACK_OK; result <= MSGPACK_NO_MEMORY; result++)
        assert_true(strlen(msgpack_word((enum msgpack_result)result)) > 0);
}

static void a_packet_cut_anywhere_is_none(void **state)
{
    static const char whole[] = "\x84\xa4type\x02\xa2id\x07\xa3nsp\xa5/chat\xa4"
                                "data\x95\xa1"
                                "e\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xd7\x00\x00\x00"
                                "\x00\x00\x00\x00\x00\x00\x82"
                                "\xa1"
                                "a\xc4\x03xyz\xa1"
                                "b\xd9\x02uv\xc8\x00\x02\x00kl";
    struct msgpack_packet packet;

    (void)state;
    assert_int_equal(decode(whole, sizeof whole - 1, &packet), MSGPACK_OK);
    msgpack_done(&packet);
    for (size_t len = 0; len < sizeof whole - 1; len++)
        assert_int_equal(decode(whole, len, &packet), MSGPACK_BAD);
}

/* n arrays, each in the one before. */
static enum msgpack_result decode_nested(size_t n)
{
    static const char head[] = "\x83\xa4type\x02\xa3nsp\xa1/\xa4"
                               "data";
    struct json_limits many = {.max_depth = 64, .max_values = 10000};
    char *data = malloc(sizeof head + n);
    struct msgpack_packet packet;
    enum msgpack_result result;

    memcpy(data, head, sizeof head - 1);
    memset(data + sizeof head - 1, 0x91, n);
    data[sizeof head - 2 + n] = (char)0x90;
    result = msgpack_decode(data, sizeof head - 1 + n, &many, MOST, &packet);
    if (result == MSGPACK_OK) {
        assert_int_equal(packet.packet.payload_len, 2 * n);
        msgpack_done(&packet);
    }
    free(data);
    return result;
}

static void depth_and_number_are_bounded(void **state)
{
    char data[4096] = "\x83\xa4type\x02\xa3nsp\xa1/\xa4"
                      "data\xdc";
    size_t len = strlen(data);
    struct msgpack_packet packet;

    (void)state;
    assert_int_equal(decode_nested(1025), MSGPACK_OK);
    assert_int_equal(decode_nested(1026), MSGPACK_TOO_DEEP);
    for (size_t n = 2010; n <= 2016; n++) { /* with the values of type, nsp and data */
        bool is_many = n + 3 > 2 * 1000 + 16;

        data[len] = (char)(n >> 8);
        data[len + 1] = (char)n;
        memset(data + len + 2, 0x01, n);
        assert_int_equal(decode(data, len + 2 + n, &packet),
                         is_many ? MSGPACK_TOO_MANY : MSGPACK_OK);
        if (!is_many)
            msgpack_done(&packet);
    }
}

/* Six bytes for each of a million would be a way to make much of little. */
static void text_does_not_grow_without_end(void **state)
{
    static const char head[] = "\x83\xa4type\x02\xa3nsp\xa1/\xa4"
                               "data\x91\xdb\x00\x0f\x00\x00";
    const size_t len = sizeof head - 1 + 0xf0000;
    char *data = malloc(len);
    struct msgpack_packet packet;

    (void)state;
    memcpy(data, head, sizeof head - 1);
    memset(data + sizeof head - 1, 1, 0xf0000);
    assert_int_equal(decode(data, len, &packet), MSGPACK_TOO_LONG);
    memset(data + sizeof head - 1, '\n', 0xf0000);
    assert_int_equal(decode(data, len, &packet), MSGPACK_OK);
    msgpack_done(&packet);
    free(data);
}

/* ---- writing */

static struct bytes *encode(enum sio_packet_type type, const char *payload, int64_t id,
                            const char *attachment)
{
    struct sio_packet packet = {
        .type = type,
        .nsp = "/",
        .nsp_len = 1,
        .payload = payload,
        .payload_len = payload ? strlen(payload) : 0,
        .has_id = id >= 0,
        .id = id >= 0 ? (uint64_t)id : 0,
    };
    struct bytes *piece = attachment ? bytes_copy(attachment, strlen(attachment)) : NULL;
    struct bytes *encoded = msgpack_encode(&packet, &piece, piece ? 1 : 0);

    if (piece)
        bytes_unref(piece);
    return encoded;
}

static void assert_bytes(const struct bytes *packet, const char *data, size_t len)
{
    struct packet_parts parts;
    struct packet_part part;

    packet_parts_init(&parts, packet);
    assert_true(packet_parts_next(&parts, &part));
    assert_true(part.is_binary);
    assert_int_equal(part.len, len);
    assert_memory_equal(part.data, data, len);
    assert_false(packet_parts_next(&parts, &part));
}

static void a_packet_is_written_as_the_parser_reads_it(void **state)
{
    static const struct {
        enum sio_packet_type type;
        const char *payload;
        int64_t id;
        const char *attachment, *expected;
        size_t len;
    } rows[] = {
        {SIO_CONNECT, "{\"sid\":\"x\"}", -1, NULL,
         BYTES("\x83\xa4type\x00\xa4"
               "data\x81\xa3sid\xa1x\xa3nsp\xa1/")},
        {SIO_DISCONNECT, NULL, -1, NULL, BYTES("\x82\xa4type\x01\xa3nsp\xa1/")},
        {SIO_EVENT, "[\"e\"]", 300, NULL,
         BYTES("\x84\xa4type\x02\xa4"
               "data\x91\xa1"
               "e\xa3nsp\xa1/\xa2id\xcd\x01\x2c")},
        {SIO_BINARY_EVENT, "[\"e\"," HOLE(0) "]", -1, "xy",
         BYTES("\x83\xa4type\x02\xa4"
               "data\x92\xa1"
               "e\xc4\x02xy\xa3nsp\xa1/")},
        {SIO_BINARY_ACK, "[" HOLE(0) "," HOLE(0) "," HOLE(1) "]", 0, "x",
         BYTES("\x84\xa4type\x03\xa4"
               "data\x93\xc4\x01x\xc4\x01x\x82\xac_placeholder\xc3\xa3num\x01\xa3nsp\xa1/"
               "\xa2id\x00")},
        {SIO_EVENT, "[ \"e\" , " HOLE(0) " ]", -1, NULL,
         BYTES("\x83\xa4type\x02\xa4"
               "data\x92\xa1"
               "e\x82\xac_placeholder\xc3\xa3num\x00\xa3nsp\xa1/")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes *packet =
            encode(rows[i].type, rows[i].payload, rows[i].id, rows[i].attachment);

        assert_non_null(packet);
        assert_bytes(packet, rows[i].expected, rows[i].len);
        bytes_unref(packet);
    }
}

static void each_json_value_is_written(void **state)
{
    static const struct {
        const char *json, *expected;
        size_t len;
    } rows[] = {
        {"null", BYTES("\xc0")},
        {"true", BYTES("\xc3")},
        {"false", BYTES("\xc2")},
        {"0", BYTES("\x00")},
        {"127", BYTES("\x7f")},
        {"128", BYTES("\xcc\x80")},
        {"256", BYTES("\xcd\x01\x00")},
        {"65536", BYTES("\xce\x00\x01\x00\x00")},
        {"4294967296", BYTES("\xcf\x00\x00\x00\x01\x00\x00\x00\x00")},
        {"18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"18446744073709551616", BYTES("\xcb\x43\xf0\x00\x00\x00\x00\x00\x00")},
        {"-1", BYTES("\xff")},
        {"-32", BYTES("\xe0")},
        {"-33", BYTES("\xd0\xdf")},
        {"-129", BYTES("\xd1\xff\x7f")},
        {"-32769", BYTES("\xd2\xff\xff\x7f\xff")},
        {"-2147483649", BYTES("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff")},
        {"-9223372036854775809", BYTES("\xcb\xc3\xe0\x00\x00\x00\x00\x00\x00")},
        {"-0", BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00")},
        {"1.5", BYTES("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00")},
        {"1e2", BYTES("\xcb\x40\x59\x00\x00\x00\x00\x00\x00")},
        {"1e999", BYTES("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00")},
        {"\"\"", BYTES("\xa0")},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", BYTES("\xa9"
                                                  "a\"\\/\b\f\n\r\t")},
        {"\"\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"",
         BYTES("\xaa"
               "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")},
        {"\"\\ud83d\\u0041\"", BYTES("\xa4\xef\xbf\xbd"
                                     "A")},
        {"\"\\ude00\"", BYTES("\xa3\xef\xbf\xbd")},
        {"\"\\ud83d\"", BYTES("\xa3\xef\xbf\xbd")},
        {"\"a\\u0000b\"", BYTES("\xa3"
                                "a\0b")},
        {"[]", BYTES("\x90")},
        {"{}", BYTES("\x80")},
        {"[ ]", BYTES("\x90")},
        {"[1,[2,3],{}]", BYTES("\x93\x01\x92\x02\x03\x80")},
        {"{\"a\":{\"b\":[1]},\"c,\":\"]}\"}", BYTES("\x82\xa1"
                                                    "a\x81\xa1"
                                                    "b\x91\x01\xa2"
                                                    "c,\xa2]}")},
        {"[0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5]",
         BYTES("\xdc\x00\x10\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x00\x01\x02\x03\x04"
               "\x05")},
    };
    static const char head[] = "\x83\xa4type\x02\xa4"
                               "data\x91",
                      tail[] = "\xa3nsp\xa1/";

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[200], expected[200];
        struct bytes *packet;
        size_t len = 0;

        snprintf(json, sizeof json, "[%s]", rows[i].json);
        packet = encode(SIO_EVENT, json, -1, NULL);
        memcpy(expected, head, sizeof head - 1);
        len += sizeof head - 1;
        memcpy(expected + len, rows[i].expected, rows[i].len);
        len += rows[i].len;
        memcpy(expected + len, tail, sizeof tail - 1);
        assert_bytes(packet, expected, len + sizeof tail - 1);
        bytes_unref(packet);
    }
}

static void long_ones_have_longer_heads(void **state)
{
    static const size_t lengths[] = {31, 32, 255, 256, 65535, 65536};

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        char *json = malloc(n + 5);
        struct json_limits wide = {.max_depth = 2, .max_values = 100};
        struct msgpack_packet back;
        struct packet_parts parts;
        struct packet_part part;
        struct bytes *packet;

        memset(json, 'a', n + 4);
        memcpy(json, "[\"", 2);
        memcpy(json + n + 2, "\"]", 3);
        packet = encode(SIO_EVENT, json, -1, NULL);
        packet_parts_init(&parts, packet);
        packet_parts_next(&parts, &part);
        assert_int_equal(msgpack_decode(part.data, part.len, &wide, 0, &back),
                         MSGPACK_OK);
        assert_int_equal(back.packet.payload_len, n + 4);
        assert_memory_equal(back.packet.payload, json, n + 4);
        msgpack_done(&back);
        bytes_unref(packet);
        free(json);
    }
}

/* It may be a plugin's fault; nobody reads or writes where nothing is. */
static void text_that_is_no_json_harms_nobody(void **state)
{
    static const char *const texts[] = {
        "[",
        "]",
        "\"",
        "\"\\",
        "\"\\u12",
        "[t\"{[",
        "n{{{{",
        "}}}}",
        ",,,",
        "-",
        "1e",
        "[\"a\\",
        "{\"_placeholder\":true,\"num\":0",
        "t",
        "[nul",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int with = 0; with < 2; with++) {
            char *exact = strdup(texts[i]);
            struct bytes *packet = encode(SIO_EVENT, exact, -1, with ? "x" : NULL);

            bytes_unref(packet);
            free(exact);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_parser_writes_is_read),
        cmocka_unit_test(each_value_becomes_json),
        cmocka_unit_test(bytes_become_attachments),
        cmocka_unit_test(what_is_no_packet_is_refused),
        cmocka_unit_test(a_packet_cut_anywhere_is_none),
        cmocka_unit_test(depth_and_number_are_bounded),
        cmocka_unit_test(text_does_not_grow_without_end),
        cmocka_unit_test(a_packet_is_written_as_the_parser_reads_it),
        cmocka_unit_test(each_json_value_is_written),
        cmocka_unit_test(long_ones_have_longer_heads),
        cmocka_unit_test(text_that_is_no_json_harms_nobody),
    };

    return cmocka_run_group_tests_name("msgpack", tests, NULL, NULL);
}
