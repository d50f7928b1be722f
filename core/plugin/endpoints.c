/*
 * endpoints.c - raw WebSocket and bare Engine.IO endpoints of plugins.
 *
 * A connection lives in its shard (core/engine); what it says goes up in records that name
 * its handle, and a peer in logic stands for it: found by that handle, and by the plugin's.
 * Called by: core/engine (in the shard), lanes (take_*: logic up, shard down), plugins
 * (hop_websocket(), hop_engine(), hop_peer_*(): logic), daemon.c (start, stop).
 */
#include "core/plugin/endpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/engine.h"
#include "core/engine/frame.h"
#include "core/engine/packet.h"
#include "core/engine/raw.h"
#include "core/loop/bytes.h"
#include "core/net/conn.h"
#include "core/net/router.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

enum {
    FIRST_PEERS = 16,
    ENGINES_MAX = 8, /* promised in <sockhop/endpoint.h>; LOOP_HOOKS has room for them */
    CLOSE_INTERNAL = 1011 /* RFC 6455 7.4.1: we cannot do what was asked */
};

/* The peers whose connections are in one shard, by the slot of the connection's handle. */
struct peer_table {
    struct peer **peer; /* owned */
    uint32_t n;
};

/* An Engine.IO endpoint's part in one shard. */
struct part {
    struct endpoint *endpoint; /* borrowed */
    struct loop *loop;         /* borrowed */
};

struct endpoint {
    hop_server *server;    /* borrowed */
    struct plugin *plugin; /* borrowed */
    char *path;            /* owned */
    hop_endpoint calls;    /* all NULL once its plugin has gone; logic */
    void *self;            /* borrowed: the callbacks' own */
    struct http_route route;
    /* of an Engine.IO endpoint, by shard number; NULL: a raw WebSocket's */
    struct engine **engines;            /* owned, and they */
    struct part *parts;                 /* owned */
    struct settings *settings;          /* owned: the core's with our path */
    struct peer_table shard[LOOPS_MAX]; /* logic */
    struct endpoint *next;              /* of the server's list */
};

struct peer {
    struct endpoint *endpoint; /* borrowed */
    handle self;               /* what plugins know */
    handle conn;               /* the shard's */
    char *address;             /* owned */
    void *value;               /* the plugin's own */
    bool is_closing;           /* hop_peer_close() was called */
};

/* ---- records */

struct up_head {
    struct endpoint *endpoint; /* borrowed: outlives the loops */
    handle conn;
};

struct up_open {
    struct up_head head;
    hop_request request; /* its texts: a ref */
    char address[CONN_ADDRESS_MAX];
};

struct up_message {
    struct up_head head;
    hop_message_kind kind;
    size_t len;
    char data[]; /* and a NUL */
};

struct close_reason {
    uint16_t code;
    uint8_t len;
    char text[FRAME_REASON_MAX + 1]; /* NUL behind len */
};

struct up_close {
    struct up_head head;
    struct close_reason reason;
};

struct down_message {
    struct endpoint *endpoint; /* borrowed */
    handle conn;
    struct bytes *packet; /* ref: owned by the record */
};

struct down_close {
    struct endpoint *endpoint; /* borrowed */
    handle conn;
    struct close_reason reason;
};

/* ---- peers, in logic */

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
    return peer;
}

static void peer_free(struct peer *peer)
{
    struct peer_table *table = &peer->endpoint->shard[handle_shard(peer->conn)];

    slots_remove(&peer->endpoint->server->peers, peer->self);
    table->peer[handle_slot(peer->conn)] = NULL;
    free(peer->address);
    free(peer);
}

