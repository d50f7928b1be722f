/*
 * loader.c - all plugins of a conf file: opened, ordered, started, stopped.
 *
 * Called by: server.c. Calls init() and free() of plugins, and check() through plugin.c.
 * Thread: start and stop.
 */
#include "core/plugin/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/crash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/async.h"
#include "core/plugin/state.h"

/* ---- opening */

static int open_all(struct loader *loader, const struct settings *settings,
                    hop_error *error)
{
    const char *section;

    for (size_t i = 0; (section = config_section(loader->config, i)); i++) {
        struct plugin *plugin;

        if (!plugin_section_name(section) || plugin_is_disabled(loader->config, section))
            continue;
        plugin = plugin_open(settings, loader->config, section, PLUGIN_FILE, error);
        if (!plugin)
            return -1;
        plugin->conf_index = (unsigned)loader->n;
        plugin->is_live = true;
        loader->plugins =
            mem_realloc(loader->plugins, (loader->n + 1) * sizeof *loader->plugins);
        loader->plugins[loader->n++] = plugin;
    }
    return 0;
}

/* ---- what needs what */

static struct plugin *find_plugin(const struct loader *loader, const char *name,
                                  size_t len)
{
    for (size_t i = 0; i < loader->n; i++) {
        struct plugin *plugin = loader->plugins[i];

        if (strlen(plugin->name) == len && memcmp(plugin->name, name, len) == 0)
            return plugin;
    }
    return NULL;
}

static void refuse_missing(const struct loader *loader, const struct plugin *plugin,
                           const char *name, size_t len, hop_error *error)
{
    char section[64];
    const char *place;

    snprintf(section, sizeof section, "plugin:%.*s", (int)len, name);
    place = config_section_place(loader->config, section);
    if (place)
        config_error(loader->config, plugin->section, NULL, error,
                     "needs the plugin %.*s, which is turned off at %s: remove its "
                     "enabled = no, or turn %s off too",
                     (int)len, name, place, plugin->name);
    else
        config_error(loader->config, plugin->section, NULL, error,
                     "needs the plugin %.*s: add a section [%s], or turn %s off with "
                     "enabled = no",
                     (int)len, name, section, plugin->name);
}

static int check_requires(const struct loader *loader, hop_error *error)
{
    for (size_t i = 0; i < loader->n; i++) {
        const struct plugin *plugin = loader->plugins[i];
        const char *list = plugin->entry.requires ? plugin->entry.requires : "";
        const char *name;
        size_t len;

        while ((name = list_next(&list, &len))) {
            if (find_plugin(loader, name, len))
                continue;
            refuse_missing(loader, plugin, name, len, error);
            return -1;
        }
    }
    return 0;
}

/* ---- the order of init */

/* The first plugin of a list that is enabled and has no place yet. */
static struct plugin *first_waiting(const struct loader *loader, const char *list,
                                    const bool *is_placed)
{
    const char *name;
    size_t len;

    while (list && (name = list_next(&list, &len))) {
        struct plugin *found = find_plugin(loader, name, len);

        if (found && !is_placed[found->conf_index])
            return found;
    }
    return NULL;
}

/* A plugin that has to come before this one and has not yet, or NULL. */
static struct plugin *awaited_by(const struct loader *loader, const struct plugin *plugin,
                                 const bool *is_placed)
{
    struct plugin *found = first_waiting(loader, plugin->entry.requires, is_placed);

    return found ? found : first_waiting(loader, plugin->entry.wants, is_placed);
}

/* Nobody can be next: follow who waits for whom until somebody comes again. */
static void refuse_circle(const struct loader *loader, const struct plugin *first,
                          const bool *is_placed, hop_error *error)
{
    const struct plugin *plugin = first;
    char circle[300] = "";
    size_t size = 0;

    for (size_t i = 0; i < loader->n; i++) /* now plugin surely is in the circle */
        plugin = awaited_by(loader, plugin, is_placed);
    first = plugin;
    do {
        size +=
            (size_t)snprintf(circle + size, sizeof circle - size, "%s -> ", plugin->name);
        plugin = awaited_by(loader, plugin, is_placed);
    } while (plugin != first && size < sizeof circle);
    config_error(loader->config, first->section, NULL, error,
                 "plugins wait for each other (requires, wants): %s%s", circle,
                 first->name);
}

/* Again and again the first in the conf file that waits for nobody. */
static int sort_plugins(struct loader *loader, hop_error *error)
{
    struct plugin **sorted = mem_calloc(loader->n, sizeof *sorted);
    bool *is_placed = mem_calloc(loader->n, sizeof *is_placed);
    size_t n = 0;
    int result = 0;

    while (n < loader->n) {
        struct plugin *next = NULL, *first_left = NULL;

        for (size_t i = 0; i < loader->n && !next; i++) {
            struct plugin *plugin = loader->plugins[i];

            if (is_placed[plugin->conf_index])
                continue;
            if (!first_left)
                first_left = plugin;
            if (!awaited_by(loader, plugin, is_placed))
                next = plugin;
        }
        if (!next) {
            refuse_circle(loader, first_left, is_placed, error);
            result = -1;
            break;
        }
        is_placed[next->conf_index] = true;
        sorted[n++] = next;
    }
    if (result == 0)
        memcpy(loader->plugins, sorted, loader->n * sizeof *sorted);
    free(is_placed);
    free(sorted);
    return result;
}

