/*
 * cluster.h - what plugins tell each other on every server of a cluster, past the clients.
 *
 * As long as a server stands alone it is the whole cluster, and hears itself.
 */
#ifndef SOCKHOP_CLUSTER_H
#define SOCKHOP_CLUSTER_H

#include <jansson.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One such event. Borrowed: until the handler returns. */
typedef struct hop_server_event hop_server_event;
typedef void hop_server_handler(hop_server_event *event, void *self);

/*
 * Call handler for every such event of that name, from this server or another. All handlers
 * of a name are called, in the order of init().
 *   name  UTF-8; that of no client's event: the two have nothing to do with each other
 * Returns 0, or -1. Only in init(). Thread: logic.
 */
HOP_API int hop_on_server_event(hop_server *server, const char *name,
                                hop_server_handler *handler, void *self);

/* Its name, its arguments (an array), whether this very server emitted it. Borrowed.
 * Thread: logic. */
HOP_API const char *hop_server_event_name(const hop_server_event *event);
HOP_API json_t *hop_server_event_args(const hop_server_event *event);
HOP_API bool hop_server_event_is_own(const hop_server_event *event);

/*
 * Answer it, before the handler returns: the first answer is the server's. args: array of
 * arguments, or NULL for none; owned: released even on failure. Returns 0, or -1 where no
 * answer is asked for, there is one already, or args is no array. Thread: logic.
 */
HOP_API int hop_server_event_ack(hop_server_event *event, json_t *args);

/*
 * Emit an event to the plugins of every server of the cluster, this one included: in its
 * next turn, in the order of the emits.
 *   args  JSON array of the arguments, or NULL for none; owned: released even on failure
 * Returns 0, or -1 when args is no array, name is no UTF-8, or the server stops.
 * Thread: logic.
 */
HOP_API int hop_server_emit(hop_server *server, const char *name, json_t *args);

/* What the servers answered. Borrowed: until the handler returns. */
typedef struct hop_server_answers hop_server_answers;
typedef void hop_server_answers_handler(hop_server_answers *answers, void *self);

/* How many servers were asked, how many of them did not answer, and what the n-th of the
 * others did (an array; borrowed; NULL behind the last). Thread: logic. */
HOP_API size_t hop_server_answers_n(const hop_server_answers *answers);
HOP_API size_t hop_server_answers_n_missing(const hop_server_answers *answers);
HOP_API json_t *hop_server_answers_at(const hop_server_answers *answers, size_t n);

/*
 * The same, and every server is asked for an answer: on_answers is called exactly once,
 * never before this returns, when all have answered or can answer no more, and after
 * timeout_ms (1 to 3,600,000; 5,000 is a good one) in any case. Returns 0, or -1;
 * on_answers is not called then. Thread: logic.
 */
HOP_API int hop_server_emit_with_acks(hop_server *server, const char *name, json_t *args,
                                      int timeout_ms,
                                      hop_server_answers_handler *on_answers, void *self);

#ifdef __cplusplus
}
#endif

#endif
