/*
 * name.c - which texts may be names, and when two names are the same one, through ICU.
 *
 * Scripts and look-alikes are judged by ICU's uspoof (T17, UTS 39).
 * Refused are Cc, Cf, Zl, Zp, Cs, Co and Cn (T18). Of Cf even ZWJ and ZWNJ, which a few
 * scripts and joined emoji use: in a name of ten characters they are mostly a way to look
 * like somebody else. Further what ICU calls default-ignorable, which nobody sees, but for
 * the variation selectors that emoji carry, behind another character.
 *
 * Called by: auth.c. Thread: any.
 */
#include "name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/uspoof.h>
#include <unicode/ustring.h>
#include <unicode/utf8.h>

enum {
    TEXT_STYLE = 0xfe0e, /* the two variation selectors of emoji */
    EMOJI_STYLE = 0xfe0f,
    BRAILLE_BLANK = 0x2800, /* a symbol to ICU, a blank to the eye */
    PIECE_MAX = 3           /* "m" looks like "rn", and nothing of ASCII like more */
};

/* What a character becomes in a key. */
struct piece {
    char text[PIECE_MAX];
    uint8_t len; /* 0: not in this table */
};

struct name_rules {
    struct name_limits limits;
    bool checks_scripts, checks_lookalikes;
    struct piece ascii[NAME_KEYS][128]; /* by key and character */
    USpoofChecker *spoof;               /* owned */
    const UNormalizer2 *order;          /* ICU's own: NFKD */
    const UNormalizer2 *fold;           /* ICU's own: NFKC with case folded */
};

/* ---- the rules */

static char *make_key(const struct name_rules *rules, const char *name, bool folds_first);

static bool is_ascii(const char *text)
{
    while (*text && (unsigned char)*text < 128)
        text++;
    return *text == '\0';
}

/* Let ICU say once what becomes of each ASCII character: it looks at them one by one, and
 * only marks, none of which is among them, would join. */
static void learn_ascii(struct name_rules *rules, size_t n, bool folds_first)
{
    for (int c = ' '; c <= '~'; c++) {
        struct piece *piece = &rules->ascii[n][c];
        char *key = make_key(rules, (char[]){(char)c, '\0'}, folds_first);

        if (key && is_ascii(key) && strlen(key) <= PIECE_MAX) {
            piece->len = (uint8_t)strlen(key);
            memcpy(piece->text, key, piece->len);
        }
        free(key);
    }
}

struct name_rules *name_rules_new(const struct name_limits *limits,
                                  enum name_restriction restriction, bool lookalikes)
{
    static const URestrictionLevel levels[] = {
        [NAME_ASCII] = USPOOF_ASCII,
        [NAME_SINGLE] = USPOOF_SINGLE_SCRIPT_RESTRICTIVE,
        [NAME_HIGHLY] = USPOOF_HIGHLY_RESTRICTIVE,
        [NAME_MODERATELY] = USPOOF_MODERATELY_RESTRICTIVE,
        [NAME_MINIMALLY] = USPOOF_MINIMALLY_RESTRICTIVE,
        [NAME_ANY] = USPOOF_UNRESTRICTIVE,
    };
    struct name_rules *rules = calloc(1, sizeof *rules);
    UErrorCode status = U_ZERO_ERROR;

    if (!rules)
        return NULL;
    rules->limits = *limits;
    rules->checks_scripts = restriction != NAME_ANY;
    rules->checks_lookalikes = lookalikes;
    rules->order = unorm2_getNFKDInstance(&status);
    rules->fold = unorm2_getNFKCCasefoldInstance(&status);
    rules->spoof = uspoof_open(&status);
    if (U_SUCCESS(status)) {
        uspoof_setRestrictionLevel(rules->spoof, levels[restriction]);
        uspoof_setChecks(rules->spoof, USPOOF_RESTRICTION_LEVEL | USPOOF_MIXED_NUMBERS,
                         &status);
    }
    if (U_FAILURE(status)) {
        name_rules_free(rules);
        return NULL;
    }
    learn_ascii(rules, 0, true);
    if (lookalikes)
        learn_ascii(rules, 1, false);
    return rules;
}

