/*
 * fakehub.h - stands in for core/socketio's hub and core/net's router and httpconn, so that
 * core/plugin and the plugins are tested without a network: clients are made by calls, and
 * what they are sent is a text to compare with.
 *
 * Included by one file of a test program, which then links none of the real ones.
 * Thread: one.
 */
#ifndef TESTS_FAKEHUB_H
#define TESTS_FAKEHUB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/engine/engine.h"
#include "core/engine/raw.h"
#include "core/loop/bytes.h"
#include "core/net/router.h"
#include "core/net/static.h"
#include "core/plugin/routes.h"
#include "core/plugin/server.h"
#include "core/plugin/state.h"
#include "core/socketio/hub.h"

enum {
    FAKE_SOCKETS = 16,
    FAKE_CHAT = 8,
    FAKE_SLOTS = 64,
    FAKE_TARGETS = 64,
    NO_ACK = -1
};

struct fake_socket {
    bool is_connected;
    bool is_leaving; /* its disconnect hooks run */
    bool is_connecting;
    const char *auth;
    char id[24];
    void *slot[FAKE_SLOTS];
    json_t *data;    /* owned */
    char rooms[256]; /* "a ", "a b ": those it is in */
};

struct hop_target {
    char text[256]; /* "all", "room:a", "socket:1"; then "-socket:2", "-room:b", "?" */
};

struct fake_ack {
    sio_on_answer *on_answer;
    sio_on_answers *on_answers;
    void *self;
    hop_socket socket;
};

/* Handles are 1 .. FAKE_SOCKETS - 1. */
static struct {
    struct hub_upper upper;
    struct fake_socket socket[FAKE_SOCKETS];
    struct hop_target target[FAKE_TARGETS];
    unsigned n_targets;
    char sent[65536]; /* a line for each emit and ack */
    struct fake_ack asked;
    bool (*accept)(const struct hub_connect *connect, void *arg); /* of the last hook */
    void *accept_arg;
    int n_routes;
} fake;

static void fake_note(const char *format, ...) HOP_PRINTF(1, 2);

/* ---- what a test does */

static inline void fake_sent_is(const char *text)
{
    assert_string_equal(fake.sent, text);
    fake.sent[0] = '\0';
}

static inline void fake_connect(hop_socket socket)
{
    struct fake_socket *one = &fake.socket[socket];

    one->is_connected = true;
    snprintf(one->id, sizeof one->id, "id%u", (unsigned)socket);
    if (fake.upper.on_connect)
        fake.upper.on_connect(socket, fake.upper.arg);
}

/* It asks to come in; auth: its payload, or NULL. */
static inline void fake_arrive(hop_socket socket, const char *auth)
{
    struct fake_socket *one = &fake.socket[socket];
    const struct hub_connect connect = {.socket = socket,
                                        .nsp = "/",
                                        .nsp_len = 1,
                                        .auth = auth,
                                        .auth_len = auth ? strlen(auth) : 0};

    one->is_connecting = true;
    one->auth = auth;
    snprintf(one->id, sizeof one->id, "id%u", (unsigned)socket);
    fake.upper.on_connecting(&connect, fake.upper.arg);
}

/* It leaves before it is in. */
static inline void fake_abandon(hop_socket socket)
{
    fake.upper.on_abandoned(socket, fake.upper.arg);
    memset(&fake.socket[socket], 0, sizeof fake.socket[socket]);
}

static inline void fake_disconnect(hop_socket socket, const char *reason)
{
    struct fake_socket *one = &fake.socket[socket];

    if (!one->is_connected || one->is_leaving)
        return;
    one->is_leaving = true;
    if (fake.upper.on_disconnect)
        fake.upper.on_disconnect(socket, reason, fake.upper.arg);
    for (int place = 0; place < FAKE_SLOTS; place++)
        if (one->slot[place])
            fake.upper.free_slot(place, one->slot[place], fake.upper.arg);
    fake.upper.on_gone(HUB_SOCKET, socket, fake.upper.arg);
    json_decref(one->data);
    memset(one, 0, sizeof *one);
}

/*
 * packet: the event's JSON array, name first. ack_id: NO_ACK for none. attachments: those
 * that came with it, NULL behind the last; NULL: none.
 */
