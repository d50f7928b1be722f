/*
 * test_frame.c - WebSocket frames (core/engine/frame.c): what is refused and with which
 * code, and that nothing depends on how the bytes are cut (C05, C16, C17, C21, C34, C42,
 * T11).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/frame.h"
#include "tests/unit/masked.h"

static const struct frame_limits limits = {.max_message_bytes = 1000, .max_fragments = 4};

static const char *const names[] = {"more", "text",  "binary", "ping",
                                    "pong", "close", "bad"};

/* Feed input in pieces of at most `piece` bytes; what came out as words. */
static void read_all(struct frame_pool *pool, const char *input, size_t len, size_t piece,
                     char *words, size_t size)
{
    struct frame_reader *reader = frame_pool_take(pool);
    bool is_over = false;
    size_t used = 0;

    *words = '\0';
    while (used < len && !is_over) {
        const char *at = input + used;
        size_t left = len - used < piece ? len - used : piece;

        used += left;
        while (!is_over) {
            struct frame frame;
            enum frame_event event = frame_read(reader, &limits, &at, &left, &frame);
            size_t at_word = strlen(words);

            if (event == FRAME_MORE)
                break;
            is_over = event == FRAME_BAD || event == FRAME_CLOSE;
            snprintf(words + at_word, size - at_word, "%s:", names[event]);
            at_word = strlen(words);
            if (is_over)
                snprintf(words + at_word, size - at_word, "%u ", (unsigned)frame.code);
            else if (frame.len > 40)
                snprintf(words + at_word, size - at_word, "%zu bytes ", frame.len);
            else
                snprintf(words + at_word, size - at_word, "%.*s ", (int)frame.len,
                         frame.len ? frame.data : "");
        }
    }
    frame_pool_give(pool, reader);
}

/* The same whole, in pieces of every size up to 20, and cut in two at every byte. */
static void expect(const char *input, size_t len, const char *expected)
{
    struct frame_pool pool = {0};
    char words[512];

    read_all(&pool, input, len, len, words, sizeof words);
    assert_string_equal(words, expected);
    for (size_t piece = 1; piece <= 20; piece++) {
        read_all(&pool, input, len, piece, words, sizeof words);
        assert_string_equal(words, expected);
    }
    for (size_t cut = 1; cut < len && cut < 300; cut++) {
        read_all(&pool, input, len, cut, words, sizeof words);
        assert_string_equal(words, expected);
    }
    frame_pool_done(&pool);
}

struct piece {
    unsigned first;
    const char *payload;
    size_t len;
};

#define P(first, text)                                                                   \
    {                                                                                    \
        (first), (text), sizeof(text) - 1                                                \
    }

