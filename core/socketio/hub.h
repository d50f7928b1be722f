/*
 * hub.h - the logic half of Socket.IO: sockets, rooms, acks, emit. The plugin layer works
 * with this and with nothing below it. Thread: logic.
 */
#ifndef SOCKETIO_HUB_H
#define SOCKETIO_HUB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/emit.h>
#include <sockhop/socket.h>

#include "core/base/settings.h"
#include "core/loop/loop.h"
#include "core/socketio/json.h"

struct bytes;
struct hub;
struct sio;

/* Arguments: text of a JSON array, and what its placeholders stand for. Borrowed. */
struct sio_args {
    const char *text; /* "[1,2]"; NULL: none */
    size_t len;
    size_t n_attachments;
    struct bytes *const *attachments; /* placeholder "num":n is attachments[n] */
};

/* One event as it came from a shard: borrowed until the callback returns. */
struct sio_event {
    hop_socket socket;
    int declared;     /* what its namespace came about by: see hub_declare() */
    const char *name; /* NUL-terminated, escapes resolved */
    size_t name_len;
    bool has_ack;
    uint64_t ack_id; /* opaque: for hub_ack() (leading zeros stand in its top byte) */
    size_t n_args;   /* without the name */
    const struct json_span *args; /* offsets into text */
    const char *text;             /* the whole JSON array, name first; NUL behind it */
    size_t text_len;
    size_t n_attachments; /* 0: what looks like a placeholder in text is none */
    struct bytes *const *attachments; /* who keeps one longer takes a reference */
};

/* A client's answer to an emit, or why there is none: borrowed until the callback
 * returns. */
struct sio_answer {
    hop_socket socket;
    const char *id; /* its own: also where it has gone */
    hop_ack_status status;
    const char *text; /* a JSON array with a NUL behind it; NULL but for HOP_ACK_OK */
    size_t text_len;
    size_t n_attachments; /* as of struct sio_event */
    struct bytes *const *attachments;
};
typedef void sio_on_answer(const struct sio_answer *answer, void *self);
typedef void sio_on_answers(const struct sio_answer *answers, size_t n, void *self);

/* A client asks to join a namespace: borrowed until the callback returns. */
struct hub_connect {
    hop_socket socket; /* HOP_NO_SOCKET as long as the namespace itself is in question */
    const char *nsp;   /* its name: NUL-terminated */
    size_t nsp_len;
    const char *address;
    const char *auth; /* text of a JSON object; NULL: none, or nobody wants it */
    size_t auth_len;
    const struct bytes *opening; /* see opening.h; NULL where nobody wants it */
};

/* What a value of a plugin may hang on. */
enum hub_object { HUB_SOCKET, HUB_ROOM, HUB_NAMESPACE };

/* What the plugin layer is told. */
struct hub_upper {
    /* Must come to hub_accept() or hub_refuse(), at once or later. NULL: all are accepted. */
    void (*on_connecting)(const struct hub_connect *connect, void *arg);
    /* It has gone before either. */
    void (*on_abandoned)(hop_socket socket, void *arg);
    /* Clients' requests have made a namespace; it has gone again. */
    void (*on_namespace)(const char *name, int declared, bool is_made, void *arg);
    void (*on_connect)(hop_socket socket, void *arg);
    void (*on_event)(const struct sio_event *event, void *arg);
    void (*on_disconnect)(hop_socket socket, const char *reason, void *arg);
    void (*on_join)(hop_socket socket, const char *room, void *arg);
    void (*on_leave)(hop_socket socket, const char *room, void *arg);
    /* Destroys the value of a place in a socket's array. */
    void (*free_slot)(int place, void *value, void *arg);
    /* It is no more: a socket behind its hooks, by handle; a room or a namespace by number. */
    void (*on_gone)(enum hub_object kind, uint64_t which, void *arg);
    void *arg;
};

struct hub *hub_new(struct loops *loops, const struct settings *settings);
/* After all sessions have ended. Remaining acks fail, remaining sockets disconnect. */
void hub_free(struct hub *hub);
void hub_set_upper(struct hub *hub, const struct hub_upper *upper);
/* shards' halves by shard number: borrowed, only handed to lane records. */
void hub_set_shards(struct hub *hub, struct sio *const *shards);

/* Stop: every socket is disconnected with "server shutting down". From then on no socket
 * connects, and nothing is sent any more: what the hooks emit goes nowhere. */
void hub_shutdown(struct hub *hub);

/*
 * Namespaces. A declaration has a number from 0 (which is "/") on, which what is registered
 * for it goes by; a name, a pattern or a label that is declared again has the same. See
 * <sockhop/namespace.h>.
 */
enum { HUB_MAIN = 0 };
int hub_declare(struct hub *hub, const char *name); /* -1: no name of a namespace */
int hub_declare_pattern(struct hub *hub, const char *pattern, hop_error *error);
/* -1: the label is taken. */
int hub_declare_hook(struct hub *hub, const char *label,
                     bool (*accept)(const struct hub_connect *connect, void *arg),
                     void *arg);
/* Whether clients get into what it stands for; those that are in stay. At first they do, and
 * into "/" and the namespaces of the conf file always. */
void hub_open_declared(struct hub *hub, int number, bool is_open);
int hub_find_declared(const struct hub *hub, const char *name); /* -1: there is none */
/* That of the socket's namespace, or -1. */
int hub_socket_declared(const struct hub *hub, hop_socket socket);
const char *hub_socket_namespace(const struct hub *hub, hop_socket socket);

