/*
 * hub.c - the logic half of Socket.IO: takes what the shards send, and is what the plugin
 * layer calls.
 *
 * Called by: core/plugin (hub_*), core/daemon.c (start, stop), and through lanes by the
 * shards' half (hub_take_*). Targets: target.c; emits and acks: emit.c. Thread: logic.
 */
#include "core/socketio/hub.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/ack.h"
#include "core/socketio/emit.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/packet.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

/* ---- making and releasing */

static void on_turn_end(void *arg)
{
    struct hub *hub = arg;

    emitter_end_turn(&hub->emitter);
    namespaces_end_turn(&hub->spaces);
}

struct hub *hub_new(struct loops *loops, const struct settings *settings)
{
    struct hub *hub = mem_calloc(1, sizeof *hub);

    hub->loops = loops;
    hub->loop = loops->logic;
    hub->parser = (enum sio_parser)settings->parser;
    /* In MessagePack, python-socketio answers an id of 0 without an id. */
    hub->acks.next_id = hub->parser == PARSER_MSGPACK ? 1 : 0;
    hub->max_kept_bytes = settings->max_queue_bytes;
    hub->max_rooms = (uint32_t)settings->max_rooms;
    hub->max_attachments = (size_t)settings->max_attachments;
    hub->acks.max = (size_t)settings->max_acks;
    hub->acks.max_bytes = settings->max_answer_bytes;
    slots_init(&hub->sockets, 0);
    hub->max_client_namespaces = (size_t)settings->max_client_namespaces;
    namespaces_init(&hub->spaces, hub, settings);
    /* Hooks of namespaces that go may emit: before this turn's records are published. */
    loop_on_stage(hub->loop, LOOP_PACK, on_turn_end, hub);
    return hub;
}

void hub_free(struct hub *hub)
{
    if (!hub)
        return;
    hub_shutdown(hub);
    clients_done(&hub->clients);
    emitter_end_turn(&hub->emitter);
    namespaces_done(&hub->spaces);
    slots_done(&hub->sockets);
    free(hub->room_numbers.free);
    emitter_done(&hub->emitter);
    free(hub);
}

void hub_set_upper(struct hub *hub, const struct hub_upper *upper)
{
    hub->upper = *upper;
}

void hub_set_shards(struct hub *hub, struct sio *const *shards)
{
    memcpy(hub->shard, shards, hub->loops->n_shards * sizeof *shards);
}

void hub_shutdown(struct hub *hub)
{
    hub->is_stopping = true;
    for (uint32_t i = 0; i < hub->sockets.n; i++) {
        struct socket *socket = slots_at(&hub->sockets, i);

        if (socket)
            socket_close(socket, session_end_word(SESSION_SHUTDOWN));
    }
    acks_end(hub); /* those that asked nobody */
}

/* ---- namespaces */

int hub_declare(struct hub *hub, const char *name)
{
    return namespace_is_name(name, strlen(name))
               ? namespaces_declare(&hub->spaces, hub, name)
               : -1;
}

int hub_declare_pattern(struct hub *hub, const char *pattern, hop_error *error)
{
    return namespaces_declare_pattern(&hub->spaces, pattern, error);
}

int hub_declare_hook(struct hub *hub, const char *label,
                     bool (*accept)(const struct hub_connect *connect, void *arg),
                     void *arg)
{
    return namespaces_declare_hook(&hub->spaces, label, accept, arg);
}

void hub_open_declared(struct hub *hub, int number, bool is_open)
{
    namespaces_set_open(&hub->spaces, number, is_open);
}

int hub_find_declared(const struct hub *hub, const char *name)
{
    return namespaces_find_declared(&hub->spaces, name);
}

/* ---- what the shards send */

void *hub_send_to_session(struct hub *hub, handle session, lane_work *work, size_t size,
                          size_t weight)
{
    unsigned shard = handle_shard(session);
    struct down_head *head =
        loop_send(hub->loop, hub->loops->loop[shard], work, size, weight);

    head->sio = hub->shard[shard];
    head->session = session;
    head->epoch = EPOCH_ANY;
    return head;
}

void *hub_send_down(struct hub *hub, const struct socket *socket, lane_work *work,
                    size_t size, size_t weight)
{
    struct down_head *head =
        hub_send_to_session(hub, socket->client->session, work, size, weight);

    head->epoch = socket->epoch;
    return head;
}

/* The socket of the stay that a record speaks of, open or connecting. */
static struct socket *socket_of(const struct up_head *head)
{
    const struct client *client = client_find(&head->hub->clients, head->session);
    struct socket *socket = client ? client->sockets : NULL;

    while (socket && socket->epoch != head->epoch)
        socket = socket->next_of_client;
    return socket && socket_is_alive(socket) ? socket : NULL;
}

/* The same, if it may speak: one that cannot wait for its CONNECT's reply may not. */
static struct socket *speaker(const struct up_head *head)
{
    struct socket *socket = socket_of(head);

    if (!socket || socket->state == SOCKET_OPEN)
        return socket;
    hub_close_transport(head->hub, socket->client);
    return NULL;
}

