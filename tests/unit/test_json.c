/*
 * test_json.c - the JSON scanner: by table, cut at every byte, and against jansson.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/base/text.h"
#include "core/socketio/json.h"

static const struct json_limits limits = {64, 10000};

/* Scan a copy of exactly that size, so that a read behind it is seen. */
static enum json_result scan(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    enum json_result result;

    assert_non_null(copy);
    memcpy(copy, text, len);
    result = json_scan(copy, len, &limits);
    free(copy);
    return result;
}

static const char *const good[] = {
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "1.5",
    "-0.0",
    "1e5",
    "1E+5",
    "1e-5",
    "0e0",
    "1e400",
    "18446744073709552000",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\uDFFF\\ud83d\\ude00\"",
    "\"\xf0\x9f\x98\x80\"",
    "\"\x7f\"",
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "{\"a\":{}}",
    "[1,2]",
    "{\"a\":1,\"b\":[2,{\"c\":null}]}",
    "{\"\":1,\"\":2}",
    "{\"__proto__\":{\"polluted\":1}}",
    " \t\r\n[ 1 , { \"a\" : 2 } ] \t\r\n",
};

static const char *const bad[] = {
    "",
    " ",
    "01",
    "-",
    "+1",
    "1.",
    ".5",
    "1e",
    "1e+",
    "0x1",
    "NaN",
    "Infinity",
    "-Infinity",
    "tru",
    "True",
    "nul",
    "nulll",
    "\"",
    "\"a",
    "\"\\\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\n\"",
    "\"\x1f\"",
    "'a'",
    "[",
    "]",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[,]",
    "[1 2]",
    "[1]]",
    "[1}",
    "{",
    "}",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{,}",
    "{a:1}",
    "{1:1}",
    "{\"a\",1}",
    "{\"a\" 1}",
    "{\"a\":1]",
    "[1]x",
    "1 2",
    "\xef\xbb\xbf[]",
    "[\v1]",
    "[1]\f",
    "/**/1",
    "[\"a\":1]",
    "{\"a\":1 \"b\":2}",
    "undefined",
    "\"\\",
    "\"\\u",
};

static void the_grammar_is_that_of_rfc_8259(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (scan(good[i], strlen(good[i])) != JSON_OK)
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (scan(bad[i], strlen(bad[i])) != JSON_BAD)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(scan("\"\0\"", 3), JSON_BAD);
    assert_int_equal(scan("1\0", 2), JSON_BAD);
    assert_int_equal(scan("[1\0]", 4), JSON_BAD);
    assert_int_equal(scan("\"\\\0\"", 4), JSON_BAD);
}

static void what_is_cut_short_is_refused_at_every_byte(void **state)
{
    static const char *const texts[] = {
        "[\"chat\",{\"a\":[1.5e+3,true,false,null],\"b\\u00e9\":\"\\ud83d\\ude00\"},-12]",
        "{\"k\":[[],{},[{\"x\":\"\\\\\"}]]}",
        "\"\xe2\x82\xac \\\" \\/\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t len = strlen(texts[i]);

        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(scan(texts[i], cut), JSON_BAD);
        assert_int_equal(scan(texts[i], len), JSON_OK);
    }
}

static char *repeat(const char *unit, size_t n, size_t *len)
{
    size_t unit_len = strlen(unit);
    char *text = malloc(n * unit_len + 1);

    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        memcpy(text + i * unit_len, unit, unit_len);
    *len = n * unit_len;
    return text;
}

/* T09, C36 */
static void depth_is_bounded_without_recursion(void **state)
{
    static const size_t depths[] = {65, 1023, 1024, 1025, 5000, 200000};
    const struct json_limits deep = {100000, 1000000};
    char text[2 * 64 + 1];
    size_t len;

    (void)state;
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    assert_int_equal(scan(text, 128), JSON_OK);
    for (size_t i = 0; i < 64; i += 2)
        memcpy(text + i, "[{", 2);
    assert_int_equal(scan(text, 64), JSON_BAD); /* "[{[": a key is due */
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        char *open = repeat("[", depths[i], &len);

        assert_int_equal(scan(open, len), JSON_TOO_DEEP);
        /* A limit above what we can track is no way around it. */
        assert_int_equal(json_scan(open, len, &deep),
                         depths[i] > 1024 ? JSON_TOO_DEEP : JSON_BAD);
        free(open);
        open = repeat("{\"a\":", depths[i], &len);
        assert_int_equal(scan(open, len), JSON_TOO_DEEP);
        free(open);
    }
}

