/*
 * raw.c - WebSocket connections without Engine.IO: see raw.h.
 *
 * Called by: the router (the opening request), websocket.c (messages, ends), engine.c (timers,
 * stages, shutdown), the layer above (send, close). Thread: shard; raw_route() and
 * raw_route_free() before and after the loops run.
 */
#include "core/engine/raw.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/engine/handshake.h"
#include "core/engine/session_impl.h"
#include "core/engine/websocket.h"
#include "core/loop/loop.h"
#include "core/net/conn.h"
#include "core/net/net.h"

struct raw_path {
    struct engine *const *engines; /* borrowed: by shard number */
    struct raw_upper upper;
};

struct raw {
    struct engine *engine;       /* borrowed */
    const struct raw_path *path; /* borrowed: lives longer */
    struct websocket *ws;        /* borrowed, frees itself: NULL once it is over */
    handle self;
    struct timer_node beat; /* until the next ping, or its pong */
    struct raw *next_dead;
};

/* ---- birth and death */

static struct raw *raw_new(struct engine *engine, const struct raw_path *path)
{
    struct raw *raw = mem_calloc(1, sizeof *raw);

    raw->engine = engine;
    raw->path = path;
    raw->self = slots_add(&engine->raws, raw);
    if (!raw->self) { /* 2^24 of them */
        free(raw);
        return NULL;
    }
    metric_add(engine_metrics(engine), METRIC_PEERS_WEBSOCKET, 1);
    return raw;
}

void raw_free(struct raw *raw)
{
    free(raw);
}

/* Nobody finds it any more; whoever is up the stack may still look at it. */
static void bury(struct raw *raw)
{
    struct engine *engine = raw->engine;

    metric_add(engine_metrics(engine), METRIC_PEERS_WEBSOCKET, -1);
    timer_stop(&raw->beat);
    slots_remove(&engine->raws, raw->self);
    raw->ws = NULL;
    raw->next_dead = engine->dead_raws;
    engine->dead_raws = raw;
}

void raw_bury_dead(struct engine *engine)
{
    while (engine->dead_raws) {
        struct raw *raw = engine->dead_raws;

        engine->dead_raws = raw->next_dead;
        raw_free(raw);
    }
}

void raw_on_over(struct raw *raw, uint16_t code, const char *reason, size_t len)
{
    hop_log(HOP_DEBUG, "peer.closed code=%u", (unsigned)code);
    bury(raw);
    raw->path->upper.on_closed(raw, code, reason, len, raw->path->upper.arg);
}

/* From our side. */
static void end(struct raw *raw, uint16_t code, const char *reason, size_t len)
{
    struct websocket *ws = raw->ws;

    if (!ws)
        return;
    ws->raw = NULL;
    websocket_close_with(ws, code, reason, len);
    raw_on_over(raw, code, reason, len);
}

/* ---- the opening request */

static void ask_for_upgrade(struct httpconn *http)
{
    static const char text[] = "Upgrade Required\n";

    http_respond(http, &(struct http_response){
                           .status = 426,
                           .content_type = "text/plain; charset=utf-8",
                           .headers = "Upgrade: websocket\r\n",
                           .data = text,
                           .len = sizeof text - 1,
                           .close = true,
                       });
}

static void open_raw(struct engine *engine, const struct raw_path *path,
                     struct httpconn *http, const struct http_request *request,
                     const struct websocket_offer *offer)
{
    struct raw *raw = raw_new(engine, path);
    struct websocket *ws;
    char address[CONN_ADDRESS_MAX];

    if (!raw) {
        engine_refuse_full(http, "too many peers");
        return;
    }
    conn_address(http_conn(http), address, sizeof address);
    if (!path->upper.on_open(raw, request, address, path->upper.arg)) {
        bury(raw);
        engine_refuse_full(http, "no memory for the request");
        return;
    }
    ws = websocket_accept(engine, http, offer);
    ws->is_raw = true;
    ws->raw = raw;
    raw->ws = ws;
    timer_start(&engine->raw_ping, &raw->beat);
    websocket_adopt(ws, http);
}

