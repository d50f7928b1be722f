/*
 * test_text.c - promises of core/base/text.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/text.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

struct utf8_case {
    const char *data;
    size_t len;
    bool is_valid;
};

static const struct utf8_case utf8_cases[] = {
    {BYTES(""), true},
    {BYTES("plain text, longer than one word of ASCII"), true},
    {BYTES("a\0b"), true},
    {BYTES("\x7f"), true},
    {BYTES("\xc2\x80"), true},
    {BYTES("\xdf\xbf"), true},
    {BYTES("\xe0\xa0\x80"), true},
    {BYTES("\xed\x9f\xbf"), true}, /* U+D7FF */
    {BYTES("\xee\x80\x80"), true}, /* U+E000 */
    {BYTES("\xef\xbf\xbf"), true},
    {BYTES("\xf0\x90\x80\x80"), true},
    {BYTES("\xf4\x8f\xbf\xbf"), true}, /* U+10FFFF */
    {BYTES("12345678gr\xc3\xbc\xc3\x9f 12345678 \xf0\x9f\x98\x80"), true},
    {BYTES("\x80"), false}, /* continuation alone */
    {BYTES("\xbf"), false},
    {BYTES("\xc0\x80"), false},         /* overlong NUL */
    {BYTES("\xc1\xbf"), false},         /* overlong */
    {BYTES("\xe0\x9f\xbf"), false},     /* overlong */
    {BYTES("\xf0\x8f\xbf\xbf"), false}, /* overlong */
    {BYTES("\xed\xa0\x80"), false},     /* U+D800 */
    {BYTES("\xed\xbf\xbf"), false},     /* U+DFFF */
    {BYTES("\xf4\x90\x80\x80"), false}, /* U+110000 */
    {BYTES("\xf5\x80\x80\x80"), false},
    {BYTES("\xfe"), false},
    {BYTES("\xff"), false},
    {BYTES("\xc3"), false}, /* cut */
    {BYTES("\xe2\x82"), false},
    {BYTES("\xf0\x9f\x98"), false},
    {BYTES("\xc3 "), false}, /* a blank for a continuation */
    {BYTES("12345678\xc3(12345678"), false},
    {BYTES("\xe2\x82\xe2\x82\xac"), false},
};

enum { N_UTF8_CASES = sizeof utf8_cases / sizeof *utf8_cases };

static void utf8_is_judged_as_rfc_3629_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_UTF8_CASES; i++)
        assert_int_equal(utf8_is_valid(utf8_cases[i].data, utf8_cases[i].len),
                         utf8_cases[i].is_valid);
}

static void pieces_are_judged_as_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_UTF8_CASES; i++) {
        const struct utf8_case *it = &utf8_cases[i];

        for (size_t cut = 0; cut <= it->len; cut++) {
            struct utf8_check check = {0};
            bool is_valid = utf8_check_feed(&check, it->data, cut) &&
                            utf8_check_feed(&check, it->data + cut, it->len - cut) &&
                            utf8_check_is_complete(&check);

            assert_int_equal(is_valid, it->is_valid);
        }
    }
}

/* Writes code as UTF-8 would, surrogates and too large ones too. */
static size_t encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static void every_code_point_decodes_to_itself(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        bool is_good = code < 0xd800 || (code > 0xdfff && code < 0x110000);
        char text[4];
        size_t len = encode(code, text);
        uint32_t decoded = 0;

        if (utf8_decode(text, len, &decoded) != (is_good ? len : 0) ||
            (is_good && (decoded != code || utf8_decode(text, len - 1, &decoded) != 0)) ||
            utf8_is_valid(text, len) != is_good)
            fail_msg("U+%04X", (unsigned)code);
    }
}

static void code_points_are_counted(void **state)
{
    (void)state;
    assert_int_equal(utf8_count(BYTES("")), 0);
    assert_int_equal(utf8_count(BYTES("abc")), 3);
    assert_int_equal(utf8_count(BYTES("gr\xc3\xbc\xc3\x9f")), 4);
    assert_int_equal(utf8_count(BYTES("\xe2\x82\xac\xf0\x9f\x98\x80")), 2);
}

static void texts_are_cut_between_characters(void **state)
{
    static const struct {
        const char *text;
        size_t max, len;
    } rows[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"abc", 2, 2},
        {"abc", 0, 0},
        {"a\xc3\xa9", 3, 3},
        {"a\xc3\xa9", 2, 1},
        {"a\xf0\x9f\x98\x80z", 5, 5},
        {"a\xf0\x9f\x98\x80z", 4, 1},
        {"\x80\x80\x80", 2, 0}, /* what is no text is cut all the same */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(utf8_cut(rows[i].text, rows[i].max), rows[i].len);
}

