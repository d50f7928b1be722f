/*
 * hub_private.h - struct hub, for the files of the logic half. Thread: logic.
 */
#ifndef SOCKETIO_HUB_PRIVATE_H
#define SOCKETIO_HUB_PRIVATE_H

#include "core/loop/slots.h"
#include "core/socketio/ack.h"
#include "core/socketio/client.h"
#include "core/socketio/hub.h"
#include "core/socketio/namespace.h"
#include "core/socketio/records.h"
#include "core/socketio/target.h"

struct room_numbers {
    uint32_t *free; /* owned: given back */
    uint32_t n_free, cap;
    uint32_t next; /* never used so far */
};

/* A close behind too many others. */
struct deferred_close {
    struct deferred_close *next;
    struct socket *socket; /* borrowed: lives until then */
    const char *reason;
};

struct hub {
    struct loops *loops; /* borrowed */
    struct loop *loop;   /* borrowed: logic */
    struct hub_upper upper;
    struct sio *shard[LOOPS_MAX]; /* borrowed: named in records, never touched */
    enum sio_parser parser;       /* of packets that are sent */
    struct namespaces spaces;
    struct clients clients;
    struct slots sockets; /* of all namespaces, by hop_socket */
    struct room_numbers room_numbers;
    size_t max_attachments; /* of a packet */
    size_t max_kept_bytes;  /* of packets for one socket that connects */
    uint32_t max_rooms;     /* that one socket is in */
    size_t max_client_namespaces;
    bool wants_auth, wants_opening; /* see hub_want_auth() */
    uint8_t n_slots;                /* of each socket */
    struct emitter emitter;
    struct acks acks;
    uint32_t stamp;                  /* of the last walk over a target */
    bool is_stopping;                /* no socket opens and nothing is sent any more */
    unsigned n_nested;               /* closes on the stack */
    struct deferred_close *deferred; /* owned: to be run by the outermost, latest first */
};

/* A record of `size` bytes to a session's shard, its head filled in: for the session, or
 * for the socket's stay. */
void *hub_send_to_session(struct hub *hub, handle session, lane_work *work, size_t size,
                          size_t weight);
void *hub_send_down(struct hub *hub, const struct socket *socket, lane_work *work,
                    size_t size, size_t weight);

/* The session ends behind all that was sent to it; its sockets end now. */
void hub_close_transport(struct hub *hub, struct client *client);

#endif
