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
        struct sio_args list, again;

        build(args, rows[i].word, &event);
        assert_int_equal(args_finish(args, &list), 0);
        assert_int_equal(list.len, strlen(rows[i].text));
        assert_memory_equal(list.text, rows[i].text, list.len);
        assert_int_equal(list.n_attachments, 0);
        assert_int_equal(args_finish(args, &again), 0); /* which changes nothing */
        assert_memory_equal(&again, &list, sizeof list);
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
        struct sio_args list;

        build(args, words[i], &event);
        if (args_finish(args, &list) == 0)
            fail_msg("\"%s\" was taken", words[i]);
        build(args, "j", &event); /* it stays so */
        assert_int_equal(args_finish(args, &list), -1);
        hop_args_free(args);
    }
}

static void text_that_is_not_utf8_spoils_the_list(void **state)
{
    static const char *const bad[] = {"\xff", "a\xc3", "\xed\xa0\x80", NULL};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hop_args *args = hop_args_new();
        struct sio_args list;

        hop_args_string(args, bad[i]);
        assert_int_equal(args_finish(args, &list), -1);
        hop_args_free(args);
        args = hop_args_new();
        hop_args_begin_object(args);
        hop_args_key(args, bad[i]);
        hop_args_string(args, "x");
        hop_args_end(args);
        assert_int_equal(args_finish(args, &list), -1);
        hop_args_free(args);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int depth = 62; depth <= 65; depth++) {
        hop_args *args = hop_args_new();
        struct sio_args list;

        for (int i = 0; i < depth; i++)
            hop_args_begin_array(args);
        for (int i = 0; i < depth; i++)
            hop_args_end(args);
        assert_int_equal(args_finish(args, &list), depth <= 63 ? 0 : -1);
        hop_args_free(args);
    }
}

static void a_tree_that_cannot_be_written_spoils_the_list(void **state)
{
    hop_args *args = hop_args_new();
    struct sio_args list;

    (void)state;
    hop_args_json(args, NULL);
    assert_int_equal(args_finish(args, &list), -1);
    hop_args_free(args);
    args = hop_args_new();
    hop_args_json(args, json_string_nocheck("\xff"));
    assert_int_equal(args_finish(args, &list), -1);
    hop_args_free(args);
    hop_args_free(NULL);
    assert_int_equal(args_finish(NULL, &list), -1);
}

/* ---- binary data */

#define PLACEHOLDER(num) "{\"_placeholder\":true,\"num\":" #num "}"

/* An event's arguments, its attachments, what is made of them; then the list that follows. */
struct binary_row {
    const char *received, *attachments[4];
    const char *word, *text, *sent;
};

/* b: binary "new"; B: empty binary; t: the tree of argument 0; else as build(). */
static void build_binary(hop_args *args, const char *word, hop_event *event)
{
    for (; *word; word++) {
        const char one[2] = {*word, '\0'};

        if (*word == 'b')
            hop_args_binary(args, "new", 3);
        else if (*word == 'B')
            hop_args_binary(args, NULL, 0);
        else if (*word == 't')
            hop_args_json(args, json_incref(json_array_get(hop_event_args(event), 0)));
        else
            build(args, one, event);
    }
}

static void check_binary_row(const struct binary_row *row)
{
    static const struct json_limits limits = {64, 10000};
    struct json_span spans[16];
    struct bytes *attachments[4];
    struct sio_event in = {.name = "e",
                           .name_len = 1,
                           .args = spans + 1,
                           .text = row->received,
                           .text_len = strlen(row->received),
                           .attachments = attachments};
    hop_event event = {.in = &in};
    hop_args *args = hop_args_new();
    struct sio_args list;
    char sent[200] = "";
    size_t n;

    assert_int_equal(json_scan_array(in.text, in.text_len, &limits, spans, 16, &n),
                     JSON_OK);
    in.n_args = n - 1;
    for (; row->attachments[in.n_attachments]; in.n_attachments++)
        attachments[in.n_attachments] =
            bytes_copy(row->attachments[in.n_attachments],
                       strlen(row->attachments[in.n_attachments]));
    build_binary(args, row->word, &event);
    event_done(&event);
    for (size_t i = 0; i < in.n_attachments; i++)
        bytes_unref(attachments[i]); /* the list has its own references */
    assert_int_equal(args_finish(args, &list), 0);
    assert_int_equal(args_finish(args, &list), 0);
    if (list.len != strlen(row->text) || memcmp(list.text, row->text, list.len) != 0)
        fail_msg("\"%s\" of %s: %.*s", row->word, row->received, (int)list.len,
                 list.text);
    for (size_t i = 0; i < list.n_attachments; i++)
        snprintf(sent + strlen(sent), sizeof sent - strlen(sent), "<%.*s>",
                 (int)list.attachments[i]->len, list.attachments[i]->data);
    assert_string_equal(sent, row->sent);
    hop_args_free(args);
}

