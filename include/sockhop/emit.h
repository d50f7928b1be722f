/*
 * emit.h - who gets an event, with what arguments.
 *
 *   hop_emit(hop_except(hop_to_room(server, "lobby"), socket), "line",
 *            json_pack("[s]", text));
 *
 * An event is encoded once, whatever the number of its receivers. To one socket, events
 * and acks arrive in the order in which they were emitted.
 */
#ifndef SOCKHOP_EMIT_H
#define SOCKHOP_EMIT_H

#include <jansson.h>
#include <sockhop/socket.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hop_event hop_event;

/* Receivers. Made and released by the server: lives until the turn ends. */
typedef struct hop_target hop_target;

/* Every socket of "/"; the members of a room there; one socket, of whatever namespace (see
 * namespace.h for other targets). Thread: logic. */
HOP_API hop_target *hop_to_all(hop_server *server);
HOP_API hop_target *hop_to_room(hop_server *server, const char *room);
HOP_API hop_target *hop_to_socket(hop_server *server, hop_socket socket);

/*
 * Widen or narrow a target; each returns the target it was given. A socket in several
 * rooms gets the event once; exceptions win. HOP_NO_SOCKET as an exception is none.
 * Thread: logic.
 */
HOP_API hop_target *hop_and_room(hop_target *target, const char *room);
HOP_API hop_target *hop_except(hop_target *target, hop_socket socket);
HOP_API hop_target *hop_except_room(hop_target *target, const char *room);

/* Receivers that cannot take it at once lose it, rather than queue it. Thread: logic. */
HOP_API hop_target *hop_volatile(hop_target *target);

/*
 * Whether the packet may be compressed on its way, where engine.permessage_deflate or
 * engine.http_compression is on; it may, unless this says no: for what is compressed
 * already, or holds a secret beside what others chose. Thread: logic.
 */
HOP_API hop_target *hop_compress(hop_target *target, bool may_compress);

/*
 * Only to sockets of this server, where it is one of a cluster. Until there are clusters,
 * every target is local. Thread: logic.
 */
HOP_API hop_target *hop_local(hop_target *target);

/*
 * The sockets that a target comes down to now, each once, in any order; those that are
 * going are none. What is emitted next to the same target goes to these.
 * Returns an array of *n handles, or NULL and *n 0 where there are none. Borrowed: until the
 * next call of one of these functions with that target, or until the turn ends.
 * Thread: logic.
 */
HOP_API const hop_socket *hop_target_sockets(hop_target *target, size_t *n);

/*
 * hop_socket_join(), hop_socket_leave() and hop_socket_disconnect() for all of them, hooks
 * included: a hook may disconnect those whose turn is yet to come. Each returns for how many
 * sockets it worked. Thread: logic.
 */
HOP_API size_t hop_target_join(hop_target *target, const char *room);
HOP_API size_t hop_target_leave(hop_target *target, const char *room);
HOP_API size_t hop_target_disconnect(hop_target *target, hop_close_mode mode);

/*
 * Send an event to every socket of a target.
 *
 *   target  NULL is refused, as hop_to_room(server, NULL) gives it
 *   event   UTF-8, none of socket.io-parser's RESERVED_EVENTS; "" is an event like others
 *   args    JSON array of the arguments, or NULL for none; owned: released even on failure
 *
 * Queues and returns at once: a socket over its queue limit is closed, not waited for.
 * Returns 0, also where the target is nobody or the server stops; or -1 when target or
 * event is NULL, the event is no UTF-8 or reserved, or args is no array: nothing was sent
 * then. Thread: logic.
 */
HOP_API int hop_emit(hop_target *target, const char *event, json_t *args);

/* hop_emit() of the event "message": what clients call send(). Thread: logic. */
HOP_API int hop_send(hop_target *target, json_t *args);

/*
 * Be told of every event that a plugin emits to sockets, before it is sent, whoever they
 * are; an event to many is told once. What such a hook emits itself is not told. It cannot
 * change or stop anything. Acks are no events.
 * Returns 0, or -1. Only in init(). Thread: logic.
 */
typedef struct hop_outgoing hop_outgoing; /* borrowed: until the hook returns */
typedef void hop_outgoing_hook(hop_outgoing *outgoing, void *self);
HOP_API int hop_on_any_outgoing(hop_server *server, hop_outgoing_hook *hook, void *self);

