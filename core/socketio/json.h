/*
 * json.h - validates JSON text and finds the spans of an array's elements; builds nothing.
 *
 * Full grammar of RFC 8259 on text that is known to be valid UTF-8. Bounded: depth, number
 * of values, 400 characters a number. Recursion-free. Thread: any.
 */
#ifndef SOCKETIO_JSON_H
#define SOCKETIO_JSON_H

#include <stddef.h>
#include <stdint.h>

struct json_span {
    uint32_t from, to; /* offsets into the scanned text */
};

enum json_result { JSON_OK, JSON_BAD, JSON_TOO_DEEP, JSON_TOO_MANY, JSON_NOT_ARRAY };

struct json_limits {
    size_t max_depth, max_values;
};

/* The whole text is one JSON value of any kind. */
enum json_result json_scan(const char *text, size_t len,
                           const struct json_limits *limits);

/*
 * The whole text is one JSON array: stores the spans of its first max_spans elements and
 * their full number in *n.
 */
enum json_result json_scan_array(const char *text, size_t len,
                                 const struct json_limits *limits,
                                 struct json_span *spans, size_t max_spans, size_t *n);

/*
 * Resolve the escapes of a scanned string (span with its quotes) into out (size: span's
 * length is always enough), NUL-terminated. Returns the length, or -1 when it holds a
 * lone surrogate or \u0000.
 */
long json_unescape(const char *text, struct json_span span, char *out);

/* Append text as a JSON string, quotes included, to out (size 6 * len + 3 suffices).
 * Returns the length. */
size_t json_quote(const char *text, size_t len, char *out);

#endif
