/*
 * opening.c - what the first request of a session said.
 *
 * Called by: core/socketio/link.c (shard: packs it), core/plugin/connect.c (logic: reads
 * it). The block is the target, then name and value of each header, each with its NUL: a
 * head holds none. Thread: any.
 */
#include "core/socketio/opening.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/loop/bytes.h"
#include "core/net/http.h"

/* ---- packing */

static char *put(char *out, struct http_span span)
{
    memcpy(out, span.text, span.len);
    out[span.len] = '\0';
    return out + span.len + 1;
}

static char *put_name(char *out, struct http_span name)
{
    char *end = put(out, name);

    for (; *out; out++)
        *out = (char)tolower((unsigned char)*out);
    return end;
}

struct bytes *opening_pack(const struct http_request *request)
{
    size_t size = request->target.len + 1;
    struct bytes *opening;
    char *at;

    for (size_t i = 0; i < request->n_headers; i++)
        size += request->headers[i].name.len + request->headers[i].value.len + 2;
    opening = bytes_try_new(size);
    if (!opening)
        return NULL;
    at = put(opening->data, request->target);
    for (size_t i = 0; i < request->n_headers; i++)
        at = put(put_name(at, request->headers[i].name), request->headers[i].value);
    return opening;
}

const char *opening_url(const struct bytes *opening)
{
    return opening->data;
}

/* ---- headers */

/* Bytes above 0x7f as the code points of Latin-1, which is what a header is sent in. */
static json_t *latin1(const char *text)
{
    size_t len = strlen(text), n = 0;
    char *utf8;
    json_t *value;

    if (utf8_is_valid(text, len))
        return json_stringn(text, len);
    utf8 = mem_alloc(2 * len);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x80) {
            utf8[n++] = (char)(0xc0 | c >> 6);
            c = (unsigned char)(0x80 | (c & 0x3f));
        }
        utf8[n++] = (char)c;
    }
    value = json_stringn(utf8, n);
    free(utf8);
    return value;
}

/* Of these the first one counts, as in Node. */
static bool is_single(const char *name)
{
    static const char *const names[] = {"age",
                                        "authorization",
                                        "content-length",
                                        "content-type",
                                        "etag",
                                        "expires",
                                        "from",
                                        "host",
                                        "location",
                                        "if-modified-since",
                                        "last-modified",
                                        "if-unmodified-since",
                                        "referer",
                                        "proxy-authorization",
                                        "max-forwards",
                                        "retry-after",
                                        "user-agent",
                                        "server"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void add_header(json_t *headers, const char *name, const char *text)
{
    const json_t *before = json_object_get(headers, name);
    json_t *value;

    if (before && is_single(name))
        return;
    value = latin1(text);
    if (before) {
        json_t *both = json_sprintf("%s%s%s", json_string_value(before),
                                    strcmp(name, "cookie") == 0 ? "; " : ", ",
                                    json_string_value(value));

        json_decref(value);
        value = both;
    }
    json_object_set_new(headers, name, value);
}

json_t *opening_headers(const struct bytes *opening)
{
    const char *at = opening->data, *end = at + opening->len;
    json_t *headers = json_object();

    for (at += strlen(at) + 1; at < end;) {
        const char *name = at, *value = name + strlen(name) + 1;

        add_header(headers, name, value);
        at = value + strlen(value) + 1;
    }
    return headers;
}

/* ---- the query */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* A bad escape stays as it is. out: as long as text. Returns the length. */
static size_t decode(const char *text, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int high = i + 2 < len && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

        if (low >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    return n;
}

/* As text: each byte that is not well-formed becomes U+FFFD. A new reference: null without
 * memory, as a client has chosen the length. */
static json_t *repaired(const char *text, size_t len)
{
    char *good = mem_try_alloc(3 * len + 1);
    size_t n = 0;
    json_t *value;

    if (!good)
        return json_null();
    for (size_t i = 0; i < len;) {
        uint32_t code;
        size_t size = utf8_decode(text + i, len - i, &code);

        memcpy(good + n, size ? text + i : "\xef\xbf\xbd", size ? size : 3);
        n += size ? size : 3;
        i += size ? size : 1;
    }
    value = json_stringn(good, n);
    free(good);
    return value;
}

static json_t *decoded(const char *text, size_t len)
{
    char *plain = mem_try_alloc(len + 1);
    json_t *value;

    if (!plain)
        return json_null();
    value = repaired(plain, decode(text, len, plain));
    free(plain);
    return value;
}

/* mine: those that were added by this query, where a second one makes an array. */
static void add_parameter(json_t *into, json_t *mine, const char *name, json_t *value)
{
    json_t *before = json_object_get(mine, name);

    if (json_is_array(before)) {
        json_array_append_new(before, value);
        return;
    }
    if (before)
        value = json_pack("[oo]", json_incref(before), value);
    json_object_set(mine, name, value);
    json_object_set_new(into, name, value);
}

void opening_add_query(json_t *into, const char *query, size_t len)
{
    const char *end = query + len;
    json_t *mine = json_object();

    while (query < end) {
        const char *stop = memchr(query, '&', (size_t)(end - query));
        const char *equals;

        stop = stop ? stop : end;
        equals = memchr(query, '=', (size_t)(stop - query));
        if (stop > query) {
            json_t *name = decoded(query, (size_t)((equals ? equals : stop) - query));
            const char *value = equals ? equals + 1 : stop;

            if (json_is_string(name))
                add_parameter(into, mine, json_string_value(name),
                              decoded(value, (size_t)(stop - value)));
            json_decref(name);
        }
        query = stop < end ? stop + 1 : end;
    }
    json_decref(mine);
}

json_t *opening_query(const struct bytes *opening)
{
    const char *query = strchr(opening->data, '?');
    json_t *parameters = json_object();

    if (query)
        opening_add_query(parameters, query + 1, strcspn(query + 1, "#"));
    return parameters;
}

/* ---- all of it */

/* As JavaScript writes a Date. */
static json_t *date(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    char text[80];

    gmtime_r(&seconds, &parts);
    strftime(text, sizeof text,
             "%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)", &parts);
    return json_string(text);
}

json_t *opening_handshake(const struct bytes *opening, const char *address,
                          int64_t issued_ms, json_t *auth)
{
    json_t *headers = opening_headers(opening);
    bool has_origin = json_object_get(headers, "origin") != NULL;

    return json_pack("{so so ss sb sb sI so so sO}", "headers", headers, "time",
                     date(issued_ms), "address", address, "xdomain", has_origin, "secure",
                     false, "issued", (json_int_t)issued_ms, "url",
                     latin1(opening_url(opening)), "query", opening_query(opening),
                     "auth", auth);
}
