/*
 * fuzz_json.c - the JSON scanner (core/socketio/json.c) beside jansson: C50, T08, T09.
 *
 * Input: a text; what is not UTF-8 never reaches the scanner and is left out. Properties:
 *   - scanner and jansson agree on what is JSON. Named exceptions: numbers that no double
 *     holds, \u0000 and halves of surrogate pairs, which the scanner leaves to whoever
 *     reads the value; more than 400 characters a number, 2,048 levels; a NUL byte, which
 *     jansson overlooks behind a word or a number;
 *   - max_values and max_depth take exactly what they say, and one less is refused;
 *   - the spans of an array's elements are what jansson finds there;
 *   - a string's escapes mean what they mean to jansson; a quoted text reads back.
 * Thread: main.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/socketio/json.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "json";

enum { MAX_SPANS = 64 };

static const struct json_limits wide = {.max_depth = 1024, .max_values = 10000000};

/* ---- what jansson says */

static json_t *load(const char *text, size_t len, json_error_t *error)
{
    return json_loadb(text, len,
                      JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, error);
}

/* jansson's complaint is one of those that are not about grammar. */
static bool is_about_meaning(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
    case json_error_stack_overflow:
    case json_error_null_byte_in_key:
        return true;
    default:
        return strncmp(error->text, "invalid Unicode '\\u", 19) == 0;
    }
}

/* Values of the text, counted by its own rules: jansson merges keys that stand twice. */
static void measure(const json_t *value, size_t depth, size_t *n_values,
                    size_t *max_depth)
{
    const char *key;
    json_t *member;
    size_t i;

    ++*n_values;
    if (json_is_array(value) || json_is_object(value))
        depth++;
    if (depth > *max_depth)
        *max_depth = depth;
    if (json_is_array(value)) {
        json_array_foreach(value, i, member) measure(member, depth, n_values, max_depth);
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)(size_t)value, key, member)
            measure(member, depth, n_values, max_depth);
    }
}

static bool has_repeated_keys(const char *text, size_t len)
{
    json_error_t error;
    json_t *value = json_loadb(text, len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL |
                                   JSON_DECODE_INT_AS_REAL | JSON_REJECT_DUPLICATES,
                               &error);

    json_decref(value);
    return !value;
}

static bool has_long_number(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        n = text[i] && strchr("0123456789.eE+-", text[i]) ? n + 1 : 0;
        if (n > 400)
            return true;
    }
    return false;
}

/* ---- the properties */

static void check_limits(const char *text, size_t len, const json_t *value)
{
    size_t n_values = 0, depth = 0;
    struct json_limits limits = wide;

    measure(value, 0, &n_values, &depth);
    if (depth > wide.max_depth || has_repeated_keys(text, len))
        return;
    limits.max_values = n_values;
    FUZZ_CHECK(json_scan(text, len, &limits) == JSON_OK, "max_values takes so many");
    limits.max_values = n_values - 1;
    FUZZ_CHECK(json_scan(text, len, &limits) == JSON_TOO_MANY,
               "max_values refuses one more");
    limits.max_values = n_values;
    limits.max_depth = depth;
    FUZZ_CHECK(json_scan(text, len, &limits) == JSON_OK, "max_depth takes so many");
    if (depth == 0)
        return;
    limits.max_depth = depth - 1;
    FUZZ_CHECK(json_scan(text, len, &limits) == JSON_TOO_DEEP,
               "max_depth refuses one more");
}

static void check_quoted(const char *text, size_t len)
{
    char *quoted = malloc(6 * len + 3); /* exactly what is promised to suffice */
    size_t quoted_len = json_quote(text, len, quoted);
    char *copy = fuzz_copy(quoted, quoted_len);
    json_error_t error;
    json_t *value = load(copy, quoted_len, &error);

    FUZZ_CHECK(quoted_len < 6 * len + 3, "a quoted text fits");
    FUZZ_CHECK(json_scan(copy, quoted_len, &wide) == JSON_OK, "a quoted text is JSON");
    FUZZ_CHECK(value && json_string_length(value) == len &&
                   memcmp(json_string_value(value), text, len) == 0,
               "a quoted text reads back");
    if (!memchr(text, '\0', len)) {
        struct json_span span = {0, (uint32_t)quoted_len};
        char *plain = malloc(quoted_len);

        FUZZ_CHECK(json_unescape(copy, span, plain) == (long)len &&
                       memcmp(plain, text, len) == 0,
                   "a quoted text unescapes to itself");
        free(plain);
    }
    json_decref(value);
    free(copy);
    free(quoted);
}

