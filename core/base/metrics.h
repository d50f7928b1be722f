/*
 * metrics.h - counters and gauges, one row a metric in METRICS.
 *
 * Each loop owns one struct metrics and is its only writer; whoever renders sums them
 * with relaxed loads. Plugins' counters live in the dispatch table (logic).
 * Thread: the owner writes, any reads.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*   id, name, kind, label ("" or key="value"), help. Rows of one name stand together. */
#define METRICS(X)                                                                       \
    X(CONNECTIONS, "sockhop_connections", gauge, "", "open TCP connections")             \
    X(CONNECTIONS_ACCEPTED, "sockhop_connections_accepted_total", counter, "",           \
      "TCP connections accepted")                                                        \
    X(CONNECTIONS_MOVED, "sockhop_connections_moved_total", counter, "",                 \
      "connections that moved to their session's shard")                                 \
    X(REFUSED_FULL, "sockhop_connections_refused_total", counter,                        \
      "reason=\"max_connections\"", "connections refused, by the limit they met")        \
    X(REFUSED_ADDRESS, "sockhop_connections_refused_total", counter,                     \
      "reason=\"max_connections_per_address\"",                                          \
      "connections refused, by the limit they met")                                      \
    X(REFUSED_MEMORY, "sockhop_connections_refused_total", counter,                      \
      "reason=\"max_memory\"", "connections refused, by the limit they met")             \
    X(SHED, "sockhop_shed_total", counter, "",                                           \
      "clients closed because memory was full and they held the most")                   \
    X(ADDRESSES, "sockhop_addresses", gauge, "",                                         \
      "addresses and IPv6 networks with a connection, loopback not counted")             \
    X(ACCEPT_PAUSES, "sockhop_accept_pauses_total", counter, "",                         \
      "times accepting paused for want of descriptors")                                  \
    X(HTTP_REQUESTS, "sockhop_http_requests_total", counter, "", "HTTP requests parsed") \
    X(HTTP_ERRORS, "sockhop_http_errors_total", counter, "",                             \
      "HTTP requests refused as malformed, too large or too slow")                       \
    X(SESSIONS_POLLING, "sockhop_sessions", gauge, "transport=\"polling\"",              \
      "Engine.IO sessions")                                                              \
    X(SESSIONS_WEBSOCKET, "sockhop_sessions", gauge, "transport=\"websocket\"",          \
      "Engine.IO sessions")                                                              \
    X(PEERS_WEBSOCKET, "sockhop_peers", gauge, "kind=\"websocket\"",                     \
      "clients of plugins' endpoints")                                                   \
    X(PEERS_ENGINE, "sockhop_peers", gauge, "kind=\"engine\"",                           \
      "clients of plugins' endpoints")                                                   \
    X(HANDSHAKES_HELD, "sockhop_handshakes_held", gauge, "",                             \
      "requests for a session that wait for a plugin's decision")                        \
    X(HANDSHAKES_REFUSED, "sockhop_handshakes_refused_total", counter,                   \
      "reason=\"max_handshakes\"",                                                       \
      "requests for a session refused, by the limit they met")                           \
    X(UPGRADES, "sockhop_upgrades_total", counter, "",                                   \
      "sessions upgraded from polling to WebSocket")                                     \
    X(SOCKETS, "sockhop_sockets", gauge, "", "connected Socket.IO sockets")              \
    X(CONNECTS_REFUSED_NAMESPACE, "sockhop_connects_refused_total", counter,             \
      "reason=\"namespace\"", "requests to join a namespace that were refused")          \
    X(CONNECTS_REFUSED_LIMIT, "sockhop_connects_refused_total", counter,                 \
      "reason=\"limit\"", "requests to join a namespace that were refused")              \
    X(CONNECTS_REFUSED_PLUGIN, "sockhop_connects_refused_total", counter,                \
      "reason=\"plugin\"", "requests to join a namespace that were refused")             \
    X(NAMESPACES, "sockhop_namespaces", gauge, "",                                       \
      "namespaces that clients' CONNECTs have made")                                     \
    X(ROOMS, "sockhop_rooms", gauge, "",                                                 \
      "rooms with a member, sockets' own not counted")                                   \
    X(MEMBERSHIPS, "sockhop_memberships", gauge, "",                                     \
      "entries in the shards' member arrays")                                            \
    X(INCOMPLETE_PACKETS, "sockhop_incomplete_packets", gauge, "",                       \
      "packets of clients that lack an attachment")                                      \
    X(INCOMPLETE_BYTES, "sockhop_incomplete_bytes", gauge, "",                           \
      "memory of packets that lack an attachment")                                       \
    X(ACKS_PENDING, "sockhop_acks_pending", gauge, "",                                   \
      "acks that clients owe the server")                                                \
    X(TIMERS, "sockhop_timers", gauge, "", "running timers of sessions and connections") \
    X(QUEUED_BYTES, "sockhop_queued_bytes", gauge, "",                                   \
      "bytes queued for clients, shared ones counted for each")                          \
    X(PACKETS_IN, "sockhop_packets_total", counter, "direction=\"in\"",                  \
      "Socket.IO packets")                                                               \
    X(PACKETS_OUT, "sockhop_packets_total", counter, "direction=\"out\"",                \
      "Socket.IO packets")                                                               \
    X(PUT_OFF, "sockhop_put_off_total", counter, "",                                     \
      "times that what a client sent, or its end, had to wait for a later turn")         \
    X(SENDS, "sockhop_sends_total", counter, "", "send and writev calls")                \
    X(VOLATILE_DROPPED, "sockhop_volatile_dropped_total", counter, "",                   \
      "volatile packets dropped for a receiver that was not ready")                      \
    X(CLOSED_TRANSPORT_CLOSE, "sockhop_sessions_closed_total", counter,                  \
      "reason=\"transport close\"", "Engine.IO sessions closed")                         \
    X(CLOSED_TRANSPORT_ERROR, "sockhop_sessions_closed_total", counter,                  \
      "reason=\"transport error\"", "Engine.IO sessions closed")                         \
    X(CLOSED_FORCED, "sockhop_sessions_closed_total", counter,                           \
      "reason=\"forced close\"", "Engine.IO sessions closed")                            \
    X(CLOSED_SERVER_FORCED, "sockhop_sessions_closed_total", counter,                    \
      "reason=\"forced server close\"", "Engine.IO sessions closed")                     \
    X(CLOSED_PING_TIMEOUT, "sockhop_sessions_closed_total", counter,                     \
      "reason=\"ping timeout\"", "Engine.IO sessions closed")                            \
    X(CLOSED_PARSE_ERROR, "sockhop_sessions_closed_total", counter,                      \
      "reason=\"parse error\"", "Engine.IO sessions closed")                             \
    X(CLOSED_SHUTDOWN, "sockhop_sessions_closed_total", counter,                         \
      "reason=\"server shutting down\"", "Engine.IO sessions closed")                    \
    X(CLOSED_SLOW, "sockhop_sessions_closed_total", counter, "reason=\"slow consumer\"", \
      "Engine.IO sessions closed")                                                       \
    X(CLOSED_NEVER_JOINED, "sockhop_sessions_closed_total", counter,                     \
      "reason=\"connect timeout\"", "Engine.IO sessions closed")

enum metric {
#define METRIC_ID(id, name, kind, label, help) METRIC_##id,
    METRICS(METRIC_ID)
#undef METRIC_ID
        N_METRICS
};

struct metrics {
    _Atomic int64_t value[N_METRICS];
};

/* Thread: the owner of metrics. */
static inline void metric_add(struct metrics *metrics, enum metric id, int64_t n)
{
    int64_t value = atomic_load_explicit(&metrics->value[id], memory_order_relaxed);

    atomic_store_explicit(&metrics->value[id], value + n, memory_order_relaxed);
}

/* Sum of one metric over n structs. Thread: any. */
int64_t metric_sum(struct metrics *const *all, unsigned n, enum metric id);

/* Whether one of METRICS has that name. Thread: any. */
bool metrics_have(const char *name);

/* Write all metrics in Prometheus text format 0.0.4, summed. Thread: any. */
void metrics_print(struct metrics *const *all, unsigned n, FILE *out);

#endif
