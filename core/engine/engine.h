/*
 * engine.h - Engine.IO v4, and v3, on one shard: handshake, sessions, heartbeat, upgrade.
 *
 * Called by: core/net through the route (requests), core/socketio (send, close). Reaches up
 * only through struct engine_upper. Thread: shard.
 * Source: Engine.IO protocol v4 and v3; docs/PROTOCOL.md 1.1 to 1.3.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/engine/session.h"
#include "core/net/httpconn.h"
#include "core/net/net.h"

struct static_files;

/* What the layer above is told. */
struct engine_upper {
    /* The handshake is done. Returns what session->upper shall be. request: borrowed. */
    void *(*on_open)(struct session *session, const struct http_request *request,
                     const char *address, void *arg);
    /* A message packet without its type digit: valid UTF-8, borrowed. */
    void (*on_text)(struct session *session, const char *text, size_t len);
    void (*on_binary)(struct session *session, const void *data, size_t len);
    /* It has ended: release session->upper. Called exactly once. */
    void (*on_closed)(struct session *session, enum session_end end);
    /* Bytes that it holds of what the client has sent. NULL: none. */
    size_t (*held)(const struct session *session);
    void *arg;
    /* Sessions that have joined nothing yet: how many, and the oldest, or NULL. Both may be
     * NULL. on_closed of one takes it from these. */
    size_t (*n_unjoined)(void *arg);
    struct session *(*oldest_unjoined)(void *arg);
};

struct engine; /* one for each shard */

struct engine *engine_new(struct net *net, const struct settings *settings,
                          const struct engine_upper *upper);
void engine_free(struct engine *engine); /* ends its sessions with SESSION_SHUTDOWN */

/*
 * The route of settings->path for all shards. engines: by shard number, borrowed; files:
 * where the client bundle lies (socket.io/NAME.js), or NULL. Free the arg with
 * engine_route_free().
 */
struct http_route engine_route(struct engine *const *engines, unsigned n_engines,
                               const struct settings *settings,
                               struct static_files *files);
void engine_route_free(struct http_route *route);

/* The session of a handle, or NULL. */
struct session *engine_find(struct engine *engine, handle session);

/* The state that the layer above keeps for each engine (set once). */
void *engine_upper_arg(const struct engine *engine);
struct net *engine_net(const struct engine *engine);

/* End every session (server shutting down) and refuse new ones with 503. */
void engine_shutdown(struct engine *engine);

#endif
