/*
 * change.c - plugins of a running server: loaded, unloaded, reloaded: see change.h.
 *
 * Called by: core/console.c, core/reload.c, a timer while it waits. Thread: logic.
 */
#include "core/plugin/change.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/plugin/change_impl.h"
#include "core/plugin/endpoints.h"
#include "core/plugin/handover.h"
#include "core/plugin/jobs.h"
#include "core/plugin/plugin_state.h"
#include "core/plugin/state.h"

enum {
    POLL_MS = 5,
    CHANGE_GRACE_MS = 2000 /* for jobs that have been asked to stop */
};

uint64_t change_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- step 1: start what is new */

static bool is_new(const struct change *change, const struct plugin *plugin)
{
    for (size_t i = 0; i < change->n_new; i++)
        if (change->new[i] == plugin)
            return true;
    return false;
}

static int start_new(struct change *change, hop_error *error)
{
    struct plugin **ordered = mem_calloc(change->n_new + 1, sizeof(struct plugin *));
    size_t n = 0;

    for (size_t i = 0; i < change->next->n; i++) /* into the order of init */
        if (is_new(change, change->next->plugins[i]))
            ordered[n++] = change->next->plugins[i];
    memcpy(change->new, ordered, n * sizeof(struct plugin *));
    free(ordered);
    for (size_t i = 0; i < change->n_new; i++) {
        struct plugin *plugin = change->new[i];
        hop_error reason;

        change->n_started = i + 1;
        if (loader_start_one(plugin, change->server, &reason) < 0) {
            config_error(change->config, plugin->section, NULL, error, "%s", reason.text);
            return -1;
        }
    }
    return 0;
}

/* What a start would refuse once all plugins are there. */
static int check_all(struct change *change, hop_error *error)
{
    hop_server *server = change->server;

    if (dispatch_check(server->dispatch, error) < 0 ||
        hooks_resolve(&server->hooks, server->hub, error) < 0 ||
        connects_check(&server->connects, server->hub, error) < 0)
        return -1;
    return handshakes_check(server, error);
}

/* ---- the ends */

static void set_leaving(struct change *change, bool is_leaving)
{
    for (size_t i = 0; i < change->n_old; i++)
        change->old[i]->is_leaving = is_leaving;
}

void change_free(struct change *change)
{
    if (change->timer)
        event_free(change->timer);
    if (change->next)
        free(change->next->plugins);
    free(change->next);
    for (size_t i = 0; i < change->n_revisions; i++)
        revision_free(change->revisions[i]);
    free(change->revisions);
    free(change->handovers);
    free(change->kept_index);
    free(change->name);
    free(change->old);
    free(change->new);
    config_free(change->config);
    free(change);
}

/* As if it had never begun. */
static void undo(struct change *change)
{
    hop_server *server = change->server;
    const struct loader *now = server->loader;

    for (size_t i = 0; change->handovers && i < change->n_new; i++)
        handover_cancel(change->handovers[i]);
    for (size_t i = 0; change->kept_index && i < now->n; i++)
        now->plugins[i]->conf_index = change->kept_index[i];
    for (size_t i = change->n_new; i-- > 0;) {
        if (i < change->n_started)
            loader_stop_one(change->new[i], server);
        plugin_retire(change->new[i]);
    }
    set_leaving(change, false);
    dispatch_set_leaving(server->dispatch, false);
    server->change = NULL;
    defer_relocate(server);
    defer_release(server);
}

static void fail(struct change *change, const hop_error *error)
{
    const struct change_report report = {.error = error->text};
    hop_server *server = change->server;
    change_done *done = change->done;
    void *arg = change->arg;

    hop_log(HOP_ERROR, "plugin.change_failed reason=\"%s\"", error->text);
    undo(change);
    change_free(change);
    done(&report, arg);
    change_settled(server);
}

void change_settled(hop_server *server)
{
    if (server->on_settled)
        server->on_settled(server->on_settled_arg);
}

static int check_peers(const struct change *change, hop_error *error)
{
    for (size_t i = 0; i < change->n_old; i++) {
        size_t n = endpoints_n_peers(change->server, change->old[i]);

        if (n == 0)
            continue;
        hop_error_set(error,
                      "plugin %s: %zu clients are connected to its endpoints: it stays "
                      "as it was",
                      change->old[i]->name, n);
        return -1;
    }
    return 0;
}

/* Whether those that leave may: asked before they notice anything. */
static int check_old(const struct change *change, hop_error *error)
{
    for (size_t i = 0; i < change->n_new; i++)
        if (change->new[i]->replaces &&
            handover_check(change->server, change->new[i]->replaces, error) < 0)
            return -1;
    return check_peers(change, error);
}

static bool is_busy(const struct change *change);
static void await_rest(struct change *change);

