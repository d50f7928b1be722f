/*
 * pressure.h - the cap on memory in all, limits.max_memory (T47).
 *
 * Above 90 % of it newcomers are refused; above all of it, clients that hold the most are
 * closed, whatever their shard, until a fifth is free. Also when it has stood above 90 %
 * for five seconds: else whoever holds that much would keep everybody else out. Where what
 * clients hold is not what fills it, those go that have never joined, then those that owe a
 * pong, the oldest first.
 *
 * Memory is what malloc has given out. That takes a walk through its lists, so it is asked
 * for only where the resident set, which is cheap to read and never smaller, comes near
 * the cap. Nothing runs by the clock: a shard has it measured when its clients have grown
 * by some bytes. While the cap is passed, shards do not read; a round on shard 0 asks each
 * for its holders' sizes, finds how much each is to free, and lets them read again.
 * A NULL pressure is no cap. Thread: any, but for what says otherwise.
 */
#ifndef NET_PRESSURE_H
#define NET_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop/slots.h"

struct loop;
struct loops;
struct net;
struct pressure;

/* Sets the nets' pressure. Call before the loops start. NULL when max_bytes is 0. */
struct pressure *pressure_new(struct loops *loops, struct net *const *nets,
                              size_t max_bytes);
void pressure_free(struct pressure *pressure); /* takes NULL; behind the nets */

/* Whether newcomers are to be refused. Thread: the loop's. */
bool pressure_is_tight(struct pressure *pressure, struct loop *loop);

/* Whether nothing may be read now: pause, and net_resume() comes. */
bool pressure_is_full(const struct pressure *pressure);

/* Clients have grown: measure, and act. Thread: the loop's. */
void pressure_probe(struct pressure *pressure, struct loop *loop);

/* ---- who holds memory; thread: shard */

struct holder {
    size_t bytes;
    handle who;                         /* it may be gone when its end is called */
    void (*end)(void *arg, handle who); /* frees what it holds before it returns */
    void *arg;                          /* borrowed: outlives the shard's connections */
};

struct holders {
    struct holder *all; /* owned */
    size_t n, cap;
    /* Clients that have not joined, or say nothing any more, hold next to nothing each, but
     * there may be many: */
    size_t idle_bytes; /* in all, about */
    /* Ends the oldest of them until so much is free. Returns how much is; *n: how many. */
    size_t (*end_idle)(void *arg, size_t bytes, unsigned *n);
    void *idle_arg; /* borrowed, as holder.arg */
};

/* Who holds next to nothing is left out: the chat goes on. */
void holders_add(struct holders *holders, const struct holder *holder);

#endif
