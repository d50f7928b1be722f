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
#include <string.h>

#include "core/engine/session.h"
#include "core/net/conn.h"
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

enum {
    ENGINE_ID_MAX = 64,     /* characters of an id that the layer above gives */
    HELD_HEADERS_MAX = 4096 /* bytes of header lines, of each kind */
};

/*
 * A handshake that has passed the engine's checks, while the layer above decides. It may be
 * read, and filled in, by any thread, one at a time; engine_answer_handshake() takes it back.
 */
struct held_handshake {
    struct engine *engine;              /* borrowed */
    handle conn;                        /* of the client, in the engine's shard */
    const struct http_request *request; /* a copy: owned by this */
    size_t n_bytes;                     /* of all that is held */
    bool is_websocket;                  /* what it asks for; else polling */
    char address[CONN_ADDRESS_MAX];

    /* The decision; all owned, NULL for none. */
    bool is_refused;
    char *message;       /* where it is: UTF-8 for the client; NULL: "Forbidden" */
    char *id;            /* see engine_is_id(); NULL: one is drawn */
    char *first_headers; /* lines for the response to this request, a refusal too */
    char *headers;       /* lines for each response of the session, this one included */
};

/* What was refused, and why: borrowed. */
struct handshake_refusal {
    unsigned shard; /* that has refused it */
    int code;       /* enum handshake_error */
    const char *message, *reason;
    const struct http_request *request;
    char address[CONN_ADDRESS_MAX];
};

struct engine_gate {
    /* Every handshake must come to engine_answer_handshake(). NULL: all are admitted. */
    void (*on_handshake)(struct held_handshake *held, void *arg);
    /* Its client has gone: the decision is of no use any more. It must still come to
     * engine_answer_handshake(). conn: as in held->conn. */
    void (*on_abandoned)(handle conn, void *arg);
    /* A request was refused, whatever it asked for. NULL: nobody wants to know. */
    void (*on_refused)(const struct handshake_refusal *refusal, void *arg);
    void *arg;
};

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

/* Who decides about new sessions: nobody at first. Before the loops run. */
void engine_set_gate(struct engine *engine, const struct engine_gate *gate);
/* It is decided: owned. Thread: the engine's shard. */
void engine_answer_handshake(struct held_handshake *held);
/* Instead of the answer, where the loops have ended. Thread: any. */
void held_handshake_free(struct held_handshake *held);
/* Whether text may be an id: 1 to ENGINE_ID_MAX letters, digits, '-' or '_'. What clients get
 * is longer: the shard's number stands behind it. */
static inline bool engine_is_id(const char *text)
{
    const size_t len = strlen(text);

    return len > 0 && len <= ENGINE_ID_MAX &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789-_") == len;
}

/* The session of a handle, or NULL. */
struct session *engine_find(struct engine *engine, handle session);

/* The state that the layer above keeps for each engine (set once). */
void *engine_upper_arg(const struct engine *engine);
struct net *engine_net(const struct engine *engine);

/* End every session (server shutting down) and refuse new ones with 503. */
void engine_shutdown(struct engine *engine);

#endif
