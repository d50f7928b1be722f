/*
 * plugin_state.c - a plugin's state: filled from its section, checked, and filled anew while the
 * plugin runs: see plugin_state.h.
 *
 * Called by: plugin.c, change.c. Thread: start, logic.
 */
#include "core/plugin/plugin_state.h"

#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

/* Keys that every plugin's section has; they lie behind the plugin's own state. */
struct common {
    bool enabled;
    const char *file; /* borrowed from the config */
};

enum { N_COMMON = 2 };

/* Where struct common lies: behind the plugin's own state, aligned for anything. */
static size_t common_offset(const struct plugin *plugin)
{
    const size_t unit = _Alignof(max_align_t);

    return (plugin->entry.state_size + unit - 1) / unit * unit;
}

static int refuse_key(hop_error *error, const char *name, const char *what)
{
    hop_error_set(error, "its key table is wrong: %s: %s: its author has to mend it",
                  name, what);
    return -1;
}

static size_t member_size(hop_key_type type)
{
    switch (type) {
    case HOP_KEY_STRING:
    case HOP_KEY_PATH:
        return sizeof(const char *);
    case HOP_KEY_BOOL:
        return sizeof(bool);
    case HOP_KEY_INT:
    case HOP_KEY_MS:
        return sizeof(int64_t);
    case HOP_KEY_SIZE:
        return sizeof(size_t);
    case HOP_KEY_CHOICE:
        return sizeof(int);
    default:
        return SIZE_MAX;
    }
}

/* A mistake in a table would write outside of the state: found here instead. */
static int check_key(const struct plugin *plugin, const hop_config_key *key,
                     hop_error *error)
{
    size_t size = member_size(key->type);

    if (!key->name || !*key->name ||
        strspn(key->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key->name))
        return refuse_key(error, key->name ? key->name : "?", "not [a-z0-9_]+");
    if (strcmp(key->name, "enabled") == 0 || strcmp(key->name, "file") == 0)
        return refuse_key(error, key->name, "every plugin has this key already");
    if (size == SIZE_MAX)
        return refuse_key(error, key->name, "no such type");
    if (size > plugin->entry.state_size || key->offset > plugin->entry.state_size - size)
        return refuse_key(error, key->name, "it lies outside of the state");
    return 0;
}

/* One table of the common keys and the plugin's own, in rows of the plugin's size. */
int plugin_join_keys(struct plugin *plugin, hop_error *error)
{
    const size_t size = plugin->entry.key_size, offset = common_offset(plugin);
    const hop_config_key common[N_COMMON] = {
        {.type = HOP_KEY_BOOL,
         .name = "enabled",
         .offset = offset + offsetof(struct common, enabled),
         .number = true,
         .help = "no turns the plugin off, whatever else the section says"},
        {.type = HOP_KEY_STRING,
         .name = "file",
         .offset = offset + offsetof(struct common, file),
         .text = "",
         .help = "its file, from plugin_dir; empty: NAME.so"},
    };
    const char *own = (const char *)plugin->entry.keys;
    hop_config_key key;
    size_t n_own = 0;
    char *rows;

    while (own && config_key_at(plugin->entry.keys, size, n_own, &key)) {
        if (check_key(plugin, &key, error) < 0)
            return -1;
        n_own++;
    }
    rows = mem_calloc(N_COMMON + n_own + 1, size); /* zeros at the end: HOP_KEY_END */
    for (size_t i = 0; i < N_COMMON; i++)
        memcpy(rows + i * size, &common[i], size);
    if (n_own)
        memcpy(rows + N_COMMON * size, own, n_own * size);
    plugin->keys = (hop_config_key *)(void *)rows;
    plugin->key_size = size;
    return 0;
}

static void *new_state(const struct plugin *plugin)
{
    return mem_calloc(1, common_offset(plugin) + sizeof(struct common));
}

static int fill(const struct plugin *plugin, const struct config *config, void *state,
                hop_error *error)
{
    return config_fill(config, plugin->section, plugin->keys, plugin->key_size, NULL,
                       state, error);
}

int plugin_fill_state(struct plugin *plugin, const struct config *config,
                      hop_error *error)
{
    hop_error reason;

    if (plugin_join_keys(plugin, &reason) < 0) {
        config_error(config, plugin->section, NULL, error, "%s: %s", plugin->path,
                     reason.text);
        return -1;
    }
    plugin->state = new_state(plugin);
    return fill(plugin, config, plugin->state, error);
}

/* Whether name is a key that the operator can write into the section. */
static bool has_key(const struct plugin *plugin, const char *name)
{
    hop_config_key key;

    for (size_t i = 0; config_key_at(plugin->keys, plugin->key_size, i, &key); i++)
        if (strcmp(key.name, name) == 0)
            return true;
    return false;
}

int plugin_check_state(struct plugin *plugin, const struct config *config,
                       const void *state, hop_error *error)
{
    hop_error reason = {""};
    const char *key = NULL;
    int result;

    if (!plugin->entry.check)
        return 0;
    plugin->has_run = true;
    running_set(plugin->shown, "hook", "check");
    result = plugin->entry.check(state, &key, &reason);
    running_clear();
    if (result == 0)
        return 0;
    config_error(config, plugin->section, key && has_key(plugin, key) ? key : NULL, error,
                 "%s", *reason.text ? reason.text : "check() failed and gave no reason");
    return -1;
}

