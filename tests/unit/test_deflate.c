/*
 * test_deflate.c - permessage-deflate: what is negotiated, and messages through zlib and
 * through the frame reader, with all that a client may make of them (RFC 7692).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/engine/deflate.h"
#include "core/engine/frame.h"
#include "tests/unit/masked.h"

enum { RSV1 = 0x40, LIMIT = 100000 };

static struct frame_pool pool;
static const struct frame_limits limits = {
    .max_message_bytes = LIMIT, .max_fragments = 100, .may_inflate = true};

static int done_pool(void **state)
{
    (void)state;
    frame_pool_done(&pool);
    return 0;
}

/* ---- the negotiation */

static void offers_are_read_as_the_rfc_says(void **state)
{
    static const struct {
        const char *value;
        enum deflate_offer expected;
        unsigned bits;
    } rows[] = {
        {"permessage-deflate", DEFLATE_ACCEPTED, 15},
        {" permessage-deflate ; client_max_window_bits ", DEFLATE_ACCEPTED, 15},
        {"permessage-deflate;client_max_window_bits=8", DEFLATE_ACCEPTED, 15},
        {"permessage-deflate; client_max_window_bits=\"15\"", DEFLATE_ACCEPTED, 15},
        {"permessage-deflate; server_max_window_bits=8", DEFLATE_ACCEPTED, 8},
        {"permessage-deflate; server_max_window_bits = \"10\"", DEFLATE_ACCEPTED, 10},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=9; client_max_window_bits=9",
         DEFLATE_ACCEPTED, 9},
        {"x-webkit-deflate-frame, permessage-deflate", DEFLATE_ACCEPTED, 15},
        {", ,permessage-deflate,,", DEFLATE_ACCEPTED, 15},
        {"permessage-deflate; server_max_window_bits=9, permessage-deflate",
         DEFLATE_ACCEPTED, 9}, /* the first that can be taken */
        {"permessage-deflate; nonsense, permessage-deflate; server_max_window_bits=12",
         DEFLATE_ACCEPTED, 12},
        {"", DEFLATE_NONE, 0},
        {"permessage-bzip2; x=1", DEFLATE_NONE, 0},
        {"Permessage-Deflate", DEFLATE_NONE, 0},
        {"permessage-deflate; nonsense", DEFLATE_NONE, 0},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
         DEFLATE_NONE, 0},
        {"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
         DEFLATE_NONE, 0},
        {"permessage-deflate; server_no_context_takeover=1", DEFLATE_NONE, 0},
        {"permessage-deflate; client_no_context_takeover=true", DEFLATE_NONE, 0},
        {"permessage-deflate; server_max_window_bits", DEFLATE_NONE, 0},
        {"permessage-deflate; server_max_window_bits=7", DEFLATE_NONE, 0},
        {"permessage-deflate; server_max_window_bits=16", DEFLATE_NONE, 0},
        {"permessage-deflate; server_max_window_bits=08", DEFLATE_NONE, 0},
        {"permessage-deflate; client_max_window_bits=1a", DEFLATE_NONE, 0},
        {"permessage-deflate; client_max_window_bits=150", DEFLATE_NONE, 0},
        {"permessage-deflate;", DEFLATE_MALFORMED, 0},
        {"permessage-deflate; server_max_window_bits=", DEFLATE_MALFORMED, 0},
        {"permessage-deflate; server_max_window_bits=\"9", DEFLATE_MALFORMED, 0},
        {"permessage-deflate; server_max_window_bits=\"\"", DEFLATE_MALFORMED, 0},
        {"permessage-deflate permessage-deflate", DEFLATE_MALFORMED, 0},
        {"=", DEFLATE_MALFORMED, 0},
        {"permessage-deflate, ;", DEFLATE_MALFORMED, 0},
        {"permessage-deflate, \xff", DEFLATE_MALFORMED, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned bits = 0;

        if (deflate_read_offer(rows[i].value, &bits) != rows[i].expected)
            fail_msg("%s", rows[i].value);
        if (rows[i].expected == DEFLATE_ACCEPTED)
            assert_int_equal(bits, rows[i].bits);
    }
}

static void the_answer_asks_for_no_context_takeover(void **state)
{
    char answer[DEFLATE_ANSWER_MAX];

    (void)state;
    deflate_answer(15, answer);
    assert_string_equal(answer, "permessage-deflate; server_no_context_takeover; "
                                "client_no_context_takeover");
    deflate_answer(8, answer);
    assert_string_equal(answer, "permessage-deflate; server_no_context_takeover; "
                                "client_no_context_takeover; server_max_window_bits=8");
}

/* ---- messages */

/* Repeats itself only far apart: so a narrow window does not see it. */
static char *make_text(size_t len)
{
    char *text = malloc(len);
    uint32_t random = 1;

    for (size_t i = 0; i < len; i++) {
        random = random * 1103515245 + 12345;
        text[i] = (char)('a' + (random >> 16) % 8);
        if (i >= 3000 && i % 4000 > 1000)
            text[i] = text[i - 3000];
    }
    return text;
}