static void check_string(const char *text, struct json_span span, const json_t *value)
{
    char *plain = malloc(span.to - span.from); /* exactly what is promised to suffice */
    long len = json_unescape(text, span, plain);
    size_t value_len = json_string_length(value);

    if (len < 0)
        FUZZ_CHECK(memchr(json_string_value(value), '\0', value_len),
                   "a string that jansson takes is refused for its NUL only");
    else
        FUZZ_CHECK((size_t)len == value_len &&
                       memcmp(plain, json_string_value(value), value_len) == 0,
                   "escapes mean what they mean to jansson");
    free(plain);
}

/* Whatever the string: in bounds and well-formed. */
static void check_any_string(const char *text, struct json_span span)
{
    char *plain = malloc(span.to - span.from);
    long len = json_unescape(text, span, plain);

    FUZZ_CHECK(len < 0 ||
                   ((size_t)len < span.to - span.from &&
                    utf8_is_valid(plain, (size_t)len) && strlen(plain) == (size_t)len),
               "an unescaped string is UTF-8 without NUL");
    free(plain);
}

static bool unescapes(const char *text, struct json_span span)
{
    char *plain = malloc(span.to - span.from);
    bool does = json_unescape(text, span, plain) >= 0;

    free(plain);
    return does;
}

static void check_span(const char *text, struct json_span span, const json_t *expected)
{
    size_t len = span.to - span.from;
    char *copy = fuzz_copy(text + span.from, len);
    json_error_t error;
    json_t *value = load(copy, len, &error);

    FUZZ_CHECK(json_scan(copy, len, &wide) == JSON_OK, "an element is JSON by itself");
    if (expected) {
        FUZZ_CHECK(value && json_equal(value, expected),
                   "an element's span holds the element");
        if (*copy == '"')
            check_string(text, span, expected);
    }
    if (*copy == '"')
        check_any_string(text, span);
    if (*copy == '"' && !value)
        FUZZ_CHECK(!unescapes(text, span), "what jansson refuses in a string, we do");
    json_decref(value);
    free(copy);
}

static void check_array(const char *text, size_t len, enum json_result result,
                        const json_t *value)
{
    struct json_span spans[MAX_SPANS];
    size_t n, most, n_again;
    enum json_result found = json_scan_array(text, len, &wide, spans, MAX_SPANS, &n);

    FUZZ_CHECK(found == result || (result == JSON_OK && found == JSON_NOT_ARRAY),
               "both scans agree");
    if (found == JSON_NOT_ARRAY && value)
        FUZZ_CHECK(!json_is_array(value), "an array is taken for one");
    if (found != JSON_OK)
        return;
    FUZZ_CHECK(!value || (json_is_array(value) && json_array_size(value) == n),
               "jansson finds as many elements");
    FUZZ_CHECK(json_scan_array(text, len, &wide, NULL, 0, &n_again) == JSON_OK &&
                   n_again == n,
               "the number of elements does not depend on the room for spans");
    most = n < MAX_SPANS ? n : MAX_SPANS;
    for (size_t i = 0; i < most; i++) {
        FUZZ_CHECK(spans[i].from < spans[i].to && spans[i].to <= len &&
                       (i == 0 || spans[i - 1].to < spans[i].from),
                   "spans lie in order within the text");
        check_span(text, spans[i], value ? json_array_get(value, i) : NULL);
    }
}

void fuzz_one(const char *input, size_t len)
{
    enum json_result result;
    json_error_t error;
    json_t *value;

    if (!utf8_is_valid(input, len))
        return;
    json_object_seed(1); /* the same tables each time */
    result = json_scan(input, len, &wide);
    value = load(input, len, &error);
    if (result == JSON_OK && !value)
        FUZZ_CHECK(is_about_meaning(&error), "jansson takes what the scanner takes");
    if (result == JSON_BAD && value)
        FUZZ_CHECK(has_long_number(input, len) || memchr(input, '\0', len),
                   "the scanner takes what jansson takes");
    if (result == JSON_TOO_DEEP || result == JSON_TOO_MANY)
        FUZZ_CHECK(len > 1024, "the widest limits are far");
    if (result == JSON_OK && value)
        check_limits(input, len, value);
    check_array(input, len, result, value);
    check_quoted(input, len);
    json_decref(value);
}
