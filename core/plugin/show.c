/*
 * show.c - what the plugins have registered, in the order in which it will be called: the
 * tables of --print-hooks; and what the control socket tells of plugins.
 *
 * Called by: daemon.c, once the plugins are loaded. Thread: logic, before the loops run.
 */
#include "core/plugin/assets.h"
#include "core/plugin/endpoint_impl.h"
#include "core/plugin/routes.h"
#include "core/plugin/server.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

static void show_plugins(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"ORDER", "PLUGIN", "VERSION", "SUMMARY", NULL};
    struct table table;

    table_init(&table, "plugins, in the order of init", heads);
    for (size_t i = 0; i < server->loader->n; i++) {
        table_add_number(&table, i + 1);
        table_add(&table, server->loader->plugins[i]->name);
        table_add(&table, server->loader->plugins[i]->entry.version);
        table_add(&table, server->loader->plugins[i]->entry.summary);
    }
    table_print(&table, out);
}

static void show_events(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"EVENT",     "ORDER", "PHASE", "PLUGIN",
                                        "NAMESPACE", "FOR",   NULL};
    struct table table;

    table_init(&table, "handlers of events; *: of those that nobody names", heads);
    dispatch_show(server->dispatch, &table);
    table_print(&table, out);
}

static void show_hooks(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"HOOK", "ORDER", "PLUGIN", "NAMESPACE", NULL};
    struct table table;

    table_init(&table, "lifecycle hooks", heads);
    hooks_show(&server->hooks, &table);
    for (size_t i = 0; i < server->outgoing.n; i++) {
        table_add(&table, "outgoing");
        table_add_number(&table, i + 1);
        table_add(&table, server->outgoing.list[i].plugin->name);
        table_add(&table, "*");
    }
    table_print(&table, out);
}

static void show_connects(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"ASKED", "ORDER", "PLUGIN", "NAMESPACE", NULL};
    struct table table;

    table_init(&table, "asked about clients: middleware, and whether a namespace exists",
               heads);
    connects_show(&server->connects, &table);
    table_print(&table, out);
}

static void show_handshakes(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"PATH", "HOOK", "ORDER", "PLUGIN", NULL};
    struct table table;

    table_init(&table, "handshakes", heads);
    handshakes_show(server, &table);
    table_print(&table, out);
}

static void show_paths(const hop_server *server, FILE *out)
{
    static const char *const heads[] = {"PATH", "WHAT", "PLUGIN", NULL};
    struct table table;

    table_init(&table, "paths", heads);
    routes_show(server, &table);
    assets_show(server, &table);
    for (const struct endpoint *at = server->endpoints; at; at = at->next) {
        table_add(&table, at->path);
        table_add(&table, at->engines ? "Engine.IO" : "WebSocket");
        table_add(&table, at->plugin ? at->plugin->name : NULL);
    }
    table_sort(&table);
    table_print(&table, out);
}

static void show_between(const hop_server *server, FILE *out)
{
    static const char *const interfaces[] = {"INTERFACE", "BYTES", "PLUGIN", NULL},
                             *const events[] = {"SERVER EVENT", "PLUGIN", NULL};
    const struct server_events *handlers = &server->server_events;
    struct table table;

    table_init(&table, "interfaces for other plugins", interfaces);
    for (size_t i = 0; i < server->n_provided; i++) {
        table_add(&table, server->provided[i].name);
        table_add_number(&table, server->provided[i].size);
        table_add(&table, server->provided[i].plugin->name);
    }
    table_sort(&table);
    table_print(&table, out);
    table_init(&table, "events between servers", events);
    for (size_t i = 0; i < handlers->n; i++) {
        table_add(&table, handlers->list[i].name);
        table_add(&table, handlers->list[i].plugin->name);
    }
    table_print(&table, out);
}

void server_print_hooks(const hop_server *server, FILE *out)
{
    show_plugins(server, out);
    show_events(server, out);
    show_hooks(server, out);
    show_connects(server, out);
    show_handshakes(server, out);
    show_paths(server, out);
    show_between(server, out);
}

/* ---- for the operator, while it runs */

size_t server_count_plugins(const hop_server *server)
{
    return server->loader->n;
}

static json_t *show_plugin(const struct plugin *plugin)
{
    uint64_t n_calls = 0;

    for (int i = 0; i < CALL_BUCKETS; i++)
        n_calls += plugin->times.n[i];
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "name", plugin->name, "version",
                     plugin->entry.version, "calls", (json_int_t)n_calls, "slow",
                     (json_int_t)plugin->n_slow, "busy_ms",
                     (json_int_t)(plugin->times.ns / 1000000), "summary",
                     plugin->entry.summary ? plugin->entry.summary : "");
}

json_t *server_list_plugins(const hop_server *server)
{
    json_t *list = json_array();

    for (size_t i = 0; i < server->loader->n; i++)
        json_array_append_new(list, show_plugin(server->loader->plugins[i]));
    return list;
}
