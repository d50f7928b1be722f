/*
 * change.c - plugins of a running server: loaded, unloaded, reloaded: see change.h.
 *
 * Called by: the control command, daemon.c (SIGHUP), a timer while it waits. Thread: logic.
 */
#include "core/plugin/change.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/base/text.h"
#include "core/plugin/async.h"
#include "core/plugin/endpoints.h"
#include "core/plugin/handover.h"
#include "core/plugin/jobs.h"
#include "core/plugin/plugin_state.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

enum {
    POLL_MS = 5,
    CHANGE_GRACE_MS = 2000 /* for jobs that have been asked to stop */
};

struct change {
    hop_server *server; /* borrowed */
    enum change_kind kind;
    char *name;            /* owned: of the plugin that is asked for, or "" */
    struct config *config; /* ref: the conf file as it is now */
    struct loader *next;   /* owned: all plugins as they are to be; its plugins are not */
    struct plugin **old;   /* owned array: those that leave, in the order of init */
    size_t n_old;
    struct plugin **new; /* owned array, and they until they are live; order of init */
    size_t n_new, n_started;
    unsigned *kept_index;        /* owned: conf_index of the plugins of today's loader */
    struct handover **handovers; /* owned array: of new[i], or NULL */
    size_t n_values;
    struct revision **revisions; /* owned array, and they: of plugins that stay */
    size_t n_revisions;
    bool has_refused;
    struct event *timer; /* owned */
    uint64_t held_from_us, swap_from_us;
    change_done *done;
    void *arg;
};

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- who is concerned */

static bool is_old(const struct change *change, const struct plugin *plugin)
{
    for (size_t i = 0; i < change->n_old; i++)
        if (change->old[i] == plugin)
            return true;
    return false;
}

static bool lists(const char *list, const char *name)
{
    const char *item;
    size_t len;

    while (list && (item = list_next(&list, &len)))
        if (strlen(name) == len && memcmp(item, name, len) == 0)
            return true;
    return false;
}

/* Whether user would be left with something of a plugin that leaves. */
static bool depends_on(const hop_server *server, const struct plugin *user,
                       const struct plugin *provider)
{
    for (size_t i = 0; i < server->n_uses; i++)
        if (server->uses[i].user == user && server->uses[i].provider == provider)
            return true;
    return lists(user->entry.requires, provider->name);
}

static void add_old(struct change *change, struct plugin *plugin)
{
    if (!is_old(change, plugin))
        change->old[change->n_old++] = plugin;
}

/* Whether one of both may hold pointers into the other: a user has its provider's interface,
 * and may have left callbacks there, which nobody takes back. */
static bool is_bound(const struct change *change, const struct plugin *plugin)
{
    const hop_server *server = change->server;

    for (size_t i = 0; i < change->n_old; i++)
        if (depends_on(server, plugin, change->old[i]) ||
            depends_on(server, change->old[i], plugin))
            return true;
    for (size_t i = 0; i < change->n_new; i++)
        if (lists(change->new[i]->entry.requires, plugin->name) ||
            lists(change->new[i]->entry.wants, plugin->name))
            return true;
    return false;
}

/* All that are bound to those that leave or come leave with them. */
static void close_over(struct change *change)
{
    const struct loader *loader = change->server->loader;
    size_t n_before;

    do {
        n_before = change->n_old;
        for (size_t i = 0; i < loader->n; i++)
            if (!is_old(change, loader->plugins[i]) &&
                is_bound(change, loader->plugins[i]))
                add_old(change, loader->plugins[i]);
    } while (change->n_old > n_before);
}

