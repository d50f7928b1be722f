/*
 * pitfall.c - falls into one pit, wherever the conf file has dug it: in one kind of call, or in all.
 *
 * Keys: where (the kind, or `all`), what (crash, sleep for 40 ms, leak: nothing is taken back that could
 * be). A client that emits `all` gets each kind called that a client can cause:
 *   event, any, outgoing, server_event, join, leave, post, timer, watch, job, ack; the ack tells when
 * the slow ones are over. Beside these: init, ready, check, connect, disconnect, middleware, namespace,
 * handshake, free_slot, save, restore, changed, free; GET /pit, `pitfall pit`, the endpoint /pits, the namespace
 * /any. `leak` starts what is never taken back, `defer` is never resumed.
 *
 * Thread: logic, but for the work of the job.
 */
#include <fcntl.h>
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { CRASH, SLEEP, LEAK };

struct pitfall {
    hop_server *server; /* borrowed */
    const char *where;
    int what;
    int64_t live;
    hop_slot slot;
    int fd; /* owned: of the watch */
};

static const hop_config_key pitfall_keys[] = {
    HOP_STRING(struct pitfall, where, "where", "", "the kind of call"),
    HOP_CHOICE(struct pitfall, what, "what", "crash", "crash|sleep|leak",
               "what happens there"),
    HOP_INT(struct pitfall, live, "live", 0, 0, 9, "may change while it runs",
            .flags = HOP_KEY_RELOADABLE),
    HOP_KEYS_END,
};

static void pit(const struct pitfall *pitfall, const char *here)
{
    volatile int *volatile nowhere = NULL;

    if (strcmp(pitfall->where, here) != 0 && strcmp(pitfall->where, "all") != 0)
        return;
    if (pitfall->what == CRASH)
        *nowhere = 1;
    else if (pitfall->what == SLEEP)
        nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
}

/* ---- what a client causes */

static hop_verdict on_any(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)event;
    pit(self, "any");
    return HOP_NEXT;
}

static void on_outgoing(hop_outgoing *outgoing, void *self)
{
    (void)outgoing;
    pit(self, "outgoing");
}

static void on_server_event(hop_server_event *event, void *self)
{
    (void)event;
    pit(self, "server_event");
}

static void on_join(hop_socket socket, const char *room, void *self)
{
    (void)socket;
    (void)room;
    pit(self, "join");
}

static void on_leave(hop_socket socket, const char *room, void *self)
{
    (void)socket;
    (void)room;
    pit(self, "leave");
}

static void on_post(void *self)
{
    pit(self, "post");
}

static void on_timer(hop_timer timer, void *self)
{
    (void)timer;
    pit(self, "timer");
}

static void on_watch(hop_watch watch, int fd, unsigned events, void *self)
{
    struct pitfall *pitfall = self;

    (void)fd;
    (void)events;
    hop_watch_set(pitfall->server, watch, 0);
    pit(self, "watch");
}

static void work(void *self)
{
    pit(self, "work");
}

static void on_job(hop_job job, hop_job_status status, void *self)
{
    struct pitfall *pitfall = self;

    (void)job;
    (void)status;
    pit(self, "job");
    hop_emit(hop_to_all(pitfall->server), "over", NULL);
}

static void on_answer(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    (void)socket;
    (void)status;
    (void)args;
    pit(self, "ack");
}

static hop_verdict on_all(hop_socket socket, hop_event *event, void *self)
{
    struct pitfall *pitfall = self;
    hop_server *server = pitfall->server;
    uint64_t one = 1;

    pit(self, "event");
    hop_socket_join(server, socket, "pit");
    hop_socket_leave(server, socket, "pit");
    hop_emit(hop_to_socket(server, socket), "outgoing", NULL);
    hop_server_emit(server, "pit", NULL);
    hop_post(server, on_post, pitfall);
    hop_timer_once(server, 1, on_timer, pitfall);
    hop_emit_with_ack(server, socket, "question", NULL, 60000, on_answer, pitfall);
    if (pitfall->fd < 0) {
        pitfall->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        hop_watch_new(server, pitfall->fd, HOP_READABLE, on_watch, pitfall);
    }
    if (write(pitfall->fd, &one, sizeof one) < 0)
        hop_log(HOP_WARN, "pitfall.no_watch");
    hop_job_start(server, work, on_job, pitfall);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

/* All that the server can hold for a plugin, and nobody takes back. */
static hop_verdict on_leak(hop_socket socket, hop_event *event, void *self)
{
    struct pitfall *pitfall = self;

    for (int i = 0; i < 10; i++) {
        hop_timer_every(pitfall->server, 20, on_timer, pitfall);
        hop_watch_new(pitfall->server, eventfd(0, EFD_CLOEXEC), HOP_READABLE, on_watch,
                      pitfall);
        hop_job_start(pitfall->server, work, NULL, pitfall);
        hop_post(pitfall->server, on_post, pitfall);
        hop_emit_with_ack(pitfall->server, socket, "unanswered", NULL, 60000, on_answer,
                          pitfall);
    }
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_defer(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    hop_event_defer(event, 600000);
    return HOP_DEFER;
}

/* ---- others */

static void on_connect(hop_socket socket, void *self)
{
    struct pitfall *pitfall = self;

    hop_socket_set(pitfall->server, socket, pitfall->slot, strdup("value"));
    pit(self, "connect");
}

static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    (void)socket;
    (void)reason;
    pit(self, "disconnect");
}

static hop_verdict on_middleware(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)connect;
    pit(self, "middleware");
    return HOP_NEXT;
}

