/*
 * server.h - what a plugin registers in init().
 *
 * The server owns every registration and removes it with the plugin.
 *
 * init() may also run in a server that has clients: when the plugin is loaded or reloaded (SIGHUP). Until
 * all of a reload has succeeded nothing that it has registered is called, and the code that it
 * replaces goes on; so it must cope with another of its kind beside it, and can take hold of
 * nothing that only one may have. New paths (hop_route(), hop_static()) can be had at any time,
 * hop_websocket() and hop_engine() only those that were there at the start.
 */
#ifndef SOCKHOP_SERVER_H
#define SOCKHOP_SERVER_H

#include <sockhop/event.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Say why init() fails: `return hop_fail(server, "cannot open %s", path);`
 * Always returns -1. Thread: logic.
 */
HOP_API int hop_fail(hop_server *server, const char *format, ...) HOP_PRINTF(2, 3);

/* One handler of one event; self is the pointer given at registration. Thread: logic. */
typedef hop_verdict hop_handler(hop_socket socket, hop_event *event, void *self);

/*
 * Handlers of one event run by phase, then as before= and after= ask (among the handlers
 * of that event and phase; a circle stops the start), then in the order of the conf file,
 * then of registration. HOP_OBSERVE runs whatever the others decided; its verdicts do not
 * count. Once a handler has disconnected the socket, only HOP_OBSERVE is still called.
 */
typedef enum hop_phase { HOP_GUARD, HOP_HANDLE, HOP_OBSERVE } hop_phase;

typedef struct hop_on_options {
    size_t size;        /* sizeof(hop_on_options) */
    hop_phase phase;    /* HOP_HANDLE where hop_on() is used */
    const char *before; /* a plugin's name, or NULL */
    const char *after;  /* a plugin's name, or NULL */

    /* since 0.3 */
    const char *nsp; /* for which namespaces: see namespace.h; NULL: "/" */
} hop_on_options;

/*
 * Call handler for every event of that name, hop_on() for those in "/".
 *   event  UTF-8, none of socket.io-parser's RESERVED_EVENTS (connect, connect_error,
 *          disconnect, disconnecting, newListener, removeListener): lifecycle has hooks;
 *          "" is an event like others
 * Returns 0, or -1: the plugin is refused with the reason even if it goes on.
 * Only in init(). Thread: logic.
 */
HOP_API int hop_on(hop_server *server, const char *event, hop_handler *handler,
                   void *self);
HOP_API int hop_on_with(hop_server *server, const char *event, hop_handler *handler,
                        void *self, const hop_on_options *options);

/*
 * Call handler for every event, whatever its name, also where nobody else handles it; its
 * verdict counts like any other's. It comes before the handlers of its phase that are
 * for one event; before= and after= order it among its like. hop_on_any() is for HOP_GUARD:
 * the handler comes first of all and decides whether there are others.
 * Returns 0, or -1, as hop_on(). Only in init(). Thread: logic.
 */
HOP_API int hop_on_any(hop_server *server, hop_handler *handler, void *self);
HOP_API int hop_on_any_with(hop_server *server, hop_handler *handler, void *self,
                            const hop_on_options *options);

/*
 * Lifecycle hooks: not event names, since a client may emit an event called "connect".
 * These are told of sockets in "/"; for others, see hop_on_connect_in() in namespace.h.
 *   connect     the socket has joined its namespace; its CONNECT reply is sent
 *   disconnect  it is going: still in its rooms, slots still set; emits to it go nowhere
 *   join/leave  it has joined or left a room (its own id's room not counted); when it
 *               goes, it leaves its rooms after the disconnect hooks, slots still set
 * They run in the order of init(). A hook may undo what it is told (a connect or join hook
 * disconnects the socket, a join hook leaves, a leave hook joins): later hooks are then
 * not told it, but all are told what follows from the undoing.
 * The reason is one of the protocol's words ("transport close", "ping timeout", ...).
 * Only in init(). Return 0, or -1. Thread: logic.
 */
typedef void hop_connect_hook(hop_socket socket, void *self);
typedef void hop_disconnect_hook(hop_socket socket, const char *reason, void *self);
typedef void hop_room_hook(hop_socket socket, const char *room, void *self);
HOP_API int hop_on_connect(hop_server *server, hop_connect_hook *hook, void *self);
HOP_API int hop_on_disconnect(hop_server *server, hop_disconnect_hook *hook, void *self);
HOP_API int hop_on_join(hop_server *server, hop_room_hook *hook, void *self);
HOP_API int hop_on_leave(hop_server *server, hop_room_hook *hook, void *self);

/*
 * Interfaces between plugins. The provider publishes a struct of functions under a name
 * (typed by a header in include/sockhop/, first member its size); the one that needs it
 * asks for it in its own init(), with `.requires` naming the provider.
 *   interface  borrowed: must live as long as the provider
 * hop_provide() returns 0, or -1 when the name is taken. hop_require() returns the
 * interface, or NULL when nobody provides it or it is smaller than size. Only in init().
 * Thread: logic.
 */
HOP_API int hop_provide(hop_server *server, const char *name, const void *interface,
                        size_t size);
HOP_API const void *hop_require(hop_server *server, const char *name, size_t size);

/*
 * Run work(self) in the logic thread, in its next turn. From one thread, posts run in
 * their order. The post is of the plugin that work is code of, else of the one that calls
 * this in the logic thread; what still waits when that plugin's free() has returned does
 * not run.
 * Returns 0, or -1 once the server stops or the plugin has gone: work will not run then.
 * Thread: any.
 */
HOP_API int hop_post(hop_server *server, void (*work)(void *self), void *self);

#ifdef __cplusplus
}
#endif

#endif
