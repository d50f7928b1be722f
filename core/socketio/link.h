/*
 * link.h - one session as Socket.IO sees it in its shard. Private to link.c and members.c.
 * Thread: shard.
 */
#ifndef SOCKETIO_LINK_H
#define SOCKETIO_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/loop/slots.h"
#include "core/loop/timer.h"
#include "core/socketio/members.h"

struct session;
struct sio;

struct link {
    struct sio *sio;         /* borrowed */
    struct session *session; /* borrowed: tells us when it ends */
    handle handle;           /* the session's */
    char *address;           /* owned: NULL once logic has it */
    struct timer_node connect_timer;
    struct membership *memberships; /* owned: the rooms it is in */
    uint32_t n_memberships, memberships_cap;
    uint32_t epoch;   /* of its latest CONNECT to the main namespace */
    bool is_joined;   /* the main namespace: CONNECT was taken, and no DISCONNECT since */
    bool was_told_of; /* logic has heard of the session */
    uint64_t stamp;   /* of the last broadcast that reached or excepted it */
};

#endif