static bool on_namespace(hop_connect *connect, void *self)
{
    (void)connect;
    pit(self, "namespace");
    return true;
}

static hop_verdict on_handshake(hop_handshake *handshake, void *self)
{
    (void)handshake;
    pit(self, "handshake");
    return HOP_NEXT;
}

static void on_route(hop_request *request, void *self)
{
    pit(self, "route");
    hop_respond(request, 200, "text/plain", "pit", 3);
}

static void run_pit(hop_command_call *call, size_t n, const char *const *args, void *self)
{
    (void)n;
    (void)args;
    pit(self, "command");
    hop_command_answer(call, NULL);
}

static void on_message(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                       void *self)
{
    struct pitfall *pitfall = self;

    pit(self, "endpoint");
    hop_peer_send(pitfall->server, peer, kind, data, len);
}

/* The slot has no self: whose values these are. */
static struct pitfall *of_values;

static void free_value(void *value)
{
    free(value);
    pit(of_values, "free_slot");
}

static json_t *save_value(const void *value, void *self)
{
    pit(self, "save");
    return json_string(value);
}

static void *restore_value(json_t *saved, const hop_owner *owner, void *self)
{
    (void)owner;
    pit(self, "restore");
    return strdup(json_string_value(saved));
}

static int pitfall_check(const void *self, const char **key, hop_error *error)
{
    (void)key;
    (void)error;
    pit(self, "check");
    return 0;
}

static void pitfall_ready(hop_server *server, void *self)
{
    (void)server;
    pit(self, "ready");
}

static void pitfall_changed(void *self, const char *const *keys, size_t n)
{
    (void)keys;
    (void)n;
    pit(self, "changed");
}

static int pitfall_init(hop_server *server, void *self)
{
    static const hop_endpoint endpoint = {HOP_ENDPOINT, .on_message = on_message};
    struct pitfall *pitfall = self;
    const hop_slot_options slot = {.size = sizeof slot,
                                   .on = HOP_ON_SOCKET,
                                   .name = "value",
                                   .free = free_value,
                                   .save = save_value,
                                   .restore = restore_value,
                                   .self = pitfall};

    of_values = pitfall;
    pitfall->server = server;
    pitfall->fd = -1;
    pit(self, "init");
    pitfall->slot = hop_slot_new_with(server, &slot);
    hop_on(server, "all", on_all, pitfall);
    hop_on(server, "leak", on_leak, pitfall);
    hop_on(server, "defer", on_defer, pitfall);
    hop_on_any(server, on_any, pitfall);
    hop_on_any_outgoing(server, on_outgoing, pitfall);
    hop_on_server_event(server, "pit", on_server_event, pitfall);
    hop_on_join(server, on_join, pitfall);
    hop_on_leave(server, on_leave, pitfall);
    hop_on_connect(server, on_connect, pitfall);
    hop_on_disconnect(server, on_disconnect, pitfall);
    hop_use(server, "/", on_middleware, pitfall);
    hop_namespace_hook(server, "pits", on_namespace, pitfall);
    hop_on_handshake(server, NULL, on_handshake, pitfall);
    hop_route(server, "GET", "/pit", on_route, pitfall);
    hop_command(server, "pit", "", "falls into it", run_pit, pitfall);
    hop_websocket(server, "/pits", &endpoint, pitfall);
    return 0;
}

static void pitfall_free(void *self)
{
    struct pitfall *pitfall = self;

    pit(self, "free");
    if (pitfall->fd >= 0)
        close(pitfall->fd);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("pitfall", "1.0", "falls into one pit"),
    .state_size = sizeof(struct pitfall),
    .keys = pitfall_keys,
    .init = pitfall_init,
    .free = pitfall_free,
    .check = pitfall_check,
    .ready = pitfall_ready,
    .changed = pitfall_changed,
};
