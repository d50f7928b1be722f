/*
 * socket.h - one client in one namespace. Thread: logic.
 *
 * It begins as one that connects: what is done with it is remembered, and becomes true when
 * it opens; if it never does, nobody has heard of it.
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

struct ack;
struct bytes;
struct client;
struct hub;
struct namespace;
struct room;

enum {
    SOCKET_ID_LEN = 20, /* base64url of 15 bytes */
    SOCKET_MAX_SLOTS = 128
};

enum socket_state {
    SOCKET_CONNECTING, /* its CONNECT is looked at; its rooms are only wishes, pinned */
    SOCKET_OPEN,
    SOCKET_CLOSING, /* its hooks run or wait to run; still in its rooms, slots set */
    SOCKET_EMPTIED  /* rooms left, slots freed; the last acks fail */
};

/* One room that a socket is in: found from both ends. */
struct socket_room {
    struct room *room; /* borrowed; pinned while the socket connects */
    uint32_t index;    /* in room->member, once it is open */
};

/* A packet that goes out behind the reply to a CONNECT. */
struct kept_packet {
    struct bytes *packet; /* ref */
    unsigned flags;       /* SEND_* */
};

/* What came with a socket's CONNECT, and what waits for its reply: where there is any. */
struct socket_entry {
    char *auth; /* owned: JSON text, NULL for none */
    size_t auth_len;
    int64_t issued_ms;        /* since the epoch; where the opening is wanted */
    struct kept_packet *kept; /* owned */
    size_t n_kept, cap, kept_bytes;
    bool is_over_limit; /* more than hub->max_kept_bytes: it cannot be accepted */
};

struct socket {
    hop_socket handle;
    struct namespace *nsp;          /* borrowed */
    struct socket *next, *previous; /* borrowed: in nsp->sockets */
    struct client *client;          /* borrowed: outlives its sockets */
    struct socket *next_of_client;  /* borrowed */
    struct socket_entry *entry;     /* owned: NULL where nothing of that kind is */
    struct socket_room *room;       /* owned: named ones only */
    json_t *data;                   /* owned: NULL until a plugin asks for it */
    struct ack *acks;               /* owned: hashed by id */
    uint32_t n_rooms, rooms_cap;
    uint32_t n_rolls; /* that name it: see ack.c */
    uint32_t stamp;   /* of the last walk over a target that met it: see target.c */
    uint32_t epoch;   /* of the session's stay, as in records */
    uint8_t state;    /* enum socket_state */
    bool was_opened;  /* for the counts */
    uint8_t n_slots, id_len;
    void *slot[]; /* the values are freed through hub_upper; behind them stands the id */
};

/* NUL-terminated; of Engine.IO 3: the session's, behind "NSP#" but in "/". */
static inline const char *socket_id(const struct socket *socket)
{
    return (const char *)(socket->slot + socket->n_slots);
}

/* One that connects: in the namespace, in no room. NULL when handles have run out. */
struct socket *socket_new(struct namespace *nsp, struct client *client, uint32_t epoch);
/* It opens: `reply` sends its CONNECT's; what was kept follows, then it is in the room of
 * all and in those that it was put into, with their hooks. */
void socket_open(struct socket *socket, void (*reply)(struct socket *socket));
/* It never opens. Frees it: slots and acks as at a close, no other hooks. */
void socket_drop(struct socket *socket);
/* socket->entry, made if it is not there. */
struct socket_entry *socket_need_entry(struct socket *socket);
/* While it connects: send that packet later, unless it is volatile. Too many bytes are
 * dropped, and mark its entry. packet: owned. */
void socket_keep(struct socket *socket, struct bytes *packet, unsigned flags);

/* Close it, or drop it while it connects: hooks, rooms, slots, acks, in this order. Frees the socket, now or (when many
 * closes nest) before the outermost one returns. A socket that closes already stays so. */
void socket_close(struct socket *socket, const char *reason);

/* The socket of a handle, or NULL. Any state. */
struct socket *socket_find(const struct hub *hub, hop_socket which);
/* Only when it is open; only when it is open or connects. */
struct socket *socket_find_open(const struct hub *hub, hop_socket which);
struct socket *socket_find_alive(const struct hub *hub, hop_socket which);
static inline bool socket_is_alive(const struct socket *socket)
{
    return socket->state == SOCKET_CONNECTING || socket->state == SOCKET_OPEN;
}

unsigned socket_shard(const struct socket *socket);
bool socket_in_room(const struct socket *socket, const struct room *room);
/* With the hooks, once it is open. Joins only sockets that live; leaving returns -1 when it was not in. */
void socket_join(struct socket *socket, struct room *room);
int socket_leave(struct socket *socket, struct room *room);

int socket_slot_set(struct socket *socket, int place, void *value);
void *socket_slot_get(const struct socket *socket, int place);

#endif
