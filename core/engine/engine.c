/*
 * engine.c - Engine.IO on one shard: its route, its timers, its stages of the turn.
 *
 * Called by: core/net (requests), the loop (stages), main (start and stop). A request is
 * verified (handshake.c), then goes to its session's transport (polling.c, websocket.c).
 * Thread: shard; engine_route() and engine_route_free() before and after the loops run.
 */
#include "core/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/bundle.h"
#include "core/engine/compress.h"
#include "core/engine/cookie.h"
#include "core/engine/handshake.h"
#include "core/engine/packet.h"
#include "core/engine/polling.h"
#include "core/engine/raw.h"
#include "core/engine/session_impl.h"
#include "core/engine/upgrade.h"
#include "core/engine/websocket.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/net/pressure.h"
#include "core/net/uri.h"

enum {
    LINGER_MS = 30000, /* for the last GET of an ended session, as the reference */
    IDLER_COST = 512   /* of a session with all that belongs to it, about */
};

/* ---- start and stop */

static void init_timers(struct engine *engine, struct loop *loop)
{
    const struct settings *settings = engine->settings;

    for (int i = 0; i < FIRST_PING_LISTS; i++)
        timer_list_init(&engine->first_ping[i], loop,
                        settings->ping_interval_ms * (8 + i) / 16, session_on_beat);
    timer_list_init(&engine->ping, loop, settings->ping_interval_ms, session_on_beat);
    timer_list_init(&engine->pong, loop, settings->ping_timeout_ms, session_on_no_pong);
    timer_list_init(&engine->upgrade, loop, settings->upgrade_timeout_ms,
                    upgrade_on_timeout);
    timer_list_init(&engine->noop, loop, NOOP_MS, upgrade_on_noop);
    timer_list_init(&engine->slow, loop, settings->soft_queue_ms, polling_on_slow);
    timer_list_init(&engine->silence, loop,
                    settings->ping_interval_ms + settings->ping_timeout_ms,
                    session_on_silence);
    timer_list_init(&engine->linger, loop, LINGER_MS, session_on_linger);
    timer_list_init(&engine->raw_ping, loop, settings->ping_interval_ms, raw_on_beat);
    timer_list_init(&engine->raw_pong, loop, settings->ping_timeout_ms, raw_on_no_pong);
}

static void done_timers(struct engine *engine)
{
    for (int i = 0; i < FIRST_PING_LISTS; i++)
        timer_list_done(&engine->first_ping[i]);
    timer_list_done(&engine->ping);
    timer_list_done(&engine->pong);
    timer_list_done(&engine->upgrade);
    timer_list_done(&engine->noop);
    timer_list_done(&engine->slow);
    timer_list_done(&engine->silence);
    timer_list_done(&engine->linger);
    timer_list_done(&engine->raw_ping);
    timer_list_done(&engine->raw_pong);
}

static void engine_collect(void *arg, struct holders *holders);

/* A message as a packet; NULL when it is empty. */
static struct bytes *message_packet(const char *text)
{
    size_t len = strlen(text);
    struct bytes *packet;

    if (len == 0)
        return NULL;
    packet = bytes_new(1 + len);
    packet->data[0] = '4';
    memcpy(packet->data + 1, text, len);
    return packet;
}

struct engine *engine_new(struct net *net, const struct settings *settings,
                          const struct engine_upper *upper)
{
    struct engine *engine = mem_calloc(1, sizeof *engine);

    engine->net = net;
    engine->settings = settings;
    engine->upper = *upper;
    slots_init(&engine->sessions, net->loop->index);
    slots_init(&engine->raws, net->loop->index);
    engine->writer = frame_writer_new();
    engine->frame_limits = (struct frame_limits){
        .max_message_bytes = settings->max_http_buffer_bytes,
        .max_fragments = (uint32_t)settings->max_fragments,
    };
    engine->deflate_limits = engine->frame_limits;
    engine->deflate_limits.may_inflate = true;
    engine->ping_packet = bytes_copy("2", 1);
    engine->pong_packet = bytes_copy("3", 1);
    engine->noop_packet = bytes_copy("6", 1);
    engine->close_packet = bytes_copy("1", 1);
    engine->probe_packet = bytes_copy("3probe", 6);
    engine->initial_packet = message_packet(settings->initial_packet);
    engine->compressor = compressor_new();
    engine->takes_polling = list_has(settings->transports, "polling");
    engine->takes_websocket = list_has(settings->transports, "websocket");
    engine->takes_upgrades = settings->allow_upgrades && engine->takes_websocket;
    init_timers(engine, net->loop);
    loop_on_stage(net->loop, LOOP_PACK, engine_pack, engine);
    loop_on_stage(net->loop, LOOP_FREE, engine_bury, engine);
    if (net->on_collect == engine_collect)
        engine->next = net->collect_arg;
    net_on_collect(net, engine_collect, engine);
    return engine;
}