static inline void fake_binary_event(hop_socket socket, const char *packet, int ack_id,
                                     const char *const *attachments)
{
    static const struct json_limits limits = {64, 10000};
    struct json_span spans[32];
    struct bytes *bytes[32];
    char name[256];
    struct sio_event event = {
        .socket = socket,
        .declared = hub_socket_declared(NULL, socket),
        .name = name,
        .has_ack = ack_id != NO_ACK,
        .ack_id = (uint64_t)ack_id,
        .args = spans + 1,
        .text_len = strlen(packet),
    };
    char *text = mem_strdup(packet); /* of its exact size, for the sanitizers */
    long len;
    size_t n;

    assert_int_equal(json_scan_array(text, event.text_len, &limits, spans, 32, &n),
                     JSON_OK);
    len = json_unescape(text, spans[0], name);
    assert_true(len >= 0 && n <= 32);
    event.name_len = (size_t)len;
    event.n_args = n - 1;
    event.text = text;
    event.attachments = bytes;
    for (; attachments && *attachments; attachments++)
        bytes[event.n_attachments++] = bytes_copy(*attachments, strlen(*attachments));
    fake.upper.on_event(&event, fake.upper.arg);
    for (n = 0; n < event.n_attachments; n++)
        bytes_unref(bytes[n]);
    free(text);
}

static inline void fake_event(hop_socket socket, const char *packet, int ack_id)
{
    fake_binary_event(socket, packet, ack_id, NULL);
}

/* ---- the hub's functions */

static struct fake_socket *fake_find(hop_socket socket)
{
    struct fake_socket *found = socket < FAKE_SOCKETS ? &fake.socket[socket] : NULL;

    return found && found->is_connected ? found : NULL;
}

static void fake_note(const char *format, ...)
{
    size_t len = strlen(fake.sent);
    va_list values;

    va_start(values, format);
    vsnprintf(fake.sent + len, sizeof fake.sent - len, format, values);
    va_end(values);
}

void hub_set_upper(struct hub *hub, const struct hub_upper *upper)
{
    (void)hub;
    fake.upper = *upper;
}

bool hub_is_connected(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) && !fake_find(socket)->is_leaving;
}

bool hub_is_alive(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) && !fake_find(socket)->is_leaving;
}

const char *hub_socket_id(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) ? fake_find(socket)->id : NULL;
}

const char *hub_socket_address(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) ? "127.0.0.1" : NULL;
}

/* Sockets from FAKE_CHAT on are in "/chat", the others in "/". */
static const char *fake_namespace(hop_socket socket)
{
    return socket < FAKE_CHAT ? "/" : "/chat";
}

int hub_declare(struct hub *hub, const char *name)
{
    (void)hub;
    return *name == '/' ? 1 : -1;
}

void hub_open_declared(struct hub *hub, int number, bool is_open)
{
    (void)hub;
    (void)number;
    (void)is_open;
}

int hub_declare_pattern(struct hub *hub, const char *pattern, hop_error *error)
{
    (void)hub;
    (void)pattern;
    (void)error;
    return 2;
}

int hub_declare_hook(struct hub *hub, const char *label,
                     bool (*accept)(const struct hub_connect *connect, void *arg),
                     void *arg)
{
    (void)hub;
    (void)label;
    fake.accept = accept;
    fake.accept_arg = arg;
    return 3;
}

int hub_accept(struct hub *hub, hop_socket socket)
{
    struct fake_socket *one = &fake.socket[socket];

    (void)hub;
    if (!one->is_connecting)
        return -1;
    fake_note("%u is in\n", (unsigned)socket);
    one->is_connecting = false;
    one->is_connected = true;
    if (fake.upper.on_connect)
        fake.upper.on_connect(socket, fake.upper.arg);
    return 0;
}

int hub_refuse(struct hub *hub, hop_socket socket, const char *message, const char *data)
{
    struct fake_socket *one = &fake.socket[socket];

    (void)hub;
    if (!one->is_connecting)
        return -1;
    fake_note("%u is refused: %s %s\n", (unsigned)socket, message, data ? data : "-");
    fake.upper.on_abandoned(socket, fake.upper.arg);
    memset(one, 0, sizeof *one);
    return 0;
}

void hub_want_auth(struct hub *hub)
{
    (void)hub;
}

void hub_want_opening(struct hub *hub)
{
    (void)hub;
}

const char *hub_socket_auth(const struct hub *hub, hop_socket socket, size_t *len)
{
    (void)hub;
    *len = fake.socket[socket].auth ? strlen(fake.socket[socket].auth) : 0;
    return fake.socket[socket].auth;
}

const struct bytes *hub_socket_opening(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    (void)socket;
    return NULL;
}

int64_t hub_socket_issued_ms(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    (void)socket;
    return 0;
}

