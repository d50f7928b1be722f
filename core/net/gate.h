/*
 * gate.h - how many connections may be open: in all, and from one address (T47).
 *
 * One for the public listeners of all shards. Loopback counts in all, but has no limit of
 * its own: there stand proxies and the operator. IPv6 is counted by /64, which is what one
 * household gets. Thread: any (an atomic count, a mutex around the table).
 */
#ifndef NET_GATE_H
#define NET_GATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct gate;
struct metrics;
struct settings;

enum gate_verdict {
    GATE_OPEN,
    GATE_FULL,
    GATE_ADDRESS_FULL,
    GATE_NO_MEMORY /* the listener's: see pressure.h */
};

struct gate *gate_new(const struct settings *settings); /* borrowed */
void gate_free(struct gate *gate);                      /* takes NULL */

/* May a connection of peer come in? Counted when GATE_OPEN; metrics: the caller's loop's. */
enum gate_verdict gate_enter(struct gate *gate, const struct sockaddr *peer,
                             struct metrics *metrics);
/* One that was counted has ended. */
void gate_leave(struct gate *gate, const struct sockaddr *peer, struct metrics *metrics);

int64_t gate_connections(const struct gate *gate); /* that are inside */

#endif
