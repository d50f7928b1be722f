/*
 * name.h - which texts may be names, and when two names are the same one.
 *
 * Called by: auth.c. Thread: any: rules are only read once made.
 */
#ifndef AUTH_NAME_H
#define AUTH_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Each word says why a name is refused. */
enum name_verdict {
    NAME_OK,
    NAME_NOT_UTF8,
    NAME_SHORT,         /* fewer characters than min_length */
    NAME_LONG,          /* more characters than max_length, or bytes than max_bytes */
    NAME_BAD_CHARACTER, /* control, format, invisible, private use, unassigned */
    NAME_BAD_SPACE,     /* at an end, or two in a row */
    NAME_MIXED_SCRIPTS  /* of scripts, or of digits, that do not go together */
};

struct name_limits {
    size_t min_length, max_length; /* in characters: Unicode code points */
    size_t max_bytes;              /* of UTF-8 */
};

/* Which scripts may stand in one name: the levels of UTS 39 section 5.2. */
enum name_restriction {
    NAME_ASCII,      /* ASCII alone */
    NAME_SINGLE,     /* one script */
    NAME_HIGHLY,     /* and Latin beside Japanese, Chinese or Korean */
    NAME_MODERATELY, /* and Latin beside one other, neither Cyrillic nor Greek */
    NAME_MINIMALLY,  /* any mix of scripts in use */
    NAME_ANY         /* nothing is checked */
};

struct name_rules;

/* NULL when ICU's data is missing. lookalikes: whether a look-alike is the same name. */
struct name_rules *name_rules_new(const struct name_limits *limits,
                                  enum name_restriction restriction, bool lookalikes);
void name_rules_free(struct name_rules *rules); /* takes NULL */

enum name_verdict name_check(const struct name_rules *rules, const char *name);

/* For people: "too short". */
const char *name_complaint(enum name_verdict verdict);

/*
 * What makes a name unique. Two names are the same when any key of one is any key of the
 * other: keys[0] is NFKC with case folded, so that "Ada", "ADA" and fullwidth letters are
 * one; where look-alikes count, both keys are what the name looks like (the skeleton of
 * UTS 39 section 4), in small letters and as it was written, since "I" looks like "l" and
 * "i" does not.
 */
enum { NAME_KEYS = 2 };
struct name_keys {
    char *key[NAME_KEYS]; /* owned; NULL behind the last: two that are equal are one */
};

/* Returns 0, or -1 when name is no UTF-8 or ICU fails; nothing is owned then. */
int name_keys_make(const struct name_rules *rules, const char *name,
                   struct name_keys *keys);
void name_keys_done(struct name_keys *keys);

#endif