void name_rules_free(struct name_rules *rules)
{
    if (!rules)
        return;
    if (rules->spoof)
        uspoof_close(rules->spoof);
    free(rules);
}

/* ---- which texts may be names */

static bool is_space(UChar32 code)
{
    return u_charType(code) == U_SPACE_SEPARATOR || code == BRAILLE_BLANK;
}

static bool is_refused(UChar32 code, bool is_first)
{
    switch (u_charType(code)) {
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR:
    case U_SURROGATE:
    case U_PRIVATE_USE_CHAR:
    case U_UNASSIGNED:
        return true;
    default:
        break;
    }
    if (code == TEXT_STYLE || code == EMOJI_STYLE)
        return is_first;
    return u_hasBinaryProperty(code, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}

/* Emoji, digits and signs are of no script and go with each. */
static bool goes_together(const struct name_rules *rules, const char *name, size_t len)
{
    UErrorCode status = U_ZERO_ERROR;

    return uspoof_check2UTF8(rules->spoof, name, (int32_t)len, NULL, &status) == 0 &&
           U_SUCCESS(status);
}

enum name_verdict name_check(const struct name_rules *rules, const char *name)
{
    const struct name_limits *limits = &rules->limits;
    const size_t len = strlen(name);
    enum name_verdict verdict = NAME_OK; /* of the characters; lengths are told first */
    bool was_space = true;               /* none at the beginning */
    size_t n = 0;

    if (len > limits->max_bytes) /* bounds the walk, and what ICU gets */
        return NAME_LONG;
    for (int32_t i = 0; i < (int32_t)len; n++) {
        UChar32 code;

        U8_NEXT(name, i, (int32_t)len, code);
        if (code < 0)
            return NAME_NOT_UTF8;
        if (is_refused(code, n == 0))
            verdict = NAME_BAD_CHARACTER;
        else if (is_space(code) && was_space && verdict == NAME_OK)
            verdict = NAME_BAD_SPACE;
        was_space = is_space(code);
    }
    if (n < limits->min_length)
        return NAME_SHORT;
    if (n > limits->max_length)
        return NAME_LONG;
    if (verdict == NAME_OK && was_space)
        return NAME_BAD_SPACE;
    if (verdict == NAME_OK && rules->checks_scripts && !is_ascii(name) &&
        !goes_together(rules, name, len))
        return NAME_MIXED_SCRIPTS;
    return verdict;
}

const char *name_complaint(enum name_verdict verdict)
{
    static const char *const complaints[] = {
        [NAME_OK] = "fine",
        [NAME_NOT_UTF8] = "not UTF-8",
        [NAME_SHORT] = "too short",
        [NAME_LONG] = "too long",
        [NAME_BAD_CHARACTER] = "holds an invisible or unassigned character",
        [NAME_BAD_SPACE] = "blanks at an end, or two in a row",
        [NAME_MIXED_SCRIPTS] = "mixes letters of scripts that do not go together",
    };

    return complaints[verdict];
}

/* ---- when two names are one */

/* Text in UTF-16, as ICU's functions want it: owned. NULL when it is not UTF-8. */
static UChar *to_utf16(const char *text, int32_t *len)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t cap = (int32_t)strlen(text) + 1; /* never more units than bytes */
    UChar *wide = malloc((size_t)cap * sizeof *wide);

    if (wide)
        u_strFromUTF8(wide, cap, len, text, -1, &status);
    if (U_SUCCESS(status))
        return wide;
    free(wide);
    return NULL;
}

static char *to_utf8(const UChar *wide, int32_t len)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t cap = len * 3 + 1; /* at most 3 bytes a unit */
    char *text = malloc((size_t)cap);

    if (text)
        u_strToUTF8(text, cap, NULL, wide, len, &status);
    if (U_SUCCESS(status))
        return text;
    free(text);
    return NULL;
}

