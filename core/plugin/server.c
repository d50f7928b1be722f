/*
 * server.c - the plugin layer put together: what the hub tells, which plugin runs, metrics.
 *
 * Called by: main.c; the hub, through struct hub_upper. Thread: logic.
 */
#include "core/plugin/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/plugin/assets.h"
#include "core/plugin/async.h"
#include "core/plugin/change.h"
#include "core/plugin/endpoints.h"
#include "core/plugin/health.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

/* ---- whose code runs */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* For those who look from elsewhere. */
static void show(const struct call *call)
{
    if (call && call->plugin)
        running_set(call->plugin->shown, call->kind, call->what);
    else
        running_clear();
}

void call_begin_as(hop_server *server, struct plugin *plugin, const char *kind,
                   const char *what, struct call *call)
{
    *call = (struct call){
        .outer_call = server->call,
        .outer = server->current,
        .plugin = plugin,
        .kind = kind,
        .what = what,
        .from_ns = now_ns(),
    };
    server->current = plugin;
    server->call = call;
    show(call);
}

void call_begin(hop_server *server, struct plugin *plugin, struct call *call)
{
    call_begin_as(server, plugin, NULL, NULL, call);
}

static void count_time(struct call_times *times, uint64_t ns)
{
    uint64_t limit_ns = CALL_FIRST_NS;
    unsigned bucket = 0;

    for (; ns > limit_ns && bucket + 1 < CALL_BUCKETS; limit_ns *= 10)
        bucket++;
    times->n[bucket]++;
    times->ns += ns;
}

void call_end(hop_server *server, const struct call *call, const char *kind,
              const char *what)
{
    const uint64_t ns = now_ns() - call->from_ns,
                   slow_ms = (uint64_t)server->settings->slow_ms;
    char name[LOG_NAME_SIZE];

    server->current = call->outer;
    server->call = call->outer_call;
    show(call->outer_call);
    if (!call->plugin)
        return;
    call->plugin->busy_ns += ns;
    if (!kind)
        return;
    count_time(&call->plugin->times, ns);
    if (slow_ms == 0 || ns < slow_ms * 1000000)
        return;
    call->plugin->n_slow++;
    hop_log(HOP_WARN, "plugin.slow plugin=%s %s=\"%s\" ms=%" PRIu64, call->plugin->name,
            kind, log_escape(name, sizeof name, what, strlen(what)), ns / 1000000);
}

static void forget_uses(hop_server *server, const struct plugin *plugin)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < server->n_uses; i++)
        if (server->uses[i].user != plugin && server->uses[i].provider != plugin)
            server->uses[n_kept++] = server->uses[i];
    server->n_uses = n_kept;
}

void server_forget(hop_server *server, struct plugin *plugin)
{
    size_t n_kept = 0;

    async_forget(server, plugin);
    dispatch_remove(server->dispatch, plugin);
    defer_relocate(server); /* before anybody goes on */
    answers_forget(server, plugin);
    hooks_remove(&server->hooks, plugin);
    outgoing_remove(&server->outgoing, plugin);
    server_events_remove(&server->server_events, plugin);
    commands_remove(server, plugin);
    connects_remove(&server->connects, plugin);
    claims_remove(server, plugin);
    handshakes_remove(&server->handshakes, plugin);
    routes_remove(server, plugin);
    endpoints_remove(server, plugin);
    assets_remove(server, plugin);
    fields_remove(server, plugin);
    health_remove(plugin);
    plugin_metrics_remove(server, plugin);
    for (size_t i = 0; i < server->n_provided; i++) {
        if (server->provided[i].plugin == plugin)
            free(server->provided[i].name);
        else
            server->provided[n_kept++] = server->provided[i];
    }
    server->n_provided = n_kept;
    forget_uses(server, plugin);
}

void server_hide(hop_server *server, struct plugin *plugin)
{
    assets_remove(server, plugin);
    fields_remove(server, plugin);
    health_yield(plugin);
    plugin_metrics_yield(server, plugin);
}

void server_clear(hop_server *server, const struct plugin *plugin)
{
    answers_clear(server, plugin);
    server_events_clear(server, plugin);
    users_forget(server, plugin);
    values_forget(server, plugin);
}

/* ---- what the hub tells */

