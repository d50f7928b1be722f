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
    HOP_NEXT,    /* go on to the next handler */
    HOP_STOP,    /* handled: later handlers of HOP_GUARD and HOP_HANDLE are not called */
    HOP_REJECTED /* refused: return what hop_reject() gave, never this by itself */
} hop_verdict;
/*
 * By itself, HOP_REJECTED refuses with the code "rejected"; any other number counts as
 * HOP_NEXT. Both are logged as plugin.bad_verdict.
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

#ifdef __cplusplus
}
#endif

#endif
