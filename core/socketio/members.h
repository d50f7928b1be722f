/*
 * members.h - the rooms of one shard: for each an array of the links in it, and the turn's
 * buffer that they share. What rooms are called is the logic half's business (room.h);
 * here they have numbers. Thread: shard.
 */
#ifndef SOCKETIO_MEMBERS_H
#define SOCKETIO_MEMBERS_H

#include <stdint.h>

struct link;
struct loop;
struct member_room;
struct outgoing;

struct members {
    struct loop *loop;         /* borrowed */
    struct member_room **room; /* owned: by number; NULL where nobody is in it */
    uint32_t n_rooms;
    struct member_room *walked; /* borrowed: being sent to; not freed meanwhile */
    uint64_t stamp;             /* of the broadcast that is going on; never wraps */
};

/* One link's stay in one room. */
struct membership {
    uint32_t room;
    uint32_t index; /* in the room's array */
};

/* All rooms of one link. Stands in the link; zeroed: none. Those of most links need no
 * memory of their own: the room of all, and one that has a name. */
enum { MEMBERSHIPS_FEW = 2 };
struct memberships {
    uint32_t n, cap; /* cap: of `many`; 0: they are in `few` */
    union {
        struct membership few[MEMBERSHIPS_FEW];
        struct membership *many; /* owned */
    };
};

void members_init(struct members *members, struct loop *loop);
void members_done(struct members *members); /* after the last link has left */

/* nsp: the namespace that the room belongs to. */
void members_join(struct members *members, struct link *link, uint32_t nsp,
                  uint32_t room);
void members_leave(struct members *members, struct link *link, uint32_t room);
void members_leave_namespace(struct members *members, struct link *link, uint32_t nsp);
void members_leave_all(struct members *members, struct link *link);

/*
 * One broadcast: begin, mark who shall not get it, then send. Who was sent to is marked
 * as well. Sending survives links that end meanwhile.
 */
void members_begin(struct members *members);
void members_mark(struct members *members, struct link *link);
void members_mark_room(struct members *members, uint32_t room);
void members_send_link(struct members *members, struct link *link, struct outgoing *out);
void members_send_room(struct members *members, uint32_t room, struct outgoing *out);

/* Lets the packet share the room's buffer: for a broadcast to this room alone. */
void members_use_buffer(struct members *members, uint32_t room, struct outgoing *out);

#endif