/*
 * The event's name; its arguments as text of a JSON array, with its length, and as a tree
 * (NULL where jansson cannot hold it), what is binary in both as its placeholder; who gets
 * it, to be asked with hop_target_sockets(); whether acks are asked for. All borrowed.
 * Thread: logic.
 */
HOP_API const char *hop_outgoing_name(const hop_outgoing *outgoing);
HOP_API const char *hop_outgoing_raw(const hop_outgoing *outgoing, size_t *len);
HOP_API json_t *hop_outgoing_args(hop_outgoing *outgoing);
HOP_API hop_target *hop_outgoing_target(const hop_outgoing *outgoing);
HOP_API bool hop_outgoing_has_ack(const hop_outgoing *outgoing);

/*
 * A list of arguments built from values and from raw pieces of a received event, which
 * are passed on as their sender wrote them:
 *
 *   hop_args *args = hop_args_new();
 *   hop_args_begin_object(args);
 *   hop_args_key(args, "sender");
 *   hop_args_string(args, name);
 *   hop_args_key(args, "message");
 *   hop_args_raw(args, event, 0);
 *   hop_args_end(args);
 *   hop_emit_args(hop_to_all(server), "chat", args);
 *
 * hop_args_new() returns a list that hop_emit_args(), hop_event_ack_args() or
 * hop_args_free() releases. A call that does not fit the grammar (a value without a key
 * in an object, an end too many) marks the list, and the emit then fails. Thread: any, one at
 * a time, for those that take no event: a job may build what logic sends.
 *
 * In a list that has binary data, an object with "_placeholder":true that stands for none
 * of it (from hop_args_json(), or from an event without attachments) is sent with 1 in
 * place of true: no receiver could tell it from binary data otherwise.
 */
typedef struct hop_args hop_args;
HOP_API hop_args *hop_args_new(void);
HOP_API void hop_args_free(hop_args *args);
HOP_API void hop_args_begin_object(hop_args *args);
HOP_API void hop_args_begin_array(hop_args *args);
HOP_API void hop_args_key(hop_args *args, const char *key);
HOP_API void hop_args_end(hop_args *args);
HOP_API void hop_args_string(hop_args *args, const char *utf8);
HOP_API void hop_args_json(hop_args *args, json_t *value); /* owned */
/*
 * len bytes of binary data, copied, as an ArrayBuffer or Buffer at the client. An event or
 * ack with more pieces of it than engine.max_attachments (10, as in stock clients) is
 * refused when it is sent. data: NULL only with len 0, else the list is marked.
 */
HOP_API void hop_args_binary(hop_args *args, const void *data, size_t len);
/* Argument n of a received event, with what is binary in it; null where it has none. */
HOP_API void hop_args_raw(hop_args *args, const hop_event *event, size_t n);
/* All arguments of a received event, from n on. */
HOP_API void hop_args_raw_from(hop_args *args, const hop_event *event, size_t n);

/*
 * hop_emit() with a built list (owned: released even on failure). Returns -1 also where
 * the list is marked or not complete. Thread: logic.
 */
HOP_API int hop_emit_args(hop_target *target, const char *event, hop_args *args);

/*
 * Send an event to one socket and ask for its ack. on_ack is called exactly once:
 *   HOP_ACK_OK            args is the client's array of arguments (borrowed; NULL where
 *                         jansson cannot hold it)
 *   HOP_ACK_TIMEOUT       nothing came within timeout_ms; args NULL
 *   HOP_ACK_DISCONNECTED  the socket has gone; args NULL
 *   HOP_ACK_DROPPED       the plugin is stopped or replaced (socket HOP_NO_SOCKET); among many:
 *                         see hop_emit_with_acks()
 * event and args as in hop_emit(). timeout_ms: 1 to 3,600,000.
 * Returns 0, or -1 when nothing was sent, also where limits.max_acks are awaited already;
 * on_ack is not called then. Thread: logic.
 */
typedef enum hop_ack_status {
    HOP_ACK_OK,
    HOP_ACK_TIMEOUT,
    HOP_ACK_DISCONNECTED,
    HOP_ACK_DROPPED
} hop_ack_status;
typedef void hop_ack_handler(hop_socket socket, hop_ack_status status, json_t *args,
                             void *self);
HOP_API int hop_emit_with_ack(hop_server *server, hop_socket socket, const char *event,
                              json_t *args, int timeout_ms, hop_ack_handler *on_ack,
                              void *self);

#ifdef __cplusplus
}
#endif

#endif