int hub_find_declared(const struct hub *hub, const char *name)
{
    (void)hub;
    return strcmp(name, "/") == 0 ? HUB_MAIN : strcmp(name, "/chat") == 0 ? 1 : -1;
}

int hub_socket_declared(const struct hub *hub, hop_socket socket)
{
    return hub_find_declared(hub, fake_namespace(socket));
}

const char *hub_socket_namespace(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) || fake.socket[socket % FAKE_SOCKETS].is_connecting
               ? fake_namespace(socket)
               : NULL;
}

hop_socket hub_find(const struct hub *hub, const char *nsp, const char *id)
{
    (void)hub;
    (void)nsp;
    for (hop_socket socket = 1; socket < FAKE_SOCKETS; socket++)
        if (fake_find(socket) && strcmp(fake.socket[socket].id, id) == 0)
            return socket;
    return HOP_NO_SOCKET;
}

static char *fake_find_room(hop_socket socket, const char *room)
{
    char word[64];

    snprintf(word, sizeof word, "%s ", room);
    return strstr(fake.socket[socket].rooms, word); /* no name ends in another */
}

int hub_join(struct hub *hub, hop_socket socket, const char *room)
{
    (void)hub;
    if (!fake_find(socket))
        return -1;
    fake_note("%u joins %s\n", (unsigned)socket, room);
    if (!fake_find_room(socket, room))
        strcat(strcat(fake.socket[socket].rooms, room), " ");
    if (fake.upper.on_join)
        fake.upper.on_join(socket, room, fake.upper.arg);
    return 0;
}

int hub_leave(struct hub *hub, hop_socket socket, const char *room)
{
    char *place;

    (void)hub;
    if (!fake_find(socket))
        return -1;
    fake_note("%u leaves %s\n", (unsigned)socket, room);
    place = fake_find_room(socket, room);
    if (place)
        memmove(place, place + strlen(room) + 1, strlen(place + strlen(room) + 1) + 1);
    if (fake.upper.on_leave)
        fake.upper.on_leave(socket, room, fake.upper.arg);
    if (hub_room_number(hub, "/", room) == 0)
        fake.upper.on_gone(HUB_ROOM, (uint32_t)room[0], fake.upper.arg);
    return 0;
}

bool hub_in_room(const struct hub *hub, hop_socket socket, const char *room)
{
    const char *id = hub_socket_id(hub, socket);

    return id && (strcmp(id, room) == 0 || fake_find_room(socket, room));
}

const char *hub_socket_room(const struct hub *hub, hop_socket socket, size_t n)
{
    return n == 0 ? hub_socket_id(hub, socket) : NULL;
}

json_t *hub_socket_data(struct hub *hub, hop_socket socket)
{
    (void)hub;
    if (!fake_find(socket))
        return NULL;
    if (!fake.socket[socket].data)
        fake.socket[socket].data = json_object();
    return fake.socket[socket].data;
}

int hub_disconnect(struct hub *hub, hop_socket socket, hop_close_mode mode)
{
    (void)hub;
    if (!fake_find(socket))
        return -1;
    if (!fake_find(socket)->is_leaving)
        fake_note("%u is closed%s\n", (unsigned)socket,
                  mode == HOP_CLOSE_TRANSPORT ? " hard" : "");
    fake_disconnect(socket, "server namespace disconnect");
    return 0;
}

void hub_want_slots(struct hub *hub, int n_slots)
{
    (void)hub;
    (void)n_slots;
}

int hub_slot_set(struct hub *hub, hop_socket socket, int place, void *value)
{
    void *old;

    (void)hub;
    if (!fake_find(socket) || place < 0 || place >= FAKE_SLOTS)
        return -1;
    old = fake.socket[socket].slot[place];
    fake.socket[socket].slot[place] = value;
    if (old && old != value)
        fake.upper.free_slot(place, old, fake.upper.arg);
    return 0;
}

void *hub_slot_get(const struct hub *hub, hop_socket socket, int place)
{
    (void)hub;
    return fake_find(socket) && place >= 0 && place < FAKE_SLOTS
               ? fake.socket[socket].slot[place]
               : NULL;
}

void hub_slot_exchange(struct hub *hub, hop_socket socket, int place, void *value)
{
    (void)hub;
    fake.socket[socket].slot[place] = value;
}

uint32_t hub_sockets_end(const struct hub *hub)
{
    (void)hub;
    return FAKE_SOCKETS;
}

