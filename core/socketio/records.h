/*
 * records.h - what the two halves of Socket.IO send each other through lanes.
 *
 * Up: shard -> logic, run by hub.c. Down: logic -> shard, run by link_down.c. All records
 * of one session travel in one lane each way, so that their order holds. Each names a
 * session and the epoch of its stay in a namespace: a client may leave and come back faster
 * than the other half hears of it, and what belonged to the earlier stay must not touch the
 * later one. No two stays of a session have the same epoch, whatever their namespaces. Text
 * stands behind the struct, NUL-terminated. Placeholders in it are sound: each names one of
 * the attachments that came with it.
 */
#ifndef SOCKETIO_RECORDS_H
#define SOCKETIO_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine/session.h"
#include "core/loop/loop.h"
#include "core/loop/slots.h"
#include "core/socketio/json.h"

struct bytes;
struct hub;
struct sio;

enum {
    NSP_MAIN = 0,        /* the number of "/" in every shard */
    EPOCH_ANY = 0,       /* goes to the session, whatever it has joined */
    SIO_MAX_NSP = 128,   /* threats.md T15 */
    SIO_MAX_EVENT = 1024 /* bytes of an event's name */
};

/* What a client is told whose CONNECT is refused: the first is the reference's word. */
#define INVALID_NAMESPACE "Invalid namespace"
#define TOO_MANY_NAMESPACES "Too many namespaces"

/* ---- up */

/* What came behind a packet with attachments. */
struct attachments {
    uint32_t n;
    size_t n_bytes;     /* of all */
    struct bytes *at[]; /* refs */
};
/* Room for n, empty; NULL without memory. */
struct attachments *attachments_try_new(unsigned n);
void attachments_free(struct attachments *attachments); /* takes NULL */

struct up_head {
    struct hub *hub; /* borrowed */
    handle session;
    uint32_t epoch;
};

/* CONNECT: the epoch is that of the stay that it asks for. */
struct up_connect {
    struct up_head head;
    struct bytes *opening; /* ref: NULL where nobody wants it, or logic has it already */
    uint32_t nsp_len, address_len, auth_len; /* address: 0 when logic has it already */
    char sid[SESSION_SID_SIZE]; /* of a client of Engine.IO 3; "": it speaks 4 */
    /* The namespace's name, the address, the payload (of Engine.IO 3: the query behind the
     * name); "" where there is none. */
    char text[];
};
lane_work hub_take_connect;

/* EVENT or BINARY_EVENT, scanned: spans[n_args], then the name, then the array. */
struct up_event {
    struct up_head head;
    struct attachments *attachments; /* owned; NULL: none */
    uint64_t ack_id;
    bool has_ack;
    uint32_t name_len, text_len, n_args;
    struct json_span spans[];
};
lane_work hub_take_event;

/* ACK or BINARY_ACK, scanned. */
struct up_ack {
    struct up_head head;
    struct attachments *attachments; /* owned; NULL: none */
    uint64_t ack_id;
    bool has_id; /* else it is an ack of nothing */
    uint32_t text_len;
    char text[];
};
lane_work hub_take_ack;

/* DISCONNECT: struct up_head alone. */
lane_work hub_take_disconnect;

/* The session has ended; the last record of it. */
struct up_closed {
    struct up_head head; /* the epoch means nothing */
    enum session_end end;
};
lane_work hub_take_closed;

/* ---- down */

/* How a packet goes: flags. */
enum {
    SEND_VOLATILE = 1, /* not to sessions that cannot take it at once */
    SEND_PLAIN = 2     /* never compressed */
};

struct down_head {
    struct sio *sio; /* borrowed */
    handle session;
    uint32_t epoch;
};

/* Logic knows the session, and has a socket for it: struct down_head alone. */
lane_work link_take_joined;

/* The socket has gone: leave its rooms, expect a CONNECT. struct down_head alone. */
lane_work link_take_left;

/* The CONNECT is refused: what the client is told. */
struct down_refused {
    struct down_head head;
    struct bytes *packet; /* ref */
};
lane_work link_take_refused;

struct down_send {
    struct down_head head;
    struct bytes *packet; /* ref */
    unsigned flags;
};
lane_work link_take_send;

struct down_room {
    struct down_head head;
    uint32_t room;
};
lane_work link_take_join;
lane_work link_take_leave;

struct down_close {
    struct down_head head;
    enum session_end end;
};
lane_work link_take_close;

/* A session's stay in a namespace. */
struct stay {
    handle session;
    uint32_t epoch;
};

/*
 * To the members of rooms and to single sessions, once each, but not to the excepted.
 * Behind the stays: n_except sessions, n_rooms rooms, n_except_rooms rooms.
 */
struct down_broadcast {
    struct sio *sio;      /* borrowed */
    struct bytes *packet; /* ref */
    uint32_t n_stays, n_except, n_rooms, n_except_rooms;
    unsigned flags;
    struct stay stays[];
};
static inline handle *down_broadcast_except(struct down_broadcast *record)
{
    return (handle *)(void *)(record->stays + record->n_stays);
}
static inline uint32_t *down_broadcast_rooms(struct down_broadcast *record)
{
    return (uint32_t *)(void *)(down_broadcast_except(record) + record->n_except);
}
lane_work link_take_broadcast;

#endif
