/*
 * random.c - calls functions of the interface at random, with arguments that are right, stale, too
 * long, of another kind or none at all, from every kind of call: nothing of it may harm the server.
 *
 *   roll N         N calls from the handler; what becomes of the event is random as well
 *   GET /rolled    how many there were in all; GET /names: the functions that can be called
 *
 * Key: seed. A function that needs an object of a call (an event, a request) is called where there
 * is one. Whoever calls a function twice that may be called once, or keeps what is borrowed, breaks a
 * promise that C cannot check: that is not tried.
 *
 * Thread: logic; workers, where every function is tried as well.
 */
#include <sockhop/sockhop.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    RING = 16,
    KINDS = 6,
    DEEPEST = 3, /* calls of hooks within calls */
    TIMERS = 16,
    WATCHES = 8,
    JOBS = 4
};

struct random {
    hop_server *server; /* borrowed */
    int64_t seed;
    uint64_t state;
    int depth;
    hop_slot slot[KINDS];
    hop_socket sockets[RING];
    hop_deferral deferrals[RING];
    hop_timer timers[RING];
    hop_watch watches[RING];
    hop_job jobs[RING];
    hop_user users[RING];
    hop_peer peers[RING];
    hop_late_ack *acks[RING]; /* owned */
    hop_metric metric[3];
    hop_health health;
    int n_timers, n_watches;
    int fds[WATCHES]; /* owned: of watches */
    atomic_int n_jobs;
    atomic_llong n_rolled;
};

/* Where a call comes from, and the object that is at hand there. */
struct at {
    struct random *random;
    uint64_t *state;
    bool is_elsewhere; /* in a worker */
    hop_event *event;
    hop_connect *connect;
    hop_handshake *handshake;
    hop_request *request;
    hop_outgoing *outgoing;
    hop_answer *answer;
    hop_answers *answers;
    hop_server_event *server_event;
    hop_server_answers *server_answers;
    hop_command_call *command;
    const hop_owner *owner;
    hop_args *args; /* being built */
};

static uint64_t roll(struct at *at)
{
    *at->state ^= *at->state << 13;
    *at->state ^= *at->state >> 7;
    *at->state ^= *at->state << 17;
    return *at->state;
}

static uint64_t below(struct at *at, uint64_t n)
{
    return roll(at) % n;
}

/* ---- arguments */

static const char *text(struct at *at)
{
    static const char *const texts[] = {"a",
                                        "room",
                                        "marked",
                                        "/",
                                        "/chat",
                                        "/none",
                                        "",
                                        "chat",
                                        "login",
                                        "connect",
                                        "disconnecting",
                                        "*",
                                        "ü",
                                        "\xff\xfe",
                                        "a\"b\nc",
                                        "1.5",
                                        "$",
                                        "__proto__",
                                        "pits",
                                        "x x",
                                        "GET",
                                        "u1",
                                        "u2",
                                        "[s]",
                                        "text/plain",
                                        "sockhop",
                                        "socket.io",
                                        "\xe2\x80\xa8",
                                        "%s%n"};
    static char longest[5000];

    if (longest[0] == '\0')
        memset(longest, 'x', sizeof longest - 1);
    if (below(at, 40) == 0)
        return longest;
    return below(at, 40) == 0 ? NULL : texts[below(at, sizeof texts / sizeof *texts)];
}

static json_t *json(struct at *at)
{
    switch (below(at, 8)) {
    case 0:
        return NULL;
    case 1:
        return json_string("no array");
    case 2:
        return json_object();
    case 3:
        return json_pack("[[[i]], {s:n}]", 1, "x");
    case 4:
        return json_pack("[f, b, s]", 1.5, true, "ü");
    default:
        return json_pack("[s]", "text");
    }
}

static hop_args *args(struct at *at);

static hop_target *target(struct at *at)
{
    hop_server *server = at->random->server;

    switch (below(at, 4)) {
    case 0:
        return hop_to_all(server);
    case 1:
        return hop_to_room(server, text(at));
    case 2:
        return hop_to_namespace(server, text(at));
    default:
        return hop_to_socket(server, at->random->sockets[below(at, RING)]);
    }
}

static int ms(struct at *at)
{
    static const int times[] = {1, 5, 20, 50, 0, -1, 3600001};

    return times[below(at, sizeof times / sizeof *times)];
}

/* One of those that there were, or a number of another kind. */
static uint64_t handle(struct at *at, const uint64_t *ring)
{
    if (below(at, 16) == 0)
        return roll(at);
    return ring[below(at, RING)];
}

#define KEEP(ring, value) (at->random->ring[below(at, RING)] = (value))
#define SOCKET handle(at, at->random->sockets)
#define DEFERRAL handle(at, at->random->deferrals)
#define USER handle(at, at->random->users)
#define PEER handle(at, at->random->peers)
#define SERVER at->random->server
#define SELF at->random
#define NUMBER (size_t) below(at, 4)

static hop_slot slot(struct at *at)
{
    return below(at, 8) == 0 ? (hop_slot)roll(at) : at->random->slot[below(at, KINDS)];
}

/* The server's, unless it is refused. */
static void keep_value(struct at *at, int (*set)(struct at *at, void *value))
{
    void *value = below(at, 4) ? malloc(1) : NULL;

    if (set(at, value) < 0)
        free(value);
}