static void begin(const struct peer *peer, struct call *call)
{
    call_begin(peer->endpoint->server, peer->endpoint->plugin, call);
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

/* ---- what the shards tell, in logic */

static void *send_down(const struct peer *peer, lane_work *work, size_t size,
                       size_t weight)
{
    struct loops *loops = peer->endpoint->server->loops;

    return loop_send(loops->logic, loops->loop[handle_shard(peer->conn)], work, size,
                     weight);
}

static void shard_take_close(struct loop *shard, void *payload);

static void send_close(struct peer *peer, int code, const char *reason, size_t len)
{
    struct down_close *record = send_down(peer, shard_take_close, sizeof *record, 0);

    peer->is_closing = true;
    record->endpoint = peer->endpoint;
    record->conn = peer->conn;
    record->reason.code = (uint16_t)code;
    record->reason.len = (uint8_t)len;
    memcpy(record->reason.text, reason, len);
    record->reason.text[len] = '\0';
}

static void take_open(struct loop *logic, void *payload)
{
    struct up_open *record = payload;
    const struct endpoint *endpoint = record->head.endpoint;
    const struct peer *peer = endpoint->server->is_stopping ? NULL : peer_new(record);
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

static void take_message(struct loop *logic, void *payload)
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

static void take_close(struct loop *logic, void *payload)
{
    const struct up_close *record = payload;
    struct peer *peer = peer_of(&record->head);

    (void)logic;
    if (peer)
        bid_farewell(peer, record->reason.code, record->reason.text);
}

/* ---- up, in the shard */

/* Takes the request's texts over. */
static void send_open(struct endpoint *endpoint, struct loop *shard, handle conn,
                      const hop_request *request, const char *address)
{
    struct up_open *record = loop_send(shard, endpoint->server->loops->logic, take_open,
                                       sizeof *record, request->texts->len);

    record->head = (struct up_head){endpoint, conn};
    record->request = *request;
    record->request.path = endpoint->path;
    record->request.was_answered = true; /* it cannot be */
    snprintf(record->address, sizeof record->address, "%s", address);
}

/* Returns false when there is no memory for it. */
static bool send_message(struct endpoint *endpoint, struct loop *shard, handle conn,
                         hop_message_kind kind, const void *data, size_t len)
{
    struct up_message *record = loop_try_send(shard, endpoint->server->loops->logic,
                                              take_message, sizeof *record + len + 1, 0);

    if (!record)
        return false;
    record->head = (struct up_head){endpoint, conn};
    record->kind = kind;
    record->len = len;
    if (len)
        memcpy(record->data, data, len);
    record->data[len] = '\0';
    return true;
}

static void tell_closed(struct endpoint *endpoint, struct loop *shard, handle conn,
                        uint16_t code, const char *reason, size_t len)
{
    struct up_close *record =
        loop_send(shard, endpoint->server->loops->logic, take_close, sizeof *record, 0);

    record->head = (struct up_head){endpoint, conn};
    record->reason.code = code;
    record->reason.len = (uint8_t)len;
    memcpy(record->reason.text, reason, len);
    record->reason.text[len] = '\0';
}

/* ---- raw WebSockets, in the shard */

static bool on_raw_open(struct raw *raw, const struct http_request *request,
                        const char *address, void *arg)
{
    hop_request copy = {0};

    if (!request_copy(&copy, request, NULL, 0))
        return false;
    send_open(arg, raw_loop(raw), raw_handle(raw), &copy, address);
    return true;
}

static void on_raw_message(struct raw *raw, enum frame_event kind, const char *data,
                           size_t len, void *arg)
{
    static const char reason[] = "no memory for the message";

    if (!send_message(arg, raw_loop(raw), raw_handle(raw),
                      kind == FRAME_TEXT ? HOP_TEXT : HOP_BINARY, data, len))
        raw_close(raw, WS_CLOSE_TOO_BIG, reason, sizeof reason - 1);
}

static void on_raw_closed(struct raw *raw, uint16_t code, const char *reason, size_t len,
                          void *arg)
{
    tell_closed(arg, raw_loop(raw), raw_handle(raw), code, reason, len);
}

/* ---- Engine.IO, in the shard */

static void *on_session_open(struct session *session, const struct http_request *request,
                             const char *address, void *arg)
{
    struct endpoint *endpoint = arg;
    struct part *part = &endpoint->parts[handle_shard(session_handle(session))];
    hop_request copy = {0};

    if (!request_copy(&copy, request, NULL, 0)) { /* better without it than not at all */
        copy.texts = bytes_copy("", 1);
        copy.headers_at = copy.body_at = 0;
    }
    metric_add(&part->loop->metrics, METRIC_PEERS_ENGINE, 1);
    send_open(endpoint, part->loop, session_handle(session), &copy, address);
    return part;
}

static void on_session_message(struct session *session, hop_message_kind kind,
                               const void *data, size_t len)
{
    const struct part *part = session_upper(session);

    if (!send_message(part->endpoint, part->loop, session_handle(session), kind, data,
                      len))
        session_close(session, SESSION_TRANSPORT_ERROR, "no memory for a message");
}

static void on_session_text(struct session *session, const char *text, size_t len)
{
    on_session_message(session, HOP_TEXT, text, len);
}

static void on_session_binary(struct session *session, const void *data, size_t len)
{
    on_session_message(session, HOP_BINARY, data, len);
}

static void on_session_closed(struct session *session, enum session_end why)
{
    const struct part *part = session_upper(session);
    const char *word = session_end_word(why);

    metric_add(&part->loop->metrics, METRIC_PEERS_ENGINE, -1);
    tell_closed(part->endpoint, part->loop, session_handle(session), 0, word,
                strlen(word));
}

/* ---- down, in the shard */

/* The session of an Engine.IO endpoint, or NULL. */
static struct session *find_session(const struct endpoint *endpoint,
                                    const struct loop *shard, handle conn)
{
    return endpoint->engines ? engine_find(endpoint->engines[shard->index], conn) : NULL;
}

static struct raw *find_raw(const struct endpoint *endpoint, const struct loop *shard,
                            handle conn)
{
    return endpoint->engines ? NULL
                             : raw_find(endpoint->server->engines[shard->index], conn);
}

static void shard_take_message(struct loop *shard, void *payload)
{
    const struct down_message *record = payload;
    struct outgoing out = {.packet = record->packet, .may_compress = true};
    struct session *session = find_session(record->endpoint, shard, record->conn);
    struct raw *raw = find_raw(record->endpoint, shard, record->conn);

    if (session)
        session_send(session, &out);
    else if (raw)
        raw_send(raw, &out);
    bytes_unref(record->packet);
}

static void shard_take_close(struct loop *shard, void *payload)
{
    const struct down_close *record = payload;
    struct session *session = find_session(record->endpoint, shard, record->conn);
    struct raw *raw = find_raw(record->endpoint, shard, record->conn);

    if (session)
        session_close(session, SESSION_SERVER_FORCED, record->reason.text);
    else if (raw)
        raw_close(raw, record->reason.code, record->reason.text, record->reason.len);
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
    record = send_down(peer, shard_take_message, sizeof *record, len);
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

/* ---- registration */

/* What is wrong with it as an endpoint's path, or NULL. */
static const char *path_fault(const hop_server *server, const char *path)
{
    if (!route_is_path(path))
        return "a path that starts with '/'";
    if (route_is_below(path, server->settings->path) ||
        route_is_below(server->settings->path, path))
        return "the Socket.IO path, or one below or above it";
    return NULL;
}

static struct endpoint *endpoint_new(hop_server *server, const char *path,
                                     const hop_endpoint *calls, void *self)
{
    struct endpoint *endpoint = mem_calloc(1, sizeof *endpoint);

    endpoint->server = server;
    endpoint->plugin = server->current;
    endpoint->path = mem_strdup(path);
    /* What an older plugin has not heard of stays NULL. */
    memcpy(&endpoint->calls, calls,
           calls->size < sizeof *calls ? calls->size : sizeof *calls);
    endpoint->self = self;
    return endpoint;
}

static void free_engines(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < endpoint->server->loops->n_shards; i++)
        engine_free(endpoint->engines[i]);
    engine_route_free(&endpoint->route);
    free(endpoint->engines);
    free(endpoint->parts);
    free(endpoint->settings);
}

static void endpoint_free(struct endpoint *endpoint)
{
    for (unsigned i = 0; i < LOOPS_MAX; i++) {
        struct peer_table *table = &endpoint->shard[i];

        for (uint32_t slot = 0; slot < table->n; slot++)
            if (table->peer[slot])
                peer_free(table->peer[slot]);
        free(table->peer);
    }
    if (endpoint->engines)
        free_engines(endpoint);
    else
        raw_route_free(&endpoint->route);
    free(endpoint->path);
    free(endpoint);
}

/* An engine on each shard: they share nothing but the settings. */
static void make_engines(struct endpoint *endpoint)
{
    const hop_server *server = endpoint->server;
    unsigned n_shards = server->loops->n_shards;
    const struct engine_upper upper = {
        .on_open = on_session_open,
        .on_text = on_session_text,
        .on_binary = on_session_binary,
        .on_closed = on_session_closed,
        .arg = endpoint,
    };

    endpoint->settings = mem_alloc(sizeof *endpoint->settings);
    *endpoint->settings = *server->settings;
    endpoint->settings->path = endpoint->path;
    endpoint->engines = mem_calloc(n_shards, sizeof(struct engine *));
    endpoint->parts = mem_calloc(n_shards, sizeof *endpoint->parts);
    for (unsigned i = 0; i < n_shards; i++) {
        endpoint->parts[i] = (struct part){endpoint, server->loops->loop[i]};
        endpoint->engines[i] =
            engine_new(engine_net(server->engines[i]), endpoint->settings, &upper);
    }
    endpoint->route = engine_route(endpoint->engines, n_shards, endpoint->settings, NULL);
}

static bool is_engine_room_left(const hop_server *server)
{
    int n = 0;

    for (const struct endpoint *at = server->endpoints; at; at = at->next)
        n += at->engines != NULL;
    return n < ENGINES_MAX;
}

struct engine *const *endpoint_engines(const hop_server *server, const char *path)
{
    const struct endpoint *at = server->endpoints;

    while (at && (!at->engines || strcmp(at->path, path) != 0))
        at = at->next;
    return at ? at->engines : NULL;
}

/* Common to both kinds. NULL: the plugin is refused. */
static struct endpoint *add(hop_server *server, const char *path,
                            const hop_endpoint *calls, void *self, const char *function)
{
    struct endpoint *endpoint;
    const char *fault;

    if (!in_init(server, function))
        return NULL;
    fault = !path || !calls || !calls->size ? "a path and a hop_endpoint with its size"
                                            : path_fault(server, path);
    if (!fault && !server->engines)
        fault = "this server has no shards";
    if (fault) {
        refuse(server, "%s(\"%s\"): %s", function, path ? path : "", fault);
        return NULL;
    }
    endpoint = endpoint_new(server, path, calls, self);
    endpoint->next = server->endpoints;
    server->endpoints = endpoint;
    return endpoint;
}

int hop_websocket(hop_server *server, const char *path, const hop_endpoint *calls,
                  void *self)
{
    struct endpoint *endpoint = add(server, path, calls, self, __func__);
    const struct raw_upper upper = {on_raw_open, on_raw_message, on_raw_closed, endpoint};

    if (!endpoint)
        return -1;
    endpoint->route = raw_route(server->engines, &upper);
    if (router_add(server->router, NULL, path, &endpoint->route) < 0)
        return refuse(server, "hop_websocket(\"%s\"): taken already", path);
    return 0;
}

int hop_engine(hop_server *server, const char *path, const hop_endpoint *calls,
               void *self)
{
    bool has_room = is_engine_room_left(server);
    struct endpoint *endpoint = add(server, path, calls, self, __func__);

    if (!endpoint)
        return -1;
    if (!has_room)
        return refuse(server, "hop_engine(\"%s\"): %d are there already", path,
                      ENGINES_MAX);
    make_engines(endpoint);
    if (router_add_prefix(server->router, path, &endpoint->route) < 0)
        return refuse(server, "hop_engine(\"%s\"): taken already", path);
    return 0;
}

/* ---- the end */

void endpoints_shutdown(hop_server *server)
{
    server->is_stopping = true;
    for (uint32_t i = 0; i < server->peers.n; i++) {
        struct peer *peer = slots_at(&server->peers, i);

        if (peer)
            bid_farewell(peer, WS_CLOSE_GOING_AWAY, "server shutting down");
    }
}

void endpoints_shutdown_shard(hop_server *server, unsigned shard)
{
    for (struct endpoint *endpoint = server->endpoints; endpoint;
         endpoint = endpoint->next)
        if (endpoint->engines)
            engine_shutdown(endpoint->engines[shard]);
}

void endpoints_remove(hop_server *server, const struct plugin *plugin)
{
    for (struct endpoint *endpoint = server->endpoints; endpoint;
         endpoint = endpoint->next)
        if (endpoint->plugin == plugin)
            endpoint->calls = (hop_endpoint){0};
}

void endpoints_free(hop_server *server)
{
    while (server->endpoints) {
        struct endpoint *endpoint = server->endpoints;

        server->endpoints = endpoint->next;
        endpoint_free(endpoint);
    }
    slots_done(&server->peers);
}
