/*
 * test_http.c - the HTTP codec (core/net/http.c): what it takes, what it refuses, and
 * that neither depends on how the bytes are cut (C20, C25, C27, C31, T07, T28).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/net/http.h"

#define H "Host: a\r\n"
#define GOOD "GET /good HTTP/1.1\r\n" H "\r\n"

static const struct http_limits limits = {16 * 1024, 8 * 1024, 100};

/* What came out: one line a request, then how it ended. */
struct outcome {
    char text[4096];
    size_t len;
    int error; /* status, 0: none */
    const char *reason;
};

static const char *method_names[] = {"GET", "HEAD", "POST", "OPTIONS", "OTHER"};

static void note(struct outcome *outcome, const char *text, size_t len)
{
    assert_true(outcome->len + len < sizeof outcome->text);
    memcpy(outcome->text + outcome->len, text, len);
    outcome->len += len;
    outcome->text[outcome->len] = '\0';
}

static void note_head(struct outcome *outcome, const struct http_request *request)
{
    char line[512];

    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        assert_int_equal(header->name.text[header->name.len], 0);
        assert_int_equal(strlen(header->value.text), header->value.len);
    }
    assert_int_equal(strlen(request->target.text), request->target.len);
    assert_int_equal(strlen(request->path.text), request->path.len);
    assert_int_equal(strlen(request->query.text), request->query.len);
    snprintf(line, sizeof line,
             "%s %.100s ?%.100s 1.%d %zu%s%s%s:", method_names[request->method],
             request->path.text, request->query.text, request->minor, request->n_headers,
             request->keep_alive ? " keep" : "", request->is_websocket ? " ws" : "",
             request->expects_continue ? " continue" : "");
    note(outcome, line, strlen(line));
}

/* Give one piece, copied to memory of exactly its size. Returns false on error. */
static bool feed(struct http_parser *parser, struct outcome *outcome, const char *data,
                 size_t len)
{
    char *copy = malloc(len ? len : 1);
    char *at = copy;

    assert_non_null(copy);
    memcpy(copy, data, len);
    for (;;) {
        size_t used, body_len;
        const char *body;
        enum http_status status = http_parse(parser, at, len, &used, &body, &body_len);

        if (status == HTTP_ERROR) {
            outcome->error = http_parser_error(parser, &outcome->reason);
            assert_non_null(outcome->reason);
            break;
        }
        assert_true(used <= len);
        at += used;
        len -= used;
        if (status == HTTP_HEAD_DONE)
            note_head(outcome, http_parser_request(parser));
        if (status == HTTP_BODY)
            note(outcome, body, body_len);
        if (status == HTTP_DONE) {
            note(outcome, "\n", 1);
            http_parser_next(parser);
            assert_false(http_parser_has_begun(parser));
        }
        if (status == HTTP_MORE) {
            assert_int_equal(len, 0);
            break;
        }
    }
    free(copy);
    return outcome->error == 0;
}

/* Give bytes in pieces that end at `cut`, or of one byte each with cut = SIZE_MAX. */
static void parse(struct outcome *outcome, const char *data, size_t len, size_t cut)
{
    struct http_parser *parser = http_parser_new(&limits);
    size_t at = 0;

    memset(outcome, 0, sizeof *outcome);
    while (at < len) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut && cut < len ? cut - at : len - at;

        if (!feed(parser, outcome, data + at, n))
            break;
        at += n;
    }
    http_parser_free(parser);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->error, b->error);
    assert_string_equal(a->text, b->text);
    if (a->error)
        assert_string_equal(a->reason, b->reason);
}

/* Whole, in single bytes, and cut at every place: the same outcome. */
static void parse_all_ways(struct outcome *outcome, const char *data, size_t len)
{
    struct outcome other;
    size_t step = len > 2048 ? 997 : 1;

    parse(outcome, data, len, len);
    parse(&other, data, len, SIZE_MAX);
    assert_same(outcome, &other);
    for (size_t cut = 1; cut < len; cut += step) {
        parse(&other, data, len, cut);
        assert_same(outcome, &other);
    }
}

