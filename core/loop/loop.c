/*
 * loop.c - the turn, and the threads that run it: see loop.h.
 *
 * Called by: daemon.c (start, stop), every layer (loop_send). Thread: each loop is touched by
 * its own thread; loops_*() by the main thread while no other runs.
 */
#include "core/loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/loop/lane.h"
#include "core/loop/turnbuf.h"
#include <sockhop/log.h>

/* Of draining in a turn: neither two loops that chat nor a burst may starve I/O. */
enum { MAX_ROUNDS = 16, DRAIN_MS = 20 };

/* Of max_lane_bytes: at 8 MiB some thousand small events, a few ms of logic's time. */
enum { BEHIND_PART = 32 };

struct post {
    void (*work)(void *arg);
    void *arg;
};

/* ---- making and releasing ---- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    uint64_t count;

    (void)what;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        continue;
    atomic_store(&loop->wake_sent, false);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    loop->timer_armed_ms = 0; /* the turn runs what is due */
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    /* One thread uses each base; other threads wake it through the eventfd. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* At the start only: nobody is served yet. */
static void die(const char *what)
{
    hop_log(HOP_ERROR, "loop.failed what=%s reason=\"%s\"", what, strerror(errno));
    _exit(1);
}

static struct loop *loop_new(struct loops *loops, unsigned index)
{
    struct loop *loop = mem_calloc(1, sizeof *loop);

    loop->loops = loops;
    loop->index = index;
    loop->base = new_base();
    if (!loop->base)
        die("event_base");
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        die("eventfd");
    loop->wake_event =
        event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->timer_event = evtimer_new(loop->base, on_timer, loop);
    if (!loop->wake_event || !loop->timer_event || event_add(loop->wake_event, NULL) < 0)
        die("event");
    atomic_init(&loop->wake_sent, false);
    atomic_init(&loop->is_running, false);
    loop->posts = lane_new();
    loop->next_turn = lane_new();
    return loop;
}

static void release_kept(struct loop *loop)
{
    while (loop->n_kept)
        bytes_unref(loop->kept[--loop->n_kept]);
}

static void loop_free(struct loop *loop)
{
    turnbufs_end_turn(loop);
    release_kept(loop);
    free(loop->kept);
    for (unsigned i = 0; i < loop->loops->n_loops; i++)
        lane_free(loop->in[i]);
    lane_free(loop->posts);
    lane_free(loop->next_turn);
    event_free(loop->wake_event);
    event_free(loop->timer_event);
    close(loop->wake_fd);
    event_base_free(loop->base);
    free(loop);
}

struct loops *loops_new(int n_threads, size_t max_lane_bytes)
{
    struct loops *loops = mem_calloc(1, sizeof *loops);

    assert(n_threads >= 0 && n_threads < LOOPS_MAX);
    loops->n_shards = n_threads ? (unsigned)n_threads : 1;
    loops->n_loops = n_threads ? loops->n_shards + 1 : 1;
    loops->max_lane_bytes = max_lane_bytes;
    for (unsigned i = 0; i < loops->n_loops; i++)
        loops->loop[i] = loop_new(loops, i);
    for (unsigned to = 0; to < loops->n_loops; to++)
        for (unsigned from = 0; from < loops->n_loops; from++)
            loops->loop[to]->in[from] = lane_new();
    loops->logic = loops->loop[loops->n_loops - 1];
    return loops;
}

void loops_free(struct loops *loops)
{
    if (!loops)
        return;
    for (unsigned i = 0; i < loops->n_loops; i++)
        loop_free(loops->loop[i]);
    free(loops);
}

/* ---- time ---- */

static uint64_t read_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t loop_now(struct loop *loop)
{
    if (!loop->now_is_fresh) {
        loop->now_ms = read_clock();
        loop->now_is_fresh = true;
    }
    return loop->now_ms;
}

