/*
 * change.h - plugins of a running server: loaded, unloaded, reloaded, all of a request or none.
 *
 * Five steps. The new code is opened from private copies and its init() records what it
 * registers, without any of it being called. Events for plugins that leave wait. What those
 * have deferred comes to its end, or is refused after CHANGE_PATIENCE_MS. Then, in one go,
 * values are saved and restored, the new takes the place of the old, and the old is freed.
 * The events that waited go on. A failure before that one step leaves all as it was.
 * Thread: logic.
 */
#ifndef PLUGIN_CHANGE_H
#define PLUGIN_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/types.h>

struct change;
struct config;

enum { CHANGE_PATIENCE_MS = 5000 };

enum change_kind {
    CHANGE_LOAD,
    CHANGE_UNLOAD,
    CHANGE_RELOAD,
    CHANGE_CONFIG /* SIGHUP: whatever the conf file has changed */
};

/* How it went: borrowed until the callback returns. */
struct change_report {
    bool is_done;
    const char *error;   /* why not */
    const char *plugins; /* those that were changed: "auth 1.1, lobby 1.0" */
    size_t n_values;     /* restored */
    const char *restart; /* keys that need one: "server.port"; NULL: none, or not asked */
    uint64_t held_us, swap_us; /* how long events waited, and how long nothing else ran */
};
typedef void change_done(const struct change_report *report, void *arg);

/*
 * Change plugins. name: of one, or NULL for CHANGE_CONFIG. config: the conf file as it is now
 * (a reference is taken), or NULL: it is read again. done is called once, from within
 * this or later. -1 with the reason, and done is not called: nothing has been begun.
 */
int change_begin(hop_server *server, enum change_kind kind, const char *name,
                 struct config *config, change_done *done, void *arg, hop_error *error);

/* The server stops: one that is under way is undone. */
void change_abort(hop_server *server);

#endif
