/*
 * open.h - the opening of sessions: at once, or when the layer above has decided, and what is
 * answered where it is refused. Thread: shard.
 * Source: docs/PROTOCOL.md 1.1 and 1.2.
 */
#ifndef ENGINE_OPEN_H
#define ENGINE_OPEN_H

#include "core/engine/handshake.h"

/* A verified request for a new session: it is answered now, or later. */
void open_session(struct engine *engine, struct httpconn *http,
                  const struct http_request *request, const struct handshake *handshake);

/* A verified request of a session for a WebSocket: an upgrade is tried. */
void open_probe(struct session *session, struct httpconn *http,
                const struct http_request *request, const struct handshake *handshake);

/* handshake_refuse(), and the layer above hears of it. */
void open_refuse(struct engine *engine, struct httpconn *http,
                 const struct http_request *request, enum handshake_error error,
                 const struct handshake *handshake);

/* A short answer, closing. headers: lines, or NULL. */
void open_respond_text(struct httpconn *http, int status, const char *headers,
                       const char *text);

#endif