/*
 * What becomes of a socket that is connecting: it is opened, with all hooks; or the client
 * is told the message (UTF-8) and the data (JSON text; NULL: none). -1: it does not connect
 * (any more).
 */
int hub_accept(struct hub *hub, hop_socket socket);
int hub_refuse(struct hub *hub, hop_socket socket, const char *message, const char *data);

/* Before the loops run: keep the payloads of CONNECTs until it is decided, so that
 * hub_socket_auth() has them; keep them and what the first request said until the end. */
void hub_want_auth(struct hub *hub);
void hub_want_opening(struct hub *hub);
/* Borrowed until the socket goes; NULL where there is none, or nobody wants it. */
const char *hub_socket_auth(const struct hub *hub, hop_socket socket, size_t *len);
const struct bytes *hub_socket_opening(const struct hub *hub, hop_socket socket);
int64_t hub_socket_issued_ms(const struct hub *hub, hop_socket socket); /* with it only */

/*
 * Sockets: see <sockhop/socket.h> for what each promises. One that is connecting is not
 * connected: it can be asked for, given slots, put into rooms and emitted to. A socket whose disconnect hooks
 * run (or wait: more than 16 nested closes do) is not connected any more; its id, address,
 * rooms and slots can be asked for, but it joins no room.
 */
bool hub_is_connected(const struct hub *hub, hop_socket socket);
bool hub_is_alive(const struct hub *hub, hop_socket socket); /* or connects */
const char *hub_socket_id(const struct hub *hub, hop_socket socket);
const char *hub_socket_address(const struct hub *hub, hop_socket socket);
hop_socket hub_find(const struct hub *hub, const char *nsp, const char *id);
json_t *hub_socket_data(struct hub *hub, hop_socket socket);
const char *hub_socket_room(const struct hub *hub, hop_socket socket, size_t n);
int hub_join(struct hub *hub, hop_socket socket, const char *room);
int hub_leave(struct hub *hub, hop_socket socket, const char *room);
bool hub_in_room(const struct hub *hub, hop_socket socket, const char *room);
int hub_disconnect(struct hub *hub, hop_socket socket, hop_close_mode mode);
/* Sockets that come from now on have places 0 .. n_slots - 1, SOCKET_MAX_SLOTS at most. */
void hub_want_slots(struct hub *hub, int n_slots);
/* -1, NULL: no such socket, or it has no such place. */
int hub_slot_set(struct hub *hub, hop_socket socket, int place, void *value);
void *hub_slot_get(const struct hub *hub, hop_socket socket, int place);
/* Another value for the one that is there, which nobody destroys. The place has one. */
void hub_slot_exchange(struct hub *hub, hop_socket socket, int place, void *value);
/* All sockets, those that connect or close included: 0 .. end - 1, some HOP_NO_SOCKET. */
uint32_t hub_sockets_end(const struct hub *hub);
hop_socket hub_socket_at(const struct hub *hub, uint32_t i);

/* What values hang on (on_gone() tells when it is no more). Numbers are not 0, which stands
 * for: there is none. */
bool hub_may_have_values(const struct hub *hub, hop_socket socket);
uint32_t hub_namespace_number(const struct hub *hub, const char *nsp);
uint32_t hub_room_number(const struct hub *hub, const char *nsp, const char *room);
/* Of the socket's namespace: it need not be in that room. */
uint32_t hub_room_of(const struct hub *hub, hop_socket socket, const char *room);
/* In the room itself: not its own one, not while it connects. */
bool hub_is_member(const struct hub *hub, hop_socket socket, const char *room);

/* Targets and emits: see <sockhop/emit.h>. A target lives until the turn ends. */
hop_target *hub_target_all(struct hub *hub, const char *nsp);
hop_target *hub_target_room(struct hub *hub, const char *nsp, const char *room);
hop_target *hub_target_socket(struct hub *hub, hop_socket socket);
/* The arg of struct hub_upper, of the hub that the target belongs to. */
void *hub_target_owner(const hop_target *target);
void hub_target_add_room(hop_target *target, const char *room);
void hub_target_except(hop_target *target, hop_socket socket);
void hub_target_except_room(hop_target *target, const char *room);
void hub_target_set_volatile(hop_target *target);
void hub_target_set_local(hop_target *target); /* for a cluster to come */
void hub_target_compress(hop_target *target, bool may_compress);

/* What can be done with all sockets of a target that are connected now, each once. The
 * array is borrowed from the target: until the next call with it. The others return how
 * many sockets they changed; hooks may do anything meanwhile. */
const hop_socket *hub_target_sockets(hop_target *target, size_t *n);
size_t hub_target_join(hop_target *target, const char *room);
size_t hub_target_leave(hop_target *target, const char *room);
size_t hub_target_disconnect(hop_target *target, hop_close_mode mode);

/* -1: reserved event, no array, more attachments than engine.max_attachments. */
int hub_emit(hop_target *target, const char *event, const struct sio_args *args);

/* Answer an event's ack. args as in hub_emit(). -1 when the socket has gone. */
int hub_ack(struct hub *hub, hop_socket socket, uint64_t ack_id,
            const struct sio_args *args);

/* Ask one socket, or all of a target: the callback runs once unless this returns -1. */
int hub_emit_with_ack(struct hub *hub, hop_socket socket, const char *event,
                      const struct sio_args *args, int timeout_ms,
                      sio_on_answer *on_answer, void *self);
int hub_emit_with_acks(hop_target *target, const char *event, const struct sio_args *args,
                       int timeout_ms, sio_on_answers *on_answers, void *self);

/* Whether a name is one of socket.io-parser's RESERVED_EVENTS. */
bool sio_is_reserved(const char *event);

#endif
