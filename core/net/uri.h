/*
 * uri.h - percent-decoding and query parameters. Source: RFC 3986, and
 * application/x-www-form-urlencoded for queries. Thread: any.
 */
#ifndef NET_URI_H
#define NET_URI_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Decode %XX once into out (size >= len + 1, NUL-terminated). Returns the length, or -1
 * for a bad escape, a NUL, a control byte, or text that is not UTF-8.
 */
long uri_decode(const char *text, size_t len, char *out, size_t out_size);

/*
 * Find a parameter of a raw query. Decodes its value ('+' is a blank) into out.
 * Returns its length; -1 absent; -2 malformed, too long for out, or given twice with
 * different values.
 */
long uri_query_get(const char *query, size_t len, const char *name, char *out,
                   size_t out_size);

#endif
