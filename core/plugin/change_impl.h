/*
 * change_impl.h - a change of plugins under way: for the files change*.c alone. Thread: logic.
 *
 * change.c begins it, waits, and undoes it; change_collect.c finds out who is concerned;
 * change_swap.c does the one step that cannot fail.
 */
#ifndef PLUGIN_CHANGE_IMPL_H
#define PLUGIN_CHANGE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plugin/change.h"

struct event;
struct handover;
struct loader;
struct plugin;
struct revision;

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

/* Whether the plugin leaves. */
bool change_has_old(const struct change *change, const struct plugin *plugin);

/*
 * Who leaves, who comes (opened and checked, not started), who gets other values; and all
 * plugins as they are to be, in their order of init. -1 with the reason: what has been
 * opened is in the change, for whoever undoes it.
 */
int change_collect(struct change *change, hop_error *error);

/* Save and restore. -1 with the reason: nothing has changed. */
int change_prepare(struct change *change, hop_error *error);
/* The new takes the place of the old. Tells whoever asked, and frees the change. */
void change_finish(struct change *change);
void change_free(struct change *change);
/* Behind its done. */
void change_settled(hop_server *server);

uint64_t change_now_us(void);

#endif