/* Reads a client's bytes to the first event. */
static enum frame_event read_all(struct frame_reader *reader, const char *data,
                                 size_t len, size_t piece, struct frame *frame)
{
    enum frame_event event = FRAME_MORE;

    while (len && event == FRAME_MORE) {
        size_t n = piece < len ? piece : len, left = n;
        const char *at = data;

        event = frame_read(reader, &limits, &at, &left, frame);
        data += n;
        len -= n;
    }
    return event;
}

static void what_is_deflated_inflates_for_every_window(void **state)
{
    char *text = make_text(LIMIT), *wire = malloc(LIMIT + 14);

    (void)state;
    for (unsigned bits = 8; bits <= 15; bits++) {
        for (size_t len = 1; len <= LIMIT; len = len * 3 + 1) {
            struct frame_reader *reader = frame_pool_take(&pool);
            const char *deflated;
            size_t n = deflate_message(&pool.deflate, bits, text, len, &deflated);
            struct frame frame;

            assert_true(n < len);
            if (len > 1000 && bits > 8)
                assert_true(n > 0);
            if (bits == 8 && len > 256)
                assert_int_equal(n, 0);
            if (n) {
                n = put_frame(wire, FIN | RSV1 | TEXT, deflated, n);
                assert_int_equal(read_all(reader, wire, n, 1 + len / 7, &frame),
                                 FRAME_TEXT);
                assert_int_equal(frame.len, len);
                assert_memory_equal(frame.data, text, len);
            }
            frame_pool_give(&pool, reader);
        }
    }
    free(text);
    free(wire);
}

/* RFC 7692 7.2.3, and other streams of blocks. */
static void blocks_of_all_kinds_inflate(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text; /* NULL: refused */
    } rows[] = {
        {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},
        {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"}, /* says it is the last */
        {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"},
        {"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 15,
         "HelloHello"},
        {"\x02\x00", 2, ""},
        {"\x00", 1, ""},
        {"\xf2\x48\xcd\xc9", 4, NULL},         /* cut */
        {"\x00\x05\x00\xfa\xff\x48", 6, NULL}, /* cut within a stored block */
        {"\xff\xff\xff", 3, NULL},             /* no such block */
        {"\x00\x05\x00\x00\x00", 5, NULL},     /* a length that is not its complement */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece < 30; piece += 4) {
            struct frame_reader *reader = frame_pool_take(&pool);
            char wire[64];
            struct frame frame = {0};
            size_t n = put_frame(wire, FIN | RSV1 | TEXT, rows[i].bytes, rows[i].len);
            enum frame_event event = read_all(reader, wire, n, piece, &frame);

            if (!rows[i].text) {
                if (event != FRAME_BAD)
                    fail_msg("row %zu is taken", i);
                assert_int_equal(frame.code, WS_CLOSE_BAD_DATA);
            } else {
                if (event != FRAME_TEXT)
                    fail_msg("row %zu: %s", i, frame.reason);
                assert_int_equal(frame.len, strlen(rows[i].text));
                assert_memory_equal(frame.data, rows[i].text, frame.len);
                assert_true(frame_reader_is_idle(reader));
            }
            frame_pool_give(&pool, reader);
        }
    }
}

