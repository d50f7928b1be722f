/*
 * daemon.c - the running server: made bottom up, ended top down.
 *
 * Start: loops, nets, Socket.IO, engines, routes, plugins, listeners, privileges, threads.
 * Stop (a signal, in logic): listeners close, sockets disconnect, sessions end, queues are
 * flushed; each shard ends when its last connection has, or after shutdown_timeout.
 * Called by: main.c. Thread: main (logic); what runs in a shard says so.
 */
#include "core/daemon.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/base/text.h"
#include "core/console.h"
#include "core/control.h"
#include "core/engine/engine.h"
#include "core/loop/loop.h"
#include "core/loop/watchdog.h"
#include "core/net/gate.h"
#include "core/net/listener.h"
#include "core/net/net.h"
#include "core/net/pressure.h"
#include "core/net/router.h"
#include "core/net/static.h"
#include "core/plugin/server.h"
#include "core/privileges.h"
#include "core/reload.h"
#include "core/socketio/hub.h"
#include "core/socketio/sio.h"
#include "core/status.h"

enum {
    LISTENERS_MAX = 16 + 1, /* server.listen has 16 at most; status */
    SIGNALS = 3
};

/* One shard's part. */
struct part {
    struct daemon *daemon;      /* borrowed */
    struct sio *sio;            /* owned */
    struct timer_list deadline; /* shutdown_timeout */
    struct timer_node deadline_node;
    bool is_stopping, has_stopped;
};

struct daemon {
    const struct settings *settings; /* borrowed */
    const struct config *config;     /* borrowed */
    struct loops *loops;             /* owned, as all that follows */
    struct gate *gate;
    struct pressure *pressure;   /* NULL without a cap */
    struct net *nets[LOOPS_MAX]; /* by shard, as the next two */
    struct engine *engines[LOOPS_MAX];
    struct part parts[LOOPS_MAX];
    struct hub *hub;
    hop_server *server;
    struct reloads *reloads;
    struct status *status;
    struct console *console;
    struct control *control; /* NULL: there is none */
    struct static_files *files;
    struct router *router;
    struct http_route engine_route;
    struct listener *listeners[LISTENERS_MAX];
    unsigned n_listeners;
    struct event *signals[SIGNALS];
    unsigned n_stopped; /* shards */
    bool is_stopping;
};

/* ---- stopping ---- */

static void on_shard_stopped(void *arg)
{
    struct daemon *daemon = arg;

    if (++daemon->n_stopped == daemon->loops->n_shards)
        loop_stop(daemon->loops->logic);
}

/* End of each turn of a shard that is stopping. Thread: shard. */
static void check_stopped(void *arg)
{
    struct part *part = arg;
    unsigned shard = (unsigned)(part - part->daemon->parts);
    struct loop *loop = part->daemon->loops->loop[shard];

    if (!part->is_stopping || part->has_stopped ||
        !net_is_empty(part->daemon->nets[shard]))
        return;
    part->has_stopped = true;
    timer_stop(&part->deadline_node);
    if (loop != part->daemon->loops->logic)
        loop_stop(loop);
    loop_post(part->daemon->loops->logic, on_shard_stopped, part->daemon);
}

static void on_shutdown_timeout(struct timer_node *node)
{
    struct part *part =
        (struct part *)(void *)((char *)node - offsetof(struct part, deadline_node));
    unsigned shard = (unsigned)(part - part->daemon->parts);

    hop_log(HOP_WARN,
            "server.cut shard=%u hint=\"clients did not take what was queued "
            "within server.shutdown_timeout\"",
            shard);
    net_close_all(part->daemon->nets[shard]);
}

