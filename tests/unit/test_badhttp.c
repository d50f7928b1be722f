/*
 * test_badhttp.c - the HTTP codec (core/net/http*.c) against requests as an enemy writes
 * them: the table of tests/data/badhttp.json, each byte in each place, and mutations; each
 * cut at every byte, each behind a good request and with one behind it
 * (C20, C25, C27, C31, T07, T11, T28). The server is tried with the same table by
 * tests/scenario/badhttp.test.js.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "tests/unit/http_outcome.h"

#define GOOD "GET /test/hello HTTP/1.1\r\nHost: x\r\n\r\n"
#define HELLO "hello\n" /* what GOOD is answered */
#define POST "POST /test/body HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct text {
    char *at; /* owned */
    size_t len, cap;
};

static json_t *table;   /* owned */
static size_t n_inputs; /* different ones */
static size_t n_parsed; /* in how many ways */

/* ---- the table */

static void add(struct text *text, const char *bytes, size_t len)
{
    if (text->len + len + 1 > text->cap) {
        text->cap = 2 * (text->len + len + 1);
        text->at = realloc(text->at, text->cap);
        assert_non_null(text->at);
    }
    memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = '\0';
}

/* The characters of JSON's UTF-8 as bytes: none is above 255. */
static void add_latin1(struct text *text, const char *utf8, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)utf8[i];
        char byte = (char)c;

        if (c >= 0x80) {
            assert_in_range(c, 0xc2, 0xc3);
            assert_true(i + 1 < len);
            byte = (char)(c << 6 | ((unsigned char)utf8[++i] & 0x3f));
        }
        add(text, &byte, 1);
    }
}

/* A text, a name behind @, or [piece, ..., count]. */
static void add_piece(struct text *text, const json_t *piece)
{
    const char *string = json_string_value(piece);
    json_t *named = NULL;

    if (string && string[0] == '@')
        named = json_object_get(json_object_get(table, "pieces"), string + 1);
    if (named) {
        add_piece(text, named);
    } else if (string) {
        add_latin1(text, string, json_string_length(piece));
    } else {
        size_t n = json_array_size(piece);
        json_int_t count = json_integer_value(json_array_get(piece, n - 1));

        assert_true(n >= 2 && count > 0);
        while (count-- > 0)
            for (size_t i = 0; i + 1 < n; i++)
                add_piece(text, json_array_get(piece, i));
    }
}

/* The pieces of a row from the place `from` on. */
static void set_pieces(struct text *text, const json_t *row, size_t from)
{
    text->len = 0;
    add(text, "", 0);
    for (size_t i = from; i < json_array_size(row); i++)
        add_piece(text, json_array_get(row, i));
}

static const char *why(const json_t *row)
{
    return json_string_value(json_array_get(row, 1));
}

static int load_table(void **state)
{
    const char *source = getenv("SOCKHOP_SOURCE");
    char path[4096];
    json_error_t error;

    (void)state;
    snprintf(path, sizeof path, "%s/tests/data/badhttp.json", source ? source : ".");
    table = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (!table)
        print_message("%s:%d: %s\n", path, error.line, error.text);
    return table ? 0 : -1;
}

static int drop_table(void **state)
{
    (void)state;
    json_decref(table);
    print_message("%zu bad inputs, parsed in %zu ways\n", n_inputs, n_parsed);
    return 0;
}

/* ---- what the test server would answer: see tests/plugins/route.c */

static void note_answer(struct outcome *outcome, const struct http_request *request)
{
    outcome->drops_body = strcmp(request->path.text, "/test/body") != 0;
    if (strcmp(request->path.text, "/test/hello") == 0 ||
        strcmp(request->path.text, "/test/h%65llo") == 0)
        note(outcome, HELLO, strlen(HELLO));
    else if (strcmp(request->path.text, "/test/query") == 0)
        note(outcome, request->query.text, request->query.len);
    else if (outcome->drops_body)
        note(outcome, "?", 1);
}

#define OUTCOME                                                                          \
    {                                                                                    \
        .on_head = note_answer, .end = ""                                                \
    }

static bool is_refused(const struct outcome *outcome, int status, const char *answers)
{
    return outcome->error == status && outcome->done_len == strlen(answers) &&
           memcmp(outcome->text, answers, outcome->done_len) == 0;
}

/* Alone, behind a good request, and with one behind. Whether it went as expected. */
static bool is_refused_everywhere(const struct text *bad, int status)
{
    struct outcome alone = OUTCOME, behind = OUTCOME;
    struct text all = {0};
    bool is_so;

    n_parsed += parse_all_ways(&alone, bad->at, bad->len);
    add(&all, GOOD, strlen(GOOD));
    add(&all, bad->at, bad->len);
    add(&all, GOOD, strlen(GOOD));
    n_parsed += parse_all_ways(&behind, all.at, all.len);
    is_so = is_refused(&alone, status, "") && is_refused(&behind, status, HELLO) &&
            strcmp(alone.reason, behind.reason) == 0;
    if (!is_so)
        print_message("%d \"%s\" (%d \"%s\" \"%.100s\"), not %d: ", alone.error,
                      alone.error ? alone.reason : "", behind.error,
                      behind.error ? behind.reason : "", behind.text, status);
    outcome_done(&alone);
    outcome_done(&behind);
    free(all.at);
    return is_so;
}