int loader_arrange(struct loader *loader, hop_error *error)
{
    if (check_requires(loader, error) < 0)
        return -1;
    return sort_plugins(loader, error);
}

void loader_tell_crash(const struct loader *loader)
{
    char *list = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&list, &len);

    if (!out)
        mem_exhausted(1);
    for (size_t i = 0; i < loader->n; i++)
        fprintf(out, "%s%s %s", i ? ", " : "", loader->plugins[i]->name,
                loader->plugins[i]->entry.version);
    if (fclose(out) != 0)
        mem_exhausted(1);
    crash_set_plugins(list);
    free(list);
}

struct plugin *loader_find(const struct loader *loader, const char *name)
{
    return find_plugin(loader, name, strlen(name));
}

struct loader *loader_open(const struct settings *settings, const struct config *config,
                           hop_error *error)
{
    struct loader *loader = mem_calloc(1, sizeof *loader);

    loader->config = config;
    loader->plugins = mem_calloc(1, sizeof *loader->plugins);
    if (open_all(loader, settings, error) < 0 || loader_arrange(loader, error) < 0) {
        loader_free(loader);
        return NULL;
    }
    return loader;
}

int loader_check_disabled(const struct settings *settings, const struct config *config,
                          hop_error *error)
{
    const char *section;

    for (size_t i = 0; (section = config_section(config, i)); i++)
        if (plugin_section_name(section) && plugin_is_disabled(config, section) &&
            plugin_check_disabled(settings, config, section, error) < 0)
            return -1;
    return 0;
}

void loader_free(struct loader *loader)
{
    if (!loader)
        return;
    for (size_t i = loader->n; i-- > 0;)
        plugin_free(loader->plugins[i]);
    free(loader->plugins);
    free(loader);
}

/* ---- start and stop */

/* Registrations are refused silently in a plugin's eyes; here they count. */
int loader_start_one(struct plugin *plugin, hop_server *server, hop_error *error)
{
    struct call call;
    int result;

    server->refusal.text[0] = '\0';
    server->is_registering = true;
    plugin->has_run = true;
    async_hold(plugin);
    call_begin_as(server, plugin, "hook", "init", &call);
    result = plugin->entry.init(server, plugin->state);
    call_end(server, &call, NULL, NULL); /* at start nobody waits */
    server->is_registering = false;
    plugin->is_running = result == 0; /* refused or not: it expects its free() */
    if (result == 0 && server->refusal.text[0] == '\0')
        return 0;
    hop_error_set(error, "%s",
                  server->refusal.text[0] ? server->refusal.text
                                          : "init() failed and gave no reason");
    return -1;
}

int loader_stop_one(struct plugin *plugin, hop_server *server)
{
    const bool has_started = plugin->is_running;
    struct call call;

    plugin->is_running = false;
    if (has_started && async_end(server, plugin) < 0)
        return -1;
    server_clear(server, plugin);
    if (has_started && plugin->entry.free) {
        call_begin_as(server, plugin, "hook", "free", &call);
        plugin->entry.free(plugin->state);
        call_end(server, &call, NULL, NULL);
    }
    server_forget(server, plugin);
    return 0;
}

int loader_start(struct loader *loader, hop_server *server, hop_error *error)
{
    for (size_t i = 0; i < loader->n; i++) {
        struct plugin *plugin = loader->plugins[i];
        hop_error reason;

        plugin->order = (unsigned)i;
        if (loader_start_one(plugin, server, &reason) < 0) {
            bool is_stuck;

            config_error(loader->config, plugin->section, NULL, error, "%s", reason.text);
            is_stuck = loader_stop_one(plugin, server) < 0;
            loader_stop(loader, server);
            if (is_stuck)
                _exit(1); /* as in loader_stop() */
            return -1;
        }
        async_release(server, plugin);
        hop_log(HOP_INFO, "plugin.started plugin=%s version=%s", plugin->name,
                plugin->entry.version);
    }
    return 0;
}

void loader_ready_one(struct plugin *plugin, hop_server *server)
{
    struct call call;

    if (!plugin->entry.ready)
        return;
    call_begin_as(server, plugin, "hook", "ready", &call);
    plugin->entry.ready(server, plugin->state);
    call_end(server, &call, NULL, NULL);
}

void loader_ready(const struct loader *loader, hop_server *server)
{
    for (size_t i = 0; i < loader->n; i++)
        loader_ready_one(loader->plugins[i], server);
}

void loader_stop(struct loader *loader, hop_server *server)
{
    bool is_stuck = false;

    for (size_t i = loader->n; i-- > 0;)
        if (loader->plugins[i]->is_running &&
            loader_stop_one(loader->plugins[i], server) < 0)
            is_stuck = true;
    if (is_stuck)
        _exit(1); /* its thread runs on, and would use what is freed next */
}
