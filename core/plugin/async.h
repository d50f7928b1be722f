/*
 * async.h - what of a plugin happens outside of its handlers: posts, timers, watches, jobs.
 *
 * A plugin is held from before its init() until its place is sure: what it has started waits,
 * and nothing of it is called. When it goes, async_end() comes before its free(), async_forget()
 * behind it.
 * Thread: logic.
 */
#ifndef PLUGIN_ASYNC_H
#define PLUGIN_ASYNC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <sockhop/types.h>

#include "core/plugin/posts.h"

struct job_line;
struct plugin;

/* A plugin's part. */
struct plugin_async {
    size_t n_timers, n_watches;
    struct job_line *jobs; /* owned by jobs.c: NULL before its first */
    struct held_posts posts;
    bool is_held;
};

void async_init(hop_server *server);
void async_done(hop_server *server);

/* Before init(): the plugin's callbacks are its own from now on, and none is called yet. */
void async_hold(struct plugin *plugin);

/* Whatever it has started goes on, in later turns. */
void async_release(hop_server *server, struct plugin *plugin);

/* Before free(): see jobs_end(). */
int async_end(hop_server *server, struct plugin *plugin);

/* The plugin has gone: nothing of it is called any more. */
void async_forget(hop_server *server, struct plugin *plugin);

/* Of the n plugins, as Prometheus text. */
void async_print_metrics(hop_server *server, struct plugin *const *plugins, size_t n,
                         FILE *out);

#endif