/* ---- good requests */

static void good_requests_are_understood_however_they_are_cut(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {GOOD, "GET /good ? 1.1 1 keep:\n"},
        {"\r\n" GOOD, "GET /good ? 1.1 1 keep:\n"},
        {"\r\n\r\n" GOOD, "GET /good ? 1.1 1 keep:\n"},
        {GOOD "\r\n" GOOD, "GET /good ? 1.1 1 keep:\nGET /good ? 1.1 1 keep:\n"},
        {GOOD GOOD GOOD, "GET /good ? 1.1 1 keep:\nGET /good ? 1.1 1 keep:\n"
                         "GET /good ? 1.1 1 keep:\n"},
        {"GET /a?b=c&d HTTP/1.1\r\n" H "\r\n", "GET /a ?b=c&d 1.1 1 keep:\n"},
        {"GET /a?b?c HTTP/1.1\r\n" H "\r\n", "GET /a ?b?c 1.1 1 keep:\n"},
        {"GET /a? HTTP/1.1\r\n" H "\r\n", "GET /a ? 1.1 1 keep:\n"},
        {"GET /a%20b HTTP/1.1\r\n" H "\r\n", "GET /a%20b ? 1.1 1 keep:\n"},
        {"GET //a HTTP/1.1\r\n" H "\r\n", "GET //a ? 1.1 1 keep:\n"},
        {"HEAD / HTTP/1.1\r\n" H "\r\n", "HEAD / ? 1.1 1 keep:\n"},
        {"PUT / HTTP/1.1\r\n" H "\r\n", "OTHER / ? 1.1 1 keep:\n"},
        {"TRACE / HTTP/1.1\r\n" H "\r\n", "OTHER / ? 1.1 1 keep:\n"},
        {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * ? 1.1 1 keep:\n"},
        {"OPTIONS /x HTTP/1.1\r\n" H "\r\n", "OPTIONS /x ? 1.1 1 keep:\n"},
        {"GET http://a/b?c HTTP/1.1\r\n" H "\r\n", "GET /b ?c 1.1 1 keep:\n"},
        {"GET HTTP://a HTTP/1.1\r\n" H "\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET http://a?c HTTP/1.1\r\n" H "\r\n", "GET / ?c 1.1 1 keep:\n"},
        {"GET https://A:8/b HTTP/1.1\r\nHost: a:8\r\n\r\n", "GET /b ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\nHOST: \t a\t \r\n\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\nHost: a-b.c_d.example.:1\r\n\r\n", "GET / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "X:\r\nY: \r\nZ:a b\t c\r\n\r\n",
         "GET / ? 1.1 4 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "X: \xc3\xa9\r\n\r\n", "GET / ? 1.1 2 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", "GET / ? 1.1 2:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", "GET / ? 1.1 2:\n"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / ? 1.0 0:\n"},
        {"GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n",
         "GET / ? 1.0 2 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello",
         "POST / ? 1.1 2 keep:hello\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello" GOOD,
         "POST / ? 1.1 2 keep:hello\nGET /good ? 1.1 1 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 2\r\n\r\nhi",
         "POST / ? 1.1 3:hi\n"},
        {"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi", "POST / ? 1.0 1:hi\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n" GOOD,
         "POST / ? 1.1 2 keep:\nGET /good ? 1.1 1 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 005\r\n\r\nhello",
         "POST / ? 1.1 2 keep:hello\n"},
        {"POST / HTTP/1.1\r\n" H "\r\n", "POST / ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi", "GET / ? 1.1 2 keep:hi\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "POST / ? 1.1 2 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"
         "5\r\nhello\r\n7;a=\"d\"\r\n, world\r\n00\r\n\r\n" GOOD,
         "POST / ? 1.1 2 keep:hello, world\nGET /good ? 1.1 1 keep:\n"},
        /* C31: trailers are dropped */
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
         "A\r\n0123456789\r\n0\r\nOrigin: evil\r\nAuthorization: x\r\n\r\n" GOOD,
         "POST / ? 1.1 2 keep:0123456789\nGET /good ? 1.1 1 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nhi",
         "POST / ? 1.1 3 keep continue:hi\n"},
        {"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n",
         "POST / ? 1.1 2 keep:\n"},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
         "POST / ? 1.0 2:hi\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
         "GET / ? 1.1 3 keep ws:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive, upgrade\r\n"
         "Upgrade: websocket\r\n\r\n" GOOD,
         "GET / ? 1.1 3 keep ws:\nGET /good ? 1.1 1 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: x\r\nConnection: upgrade\r\n"
         "Upgrade: websocket\r\n\r\n",
         "GET / ? 1.1 4 keep ws:\n"},
        {"GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n", "GET / ? 1.1 2 keep:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websockets\r\n\r\n",
         "GET / ? 1.1 3 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "POST / ? 1.1 3 keep:\n"},
        {"GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "GET / ? 1.0 3:\n"},
        {"GET / HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n"
         "Content-Length: 2\r\n\r\nhi" GOOD,
         "GET / ? 1.1 4 keep:hi\nGET /good ? 1.1 1 keep:\n"},
        /* an upgrade that nobody takes is plain HTTP, body and all */
        {"GET / HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" GOOD,
         "GET / ? 1.1 4 keep:\nGET /good ? 1.1 1 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n"
         "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" GOOD,
         "POST / ? 1.1 4 keep:hi\nGET /good ? 1.1 1 keep:\n"},
        {"POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n"
         "Content-Length: 2\r\n\r\nhi" GOOD,
         "POST / ? 1.1 4 keep:hi\nGET /good ? 1.1 1 keep:\n"},
    };
    struct outcome outcome;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse_all_ways(&outcome, rows[i].in, strlen(rows[i].in));
        if (outcome.error || strcmp(outcome.text, rows[i].out) != 0)
            print_message("%s -> %d %s\n", rows[i].in, outcome.error,
                          outcome.error ? outcome.reason : "");
        assert_int_equal(outcome.error, 0);
        assert_string_equal(outcome.text, rows[i].out);
    }
}

