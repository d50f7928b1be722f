/*
 * json.c - validates JSON text and finds the spans of an array's elements.
 *
 * Called by: core/socketio/link.c for each packet, in the shard that received it. No state
 * of its own, no memory, no recursion: what is open stands as one bit a level.
 * Thread: any. Source: RFC 8259.
 */
#include "core/socketio/json.h"

#include <stdbool.h>
#include <string.h>

#include "core/base/text.h"

enum {
    MAX_DEPTH = 1024,    /* of the bits below; settings ask for 64 */
    MAX_NUMBER_LEN = 400 /* threats.md T09: 1e308 written out has 309 digits */
};

struct scan {
    const char *start, *at, *end;
    size_t max_depth, values_left;
    size_t depth;
    uint64_t is_object[MAX_DEPTH / 64]; /* one bit a level: '{' or '[' */
};

static void scan_init(struct scan *scan, const char *text, size_t len,
                      const struct json_limits *limits)
{
    scan->start = scan->at = text;
    scan->end = text + len;
    scan->max_depth = limits->max_depth < MAX_DEPTH ? limits->max_depth : MAX_DEPTH;
    scan->values_left = limits->max_values;
    scan->depth = 0;
    memset(scan->is_object, 0, sizeof scan->is_object);
}

static bool in_object(const struct scan *scan)
{
    size_t level = scan->depth - 1;

    return scan->is_object[level / 64] >> level % 64 & 1;
}

/* The next byte that is no blank, or 0 (which no rule of the grammar expects). */
static inline char next_char(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' ||
                                    *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* at stands behind the backslash. */
static bool scan_escape(struct scan *scan)
{
    if (scan->at == scan->end)
        return false;
    if (*scan->at != 'u')
        return *scan->at && strchr("\"\\/bfnrt", *scan->at++) != NULL;
    if (scan->end - scan->at < 5)
        return false;
    for (int i = 1; i <= 4; i++)
        if (hex_value(scan->at[i]) < 0)
            return false;
    scan->at += 5;
    return true;
}

/* The top bit of each byte that is 0. */
static uint64_t zero_bytes(uint64_t word)
{
    const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);

    return ~(((word & low) + low) | word | low);
}

/* Over what is neither a quote, nor a backslash, nor below 0x20: eight bytes at a time, to
 * the last eight that have none. */
static const char *skip_plain(const char *at, const char *end)
{
    const uint64_t each = UINT64_C(0x0101010101010101);

    while ((size_t)(end - at) >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, at, sizeof word);
        if (zero_bytes(word ^ each * '"') | zero_bytes(word ^ each * '\\') |
            zero_bytes(word & each * 0xe0))
            break;
        at += sizeof word;
    }
    return at;
}

/* at stands on the opening quote. */
static bool scan_string(struct scan *scan)
{
    scan->at = skip_plain(scan->at + 1, scan->end);
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;

        if (c == '"')
            return true;
        if (c < 0x20)
            return false;
        if (c != '\\')
            continue;
        if (!scan_escape(scan))
            return false;
        scan->at = skip_plain(scan->at, scan->end);
    }
    return false;
}

static bool scan_digits(struct scan *scan)
{
    const char *from = scan->at;

    while (scan->at < scan->end && is_digit(*scan->at))
        scan->at++;
    return scan->at > from;
}

static bool at_one_of(const struct scan *scan, char a, char b)
{
    return scan->at < scan->end && (*scan->at == a || *scan->at == b);
}