void engine_shutdown(struct engine *engine)
{
    engine->is_shut_down = true;
    for (uint32_t i = 0; i < engine->sessions.n; i++) {
        struct session *session = slots_at(&engine->sessions, i);

        if (session)
            session_end(session, SESSION_SHUTDOWN, NULL);
    }
    raw_end_all(engine);
    while (engine->linger.head) /* nobody will come for their last packets */
        session_on_linger(engine->linger.head);
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    engine_shutdown(engine);
    while (engine->websockets)
        websocket_abort(engine->websockets);
    engine_bury(engine);
    loop_off_stage(engine->net->loop, LOOP_PACK, engine_pack, engine);
    loop_off_stage(engine->net->loop, LOOP_FREE, engine_bury, engine);
    done_timers(engine);
    frame_pool_done(&engine->readers);
    frame_writer_free(engine->writer);
    sidmap_done(&engine->sids);
    slots_done(&engine->sessions);
    slots_done(&engine->raws);
    bytes_unref(engine->ping_packet);
    bytes_unref(engine->pong_packet);
    bytes_unref(engine->noop_packet);
    bytes_unref(engine->close_packet);
    bytes_unref(engine->probe_packet);
    bytes_unref(engine->initial_packet);
    compressor_free(engine->compressor);
    free(engine);
}

struct session *engine_find(struct engine *engine, handle session)
{
    return slots_get(&engine->sessions, session);
}

void *engine_upper_arg(const struct engine *engine)
{
    return engine->upper.arg;
}

struct net *engine_net(const struct engine *engine)
{
    return engine->net;
}

struct metrics *engine_metrics(const struct engine *engine)
{
    return &engine->net->loop->metrics;
}

/* ---- stages of the turn */

void engine_pack(void *arg)
{
    struct engine *engine = arg;

    /* Taken one by one: an answer may let in a request that ends other sessions. */
    while (engine->dirty) {
        struct session *session = engine->dirty;

        engine->dirty = session->next_dirty;
        session->is_dirty = false;
        if (session->is_open && session->polling)
            polling_pack(session);
    }
}

void engine_bury(void *arg)
{
    struct engine *engine = arg;

    while (engine->dead) {
        struct session *session = engine->dead;

        engine->dead = session->next_dead;
        session_free(session);
    }
    raw_bury_dead(engine);
    while (engine->dead_websockets) {
        struct websocket *ws = engine->dead_websockets;

        engine->dead_websockets = ws->next;
        websocket_free(ws);
    }
    compressor_forget(engine->compressor);
}

/* ---- memory is full */

static void end_holder(void *arg, handle who)
{
    struct session *session = engine_find(arg, who);

    if (!session || !session->polling)
        return;
    polling_drop_queue(
        session); /* at once: what is freed with the turn is seen too late */
    session_end(session, SESSION_SLOW, "memory is full");
}

static void end_idler(struct session *session, enum session_end end)
{
    struct websocket *ws = session->ws;

    session_end(session, end, "memory is full");
    if (ws) /* it would wait for the peer's FIN */
        websocket_abort(ws);
}

