/*
 * sio.h - Socket.IO v5: the shard's half and the logic half, and the records between.
 *
 * Shard half (struct sio, link.c, link_down.c, members.c): decodes packets and scans their
 * JSON, sends what is well-formed to logic, keeps each room's array of sessions, sends what
 * logic emits. Logic half (struct hub, hub.h): namespaces, sockets, room index, acks.
 * Source: Socket.IO protocol v5; docs/PROTOCOL.md 1.5 to 1.7.
 */
#ifndef SOCKETIO_SIO_H
#define SOCKETIO_SIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/settings.h"
#include "core/engine/engine.h"
#include "core/loop/loop.h"

struct hub;
struct sio;

/*
 * One for each shard, made before its engine: sio_upper() goes into engine_new(), then
 * sio_attach(). hub: borrowed, touched only through lanes. sio_free() after the engine has
 * ended; records that are delivered between the two need sio_attach(sio, NULL).
 */
struct sio *sio_new(struct loop *loop, const struct settings *settings, struct hub *hub);
void sio_free(struct sio *sio);
struct engine_upper sio_upper(struct sio *sio);
void sio_attach(struct sio *sio, struct engine *engine);

/* What of a client's coming goes up: the payload of each CONNECT; what the session's first
 * request said. Neither, unless told so; of those who have come before, too late. Thread: logic,
 * and at the start. */
void sio_want(struct sio *sio, bool auth, bool opening);

#endif