/* Text in UTF-16 on its way through ICU. */
struct wide {
    UChar *text; /* owned */
    int32_t len;
};

typedef int32_t transform(const void *with, const struct wide *in, UChar *out,
                          int32_t cap, UErrorCode *status);

static int32_t normalize(const void *with, const struct wide *in, UChar *out, int32_t cap,
                         UErrorCode *status)
{
    return unorm2_normalize(with, in->text, in->len, out, cap, status);
}

static int32_t skeleton(const void *with, const struct wide *in, UChar *out, int32_t cap,
                        UErrorCode *status)
{
    return uspoof_getSkeleton(with, 0, in->text, in->len, out, cap, status);
}

/* Puts the result in the place of what was there. Returns false when ICU fails. */
static bool change(struct wide *wide, transform *call, const void *with)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t len = call(with, wide, NULL, 0, &status); /* asks for the size */
    UChar *text;

    if (status != U_BUFFER_OVERFLOW_ERROR && U_FAILURE(status))
        return false;
    text = malloc(((size_t)len + 1) * sizeof *text);
    if (!text)
        return false;
    status = U_ZERO_ERROR;
    len = call(with, wide, text, len + 1, &status);
    free(wide->text);
    *wide = (struct wide){text, len};
    return U_SUCCESS(status);
}

/*
 * Folding alone keeps names apart that differ only in the order of their marks: it makes a
 * letter of U+0345, which no mark can pass. So marks are put in order before it (D147 of
 * the Unicode Standard, 3.13).
 */
static bool fold(const struct name_rules *rules, struct wide *wide)
{
    return change(wide, normalize, rules->order) && change(wide, normalize, rules->fold);
}

/* One key by ICU, owned; NULL when it fails. */
static char *make_key(const struct name_rules *rules, const char *name, bool folds_first)
{
    struct wide wide = {NULL, 0};
    char *key = NULL;
    bool is_made;

    wide.text = to_utf16(name, &wide.len);
    is_made = wide.text && (!folds_first || fold(rules, &wide));
    if (is_made && rules->checks_lookalikes)
        is_made = change(&wide, skeleton, rules->spoof) && /* makes of 0 an O */
                  fold(rules, &wide);
    if (is_made)
        key = to_utf8(wide.text, wide.len);
    free(wide.text);
    return key;
}

/* The same from the table; NULL when the name holds what is not in it. */
static char *look_up_key(const struct piece *pieces, const char *name)
{
    char *key = malloc(strlen(name) * PIECE_MAX + 1), *at = key;

    for (; key && *name; name++) {
        const unsigned char c = (unsigned char)*name;

        if (c >= 128 || pieces[c].len == 0) {
            free(key);
            return NULL;
        }
        memcpy(at, pieces[c].text, pieces[c].len);
        at += pieces[c].len;
    }
    if (key)
        *at = '\0';
    return key;
}

/* One key, owned; NULL when ICU fails. */
static char *key_of(const struct name_rules *rules, size_t n, const char *name)
{
    char *key = look_up_key(rules->ascii[n], name);

    return key ? key : make_key(rules, name, n == 0);
}

int name_keys_make(const struct name_rules *rules, const char *name,
                   struct name_keys *keys)
{
    *keys = (struct name_keys){{NULL}};
    keys->key[0] = key_of(rules, 0, name);
    if (!keys->key[0])
        return -1;
    if (!rules->checks_lookalikes)
        return 0;
    keys->key[1] = key_of(rules, 1, name);
    if (!keys->key[1]) {
        name_keys_done(keys);
        return -1;
    }
    if (strcmp(keys->key[0], keys->key[1]) == 0) {
        free(keys->key[1]);
        keys->key[1] = NULL;
    }
    return 0;
}

void name_keys_done(struct name_keys *keys)
{
    for (size_t i = 0; i < NAME_KEYS; i++)
        free(keys->key[i]);
    *keys = (struct name_keys){{NULL}};
}
