/*
 * test_http.c - the HTTP codec (core/net/http.c): what it understands of good requests,
 * however they are cut. What it refuses is in test_badhttp.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/http_outcome.h"

#define H "Host: a\r\n"
#define GOOD "GET /good HTTP/1.1\r\n" H "\r\n"

static const char *method_names[] = {"GET", "HEAD", "POST", "OPTIONS", "OTHER"};

/* One line a request. */
static void note_head(struct outcome *outcome, const struct http_request *request)
{
    char line[512];

    snprintf(line, sizeof line,
             "%s %.100s ?%.100s 1.%d %zu%s%s%s:", method_names[request->method],
             request->path.text, request->query.text, request->minor, request->n_headers,
             request->keep_alive ? " keep" : "", request->is_websocket ? " ws" : "",
             request->expects_continue ? " continue" : "");
    note(outcome, line, strlen(line));
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
    struct outcome outcome = {.on_head = note_head, .end = "\n"};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse_all_ways(&outcome, rows[i].in, strlen(rows[i].in));
        if (outcome.error || strcmp(outcome.text, rows[i].out) != 0)
            print_message("%s -> %d %s\n", rows[i].in, outcome.error,
                          outcome.error ? outcome.reason : "");
        assert_int_equal(outcome.error, 0);
        assert_string_equal(outcome.text, rows[i].out);
    }
    outcome_done(&outcome);
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

static void headers_are_found_by_name(void **state)
{
    static const char data[] = "GET / HTTP/1.1\r\n" H "X-A: 1\r\nx-b: \r\nX-A: 2\r\n\r\n";
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
        cmocka_unit_test(after_an_error_nothing_is_parsed),
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(reasons_are_those_of_the_standard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
