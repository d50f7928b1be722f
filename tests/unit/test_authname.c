/*
 * test_authname.c - plugins/auth/name.c: which texts may be names (C54, T18, T19), and when
 * two are the same or look it (T17). Names and look-alikes are in tests/data/.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/auth/name.c"

static const struct name_limits usual_limits = {3, 10, 40};
static struct name_rules *usual, *lax;

static int make_rules(void **state)
{
    (void)state;
    usual = name_rules_new(&usual_limits, NAME_HIGHLY, true);
    lax = name_rules_new(&usual_limits, NAME_ANY, false);
    return usual && lax ? 0 : -1;
}

static int free_rules(void **state)
{
    (void)state;
    name_rules_free(usual);
    name_rules_free(lax);
    return 0;
}

static bool are_one(const struct name_rules *rules, const char *a, const char *b)
{
    struct name_keys of_a, of_b;
    bool is_one = false;

    assert_int_equal(name_keys_make(rules, a, &of_a), 0);
    assert_int_equal(name_keys_make(rules, b, &of_b), 0);
    for (size_t i = 0; i < NAME_KEYS && of_a.key[i]; i++)
        for (size_t j = 0; j < NAME_KEYS && of_b.key[j]; j++)
            if (strcmp(of_a.key[i], of_b.key[j]) == 0)
                is_one = true;
    name_keys_done(&of_a);
    name_keys_done(&of_b);
    return is_one;
}

/* The lines of a file of tests/data/ that are neither empty nor comments. */
static void each_line(const char *name, void (*take)(char *line))
{
    const char *source = getenv("SOCKHOP_SOURCE");
    char path[4096], line[512];
    size_t n = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/tests/data/%s", source ? source : ".", name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be read", path);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line && *line != '#') {
            take(line);
            n++;
        }
    }
    fclose(file);
    assert_true(n > 20);
}

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
        if (name_check(usual, rows[i].name) != rows[i].verdict)
            fail_msg("row %zu, \"%s\": %s", i, rows[i].name,
                     name_complaint(name_check(usual, rows[i].name)));
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
        verdict = name_check(lax, name);
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
        {"a\xcd\x85\xcc\x88", "a\xcc\x88\xcd\x85", true},   /* the order of two marks */
        {"A\xcd\xba\xcc\x88", "A \xcc\x88\xcd\x85",
         true},                         /* one of them inside another */
        {"\xef\xac\x81n", "FIN", true}, /* ligature fi */
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
        if (are_one(lax, rows[i].a, rows[i].b) != rows[i].is_one)
            fail_msg("\"%s\" and \"%s\"", rows[i].a, rows[i].b);
        if (are_one(usual, rows[i].a, rows[i].b) != rows[i].is_one)
            fail_msg("\"%s\" and \"%s\", look-alikes", rows[i].a, rows[i].b);
    }
}

/* The table against ICU itself: all pairs, and what starts or ends with a name outside it. */
static void keys_from_the_table_are_those_of_icu(void **state)
{
    static const char *const lone[] = {"", "mmmmmmmmmm", "Il1|O0 o", "ad\xd0\xb0",
                                       "\xcc\x81z"};
    char name[16] = "";

    (void)state;
    for (int i = 0; i < 95 * 95 + 5; i++) {
        if (i < 95 * 95)
            snprintf(name, sizeof name, "%c%c", ' ' + i / 95, ' ' + i % 95);
        else
            snprintf(name, sizeof name, "%s", lone[i - 95 * 95]);
        for (size_t n = 0; n < NAME_KEYS; n++) {
            char *ours = look_up_key(usual->ascii[n], name);
            char *theirs = make_key(usual, name, n == 0);

            assert_int_equal(ours != NULL, is_ascii(name));
            if (ours)
                assert_string_equal(ours, theirs);
            free(ours);
            free(theirs);
        }
    }
}

static void a_key_of_no_utf8_is_none(void **state)
{
    struct name_keys keys;

    (void)state;
    assert_int_equal(name_keys_make(usual, "\xff", &keys), -1);
    assert_null(keys.key[0]);
    assert_int_equal(name_keys_make(lax, "\xff", &keys), -1);
}

/* ---- T17 */

static void is_taken(char *name)
{
    enum name_verdict verdict = name_check(usual, name);

    if (verdict != NAME_OK && verdict != NAME_LONG && verdict != NAME_SHORT)
        fail_msg("\"%s\": %s", name, name_complaint(verdict));
    assert_true(are_one(usual, name, name));
}

static void no_honest_name_is_refused(void **state)
{
    (void)state;
    each_line("names.txt", is_taken);
}

static size_t n_pairs;