/* T09 */
static void the_number_of_values_is_bounded(void **state)
{
    size_t len;
    char *text = repeat("{},", 400000, &len);

    (void)state;
    memcpy(text, " [ ", 3);
    assert_int_equal(scan(text, len), JSON_TOO_MANY);
    free(text);
    /* The array and 9,999 elements are 10,000 values; one more is too many. */
    text = repeat(",1", 10000, &len);
    text[0] = '[';
    text[2 * 9999] = ']';
    assert_int_equal(scan(text, 2 * 9999 + 1), JSON_OK);
    text[2 * 9999] = ',';
    assert_int_equal(scan(text, len), JSON_TOO_MANY);
    free(text);
    /* Names of members are none. */
    assert_int_equal(json_scan("{\"a\":1,\"b\":2}", 13, &(struct json_limits){1, 3}),
                     JSON_OK);
    assert_int_equal(json_scan("{\"a\":1,\"b\":2}", 13, &(struct json_limits){1, 2}),
                     JSON_TOO_MANY);
}

/* T09 */
static void a_number_has_at_most_400_characters(void **state)
{
    size_t len;
    char *text = repeat("1", 401, &len);

    (void)state;
    assert_int_equal(scan(text, 400), JSON_OK);
    assert_int_equal(scan(text, 401), JSON_BAD);
    text[0] = '-';
    text[1] = '0';
    text[2] = '.';
    assert_int_equal(scan(text, 400), JSON_OK);
    assert_int_equal(scan(text, 401), JSON_BAD);
    free(text);
}

static void expect_spans(const char *text, size_t n_expected, const char *const *expected)
{
    struct json_span spans[8];
    size_t n;

    assert_int_equal(json_scan_array(text, strlen(text), &limits, spans, 8, &n), JSON_OK);
    assert_int_equal(n, n_expected);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(spans[i].to - spans[i].from, strlen(expected[i]));
        assert_memory_equal(text + spans[i].from, expected[i], strlen(expected[i]));
    }
}

static void spans_are_the_elements_without_blanks(void **state)
{
    struct json_span spans[2] = {{7, 7}, {7, 7}};
    size_t n;

    (void)state;
    expect_spans("[]", 0, NULL);
    expect_spans(" [ ] ", 0, NULL);
    expect_spans("[\"chat\"]", 1, (const char *const[]){"\"chat\""});
    expect_spans(
        " [ \"a\" , [1, 2] ,{\"b\" : 3 }, -1.0e5 ,null ] ", 5,
        (const char *const[]){"\"a\"", "[1, 2]", "{\"b\" : 3 }", "-1.0e5", "null"});
    assert_int_equal(json_scan_array("[1,2,3]", 7, &limits, spans, 1, &n), JSON_OK);
    assert_int_equal(n, 3);
    assert_int_equal(spans[0].from, 1);
    assert_int_equal(spans[1].from, 7); /* not written */
    assert_int_equal(json_scan_array("{}", 2, &limits, spans, 2, &n), JSON_NOT_ARRAY);
    assert_int_equal(json_scan_array("1", 1, &limits, spans, 2, &n), JSON_NOT_ARRAY);
    assert_int_equal(json_scan_array("{", 1, &limits, spans, 2, &n), JSON_BAD);
    assert_int_equal(json_scan_array("", 0, &limits, spans, 2, &n), JSON_BAD);
    assert_int_equal(json_scan_array("[1", 2, &limits, spans, 2, &n), JSON_BAD);
    assert_int_equal(json_scan_array("[1,]", 4, &limits, spans, 2, &n), JSON_BAD);
    assert_int_equal(json_scan_array("[1]1", 4, &limits, spans, 2, &n), JSON_BAD);
    assert_int_equal(json_scan_array("[1 1]", 5, &limits, spans, 2, &n), JSON_BAD);
}

