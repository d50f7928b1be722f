/*
 * workers.h - threads that work off lines: each plugin's jobs are a line, and lines take turns.
 *
 * What is to be done comes from the logic thread, and its end is told from a worker. Nothing
 * here knows of plugins.
 */
#ifndef PLUGIN_WORKERS_H
#define PLUGIN_WORKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum { WORKERS_MAX = 64 };

enum work_state { WORK_QUEUED, WORK_RUNNING, WORK_ENDED };

/* One thing to do; part of its owner's struct. All but run, self: private to workers.c. */
struct work {
    void (*run)(void *self);
    void *self;              /* borrowed */
    TAILQ_ENTRY(work) place; /* in its line, or among those that have ended */
    struct line *line;       /* borrowed */
    enum work_state state;   /* under the mutex, as the next one */
    bool has_run;            /* it has ended by itself */
    atomic_bool is_cancelled;
};
TAILQ_HEAD(work_list, work);

struct line {
    TAILQ_ENTRY(line) place;
    struct work_list queued, running; /* borrowed */
    size_t n_queued, n_running, n_ended;
    bool is_held; /* nothing of it begins */
};
TAILQ_HEAD(line_list, line);

struct workers {
    pthread_mutex_t mutex; /* of all that follows, and of lines and works */
    pthread_cond_t has_work, has_ended;
    struct line_list lines; /* borrowed; the one whose turn it is comes first */
    struct work_list ended; /* borrowed, in their order: to be taken */
    size_t n_waiting;       /* queued in lines that are not held */
    unsigned n_threads, n_idle, max_threads;
    pthread_t thread[WORKERS_MAX];
    bool must_stop;
    void (*on_ended)(void *arg);
    void *arg;
};

/*
 * on_ended(arg) is called for each work that has ended or was cancelled, in the order of
 * `ended`, in whichever thread that is, under the mutex: it may post, and nothing more.
 */
void workers_init(struct workers *workers, unsigned max_threads,
                  void (*on_ended)(void *arg), void *arg);
/* All lines must be empty. Ends the threads. */
void workers_done(struct workers *workers);

void line_init(struct workers *workers, struct line *line, bool is_held);
/* Nothing of it may be queued, running or ended. */
void line_done(struct workers *workers, struct line *line);

void workers_add(struct workers *workers, struct line *line, struct work *work);

/* Make threads for what waits, as many as there may be. -1 with errno: there is not even
 * one. */
int workers_start(struct workers *workers);

/* False: it has begun, and is asked to stop, or it has ended. */
bool workers_cancel(struct workers *workers, struct work *work);
/* The same for all of a line, in their order. */
void workers_cancel_line(struct workers *workers, struct line *line);
/* Whether the work that the calling thread is at was cancelled. Thread: any. */
bool workers_is_cancelled(void);

/* Hold it, or let it begin: workers_start() then. */
void workers_hold(struct workers *workers, struct line *line, bool is_held);

/* The first that has ended, of a line or (NULL) of all: no more of ours. NULL: none has. */
struct work *workers_take_ended(struct workers *workers, const struct line *line);

/* Wait until nothing of the line runs. False: something still does after that time. */
bool workers_await(struct workers *workers, const struct line *line, int64_t ms);

/* How much there is of a line: in *queued, *running; in all, with what has ended. */
size_t workers_count(struct workers *workers, const struct line *line, size_t *queued,
                     size_t *running);

#endif