/* Those who have not joined, then those who have and say nothing any more (T47). */
static size_t end_idle_of(struct engine *engine, size_t bytes, unsigned *n)
{
    const struct engine_upper *upper = &engine->upper;
    struct session *session;
    size_t freed = 0;

    while (freed < bytes && upper->oldest_unjoined &&
           (session = upper->oldest_unjoined(upper->arg)) != NULL) {
        end_idler(session, SESSION_NEVER_JOINED);
        freed += IDLER_COST;
        ++*n;
    }
    while (freed < bytes && (session = session_most_silent(engine)) != NULL) {
        end_idler(session, SESSION_PING_TIMEOUT);
        freed += IDLER_COST;
        ++*n;
    }
    while (freed < bytes && raw_end_most_silent(engine)) {
        freed += IDLER_COST;
        ++*n;
    }
    return freed;
}

static size_t end_idle(void *arg, size_t bytes, unsigned *n)
{
    size_t freed = 0;

    for (struct engine *engine = arg; engine && freed < bytes; engine = engine->next)
        freed += end_idle_of(engine, bytes - freed, n);
    return freed;
}

static void collect_of(struct engine *engine, struct holders *holders)
{
    size_t n_idle = session_count_silent(engine) + raw_count_silent(engine);

    for (uint32_t i = 0; i < engine->sessions.n; i++) {
        const struct session *session = slots_at(&engine->sessions, i);

        if (session && session->polling)
            holders_add(holders, &(struct holder){.bytes = polling_bytes(session) +
                                                           session_held(session),
                                                  .who = session->self,
                                                  .end = end_holder,
                                                  .arg = engine});
    }
    if (engine->upper.n_unjoined)
        n_idle += engine->upper.n_unjoined(engine->upper.arg);
    holders->idle_bytes += n_idle * IDLER_COST;
    while (engine->linger.head) /* what these hold is for clients that have ended */
        session_on_linger(engine->linger.head);
}

/* Queues that wait for a poll belong to no connection. */
static void engine_collect(void *arg, struct holders *holders)
{
    holders->idle_bytes = 0;
    for (struct engine *engine = arg; engine; engine = engine->next)
        collect_of(engine, holders);
    holders->end_idle = end_idle;
    holders->idle_arg = arg;
}

/* ---- the route */

struct engine_route {
    struct engine *const *engines; /* borrowed: by shard number */
    unsigned n_engines;
    const struct settings *settings; /* borrowed */
    struct bundle bundle;
};

static void respond_text(struct httpconn *http, int status, const char *headers,
                         const char *text)
{
    http_respond(http, &(struct http_response){.status = status,
                                               .content_type = "text/html",
                                               .headers = headers,
                                               .data = text,
                                               .len = strlen(text),
                                               .close = true});
}

void engine_refuse_full(struct httpconn *http, const char *reason)
{
    hop_log(HOP_DEBUG, "handshake.refused code=503 reason=\"%s\"", reason);
    respond_text(http, 503, "Retry-After: 10\r\n", reason);
}

/* A connection that is inside may open sessions without end (T47). */
bool engine_is_out_of_memory(struct engine *engine)
{
    struct net *net = engine->net;

    if (!pressure_is_tight(net->pressure, net->loop))
        return false;
    metric_add(engine_metrics(engine), METRIC_REFUSED_MEMORY, 1);
    return true;
}

/* The lines of a polling handshake's response. */
static void open_headers(const struct session *session, const struct handshake *handshake,
                         char *out, size_t size)
{
    char sid[SESSION_SID_SIZE], cookie[COOKIE_BYTES];

    session_sid(session, sid);
    cookie_print(session->engine->settings, sid, cookie, sizeof cookie);
    snprintf(out, size, "%s%s", handshake->headers, cookie);
}

static void open_polling(struct engine *engine, struct httpconn *http,
                         const struct http_request *request,
                         const struct handshake *handshake)
{
    char headers[ORIGIN_HEADERS_MAX + COOKIE_BYTES];
    struct session *session = session_new(engine);
    struct bytes *open;

    if (!session) {
        engine_refuse_full(http, "too many sessions");
        return;
    }
    session->is_v3 = handshake->is_v3;
    session->polling = polling_new(session);
    session->polling->jsonp = handshake->jsonp;
    session->polling->takes_bytes =
        session->is_v3 && !handshake->is_base64 && !handshake->jsonp.is_given;
    open = session_open_packet(session);
    open_headers(session, handshake, headers, sizeof headers);
    polling_get(session, http, request, headers);
    polling_push(session, open);
    bytes_unref(open);
    if (engine->initial_packet)
        polling_push(session, engine->initial_packet);
    session_announce(session, request, http_conn(http));
}

