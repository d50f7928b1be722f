/*
 * ack.h - acks that clients owe us. One socket is asked: a table a socket, one timer an ack.
 * A target is asked: one roll of all its sockets, one timer and one id for them all. Each
 * answer that is awaited ends exactly once: given, timed out, or failed with its socket; and
 * limits.max_acks bounds how many there are. Thread: logic.
 */
#ifndef SOCKETIO_ACK_H
#define SOCKETIO_ACK_H

#include <stddef.h>
#include <stdint.h>

#include "core/socketio/hub.h"

enum { ACK_MAX_TIMEOUT_MS = 3600000 };

struct sio_args;
struct socket;
struct socket_list;

/* The answers to one emit to many. */
struct roll;

/* Everything of the kind in a hub. */
struct acks {
    struct roll *rolls; /* owned: hashed by id */
    uint64_t next_id; /* of one sequence for all: no socket is asked twice with one id */
    size_t n_awaited; /* answers, of sockets and of rolls */
    size_t n_bytes;   /* of answers that wait in rolls for the others */
    size_t max, max_bytes; /* limits */
};

/* Whether that many more can be awaited. */
bool acks_have_room(const struct acks *acks, size_t n);

/* Wait for an ack. Returns its id: acks.next_id. */
uint64_t ack_new(struct socket *socket, int timeout_ms, sio_on_answer *on_answer,
                 void *self);
/* Wait for the acks of all sockets of a list, which may be empty. Returns the id. */
uint64_t roll_new(struct hub *hub, const struct socket_list *list, int timeout_ms,
                  sio_on_answers *on_answers, void *self);

/* The client's answer. Unknown ids are ignored. */
void ack_answer(struct socket *socket, uint64_t id, const struct sio_args *args);
/* The socket closes: all that it owes fails with HOP_ACK_DISCONNECTED. */
void ack_fail_all(struct socket *socket);
/* End all rolls, whoever has answered. */
void acks_end(struct hub *hub);

#endif
