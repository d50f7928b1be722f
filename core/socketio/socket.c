/*
 * socket.c - one client in one namespace: from its CONNECT to its last hook.
 *
 * Called by: core/socketio/hub.c. Hooks may do anything, closing this very socket and
 * others included: nothing here touches a socket after its hooks but by its state, and a
 * close that stands on the stack keeps its socket alive. Thread: logic.
 */
#include "core/socketio/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/loop/bytes.h"
#include "core/socketio/ack.h"
#include "core/socketio/emit.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/room.h"

enum {
    MAX_NESTED = 16, /* closes whose hooks close others: deeper ones wait */
    ID_BYTES = 15
};

static void count_sockets(const struct hub *hub, int n)
{
    metric_add(&hub->loop->metrics, METRIC_SOCKETS, n);
}

static void send_room(struct socket *socket, lane_work *work, const struct room *room)
{
    struct down_room *record =
        hub_send_down(socket->nsp->hub, socket, work, sizeof *record, 0);

    record->room = room->number;
}

/* ---- opening */

static void draw_id(const struct namespace *nsp, char *id)
{
    unsigned char bytes[ID_BYTES];

    do {
        random_bytes(bytes, sizeof bytes);
        base64url(bytes, sizeof bytes, id);
    } while (namespace_find_id(nsp, id, SOCKET_ID_LEN));
}

/* Returns the length. */
static size_t make_id(const struct namespace *nsp, const struct client *client, char *id)
{
    const char *engine_id = client_engine_id(client);

    if (!*engine_id) {
        draw_id(nsp, id);
        return SOCKET_ID_LEN;
    }
    if (nsp == nsp->hub->spaces.main)
        return (size_t)sprintf(id, "%s", engine_id);
    return (size_t)sprintf(id, "%s#%s", nsp->name, engine_id);
}

struct socket *socket_new(struct namespace *nsp, struct client *client, uint32_t epoch)
{
    char id[SIO_MAX_NSP + 1 + SESSION_SID_SIZE];
    size_t id_len = make_id(nsp, client, id);
    const uint8_t n_slots = nsp->hub->n_slots;
    struct socket *socket =
        mem_calloc(1, sizeof *socket + n_slots * sizeof(void *) + id_len + 1);

    socket->handle = slots_add(&nsp->hub->sockets, socket);
    if (socket->handle == HOP_NO_SOCKET) {
        free(socket);
        return NULL;
    }
    socket->nsp = nsp;
    socket->client = client;
    socket->epoch = epoch;
    socket->next_of_client = client->sockets;
    client->sockets = socket;
    socket->n_slots = n_slots;
    socket->id_len = (uint8_t)id_len;
    memcpy(socket->slot + n_slots, id, id_len + 1);
    namespace_add_socket(nsp, socket);
    return socket;
}

struct socket_entry *socket_need_entry(struct socket *socket)
{
    if (!socket->entry)
        socket->entry = mem_calloc(1, sizeof *socket->entry);
    return socket->entry;
}

static void drop_kept(struct socket_entry *entry)
{
    for (size_t i = 0; i < entry->n_kept; i++)
        bytes_unref(entry->kept[i].packet);
    free(entry->kept);
    entry->kept = NULL;
    entry->n_kept = entry->cap = entry->kept_bytes = 0;
}

static void add_kept(struct socket_entry *entry, struct bytes *packet, unsigned flags)
{
    if (entry->n_kept == entry->cap) {
        entry->cap = entry->cap ? entry->cap * 2 : 4;
        entry->kept = mem_realloc(entry->kept, entry->cap * sizeof *entry->kept);
    }
    entry->kept[entry->n_kept++] = (struct kept_packet){packet, flags};
    entry->kept_bytes += packet->len;
}

void socket_keep(struct socket *socket, struct bytes *packet, unsigned flags)
{
    const struct hub *hub = socket->nsp->hub;
    struct socket_entry *entry = socket_need_entry(socket);

    if (flags & SEND_VOLATILE) { /* what cannot be sent now is not sent */
        metric_add(&hub->loop->metrics, METRIC_VOLATILE_DROPPED, 1);
        bytes_unref(packet);
        return;
    }
    if (entry->kept_bytes + packet->len > hub->max_kept_bytes) {
        entry->is_over_limit = true;
        drop_kept(entry);
    }
    if (entry->is_over_limit)
        bytes_unref(packet);
    else
        add_kept(entry, packet, flags);
}