hop_socket hub_socket_at(const struct hub *hub, uint32_t i)
{
    (void)hub;
    return fake_find(i) ? i : HOP_NO_SOCKET;
}

bool hub_may_have_values(const struct hub *hub, hop_socket socket)
{
    (void)hub;
    return fake_find(socket) != NULL;
}

uint32_t hub_namespace_number(const struct hub *hub, const char *nsp)
{
    (void)hub;
    return strcmp(nsp, "/") == 0 ? 1 : 0;
}

/* A room is there while it has a member; its number is made of its name. */
uint32_t hub_room_number(const struct hub *hub, const char *nsp, const char *room)
{
    (void)hub;
    for (hop_socket socket = 1; strcmp(nsp, "/") == 0 && socket < FAKE_SOCKETS; socket++)
        if (fake_find_room(socket, room))
            return (uint32_t)room[0];
    return 0;
}

uint32_t hub_room_of(const struct hub *hub, hop_socket socket, const char *room)
{
    (void)hub;
    return fake_find(socket) ? (uint32_t)room[0] : 0;
}

bool hub_is_member(const struct hub *hub, hop_socket socket, const char *room)
{
    (void)hub;
    return fake_find(socket) && fake_find_room(socket, room);
}

static void fake_widen(hop_target *target, const char *kind, const char *what)
{
    size_t len = strlen(target->text);

    snprintf(target->text + len, sizeof target->text - len, "%s%s", kind, what);
}

static hop_target *fake_target(const char *kind, const char *what)
{
    hop_target *target = &fake.target[fake.n_targets++ % FAKE_TARGETS];

    snprintf(target->text, sizeof target->text, "%s%s", kind, what);
    return target;
}

hop_target *hub_target_all(struct hub *hub, const char *nsp)
{
    (void)hub;
    return fake_target("all", strcmp(nsp, "/") == 0 ? "" : nsp);
}

hop_target *hub_target_room(struct hub *hub, const char *nsp, const char *room)
{
    hop_target *target = fake_target("room:", room);

    (void)hub;
    if (strcmp(nsp, "/") != 0)
        fake_widen(target, "@", nsp);
    return target;
}

hop_target *hub_target_socket(struct hub *hub, hop_socket socket)
{
    char number[32];

    (void)hub;
    snprintf(number, sizeof number, "%u", (unsigned)socket);
    return fake_target("", number);
}

void hub_target_add_room(hop_target *target, const char *room)
{
    fake_widen(target, "+room:", room);
}

void hub_target_except(hop_target *target, hop_socket socket)
{
    char number[32];

    snprintf(number, sizeof number, "%u", (unsigned)socket);
    fake_widen(target, "-", number);
}

void hub_target_except_room(hop_target *target, const char *room)
{
    fake_widen(target, "-room:", room);
}

void hub_target_set_volatile(hop_target *target)
{
    fake_widen(target, "?", "");
}

void hub_target_set_local(hop_target *target)
{
    fake_widen(target, "@here", "");
}

void hub_target_compress(hop_target *target, bool may_compress)
{
    fake_widen(target, may_compress ? "z" : "!z", "");
}

const hop_socket *hub_target_sockets(hop_target *target, size_t *n)
{
    static const hop_socket found[] = {1, 2};

    (void)target;
    *n = 2;
    return found;
}

size_t hub_target_join(hop_target *target, const char *room)
{
    fake_note("%s joins %s\n", target->text, room);
    return 2;
}

size_t hub_target_leave(hop_target *target, const char *room)
{
    fake_note("%s leaves %s\n", target->text, room);
    return 2;
}

size_t hub_target_disconnect(hop_target *target, hop_close_mode mode)
{
    fake_note("%s is closed%s\n", target->text,
              mode == HOP_CLOSE_TRANSPORT ? " hard" : "");
    return 2;
}

static void fake_note_args(const struct sio_args *args)
{
    fake_note("%.*s", (int)args->len, args->text);
    for (size_t i = 0; i < args->n_attachments; i++)
        fake_note(" <%.*s>", (int)args->attachments[i]->len, args->attachments[i]->data);
}

int hub_emit(hop_target *target, const char *event, const struct sio_args *args)
{
    fake_note("%s %s ", target->text, event);
    fake_note_args(args);
    fake_note("\n");
    return 0;
}

int hub_ack(struct hub *hub, hop_socket socket, uint64_t ack_id,
            const struct sio_args *args)
{
    if (!hub_is_connected(hub, socket))
        return -1;
    fake_note("%u ack%u ", (unsigned)socket, (unsigned)ack_id);
    fake_note_args(args);
    fake_note("\n");
    return 0;
}

