/*
 * handshake.h - may this request come in? The verification that precedes everything, with
 * the error codes of the protocol. Thread: shard (shards' settings are read-only).
 * Source: docs/PROTOCOL.md 1.2; threats.md C02, C07, T01.
 */
#ifndef ENGINE_HANDSHAKE_H
#define ENGINE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/engine/session_impl.h"

/* The numbers that clients see. */
enum handshake_error {
    HANDSHAKE_OK = -1,
    HANDSHAKE_UNKNOWN_TRANSPORT = 0,
    HANDSHAKE_UNKNOWN_SID = 1,
    HANDSHAKE_BAD_METHOD = 2,
    HANDSHAKE_BAD_REQUEST = 3,
    HANDSHAKE_FORBIDDEN = 4,
    HANDSHAKE_BAD_VERSION = 5
};

/* What a good request asks for. */
struct handshake {
    struct session *session;          /* borrowed: NULL for a new one */
    bool is_websocket;                /* the transport; else polling */
    bool is_v3;                       /* a new one's protocol is 3 */
    bool is_base64;                   /* of v3: no bytes to this transport */
    struct jsonp_index jsonp;         /* of a new one that polls */
    bool is_cross_origin;             /* let in by engine.origins */
    const char *reason;               /* why it was refused: for the log */
    const char *message;              /* the same for the client; NULL: the error's own */
    const char *more_headers;         /* lines for its answer, or NULL */
    char headers[ORIGIN_HEADERS_MAX]; /* CORS lines for the response, or "" */
};

enum handshake_error handshake_verify(const struct engine *engine,
                                      const struct http_request *request,
                                      struct handshake *handshake);

/* The check of Origin alone. handshake: zeroed; its headers and reason are set. */
enum handshake_error handshake_check_origin(const struct engine *engine,
                                            const struct http_request *request,
                                            struct handshake *handshake);

/* Answer a browser that asks before it sends another origin's request (CORS preflight). Returns
 * whether it was one, of an origin that engine.origins lets in. */
bool handshake_preflight(const struct engine *engine, struct httpconn *http,
                         const struct http_request *request);

/* The CORS lines of an answer that everybody gets, whatever its Origin. */
void handshake_cors(const struct settings *settings, const struct http_request *request,
                    char headers[ORIGIN_HEADERS_MAX]);

const char *handshake_error_message(enum handshake_error error);

/* Answer with the error, in the form that its kind of request expects; log the reason. */
void handshake_refuse(struct httpconn *http, const struct http_request *request,
                      enum handshake_error error, const struct handshake *handshake);

/* How an Origin relates to the server. */
enum origin_verdict {
    ORIGIN_SAME,   /* none, or the host that was asked */
    ORIGIN_LISTED, /* named in the list */
    ORIGIN_ANY,    /* let in by "*" */
    ORIGIN_FORBIDDEN,
    ORIGIN_INVALID /* characters that no header may hold */
};

/* origin may be NULL; origins: the conf key's list. */
enum origin_verdict origin_check(const char *origin, const char *host,
                                 const char *origins);

#endif
