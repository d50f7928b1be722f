/*
 * socket.h - one client in one namespace. Thread: logic.
 *
 * A socket that closes goes through its states once: its hooks run while it can still be
 * looked up, and nothing that they call can close it again or make it join a room.
 */
#ifndef SOCKETIO_SOCKET_H
#define SOCKETIO_SOCKET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/socket.h>

#include "core/base/hash.h"

struct ack;
struct client;
struct hub;
struct namespace;
struct room;

enum {
    SOCKET_ID_LEN = 20, /* base64url of 15 bytes */
    SOCKET_MAX_SLOTS = 64
};

enum socket_state {
    SOCKET_OPEN,
    SOCKET_CLOSING, /* its hooks run or wait to run; still in its rooms, slots set */
    SOCKET_EMPTIED  /* rooms left, slots freed; the last acks fail */
};

/* One room that a socket is in: found from both ends. */
struct socket_room {
    struct room *room; /* borrowed */
    uint32_t index;    /* in room->member */
};

struct socket {
    UT_hash_handle hh; /* in nsp->sockets, by id */
    char id[SOCKET_ID_LEN + 1];
    enum socket_state state;
    uint32_t stamp; /* of the last walk over a target that met it: see target.c */
    hop_socket handle;
    struct namespace *nsp;         /* borrowed */
    struct client *client;         /* borrowed: outlives its sockets */
    struct socket *next_of_client; /* borrowed */
    uint32_t epoch;                /* of the session's stay, as in records */
    uint32_t n_slots;
    void **slot;              /* owned; the values are freed through hub_upper */
    struct socket_room *room; /* owned: named ones only */
    uint32_t n_rooms, rooms_cap;
    uint32_t n_rolls; /* that name it: see ack.c */
    json_t *data;     /* owned: NULL until a plugin asks for it */
    struct ack *acks; /* owned: hashed by id */
    const char *close_reason;
    struct socket *next_deferred; /* borrowed */
};

/* Open a socket: in the namespace, in no named room. NULL when handles have run out. */
struct socket *socket_new(struct namespace *nsp, struct client *client, uint32_t epoch);

/* Close it: hooks, rooms, slots, acks, in this order. Frees the socket, now or (when many
 * closes nest) before the outermost one returns. A socket that closes already stays so. */
void socket_close(struct socket *socket, const char *reason);

/* The socket of a handle, or NULL. Any state. */
struct socket *socket_find(const struct hub *hub, hop_socket which);
/* Only when it is open. */
struct socket *socket_find_open(const struct hub *hub, hop_socket which);

unsigned socket_shard(const struct socket *socket);
bool socket_in_room(const struct socket *socket, const struct room *room);
/* With the hooks. Joins only open sockets; leaving returns -1 when it was not in. */
void socket_join(struct socket *socket, struct room *room);
int socket_leave(struct socket *socket, struct room *room);

int socket_slot_set(struct socket *socket, hop_slot slot, void *value);
void *socket_slot_get(const struct socket *socket, hop_slot slot);

#endif