static void on_connecting(const struct hub_connect *connect, void *arg)
{
    connects_begin(arg, connect);
}

static void on_abandoned(hop_socket socket, void *arg)
{
    connects_abandon(arg, socket);
}

static void on_namespace(const char *name, int declared, bool is_made, void *arg)
{
    hooks_call_namespace(arg, name, declared, is_made);
}

/* reason: of its end, or NULL. The id is not told: of Engine.IO 3 it is the session's. */
static void log_socket(const hop_server *server, hop_socket socket, const char *reason)
{
    char nsp[LOG_NAME_SIZE], fields[LOG_FIELDS_SIZE];
    const char *name;

    if (!hop_log_enabled(HOP_DEBUG))
        return;
    name = hub_socket_namespace(server->hub, socket);
    log_escape(nsp, sizeof nsp, name, strlen(name));
    fields_write(fields, server, socket);
    if (reason)
        hop_log(HOP_DEBUG, "socket.closed namespace=\"%s\" address=%s reason=\"%s\"%s",
                nsp, hub_socket_address(server->hub, socket), reason, fields);
    else
        hop_log(HOP_DEBUG, "socket.opened namespace=\"%s\" address=%s%s", nsp,
                hub_socket_address(server->hub, socket), fields);
}

static void on_connect(hop_socket socket, void *arg)
{
    log_socket(arg, socket, NULL);
    hooks_call(arg, HOOK_CONNECT, socket, NULL);
}

static void on_event(const struct sio_event *event, void *arg)
{
    hop_server *server = arg;

    dispatch_event(server->dispatch, event);
}

static void on_disconnect(hop_socket socket, const char *reason, void *arg)
{
    defer_end(arg, socket);
    hooks_call(arg, HOOK_DISCONNECT, socket, reason);
    log_socket(arg, socket, reason);
}

static void on_join(hop_socket socket, const char *room, void *arg)
{
    hooks_call(arg, HOOK_JOIN, socket, room);
}

static void on_leave(hop_socket socket, const char *room, void *arg)
{
    hooks_call(arg, HOOK_LEAVE, socket, room);
    values_drop_member(arg, socket, room);
}

static void free_slot(int place, void *value, void *arg)
{
    values_free_place(arg, place, value);
}

static void on_gone(enum hub_object kind, uint64_t which, void *arg)
{
    switch (kind) {
    case HUB_SOCKET:
        users_drop_socket(arg, which);
        values_drop(arg, (struct object_key){.on = HOP_ON_SOCKET, .object = which});
        fields_drop_socket(arg, which);
        return;
    case HUB_ROOM:
        values_drop(arg, (struct object_key){.on = HOP_ON_ROOM, .room = (uint32_t)which});
        return;
    case HUB_NAMESPACE:
        values_drop(arg, (struct object_key){.on = HOP_ON_NAMESPACE, .object = which});
        return;
    }
}

/* ---- start and stop */

/* Its memory is ours (STYLE.md 6), its hash seed nobody's to guess. */
static void set_up_jansson(void)
{
    size_t seed;

    random_bytes(&seed, sizeof seed);
    json_set_alloc_funcs(mem_alloc_mixed, free);
    json_object_seed(seed | 1); /* 0 would let jansson look for one itself */
}

hop_server *server_new(struct loops *loops, const struct settings *settings,
                       const struct config *config, struct hub *hub,
                       struct router *public_router)
{
    hop_server *server = mem_calloc(1, sizeof *server);
    const struct hub_upper upper = {
        .on_connecting = on_connecting,
        .on_abandoned = on_abandoned,
        .on_namespace = on_namespace,
        .on_connect = on_connect,
        .on_event = on_event,
        .on_disconnect = on_disconnect,
        .on_join = on_join,
        .on_leave = on_leave,
        .free_slot = free_slot,
        .on_gone = on_gone,
        .arg = server,
    };

    set_up_jansson();
    server->loops = loops;
    server->settings = settings;
    server->config = config;
    server->hub = hub;
    server->router = public_router;
    server->dispatch = dispatch_new(server);
    slots_init(&server->peers, 0);
    values_init(&server->values);
    users_init(&server->users);
    defer_init(server);
    commands_init(&server->commands);
    connects_init(&server->connects);
    handshakes_init(&server->handshakes);
    async_init(server);
    on_logic_set(loops->logic);
    hub_set_upper(hub, &upper);
    return server;
}

