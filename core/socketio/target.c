/*
 * target.c - who gets an emit: lists of names and handles, resolved at each emit.
 *
 * Called by: core/plugin through hub.h (making targets), emit.c (resolving), hub.c (the
 * turn's end). Thread: logic.
 */
#include "core/socketio/target.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/socketio/client.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

enum {
    MAX_SPARE = 32,      /* targets kept for the next turn */
    MAX_SPARE_CAP = 1024 /* bytes or handles of a list that is kept with one */
};

/* Room for one more in an array. */
#define RESERVE(array, n, cap)                                                           \
    do {                                                                                 \
        if ((n) == (cap)) {                                                              \
            (cap) = (cap) ? (cap)*2 : 4;                                                 \
            (array) = mem_realloc((array), (cap) * sizeof *(array));                     \
        }                                                                                \
    } while (0)

/* ---- targets */

static void add_name(struct name_list *list, const char *name)
{
    size_t size = strlen(name) + 1;

    if (size - 1 > ROOM_MAX_NAME)
        return; /* no room is called that */
    if (list->len + size > list->cap) {
        list->cap = (list->len + size) * 2;
        list->text = mem_realloc(list->text, list->cap);
    }
    memcpy(list->text + list->len, name, size);
    list->len += size;
}

static void add_socket(struct socket_list *list, hop_socket socket)
{
    RESERVE(list->socket, list->n, list->cap);
    list->socket[list->n++] = socket;
}

static void target_free(struct hop_target *target)
{
    free(target->rooms.text);
    free(target->except_rooms.text);
    free(target->sockets.socket);
    free(target->except.socket);
    free(target->found.socket);
    free(target);
}

static struct hop_target *target_new(struct hub *hub, struct namespace *nsp)
{
    struct emitter *emitter = &hub->emitter;
    struct hop_target *target = emitter->spare;

    if (target) {
        emitter->spare = target->next;
        emitter->n_spare--;
    } else {
        target = mem_calloc(1, sizeof *target);
    }
    target->nsp = nsp;
    target->family = -1;
    target->next = emitter->used;
    emitter->used = target;
    return target;
}

static bool is_small(const struct hop_target *target)
{
    return target->rooms.cap <= MAX_SPARE_CAP &&
           target->except_rooms.cap <= MAX_SPARE_CAP &&
           target->sockets.cap <= MAX_SPARE_CAP && target->except.cap <= MAX_SPARE_CAP &&
           target->found.cap <= MAX_SPARE_CAP;
}

static void target_release(struct emitter *emitter, struct hop_target *target)
{
    if (emitter->n_spare >= MAX_SPARE || !is_small(target)) {
        target_free(target);
        return;
    }
    target->is_all = target->is_local = false;
    target->flags = 0;
    target->rooms.len = target->except_rooms.len = 0;
    target->sockets.n = target->except.n = target->found.n = 0;
    target->next = emitter->spare;
    emitter->spare = target;
    emitter->n_spare++;
}

void emitter_end_turn(struct emitter *emitter)
{
    while (emitter->used) {
        struct hop_target *target = emitter->used;

        emitter->used = target->next;
        target_release(emitter, target);
    }
}

void emitter_done(struct emitter *emitter)
{
    emitter_end_turn(emitter);
    while (emitter->spare) {
        struct hop_target *target = emitter->spare;

        emitter->spare = target->next;
        target_free(target);
    }
    free(emitter->audience.rooms);
    free(emitter->audience.except_rooms);
    free(emitter->audience.stays);
    free(emitter->audience.except);
    free(emitter->audience.waiting);
}

/* One that is not there (any more, or yet) is nowhere: nobody gets what goes to it. */
static struct namespace *space_of(struct hub *hub, const char *name)
{
    struct namespace *nsp = namespaces_find(&hub->spaces, name, strlen(name));

    return nsp ? nsp : hub->spaces.nowhere;
}

/* The text of a pattern and the label of a hook stand for all that came about by them: even
 * where a client could make a namespace of that name. */
static struct hop_target *target_in(struct hub *hub, const char *name)
{
    const int family = namespaces_find_family(&hub->spaces, name);
    struct hop_target *target =
        target_new(hub, family < 0 ? space_of(hub, name) : hub->spaces.nowhere);

    target->family = family;
    return target;
}

