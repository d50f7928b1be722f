/*
 * workers.c - the threads of jobs: see workers.h.
 *
 * Called by: jobs.c. Thread: logic adds, cancels and takes; workers run; the mutex is between
 * them, and is held by neither while something runs.
 */
#include "core/plugin/workers.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "core/base/crash.h"

/* What the calling thread is at; NULL but in a worker. */
static _Thread_local const struct work *at_hand;

void workers_init(struct workers *workers, unsigned max_threads,
                  void (*on_ended)(void *arg), void *arg)
{
    pthread_condattr_t attributes;

    *workers = (struct workers){
        .max_threads = max_threads < 1             ? 1
                       : max_threads > WORKERS_MAX ? WORKERS_MAX
                                                   : max_threads,
        .on_ended = on_ended,
        .arg = arg,
    };
    TAILQ_INIT(&workers->lines);
    TAILQ_INIT(&workers->ended);
    pthread_mutex_init(&workers->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->has_work, NULL);
    pthread_cond_init(&workers->has_ended, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* ---- in a worker; the mutex is held but while work runs */

/* The first of the first line that has one; other lines come before it next time. */
static struct work *take_work(struct workers *workers)
{
    struct line *line = TAILQ_FIRST(&workers->lines);
    struct work *work;

    while (line && (line->is_held || TAILQ_EMPTY(&line->queued)))
        line = TAILQ_NEXT(line, place);
    if (!line)
        return NULL;
    TAILQ_REMOVE(&workers->lines, line, place);
    TAILQ_INSERT_TAIL(&workers->lines, line, place);
    work = TAILQ_FIRST(&line->queued);
    TAILQ_REMOVE(&line->queued, work, place);
    TAILQ_INSERT_TAIL(&line->running, work, place);
    line->n_queued--;
    line->n_running++;
    work->state = WORK_RUNNING;
    workers->n_waiting--;
    workers->n_idle--;
    return work;
}

static struct work *await_work(struct workers *workers)
{
    struct work *work = NULL;

    while (!workers->must_stop && !(work = take_work(workers)))
        pthread_cond_wait(&workers->has_work, &workers->mutex);
    return work;
}

static void end(struct workers *workers, struct work *work)
{
    work->state = WORK_ENDED;
    work->line->n_ended++;
    TAILQ_INSERT_TAIL(&workers->ended, work, place);
    workers->on_ended(workers->arg);
}

static void *run_thread(void *arg)
{
    struct workers *workers = arg;
    struct work *work;

    pthread_setname_np(pthread_self(), "worker");
    crash_thread_begin("worker");
    pthread_mutex_lock(&workers->mutex);
    while ((work = await_work(workers))) {
        pthread_mutex_unlock(&workers->mutex);
        at_hand = work;
        work->run(work->self);
        at_hand = NULL;
        pthread_mutex_lock(&workers->mutex);
        work->has_run = true;
        TAILQ_REMOVE(&work->line->running, work, place);
        work->line->n_running--;
        workers->n_idle++;
        end(workers, work);
        pthread_cond_broadcast(&workers->has_ended);
    }
    pthread_mutex_unlock(&workers->mutex);
    crash_thread_end();
    return NULL;
}

bool workers_is_cancelled(void)
{
    return at_hand && atomic_load(&at_hand->is_cancelled);
}

/* ---- threads */

static int make_thread(struct workers *workers)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigset_t others, before;
    int result;

    sigfillset(&others); /* are logic's, but for those that tell of the thread itself */
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    result =
        pthread_create(&workers->thread[workers->n_threads], NULL, run_thread, workers);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0) {
        errno = result;
        return -1;
    }
    workers->n_threads++;
    workers->n_idle++;
    return 0;
}

/* A thread counts as idle from its creation on, so that none is made twice. */
int workers_start(struct workers *workers)
{
    int result = 0;

    pthread_mutex_lock(&workers->mutex);
    while (result == 0 && workers->n_waiting > workers->n_idle &&
           workers->n_threads < workers->max_threads)
        result = make_thread(workers);
    for (size_t i = 0; i < workers->n_waiting && i < workers->n_idle; i++)
        pthread_cond_signal(&workers->has_work);
    if (workers->n_threads > 0)
        result = 0;
    pthread_mutex_unlock(&workers->mutex);
    return result;
}