static void what_is_bad_is_refused_however_it_is_cut(void **state)
{
    const json_t *rows = json_object_get(table, "refused");
    struct text bad = {0};
    size_t i, n_failed = 0;
    json_t *row;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        set_pieces(&bad, row, 2);
        if (!is_refused_everywhere(&bad,
                                   (int)json_integer_value(json_array_get(row, 0)))) {
            print_message("%s\n", why(row));
            n_failed++;
        }
    }
    n_inputs += i;
    print_message("%zu malformed requests\n", i);
    free(bad.at);
    assert_int_equal(n_failed, 0);
    assert_true(i >= 150);
}

/* C20, C25, C31, T07: the odd, and what is just within a limit */
static void what_is_good_is_understood_in_one_way(void **state)
{
    const json_t *rows = json_object_get(table, "served");
    struct text good = {0}, answers = {0};
    struct outcome outcome = OUTCOME;
    size_t i, n_failed = 0;
    json_t *row;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        const json_t *expected = json_array_get(row, 0);

        set_pieces(&good, row, 2);
        set_pieces(&answers, expected, 0);
        add(&good, GOOD, strlen(GOOD));
        add(&answers, HELLO, strlen(HELLO));
        n_parsed += parse_all_ways(&outcome, good.at, good.len);
        if (outcome.error || outcome.n_requests != json_array_size(expected) + 1 ||
            outcome.len != answers.len ||
            memcmp(outcome.text, answers.at, answers.len) != 0) {
            print_message("%d \"%s\" \"%.100s\": %s\n", outcome.error,
                          outcome.error ? outcome.reason : "", outcome.text, why(row));
            n_failed++;
        }
    }
    print_message("%zu odd requests\n", i);
    outcome_done(&outcome);
    free(good.at);
    free(answers.at);
    assert_int_equal(n_failed, 0);
}

/* ---- every byte in every place */

static bool is_token(unsigned char c)
{
    return c && strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "abcdefghijklmnopqrstuvwxyz",
                       c);
}

static bool is_in_name(unsigned char c)
{
    return is_token(c) || c == ':';
}

static bool is_in_method(unsigned char c)
{
    (void)c;
    return false; /* no method of ours is GxT */
}