/* ---- bad ones */

struct bad {
    int status;
    const char *in;
    size_t len; /* 0: strlen */
};

#define BYTES(text) text, sizeof(text) - 1
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static const struct bad bad[] = {
    /* request line */
    {400, "\r\n\r\n\r\n" GOOD, 0},
    {400, "\n" GOOD, 0},
    {400, "\r" GOOD, 0},
    {400, " " GOOD, 0},
    {400, "GET\r\n", 0},
    {400, "GET /\r\n\r\n", 0},
    {400, "GET / \r\n" H "\r\n", 0},
    {400, "GET  / HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /  HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1.1 \r\n" H "\r\n", 0},
    {400, "GET / x HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET\t/\tHTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /\x0bHTTP/1.1\r\n" H "\r\n", 0},
    {400, " / HTTP/1.1\r\n" H "\r\n", 0},
    {400, "G(T / HTTP/1.1\r\n" H "\r\n", 0},
    {400, "G\xc3\xa9T / HTTP/1.1\r\n" H "\r\n", 0},
    {400, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0},
    {501, "FOO / HTTP/1.1\r\n" H "\r\n", 0},
    {501, "get / HTTP/1.1\r\n" H "\r\n", 0},
    {501, "GETX / HTTP/1.1\r\n" H "\r\n", 0},
    {501, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", 0},
    {501, "CONNECT / HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET a HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET * HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET a:80 HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET http:// HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET http:///x HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET http://b/ HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET http://a:80/ HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /#x HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /\xff HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 0},
    {400, "GET /\x7f HTTP/1.1\r\n" H "\r\n", 0},
    {400, BYTES("GET /\0 HTTP/1.1\r\n" H "\r\n")},
    /* version */
    {505, "GET / HTTP/0.9\r\n" H "\r\n", 0},
    {505, "GET / HTTP/1.2\r\n" H "\r\n", 0},
    {505, "GET / HTTP/2.0\r\n" H "\r\n", 0},
    {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0},
    {505, "GET / HTTP/9.9\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1.10\r\n" H "\r\n", 0},
    {400, "GET / HTTP/01.1\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1,1\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1.\r\n" H "\r\n", 0},
    {400, "GET / http/1.1\r\n" H "\r\n", 0},
    {400, "GET / HTTP /1.1\r\n" H "\r\n", 0},
    {400, "GET / HTTPS/1.1\r\n" H "\r\n", 0},
    {400, "GET / ICE/1.0\r\n" H "\r\n", 0},
    {400, "GET / RTSP/1.0\r\n" H "\r\n", 0},
    {400, "GET / HTTP/1.1x\r\n" H "\r\n", 0},
    /* line ends and control bytes */
    {400, "GET / HTTP/1.1\n" H "\r\n", 0},
    {400, "GET / HTTP/1.1\r\nHost: a\n\r\n", 0},
    {400, GET H "\n", 0},
    {400, GET H "\r\r\n", 0},
    {400, GET H "\rX\r\n", 0}, /* CVE-2025-23167 */
    {400, GET "Host: a\r\r\n\r\n", 0},
    {400, GET H "X: a\rb\r\n\r\n", 0},
    {400, GET H "X: a\nb\r\n\r\n", 0},
    {400, GET H "X: a\x01\r\n\r\n", 0},
    {400, GET H "X: a\x7f\r\n\r\n", 0},
    {400, GET H "X: a\x0b\x62\r\n\r\n", 0},
    {400, BYTES(GET H "X: a\0b\r\n\r\n")},
    {400, BYTES(GET H "X\0: a\r\n\r\n")},
    /* header lines */
    {400, GET H "X : a\r\n\r\n", 0},
    {400, GET H "X\t: a\r\n\r\n", 0},
    {400, GET H " X: a\r\n\r\n", 0},
    {400, GET " X: a\r\n" H "\r\n", 0},
    {400, GET H "X: a\r\n b\r\n\r\n", 0},
    {400, GET H "X: a\r\n\tb\r\n\r\n", 0},
    {400, GET H "X:\r\n a\r\n\r\n", 0},
    {400, GET H ": a\r\n\r\n", 0},
    {400, GET H "X\r\n\r\n", 0},
    {400, GET H "X y: a\r\n\r\n", 0},
    {400, GET H "X(: a\r\n\r\n", 0},
    {400, GET H "X\"y: a\r\n\r\n", 0},
    {400, GET H "X/y: a\r\n\r\n", 0},
    {400, GET H "X\xc3\xa9: a\r\n\r\n", 0},
    {400, GET H "GET / HTTP/1.1\r\n\r\n", 0},
    /* Host */
    {400, GET "\r\n", 0},
    {400, GET "X: a\r\n\r\n", 0},
    {400, GET H H "\r\n", 0},
    {400, GET H "host: b\r\n\r\n", 0},
    {400, "GET / HTTP/1.0\r\n" H H "\r\n", 0},
    {400, GET "Host:\r\n\r\n", 0},
    {400, GET "Host: a b\r\n\r\n", 0},
    {400, GET "Host: a,b\r\n\r\n", 0},
    {400, GET "Host: a/b\r\n\r\n", 0},
    {400, GET "Host: u@a\r\n\r\n", 0},
    {400, GET "Host: a:b\r\n\r\n", 0},
    {400, GET "Host: a:123456\r\n\r\n", 0},
    {400, GET "Host: [::1\r\n\r\n", 0},
    {400, GET "Host: []\r\n\r\n", 0},
    {400, GET "Host: :80\r\n\r\n", 0},
    {400, GET "Host: \xc3\xa9\r\n\r\n", 0},
    {400, GET "Host: a%00b\r\n\r\n", 0},
    /* Content-Length */
    {400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 0},
    {400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 0},
    {400, POST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 0},
    {400, POST "Content-Length: 5, 5\r\n\r\nhello", 0},
    {400, POST "Content-Length: 5,6\r\n\r\nhello", 0},
    {400, POST "Content-Length: +5\r\n\r\nhello", 0},
    {400, POST "Content-Length: -5\r\n\r\nhello", 0},
    {400, POST "Content-Length: -0\r\n\r\n", 0},
    {400, POST "Content-Length: 0x5\r\n\r\nhello", 0},
    {400, POST "Content-Length: 5x\r\n\r\nhello", 0},
    {400, POST "Content-Length: 5 5\r\n\r\nhello", 0},
    {400, POST "Content-Length: 5.0\r\n\r\nhello", 0},
    {400, POST "Content-Length: 1e1\r\n\r\nhello", 0},
    {400, POST "Content-Length: \"5\"\r\n\r\nhello", 0},
    {400, POST "Content-Length: five\r\n\r\nhello", 0},
    {400, POST "Content-Length:\r\n\r\nhello", 0},
    {400, POST "Content-Length: \r\n\r\nhello", 0},
    {400, POST "Content-Length: 18446744073709551616\r\n\r\n", 0},
    {400, POST "Content-Length: 99999999999999999999999999\r\n\r\n", 0},
    {400, POST "Content-Length : 5\r\n\r\nhello", 0},
    {400, POST "Content-Length\t: 5\r\n\r\nhello", 0},
    {400, POST "X: y\r\n Content-Length: 5\r\n\r\nhello", 0},
    /* Transfer-Encoding */
    {400, POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Content-Length: 5\r\nTransfer-Encoding: identity\r\n\r\nhello", 0},
    {400,
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {400,
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
     0},
    {400,
     POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0},
    {501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: identity\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 0},
    {501, POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding: \x0b\x63hunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 0},
    {400, POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 0},
    {400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    /* Expect */
    {417, POST "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n", 0},
    {417, POST "Expect: 100-continue, x\r\nContent-Length: 5\r\n\r\n", 0},
    {417, POST "Expect:\r\nContent-Length: 5\r\n\r\n", 0},
    {417, POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", 0},
    /* chunks */
    {400, CHUNKED "\r\n", 0},
    {400, CHUNKED "g\r\n", 0},
    {400, CHUNKED "-1\r\n", 0},
    {400, CHUNKED "+1\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "0x1\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED " 1\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1 \r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1\r\na\n0\r\n\r\n", 0},
    {400, CHUNKED "1\r\nab\r\n0\r\n\r\n", 0},
    {400, CHUNKED "2\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1\r\na0\r\n\r\n", 0},
    {400, CHUNKED "1\r\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1;a\nb\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1;a\rb\r\na\r\n0\r\n\r\n", 0},
    {400, CHUNKED "1;a\x01\r\na\r\n0\r\n\r\n", 0},
    {400, BYTES(CHUNKED "1;a=\0\r\na\r\n0\r\n\r\n")},
    {400, CHUNKED "10000000000000000\r\n", 0},
    {400, CHUNKED "fffffffffffffffff\r\n", 0},
    {400, CHUNKED "0\n\r\n", 0},
    {400, CHUNKED "0\r\n\n", 0},
    {400, CHUNKED "0\r\n\rX", 0},
    {400, CHUNKED "0\r\nX: y\n\r\n", 0},
    {400, CHUNKED "0\r\nX: y\r\n\rZ", 0},
    {400, CHUNKED "0\r\nX: y\rz\r\n\r\n", 0},
    {400, CHUNKED "0\r\nX: \x01\r\n\r\n", 0},
    {400, CHUNKED "0\r\n(: y\r\n\r\n", 0},
    /* another protocol */
    {400, BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
    {400, BYTES("\0")},
    {400, "SSH-2.0-x\r\n", 0},
};

static void malformed_requests_are_refused_however_they_are_cut(void **state)
{
    size_t n_failed = 0;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = bad[i].len ? bad[i].len : strlen(bad[i].in);
        struct outcome outcome;

        parse_all_ways(&outcome, bad[i].in, len);
        if (outcome.error != bad[i].status) {
            print_message("%s -> %d %s, not %d\n", bad[i].in, outcome.error,
                          outcome.error ? outcome.reason : outcome.text, bad[i].status);
            n_failed++;
        }
    }
    print_message("%zu malformed requests\n", sizeof bad / sizeof *bad);
    assert_int_equal(n_failed, 0);
}

static void a_good_request_before_a_bad_one_is_served(void **state)
{
    static const char expected[] = "GET /good ? 1.1 1 keep:\n";
    char data[4096];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t len = bad[i].len ? bad[i].len : strlen(bad[i].in);
        struct outcome outcome;

        memcpy(data, GOOD, strlen(GOOD));
        memcpy(data + strlen(GOOD), bad[i].in, len);
        parse_all_ways(&outcome, data, strlen(GOOD) + len);
        assert_int_equal(outcome.error, bad[i].status);
        assert_memory_equal(outcome.text, expected, strlen(expected));
    }
}

static void after_an_error_nothing_is_parsed(void **state)
{
    struct http_parser *parser = http_parser_new(&limits);
    const char *body;
    size_t used, body_len;

    (void)state;
    assert_int_equal(http_parse(parser, "\n", 1, &used, &body, &body_len), HTTP_ERROR);
    assert_int_equal(http_parse(parser, GOOD, strlen(GOOD), &used, &body, &body_len),
                     HTTP_ERROR);
    assert_int_equal(used, 0);
    http_parser_free(parser);
}

/* ---- limits: T07, C20 */

static char *fill(char *at, char c, size_t n)
{
    memset(at, c, n);
    return at + n;
}

static char *append(char *at, const char *text)
{
    return (char *)memcpy(at, text, strlen(text)) + strlen(text);
}

static int error_of(const char *data, const char *end)
{
    struct outcome outcome;

    parse_all_ways(&outcome, data, (size_t)(end - data));
    return outcome.error;
}

static void a_target_may_have_8_kb_and_no_byte_more(void **state)
{
    static char data[32768];

    (void)state;
    for (int more = -1; more <= 1; more++) {
        char *at = append(data, "GET /");

        at = fill(at, 'a', limits.max_target_bytes - 1 + (size_t)more);
        at = append(at, " HTTP/1.1\r\n" H "\r\n");
        assert_int_equal(error_of(data, at), more > 0 ? 414 : 0);
    }
}

static void a_head_may_have_16_kb_and_no_byte_more(void **state)
{
    static char data[32768];

    (void)state;
    for (int more = -1; more <= 1; more++) {
        char *at = append(data, GET H "X: ");

        at =
            fill(at, 'a', limits.max_head_bytes - 4 - (size_t)(at - data) + (size_t)more);
        at = append(at, "\r\n\r\n");
        assert_int_equal(at - data, limits.max_head_bytes + (size_t)more);
        assert_int_equal(error_of(data, at), more > 0 ? 431 : 0);
    }
}

static void a_head_may_have_100_headers(void **state)
{
    static const size_t counts[] = {0, 98, 99, 100, 2000};
    static char data[32768];

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char *at = append(data, GET H);

        for (size_t n = 0; n < counts[i]; n++)
            at = append(at, "A:b\r\n");
        at = append(at, "Connection: upgrade\r\n\r\n"); /* C20: the last one counts */
        assert_int_equal(error_of(data, at), counts[i] + 2 > 100 ? 431 : 0);
    }
}

static void an_endless_first_line_is_refused_early(void **state)
{
    static char data[32768];
    char *at = append(data, "GET /");

    (void)state;
    at = fill(at, 'a', 9000);
    assert_int_equal(error_of(data, at), 414);
    at = append(data, GET);
    at = fill(at, 'a', 17000);
    assert_int_equal(error_of(data, at), 431);
}

/* C25: what surrounds chunks is bounded too */
static void chunk_framing_is_bounded(void **state)
{
    static char data[65536];
    char *at = append(data, CHUNKED "1;");
    struct outcome outcome;

    (void)state;
    at = fill(at, 'a', 17000);
    assert_int_equal(error_of(data, at), 400);

    at = append(data, CHUNKED);
    at = fill(at, '0', 17000);
    assert_int_equal(error_of(data, at), 400);

    at = append(data, CHUNKED "0\r\nX: ");
    at = fill(at, 'a', 17000);
    assert_int_equal(error_of(data, at), 400);

    at = append(data, CHUNKED);
    for (int i = 0; i < 1000; i++)
        at = append(at, "1\r\na\r\n");
    at = append(at, "0\r\n\r\n");
    parse(&outcome, data, (size_t)(at - data), SIZE_MAX);
    assert_int_equal(outcome.error, 0);
}

/* C19: time grows with the bytes, not with their square: this would not end otherwise */
static void a_list_of_blanks_and_commas_costs_its_length(void **state)
{
    static char data[32768];
    char *at = append(data, GET H "Connection: ");

    (void)state;
    while (at < data + 16000)
        at = append(at, " ,");
    at = append(at, "upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_int_equal(error_of(data, at), 0);
}

static void headers_are_found_by_name(void **state)
{
    static const char data[] = GET H "X-A: 1\r\nx-b: \r\nX-A: 2\r\n\r\n";
    struct http_parser *parser = http_parser_new(&limits);
    const struct http_request *request;
    const char *body;
    size_t used, body_len, n;

    (void)state;
    assert_false(http_parser_has_begun(parser));
    assert_int_equal(http_parse(parser, "\r\n", 2, &used, &body, &body_len), HTTP_MORE);
    assert_false(http_parser_has_begun(parser));
    assert_int_equal(http_parse(parser, data, 1, &used, &body, &body_len), HTTP_MORE);
    assert_true(http_parser_has_begun(parser));
    assert_int_equal(
        http_parse(parser, data + 1, strlen(data) - 1, &used, &body, &body_len),
        HTTP_HEAD_DONE);
    request = http_parser_request(parser);
    assert_string_equal(http_header(request, "host", &n), "a");
    assert_int_equal(n, 1);
    assert_string_equal(http_header(request, "x-a", &n), "1");
    assert_int_equal(n, 2);
    assert_string_equal(http_header(request, "x-b", NULL), "");
    assert_null(http_header(request, "x", &n));
    assert_int_equal(n, 0);
    assert_string_equal(request->target.text, "/");
    http_parser_free(parser);
    http_parser_free(NULL);
}

static void reasons_are_those_of_the_standard(void **state)
{
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(799), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_requests_are_understood_however_they_are_cut),
        cmocka_unit_test(malformed_requests_are_refused_however_they_are_cut),
        cmocka_unit_test(a_good_request_before_a_bad_one_is_served),
        cmocka_unit_test(after_an_error_nothing_is_parsed),
        cmocka_unit_test(a_target_may_have_8_kb_and_no_byte_more),
        cmocka_unit_test(a_head_may_have_16_kb_and_no_byte_more),
        cmocka_unit_test(a_head_may_have_100_headers),
        cmocka_unit_test(an_endless_first_line_is_refused_early),
        cmocka_unit_test(chunk_framing_is_bounded),
        cmocka_unit_test(a_list_of_blanks_and_commas_costs_its_length),
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(reasons_are_those_of_the_standard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