static void good_and_bad_sequences(void **state)
{
    static char big[1001];
    const struct {
        struct piece pieces[7];
        const char *expected;
    } rows[] = {
        {{P(FIN | TEXT, "hello")}, "text:hello "},
        {{P(FIN | TEXT, "")}, "text: "},
        {{P(FIN | BINARY, "\1\2")}, "binary:\1\2 "},
        {{P(FIN | TEXT, "a"), P(FIN | TEXT, "b")}, "text:a text:b "},
        {{P(TEXT, "a"), P(CONT, "b"), P(FIN | CONT, "c")}, "text:abc "},
        {{P(TEXT, "a"), P(FIN | PING, "p"), P(FIN | CONT, "c")}, "ping:p text:ac "},
        {{P(TEXT, ""), P(CONT, ""), P(FIN | CONT, "")}, "text: "},
        {{P(TEXT, ""), P(CONT, ""), P(FIN | CONT, "x")}, "text:x "},
        {{P(TEXT, "x"), P(FIN | CONT, "")}, "text:x "},
        {{P(FIN | PING, ""), P(FIN | PONG, "late")}, "ping: pong:late "},
        {{{FIN | BINARY, big, 1000}}, "binary:1000 bytes "},
        {{{BINARY, big, 500}, {FIN | CONT, big, 500}}, "binary:1000 bytes "},
        /* UTF-8: in one frame, over two, cut within a character */
        {{P(FIN | TEXT, "\xe2\x82\xac")}, "text:\xe2\x82\xac "},
        {{P(TEXT, "\xe2"), P(CONT, "\x82"), P(FIN | CONT, "\xac")}, "text:\xe2\x82\xac "},
        {{P(FIN | TEXT, "\xe2\x82")}, "bad:1007 "},
        {{P(TEXT, "\xe2"), P(FIN | CONT, "x")}, "bad:1007 "},
        {{P(FIN | TEXT, "\xed\xa0\x80")}, "bad:1007 "},
        {{P(FIN | TEXT, "\xc0\x80")}, "bad:1007 "},
        {{P(TEXT, "\xf4\x90"), P(CONT, "never read")}, "bad:1007 "},
        {{P(FIN | BINARY, "\xff\xfe")}, "binary:\xff\xfe "},
        /* C05: RSV bits on each opcode; opcodes; order */
        {{P(FIN | 0x40 | TEXT, "a")}, "bad:1002 "},
        {{P(FIN | 0x20 | BINARY, "a")}, "bad:1002 "},
        {{P(FIN | 0x10 | PING, "a")}, "bad:1002 "},
        {{P(FIN | 0x40 | CLOSE, "")}, "bad:1002 "},
        {{P(TEXT, "a"), P(FIN | 0x40 | CONT, "b")}, "bad:1002 "},
        {{P(FIN | 3, "a")}, "bad:1002 "},
        {{P(FIN | 7, "")}, "bad:1002 "},
        {{P(FIN | 11, "")}, "bad:1002 "},
        {{P(FIN | 15, "")}, "bad:1002 "},
        {{P(FIN | CONT, "a")}, "bad:1002 "},
        {{P(CONT, "a")}, "bad:1002 "},
        {{P(TEXT, "a"), P(FIN | TEXT, "b")}, "bad:1002 "},
        {{P(TEXT, "a"), P(FIN | CONT, "b"), P(FIN | CONT, "c")}, "text:ab bad:1002 "},
        {{P(PING, "a")}, "bad:1002 "},
        {{{FIN | PING, big, 126}}, "bad:1002 "},
        {{{FIN | PING, big, 125}}, "ping:125 bytes "},
        /* C21: fragments, C17: sizes over fragments */
        {{P(TEXT, "a"), P(CONT, "b"), P(CONT, "c"), P(FIN | CONT, "d")}, "text:abcd "},
        {{P(TEXT, "a"), P(CONT, ""), P(CONT, ""), P(CONT, ""), P(CONT, "")}, "bad:1008 "},
        {{{FIN | BINARY, big, 1001}}, "bad:1009 "},
        {{{BINARY, big, 600}, {FIN | CONT, big, 401}}, "bad:1009 "},
        /* close payloads */
        {{P(FIN | CLOSE, "")}, "close:0 "},
        {{P(FIN | CLOSE, "\x03\xe8")}, "close:1000 "},
        {{P(FIN | CLOSE, "\x03\xe8"
                         "bye")},
         "close:1000 "},
        {{P(FIN | CLOSE, "\x03")}, "bad:1002 "},
        {{P(FIN | CLOSE, "\x03\xe7")}, "bad:1002 "}, /* 999 */
        {{P(FIN | CLOSE, "\x03\xec")}, "bad:1002 "}, /* 1004 */
        {{P(FIN | CLOSE, "\x03\xed")}, "bad:1002 "}, /* 1005 */
        {{P(FIN | CLOSE, "\x03\xee")}, "bad:1002 "}, /* 1006 */
        {{P(FIN | CLOSE, "\x03\xf4")}, "close:1012 "},
        {{P(FIN | CLOSE, "\x03\xf6")}, "close:1014 "},
        {{P(FIN | CLOSE, "\x03\xf7")}, "bad:1002 "}, /* 1015 */
        {{P(FIN | CLOSE, "\x07\xd0")}, "bad:1002 "}, /* 2000 */
        {{P(FIN | CLOSE, "\x0b\xb8")}, "close:3000 "},
        {{P(FIN | CLOSE, "\x13\x87")}, "close:4999 "},
        {{P(FIN | CLOSE, "\x13\x88")}, "bad:1002 "}, /* 5000 */
        {{P(FIN | CLOSE, "\x03\xe8\xff")}, "bad:1007 "},
        {{P(FIN | CLOSE, ""), P(FIN | TEXT, "never read")}, "close:0 "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char input[2400];
        size_t len = 0;

        for (size_t n = 0; n < 7 && rows[i].pieces[n].payload; n++)
            len += put_frame(input + len, rows[i].pieces[n].first,
                             rows[i].pieces[n].payload, rows[i].pieces[n].len);
        expect(input, len, rows[i].expected);
    }
}

static void heads_are_judged_before_any_payload_came(void **state)
{
    static const struct {
        const char *head;
        size_t len;
        const char *expected;
    } rows[] = {
        {"\x81\x05hello", 7, "bad:1002 "}, /* not masked */
        {"\x89\x00", 2, "bad:1002 "},
        {"\xc1\x85", 2, "bad:1002 "},
        /* C17: 2^62, 2^63 - 1, 2^63, 2^64 - 1; not the shortest form */
        {"\x82\xff\x40\0\0\0\0\0\0\0mask", 14, "bad:1009 "},
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask", 14, "bad:1009 "},
        {"\x82\xff\x80\0\0\0\0\0\0\0mask", 14, "bad:1002 "},
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffmask", 14, "bad:1002 "},
        {"\x82\xff\0\0\0\0\0\0\xff\xffmask", 14, "bad:1002 "},
        {"\x82\xfe\0\x7dmask", 8, "bad:1002 "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].head, rows[i].len, rows[i].expected);
}

static void pings_of_every_length_come_out_byte_by_byte(void **state)
{
    struct frame_pool pool = {0};
    struct frame_reader *reader = frame_pool_take(&pool);
    char payload[FRAME_CONTROL_MAX], input[256];

    (void)state;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 37);
    for (size_t n = 0; n <= sizeof payload; n++) {
        size_t len = put_frame(input, FIN | PING, payload, n);
        const char *at = input;
        struct frame frame;

        assert_int_equal(frame_read(reader, &limits, &at, &len, &frame), FRAME_PING);
        assert_int_equal(frame.len, n);
        if (n)
            assert_memory_equal(frame.data, payload, n);
        assert_true(frame_reader_is_idle(reader));
    }
    frame_pool_give(&pool, reader);
    frame_pool_done(&pool);
}