static void drop_entry(struct socket *socket)
{
    if (!socket->entry)
        return;
    drop_kept(socket->entry);
    free(socket->entry->auth);
    free(socket->entry);
    socket->entry = NULL;
}

static void send_kept(struct socket *socket)
{
    struct socket_entry *entry = socket->entry;

    for (size_t i = 0; i < entry->n_kept; i++) {
        bytes_ref(entry->kept[i].packet, 1);
        emit_to_socket(socket, entry->kept[i].packet, entry->kept[i].flags);
    }
    drop_kept(entry);
    if (!socket->nsp->hub->wants_opening)
        drop_entry(socket);
}

/* The rooms that it was put into while it connected: now it joins them. */
static void join_wished(struct socket *socket)
{
    struct hub *hub = socket->nsp->hub;
    hop_socket which = socket->handle;
    struct socket_room *wish = socket->room;
    uint32_t n = socket->n_rooms;

    socket->room = NULL;
    socket->n_rooms = socket->rooms_cap = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (socket_find_open(hub, which)) /* a join hook may have closed it */
            socket_join(socket, wish[i].room);
        room_unpin(wish[i].room);
    }
    free(wish);
}

void socket_open(struct socket *socket, void (*reply)(struct socket *socket))
{
    struct hub *hub = socket->nsp->hub;

    socket->state = SOCKET_OPEN;
    socket->was_opened = true;
    count_sockets(hub, 1);
    hub_send_down(hub, socket, link_take_joined, sizeof(struct down_head), 0);
    reply(socket);
    if (socket->entry)
        send_kept(socket);
    send_room(socket, link_take_join, socket->nsp->all);
    room_count_in(socket->nsp->all, socket_shard(socket));
    if (socket->n_rooms > 0)
        join_wished(socket);
}

/* ---- closing */

static void leave_all_rooms(struct socket *socket)
{
    while (socket->n_rooms > 0)
        socket_leave(socket, socket->room[socket->n_rooms - 1].room);
    room_count_out(socket->nsp->all, socket_shard(socket));
}

static void free_slots(struct socket *socket)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;

    for (uint32_t i = 0; i < socket->n_slots; i++) {
        void *value = socket->slot[i];

        socket->slot[i] = NULL;
        if (value && upper->free_slot)
            upper->free_slot((int)i, value, upper->arg);
    }
    if (upper->on_gone)
        upper->on_gone(HUB_SOCKET, socket->handle, upper->arg);
}

static void unlink_from_client(struct socket *socket)
{
    struct socket **at = &socket->client->sockets;

    while (*at != socket)
        at = &(*at)->next_of_client;
    *at = socket->next_of_client;
}

static void socket_free(struct socket *socket)
{
    struct namespace *nsp = socket->nsp;
    struct hub *hub = nsp->hub;

    namespace_remove_socket(nsp, socket);
    if (!nsp->sockets)
        namespaces_on_empty(&hub->spaces, nsp);
    slots_remove(&hub->sockets, socket->handle);
    unlink_from_client(socket);
    if (socket->was_opened)
        count_sockets(hub, -1);
    drop_entry(socket);
    free(socket->room);
    json_decref(socket->data);
    free(socket);
}

static void run_close(struct socket *socket, const char *reason)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;

    if (upper->on_disconnect)
        upper->on_disconnect(socket->handle, reason, upper->arg);
    leave_all_rooms(socket);
    socket->state = SOCKET_EMPTIED;
    free_slots(socket);
    ack_fail_all(socket);
    socket_free(socket);
}

static void defer_close(struct hub *hub, struct socket *socket, const char *reason)
{
    struct deferred_close *deferred = mem_alloc(sizeof *deferred);

    *deferred = (struct deferred_close){hub->deferred, socket, reason};
    hub->deferred = deferred;
}

static void run_deferred(struct hub *hub)
{
    while (hub->deferred) {
        struct deferred_close *deferred = hub->deferred;

        hub->deferred = deferred->next;
        run_close(deferred->socket, deferred->reason);
        free(deferred);
    }
}

void socket_drop(struct socket *socket)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;

    socket->state = SOCKET_EMPTIED;
    while (socket->n_rooms > 0)
        room_unpin(socket->room[--socket->n_rooms].room);
    if (upper->on_abandoned)
        upper->on_abandoned(socket->handle, upper->arg);
    free_slots(socket);
    ack_fail_all(socket);
    socket_free(socket);
}

