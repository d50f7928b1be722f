/*
 * dispatch.c - event name -> ordered handlers: the only caller of a plugin's handlers.
 *
 * A handler may disconnect the socket it was given: handlers of HOP_GUARD and HOP_HANDLE
 * that come later are then not called, since there is nobody left to answer, while those
 * of HOP_OBSERVE are, since they are promised to see every event.
 *
 * Called by: server.c (events from the hub), api.c (registration). Thread: logic.
 */
#include "core/plugin/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/plugin/defer.h"
#include "core/plugin/event.h"
#include "core/plugin/replace.h"
#include "core/plugin/scope.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

struct handler {
    struct plugin *plugin; /* borrowed */
    hop_handler *call;
    void *self; /* borrowed: the plugin's own */
    hop_phase phase;
    struct scope scope;
    char *before, *after; /* owned: a plugin's name, or NULL */
    unsigned serial;      /* of registration */
};

struct row {
    char *event;              /* owned: the key */
    const char *shown;        /* the same, of running_name() */
    struct handler *handlers; /* owned */
    size_t n;
    UT_hash_handle hh;
};

struct dispatch {
    hop_server *server; /* borrowed */
    struct row *rows;   /* owned: by event name */
    struct row any;     /* of every event; in no table */
    unsigned n_added;
    bool is_leaving; /* some plugin: its events wait */
};

struct dispatch *dispatch_new(hop_server *server)
{
    struct dispatch *dispatch = mem_calloc(1, sizeof *dispatch);

    dispatch->server = server;
    dispatch->any.event = mem_strdup("*"); /* in messages */
    return dispatch;
}

static void handler_done(struct handler *handler)
{
    scope_done(&handler->scope);
    free(handler->before);
    free(handler->after);
}

static void row_done(struct row *row)
{
    for (size_t i = 0; i < row->n; i++)
        handler_done(&row->handlers[i]);
    free(row->handlers);
    free(row->event);
}

static void row_free(struct dispatch *dispatch, struct row *row)
{
    HASH_DEL(dispatch->rows, row);
    row_done(row);
    free(row);
}

void dispatch_free(struct dispatch *dispatch)
{
    struct row *row, *next;

    if (!dispatch)
        return;
    HASH_ITER(hh, dispatch->rows, row, next)
    row_free(dispatch, row);
    row_done(&dispatch->any);
    free(dispatch);
}

/* ---- the table */

static struct row *find_row(const struct dispatch *dispatch, const char *event,
                            size_t len)
{
    struct row *row;

    HASH_FIND(hh, dispatch->rows, event, len, row);
    return row;
}

static struct row *need_row(struct dispatch *dispatch, const char *event)
{
    struct row *row = find_row(dispatch, event, strlen(event));

    if (row)
        return row;
    row = mem_calloc(1, sizeof *row);
    row->event = mem_strdup(event);
    row->shown = running_name(event);
    HASH_ADD_KEYPTR(hh, dispatch->rows, row->event, strlen(row->event), row);
    return row;
}

static void row_add(struct dispatch *dispatch, struct row *row, struct plugin *plugin,
                    hop_handler *handler, void *self, const hop_on_options *options)
{
    row->handlers = mem_realloc(row->handlers, (row->n + 1) * sizeof *row->handlers);
    row->handlers[row->n++] = (struct handler){
        .plugin = plugin,
        .call = handler,
        .self = self,
        .phase = options->phase,
        .scope = scope_new(options->nsp),
        .before = options->before ? mem_strdup(options->before) : NULL,
        .after = options->after ? mem_strdup(options->after) : NULL,
        .serial = dispatch->n_added++,
    };
}

void dispatch_add(struct dispatch *dispatch, struct plugin *plugin, const char *event,
                  hop_handler *handler, void *self, const hop_on_options *options)
{
    row_add(dispatch, need_row(dispatch, event), plugin, handler, self, options);
}

void dispatch_add_any(struct dispatch *dispatch, struct plugin *plugin,
                      hop_handler *handler, void *self, const hop_on_options *options)
{
    row_add(dispatch, &dispatch->any, plugin, handler, self, options);
}

static void row_remove(struct row *row, const struct plugin *plugin)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < row->n; i++) {
        if (row->handlers[i].plugin == plugin)
            handler_done(&row->handlers[i]);
        else
            row->handlers[n_kept++] = row->handlers[i];
    }
    row->n = n_kept;
}