static void binary_data_leaves_with_the_list(void **state)
{
    static const struct binary_row rows[] = {
        {"[0]", {NULL}, "b", "[" PLACEHOLDER(0) "]", "<new>"},
        {"[0]",
         {NULL},
         "{kBk[bb))",
         "[{\"k\":" PLACEHOLDER(0) ",\"k\":[" PLACEHOLDER(1) "," PLACEHOLDER(2) "]}]",
         "<><new><new>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_binary_row(&rows[i]);
}

static void a_relay_takes_along_what_its_arguments_hold(void **state)
{
    static const struct binary_row rows[] = {
        /* the same numbers, byte for byte */
        {"[0, {\"a\" : [" PLACEHOLDER(0) "]} ]",
         {"x"},
         "r",
         "[{\"a\" : [" PLACEHOLDER(0) "]}]",
         "<x>"},
        {"[0," PLACEHOLDER(0) ",1," PLACEHOLDER(1) "]",
         {"x", ""},
         "rR",
         "[" PLACEHOLDER(0) ",1," PLACEHOLDER(1) "]",
         "<x><>"},
        /* other numbers, and only what is named */
        {"[0,1," PLACEHOLDER(2) ",\"\\ud800\\u0000\",18446744073709552000]",
         {"x", "y", "z"},
         "bR",
         "[" PLACEHOLDER(0) "," PLACEHOLDER(
             1) ",\"\\ud800\\u0000\",18446744073709552000]",
         "<new><z>"},
        {"[0,{\"num\":1,\"_placeholder\":true,\"x\":" PLACEHOLDER(0) "}]",
         {"x", "y"},
         "r",
         "[{\"num\":0,\"_placeholder\":true,\"x\":" PLACEHOLDER(1) "}]",
         "<y><x>"},
        /* twice the same one */
        {"[0,[" PLACEHOLDER(1) "," PLACEHOLDER(1) "],5]",
         {"x", "y"},
         "rr",
         "[[" PLACEHOLDER(0) "," PLACEHOLDER(0) "],[" PLACEHOLDER(0) "," PLACEHOLDER(
             0) "]]",
         "<y>"},
        /* ten and more: a number grows */
        {"[0,[" PLACEHOLDER(0) "," PLACEHOLDER(0) "]]",
         {"x"},
         "bbbbbbbbbbr",
         "[" PLACEHOLDER(0) "," PLACEHOLDER(1) "," PLACEHOLDER(2) "," PLACEHOLDER(3) "," PLACEHOLDER(4) "," PLACEHOLDER(5) "," PLACEHOLDER(
             6) "," PLACEHOLDER(7) "," PLACEHOLDER(8) "," PLACEHOLDER(9) ",[" PLACEHOLDER(10) "," PLACEHOLDER(10) "]]",
         "<new><new><new><new><new><new><new><new><new><new><x>"},
        {"[0,{\"_placeholder\":true,\"num\":1.0}]",
         {"x", "y"},
         "b[r)",
         "[" PLACEHOLDER(0) ",[" PLACEHOLDER(1) "]]",
         "<new><y>"},
        {"[0,{\"\\u005fplaceholder\":true,\"n\\u0075m\":0}]",
         {"x"},
         "br",
         "[" PLACEHOLDER(0) ",{\"\\u005fplaceholder\":true,\"n\\u0075m\":1}]",
         "<new><x>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_binary_row(&rows[i]);
}

/* C11 */
static void what_only_looks_like_a_placeholder_is_no_attachment(void **state)
{
#define FAKE(num) "{\"_placeholder\":1,\"num\":" #num "}"
    static const struct binary_row rows[] = {
        /* in a list without attachments it is as harmless as it was */
        {"[0," PLACEHOLDER(0) "," PLACEHOLDER(5) "]",
         {NULL},
         "rR",
         "[" PLACEHOLDER(0) "," PLACEHOLDER(5) "]",
         ""},
        {"[0," PLACEHOLDER(0) "]", {NULL}, "t", "[" PLACEHOLDER(0) "]", ""},
        /* in one with attachments a receiver would be cheated, or close */
        {"[0," PLACEHOLDER(0) "]",
         {NULL},
         "br",
         "[" PLACEHOLDER(0) "," FAKE(0) "]",
         "<new>"},
        {"[0," PLACEHOLDER(9) "]",
         {NULL},
         "rb",
         "[" FAKE(9) "," PLACEHOLDER(0) "]",
         "<new>"},
        {"[0,[" PLACEHOLDER(9) ",7," PLACEHOLDER(-1) "]]",
         {NULL},
         "brb",
         "[" PLACEHOLDER(0) ",[" FAKE(9) ",7," FAKE(-1) "]," PLACEHOLDER(1) "]",
         "<new><new>"},
        {"[0," PLACEHOLDER(0) "]",
         {NULL},
         "bt",
         "[" PLACEHOLDER(0) "," FAKE(0) "]",
         "<new>"},
        {"[0," PLACEHOLDER(0) "]",
         {"x"},
         "rt",
         "[" PLACEHOLDER(0) "," FAKE(0) "]",
         "<x>"},
        {"[0,{\"_placeholder\" : true, \"x\":{\"\\u005fplaceholder\":true}, \"num\":{}}]",
         {NULL},
         "br",
         "[" PLACEHOLDER(
             0) ",{\"_placeholder\" : 1, \"x\":{\"\\u005fplaceholder\":1}, \"num\":{}}]",
         "<new>"},
        {"[0,{\"_placeholder\":true,\"_placeholder\":true}]",
         {NULL},
         "br",
         "[" PLACEHOLDER(0) ",{\"_placeholder\":true,\"_placeholder\":1}]",
         "<new>"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_binary_row(&rows[i]);
}

static void a_placeholder_that_a_plugin_wrote_itself_is_none(void **state)
{
    hop_args *args = hop_args_new();
    struct sio_args list;

    (void)state;
    hop_args_begin_object(args);
    hop_args_key(args, "_placeholder");
    hop_args_json(args, json_true());
    hop_args_key(args, "num");
    hop_args_json(args, json_integer(0));
    hop_args_end(args);
    hop_args_binary(args, "a", 1);
    assert_int_equal(args_finish(args, &list), 0);
    assert_int_equal(list.len, strlen("[" FAKE(0) "," PLACEHOLDER(0) "]"));
    assert_memory_equal(list.text, "[" FAKE(0) "," PLACEHOLDER(0) "]", list.len);
    hop_args_free(args);
}

static void binary_data_must_fit_the_grammar(void **state)
{
    static const char *const words[] = {"{b", ")b", "{kbb"};
    const hop_event event = {.in = &received};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        hop_args *args = hop_args_new();
        struct sio_args list;
        char plain[8];

        snprintf(plain, sizeof plain, "%.*s", (int)strcspn(words[i], "b"), words[i]);
        build(args, plain, &event);
        for (size_t n = strlen(plain); n < strlen(words[i]); n++)
            hop_args_binary(args, "x", 1);
        assert_int_equal(args_finish(args, &list), -1);
        hop_args_free(args);
    }
    {
        hop_args *args = hop_args_new();
        struct sio_args list;

        hop_args_binary(args, NULL, 1);
        assert_int_equal(args_finish(args, &list), -1);
        hop_args_free(args);
    }
}

static void an_event_gives_its_attachments_out(void **state)
{
    static const char text[] = "[\"e\"," PLACEHOLDER(1) ",{\"a\":" PLACEHOLDER(
        0) "},[" PLACEHOLDER(0) "],\"x\",{\"_placeholder\":true,\"num\":0,\"a\":[]}]";
    static const struct json_limits limits = {64, 10000};
    struct json_span spans[8];
    struct bytes *attachments[] = {bytes_copy("zero", 4), bytes_copy("", 0)};
    struct sio_event in = {.text = text, .text_len = sizeof text - 1, .args = spans + 1};
    hop_event event = {.in = &in};
    size_t n, len = 1;

    (void)state;
    assert_int_equal(json_scan_array(text, in.text_len, &limits, spans, 8, &n), JSON_OK);
    in.n_args = n - 1;
    assert_int_equal(hop_event_n_attachments(&event), 0);
    assert_null(hop_event_attachment(&event, 0, &len));
    assert_int_equal(len, 0);
    assert_null(hop_event_binary(&event, 0, &len)); /* an object like others */
    in.attachments = attachments;
    in.n_attachments = 2;
    assert_int_equal(hop_event_n_attachments(&event), 2);
    assert_memory_equal(hop_event_attachment(&event, 0, &len), "zero", 4);
    assert_int_equal(len, 4);
    assert_non_null(hop_event_attachment(&event, 1, &len));
    assert_int_equal(len, 0);
    assert_null(hop_event_attachment(&event, 2, &len));
    assert_ptr_equal(hop_event_binary(&event, 0, &len), attachments[1]->data);
    assert_int_equal(len, 0);
    for (n = 1; n < 4; n++) {
        assert_null(hop_event_binary(&event, n, &len));
        assert_int_equal(len, 0);
    }
    assert_memory_equal(hop_event_binary(&event, 4, &len), "zero", 4);
    assert_null(hop_event_binary(&event, 5, &len));
    bytes_unref(attachments[0]);
    bytes_unref(attachments[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_fits_the_grammar_is_that_text),
        cmocka_unit_test(a_call_that_does_not_fit_spoils_the_list),
        cmocka_unit_test(text_that_is_not_utf8_spoils_the_list),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_tree_that_cannot_be_written_spoils_the_list),
        cmocka_unit_test(binary_data_leaves_with_the_list),
        cmocka_unit_test(a_relay_takes_along_what_its_arguments_hold),
        cmocka_unit_test(what_only_looks_like_a_placeholder_is_no_attachment),
        cmocka_unit_test(a_placeholder_that_a_plugin_wrote_itself_is_none),
        cmocka_unit_test(binary_data_must_fit_the_grammar),
        cmocka_unit_test(an_event_gives_its_attachments_out),
    };

    return cmocka_run_group_tests_name("args", tests, NULL, NULL);
}