static int set_on_server(struct at *at, void *value)
{
    return hop_server_set(SERVER, slot(at), value);
}
static int set_on_namespace(struct at *at, void *value)
{
    return hop_namespace_set(SERVER, text(at), slot(at), value);
}
static int set_on_room(struct at *at, void *value)
{
    return hop_room_set(SERVER, text(at), text(at), slot(at), value);
}
static int set_on_member(struct at *at, void *value)
{
    return hop_member_set(SERVER, SOCKET, text(at), slot(at), value);
}
static int set_on_user(struct at *at, void *value)
{
    return hop_user_set(SERVER, USER, slot(at), value);
}
static int set_on_socket(struct at *at, void *value)
{
    return hop_socket_set(SERVER, SOCKET, slot(at), value);
}

/* ---- callbacks: each of them rolls, too */

static void some(struct at *at);

static struct at from(struct random *random)
{
    return (struct at){.random = random, .state = &random->state};
}

static hop_verdict verdict(struct at *at)
{
    return below(at, 20) == 0 ? (hop_verdict)roll(at) : HOP_NEXT;
}
static hop_verdict on_event(hop_socket socket, hop_event *event, void *self)
{
    struct at at = from(self);

    at.event = event;
    (void)socket;
    some(&at);
    return HOP_NEXT;
}
static void on_connect(hop_socket socket, void *self)
{
    struct at at = from(self);
    at.random->sockets[below(&at, RING)] = socket;
    some(&at);
}
static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    struct at at = from(self);
    (void)socket;
    (void)reason;
    some(&at);
}
static void on_room(hop_socket socket, const char *room, void *self)
{
    struct at at = from(self);
    (void)socket;
    (void)room;
    some(&at);
}
static void on_space(const char *nsp, bool is_made, void *self)
{
    struct at at = from(self);
    (void)nsp;
    (void)is_made;
    some(&at);
}
static hop_verdict on_middleware(hop_socket socket, hop_connect *connect, void *self)
{
    struct at at = from(self);

    at.connect = connect;
    (void)socket;
    some(&at);
    return verdict(&at);
}
static bool on_accept(hop_connect *connect, void *self)
{
    struct at at = from(self);

    at.connect = connect;
    some(&at);
    return true;
}
static hop_verdict on_handshake(hop_handshake *handshake, void *self)
{
    struct at at = from(self);

    at.handshake = handshake;
    some(&at);
    return verdict(&at);
}
static void on_error(const hop_connection_error *error, void *self)
{
    struct at at = from(self);

    at.request = error->request;
    some(&at);
}
static void on_route(hop_request *request, void *self)
{
    struct at at = from(self);

    at.request = request;
    some(&at);
}
static void on_outgoing(hop_outgoing *outgoing, void *self)
{
    struct at at = from(self);

    at.outgoing = outgoing;
    some(&at);
}
static void on_ack(hop_socket socket, hop_ack_status status, json_t *args_, void *self)
{
    struct at at = from(self);
    (void)socket;
    (void)status;
    (void)args_;
    some(&at);
}
static void on_answer(hop_answer *answer, void *self)
{
    struct at at = from(self);

    at.answer = answer;
    some(&at);
}
static void on_answers(hop_answers *answers, void *self)
{
    struct at at = from(self);

    at.answers = answers;
    some(&at);
}
static void on_server_event(hop_server_event *event, void *self)
{
    struct at at = from(self);

    at.server_event = event;
    some(&at);
}
static void on_server_answers(hop_server_answers *answers, void *self)
{
    struct at at = from(self);

    at.server_answers = answers;
    some(&at);
}
static void on_command(hop_command_call *call, size_t n, const char *const *words,
                       void *self)
{
    struct at at = from(self);

    at.command = call;
    (void)n;
    (void)words;
    some(&at);
}
static void on_post(void *self)
{
    struct at at = from(self);
    some(&at);
}
static void on_timer(hop_timer timer, void *self)
{
    struct at at = from(self);
    (void)timer;
    some(&at);
}
static void on_watch(hop_watch watch, int fd, unsigned events, void *self)
{
    struct at at = from(self);
    uint64_t n;

    (void)watch;
    (void)events;
    if (read(fd, &n, sizeof n) < 0)
        hop_log(HOP_DEBUG, "random.unread");
    some(&at);
}
static void on_open(hop_peer peer, hop_request *request, void *self)
{
    struct at at = from(self);

    at.request = request;
    at.random->peers[below(&at, RING)] = peer;
    some(&at);
}
static void on_message(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                       void *self)
{
    struct at at = from(self);
    (void)peer;
    (void)kind;
    (void)data;
    (void)len;
    some(&at);
}
static void on_close(hop_peer peer, int code, const char *reason, void *self)
{
    struct at at = from(self);
    (void)peer;
    (void)code;
    (void)reason;
    some(&at);
}
static json_t *save_value(const void *value, void *self)
{
    struct at at = from(self);
    (void)value;
    some(&at);
    return json_true();
}
static void *restore_value(json_t *saved, const hop_owner *owner, void *self)
{
    struct at at = from(self);

    at.owner = owner;
    (void)saved;
    some(&at);
    return malloc(1);
}

/* A worker has a state of its own, and calls whatever there is. */
static void work(void *self)
{
    struct random *random = self;
    uint64_t state = random->state | 1;
    struct at at = {.random = random, .state = &state, .is_elsewhere = true};

    for (int i = 0; i < 20 && !hop_job_is_cancelled(); i++)
        some(&at);
}
static void on_done(hop_job job, hop_job_status status, void *self)
{
    struct at at = from(self);
    (void)job;
    (void)status;
    at.random->n_jobs--;
    some(&at);
}

