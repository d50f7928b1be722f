/*
 * test_httplinear.c - what a client sends in numbers costs its number, not the square of it
 * (core/net/http*.c, core/net/uri.c): C19, C49. Ten times as much may cost twelve times the
 * CPU time; a quadratic walk costs a hundred times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/net/http.h"
#include "core/net/uri.h"

#define START "POST /?a=b HTTP/1.1\r\nHost: x\r\n"

enum {
    MOST = 12,  /* for ten times the number */
    RUNS = 5,   /* the shortest one counts: nobody disturbed it */
    TRIES = 10, /* a busy machine may disturb many */
    UNIT = 1000 /* the smaller number */
};

/* What is looked for wherever something is looked for. */
static const char *const names[] = {
    "host", "origin",    "upgrade", "connection", "expect",   "sid",
    "EIO",  "transport", "__proto", "if-none",    "accept-e", "sec-websocket-key"};

struct text {
    char *at; /* owned */
    size_t len, cap;
};

static void add(struct text *text, const char *piece)
{
    size_t len = strlen(piece);

    if (text->len + len + 1 > text->cap) {
        text->cap = 2 * (text->len + len + 1);
        text->at = realloc(text->at, text->cap);
        assert_non_null(text->at);
    }
    memcpy(text->at + text->len, piece, len + 1);
    text->len += len;
}

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

struct counted {
    const char *what, *before, *unit, *behind;
    void (*run)(const struct text *);
};

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

static void set_text(struct text *text, const struct counted *row, size_t n)
{
    text->len = 0;
    add(text, row->before);
    while (n-- > 0)
        add(text, row->unit);
    add(text, row->behind);
}

/* CPU time of the shortest run, ns. */
static double cost(const struct text *text, void (*run)(const struct text *))
{
    double least = 1e18;

    for (int i = 0; i < RUNS; i++) {
        struct timespec from, to;
        double ns;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        run(text);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        ns =
            1e9 * (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec);
        least = ns < least ? ns : least;
    }
    return least;
}

static void ten_times_as_much_costs_ten_times(void **state)
{
    struct text small = {0}, large = {0};
    size_t n_failed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double least = 1e18, ratio = 1e18, ns = 1e18;

        set_text(&small, &rows[i], UNIT);
        set_text(&large, &rows[i], 10 * UNIT);
        for (int n = 0; n < TRIES && ratio > MOST; n++) {
            double one = cost(&small, rows[i].run), ten = cost(&large, rows[i].run);

            least = one < least ? one : least;
            ns = ten < ns ? ten : ns;
            ratio = ns / least < ten / one ? ns / least : ten / one;
        }
        print_message("%-26s %8.0f us for %d: x %.1f\n", rows[i].what, ns / 1000,
                      10 * UNIT, ratio);
        n_failed += ratio > MOST;
    }
    free(small.at);
    free(large.at);
    assert_int_equal(n_failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_times_as_much_costs_ten_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
