/*
 * test_authname.c - plugins/auth/name.c: which texts may be names (C54, T18, T19), and when
 * two are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "plugins/auth/name.c"

static const struct name_limits usual = {3, 10, 40};

static void a_name_is_taken_or_refused_for_a_reason(void **state)
{
    static const struct {
        const char *name;
        enum name_verdict verdict;
    } rows[] = {
        {"Ada", NAME_OK},
        {"abcdefghij", NAME_OK},
        {"ab", NAME_SHORT},
        {"", NAME_SHORT},
        {"abcdefghijk", NAME_LONG},
        {"__proto__", NAME_OK}, /* C54: names like any other */
        {"toString", NAME_OK},
        {"valueOf", NAME_OK},
        {"<b>&\"'", NAME_OK}, /* whoever shows it escapes it */
        {"a b", NAME_OK},
        {"a  b", NAME_BAD_SPACE},
        {" ab", NAME_BAD_SPACE},
        {"ab ", NAME_BAD_SPACE},
        {"   ", NAME_BAD_SPACE},
        {"ab\xc2\xa0", NAME_BAD_SPACE},      /* no-break space */
        {"a\xe3\x80\x80 b", NAME_BAD_SPACE}, /* ideographic space, then a blank */
        {"\xe2\xa0\x80"
         "ab",
         NAME_BAD_SPACE}, /* braille blank */
        {"a\tb", NAME_BAD_CHARACTER},
        {"ab\n", NAME_BAD_CHARACTER},
        {"a\x7f"
         "b",
         NAME_BAD_CHARACTER},
        {"a\xc2\x85"
         "b",
         NAME_BAD_CHARACTER}, /* NEL, Cc */
        {"a\xe2\x80\xae"
         "b",
         NAME_BAD_CHARACTER}, /* right-to-left override, Cf */
        {"a\xe2\x81\xa6"
         "b",
         NAME_BAD_CHARACTER}, /* isolate, Cf */
        {"a\xe2\x80\x8b"
         "b",
         NAME_BAD_CHARACTER}, /* zero width space, Cf */
        {"a\xe2\x80\x8d"
         "b",
         NAME_BAD_CHARACTER}, /* ZWJ, Cf */
        {"a\xc2\xad"
         "b",
         NAME_BAD_CHARACTER}, /* soft hyphen, Cf */
        {"\xef\xbb\xbf"
         "abc",
         NAME_BAD_CHARACTER}, /* BOM, Cf */
        {"a\xe2\x80\xa8"
         "b",
         NAME_BAD_CHARACTER}, /* line separator, Zl */
        {"a\xe2\x80\xa9"
         "b",
         NAME_BAD_CHARACTER}, /* paragraph separator, Zp */
        {"a\xee\x80\x80"
         "b",
         NAME_BAD_CHARACTER}, /* private use, Co */
        {"a\xef\xbf\xbf"
         "b",
         NAME_BAD_CHARACTER}, /* noncharacter, Cn */
        {"a\xcd\xb8"
         "b",
         NAME_BAD_CHARACTER},                                         /* unassigned, Cn */
        {"\xe3\x85\xa4\xe3\x85\xa4\xe3\x85\xa4", NAME_BAD_CHARACTER}, /* Hangul fillers */
        {"\xef\xb8\x8f"
         "ab",
         NAME_BAD_CHARACTER}, /* variation selector first */
        {"\xe2\x9d\xa4\xef\xb8\x8f"
         "a",
         NAME_OK}, /* red heart */
        {"\xff"
         "abc",
         NAME_NOT_UTF8},
        {"abc\xc3", NAME_NOT_UTF8},
        {"a\xed\xa0\x80"
         "b",
         NAME_NOT_UTF8}, /* surrogate, Cs */
        /* T19: characters are code points, and bytes count too */
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80", NAME_OK},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80", NAME_SHORT},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
         NAME_OK},
        {"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"
         "\xf0\x9f\x98\x80\xf0\x9f\x98\x80z",
         NAME_LONG},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", NAME_OK}, /* Japanese */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (name_check(rows[i].name, &usual) != rows[i].verdict)
            fail_msg("row %zu, \"%s\": %s", i, rows[i].name,
                     name_complaint(name_check(rows[i].name, &usual)));
}

/* T18: every code point between two letters has the verdict of its class. */
static void every_code_point_has_the_verdict_of_its_class(void **state)
{
    (void)state;
    for (UChar32 code = 1; code <= 0x10ffff; code++) {
        const uint32_t refused = U_GC_CC_MASK | U_GC_CF_MASK | U_GC_ZL_MASK |
                                 U_GC_ZP_MASK | U_GC_CO_MASK | U_GC_CN_MASK;
        char name[8] = "a";
        enum name_verdict verdict;
        int32_t len = 1;

        if (U_IS_SURROGATE(code))
            continue; /* no UTF-8: a row above */
        U8_APPEND_UNSAFE(name, len, code);
        name[len++] = 'b';
        name[len] = '\0';
        verdict = name_check(name, &usual);
        if ((U_MASK(u_charType(code)) & refused) && verdict != NAME_BAD_CHARACTER)
            fail_msg("U+%04X is taken", (unsigned)code);
        if (verdict != NAME_OK && verdict != NAME_BAD_CHARACTER)
            fail_msg("U+%04X: %s", (unsigned)code, name_complaint(verdict));
        if ((U_MASK(u_charType(code)) & (U_GC_L_MASK | U_GC_N_MASK)) &&
            !u_hasBinaryProperty(code, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) &&
            verdict != NAME_OK)
            fail_msg("U+%04X is refused", (unsigned)code);
    }
}

static void names_that_look_alike_by_case_or_form_are_one(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_one;
    } rows[] = {
        {"Ada", "ada", true},
        {"ADA", "aDa", true},
        {"Ada", "Adb", false},
        {"\xef\xbc\xa1\xef\xbd\x84\xef\xbd\x81", "ada", true}, /* fullwidth */
        {"stra\xc3\x9f"
         "e",
         "STRASSE", true},
        {"\xc3\xa9t\xc3\xa9", "e\xcc\x81te\xcc\x81", true}, /* composed, decomposed */
        {"\xef\xac\x81n", "FIN", true},                     /* ligature fi */
        {"\xce\xa3\xce\xa3\xce\xa3", "\xcf\x83\xcf\x82\xcf\x83", true}, /* sigmas */
        {"a b",
         "a\xc2\xa0"
         "b",
         true},
        {"\xe2\x9d\xa4\xef\xb8\x8f"
         "ab",
         "\xe2\x9d\xa4"
         "ab",
         true}, /* with selector */
        {"__proto__", "__PROTO__", true},
        {"abc", "ab", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *a = name_key(rows[i].a), *b = name_key(rows[i].b);

        assert_non_null(a);
        assert_non_null(b);
        if ((strcmp(a, b) == 0) != rows[i].is_one)
            fail_msg("\"%s\" and \"%s\": keys \"%s\" and \"%s\"", rows[i].a, rows[i].b, a,
                     b);
        free(a);
        free(b);
    }
}

static void a_key_of_no_utf8_is_none(void **state)
{
    (void)state;
    assert_null(name_key("\xff"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_taken_or_refused_for_a_reason),
        cmocka_unit_test(every_code_point_has_the_verdict_of_its_class),
        cmocka_unit_test(names_that_look_alike_by_case_or_form_are_one),
        cmocka_unit_test(a_key_of_no_utf8_is_none),
    };

    return cmocka_run_group_tests_name("authname", tests, NULL, NULL);
}