struct namespace *target_next(const struct hop_target *target,
                              const struct namespace *before)
{
    struct namespace *nsp;

    if (target->family < 0)
        return before ? NULL : target->nsp;
    nsp = before ? before->hh.next : target->nsp->hub->spaces.by_name;
    while (nsp && nsp->declared != target->family)
        nsp = nsp->hh.next;
    return nsp;
}

hop_target *hub_target_all(struct hub *hub, const char *nsp)
{
    struct hop_target *target = target_in(hub, nsp);

    target->is_all = true;
    return target;
}

hop_target *hub_target_room(struct hub *hub, const char *nsp, const char *room)
{
    struct hop_target *target = target_in(hub, nsp);

    add_name(&target->rooms, room);
    return target;
}

hop_target *hub_target_socket(struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);
    struct hop_target *target = target_new(hub, socket ? socket->nsp : hub->spaces.main);

    add_socket(&target->sockets, which);
    return target;
}

void *hub_target_owner(const hop_target *target)
{
    return target->nsp->hub->upper.arg;
}

void hub_target_add_room(hop_target *target, const char *room)
{
    add_name(&target->rooms, room);
}

void hub_target_except(hop_target *target, hop_socket socket)
{
    add_socket(&target->except, socket);
}

void hub_target_except_room(hop_target *target, const char *room)
{
    add_name(&target->except_rooms, room);
}

void hub_target_set_volatile(hop_target *target)
{
    target->flags |= SEND_VOLATILE;
}

void hub_target_set_local(hop_target *target)
{
    target->is_local = true;
}

void hub_target_compress(hop_target *target, bool may_compress)
{
    if (may_compress)
        target->flags &= ~(unsigned)SEND_PLAIN;
    else
        target->flags |= SEND_PLAIN;
}

/* ---- from a target to its audience */

static void include_room(struct audience *audience, struct room *room)
{
    if (!room || room->n_members == 0)
        return;
    for (size_t i = 0; i < audience->n_rooms; i++)
        if (audience->rooms[i] == room)
            return;
    RESERVE(audience->rooms, audience->n_rooms, audience->rooms_cap);
    audience->rooms[audience->n_rooms++] = room;
}

static void include_socket(struct audience *audience, struct socket *socket)
{
    if (!socket || !socket_is_alive(socket))
        return;
    if (socket->state == SOCKET_CONNECTING) {
        RESERVE(audience->waiting, audience->n_waiting, audience->waiting_cap);
        audience->waiting[audience->n_waiting++] = socket;
        return;
    }
    RESERVE(audience->stays, audience->n_stays, audience->stays_cap);
    audience->stays[audience->n_stays++] =
        (struct stay){socket->client->session, socket->epoch};
}

static void exclude_room(struct audience *audience, struct room *room)
{
    if (!room)
        return; /* one without members may be a newcomer's wish */
    RESERVE(audience->except_rooms, audience->n_except_rooms, audience->except_rooms_cap);
    audience->except_rooms[audience->n_except_rooms++] = room;
}

static void exclude_socket(struct audience *audience, const struct socket *socket)
{
    if (!socket)
        return;
    RESERVE(audience->except, audience->n_except, audience->except_cap);
    audience->except[audience->n_except++] = socket->client->session;
}

/* A name is a room's, a socket's id, or (when somebody has joined the id of another)
 * both. */
static void resolve_names(struct audience *audience, const struct hop_target *target)
{
    const struct name_list *in = &target->rooms, *out = &target->except_rooms;

    for (size_t at = 0, len; at < in->len; at += len + 1) {
        len = strlen(in->text + at);
        include_room(audience, namespace_find_room(target->nsp, in->text + at, len));
        include_socket(audience, namespace_find_id(target->nsp, in->text + at, len));
    }
    for (size_t at = 0, len; at < out->len; at += len + 1) {
        len = strlen(out->text + at);
        exclude_room(audience, namespace_find_room(target->nsp, out->text + at, len));
        exclude_socket(audience, namespace_find_id(target->nsp, out->text + at, len));
    }
}

static struct socket *socket_of(const struct hop_target *target, hop_socket which)
{
    struct socket *socket = socket_find(target->nsp->hub, which);

    return socket && socket->nsp == target->nsp ? socket : NULL;
}

struct audience *target_resolve(const struct hop_target *target)
{
    struct audience *audience = &target->nsp->hub->emitter.audience;

