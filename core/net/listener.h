/*
 * listener.h - accepts in batches of 64 and deals the connections to the shards.
 *
 * Lives on shard 0. When descriptors run out it gives up its reserve, refuses one
 * client, pauses for 100 ms and logs at most one line a second (T46). Above the limits
 * of a gate a client gets 503 and is closed (T47). Thread: shard.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <sys/socket.h>

#include <sockhop/types.h>

#include "core/net/net.h"

struct conn;
struct gate;
struct listener;
struct router;

/* What a new connection gets: called in the shard it was dealt to. Owns the fd. Returns the
 * connection, or NULL when it came to nothing. */
typedef struct conn *listener_deal(struct net *net, int fd,
                                   const struct sockaddr_storage *peer,
                                   const struct router *router);

/*
 * Bind and listen on one numeric address. *port 0 takes a free one, which is stored back.
 * what: the log name, "listener" or "status". Call before the loops start.
 * Returns NULL with the reason.
 */
struct listener *listener_open(struct net *net, const char *address, int *port,
                               const char *what, const struct router *router,
                               listener_deal *deal, hop_error *error);
/* Whoever comes in here is counted, and refused above the limits. Borrowed: outlives all
 * connections. Call before the loops start; the nets have the same gate. */
void listener_set_gate(struct listener *listener, struct gate *gate);
void listener_close(struct listener *listener); /* takes NULL; thread: shard 0 */

#endif
