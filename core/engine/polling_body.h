/*
 * polling_body.h - what stands in the bodies of long-polling, by the session's version of
 * the protocol: of its responses, and of its POSTs. Thread: shard.
 */
#ifndef ENGINE_POLLING_BODY_H
#define ENGINE_POLLING_BODY_H

#include <stddef.h>

struct bytes;
struct engine;
struct http_request;
struct payload;
struct polling;
struct session;

/*
 * What is queued, and `last` unless NULL, as one body; at least one packet. A new
 * reference; NULL without memory.
 *   content_type  set; static
 */
struct bytes *polling_body_join(const struct polling *polling, struct bytes *last,
                                const char **content_type);

/*
 * Begin the walk over the packets of a POST's body. Returns 0, or the status to refuse it
 * with: the session has ended then.
 *   payload  set: in body, or in *decoded
 *   decoded  set, also when refused: NULL, or what the caller owns and frees behind the walk
 */
int polling_body_open(struct session *session, const struct http_request *request,
                      const char *body, size_t body_len, struct payload *payload,
                      char **decoded);

/* At the end of a turn: give up what polling_body_join() has kept for others. */
void polling_body_forget(struct engine *engine);

#endif
