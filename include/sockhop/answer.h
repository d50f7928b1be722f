/*
 * answer.h - asking clients: an event whose ack is awaited, from one socket or from all
 * sockets of a target.
 *
 *   static void on_votes(hop_answers *votes, void *self)
 *   {
 *       for (size_t i = 0; i < hop_answers_n(votes); i++)
 *           count(self, hop_answers_at(votes, i));
 *   }
 *   hop_emit_with_acks(hop_to_room(server, "jury"), "vote?", NULL, 5000, on_votes, self);
 *
 * The simplest form of all is hop_emit_with_ack() in emit.h.
 */
#ifndef SOCKHOP_ANSWER_H
#define SOCKHOP_ANSWER_H

#include <sockhop/emit.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One socket's answer, or why there is none. Borrowed: until the handler returns. */
typedef struct hop_answer hop_answer;

/* Who was asked; its id can be read even where the socket has gone. Borrowed from the
 * answer. Thread: logic. */
HOP_API hop_socket hop_answer_socket(const hop_answer *answer);
HOP_API const char *hop_answer_id(const hop_answer *answer);

/* HOP_ACK_OK when it has answered. Thread: logic. */
HOP_API hop_ack_status hop_answer_status(const hop_answer *answer);

/*
 * What it answered, as hop_event_args(), hop_event_n_args() and hop_event_raw() give it of
 * an event; of an answer that is not HOP_ACK_OK: NULL, 0 and NULL. Borrowed from the answer.
 * Thread: logic.
 */
HOP_API json_t *hop_answer_args(hop_answer *answer);
HOP_API size_t hop_answer_n_args(hop_answer *answer);
HOP_API const char *hop_answer_raw(hop_answer *answer, size_t n, size_t *len);

/* Binary data in an answer, as hop_event_n_attachments(), hop_event_attachment() and
 * hop_event_binary() give it of an event. Borrowed from the answer. Thread: logic. */
HOP_API size_t hop_answer_n_attachments(const hop_answer *answer);
HOP_API const void *hop_answer_attachment(const hop_answer *answer, size_t n,
                                          size_t *len);
HOP_API const void *hop_answer_binary(hop_answer *answer, size_t n, size_t *len);

/* Relay argument n of an answer with what is binary in it, null where it has none; or all from n on. Thread: logic. */
HOP_API void hop_args_answer(hop_args *args, hop_answer *answer, size_t n);
HOP_API void hop_args_answer_from(hop_args *args, hop_answer *answer, size_t n);

/*
 * hop_emit_with_ack() with a built list (owned: released even on failure) and a handler that
 * gets the answer as it came. Thread: logic.
 */
typedef void hop_answer_handler(hop_answer *answer, void *self);
HOP_API int hop_emit_args_with_ack(hop_server *server, hop_socket socket,
                                   const char *event, hop_args *args, int timeout_ms,
                                   hop_answer_handler *on_answer, void *self);

/* What became of asking all sockets of a target. Borrowed: until the handler returns. */
typedef struct hop_answers hop_answers;
typedef void hop_answers_handler(hop_answers *answers, void *self);

/* How many sockets were asked, how many of them did not answer, and each; in any order.
 * hop_answers_at() gives NULL behind the last. Thread: logic. */
HOP_API size_t hop_answers_n(const hop_answers *answers);
HOP_API size_t hop_answers_n_missing(const hop_answers *answers);
HOP_API hop_answer *hop_answers_at(hop_answers *answers, size_t n);

/*
 * Send an event to every socket of a target and ask each for its ack. The packet is encoded
 * once, with one id for them all. on_answers is called exactly once, never before this
 * returns: when the last has answered or gone, or after timeout_ms with those that have
 * answered by then. Of each:
 *   HOP_ACK_OK            it has answered
 *   HOP_ACK_TIMEOUT       it has not, or a volatile packet did not reach it
 *   HOP_ACK_DISCONNECTED  it went before it answered
 *   HOP_ACK_DROPPED       its answer found no room: limits.max_answers bytes are kept already
 * A target of nobody has no answers: on_answers is called in the next turn. A plugin that is
 * stopped or replaced meanwhile is called with no answers at all.
 * event and args as in hop_emit(). timeout_ms: 1 to 3,600,000.
 * Returns 0, or -1 when nothing was sent, also where limits.max_acks would be awaited then,
 * or the server stops; on_answers is not called then. Thread: logic.
 */
HOP_API int hop_emit_with_acks(hop_target *target, const char *event, json_t *args,
                               int timeout_ms, hop_answers_handler *on_answers,
                               void *self);
/* The same with a built list (owned: released even on failure). Thread: logic. */
HOP_API int hop_emit_args_with_acks(hop_target *target, const char *event, hop_args *args,
                                    int timeout_ms, hop_answers_handler *on_answers,
                                    void *self);

#ifdef __cplusplus
}
#endif

#endif
