/*
 * endpoints.c - raw WebSocket and bare Engine.IO endpoints of plugins.
 *
 * A connection lives in its shard (core/engine); what it says goes up in records that name
 * its handle, and a peer in logic stands for it: peers.c.
 * Called by: core/engine (in the shard), lanes (endpoint_take_*: shard), plugins
 * (hop_websocket(), hop_engine(): logic), daemon.c (start, stop).
 */
#include "core/plugin/endpoints.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/engine/engine.h"
#include "core/engine/frame.h"
#include "core/engine/raw.h"
#include "core/loop/bytes.h"
#include "core/net/conn.h"
#include "core/net/router.h"
#include "core/plugin/endpoint_impl.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

enum {
    ENGINES_MAX = 8 /* promised in <sockhop/endpoint.h>; LOOP_HOOKS has room for them */
};

/* ---- up, in the shard */

/* Takes the request's texts over. */
static void send_open(struct endpoint *endpoint, struct loop *shard, handle conn,
                      const hop_request *request, const char *address)
{
    struct up_open *record =
        loop_send(shard, endpoint->server->loops->logic, peers_take_open, sizeof *record,
                  request->texts->len);

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
    struct up_message *record =
        loop_try_send(shard, endpoint->server->loops->logic, peers_take_message,
                      sizeof *record + len + 1, 0);

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
    struct up_close *record = loop_send(shard, endpoint->server->loops->logic,
                                        peers_take_close, sizeof *record, 0);

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

void endpoint_take_message(struct loop *shard, void *payload)
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

void endpoint_take_close(struct loop *shard, void *payload)
{
    const struct down_close *record = payload;
    struct session *session = find_session(record->endpoint, shard, record->conn);
    struct raw *raw = find_raw(record->endpoint, shard, record->conn);

    if (session)
        session_close(session, SESSION_SERVER_FORCED, record->reason.text);
    else if (raw)
        raw_close(raw, record->reason.code, record->reason.text, record->reason.len);
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
    endpoint->shown = running_name(path);
    /* What an older plugin has not heard of stays NULL. */
    memcpy(&endpoint->calls, calls,
           calls->size < sizeof *calls ? calls->size : sizeof *calls);
    endpoint->self = self;
    atomic_init(&endpoint->is_there, true); /* it is made before the loops run */
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
    peers_free(endpoint);
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
    if (loop_is_running(server->loops->logic)) {
        refuse(server, "%s(\"%s\"): a server that runs opens no endpoints: restart it",
               function, path);
        return NULL;
    }
    endpoint = endpoint_new(server, path, calls, self);
    endpoint->next = server->endpoints;
    server->endpoints = endpoint;
    return endpoint;
}

/* An endpoint is had again from a plugin that has gone, or will be from the one that is
 * replaced. */
static bool take_place(hop_server *server, const char *path, bool is_engine,
                       const hop_endpoint *calls, void *self, const char *function)
{
    struct plugin *plugin = server->current;
    struct endpoint *at = server->endpoints;
    hop_endpoint copy = {0};

    if (!server->is_registering || !on_logic(function) || !path || !calls || !calls->size)
        return false;
    while (at && (strcmp(at->path, path) != 0 || (at->engines != NULL) != is_engine))
        at = at->next;
    if (!at || at->next_plugin ||
        (at->plugin && (!plugin->replaces || at->plugin != plugin->replaces)))
        return false;
    memcpy(&copy, calls, calls->size < sizeof copy ? calls->size : sizeof copy);
    at->next_plugin = plugin;
    at->next_calls = copy;
    at->next_self = self;
    return true;
}

int hop_websocket(hop_server *server, const char *path, const hop_endpoint *calls,
                  void *self)
{
    struct raw_upper upper = {on_raw_open, on_raw_message, on_raw_closed, NULL};
    struct endpoint *endpoint;

    if (take_place(server, path, false, calls, self, __func__))
        return 0;
    endpoint = add(server, path, calls, self, __func__);
    if (!endpoint)
        return -1;
    upper.arg = endpoint;
    endpoint->route = raw_route(server->engines, &upper);
    endpoint->route.is_there = &endpoint->is_there;
    if (router_add(server->router, NULL, path, &endpoint->route) < 0)
        return refuse(server, "hop_websocket(\"%s\"): taken already", path);
    return 0;
}

int hop_engine(hop_server *server, const char *path, const hop_endpoint *calls,
               void *self)
{
    bool has_room = is_engine_room_left(server);
    struct endpoint *endpoint;

    if (take_place(server, path, true, calls, self, __func__))
        return 0;
    endpoint = add(server, path, calls, self, __func__);
    if (!endpoint)
        return -1;
    if (!has_room)
        return refuse(server, "hop_engine(\"%s\"): %d are there already", path,
                      ENGINES_MAX);
    make_engines(endpoint);
    endpoint->route.is_there = &endpoint->is_there;
    if (router_add_prefix(server->router, path, &endpoint->route) < 0)
        return refuse(server, "hop_engine(\"%s\"): taken already", path);
    return 0;
}

/* ---- the end */

void endpoints_shutdown(hop_server *server)
{
    server->is_stopping = true;
    peers_end(server);
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
         endpoint = endpoint->next) {
        if (endpoint->next_plugin == plugin)
            endpoint->next_plugin = NULL;
        if (endpoint->plugin != plugin)
            continue;
        endpoint->plugin = NULL;
        endpoint->calls = (hop_endpoint){0};
        atomic_store(&endpoint->is_there, false);
    }
}

void endpoints_take_over(hop_server *server, const struct plugin *plugin)
{
    for (struct endpoint *endpoint = server->endpoints; endpoint;
         endpoint = endpoint->next) {
        if (endpoint->next_plugin != plugin)
            continue;
        endpoint->plugin = endpoint->next_plugin;
        endpoint->calls = endpoint->next_calls;
        endpoint->self = endpoint->next_self;
        endpoint->next_plugin = NULL;
        atomic_store(&endpoint->is_there, true);
    }
}

size_t endpoints_n_peers(const hop_server *server, const struct plugin *plugin)
{
    size_t n = 0;

    for (const struct endpoint *at = server->endpoints; at; at = at->next)
        if (at->plugin == plugin)
            n += at->n_peers;
    return n;
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
