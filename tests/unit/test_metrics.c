/*
 * test_metrics.c - promises of core/base/metrics.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/metrics.h"

static struct metrics first, second;
static struct metrics *const all[] = {&first, &second};

static int clear(void **state)
{
    (void)state;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    return 0;
}

static char *print(unsigned n)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    metrics_print(all, n, out);
    fclose(out);
    return text;
}

static void loops_are_summed(void **state)
{
    (void)state;
    metric_add(&first, METRIC_SOCKETS, 5);
    metric_add(&second, METRIC_SOCKETS, 4);
    metric_add(&second, METRIC_SOCKETS, -6);
    assert_int_equal(metric_sum(all, 2, METRIC_SOCKETS), 3);
    assert_int_equal(metric_sum(all, 1, METRIC_SOCKETS), 5);
    assert_int_equal(metric_sum(all, 0, METRIC_SOCKETS), 0);
    assert_int_equal(metric_sum(all, 2, METRIC_ROOMS), 0);
}

static void a_metric_is_printed_with_its_help_and_type(void **state)
{
    char *text;

    (void)state;
    metric_add(&first, METRIC_CONNECTIONS, INT64_C(5000000000));
    text = print(2);
    assert_ptr_equal(strstr(text, "# HELP sockhop_connections open TCP connections\n"
                                  "# TYPE sockhop_connections gauge\n"
                                  "sockhop_connections 5000000000\n"),
                     text);
    free(text);
}

static void labels_share_one_header(void **state)
{
    char *text;

    (void)state;
    metric_add(&first, METRIC_SESSIONS_POLLING, 1);
    metric_add(&second, METRIC_SESSIONS_WEBSOCKET, 2);
    text = print(2);
    assert_non_null(strstr(text, "# HELP sockhop_sessions Engine.IO sessions\n"
                                 "# TYPE sockhop_sessions gauge\n"
                                 "sockhop_sessions{transport=\"polling\"} 1\n"
                                 "sockhop_sessions{transport=\"websocket\"} 2\n"));
    free(text);
}

/* Prometheus refuses a family that is declared twice or split in two. */
static void every_name_is_declared_once(void **state)
{
    char *text = print(1);
    char *line = text;
    char *seen[N_METRICS];
    int n_seen = 0, n_values = 0;

    (void)state;
    while (*line) {
        char *end = strchr(line, '\n');

        assert_non_null(end);
        *end = '\0';
        if (strncmp(line, "# TYPE ", 7) == 0) {
            for (int i = 0; i < n_seen; i++)
                assert_string_not_equal(seen[i], line);
            seen[n_seen++] = line;
        }
        n_values += *line != '#';
        line = end + 1;
    }
    assert_int_equal(n_values, N_METRICS);
    free(text);
}

static void names_are_known(void **state)
{
    (void)state;
    assert_true(metrics_have("sockhop_connections"));
    assert_true(metrics_have("sockhop_sessions_closed_total"));
    assert_false(metrics_have("sockhop_sessions_closed"));
    assert_false(metrics_have(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(loops_are_summed, clear),
        cmocka_unit_test_setup(a_metric_is_printed_with_its_help_and_type, clear),
        cmocka_unit_test_setup(labels_share_one_header, clear),
        cmocka_unit_test_setup(every_name_is_declared_once, clear),
        cmocka_unit_test(names_are_known),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