static void start_job(struct at *at)
{
    hop_job job;

    if (at->random->n_jobs >= JOBS)
        return;
    at->random->n_jobs++;
    job = hop_job_start(SERVER, work, on_done, SELF);
    if (!job)
        at->random->n_jobs--;
    else
        KEEP(jobs, job);
}

static void start_timer(struct at *at, bool again)
{
    hop_timer timer;

    if (at->random->n_timers >= TIMERS) {
        hop_timer_cancel(SERVER, handle(at, at->random->timers));
        return;
    }
    timer = again ? hop_timer_every(SERVER, ms(at), on_timer, SELF)
                  : hop_timer_once(SERVER, ms(at), on_timer, SELF);
    if (timer && !at->is_elsewhere) {
        at->random->n_timers += again; /* one that ends by itself is none for long */
        KEEP(timers, timer);
    }
}

static void start_watch(struct at *at)
{
    int fd;
    hop_watch watch;

    if (at->random->n_watches >= WATCHES || at->is_elsewhere)
        return;
    fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    watch = hop_watch_new(SERVER, below(at, 4) ? fd : -1, (unsigned)below(at, 8),
                          on_watch, SELF);
    at->random->fds[at->random->n_watches++] = fd; /* open to the end */
    if (watch)
        KEEP(watches, watch);
}

static void take_ack(struct at *at)
{
    hop_late_ack *ack = hop_event_take_ack(at->event);
    hop_late_ack **place = &at->random->acks[below(at, RING)];

    hop_late_ack_free(*place);
    *place = ack;
}

/* It is given up by what is done with it. */
static hop_late_ack *late_ack(struct at *at)
{
    hop_late_ack **place = &at->random->acks[below(at, RING)], *ack = *place;

    if (at->is_elsewhere)
        return NULL;
    *place = NULL;
    return ack;
}

static void options_call(struct at *at)
{
    const hop_on_options options = {.size = (size_t)below(at, 64),
                                    .phase = (hop_phase)below(at, 5),
                                    .before = text(at),
                                    .after = text(at),
                                    .nsp = text(at)};

    hop_on_with(SERVER, text(at), on_event, SELF, &options);
    hop_on_any_with(SERVER, on_event, SELF, &options);
}

static void slot_call(struct at *at)
{
    const hop_slot_options options = {.size = sizeof options,
                                      .on = (hop_slot_on)below(at, 9),
                                      .name = text(at),
                                      .free = free};

    hop_slot_new_with(SERVER, &options);
}

static void metric_call(struct at *at)
{
    const hop_metric_options options = {.size = sizeof options, .name = text(at)};

    hop_metric_new(SERVER, &options);
}

static hop_metric metric(struct at *at)
{
    return below(at, 8) == 0 ? (hop_metric)roll(at)
                             : hop_metric_of(at->random->metric[below(at, 3)], NUMBER);
}

static void unpack(struct at *at)
{
    const char *word;

    hop_event_unpack(at->event, "[s]", &word);
    hop_event_unpack(at->event, "nonsense");
}

/* ---- the functions */

#define UNUSED(value) ((void)(value))
static size_t len;
static const char *name_at;

