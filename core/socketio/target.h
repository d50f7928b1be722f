/*
 * target.h - who gets an emit. A target keeps names and handles, and what they mean is
 * looked up at each emit: so it may outlive a room, and serve several emits of its turn.
 * Thread: logic.
 */
#ifndef SOCKETIO_TARGET_H
#define SOCKETIO_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include <sockhop/emit.h>

#include "core/loop/slots.h"
#include "core/socketio/records.h"

struct namespace;
struct room;
struct socket;

struct name_list {
    char *text; /* owned: names, each with its NUL */
    size_t len, cap;
};
struct socket_list {
    hop_socket *socket; /* owned */
    size_t n, cap;
};

struct hop_target {
    struct namespace *nsp;   /* borrowed; of a family, nowhere, or the one at hand */
    int family;              /* all that came about by this declaration; -1: nsp alone */
    struct hop_target *next; /* of the turn's, or of the spare ones */
    bool is_all;
    bool is_local;  /* not to other servers */
    unsigned flags; /* SEND_* */
    struct name_list rooms, except_rooms;
    struct socket_list sockets, except;
    struct socket_list found; /* by target_sockets() */
};

/* What a target comes down to at the moment of an emit. */
struct audience {
    struct room **rooms; /* owned arrays of borrowed rooms and of sessions */
    struct room **except_rooms;
    struct stay *stays;
    handle *except;
    struct socket **waiting; /* those that are connecting: by name or handle only */
    size_t n_rooms, n_except_rooms, n_stays, n_except, n_waiting;
    size_t rooms_cap, except_rooms_cap, stays_cap, except_cap, waiting_cap;
};

struct emitter {
    struct hop_target *used;  /* owned: this turn's */
    struct hop_target *spare; /* owned: for the next */
    unsigned n_spare;
    struct audience audience; /* of the emit at hand */
};

/* The namespaces that a target is in, one after the other: before NULL is the first, and
 * NULL is behind the last. None may be made or go meanwhile. */
struct namespace *target_next(const struct hop_target *target,
                              const struct namespace *before);

/* In the namespace at hand. Borrowed until the next call, and until a room goes. */
struct audience *target_resolve(const struct hop_target *target);

/* The sockets that are open now, each once. Borrowed until the next call for the same
 * target. */
const struct socket_list *target_sockets(struct hop_target *target);

/* Targets of the turn become spare ones. */
void emitter_end_turn(struct emitter *emitter);
void emitter_done(struct emitter *emitter);

#endif