/* There was no memory for what a client asked for: better it starts anew than that it
 * waits for what will not come. */
static void close_unless_served(struct hub *hub, hop_socket which)
{
    if (mem_was_refused())
        hub_disconnect(hub, which, HOP_CLOSE_TRANSPORT);
}

static void take_event(const struct up_event *record)
{
    const struct hub_upper *upper = &record->head.hub->upper;
    const struct attachments *attachments = record->attachments;
    const struct socket *socket = speaker(&record->head);
    const char *name = (const char *)(record->spans + record->n_args);
    struct sio_event event;

    if (!socket || !upper->on_event)
        return;
    event = (struct sio_event){
        .socket = socket->handle,
        .declared = socket->nsp->declared,
        .name = name,
        .name_len = record->name_len,
        .has_ack = record->has_ack,
        .ack_id = record->ack_id,
        .n_args = record->n_args,
        .args = record->spans,
        .text = name + record->name_len + 1,
        .text_len = record->text_len,
        .n_attachments = attachments ? attachments->n : 0,
        .attachments = attachments ? attachments->at : NULL,
    };
    mem_refusal_forget();
    upper->on_event(&event, upper->arg);
    close_unless_served(record->head.hub, event.socket);
}

void hub_take_event(struct loop *to, void *payload)
{
    const struct up_event *record = payload;

    (void)to;
    take_event(record);
    attachments_free(record->attachments);
}

static void take_ack(const struct up_ack *record)
{
    const struct attachments *attachments = record->attachments;
    struct socket *socket = speaker(&record->head);
    hop_socket which;

    if (!socket || !record->has_id)
        return;
    which = socket->handle;
    mem_refusal_forget();
    ack_answer(socket, sio_id_value(record->ack_id),
               &(struct sio_args){
                   .text = record->text,
                   .len = record->text_len,
                   .n_attachments = attachments ? attachments->n : 0,
                   .attachments = attachments ? attachments->at : NULL,
               });
    close_unless_served(record->head.hub, which);
}

void hub_take_ack(struct loop *to, void *payload)
{
    const struct up_ack *record = payload;

    (void)to;
    take_ack(record);
    attachments_free(record->attachments);
}

void hub_take_disconnect(struct loop *to, void *payload)
{
    struct socket *socket = socket_of(payload);

    (void)to;
    if (socket)
        socket_close(socket, "client namespace disconnect");
}

static struct socket *first_alive(const struct client *client)
{
    struct socket *socket = client->sockets;

    while (socket && !socket_is_alive(socket))
        socket = socket->next_of_client;
    return socket;
}

/* Each close may run hooks that close others of them: so the walk starts anew. */
static void close_sockets(struct client *client, const char *reason)
{
    struct socket *socket;

    client->is_gone = true;
    while ((socket = first_alive(client)))
        socket_close(socket, reason);
}

void hub_take_closed(struct loop *to, void *payload)
{
    const struct up_closed *record = payload;
    struct hub *hub = record->head.hub;
    struct client *client = client_find(&hub->clients, record->head.session);

    (void)to;
    if (!client)
        return;
    close_sockets(client, session_end_word(record->end));
    client_free(&hub->clients, client);
}

/* ---- sockets, by handle */

bool hub_is_alive(const struct hub *hub, hop_socket which)
{
    return socket_find_alive(hub, which) != NULL;
}

bool hub_is_connected(const struct hub *hub, hop_socket which)
{
    return socket_find_open(hub, which) != NULL;
}

const char *hub_socket_id(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket_id(socket) : NULL;
}

const char *hub_socket_address(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket->client->address : NULL;
}

const char *hub_socket_namespace(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket->nsp->name : NULL;
}

int hub_socket_declared(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket->nsp->declared : -1;
}

hop_socket hub_find(const struct hub *hub, const char *nsp_name, const char *id)
{
    const struct namespace *nsp =
        namespaces_find(&hub->spaces, nsp_name, strlen(nsp_name));
    const struct socket *socket = nsp ? namespace_find_id(nsp, id, strlen(id)) : NULL;

    return socket ? socket->handle : HOP_NO_SOCKET;
}

json_t *hub_socket_data(struct hub *hub, hop_socket which)
{
    struct socket *socket = socket_find(hub, which);

    if (socket && !socket->data)
        socket->data = json_object();
    return socket ? socket->data : NULL;
}

const char *hub_socket_room(const struct hub *hub, hop_socket which, size_t n)
{
    const struct socket *socket = socket_find(hub, which);

    if (!socket || n > socket->n_rooms || socket->state == SOCKET_EMPTIED)
        return NULL;
    return n == 0 ? socket_id(socket) : socket->room[n - 1].room->name;
}

/* T16: a plugin may let its clients choose their rooms. */
static bool may_join(const struct hub *hub, const struct socket *socket, const char *name,
                     size_t len)
{
    const struct room *room;

    if (socket->n_rooms < hub->max_rooms)
        return true;
    room = namespace_find_room(socket->nsp, name, len);
    return (room && socket_in_room(socket, room)) || strcmp(name, socket_id(socket)) == 0;
}

