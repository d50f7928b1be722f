/*
 * handshake.h - who may open a session: hooks that look at the request before there is any
 * socket or namespace, name the session, and add headers to its responses.
 *
 * The core has checked everything by then (methods, versions, Origin, limits). Middleware
 * (namespace.h) is the place for what depends on a namespace or on the client's auth payload;
 * these hooks are the one place for headers, and for refusing before anything is kept.
 */
#ifndef SOCKHOP_HANDSHAKE_H
#define SOCKHOP_HANDSHAKE_H

#include <sockhop/event.h>
#include <sockhop/route.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One request for a session. Borrowed: until the hook returns. Of one that was deferred,
 * hop_handshake_of() gives it again. */
typedef struct hop_handshake hop_handshake;

/*
 * Returns HOP_NEXT (the next hook is asked; behind the last the session opens), what
 * hop_handshake_reject() gave, or HOP_DEFER behind hop_handshake_defer(). Anything else
 * refuses the client, and is logged.
 */
typedef hop_verdict hop_handshake_hook(hop_handshake *handshake, void *self);

/*
 * Be asked for every new session of a path, once: by the request that opens it, not by polls
 * or by an upgrade. Hooks are called in the order of the conf file, then of registration.
 * Where there is one, a handshake takes a trip to the logic thread.
 *   path  NULL for Socket.IO's own, or that of a hop_engine() of the same or another plugin
 * Only in init(). Returns 0, or -1. A path that nobody has opened when all plugins are up
 * refuses the start. Thread: logic.
 */
HOP_API int hop_on_handshake(hop_server *server, const char *path,
                             hop_handshake_hook *hook, void *self);

/* The request: path, query and headers; it has no body, and hop_respond() does nothing.
 * Borrowed, as the handshake. NULL without memory for it. Thread: logic. */
HOP_API hop_request *hop_handshake_request(hop_handshake *handshake);

/* The client's address as text, "127.0.0.1" or "::1"; the transport that it asks for,
 * "polling" or "websocket". Borrowed, as the handshake. Thread: logic. */
HOP_API const char *hop_handshake_address(const hop_handshake *handshake);
HOP_API const char *hop_handshake_transport(const hop_handshake *handshake);

/*
 * Name the session, instead of an id of 144 random bits.
 *   id  1 to 64 of A-Z a-z 0-9 - _; copied
 * The client gets it as sid with "." and two digits of its shard behind it. It is what
 * proves who may poll, so it must be as hard to guess as a random one. Two sessions of one
 * shard cannot have the same: the later is refused with "Bad request", also while the
 * earlier one's client has gone and its ping timeout has not passed. So an id is for one
 * session, not for one user. Returns 0, or -1: it is none. Thread: logic.
 */
HOP_API int hop_handshake_set_id(hop_handshake *handshake, const char *id);

/*
 * Add a header to responses.
 *   when   HOP_FIRST_RESPONSE: to the answer to this request alone, a refusal included.
 *          HOP_ALL_RESPONSES: to that one, where it lets the client in, and to the later
 *          ones of the session: polls, POSTs and the 101 of an upgrade; not to errors
 *   name   a token (RFC 9110 5.6.2), none of those that the core writes: Access-Control-*,
 *          Cache-Control, Connection, Content-Encoding, Content-Length, Content-Type, Date,
 *          Keep-Alive, Sec-WebSocket-*, Transfer-Encoding, Upgrade, Vary,
 *          X-Content-Type-Options
 *   value  without control characters but tabs; bytes above 0x7f are sent as they are
 * A name may be added several times, as Set-Cookie is. Returns 0, or -1: it is none of
 * these, or over 4,096 bytes of one kind; nothing was added then. Thread: logic.
 */
typedef enum hop_response { HOP_FIRST_RESPONSE, HOP_ALL_RESPONSES } hop_response;
HOP_API int hop_handshake_add_header(hop_handshake *handshake, hop_response when,
                                     const char *name, const char *value);

/*
 * Refuse the client: 403 with {"code":4,"message":message}; a request for a WebSocket is
 * answered with the message as text. message: UTF-8, copied, cut at 1,000 bytes; NULL:
 * "Forbidden".
 * Returns the verdict to return. Thread: logic.
 */
HOP_API hop_verdict hop_handshake_reject(hop_handshake *handshake, const char *message);

/*
 * Decide later: return HOP_DEFER then. Nobody waits but this client; after timeout_ms (1 to
 * 3,600,000) it is refused with "timeout". Returns an id, or 0: not within a hook, or no
 * such time. Thread: logic.
 */
HOP_API hop_deferral hop_handshake_defer(hop_handshake *handshake, int timeout_ms);

/* One that waits: to name it or add headers before it is resumed. NULL when it is decided,
 * its time is over, or its client has gone. Borrowed: until the caller returns to the
 * server. Thread: logic. */
HOP_API hop_handshake *hop_handshake_of(hop_server *server, hop_deferral deferral);

/*
 * The decision. message: NULL: the next hook is asked, as after HOP_NEXT; else it is refused
 * with it; copied. Nothing happens where it is decided already. Returns 0, or -1: the server
 * has stopped. Thread: any.
 */
HOP_API int hop_handshake_resume(hop_server *server, hop_deferral deferral,
                                 const char *message);

/*
 * Be told of every request that was refused with one of the codes 0 to 5: by the core's
 * checks or by a hook, of a session or for one (not of 503s, nor of what is no good HTTP).
 * For logs and counters: it is too late to answer. While logic is behind, some are left out.
 *   path  as of hop_on_handshake()
 * Only in init(). Returns 0, or -1. Thread: logic.
 */
typedef struct hop_connection_error {
    int code;            /* 0 to 5: as in the answer's body */
    const char *message; /* what the client was told; borrowed, as all of these */
    const char *reason;  /* more, for people; "" for none */
    const char *address;
    hop_request *request;
} hop_connection_error;
typedef void hop_connection_error_hook(const hop_connection_error *error, void *self);
HOP_API int hop_on_connection_error(hop_server *server, const char *path,
                                    hop_connection_error_hook *hook, void *self);

#ifdef __cplusplus
}
#endif

#endif
