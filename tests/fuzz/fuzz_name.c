/*
 * fuzz_name.c - names of people (plugins/auth/name.c): C54, T17, T18, T19.
 *
 * Input: a name, up to its first NUL. Properties, under every set of rules:
 *   - the same text always has the same verdict and the same keys;
 *   - a name that is taken is UTF-8, within its lengths, without control, format, private
 *     and unassigned characters, without blanks at its ends (T18);
 *   - what a stricter rule for scripts takes, a looser one takes (T17);
 *   - a name that is taken has a key that is not empty and is UTF-8; without look-alikes it
 *     is its own key;
 *   - an allocation that fails costs that call, and leaves nothing behind;
 *   - who writes it in capitals, or normalized in any of four ways, is the same person, and
 *     stays so where look-alikes count.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include <unicode/uchar.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#include "core/base/text.h"
#include "tests/fuzz/fuzz.h"

static void *failing_malloc(size_t size);
static void *failing_calloc(size_t n, size_t size);

/* The very source: so that its allocations can fail. */
#define malloc failing_malloc
#define calloc failing_calloc
#include "plugins/auth/name.c"
#undef malloc
#undef calloc

const char *const fuzz_name = "name";

static const struct name_limits limits = {
    .min_length = 1, .max_length = 40, .max_bytes = 160};
static const struct name_limits strict = {
    .min_length = 3, .max_length = 10, .max_bytes = 20};

/* ---- allocations that fail */

static long calls_left = -1; /* until one fails; below 0: none does */

static void *failing_malloc(size_t size)
{
    return calls_left >= 0 && calls_left-- == 0 ? NULL : malloc(size);
}

static void *failing_calloc(size_t n, size_t size)
{
    return calls_left >= 0 && calls_left-- == 0 ? NULL : calloc(n, size);
}

/* Each allocation of making keys fails once. */
static void check_failures(const struct name_rules *rules, const char *name)
{
    struct name_keys keys;
    int result = -1;

    for (long n = 0; result < 0; n++) {
        calls_left = n;
        result = name_keys_make(rules, name, &keys);
        FUZZ_CHECK(result == 0 || !keys.key[0], "nothing is owned of keys that failed");
        FUZZ_CHECK(n < 100, "in the end no allocation fails");
    }
    calls_left = -1;
    name_keys_done(&keys);
}

/* ---- the rules */

/* Made once: ICU takes its time. */
static struct name_rules *by_level[NAME_ANY + 1], *plain, *short_names;

static void make_rules(void)
{
    if (plain)
        return;
    for (int level = NAME_ASCII; level <= NAME_ANY; level++)
        by_level[level] = name_rules_new(&limits, (enum name_restriction)level, true);
    plain = name_rules_new(&limits, NAME_ANY, false);
    short_names = name_rules_new(&strict, NAME_HIGHLY, true);
    if (!plain || !short_names)
        abort();
    calls_left = 0;
    FUZZ_CHECK(!name_rules_new(&limits, NAME_ANY, true), "no memory, no rules");
    calls_left = -1;
    name_rules_free(name_rules_new(&limits, NAME_SINGLE, false));
    name_rules_free(NULL);
}

/* ---- what is taken */

/* T18, by classes alone. */
static bool is_forbidden(uint32_t code)
{
    uint32_t mask = U_GET_GC_MASK((UChar32)code);

    return mask & (U_GC_CC_MASK | U_GC_CF_MASK | U_GC_ZL_MASK | U_GC_ZP_MASK |
                   U_GC_CS_MASK | U_GC_CO_MASK | U_GC_CN_MASK);
}

static void check_characters(const char *name)
{
    size_t len = strlen(name);
    uint32_t code, before = ' ';

    for (size_t at = 0; at < len;) {
        size_t n = utf8_decode(name + at, len - at, &code);

        FUZZ_CHECK(n > 0, "T18: a name is UTF-8");
        FUZZ_CHECK(!is_forbidden(code), "T18: a name holds nothing invisible");
        FUZZ_CHECK(code != ' ' || before != ' ',
                   "T18: no blank stands first, and no two stand together");
        before = code;
        at += n;
    }
    FUZZ_CHECK(before != ' ', "T18: no blank stands last");
}

static void check_length(const char *name, const struct name_limits *given)
{
    size_t n = utf8_count(name, strlen(name));

    FUZZ_CHECK(n >= given->min_length && n <= given->max_length &&
                   strlen(name) <= given->max_bytes,
               "a name is within its lengths");
}

/* ---- who is who */

static bool share_a_key(const struct name_keys *a, const struct name_keys *b)
{
    for (size_t i = 0; i < NAME_KEYS && a->key[i]; i++)
        for (size_t j = 0; j < NAME_KEYS && b->key[j]; j++)
            if (strcmp(a->key[i], b->key[j]) == 0)
                return true;
    return false;
}

