/*
 * defer.c - events whose handlers decide later.
 *
 * A deferred event is copied with the place it has reached among its handlers. Later events
 * of its socket wait behind it, so that none overtakes another; their bytes are limited.
 *
 * Called by: dispatch.c (a verdict HOP_DEFER, each event), server.c (a socket goes), plugins,
 * a timer for each. Thread: logic, but for hop_event_resume*(), which post.
 */
#include "core/plugin/defer.h"

#include <event2/event.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/plugin/replace.h"
#include "core/plugin/state.h"

/* An event's copy. */
struct held {
    struct held *next;
    struct sio_event event; /* its pointers lead behind this struct */
    size_t size;            /* with its attachments */
};

/* A socket with an event that is deferred. */
struct wait {
    UT_hash_handle hh;  /* in deferrals.waits, by socket, once its event is kept */
    hop_server *server; /* borrowed */
    hop_socket socket;
    struct walk walk;          /* of `held` */
    struct held *held;         /* owned: the event at hand */
    struct event *timer;       /* owned: its deadline, NULL while it is not deferred */
    struct held *first, **end; /* owned: the events behind it */
    size_t n_bytes;            /* of those */
    bool is_kept, is_running;
    bool is_held; /* for defer_release() */
};

/* What hop_event_resume() posts. */
struct resumption {
    hop_server *server; /* borrowed: outlives the posts, loops_shut() */
    hop_deferral which;
    hop_verdict verdict;
    char *code, *message; /* owned: may be NULL */
    hop_args *args;       /* owned: of HOP_REPLACE, else NULL */
};

void defer_init(hop_server *server)
{
    slots_init(&server->deferrals.by_id, 0);
    server->deferrals.max_held_bytes = server->settings->max_waiting_bytes;
}

void defer_done(hop_server *server)
{
    slots_done(&server->deferrals.by_id);
}

/* ---- copies */

/* NULL without memory: what is copied is of a client. */
static struct held *held_new(const struct sio_event *in)
{
    const size_t spans = in->n_args * sizeof *in->args,
                 blocks = in->n_attachments * sizeof *in->attachments,
                 size = sizeof(struct held) + blocks + spans + in->name_len +
                        in->text_len + 2;
    struct held *held = mem_try_alloc(size);
    struct bytes **attachments;
    char *put;

    if (!held)
        return NULL;
    attachments = (struct bytes **)(held + 1);
    put = (char *)attachments + blocks;
    held->next = NULL;
    held->size = size;
    held->event = *in;
    held->event.attachments = attachments;
    for (size_t i = 0; i < in->n_attachments; i++) {
        attachments[i] = in->attachments[i];
        bytes_ref(attachments[i], 1);
        held->size += attachments[i]->len;
    }
    held->event.args = memcpy(put, in->args, spans);
    put += spans;
    held->event.name = memcpy(put, in->name, in->name_len + 1);
    put += in->name_len + 1;
    memcpy(put, in->text, in->text_len);
    put[in->text_len] = '\0';
    held->event.text = put;
    return held;
}

static void held_free(struct held *held)
{
    for (size_t i = 0; i < held->event.n_attachments; i++)
        bytes_unref(held->event.attachments[i]);
    free(held);
}

static const char *log_name(char *name, const struct held *held)
{
    return log_escape(name, LOG_NAME_SIZE, held->event.name, held->event.name_len);
}

/* ---- waits */

static struct wait *find_wait(const hop_server *server, hop_socket socket)
{
    struct wait *wait = NULL;

    if (server->deferrals.waits)
        HASH_FIND(hh, server->deferrals.waits, &socket, sizeof socket, wait);
    return wait;
}

static void wait_free(struct wait *wait)
{
    if (wait->is_kept)
        HASH_DEL(wait->server->deferrals.waits, wait);
    free(wait);
}

static void stop_timer(struct wait *wait)
{
    if (wait->timer)
        event_free(wait->timer);
    wait->timer = NULL;
}

static struct held *take_first(struct wait *wait)
{
    struct held *held = wait->first;

    if (!held)
        return NULL;
    wait->first = held->next;
    wait->n_bytes -= held->size;
    return held;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg);

