/*
 * endpoint.h - paths of a plugin's own where clients stay connected without Socket.IO: raw
 * WebSockets, and bare Engine.IO.
 *
 * The core keeps the connections, under the limits, the check of Origin and the compression
 * of all others: [engine] and [limits] hold here too. A plugin is told of each by three
 * callbacks, in the logic thread, in the order in which things happened.
 */
#ifndef SOCKHOP_ENDPOINT_H
#define SOCKHOP_ENDPOINT_H

#include <sockhop/route.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One client of an endpoint, by value: slot and generation. It may be stored for as long as
 * one likes: a function that gets the handle of a peer that has gone does nothing and says
 * so. HOP_NO_PEER is never one; nor is a hop_socket.
 */
typedef uint64_t hop_peer;
#define HOP_NO_PEER ((hop_peer)0)

typedef enum hop_message_kind { HOP_TEXT, HOP_BINARY } hop_message_kind;

/* What an endpoint does. Start it with HOP_ENDPOINT; any of the callbacks may be NULL. */
typedef struct hop_endpoint {
    size_t size; /* HOP_ENDPOINT sets it */

    /*
     * A client is connected. request: its opening request, without a body, to be read and
     * not to be answered; borrowed until this returns.
     */
    void (*on_open)(hop_peer peer, hop_request *request, void *self);

    /*
     * A whole message, of len bytes (0 too): at most engine.max_http_buffer_size. HOP_TEXT
     * is valid UTF-8. A NUL that does not count stands behind it. Borrowed until this
     * returns. None comes once hop_peer_close() was called.
     */
    void (*on_message)(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                       void *self);

    /*
     * It has ended; once for each on_open, and the handle is stale when this returns.
     *   code    of a raw WebSocket, what stood in the first close frame: the peer's, or
     *           ours (that of hop_peer_close(), 1001 when the server stops, 1002, 1007, 1008
     *           or 1009 for what was refused); 1005 when the peer gave none, 1006 when the
     *           connection was lost. Of Engine.IO: 0
     *   reason  the words beside the code, "" for none; of Engine.IO one of Socket.IO's
     *           reasons ("transport close", "ping timeout" ...). UTF-8, borrowed
     */
    void (*on_close)(hop_peer peer, int code, const char *reason, void *self);
} hop_endpoint;

#define HOP_ENDPOINT .size = sizeof(hop_endpoint)

/*
 * Open an endpoint.
 *   path      starts with '/', not below the Socket.IO path or above it, and nobody's yet.
 *             hop_websocket(): this path exactly. hop_engine(): all below it too
 *   endpoint  copied
 *
 * hop_websocket(): RFC 6455; a plain request gets 426. A peer that is silent is sent a ping
 * every engine.ping_interval, and has engine.ping_timeout to answer it.
 * hop_engine(): Engine.IO as under the Socket.IO path, with the same options, both
 * transports and the upgrade from one to the other; messages are what Engine.IO carries.
 * At most 8 of these in a server.
 *
 * Once the plugin has gone the path is what it was without it; as long as peers are connected
 * the plugin is neither replaced nor unloaded.
 * Only in init(). Returns 0, or -1 when path is none of these. Thread: logic.
 */
HOP_API int hop_websocket(hop_server *server, const char *path,
                          const hop_endpoint *endpoint, void *self);
HOP_API int hop_engine(hop_server *server, const char *path, const hop_endpoint *endpoint,
                       void *self);

/*
 * Send a message.
 *   data  copied; HOP_TEXT: valid UTF-8. NULL where len is 0
 * Queues and returns at once: a peer over limits.max_queue_bytes is closed, not waited for.
 * Returns 0, or -1: the peer has gone or hop_peer_close() was called, text is not UTF-8, or
 * there is no memory for a copy; nothing was sent then. Thread: logic.
 */
HOP_API int hop_peer_send(hop_server *server, hop_peer peer, hop_message_kind kind,
                          const void *data, size_t len);

/*
 * Close it. What was sent before goes out first; on_close comes later.
 *   code    1000 to 1003, 1007 to 1014 or 3000 to 4999; Engine.IO has no codes: not sent
 *   reason  UTF-8, at most 123 bytes, or NULL; not sent by Engine.IO
 * Returns 0, or -1: it has gone, was closed already, or code or reason is none of these.
 * Thread: logic.
 */
HOP_API int hop_peer_close(hop_server *server, hop_peer peer, int code,
                           const char *reason);

/* Whether messages may be sent: open, and not closed by us. Thread: logic. */
HOP_API bool hop_peer_is_open(hop_server *server, hop_peer peer);

/* Its address as text, "127.0.0.1" or "::1"; NULL when it has gone. Borrowed: lives until
 * its on_close has returned. Thread: logic. */
HOP_API const char *hop_peer_address(hop_server *server, hop_peer peer);

/*
 * One pointer of the plugin's own on each peer, NULL at first: release what it points to in
 * on_close. Set returns 0, or -1 when the peer has gone. Thread: logic.
 */
HOP_API int hop_peer_set(hop_server *server, hop_peer peer, void *value);
HOP_API void *hop_peer_get(hop_server *server, hop_peer peer);

#ifdef __cplusplus
}
#endif

#endif
