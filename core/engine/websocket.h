/*
 * websocket.h - one connection that speaks WebSocket: handshake, frames in and out, pongs,
 * the closing handshake. Thread: shard.
 * Source: RFC 6455; docs/threats.md 0.2, C05, C16 to C21, T05 to T08.
 */
#ifndef ENGINE_WEBSOCKET_H
#define ENGINE_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "core/engine/frame.h"

struct engine;
struct http_request;
struct httpconn;
struct outgoing;
struct session;
struct websocket;
struct bytes;

/* Room for Sec-WebSocket-Accept and its NUL: base64 of a SHA-1. */
enum { WEBSOCKET_ACCEPT_SIZE = 29 };

/*
 * Check the request of an opening handshake. Returns 0 and the value of
 * Sec-WebSocket-Accept, or the HTTP status to refuse it with and the reason.
 */
int websocket_check(const struct http_request *request, char *accept,
                    const char **reason);

/*
 * Send the 101. Frames may be sent from now on, but nothing is read, and a close waits,
 * until websocket_adopt() has taken the connection from HTTP: the request can still be
 * read in between.
 */
struct websocket *websocket_accept(struct engine *engine, struct httpconn *http,
                                   const char *accept);
void websocket_adopt(struct websocket *ws, struct httpconn *http);

/* One packet: a text frame, and a binary one for each attachment. */
void websocket_send_packet(struct websocket *ws, struct bytes *packet);
void websocket_send(struct websocket *ws, struct outgoing *out);

/* Send a close frame behind what is queued, then end. Its session is told nothing. */
void websocket_close(struct websocket *ws, uint16_t code);

/* End it now, without a word; for engine_free(). */
void websocket_abort(struct websocket *ws);

void websocket_free(struct websocket *ws); /* of the dead: LOOP_FREE */

#endif
