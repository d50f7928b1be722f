/*
 * socket.h - one client in one namespace.
 *
 * Every function takes the handle of a socket that may have gone: it then does nothing
 * and returns -1, NULL or false.
 */
#ifndef SOCKHOP_SOCKET_H
#define SOCKHOP_SOCKET_H

#include <jansson.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the socket is connected. Thread: logic. */
HOP_API bool hop_socket_is_connected(hop_server *server, hop_socket socket);

/*
 * The Socket.IO id that the client sees as socket.id: 20 characters, random.
 * Borrowed: lives until the socket's disconnect hooks have run. Thread: logic.
 */
HOP_API const char *hop_socket_id(hop_server *server, hop_socket socket);

/* The socket with that id in "/", or HOP_NO_SOCKET. Thread: logic. */
HOP_API hop_socket hop_socket_find(hop_server *server, const char *id);

/* The peer's address as text, "127.0.0.1" or "::1". Borrowed as the id. Thread: logic. */
HOP_API const char *hop_socket_address(hop_server *server, hop_socket socket);

/*
 * Put the socket into a room, or take it out. A room exists while it has a member; every
 * socket is in the room named by its id. Joining twice is no error. A later broadcast
 * to the room includes (excludes) the socket.
 *   room  UTF-8, 1 to 128 bytes
 * Returns 0, or -1 (no such socket, bad name, limits.max_rooms joined already, not a member,
 * its own room: which it never leaves). Thread: logic.
 */
HOP_API int hop_socket_join(hop_server *server, hop_socket socket, const char *room);
HOP_API int hop_socket_leave(hop_server *server, hop_socket socket, const char *room);
HOP_API bool hop_socket_in_room(hop_server *server, hop_socket socket, const char *room);

/*
 * The n-th room that the socket is in, or NULL behind the last. 0 is that of its own id; the
 * order of the others is any, and changes when it leaves one. Borrowed: until the socket
 * leaves the room. Thread: logic.
 */
HOP_API const char *hop_socket_room(hop_server *server, hop_socket socket, size_t n);

/*
 * Disconnect the socket: HOP_CLOSE_SOCKET sends DISCONNECT for its namespace (a stock
 * client does not come back by itself), HOP_CLOSE_TRANSPORT closes the whole connection
 * (it does). One that is still connecting is refused with "disconnected". What was emitted before is sent first; the disconnect hooks run before this
 * returns, unless they are running already, or disconnects nest too deep in each other's
 * hooks: then they run before the outermost returns. Returns 0, or -1. Thread: logic.
 */
typedef enum hop_close_mode { HOP_CLOSE_SOCKET, HOP_CLOSE_TRANSPORT } hop_close_mode;
HOP_API int hop_socket_disconnect(hop_server *server, hop_socket socket,
                                  hop_close_mode mode);

/*
 * What plugins share about a socket: a JSON object, made empty when first asked for. Change
 * it in place, with json_object_set_new() and the like. Unlike a slot it can be written out,
 * and so goes wherever the socket goes. Borrowed: lives until the socket has gone, after its
 * disconnect hooks. NULL when it has gone. Thread: logic.
 */
HOP_API json_t *hop_socket_data(hop_server *server, hop_socket socket);

/*
 * A slot is one pointer of a plugin's own on every socket: make it once in init().
 *   free  called with the pointer when the socket has gone (after its disconnect hooks),
 *         or when another value replaces it; never with NULL; may itself be NULL
 * hop_slot_new() returns the slot, >= 0, or -1 when all 64 are taken. Thread: logic.
 */
typedef int hop_slot;
HOP_API hop_slot hop_slot_new(hop_server *server, void (*free_value)(void *value));

/* Set and get. Set returns 0, or -1; the value is then not taken over. Thread: logic. */
HOP_API int hop_socket_set(hop_server *server, hop_socket socket, hop_slot slot,
                           void *value);
HOP_API void *hop_socket_get(hop_server *server, hop_socket socket, hop_slot slot);

#ifdef __cplusplus
}
#endif

#endif
