/*
 * test_opening.c - what the first request of a session said: the handshake's headers and
 * query, as the reference has them, from odd input as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/net/http.h"
#include "core/socketio/opening.h"

static struct http_span span(const char *text)
{
    return (struct http_span){text, strlen(text)};
}

/* headers: name and value by turns, NULL behind the last. */
static struct bytes *opening(const char *target, const char *const *headers)
{
    struct http_header list[16];
    struct http_request request = {.target = span(target), .headers = list};
    struct bytes *packed;

    for (; headers && headers[2 * request.n_headers]; request.n_headers++)
        list[request.n_headers] =
            (struct http_header){span(headers[2 * request.n_headers]),
                                 span(headers[2 * request.n_headers + 1])};
    packed = opening_pack(&request);
    assert_non_null(packed);
    return packed;
}

static void expect_json(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void parameters_are_decoded(void **state)
{
    static const struct {
        const char *target, *query;
    } rows[] = {
        {"/", "{}"},
        {"/?", "{}"},
        {"/?a=1", "{\"a\":\"1\"}"},
        {"/?a=1&b=&c&=d&", "{\"\":\"d\",\"a\":\"1\",\"b\":\"\",\"c\":\"\"}"},
        {"/?a=x+y%20z%2B", "{\"a\":\"x y z+\"}"},
        {"/?a%3db=%C3%BC", "{\"a=b\":\"\xc3\xbc\"}"},
        {"/?a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}"},
        {"/?a=%", "{\"a\":\"%\"}"},
        {"/?a=%4", "{\"a\":\"%4\"}"},
        {"/?a=%zz&b=%41", "{\"a\":\"%zz\",\"b\":\"A\"}"},
        {"/?a=%ff%C3", "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\"}"},
        {"/?a=%00b", "{\"a\":\"\\u0000b\"}"},
        {"/?a=1?b=2#c", "{\"a\":\"1?b=2\"}"},
        {"/?__proto__=1", "{\"__proto__\":\"1\"}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes *packed = opening(rows[i].target, NULL);

        assert_string_equal(opening_url(packed), rows[i].target);
        expect_json(opening_query(packed), rows[i].query);
        bytes_unref(packed);
    }
}

static void a_later_query_wins_over_an_earlier(void **state)
{
    struct bytes *packed = opening("/?a=1&b=2&b=3", NULL);
    json_t *query = opening_query(packed);

    (void)state;
    opening_add_query(query, "b=4&c=5&c=6", 11);
    expect_json(query, "{\"a\":\"1\",\"b\":\"4\",\"c\":[\"5\",\"6\"]}");
    bytes_unref(packed);
}

static void headers_are_as_in_node(void **state)
{
    static const char *const headers[] = {
        "Host",    "a",       "X-One", "1",          "x-one",   "2",          "Cookie",
        "a=1",     "COOKIE",  "b=2",   "User-Agent", "me",      "user-agent", "you",
        "X-Latin", "caf\xe9", "X-Utf", "\xc3\xbc",   "X-Empty", "",           NULL};
    struct bytes *packed = opening("/", headers);

    (void)state;
    expect_json(opening_headers(packed),
                "{\"cookie\":\"a=1; b=2\",\"host\":\"a\",\"user-agent\":\"me\","
                "\"x-empty\":\"\",\"x-latin\":\"caf\xc3\xa9\",\"x-one\":\"1, 2\","
                "\"x-utf\":\"\xc3\xbc\"}");
    bytes_unref(packed);
}

static void the_handshake_has_all_of_it(void **state)
{
    static const char *const headers[] = {"Origin", "https://a.example", NULL};
    struct bytes *packed = opening("/x?EIO=4", headers);
    json_t *auth = json_pack("{si}", "token", 1);

    (void)state;
    expect_json(
        opening_handshake(packed, "::1", 1700000000123, auth),
        "{\"address\":\"::1\",\"auth\":{\"token\":1},\"headers\":{\"origin\":"
        "\"https://a.example\"},\"issued\":1700000000123,\"query\":{\"EIO\":\"4\"},"
        "\"secure\":false,\"time\":\"Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated "
        "Universal Time)\",\"url\":\"/x?EIO=4\",\"xdomain\":true}");
    json_decref(auth);
    bytes_unref(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(a_later_query_wins_over_an_earlier),
        cmocka_unit_test(headers_are_as_in_node),
        cmocka_unit_test(the_handshake_has_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
