/*
 * jobs.h - blocking work of plugins: started, told of, and brought to its end when a plugin
 * goes. Thread: logic.
 *
 * Whoever takes a plugin away from a running server does this: jobs_cancel(), so that what
 * waits does not begin; jobs_when_idle(), and goes on when that calls; behind it, and in
 * the same turn, jobs_end(), the plugin's free(), server_forget(). Not to wait is allowed:
 * jobs_end() then holds the logic thread until the last job of the plugin has returned.
 */
#ifndef PLUGIN_JOBS_H
#define PLUGIN_JOBS_H

#include <stdbool.h>
#include <stddef.h>

#include <sockhop/types.h>

struct job_line;
struct jobs;
struct plugin;

struct jobs *jobs_new(hop_server *server);
/* Behind the last plugin. Ends the threads. */
void jobs_free(struct jobs *jobs);

/* Whether none of its jobs waits, runs, or has its done() to come. */
bool jobs_is_idle(hop_server *server, const struct plugin *plugin);

/* Cancel what has not begun, and ask what runs to stop: done() of each comes later. */
void jobs_cancel(hop_server *server, const struct plugin *plugin);

/*
 * True: it is idle now. Else call(arg) comes once, when it has become so: behind the last
 * done(), and all that its work has posted. One at a time for a plugin; call NULL takes it
 * back.
 */
bool jobs_when_idle(hop_server *server, struct plugin *plugin, void (*call)(void *arg),
                    void *arg);

/*
 * Before a plugin's free(): cancel what has not begun, wait for what runs, call done() of all.
 * No job can be started from now on. -1: something has not ended within
 * server.jobs_timeout; it is named in the log, and neither may free() be called then, nor
 * the server be freed.
 */
int jobs_end(hop_server *server, struct plugin *plugin);

/* The plugin has gone, or its init() has failed: no done() is called. What still runs is
 * waited for. */
void jobs_forget(hop_server *server, struct plugin *plugin);

/* The plugin is not held any more: its jobs may begin. */
void jobs_release(hop_server *server, struct plugin *plugin);

/* How many wait, and run. */
void jobs_count(hop_server *server, const struct plugin *plugin, size_t *queued,
                size_t *running);

#endif
