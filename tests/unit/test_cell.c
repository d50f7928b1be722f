/*
 * test_cell.c - promises of core/plugin/cell.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>

#include "core/plugin/cell.h"

enum { N_THREADS = 4, N_ADDS = 20000 };

static const double bounds[] = {0.1, 1, 10};
static const char *const words[] = {"read", "say \"no\"\\"};

static hop_metric new_metric(hop_metric_kind kind, const char *name, bool has_label)
{
    const hop_metric_options options = {
        .kind = kind,
        .name = name,
        .help = "what \\ it is",
        .bounds = kind == HOP_HISTOGRAM ? bounds : NULL,
        .n_bounds = kind == HOP_HISTOGRAM ? 3 : 0,
        .label = has_label ? "how" : NULL,
        .values = has_label ? words : NULL,
        .n_values = has_label ? 2 : 0,
    };

    return cell_add(&options);
}

static char *print(hop_metric metric)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    cell_print(metric, out);
    fclose(out);
    return text;
}

static void assert_prints(hop_metric metric, const char *expected)
{
    char *text = print(metric);

    assert_string_equal(text, expected);
    free(text);
}

static void each_kind_has_its_text(void **state)
{
    hop_metric counter = new_metric(HOP_COUNTER, "a_total", false);
    hop_metric gauge = new_metric(HOP_GAUGE, "b", true);
    hop_metric histogram = new_metric(HOP_HISTOGRAM, "c", false);

    (void)state;
    assert_int_equal(hop_metric_add(counter, 3), 0);
    assert_int_equal(hop_metric_add(counter, 9007199254740000), 0);
    assert_prints(counter, "# HELP a_total what \\\\ it is\n# TYPE a_total counter\n"
                           "a_total 9007199254740003\n");
    assert_int_equal(hop_metric_set(gauge, 0.1), 0);
    assert_int_equal(hop_metric_add(hop_metric_of(gauge, 1), -2.5), 0);
    assert_prints(gauge, "# HELP b what \\\\ it is\n# TYPE b gauge\n"
                         "b{how=\"read\"} 0.1\nb{how=\"say \\\"no\\\"\\\\\"} -2.5\n");
    assert_int_equal(hop_metric_observe(histogram, 0.1), 0);
    assert_int_equal(hop_metric_observe(histogram, 5), 0);
    assert_int_equal(hop_metric_observe(histogram, 50), 0);
    assert_prints(histogram,
                  "# HELP c what \\\\ it is\n# TYPE c histogram\n"
                  "c_bucket{le=\"0.1\"} 1\nc_bucket{le=\"1\"} 1\nc_bucket{le=\"10\"} 2\n"
                  "c_bucket{le=\"+Inf\"} 3\nc_sum 55.1\nc_count 3\n");
    cell_remove(counter);
    cell_remove(gauge);
    cell_remove(histogram);
}

static void the_wrong_change_changes_nothing(void **state)
{
    hop_metric counter = new_metric(HOP_COUNTER, "a_total", false);
    hop_metric gauge = new_metric(HOP_GAUGE, "b", true);
    hop_metric histogram = new_metric(HOP_HISTOGRAM, "c", false);
    char *before = print(gauge), *of_histogram = print(histogram);

    (void)state;
    assert_int_equal(hop_metric_add(counter, -1), -1);
    assert_int_equal(hop_metric_add(counter, NAN), -1);
    assert_int_equal(hop_metric_add(counter, INFINITY), -1);
    assert_int_equal(hop_metric_set(counter, 1), -1);
    assert_int_equal(hop_metric_observe(counter, 1), -1);
    assert_int_equal(hop_metric_add(hop_metric_of(counter, 1), 1), -1);
    assert_prints(counter, "# HELP a_total what \\\\ it is\n# TYPE a_total counter\n"
                           "a_total 0\n");
    assert_int_equal(hop_metric_set(gauge, NAN), -1);
    assert_int_equal(hop_metric_set(hop_metric_of(gauge, 2), 1), -1);
    assert_int_equal(hop_metric_set(hop_metric_of(gauge, 1000), 1), -1);
    assert_prints(gauge, before);
    assert_int_equal(hop_metric_observe(histogram, NAN), -1);
    assert_int_equal(hop_metric_add(histogram, 1), -1);
    assert_prints(histogram, of_histogram);
    free(before);
    free(of_histogram);
    cell_remove(counter);
    cell_remove(gauge);
    cell_remove(histogram);
}

static void one_that_has_gone_is_harmless_also_in_its_slot(void **state)
{
    hop_metric old = new_metric(HOP_GAUGE, "old", false), new;

    (void)state;
    cell_remove(old);
    cell_remove(old);
    assert_int_equal(hop_metric_add(old, 1), -1);
    assert_prints(old, "");
    assert_string_equal(cell_name(old), "");
    new = new_metric(HOP_GAUGE, "new", false);
    assert_int_equal(old >> 32, new >> 32); /* the same slot */
    assert_int_equal(hop_metric_set(old, 7), -1);
    assert_prints(new, "# HELP new what \\\\ it is\n# TYPE new gauge\nnew 0\n");
    assert_int_equal(hop_metric_add(HOP_NO_METRIC, 1), -1);
    assert_int_equal(hop_metric_add(~(hop_metric)0, 1), -1);
    assert_int_equal(hop_metric_add((hop_metric)CELLS_MAX << 32 | 1, 1), -1);
    cell_remove(new);
}

