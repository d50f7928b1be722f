/*
 * watches.c - descriptors that plugins wait for: see watches.h, <sockhop/watch.h>.
 *
 * Each is an event of libevent in the loop of logic; those of a plugin that is held wait for
 * nothing until it is released.
 * Called by: plugins; the loop, when one is ready; async.c. Thread: logic.
 */
#include "core/plugin/watches.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sockhop/log.h>
#include <sockhop/watch.h>

#include "core/base/mem.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"

enum { WATCHES_MAX = 100000 /* of a plugin: promised in the header */ };

struct plugin_watch {
    hop_server *server; /* borrowed */
    hop_watch id;
    struct plugin *plugin; /* borrowed: NULL for the core's */
    int fd;                /* borrowed: the plugin's */
    unsigned events;       /* that are waited for */
    struct event *event;   /* owned: NULL while there are none, or the plugin is held */
    hop_watch_callback *callback;
    void *self; /* borrowed: the plugin's own */
};

void watches_init(struct watches *watches)
{
    slots_init(&watches->by_id, 0);
}

/* Nothing of the watch is looked at once its callback has begun. */
static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    const struct plugin_watch watch = *(const struct plugin_watch *)arg;
    unsigned events =
        (what & EV_READ ? HOP_READABLE : 0) | (what & EV_WRITE ? HOP_WRITABLE : 0);
    struct call call;

    call_begin_as(watch.server, watch.plugin, "hook", "watch", &call);
    watch.callback(watch.id, fd, events, watch.self);
    call_end(watch.server, &call, "hook", "watch");
}

static void stop_waiting(struct plugin_watch *watch)
{
    if (watch->event)
        event_free(watch->event);
    watch->event = NULL;
}

/* Wait for watch->events. -1: the descriptor is none that can be waited for. */
static int start_waiting(struct plugin_watch *watch)
{
    short what = EV_PERSIST;

    stop_waiting(watch);
    if (!watch->events || (watch->plugin && watch->plugin->async.is_held))
        return 0;
    if (watch->events & HOP_READABLE)
        what |= EV_READ;
    if (watch->events & HOP_WRITABLE)
        what |= EV_WRITE;
    watch->event =
        event_new(watch->server->loops->logic->base, watch->fd, what, on_ready, watch);
    if (!watch->event)
        mem_exhausted(128); /* the one reason that libevent has */
    if (event_add(watch->event, NULL) == 0)
        return 0;
    stop_waiting(watch);
    return -1;
}

static void watch_free(struct plugin_watch *watch)
{
    stop_waiting(watch);
    slots_remove(&watch->server->watches.by_id, watch->id);
    if (watch->plugin)
        watch->plugin->async.n_watches--;
    free(watch);
}

/* ---- the header's functions */

void watches_release(hop_server *server, const struct plugin *plugin)
{
    const struct slots *by_id = &server->watches.by_id;

    for (uint32_t slot = 0; slot < by_id->n; slot++) {
        struct plugin_watch *watch = slots_at(by_id, slot);

        if (watch && watch->plugin == plugin && start_waiting(watch) < 0)
            hop_log(HOP_ERROR, "watch.failed plugin=%s fd=%d reason=\"%s\"", plugin->name,
                    watch->fd, strerror(errno));
    }
}

void watches_remove(hop_server *server, const struct plugin *plugin)
{
    const struct slots *by_id = &server->watches.by_id;

    for (uint32_t slot = 0; slot < by_id->n; slot++) {
        struct plugin_watch *watch = slots_at(by_id, slot);

        if (watch && watch->plugin == plugin)
            watch_free(watch);
    }
}

void watches_done(struct watches *watches)
{
    for (uint32_t slot = 0; slot < watches->by_id.n; slot++) {
        struct plugin_watch *watch = slots_at(&watches->by_id, slot);

        if (watch)
            watch_free(watch);
    }
    slots_done(&watches->by_id);
}

/* ---- the public functions */

static bool is_events(unsigned events)
{
    return (events & ~(HOP_READABLE | HOP_WRITABLE)) == 0;
}

static void log_refusal(const char *function, const struct plugin *plugin, int fd,
                        const char *reason)
{
    hop_log(HOP_ERROR, "watch.refused function=%s plugin=%s fd=%d reason=\"%s\"",
            function, plugin ? plugin->name : "", fd, reason);
}

/* Why the descriptor cannot be waited for, or NULL. */
static const char *what_is_wrong(int fd)
{
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return "it is not open";
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
        return "files and folders are always ready: read them in a job";
    return NULL;
}

hop_watch hop_watch_new(hop_server *server, int fd, unsigned events,
                        hop_watch_callback *callback, void *self)
{
    struct plugin_watch *watch;
    struct plugin *plugin;
    const char *wrong;

    if (!on_logic(__func__) || !owner_find(server, (uintptr_t)callback, &plugin))
        return HOP_NO_WATCH;
    wrong = !callback            ? "NULL is no callback"
            : !is_events(events) ? "no such events"
                                 : what_is_wrong(fd);
    if (!wrong && plugin && plugin->async.n_watches == WATCHES_MAX)
        wrong = "the plugin has 100000 watches already";
    if (wrong) {
        log_refusal(__func__, plugin, fd, wrong);
        return HOP_NO_WATCH;
    }
    watch = mem_calloc(1, sizeof *watch);
    *watch = (struct plugin_watch){
        .server = server,
        .id = slots_add(&server->watches.by_id, watch),
        .plugin = plugin,
        .fd = fd,
        .events = events,
        .callback = callback,
        .self = self,
    };
    if (plugin)
        plugin->async.n_watches++;
    if (watch->id && start_waiting(watch) == 0)
        return watch->id;
    log_refusal(__func__, plugin, fd, strerror(errno));
    watch_free(watch);
    return HOP_NO_WATCH;
}

int hop_watch_set(hop_server *server, hop_watch id, unsigned events)
{
    struct plugin_watch *watch;

    if (!on_logic(__func__))
        return -1;
    watch = slots_get(&server->watches.by_id, id);
    if (!watch)
        return -1;
    if (!is_events(events)) {
        log_refusal(__func__, watch->plugin, watch->fd, "no such events");
        return -1;
    }
    watch->events = events;
    if (start_waiting(watch) == 0)
        return 0;
    log_refusal(__func__, watch->plugin, watch->fd, strerror(errno));
    return -1;
}

int hop_watch_free(hop_server *server, hop_watch id)
{
    struct plugin_watch *watch;

    if (!on_logic(__func__))
        return -1;
    watch = slots_get(&server->watches.by_id, id);
    if (!watch)
        return -1;
    watch_free(watch);
    return 0;
}
