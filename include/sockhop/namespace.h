/*
 * namespace.h - namespaces: several sockets of one client, each with its own events, rooms
 * and hooks, over one connection.
 *
 * "/" is always there. Others are declared: in the conf file ([server] namespaces) or by a
 * plugin in init(), as a name, as a pattern, or as a hook that is asked. A client that asks
 * for anything else is told "Invalid namespace". Whatever is registered (handlers, hooks,
 * middleware) takes the declaration that it is for, where NULL means "/":
 *
 *   "/chat"        the namespace of that name
 *   "/room-[0-9]+" all namespaces that came about by this pattern
 *   "tenants"      all that came about by the hook of this label
 *   "*"            all there are
 *
 * It may be declared by anybody, also later: the start is refused when nobody does.
 */
#ifndef SOCKHOP_NAMESPACE_H
#define SOCKHOP_NAMESPACE_H

#include <sockhop/emit.h>
#include <sockhop/server.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Declare a namespace. Declaring one again is no error.
 *   name  UTF-8, "/" first, at most 128 bytes, without "," and "?"
 * Returns 0, or -1: the plugin is refused with the reason. Only in init(). Thread: logic.
 */
HOP_API int hop_namespace(hop_server *server, const char *name);

/*
 * The name of a socket's namespace, "/" or "/chat". Borrowed: lives until the socket's
 * disconnect hooks have run. NULL when there is no such socket. Thread: logic.
 */
HOP_API const char *hop_socket_namespace(hop_server *server, hop_socket socket);

/* hop_socket_find() in another namespace. Thread: logic. */
HOP_API hop_socket hop_socket_find_in(hop_server *server, const char *nsp,
                                      const char *id);

/*
 * Every socket of a namespace; the members of a room there. A target belongs to one
 * namespace, and so does all that it is widened or narrowed by: hop_to_all() and
 * hop_to_room() are those of "/", hop_to_socket() is of the socket's own. Nobody, where no
 * namespace of that name is there (any more). Thread: logic.
 */
HOP_API hop_target *hop_to_namespace(hop_server *server, const char *nsp);
HOP_API hop_target *hop_to_room_in(hop_server *server, const char *nsp, const char *room);

/*
 * The lifecycle hooks of server.h, which are those of "/", for other namespaces.
 *   nsp  a declaration as above
 * Only in init(). Return 0, or -1. Thread: logic.
 */
HOP_API int hop_on_connect_in(hop_server *server, const char *nsp, hop_connect_hook *hook,
                              void *self);
HOP_API int hop_on_disconnect_in(hop_server *server, const char *nsp,
                                 hop_disconnect_hook *hook, void *self);
HOP_API int hop_on_join_in(hop_server *server, const char *nsp, hop_room_hook *hook,
                           void *self);
HOP_API int hop_on_leave_in(hop_server *server, const char *nsp, hop_room_hook *hook,
                            void *self);

#ifdef __cplusplus
}
#endif

#endif
