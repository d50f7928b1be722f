/*
 * name.h - which texts may be names, and when two names are the same one.
 *
 * Called by: auth.c. Thread: any: no state of its own.
 */
#ifndef AUTH_NAME_H
#define AUTH_NAME_H

#include <stddef.h>

/* Each word says why a name is refused. */
enum name_verdict {
    NAME_OK,
    NAME_NOT_UTF8,
    NAME_SHORT,         /* fewer characters than min_length */
    NAME_LONG,          /* more characters than max_length, or bytes than max_bytes */
    NAME_BAD_CHARACTER, /* control, format, invisible, private use, unassigned */
    NAME_BAD_SPACE      /* at an end, or two in a row */
};

struct name_limits {
    size_t min_length, max_length; /* in characters: Unicode code points */
    size_t max_bytes;              /* of UTF-8 */
};

enum name_verdict name_check(const char *name, const struct name_limits *limits);

/* For people: "longer than allowed". */
const char *name_complaint(enum name_verdict verdict);

/*
 * What makes a name unique: NFKC with case folded, so that "Ada", "ADA" and fullwidth
 * letters are one. Owned by the caller (free()); NULL when ICU fails.
 */
char *name_key(const char *name);

#endif
