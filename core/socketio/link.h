/*
 * link.h - one session as Socket.IO sees it in its shard, and what all of a shard share.
 * Private to link.c, link_down.c, stay.c and members.c. Thread: shard.
 */
#ifndef SOCKETIO_LINK_H
#define SOCKETIO_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/settings.h"
#include "core/engine/session.h"
#include "core/loop/slots.h"
#include "core/loop/timer.h"
#include "core/socketio/json.h"
#include "core/socketio/members.h"
#include "core/socketio/nspnames.h"

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
    enum sio_parser parser;
    struct json_limits limits;
    struct members members;
    struct nsp_names names;
    uint32_t last_epoch;
    atomic_bool wants_auth, wants_opening; /* see sio_want(): logic's, once it runs */
    struct timer_list connect_timers, half_timers;
    unsigned max_attachments;  /* of a packet */
    size_t max_attached_bytes; /* of all of them */
    struct json_span *spans;   /* owned: of the event at hand */
    size_t spans_cap;
    char *name; /* owned: of the event at hand, SIO_MAX_EVENT * 6 and its NUL */
};

/*
 * A session's stay in a namespace, from its CONNECT on. The epoch tells it from earlier
 * ones, and from those in other namespaces; EPOCH_ANY: none.
 */
struct link_stay {
    uint32_t nsp : 31;      /* in sio->names */
    uint32_t is_joined : 1; /* logic has accepted it */
    uint32_t epoch;
};

/* What most links have no use for once they have joined. */
struct link_rare {
    struct link *link;               /* borrowed: owns us */
    struct timer_node connect_timer; /* until logic has accepted it somewhere */
    char *address;                   /* owned: NULL once logic has it */
    struct bytes *opening;   /* ref: NULL where nobody wants it, and once logic has it */
    struct link_stay *stays; /* owned: those beside link->stay */
    uint32_t n_stays, stays_cap;
};

/* One for each session. */
struct link {
    struct sio *sio;         /* borrowed */
    struct session *session; /* borrowed: tells us when it ends */
    struct link_rare *rare;  /* owned: NULL where there is nothing of that kind */
    struct half *half;       /* owned: the packet that lacks attachments, or NULL */
    struct memberships memberships; /* the rooms it is in */
    struct link_stay stay;          /* the only one of most links */
    uint64_t stamp : 63;      /* of the last broadcast that reached or excepted it */
    uint64_t was_told_of : 1; /* logic has heard of the session */
};

/* ---- link_up.c. The first three may end the link. */

struct sio_packet;

/* The session ends; reason: a constant, for the log. */
void link_refuse(struct link *link, const char *reason, enum session_end end);
/* A packet of the client. */
void link_on_packet(struct link *link, const struct sio_packet *packet);
/* A CONNECT goes up. */
void link_send_connect(struct link *link, const struct sio_packet *packet);
/* Logic hears that the session has ended, if it has heard of it. */
void link_tell_closed(struct link *link, enum session_end end);

/* ---- stay.c */

struct link_rare *link_need_rare(struct link *link);
/* Logic knows what it was told when the session opened, and the client is in time. */
void link_drop_opening(struct link *link);
/* Give link->rare back if nothing is in it. */
void link_trim(struct link *link);

/* The pointers that follow live until the next call of stay_new() or stay_end(). */
struct link_stay *stay_new(struct link *link, const char *nsp, size_t nsp_len);
struct link_stay *stay_find(struct link *link, uint32_t epoch);
/* By its namespace: the one that has joined, else any. */
struct link_stay *stay_find_nsp(struct link *link, const char *nsp, size_t nsp_len);
/* It leaves the rooms of its namespace. */
void stay_end(struct link *link, struct link_stay *stay);
void stays_done(struct link *link);

#endif
