/*
 * handshakes.h - the hooks of <sockhop/handshake.h>: who asks them, and what comes of it.
 * Thread: logic; hop_handshake_resume() any.
 */
#ifndef PLUGIN_HANDSHAKES_H
#define PLUGIN_HANDSHAKES_H

#include <stdbool.h>

#include <sockhop/handshake.h>

#include "core/loop/slots.h"

struct handshake_gate;
struct hop_handshake;
struct plugin;
struct table;

struct handshakes {
    struct handshake_gate *gates;  /* owned: a list, one for each path that has hooks */
    struct hop_handshake *waiting; /* owned: by connection; those that are deferred */
    struct slots deferrals;        /* of those */
    unsigned n_hooks;              /* registered so far */
};

void handshakes_init(struct handshakes *handshakes);
/* After the loops have ended; whoever still waits is let go. */
void handshakes_done(struct handshakes *handshakes);
void handshakes_remove(struct handshakes *handshakes, const struct plugin *plugin);
/* Put the hooks in order and set the engines' gates, once all is registered. */
int handshakes_resolve(hop_server *server, hop_error *error);
/* For --print-hooks. */
void handshakes_show(const hop_server *server, struct table *table);

/* Whether that would do. */
int handshakes_check(hop_server *server, hop_error *error);

/* A plugin goes or is replaced: those that wait go on behind the hook that they have passed;
 * whether any wait for its decision; refuse them. */
void handshakes_relocate(struct handshakes *handshakes);
bool handshakes_has_any(const struct handshakes *handshakes, const struct plugin *plugin);
void handshakes_refuse_all(struct handshakes *handshakes, const struct plugin *plugin);

#endif
