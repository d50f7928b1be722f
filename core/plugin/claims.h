/*
 * claims.h - which plugin has declared which namespace: clients get into it while one of those
 * is live. So they find it neither before its middleware is there nor after it has gone.
 * Thread: logic.
 */
#ifndef PLUGIN_CLAIMS_H
#define PLUGIN_CLAIMS_H

#include <sockhop/types.h>

#include <stddef.h>

struct claim;
struct plugin;

struct claims {
    struct claim *claims; /* owned */
    size_t n;
};

/* The plugin answers for what it has declared, by number. */
void claims_add(hop_server *server, const struct plugin *plugin, int declared);
void claims_remove(hop_server *server, const struct plugin *plugin);
/* A plugin is live now that was not, or not any more. */
void claims_apply(hop_server *server);
void claims_done(struct claims *claims);

#endif