static void swap(struct change *change)
{
    hop_error error;

    change->swap_from_us = change_now_us();
    if (check_old(change, &error) < 0) {
        fail(change, &error);
        return;
    }
    for (size_t i = 0; i < change->n_old; i++) { /* what they hear of it is saved, too */
        answers_clear(change->server, change->old[i]);
        server_events_clear(change->server, change->old[i]);
    }
    if (is_busy(change)) { /* by what they have heard */
        await_rest(change);
        return;
    }
    if (check_old(change, &error) < 0 || change_prepare(change, &error) < 0)
        fail(change, &error);
    else
        change_finish(change);
}

/* ---- step 3: what has been deferred comes to its end */

static bool is_busy(const struct change *change)
{
    const hop_server *server = change->server;

    for (size_t i = 0; i < change->n_old; i++)
        if (defer_has_any(server, change->old[i]) ||
            commands_has_any(&server->commands, change->old[i]) ||
            connects_has_any(&server->connects, change->old[i]) ||
            handshakes_has_any(&server->handshakes, change->old[i]) ||
            !jobs_is_idle(change->server, change->old[i]))
            return true;
    return false;
}

static void refuse_all(struct change *change)
{
    hop_server *server = change->server;

    for (size_t i = 0; i < change->n_old; i++) {
        defer_refuse_all(server, change->old[i]);
        commands_refuse_all(server, change->old[i]);
        connects_refuse_all(&server->connects, change->old[i]);
        handshakes_refuse_all(&server->handshakes, change->old[i]);
        jobs_cancel(server, change->old[i]);
    }
}

static void await_rest(struct change *change)
{
    static const struct timeval soon = {0, POLL_MS * 1000};

    if (evtimer_add(change->timer, &soon) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
    static const hop_error stuck = {"a plugin that is to go has work that does not end, "
                                    "or begins again: all stay as they "
                                    "were"};
    struct change *change = arg;
    const uint64_t ms = (change_now_us() - change->held_from_us) / 1000;

    (void)fd;
    (void)what;
    if (is_busy(change) && ms >= CHANGE_PATIENCE_MS) {
        if (!change->has_refused)
            hop_log(HOP_WARN,
                    "plugin.change_impatient hint=\"what plugins had deferred for "
                    "longer than 5 s was refused\"");
        change->has_refused = true;
        refuse_all(change);
    }
    if (!is_busy(change))
        swap(change);
    else if (ms >= CHANGE_PATIENCE_MS + CHANGE_GRACE_MS)
        fail(change, &stuck);
    else
        await_rest(change);
}

/* ---- what is asked for */

static struct change *change_new(hop_server *server, struct config *config,
                                 change_done *done, void *arg)
{
    struct change *change = mem_calloc(1, sizeof *change);
    size_t n_sections = 0;

    while (config_section(config, n_sections))
        n_sections++;
    change->server = server;
    change->config = config;
    change->old = mem_calloc(server->loader->n + 1, sizeof(struct plugin *));
    change->revisions = mem_calloc(server->loader->n + 1, sizeof(struct revision *));
    change->new = mem_calloc(server->loader->n + n_sections + 1, sizeof(struct plugin *));
    change->done = done;
    change->arg = arg;
    return change;
}

int change_begin(hop_server *server, enum change_kind kind, const char *name,
                 struct config *config, change_done *done, void *arg, hop_error *error)
{
    struct change *change;
    int result;

    if (server->is_stopping) {
        hop_error_set(error, "the server stops");
        return -1;
    }
    if (server->change || !server->loader) {
        hop_error_set(error, "plugins are being changed already: try again");
        return -1;
    }
    config = config ? config_ref(config) : config_load_again(server->config, error);
    if (!config)
        return -1;
    change = change_new(server, config, done, arg);
    change->kind = kind;
    change->name = mem_strdup(name ? name : "");
    server->change = change;
    result = change_collect(change, error);
    if (result == 0)
        result = check_old(change, error);
    if (result == 0) {
        set_leaving(change, true); /* its interfaces are not for those that come */
        result = start_new(change, error);
    }
    if (result == 0)
        result = check_all(change, error);
    if (result < 0) {
        undo(change);
        change_free(change);
        return -1;
    }
    change->held_from_us = change_now_us();
    dispatch_set_leaving(server->dispatch, change->n_old > 0);
    change->timer = evtimer_new(server->loops->logic->base, on_poll, change);
    if (!change->timer)
        mem_exhausted(128); /* the one reason that libevent has */
    event_active(change->timer, EV_TIMEOUT, 0);
    return 0;
}

void change_abort(hop_server *server)
{
    static const hop_error error = {"the server stops"};

    if (server->change)
        fail(server->change, &error);
}