static void a_deflated_message_may_be_fragmented(void **state)
{
    static const char deflated[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    struct frame_reader *reader = frame_pool_take(&pool);
    char wire[64];
    struct frame frame;
    size_t n = put_frame(wire, RSV1 | TEXT, deflated, 3);

    (void)state;
    assert_int_equal(read_all(reader, wire, n, 100, &frame), FRAME_MORE);
    n = put_frame(wire, FIN | PING, "x",
                  1); /* control frames go in between, undeflated */
    assert_int_equal(read_all(reader, wire, n, 100, &frame), FRAME_PING);
    n = put_frame(wire, CONT, "", 0);
    assert_int_equal(read_all(reader, wire, n, 100, &frame), FRAME_MORE);
    n = put_frame(wire, FIN | CONT, deflated + 3, 4);
    assert_int_equal(read_all(reader, wire, n, 100, &frame), FRAME_TEXT);
    assert_int_equal(frame.len, 5);
    assert_memory_equal(frame.data, "Hello", 5);
    n = put_frame(wire, FIN | TEXT, "plain", 5);
    assert_int_equal(read_all(reader, wire, n, 100, &frame), FRAME_TEXT);
    assert_memory_equal(frame.data, "plain", 5);
    frame_pool_give(&pool, reader);
}

static void rsv1_elsewhere_is_refused(void **state)
{
    static const struct {
        unsigned first, second; /* bytes of two frames' heads; first 0: there is one */
        bool may_inflate;
    } rows[] = {
        {0, FIN | RSV1 | PING, true},
        {0, FIN | RSV1 | CLOSE, true},
        {TEXT, RSV1 | FIN, true},
        {RSV1 | TEXT, RSV1 | FIN, true},
        {0, FIN | 0x20 | TEXT, true},
        {0, FIN | 0x10 | TEXT, true},
        {0, FIN | RSV1 | 0x20 | TEXT, true},
        {0, FIN | RSV1 | TEXT, false},
        {0, FIN | RSV1 | 3, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame_reader *reader = frame_pool_take(&pool);
        struct frame_limits own = limits;
        char wire[64];
        size_t n = rows[i].first ? put_frame(wire, rows[i].first, "", 0) : 0;
        const char *at = wire;
        struct frame frame;

        own.may_inflate = rows[i].may_inflate;
        n += put_frame(wire + n, rows[i].second, "", 0);
        if (frame_read(reader, &own, &at, &n, &frame) != FRAME_BAD)
            fail_msg("row %zu", i);
        assert_int_equal(frame.code, WS_CLOSE_PROTOCOL);
        frame_pool_give(&pool, reader);
    }
}

/* C16: as it inflates, and holding little more than the limit. */
static void a_bomb_is_refused_at_the_limit(void **state)
{
    size_t big = 50000000;
    char *zeros = calloc(1, big), *wire = malloc(LIMIT + 14);
    const char *deflated;
    size_t n = deflate_message(&pool.deflate, 15, zeros, big, &deflated);

    (void)state;
    assert_in_range(n, 1, LIMIT * 3);
    n = n < LIMIT ? n : LIMIT;
    n = put_frame(wire, FIN | RSV1 | BINARY, deflated, n);
    for (size_t piece = 7; piece <= n; piece = piece * 10) {
        struct frame_reader *reader = frame_pool_take(&pool);
        struct frame frame;

        assert_int_equal(read_all(reader, wire, n, piece, &frame), FRAME_BAD);
        assert_int_equal(frame.code, WS_CLOSE_TOO_BIG);
        assert_in_range(frame_reader_bytes(reader), 1, 3 * LIMIT);
        frame_pool_give(&pool, reader);
    }
    free(zeros);
    free(wire);
}

static void the_limit_itself_passes_and_one_byte_more_does_not(void **state)
{
    char *zeros = calloc(1, LIMIT + 1), wire[2000];

    (void)state;
    for (size_t len = LIMIT - 1; len <= LIMIT + 1; len++) {
        struct frame_reader *reader = frame_pool_take(&pool);
        const char *deflated;
        size_t n = deflate_message(&pool.deflate, 15, zeros, len, &deflated);
        struct frame frame;

        n = put_frame(wire, FIN | RSV1 | BINARY, deflated, n);
        assert_int_equal(read_all(reader, wire, n, 50, &frame),
                         len > LIMIT ? FRAME_BAD : FRAME_BINARY);
        frame_pool_give(&pool, reader);
    }
    free(zeros);
}

static void text_is_checked_as_it_inflates(void **state)
{
    struct frame_reader *reader = frame_pool_take(&pool);
    char bad[2000], wire[2000];
    const char *deflated;
    struct frame frame;
    size_t n;

    (void)state;
    memset(bad, 'x', sizeof bad);
    bad[10] = '\xff';
    n = deflate_message(&pool.deflate, 15, bad, sizeof bad, &deflated);
    n = put_frame(wire, RSV1 | TEXT, deflated, n); /* not final: refused all the same */
    assert_int_equal(read_all(reader, wire, n, 2000, &frame), FRAME_BAD);
    assert_int_equal(frame.code, WS_CLOSE_BAD_DATA);
    frame_pool_give(&pool, reader);
}

static void what_does_not_shrink_is_left_as_it_is(void **state)
{
    unsigned char noise[4000];
    const char *deflated;
    uint32_t random = 7;

    (void)state;
    for (size_t i = 0; i < sizeof noise; i++) {
        random = random * 1664525 + 1013904223;
        noise[i] = (unsigned char)(random >> 24);
    }
    assert_int_equal(deflate_message(&pool.deflate, 15, noise, sizeof noise, &deflated),
                     0);
    assert_int_equal(deflate_message(&pool.deflate, 15, "aaaa", 4, &deflated), 0);
    assert_int_equal(deflate_message(&pool.deflate, 15, "", 0, &deflated), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offers_are_read_as_the_rfc_says),
        cmocka_unit_test(the_answer_asks_for_no_context_takeover),
        cmocka_unit_test(what_is_deflated_inflates_for_every_window),
        cmocka_unit_test(blocks_of_all_kinds_inflate),
        cmocka_unit_test(a_deflated_message_may_be_fragmented),
        cmocka_unit_test(rsv1_elsewhere_is_refused),
        cmocka_unit_test(a_bomb_is_refused_at_the_limit),
        cmocka_unit_test(the_limit_itself_passes_and_one_byte_more_does_not),
        cmocka_unit_test(text_is_checked_as_it_inflates),
        cmocka_unit_test(what_does_not_shrink_is_left_as_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, done_pool);
}
