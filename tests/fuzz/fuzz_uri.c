/*
 * fuzz_uri.c - percent-decoding and query parameters (core/net/uri.c): T28, C25.
 *
 * Input: the name of a parameter, a line feed, a query (which is taken for a path too).
 * Properties:
 *   - what decodes is UTF-8 without control bytes and, encoded again in the plainest form,
 *     decodes to itself;
 *   - room for the length and a NUL suffices, less is refused and nothing written beyond;
 *   - a decoder that takes step by step, and splits a query first, finds the same.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/net/uri.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "uri";

static void check_decoded(const char *out, size_t len)
{
    FUZZ_CHECK(strlen(out) == len && utf8_is_valid(out, len),
               "what decodes is UTF-8 without NUL");
    for (size_t i = 0; i < len; i++)
        FUZZ_CHECK((unsigned char)out[i] >= 0x20 && out[i] != 0x7f,
                   "what decodes has no control byte");
}

/* Every byte as %XX: free(text). */
static struct fuzz_text encode(const char *text, size_t len)
{
    struct fuzz_text out = {0};

    fuzz_put(&out, "", 0);
    for (size_t i = 0; i < len; i++)
        fuzz_print(&out, i % 2 ? "%%%02x" : "%%%02X", (unsigned char)text[i]);
    return out;
}

/* ---- the slow decoder: RFC 3986 2.1, step by step */

/* out: len + 1 bytes. The length, or -1. */
static long decode_slowly(const char *text, size_t len, bool plus_is_blank, char *out)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    long n = 0;

    for (size_t i = 0; i < len; i++) {
        char code[3] = {0};
        char c = text[i];

        if (c == '%') {
            if (len - i < 3)
                return -1;
            memcpy(code, text + i + 1, 2);
            if (strlen(code) != 2 || strspn(code, digits) != 2)
                return -1;
            c = (char)strtol(code, NULL, 16);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return -1;
        out[n++] = c;
    }
    out[n] = '\0';
    return utf8_is_valid(out, (size_t)n) ? n : -1;
}

static void check_path(const char *text, size_t len)
{
    char *out = malloc(len + 1); /* exactly what is promised to suffice */
    long n = uri_decode(text, len, out, len + 1);

    char *slow = malloc(len + 1);

    FUZZ_CHECK(n == decode_slowly(text, len, false, slow) &&
                   (n < 0 || !strcmp(out, slow)),
               "a path decodes as a slow decoder decodes it");
    free(slow);
    if (n >= 0) {
        struct fuzz_text encoded = encode(out, (size_t)n);
        char *again = malloc((size_t)n + 1);

        check_decoded(out, (size_t)n);
        FUZZ_CHECK(uri_decode(encoded.text, encoded.len, again, (size_t)n + 1) == n &&
                       strcmp(again, out) == 0,
                   "what decodes encodes and decodes to itself");
        FUZZ_CHECK(uri_decode(encoded.text, encoded.len, again, (size_t)n) == -1,
                   "what does not fit is refused");
        free(again);
        free(encoded.text);
    }
    free(out);
}

/* As uri_query_get() promises. out: len + 1 bytes. */
static long find_slowly(const char *query, size_t len, const char *name, char *out)
{
    const char *at = query, *end = query + len;
    long found = -1;

    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        const char *equals, *value;
        char *key, *text;
        long key_len, n;

        stop = stop ? stop : end;
        equals = memchr(at, '=', (size_t)(stop - at));
        value = equals ? equals + 1 : stop;
        key = malloc((size_t)(stop - at) + 1);
        text = malloc((size_t)(stop - value) + 1);
        key_len = decode_slowly(at, (size_t)((equals ? equals : stop) - at), true, key);
        n = decode_slowly(value, (size_t)(stop - value), true, text);
        if (key_len >= 0 && strcmp(key, name) == 0) {
            if (n < 0 || (found >= 0 && strcmp(out, text) != 0))
                found = -2;
            else if (found == -1)
                memcpy(out, text, (size_t)(found = n) + 1);
        }
        free(key);
        free(text);
        if (found == -2)
            break;
        at = stop + 1;
    }
    return found;
}

static void check_query(const char *name, const char *query, size_t len)
{
    char *out = malloc(len + 1), *slow = malloc(len + 1);
    long n = uri_query_get(query, len, name, out, len + 1);
    long expected = find_slowly(query, len, name, slow);

    FUZZ_CHECK(n == expected, "a parameter is found as a slow decoder finds it");
    if (n >= 0) {
        check_decoded(out, (size_t)n);
        FUZZ_CHECK(strcmp(out, slow) == 0, "its value is what a slow decoder finds");
        FUZZ_CHECK(uri_query_get(query, len, name, out, (size_t)n) == -2,
                   "a value that does not fit is refused");
    }
    free(out);
    free(slow);
}

void fuzz_one(const char *input, size_t len)
{
    const char *stop = memchr(input, '\n', len);
    const char *query = stop ? stop + 1 : input;
    size_t query_len = len - (size_t)(query - input);
    char *copy = fuzz_copy(query, query_len);
    struct fuzz_text name = {0};

    fuzz_put(&name, input, stop ? (size_t)(stop - input) : 0);
    check_path(copy, query_len);
    if (utf8_is_valid(name.text, strlen(name.text))) /* names are ours: text */
        check_query(name.text, copy, query_len);
    free(name.text);
    free(copy);
}
