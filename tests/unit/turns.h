/*
 * turns.h - for the unit tests of loop and net: a loop that is run turn by turn.
 *
 * Included by: test_*.c. Thread: the test's, which is that of the loop.
 */
#ifndef TESTS_UNIT_TURNS_H
#define TESTS_UNIT_TURNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdbool.h>
#include <time.h>

#include "core/loop/loop.h"

enum { DEADLINE_MS = 20000 }; /* generous: a sanitizer on a busy machine */

static inline uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void stop_after_turn(void *loop)
{
    loop_stop(loop);
}

/* One loop in all, that stops after each turn. */
static inline struct loops *loops_for_turns(void)
{
    struct loops *loops = loops_new(0, 1 << 20);

    loop_on_stage(loops->logic, LOOP_FREE, stop_after_turn, loops->logic);
    return loops;
}

/* Exactly one turn, which does not wait for events. */
static inline void turn(struct loop *loop)
{
    loop->must_stop = false;
    loop_run(loop);
}

/* Turns until done(arg); fails when that takes longer than DEADLINE_MS. */
static inline void turns_until(struct loop *loop, bool (*done)(void *arg), void *arg)
{
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    for (;;) {
        turn(loop);
        if (done(arg))
            return;
        assert_true(clock_ms() < deadline_ms);
        poll(NULL, 0, 1); /* not to spin while the clock or the peer goes on */
    }
}

static inline int64_t metric_of(struct loop *loop, enum metric id)
{
    struct metrics *all[] = {&loop->metrics};

    return metric_sum(all, 1, id);
}

#endif