/* What needs nothing but the server. R: rare, for what ends or disconnects. */
#define ANYWHERE(X, R)                                                                   \
    X(hop_emit, hop_emit(target(at), text(at), json(at)))                                \
    X(hop_send, hop_send(target(at), json(at)))                                          \
    X(hop_emit_args, hop_emit_args(target(at), text(at), args(at)))                      \
    X(hop_emit_with_ack,                                                                 \
      hop_emit_with_ack(SERVER, SOCKET, text(at), json(at), ms(at), on_ack, SELF))       \
    X(hop_emit_args_with_ack, hop_emit_args_with_ack(SERVER, SOCKET, text(at), args(at), \
                                                     ms(at), on_answer, SELF))           \
    X(hop_emit_with_acks,                                                                \
      hop_emit_with_acks(target(at), text(at), json(at), ms(at), on_answers, SELF))      \
    X(hop_emit_args_with_acks,                                                           \
      hop_emit_args_with_acks(target(at), text(at), args(at), ms(at), on_answers, SELF)) \
    X(hop_to_all, UNUSED(hop_to_all(SERVER)))                                            \
    X(hop_to_room, UNUSED(hop_to_room(SERVER, text(at))))                                \
    X(hop_to_socket, UNUSED(hop_to_socket(SERVER, SOCKET)))                              \
    X(hop_to_namespace, UNUSED(hop_to_namespace(SERVER, text(at))))                      \
    X(hop_to_room_in, UNUSED(hop_to_room_in(SERVER, text(at), text(at))))                \
    X(hop_and_room, UNUSED(hop_and_room(target(at), text(at))))                          \
    X(hop_except, hop_emit(hop_except(target(at), SOCKET), "x", NULL))                   \
    X(hop_except_room, hop_emit(hop_except_room(target(at), text(at)), "x", NULL))       \
    X(hop_volatile, hop_emit(hop_volatile(target(at)), "x", NULL))                       \
    X(hop_compress, hop_emit(hop_compress(target(at), false), "x", NULL))                \
    X(hop_local, hop_emit(hop_local(target(at)), "x", NULL))                             \
    X(hop_target_sockets, UNUSED(hop_target_sockets(target(at), &len)))                  \
    X(hop_target_join, hop_target_join(target(at), text(at)))                            \
    X(hop_target_leave, hop_target_leave(target(at), text(at)))                          \
    R(hop_target_disconnect,                                                             \
      hop_target_disconnect(target(at), (hop_close_mode)below(at, 3)))                   \
    X(hop_server_emit, hop_server_emit(SERVER, text(at), json(at)))                      \
    X(hop_server_emit_with_acks,                                                         \
      hop_server_emit_with_acks(SERVER, text(at), json(at), ms(at), on_server_answers,   \
                                SELF))                                                   \
    X(hop_peer_send,                                                                     \
      hop_peer_send(SERVER, PEER, (hop_message_kind)below(at, 3), "x", 1))               \
    R(hop_peer_close, hop_peer_close(SERVER, PEER, (int)below(at, 5000), text(at)))      \
    X(hop_peer_is_open, hop_peer_is_open(SERVER, PEER))                                  \
    X(hop_peer_address, UNUSED(hop_peer_address(SERVER, PEER)))                          \
    X(hop_peer_set, hop_peer_set(SERVER, PEER, NULL))                                    \
    X(hop_peer_get, UNUSED(hop_peer_get(SERVER, PEER)))                                  \
    X(hop_late_ack_send, hop_late_ack_send(late_ack(at), json(at)))                      \
    X(hop_late_ack_send_args, hop_late_ack_send_args(late_ack(at), args(at)))            \
    X(hop_late_ack_free, hop_late_ack_free(late_ack(at)))                                \
    X(hop_event_resume,                                                                  \
      hop_event_resume(SERVER, DEFERRAL, (hop_verdict)below(at, 8), text(at), text(at))) \
    X(hop_event_resume_replace, hop_event_resume_replace(SERVER, DEFERRAL, args(at)))    \
    X(hop_connect_resume, hop_connect_resume(SERVER, DEFERRAL, text(at), json(at)))      \
    X(hop_handshake_of, UNUSED(hop_handshake_of(SERVER, DEFERRAL)))                      \
    X(hop_handshake_resume, hop_handshake_resume(SERVER, DEFERRAL, text(at)))            \
    X(hop_command_resume, hop_command_resume(SERVER, DEFERRAL, json(at), text(at)))      \
    X(hop_health_set,                                                                    \
      hop_health_set(below(at, 4) ? at->random->health : (hop_health)roll(at),           \
                     (hop_health_state)below(at, 4), text(at)))                          \
    X(hop_job_start, start_job(at))                                                      \
    X(hop_job_cancel, hop_job_cancel(SERVER, handle(at, at->random->jobs)))              \
    X(hop_job_is_cancelled, hop_job_is_cancelled())                                      \
    X(hop_log, hop_log(HOP_DEBUG, "random.says text=\"%s\"", "x"))                       \
    X(hop_log_enabled, hop_log_enabled((hop_log_level)below(at, 5)))                     \
    X(hop_socket_log_field, hop_socket_log_field(SERVER, SOCKET, text(at), text(at)))    \
    X(hop_metric_of, UNUSED(metric(at)))                                                 \
    X(hop_metric_add, hop_metric_add(metric(at), (double)below(at, 9) - 1))              \
    X(hop_metric_set, hop_metric_set(metric(at), (double)below(at, 9) - 1))              \
    X(hop_metric_observe, hop_metric_observe(metric(at), (double)below(at, 9) - 1))      \
    X(hop_socket_namespace, UNUSED(hop_socket_namespace(SERVER, SOCKET)))                \
    X(hop_socket_find, hop_socket_find(SERVER, text(at)))                                \
    X(hop_socket_find_in, hop_socket_find_in(SERVER, text(at), text(at)))                \
    X(hop_socket_handshake, json_decref(hop_socket_handshake(SERVER, SOCKET)))           \
    X(hop_socket_auth, json_decref(hop_socket_auth(SERVER, SOCKET)))                     \
    X(hop_socket_query, json_decref(hop_socket_query(SERVER, SOCKET, text(at))))         \
    X(hop_socket_is_connected, hop_socket_is_connected(SERVER, SOCKET))                  \
    X(hop_socket_id, UNUSED(hop_socket_id(SERVER, SOCKET)))                              \
    X(hop_socket_address, UNUSED(hop_socket_address(SERVER, SOCKET)))                    \
    X(hop_socket_join, hop_socket_join(SERVER, SOCKET, text(at)))                        \
    X(hop_socket_leave, hop_socket_leave(SERVER, SOCKET, text(at)))                      \
    X(hop_socket_in_room, hop_socket_in_room(SERVER, SOCKET, text(at)))                  \
    X(hop_socket_room, UNUSED(hop_socket_room(SERVER, SOCKET, NUMBER)))                  \
    R(hop_socket_disconnect,                                                             \
      hop_socket_disconnect(SERVER, SOCKET, (hop_close_mode)below(at, 3)))               \
    X(hop_socket_data, UNUSED(hop_socket_data(SERVER, SOCKET)))                          \
    X(hop_socket_set, keep_value(at, set_on_socket))                                     \
    X(hop_socket_get, UNUSED(hop_socket_get(SERVER, SOCKET, slot(at))))                  \
    X(hop_server_set, keep_value(at, set_on_server))                                     \
    X(hop_server_get, UNUSED(hop_server_get(SERVER, slot(at))))                          \
    X(hop_namespace_set, keep_value(at, set_on_namespace))                               \
    X(hop_namespace_get, UNUSED(hop_namespace_get(SERVER, text(at), slot(at))))          \
    X(hop_room_set, keep_value(at, set_on_room))                                         \
    X(hop_room_get, UNUSED(hop_room_get(SERVER, text(at), text(at), slot(at))))          \
    X(hop_member_set, keep_value(at, set_on_member))                                     \
    X(hop_member_get, UNUSED(hop_member_get(SERVER, SOCKET, text(at), slot(at))))        \
    X(hop_user_set, keep_value(at, set_on_user))                                         \
    X(hop_user_get, UNUSED(hop_user_get(SERVER, USER, slot(at))))                        \
    X(hop_user_new, KEEP(users, hop_user_new(SERVER, text(at))))                         \
    X(hop_user_end, hop_user_end(SERVER, USER))                                          \
    X(hop_user_name, UNUSED(hop_user_name(SERVER, USER)))                                \
    X(hop_socket_set_user, hop_socket_set_user(SERVER, SOCKET, USER))                    \
    X(hop_socket_user, KEEP(users, hop_socket_user(SERVER, SOCKET)))                     \
    X(hop_user_socket, hop_user_socket(SERVER, USER, NUMBER))                            \
    X(hop_timer_once, start_timer(at, false))                                            \
    X(hop_timer_every, start_timer(at, true))                                            \
    X(hop_timer_cancel, hop_timer_cancel(SERVER, handle(at, at->random->timers)))        \
    X(hop_watch_new, start_watch(at))                                                    \
    X(hop_watch_set,                                                                     \
      hop_watch_set(SERVER, handle(at, at->random->watches), (unsigned)below(at, 8)))    \
    X(hop_watch_free, hop_watch_free(SERVER, handle(at, at->random->watches)))           \
    X(hop_post, hop_post(SERVER, on_post, SELF))                                         \
    X(hop_error_set, hop_error_set(&(hop_error){""}, "%s", "x"))                         \
    /* What is for init() alone, called too late. */                                     \
    X(hop_on, hop_on(SERVER, text(at), on_event, SELF))                                  \
    X(hop_on_with, options_call(at))                                                     \
    X(hop_on_any, hop_on_any(SERVER, on_event, SELF))                                    \
    X(hop_on_any_with, options_call(at))                                                 \
    X(hop_on_connect, hop_on_connect(SERVER, on_connect, SELF))                          \
    X(hop_on_disconnect, hop_on_disconnect(SERVER, on_disconnect, SELF))                 \
    X(hop_on_join, hop_on_join(SERVER, on_room, SELF))                                   \
    X(hop_on_leave, hop_on_leave(SERVER, on_room, SELF))                                 \
    X(hop_on_connect_in, hop_on_connect_in(SERVER, text(at), on_connect, SELF))          \
    X(hop_on_disconnect_in, hop_on_disconnect_in(SERVER, text(at), on_disconnect, SELF)) \
    X(hop_on_join_in, hop_on_join_in(SERVER, text(at), on_room, SELF))                   \
    X(hop_on_leave_in, hop_on_leave_in(SERVER, text(at), on_room, SELF))                 \
    X(hop_on_namespace, hop_on_namespace(SERVER, text(at), on_space, SELF))              \
    X(hop_on_any_outgoing, hop_on_any_outgoing(SERVER, on_outgoing, SELF))               \
    X(hop_on_server_event, hop_on_server_event(SERVER, text(at), on_server_event, SELF)) \
    X(hop_on_handshake, hop_on_handshake(SERVER, text(at), on_handshake, SELF))          \
    X(hop_on_connection_error,                                                           \
      hop_on_connection_error(SERVER, text(at), on_error, SELF))                         \
    X(hop_use, hop_use(SERVER, text(at), on_middleware, SELF))                           \
    X(hop_namespace, hop_namespace(SERVER, text(at)))                                    \
    X(hop_namespace_pattern, hop_namespace_pattern(SERVER, text(at)))                    \
    X(hop_namespace_hook, hop_namespace_hook(SERVER, text(at), on_accept, SELF))         \
    X(hop_want_handshake, hop_want_handshake(SERVER))                                    \
    X(hop_route, hop_route(SERVER, text(at), text(at), on_route, SELF))                  \
    X(hop_static, hop_static(SERVER, text(at), text(at)))                                \
    X(hop_websocket, hop_websocket(SERVER, text(at), &endpoint, SELF))                   \
    X(hop_engine, hop_engine(SERVER, text(at), &endpoint, SELF))                         \
    X(hop_command, hop_command(SERVER, text(at), text(at), text(at), on_command, SELF))  \
    X(hop_counter, hop_counter(SERVER, text(at), text(at)))                              \
    X(hop_gauge, hop_gauge(SERVER, text(at), text(at)))                                  \
    X(hop_histogram, hop_histogram(SERVER, text(at), text(at), NULL, NUMBER))            \
    X(hop_metric_new, metric_call(at))                                                   \
    X(hop_health_new, hop_health_new(SERVER, text(at)))                                  \
    X(hop_slot_new, hop_slot_new(SERVER, free))                                          \
    X(hop_slot_new_with, slot_call(at))                                                  \
    X(hop_provide, hop_provide(SERVER, text(at), SELF, NUMBER))                          \
    X(hop_require, UNUSED(hop_require(SERVER, text(at), NUMBER)))                        \
    X(hop_fail, hop_fail(SERVER, "%s", "too late"))                                      \
    X(hop_args_new, hop_args_free(args(at)))

