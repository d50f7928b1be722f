/*
 * async.c - posts, timers, watches and jobs of plugins, taken together: see async.h.
 *
 * Called by: loader.c (a plugin starts, and goes), server.c. Thread: logic.
 */
#include "core/plugin/async.h"

#include "core/plugin/jobs.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"

void async_init(hop_server *server)
{
    server->thread = pthread_self();
    plugin_timers_init(&server->timers);
    watches_init(&server->watches);
    server->jobs = jobs_new(server);
}

void async_done(hop_server *server)
{
    jobs_free(server->jobs);
    plugin_timers_done(&server->timers);
    watches_done(&server->watches);
    owners_clear();
}

void async_hold(struct plugin *plugin)
{
    plugin->async.is_held = true;
    owner_enter(plugin);
}

void async_release(hop_server *server, struct plugin *plugin)
{
    plugin->async.is_held = false;
    posts_release(server, plugin);
    watches_release(server, plugin);
    jobs_release(server, plugin);
}

int async_end(hop_server *server, struct plugin *plugin)
{
    return jobs_end(server, plugin);
}

void async_forget(hop_server *server, struct plugin *plugin)
{
    jobs_forget(server, plugin);
    plugin_timers_remove(server, plugin);
    watches_remove(server, plugin);
    posts_forget(plugin);
    owner_leave(plugin);
}

/* ---- metrics */

static void print_head(FILE *out, const char *name, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void print_jobs(hop_server *server, const struct plugin *plugin, FILE *out)
{
    size_t queued, running;

    jobs_count(server, plugin, &queued, &running);
    fprintf(out,
            "sockhop_plugin_jobs{plugin=\"%s\",state=\"queued\"} %zu\n"
            "sockhop_plugin_jobs{plugin=\"%s\",state=\"running\"} %zu\n",
            plugin->name, queued, plugin->name, running);
}

void async_print_metrics(hop_server *server, struct plugin *const *plugins, size_t n,
                         FILE *out)
{
    print_head(out, "sockhop_plugin_timers", "timers that the plugin has started");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "sockhop_plugin_timers{plugin=\"%s\"} %zu\n", plugins[i]->name,
                plugins[i]->async.n_timers);
    print_head(out, "sockhop_plugin_watches", "descriptors that the plugin waits for");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "sockhop_plugin_watches{plugin=\"%s\"} %zu\n", plugins[i]->name,
                plugins[i]->async.n_watches);
    print_head(out, "sockhop_plugin_jobs", "jobs of the plugin that have not ended");
    for (size_t i = 0; i < n; i++)
        print_jobs(server, plugins[i], out);
}