static int compare_order(const void *left, const void *right)
{
    const struct plugin *const *a = left, *const *b = right;

    return (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

/* ---- step 1: open and start what is new */

static int open_new(struct change *change, const char *name, hop_error *error)
{
    char section[PLUGIN_NAME_MAX + sizeof "plugin:"];
    struct plugin *plugin;

    snprintf(section, sizeof section, "plugin:%s", name);
    if (!config_section_place(change->config, section)) {
        hop_error_set(error, "there is no section [%s]: add one to the conf file",
                      section);
        return -1;
    }
    plugin = plugin_open(change->server->settings, change->config, section, PLUGIN_COPY,
                         error);
    if (!plugin)
        return -1;
    plugin->config = config_ref(change->config);
    for (size_t i = 0; i < change->n_old; i++)
        if (strcmp(change->old[i]->name, name) == 0)
            plugin->replaces = change->old[i];
    change->new[change->n_new++] = plugin;
    return 0;
}

/* The place of a plugin among the sections of the conf file; those without one come last. */
static unsigned section_index(const struct config *config, const struct plugin *plugin)
{
    const char *section;
    unsigned i = 0;

    while ((section = config_section(config, i)) && strcmp(section, plugin->section) != 0)
        i++;
    return i;
}

static int compare_section(const void *left, const void *right)
{
    const struct plugin *const *a = left, *const *b = right;

    return (*a)->conf_index < (*b)->conf_index ? -1 : (*a)->conf_index > (*b)->conf_index;
}

/* All plugins as they are to be, in their order of init. */
static int arrange(struct change *change, hop_error *error)
{
    const struct loader *now = change->server->loader;
    struct loader *next = mem_calloc(1, sizeof *next);

    change->next = next;
    next->config = change->config;
    next->plugins = mem_calloc(now->n + change->n_new + 1, sizeof *next->plugins);
    change->kept_index = mem_calloc(now->n + 1, sizeof *change->kept_index);
    for (size_t i = 0; i < now->n; i++) {
        change->kept_index[i] = now->plugins[i]->conf_index;
        if (!is_old(change, now->plugins[i]))
            next->plugins[next->n++] = now->plugins[i];
    }
    for (size_t i = 0; i < change->n_new; i++)
        next->plugins[next->n++] = change->new[i];
    for (size_t i = 0; i < next->n; i++)
        next->plugins[i]->conf_index = section_index(change->config, next->plugins[i]);
    qsort(next->plugins, next->n, sizeof *next->plugins, compare_section);
    for (size_t i = 0; i < next->n; i++)
        next->plugins[i]->conf_index = (unsigned)i;
    return loader_arrange(next, error);
}

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

static void change_free(struct change *change)
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

static void fail(struct change *change, const hop_error *error)
{
    const struct change_report report = {.error = error->text};
    change_done *done = change->done;
    void *arg = change->arg;

    hop_log(HOP_ERROR, "plugin.change_failed reason=\"%s\"", error->text);
    undo(change);
    change_free(change);
    done(&report, arg);
}

/* ---- step 4: all in one go */

static int prepare_handovers(struct change *change, hop_error *error)
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
    routes_take_over(server, plugin);
    endpoints_take_over(server, plugin);
    connects_take_over(&server->connects, plugin);
    if (plugin->replaces)
        users_hand_over(server, plugin->replaces, plugin);
    plugin->is_live = true;
    end_unloaded(server, plugin->name);
    async_release(server, plugin);
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
    if (loader_stop_one(plugin, change->server) < 0)
        return; /* it was idle: a job that it has started since then; its memory stays */
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

static void finish(struct change *change)
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
    for (size_t i = change->n_old; i-- > 0;)
        end_old(change, i);
    settle(change);
    for (size_t i = 0; i < change->n_revisions; i++)
        if (!is_old(change, revision_plugin(change->revisions[i])))
            revision_apply(server, change->revisions[i]);
    for (size_t i = 0; i < change->n_new; i++)
        hop_log(HOP_INFO, "plugin.started plugin=%s version=%s", change->new[i]->name,
                change->new[i]->entry.version);
    for (size_t i = 0; i < change->n_new; i++)
        loader_ready_one(change->new[i], server);
    dispatch_set_leaving(server->dispatch, false);
    server->change = NULL;
    now = now_us();
    report.held_us = now - change->held_from_us;
    report.swap_us = now - change->swap_from_us;
    defer_release(server);
    change->done(&report, change->arg);
    change_free(change);
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

    change->swap_from_us = now_us();
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
    if (check_old(change, &error) < 0 || prepare_handovers(change, &error) < 0)
        fail(change, &error);
    else
        finish(change);
}

/* ---- step 3: what has been deferred comes to its end */

static bool is_busy(const struct change *change)
{
    const hop_server *server = change->server;

    for (size_t i = 0; i < change->n_old; i++)
        if (defer_has_any(server, change->old[i]) ||
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
    const uint64_t ms = (now_us() - change->held_from_us) / 1000;

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

/* Whether a plugin that leaves comes again. */
static bool comes_again(const struct change *change, const struct plugin *plugin)
{
    if (change->kind == CHANGE_UNLOAD)
        return strcmp(plugin->name, change->name) != 0;
    return change->kind != CHANGE_CONFIG ||
           (config_section_place(change->config, plugin->section) &&
            !plugin_is_disabled(change->config, plugin->section));
}

static bool has_come(const struct change *change, const struct plugin *plugin)
{
    for (size_t i = 0; i < change->n_new; i++)
        if (change->new[i]->replaces == plugin)
            return true;
    return false;
}

/* Open those that come again; what one needs may bring others along. */
static int reopen(struct change *change, hop_error *error)
{
    close_over(change);
    for (size_t i = 0; i < change->n_old; i++) {
        struct plugin *plugin = change->old[i];

        if (has_come(change, plugin) || !comes_again(change, plugin))
            continue;
        if (open_new(change, plugin->name, error) < 0)
            return -1;
        close_over(change);
    }
    return 0;
}

static int refuse_users(const struct change *change, const struct plugin *provider,
                        hop_error *error)
{
    const struct loader *loader = change->server->loader;

    for (size_t i = 0; i < loader->n; i++) {
        const struct plugin *user = loader->plugins[i];

        if (user == provider || !depends_on(change->server, user, provider))
            continue;
        hop_error_set(error, "the plugin %s needs %s: unload it first", user->name,
                      provider->name);
        return -1;
    }
    return 0;
}

static int collect_one(struct change *change, hop_error *error)
{
    const char *name = change->name;
    struct plugin *plugin = loader_find(change->server->loader, name);

    if (change->kind == CHANGE_LOAD && plugin) {
        hop_error_set(error, "the plugin %s is loaded: reload it instead", name);
        return -1;
    }
    if (change->kind == CHANGE_LOAD)
        return open_new(change, name, error) < 0 ? -1 : reopen(change, error);
    if (!plugin) {
        hop_error_set(error, "no plugin %s is loaded", name);
        return -1;
    }
    if (change->kind == CHANGE_UNLOAD && refuse_users(change, plugin, error) < 0)
        return -1;
    add_old(change, plugin);
    return reopen(change, error);
}

/* A file that is being written is empty for a moment: it should not unload everything. */
static bool names_plugins(const struct config *config)
{
    const char *section;

    for (size_t i = 0; (section = config_section(config, i)); i++)
        if (plugin_section_name(section) && !plugin_is_disabled(config, section))
            return true;
    return false;
}

/* It stays as it is, gets other values, or leaves. */
static int collect_plugin(struct change *change, struct plugin *plugin, hop_error *error)
{
    const struct config *now = plugin_config(plugin, change->server->config);
    enum plugin_change what = plugin_compare(plugin, now, change->config);
    struct revision *revision;

    if (what == PLUGIN_CHANGED ||
        !config_section_place(change->config, plugin->section) ||
        plugin_file_has_changed(plugin)) {
        add_old(change, plugin);
        return 0;
    }
    if (what == PLUGIN_SAME)
        return 0;
    revision = revision_prepare(plugin, now, change->config, error);
    if (!revision)
        return -1;
    change->revisions[change->n_revisions++] = revision;
    return 0;
}

/* Those whose section or file is another now, and those that have come. */
static int collect_changed(struct change *change, hop_error *error)
{
    const hop_server *server = change->server;
    const struct loader *loader = server->loader;
    const char *section;

    for (size_t i = 0; i < loader->n; i++)
        if (collect_plugin(change, loader->plugins[i], error) < 0)
            return -1;
    if (loader->n > 0 && !names_plugins(change->config)) {
        hop_error_set(error,
                      "the conf file turns no plugin on, and %zu run: if that is "
                      "meant, restart the server",
                      loader->n);
        return -1;
    }
    for (size_t i = 0; (section = config_section(change->config, i)); i++) {
        const char *name = plugin_section_name(section);

        if (!name || plugin_is_disabled(change->config, section) ||
            (plugin_name_is_valid(name) && loader_find(loader, name)))
            continue;
        if (open_new(change, name, error) < 0)
            return -1;
    }
    return reopen(change, error);
}

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
    result = kind == CHANGE_CONFIG ? collect_changed(change, error)
                                   : collect_one(change, error);
    qsort(change->old, change->n_old, sizeof(struct plugin *), compare_order);
    if (result == 0)
        result = arrange(change, error);
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
    change->held_from_us = now_us();
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
