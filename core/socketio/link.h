/*
 * link.h - one session as Socket.IO sees it in its shard, and what all of a shard share.
 * Private to link.c, link_down.c and members.c. Thread: shard.
 */
#ifndef SOCKETIO_LINK_H
#define SOCKETIO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop/slots.h"
#include "core/loop/timer.h"
#include "core/socketio/json.h"
#include "core/socketio/members.h"

struct engine;
struct half;
struct hub;
struct loop;
struct session;

/* One for each shard. */
struct sio {
    struct loop *loop;     /* borrowed */
    struct hub *hub;       /* borrowed: named in records, never touched */
    struct engine *engine; /* borrowed: NULL before sio_attach() and after its end */
    struct json_limits limits;
    struct members members;
    struct timer_list connect_timers, half_timers;
    unsigned max_attachments;  /* of a packet */
    size_t max_attached_bytes; /* of all of them */
    struct json_span *spans;   /* owned: of the event at hand */
    size_t spans_cap;
    char *name; /* owned: of the event at hand, SIO_MAX_EVENT * 6 and its NUL */
};

/* One for each session. */
struct link {
    struct sio *sio;         /* borrowed */
    struct session *session; /* borrowed: tells us when it ends */
    handle handle;           /* the session's */
    char *address;           /* owned: NULL once logic has it */
    struct timer_node connect_timer;
    struct half *half; /* owned: the packet that lacks attachments, or NULL */
    struct membership *memberships; /* owned: the rooms it is in */
    uint32_t n_memberships, memberships_cap;
    uint32_t epoch;   /* of its latest CONNECT to the main namespace */
    bool is_joined;   /* the main namespace: CONNECT was taken, and no DISCONNECT since */
    bool was_told_of; /* logic has heard of the session */
    uint64_t stamp;   /* of the last broadcast that reached or excepted it */
};

#endif
