/*
 * members.c - the rooms of one shard: arrays of links, joined and left in O(1).
 *
 * Called by: core/socketio/link_down.c, for what logic sent, and link.c, when a client or a
 * session leaves. A link knows its place in each array and each array its place in the
 * link, so that both ends are undone by moving their last entry into the gap. Thread: shard.
 */
#include "core/socketio/members.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/engine/session.h"
#include "core/loop/loop.h"
#include "core/loop/turnbuf.h"
#include "core/socketio/link.h"

enum { FIRST_CAP = 4 };

struct member {
    struct link *link; /* borrowed */
    uint32_t place;    /* in link->memberships */
};

struct member_room {
    uint32_t number, nsp;
    struct member *member; /* owned */
    uint32_t n, cap;
    struct turnbuf buffer;
};

void members_init(struct members *members, struct loop *loop)
{
    *members = (struct members){.loop = loop};
}

static struct member_room *find_room(const struct members *members, uint32_t number)
{
    return number < members->n_rooms ? members->room[number] : NULL;
}

/* A room that has members is there. */
static struct member_room *joined_room(const struct members *members, uint32_t number)
{
    struct member_room *room = find_room(members, number);

    assert(room);
    return room;
}

static void make_place(struct members *members, uint32_t number)
{
    uint32_t n = members->n_rooms ? members->n_rooms : FIRST_CAP;

    if (number < members->n_rooms)
        return;
    while (n <= number)
        n *= 2;
    members->room = mem_realloc(members->room, n * sizeof(struct member_room *));
    while (members->n_rooms < n)
        members->room[members->n_rooms++] = NULL;
}

static struct member_room *make_room(struct members *members, uint32_t nsp,
                                     uint32_t number)
{
    struct member_room *room = find_room(members, number);

    if (room)
        return room;
    make_place(members, number);
    room = mem_calloc(1, sizeof *room);
    room->number = number;
    room->nsp = nsp;
    members->room[number] = room;
    return room;
}

static void free_if_empty(struct members *members, struct member_room *room)
{
    if (room->n > 0 || room == members->walked)
        return;
    members->room[room->number] = NULL;
    turnbuf_done(&room->buffer, members->loop);
    free(room->member);
    free(room);
}

void members_done(struct members *members)
{
    for (uint32_t i = 0; i < members->n_rooms; i++)
        assert(!members->room[i]);
    free(members->room);
    *members = (struct members){0};
}

static const struct membership *memberships_of(const struct link *link)
{
    const struct memberships *all = &link->memberships;

    return all->cap ? all->many : all->few;
}

static struct membership *membership_at(struct link *link, uint32_t place)
{
    struct memberships *all = &link->memberships;

    return all->cap ? &all->many[place] : &all->few[place];
}

static void add_membership(struct link *link, struct membership membership)
{
    struct memberships *all = &link->memberships;

    if (all->cap == 0 && all->n == MEMBERSHIPS_FEW) {
        struct membership *many = mem_alloc(2 * sizeof all->few);

        memcpy(many, all->few, sizeof all->few);
        all->many = many;
        all->cap = 2 * MEMBERSHIPS_FEW;
    } else if (all->cap && all->n == all->cap) {
        all->cap *= 2;
        all->many = mem_realloc(all->many, all->cap * sizeof *all->many);
    }
    *membership_at(link, all->n++) = membership;
}

static int64_t place_of(const struct link *link, uint32_t number)
{
    const struct membership *all = memberships_of(link);

    /* From the end: who leaves many rooms leaves the latest first. */
    for (uint32_t i = link->memberships.n; i > 0; i--)
        if (all[i - 1].room == number)
            return i - 1;
    return -1;
}

void members_join(struct members *members, struct link *link, uint32_t nsp,
                  uint32_t number)
{
    struct member_room *room;

    if (place_of(link, number) >= 0)
        return;
    room = make_room(members, nsp, number);
    if (room->n == room->cap) {
        room->cap = room->cap ? room->cap * 2 : FIRST_CAP;
        room->member = mem_realloc(room->member, room->cap * sizeof *room->member);
    }
    room->member[room->n] = (struct member){link, link->memberships.n};
    add_membership(link, (struct membership){number, room->n++});
    metric_add(&members->loop->metrics, METRIC_MEMBERSHIPS, 1);
}

static void take_out_of_room(struct member_room *room, uint32_t index)
{
    struct member last = room->member[--room->n];

    if (index == room->n)
        return;
    room->member[index] = last;
    membership_at(last.link, last.place)->index = index;
}

static void take_out_of_link(struct members *members, struct link *link, uint32_t place)
{
    struct membership last = *membership_at(link, --link->memberships.n);

    if (place == link->memberships.n)
        return;
    *membership_at(link, place) = last;
    joined_room(members, last.room)->member[last.index].place = place;
}

static void leave_place(struct members *members, struct link *link, uint32_t place)
{
    struct membership membership = *membership_at(link, place);
    struct member_room *room = joined_room(members, membership.room);

    take_out_of_room(room, membership.index);
    take_out_of_link(members, link, place);
    metric_add(&members->loop->metrics, METRIC_MEMBERSHIPS, -1);
    free_if_empty(members, room);
}

void members_leave(struct members *members, struct link *link, uint32_t number)
{
    int64_t place = place_of(link, number);

    if (place >= 0)
        leave_place(members, link, (uint32_t)place);
}

void members_leave_namespace(struct members *members, struct link *link, uint32_t nsp)
{
    for (uint32_t i = link->memberships.n; i > 0; i--)
        if (joined_room(members, membership_at(link, i - 1)->room)->nsp == nsp)
            leave_place(members, link, i - 1);
}

void members_leave_all(struct members *members, struct link *link)
{
    while (link->memberships.n > 0)
        leave_place(members, link, link->memberships.n - 1);
    if (link->memberships.cap)
        free(link->memberships.many);
    link->memberships = (struct memberships){0};
}

void members_begin(struct members *members)
{
    members->stamp++;
}

void members_mark(struct members *members, struct link *link)
{
    link->stamp = members->stamp;
}

void members_mark_room(struct members *members, uint32_t number)
{
    const struct member_room *room = find_room(members, number);

    for (uint32_t i = 0; room && i < room->n; i++)
        members_mark(members, room->member[i].link);
}

void members_send_link(struct members *members, struct link *link, struct outgoing *out)
{
    if (link->stamp == members->stamp)
        return;
    link->stamp = members->stamp;
    metric_add(&members->loop->metrics, METRIC_PACKETS_OUT, 1);
    session_send(link->session, out); /* may end the link */
}

/* From the end: a link that ends is replaced by one that had its turn already. */
void members_send_room(struct members *members, uint32_t number, struct outgoing *out)
{
    struct member_room *room = find_room(members, number);

    if (!room)
        return;
    members->walked = room;
    for (uint32_t i = room->n; i > 0; i--)
        if (i <= room->n)
            members_send_link(members, room->member[i - 1].link, out);
    members->walked = NULL;
    free_if_empty(members, room);
}

void members_use_buffer(struct members *members, uint32_t number, struct outgoing *out)
{
    struct member_room *room = find_room(members, number);

    if (room)
        out->buffer = &room->buffer;
}
