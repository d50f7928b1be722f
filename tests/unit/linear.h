/*
 * linear.h - for unit tests that measure how the cost of an input grows with its size: ten
 * times as much may cost thirty times the CPU time (C49), for what fits into a cache in the
 * small may not in the large; a quadratic walk costs a hundred times.
 *
 * Included by: test_*linear.c. Thread: the test's.
 */
#ifndef TESTS_UNIT_LINEAR_H
#define TESTS_UNIT_LINEAR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MOST = 30,  /* for ten times the number */
    RUNS = 5,   /* the shortest one counts: nobody disturbed it */
    TRIES = 10, /* a busy machine may disturb many */
    UNIT = 1000 /* the smaller number */
};

struct text {
    char *at; /* owned */
    size_t len, cap;
};

static inline void add(struct text *text, const char *piece)
{
    size_t len = strlen(piece);

    if (text->len + len + 1 > text->cap) {
        text->cap = 2 * (text->len + len + 1);
        text->at = realloc(text->at, text->cap);
        assert_non_null(text->at);
    }
    memcpy(text->at + text->len, piece, len + 1);
    text->len += len;
}

/* The text is `before`, `unit` n times, `behind`. */
struct counted {
    const char *what, *before, *unit, *behind;
    void (*run)(const struct text *);
};

static inline void set_text(struct text *text, const struct counted *row, size_t n)
{
    text->len = 0;
    add(text, row->before);
    while (n-- > 0)
        add(text, row->unit);
    add(text, row->behind);
}

/* CPU time of the shortest run, ns. */
static inline double cost(const struct text *text, void (*run)(const struct text *))
{
    double least = 1e18;

    for (int i = 0; i < RUNS; i++) {
        struct timespec from, to;
        double ns;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        run(text);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        ns =
            1e9 * (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec);
        least = ns < least ? ns : least;
    }
    return least;
}

/* Fails when the cost of one row grows faster than its number. */
static inline void expect_linear(const struct counted *rows, size_t n_rows)
{
    struct text small = {0}, large = {0};
    size_t n_failed = 0;

    for (size_t i = 0; i < n_rows; i++) {
        double least = 1e18, ratio = 1e18, ns = 1e18;

        set_text(&small, &rows[i], UNIT);
        set_text(&large, &rows[i], 10 * UNIT);
        for (int n = 0; n < TRIES && ratio > MOST; n++) {
            double one = cost(&small, rows[i].run), ten = cost(&large, rows[i].run);

            least = one < least ? one : least;
            ns = ten < ns ? ten : ns;
            ratio = ns / least < ten / one ? ns / least : ten / one;
        }
        print_message("%-26s %8.0f us for %d: x %.1f\n", rows[i].what, ns / 1000,
                      10 * UNIT, ratio);
        n_failed += ratio > MOST;
    }
    free(small.at);
    free(large.at);
    assert_int_equal(n_failed, 0);
}

#endif
