/*
 * async.c - timers, watches, jobs, posts.
 *
 *   once MS ARGS...   `ticked` ARGS..., that much later
 *   every MS N        `ticked` 1 ... N, each MS behind the one before
 *   cancel            starts a timer and cancels it twice; ack [0, -1]
 *   write TEXT        into a pipe that is watched: `read` TEXT
 *   square N          in a job; `squared` N, N * N
 *   many N            as many jobs; `done` [how many ended, sum of their numbers]
 *   stall N           N jobs that wait for `go`; `stalled` as each begins, `freed` as it ends
 *   go                ack [how many were stalled]
 *   queue N           N jobs that run or not; ack []
 *   drop              cancels those; ack [how many could be, how many could not]
 *   dropped           ack [how many ended as done, as cancelled]
 *   post              a job that posts three times; `posted` 1, 2, 3, then `squared`
 *   check ARGS...     decided by a job: `checked` ARGS... is what the handler behind emits, or,
 *                     where the first is "bad", rejected by the job
 *   slow-post         a post of a job that holds the logic thread for 60 ms, then `slept`
 *   linger            a job that runs until it is asked to stop; `lingers` as it begins
 *   hang              a job that never ends; `hangs` as it begins
 *   fill              jobs until no more are taken, while all workers stall; ack [how many]
 *
 * Thread: logic; work_*() in workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE_MAX = 1000 };

struct async {
    hop_server *server; /* borrowed */
    int pipe[2];
    pthread_mutex_t mutex; /* of the next two */
    pthread_cond_t cond;
    unsigned n_stalled, may_go;
    hop_job queued[QUEUE_MAX];
    size_t n_queued;
    json_int_t n_done, n_cancelled; /* of those */
    struct task *ticking;           /* owned: of `every`, a list */
};

/* What one timer, job or post has to do. Freed by the last callback. */
struct task {
    struct async *async; /* borrowed */
    hop_socket socket;
    json_int_t n, result;
    json_t *args;        /* owned, or NULL */
    struct batch *batch; /* borrowed, or NULL */
    hop_deferral deferral;
    struct task *prev, *next; /* of those that tick */
};

/* Of `many`. Freed by the last of its jobs. */
struct batch {
    json_int_t n_left, n_done, sum;
};

static struct task *task_new(struct async *async, hop_socket socket, json_int_t n)
{
    struct task *task = calloc(1, sizeof *task);

    if (!task)
        abort();
    *task = (struct task){.async = async, .socket = socket, .n = n};
    return task;
}

static void task_free(struct task *task)
{
    json_decref(task->args);
    free(task);
}

static void tell(const struct task *task, const char *event, json_t *args)
{
    hop_emit(hop_to_socket(task->async->server, task->socket), event, args);
}

static hop_verdict refuse(hop_event *event)
{
    return hop_reject(event, "bad_args", "see async.c");
}