int hub_emit_with_ack(struct hub *hub, hop_socket socket, const char *event,
                      const struct sio_args *args, int timeout_ms,
                      sio_on_answer *on_answer, void *self)
{
    if (!hub_is_connected(hub, socket))
        return -1;
    fake_note("%u %s ", (unsigned)socket, event);
    fake_note_args(args);
    fake_note(" within %d\n", timeout_ms);
    fake.asked = (struct fake_ack){on_answer, NULL, self, socket};
    return 0;
}

int hub_emit_with_acks(hop_target *target, const char *event, const struct sio_args *args,
                       int timeout_ms, sio_on_answers *on_answers, void *self)
{
    fake_note("%s %s ", target->text, event);
    fake_note_args(args);
    fake_note(" within %d\n", timeout_ms);
    fake.asked = (struct fake_ack){NULL, on_answers, self, HOP_NO_SOCKET};
    return strcmp(event, "too many") == 0 ? -1 : 0;
}

void *hub_target_owner(const hop_target *target)
{
    (void)target;
    return fake.upper.arg;
}

bool sio_is_reserved(const char *event)
{
    return strcmp(event, "connect") == 0 || strcmp(event, "disconnecting") == 0;
}

/* ---- core/net, as far as routes use it: one request at a time, on connection 7 */

struct fake_http {
    struct net net;
    struct conn conn;
    bool is_gone, is_held;
    char answer[1024]; /* "200 text/plain: body" */
};
static struct fake_http fake_http;

int router_add(struct router *router, const char *method, const char *path,
               const struct http_route *route)
{
    (void)router;
    (void)method;
    (void)route;
    fake.n_routes++;
    return strcmp(path, "/taken") == 0 ? -1 : 0;
}

struct conn *http_conn(const struct httpconn *http)
{
    (void)http;
    return &fake_http.conn;
}

struct httpconn *httpconn_find(struct net *net, handle conn)
{
    assert_ptr_equal(net, &fake_http.net);
    assert_int_equal(conn, fake_http.conn.self);
    return fake_http.is_gone ? NULL : (struct httpconn *)(void *)&fake_http;
}

void http_hold(struct httpconn *http, void (*on_aborted)(struct httpconn *, void *),
               void *arg)
{
    (void)http;
    (void)arg;
    assert_non_null(on_aborted);
    fake_http.is_held = true;
}

int http_respond(struct httpconn *http, const struct http_response *response)
{
    (void)http;
    fake_http.is_held = false;
    snprintf(fake_http.answer, sizeof fake_http.answer, "%d %s: %.*s", response->status,
             response->content_type ? response->content_type : "none",
             (int)response->bytes->len, response->bytes->data);
    bytes_unref(response->bytes);
    return 0;
}

void http_respond_error(struct httpconn *http, int status, const char *reason)
{
    (void)http;
    snprintf(fake_http.answer, sizeof fake_http.answer, "%d %s", status, reason);
}

/* ---- core/net's static files: nobody ever asks for one */

struct static_files *static_new(const char *root, hop_error *error)
{
    hop_error_set(error, "%s: no folder here", root);
    return NULL;
}

bool static_is_readable(const struct static_files *files)
{
    (void)files;
    return true;
}

void static_free(struct static_files *files)
{
    assert_null(files);
}

void static_serve_below(struct static_files *files, struct httpconn *http,
                        const struct http_request *request, const char *prefix)
{
    (void)files;
    (void)http;
    (void)request;
    (void)prefix;
}

/* ---- core/engine, for endpoints: nobody ever connects to them */

struct http_route raw_route(struct engine *const *engines, const struct raw_upper *upper)
{
    (void)engines;
    (void)upper;
    return (struct http_route){0};
}

void raw_route_free(struct http_route *route)
{
    (void)route;
}

struct raw *raw_find(struct engine *engine, handle raw)
{
    (void)engine;
    (void)raw;
    return NULL;
}

handle raw_handle(const struct raw *raw)
{
    (void)raw;
    return 0;
}

struct loop *raw_loop(const struct raw *raw)
{
    (void)raw;
    return NULL;
}

void raw_send(struct raw *raw, struct outgoing *out)
{
    (void)raw;
    (void)out;
}

void raw_close(struct raw *raw, uint16_t code, const char *reason, size_t len)
{
    (void)raw;
    (void)code;
    (void)reason;
    (void)len;
}

