/*
 * raw.h - WebSocket connections that speak no Engine.IO: whole messages both ways, on a path
 * of their own. Under the same guards as sessions; what Engine.IO's heartbeat is to these,
 * pings of the WebSocket are here. Thread: shard.
 */
#ifndef ENGINE_RAW_H
#define ENGINE_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine/frame.h"
#include "core/loop/slots.h"
#include "core/net/httpconn.h"

struct engine;
struct outgoing;
struct timer_node;
struct raw; /* one connection */

/* What the layer above is told of the connections of one path; all in their shards. */
struct raw_upper {
    /* request: borrowed. Returns false when there is no memory for it: then it ends, and
     * nothing more is told. */
    bool (*on_open)(struct raw *raw, const struct http_request *request,
                    const char *address, void *arg);
    /* FRAME_TEXT, of valid UTF-8, or FRAME_BINARY; borrowed. May end it. */
    void (*on_message)(struct raw *raw, enum frame_event kind, const char *data,
                       size_t len, void *arg);
    /* Once, and the last of it. reason: UTF-8, borrowed, without a NUL. */
    void (*on_closed)(struct raw *raw, uint16_t code, const char *reason, size_t len,
                      void *arg);
    void *arg;
};

/*
 * The route of one path for all shards. engines: by shard number, borrowed, and upper is
 * copied. Free the arg with raw_route_free(), behind the connections.
 */
struct http_route raw_route(struct engine *const *engines, const struct raw_upper *upper);
void raw_route_free(struct http_route *route);

/* The connection of a handle, or NULL. */
struct raw *raw_find(struct engine *engine, handle raw);
handle raw_handle(const struct raw *raw);
struct loop *raw_loop(const struct raw *raw);

/* Queue a message: text, or packet_try_new()'s with one attachment and no text. */
void raw_send(struct raw *raw, struct outgoing *out);

/* Send a close frame behind what is queued; on_closed is called at once. */
void raw_close(struct raw *raw, uint16_t code, const char *reason, size_t len);

/* ---- for websocket.c and engine.c */

void raw_on_message(struct raw *raw, enum frame_event kind, const struct frame *frame);
/* Something came from the peer: it lives. */
void raw_on_pong(struct raw *raw);
/* Its WebSocket is over. Forgets it, and tells the layer above. */
void raw_on_over(struct raw *raw, uint16_t code, const char *reason, size_t len);

/* Those that have owed their pong for long, and the end of the first of them; false: there
 * is none. For the cap on memory. */
size_t raw_count_silent(const struct engine *engine);
bool raw_end_most_silent(struct engine *engine);

void raw_on_beat(struct timer_node *node);    /* raw_ping list */
void raw_on_no_pong(struct timer_node *node); /* raw_pong list */
void raw_end_all(struct engine *engine);      /* the server stops */
void raw_free(struct raw *raw);               /* of the dead: LOOP_FREE */

#endif