static void start_timer(struct wait *wait)
{
    int ms = wait->walk.event.defer_ms;
    struct timeval timeout = {ms / 1000, ms % 1000 * 1000L};

    wait->timer = evtimer_new(wait->server->loops->logic->base, on_deadline, wait);
    if (!wait->timer || evtimer_add(wait->timer, &timeout) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

static void forget_deferral(struct wait *wait)
{
    slots_remove(&wait->server->deferrals.by_id, wait->walk.event.deferral);
    wait->walk.event.deferral = 0;
    stop_timer(wait);
}

static bool is_connected(const struct wait *wait)
{
    return hub_is_connected(wait->server->hub, wait->socket);
}

/* The event at hand goes on, then those behind it, until one is deferred (again). Frees
 * the wait at the end. */
static void go_on(struct wait *wait)
{
    wait->is_running = true;
    while (wait->held) {
        if (!walk_run(&wait->walk)) {
            if (is_connected(wait)) {
                start_timer(wait);
                wait->is_running = false;
                return;
            }
            forget_deferral(wait); /* its handler has closed the socket as well */
            walk_decide(&wait->walk, HOP_STOP);
            continue;
        }
        event_done(&wait->walk.event);
        held_free(wait->held);
        wait->held = take_first(wait);
        if (!wait->held)
            break;
        walk_begin(&wait->walk, wait->server, &wait->held->event);
        wait->walk.event.wait = wait;
    }
    wait_free(wait);
}

/* The deferred event is decided: what hop_reject() or hop_replace() were told stands. */
static void decide(struct wait *wait, hop_verdict verdict)
{
    wait->is_running = true; /* whoever hears of the rejection may end the socket */
    forget_deferral(wait);
    walk_decide(&wait->walk, verdict);
    go_on(wait);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct wait *wait = arg;
    char name[LOG_NAME_SIZE], fields[LOG_FIELDS_SIZE];

    (void)fd;
    (void)what;
    hop_log(HOP_WARN, "plugin.defer_timeout plugin=%s event=\"%s\" ms=%d%s",
            walk_plugin(&wait->walk)->name, log_name(name, wait->held),
            wait->walk.event.defer_ms, fields_write(fields, wait->server, wait->socket));
    decide(wait, hop_reject(&wait->walk.event, "timeout", "it took too long to decide"));
}

/* ---- the header's functions */

bool defer_holds_up(hop_server *server, const struct sio_event *in)
{
    struct wait *wait = find_wait(server, in->socket);
    char name[LOG_NAME_SIZE], fields[LOG_FIELDS_SIZE];
    struct held *held;

    if (!wait)
        return false;
    held = held_new(in);
    if (!held)
        return true; /* the client is closed for want of memory */
    if (wait->n_bytes + held->size > server->deferrals.max_held_bytes) {
        held_free(held);
        hop_log(HOP_WARN, "event.too_many_waiting event=\"%s\" max_waiting=%zu%s",
                log_name(name, wait->held), server->deferrals.max_held_bytes,
                fields_write(fields, server, in->socket));
        hub_disconnect(server->hub, in->socket, HOP_CLOSE_TRANSPORT);
        return true;
    }
    if (!wait->first)
        wait->end = &wait->first;
    *wait->end = held;
    wait->end = &held->next;
    wait->n_bytes += held->size;
    return true;
}

void defer_keep(const struct walk *walk)
{
    struct wait *wait = walk->event.wait;

    wait->held = held_new(walk->event.in);
    if (!wait->held) { /* the client is closed for want of memory */
        hop_event event = walk->event;

        defer_cancel(&event);
        event_done(&event);
        return;
    }
    wait->walk = *walk;
    wait->walk.event.in = &wait->held->event;
    replacement_free(wait->walk.event.replaced); /* the copy has taken over */
    wait->walk.event.replaced = NULL;
    wait->is_kept = true;
    HASH_ADD(hh, wait->server->deferrals.waits, socket, sizeof wait->socket, wait);
    if (is_connected(wait))
        start_timer(wait);
    else
        decide(wait, HOP_STOP);
}

void defer_hold(const struct walk *walk)
{
    hop_server *server = walk->server;
    struct wait *wait = mem_calloc(1, sizeof *wait);

    wait->held = held_new(walk->event.in);
    if (!wait->held) { /* the client is closed for want of memory */
        free(wait);
        return;
    }
    wait->server = server;
    wait->socket = walk->event.in->socket;
    wait->walk = *walk;
    wait->walk.event.in = &wait->held->event;
    wait->walk.event.wait = wait;
    wait->is_kept = wait->is_held = true;
    HASH_ADD(hh, server->deferrals.waits, socket, sizeof wait->socket, wait);
}

/* Handlers that run may end any socket, and with it any wait but theirs: from the start each
 * time. */
static struct wait *first_wait(const hop_server *server, const struct plugin *plugin)
{
    struct wait *wait = server->deferrals.waits;

    while (wait && (wait->is_running ||
                    (plugin ? walk_plugin(&wait->walk) != plugin : !wait->is_held)))
        wait = wait->hh.next;
    return wait;
}

void defer_release(hop_server *server)
{
    struct wait *wait;

    while ((wait = first_wait(server, NULL))) {
        wait->is_held = false;
        go_on(wait);
    }
}

void defer_relocate(hop_server *server)
{
    for (struct wait *wait = server->deferrals.waits; wait; wait = wait->hh.next)
        walk_relocate(&wait->walk);
}

bool defer_has_any(const hop_server *server, const struct plugin *plugin)
{
    return first_wait(server, plugin) != NULL;
}

void defer_refuse_all(hop_server *server, const struct plugin *plugin)
{
    struct wait *wait;

    while ((wait = first_wait(server, plugin)))
        decide(wait, hop_reject(&wait->walk.event, "reloading",
                                "the server took too long to decide"));
}

void defer_cancel(hop_event *event)
{
    if (event->deferral)
        slots_remove(&event->server->deferrals.by_id, event->deferral);
    event->deferral = 0;
    if (!event->wait || event->wait->is_kept)
        return;
    free(event->wait);
    event->wait = NULL;
}

void defer_end(hop_server *server, hop_socket socket)
{
    struct wait *wait = find_wait(server, socket);

    if (!wait || wait->is_running) /* the walk finds out by itself */
        return;
    if (wait->is_held) {
        wait->is_held = false;
        go_on(wait);
        return;
    }
    decide(wait, HOP_STOP);
}

/* ---- the public functions */

hop_deferral hop_event_defer(hop_event *event, int timeout_ms)
{
    hop_server *server = event->server;
    struct wait *wait = event->wait;

    if (!on_logic(__func__) || event->is_observed || event->deferral || timeout_ms < 1 ||
        timeout_ms > MAX_TIMEOUT_MS)
        return 0;
    if (!wait) {
        wait = mem_calloc(1, sizeof *wait);
        wait->server = server;
        wait->socket = event->in->socket;
        event->wait = wait;
    }
    event->defer_ms = timeout_ms;
    event->deferral = slots_add(&server->deferrals.by_id, wait);
    return event->deferral;
}

static void resumption_free(struct resumption *resumption)
{
    free(resumption->code);
    free(resumption->message);
    hop_args_free(resumption->args);
    free(resumption);
}

/* The verdict as if the handler had returned it. */
static hop_verdict take_verdict(hop_event *event, struct resumption *resumption)
{
    hop_args *args = resumption->args;

    if (resumption->verdict == HOP_REJECTED)
        return hop_reject(event, resumption->code, resumption->message);
    if (resumption->verdict != HOP_REPLACE)
        return resumption->verdict;
    resumption->args = NULL;
    return hop_replace(event, args);
}

static void take_resumption(void *self)
{
    struct resumption *resumption = self;
    struct wait *wait =
        slots_get(&resumption->server->deferrals.by_id, resumption->which);

    if (wait && wait->is_kept && !wait->is_running)
        decide(wait, take_verdict(&wait->walk.event, resumption));
    resumption_free(resumption);
}

static int post_resumption(const struct resumption *resumption)
{
    struct resumption *copy = mem_alloc(sizeof *copy);

    *copy = *resumption;
    if (loop_post(copy->server->loops->logic, take_resumption, copy) == 0)
        return 0;
    resumption_free(copy);
    return -1;
}

int hop_event_resume(hop_server *server, hop_deferral which, hop_verdict verdict,
                     const char *code, const char *message)
{
    if (verdict != HOP_NEXT && verdict != HOP_STOP && verdict != HOP_REJECTED)
        return -1;
    return post_resumption(&(struct resumption){
        .server = server,
        .which = which,
        .verdict = verdict,
        .code = code ? mem_strdup(code) : NULL,
        .message = message ? mem_strdup(message) : NULL,
    });
}

int hop_event_resume_replace(hop_server *server, hop_deferral which, hop_args *args)
{
    return post_resumption(&(struct resumption){
        .server = server, .which = which, .verdict = HOP_REPLACE, .args = args});
}
