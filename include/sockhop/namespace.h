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

#include <jansson.h>
#include <sockhop/emit.h>
#include <sockhop/server.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Declare a namespace. Declaring one again is no error. Clients get in as long as a plugin
 * that has declared it is loaded (one of the conf file's, always); who is in stays.
 *   name  UTF-8, "/" first, at most 128 bytes, without "," and "?"
 * Returns 0, or -1: the plugin is refused with the reason. Only in init(). Thread: logic.
 */
HOP_API int hop_namespace(hop_server *server, const char *name);

/*
 * Declare namespaces by a pattern: a POSIX extended regular expression that has to fit the
 * whole name. When a client asks for a name that is not there, patterns and hooks are tried
 * in the order of their declaration; the first that fits makes the namespace. It goes with
 * its last client (engine.cleanup_empty_child_namespaces), and there are at most
 * limits.max_namespaces of them. Names are what a client chooses: mind what a pattern lets
 * through before you show or store one.
 * Returns 0, or -1: the plugin is refused with the reason. Only in init(). Thread: logic.
 */
HOP_API int hop_namespace_pattern(hop_server *server, const char *pattern);

/* A client that asks to come in. Borrowed: lives until the call that it was given to
 * returns. */
typedef struct hop_connect hop_connect;

/*
 * Declare namespaces by a hook, which is asked as a pattern is.
 *   label   what registrations name it by; does not start with "/"
 *   accept  decides by hop_connect_namespace(), hop_connect_auth() and so on, of which none
 *           is kept; the socket does not exist yet. For a verdict that takes time, say true
 *           and have middleware refuse.
 * Returns 0, or -1: the plugin is refused with the reason. Only in init(). Thread: logic.
 */
typedef bool hop_namespace_accept(hop_connect *connect, void *self);
HOP_API int hop_namespace_hook(hop_server *server, const char *label,
                               hop_namespace_accept *accept, void *self);

/*
 * Be told when a client's request has made a namespace, before that client is in it, and
 * when it has gone again. nsp: its name, borrowed; emits to one that is going reach nobody.
 * Only in init(). Returns 0, or -1. Thread: logic.
 */
typedef void hop_namespace_change(const char *nsp, bool is_made, void *self);
HOP_API int hop_on_namespace(hop_server *server, const char *nsp,
                             hop_namespace_change *hook, void *self);

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
 * namespace of that name is there (any more).
 * The text of a pattern, or the label of a hook, is all namespaces that came about by it: an
 * event to them is encoded once for each. Thread: logic.
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

/*
 * Middleware: looks at each client that asks to join a namespace, before anybody else hears
 * of it. Those of one namespace are called one after the other, in the order of the conf
 * file, then of registration; the first that refuses ends it. The socket is there already,
 * but not connected: it can be given slots and put into rooms, and what is emitted to it is
 * sent behind its CONNECT's reply; its join hooks run just before its connect hooks. One
 * that never connects has no hooks: its slots are freed, acks that it owes fail.
 * Verdicts:
 *   HOP_NEXT               the next one; behind the last, it is connected
 *   hop_connect_reject()   the client gets `connect_error` with message and data
 *   HOP_DEFER              after hop_connect_defer(): decided later
 * Whatever else is returned refuses, and is logged as plugin.bad_verdict.
 *   nsp  a declaration as above
 * Only in init(). Returns 0, or -1. Thread: logic.
 */
typedef hop_verdict hop_middleware(hop_socket socket, hop_connect *connect, void *self);
HOP_API int hop_use(hop_server *server, const char *nsp, hop_middleware *middleware,
                    void *self);

/* The namespace that is asked for. Borrowed. Thread: logic. */
HOP_API const char *hop_connect_namespace(const hop_connect *connect);

/* The payload of the client's CONNECT (its option `auth`), {} where there is none. NULL
 * where jansson cannot hold it. Borrowed from connect. Thread: logic. */
HOP_API json_t *hop_connect_auth(hop_connect *connect);

/*
 * A parameter of the session's first request, decoded, as a string: the last one of that
 * name. All its headers, names in lower case. New references, or NULL: there is none, or
 * no plugin has called hop_want_handshake(). Thread: logic.
 */
HOP_API json_t *hop_connect_query(hop_connect *connect, const char *name);
HOP_API json_t *hop_connect_headers(hop_connect *connect);

/*
 * Refuse: `return hop_connect_reject(connect, "not authorized", json_pack("{ss}", ...));`
 * The client gets `connect_error`, an Error with that message and, where data is not NULL,
 * that data.
 *   message  UTF-8; copied; else "refused"
 *   data     any JSON value, or NULL; owned
 * Sent once the middleware has returned the verdict. Thread: logic.
 */
HOP_API hop_verdict hop_connect_reject(hop_connect *connect, const char *message,
                                       json_t *data);

/*
 * Take time: `deferral = hop_connect_defer(connect, 5000);` then return HOP_DEFER, and say
 * later by hop_connect_resume() how it goes on. When nobody has within timeout_ms (1 to
 * 3,600,000), the client is refused with "timeout"; when it leaves meanwhile, that is all.
 * connect itself ends with the call. Returns 0 when it cannot. Thread: logic.
 */
HOP_API hop_deferral hop_connect_defer(hop_connect *connect, int timeout_ms);

/*
 * Decide what was deferred, in the logic thread's next turn. Later calls, and those of one
 * that has left or timed out, do nothing.
 *   message  NULL: on to the next middleware; else refused, as by hop_connect_reject()
 *   data     as there; owned: released even on failure, and only where there is a message
 *            sent; nobody else may hold or use it
 * Returns 0, or -1 once the server stops. Thread: any.
 */
HOP_API int hop_connect_resume(hop_server *server, hop_deferral deferral,
                               const char *message, json_t *data);

/*
 * Have the server keep what clients come with, for the functions below: some hundred bytes
 * a client, which is why it is not kept otherwise. Only in init(). Returns 0, or -1.
 * Thread: logic.
 */
HOP_API int hop_want_handshake(hop_server *server);

/*
 * What a socket came with, as the reference server's socket.handshake: {headers, time,
 * address, xdomain, secure, issued, url, query, auth}; headers with names in lower case,
 * issued in ms since the epoch, query decoded (an array where a parameter came twice), auth
 * the payload of its CONNECT. Or only that payload; or one parameter of the query, a string.
 * New references. NULL: no such socket, no such parameter, or no plugin has called
 * hop_want_handshake(). Thread: logic.
 */
HOP_API json_t *hop_socket_handshake(hop_server *server, hop_socket socket);
HOP_API json_t *hop_socket_auth(hop_server *server, hop_socket socket);
HOP_API json_t *hop_socket_query(hop_server *server, hop_socket socket, const char *name);

#ifdef __cplusplus
}
#endif

#endif