struct engine *engine_new(struct net *net, const struct settings *settings,
                          const struct engine_upper *upper)
{
    (void)net;
    (void)settings;
    (void)upper;
    return NULL;
}

void engine_free(struct engine *engine)
{
    (void)engine;
}

void engine_shutdown(struct engine *engine)
{
    (void)engine;
}

struct net *engine_net(const struct engine *engine)
{
    (void)engine;
    return NULL;
}

/* What the engines were told to do with handshakes, and the last answer to one. */
static struct {
    struct engine_gate gate;
    struct held_handshake *answered; /* owned */
} fake_engine;

void engine_set_gate(struct engine *engine, const struct engine_gate *gate)
{
    (void)engine;
    fake_engine.gate = *gate;
}

void held_handshake_free(struct held_handshake *held)
{
    if (!held)
        return;
    free(held->message);
    free(held->id);
    free(held->first_headers);
    free(held->headers);
    free(held);
}

void engine_answer_handshake(struct held_handshake *held)
{
    held_handshake_free(fake_engine.answered);
    fake_engine.answered = held;
}

struct session *engine_find(struct engine *engine, handle session)
{
    (void)engine;
    (void)session;
    return NULL;
}

struct http_route engine_route(struct engine *const *engines, unsigned n_engines,
                               const struct settings *settings,
                               struct static_files *files)
{
    (void)engines;
    (void)n_engines;
    (void)settings;
    (void)files;
    return (struct http_route){0};
}

void engine_route_free(struct http_route *route)
{
    (void)route;
}

int router_add_prefix(struct router *router, const char *prefix,
                      const struct http_route *route)
{
    (void)router;
    (void)prefix;
    (void)route;
    return 0;
}

void session_send(struct session *session, struct outgoing *out)
{
    (void)session;
    (void)out;
}

void session_close(struct session *session, enum session_end end, const char *detail)
{
    (void)session;
    (void)end;
    (void)detail;
}

handle session_handle(const struct session *session)
{
    (void)session;
    return 0;
}

void *session_upper(const struct session *session)
{
    (void)session;
    return NULL;
}

const char *session_end_word(enum session_end end)
{
    (void)end;
    return "";
}

/* ---- a server on it */

struct fixture {
    char folder[64];
    char conf[96]; /* path of the conf file */
    struct settings settings;
    struct config *config;
    struct loops *loops;
    hop_server *server;
    hop_error error;
};

/* plugin_dir: below the build folder, or NULL. Start it with fixture_load(). */
static inline void fixture_open(struct fixture *fixture, const char *conf,
                                const char *plugin_dir)
{
    const char *build = getenv("SOCKHOP_BUILD");
    char *path = NULL;
    FILE *file;

    memset(fixture, 0, sizeof *fixture);
    memset(&fake, 0, sizeof fake);
    strcpy(fixture->folder, "/tmp/sockhop-unit-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->conf, sizeof fixture->conf, "%s/s.ini", fixture->folder);
    file = fopen(fixture->conf, "w");
    assert_non_null(file);
    assert_true(fputs(conf, file) >= 0);
    assert_int_equal(fclose(file), 0);
    fixture->config = config_load(fixture->conf, &fixture->error);
    if (!fixture->config)
        fail_msg("%s", fixture->error.text);
    assert_true(
        asprintf(&path, "%s/%s", build ? build : ".", plugin_dir ? plugin_dir : "") > 0);
    fixture->settings.plugin_dir = path;
    fixture->settings.path = "/socket.io";
    fixture->settings.max_body_bytes = 1000;
    fixture->settings.max_waiting_bytes = 2000;
    fixture->settings.jobs_timeout_ms = 30000;
    fixture->settings.n_workers = 4;
    fixture->settings.max_jobs = 2000;
    fixture->loops = loops_new(0, 1 << 20);
    fixture->server =
        server_new(fixture->loops, &fixture->settings, fixture->config, NULL, NULL);
}

static inline int fixture_load(struct fixture *fixture)
{
    return server_load_plugins(fixture->server, &fixture->error);
}

static inline void fixture_close(struct fixture *fixture)
{
    for (hop_socket socket = 1; socket < FAKE_SOCKETS; socket++)
        fake_disconnect(socket, "server shutting down");
    server_free(fixture->server);
    loops_drain(fixture->loops);
    loops_free(fixture->loops);
    config_free(fixture->config);
    unlink(fixture->conf);
    rmdir(fixture->folder);
    free((void *)(uintptr_t)fixture->settings.plugin_dir);
}

#endif
