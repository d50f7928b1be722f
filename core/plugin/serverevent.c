/*
 * serverevent.c - what plugins tell each other on every server of a cluster: for now, here.
 *
 * An event waits for the next turn, so that no handler runs inside an emit.
 *
 * Called by: plugins; server.c (their removal, the end); a timer. Thread: logic.
 */
#include "core/plugin/serverevent.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/plugin/owner.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

/* An event on its way. */
struct server_message {
    struct server_message *next;
    struct plugin *plugin;                  /* borrowed: the one that emitted it */
    char *name;                             /* owned */
    json_t *args;                           /* owned: an array */
    hop_server_answers_handler *on_answers; /* NULL: nobody waits */
    void *self;                             /* borrowed: of on_answers */
};

/* While its handlers run. */
struct hop_server_event {
    const char *name;
    json_t *args;   /* borrowed */
    json_t *answer; /* owned: the first, or NULL */
    bool is_own, has_ack;
};

/* This server's answer is the only one there is. */
struct hop_server_answers {
    json_t *answer; /* borrowed: NULL where it has none */
};

static void message_free(struct server_message *message)
{
    free(message->name);
    json_decref(message->args);
    free(message);
}

/* ---- what handlers ask */

const char *hop_server_event_name(const hop_server_event *event)
{
    return event->name;
}

json_t *hop_server_event_args(const hop_server_event *event)
{
    return event->args;
}

bool hop_server_event_is_own(const hop_server_event *event)
{
    return event->is_own;
}

int hop_server_event_ack(hop_server_event *event, json_t *args)
{
    if (!args && !mem_was_refused())
        args = json_array();
    if (!on_logic(__func__) || !event->has_ack || event->answer || !json_is_array(args)) {
        json_decref(args);
        return -1;
    }
    event->answer = args;
    return 0;
}

size_t hop_server_answers_n(const hop_server_answers *answers)
{
    (void)answers;
    return 1;
}

size_t hop_server_answers_n_missing(const hop_server_answers *answers)
{
    return answers->answer ? 0 : 1;
}

json_t *hop_server_answers_at(const hop_server_answers *answers, size_t n)
{
    return n == 0 ? answers->answer : NULL;
}

/* ---- delivering */

json_t *server_event_deliver(hop_server *server, const char *name, json_t *args,
                             bool is_own, bool has_ack)
{
    const struct server_events *events = &server->server_events;
    hop_server_event event = {
        .name = name, .args = args, .is_own = is_own, .has_ack = has_ack};

    for (size_t i = 0; i < events->n; i++) {
        const struct server_event_handler *handler = &events->list[i];
        struct call call;

        if (!handler->plugin->is_live || strcmp(handler->name, name) != 0)
            continue;
        call_begin_as(server, handler->plugin, "server_event", handler->shown, &call);
        handler->call(&event, handler->self);
        call_end(server, &call, "server_event", name);
    }
    return event.answer;
}

static void tell_answers(hop_server *server, const struct server_message *message,
                         json_t *answer)
{
    hop_server_answers answers = {answer};
    struct call call;

    if (!message->on_answers)
        return;
    call_begin_as(server, message->plugin, "hook", "server_answers", &call);
    message->on_answers(&answers, message->self);
    call_end(server, &call, "hook", "server_answers");
}

static struct server_message *take_first(struct server_events *events)
{
    struct server_message *message = events->first;

    if (!message)
        return NULL;
    events->first = message->next;
    if (!events->first)
        events->end = &events->first;
    message->next = NULL;
    return message;
}

/* Those that are emitted meanwhile wait for the next turn. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    hop_server *server = arg;
    struct server_events *events = &server->server_events;
    struct server_message *message, *last = NULL;

    (void)fd;
    (void)what;
    for (message = events->first; message; message = message->next)
        last = message;
    while ((message = take_first(events))) {
        json_t *answer = server_event_deliver(server, message->name, message->args, true,
                                              message->on_answers != NULL);
        bool is_last = message == last;

        tell_answers(server, message, answer);
        json_decref(answer);
        message_free(message);
        if (is_last)
            return;
    }
}

static void wake(hop_server *server)
{
    static const struct timeval now = {0, 0};
    struct server_events *events = &server->server_events;

    if (!events->timer)
        events->timer = evtimer_new(server->loops->logic->base, on_timer, server);
    if (!events->timer || evtimer_add(events->timer, &now) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

/* ---- emitting */