#define WITH_ARGS(X)                                                                     \
    X(hop_args_begin_object, hop_args_begin_object(at->args))                            \
    X(hop_args_begin_array, hop_args_begin_array(at->args))                              \
    X(hop_args_key, hop_args_key(at->args, text(at)))                                    \
    X(hop_args_end, hop_args_end(at->args))                                              \
    X(hop_args_string, hop_args_string(at->args, text(at)))                              \
    X(hop_args_json, hop_args_json(at->args, json(at)))                                  \
    X(hop_args_binary, hop_args_binary(at->args, "\1\2", NUMBER % 3))                    \
    X(hop_args_free, hop_args_free(hop_args_new()))

#define WITH_EVENT(X)                                                                    \
    X(hop_event_name, UNUSED(hop_event_name(at->event)))                                 \
    X(hop_event_n_args, hop_event_n_args(at->event))                                     \
    X(hop_event_raw, UNUSED(hop_event_raw(at->event, NUMBER, &len)))                     \
    X(hop_event_n_attachments, hop_event_n_attachments(at->event))                       \
    X(hop_event_attachment, UNUSED(hop_event_attachment(at->event, NUMBER, &len)))       \
    X(hop_event_binary, UNUSED(hop_event_binary(at->event, NUMBER, &len)))               \
    X(hop_event_args, UNUSED(hop_event_args(at->event)))                                 \
    X(hop_event_unpack, unpack(at))                                                      \
    X(hop_event_has_ack, hop_event_has_ack(at->event))                                   \
    X(hop_event_ack, hop_event_ack(at->event, json(at)))                                 \
    X(hop_event_ack_args, hop_event_ack_args(at->event, args(at)))                       \
    X(hop_reject, hop_reject(at->event, text(at), text(at)))                             \
    X(hop_replace, hop_replace(at->event, args(at)))                                     \
    X(hop_event_take_ack, take_ack(at))                                                  \
    X(hop_event_defer, KEEP(deferrals, hop_event_defer(at->event, ms(at))))              \
    X(hop_args_raw, with_raw(at, false))                                                 \
    X(hop_args_raw_from, with_raw(at, true))

