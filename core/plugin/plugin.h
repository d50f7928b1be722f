/*
 * plugin.h - one plugin as the server holds it: its file, its checked descriptor, its state.
 *
 * Called by: loader.c. Of the plugin's code it calls check(), and what dlopen() itself runs.
 * Thread: start.
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/plugin.h>

#include "core/base/config.h"
#include "core/base/settings.h"
#include "core/plugin/async.h"

enum { PLUGIN_NAME_MAX = 32 };

/* What happened to the events that the plugin's handlers were called with. */
enum plugin_count {
    PLUGIN_NEXT,
    PLUGIN_STOP,
    PLUGIN_REJECT,
    PLUGIN_OBSERVE, /* calls of HOP_OBSERVE, whose verdicts do not count */
    PLUGIN_COUNTS
};

struct plugin {
    char *name;       /* owned */
    char *section;    /* owned: "plugin:NAME" */
    char *path;       /* owned: of its file */
    void *code;       /* dlopen()'s; see plugin_free() */
    hop_plugin entry; /* copy: its pointers lead into the code */
    hop_config_key
        *keys; /* owned: those of every plugin, then its own; rows of key_size */
    size_t key_size;
    void *state;         /* owned: what the plugin gets as self */
    unsigned conf_index; /* place among the sections of the conf file */
    bool is_running;     /* init() has returned 0 */
    bool has_run;        /* check() or init() was called */

    struct plugin_async async; /* logic */
    uint64_t owner;            /* of its code: owner.h; 0: none yet */

    /* what metrics tell; logic */
    uint64_t count[PLUGIN_COUNTS];
    uint64_t n_slow;
    uint64_t busy_ns;
};

/* Whether name is [a-z][a-z0-9_-]*, not too long. */
bool plugin_name_is_valid(const char *name);

/* The plugin's name if the section is one of a plugin, else NULL. Borrowed. */
const char *plugin_section_name(const char *section);

/* Whether `enabled` of the section says no. A word that is neither is found by the fill. */
bool plugin_is_disabled(const struct config *config, const char *section);

/*
 * Open the file of a section, check it, fill a state from the section, and let the plugin
 * check that. Returns NULL with the reason, which names the place in the conf file. Free:
 * plugin_free().
 */
struct plugin *plugin_open(const struct settings *settings, const struct config *config,
                           const char *section, hop_error *error);

/*
 * Check the keys of a section that is turned off, where its file can be opened: what it
 * would be refused for when somebody turns it on. Its check() is not asked. Returns 0, or
 * -1 with the reason, as above.
 */
int plugin_check_disabled(const struct settings *settings, const struct config *config,
                          const char *section, hop_error *error);

/*
 * Frees what plugin_open() made; takes NULL. Code that has run stays mapped until the
 * process ends: leak reports need its symbols, and the libraries it brought along (ICU)
 * keep memory that only their own static variables lead to.
 */
void plugin_free(struct plugin *plugin);

#endif
