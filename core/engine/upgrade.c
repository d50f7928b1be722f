/*
 * upgrade.c - from polling to WebSocket: see upgrade.h.
 *
 * Until "5" all packets go by polling, behind it all go by WebSocket, and what is queued
 * then moves over in order: nothing is lost, doubled or reordered (T25).
 * Called by: open.c, websocket.c, session.c. Thread: shard.
 */
#include "core/engine/upgrade.h"

#include <string.h>

#include <sockhop/log.h>

#include "core/engine/packet.h"
#include "core/engine/polling.h"
#include "core/engine/session_impl.h"
#include "core/engine/websocket.h"
#include "core/loop/bytes.h"

bool upgrade_is_possible(const struct session *session)
{
    return session->is_open && !session->ws && !session->polling->probe;
}

void upgrade_begin(struct session *session, struct websocket *ws)
{
    session->polling->probe = ws;
    ws->session = session;
    timer_start(&session->engine->upgrade, &session->polling->upgrade);
}

/* The probe is none any more. */
static struct websocket *end_probe(struct polling *polling)
{
    struct websocket *ws = polling->probe;

    timer_stop(&polling->upgrade);
    polling->probe = NULL;
    polling->is_probing = false;
    return ws;
}

void upgrade_give_up(struct session *session, const char *reason)
{
    struct websocket *ws = end_probe(session->polling);

    hop_log(HOP_DEBUG, "upgrade.failed id=%s reason=\"%s\"", session_log_id(session).text,
            reason);
    ws->session = NULL;
    websocket_close(ws, WS_CLOSE_NORMAL);
}

void upgrade_on_timeout(struct timer_node *node)
{
    struct polling *polling =
        (struct polling *)(void *)((char *)node - offsetof(struct polling, upgrade));

    upgrade_give_up(polling->session, "timeout");
}

/* The client now waits for its poll to end, which mostly has something to say anyway: only
 * where it has not for NOOP_MS, a noop ends it, as the reference does. */
static void on_probe(struct session *session)
{
    struct polling *polling = session->polling;
    int64_t limit_ms = session->engine->settings->upgrade_timeout_ms;

    websocket_send_packet(polling->probe, session->engine->probe_packet);
    if (polling->is_probing)
        return;
    polling->is_probing = true;
    polling->n_noops =
        (uint16_t)(limit_ms / NOOP_MS < UINT16_MAX ? limit_ms / NOOP_MS : UINT16_MAX);
    timer_start(&session->engine->noop, &polling->upgrade);
}

void upgrade_on_noop(struct timer_node *node)
{
    struct polling *polling =
        (struct polling *)(void *)((char *)node - offsetof(struct polling, upgrade));
    struct session *session = polling->session;

    if (polling->n_noops == 0) {
        upgrade_give_up(session, "timeout");
        return;
    }
    polling->n_noops--;
    timer_start(&session->engine->noop, node);
    if (!polling->n_queued)
        polling_answer(session, session->engine->noop_packet);
}

/* What was queued for the next poll goes by the WebSocket. */
static void send_queue(struct session *session, struct websocket *ws)
{
    const struct polling *polling = session->polling;

    for (uint32_t i = 0; i < polling->n_queued; i++)
        websocket_send_packet(ws, polling->queue[i]);
    polling_drop_queue(session);
}

/* The session was closed during the upgrade: its last packets, then the end. */
static void finish_over(struct session *session)
{
    struct websocket *ws = end_probe(session->polling);

    ws->session = NULL;
    send_queue(session, ws);
    websocket_close(ws, WS_CLOSE_NORMAL);
    session_stop_lingering(session);
}

static void switch_over(struct session *session)
{
    struct websocket *ws = end_probe(session->polling);

    session_count(session, -1);
    session->ws = ws;
    session_count(session, 1);
    metric_add(engine_metrics(session->engine), METRIC_UPGRADES, 1);
    hop_log(HOP_DEBUG, "upgrade.done id=%s", session_log_id(session).text);
    send_queue(session, ws);
    polling_answer(session, session->engine->noop_packet);
    polling_free(session);
}

void upgrade_on_text(struct websocket *ws, const char *text, size_t len)
{
    struct session *session = ws->session;
    struct packet packet = packet_decode(text, len);

    if (packet.type == PACKET_PING && packet.len == 5 &&
        memcmp(packet.data, "probe", 5) == 0)
        on_probe(session);
    else if (packet.type == PACKET_UPGRADE && session->is_lingering)
        finish_over(session);
    else if (packet.type == PACKET_UPGRADE && session->polling->is_over_limit)
        session_end(session, SESSION_SLOW, "queue is full");
    else if (packet.type == PACKET_UPGRADE)
        switch_over(session);
    else
        upgrade_give_up(session, "unexpected packet on the probe");
}