static bool is_in_target(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

/* A tab, a blank, what can be seen, and what is beyond ASCII: RFC 9110 5.5 */
static bool is_in_value(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool is_in_host(unsigned char c)
{
    return c && strchr("-._~:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                       "abcdefghijklmnopqrstuvwxyz",
                       c);
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_in_chunk_size(unsigned char c)
{
    return c == '1'; /* of 16 + 1 bytes */
}

static bool is_never(unsigned char c)
{
    (void)c;
    return false;
}

static void each_byte_in_each_place_is_taken_or_refused(void **state)
{
    static const struct {
        const char *before, *behind;
        bool (*is_allowed)(unsigned char);
    } places[] = {
        {"G", "T /test/hello HTTP/1.1\r\nHost: x\r\n\r\n", is_in_method},
        {"GET", "/test/hello HTTP/1.1\r\nHost: x\r\n\r\n", is_never},
        {"GET /test/query?", " HTTP/1.1\r\nHost: x\r\n\r\n", is_in_target},
        {"GET /test/", " HTTP/1.1\r\nHost: x\r\n\r\n", is_in_target},
        {"GET /test/hello", "HTTP/1.1\r\nHost: x\r\n\r\n", is_never},
        {"GET /test/hello HTTP/1.1", "\r\nHost: x\r\n\r\n", is_never},
        {"GET /test/hello HTTP/1", "1\r\nHost: x\r\n\r\n", is_never},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\nX", "Y: a\r\n\r\n", is_in_name},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\nX", ": a\r\n\r\n", is_in_name},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\n", "X: a\r\n\r\n", is_token},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\nX: a", "b\r\n\r\n", is_in_value},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\nX:", "\r\n\r\n", is_in_value},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\nX: a", "\r\n\r\n", is_in_value},
        {"GET /test/hello HTTP/1.1\r\nHost: x\r\n", "\r\n", is_never},
        {"GET /test/hello HTTP/1.1\r\nHost: x", "1\r\n\r\n", is_in_host},
        {POST "Content-Length: 1", "0\r\n\r\n", is_digit},
        {POST "Transfer-Encoding: chun", "ked\r\n\r\n", is_never},
        {CHUNKED "1", "\r\n0123456789abcdef!\r\n0\r\n\r\n", is_in_chunk_size},
        {CHUNKED "1\r\nx", "\r\n0\r\n\r\n", is_never},
        {CHUNKED "0", "\r\n\r\n", is_never},
        {CHUNKED "0\r\nX", "Y: a\r\n\r\n", is_in_name},
        {CHUNKED "0\r\n", "X: a\r\n\r\n", is_token},
        {CHUNKED "0\r\nX: a", "b\r\n\r\n", is_in_value},
        {CHUNKED "0\r\n", "\r\n", is_never},
        {CHUNKED "0\r\n\r", "", is_never},
    };
    char digits[200];
    struct outcome outcome = OUTCOME;
    struct text text = {0};
    size_t n_failed = 0;

    (void)state;
    memset(digits, '0', sizeof digits);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (int c = 0; c < 256; c++) {
            char byte = (char)c;
            bool is_length = strstr(places[i].before, "Content-Length") != NULL;
            bool is_allowed = places[i].is_allowed((unsigned char)c);

            /* what means the same, or was complete before */
            if (strcmp(places[i].behind, "") == 0 && c == '\n')
                is_allowed = true;
            if (strcmp(places[i].before, CHUNKED "0") == 0 && c == '0')
                is_allowed = true;
            if (strcmp(places[i].behind, "/test/hello HTTP/1.1\r\nHost: x\r\n\r\n") ==
                    0 ||
                strcmp(places[i].behind, "HTTP/1.1\r\nHost: x\r\n\r\n") == 0)
                is_allowed = c == ' ';
            if (strcmp(places[i].before, "GET /test/hello HTTP/1") == 0)
                is_allowed = c == '.';
            if (strcmp(places[i].before, "G") == 0)
                is_allowed = c == 'E';
            text.len = 0;
            add(&text, places[i].before, strlen(places[i].before));
            add(&text, &byte, 1);
            add(&text, places[i].behind, strlen(places[i].behind));
            if (is_length && is_allowed)
                add(&text, digits, 100 + 10 * (size_t)(c - '0'));
            n_parsed += parse_all_ways(&outcome, text.at, text.len);
            n_inputs += !is_allowed;
            if ((outcome.error == 0 && outcome.n_requests == 1) != is_allowed) {
                print_message("byte %02x behind \"%s\": %d \"%s\"\n", c, places[i].before,
                              outcome.error, outcome.error ? outcome.reason : "");
                n_failed++;
            }
        }
    }
    outcome_done(&outcome);
    free(text.at);
    assert_int_equal(n_failed, 0);
}

/* ---- mutations: nobody knows what is right, but it must not depend on the cuts */

static const char marks[] = "\0\t\n\r :;,0-Aa\x7f\x80\xff";

static void try_mutation(const struct text *text, struct outcome *outcome,
                         struct outcome *other)
{
    parse(outcome, text->at, text->len, text->len);
    parse(other, text->at, text->len, SIZE_MAX);
    assert_same(outcome, other);
    parse(other, text->at, text->len, 1 + n_inputs % text->len);
    assert_same(outcome, other);
    n_inputs += outcome->error != 0;
    n_parsed += 3;
}

static void a_mutation_is_understood_the_same_however_it_is_cut(void **state)
{
    enum { LONGEST = 400 };
    const json_t *rows = json_object_get(table, "served");
    struct outcome outcome = OUTCOME, other = OUTCOME;
    struct text text = {0}, mutant = {0};
    size_t i;
    json_t *row;

    (void)state;
    json_array_foreach(rows, i, row)
    {
        set_pieces(&text, row, 2);
        if (text.len > LONGEST)
            continue;
        add(&text, GOOD, strlen(GOOD));
        for (size_t at = 0; at < text.len - strlen(GOOD); at++) {
            for (size_t n = 0; n < sizeof marks - 1; n++) {
                for (size_t skip = 0; skip <= 1; skip++) { /* inserted, put in place */
                    mutant.len = 0;
                    add(&mutant, text.at, at);
                    add(&mutant, &marks[n], 1);
                    add(&mutant, text.at + at + skip, text.len - at - skip);
                    try_mutation(&mutant, &outcome, &other);
                }
            }
            for (size_t n = 1; n <= 2; n++) { /* left out */
                mutant.len = 0;
                add(&mutant, text.at, at);
                add(&mutant, text.at + at + n, text.len - at - n);
                try_mutation(&mutant, &outcome, &other);
            }
        }
    }
    outcome_done(&outcome);
    outcome_done(&other);
    free(text.at);
    free(mutant.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_bad_is_refused_however_it_is_cut),
        cmocka_unit_test(what_is_good_is_understood_in_one_way),
        cmocka_unit_test(each_byte_in_each_place_is_taken_or_refused),
        cmocka_unit_test(a_mutation_is_understood_the_same_however_it_is_cut),
    };

    return cmocka_run_group_tests(tests, load_table, drop_table);
}
