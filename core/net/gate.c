/*
 * gate.c - counts connections in all and by address: see gate.h.
 *
 * Called by: listener.c (shard 0: enter), conn.c (any shard: leave), daemon.c. Thread: any.
 * A record back to shard 0 would do without the mutex, but wake that shard for every end
 * and lag behind: a client that comes back at once would find its old place taken.
 */
#include "core/net/gate.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/metrics.h"
#include "core/base/settings.h"

/* Compared and hashed as bytes: without padding. */
struct place {
    unsigned char network[8]; /* IPv4: the address; IPv6: the upper half */
    uint64_t family;
};

/* An address with connections; none is kept for one that has left. */
struct visitor {
    struct place place;
    int64_t n_connections;
    UT_hash_handle hh;
};

struct gate {
    int64_t max_connections, max_per_address; /* 0: no limit */
    _Atomic int64_t n_connections;
    pthread_mutex_t lock;     /* around visitors */
    struct visitor *visitors; /* owned: hash table, keyed (C35's kind of flood) */
};

struct gate *gate_new(const struct settings *settings)
{
    struct gate *gate = mem_calloc(1, sizeof *gate);

    gate->max_connections = settings->max_connections;
    gate->max_per_address = settings->max_connections_per_address;
    atomic_init(&gate->n_connections, 0);
    pthread_mutex_init(&gate->lock, NULL);
    return gate;
}

void gate_free(struct gate *gate)
{
    struct visitor *visitor, *next;

    if (!gate)
        return;
    HASH_ITER(hh, gate->visitors, visitor, next)
    {
        HASH_DEL(gate->visitors, visitor);
        free(visitor);
    }
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

/* ---- addresses */

static bool place_of_ipv4(uint32_t address, struct place *place)
{
    memcpy(place->network, &address, sizeof address);
    place->family = AF_INET;
    return ntohl(address) >> 24 != IN_LOOPBACKNET;
}

/* Where it is counted; false when it is not. */
static bool place_of(const struct sockaddr *peer, struct place *place)
{
    struct in6_addr in6;
    uint32_t in4;

    memset(place, 0, sizeof *place);
    if (peer->sa_family == AF_INET)
        return place_of_ipv4(
            ((const struct sockaddr_in *)(const void *)peer)->sin_addr.s_addr, place);
    if (peer->sa_family != AF_INET6)
        return false;
    in6 = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        memcpy(&in4, in6.s6_addr + 12, sizeof in4);
        return place_of_ipv4(in4, place);
    }
    memcpy(place->network, in6.s6_addr, sizeof place->network);
    place->family = AF_INET6;
    return !IN6_IS_ADDR_LOOPBACK(&in6);
}

/* ---- the table; the lock is held */

static struct visitor *find(struct gate *gate, const struct place *place)
{
    struct visitor *visitor;

    HASH_FIND(hh, gate->visitors, place, sizeof *place, visitor);
    return visitor;
}

static struct visitor *add(struct gate *gate, const struct place *place)
{
    struct visitor *visitor = mem_calloc(1, sizeof *visitor);

    visitor->place = *place;
    HASH_ADD(hh, gate->visitors, place, sizeof visitor->place, visitor);
    return visitor;
}

static bool count_in(struct gate *gate, const struct place *place,
                     struct metrics *metrics)
{
    struct visitor *visitor = find(gate, place);

    if (visitor && visitor->n_connections >= gate->max_per_address)
        return false;
    if (!visitor) {
        visitor = add(gate, place);
        metric_add(metrics, METRIC_ADDRESSES, 1);
    }
    visitor->n_connections++;
    return true;
}

static void count_out(struct gate *gate, const struct place *place,
                      struct metrics *metrics)
{
    struct visitor *visitor = find(gate, place);

    assert(visitor && visitor->n_connections > 0);
    if (--visitor->n_connections > 0)
        return;
    HASH_DEL(gate->visitors, visitor);
    free(visitor);
    metric_add(metrics, METRIC_ADDRESSES, -1);
}

/* ---- the interface */

enum gate_verdict gate_enter(struct gate *gate, const struct sockaddr *peer,
                             struct metrics *metrics)
{
    struct place place;
    bool may_enter = true;

    /* Only shard 0 enters: between the look and the count others can only leave. */
    if (gate->max_connections && gate_connections(gate) >= gate->max_connections)
        return GATE_FULL;
    if (gate->max_per_address && place_of(peer, &place)) {
        pthread_mutex_lock(&gate->lock);
        may_enter = count_in(gate, &place, metrics);
        pthread_mutex_unlock(&gate->lock);
    }
    if (!may_enter)
        return GATE_ADDRESS_FULL;
    atomic_fetch_add_explicit(&gate->n_connections, 1, memory_order_relaxed);
    return GATE_OPEN;
}

void gate_leave(struct gate *gate, const struct sockaddr *peer, struct metrics *metrics)
{
    struct place place;

    if (gate->max_per_address && place_of(peer, &place)) {
        pthread_mutex_lock(&gate->lock);
        count_out(gate, &place, metrics);
        pthread_mutex_unlock(&gate->lock);
    }
    atomic_fetch_sub_explicit(&gate->n_connections, 1, memory_order_relaxed);
}

int64_t gate_connections(const struct gate *gate)
{
    return atomic_load_explicit(&gate->n_connections, memory_order_relaxed);
}