    audience->n_rooms = audience->n_except_rooms = 0;
    audience->n_stays = audience->n_except = audience->n_waiting = 0;
    if (target->is_all)
        include_room(audience, target->nsp->all);
    resolve_names(audience, target);
    for (size_t i = 0; i < target->sockets.n; i++)
        include_socket(audience, socket_of(target, target->sockets.socket[i]));
    for (size_t i = 0; i < target->except.n; i++)
        exclude_socket(audience, socket_of(target, target->except.socket[i]));
    return audience;
}

/* ---- from a target to its sockets. A stamp marks who is in the list, or stays out. */

static void stamp(struct socket *socket)
{
    if (socket)
        socket->stamp = socket->nsp->hub->stamp;
}

static void stamp_room(const struct room *room)
{
    for (uint32_t i = 0; room && i < room->n_members; i++)
        stamp(room->member[i].socket);
}

static void stamp_excepted(const struct hop_target *target)
{
    const struct name_list *out = &target->except_rooms;

    for (size_t at = 0, len; at < out->len; at += len + 1) {
        len = strlen(out->text + at);
        stamp_room(namespace_find_room(target->nsp, out->text + at, len));
        stamp(namespace_find_id(target->nsp, out->text + at, len));
    }
    for (size_t i = 0; i < target->except.n; i++)
        stamp(socket_find(target->nsp->hub, target->except.socket[i]));
}

static void find_socket(struct hop_target *target, struct socket *socket)
{
    if (!socket || socket->state != SOCKET_OPEN || socket->nsp != target->nsp ||
        socket->stamp == target->nsp->hub->stamp)
        return;
    stamp(socket);
    add_socket(&target->found, socket->handle);
}

static void find_members(struct hop_target *target, const struct room *room)
{
    for (uint32_t i = 0; room && i < room->n_members; i++)
        find_socket(target, room->member[i].socket);
}

/* In the namespace at hand. */
static void find_sockets(struct hop_target *target)
{
    const struct namespace *nsp = target->nsp;
    const struct name_list *in = &target->rooms;

    stamp_excepted(target);
    if (target->is_all)
        for (struct socket *socket = nsp->sockets; socket; socket = socket->next)
            find_socket(target, socket);
    for (size_t at = 0, len; at < in->len; at += len + 1) {
        len = strlen(in->text + at);
        find_members(target, namespace_find_room(nsp, in->text + at, len));
        find_socket(target, namespace_find_id(nsp, in->text + at, len));
    }
    for (size_t i = 0; i < target->sockets.n; i++)
        find_socket(target, socket_find(nsp->hub, target->sockets.socket[i]));
}

const struct socket_list *target_sockets(struct hop_target *target)
{
    struct namespace *own = target->nsp;

    target->found.n = 0;
    own->hub->stamp++;
    for (struct namespace *nsp = target_next(target, NULL); nsp;
         nsp = target_next(target, nsp)) {
        target->nsp = nsp;
        find_sockets(target);
    }
    target->nsp = own;
    return &target->found;
}

/* ---- with all sockets of a target */

const hop_socket *hub_target_sockets(hop_target *target, size_t *n)
{
    *n = target_sockets(target)->n;
    return *n > 0 ? target->found.socket : NULL;
}

/* Calls it with each of them; returns how many it has changed. A hook may ask the same target
 * meanwhile: so the list is taken out of it. */
static size_t with_sockets(hop_target *target,
                           int (*change)(struct hub *hub, hop_socket which, void *arg),
                           void *arg)
{
    struct hub *hub = target->nsp->hub;
    struct socket_list list = *target_sockets(target);
    size_t n = 0;

    target->found = (struct socket_list){0};
    for (size_t i = 0; i < list.n; i++)
        n += change(hub, list.socket[i], arg) == 0;
    free(list.socket);
    return n;
}

static int join(struct hub *hub, hop_socket which, void *room)
{
    return hub_join(hub, which, room);
}

static int leave(struct hub *hub, hop_socket which, void *room)
{
    return hub_leave(hub, which, room);
}

static int end(struct hub *hub, hop_socket which, void *mode)
{
    return hub_disconnect(hub, which, *(const hop_close_mode *)mode);
}

size_t hub_target_join(hop_target *target, const char *room)
{
    return with_sockets(target, join, (void *)(uintptr_t)room);
}

size_t hub_target_leave(hop_target *target, const char *room)
{
    return with_sockets(target, leave, (void *)(uintptr_t)room);
}

size_t hub_target_disconnect(hop_target *target, hop_close_mode mode)
{
    return with_sockets(target, end, &mode);
}
