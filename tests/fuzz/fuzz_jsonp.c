/*
 * fuzz_jsonp.c - scripts and forms of JSONP (core/engine/jsonp.c), beside jansson.
 *
 * Input: a form; an index and a payload. Properties:
 *   - a payload in a form, as engine.io-client 3 and a browser write it, is read again;
 *   - a script's string, read by a JSON parser, is the payload, and holds no byte that ends
 *     a line or the string;
 *   - the index holds digits only.
 * Thread: main.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine/jsonp.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "jsonp";

/* ---- forms */

static void write_form(struct fuzz_text *form, const char *payload, size_t len)
{
    fuzz_put(form, "t=1&d=", 6);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)payload[i];

        if (byte == '\\' && i + 1 < len && payload[i + 1] == 'n') {
            fuzz_put(form, "%5C%5Cn", 7);
            i++;
        } else if (byte == '\n') {
            fuzz_put(form, "%5Cn", 4);
        } else if (byte == ' ') {
            fuzz_put(form, "+", 1);
        } else if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z')) {
            fuzz_put(form, payload + i, 1);
        } else {
            fuzz_print(form, i % 2 ? "%%%02X" : "%%%02x", byte);
        }
    }
}

static void check_form(const char *payload, size_t len)
{
    struct fuzz_text form = {0};
    char *out;
    long n;

    for (size_t i = 1; i < len; i++)
        if (payload[i] == '\n' && payload[i - 1] == '\\')
            return; /* clients write that like a backslash and n */
    write_form(&form, payload, len);
    out = malloc(form.len);
    n = jsonp_read(form.text, form.len, out);
    FUZZ_CHECK(n == (long)len && memcmp(out, payload, len) == 0,
               "what a browser posts is the payload");
    free(out);
    free(form.text);
}

/* ---- scripts */

static void check_script(const char *payload, size_t len)
{
    struct jsonp_index index;
    struct fuzz_text prefix = {0};
    size_t size, skip;
    json_t *string;
    char *script;

    if (!jsonp_index_read(payload, len < 12 ? len : 12, &index))
        return;
    size = jsonp_write(index, payload, len, NULL);
    script = malloc(size);
    FUZZ_CHECK(jsonp_write(index, payload, len, script) == size, "the size is the size");
    fuzz_put(&prefix, "___eio[", 7);
    for (size_t i = 0; i < len && i < 12; i++)
        if (payload[i] >= '0' && payload[i] <= '9')
            fuzz_put(&prefix, payload + i, 1);
    fuzz_put(&prefix, "](", 2);
    skip = prefix.len;
    FUZZ_CHECK(size >= skip + 4 && memcmp(script, prefix.text, skip) == 0 &&
                   memcmp(script + size - 2, ");", 2) == 0,
               "a script calls back with its index");
    for (size_t i = 0; i < size; i++)
        FUZZ_CHECK((unsigned char)script[i] >= 0x20 &&
                       (size - i < 3 || (memcmp(script + i, "\xe2\x80\xa8", 3) != 0 &&
                                         memcmp(script + i, "\xe2\x80\xa9", 3) != 0)),
                   "a script is one line");
    string = json_loadb(script + skip, size - skip - 2, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                        NULL);
    FUZZ_CHECK(json_is_string(string) && json_string_length(string) == len &&
                   memcmp(json_string_value(string), payload, len) == 0,
               "a script's string is the payload");
    json_decref(string);
    free(prefix.text);
    free(script);
}

void fuzz_one(const char *input, size_t len)
{
    char *out = malloc(len ? len : 1);
    long n = jsonp_read(input, len, out);

    FUZZ_CHECK(n <= (long)len, "a payload is no longer than its form");
    if (n >= 0)
        check_form(out, (size_t)n);
    free(out);
    check_form(input, len);
    if (utf8_is_valid(input, len))
        check_script(input, len);
}