static void on_request(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg)
{
    const struct raw_path *path = arg;
    struct engine *engine = path->engines[http_conn(http)->net->loop->index];
    struct handshake handshake = {0};
    enum handshake_error error = handshake_check_origin(engine, request, &handshake);
    struct websocket_offer offer;

    (void)body;
    (void)body_len;
    if (error != HANDSHAKE_OK)
        handshake_refuse(http, request, error, &handshake);
    else if (!request->is_websocket)
        ask_for_upgrade(http);
    else if (engine->is_shut_down)
        engine_refuse_full(http, "server shutting down");
    else if (engine_is_out_of_memory(engine))
        engine_refuse_full(http, "memory is full");
    else if (engine_take_offer(engine, http, request, &offer))
        open_raw(engine, path, http, request, &offer);
}

struct http_route raw_route(struct engine *const *engines, const struct raw_upper *upper)
{
    struct raw_path *path = mem_alloc(sizeof *path);

    *path = (struct raw_path){engines, *upper};
    return (struct http_route){.on_request = on_request, .arg = path};
}

void raw_route_free(struct http_route *route)
{
    free(route->arg);
    route->arg = NULL;
}

/* ---- what its WebSocket tells */

void raw_on_message(struct raw *raw, enum frame_event kind, const struct frame *frame)
{
    raw->path->upper.on_message(raw, kind, frame->data, frame->len, raw->path->upper.arg);
}

/* ---- pings */

static struct raw *raw_of_beat(struct timer_node *node)
{
    return (struct raw *)(void *)((char *)node - offsetof(struct raw, beat));
}

void raw_on_beat(struct timer_node *node)
{
    struct raw *raw = raw_of_beat(node);

    timer_start(&raw->engine->raw_pong, node);
    websocket_ping(raw->ws);
}

void raw_on_pong(struct raw *raw)
{
    timer_start(&raw->engine->raw_ping, &raw->beat);
}

void raw_on_no_pong(struct timer_node *node)
{
    static const char reason[] = "ping timeout";
    struct raw *raw = raw_of_beat(node);

    if (conn_has_input(
            raw->ws->conn)) /* it may have answered: a full lane stops reading */
        raw_on_beat(node);
    else
        end(raw, WS_CLOSE_POLICY, reason, sizeof reason - 1);
}

/* Whether it owes its pong for long enough to be given up where memory is short (T47). */
static bool is_silent(const struct engine *engine, const struct timer_node *node)
{
    uint64_t half_ms = (uint64_t)engine->settings->ping_timeout_ms / 2;

    return node->due_ms <= loop_now(engine->net->loop) + half_ms;
}

size_t raw_count_silent(const struct engine *engine)
{
    const struct timer_node *node = engine->raw_pong.head;
    size_t n = 0;

    for (; node && is_silent(engine, node); node = node->next)
        n++;
    return n;
}

/* As of sessions: one with input shields nobody behind it. */
static struct raw *most_silent(const struct engine *engine)
{
    struct timer_node *node = engine->raw_pong.head;

    for (int i = 0; node && i < SILENT_LOOKS && is_silent(engine, node);
         i++, node = node->next)
        if (!conn_has_input(raw_of_beat(node)->ws->conn))
            return raw_of_beat(node);
    return NULL;
}

bool raw_end_most_silent(struct engine *engine)
{
    static const char reason[] = "memory is full";
    struct raw *raw = most_silent(engine);
    struct websocket *ws;

    if (!raw)
        return false;
    ws = raw->ws;
    end(raw, WS_CLOSE_POLICY, reason, sizeof reason - 1);
    websocket_abort(ws); /* it would wait for the peer's FIN */
    return true;
}

/* ---- what the layer above uses */

struct raw *raw_find(struct engine *engine, handle raw)
{
    return slots_get(&engine->raws, raw);
}

handle raw_handle(const struct raw *raw)
{
    return raw->self;
}

struct loop *raw_loop(const struct raw *raw)
{
    return raw->engine->net->loop;
}

void raw_send(struct raw *raw, struct outgoing *out)
{
    websocket_send(raw->ws, out);
}

void raw_close(struct raw *raw, uint16_t code, const char *reason, size_t len)
{
    end(raw, code, reason, len);
}

void raw_end_all(struct engine *engine)
{
    static const char reason[] = "server shutting down";

    for (uint32_t i = 0; i < engine->raws.n; i++) {
        struct raw *raw = slots_at(&engine->raws, i);

        if (raw)
            end(raw, WS_CLOSE_GOING_AWAY, reason, sizeof reason - 1);
    }
}
