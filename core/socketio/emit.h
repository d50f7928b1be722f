/*
 * emit.h - packets to sockets: encoding, and the way to one. hub_emit() is in hub.h.
 * Thread: logic.
 */
#ifndef SOCKETIO_EMIT_H
#define SOCKETIO_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/settings.h"
#include "core/socketio/packet.h"

struct bytes;
struct hub;
struct sio_args;
struct socket;

/* As the parser has it: "4" and the packet's head and payload, or MessagePack. */
struct bytes *emit_encode(enum sio_parser parser, const struct sio_packet *packet);
/* "4", the head, and the array ["event",args...], both sound, then the attachments; with
 * some, an EVENT becomes a BINARY_EVENT. NULL without memory. */
struct bytes *emit_encode_event(enum sio_parser parser, const struct sio_packet *head,
                                const char *event, const struct sio_args *args);
/* The CONNECT_ERROR of a namespace: message is a plain word of ours. is_bare: the message
 * alone, as clients of Engine.IO 3 have it. Thread: any. */
struct bytes *emit_encode_refusal(enum sio_parser parser, const char *nsp, size_t nsp_len,
                                  const char *message, bool is_bare);
/* Whether an event may be emitted with these arguments. */
bool emit_is_sound(const struct hub *hub, const char *event, const struct sio_args *args);

/* To one socket; packet: owned; flags: SEND_*. Nothing happens unless the socket's client
 * is there; one that is connecting gets it behind its CONNECT's reply. */
void emit_to_socket(struct socket *socket, struct bytes *packet, unsigned flags);

#endif
