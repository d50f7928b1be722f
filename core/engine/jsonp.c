/*
 * jsonp.c - polling by scripts and forms: see jsonp.h.
 *
 * Called by: handshake.c (the parameter), polling_body.c (bodies). Thread: any: no state.
 */
#include "core/engine/jsonp.h"

#include <stdio.h>
#include <string.h>

bool jsonp_index_read(const char *text, size_t len, struct jsonp_index *index)
{
    uint32_t number = 0, n_digits = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            continue;
        if (n_digits == JSONP_DIGITS_MAX)
            return false;
        number = number * 10 + (uint32_t)(text[i] - '0');
        n_digits++;
    }
    index->is_given = true;
    index->n_digits = n_digits & 15;
    index->number = number & 0x7ffffff;
    return true;
}

/* ---- the response */

static size_t put(char *out, size_t at, const char *text, size_t len)
{
    if (out)
        memcpy(out + at, text, len);
    return at + len;
}

/* U+2028 and U+2029 end a line of a script, though not one of JSON: e2 80 a8, e2 80 a9. */
static bool is_line_end(const char *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xe2\x80", 2) == 0 &&
           ((unsigned char)text[2] & 0xfe) == 0xa8;
}

/* The escape that JSON.stringify() writes for a byte, with its NUL. */
static size_t escape(unsigned char byte, char out[8])
{
    static const char control[] = "btn\0fr"; /* 8 to 13 */

    if (byte == '"' || byte == '\\')
        return (size_t)snprintf(out, 8, "\\%c", byte);
    if (byte >= 8 && byte <= 13 && control[byte - 8])
        return (size_t)snprintf(out, 8, "\\%c", control[byte - 8]);
    return (size_t)snprintf(out, 8, "\\u%04x", byte);
}

static size_t put_string(char *out, size_t at, const char *text, size_t len)
{
    size_t from = 0; /* of what needs no escape */
    char word[8];

    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool ends_line = byte == 0xe2 && is_line_end(text + i, len - i);

        if (byte >= 0x20 && byte != '"' && byte != '\\' && !ends_line)
            continue;
        at = put(out, at, text + from, i - from);
        if (ends_line) {
            at = put(out, at, text[i + 2] & 1 ? "\\u2029" : "\\u2028", 6);
            i += 2;
        } else {
            at = put(out, at, word, escape(byte, word));
        }
        from = i + 1;
    }
    return put(out, at, text + from, len - from);
}

size_t jsonp_write(struct jsonp_index index, const char *payload, size_t len, char *out)
{
    char digits[24] = "";
    size_t at;

    if (index.n_digits > 0)
        snprintf(digits, sizeof digits, "%0*u", index.n_digits, (unsigned)index.number);
    at = put(out, 0, "___eio[", 7);
    at = put(out, at, digits, strlen(digits));
    at = put(out, at, "](\"", 3);
    at = put_string(out, at, payload, len);
    return put(out, at, "\");", 3);
}

/* ---- the form */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* application/x-www-form-urlencoded. Returns the length, or -1. */
static long decode_form(const char *text, size_t len, char *out)
{
    long n = 0;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            out[n++] = (char)(text[i] == '+' ? ' ' : text[i]);
            continue;
        }
        int high = len - i < 3 ? -1 : hex_value(text[i + 1]);
        int low = high < 0 ? -1 : hex_value(text[i + 2]);

        if (low < 0)
            return -1;
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    return n;
}

/*
 * Forms change line feeds on their way, so clients write them as \n, and what was \n
 * before as \\n. In place; returns the length.
 */
static long unescape_lines(char *text, long len)
{
    long n = 0;

    for (long i = 0; i < len; i++) {
        if (len - i >= 3 && memcmp(text + i, "\\\\n", 3) == 0) {
            text[n++] = '\\';
            text[n++] = 'n';
            i += 2;
        } else if (len - i >= 2 && memcmp(text + i, "\\n", 2) == 0) {
            text[n++] = '\n';
            i++;
        } else {
            text[n++] = text[i];
        }
    }
    return n;
}

long jsonp_read(const char *form, size_t len, char *out)
{
    const char *end = form + len, *field = form, *found = NULL;
    size_t found_len = 0;
    long n;

    while (field < end) {
        const char *next = memchr(field, '&', (size_t)(end - field));
        size_t field_len = (size_t)((next ? next : end) - field);

        if (field_len >= 2 && memcmp(field, "d=", 2) == 0) {
            if (found)
                return -1;
            found = field + 2;
            found_len = field_len - 2;
        }
        field += field_len + 1;
    }
    if (!found)
        return -1;
    n = decode_form(found, found_len, out);
    return n < 0 ? -1 : unescape_lines(out, n);
}