/* args: owned, even on failure. */
static int emit(hop_server *server, const char *name, json_t *args,
                hop_server_answers_handler *on_answers, void *self)
{
    struct server_events *events = &server->server_events;
    struct server_message *message;

    if (!args && !mem_was_refused())
        args = json_array();
    if (!name || !utf8_is_valid(name, strlen(name)) || !json_is_array(args) ||
        events->has_ended) {
        json_decref(args);
        return -1;
    }
    message = mem_calloc(1, sizeof *message);
    message->plugin = server->current;
    if (on_answers)
        owner_find(server, (uintptr_t)on_answers, &message->plugin);
    message->name = mem_strdup(name);
    message->args = args;
    message->on_answers = on_answers;
    message->self = self;
    if (!events->first)
        events->end = &events->first;
    *events->end = message;
    events->end = &message->next;
    wake(server);
    return 0;
}

int hop_server_emit(hop_server *server, const char *name, json_t *args)
{
    if (on_logic(__func__))
        return emit(server, name, args, NULL, NULL);
    json_decref(args);
    return -1;
}

int hop_server_emit_with_acks(hop_server *server, const char *name, json_t *args,
                              int timeout_ms, hop_server_answers_handler *on_answers,
                              void *self)
{
    if (on_logic(__func__) && on_answers && timeout_ms >= 1 &&
        timeout_ms <= MAX_TIMEOUT_MS)
        return emit(server, name, args, on_answers, self);
    json_decref(args);
    return -1;
}

/* ---- registration */

int hop_on_server_event(hop_server *server, const char *name, hop_server_handler *handler,
                        void *self)
{
    struct server_events *events = &server->server_events;

    if (!in_init(server, __func__))
        return -1;
    if (!name || !utf8_is_valid(name, strlen(name)) || !handler)
        return refuse(server, "hop_on_server_event(): a name in UTF-8 and a handler");
    events->list = mem_realloc(events->list, (events->n + 1) * sizeof *events->list);
    events->list[events->n++] = (struct server_event_handler){
        server->current,  mem_strdup(name), running_name(name), handler, self,
        events->n_added++};
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct server_event_handler *a = left, *b = right;

    if (a->plugin->order != b->plugin->order)
        return a->plugin->order < b->plugin->order ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

void server_events_sort(struct server_events *events)
{
    if (events->n > 0)
        qsort(events->list, events->n, sizeof *events->list, compare);
}

static void drop(struct server_message *message)
{
    message->on_answers = NULL;
    message->plugin = NULL;
}

/* Whoever hears of it may emit again: that comes behind the last. */
void server_events_clear(hop_server *server, const struct plugin *plugin)
{
    struct server_message *message = server->server_events.first, *last = NULL;

    for (struct server_message *at = message; at; at = at->next)
        last = at;
    for (; message; message = message == last ? NULL : message->next) {
        if (message->plugin != plugin)
            continue;
        tell_answers(server, message, NULL);
        drop(message);
    }
}

void server_events_remove(struct server_events *events, const struct plugin *plugin)
{
    size_t n_kept = 0;

    for (struct server_message *at = events->first; at; at = at->next)
        if (at->plugin == plugin)
            drop(at);

    for (size_t i = 0; i < events->n; i++) {
        if (events->list[i].plugin == plugin)
            free(events->list[i].name);
        else
            events->list[n_kept++] = events->list[i];
    }
    events->n = n_kept;
}

void server_events_end(hop_server *server)
{
    struct server_events *events = &server->server_events;
    struct server_message *message;

    events->has_ended = true;
    while ((message = take_first(events))) {
        tell_answers(server, message, NULL);
        message_free(message);
    }
}

void server_events_done(struct server_events *events)
{
    for (size_t i = 0; i < events->n; i++)
        free(events->list[i].name);
    free(events->list);
    if (events->timer)
        event_free(events->timer);
}
