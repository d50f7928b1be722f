/*
 * test_packetlinear.c - what a client puts into its packets costs its number, not the square
 * of it (core/engine/frame.c, packet.c, core/socketio/packet.c, json.c): C10, C49.
 */
#include "tests/unit/linear.h"

#include <jansson.h>
#include <stdbool.h>

#include "core/base/text.h"
#include "core/engine/frame.h"
#include "core/engine/jsonp.h"
#include "core/engine/packet.h"
#include "core/engine/payload3.h"
#include "core/socketio/json.h"
#include "core/socketio/packet.h"
#include "tests/unit/masked.h"

static const struct json_limits json_limits = {64, SIZE_MAX};
static const struct frame_limits frame_limits = {.max_message_bytes = SIZE_MAX / 4,
                                                 .max_fragments = UINT32_MAX};

/* ---- what is measured */

static void scan(const struct text *text)
{
    static struct json_span spans[64];
    size_t n;

    assert_int_equal(json_scan_array(text->at, text->len, &json_limits, spans, 64, &n),
                     JSON_OK);
}

static void resolve(const struct text *text)
{
    char *out = malloc(text->len);

    assert_non_null(out);
    assert_true(json_unescape(text->at,
                              (struct json_span){.from = 0, .to = (uint32_t)text->len},
                              out) > 0);
    free(out);
}

static void build(const struct text *text)
{
    json_t *tree = json_loadb(text->at, text->len, 0, NULL);

    assert_non_null(tree);
    json_decref(tree);
}

/* C10: whatever it is, in one look, and nothing is allocated. */
static void decode(const struct text *text)
{
    struct sio_packet packet;

    for (int i = 0; i < 100; i++) /* once would be too short to measure */
        sio_packet_decode(text->at, text->len, &packet);
}

static void walk(const struct text *text)
{
    struct payload payload;
    struct packet packet;
    size_t n = 0;

    payload_init(&payload, text->at, text->len);
    while (payload_next(&payload, &packet))
        n++;
    assert_true(n > 0);
}

static void walk_v3(const struct text *text)
{
    struct payload payload;
    struct packet packet = {.type = PACKET_BAD};

    payload3_init(&payload, text->at, text->len);
    while (payload_next(&payload, &packet))
        ;
    assert_int_equal(packet.type, PACKET_NOOP);
    utf16_length(text->at, text->len);
}

static void read_form(const struct text *text)
{
    char *out = malloc(text->len);

    assert_non_null(out);
    assert_true(jsonp_read(text->at, text->len, out) >= 0);
    free(out);
}

static void write_script(const struct text *text)
{
    const struct jsonp_index index = {.is_given = true};
    size_t len = jsonp_write(index, text->at, text->len, NULL);
    char *out = malloc(len);

    assert_non_null(out);
    assert_int_equal(jsonp_write(index, text->at, text->len, out), len);
    free(out);
}

static void decode_base64(const struct text *text)
{
    char *out = malloc(text->len);

    assert_non_null(out);
    assert_true(base64_decode(text->at, text->len, out) > 0);
    free(out);
}

static void check_utf8(const struct text *text)
{
    assert_true(utf8_is_valid(text->at, text->len));
}

/* Frames stand in a text as they are, so their masks and payloads must hold no NUL. */
static void read_frames(const struct text *text, size_t step)
{
    struct frame_pool pool = {0};
    struct frame_reader *reader = frame_pool_take(&pool);

    for (size_t at = 0; at < text->len;) {
        size_t n = step < text->len - at ? step : text->len - at, left = n;
        const char *data = text->at + at;
        struct frame frame;

        while (frame_read(reader, &frame_limits, &data, &left, &frame) != FRAME_MORE)
            assert_null(frame.reason);
        at += n;
    }
    assert_true(frame_reader_is_idle(reader));
    frame_pool_give(&pool, reader);
    frame_pool_done(&pool);
}

static void read_whole(const struct text *text)
{
    read_frames(text, SIZE_MAX);
}

static void read_bytes(const struct text *text)
{
    read_frames(text, 1);
}

/* One byte 'x' ^ 0x41 with the mask 41414141; FIN, opcode and length in front. */
#define FRAME_X(first)                                                                   \
    first "\x81"                                                                         \
          "AAAA"                                                                         \
          "9"

/* Texts of a few ten kB: a larger one does not fit into the nearest cache. */
static const struct counted rows[] = {
    {"values", "[0", ",1", "]", scan},
    {"objects", "[0", ",{}", "]", scan},
    {"keys of an object", "[{\"a\":0", ",\"bcd\":1", "}]", scan},
    {"keys of one name", "[{\"a\":0", ",\"a\":1", "}]", scan},
    {"bytes of a text", "[\"", "abcdefgh", "\"]", scan},
    {"escapes of a text", "[\"", "\\u00e9\\n", "\"]", scan},
    {"escapes that are resolved", "\"", "\\u00e9\\n", "\"", resolve},
    {"blanks", "[", " \n\t ", "1]", scan},
    {"keys of one name, built", "{\"a\":0", ",\"a\":1", "}", build},
    {"digits of attachments", "5", "11111111", "-[]", decode},
    {"digits of an ack id", "2", "11111111", "[]", decode},
    {"bytes of a namespace", "2/", "a", ",[]", decode},
    {"a namespace without end", "0/", "a", "", decode},
    {"packets of a payload", "6",
     "\x1e"
     "6",
     "", walk},
    {"empty packets", "6", "\x1e", "", walk},
    {"bytes of a packet", "4", "abcdefgh", "", walk},
    {"packets of v3", "", "1:6", "", walk_v3},
    {"empty packets of v3", "", "0:", "1:6", walk_v3},
    {"escapes of a form", "d=", "%5Cn", "", read_form},
    {"fields of a form", "d=", "&a", "", read_form},
    {"escapes of a script", "", "\n\xe2\x80\xa8", "", write_script},
    {"base64", "", "YWJj", "YWI=", decode_base64},
    {"UTF-8", "", "\xe2\x82\xac", "", check_utf8},
    {"frames", "", FRAME_X("\x81"), "", read_whole},
    {"frames, byte by byte", "", FRAME_X("\x81"), "", read_bytes},
    {"pings", "", FRAME_X("\x89"), "", read_whole},
};

/* The continuations hold a NUL (their opcode is 0): made by hand. */
static void make_fragments(struct text *text, size_t n)
{
    text->at = realloc(text->at, (n + 2) * 8);
    assert_non_null(text->at);
    text->len = put_frame(text->at, TEXT, "x", 1);
    for (size_t i = 0; i < n; i++)
        text->len += put_frame(text->at + text->len, CONT, "x", 1);
    text->len += put_frame(text->at + text->len, FIN | CONT, "x", 1);
}

static void ten_times_as_much_costs_ten_times(void **state)
{
    (void)state;
    expect_linear(rows, sizeof rows / sizeof *rows);
}

static void fragments_cost_their_number(void **state)
{
    struct text small = {0}, large = {0};
    double ratio = 1e18;

    (void)state;
    make_fragments(&small, UNIT);
    make_fragments(&large, 10 * UNIT);
    for (int n = 0; n < TRIES && ratio > MOST; n++)
        ratio = cost(&large, read_whole) / cost(&small, read_whole);
    assert_true(ratio <= MOST);
    free(small.at);
    free(large.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_times_as_much_costs_ten_times),
        cmocka_unit_test(fragments_cost_their_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
