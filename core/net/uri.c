/*
 * uri.c - percent-decoding and query parameters: see uri.h.
 *
 * Called by: router.c, static.c, and whoever reads a query. Thread: any; no state.
 */
#include "core/net/uri.h"

#include <string.h>

#include "core/base/text.h"

enum { AT_END = -1, MALFORMED = -2 };

/* Encoded text, read byte by decoded byte. */
struct encoded {
    const char *at, *end;
    bool plus_is_blank;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The next byte, AT_END, or MALFORMED for a bad escape or a control byte. */
static int next_byte(struct encoded *text)
{
    int byte, high, low;

    if (text->at == text->end)
        return AT_END;
    byte = (unsigned char)*text->at++;
    if (byte == '+' && text->plus_is_blank)
        return ' ';
    if (byte == '%') {
        if (text->end - text->at < 2)
            return MALFORMED;
        high = hex_digit(text->at[0]);
        low = hex_digit(text->at[1]);
        if (high < 0 || low < 0)
            return MALFORMED;
        text->at += 2;
        byte = high << 4 | low;
    }
    return byte < 0x20 || byte == 0x7f ? MALFORMED : byte;
}

/* Returns the length, or -1. */
static long decode(struct encoded text, char *out, size_t out_size)
{
    size_t len = 0;

    for (;;) {
        int byte = next_byte(&text);

        if (byte == MALFORMED || len >= out_size)
            return -1;
        if (byte == AT_END)
            break;
        out[len++] = (char)byte;
    }
    if (!utf8_is_valid(out, len))
        return -1;
    out[len] = '\0';
    return (long)len;
}

static bool decodes_to(struct encoded text, const char *expected, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (next_byte(&text) != (unsigned char)expected[i])
            return false;
    return next_byte(&text) == AT_END;
}

long uri_decode(const char *text, size_t len, char *out, size_t out_size)
{
    return decode((struct encoded){text, text + len, false}, out, out_size);
}

long uri_query_get(const char *query, size_t len, const char *name, char *out,
                   size_t out_size)
{
    const char *at = query;
    const char *end = query + len;
    long found = -1;

    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        const char *equals;
        struct encoded key, value;

        if (!stop)
            stop = end;
        equals = memchr(at, '=', (size_t)(stop - at));
        key = (struct encoded){at, equals ? equals : stop, true};
        value = (struct encoded){equals ? equals + 1 : stop, stop, true};
        at = stop < end ? stop + 1 : end;
        if (!decodes_to(key, name, strlen(name)))
            continue;
        if (found < 0)
            found = decode(value, out, out_size);
        else if (!decodes_to(value, out, (size_t)found))
            return -2;
        if (found < 0)
            return -2;
    }
    return found;
}
