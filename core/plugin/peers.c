/*
 * peers.c - who is connected to a plugin's endpoints, as logic and plugins know them.
 *
 * A peer stands for a connection that lives in its shard: it is found by the connection's
 * handle, and by the plugin's. Called by: lanes (peers_take_*), plugins (hop_peer_*()),
 * endpoints.c (the end). Thread: logic.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/plugin/endpoint_impl.h"
#include "core/plugin/state.h"

enum {
    FIRST_PEERS = 16,
    CLOSE_INTERNAL = 1011 /* RFC 6455 7.4.1: we cannot do what was asked */
};

struct peer {
    struct endpoint *endpoint; /* borrowed */
    handle self;               /* what plugins know */
    handle conn;               /* the shard's */
    char *address;             /* owned */
    void *value;               /* the plugin's own */
    bool is_closing;           /* hop_peer_close() was called */
};

/* ---- the table */

static struct peer **place_of(struct endpoint *endpoint, handle conn)
{
    struct peer_table *table = &endpoint->shard[handle_shard(conn)];
    uint32_t slot = handle_slot(conn);

    return slot < table->n ? &table->peer[slot] : NULL;
}

static struct peer *peer_of(const struct up_head *head)
{
    struct peer **place = place_of(head->endpoint, head->conn);

    return place && *place && (*place)->conn == head->conn ? *place : NULL;
}

static void grow(struct peer_table *table, uint32_t slot)
{
    uint32_t n = table->n ? table->n : FIRST_PEERS;

    while (n <= slot)
        n *= 2;
    table->peer = mem_realloc(table->peer, n * sizeof(struct peer *));
    while (table->n < n)
        table->peer[table->n++] = NULL;
}

/* NULL when there are 2^24. */
static struct peer *peer_new(const struct up_open *record)
{
    struct endpoint *endpoint = record->head.endpoint;
    struct peer_table *table = &endpoint->shard[handle_shard(record->head.conn)];
    struct peer *peer = mem_calloc(1, sizeof *peer);

    peer->self = slots_add(&endpoint->server->peers, peer);
    if (!peer->self) {
        free(peer);
        return NULL;
    }
    if (handle_slot(record->head.conn) >= table->n)
        grow(table, handle_slot(record->head.conn));
    peer->endpoint = endpoint;
    peer->conn = record->head.conn;
    peer->address = mem_strdup(record->address);
    table->peer[handle_slot(peer->conn)] = peer;
    endpoint->n_peers++;
    return peer;
}

static void peer_free(struct peer *peer)
{
    struct peer_table *table = &peer->endpoint->shard[handle_shard(peer->conn)];

    slots_remove(&peer->endpoint->server->peers, peer->self);
    table->peer[handle_slot(peer->conn)] = NULL;
    peer->endpoint->n_peers--;
    free(peer->address);
    free(peer);
}

static void begin(const struct peer *peer, struct call *call)
{
    const struct endpoint *endpoint = peer->endpoint;

    call_begin_as(endpoint->server, endpoint->plugin, "endpoint", endpoint->shown, call);
}

static void end(const struct endpoint *endpoint, const struct call *call)
{
    call_end(endpoint->server, call, "endpoint", endpoint->path);
}

/* The last that its plugin hears of it. */
static void bid_farewell(struct peer *peer, int code, const char *reason)
{
    const struct endpoint *endpoint = peer->endpoint;
    struct call call;

    peer->is_closing = true; /* nothing can be sent from inside on_close */
    if (endpoint->calls.on_close) {
        begin(peer, &call);
        endpoint->calls.on_close(peer->self, code, reason, endpoint->self);
        end(endpoint, &call);
    }
    peer_free(peer);
}

/* ---- what the shards tell */

static void *send_down(const struct peer *peer, lane_work *work, size_t size,
                       size_t weight)
{
    struct loops *loops = peer->endpoint->server->loops;

    return loop_send(loops->logic, loops->loop[handle_shard(peer->conn)], work, size,
                     weight);
}

static void send_close(struct peer *peer, int code, const char *reason, size_t len)
{
    struct down_close *record = send_down(peer, endpoint_take_close, sizeof *record, 0);

    peer->is_closing = true;
    record->endpoint = peer->endpoint;
    record->conn = peer->conn;
    record->reason.code = (uint16_t)code;
    record->reason.len = (uint8_t)len;
    memcpy(record->reason.text, reason, len);
    record->reason.text[len] = '\0';
}

void peers_take_open(struct loop *logic, void *payload)
{
    struct up_open *record = payload;
    const struct endpoint *endpoint = record->head.endpoint;
    const bool is_served = endpoint->plugin && !endpoint->server->is_stopping;
    const struct peer *peer = is_served ? peer_new(record) : NULL;
    struct call call;

    (void)logic;
    if (peer && endpoint->calls.on_open) {
        begin(peer, &call);
        endpoint->calls.on_open(peer->self, &record->request, endpoint->self);
        end(endpoint, &call);
    }
    bytes_unref(record->request.texts);
}

