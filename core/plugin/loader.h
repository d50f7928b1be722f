/*
 * loader.h - all plugins of a conf file: opened, ordered, started, stopped.
 *
 * Plugins are the sections [plugin:NAME]. init() runs in their order in the conf file,
 * but after what each one names in `requires` and `wants`; free() in reverse.
 * Thread: start and stop, which is logic's.
 */
#ifndef PLUGIN_LOADER_H
#define PLUGIN_LOADER_H

#include <stddef.h>

#include <sockhop/types.h>

#include "core/base/config.h"
#include "core/base/settings.h"
#include "core/plugin/plugin.h"

struct loader {
    const struct config *config; /* borrowed */
    struct plugin **plugins;     /* owned, in the order of init */
    size_t n;
};

/*
 * Open, configure, check and order every enabled plugin; no init() runs yet. Returns NULL
 * with the reason.
 */
struct loader *loader_open(const struct settings *settings, const struct config *config,
                           hop_error *error);

/*
 * Check the keys of the plugins that are turned off. For -t: a start opens no file of
 * theirs, since one that does harm may be the reason why it is off. Returns 0, or -1 with
 * the reason.
 */
int loader_check_disabled(const struct settings *settings, const struct config *config,
                          hop_error *error);

/*
 * For change.c: put the plugins of a loader into the order of init, by their conf_index (0 to
 * n - 1) and what they need. 0, or -1 with the reason.
 */
int loader_arrange(struct loader *loader, hop_error *error);
/* One plugin's init(); with the reason in error (which names no place) it has not started, and
 * may still want loader_stop_one(). */
int loader_start_one(struct plugin *plugin, hop_server *server, hop_error *error);
/* Its jobs, its values, free(), its registrations. -1: a job does not end; nothing of it may be
 * freed then. */
int loader_stop_one(struct plugin *plugin, hop_server *server);
/* Whoever crashes from now on is blamed with all of these. */
void loader_tell_crash(const struct loader *loader);
/* Its ready(), where it has one. */
void loader_ready_one(struct plugin *plugin, hop_server *server);
struct plugin *loader_find(const struct loader *loader, const char *name);

/* After loader_stop(). Takes NULL. */
void loader_free(struct loader *loader);

/*
 * Call every init(). Returns 0, or -1 with the reason: those that had started are then
 * stopped again, and no registration is left.
 */
int loader_start(struct loader *loader, hop_server *server, hop_error *error);

/* Call every ready(). */
void loader_ready(const struct loader *loader, hop_server *server);

/* Call free() of those that run, in reverse; their registrations go. Where a job of one does
 * not end, its free() is not called, and the process ends behind the others. */
void loader_stop(struct loader *loader, hop_server *server);

#endif
