/*
 * test_table.c - core/plugin/table.c and core/base/config_doc.c: what a person reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/config_doc.h"
#include "core/plugin/table.h"

static char *text;
static size_t len;
static FILE *out;

static void begin(void)
{
    out = open_memstream(&text, &len);
    assert_non_null(out);
}

static void printed_is(const char *expected)
{
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static const char *const heads[] = {"NAME", "N", "PLUGIN", NULL};

static void add_row(struct table *table, const char *name, size_t n, const char *plugin)
{
    table_add(table, name);
    table_add_number(table, n);
    table_add(table, plugin);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct table table;

    (void)state;
    table_init(&table, "title", heads);
    add_row(&table, "a long name", 1, "b");
    add_row(&table, "c", 1234567, "a");
    begin();
    table_print(&table, out);
    printed_is("title\n"
               "NAME         N        PLUGIN\n"
               "a long name  1        b\n"
               "c            1234567  a\n\n");
}

static void cells_are_escaped_and_empty_ones_marked(void **state)
{
    struct table table;

    (void)state;
    table_init(&table, "title", heads);
    add_row(&table, "a\n\"b\"", 1, NULL);
    add_row(&table, "", 2, "");
    begin();
    table_print(&table, out);
    printed_is("title\n"
               "NAME        N  PLUGIN\n"
               "a\\x0a\\\"b\\\"  1  -\n"
               "-           2  -\n\n");
}

static void rows_may_be_sorted(void **state)
{
    struct table table;

    (void)state;
    table_init(&table, "title", heads);
    add_row(&table, "b", 1, "x");
    add_row(&table, "a", 2, "y");
    add_row(&table, "a", 1, "z");
    table_sort(&table);
    begin();
    table_print(&table, out);
    printed_is("title\nNAME  N  PLUGIN\na     1  z\na     2  y\nb     1  x\n\n");
}

static void a_table_without_rows_is_not_printed(void **state)
{
    struct table table;

    (void)state;
    table_init(&table, "title", heads);
    table_sort(&table);
    begin();
    table_print(&table, out);
    printed_is("");
}

struct state {
    int64_t ms, n;
    size_t bytes;
    const char *word;
    int choice;
    bool is_on;
};

#define LONG_HELP                                                                        \
    "one two three four five six seven eight nine ten eleven twelve thirteen "           \
    "fourteen fifteen sixteen"

static const hop_config_key keys[] = {
    HOP_MS(struct state, ms, "ms", 90000, 10, 600000, "a time"),
    HOP_INT(struct state, n, "n", -1, INT64_MIN, INT64_MAX, "any number",
            .flags = HOP_KEY_RELOADABLE),
    HOP_SIZE(struct state, bytes, "bytes", 65536, LONG_HELP),
    HOP_SIZE_RANGE(struct state, bytes, "more", 2048, 1024, INT64_MAX, "a size"),
    HOP_STRING(struct state, word, "word", NULL, "a word", .flags = HOP_KEY_SECRET),
    HOP_CHOICE(struct state, choice, "choice", "b", "a|b|c", "one of three"),
    HOP_BOOL(struct state, is_on, "is_on", true, "whether"),
    HOP_KEYS_END,
};

static void keys_are_told_with_type_bounds_and_default(void **state)
{
    (void)state;
    begin();
    config_doc(CONFIG_DOC_TEXT, "plugin:x", "an example", keys, sizeof *keys, out);
    printed_is("[plugin:x]\nan example\n"
               "\nms\n    a time\n    time, 10ms to 10m; default 90s\n"
               "\nn\n    any number\n    number; default -1; may be changed while the "
               "server runs\n"
               "\nbytes\n    one two three four five six seven eight nine ten eleven "
               "twelve thirteen fourteen fifteen\n    sixteen\n    size; default 64k\n"
               "\nmore\n    a size\n    size, at least 1k; default 2k\n"
               "\nword\n    a word\n    text; default empty; secret\n"
               "\nchoice\n    one of three\n    one of a, b, c; default b\n"
               "\nis_on\n    whether\n    yes or no; default yes\n");
}

static void a_conf_file_has_each_key_as_a_comment(void **state)
{
    (void)state;
    begin();
    config_doc(CONFIG_DOC_CONF, "plugin:x", "an example", keys + 4, sizeof *keys, out);
    printed_is("; an example\n[plugin:x]\n"
               "\n; a word\n; text; default empty; secret\n;word =\n"
               "\n; one of three\n; one of a, b, c; default b\n;choice = b\n"
               "\n; whether\n; yes or no; default yes\n;is_on = yes\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(cells_are_escaped_and_empty_ones_marked),
        cmocka_unit_test(rows_may_be_sorted),
        cmocka_unit_test(a_table_without_rows_is_not_printed),
        cmocka_unit_test(keys_are_told_with_type_bounds_and_default),
        cmocka_unit_test(a_conf_file_has_each_key_as_a_comment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