static hop_verdict acked(hop_event *event)
{
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static json_t *args_behind(hop_event *event, size_t first)
{
    json_t *args = json_deep_copy(hop_event_args(event));

    while (first-- > 0)
        json_array_remove(args, 0);
    return args;
}

/* ---- timers */

static void on_once(hop_timer timer, void *self)
{
    struct task *task = self;

    (void)timer;
    tell(task, "ticked", json_incref(task->args));
    task_free(task);
}

static hop_verdict handle_once(hop_socket socket, hop_event *event, void *self)
{
    struct task *task;
    json_int_t ms;

    if (hop_event_unpack(event, "[I]", &ms) < 0)
        return refuse(event);
    task = task_new(self, socket, 0);
    task->args = args_behind(event, 1);
    if (hop_timer_once(task->async->server, ms, on_once, task) != HOP_NO_TIMER)
        return acked(event);
    task_free(task);
    return refuse(event);
}

static void add_ticking(struct task *task)
{
    task->next = task->async->ticking;
    if (task->next)
        task->next->prev = task;
    task->async->ticking = task;
}

static void remove_ticking(struct task *task)
{
    if (task->next)
        task->next->prev = task->prev;
    if (task->prev)
        task->prev->next = task->next;
    else
        task->async->ticking = task->next;
    task_free(task);
}

static void on_tick(hop_timer timer, void *self)
{
    struct task *task = self;

    tell(task, "ticked", json_pack("[I]", ++task->result));
    if (task->result < task->n)
        return;
    hop_timer_cancel(task->async->server, timer);
    remove_ticking(task);
}

static hop_verdict handle_every(hop_socket socket, hop_event *event, void *self)
{
    struct task *task;
    json_int_t ms, n;

    if (hop_event_unpack(event, "[II]", &ms, &n) < 0)
        return refuse(event);
    task = task_new(self, socket, n);
    add_ticking(task);
    if (hop_timer_every(task->async->server, ms, on_tick, task) != HOP_NO_TIMER)
        return acked(event);
    remove_ticking(task);
    return refuse(event);
}

static hop_verdict handle_cancel(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    hop_timer timer = hop_timer_once(async->server, 60000, on_once, NULL);
    int first = hop_timer_cancel(async->server, timer);

    (void)socket;
    hop_event_ack(event,
                  json_pack("[ii]", first, hop_timer_cancel(async->server, timer)));
    return HOP_STOP;
}

/* ---- watches */

static void on_pipe(hop_watch watch, int fd, unsigned events, void *self)
{
    struct async *async = self;
    char text[4096];
    ssize_t n = read(fd, text, sizeof text - 1);

    (void)events;
    if (n == 0)
        hop_watch_free(async->server, watch);
    if (n <= 0)
        return;
    text[n] = '\0';
    hop_emit(hop_to_all(async->server), "read", json_pack("[s]", text));
}

static hop_verdict handle_write(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    const char *text;

    (void)socket;
    if (hop_event_unpack(event, "[s]", &text) < 0 ||
        write(async->pipe[1], text, strlen(text)) < 0)
        return refuse(event);
    return acked(event);
}

/* ---- jobs */

static void work_square(void *self)
{
    struct task *task = self;

    task->result = task->n * task->n;
}

static void on_squared(hop_job job, hop_job_status status, void *self)
{
    struct task *task = self;

    (void)job;
    (void)status;
    tell(task, "squared", json_pack("[II]", task->n, task->result));
    task_free(task);
}

static hop_verdict handle_square(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0)
        return refuse(event);
    hop_job_start(async->server, work_square, on_squared, task_new(async, socket, n));
    return acked(event);
}

static void on_one_of_many(hop_job job, hop_job_status status, void *self)
{
    struct task *task = self;
    struct batch *batch = task->batch;

    (void)job;
    if (status == HOP_JOB_DONE && task->result == task->n * task->n) {
        batch->n_done++;
        batch->sum += task->n;
    }
    if (--batch->n_left == 0) {
        tell(task, "done", json_pack("[II]", batch->n_done, batch->sum));
        free(batch);
    }
    task_free(task);
}

static hop_verdict handle_many(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    struct batch *batch = calloc(1, sizeof *batch);
    json_int_t n;

    if (!batch || hop_event_unpack(event, "[I]", &n) < 0 || n < 1) {
        free(batch);
        return refuse(event);
    }
    batch->n_left = n;
    for (json_int_t i = 1; i <= n; i++) {
        struct task *task = task_new(async, socket, i);

        task->batch = batch;
        hop_job_start(async->server, work_square, on_one_of_many, task);
    }
    return acked(event);
}

static void post_stalled(void *self)
{
    tell(self, "stalled", NULL);
}

static void work_stall(void *self)
{
    struct task *task = self;
    struct async *async = task->async;

    hop_post(async->server, post_stalled, task);
    pthread_mutex_lock(&async->mutex);
    async->n_stalled++;
    while (async->may_go == 0 && !hop_job_is_cancelled())
        pthread_cond_wait(&async->cond, &async->mutex);
    if (async->may_go > 0)
        async->may_go--;
    async->n_stalled--;
    pthread_mutex_unlock(&async->mutex);
}

