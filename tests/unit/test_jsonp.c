/*
 * test_jsonp.c - polling by scripts and forms (core/engine/jsonp.c), by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/engine/jsonp.h"

static void only_digits_of_the_index_count(void **state)
{
    static const struct {
        const char *text;
        const char *script; /* NULL: too many */
    } rows[] = {
        {"0", "___eio[0](\"\");"},
        {"17", "___eio[17](\"\");"},
        {"007", "___eio[007](\"\");"},
        {"", "___eio[](\"\");"},
        {"abc", "___eio[](\"\");"},
        {"1];alert(2);[", "___eio[12](\"\");"},
        {"-1", "___eio[1](\"\");"},
        {"99999999", "___eio[99999999](\"\");"},
        {"00000000", "___eio[00000000](\"\");"},
        {"100000000", NULL},
        {"000000000", NULL},
        {"4294967296", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jsonp_index index;
        char out[64];
        size_t len;

        assert_int_equal(jsonp_index_read(rows[i].text, strlen(rows[i].text), &index),
                         rows[i].script != NULL);
        if (!rows[i].script)
            continue;
        assert_true(index.is_given);
        len = jsonp_write(index, "", 0, out);
        assert_int_equal(len, strlen(rows[i].script));
        assert_memory_equal(out, rows[i].script, len);
    }
}

static void a_payload_is_a_string_of_the_script(void **state)
{
    static const struct {
        const char *payload;
        size_t len;
        const char *string;
    } rows[] = {
#define ROW(payload, string) {payload, sizeof payload - 1, string}
        ROW("", ""),
        ROW("6:4hello", "6:4hello"),
        ROW("0{\"sid\":\"x\"}", "0{\\\"sid\\\":\\\"x\\\"}"),
        ROW("4a\x1e"
            "4b",
            "4a\\u001e4b"),
        ROW("\\n\n", "\\\\n\\n"),
        ROW("\b\t\n\f\r\v", "\\b\\t\\n\\f\\r\\u000b"),
        ROW("\0\1\x1f\x7f", "\\u0000\\u0001\\u001f\x7f"),
        ROW("\xe2\x80\xa8|\xe2\x80\xa9", "\\u2028|\\u2029"),
        ROW("\xe2\x80\xa7\xe2\x80\xaa\xe2\x81\xa8",
            "\xe2\x80\xa7\xe2\x80\xaa\xe2\x81\xa8"),
        ROW("\xf0\x9f\x98\x80</script>'", "\xf0\x9f\x98\x80</script>'"),
#undef ROW
    };
    struct jsonp_index index;

    (void)state;
    assert_true(jsonp_index_read("4", 1, &index));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = jsonp_write(index, rows[i].payload, rows[i].len, NULL);
        char *out = malloc(len); /* exactly */

        assert_int_equal(len, strlen(rows[i].string) + 14);
        assert_int_equal(jsonp_write(index, rows[i].payload, rows[i].len, out), len);
        assert_memory_equal(out, "___eio[4](\"", 11);
        assert_memory_equal(out + 11, rows[i].string, len - 14);
        assert_memory_equal(out + len - 3, "\");", 3);
        free(out);
    }
}

static void the_field_d_of_a_form_is_the_payload(void **state)
{
    static const struct {
        const char *form;
        const char *payload; /* NULL: refused */
    } rows[] = {
        {"d=6%3A4hello", "6:4hello"},
        {"d=6:4hello", "6:4hello"},
        {"a=b&d=1%3a2&c", "1:2"},
        {"d=", ""},
        {"d=a+b%2Bc", "a b+c"},
        {"d=%E2%82%AC", "\xe2\x82\xac"},
        /* line feeds: \n is one, \\n is \n, other backslashes stay */
        {"d=a%5Cnb", "a\nb"},
        {"d=a%5C%5Cnb", "a\\nb"},
        {"d=a%5C%5C%5Cnb", "a\\\\nb"},
        {"d=a%5C%5C%5C%5Cnb", "a\\\\\\nb"},
        {"d=%5C%22%5C%5C%5C", "\\\"\\\\\\"},
        {"d=%5Cn%5C%5Cn%5Cn", "\n\\n\n"},
        {"d=a%0Ab", "a\nb"},
        /* refused */
        {"", NULL},
        {"d", NULL},
        {"dd=1", NULL},
        {"D=1", NULL},
        {"6:4hello", NULL},
        {"d=1&d=1", NULL},
        {"d=%", NULL},
        {"d=%4", NULL},
        {"d=%4g", NULL},
        {"d=%u0041", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].form);
        char *out = malloc(len + 1); /* as no size is refused */
        long n = jsonp_read(rows[i].form, len, out);

        assert_int_equal(n, rows[i].payload ? (long)strlen(rows[i].payload) : -1);
        if (n > 0)
            assert_memory_equal(out, rows[i].payload, (size_t)n);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_digits_of_the_index_count),
        cmocka_unit_test(a_payload_is_a_string_of_the_script),
        cmocka_unit_test(the_field_d_of_a_form_is_the_payload),
    };

    return cmocka_run_group_tests_name("jsonp", tests, NULL, NULL);
}