/* Thread: shard. Behind all that logic has emitted so far. */
static void stop_shard(struct loop *loop, void *payload)
{
    struct daemon *daemon = *(struct daemon **)payload;
    struct part *part = &daemon->parts[loop->index];

    if (loop->index == 0) {
        for (unsigned i = 0; i < daemon->n_listeners; i++)
            listener_close(daemon->listeners[i]);
        daemon->n_listeners = 0;
    }
    part->is_stopping = true;
    timer_start(&part->deadline, &part->deadline_node);
    server_shutdown_shard(daemon->server, loop->index);
    engine_shutdown(daemon->engines[loop->index]);
    net_shutdown(daemon->nets[loop->index]);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *daemon = arg;

    (void)what;
    if (daemon->is_stopping) {
        hop_log(HOP_WARN, "server.killed signal=%d", (int)number);
        _exit(1);
    }
    daemon->is_stopping = true;
    hop_log(HOP_INFO, "server.stopping signal=%d", (int)number);
    status_set_ready(daemon->status, false);
    control_stop(daemon->control);
    reloads_stop(daemon->reloads);
    server_settle(daemon->server);
    hub_shutdown(daemon->hub);
    server_shutdown(daemon->server);
    for (unsigned i = 0; i < daemon->loops->n_shards; i++) {
        struct daemon **payload = loop_send(daemon->loops->logic, daemon->loops->loop[i],
                                            stop_shard, sizeof *payload, 0);

        *payload = daemon;
    }
}

/* Whatever is wrong with the conf file, the server goes on as it was. */
static void on_hangup(evutil_socket_t number, short what, void *arg)
{
    struct daemon *daemon = arg;

    (void)number;
    (void)what;
    reloads_request(daemon->reloads, NULL, NULL);
}

static int watch_signals(struct daemon *daemon, hop_error *error)
{
    static const int number[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

    for (int i = 0; i < SIGNALS; i++) {
        daemon->signals[i] =
            evsignal_new(daemon->loops->logic->base, number[i],
                         number[i] == SIGHUP ? on_hangup : on_signal, daemon);
        if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0) {
            hop_error_set(error, "cannot watch signal %d", number[i]);
            return -1;
        }
    }
    return 0;
}

/* ---- starting ---- */

/* Descriptors are connections: take as many as we may have without asking. */
static void raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Neither a reader of our log that has gone nor a closed terminal ends the server; and what
 * whoever started us had blocked does end it (T53). */
static void prepare_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until watch_signals() */
}

static void *crypto_alloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return bytes ? mem_alloc(bytes) : NULL;
}

static void *crypto_realloc(void *old, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (bytes)
        return mem_realloc(old, bytes);
    free(old);
    return NULL;
}

static void crypto_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* Without memory for its tables OpenSSL would use them all the same: its allocations are
 * small, and end the process as ours do. It reads its configuration and may load code at
 * first use: now, not as another user or behind the system call filter. */
static void prepare_crypto(void)
{
    unsigned char digest[SHA_DIGEST_LENGTH];

    CRYPTO_set_mem_functions(crypto_alloc, crypto_realloc, crypto_free);
    SHA1(digest, 0, digest);
}

/* What libevent has to say takes our form. Thread: any. */
static void on_libevent_log(int severity, const char *text)
{
    static const hop_log_level levels[] = {
        [EVENT_LOG_DEBUG] = HOP_DEBUG,
        [EVENT_LOG_MSG] = HOP_INFO,
        [EVENT_LOG_WARN] = HOP_WARN,
        [EVENT_LOG_ERR] = HOP_ERROR,
    };
    bool is_known = severity >= EVENT_LOG_DEBUG && severity <= EVENT_LOG_ERR;

    hop_log(is_known ? levels[severity] : HOP_WARN, "libevent.says text=\"%s\"", text);
}

