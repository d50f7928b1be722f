/*
 * net.h - what one shard's connections share. Thread: shard.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/settings.h"
#include "core/loop/loop.h"
#include "core/loop/slots.h"
#include "core/loop/timer.h"
#include "core/loop/turnbuf.h"
#include "core/loop/watch.h"
#include "core/net/newcomers.h"

struct conn;
struct conn_deadline;
struct gate;
struct held;
struct holders;
struct net;
struct pressure;
struct router;

/* Total deadlines: one list each. */
enum net_deadline {
    NET_HEAD,       /* a request's head, from its first byte or from accept */
    NET_BODY,       /* a request's body, or a message; see NET_RATE too */
    NET_SEND,       /* a response that is unsent still, or a piece of a file; as long */
    NET_KEEP_ALIVE, /* between requests */
    NET_LINGER,     /* close sent: the peer's turn, or what is queued (5 s) */
    NET_SLOW,       /* above soft_queue_bytes */
    NET_RATE,       /* the next look at how fast a body comes: ends as NET_BODY */
    NET_DEADLINES
};

/* The rest of what one connection has sent: more than one turn takes. */
struct net_work {
    struct net_work *next;
    /* Takes the work over: puts it off again, or frees it. */
    void (*run)(struct net *net, struct net_work *work);
    void (*drop)(struct net_work *work); /* frees it: the net ends */
};

struct net {
    struct loop *loop;               /* borrowed */
    const struct settings *settings; /* borrowed */
    struct net *const *all;          /* borrowed: the shards' nets by shard number */
    struct gate *gate;               /* borrowed: counts connections; NULL: nobody does */
    struct slots conns;              /* of struct conn: all that are open */
    struct watch watch;              /* of their descriptors */
    struct timer_list deadline[NET_DEADLINES];
    struct conn_deadline *spare_deadlines; /* owned */
    unsigned n_spare_deadlines;
    struct turnbuf direct;             /* frames for one receiver */
    struct conn *dirty;                /* have something to flush in this turn */
    struct conn *dead;                 /* freed at the end of this turn */
    struct conn *paused;               /* not read while the lane or memory is full */
    struct net_work *work, **work_end; /* owned: put off, first come first served */
    size_t n_work;
    struct newcomers newcomers;
    struct held *held;         /* borrowed: while its connection is given it */
    uint64_t resumed_ms;       /* when those paused by the lane were read again last */
    char *read_buffer;         /* owned: NET_READ_BYTES, shared by all reads */
    struct pressure *pressure; /* borrowed: the cap on memory; NULL: none */
    int64_t probe_bytes;       /* measure it when clients have grown by so much: */
    int64_t read_bytes;        /* read, and spent on connections, since the last time */
    int64_t queued_seen;       /* METRIC_QUEUED_BYTES, then or lower since */
    void (*on_collect)(void *arg, struct holders *holders); /* net_on_collect() */
    void *collect_arg;
    bool is_lane_paused; /* of `paused`, some by the lane */
    bool is_flushing;    /* what is queued now waits for the next turn */
    bool is_closing;     /* net_shutdown() was called */
    bool is_work_due;    /* the next turn will look at `work` */
};

enum {
    NET_SPARE_DEADLINES = 256, /* kept for the next requests */
    NET_READ_BYTES = 65536,
    NET_RATE_MS = 5000 /* between two looks; the first of them is free */
};

/* all: table that the caller fills with one net for each shard. */
struct net *net_new(struct loop *loop, const struct settings *settings,
                    struct net *const *all);
void net_free(struct net *net); /* closes what is open */

/*
 * The server stops: every connection ends once its queue is written, new ones at once.
 * net_is_empty() tells when all have.
 */
void net_shutdown(struct net *net);
bool net_is_empty(const struct net *net);
/* Close what is still open, whatever it has queued. */
void net_close_all(struct net *net);

/* ---- for the cap on memory (pressure.h) */

/* Clients may have grown. */
void net_watch_memory(struct net *net);
/* Who holds how much: connections, and what the layer above adds. */
void net_collect(struct net *net, struct holders *holders);
void net_on_collect(struct net *net,
                    void (*on_collect)(void *arg, struct holders *holders), void *arg);
/* Read from those that were paused. */
void net_resume(struct net *net);

/*
 * Whether what clients have sent may lie unread because the lane to logic is, or just was,
 * full: then their silence says nothing. A round of the cap on memory is no such excuse: it
 * is over at once, and whoever fills memory could have one at any time. Thread: shard.
 */
bool net_holds_input(const struct net *net);

/*
 * Have it run in the next turn, behind what others have put off before; later, while logic
 * is behind with what it was sent. Takes the work over.
 */
void net_put_off(struct net *net, struct net_work *work);

#endif
