/*
 * newcomers.h - who has just come, or is leaving, has a bounded share of each turn.
 *
 * Thousands of clients may be cut at once and come back at once. Without a bound a turn would
 * serve all who are ready, and those who stay would wait for tens of milliseconds. So a turn
 * reads from so many connections that have not said much yet, or ends them when they are
 * over; the others wait in a queue, first come first served, which the next turn begins with.
 * Called by: conn.c, net.c. Thread: shard.
 */
#ifndef NET_NEWCOMERS_H
#define NET_NEWCOMERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop/slots.h"

struct net;
struct newcomer;

enum {
    NEWCOMERS_A_TURN = 24, /* half a millisecond: with fewer, each of them costs more */
    NEWCOMER_READS = 4     /* a request, a namespace, a login: then it is none any more */
};

struct newcomers {
    struct newcomer *ring; /* owned: NULL while nobody waits */
    size_t head, n, cap;
    unsigned n_served; /* in this turn */
    bool is_due;       /* the next turn will look at them */
};

/* Take one of this turn's places. False: there is none left, or others wait. */
bool newcomers_enter(struct net *net);

/* Have conn_take_turn(conn, has_failed) called in one of the next turns, if it is waiting
 * (conn->is_waiting) then. */
void newcomers_wait(struct net *net, handle conn, bool has_failed);

/* The turn is over. */
void newcomers_end_turn(struct net *net);

void newcomers_done(struct net *net);

#endif