static bool scan_number(struct scan *scan)
{
    const char *from = scan->at;

    if (at_one_of(scan, '-', '-'))
        scan->at++;
    if (at_one_of(scan, '0', '0'))
        scan->at++;
    else if (!scan_digits(scan))
        return false;
    if (at_one_of(scan, '.', '.')) {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (at_one_of(scan, 'e', 'E')) {
        scan->at++;
        if (at_one_of(scan, '+', '-'))
            scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    return scan->at - from <= MAX_NUMBER_LEN;
}

static bool scan_word(struct scan *scan, const char *word, size_t len)
{
    if ((size_t)(scan->end - scan->at) < len || memcmp(scan->at, word, len) != 0)
        return false;
    scan->at += len;
    return true;
}

static bool scan_scalar(struct scan *scan)
{
    switch (*scan->at) {
    case '"':
        return scan_string(scan);
    case 't':
        return scan_word(scan, "true", 4);
    case 'f':
        return scan_word(scan, "false", 5);
    case 'n':
        return scan_word(scan, "null", 4);
    default:
        return scan_number(scan);
    }
}

/* A member's name and its colon. */
static bool scan_key(struct scan *scan)
{
    if (next_char(scan) != '"' || !scan_string(scan) || next_char(scan) != ':')
        return false;
    scan->at++;
    return true;
}

/* at stands on a bracket: step inside. */
static enum json_result scan_open(struct scan *scan)
{
    size_t level = scan->depth;
    uint64_t bit = (uint64_t)1 << level % 64;

    if (level >= scan->max_depth)
        return JSON_TOO_DEEP;
    if (*scan->at++ == '{')
        scan->is_object[level / 64] |= bit;
    else
        scan->is_object[level / 64] &= ~bit;
    scan->depth++;
    return JSON_OK;
}

/* Whether the innermost bracket closes here; if so, step out of it. */
static bool scan_close(struct scan *scan)
{
    if (next_char(scan) != (in_object(scan) ? '}' : ']'))
        return false;
    scan->at++;
    scan->depth--;
    return true;
}

/*
 * Behind a value: close what closes, then over a comma to the next value. Ends at depth
 * `base`, or where a value is due. Returns false when the text is neither.
 */
static bool scan_behind(struct scan *scan, size_t base)
{
    while (scan->depth > base) {
        if (scan_close(scan))
            continue;
        if (next_char(scan) != ',')
            return false;
        scan->at++;
        return !in_object(scan) || scan_key(scan);
    }
    return true;
}

/* One value with all that is in it. */
static enum json_result scan_value(struct scan *scan)
{
    const size_t base = scan->depth;

    do {
        char c = next_char(scan);

        if (scan->at == scan->end)
            return JSON_BAD;
        if (scan->values_left-- == 0)
            return JSON_TOO_MANY;
        if (c == '[' || c == '{') {
            if (scan_open(scan) != JSON_OK)
                return JSON_TOO_DEEP;
            if (!scan_close(scan)) {
                if (in_object(scan) && !scan_key(scan))
                    return JSON_BAD;
                continue;
            }
        } else if (!scan_scalar(scan)) {
            return JSON_BAD;
        }
        if (!scan_behind(scan, base))
            return JSON_BAD;
    } while (scan->depth > base);
    return JSON_OK;
}

static enum json_result scan_end(struct scan *scan)
{
    next_char(scan);
    return scan->at == scan->end ? JSON_OK : JSON_BAD;
}

enum json_result json_scan(const char *text, size_t len, const struct json_limits *limits)
{
    struct scan scan;
    enum json_result result;

    scan_init(&scan, text, len, limits);
    result = scan_value(&scan);
    return result == JSON_OK ? scan_end(&scan) : result;
}

/* The elements of the array that at stands in, up to its bracket. */
static enum json_result scan_elements(struct scan *scan, struct json_span *spans,
                                      size_t max_spans, size_t *n)
{
    while (!scan_close(scan)) {
        enum json_result result;
        struct json_span span;

        if (*n > 0) {
            if (next_char(scan) != ',')
                return JSON_BAD;
            scan->at++;
        }
        next_char(scan);
        span.from = (uint32_t)(scan->at - scan->start);
        result = scan_value(scan);
        if (result != JSON_OK)
            return result;
        span.to = (uint32_t)(scan->at - scan->start);
        if (*n < max_spans)
            spans[*n] = span;
        ++*n;
    }
    return scan_end(scan);
}

enum json_result json_scan_array(const char *text, size_t len,
                                 const struct json_limits *limits,
                                 struct json_span *spans, size_t max_spans, size_t *n)
{
    struct scan scan;

    *n = 0;
    if (len > UINT32_MAX)
        return JSON_TOO_MANY;
    scan_init(&scan, text, len, limits);
    if (next_char(&scan) != '[') {
        enum json_result result = json_scan(text, len, limits);

        return result == JSON_OK ? JSON_NOT_ARRAY : result;
    }
    if (scan.values_left-- == 0)
        return JSON_TOO_MANY;
    if (scan_open(&scan) != JSON_OK)
        return JSON_TOO_DEEP;
    return scan_elements(&scan, spans, max_spans, n);
}

static uint32_t hex4(const char *digits)
{
    uint32_t code = 0;

    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)hex_value(digits[i]);
    return code;
}

/*
 * \uXXXX, of which *at is the u: the code point, or 0 when it is none of use to a name.
 * Advances *at behind it (behind the second half of a pair).
 */
static uint32_t unescape_code(const char **at, const char *end)
{
    uint32_t code, low;

    if (end - *at < 5)
        return 0; /* not of text that was scanned */
    code = hex4(*at + 1);
    *at += 5;
    if (code < 0xd800 || code > 0xdfff)
        return code;
    if (code > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
        return 0;
    low = hex4(*at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *at += 6;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

static char unescape_char(char c)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found = strchr(from, c);

    return found ? to[found - from] : c;
}

long json_unescape(const char *text, struct json_span span, char *out)
{
    const char *at = text + span.from + 1, *end = text + span.to - 1;
    char *put = out;

    while (at < end) {
        uint32_t code;

        if (*at != '\\') {
            *put++ = *at++;
            continue;
        }
        if (++at == end)
            return -1; /* the same */
        if (*at != 'u') {
            *put++ = unescape_char(*at++);
            continue;
        }
        code = unescape_code(&at, end);
        if (code == 0)
            return -1;
        put += utf8_encode(code, put);
    }
    *put = '\0';
    return put - out;
}

size_t json_quote(const char *text, size_t len, char *out)
{
    static const char hex[] = "0123456789abcdef";
    char *put = out;

    *put++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 0x20) {
            if (c == '"' || c == '\\')
                *put++ = '\\';
            *put++ = (char)c;
            continue;
        }
        memcpy(put, "\\u00", 4);
        put[4] = hex[c >> 4];
        put[5] = hex[c & 15];
        put += 6;
    }
    *put++ = '"';
    *put = '\0';
    return (size_t)(put - out);
}