void server_set_shards(hop_server *server, struct engine *const *engines)
{
    server->engines = engines;
}

int server_load_plugins(hop_server *server, hop_error *error)
{
    server->loader = loader_open(server->settings, server->config, error);
    if (!server->loader)
        return -1;
    loader_tell_crash(server->loader);
    if (loader_start(server->loader, server, error) < 0)
        return -1;
    if (dispatch_sort(server->dispatch, error) < 0 ||
        hooks_resolve(&server->hooks, server->hub, error) < 0 ||
        connects_resolve(&server->connects, server->hub, error) < 0 ||
        handshakes_resolve(server, error) < 0) {
        loader_stop(server->loader, server);
        return -1;
    }
    return 0;
}

struct reload {
    server_reloaded *done;
    void *arg;
};

static void on_reloaded(const struct change_report *report, void *arg)
{
    struct reload *reload = arg;

    if (report->is_done)
        hop_log(HOP_INFO,
                "server.reloaded plugins=\"%s\" values=%zu held_us=%" PRIu64
                " swap_us=%" PRIu64,
                report->plugins, report->n_values, report->held_us, report->swap_us);
    reload->done(report, reload->arg);
    free(reload);
}

int server_reload(hop_server *server, struct config *config, server_reloaded *done,
                  void *arg, hop_error *error)
{
    struct reload *reload = mem_alloc(sizeof *reload);

    *reload = (struct reload){done, arg};
    if (change_begin(server, CHANGE_CONFIG, NULL, config, on_reloaded, reload, error) ==
        0)
        return 0;
    free(reload);
    return -1;
}

bool server_is_changing(const hop_server *server)
{
    return server->change != NULL;
}

void server_on_settled(hop_server *server, void (*on_settled)(void *arg), void *arg)
{
    server->on_settled = on_settled;
    server->on_settled_arg = arg;
}

int server_check_access(const hop_server *server, hop_error *error)
{
    return assets_check(server, error);
}

void server_ready(hop_server *server)
{
    loader_ready(server->loader, server);
}

void server_settle(hop_server *server)
{
    change_abort(server);
}

void server_shutdown(hop_server *server)
{
    endpoints_shutdown(server);
}

void server_shutdown_shard(hop_server *server, unsigned shard)
{
    endpoints_shutdown_shard(server, shard);
}

static void free_unloaded(hop_server *server)
{
    struct plugin *next;

    for (struct plugin *plugin = server->unloaded; plugin; plugin = next) {
        next = plugin->next_unloaded;
        plugin_free(plugin);
    }
}

void server_free(hop_server *server)
{
    const struct hub_upper nobody = {0};

    if (!server)
        return;
    change_abort(server);
    server_events_end(server);
    if (server->loader)
        loader_stop(server->loader, server);
    async_done(server);
    hub_set_upper(server->hub, &nobody);
    users_done(&server->users);
    values_done(&server->values);
    dispatch_free(server->dispatch);
    hooks_done(&server->hooks);
    outgoing_done(&server->outgoing);
    server_events_done(&server->server_events);
    commands_done(&server->commands);
    connects_done(&server->connects);
    claims_done(&server->claims);
    handshakes_done(&server->handshakes);
    routes_free(server);
    assets_free(server);
    fields_done(&server->fields);
    plugin_metrics_done(&server->metrics);
    endpoints_free(server);
    for (size_t i = 0; i < server->n_provided; i++)
        free(server->provided[i].name);
    free(server->provided);
    free(server->uses);
    loader_free(server->loader);
    free_unloaded(server);
    defer_done(server);
    on_logic_set(NULL);
    free(server);
}

/* ---- metrics */