static void make_shard(struct daemon *daemon, unsigned shard)
{
    struct loop *loop = daemon->loops->loop[shard];
    struct part *part = &daemon->parts[shard];
    struct engine_upper upper;

    part->daemon = daemon;
    part->sio = sio_new(loop, daemon->settings, daemon->hub);
    upper = sio_upper(part->sio);
    daemon->nets[shard] = net_new(loop, daemon->settings, daemon->nets);
    daemon->nets[shard]->gate = daemon->gate;
    daemon->engines[shard] = engine_new(daemon->nets[shard], daemon->settings, &upper);
    sio_attach(part->sio, daemon->engines[shard]);
    timer_list_init(&part->deadline, loop, daemon->settings->shutdown_timeout_ms,
                    on_shutdown_timeout);
    loop_on_stage(loop, LOOP_FREE, check_stopped, part);
}

static void make_shards(struct daemon *daemon)
{
    struct sio *halves[LOOPS_MAX];

    for (unsigned i = 0; i < daemon->loops->n_shards; i++) {
        make_shard(daemon, i);
        halves[i] = daemon->parts[i].sio;
    }
    hub_set_shards(daemon->hub, halves);
}

static struct static_files *open_public_dir(const struct settings *settings,
                                            const struct config *config, hop_error *error)
{
    hop_error reason;
    struct static_files *files = static_new(settings->public_dir, &reason);

    if (!files)
        config_error(config, "server", "public", error,
                     "%s: name the folder of the page, or nothing to serve none",
                     reason.text);
    return files;
}

static int make_routes(struct daemon *daemon, hop_error *error)
{
    daemon->router = router_new();
    if (daemon->settings->public_dir[0]) {
        struct http_route route;

        daemon->files = open_public_dir(daemon->settings, daemon->config, error);
        if (!daemon->files)
            return -1;
        route = static_route(daemon->files);
        router_set_fallback(daemon->router, &route);
    }
    daemon->engine_route = engine_route(daemon->engines, daemon->loops->n_shards,
                                        daemon->settings, daemon->files);
    return router_add_prefix(daemon->router, daemon->settings->path,
                             &daemon->engine_route);
}

static int open_listener(struct daemon *daemon, const char *address, int *port,
                         const char *what, const struct router *router, hop_error *error)
{
    struct listener *listener;

    assert(daemon->n_listeners < LISTENERS_MAX); /* settings_fill() has counted them */
    listener =
        listener_open(daemon->nets[0], address, port, what, router, httpconn_deal, error);
    if (!listener)
        return -1;
    daemon->listeners[daemon->n_listeners++] = listener;
    return 0;
}

/* The addresses of server.listen; the first one decides what port 0 means. Only where no
 * other address is left is one that this machine lacks (::1 without IPv6) an error. */
static int open_public(struct daemon *daemon, hop_error *error)
{
    const char *list = daemon->settings->listen, *item;
    int port = (int)daemon->settings->port;
    unsigned n_before = daemon->n_listeners;
    hop_error reason;
    size_t len;

    while ((item = list_next(&list, &len))) {
        char *address = mem_strndup(item, len);
        bool is_optional = strcmp(address, "::1") == 0 && daemon->n_listeners > n_before;
        int result =
            open_listener(daemon, address, &port, "listener", daemon->router, &reason);
        int cause = errno;

        free(address);
        if (result == 0)
            listener_set_gate(daemon->listeners[daemon->n_listeners - 1], daemon->gate);
        if (result < 0 &&
            (!is_optional || (cause != EADDRNOTAVAIL && cause != EAFNOSUPPORT))) {
            config_error(daemon->config, "server",
                         cause == EADDRNOTAVAIL ? "listen" : "port", error, "%s",
                         reason.text);
            return -1;
        }
        if (result < 0)
            hop_log(HOP_INFO, "listener.skipped reason=\"%s\"", reason.text);
    }
    return 0;
}

static int open_status(struct daemon *daemon, hop_error *error)
{
    struct settings_address where;
    hop_error reason;

    if (settings_address_parse(daemon->settings->status, &where) < 0)
        return 0; /* empty: a malformed one has stopped the start already */
    if (open_listener(daemon, where.address, &where.port, "status",
                      status_router(daemon->status), &reason) == 0)
        return 0;
    config_error(daemon->config, "server", "status", error, "%s", reason.text);
    return -1;
}