/* Whoever has the plain name keeps the look-alike out, also where mixed scripts may be. */
static void is_kept_out(char *line)
{
    char *plain = strtok(line, "\t"), *alike;
    char a[64], b[64];

    while ((alike = strtok(NULL, " "))) {
        snprintf(a, sizeof a, "x%sz", plain);
        snprintf(b, sizeof b, "x%sz", alike);
        if (!are_one(usual, a, b))
            fail_msg("\"%s\" beside \"%s\"", b, a);
        n_pairs++;
    }
}

static void a_look_alike_of_a_name_is_kept_out(void **state)
{
    (void)state;
    n_pairs = 0;
    each_line("lookalikes.txt", is_kept_out);
    assert_true(n_pairs >= 200);
}

/* Of one script each, so that only their look gives them away. */
static void a_whole_name_of_another_script_is_kept_out(void **state)
{
    static const char *const rows[][2] = {
        {"scope", "\xd1\x95\xd1\x81\xd0\xbe\xd1\x80\xd0\xb5"}, /* Cyrillic */
        {"AHAHTA", "\xd0\x90\xd0\x9d\xd0\x90\xd0\x9d\xd0\xa2\xd0\x90"},
        {"NIKOH", "\xce\x9d\xce\x99\xce\x9a\xce\x9f\xce\x97"}, /* Greek */
        {"ADlADl", "ADIADI"},
        {"B0B", "BOB"},
        {"bill", "bi11"},
        {"modern", "modem"},
        {"Tom", "Torn"},
        {"PayPal", "PayPaI"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(name_check(usual, rows[i][1]), NAME_OK);
        if (!are_one(usual, rows[i][0], rows[i][1]))
            fail_msg("\"%s\" beside \"%s\"", rows[i][1], rows[i][0]);
        if (are_one(lax, rows[i][0], rows[i][1]))
            fail_msg("\"%s\" is \"%s\" though look-alikes do not count", rows[i][1],
                     rows[i][0]);
    }
}

static void names_that_differ_to_the_eye_are_two(void **state)
{
    static const char *const rows[][2] = {
        {"Anna", "Hanna"},  {"Bob", "Rob"},     {"ill", "iii"}, {"lal", "ial"},
        {"Maria", "Mario"}, {"user1", "user2"}, {"abc", "abd"}, {"oak", "Qak"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (are_one(usual, rows[i][0], rows[i][1]))
            fail_msg("\"%s\" and \"%s\" are one", rows[i][0], rows[i][1]);
}

static void scripts_go_together_as_configured(void **state)
{
    static const struct {
        const char *name;
        enum name_restriction loosest_that_refuses; /* NAME_ANY + 1: none does */
    } rows[] = {
        {"Ada", NAME_ANY + 1},
        {"Zo\xc3\xab", NAME_ASCII},
        {"Tokyo\xe6\x9d\xb1", NAME_SINGLE},            /* and Han */
        {"Ada\xd7\x90", NAME_HIGHLY},                  /* and Hebrew */
        {"Ad\xd0\xb0", NAME_MODERATELY},               /* and Cyrillic */
        {"Ad\xce\xb1", NAME_MODERATELY},               /* and Greek */
        {"\xd7\x90\xd7\x91\xd0\xb0", NAME_MODERATELY}, /* Hebrew and Cyrillic */
        {"12\xd9\xa3", NAME_MINIMALLY},                /* digits of two kinds */
    };

    (void)state;
    for (enum name_restriction level = NAME_ASCII; level <= NAME_ANY; level++) {
        struct name_rules *rules = name_rules_new(&usual_limits, level, true);

        assert_non_null(rules);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            bool is_refused_here = rows[i].loosest_that_refuses <= NAME_ANY &&
                                   level <= rows[i].loosest_that_refuses;

            if (name_check(rules, rows[i].name) !=
                (is_refused_here ? NAME_MIXED_SCRIPTS : NAME_OK))
                fail_msg("\"%s\" at level %d: %s", rows[i].name, (int)level,
                         name_complaint(name_check(rules, rows[i].name)));
        }
        name_rules_free(rules);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_taken_or_refused_for_a_reason),
        cmocka_unit_test(every_code_point_has_the_verdict_of_its_class),
        cmocka_unit_test(names_that_look_alike_by_case_or_form_are_one),
        cmocka_unit_test(keys_from_the_table_are_those_of_icu),
        cmocka_unit_test(a_key_of_no_utf8_is_none),
        cmocka_unit_test(no_honest_name_is_refused),
        cmocka_unit_test(a_look_alike_of_a_name_is_kept_out),
        cmocka_unit_test(a_whole_name_of_another_script_is_kept_out),
        cmocka_unit_test(names_that_differ_to_the_eye_are_two),
        cmocka_unit_test(scripts_go_together_as_configured),
    };

    return cmocka_run_group_tests_name("authname", tests, make_rules, free_rules);
}