/* The text in another form: free(). NULL when it is too long for us. */
static char *changed(const char *name, const UNormalizer2 *form)
{
    UChar wide[256], other[1024];
    UErrorCode status = U_ZERO_ERROR;
    int32_t len, size;
    char text[3073];

    u_strFromUTF8(wide, 256, &len, name, -1, &status);
    size = unorm2_normalize(form, wide, len, other, 1024, &status);
    u_strToUTF8(text, sizeof text, NULL, other, size, &status);
    return U_SUCCESS(status) ? fuzz_copy(text, strlen(text) + 1) : NULL;
}

static void check_same_person(const struct name_rules *rules, const char *name,
                              const char *other, const char *property)
{
    struct name_keys keys, other_keys;

    if (name_keys_make(rules, name, &keys) < 0 ||
        name_keys_make(rules, other, &other_keys) < 0)
        fuzz_fail("UTF-8 has keys", other, __FILE__, __LINE__);
    if (!share_a_key(&keys, &other_keys))
        fuzz_fail(property, other, __FILE__, __LINE__);
    name_keys_done(&keys);
    name_keys_done(&other_keys);
}

/* Owned: copy, which may be NULL. */
static void check_same_in_all(const char *name, char *copy, const char *property)
{
    if (copy) {
        check_same_person(plain, name, copy, property);
        check_same_person(by_level[NAME_ANY], name, copy, property);
    }
    free(copy);
}

static void check_keys(const struct name_rules *rules, const char *name)
{
    struct name_keys keys;

    FUZZ_CHECK(name_keys_make(rules, name, &keys) == 0 && keys.key[0],
               "a name has a key");
    for (size_t i = 0; i < NAME_KEYS && keys.key[i]; i++)
        FUZZ_CHECK(*keys.key[i] && utf8_is_valid(keys.key[i], strlen(keys.key[i])),
                   "a key is text");
    FUZZ_CHECK(!keys.key[1] || strcmp(keys.key[0], keys.key[1]) != 0,
               "two keys are not the same");
    check_same_person(rules, name, name, "a name is the same as itself");
    if (rules == plain) {
        struct name_keys of_key;

        FUZZ_CHECK(!keys.key[1], "without look-alikes there is one key");
        FUZZ_CHECK(name_keys_make(rules, keys.key[0], &of_key) == 0 &&
                       strcmp(of_key.key[0], keys.key[0]) == 0,
                   "a key is its own key");
        name_keys_done(&of_key);
    }
    name_keys_done(&keys);
}

static void check_spellings(const char *name)
{
    char *capitals = fuzz_copy(name, strlen(name) + 1);
    UErrorCode status = U_ZERO_ERROR;

    /* A to Z alone: what other alphabets do to capitals is theirs. */
    for (char *at = capitals; *at; at++)
        if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    check_same_in_all(name, capitals, "capitals make nobody else");
    check_same_in_all(name, changed(name, unorm2_getNFCInstance(&status)),
                      "NFC of a name is the same name");
    check_same_in_all(name, changed(name, unorm2_getNFDInstance(&status)),
                      "NFD of a name is the same name");
    check_same_in_all(name, changed(name, unorm2_getNFKCInstance(&status)),
                      "NFKC of a name is the same name");
    check_same_in_all(name, changed(name, unorm2_getNFKDInstance(&status)),
                      "NFKD of a name is the same name");
}

static enum name_verdict check(const struct name_rules *rules, const char *name,
                               const struct name_limits *given)
{
    enum name_verdict verdict = name_check(rules, name);

    FUZZ_CHECK(name_check(rules, name) == verdict, "a verdict is always the same");
    FUZZ_CHECK(*name_complaint(verdict), "a verdict has words");
    if (verdict != NAME_OK)
        return verdict;
    check_length(name, given);
    check_characters(name);
    check_keys(rules, name);
    return verdict;
}

void fuzz_one(const char *input, size_t len)
{
    struct fuzz_text text = {0};
    struct name_keys keys;
    const char *name;
    bool was_taken = false;

    make_rules();
    fuzz_put(&text, input, len);
    name = text.text;
    for (int level = NAME_ASCII; level <= NAME_ANY; level++) {
        bool is_taken = check(by_level[level], name, &limits) == NAME_OK;

        FUZZ_CHECK(is_taken || !was_taken,
                   "T17: a looser rule takes what a stricter takes");
        was_taken = is_taken;
    }
    FUZZ_CHECK((check(plain, name, &limits) == NAME_OK) == was_taken,
               "look-alikes do not decide what a name is");
    check(short_names, name, &strict);
    if (was_taken) {
        check_spellings(name);
        if (len % 4 == 1)
            check_failures(by_level[NAME_ANY], name);
    }
    /* A text that nobody checked. */
    if (name_keys_make(plain, name, &keys) == 0)
        name_keys_done(&keys);
    else
        FUZZ_CHECK(!utf8_is_valid(name, strlen(name)), "UTF-8 has a key");
    free(text.text);
}