void dispatch_remove(struct dispatch *dispatch, const struct plugin *plugin)
{
    struct row *row, *next;

    row_remove(&dispatch->any, plugin);
    HASH_ITER(hh, dispatch->rows, row, next)
    {
        row_remove(row, plugin);
        if (row->n == 0)
            row_free(dispatch, row);
    }
}

/* ---- order */

/* By phase, place in the conf file, registration. */
static int compare_handlers(const void *left, const void *right)
{
    const struct handler *a = left, *b = right;

    if (a->phase != b->phase)
        return a->phase < b->phase ? -1 : 1;
    if (a->plugin->conf_index != b->plugin->conf_index)
        return a->plugin->conf_index < b->plugin->conf_index ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

/* Whether first asks to run before second, or second after first. */
static bool must_precede(const struct handler *first, const struct handler *second)
{
    if (first->phase != second->phase)
        return false;
    return (first->before && strcmp(first->before, second->plugin->name) == 0) ||
           (second->after && strcmp(second->after, first->plugin->name) == 0);
}

/* A handler that has no place yet and must precede handler i; n when there is none. */
static size_t find_blocker(const struct row *row, size_t i, const bool *is_placed)
{
    size_t j = 0;

    while (j < row->n && (j == i || is_placed[j] ||
                          !must_precede(&row->handlers[j], &row->handlers[i])))
        j++;
    return j;
}

/* Handler i is blocked, as is everybody left: follow the blockers into their circle. */
static void refuse_circle(const struct row *row, size_t i, const bool *is_placed,
                          hop_error *error)
{
    char circle[300] = "";
    size_t size = 0, first;

    for (size_t steps = 0; steps < row->n; steps++)
        i = find_blocker(row, i, is_placed);
    first = i;
    do {
        size += (size_t)snprintf(circle + size, sizeof circle - size, "%s after ",
                                 row->handlers[i].plugin->name);
        i = find_blocker(row, i, is_placed);
    } while (i != first && size < sizeof circle);
    hop_error_set(
        error,
        "event %s: the plugins' before= and after= make a circle: %s%s: turn one "
        "of them off",
        row->event, circle, row->handlers[first].plugin->name);
}

/* In the plain order, but each only once those that must precede it have their place. Those
 * of plugins that leave are not looked at: they stay where they are, in the end. */
static int order_row(const struct row *row, struct handler *sorted, hop_error *error)
{
    bool *is_placed = mem_calloc(row->n, sizeof *is_placed);
    size_t n = 0, n_leaving = 0;

    for (size_t i = 0; i < row->n; i++)
        if (row->handlers[i].plugin->is_leaving) {
            is_placed[i] = true;
            sorted[row->n - ++n_leaving] = row->handlers[i];
        }
    while (n < row->n - n_leaving) {
        size_t i = 0, first_left = row->n;

        for (; i < row->n; i++) {
            if (is_placed[i])
                continue;
            if (first_left == row->n)
                first_left = i;
            if (find_blocker(row, i, is_placed) == row->n)
                break;
        }
        if (i == row->n) {
            refuse_circle(row, first_left, is_placed, error);
            break;
        }
        is_placed[i] = true;
        sorted[n++] = row->handlers[i];
    }
    free(is_placed);
    return n == row->n - n_leaving ? 0 : -1;
}

/* is_trial: only whether it can be done. */
static int sort_row(struct row *row, bool is_trial, hop_error *error)
{
    const struct row copy = {
        .event = row->event,
        .handlers = mem_calloc(row->n, sizeof *row->handlers),
        .n = row->n,
    };
    struct handler *sorted = mem_calloc(row->n, sizeof *sorted);
    int result = 0;

    if (row->n > 0) {
        memcpy(copy.handlers, row->handlers, row->n * sizeof *row->handlers);
        qsort(copy.handlers, copy.n, sizeof *copy.handlers, compare_handlers);
        result = order_row(&copy, sorted, error);
        if (result == 0 && !is_trial)
            memcpy(row->handlers, sorted, row->n * sizeof *sorted);
    }
    free(sorted);
    free(copy.handlers);
    return result;
}

static int resolve_row(struct row *row, const struct hub *hub, hop_error *error)
{
    for (size_t i = 0; i < row->n; i++) {
        struct handler *handler = &row->handlers[i];
        char what[200];

        snprintf(what, sizeof what, "the event %s", row->event);
        if (scope_resolve(&handler->scope, hub, handler->plugin, what, error) < 0)
            return -1;
    }
    return 0;
}

static int sort_all(struct dispatch *dispatch, bool is_trial, hop_error *error)
{
    struct row *row, *next;

    if (resolve_row(&dispatch->any, dispatch->server->hub, error) < 0 ||
        sort_row(&dispatch->any, is_trial, error) < 0)
        return -1;
    HASH_ITER(hh, dispatch->rows, row, next)
    if (resolve_row(row, dispatch->server->hub, error) < 0 ||
        sort_row(row, is_trial, error) < 0)
        return -1;
    return 0;
}

int dispatch_sort(struct dispatch *dispatch, hop_error *error)
{
    return sort_all(dispatch, false, error);
}

int dispatch_check(struct dispatch *dispatch, hop_error *error)
{
    return sort_all(dispatch, true, error);
}

void dispatch_set_leaving(struct dispatch *dispatch, bool is_leaving)
{
    dispatch->is_leaving = is_leaving;
}

static bool row_is_leaving(const struct row *row)
{
    for (size_t i = 0; row && i < row->n; i++)
        if (row->handlers[i].plugin->is_leaving)
            return true;
    return false;
}

/* ---- showing */

static void show_handler(const struct handler *handler, const char *event, size_t order,
                         bool is_any, struct table *table)
{
    static const char *const phases[] = {"guard", "handle", "observe"};

    table_add(table, event);
    table_add_number(table, order);
    table_add(table, phases[handler->phase]);
    table_add(table, handler->plugin->name);
    table_add(table, scope_name(&handler->scope));
    table_add(table, is_any ? "any" : "it");
}

/* row: NULL for the events that nobody names. */
static void show_row(const struct dispatch *dispatch, const struct row *row,
                     struct table *table)
{
    size_t order = 0;

    for (int step = 0; step < 2 * (HOP_OBSERVE + 1); step++) {
        const struct row *list = step % 2 ? row : &dispatch->any;

        for (size_t i = 0; list && i < list->n; i++)
            if (list->handlers[i].phase == (hop_phase)(step / 2))
                show_handler(&list->handlers[i], row ? row->event : "*", ++order,
                             list != row, table);
    }
}

static int compare_names(const void *left, const void *right)
{
    const struct row *const *a = left, *const *b = right;

    return strcmp((*a)->event, (*b)->event);
}

void dispatch_show(const struct dispatch *dispatch, struct table *table)
{
    size_t n = HASH_COUNT(dispatch->rows), i = 0;
    const struct row **rows = mem_calloc(n, sizeof *rows);

    for (const struct row *row = dispatch->rows; row; row = row->hh.next)
        rows[i++] = row;
    if (n)
        qsort(rows, n, sizeof *rows, compare_names);
    show_row(dispatch, NULL, table);
    for (i = 0; i < n; i++)
        show_row(dispatch, rows[i], table);
    free(rows);
}

/* ---- calling */

static hop_verdict call_handler(struct walk *walk, const struct handler *handler)
{
    hop_server *server = walk->server;
    hop_event *event = &walk->event;
    hop_verdict verdict;
    struct call call;

    call_begin_as(server, handler->plugin, "event", walk->row ? walk->row->shown : "*",
                  &call);
    verdict = handler->call(event->in->socket, event, handler->self);
    call_end(server, &call, "event", event->in->name);
    return verdict;
}

static void log_bad_verdict(const struct plugin *plugin, const hop_event *event,
                            hop_verdict verdict, const char *hint)
{
    char name[LOG_NAME_SIZE], fields[LOG_FIELDS_SIZE];

    hop_log(
        HOP_WARN, "plugin.bad_verdict plugin=%s event=\"%s\" verdict=%d hint=\"%s\"%s",
        plugin->name, log_escape(name, sizeof name, event->in->name, event->in->name_len),
        (int)verdict, hint, fields_write(fields, event->server, event->in->socket));
}

/* Whether the handlers of GUARD and HANDLE that follow are to be called. */
static bool take_verdict(struct plugin *plugin, hop_verdict verdict, hop_event *event)
{
    switch (verdict) {
    case HOP_NEXT:
        plugin->count[PLUGIN_NEXT]++;
        return true;
    case HOP_STOP:
        plugin->count[PLUGIN_STOP]++;
        return false;
    case HOP_REJECTED:
        plugin->count[PLUGIN_REJECT]++;
        if (!event->code)
            log_bad_verdict(plugin, event, verdict, "return what hop_reject() gave");
        event_answer_rejection(event);
        return false;
    case HOP_DEFER:
        plugin->count[PLUGIN_NEXT]++;
        log_bad_verdict(plugin, event, verdict, "call hop_event_defer() first");
        return true;
    case HOP_REPLACE:
        if (!event->next)
            break;
        plugin->count[PLUGIN_REPLACE]++;
        replace_apply(event);
        return true;
    }
    plugin->count[PLUGIN_NEXT]++;
    log_bad_verdict(plugin, event, verdict,
                    verdict == HOP_REPLACE ? "return what hop_replace() gave"
                                           : "no such verdict: taken as HOP_NEXT");
    return true;
}

/* Handlers go by phase, in each those of any event before those of this one. */
enum { STEPS = 2 * (HOP_OBSERVE + 1) };

static const struct handler *next_handler(struct walk *walk)
{
    for (; walk->step < STEPS; walk->step++, walk->next = 0) {
        const struct row *list =
            walk->step % 2 ? walk->row : &walk->server->dispatch->any;

        while (list && walk->next < list->n) {
            const struct handler *handler = &list->handlers[walk->next++];

            if (handler->phase == (hop_phase)(walk->step / 2) &&
                handler->plugin->is_live &&
                scope_has(&handler->scope, walk->event.in->declared))
                return handler;
        }
    }
    return NULL;
}

static void observe(struct walk *walk, const struct handler *handler)
{
    handler->plugin->count[PLUGIN_OBSERVE]++;
    walk->event.is_observed = true;
    call_handler(walk, handler);
}

/* False: it is deferred. */
static bool call_one(struct walk *walk, const struct handler *handler)
{
    hop_event *event = &walk->event;
    hop_verdict verdict;

    if (!walk->goes_on || !hub_is_connected(walk->server->hub, event->in->socket))
        return true;
    event_forget_rejection(event); /* of one before, who then went on */
    verdict = call_handler(walk, handler);
    if (verdict != HOP_REPLACE)
        replace_forget(event); /* it has thought better of it */
    if (verdict == HOP_DEFER && event->deferral) {
        walk->waits_for = handler->plugin;
        walk->serial = handler->serial;
        return false;
    }
    defer_cancel(event);
    walk->goes_on = take_verdict(handler->plugin, verdict, event);
    return true;
}

void walk_begin(struct walk *walk, hop_server *server, const struct sio_event *in)
{
    *walk = (struct walk){
        .server = server,
        .row = find_row(server->dispatch, in->name, in->name_len),
        .event = {.server = server, .in = in},
        .goes_on = true,
    };
}

bool walk_run(struct walk *walk)
{
    const struct handler *handler;

    while ((handler = next_handler(walk))) {
        if (handler->phase == HOP_OBSERVE)
            observe(walk, handler);
        else if (!call_one(walk, handler))
            return false;
    }
    return true;
}

void walk_decide(struct walk *walk, hop_verdict verdict)
{
    struct plugin *plugin = walk->waits_for;

    walk->waits_for = NULL;
    walk->goes_on = take_verdict(plugin, verdict, &walk->event);
}

const struct plugin *walk_plugin(const struct walk *walk)
{
    return walk->waits_for;
}

void walk_relocate(struct walk *walk)
{
    const struct sio_event *in = walk->event.in;
    const struct dispatch *dispatch = walk->server->dispatch;
    const struct row *list;

    walk->row = find_row(dispatch, in->name, in->name_len);
    if (!walk->waits_for) /* it has not begun */
        return;
    list = walk->step % 2 ? walk->row : &dispatch->any;
    walk->next = 0;
    while (list && walk->next < list->n &&
           list->handlers[walk->next].serial != walk->serial)
        walk->next++;
    if (list && walk->next < list->n)
        walk->next++;
}

static void log_ignored(const hop_server *server, const struct sio_event *in)
{
    char name[LOG_NAME_SIZE], fields[LOG_FIELDS_SIZE];

    if (hop_log_enabled(HOP_DEBUG))
        hop_log(HOP_DEBUG, "event.ignored event=\"%s\" reason=\"no handler\"%s",
                log_escape(name, sizeof name, in->name, in->name_len),
                fields_write(fields, server, in->socket));
}

void dispatch_event(struct dispatch *dispatch, const struct sio_event *in)
{
    struct walk walk;

    if (defer_holds_up(dispatch->server, in))
        return;
    walk_begin(&walk, dispatch->server, in);
    if (dispatch->is_leaving &&
        (row_is_leaving(walk.row) || row_is_leaving(&dispatch->any)))
        defer_hold(&walk);
    else if (!walk.row && dispatch->any.n == 0)
        log_ignored(dispatch->server, in);
    else if (walk_run(&walk))
        event_done(&walk.event);
    else
        defer_keep(&walk);
}