#define WITH_CONNECT(X)                                                                  \
    X(hop_connect_namespace, UNUSED(hop_connect_namespace(at->connect)))                 \
    X(hop_connect_auth, UNUSED(hop_connect_auth(at->connect)))                           \
    X(hop_connect_query, json_decref(hop_connect_query(at->connect, text(at))))          \
    X(hop_connect_headers, json_decref(hop_connect_headers(at->connect)))                \
    X(hop_connect_reject, hop_connect_reject(at->connect, text(at), json(at)))           \
    X(hop_connect_defer, KEEP(deferrals, hop_connect_defer(at->connect, ms(at))))

#define WITH_HANDSHAKE(X)                                                                \
    X(hop_handshake_request, UNUSED(hop_handshake_request(at->handshake)))               \
    X(hop_handshake_address, UNUSED(hop_handshake_address(at->handshake)))               \
    X(hop_handshake_transport, UNUSED(hop_handshake_transport(at->handshake)))           \
    X(hop_handshake_set_id, hop_handshake_set_id(at->handshake, text(at)))               \
    X(hop_handshake_add_header,                                                          \
      hop_handshake_add_header(at->handshake, (hop_response)below(at, 3), text(at),      \
                               text(at)))                                                \
    X(hop_handshake_reject, hop_handshake_reject(at->handshake, text(at)))               \
    X(hop_handshake_defer, KEEP(deferrals, hop_handshake_defer(at->handshake, ms(at))))

#define WITH_REQUEST(X)                                                                  \
    X(hop_request_path, UNUSED(hop_request_path(at->request)))                           \
    X(hop_request_query, UNUSED(hop_request_query(at->request)))                         \
    X(hop_request_header, UNUSED(hop_request_header(at->request, "host")))               \
    X(hop_request_header_at,                                                             \
      UNUSED(hop_request_header_at(at->request, NUMBER, &name_at)))                      \
    X(hop_request_body, UNUSED(hop_request_body(at->request, &len)))                     \
    X(hop_respond, hop_respond(at->request, (int)below(at, 700), text(at), "x", 1))

#define WITH_OUTGOING(X)                                                                 \
    X(hop_outgoing_name, UNUSED(hop_outgoing_name(at->outgoing)))                        \
    X(hop_outgoing_raw, UNUSED(hop_outgoing_raw(at->outgoing, &len)))                    \
    X(hop_outgoing_args, UNUSED(hop_outgoing_args(at->outgoing)))                        \
    X(hop_outgoing_target, UNUSED(hop_outgoing_target(at->outgoing)))                    \
    X(hop_outgoing_has_ack, hop_outgoing_has_ack(at->outgoing))

