/*
 * encoding.c - Accept-Encoding: see encoding.h.
 *
 * Called by: static.c, and whoever compresses what it answers. Thread: any; no state.
 */
#include "core/net/encoding.h"

#include <string.h>

#include "core/base/text.h"

enum {
    UNRATED = -1,
    Q_ONE = 1000 /* qvalues have three digits at most */
};

static const char *const names[N_HTTP_ENCODINGS] = {"identity", "br", "gzip", "deflate"};

const char *http_encoding_name(enum http_encoding encoding)
{
    return encoding == HTTP_IDENTITY ? NULL : names[encoding];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "0.5" in thousandths. What is no qvalue rates as 0: better plain than not understood. */
static int read_qvalue(const char *at, const char *end)
{
    int q = 0, unit = Q_ONE;

    if (at == end || (*at != '0' && *at != '1'))
        return 0;
    q = (*at++ - '0') * unit;
    if (at < end && *at == '.')
        for (at++; at < end && is_digit(*at) && unit > 1; at++) {
            unit /= 10;
            q += (*at - '0') * unit;
        }
    return at == end && q <= Q_ONE ? q : 0;
}

/* The rating among an item's parameters: "gzip;q=0.5". */
static int rating_of(const char *item, size_t len)
{
    const char *end = item + len;
    const char *at = memchr(item, ';', len);

    while (at) {
        const char *next = memchr(at + 1, ';', (size_t)(end - at - 1));
        const char *last = next ? next : end;

        for (at++; at < last && is_blank(*at);)
            at++;
        while (last > at && is_blank(last[-1]))
            last--;
        if (last - at >= 2 && (at[0] == 'q' || at[0] == 'Q') && at[1] == '=')
            return read_qvalue(at + 2, last);
        at = next;
    }
    return Q_ONE;
}

/* The coding of an item's name; N_HTTP_ENCODINGS for "*", -1 for what we do not know. */
static int coding_of(const char *item, size_t len)
{
    size_t name_len = 0;

    while (name_len < len && item[name_len] != ';' && !is_blank(item[name_len]))
        name_len++;
    if (name_len == 1 && *item == '*')
        return N_HTTP_ENCODINGS;
    if (ascii_equal_nocase(item, name_len, "x-gzip"))
        return HTTP_GZIP;
    for (int i = 0; i < N_HTTP_ENCODINGS; i++)
        if (ascii_equal_nocase(item, name_len, names[i]))
            return i;
    return -1;
}

/* ratings: by coding, that of "*" last; the first to name a coding counts. */
static void rate(const char *list, int ratings[N_HTTP_ENCODINGS + 1])
{
    const char *item;
    size_t len;

    while ((item = list_next(&list, &len))) {
        int coding = coding_of(item, len);

        if (coding >= 0 && ratings[coding] == UNRATED)
            ratings[coding] = rating_of(item, len);
    }
}

enum http_encoding http_choose_encoding(const struct http_request *request,
                                        unsigned offered)
{
    int ratings[N_HTTP_ENCODINGS + 1];
    enum http_encoding best = HTTP_IDENTITY;

    for (int i = 0; i <= N_HTTP_ENCODINGS; i++)
        ratings[i] = UNRATED;
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        if (ascii_equal_nocase(header->name.text, header->name.len, "accept-encoding"))
            rate(header->value.text, ratings);
    }
    for (int i = 1; i < N_HTTP_ENCODINGS; i++) {
        if (ratings[i] == UNRATED)
            ratings[i] = ratings[N_HTTP_ENCODINGS];
        if (offered & 1u << i && ratings[i] > 0 &&
            ratings[i] >= ratings[best] + (best != HTTP_IDENTITY))
            best = (enum http_encoding)i;
    }
    return best;
}
