/*
 * polling.h - the long-polling transport of a session: GETs that are held, POSTs, and the
 * packets that wait for the next response. Thread: shard.
 */
#ifndef ENGINE_POLLING_H
#define ENGINE_POLLING_H

#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct http_request;
struct httpconn;
struct outgoing;
struct polling;
struct session;
struct timer_node;

struct polling *polling_new(struct session *session);
/* A held GET must have been answered. Takes NULL. */
void polling_free(struct session *session);

/* Queue a packet: takes a reference of its own. */
void polling_push(struct session *session, struct bytes *packet);
/* Forget what is queued. */
void polling_drop_queue(struct session *session);
void polling_send(struct session *session, const struct outgoing *out);

/*
 * A GET: held until there are packets, or answered at once. headers: further lines of the
 * response, copied. Ends the session when another GET is held.
 */
void polling_get(struct session *session, struct httpconn *http,
                 const struct http_request *request, const char *headers);

/* A POST's head: its body comes next. Ends the session when another is on its way. */
void polling_post_begins(struct session *session, struct httpconn *http);

/* Its body was too large: the session survives. */
void polling_post_refused(struct session *session, const struct httpconn *http);

/* Be told no more of the POST on its way: the sid is going, or the transport. */
void polling_forget_post(struct session *session);

/*
 * A POST, complete: decodes its packets and answers. What is more than a turn takes
 * (limits.max_turn_packets) waits for the next, and the answer with it.
 */
void polling_post(struct session *session, struct httpconn *http,
                  const struct http_request *request, const char *body, size_t body_len,
                  const char *headers);

/* LOOP_PACK: answer the held GET with what is queued; end a session over its limits. */
void polling_pack(struct session *session);

/* Answer the held GET, if any, with what is queued and `last`. Returns false if none. */
bool polling_answer(struct session *session, struct bytes *last);

/* The session ends: nobody takes the packets of a POST that wait. */
void polling_drop_rest(struct session *session);

/* Bytes that it holds, of what the client has sent, or shall get. */
size_t polling_bytes(const struct session *session);

void polling_on_slow(struct timer_node *node); /* slow list */

#endif