#define WITH_ANSWER(X)                                                                   \
    X(hop_answer_socket, hop_answer_socket(at->answer))                                  \
    X(hop_answer_id, UNUSED(hop_answer_id(at->answer)))                                  \
    X(hop_answer_status, hop_answer_status(at->answer))                                  \
    X(hop_answer_args, UNUSED(hop_answer_args(at->answer)))                              \
    X(hop_answer_n_args, hop_answer_n_args(at->answer))                                  \
    X(hop_answer_raw, UNUSED(hop_answer_raw(at->answer, NUMBER, &len)))                  \
    X(hop_answer_n_attachments, hop_answer_n_attachments(at->answer))                    \
    X(hop_answer_attachment, UNUSED(hop_answer_attachment(at->answer, NUMBER, &len)))    \
    X(hop_answer_binary, UNUSED(hop_answer_binary(at->answer, NUMBER, &len)))            \
    X(hop_args_answer, with_answer(at, false))                                           \
    X(hop_args_answer_from, with_answer(at, true))

#define WITH_ANSWERS(X)                                                                  \
    X(hop_answers_n, hop_answers_n(at->answers))                                         \
    X(hop_answers_n_missing, hop_answers_n_missing(at->answers))                         \
    X(hop_answers_at, UNUSED(hop_answers_at(at->answers, NUMBER)))

#define WITH_SERVER_EVENT(X)                                                             \
    X(hop_server_event_name, UNUSED(hop_server_event_name(at->server_event)))            \
    X(hop_server_event_args, UNUSED(hop_server_event_args(at->server_event)))            \
    X(hop_server_event_is_own, hop_server_event_is_own(at->server_event))                \
    X(hop_server_event_ack, hop_server_event_ack(at->server_event, json(at)))

#define WITH_SERVER_ANSWERS(X)                                                           \
    X(hop_server_answers_n, hop_server_answers_n(at->server_answers))                    \
    X(hop_server_answers_n_missing, hop_server_answers_n_missing(at->server_answers))    \
    X(hop_server_answers_at, UNUSED(hop_server_answers_at(at->server_answers, NUMBER)))

#define WITH_COMMAND(X)                                                                  \
    X(hop_command_answer, hop_command_answer(at->command, json(at)))                     \
    X(hop_command_fail, hop_command_fail(at->command, "%s", "no"))                       \
    X(hop_command_defer, KEEP(deferrals, hop_command_defer(at->command, ms(at))))

#define WITH_OWNER(X)                                                                    \
    X(hop_owner_socket, hop_owner_socket(at->owner))                                     \
    X(hop_owner_user, hop_owner_user(at->owner))

static const hop_endpoint endpoint = {HOP_ENDPOINT, .on_open = on_open,
                                      .on_message = on_message, .on_close = on_close};

static void with_raw(struct at *at, bool is_from)
{
    hop_args *made = hop_args_new();

    (is_from ? hop_args_raw_from : hop_args_raw)(made, at->event, NUMBER);
    hop_emit_args(target(at), text(at), made);
}

static void with_answer(struct at *at, bool is_from)
{
    hop_args *made = hop_args_new();

    (is_from ? hop_args_answer_from : hop_args_answer)(made, at->answer, NUMBER);
    hop_emit_args(target(at), text(at), made);
}

struct function {
    const char *name;
    void (*call)(struct at *at);
    bool is_rare;
};

#define DEFINE(name, expression)                                                         \
    static void call_##name(struct at *at)                                               \
    {                                                                                    \
        (void)at;                                                                        \
        expression;                                                                      \
    }
ANYWHERE(DEFINE, DEFINE)
WITH_ARGS(DEFINE)
WITH_EVENT(DEFINE)
WITH_CONNECT(DEFINE)
WITH_HANDSHAKE(DEFINE)
WITH_REQUEST(DEFINE)
WITH_OUTGOING(DEFINE)
WITH_ANSWER(DEFINE)
WITH_ANSWERS(DEFINE)
WITH_SERVER_EVENT(DEFINE)
WITH_SERVER_ANSWERS(DEFINE)
WITH_COMMAND(DEFINE)
WITH_OWNER(DEFINE)

#define ROW(name, expression) {#name, call_##name, false},
#define RARE_ROW(name, expression) {#name, call_##name, true},
static const struct function anywhere[] = {ANYWHERE(ROW, RARE_ROW)};
static const struct function with_args[] = {WITH_ARGS(ROW)};
static const struct function with_event[] = {WITH_EVENT(ROW)};
static const struct function with_connect[] = {WITH_CONNECT(ROW)};
static const struct function with_handshake[] = {WITH_HANDSHAKE(ROW)};
static const struct function with_request[] = {WITH_REQUEST(ROW)};
static const struct function with_outgoing[] = {WITH_OUTGOING(ROW)};
static const struct function with_answer_[] = {WITH_ANSWER(ROW)};
static const struct function with_answers[] = {WITH_ANSWERS(ROW)};
static const struct function with_server_event[] = {WITH_SERVER_EVENT(ROW)};
static const struct function with_server_answers[] = {WITH_SERVER_ANSWERS(ROW)};
static const struct function with_command[] = {WITH_COMMAND(ROW)};
static const struct function with_owner[] = {WITH_OWNER(ROW)};

#define LIST(table)                                                                      \
    {                                                                                    \
        table, sizeof(table) / sizeof *(table)                                           \
    }
static const struct list {
    const struct function *functions;
    size_t n;
} lists[] = {LIST(anywhere),          LIST(with_args),           LIST(with_event),
             LIST(with_connect),      LIST(with_handshake),      LIST(with_request),
             LIST(with_outgoing),     LIST(with_answer_),        LIST(with_answers),
             LIST(with_server_event), LIST(with_server_answers), LIST(with_command),
             LIST(with_owner)};

