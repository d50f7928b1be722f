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
#include <sys/types.h>
#include <time.h>

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
    PLUGIN_REPLACE,
    PLUGIN_OBSERVE, /* calls of HOP_OBSERVE, whose verdicts do not count */
    PLUGIN_COUNTS
};

/* How long its calls took: a bucket for each power of ten from 10 us to 10 s, and one for
 * what took longer. */
enum { CALL_BUCKETS = 8, CALL_FIRST_NS = 10000 };
struct call_times {
    uint64_t n[CALL_BUCKETS];
    uint64_t ns; /* of all */
};

struct plugin {
    char *name;        /* owned */
    const char *shown; /* the name, of running_name(); NULL where nobody may look */
    char *section;     /* owned: "plugin:NAME" */
    char *path;        /* owned: of its file */
    void *code;        /* dlopen()'s; see plugin_free() */
    int code_fd;       /* owned: of a private copy of the file; -1: the file itself */
    hop_plugin entry;  /* copy: its pointers lead into the code */
    hop_config_key
        *keys; /* owned: those of every plugin, then its own; rows of key_size */
    size_t key_size;
    void *state;                /* owned: what the plugin gets as self */
    unsigned conf_index;        /* place among the sections of the conf file */
    unsigned order;             /* of its init() among those of all plugins */
    struct timespec changed_at; /* the file: with the next two */
    ino_t inode;
    off_t size;
    bool is_running; /* init() has returned 0 */
    bool has_run;    /* check() or init() was called */
    bool is_live;    /* its handlers and hooks are called */
    struct plugin *next_unloaded;
    struct plugin *replaces; /* borrowed: whose place it is to take; NULL: nobody's */
    bool is_leaving;         /* its events wait: it is replaced or unloaded */
    struct config
        *config;         /* ref, with those that were loaded with it; NULL: the start's */
    struct config *seen; /* ref: where its section was read last; NULL: in config */
    char *
        *text; /* owned, by row of keys: of those that have changed since then; or NULL */

    struct plugin_async async; /* logic */
    uint64_t owner;            /* of its code: owner.h; 0: none yet */

    /* what metrics tell; logic */
    uint64_t count[PLUGIN_COUNTS];
    uint64_t n_slow;
    uint64_t busy_ns;
    struct call_times times;
};

/* Whether name is [a-z][a-z0-9_-]*, not too long. */
bool plugin_name_is_valid(const char *name);

/* The plugin's name if the section is one of a plugin, else NULL. Borrowed. */
const char *plugin_section_name(const char *section);

/* Whether `enabled` of the section says no. A word that is neither is found by the fill. */
bool plugin_is_disabled(const struct config *config, const char *section);

/* PLUGIN_COPY: a private copy of the file, since the file itself may be loaded already, and
 * dlopen() would give that code. */
enum plugin_source { PLUGIN_FILE, PLUGIN_COPY };

/*
 * Open the file of a section, check it, fill a state from the section, and let the plugin
 * check that. Returns NULL with the reason, which names the place in the conf file. Free:
 * plugin_free().
 */
struct plugin *plugin_open(const struct settings *settings, const struct config *config,
                           const char *section, enum plugin_source source,
                           hop_error *error);

/* Whether the file is another one than when the plugin was opened. */
bool plugin_file_has_changed(const struct plugin *plugin);

/*
 * Check the keys of a section that is turned off, where its file can be opened: what it
 * would be refused for when somebody turns it on. Its check() is not asked. Returns 0, or
 * -1 with the reason, as above.
 */
int plugin_check_disabled(const struct settings *settings, const struct config *config,
                          const char *section, hop_error *error);

/* Frees the plugin and lets go of its code: something newer has taken its place. */
void plugin_retire(struct plugin *plugin);

/*
 * Open the file of a section for its key table: no value of the section is looked at, and no
 * code of the plugin runs. Returns NULL with the reason, as above.
 */
struct plugin *plugin_describe(const struct settings *settings,
                               const struct config *config, const char *section,
                               hop_error *error);

/*
 * Frees what plugin_open() made; takes NULL. Code that has run stays mapped until the
 * process ends: leak reports need its symbols, and the libraries it brought along (ICU)
 * keep memory that only their own static variables lead to.
 */
void plugin_free(struct plugin *plugin);

#endif
