/*
 * test_httplinear.c - what a client sends in numbers costs its number, not the square of it
 * (core/net/http*.c, core/net/uri.c): C19, C49. Ten times as much may cost thirty times the
 * CPU time; a quadratic walk costs a hundred times.
 */
#include "tests/unit/linear.h"

#include "core/net/http.h"
#include "core/net/uri.h"

#define START "POST /?a=b HTTP/1.1\r\nHost: x\r\n"

/* What is looked for wherever something is looked for. */
static const char *const names[] = {
    "host", "origin",    "upgrade", "connection", "expect",   "sid",
    "EIO",  "transport", "__proto", "if-none",    "accept-e", "sec-websocket-key"};

/* ---- what is measured: all of it is used up without an error */

static void parse(const char *data, size_t len, size_t step)
{
    const struct http_limits limits = {SIZE_MAX / 4, SIZE_MAX / 4, SIZE_MAX / 4};
    struct http_parser *parser = http_parser_new(&limits);
    enum http_status status = HTTP_MORE;

    for (size_t at = 0; status != HTTP_DONE;) {
        size_t n = step < len - at ? step : len - at, used, body_len;
        const char *body;

        status = http_parse(parser, data + at, n, &used, &body, &body_len);
        assert_int_not_equal(status, HTTP_ERROR);
        at += used;
        if (status == HTTP_HEAD_DONE)
            for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                http_header(http_parser_request(parser), names[i], NULL);
                http_has_token(http_parser_request(parser), names[i], "websocket");
            }
        assert_true(at < len || status != HTTP_MORE);
    }
    http_parser_free(parser);
}

static void parse_whole(const struct text *text)
{
    parse(text->at, text->len, SIZE_MAX);
}

static void parse_bytes(const struct text *text)
{
    parse(text->at, text->len, 1);
}

static void look_up(const struct text *query)
{
    char out[64];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        uri_query_get(query->at, query->len, names[i], out, sizeof out);
}

static void decode(const struct text *path)
{
    char *out = malloc(path->len + 1);

    assert_non_null(out);
    assert_true(uri_decode(path->at, path->len, out, path->len + 1) > 0);
    free(out);
}

/* ---- */

static const struct counted rows[] = {
    {"headers", START, "A: b\r\n", "\r\n", parse_whole},
    {"headers, byte by byte", START, "A: b\r\n", "\r\n", parse_bytes},
    {"headers of one name", START, "Connection: a\r\n", "\r\n", parse_whole},
    {"empty headers", START, "A:\r\n", "\r\n", parse_whole},
    {"a header's bytes", START "A: ", "abcdefgh", "\r\n\r\n", parse_whole},
    {"a header's blanks", START "A: b", "        ", "\r\n\r\n", parse_whole},
    {"a name's bytes", START, "abcdefgh", ": a\r\n\r\n", parse_whole},
    {"blanks and commas", START "Connection: ", " , ,,\t,", "\r\n\r\n", parse_whole},
    {"tokens", START "Upgrade: ", "web, ", "x\r\n\r\n", parse_whole},
    {"bytes of the target", "GET /", "abcdefgh", " HTTP/1.1\r\nHost: x\r\n\r\n",
     parse_whole},
    {"chunks", START "Transfer-Encoding: chunked\r\n\r\n", "10\r\n0123456789abcdef\r\n",
     "0\r\n\r\n", parse_whole},
    {"chunks, byte by byte", START "Transfer-Encoding: chunked\r\n\r\n",
     "10\r\n0123456789abcdef\r\n", "0\r\n\r\n", parse_bytes},
    {"query parameters", "a=b", "&c=d", "&sid=x", look_up},
    {"parameters of one name", "sid=x", "&sid=x", "", look_up},
    {"parameters without value", "", "&", "sid", look_up},
    {"a parameter's bytes", "sid=x&a=", "abcdefgh", "", look_up},
    {"a parameter's escapes", "sid=x&a=", "%41%42", "", look_up},
    {"a name's escapes", "", "%73%69", "=x", look_up},
    {"escapes of a path", "/", "%41b", "", decode},
};

static void ten_times_as_much_costs_ten_times(void **state)
{
    (void)state;
    expect_linear(rows, sizeof rows / sizeof *rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_times_as_much_costs_ten_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