enum { N_LISTS = sizeof lists / sizeof *lists };

/* Of a call: which list is for the object at hand; the first is for all. */
static const struct list *list_of(const struct at *at)
{
    const void *const objects[N_LISTS] = {NULL,
                                          NULL,
                                          at->event,
                                          at->connect,
                                          at->handshake,
                                          at->request,
                                          at->outgoing,
                                          at->answer,
                                          at->answers,
                                          at->server_event,
                                          at->server_answers,
                                          at->command,
                                          at->owner};

    for (size_t i = 0; i < N_LISTS; i++)
        if (objects[i])
            return &lists[i];
    return &lists[0];
}

static void call_one(struct at *at, const struct list *list)
{
    const struct function *function = &list->functions[below(at, list->n)];

    if (function->is_rare && below(at, 50) != 0)
        return;
    at->random->n_rolled++;
    function->call(at);
}

static hop_args *args(struct at *at)
{
    struct at inner = *at;

    inner.args = hop_args_new();
    for (uint64_t n = below(at, 6); n > 0; n--)
        call_one(&inner, &lists[1]);
    return inner.args;
}

/* A few calls from a callback, unless that lies within others. */
static void some(struct at *at)
{
    struct random *random = at->random;

    if (at->is_elsewhere) {
        call_one(at, &lists[0]);
        return;
    }
    if (random->depth >= DEEPEST)
        return;
    random->depth++;
    for (uint64_t n = below(at, 4); n > 0; n--)
        call_one(at, below(at, 2) ? list_of(at) : &lists[0]);
    random->depth--;
}

/* ---- what the test asks for */

static hop_verdict on_roll(hop_socket socket, hop_event *event, void *self)
{
    static const hop_verdict verdicts[] = {HOP_NEXT, HOP_STOP, HOP_STOP, HOP_DEFER};
    struct at at = from(self);

    at.event = event;
    json_int_t n = 0;

    (void)socket;
    hop_event_unpack(event, "[I]", &n);
    at.random->depth++;
    for (; n > 0; n--)
        call_one(&at, below(&at, 3) ? &lists[0] : &lists[2]);
    at.random->depth--;
    return below(&at, 20) == 0 ? (hop_verdict)roll(&at) : verdicts[below(&at, 4)];
}

static void on_rolled(hop_request *request, void *self)
{
    const struct random *random = self;
    char digits[32];

    snprintf(digits, sizeof digits, "%lld", (long long)random->n_rolled);
    hop_respond(request, 200, "text/plain", digits, strlen(digits));
}

static void on_names(hop_request *request, void *self)
{
    char names[16384];
    size_t at = 0;

    (void)self;
    for (size_t i = 0; i < N_LISTS; i++)
        for (size_t j = 0; j < lists[i].n && at < sizeof names; j++)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s\n",
                                   lists[i].functions[j].name);
    hop_respond(request, 200, "text/plain", names, at);
}

static int random_init(hop_server *server, void *self)
{
    static const double bounds[] = {1, 2};
    struct random *random = self;

    random->server = server;
    random->state = (uint64_t)random->seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < KINDS; i++)
        random->slot[i] = hop_slot_new_with(
            server, &(hop_slot_options){.size = sizeof(hop_slot_options),
                                        .on = (hop_slot_on)i,
                                        .name = "value",
                                        .free = free,
                                        .save = save_value,
                                        .restore = restore_value,
                                        .self = random});
    random->metric[0] = hop_counter(server, "rolls_total", "counted");
    random->metric[1] = hop_gauge(server, "level", "set");
    random->metric[2] = hop_histogram(server, "seconds", "observed", bounds, 2);
    random->health = hop_health_new(server, "luck");
    hop_want_handshake(server);
    hop_namespace_hook(server, "random", on_accept, random);
    hop_on_any(server, on_event, random);
    hop_on(server, "roll", on_roll, random);
    hop_on_connect(server, on_connect, random);
    hop_on_disconnect(server, on_disconnect, random);
    hop_on_join(server, on_room, random);
    hop_on_leave(server, on_room, random);
    hop_on_namespace(server, "random", on_space, random);
    hop_on_any_outgoing(server, on_outgoing, random);
    hop_on_server_event(server, "a", on_server_event, random);
    hop_on_handshake(server, NULL, on_handshake, random);
    hop_on_connection_error(server, NULL, on_error, random);
    hop_use(server, "/", on_middleware, random);
    hop_route(server, "GET", "/random", on_route, random);
    hop_route(server, "GET", "/rolled", on_rolled, random);
    hop_route(server, "GET", "/names", on_names, random);
    hop_websocket(server, "/raw", &endpoint, random);
    hop_command(server, "roll", "", "at random", on_command, random);
    return 0;
}

static void random_free(void *self)
{
    struct random *random = self;

    for (int i = 0; i < RING; i++)
        hop_late_ack_free(random->acks[i]);
    for (int i = 0; i < random->n_watches; i++)
        close(random->fds[i]);
}

static const hop_config_key random_keys[] = {
    HOP_INT(struct random, seed, "seed", 1, 0, INT64_MAX, "what the calls follow from"),
    HOP_KEYS_END,
};

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("random", "1.0", "calls at random"),
    .state_size = sizeof(struct random),
    .keys = random_keys,
    .init = random_init,
    .free = random_free,
};
