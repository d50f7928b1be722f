/*
 * test_uri.c - percent-decoding and query parameters (core/net/uri.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/net/uri.h"

#define BAD NULL

static void a_path_is_decoded_once(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"/", "/"},
        {"/a%20b", "/a b"},
        {"/a+b", "/a+b"},
        {"/%41%7e", "/A~"},
        {"/%2e%2E/x", "/../x"},
        {"/%252e", "/%2e"},
        {"/%C3%A9", "/\xc3\xa9"},
        {"/\xc3\xa9", "/\xc3\xa9"},
        {"/%", BAD},
        {"/%4", BAD},
        {"/%zz", BAD},
        {"/%4g", BAD},
        {"/%00", BAD},
        {"/%0a", BAD},
        {"/%1f", BAD},
        {"/%7f", BAD},
        {"/%c0%af", BAD},
        {"/%ff", BAD},
        {"/%ed%a0%80", BAD},
        {"/%c3", BAD},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long len = uri_decode(rows[i].in, strlen(rows[i].in), out, sizeof out);

        if (!rows[i].out) {
            assert_int_equal(len, -1);
            continue;
        }
        assert_int_equal(len, strlen(rows[i].out));
        assert_string_equal(out, rows[i].out);
    }
    assert_int_equal(uri_decode("a\0b", 3, out, sizeof out), -1);
}

static void a_path_longer_than_the_buffer_is_refused(void **state)
{
    char out[4];

    (void)state;
    assert_int_equal(uri_decode("abc", 3, out, sizeof out), 3);
    assert_int_equal(uri_decode("abcd", 4, out, sizeof out), -1);
    assert_int_equal(uri_decode("%61%62%63", 9, out, sizeof out), 3);
}

/* C07: parameters twice, empty, long, with names that mean something elsewhere */
static void a_parameter_is_found_once_or_not_at_all(void **state)
{
    static const struct {
        const char *query, *name;
        long len;
        const char *value;
    } rows[] = {
        {"", "sid", -1, ""},
        {"&&&", "sid", -1, ""},
        {"EIO=4&transport=polling", "EIO", 1, "4"},
        {"EIO=4&transport=polling", "transport", 7, "polling"},
        {"EIO=4&transport=polling", "sid", -1, ""},
        {"sid", "sid", 0, ""},
        {"sid=", "sid", 0, ""},
        {"sid=&x", "sid", 0, ""},
        {"a=b=c", "a", 3, "b=c"},
        {"a=b+c%20d", "a", 5, "b c d"},
        {"%61=1", "a", 1, "1"},
        {"xa=1&a=2", "a", 1, "2"},
        {"ax=1&a=2", "a", 1, "2"},
        {"=1&a=2", "a", 1, "2"},
        {"EIO=4&EIO=4", "EIO", 1, "4"},
        {"EIO=4&EIO=%34", "EIO", 1, "4"},
        {"EIO=4&EIO=3", "EIO", -2, ""},
        {"EIO=4&EIO=44", "EIO", -2, ""},
        {"EIO=44&EIO=4", "EIO", -2, ""},
        {"EIO=4&EIO", "EIO", -2, ""},
        {"sid=%zz", "sid", -2, ""},
        {"sid=%00", "sid", -2, ""},
        {"sid=a%0d%0ab", "sid", -2, ""},
        {"sid=%ff", "sid", -2, ""},
        {"sid=0123456789", "sid", 10, "0123456789"},
        {"sid=0123456789012345678901234567890123456789", "sid", -2, ""},
        {"%zz=1&sid=2", "sid", 1, "2"},
        {"__proto__=1&constructor=2", "sid", -1, ""},
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long len = uri_query_get(rows[i].query, strlen(rows[i].query), rows[i].name, out,
                                 sizeof out);

        if (len != rows[i].len)
            print_message("%s %s\n", rows[i].query, rows[i].name);
        assert_int_equal(len, rows[i].len);
        if (len >= 0)
            assert_string_equal(out, rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_decoded_once),
        cmocka_unit_test(a_path_longer_than_the_buffer_is_refused),
        cmocka_unit_test(a_parameter_is_found_once_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
