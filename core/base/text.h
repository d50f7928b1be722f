/*
 * text.h - UTF-8, base64url, ids, and lists as conf files write them. No state but what a
 * thread has for itself. Thread: any.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether all of data is well-formed UTF-8 (RFC 3629: no surrogates, no overlong). */
bool utf8_is_valid(const char *data, size_t len);

/* The same over pieces. Start with {0}; feed returns false at the first bad byte. */
struct utf8_check {
    uint8_t need;     /* continuation bytes still due */
    uint8_t min, max; /* bounds of the next one */
};
bool utf8_check_feed(struct utf8_check *check, const char *data, size_t len);
static inline bool utf8_check_is_complete(const struct utf8_check *check)
{
    return check->need == 0;
}

/*
 * The code point that data starts with: returns its length in bytes, 0 when it is not
 * well-formed or len is 0.
 */
size_t utf8_decode(const char *data, size_t len, uint32_t *code);

/* A code point (no surrogate) as 1 to 4 bytes. Returns how many. */
size_t utf8_encode(uint32_t code, char *out);

/* Code points of well-formed UTF-8. */
size_t utf8_count(const char *data, size_t len);

/* The length of text, at most max bytes, without a character that a cut there leaves incomplete. */
size_t utf8_cut(const char *text, size_t max);

/* bytes as base64url without padding; out holds ceil(n * 4 / 3) characters and a NUL. */
void base64url(const void *bytes, size_t n, char *out);

/* n bytes of getrandom(2), fit for secrets; ends the process when the kernel has none. */
void random_bytes(void *out, size_t n);

/* A number below bound (> 0), evenly spread; not for secrets of one bit. */
uint32_t random_below(uint32_t bound);

/*
 * The next item of a list "a, b, c": returns its start and its length (blanks trimmed),
 * advances *list; NULL at the end. Empty items are skipped.
 */
const char *list_next(const char **list, size_t *len);

/* Whether a list holds the word. */
bool list_has(const char *list, const char *word);

/* Whether a name is [a-z][a-z0-9_]* and has at most max bytes. NULL is none. */
bool is_short_name(const char *name, size_t max);

/* ASCII-only, independent of the locale. */
bool ascii_equal_nocase(const char *a, size_t a_len, const char *b);

#endif