static void on_freed(hop_job job, hop_job_status status, void *self)
{
    struct task *task = self;

    (void)job;
    (void)status;
    tell(task, "freed", NULL);
    task_free(task);
}

static hop_verdict handle_stall(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0)
        return refuse(event);
    while (n-- > 0)
        hop_job_start(async->server, work_stall, on_freed, task_new(async, socket, n));
    return acked(event);
}

static hop_verdict handle_go(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n;

    (void)socket;
    pthread_mutex_lock(&async->mutex);
    n = async->may_go = async->n_stalled;
    pthread_cond_broadcast(&async->cond);
    pthread_mutex_unlock(&async->mutex);
    hop_event_ack(event, json_pack("[I]", n));
    return HOP_STOP;
}

static void work_nothing(void *self)
{
    (void)self;
}

static void count_end(hop_job job, hop_job_status status, void *self)
{
    struct async *async = self;

    (void)job;
    if (status == HOP_JOB_DONE)
        async->n_done++;
    else
        async->n_cancelled++;
}

static hop_verdict handle_queue(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n;

    (void)socket;
    if (hop_event_unpack(event, "[I]", &n) < 0 || n > QUEUE_MAX)
        return refuse(event);
    for (async->n_queued = 0; async->n_queued < (size_t)n; async->n_queued++)
        async->queued[async->n_queued] =
            hop_job_start(async->server, work_nothing, count_end, async);
    return acked(event);
}

static hop_verdict handle_drop(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n = 0;

    (void)socket;
    for (size_t i = 0; i < async->n_queued; i++)
        if (hop_job_cancel(async->server, async->queued[i]) == 0)
            n++;
    hop_event_ack(event, json_pack("[II]", n, (json_int_t)async->n_queued - n));
    return HOP_STOP;
}

static hop_verdict handle_dropped(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    (void)socket;
    hop_event_ack(event, json_pack("[II]", async->n_done, async->n_cancelled));
    return HOP_STOP;
}

static hop_verdict handle_fill(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    json_int_t n = 0;

    (void)socket;
    while (hop_job_start(async->server, work_nothing, NULL, NULL) != HOP_NO_JOB)
        n++;
    hop_event_ack(event, json_pack("[I]", n));
    return HOP_STOP;
}

/* ---- posts */

static void post_number(void *self)
{
    struct task *task = self;

    tell(task, "posted", json_pack("[I]", task->n));
    task_free(task);
}

static void work_post(void *self)
{
    struct task *task = self;

    for (json_int_t i = 1; i <= 3; i++) {
        struct task *number = task_new(task->async, task->socket, i);

        if (hop_post(task->async->server, post_number, number) < 0)
            task_free(number);
    }
    work_square(self);
}

static hop_verdict handle_post(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    hop_job_start(async->server, work_post, on_squared, task_new(async, socket, 7));
    return acked(event);
}

static void post_slow(void *self)
{
    const struct timespec time = {0, 60000000};
    struct task *task = self;

    nanosleep(&time, NULL);
    tell(task, "slept", NULL);
    task_free(task);
}

static void work_slow_post(void *self)
{
    struct task *task = self;

    if (hop_post(task->async->server, post_slow, task) < 0)
        task_free(task);
}

static hop_verdict handle_slow_post(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    hop_job_start(async->server, work_slow_post, NULL, task_new(async, socket, 0));
    return acked(event);
}

/* ---- an event that a job decides */

static void work_check(void *self)
{
    struct task *task = self;
    const char *word = json_string_value(json_array_get(task->args, 0));

    task->result = !word || strcmp(word, "bad") != 0;
}

static void on_checked(hop_job job, hop_job_status status, void *self)
{
    struct task *task = self;

    (void)job;
    (void)status;
    hop_event_resume(task->async->server, task->deferral,
                     task->result ? HOP_NEXT : HOP_REJECTED, "bad", "so says the job");
    task_free(task);
}