static void open_websocket(struct engine *engine, struct httpconn *http,
                           const struct http_request *request,
                           const struct handshake *handshake,
                           const struct websocket_offer *offer)
{
    struct session *session = session_new(engine);
    struct websocket *ws;
    struct bytes *open;

    if (!session) {
        engine_refuse_full(http, "too many sessions");
        return;
    }
    session->is_v3 = handshake->is_v3;
    ws = websocket_accept(engine, http, offer);
    ws->is_v3 = handshake->is_v3;
    ws->is_base64 = handshake->is_base64;
    session->ws = ws;
    ws->session = session;
    open = session_open_packet(session);
    websocket_send_packet(ws, open);
    bytes_unref(open);
    if (engine->initial_packet)
        websocket_send_packet(ws, engine->initial_packet);
    session_announce(session, request, http_conn(http));
    websocket_adopt(ws, http);
}

/* A second WebSocket for one session is closed, and the session kept (C09). */
static void open_probe(struct session *session, struct httpconn *http,
                       const struct handshake *handshake,
                       const struct websocket_offer *offer)
{
    struct websocket *ws = websocket_accept(session->engine, http, offer);

    ws->is_v3 = session->is_v3;
    ws->is_base64 = handshake->is_base64;
    if (upgrade_is_possible(session))
        upgrade_begin(session, ws);
    else
        websocket_close(ws, WS_CLOSE_POLICY);
    websocket_adopt(ws, http);
}

/* One header or several: they are one list. */
static enum deflate_offer find_deflate_offer(const struct http_request *request,
                                             unsigned *window_bits)
{
    enum deflate_offer result = DEFLATE_NONE;

    for (size_t i = 0; i < request->n_headers && result == DEFLATE_NONE; i++) {
        const struct http_header *header = &request->headers[i];

        if (ascii_equal_nocase(header->name.text, header->name.len,
                               "sec-websocket-extensions"))
            result = deflate_read_offer(header->value.text, window_bits);
    }
    return result;
}

bool engine_take_offer(const struct engine *engine, struct httpconn *http,
                       const struct http_request *request, struct websocket_offer *offer)
{
    enum deflate_offer deflate = DEFLATE_NONE;
    const char *reason;
    int status = websocket_check(request, offer, &reason);

    offer->window_bits = 0;
    if (!status && engine->settings->permessage_deflate)
        deflate = find_deflate_offer(request, &offer->window_bits);
    if (deflate == DEFLATE_MALFORMED) {
        status = 400;
        reason = "Sec-WebSocket-Extensions is malformed";
    }
    if (!status)
        return true;
    hop_log(HOP_DEBUG, "handshake.refused code=%d reason=\"%s\"", status, reason);
    respond_text(http, status, status == 426 ? "Sec-WebSocket-Version: 13\r\n" : NULL,
                 reason);
    return false;
}

static void on_websocket(struct engine *engine, struct httpconn *http,
                         const struct http_request *request,
                         const struct handshake *handshake)
{
    struct websocket_offer offer;

    if (!engine_take_offer(engine, http, request, &offer))
        return;
    if (handshake->session)
        open_probe(handshake->session, http, handshake, &offer);
    else
        open_websocket(engine, http, request, handshake, &offer);
}

static void on_session_request(struct session *session, struct httpconn *http,
                               const struct http_request *request, const char *body,
                               size_t body_len, const char *headers)
{
    if (request->method == HTTP_M_GET)
        polling_get(session, http, request, headers);
    else if (request->method == HTTP_M_POST)
        polling_post(session, http, request, body, body_len, headers);
    else
        respond_text(http, 500, NULL, ""); /* as the reference */
}

