/*
 * change_collect.c - a change of plugins: who is concerned, and the files of those that come.
 *
 * Called by: change.c. Thread: logic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/change_impl.h"
#include "core/plugin/plugin_state.h"
#include "core/plugin/state.h"

/* ---- who is concerned */

bool change_has_old(const struct change *change, const struct plugin *plugin)
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
    if (!change_has_old(change, plugin))
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
            if (!change_has_old(change, loader->plugins[i]) &&
                is_bound(change, loader->plugins[i]))
                add_old(change, loader->plugins[i]);
    } while (change->n_old > n_before);
}

static int compare_order(const void *left, const void *right)
{
    const struct plugin *const *a = left, *const *b = right;

    return (*a)->order < (*b)->order ? -1 : (*a)->order > (*b)->order;
}

/* ---- open what is new */

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
    if (plugin_is_disabled(change->config, section)) {
        hop_error_set(error, "[%s] says enabled = no: change that first", section);
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
        if (!change_has_old(change, now->plugins[i]))
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

int change_collect(struct change *change, hop_error *error)
{
    int result = change->kind == CHANGE_CONFIG ? collect_changed(change, error)
                                               : collect_one(change, error);

    qsort(change->old, change->n_old, sizeof(struct plugin *), compare_order);
    return result < 0 ? -1 : arrange(change, error);
}
