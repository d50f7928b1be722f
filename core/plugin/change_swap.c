/*
 * change_swap.c - a change of plugins: the one step in which the new takes the place of the old.
 *
 * Called by: change.c. Thread: logic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/plugin/assets.h"
#include "core/plugin/async.h"
#include "core/plugin/change_impl.h"
#include "core/plugin/endpoints.h"
#include "core/plugin/handover.h"
#include "core/plugin/health.h"
#include "core/plugin/plugin_state.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

int change_prepare(struct change *change, hop_error *error)
{
    change->handovers = mem_calloc(change->n_new + 1, sizeof(struct handover *));
    for (size_t i = 0; i < change->n_new; i++) {
        struct plugin *plugin = change->new[i];

        if (!plugin->replaces)
            continue;
        change->handovers[i] =
            handover_prepare(change->server, plugin->replaces, plugin, error);
        if (!change->handovers[i])
            return -1;
        change->n_values += handover_count(change->handovers[i]);
    }
    return 0;
}

/* What an unloaded plugin of that name has left goes, for newer has come. */
static void end_unloaded(hop_server *server, const char *name)
{
    struct plugin **at = &server->unloaded;

    while (*at) {
        struct plugin *plugin = *at;

        if (strcmp(plugin->name, name) != 0) {
            at = &plugin->next_unloaded;
            continue;
        }
        *at = plugin->next_unloaded;
        plugin_retire(plugin);
    }
}

static void commit_new(struct change *change, size_t i)
{
    struct plugin *plugin = change->new[i];
    hop_server *server = change->server;

    if (change->handovers[i])
        handover_commit(change->handovers[i]);
    assets_take_over(server, plugin);
    routes_take_over(server, plugin);
    endpoints_take_over(server, plugin);
    connects_take_over(&server->connects, plugin);
    if (plugin->replaces) {
        fields_hand_over(server, plugin->replaces, plugin);
        users_hand_over(server, plugin->replaces, plugin);
    }
    plugin->is_live = true;
    end_unloaded(server, plugin->name);
}

/* Where code has been once, its libraries may keep memory that only they can find: so the old
 * code goes when newer of the same plugin comes, and stays until then, unused. */
static void end_old(struct change *change, size_t i)
{
    struct plugin *plugin = change->old[i];
    bool is_replaced = false;

    for (size_t j = 0; j < change->n_new; j++)
        if (change->new[j]->replaces == plugin) {
            change->new[j]->replaces = NULL;
            is_replaced = true;
        }
    health_yield(plugin); /* what it says when it goes is no news of the new */
    if (loader_stop_one(plugin, change->server) < 0) {
        /* it was idle: a job that it has started since then; its memory stays */
        server_hide(change->server, plugin);
        return;
    }
    hop_log(HOP_INFO, "plugin.stopped plugin=%s version=%s", plugin->name,
            plugin->entry.version);
    if (is_replaced) {
        plugin_retire(plugin);
        return;
    }
    plugin->next_unloaded = change->server->unloaded;
    change->server->unloaded = plugin;
}

/* Cannot fail: check_all() has looked at all of it. */
static void settle(struct change *change)
{
    hop_server *server = change->server;
    struct loader *loader = server->loader;
    hop_error error;

    free(loader->plugins);
    loader->plugins = change->next->plugins;
    loader->n = change->next->n;
    change->next->plugins = NULL;
    for (size_t i = 0; i < loader->n; i++)
        loader->plugins[i]->order = (unsigned)i;
    if (dispatch_sort(server->dispatch, &error) < 0 ||
        connects_resolve(&server->connects, server->hub, &error) < 0 ||
        handshakes_resolve(server, &error) < 0)
        hop_log(HOP_ERROR, "plugin.change_unsorted reason=\"%s\"", error.text);
    loader_tell_crash(loader);
    hooks_sort(&server->hooks);
    outgoing_sort(&server->outgoing);
    server_events_sort(&server->server_events);
    defer_relocate(server);
    connects_relocate(&server->connects);
    handshakes_relocate(&server->handshakes);
}

static void list_names(const struct change *change, char *text, size_t size)
{
    const size_t n = change->n_new ? change->n_new : change->n_old;
    struct plugin *const *plugins = change->n_new ? change->new : change->old;
    size_t len = 0;

    *text = '\0';
    for (size_t i = 0; i < n && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s %s", i ? ", " : "",
                                plugins[i]->name, plugins[i]->entry.version);
}

void change_finish(struct change *change)
{
    hop_server *server = change->server;
    char names[512];
    struct change_report report = {
        .is_done = true, .plugins = names, .n_values = change->n_values};
    uint64_t now;

    list_names(change, names, sizeof names);
    for (size_t i = 0; i < change->n_new; i++)
        commit_new(change, i);
    for (size_t i = 0; i < change->n_old; i++)
        change->old[i]->is_live = false;
    claims_apply(server);
    routes_look(server);
    for (size_t i = change->n_old; i-- > 0;)
        end_old(change, i);
    settle(change);
    for (size_t i = 0; i < change->n_new; i++) /* it has all now that the old had */
        async_release(server, change->new[i]);
    for (size_t i = 0; i < change->n_revisions; i++)
        if (!change_has_old(change, revision_plugin(change->revisions[i])))
            revision_apply(server, change->revisions[i]);
    for (size_t i = 0; i < change->n_new; i++)
        hop_log(HOP_INFO, "plugin.started plugin=%s version=%s", change->new[i]->name,
                change->new[i]->entry.version);
    for (size_t i = 0; i < change->n_new; i++)
        loader_ready_one(change->new[i], server);
    dispatch_set_leaving(server->dispatch, false);
    server->change = NULL;
    now = change_now_us();
    report.held_us = now - change->held_from_us;
    report.swap_us = now - change->swap_from_us;
    defer_release(server);
    change->done(&report, change->arg);
    change_free(change);
    change_settled(server);
}
