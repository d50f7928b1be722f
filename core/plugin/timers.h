/*
 * timers.h - the timers of plugins. Thread: logic.
 */
#ifndef PLUGIN_TIMERS_H
#define PLUGIN_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include <sockhop/types.h>

#include "core/loop/slots.h"

struct event;
struct plugin;
struct plugin_timer;

/* A heap of all timers, the next one first, and one event of the loop for that. */
struct plugin_timers {
    struct slots by_id;         /* borrowed: struct plugin_timer, by hop_timer */
    struct plugin_timer **heap; /* owned, and they */
    size_t n, cap;
    uint64_t n_started;
    struct event *event; /* owned: NULL before the first timer */
};

void plugin_timers_init(struct plugin_timers *timers);
void plugin_timers_done(struct plugin_timers *timers);

/* Stop all of a plugin. */
void plugin_timers_remove(hop_server *server, const struct plugin *plugin);

#endif