static int open_control(struct daemon *daemon, hop_error *error)
{
    hop_error reason;
    uid_t uid;
    gid_t gid;

    if (!*daemon->settings->control)
        return 0;
    if (privileges_account(daemon->settings, daemon->config, &uid, &gid, error) < 0)
        return -1;
    daemon->control = control_open(daemon->loops, daemon->console,
                                   daemon->settings->control, uid, gid, &reason);
    if (daemon->control)
        return 0;
    config_error(daemon->config, "server", "control", error, "%s", reason.text);
    return -1;
}

static void prepare_process(void)
{
    prepare_signals();
    prepare_crypto();
    event_set_mem_functions(mem_alloc, mem_realloc, free);
    event_set_log_callback(on_libevent_log);
    raise_fd_limit();
}

/* All layers, and the plugins in them; no port is open yet. */
static int make_layers(struct daemon *daemon, hop_error *error)
{
    const struct settings *settings = daemon->settings;

    prepare_process();
    daemon->loops = loops_new(settings->n_threads, settings->max_lane_bytes);
    daemon->hub = hub_new(daemon->loops, settings);
    daemon->gate = gate_new(settings);
    make_shards(daemon);
    daemon->pressure =
        pressure_new(daemon->loops, daemon->nets, settings->max_memory_bytes);
    if (make_routes(daemon, error) < 0)
        return -1;
    daemon->server =
        server_new(daemon->loops, settings, daemon->config, daemon->hub, daemon->router);
    server_set_shards(daemon->server, daemon->engines);
    daemon->reloads = reloads_new(daemon->server, daemon->config);
    daemon->status = status_new(daemon->loops, daemon->server);
    daemon->console = console_new(&(struct console_parts){
        .server = daemon->server,
        .loops = daemon->loops,
        .hub = daemon->hub,
        .reloads = daemon->reloads,
        .status = daemon->status,
        .settings = settings,
    });
    return server_load_plugins(daemon->server, error);
}

static int start(struct daemon *daemon, hop_error *error)
{
    /* Signals before listeners: whoever has seen us listen may stop us. */
    if (make_layers(daemon, error) < 0 || watch_signals(daemon, error) < 0 ||
        open_public(daemon, error) < 0 || open_control(daemon, error) < 0)
        return -1;
    return open_status(daemon, error);
}

/* The page was opened by whom we started as, it is read by whom we have become. */
static int check_page(const struct daemon *daemon, hop_error *error)
{
    if (!daemon->files || static_is_readable(daemon->files))
        return 0;
    config_error(
        daemon->config, "server", "public", error,
        "%s: uid %lu, which server.user names, may not read it: make it readable "
        "(chmod -R a+rX %s), or name another user",
        daemon->settings->public_dir, (unsigned long)getuid(),
        daemon->settings->public_dir);
    return -1;
}

/* Whatever goes wrong from now on, no client writes to a terminal or a pipe of whoever
 * started us (T53). stderr is the log's. */
static void leave_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return; /* no descriptor is left, or no /dev: they stay as they were */
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
}

/* All is open: give up what only opening needs. */
static int settle(struct daemon *daemon, hop_error *error)
{
    leave_stdio();
    if (privileges_drop(daemon->settings, daemon->config, error) < 0)
        return -1;
    if (check_page(daemon, error) < 0)
        return -1;
    return server_check_access(daemon->server, error);
}

/* ---- the end ---- */

