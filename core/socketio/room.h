/*
 * room.h - a room as logic knows it: its name, its number, who is in it, and how many on
 * which shards. Who gets a broadcast stands in the shards' arrays (members.h).
 * Thread: logic.
 */
#ifndef SOCKETIO_ROOM_H
#define SOCKETIO_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/hash.h"

struct namespace;
struct socket;

enum { ROOM_MAX_NAME = 128 }; /* bytes; threats.md T16 */

/* One that is in a room: found from both ends, so that leaving is O(1). */
struct room_member {
    struct socket *socket; /* borrowed */
    uint32_t place;        /* in socket->room */
};

struct room {
    UT_hash_handle hh;          /* in nsp->rooms; not that of all sockets */
    struct namespace *nsp;      /* borrowed */
    uint32_t number;            /* in records; free for reuse when the room goes */
    struct room_member *member; /* owned; NULL in that of all: nsp->sockets has them */
    uint32_t members_cap;
    uint32_t n_members;
    uint32_t n_pins; /* who needs it to stay though nobody is in it */
    size_t name_len; /* 0: the room of all sockets */
    char *name;      /* behind the counts */
    uint32_t n_on_shard[];
};

/* The room of all sockets of a namespace: in no index, pinned by its maker. */
struct room *room_new_unnamed(struct namespace *nsp);

/* The room of that name, made when there is none. It goes when nobody is in it and nobody
 * pins it. */
struct room *room_get(struct namespace *nsp, const char *name, size_t len);
void room_pin(struct room *room);
void room_unpin(struct room *room);

/* What hub.h calls a room's number: never 0. */
static inline uint32_t room_number_outside(const struct room *room)
{
    return room->number + 1;
}

/* Whether it can be a room's name: 1 to 128 bytes of UTF-8. */
bool room_is_name(const char *name, size_t len);

/* The room's side of joining and leaving; socket.h has both sides. place: in socket->room.
 * Enter returns the socket's index in room->member; exit may free the room. */
uint32_t room_enter(struct room *room, struct socket *socket, uint32_t place);
void room_exit(struct room *room, uint32_t index);

/* The same for the room of all, whose members stand elsewhere. */
void room_count_in(struct room *room, unsigned shard);
void room_count_out(struct room *room, unsigned shard); /* may free it */

#endif