static hop_verdict guard_check(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;
    struct task *task = task_new(async, socket, 0);

    task->args = json_deep_copy(hop_event_args(event));
    task->deferral = hop_event_defer(event, 60000);
    hop_job_start(async->server, work_check, on_checked, task);
    return HOP_DEFER;
}

static hop_verdict handle_check(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    hop_emit(hop_to_socket(async->server, socket), "checked", args_behind(event, 0));
    return acked(event);
}

/* ---- the end */

static void post_lingers(void *self)
{
    tell(self, "lingers", NULL);
}

static void work_linger(void *self)
{
    const struct timespec time = {0, 1000000};
    struct task *task = self;

    hop_post(task->async->server, post_lingers, task);
    while (!hop_job_is_cancelled())
        nanosleep(&time, NULL);
}

static void on_lingered(hop_job job, hop_job_status status, void *self)
{
    (void)job;
    hop_log(HOP_INFO, "async.lingered status=%d", (int)status);
    task_free(self);
}

static hop_verdict handle_linger(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    hop_job_start(async->server, work_linger, on_lingered, task_new(async, socket, 0));
    return acked(event);
}

static void post_hangs(void *self)
{
    tell(self, "hangs", NULL);
}

static void work_hang(void *self)
{
    struct task *task = self;

    hop_post(task->async->server, post_hangs, task);
    for (;;)
        pause();
}

static hop_verdict handle_hang(hop_socket socket, hop_event *event, void *self)
{
    struct async *async = self;

    hop_job_start(async->server, work_hang, NULL, task_new(async, socket, 0));
    return acked(event);
}

static void on_first(hop_timer timer, void *self)
{
    (void)timer;
    (void)self;
    hop_log(HOP_INFO, "async.timer");
}

static void on_first_job(hop_job job, hop_job_status status, void *self)
{
    (void)job;
    (void)self;
    hop_log(HOP_INFO, "async.job status=%d", (int)status);
}

static int async_init(hop_server *server, void *self)
{
    static const struct {
        const char *event;
        hop_handler *handler;
    } rows[] = {
        {"once", handle_once},       {"every", handle_every},
        {"cancel", handle_cancel},   {"write", handle_write},
        {"square", handle_square},   {"many", handle_many},
        {"stall", handle_stall},     {"go", handle_go},
        {"queue", handle_queue},     {"drop", handle_drop},
        {"dropped", handle_dropped}, {"fill", handle_fill},
        {"post", handle_post},       {"slow-post", handle_slow_post},
        {"check", handle_check},     {"linger", handle_linger},
        {"hang", handle_hang},
    };
    const hop_on_options guard = {.size = sizeof guard, .phase = HOP_GUARD};
    struct async *async = self;

    async->server = server;
    pthread_mutex_init(&async->mutex, NULL);
    pthread_cond_init(&async->cond, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        hop_on(server, rows[i].event, rows[i].handler, async);
    hop_on_with(server, "check", guard_check, async, &guard);
    if (pipe2(async->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
        return hop_fail(server, "no pipe: %s", strerror(errno));
    hop_watch_new(server, async->pipe[0], HOP_READABLE, on_pipe, async);
    hop_timer_once(server, 0, on_first, NULL);
    hop_job_start(server, work_nothing, on_first_job, NULL);
    return 0;
}

static void async_free(void *self)
{
    struct async *async = self;

    hop_log(HOP_INFO, "async.free");
    while (async->ticking)
        remove_ticking(async->ticking);
    close(async->pipe[0]);
    close(async->pipe[1]);
    pthread_cond_destroy(&async->cond);
    pthread_mutex_destroy(&async->mutex);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("async", "1.0", "timers, watches, jobs, posts"),
    .state_size = sizeof(struct async),
    .init = async_init,
    .free = async_free,
};