/* All threads have ended: what is left is delivered and released by this one. */
static void finish(struct daemon *daemon)
{
    unsigned n_shards = daemon->loops->n_shards;
    sigset_t late; /* they would only spoil the exit status */

    sigemptyset(&late);
    sigaddset(&late, SIGTERM);
    sigaddset(&late, SIGINT);
    pthread_sigmask(SIG_BLOCK, &late, NULL);
    loops_shut(daemon->loops); /* what a plugin's thread posts late finds nobody */
    for (unsigned i = 0; i < daemon->n_listeners; i++)
        listener_close(daemon->listeners[i]);
    for (unsigned i = 0; i < n_shards; i++) {
        if (daemon->server)
            server_shutdown_shard(daemon->server, i);
        engine_shutdown(daemon->engines[i]);
        net_shutdown(daemon->nets[i]);
        net_close_all(daemon->nets[i]);
    }
    loops_drain(daemon->loops);
    if (daemon->hub)
        hub_shutdown(daemon->hub); /* also where the start has failed */
    server_free(daemon->server);   /* plugins: the last socket has gone */
    loops_drain(daemon->loops);
    control_free(daemon->control);
    console_free(daemon->console);
    status_free(daemon->status);
    reloads_free(daemon->reloads);
    hub_free(daemon->hub);
    for (unsigned i = 0; i < n_shards; i++) {
        engine_free(daemon->engines[i]);
        sio_free(daemon->parts[i].sio);
        net_free(daemon->nets[i]);
        timer_list_done(&daemon->parts[i].deadline);
    }
    if (daemon->router)
        engine_route_free(&daemon->engine_route);
    gate_free(daemon->gate);
    pressure_free(daemon->pressure);
    router_free(daemon->router);
    static_free(daemon->files);
    for (int i = 0; i < SIGNALS; i++)
        if (daemon->signals[i])
            event_free(daemon->signals[i]);
    loops_free(daemon->loops);
    libevent_global_shutdown();
}

int daemon_run(const struct settings *settings, const struct config *config,
               hop_error *error)
{
    struct watchdog *watchdog;
    struct daemon *daemon;
    int result;

    if (privileges_check_start(settings, config, error) < 0)
        return -1;
    daemon = mem_calloc(1, sizeof *daemon);
    daemon->settings = settings;
    daemon->config = config;
    result = start(daemon, error);
    if (result == 0)
        result = settle(daemon, error);
    if (result == 0) {
        server_ready(daemon->server);
        loops_start(daemon->loops);
        watchdog = watchdog_start(daemon->loops->logic, settings->watchdog_ms);
        hop_log(HOP_INFO, "server.ready version=%s threads=%d pid=%ld", HOP_VERSION,
                settings->n_threads, (long)getpid());
        status_set_ready(daemon->status, true);
        loop_run(daemon->loops->logic);
        watchdog_stop(watchdog);
        loops_join(daemon->loops);
    }
    finish(daemon);
    free(daemon);
    if (result == 0)
        hop_log(HOP_INFO, "server.stopped");
    return result;
}

/* ---- checking ---- */

int daemon_print_hooks(const struct settings *settings, const struct config *config,
                       FILE *out, hop_error *error)
{
    struct daemon *daemon = mem_calloc(1, sizeof *daemon);
    int result;

    daemon->settings = settings;
    daemon->config = config;
    result = make_layers(daemon, error);
    if (result == 0)
        server_print_hooks(daemon->server, out);
    finish(daemon);
    free(daemon);
    return result;
}

int daemon_check(const struct settings *settings, const struct config *config,
                 hop_error *error)
{
    if (privileges_check(settings, config, error) < 0)
        return -1;
    if (settings->public_dir[0]) {
        struct static_files *files = open_public_dir(settings, config, error);

        if (!files)
            return -1;
        static_free(files);
    }
    return server_check(settings, config, error);
}

int daemon_print_config(const struct settings *settings, const struct config *config,
                        FILE *out, hop_error *error)
{
    settings_print(config, out);
    fputc('\n', out);
    return server_print_config(settings, config, out, error);
}

int daemon_print_config_doc(const struct settings *settings, const struct config *config,
                            enum config_doc format, FILE *out, hop_error *error)
{
    settings_doc(format, out);
    return server_print_config_doc(settings, config, format, out, error);
}
