/*
 * watchdog.c - see watchdog.h.
 *
 * A loop that waits for events and one that hangs look the same from outside: neither begins
 * a turn. Whoever has not begun one between two looks is sent work, which wakes the one.
 * Called by: daemon.c. Thread: a thread of its own, but for start and stop.
 */
#include "core/loop/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockhop/log.h>

#include "core/base/crash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/loop/loop.h"

enum {
    LOOKS = 10,     /* within the limit: it ends up to two of them late, never early */
    GRACE_LOOKS = 2 /* then the process ends, whatever the thread does with its signal */
};

struct watchdog {
    struct loop *loop; /* borrowed */
    pthread_t watched; /* the loop's thread */
    pthread_t thread;
    int64_t limit_ms;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool must_stop; /* guarded by the mutex */
};

/* ---- looking */

/* What the watchdog has seen. */
struct watch_state {
    unsigned turn;
    bool was_poked;  /* in this turn */
    unsigned n_same; /* looks since then */
};

static void do_nothing(void *arg)
{
    (void)arg;
}

/* plugin=X event="Y", or plugin=- for the core's own code. */
static void log_stuck(const struct watchdog *watchdog, hop_log_level level,
                      const char *line, int64_t ms)
{
    struct running running;
    char what[LOG_NAME_SIZE];

    if (!running_get(&running))
        hop_log(level, "%s plugin=- ms=%" PRId64 " watchdog_ms=%" PRId64, line, ms,
                watchdog->limit_ms);
    else if (!running.kind)
        hop_log(level, "%s plugin=%s ms=%" PRId64 " watchdog_ms=%" PRId64, line,
                running.plugin, ms, watchdog->limit_ms);
    else
        hop_log(level, "%s plugin=%s %s=\"%s\" ms=%" PRId64 " watchdog_ms=%" PRId64, line,
                running.plugin, running.kind,
                log_escape(what, sizeof what, running.what, strlen(running.what)), ms,
                watchdog->limit_ms);
}

/* The signal goes to the thread that hangs: a backtrace and a core are of that one. */
static void act(const struct watchdog *watchdog, unsigned n_same)
{
    if (n_same == LOOKS / 2)
        log_stuck(watchdog, HOP_WARN, "server.stalled", watchdog->limit_ms / 2);
    if (n_same == LOOKS) {
        log_stuck(watchdog, HOP_ERROR, "server.stuck", watchdog->limit_ms);
        pthread_kill(watchdog->watched, SIGABRT);
    }
    if (n_same == LOOKS + GRACE_LOOKS) {
        signal(SIGABRT, SIG_DFL); /* a report that hangs must not have it wait */
        abort();
    }
}

static void look(const struct watchdog *watchdog, struct watch_state *state)
{
    unsigned turn = loop_turn(watchdog->loop);

    if (turn != state->turn) {
        *state = (struct watch_state){.turn = turn};
    } else if (!state->was_poked) {
        state->was_poked = true;
        loop_post(watchdog->loop, do_nothing, NULL);
    } else {
        act(watchdog, ++state->n_same);
    }
}

/* ---- the thread */

/* False: it must stop. A process that was stopped wakes at once, and has slept once. */
static bool sleep_for(struct watchdog *watchdog, int64_t ms)
{
    struct timespec until;
    bool must_stop;
    int result = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000 * 1000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->must_stop && result == 0)
        result = pthread_cond_timedwait(&watchdog->cond, &watchdog->mutex, &until);
    must_stop = watchdog->must_stop;
    pthread_mutex_unlock(&watchdog->mutex);
    return !must_stop;
}

static void *watch(void *arg)
{
    struct watchdog *watchdog = arg;
    struct watch_state state = {.turn = loop_turn(watchdog->loop)};
    int64_t ms = (watchdog->limit_ms + LOOKS - 1) / LOOKS;

    crash_thread_begin("watchdog");
    while (sleep_for(watchdog, ms))
        look(watchdog, &state);
    crash_thread_end();
    return NULL;
}

static int start_thread(struct watchdog *watchdog)
{
    sigset_t all, before;
    int result;

    sigfillset(&all); /* signals are logic's */
    crash_unblock(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static void watchdog_free(struct watchdog *watchdog)
{
    pthread_cond_destroy(&watchdog->cond);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
}

struct watchdog *watchdog_start(struct loop *loop, int64_t limit_ms)
{
    struct watchdog *watchdog;
    pthread_condattr_t how;
    int result;

    if (limit_ms == 0)
        return NULL;
    watchdog = mem_calloc(1, sizeof *watchdog);
    watchdog->loop = loop;
    watchdog->watched = pthread_self();
    watchdog->limit_ms = limit_ms;
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->cond, &how);
    pthread_condattr_destroy(&how);
    result = start_thread(watchdog);
    if (result == 0)
        return watchdog;
    hop_log(HOP_WARN, "server.unwatched reason=\"%s\"", strerror(result));
    watchdog_free(watchdog);
    return NULL;
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->must_stop = true;
    pthread_cond_signal(&watchdog->cond);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    watchdog_free(watchdog);
}
