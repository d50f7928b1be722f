/*
 * watches.h - descriptors that plugins wait for. Thread: logic.
 */
#ifndef PLUGIN_WATCHES_H
#define PLUGIN_WATCHES_H

#include <sockhop/types.h>

#include "core/loop/slots.h"

struct plugin;

/* owned objects: struct plugin_watch, by hop_watch */
struct watches {
    struct slots by_id;
};

void watches_init(struct watches *watches);
void watches_done(struct watches *watches);

/* The plugin is not held any more: what it waits for is waited for. */
void watches_release(hop_server *server, const struct plugin *plugin);

/* End all of a plugin. */
void watches_remove(hop_server *server, const struct plugin *plugin);

#endif
