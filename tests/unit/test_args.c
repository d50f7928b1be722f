/*
 * test_args.c - core/plugin/args.c: argument lists as text, the grammar watched.
 */
#include "core/plugin/args.h"

#include "core/plugin/event.h"
#include "tests/unit/fakehub.h"

/*
 * A list as a word of letters, so that a row is one line:
 *   { [ ) begin and end   k key   s string   j null through jansson   r raw argument 0
 *   m raw of an argument that is not there   R all raw from 1 on
 */
static void build(hop_args *args, const char *word, const hop_event *event)
{
    for (; *word; word++) {
        switch (*word) {
        case '{':
            hop_args_begin_object(args);
            break;
        case '[':
            hop_args_begin_array(args);
            break;
        case ')':
            hop_args_end(args);
            break;
        case 'k':
            hop_args_key(args, "k");
            break;
        case 's':
            hop_args_string(args, "a\"\n\xc3\xa9");
            break;
        case 'j':
            hop_args_json(args, json_null());
            break;
        case 'r':
            hop_args_raw(args, event, 0);
            break;
        case 'm':
            hop_args_raw(args, event, 99);
            break;
        default:
            hop_args_raw_from(args, event, 1);
        }
    }
}

static const struct sio_event received = {
    .name = "e",
    .name_len = 1,
    .n_args = 3,
    .args = (const struct json_span[]){{5, 25}, {26, 27}, {28, 31}},
    .text = "[\"e\",18446744073709552000,1,[2]]",
    .text_len = 32,
};

static void a_list_that_fits_the_grammar_is_that_text(void **state)
{
    static const struct {
        const char *word, *text;
    } rows[] = {
        {"", "[]"},
        {"s", "[\"a\\\"\\u000a\xc3\xa9\"]"},
        {"jj", "[null,null]"},
        {"r", "[18446744073709552000]"},
        {"m", "[null]"},
        {"R", "[1,[2]]"},
        {"rR", "[18446744073709552000,1,[2]]"},
        {"{)", "[{}]"},
        {"[)", "[[]]"},
        {"{)[)", "[{},[]]"},
        {"{kjkr)j", "[{\"k\":null,\"k\":18446744073709552000},null]"},
        {"{k{k[jj)k{)))", "[{\"k\":{\"k\":[null,null],\"k\":{}}}]"},
        {"[R)", "[[1,[2]]]"},
    };
    const hop_event event = {.in = &received};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hop_args *args = hop_args_new();
        const char *text;
        size_t len;

        build(args, rows[i].word, &event);
        text = args_text(args, &len);
        assert_non_null(text);
        assert_int_equal(len, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, len);
        assert_ptr_equal(args_text(args, &len), text); /* asking again changes nothing */
        assert_int_equal(len, strlen(rows[i].text));
        hop_args_free(args);
    }
}

static void a_call_that_does_not_fit_spoils_the_list(void **state)
{
    static const char *const words[] = {
        ")", "k",  "[k", "{j",  "{s)",  "{r",  "{kk", "{k)",    "{kjj)", "{",
        "[", "j)", "{R", "{))", "[))j", "{k[", "{kR", "{k{kj)", "[k)j",
    };
    const hop_event event = {.in = &received};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hop_args *args = hop_args_new();
        size_t len;

        build(args, words[i], &event);
        if (args_text(args, &len))
            fail_msg("\"%s\" was taken", words[i]);
        build(args, "j", &event); /* it stays so */
        assert_null(args_text(args, &len));
        hop_args_free(args);
    }
}

static void text_that_is_not_utf8_spoils_the_list(void **state)
{
    static const char *const bad[] = {"\xff", "a\xc3", "\xed\xa0\x80", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hop_args *args = hop_args_new();
        size_t len;

        hop_args_string(args, bad[i]);
        assert_null(args_text(args, &len));
        hop_args_free(args);
        args = hop_args_new();
        hop_args_begin_object(args);
        hop_args_key(args, bad[i]);
        hop_args_string(args, "x");
        hop_args_end(args);
        assert_null(args_text(args, &len));
        hop_args_free(args);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int depth = 62; depth <= 65; depth++) {
        hop_args *args = hop_args_new();
        size_t len;

        for (int i = 0; i < depth; i++)
            hop_args_begin_array(args);
        for (int i = 0; i < depth; i++)
            hop_args_end(args);
        assert_true((args_text(args, &len) != NULL) == (depth <= 63));
        hop_args_free(args);
    }
}

static void a_tree_that_cannot_be_written_spoils_the_list(void **state)
{
    hop_args *args = hop_args_new();
    size_t len;

    (void)state;
    hop_args_json(args, NULL);
    assert_null(args_text(args, &len));
    hop_args_free(args);
    args = hop_args_new();
    hop_args_json(args, json_string_nocheck("\xff"));
    assert_null(args_text(args, &len));
    hop_args_free(args);
    hop_args_free(NULL);
    assert_null(args_text(NULL, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_fits_the_grammar_is_that_text),
        cmocka_unit_test(a_call_that_does_not_fit_spoils_the_list),
        cmocka_unit_test(text_that_is_not_utf8_spoils_the_list),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_tree_that_cannot_be_written_spoils_the_list),
    };

    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