static void on_engine_request(struct engine *engine, struct httpconn *http,
                              const struct http_request *request, const char *body,
                              size_t body_len)
{
    struct handshake handshake;
    enum handshake_error error;

    if (handshake_preflight(engine, http, request))
        return;
    error = handshake_verify(engine, request, &handshake);
    if (error != HANDSHAKE_OK)
        handshake_refuse(http, request, error, &handshake);
    else if (engine->is_shut_down && !handshake.session)
        engine_refuse_full(http, "server shutting down");
    else if (!handshake.session && engine_is_out_of_memory(engine))
        engine_refuse_full(http, "memory is full");
    else if (request->is_websocket)
        on_websocket(engine, http, request, &handshake);
    else if (handshake.session)
        on_session_request(handshake.session, http, request, body, body_len,
                           handshake.headers);
    else
        open_polling(engine, http, request, &handshake);
}

/* Of engine.path, without a slash at its end. */
static size_t length_of_path(const struct settings *settings)
{
    size_t len = strlen(settings->path);

    return len - (settings->path[len - 1] == '/');
}

/* ---- requests */

/* Whether a request for the path itself, without a slash behind it, is not for us. */
static bool lacks_slash(const struct engine_route *route,
                        const struct http_request *request)
{
    size_t n = 0, n_ours = 0;

    if (!route->settings->add_trailing_slash)
        return false;
    for (size_t i = 0; i < request->path.len; i++)
        n += request->path.text[i] == '/';
    for (size_t i = 0; i < length_of_path(route->settings); i++)
        n_ours += route->settings->path[i] == '/';
    return n <= n_ours;
}

static void on_request(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg)
{
    const struct engine_route *route = arg;

    if (bundle_serve(&route->bundle, http, request, length_of_path(route->settings)))
        return;
    if (lacks_slash(route, request))
        respond_text(http, 404, NULL, "Not Found");
    else
        on_engine_request(route->engines[http_conn(http)->net->loop->index], http,
                          request, body, body_len);
}

/* The polling session that a request with a body is for, or NULL. */
static struct session *posted_to(const struct httpconn *http,
                                 const struct http_request *request,
                                 const struct engine_route *route)
{
    unsigned shard = http_conn(http)->net->loop->index;
    struct handshake handshake;

    if (request->method != HTTP_M_POST || lacks_slash(route, request) ||
        handshake_verify(route->engines[shard], request, &handshake) != HANDSHAKE_OK)
        return NULL; /* on_request will say why */
    return handshake.session && handshake.session->polling ? handshake.session : NULL;
}

static void on_body(struct httpconn *http, const struct http_request *request, void *arg)
{
    struct session *session = posted_to(http, request, arg);

    if (session)
        polling_post_begins(session, http);
}

static void on_too_large(struct httpconn *http, const struct http_request *request,
                         void *arg)
{
    struct session *session = posted_to(http, request, arg);

    if (session)
        polling_post_refused(session, http);
}

static int shard_for(const struct http_request *request, void *arg)
{
    const struct engine_route *route = arg;
    unsigned char bytes[SID_BYTES];
    char sid[SID_CHARS + 1];
    long len =
        uri_query_get(request->query.text, request->query.len, "sid", sid, sizeof sid);

    if (len != SID_CHARS || base64url_decode(sid, SID_CHARS, bytes) != SID_BYTES)
        return -1;
    return bytes[0] < route->n_engines ? bytes[0] : -1;
}

struct http_route engine_route(struct engine *const *engines, unsigned n_engines,
                               const struct settings *settings,
                               struct static_files *files)
{
    struct engine_route *route = mem_alloc(sizeof *route);

    *route = (struct engine_route){
        .engines = engines,
        .n_engines = n_engines,
        .settings = settings,
    };
    bundle_init(&route->bundle, settings, files);
    /* A body over the limit is answered 413 by core/net, and the session survives. */
    return (struct http_route){
        .shard_for = shard_for,
        .on_body = on_body,
        .on_too_large = on_too_large,
        .is_terse = true,
        .max_body_bytes = settings->max_http_buffer_bytes,
        .on_request = on_request,
        .arg = route,
    };
}

void engine_route_free(struct http_route *route)
{
    free(route->arg);
    route->arg = NULL;
}