/* There was no memory for what it asked for: better it starts anew than that it waits for
 * what will not come. */
static void close_unless_served(hop_server *server, hop_peer which)
{
    static const char reason[] = "no memory";
    struct peer *peer = mem_was_refused() ? slots_get(&server->peers, which) : NULL;

    if (peer && !peer->is_closing)
        send_close(peer, CLOSE_INTERNAL, reason, sizeof reason - 1);
}

void peers_take_message(struct loop *logic, void *payload)
{
    const struct up_message *record = payload;
    const struct endpoint *endpoint = record->head.endpoint;
    const struct peer *peer = peer_of(&record->head);
    hop_peer which = peer ? peer->self : HOP_NO_PEER;
    struct call call;

    (void)logic;
    if (!peer || peer->is_closing || !endpoint->calls.on_message)
        return;
    mem_refusal_forget();
    begin(peer, &call);
    endpoint->calls.on_message(which, record->kind, record->data, record->len,
                               endpoint->self);
    end(endpoint, &call);
    close_unless_served(endpoint->server, which);
}

void peers_take_close(struct loop *logic, void *payload)
{
    const struct up_close *record = payload;
    struct peer *peer = peer_of(&record->head);

    (void)logic;
    if (peer)
        bid_farewell(peer, record->reason.code, record->reason.text);
}

/* ---- what plugins call */

static struct peer *find(hop_server *server, hop_peer which, const char *function)
{
    return on_logic(function) ? slots_get(&server->peers, which) : NULL;
}

/* One that messages may be sent to, or NULL. */
static struct peer *find_open(hop_server *server, hop_peer which, const char *function)
{
    struct peer *peer = find(server, which, function);

    return peer && !peer->is_closing ? peer : NULL;
}

bool hop_peer_is_open(hop_server *server, hop_peer which)
{
    return find_open(server, which, __func__) != NULL;
}

const char *hop_peer_address(hop_server *server, hop_peer which)
{
    const struct peer *peer = find(server, which, __func__);

    return peer ? peer->address : NULL;
}

int hop_peer_set(hop_server *server, hop_peer which, void *value)
{
    struct peer *peer = find(server, which, __func__);

    if (!peer)
        return -1;
    peer->value = value;
    return 0;
}

void *hop_peer_get(hop_server *server, hop_peer which)
{
    const struct peer *peer = find(server, which, __func__);

    return peer ? peer->value : NULL;
}

/* NULL without memory: it may be made of what a client sent. Engine.IO puts a digit before
 * text. */
static struct bytes *make_packet(const struct endpoint *endpoint, hop_message_kind kind,
                                 const void *data, size_t len)
{
    size_t prefix_len = endpoint->engines ? 1 : 0;
    struct bytes *packet;

    if (kind == HOP_BINARY) {
        packet = packet_try_new(0, len, 1);
        if (!packet)
            return NULL;
        packet_end_text(packet, 0);
        packet_attach(packet, data, len);
        return packet;
    }
    packet = bytes_try_new(prefix_len + len);
    if (!packet)
        return NULL;
    memcpy(packet->data, "4", prefix_len);
    if (len)
        memcpy(packet->data + prefix_len, data, len);
    return packet;
}

int hop_peer_send(hop_server *server, hop_peer which, hop_message_kind kind,
                  const void *data, size_t len)
{
    const struct peer *peer = find_open(server, which, __func__);
    struct down_message *record;
    struct bytes *packet;

    if (!peer || (len > 0 && !data) || (kind != HOP_TEXT && kind != HOP_BINARY) ||
        (kind == HOP_TEXT && len > 0 && !utf8_is_valid(data, len)))
        return -1;
    packet = make_packet(peer->endpoint, kind, data, len);
    if (!packet)
        return -1;
    record = send_down(peer, endpoint_take_message, sizeof *record, len);
    *record = (struct down_message){peer->endpoint, peer->conn, packet};
    return 0;
}

int hop_peer_close(hop_server *server, hop_peer which, int code, const char *reason)
{
    struct peer *peer = find_open(server, which, __func__);
    size_t len = reason ? strlen(reason) : 0;

    if (!peer || code < 0 || !frame_is_close_code((unsigned)code) ||
        len > FRAME_REASON_MAX || (len > 0 && !utf8_is_valid(reason, len)))
        return -1;
    send_close(peer, code, len ? reason : "", len);
    return 0;
}

/* ---- the end */

void peers_end(hop_server *server)
{
    for (uint32_t i = 0; i < server->peers.n; i++) {
        struct peer *peer = slots_at(&server->peers, i);

        if (peer)
            bid_farewell(peer, WS_CLOSE_GOING_AWAY, "server shutting down");
    }
}

void peers_free(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        struct peer_table *table = &endpoint->shard[i];

        for (uint32_t slot = 0; slot < table->n; slot++)
            if (table->peer[slot])
                peer_free(table->peer[slot]);
        free(table->peer);
    }
}