void workers_done(struct workers *workers)
{
    pthread_mutex_lock(&workers->mutex);
    workers->must_stop = true;
    pthread_cond_broadcast(&workers->has_work);
    pthread_mutex_unlock(&workers->mutex);
    for (unsigned i = 0; i < workers->n_threads; i++)
        pthread_join(workers->thread[i], NULL);
    pthread_cond_destroy(&workers->has_work);
    pthread_cond_destroy(&workers->has_ended);
    pthread_mutex_destroy(&workers->mutex);
}

/* ---- lines */

void line_init(struct workers *workers, struct line *line, bool is_held)
{
    *line = (struct line){.is_held = is_held};
    TAILQ_INIT(&line->queued);
    TAILQ_INIT(&line->running);
    pthread_mutex_lock(&workers->mutex);
    TAILQ_INSERT_TAIL(&workers->lines, line, place);
    pthread_mutex_unlock(&workers->mutex);
}

void line_done(struct workers *workers, struct line *line)
{
    pthread_mutex_lock(&workers->mutex);
    TAILQ_REMOVE(&workers->lines, line, place);
    pthread_mutex_unlock(&workers->mutex);
}

void workers_add(struct workers *workers, struct line *line, struct work *work)
{
    work->line = line;
    work->state = WORK_QUEUED;
    work->has_run = false;
    atomic_init(&work->is_cancelled, false);
    pthread_mutex_lock(&workers->mutex);
    TAILQ_INSERT_TAIL(&line->queued, work, place);
    line->n_queued++;
    if (!line->is_held)
        workers->n_waiting++;
    pthread_mutex_unlock(&workers->mutex);
}

void workers_hold(struct workers *workers, struct line *line, bool is_held)
{
    pthread_mutex_lock(&workers->mutex);
    if (line->is_held != is_held)
        workers->n_waiting += is_held ? -line->n_queued : line->n_queued;
    line->is_held = is_held;
    pthread_mutex_unlock(&workers->mutex);
}

/* The mutex is held. */
static bool cancel(struct workers *workers, struct work *work)
{
    struct line *line = work->line;

    atomic_store(&work->is_cancelled, true);
    if (work->state != WORK_QUEUED)
        return false;
    TAILQ_REMOVE(&line->queued, work, place);
    line->n_queued--;
    if (!line->is_held)
        workers->n_waiting--;
    end(workers, work);
    return true;
}

bool workers_cancel(struct workers *workers, struct work *work)
{
    bool result;

    pthread_mutex_lock(&workers->mutex);
    result = cancel(workers, work);
    pthread_mutex_unlock(&workers->mutex);
    return result;
}

void workers_cancel_line(struct workers *workers, struct line *line)
{
    struct work *work;

    pthread_mutex_lock(&workers->mutex);
    while ((work = TAILQ_FIRST(&line->queued)))
        cancel(workers, work);
    for (work = TAILQ_FIRST(&line->running); work; work = TAILQ_NEXT(work, place))
        cancel(workers, work);
    pthread_mutex_unlock(&workers->mutex);
}

struct work *workers_take_ended(struct workers *workers, const struct line *line)
{
    struct work *work;

    pthread_mutex_lock(&workers->mutex);
    work = TAILQ_FIRST(&workers->ended);
    while (work && line && work->line != line)
        work = TAILQ_NEXT(work, place);
    if (work) {
        TAILQ_REMOVE(&workers->ended, work, place);
        work->line->n_ended--;
    }
    pthread_mutex_unlock(&workers->mutex);
    return work;
}

bool workers_await(struct workers *workers, const struct line *line, int64_t ms)
{
    struct timespec until;
    bool result;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&workers->mutex);
    while (line->n_running > 0 &&
           pthread_cond_timedwait(&workers->has_ended, &workers->mutex, &until) == 0)
        continue;
    result = line->n_running == 0;
    pthread_mutex_unlock(&workers->mutex);
    return result;
}

size_t workers_count(struct workers *workers, const struct line *line, size_t *queued,
                     size_t *running)
{
    size_t n;

    pthread_mutex_lock(&workers->mutex);
    *queued = line->n_queued;
    *running = line->n_running;
    n = line->n_queued + line->n_running + line->n_ended;
    pthread_mutex_unlock(&workers->mutex);
    return n;
}
