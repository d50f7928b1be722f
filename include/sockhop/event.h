/*
 * event.h - one event that a client sent, as its handlers see it.
 *
 * A hop_event is borrowed: it lives until the handler returns.
 */
#ifndef SOCKHOP_EVENT_H
#define SOCKHOP_EVENT_H

#include <jansson.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hop_event hop_event;
typedef struct hop_args hop_args; /* emit.h */

/* What a handler decides. */
typedef enum hop_verdict {
    HOP_NEXT,     /* go on to the next handler */
    HOP_STOP,     /* handled: later handlers of HOP_GUARD and HOP_HANDLE are not called */
    HOP_REJECTED, /* refused: return what hop_reject() gave, never this by itself */
    HOP_DEFER,    /* decided later: after hop_event_defer() or hop_connect_defer() */
    HOP_REPLACE   /* go on with other arguments: return what hop_replace() gave */
} hop_verdict;
/*
 * By itself, HOP_REJECTED refuses with the code "rejected"; any other number, and HOP_DEFER
 * or HOP_REPLACE by itself, counts as HOP_NEXT. All are logged as plugin.bad_verdict.
 */

/* The event's name: UTF-8, NUL-terminated, escapes resolved. Borrowed. Thread: logic. */
HOP_API const char *hop_event_name(const hop_event *event);

/* How many arguments the client sent, the ack callback not counted. Thread: logic. */
HOP_API size_t hop_event_n_args(const hop_event *event);

/*
 * Argument n as the client wrote it: JSON text, not NUL-terminated, length in *len.
 * Relaying this text costs no parsing and keeps every number exact.
 * NULL (and *len 0) when there is no argument n. Borrowed. Thread: logic.
 */
HOP_API const char *hop_event_raw(const hop_event *event, size_t n, size_t *len);

/*
 * Binary data in an event comes as attachments. In its place in the arguments, as text
 * and in trees, stands the object {"_placeholder":true,"num":n}, which means attachment n;
 * the event's placeholders all name attachments that it has. In an event without
 * attachments, what looks like a placeholder is an object like others.
 * Who passes an argument on uses hop_args_raw(), which takes its attachments along.
 */

/* How many attachments came with the event. Thread: logic. */
HOP_API size_t hop_event_n_attachments(const hop_event *event);

/*
 * Attachment n (a placeholder's num): its bytes, *len of them, which may be 0. NULL (and
 * *len 0) when there is no attachment n. Borrowed. Thread: logic.
 */
HOP_API const void *hop_event_attachment(const hop_event *event, size_t n, size_t *len);

/*
 * Argument n where it is binary itself, as in socket.emit("photo", buffer): its bytes,
 * *len of them, which may be 0. NULL (and *len 0) where it is anything else, such as an
 * object that holds binary data, or is not there. Borrowed. Thread: logic.
 */
HOP_API const void *hop_event_binary(const hop_event *event, size_t n, size_t *len);

/*
 * All arguments as a JSON array. Parsed when first asked for; borrowed.
 * NULL where jansson cannot hold the value (lone surrogates, integers of 2^63 and more,
 * NUL in a string, 1e400): hop_event_raw() still works then. Thread: logic.
 */
HOP_API json_t *hop_event_args(hop_event *event);

/*
 * json_unpack() over the array of arguments: hop_event_unpack(event, "[s]", &text).
 * Pointers it gives are borrowed from the event. Returns 0, or -1 when the arguments
 * are not of that shape. Thread: logic.
 */
HOP_API int hop_event_unpack(hop_event *event, const char *format, ...);

/* Whether the client waits for an ack that nobody has sent yet. Thread: logic. */
HOP_API bool hop_event_has_ack(const hop_event *event);

/*
 * Answer the client's ack with an array of arguments, or NULL for none (owned: released
 * even on failure). Returns 0, or -1 when no ack was asked for, it was answered before,
 * args is no array, or the socket has gone; nothing was sent then. Thread: logic.
 */
HOP_API int hop_event_ack(hop_event *event, json_t *args);

/* The same with arguments built by hop_args_new() (owned). Thread: logic. */
HOP_API int hop_event_ack_args(hop_event *event, hop_args *args);