void plugin_free_state(struct plugin *plugin)
{
    hop_config_key key;

    for (size_t i = 0;
         plugin->text && config_key_at(plugin->keys, plugin->key_size, i, &key); i++)
        free(plugin->text[i]);
    free(plugin->text);
    free(plugin->state);
    free(plugin->keys);
    config_free(plugin->seen);
    config_free(plugin->config);
}

/* ---- other values while it runs */

struct revision {
    struct plugin *plugin; /* borrowed */
    struct config *config; /* ref: its section as it is to be */
    void *state;           /* owned: filled from it */
    const char **name;     /* owned array: of the keys that have changed, constants */
    size_t *row;           /* owned array: of those in the plugin's table */
    size_t n;
};

const struct config *plugin_config(const struct plugin *plugin,
                                   const struct config *start)
{
    return plugin->seen ? plugin->seen : plugin->config ? plugin->config : start;
}

static bool differs(const struct config *now, const struct config *then,
                    const char *section, const char *key)
{
    const char *here = config_get(now, section, key);
    const char *there = config_get(then, section, key);

    return here && there ? strcmp(here, there) != 0 : here != there;
}

enum plugin_change plugin_compare(const struct plugin *plugin, const struct config *now,
                                  const struct config *then)
{
    enum plugin_change change = PLUGIN_SAME;
    hop_config_key key;
    const char *name;

    for (size_t i = 0; config_key_at(plugin->keys, plugin->key_size, i, &key); i++) {
        if (!differs(now, then, plugin->section, key.name))
            continue;
        if (!(key.flags & HOP_KEY_RELOADABLE))
            return PLUGIN_CHANGED;
        change = PLUGIN_REVISED;
    }
    for (size_t i = 0; (name = config_key(then, plugin->section, i)); i++)
        if (!has_key(plugin, name))
            return PLUGIN_CHANGED; /* and will be refused for it */
    return change;
}

struct revision *revision_prepare(struct plugin *plugin, const struct config *now,
                                  struct config *then, hop_error *error)
{
    struct revision *revision = mem_calloc(1, sizeof *revision);
    hop_config_key key;

    revision->plugin = plugin;
    revision->config = config_ref(then);
    revision->state = new_state(plugin);
    if (fill(plugin, then, revision->state, error) < 0 ||
        plugin_check_state(plugin, then, revision->state, error) < 0) {
        revision_free(revision);
        return NULL;
    }
    for (size_t i = 0; config_key_at(plugin->keys, plugin->key_size, i, &key); i++) {
        const size_t n = revision->n + 1;

        if (!differs(now, then, plugin->section, key.name))
            continue;
        revision->name = mem_realloc(revision->name, n * sizeof *revision->name);
        revision->row = mem_realloc(revision->row, n * sizeof *revision->row);
        revision->name[revision->n] = key.name;
        revision->row[revision->n] = i;
        revision->n = n;
    }
    return revision;
}

/* The value of one key. Returns the text that it had, owned by the caller; NULL: none. */
static char *take_value(struct plugin *plugin, size_t row, const void *from)
{
    char *before = plugin->text[row], *to = plugin->state;
    hop_config_key key;

    config_key_at(plugin->keys, plugin->key_size, row, &key);
    memcpy(to + key.offset, (const char *)from + key.offset, member_size(key.type));
    if (key.type != HOP_KEY_STRING && key.type != HOP_KEY_PATH)
        return NULL;
    memcpy(&plugin->text[row], to + key.offset, sizeof plugin->text[row]);
    plugin->text[row] = mem_strdup(plugin->text[row]);
    memcpy(to + key.offset, &plugin->text[row], sizeof plugin->text[row]);
    return before;
}

static void tell(hop_server *server, const struct revision *revision)
{
    struct plugin *plugin = revision->plugin;
    char keys[256];
    size_t len = 0;
    struct call call;

    for (size_t i = 0; i < revision->n && len < sizeof keys; i++)
        len += (size_t)snprintf(keys + len, sizeof keys - len, "%s%s", i ? ", " : "",
                                revision->name[i]);
    hop_log(HOP_INFO, "plugin.changed plugin=%s keys=\"%s\"", plugin->name, keys);
    if (!plugin->entry.changed)
        return;
    call_begin_as(server, plugin, "hook", "changed", &call);
    plugin->entry.changed(plugin->state, revision->name, revision->n);
    call_end(server, &call, "hook", "changed");
}

void revision_apply(hop_server *server, const struct revision *revision)
{
    struct plugin *plugin = revision->plugin;
    char **before = mem_calloc(revision->n + 1, sizeof *before);
    hop_config_key key;
    size_t n_keys = 0;

    while (config_key_at(plugin->keys, plugin->key_size, n_keys, &key))
        n_keys++;
    if (!plugin->text)
        plugin->text = mem_calloc(n_keys, sizeof *plugin->text);
    for (size_t i = 0; i < revision->n; i++)
        before[i] = take_value(plugin, revision->row[i], revision->state);
    config_free(plugin->seen);
    plugin->seen = config_ref(revision->config);
    tell(server, revision);
    for (size_t i = 0; i < revision->n; i++)
        free(before[i]);
    free(before);
}

struct plugin *revision_plugin(const struct revision *revision)
{
    return revision->plugin;
}

void revision_free(struct revision *revision)
{
    if (!revision)
        return;
    free(revision->name);
    free(revision->row);
    free(revision->state);
    config_free(revision->config);
    free(revision);
}
