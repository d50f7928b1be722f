/*
 * room.c - rooms of the logic half: named, numbered, counted.
 *
 * Called by: core/socketio/socket.c, hub.c, namespace.c. A room's number may be given to
 * the next room as soon as the last member's leave has been sent, since records of one
 * lane arrive in order. Thread: logic.
 */
#include "core/socketio/room.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/socket.h"

static uint32_t take_number(struct room_numbers *numbers)
{
    return numbers->n_free > 0 ? numbers->free[--numbers->n_free] : numbers->next++;
}

static void give_number(struct room_numbers *numbers, uint32_t number)
{
    if (numbers->n_free == numbers->cap) {
        numbers->cap = numbers->cap ? numbers->cap * 2 : 16;
        numbers->free = mem_realloc(numbers->free, numbers->cap * sizeof(uint32_t));
    }
    numbers->free[numbers->n_free++] = number;
}

static struct room *room_new(struct namespace *nsp, const char *name, size_t len)
{
    size_t counts = nsp->hub->loops->n_shards * sizeof(uint32_t);
    struct room *room = mem_calloc(1, sizeof *room + counts + len + 1);

    room->nsp = nsp;
    room->number = take_number(&nsp->hub->room_numbers);
    room->name = (char *)room->n_on_shard + counts;
    room->name_len = len;
    memcpy(room->name, name, len);
    return room;
}

struct room *room_new_unnamed(struct namespace *nsp)
{
    struct room *room = room_new(nsp, "", 0);

    room->n_pins = 1;
    return room;
}

struct room *room_get(struct namespace *nsp, const char *name, size_t len)
{
    struct room *room = namespace_find_room(nsp, name, len);

    if (room)
        return room;
    room = room_new(nsp, name, len);
    HASH_ADD_KEYPTR(hh, nsp->rooms, room->name, room->name_len, room);
    return room;
}

/* What hangs on it goes before its number is another's. */
static void free_if_unused(struct room *room)
{
    struct hub *hub = room->nsp->hub;

    if (room->n_members > 0 || room->n_pins > 0)
        return;
    if (room->name_len > 0) {
        HASH_DEL(room->nsp->rooms, room);
        if (hub->upper.on_gone)
            hub->upper.on_gone(HUB_ROOM, room_number_outside(room), hub->upper.arg);
    }
    give_number(&hub->room_numbers, room->number);
    free(room->member);
    free(room);
}

void room_pin(struct room *room)
{
    room->n_pins++;
}

void room_unpin(struct room *room)
{
    room->n_pins--;
    free_if_unused(room);
}

bool room_is_name(const char *name, size_t len)
{
    return len >= 1 && len <= ROOM_MAX_NAME && utf8_is_valid(name, len);
}

uint32_t room_enter(struct room *room, struct socket *socket, uint32_t place)
{
    uint32_t index = room->n_members;

    if (index == room->members_cap) {
        room->members_cap = room->members_cap ? room->members_cap * 2 : 2;
        room->member =
            mem_realloc(room->member, room->members_cap * sizeof *room->member);
    }
    room->member[index] = (struct room_member){socket, place};
    room_count_in(room, socket_shard(socket));
    return index;
}

void room_exit(struct room *room, uint32_t index)
{
    unsigned shard = socket_shard(room->member[index].socket);
    struct room_member last = room->member[room->n_members - 1];

    if (index < room->n_members - 1) {
        room->member[index] = last;
        last.socket->room[last.place].index = index;
    }
    room_count_out(room, shard);
}

void room_count_in(struct room *room, unsigned shard)
{
    room->n_on_shard[shard]++;
    if (room->n_members++ == 0 && room->name_len > 0)
        metric_add(&room->nsp->hub->loop->metrics, METRIC_ROOMS, 1);
}

void room_count_out(struct room *room, unsigned shard)
{
    room->n_on_shard[shard]--;
    if (--room->n_members == 0 && room->name_len > 0)
        metric_add(&room->nsp->hub->loop->metrics, METRIC_ROOMS, -1);
    free_if_unused(room);
}
