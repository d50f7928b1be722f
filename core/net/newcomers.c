/*
 * newcomers.c - the queue of those whose turn comes later: see newcomers.h.
 *
 * Called by: conn.c (enter, wait), net.c (the end of a turn), the loop (serve). Thread: shard.
 */
#include "core/net/newcomers.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/net/conn.h"
#include "core/net/conn_impl.h"
#include "core/net/net.h"

enum { FIRST_PLACES = 64 };

struct newcomer {
    handle conn; /* stale when it has ended meanwhile */
    bool has_failed;
};

/* How many there are is for clients to say, but each of them costs far more than a place. */
static void grow(struct newcomers *newcomers)
{
    size_t cap = newcomers->cap ? newcomers->cap * 2 : FIRST_PLACES;
    struct newcomer *ring = mem_alloc(cap * sizeof *ring);

    for (size_t i = 0; i < newcomers->n; i++)
        ring[i] = newcomers->ring[(newcomers->head + i) % newcomers->cap];
    free(newcomers->ring);
    newcomers->ring = ring;
    newcomers->head = 0;
    newcomers->cap = cap;
}

static struct newcomer take_first(struct newcomers *newcomers)
{
    struct newcomer first = newcomers->ring[newcomers->head];

    newcomers->head = (newcomers->head + 1) % newcomers->cap;
    newcomers->n--;
    return first;
}

static void serve(struct loop *loop, void *payload);

static void expect_turn(struct net *net)
{
    struct net **payload;

    if (net->newcomers.is_due || net->newcomers.n == 0)
        return;
    net->newcomers.is_due = true;
    payload = loop_send_next_turn(net->loop, serve, sizeof *payload);
    *payload = net;
}

static void serve(struct loop *loop, void *payload)
{
    struct net *net = *(struct net **)payload;
    struct newcomers *newcomers = &net->newcomers;

    (void)loop;
    newcomers->is_due = false;
    while (newcomers->n > 0 && newcomers->n_served < NEWCOMERS_A_TURN) {
        struct newcomer first = take_first(newcomers);
        struct conn *conn = slots_get(&net->conns, first.conn);

        if (!conn || !conn->is_waiting)
            continue;
        newcomers->n_served++;
        conn_take_turn(conn, first.has_failed);
    }
    if (newcomers->n == 0)
        newcomers_done(net);
    expect_turn(net);
}

bool newcomers_enter(struct net *net)
{
    struct newcomers *newcomers = &net->newcomers;

    if (net->is_closing)
        return true;
    if (newcomers->n > 0 || newcomers->n_served == NEWCOMERS_A_TURN)
        return false;
    newcomers->n_served++;
    return true;
}

void newcomers_wait(struct net *net, handle conn, bool has_failed)
{
    struct newcomers *newcomers = &net->newcomers;

    if (newcomers->n == newcomers->cap)
        grow(newcomers);
    newcomers->ring[(newcomers->head + newcomers->n) % newcomers->cap] =
        (struct newcomer){conn, has_failed};
    newcomers->n++;
    metric_add(&net->loop->metrics, METRIC_PUT_OFF, 1);
    expect_turn(net);
}

void newcomers_end_turn(struct net *net)
{
    net->newcomers.n_served = 0;
}

void newcomers_done(struct net *net)
{
    free(net->newcomers.ring);
    net->newcomers.ring = NULL;
    net->newcomers.head = net->newcomers.n = net->newcomers.cap = 0;
}
