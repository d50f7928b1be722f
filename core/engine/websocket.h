/*
 * websocket.h - one connection that speaks WebSocket: handshake, frames in and out, pongs,
 * the closing handshake. Thread: shard.
 * Source: RFC 6455; docs/threats.md 0.2, C05, C16 to C21, T05 to T08.
 */
#ifndef ENGINE_WEBSOCKET_H
#define ENGINE_WEBSOCKET_H

#include <stdbool.h>
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

/* What the answer to an opening handshake will say. */
struct websocket_offer {
    char accept[29];      /* Sec-WebSocket-Accept: base64 of a SHA-1, and its NUL */
    unsigned window_bits; /* an offer of permessage-deflate is accepted; 0: none is */
    const char *headers, *more_headers; /* further lines, borrowed; NULL: none */
};

/* A hash for the keys of handshakes, made once: to look up SHA-1 takes OpenSSL longer than
 * to hash a key. Owned by the caller. */
struct evp_md_ctx_st *websocket_hash_new(void);

/*
 * Check the request of an opening handshake. Returns 0 and what to answer, or the HTTP
 * status to refuse it with and the reason.
 */
int websocket_check(const struct engine *engine, const struct http_request *request,
                    struct websocket_offer *offer, const char **reason);

/*
 * Send the 101. Frames may be sent from now on, but nothing is read, and a close waits,
 * until websocket_adopt() has taken the connection from HTTP: the request can still be
 * read in between.
 */
struct websocket *websocket_accept(struct engine *engine, struct httpconn *http,
                                   const struct websocket_offer *offer);
void websocket_adopt(struct websocket *ws, struct httpconn *http);

/* One packet: a text frame, and a binary one for each attachment. */
void websocket_send_packet(struct websocket *ws, struct bytes *packet);
void websocket_send(struct websocket *ws, struct outgoing *out);
void websocket_ping(struct websocket *ws);

/* Send a close frame behind what is queued, then end. Its session is told nothing. */
void websocket_close(struct websocket *ws, uint16_t code);
/* The same with a reason, of at most FRAME_REASON_MAX bytes of UTF-8. code 0: neither. */
void websocket_close_with(struct websocket *ws, uint16_t code, const char *reason,
                          size_t len);

/* End it now, without a word; and all of an engine, for engine_free(). */
void websocket_abort(struct websocket *ws);
void websockets_abort(struct engine *engine);

void websocket_free(struct websocket *ws); /* of the dead: LOOP_FREE */

/* ---- of websocket_send.c, for websocket.c */

bool websocket_can_send(const struct websocket *ws);
/* One frame, which must be able to go; short, as its bytes are copied. */
void websocket_send_frame(struct websocket *ws, enum frame_kind kind, const void *data,
                          size_t len);

#endif