static void print_head(FILE *out, const char *name, const char *kind, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void print_times(const struct plugin *plugin, FILE *out)
{
    static const char *const limits[CALL_BUCKETS] = {"1e-05", "0.0001", "0.001", "0.01",
                                                     "0.1",   "1",      "10",    "+Inf"};
    const struct call_times *times = &plugin->times;
    uint64_t n = 0;

    for (int i = 0; i < CALL_BUCKETS; i++)
        fprintf(out,
                "sockhop_plugin_call_seconds_bucket{plugin=\"%s\",le=\"%s\"} %" PRIu64
                "\n",
                plugin->name, limits[i], n += times->n[i]);
    fprintf(out, "sockhop_plugin_call_seconds_sum{plugin=\"%s\"} %.9f\n", plugin->name,
            (double)times->ns / 1e9);
    fprintf(out, "sockhop_plugin_call_seconds_count{plugin=\"%s\"} %" PRIu64 "\n",
            plugin->name, n);
}

/* Rows of one metric stand together, so that each is a walk over the plugins. Names and
 * versions hold nothing that a label would have to escape: the loader sees to it. */
void server_print_metrics(hop_server *server, FILE *out)
{
    static const char *const verdicts[PLUGIN_COUNTS] = {"next", "stop", "reject",
                                                        "replace", "observe"};
    const size_t n = server->loader ? server->loader->n : 0;
    struct plugin *const *plugins = n ? server->loader->plugins : NULL;

    print_head(out, "sockhop_plugin_info", "gauge", "plugins that run");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "sockhop_plugin_info{plugin=\"%s\",version=\"%s\"} 1\n",
                plugins[i]->name, plugins[i]->entry.version);
    print_head(out, "sockhop_plugin_events_total", "counter",
               "calls of handlers by what they decided");
    for (size_t i = 0; i < n; i++)
        for (int verdict = 0; verdict < PLUGIN_COUNTS; verdict++)
            fprintf(out,
                    "sockhop_plugin_events_total{plugin=\"%s\",verdict=\"%s\"} %" PRIu64
                    "\n",
                    plugins[i]->name, verdicts[verdict], plugins[i]->count[verdict]);
    print_head(out, "sockhop_plugin_seconds_total", "counter",
               "time in the plugin's handlers and hooks");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "sockhop_plugin_seconds_total{plugin=\"%s\"} %.9f\n",
                plugins[i]->name, (double)plugins[i]->busy_ns / 1e9);
    print_head(out, "sockhop_plugin_call_seconds", "histogram",
               "time of the plugin's handlers and hooks, a call");
    for (size_t i = 0; i < n; i++)
        print_times(plugins[i], out);
    print_head(out, "sockhop_plugin_slow_total", "counter",
               "calls that took server.slow_ms or longer");
    for (size_t i = 0; i < n; i++)
        fprintf(out, "sockhop_plugin_slow_total{plugin=\"%s\"} %" PRIu64 "\n",
                plugins[i]->name, plugins[i]->n_slow);
    async_print_metrics(server, plugins, n, out);
    plugin_metrics_print(server, out);
}

bool server_print_health(FILE *out)
{
    return health_print(out);
}

/* ---- -t and -T */

int server_check(const struct settings *settings, const struct config *config,
                 hop_error *error)
{
    struct loader *loader = loader_open(settings, config, error);

    if (!loader)
        return -1;
    loader_free(loader);
    return loader_check_disabled(settings, config, error);
}

int server_print_config(const struct settings *settings, const struct config *config,
                        FILE *out, hop_error *error)
{
    struct loader *loader = loader_open(settings, config, error);

    if (!loader)
        return -1;
    for (size_t i = 0; i < loader->n; i++) {
        const struct plugin *plugin = loader->plugins[i];

        config_print(config, plugin->section, plugin->keys, plugin->key_size, out);
        fputc('\n', out);
    }
    loader_free(loader);
    return 0;
}

int server_print_config_doc(const struct settings *settings, const struct config *config,
                            enum config_doc format, FILE *out, hop_error *error)
{
    const char *section;

    for (size_t i = 0; (section = config_section(config, i)); i++) {
        const char *name = plugin_section_name(section);
        struct plugin *plugin;

        if (!name || !plugin_name_is_valid(name))
            continue;
        plugin = plugin_describe(settings, config, section, error);
        if (!plugin && plugin_is_disabled(config, section))
            continue; /* as far as there is a file: see loader_check_disabled() */
        if (!plugin)
            return -1;
        fputc('\n', out);
        config_doc(format, section, plugin->entry.summary, plugin->keys, plugin->key_size,
                   out);
        plugin_free(plugin);
    }
    return 0;
}