static void messages_of_every_length_come_out_whole_or_cut(void **state)
{
    struct frame_pool pool = {0};
    struct frame_reader *reader = frame_pool_take(&pool);
    char payload[200], input[2 * sizeof payload];

    (void)state;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 37);
    for (size_t n = 0; n <= sizeof payload; n++) {
        size_t size = put_frame(input, FIN | BINARY, payload, n);

        for (size_t cut = 0; cut < size; cut++) {
            const char *at = input;
            size_t left = cut;
            struct frame frame;

            assert_int_equal(frame_read(reader, &limits, &at, &left, &frame), FRAME_MORE);
            left = size - cut;
            assert_int_equal(frame_read(reader, &limits, &at, &left, &frame),
                             FRAME_BINARY);
            assert_int_equal(frame.len, n);
            assert_int_equal(left, 0);
            if (n)
                assert_memory_equal(frame.data, payload, n);
            assert_true(frame_reader_is_idle(reader));
        }
    }
    frame_pool_give(&pool, reader);
    frame_pool_done(&pool);
}

/* C05 */
static void no_reserved_bit_is_taken_on_any_opcode(void **state)
{
    (void)state;
    for (unsigned rsv = 0x10; rsv <= 0x70; rsv += 0x10)
        for (unsigned opcode = 0; opcode < 16; opcode++)
            for (unsigned fin = 0; fin <= FIN; fin += FIN) {
                char input[32];
                size_t begun = opcode == CONT ? put_frame(input, TEXT, "a", 1) : 0;
                size_t len = begun + put_frame(input + begun, fin | rsv | opcode, "b", 1);

                expect(input, len, "bad:1002 ");
            }
}

/* C16: the payload is the client's, byte by byte, and ends where it ends. */
static void close_reasons_of_every_length_come_out_as_they_are(void **state)
{
    char payload[FRAME_CONTROL_MAX + 1] = {0x03, (char)0xe8}, input[160];

    (void)state;
    for (size_t n = 0; n <= FRAME_CONTROL_MAX - 2; n++) {
        struct frame_pool pool = {0};
        struct frame_reader *reader = frame_pool_take(&pool);
        const char *at = input;
        struct frame frame;
        size_t len;

        payload[2 + n - (n > 0)] = (char)('a' + n % 26);
        len = put_frame(input, FIN | CLOSE, payload, 2 + n);
        assert_int_equal(frame_read(reader, &limits, &at, &len, &frame), FRAME_CLOSE);
        assert_int_equal(frame.code, 1000);
        assert_int_equal(frame.len, 2 + n);
        assert_memory_equal(frame.data, payload, 2 + n);
        frame_pool_give(&pool, reader);
        frame_pool_done(&pool);
    }
}