static void the_same_metric_goes_on_where_the_old_was(void **state)
{
    static const struct {
        hop_metric_kind kind, new_kind;
        const char *name;
        bool has_label;
        char does;    /* what new code has done: 'a' adds 2, 's' sets 2 */
        double value; /* of the first */
    } rows[] = {
        {HOP_COUNTER, HOP_COUNTER, "a", false, ' ', 5},
        {HOP_COUNTER, HOP_COUNTER, "b", false, ' ', 0}, /* another name */
        {HOP_COUNTER, HOP_GAUGE, "a", false, ' ', 0},
        {HOP_COUNTER, HOP_COUNTER, "a", true, ' ', 0},
        {HOP_GAUGE, HOP_GAUGE, "a", false, ' ', 5},
        {HOP_GAUGE, HOP_GAUGE, "a", false, 'a', 7},
        {HOP_GAUGE, HOP_GAUGE, "a", false, 's', 2},
        {HOP_COUNTER, HOP_COUNTER, "a", false, 'a', 7},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hop_metric old = new_metric(rows[i].kind, "a", false);
        hop_metric new = new_metric(rows[i].new_kind, rows[i].name, rows[i].has_label);
        char *text, expected[40];

        hop_metric_add(old, 5);
        if (rows[i].does == 'a')
            hop_metric_add(new, 2);
        if (rows[i].does == 's')
            hop_metric_set(new, 2);
        cell_take_over(old, new);
        cell_remove(old);
        text = print(new);
        snprintf(expected, sizeof expected, "%s%s %g\n", rows[i].name,
                 rows[i].has_label ? "{how=\"read\"}" : "", rows[i].value);
        assert_non_null(strstr(text, expected));
        free(text);
        cell_remove(new);
    }
}

static void each_value_of_a_label_is_set_by_itself(void **state)
{
    hop_metric old = new_metric(HOP_GAUGE, "a", true);
    hop_metric new = new_metric(HOP_GAUGE, "a", true);
    char *text;

    (void)state;
    hop_metric_set(hop_metric_of(old, 0), 3);
    hop_metric_set(hop_metric_of(old, 1), 4);
    hop_metric_set(hop_metric_of(new, 0), 9);
    cell_take_over(old, new);
    text = print(new);
    assert_non_null(strstr(text, "{how=\"read\"} 9\n"));
    assert_non_null(strstr(text, "} 4\n"));
    free(text);
    cell_remove(old);
    cell_remove(new);
}

static hop_metric shared;

static void *add_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_ADDS; i++)
        hop_metric_add(shared, 1);
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    pthread_t threads[N_THREADS];
    char *text, expected[40];

    (void)state;
    shared = new_metric(HOP_COUNTER, "a_total", false);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_often, NULL), 0);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    text = print(shared);
    snprintf(expected, sizeof expected, "\na_total %d\n", N_THREADS * N_ADDS);
    assert_non_null(strstr(text, expected));
    free(text);
    cell_remove(shared);
}

/* While others add to it: they must meet it whole, or not at all. */
static void it_goes_while_threads_use_it(void **state)
{
    pthread_t threads[N_THREADS];
    hop_metric next;

    (void)state;
    shared = new_metric(HOP_COUNTER, "a_total", false);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_often, NULL), 0);
    cell_remove(shared);
    next = new_metric(HOP_COUNTER, "b_total", true);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_prints(next, "# HELP b_total what \\\\ it is\n# TYPE b_total counter\n"
                        "b_total{how=\"read\"} 0\n"
                        "b_total{how=\"say \\\"no\\\"\\\\\"} 0\n");
    cell_remove(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_text),
        cmocka_unit_test(the_wrong_change_changes_nothing),
        cmocka_unit_test(one_that_has_gone_is_harmless_also_in_its_slot),
        cmocka_unit_test(the_same_metric_goes_on_where_the_old_was),
        cmocka_unit_test(each_value_of_a_label_is_set_by_itself),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(it_goes_while_threads_use_it),
    };

    return cmocka_run_group_tests_name("cell", tests, NULL, NULL);
}