void socket_close(struct socket *socket, const char *reason)
{
    struct hub *hub = socket->nsp->hub;

    if (socket->state == SOCKET_CONNECTING) {
        socket_drop(socket);
        return;
    }
    if (socket->state != SOCKET_OPEN)
        return;
    if (!socket->client->is_gone && !hub->is_stopping)
        hub_send_down(hub, socket, link_take_left, sizeof(struct down_head), 0);
    socket->state = SOCKET_CLOSING;
    if (hub->n_nested == MAX_NESTED) {
        defer_close(hub, socket, reason);
        return;
    }
    hub->n_nested++;
    run_close(socket, reason);
    if (hub->n_nested == 1)
        run_deferred(hub);
    hub->n_nested--;
}

/* ---- looking up */

struct socket *socket_find(const struct hub *hub, hop_socket which)
{
    return slots_get(&hub->sockets, which);
}

struct socket *socket_find_open(const struct hub *hub, hop_socket which)
{
    struct socket *socket = socket_find(hub, which);

    return socket && socket->state == SOCKET_OPEN ? socket : NULL;
}

struct socket *socket_find_alive(const struct hub *hub, hop_socket which)
{
    struct socket *socket = socket_find(hub, which);

    return socket && socket_is_alive(socket) ? socket : NULL;
}

unsigned socket_shard(const struct socket *socket)
{
    return handle_shard(socket->client->session);
}

/* ---- rooms */

/* From the end: the latest is the likeliest. n_rooms when it is not in. */
static uint32_t find_place(const struct socket *socket, const struct room *room)
{
    for (uint32_t i = socket->n_rooms; i > 0; i--)
        if (socket->room[i - 1].room == room)
            return i - 1;
    return socket->n_rooms;
}

bool socket_in_room(const struct socket *socket, const struct room *room)
{
    return find_place(socket, room) < socket->n_rooms;
}

void socket_join(struct socket *socket, struct room *room)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;

    if (!socket_is_alive(socket) || socket_in_room(socket, room))
        return;
    if (socket->n_rooms == socket->rooms_cap) {
        socket->rooms_cap = socket->rooms_cap ? socket->rooms_cap * 2 : 2;
        socket->room =
            mem_realloc(socket->room, socket->rooms_cap * sizeof *socket->room);
    }
    if (socket->state == SOCKET_CONNECTING) {
        socket->room[socket->n_rooms++] = (struct socket_room){.room = room};
        room_pin(room);
        return;
    }
    socket->room[socket->n_rooms] = (struct socket_room){
        .room = room,
        .index = room_enter(room, socket, socket->n_rooms),
    };
    socket->n_rooms++;
    send_room(socket, link_take_join, room);
    room_pin(room);
    if (upper->on_join)
        upper->on_join(socket->handle, room->name, upper->arg);
    room_unpin(room);
}

static void take_out_of_place(struct socket *socket, uint32_t place)
{
    struct socket_room last = socket->room[--socket->n_rooms];

    if (place == socket->n_rooms)
        return;
    socket->room[place] = last;
    last.room->member[last.index].place = place;
}

int socket_leave(struct socket *socket, struct room *room)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;
    uint32_t place = find_place(socket, room), index;

    if (place == socket->n_rooms)
        return -1;
    if (socket->state == SOCKET_CONNECTING) {
        socket->room[place] = socket->room[--socket->n_rooms];
        room_unpin(room);
        return 0;
    }
    index = socket->room[place].index;
    take_out_of_place(socket, place);
    if (socket->state == SOCKET_OPEN) /* else its shard knows: link_take_left */
        send_room(socket, link_take_leave, room);
    room_pin(room);
    room_exit(room, index);
    if (upper->on_leave)
        upper->on_leave(socket->handle, room->name, upper->arg);
    room_unpin(room);
    return 0;
}

/* ---- slots */

int socket_slot_set(struct socket *socket, int place, void *value)
{
    const struct hub_upper *upper = &socket->nsp->hub->upper;
    void *old;

    if (place < 0 || place >= socket->n_slots || socket->state == SOCKET_EMPTIED)
        return -1;
    old = socket->slot[place];
    socket->slot[place] = value;
    if (old && old != value && upper->free_slot)
        upper->free_slot(place, old, upper->arg);
    return 0;
}

void *socket_slot_get(const struct socket *socket, int place)
{
    return place >= 0 && place < socket->n_slots ? socket->slot[place] : NULL;
}