static void short_names_are_plain_words(void **state)
{
    static const char *const bad[] = {NULL,  "",    "A",   "1a",       "_a",
                                      "a-b", "a b", "a\n", "\xc3\xa9", "abcdefghi"};
    static const char *const good[] = {"a", "a_b", "a1", "abcdefgh"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(is_short_name(bad[i], 8));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(is_short_name(good[i], 8));
}

static void base64url_follows_rfc_4648(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *text;
    } cases[] = {
        {BYTES(""), ""},
        {BYTES("f"), "Zg"},
        {BYTES("fo"), "Zm8"},
        {BYTES("foo"), "Zm9v"},
        {BYTES("foob"), "Zm9vYg"},
        {BYTES("fooba"), "Zm9vYmE"},
        {BYTES("foobar"), "Zm9vYmFy"},
        {BYTES("\xfb\xff\xfe"), "-__-"},
        {BYTES("\0\0\0"), "AAAA"},
        {BYTES("\xff\xff\xff\xff"), "_____w"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[16];

        memset(out, '!', sizeof out);
        base64url(cases[i].bytes, cases[i].n, out);
        assert_string_equal(out, cases[i].text);
        assert_int_equal(out[strlen(out) + 1], '!');
    }
}

static void random_bytes_fill_what_they_are_given(void **state)
{
    unsigned char bytes[1000] = {0};
    size_t n_zeros = 0;

    (void)state;
    random_bytes(bytes, 999);
    assert_int_equal(bytes[999], 0);
    for (size_t i = 0; i < 999; i++)
        n_zeros += bytes[i] == 0;
    assert_true(n_zeros < 50);
    random_bytes(bytes, 0);
}

static void no_random_bytes_are_given_twice(void **state)
{
    enum { N = 20000 };
    static uint64_t seen[1 << 16];

    (void)state;
    for (int i = 0; i < N; i++) {
        uint64_t value;
        size_t at;

        random_bytes(&value, sizeof value);
        for (at = value % (1 << 16); seen[at]; at = (at + 1) % (1 << 16))
            assert_true(seen[at] != value);
        seen[at] = value;
    }
}

static void a_child_has_random_bytes_of_its_own(void **state)
{
    unsigned char ours[16], theirs[16];
    int ends[2], status;
    pid_t child;

    (void)state;
    random_bytes(ours, 1); /* more are at hand now */
    assert_int_equal(pipe(ends), 0);
    child = fork();
    random_bytes(ours, sizeof ours);
    if (child == 0)
        _exit(write(ends[1], ours, sizeof ours) != sizeof ours);
    assert_int_equal(read(ends[0], theirs, sizeof theirs), sizeof theirs);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_memory_not_equal(ours, theirs, sizeof ours);
    close(ends[0]);
    close(ends[1]);
}

static void random_below_spreads_and_stays_below(void **state)
{
    unsigned counts[3] = {0};

    (void)state;
    assert_int_equal(random_below(1), 0);
    for (int i = 0; i < 3000; i++) {
        uint32_t value = random_below(3);

        assert_true(value < 3);
        counts[value]++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(counts[i], 800, 1200);
    for (int i = 0; i < 100; i++)
        assert_true(random_below(0x80000001) < 0x80000001);
}

static void lists_give_trimmed_items(void **state)
{
    static const struct {
        const char *list;
        const char *items; /* each in brackets */
    } cases[] = {
        {"", ""},
        {" ", ""},
        {",", ""},
        {" , ,, ", ""},
        {"a", "[a]"},
        {"a,b", "[a][b]"},
        {" polling ,\twebsocket ", "[polling][websocket]"},
        {",a,,b c,", "[a][b c]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *list = cases[i].list;
        const char *item;
        char items[64] = "";
        size_t len;

        while ((item = list_next(&list, &len))) {
            strcat(items, "[");
            strncat(items, item, len);
            strcat(items, "]");
        }
        assert_string_equal(items, cases[i].items);
        assert_null(list_next(&list, &len));
    }
}

static void a_missing_list_is_empty(void **state)
{
    const char *list = NULL;
    size_t len = 1;

    (void)state;
    assert_null(list_next(&list, &len));
    assert_int_equal(len, 0);
    assert_false(list_has(NULL, "a"));
}

static void lists_have_whole_words(void **state)
{
    (void)state;
    assert_true(list_has("polling, websocket", "websocket"));
    assert_true(list_has("polling", "polling"));
    assert_false(list_has("polling, websocket", "web"));
    assert_false(list_has("web", "websocket"));
    assert_false(list_has("Polling", "polling"));
    assert_false(list_has("", ""));
}

static void words_compare_without_case_in_ascii_only(void **state)
{
    (void)state;
    assert_true(ascii_equal_nocase(BYTES("Content-LENGTH"), "content-length"));
    assert_true(ascii_equal_nocase(BYTES(""), ""));
    assert_false(ascii_equal_nocase(BYTES("host"), "hosts"));
    assert_false(ascii_equal_nocase(BYTES("hosts"), "host"));
    assert_false(ascii_equal_nocase(BYTES("a\0"), "a"));
    assert_false(ascii_equal_nocase(BYTES("\xc3\x84"), "\xc3\xa4"));
    assert_false(ascii_equal_nocase(BYTES("["), "{"));
    assert_false(ascii_equal_nocase(BYTES("@"), "`"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_judged_as_rfc_3629_does),
        cmocka_unit_test(pieces_are_judged_as_the_whole),
        cmocka_unit_test(every_code_point_decodes_to_itself),
        cmocka_unit_test(code_points_are_counted),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(short_names_are_plain_words),
        cmocka_unit_test(base64url_follows_rfc_4648),
        cmocka_unit_test(random_bytes_fill_what_they_are_given),
        cmocka_unit_test(no_random_bytes_are_given_twice),
        cmocka_unit_test(a_child_has_random_bytes_of_its_own),
        cmocka_unit_test(random_below_spreads_and_stays_below),
        cmocka_unit_test(lists_give_trimmed_items),
        cmocka_unit_test(a_missing_list_is_empty),
        cmocka_unit_test(lists_have_whole_words),
        cmocka_unit_test(words_compare_without_case_in_ascii_only),
    };

    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
