/*
 * session.h - one Engine.IO session: what the layer above does with it. Thread: shard.
 */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/metrics.h"
#include "core/engine/deflate.h"
#include "core/loop/slots.h"

struct bytes;
struct turnbuf;
struct session;

/* Why sessions end: the protocol's word, and the counter. One list for all three. */
#define SESSION_ENDS(X)                                                                  \
    X(TRANSPORT_CLOSE, "transport close", CLOSED_TRANSPORT_CLOSE)                        \
    X(TRANSPORT_ERROR, "transport error", CLOSED_TRANSPORT_ERROR)                        \
    X(FORCED, "forced close", CLOSED_FORCED)                                             \
    X(SERVER_FORCED, "forced server close", CLOSED_SERVER_FORCED)                        \
    X(PING_TIMEOUT, "ping timeout", CLOSED_PING_TIMEOUT)                                 \
    X(PARSE_ERROR, "parse error", CLOSED_PARSE_ERROR)                                    \
    X(SHUTDOWN, "server shutting down", CLOSED_SHUTDOWN)                                 \
    X(SLOW, "transport error", CLOSED_SLOW)                                              \
    X(NEVER_JOINED, "forced close", CLOSED_NEVER_JOINED)

enum session_end {
#define SESSION_END_ID(id, word, counter) SESSION_##id,
    SESSION_ENDS(SESSION_END_ID)
#undef SESSION_END_ID
        N_SESSION_ENDS
};

/* "transport close" and so on. Thread: any. */
const char *session_end_word(enum session_end end);

/*
 * One packet on its way to one or many sessions. The WebSocket frames are made when the
 * first session needs them, in `buffer`, and shared by all that follow.
 */
struct outgoing {
    struct bytes
        *packet; /* borrowed: a message packet, '4' first; or packet_try_new()'s */
    struct turnbuf *buffer; /* borrowed: the room's, or NULL for the shard's direct one */
    bool is_volatile;       /* dropped by sessions that are not writable */
    bool may_compress;      /* where a transport can: off unless its maker allows it */
    /* filled by session_send() */
    struct bytes *frame; /* borrowed until this part of the turn ends */
    size_t from, to;
    struct {
        struct bytes *frames; /* borrowed likewise; NULL: it does not pay */
        bool was_tried;
    } deflated[DEFLATE_CLASSES];
};

/* Queue a packet. Nothing happens to a session that has ended. */
void session_send(struct session *session, struct outgoing *out);

/*
 * End it. What was sent before goes out first; the upper's on_closed is called at once.
 * detail says more than the end's word, for the log, or NULL.
 */
void session_close(struct session *session, enum session_end end, const char *detail);

/* Whether its client has sent what was not read yet: a deadline is not the client's fault. */
bool session_has_input(const struct session *session);
/* Whether part of a message or of a POST is here: it has a deadline of its own. */
bool session_is_receiving(const struct session *session);

handle session_handle(const struct session *session);
bool session_is_open(const struct session *session);
/* The version of Engine.IO that its client speaks: 4, or 3 (Socket.IO 2.x). */
int session_protocol(const struct session *session);
/* Its id as its client knows it, NUL-terminated: a secret of the two. */
enum { SESSION_SID_SIZE = 68 };
void session_sid(const struct session *session, char sid[SESSION_SID_SIZE]);
void *session_upper(const struct session *session);
/* 8 characters, for logs: of the sid, or, where a plugin gave it, of a digest. */
enum { LOG_ID_CHARS = 8 };
struct log_id {
    char text[LOG_ID_CHARS + 1];
};
struct log_id session_log_id(const struct session *session);

#endif
