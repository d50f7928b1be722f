/*
 * test_placeholder.c - what stands for an attachment in a JSON text (core/socketio/
 * placeholder.c), as socket.io-parser decides it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/socketio/placeholder.h"

/* From a block of exactly that size, so that a read behind it is seen. */
static char *copy_of(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static void an_object_is_one_when_its_last_placeholder_is_true(void **state)
{
    static const struct {
        const char *text, *found; /* the number of each, and its object's length */
    } rows[] = {
        {"[]", ""},
        {"[{}]", ""},
        {"{\"_placeholder\":true,\"num\":0}", "0/29 "},
        {"{\"num\":12,\"_placeholder\":true}", "12/30 "},
        {" [ { \"_placeholder\" : true , \"num\" : 3 } ] ", "3/37 "},
        {"[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
         "0/29 1/29 "},
        {"{\"_placeholder\":true}", "-1/21 "},
        {"{\"_placeholder\":false,\"num\":0}", ""},
        {"{\"_placeholder\":1,\"num\":0}", ""},
        {"{\"_placeholder\":\"true\",\"num\":0}", ""},
        {"{\"_placeholder\":[true],\"num\":0}", ""},
        {"{\"placeholder\":true,\"num\":0}", ""},
        {"{\"_placeholder\":false,\"_placeholder\":true,\"num\":0}", "0/50 "},
        {"{\"_placeholder\":true,\"_placeholder\":false,\"num\":0}", ""},
        {"{\"num\":1,\"_placeholder\":true,\"num\":2}", "2/37 "},
        {"{\"num\":1,\"_placeholder\":true,\"num\":\"2\"}", "-1/39 "},
        {"{\"\\u005fplace\\u0068older\":true,\"n\\u0075m\":4}", "4/44 "},
        {"{\"_placeholder\\u0000\":true,\"num\":4}", ""},
        {"{\"_placeholder\\\\\":true,\"num\":4}", ""},
        {"[\"_placeholder\",true,\"num\",0]", ""},
        {"\"{\\\"_placeholder\\\":true,\\\"num\\\":0}\"", ""},
        {"[\"a\\\\\",{\"_placeholder\":true,\"num\":0}]", "0/29 "},
        {"{\"_placeholder\":true,\"num\":0,\"x\":{\"a\":1}}", "0/41 "},
        {"{\"a\":{\"_placeholder\":true,\"num\":0},\"_placeholder\":true,\"num\":1}",
         "0/29 1/63 "},
        {"{\"num\":{\"_placeholder\":true,\"num\":0},\"_placeholder\":true}",
         "0/29 -1/57 "},
        {"{\"x\":[\"num\",5],\"_placeholder\":true,\"num\":2}", "2/43 "},
        {"{\"_placeholder\":true,\"x\":{\"num\":0}}", "-1/35 "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = copy_of(rows[i].text), found[100] = "";
        struct placeholders walk;
        struct placeholder one;

        placeholders_init(&walk, text, strlen(rows[i].text));
        while (placeholders_next(&walk, &one)) {
            assert_int_equal(text[one.from], '{');
            assert_int_equal(text[one.to - 1], '}');
            assert_memory_equal(text + one.true_from, "true", 4);
            snprintf(found + strlen(found), sizeof found - strlen(found), "%d/%zu ",
                     (int)one.num, one.to - one.from);
        }
        if (strcmp(found, rows[i].found) != 0)
            fail_msg("%s: %s", rows[i].text, found);
        free(text);
    }
}

static void a_num_is_an_integer_however_it_is_written(void **state)
{
    static const struct {
        const char *num;
        int value;
    } rows[] = {
        {"0", 0},
        {"9", 9},
        {"10", 10},
        {"-0", 0},
        {"1.0", 1},
        {"10e-1", 1},
        {"0e400", 0},
        {"1E1", 10},
        {"2147483647", 2147483647},
        {"2147483648", -1},
        {"-1", -1},
        {"0.5", -1},
        {"1e400", -1},
        {"1e-400", 0},
        {"null", -1},
        {"true", -1},
        {"\"0\"", -1},
        {"[0]", -1},
        {"{\"num\":0}", -1},
        {"0.00000000000000000000000000000000", -1}, /* of more than 31 characters */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[100], *copy;
        struct placeholders walk;
        struct placeholder one;

        snprintf(text, sizeof text, "{\"_placeholder\":true,\"num\":%s}", rows[i].num);
        copy = copy_of(text);
        placeholders_init(&walk, copy, strlen(text));
        assert_true(placeholders_next(&walk, &one));
        if (one.num != rows[i].value)
            fail_msg("%s: %d", rows[i].num, (int)one.num);
        assert_int_equal(one.num_from, strlen("{\"_placeholder\":true,\"num\":"));
        if (one.num >= 0)
            assert_int_equal(one.num_to - one.num_from, strlen(rows[i].num));
        assert_false(placeholders_next(&walk, &one));
        free(copy);
    }
}

/* C11 */
static void all_of_them_must_be_below(void **state)
{
    static const char text[] = "[{\"_placeholder\":true,\"num\":2},[{\"a\":"
                               "{\"num\":0,\"_placeholder\":true}}]]";

    (void)state;
    assert_true(placeholders_are_below(text, sizeof text - 1, 3));
    assert_false(placeholders_are_below(text, sizeof text - 1, 2));
    assert_false(placeholders_are_below(text, sizeof text - 1, 0));
    assert_true(placeholders_are_below("[{}]", 4, 0));
    assert_false(placeholders_are_below("{\"_placeholder\":true}", 21, 10));
}

/* json.h lets 1,024 levels through. */
static void the_deepest_is_found_and_deeper_does_no_harm(void **state)
{
    enum { LEVELS = 5000 };
    static const char inner[] = "{\"_placeholder\":true,\"num\":7}";
    char *text = malloc(2 * LEVELS + sizeof inner);

    (void)state;
    assert_non_null(text);
    for (size_t levels = 1000; levels <= LEVELS; levels += levels < 1200 ? 1 : 100) {
        struct placeholders walk;
        struct placeholder one;
        size_t len = 2 * levels + sizeof inner - 1;

        memset(text, '[', levels);
        memcpy(text + levels, inner, sizeof inner - 1);
        memset(text + levels + sizeof inner - 1, ']', levels);
        placeholders_init(&walk, text, len);
        assert_true(placeholders_next(&walk, &one) == (levels < PLACEHOLDER_DEPTH));
        assert_false(placeholders_next(&walk, &one));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_one_when_its_last_placeholder_is_true),
        cmocka_unit_test(a_num_is_an_integer_however_it_is_written),
        cmocka_unit_test(all_of_them_must_be_below),
        cmocka_unit_test(the_deepest_is_found_and_deeper_does_no_harm),
    };

    return cmocka_run_group_tests_name("placeholder", tests, NULL, NULL);
}