static void a_reader_given_back_in_the_middle_forgets_it(void **state)
{
    struct frame_pool pool = {0};
    char input[64], words[64];
    size_t len = put_frame(input, FIN | TEXT, "hello", 5);

    (void)state;
    for (size_t cut = 1; cut < len; cut++) {
        read_all(&pool, input, cut, cut, words, sizeof words);
        assert_string_equal(words, "");
        read_all(&pool, input, len, len, words, sizeof words);
        assert_string_equal(words, "text:hello ");
    }
    assert_int_equal(pool.n_free, 1);
    frame_pool_done(&pool);
}

/* C17, C42: one message, and no more memory than it takes */
static void memory_follows_what_came_and_not_what_was_declared(void **state)
{
    static const struct frame_limits wide = {.max_message_bytes = 1000000,
                                             .max_fragments = 1024};
    static const char head[] = "\x82\xff\0\0\0\0\0\x0f\x42\x40\0\0\0\0"; /* 1,000,000 */
    static const char payload[1000];
    struct frame_pool pool = {0};
    struct frame_reader *reader = frame_pool_take(&pool);
    size_t empty_bytes = frame_reader_bytes(reader), n = 0, left = sizeof head - 1;
    const char *at = head;
    struct frame frame;

    (void)state;
    assert_int_equal(frame_reader_bytes(NULL), 0);
    assert_in_range(empty_bytes, 4096, 6000);
    assert_int_equal(frame_read(reader, &wide, &at, &left, &frame), FRAME_MORE);
    assert_int_equal(frame_reader_bytes(reader), empty_bytes);
    while (n < 999000) {
        at = payload;
        left = sizeof payload;
        assert_int_equal(frame_read(reader, &wide, &at, &left, &frame), FRAME_MORE);
        n += sizeof payload;
        assert_in_range(frame_reader_bytes(reader) - empty_bytes, n, 2 * n + 4096);
    }
    frame_pool_give(&pool, reader); /* in the middle: nothing of it is kept */
    frame_pool_done(&pool);
}

static void what_is_written_can_be_read(void **state)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    struct frame_writer *writer = frame_writer_new();

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i], size = frame_size(len), head = size - len;
        char *payload = malloc(len + 1), *out = malloc(size);
        const unsigned char *bytes = (const unsigned char *)out;
        unsigned char alone[FRAME_HEAD_MAX];

        memset(payload, 'x', len);
        frame_write(writer, FRAME_KIND_TEXT, payload, len, out);
        assert_int_equal(bytes[0], 0x81);
        assert_int_equal(head, len < 126 ? 2 : len < 65536 ? 4 : 10);
        assert_int_equal(bytes[1], len < 126 ? len : len < 65536 ? 126 : 127);
        if (head >= 4)
            assert_int_equal(bytes[head - 2] << 8 | bytes[head - 1], len & 0xffff);
        if (len)
            assert_memory_equal(out + head, payload, len);
        assert_int_equal(frame_head(FRAME_KIND_TEXT, len, alone), head);
        assert_memory_equal(alone, out, head);
        free(payload);
        free(out);
    }
    frame_writer_free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_and_bad_sequences),
        cmocka_unit_test(heads_are_judged_before_any_payload_came),
        cmocka_unit_test(pings_of_every_length_come_out_byte_by_byte),
        cmocka_unit_test(messages_of_every_length_come_out_whole_or_cut),
        cmocka_unit_test(no_reserved_bit_is_taken_on_any_opcode),
        cmocka_unit_test(close_reasons_of_every_length_come_out_as_they_are),
        cmocka_unit_test(a_reader_given_back_in_the_middle_forgets_it),
        cmocka_unit_test(memory_follows_what_came_and_not_what_was_declared),
        cmocka_unit_test(what_is_written_can_be_read),
    };

    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