/*
 * Refuse the event: `return hop_reject(event, "too_long", "longer than max_bytes");`
 * The client's ack gets {ok: false, error: {code, message}}; where it asked for none, it
 * gets the event `error` {event, code, message}; nothing, where the ack was answered
 * before. code and message: copied; what is NULL or no UTF-8 becomes "rejected" or
 * "refused". Sent once the handler has returned the verdict. Thread: logic.
 */
HOP_API hop_verdict hop_reject(hop_event *event, const char *code, const char *message);

/*
 * Go on with other arguments: `return hop_replace(event, args);`
 * Once the handler has returned the verdict, later handlers and observers see these, through
 * every function of this header and of emit.h, with what is binary in them; the event's name
 * and its ack stay. What has been borrowed from the event ends then. Handlers may replace one
 * after the other: each sees what the one before has left. The client is told nothing.
 *   args  built by hop_args_new(), from pieces of the event too; owned: released in any case
 * A list that is marked, not complete, NULL or nested deeper than 1,024, or for which there is
 * no memory, refuses the event with the code "internal", and plugin.bad_replacement in the
 * log: never does it go on with what the handler wanted changed. Of the phases HOP_GUARD and
 * HOP_HANDLE; in HOP_OBSERVE it does nothing. Returning another verdict forgets it.
 * Thread: logic.
 */
HOP_API hop_verdict hop_replace(hop_event *event, hop_args *args);

/*
 * Take the client's ack out of the event, to answer it later: where the answer is known only
 * after the handler has returned. The event counts as answered.
 * Returns NULL when no ack was asked for, or it was answered or taken before; else one that
 * is owned: hop_late_ack_send(), hop_late_ack_send_args() or hop_late_ack_free() releases it.
 * It may outlive the socket. Thread: logic.
 */
typedef struct hop_late_ack hop_late_ack;
HOP_API hop_late_ack *hop_event_take_ack(hop_event *event);

/* Answer it, as hop_event_ack() and hop_event_ack_args() do. Returns 0, or -1 when args is
 * no array, or the socket has gone; both arguments are released in any case.
 * Thread: logic. */
HOP_API int hop_late_ack_send(hop_late_ack *ack, json_t *args);
HOP_API int hop_late_ack_send_args(hop_late_ack *ack, hop_args *args);

/* Never answer it. Takes NULL. Thread: logic. */
HOP_API void hop_late_ack_free(hop_late_ack *ack);

/*
 * Decide on the event later: while a job runs, say.
 *
 *   job->event = hop_event_defer(event, 5000);
 *   start(job);
 *   return HOP_DEFER;
 *
 * and when it is done, from any thread: hop_event_resume(server, job->event, HOP_NEXT, ...).
 * Later handlers of the event wait, and so do later events of the same socket, in order:
 * above limits.max_waiting bytes of them the client is closed. After timeout_ms (1 to
 * 3,600,000) the event is rejected with the code "timeout"; when the socket goes, it ends,
 * and handlers of HOP_OBSERVE alone still see it. Whatever the handler borrowed from the
 * event is gone once it returns; hop_event_take_ack() keeps the ack.
 * Returns the deferral, by value and harmless when it is over, or 0: in HOP_OBSERVE, where it
 * is deferred already, or with a bad timeout. Returning another verdict than HOP_DEFER
 * forgets it. Thread: logic.
 */
typedef uint64_t hop_deferral;
HOP_API hop_deferral hop_event_defer(hop_event *event, int timeout_ms);

/*
 * Give the verdict of the handler that deferred: HOP_NEXT, HOP_STOP, or HOP_REJECTED with
 * code and message as for hop_reject() (copied; NULL otherwise). Takes effect in a later
 * turn; one that is over already is ignored. Returns 0, or -1: no such verdict, or the server
 * stops. Thread: any.
 */
HOP_API int hop_event_resume(hop_server *server, hop_deferral which, hop_verdict verdict,
                             const char *code, const char *message);

/*
 * The same with the verdict HOP_REPLACE: the deferred event goes on with other arguments, as
 * hop_replace() has it.
 *   args  built by hop_args_new() in the calling thread, which lets go of it; owned: released
 *         in any case
 * Returns 0, or -1: the server stops. Thread: any.
 */
HOP_API int hop_event_resume_replace(hop_server *server, hop_deferral which,
                                     hop_args *args);

#ifdef __cplusplus
}
#endif

#endif
