/*
 * engine.c - Engine.IO on one shard: its timers, its stages of the turn, and whom it ends
 * where memory is full. Requests: route.c.
 *
 * Called by: the loop (stages), core/net (memory), main (start and stop). Thread: shard.
 */
#include "core/engine/engine.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/compress.h"
#include "core/engine/polling.h"
#include "core/engine/polling_body.h"
#include "core/engine/raw.h"
#include "core/engine/session_impl.h"
#include "core/engine/upgrade.h"
#include "core/engine/websocket.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/net/pressure.h"

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
    /* A tick early, as timers are up to one late: whoever speaks behind it is too late. */
    timer_list_init(&engine->silence, loop,
                    settings->ping_interval_ms + settings->ping_timeout_ms -
                        TIMER_TICK_MS,
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

static void print_open_end(struct engine *engine)
{
    const struct settings *settings = engine->settings;

    snprintf(engine->open_end, sizeof engine->open_end,
             ",\"pingInterval\":%" PRId64 ",\"pingTimeout\":%" PRId64
             ",\"maxPayload\":%zu}",
             settings->ping_interval_ms, settings->ping_timeout_ms,
             settings->max_http_buffer_bytes);
}

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
    session_ids_init(engine);
    random_bytes(engine->id_secret, sizeof engine->id_secret);
    engine->accept_hash = websocket_hash_new();
    print_open_end(engine);
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
    websockets_abort(engine);
    engine_bury(engine);
    loop_off_stage(engine->net->loop, LOOP_PACK, engine_pack, engine);
    loop_off_stage(engine->net->loop, LOOP_FREE, engine_bury, engine);
    done_timers(engine);
    frame_pool_done(&engine->readers);
    EVP_MD_CTX_free(engine->accept_hash);
    frame_writer_free(engine->writer);
    lookup_done(&engine->sids);
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

        engine->dirty = session->polling->next_dirty;
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

        engine->dead_websockets = ws->next_dead;
        websocket_free(ws);
    }
    compressor_forget(engine->compressor);
    polling_body_forget(engine);
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
