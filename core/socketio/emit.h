/*
 * emit.h - packets to sockets, encoded once: targets, and the ways to one socket.
 * Thread: logic.
 */
#ifndef SOCKETIO_EMIT_H
#define SOCKETIO_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/emit.h>

#include "core/loop/slots.h"
#include "core/socketio/packet.h"
#include "core/socketio/records.h"

struct bytes;
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
    struct namespace *nsp;   /* borrowed */
    struct hop_target *next; /* of the turn's, or of the spare ones */
    bool is_all, is_volatile;
    struct name_list rooms, except_rooms;
    struct socket_list sockets, except;
};

/* What a target comes down to at the moment of an emit. */
struct audience {
    struct room **rooms; /* owned arrays of borrowed rooms and of sessions */
    struct room **except_rooms;
    struct stay *stays;
    handle *except;
    size_t n_rooms, n_except_rooms, n_stays, n_except;
    size_t rooms_cap, except_rooms_cap, stays_cap, except_cap;
};

struct emitter {
    struct hop_target *used;  /* owned: this turn's */
    struct hop_target *spare; /* owned: for the next */
    unsigned n_spare;
    struct audience audience; /* of the emit at hand */
};

void emitter_end_turn(struct emitter *emitter);
void emitter_done(struct emitter *emitter);

/* "4" and the packet's head and payload. */
struct bytes *emit_encode(const struct sio_packet *packet);
/* "4", the head, and the array ["event",args...], both sound. */
struct bytes *emit_encode_event(const struct sio_packet *head, const char *event,
                                const char *args, size_t args_len);
/* Whether an event may be emitted with these arguments. */
bool emit_is_sound(const char *event, const char *args, size_t args_len);

/* To one socket; packet: owned. Nothing happens unless the socket's client is there. */
void emit_to_socket(struct socket *socket, struct bytes *packet, bool is_volatile);

#endif
