/*
 * ack.h - acks that clients owe us: one table a socket, one timer an ack. Each ends exactly
 * once: answered, timed out, or failed with its socket. Thread: logic.
 */
#ifndef SOCKETIO_ACK_H
#define SOCKETIO_ACK_H

#include <stddef.h>
#include <stdint.h>

#include <sockhop/emit.h>

enum { ACK_MAX_TIMEOUT_MS = 3600000 };

struct socket;

/* Wait for an ack. Returns its id. */
uint64_t ack_new(struct socket *socket, int timeout_ms, hop_ack_handler *on_ack,
                 void *self);
/* The client's answer: text of a JSON array. Unknown ids are ignored. */
void ack_answer(struct socket *socket, uint64_t id, const char *text, size_t len);
/* The socket closes: all fail with HOP_ACK_DISCONNECTED. */
void ack_fail_all(struct socket *socket);

#endif