int hub_join(struct hub *hub, hop_socket which, const char *name)
{
    struct socket *socket = socket_find_alive(hub, which);
    size_t len = strlen(name);

    if (!socket || !room_is_name(name, len) || !may_join(hub, socket, name, len))
        return -1;
    if (strcmp(name, socket_id(socket)) != 0) /* where it is anyway */
        socket_join(socket, room_get(socket->nsp, name, len));
    return 0;
}

int hub_leave(struct hub *hub, hop_socket which, const char *name)
{
    struct socket *socket = socket_find(hub, which);
    struct room *room =
        socket ? namespace_find_room(socket->nsp, name, strlen(name)) : NULL;

    return room ? socket_leave(socket, room) : -1;
}

bool hub_in_room(const struct hub *hub, hop_socket which, const char *name)
{
    const struct socket *socket = socket_find(hub, which);
    const struct room *room;

    if (!socket)
        return false;
    if (strcmp(name, socket_id(socket)) == 0)
        return true;
    room = namespace_find_room(socket->nsp, name, strlen(name));
    return room && socket_in_room(socket, room);
}

static void send_disconnect(struct socket *socket)
{
    struct sio_packet packet = {.type = SIO_DISCONNECT,
                                .nsp = socket->nsp->name,
                                .nsp_len = socket->nsp->name_len};

    emit_to_socket(socket, emit_encode(socket->nsp->hub->parser, &packet), 0);
}

void hub_close_transport(struct hub *hub, struct client *client)
{
    struct down_close *record;

    if (client->is_gone)
        return;
    record =
        hub_send_to_session(hub, client->session, link_take_close, sizeof *record, 0);
    record->end = SESSION_SERVER_FORCED;
    close_sockets(client, session_end_word(SESSION_SERVER_FORCED));
}

int hub_disconnect(struct hub *hub, hop_socket which, hop_close_mode mode)
{
    struct socket *socket = socket_find(hub, which);

    if (!socket)
        return -1;
    if (mode == HOP_CLOSE_TRANSPORT) {
        hub_close_transport(hub, socket->client);
        return 0;
    }
    if (socket->state == SOCKET_CONNECTING)
        return hub_refuse(hub, which, "disconnected", NULL);
    if (socket->state == SOCKET_OPEN) {
        send_disconnect(socket);
        socket_close(socket, "server namespace disconnect");
    }
    return 0;
}

void hub_want_slots(struct hub *hub, int n_slots)
{
    assert(n_slots >= 0 && n_slots <= SOCKET_MAX_SLOTS);
    hub->n_slots = (uint8_t)n_slots;
}

int hub_slot_set(struct hub *hub, hop_socket which, int place, void *value)
{
    struct socket *socket = socket_find(hub, which);

    return socket ? socket_slot_set(socket, place, value) : -1;
}

void *hub_slot_get(const struct hub *hub, hop_socket which, int place)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket_slot_get(socket, place) : NULL;
}

void hub_slot_exchange(struct hub *hub, hop_socket which, int place, void *value)
{
    struct socket *socket = socket_find(hub, which);

    assert(socket && place < socket->n_slots);
    socket->slot[place] = value;
}

uint32_t hub_sockets_end(const struct hub *hub)
{
    return hub->sockets.n;
}

hop_socket hub_socket_at(const struct hub *hub, uint32_t i)
{
    const struct socket *socket = slots_at(&hub->sockets, i);

    return socket ? socket->handle : HOP_NO_SOCKET;
}

/* ---- what values hang on */

bool hub_may_have_values(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket && socket->state != SOCKET_EMPTIED;
}

uint32_t hub_namespace_number(const struct hub *hub, const char *name)
{
    const struct namespace *nsp = namespaces_find(&hub->spaces, name, strlen(name));

    return nsp ? nsp->number : 0;
}

static uint32_t number_of_room(const struct namespace *nsp, const char *name)
{
    const struct room *room = namespace_find_room(nsp, name, strlen(name));

    return room ? room_number_outside(room) : 0;
}

uint32_t hub_room_number(const struct hub *hub, const char *nsp, const char *room)
{
    const struct namespace *in = namespaces_find(&hub->spaces, nsp, strlen(nsp));

    return in ? number_of_room(in, room) : 0;
}

uint32_t hub_room_of(const struct hub *hub, hop_socket which, const char *name)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? number_of_room(socket->nsp, name) : 0;
}

bool hub_is_member(const struct hub *hub, hop_socket which, const char *name)
{
    const struct socket *socket = socket_find(hub, which);
    const struct room *room =
        socket ? namespace_find_room(socket->nsp, name, strlen(name)) : NULL;

    return room && socket->state != SOCKET_CONNECTING && socket_in_room(socket, room);
}

/* ---- names */

bool sio_is_reserved(const char *event)
{
    static const char *const reserved[] = {"connect",     "connect_error",
                                           "disconnect",  "disconnecting",
                                           "newListener", "removeListener"};

    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (*event == *reserved[i] && strcmp(event, reserved[i]) == 0)
            return true;
    return false;
}