static void escapes_are_resolved(void **state)
{
    static const struct {
        const char *quoted, *text; /* NULL: refused */
    } rows[] = {
        {"\"\"", ""},
        {"\"chat\"", "chat"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
        {"\"\\ud83d\\ude00x\"", "\xf0\x9f\x98\x80x"},
        {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"},
        {"\"\\u0000\"", NULL},
        {"\"a\\ud800\"", NULL},
        {"\"\\ud800\\u0041\"", NULL},
        {"\"\\ud800x12345\"", NULL},
        {"\"\\udc00\"", NULL},
        {"\"\\ud83d\\ud83d\\ude00\"", NULL},
    };
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json_span span = {0, (uint32_t)strlen(rows[i].quoted)};
        long len = json_unescape(rows[i].quoted, span, out);

        if (!rows[i].text) {
            assert_int_equal(len, -1);
            continue;
        }
        assert_int_equal(len, strlen(rows[i].text));
        assert_string_equal(out, rows[i].text);
    }
}

static void what_is_quoted_scans_and_resolves_to_itself(void **state)
{
    char text[256], out[6 * 256 + 3], back[sizeof out];

    (void)state;
    for (size_t i = 0; i < 127; i++)
        text[i] = (char)(i + 1);
    memcpy(text + 127, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9);
    for (size_t len = 0; len <= 136; len++) {
        size_t n;
        struct json_span span = {0, 0};

        if (!utf8_is_valid(text, len))
            continue;
        n = json_quote(text, len, out);
        assert_int_equal(n, strlen(out));
        assert_int_equal(scan(out, n), JSON_OK);
        span.to = (uint32_t)n;
        assert_int_equal(json_unescape(out, span, back), len);
        assert_memory_equal(back, text, len);
    }
}

/* Bytes are looked at eight at a time: each of them, at each place of such a word. */
static void every_byte_of_a_string_is_judged_wherever_it_stands(void **state)
{
    enum { MOST = 24 };

    (void)state;
    for (size_t len = 1; len <= MOST; len++)
        for (size_t at = 0; at < len; at++)
            for (int c = 1; c < 0x80; c++) {
                char text[MOST + 2];
                bool is_good = c >= 0x20 && c != '"' && c != '\\';

                memset(text, 'a', sizeof text);
                text[0] = text[len + 1] = '"';
                text[1 + at] = (char)c;
                assert_int_equal(scan(text, len + 2), is_good ? JSON_OK : JSON_BAD);
            }
}

/* ---- against jansson */

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static size_t mutate(char *text, size_t len, size_t cap, uint64_t *seed)
{
    static const char alphabet[] = "{}[],:\"\\0123456789.eE+-truefalsn \t\nubx/";
    size_t at = next_random(seed) % (len + 1);
    char c = alphabet[next_random(seed) % (sizeof alphabet - 1)];

    switch (next_random(seed) % 4) {
    case 0: /* replace */
        if (at < len)
            text[at] = c;
        return len;
    case 1: /* insert */
        if (len == cap)
            return len;
        memmove(text + at + 1, text + at, len - at);
        text[at] = c;
        return len + 1;
    case 2: /* delete */
        if (at == len)
            return len;
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    default: /* double a piece */
        if (at == len || len + (len - at) > cap)
            return len;
        memmove(text + len, text + at, len - at);
        return len + (len - at);
    }
}

/* What is well-formed JSON, and jansson cannot hold. */
static int is_beyond_jansson(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return 1;
    default:
        return strstr(error->text, "invalid Unicode") != NULL;
    }
}

static void compare_with_jansson(const char *text, size_t len, unsigned *n_good)
{
    json_error_t error;
    json_t *tree = json_loadb(text, len, JSON_DECODE_ANY, &error);
    int is_good = scan(text, len) == JSON_OK;

    if (tree && !is_good)
        fail_msg("refused what jansson holds: %.*s", (int)len, text);
    if (!tree && is_good && !is_beyond_jansson(&error))
        fail_msg("accepted what jansson refuses (%s): %.*s", error.text, (int)len, text);
    json_decref(tree);
    *n_good += (unsigned)is_good;
}

static void random_mutations_are_judged_as_jansson_does(void **state)
{
    static const char *const seeds[] = {
        "[\"chat\",{\"a\":[1.5e+3,true],\"b\":\"\\u0041\\n\"},-12,null]",
        "{\"k\":[[],{},[{\"x\":\"\\\\\"}]],\"n\":[0,-0.5,1e9,10]}",
        "[ 1 , 2.25 , \"x\\\"y\" , { \"a\" : false } ]",
        "\"plain \\t text\"",
        "-120.5E-3",
        "[\"a\",\"\\ud83d\\ude00\",{\"__proto__\":1}]",
    };
    uint64_t random = 20260625;
    unsigned n_good = 0;

    (void)state;
    for (unsigned i = 0; i < 60000; i++) {
        char text[256];
        const char *from = seeds[next_random(&random) % (sizeof seeds / sizeof *seeds)];
        size_t len = strlen(from);
        unsigned n_mutations = 1 + next_random(&random) % 4;

        memcpy(text, from, len);
        while (n_mutations-- > 0)
            len = mutate(text, len, sizeof text, &random);
        compare_with_jansson(text, len, &n_good);
    }
    assert_true(n_good > 5000); /* both answers were tried */
    assert_true(n_good < 55000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_grammar_is_that_of_rfc_8259),
        cmocka_unit_test(what_is_cut_short_is_refused_at_every_byte),
        cmocka_unit_test(depth_is_bounded_without_recursion),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(a_number_has_at_most_400_characters),
        cmocka_unit_test(spans_are_the_elements_without_blanks),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(what_is_quoted_scans_and_resolves_to_itself),
        cmocka_unit_test(every_byte_of_a_string_is_judged_wherever_it_stands),
        cmocka_unit_test(random_mutations_are_judged_as_jansson_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
