/*
 * name.c - which texts may be names, and when two names are the same one, through ICU.
 *
 * Refused are Cc, Cf, Zl, Zp, Cs, Co and Cn (T18). Of Cf even ZWJ and ZWNJ, which a few
 * scripts and joined emoji use: in a name of ten characters they are mostly a way to look
 * like somebody else. Further what ICU calls default-ignorable, which nobody sees, but for
 * the variation selectors that emoji carry, behind another character.
 *
 * Called by: auth.c. Thread: any.
 */
#include "name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf8.h>

enum {
    TEXT_STYLE = 0xfe0e, /* the two variation selectors of emoji */
    EMOJI_STYLE = 0xfe0f,
    BRAILLE_BLANK = 0x2800 /* a symbol to ICU, a blank to the eye */
};

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

enum name_verdict name_check(const char *name, const struct name_limits *limits)
{
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
    };

    return complaints[verdict];
}

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

char *name_key(const char *name)
{
    UErrorCode status = U_ZERO_ERROR;
    const UNormalizer2 *form = unorm2_getNFKCCasefoldInstance(&status);
    int32_t len, key_len;
    UChar *wide = U_SUCCESS(status) ? to_utf16(name, &len) : NULL;
    UChar *folded = NULL;
    char *key = NULL;

    if (!wide)
        return NULL;
    key_len = unorm2_normalize(form, wide, len, NULL, 0, &status); /* asks for the size */
    if (status == U_BUFFER_OVERFLOW_ERROR || U_SUCCESS(status)) {
        status = U_ZERO_ERROR;
        folded = malloc(((size_t)key_len + 1) * sizeof *folded);
    }
    if (folded)
        key_len = unorm2_normalize(form, wide, len, folded, key_len + 1, &status);
    if (folded && U_SUCCESS(status))
        key = to_utf8(folded, key_len);
    free(folded);
    free(wide);
    return key;
}
