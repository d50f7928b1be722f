/*
 * timers.c - the timers of plugins: see timers.h, <sockhop/timer.h>.
 *
 * They have a heap of their own, not an event of libevent each: libevent counts from the time
 * that it last looked at the clock, and runs all that is due in one turn.
 * Called by: plugins; the loop, when one is due; async.c. Thread: logic.
 */
#include "core/plugin/timers.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include <sockhop/log.h>
#include <sockhop/timer.h>

#include "core/base/mem.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"

enum {
    PLUGIN_TIMERS_MAX = 100000, /* promised in the header */
    HELD_MS = 10                /* what is due while its plugin is held is tried again */
};

struct plugin_timer {
    hop_timer id;
    struct plugin *plugin; /* borrowed: NULL for the core's */
    hop_timer_callback *callback;
    void *self;        /* borrowed: the plugin's own */
    uint64_t due_us;   /* monotonic clock */
    uint64_t serial;   /* of the start */
    uint64_t every_us; /* 0: once */
    size_t place;      /* in the heap */
};

void plugin_timers_init(struct plugin_timers *timers)
{
    *timers = (struct plugin_timers){0};
    slots_init(&timers->by_id, 0);
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the heap: no timer is due before the one above it */

static bool is_before(const struct plugin_timer *a, const struct plugin_timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->serial < b->serial;
}

static void put(struct plugin_timers *timers, struct plugin_timer *timer, size_t place)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct plugin_timers *timers, struct plugin_timer *timer)
{
    size_t place = timer->place;

    while (place > 0 && is_before(timer, timers->heap[(place - 1) / 2])) {
        put(timers, timers->heap[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    put(timers, timer, place);
}

static void sift_down(struct plugin_timers *timers, struct plugin_timer *timer)
{
    size_t place = timer->place, below;

    while ((below = 2 * place + 1) < timers->n) {
        if (below + 1 < timers->n &&
            is_before(timers->heap[below + 1], timers->heap[below]))
            below++;
        if (!is_before(timers->heap[below], timer))
            break;
        put(timers, timers->heap[below], place);
        place = below;
    }
    put(timers, timer, place);
}

static void heap_add(struct plugin_timers *timers, struct plugin_timer *timer)
{
    if (timers->n == timers->cap) {
        timers->cap = timers->cap ? timers->cap * 2 : 16;
        timers->heap = mem_realloc(timers->heap, timers->cap * sizeof *timers->heap);
    }
    put(timers, timer, timers->n++);
    sift_up(timers, timer);
}

static void heap_remove(struct plugin_timers *timers, const struct plugin_timer *timer)
{
    struct plugin_timer *last = timers->heap[--timers->n];

    if (last == timer)
        return;
    put(timers, last, timer->place);
    sift_up(timers, last);
    sift_down(timers, last);
}

/* ---- when one is due */

static void on_due(evutil_socket_t fd, short what, void *arg);

/* Ask the loop for the first of them. */
static void arm(hop_server *server)
{
    struct plugin_timers *timers = &server->timers;
    uint64_t now = now_us(), due, wait;
    struct timeval timeout;

    if (timers->n == 0) {
        if (timers->event)
            evtimer_del(timers->event);
        return;
    }
    if (!timers->event)
        timers->event = evtimer_new(server->loops->logic->base, on_due, server);
    due = timers->heap[0]->due_us;
    wait = due > now ? due - now : 0;
    timeout.tv_sec = (time_t)(wait / 1000000);
    timeout.tv_usec = (suseconds_t)(wait % 1000000);
    if (!timers->event || evtimer_add(timers->event, &timeout) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

static void timer_free(struct plugin_timers *timers, struct plugin_timer *timer)
{
    heap_remove(timers, timer);
    slots_remove(&timers->by_id, timer->id);
    if (timer->plugin)
        timer->plugin->async.n_timers--;
    free(timer);
}

static void move(struct plugin_timers *timers, struct plugin_timer *timer,
                 uint64_t due_us)
{
    timer->due_us = due_us;
    sift_down(timers, timer);
}

/* The one at the top is due. Nothing of it is looked at once its callback has begun. */
static void run_first(hop_server *server, uint64_t now)
{
    struct plugin_timers *timers = &server->timers;
    struct plugin_timer *timer = timers->heap[0];
    const struct plugin_timer copy = *timer;
    struct call call;

    if (timer->plugin && timer->plugin->async.is_held) {
        move(timers, timer, now + HELD_MS * 1000);
        return;
    }
    if (timer->every_us)
        move(timers, timer,
             timer->due_us +
                 ((now - timer->due_us) / timer->every_us + 1) * timer->every_us);
    else
        timer_free(timers, timer);
    call_begin_as(server, copy.plugin, "hook", "timer", &call);
    copy.callback(copy.id, copy.self);
    call_end(server, &call, "hook", "timer");
}

/* A crowd that is due at once shall delay nobody: the rest has its turn in the next. */
static void on_due(evutil_socket_t fd, short what, void *arg)
{
    hop_server *server = arg;
    const struct plugin_timers *timers = &server->timers;
    uint64_t now = now_us();

    (void)fd;
    (void)what;
    for (int i = 0; i < TIMERS_A_TURN && timers->n > 0 && timers->heap[0]->due_us <= now;
         i++)
        run_first(server, now);
    arm(server);
}

/* ---- the header's functions */

static void remove_all(struct plugin_timers *timers, const struct plugin *plugin,
                       bool is_any)
{
    for (uint32_t slot = 0; slot < timers->by_id.n; slot++) {
        struct plugin_timer *timer = slots_at(&timers->by_id, slot);

        if (timer && (is_any || timer->plugin == plugin))
            timer_free(timers, timer);
    }
}

void plugin_timers_remove(hop_server *server, const struct plugin *plugin)
{
    remove_all(&server->timers, plugin, false);
    arm(server);
}

void plugin_timers_done(struct plugin_timers *timers)
{
    remove_all(timers, NULL, true);
    if (timers->event)
        event_free(timers->event);
    free(timers->heap);
    slots_done(&timers->by_id);
}

/* ---- the public functions */

static hop_timer refuse_timer(const char *function, const struct plugin *plugin,
                              const char *reason)
{
    hop_log(HOP_ERROR, "timer.refused function=%s plugin=%s reason=\"%s\"", function,
            plugin ? plugin->name : "", reason);
    return HOP_NO_TIMER;
}

static hop_timer start(hop_server *server, const char *function, int64_t ms,
                       bool is_repeated, hop_timer_callback *callback, void *self)
{
    struct plugin_timers *timers = &server->timers;
    struct plugin_timer *timer;
    struct plugin *plugin;

    if (!on_logic(function))
        return HOP_NO_TIMER;
    if (!callback)
        return refuse_timer(function, server->current, "NULL is no callback");
    if (!owner_find(server, (uintptr_t)callback, &plugin))
        return HOP_NO_TIMER; /* the plugin has gone */
    if (ms < (is_repeated ? 1 : 0) || ms > HOP_TIMER_MAX_MS)
        return refuse_timer(function, plugin, "no such time");
    if (plugin && plugin->async.n_timers == PLUGIN_TIMERS_MAX)
        return refuse_timer(function, plugin, "it has 100000 timers already");
    timer = mem_calloc(1, sizeof *timer);
    timer->id = slots_add(&timers->by_id, timer);
    if (!timer->id) {
        free(timer);
        return refuse_timer(function, plugin, "all plugins have 16777216 timers");
    }
    timer->plugin = plugin;
    timer->callback = callback;
    timer->self = self;
    timer->due_us = now_us() + (uint64_t)ms * 1000 + 1; /* not yet in on_due() at hand */
    timer->every_us = is_repeated ? (uint64_t)ms * 1000 : 0;
    timer->serial = timers->n_started++;
    if (plugin)
        plugin->async.n_timers++;
    heap_add(timers, timer);
    if (timer->place == 0)
        arm(server);
    return timer->id;
}

hop_timer hop_timer_once(hop_server *server, int64_t delay_ms,
                         hop_timer_callback *callback, void *self)
{
    return start(server, __func__, delay_ms, false, callback, self);
}

hop_timer hop_timer_every(hop_server *server, int64_t every_ms,
                          hop_timer_callback *callback, void *self)
{
    return start(server, __func__, every_ms, true, callback, self);
}

int hop_timer_cancel(hop_server *server, hop_timer id)
{
    struct plugin_timer *timer;

    if (!on_logic(__func__))
        return -1;
    timer = slots_get(&server->timers.by_id, id);
    if (!timer)
        return -1;
    timer_free(&server->timers, timer);
    if (server->timers.n == 0)
        arm(server);
    return 0;
}