/* Arm the one libevent timer for the earliest due time, rounded up to the tick. */
static void arm_timer(struct loop *loop)
{
    uint64_t due_ms = timers_next_due(loop), wait_ms;
    struct timeval wait;

    if (due_ms == UINT64_MAX)
        return;
    due_ms = (due_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS * TIMER_TICK_MS;
    if (loop->timer_armed_ms && due_ms >= loop->timer_armed_ms)
        return; /* it fires early at worst, and is armed anew then */
    wait_ms = due_ms > loop_now(loop) ? due_ms - loop_now(loop) : 0;
    wait.tv_sec = (time_t)(wait_ms / 1000);
    wait.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
    if (evtimer_add(loop->timer_event, &wait) == 0)
        loop->timer_armed_ms = due_ms;
}

/* ---- lanes ---- */

static void wake(struct loop *loop)
{
    uint64_t one = 1;

    if (atomic_exchange(&loop->wake_sent, true))
        return;
    while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void give_relief(struct loop *loop, void *payload)
{
    (void)payload;
    for (unsigned i = 0; i < loop->n_reliefs; i++)
        loop->relief[i].run(loop->relief[i].arg);
}

void *loop_send(struct loop *from, struct loop *to, lane_work *work, size_t payload_bytes,
                size_t weight)
{
    return lane_push(to->in[from->index], work, payload_bytes, weight);
}

void *loop_try_send(struct loop *from, struct loop *to, lane_work *work,
                    size_t payload_bytes, size_t weight)
{
    return lane_try_push(to->in[from->index], work, payload_bytes, weight);
}

void *loop_send_next_turn(struct loop *loop, lane_work *work, size_t payload_bytes)
{
    return lane_push(loop->next_turn, work, payload_bytes, 0);
}

/* What was put off to this turn; what it puts off is for the next. */
static bool run_put_off(struct loop *loop)
{
    static const size_t no_relief[LANE_MARKS];
    struct lane_block *blocks = lane_take(loop->next_turn, true);

    if (!blocks)
        return false;
    lane_delivered(loop->next_turn, lane_run(blocks, loop), no_relief);
    return true;
}

/* Deliver what lane `from` -> `loop` holds, but at least a block of it: as much as there is
 * time for. Returns whether it held anything. */
static bool drain_lane(struct loop *loop, unsigned from)
{
    struct lane_block *blocks = lane_take(loop->in[from], from == loop->index);
    size_t max = loop->loops->max_lane_bytes, weight = 0;
    const size_t relief_below[LANE_MARKS] = {
        [LANE_FULL] = max / 2,
        [LANE_BEHIND] = max / BEHIND_PART / 2,
    };

    if (!blocks)
        return false;
    do
        weight += lane_run_first(&blocks, loop);
    while (blocks && read_clock() < loop->drain_until_ms);
    lane_put_back(loop->in[from], blocks);
    if (lane_delivered(loop->in[from], weight, relief_below))
        loop_send(loop, loop->loops->loop[from], give_relief, 0, 0);
    return true;
}

/* A shard is behind with what logic has sent it. Shards take always, so that this ends:
 * their relief wakes logic. */
static bool must_wait(struct loop *loop)
{
    const struct loops *loops = loop->loops;

    for (unsigned i = 0; loop == loops->logic && i + 1 < loops->n_loops; i++)
        if (loop_is_congested(loop, loops->loop[i]))
            return true;
    return false;
}

static bool drain_all(struct loop *loop)
{
    struct lane_block *posts = lane_take(loop->posts, false);
    bool had_work = posts != NULL;

    lane_run(posts, loop);
    if (must_wait(loop))
        return had_work;
    for (unsigned from = 0; from < loop->loops->n_loops; from++)
        if (drain_lane(loop, from))
            had_work = true;
    return had_work;
}

/* Returns whether any lane had something to publish. */
static bool publish_all(struct loop *loop)
{
    bool had_work = false;

    for (unsigned i = 0; i < loop->loops->n_loops; i++) {
        struct loop *to = loop->loops->loop[i];

        if (to != loop && lane_publish(to->in[loop->index])) {
            wake(to);
            had_work = true;
        }
    }
    return had_work;
}

static bool is_above(struct lane *lane, enum lane_mark mark, size_t max)
{
    if (lane_pending(lane) <= max)
        return false;
    lane_want_relief(lane, mark, true);
    if (lane_pending(lane) > max)
        return true;
    lane_want_relief(lane, mark, false); /* it drained in between */
    return false;
}

bool loop_is_congested(struct loop *from, struct loop *to)
{
    return is_above(to->in[from->index], LANE_FULL, from->loops->max_lane_bytes);
}

bool loop_is_behind(struct loop *from, struct loop *to)
{
    return is_above(to->in[from->index], LANE_BEHIND,
                    from->loops->max_lane_bytes / BEHIND_PART);
}

void loop_on_relief(struct loop *loop, void (*run)(void *), void *arg)
{
    assert(loop->n_reliefs < LOOP_HOOKS);
    loop->relief[loop->n_reliefs++] = (struct loop_hook){run, arg};
}

static void run_post(struct loop *loop, void *payload)
{
    const struct post *post = payload;

    (void)loop;
    post->work(post->arg);
}

int loop_post(struct loop *to, void (*work)(void *arg), void *arg)
{
    struct post post = {work, arg};

    if (!lane_post(to->posts, run_post, &post, sizeof post))
        return -1;
    wake(to);
    return 0;
}

/* ---- the turn ---- */

void loop_on_stage(struct loop *loop, enum loop_stage stage, void (*run)(void *),
                   void *arg)
{
    assert(loop->n_hooks[stage] < LOOP_HOOKS);
    loop->hook[stage][loop->n_hooks[stage]++] = (struct loop_hook){run, arg};
}

void loop_off_stage(struct loop *loop, enum loop_stage stage, void (*run)(void *),
                    void *arg)
{
    struct loop_hook *hook = loop->hook[stage];
    unsigned n_kept = 0;

    for (unsigned i = 0; i < loop->n_hooks[stage]; i++)
        if (hook[i].run != run || hook[i].arg != arg)
            hook[n_kept++] = hook[i];
    loop->n_hooks[stage] = n_kept;
}

static void run_stage(struct loop *loop, enum loop_stage stage)
{
    for (unsigned i = 0; i < loop->n_hooks[stage]; i++)
        loop->hook[stage][i].run(loop->hook[stage][i].arg);
}

void loop_keep_bytes(struct loop *loop, struct bytes *bytes)
{
    if (loop->n_kept == loop->kept_cap) {
        loop->kept_cap = loop->kept_cap ? loop->kept_cap * 2 : 16;
        loop->kept = mem_realloc(loop->kept, loop->kept_cap * sizeof(*loop->kept));
    }
    loop->kept[loop->n_kept++] = bytes;
}

/* What lanes have led to goes out to clients. */
static void send_out(struct loop *loop)
{
    run_stage(loop, LOOP_PACK);
    run_stage(loop, LOOP_FLUSH);
    turnbufs_end_turn(loop);
    release_kept(loop);
}

/* All that was sent up to now. Returns whether it ended before the lanes were empty. */
static bool carry_out(struct loop *loop, uint64_t until_ms)
{
    unsigned rounds = 0;
    bool is_busy;

    loop->n_taken = 0;
    loop->drain_until_ms = until_ms;
    while ((is_busy = drain_all(loop)) && ++rounds < MAX_ROUNDS &&
           read_clock() < loop->drain_until_ms)
        continue;
    send_out(loop);
    return is_busy;
}

static bool has_work(struct loop *loop)
{
    return lane_pending(loop->in[loop->index]) > 0 || lane_pending(loop->next_turn) > 0;
}

/* Nothing is freed, and nothing goes to other threads: what is ready in this turn is named
 * already, and must be there, and ours, when it is looked at. All parts of a turn have
 * DRAIN_MS; what comes then waits in the lanes for the turn's end, and stops reading there. */
void loop_take(struct loop *loop, size_t n)
{
    uint64_t now_ms;

    loop->n_taken += n;
    if (loop->n_taken < LOOP_PART_BYTES)
        return;
    now_ms = read_clock();
    if (!loop->parts_until_ms)
        loop->parts_until_ms = now_ms + DRAIN_MS;
    if (now_ms >= loop->parts_until_ms)
        return;
    event_base_update_cache_time(
        loop->base); /* timers that handlers start count from now */
    if (carry_out(loop, loop->parts_until_ms))
        loop->is_busy = true;
}

void loop_run(struct loop *loop)
{
    bool is_busy = true; /* the first turn finds what was sent before the start */

    loop->thread = pthread_self();
    atomic_store(&loop->is_running, true);
    while (!loop->must_stop) {
        atomic_store_explicit(&loop->n_turns, loop_turn(loop) + 1, memory_order_relaxed);
        if (!is_busy)
            arm_timer(loop);
        loop->now_is_fresh = false;
        loop->parts_until_ms = 0;
        run_put_off(loop);
        event_base_loop(loop->base, EVLOOP_ONCE | (is_busy ? EVLOOP_NONBLOCK : 0));
        loop_now(loop);
        timers_run(loop); /* once all that had come was read: a pong may be in it */
        is_busy = carry_out(loop, read_clock() + DRAIN_MS) || loop->is_busy;
        loop->is_busy = false;
        publish_all(loop);
        run_stage(loop, LOOP_FREE);
        is_busy = is_busy || has_work(loop);
    }
    lane_shut(loop->posts);
    atomic_store(&loop->is_running, false);
}

unsigned loop_turn(const struct loop *loop)
{
    return atomic_load_explicit(&loop->n_turns, memory_order_relaxed);
}

void loop_stop(struct loop *loop)
{
    loop->must_stop = true;
}

bool loop_is_running(const struct loop *loop)
{
    return atomic_load(&loop->is_running);
}

bool loop_is_mine(const struct loop *loop)
{
    return !atomic_load(&loop->is_running) || pthread_equal(pthread_self(), loop->thread);
}

/* ---- threads ---- */

static void *run_thread(void *arg)
{
    crash_thread_begin("shard");
    loop_run(arg);
    crash_thread_end();
    return NULL;
}

void loops_start(struct loops *loops)
{
    sigset_t all, before;

    if (loops->n_loops == 1)
        return;
    sigfillset(&all); /* signals are logic's */
    crash_unblock(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < loops->n_shards; i++) {
        struct loop *loop = loops->loop[i];

        errno = pthread_create(&loop->started, NULL, run_thread, loop);
        if (errno)
            die("pthread_create");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void loops_join(struct loops *loops)
{
    if (loops->n_loops == 1)
        return;
    for (unsigned i = 0; i < loops->n_shards; i++)
        pthread_join(loops->loop[i]->started, NULL);
}

void loops_shut(struct loops *loops)
{
    for (unsigned i = 0; i < loops->n_loops; i++)
        lane_shut(loops->loop[i]->posts);
}

/* One loop's turn without events. Returns whether it found or made work. */
static bool drain_turn(struct loop *loop)
{
    bool had_work = publish_all(loop);

    loop->now_is_fresh = false;
    loop->drain_until_ms = UINT64_MAX;
    if (run_put_off(loop))
        had_work = true;
    if (drain_all(loop))
        had_work = true;
    send_out(loop);
    if (publish_all(loop))
        had_work = true;
    run_stage(loop, LOOP_FREE);
    return had_work || lane_pending(loop->in[loop->index]) > 0;
}

void loops_drain(struct loops *loops)
{
    bool had_work = true;

    while (had_work) {
        had_work = false;
        for (unsigned i = 0; i < loops->n_loops; i++)
            if (drain_turn(loops->loop[i]))
                had_work = true;
    }
}
