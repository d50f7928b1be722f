/*
 * session.c - one Engine.IO session: its id, its heartbeat, its end.
 *
 * Called by: route.c, open.c (requests), engine.c (stages), polling.c and websocket.c (packets, ends), the
 * layer above (send, close). Thread: shard.
 */
#include "core/engine/session.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/engine/polling.h"
#include "core/engine/session_impl.h"
#include "core/engine/upgrade.h"
#include "core/engine/websocket.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/net/conn.h"

/* What each end is called and counted as. */
static const struct {
    const char *word;
    enum metric counter;
} ends[N_SESSION_ENDS] = {
#define SESSION_END_ROW(id, text, closed) {text, METRIC_##closed},
    SESSION_ENDS(SESSION_END_ROW)
#undef SESSION_END_ROW
};

const char *session_end_word(enum session_end end)
{
    return ends[end].word;
}

static uint16_t close_code(enum session_end end)
{
    switch (end) {
    case SESSION_SHUTDOWN:
        return WS_CLOSE_GOING_AWAY;
    case SESSION_PARSE_ERROR:
    case SESSION_TRANSPORT_ERROR:
        return WS_CLOSE_POLICY;
    default:
        return WS_CLOSE_NORMAL;
    }
}

/* ---- ids */

/* They are random already, so that nobody can aim at one place. */
static uint32_t sid_hash(const unsigned char *sid)
{
    uint32_t hash;

    memcpy(&hash, sid + 1, sizeof hash); /* behind the shard */
    return hash;
}

static uint32_t hash_of(const void *session)
{
    return sid_hash(((const struct session *)session)->sid);
}

static bool has_sid(const void *session, const void *sid)
{
    return CRYPTO_memcmp(((const struct session *)session)->sid, sid, SID_BYTES) == 0;
}

void session_ids_init(struct engine *engine)
{
    lookup_init(&engine->sids, hash_of);
}

static struct session *find_sid(const struct engine *engine, const unsigned char *sid)
{
    return lookup_find(&engine->sids, sid_hash(sid), has_sid, sid);
}

static void draw_sid(const struct engine *engine, unsigned char sid[SID_BYTES])
{
    sid[0] = (unsigned char)engine->net->loop->index;
    do
        random_bytes(sid + 1, SID_BYTES - 1);
    while (find_sid(engine, sid));
}

/* Of a given id: so that it is found as the others are, and nobody can aim at one bucket. */
static void digest_id(const struct engine *engine, const char *id, size_t len,
                      unsigned char sid[SID_BYTES])
{
    unsigned char text[sizeof engine->id_secret + ENGINE_ID_MAX];
    unsigned char digest[SHA256_DIGEST_LENGTH];

    memcpy(text, engine->id_secret, sizeof engine->id_secret);
    memcpy(text + sizeof engine->id_secret, id, len);
    SHA256(text, sizeof engine->id_secret + len, digest);
    sid[0] = (unsigned char)engine->net->loop->index;
    memcpy(sid + 1, digest, SID_BYTES - 1);
}

bool session_id_is_taken(const struct engine *engine, const char *id)
{
    unsigned char sid[SID_BYTES];

    digest_id(engine, id, strlen(id), sid);
    return find_sid(engine, sid) != NULL;
}

static void name(struct session *session, const char *id)
{
    struct engine *engine = session->engine;

    if (id) {
        session->given_id = mem_strdup(id);
        digest_id(engine, id, strlen(id), session->sid);
    } else {
        draw_sid(engine, session->sid);
    }
    lookup_add(&engine->sids, session);
}

/* A given id has its shard behind it: "ID.0a". Where the id ends; 0: it is none. */
static size_t given_id_len(const char *sid, size_t len)
{
    const char *dot = memchr(sid, '.', len);
    size_t id_len = dot ? (size_t)(dot - sid) : 0;

    return len - id_len == 3 && id_len <= ENGINE_ID_MAX ? id_len : 0;
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

int session_shard_of(const char *sid, size_t len)
{
    unsigned char bytes[SID_BYTES];
    int high, low;

    if (given_id_len(sid, len) > 0) {
        high = hex_value(sid[len - 2]);
        low = hex_value(sid[len - 1]);
        return high < 0 || low < 0 ? -1 : high * 16 + low;
    }
    if (len != SID_CHARS || base64url_decode(sid, len, bytes) != SID_BYTES)
        return -1;
    return bytes[0];
}

struct session *session_by_sid(const struct engine *engine, const char *sid, size_t len)
{
    unsigned char bytes[SID_BYTES];
    const size_t id_len = given_id_len(sid, len);
    struct session *session;

    if (id_len > 0 && session_shard_of(sid, len) == (int)engine->net->loop->index)
        digest_id(engine, sid, id_len, bytes);
    else if (len != SID_CHARS || base64url_decode(sid, len, bytes) != SID_BYTES)
        return NULL;
    session = find_sid(engine, bytes);
    return session && (session->given_id != NULL) == (id_len > 0) ? session : NULL;
}

/* ---- birth and death */

struct session *session_new(struct engine *engine, const char *id)
{
    struct session *session = mem_calloc(1, sizeof *session);

    session->engine = engine;
    session->self = slots_add(&engine->sessions, session);
    if (!session->self) { /* 2^24 of them */
        free(session);
        return NULL;
    }
    session->is_open = true;
    name(session, id);
    return session;
}

void session_unmark_dirty(struct session *session)
{
    struct session **at = &session->engine->dirty;

    if (!session->is_dirty)
        return;
    while (*at && *at != session)
        at = &(*at)->polling->next_dirty;
    if (*at)
        *at = session->polling->next_dirty;
    session->is_dirty = false;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    timer_stop(&session->beat);
    polling_free(session);
    lookup_remove(&session->engine->sids, session);
    slots_remove(&session->engine->sessions, session->self);
    free(session->given_id);
    free(session);
}

void session_bury(struct session *session)
{
    timer_stop(&session->beat);
    session->next_dead = session->engine->dead;
    session->engine->dead = session;
}

void session_mark_dirty(struct session *session)
{
    if (session->is_dirty)
        return;
    session->is_dirty = true;
    session->polling->next_dirty = session->engine->dirty;
    session->engine->dirty = session;
}

void session_count(const struct session *session, int64_t n)
{
    metric_add(engine_metrics(session->engine),
               session->ws ? METRIC_SESSIONS_WEBSOCKET : METRIC_SESSIONS_POLLING, n);
}

struct bytes *session_open_packet(const struct session *session)
{
    const struct engine *engine = session->engine;
    bool can_upgrade = session->polling && engine->takes_upgrades;
    char text[sizeof engine->open_end + SESSION_SID_SIZE + 64], *end;

    end = stpcpy(text, "0{\"sid\":\"");
    session_sid(session, end);
    end += strlen(end);
    end = stpcpy(end,
                 can_upgrade ? "\",\"upgrades\":[\"websocket\"]" : "\",\"upgrades\":[]");
    end = stpcpy(end, engine->open_end);
    return bytes_copy(text, (size_t)(end - text));
}

void session_announce(struct session *session, const struct http_request *request,
                      const struct conn *conn)
{
    struct engine *engine = session->engine;
    char address[64];

    conn_address(conn, address, sizeof address);
    session_count(session, 1);
    timer_start(session->is_v3
                    ? &engine->silence
                    : &engine->first_ping[handle_slot(session->self) % FIRST_PING_LISTS],
                &session->beat);
    session->upper = engine->upper.on_open(session, request, address, engine->upper.arg);
}

/* ---- the end */

/* Everything but the transport's last words. */
static void end_common(struct session *session, enum session_end end, const char *reason)
{
    struct engine *engine = session->engine;

    session->is_open = false;
    session_count(session, -1);
    metric_add(engine_metrics(engine), ends[end].counter, 1);
    hop_log(HOP_DEBUG, "session.closed id=%s reason=\"%s\" transport=%s detail=\"%s\"",
            session_log_id(session).text, session_end_word(end),
            session->ws ? "websocket" : "polling", reason ? reason : "");
    timer_stop(&session->beat);
    if (session->polling)
        polling_drop_rest(session);
    slots_remove(&engine->sessions, session->self);
}

static void drop_probe(struct session *session)
{
    if (session->polling && session->polling->probe)
        upgrade_give_up(session, "session closed");
}

static void forget(struct session *session)
{
    drop_probe(session);
    if (session->polling) /* without its sid it could not find us when it is complete */
        polling_forget_post(session);
    lookup_remove(&session->engine->sids, session);
    session_bury(session);
}

static void let_go_of_websocket(struct session *session, enum session_end end)
{
    struct websocket *ws = session->ws;

    session->ws = NULL;
    ws->session = NULL;
    websocket_close(ws, close_code(end));
}

void session_end(struct session *session, enum session_end end, const char *reason)
{
    if (!session->is_open)
        return;
    end_common(session, end, reason);
    forget(session); /* first: an answer may let the connection's next request in */
    if (session->ws)
        let_go_of_websocket(session, end);
    else if (session->polling)
        polling_answer(session, end == SESSION_TRANSPORT_CLOSE
                                    ? session->engine->noop_packet /* it knows */
                                    : session->engine->close_packet);
    session->engine->upper.on_closed(session, end);
}

/*
 * Over polling, what was sent before goes out first, and the close packet in a response
 * of its own: stock clients drop what stands beside it in one payload. A client that is
 * about to send "5" polls no more: it gets all that by the WebSocket.
 */
void session_close(struct session *session, enum session_end end, const char *detail)
{
    struct engine *engine = session->engine;

    if (!session->is_open || session->ws || end == SESSION_SHUTDOWN ||
        (session->polling->get && !session->polling->n_queued)) {
        session_end(session, end, detail);
        return;
    }
    end_common(session, end, detail);
    if (!session->polling->is_probing || !session->polling->n_queued)
        drop_probe(session);
    session->is_lingering = true;
    timer_start(&engine->linger, &session->beat);
    engine->upper.on_closed(session, end);
    if (session->polling->n_queued)
        polling_answer(session, NULL);
}

void session_stop_lingering(struct session *session)
{
    if (!session->is_lingering)
        return;
    session->is_lingering = false;
    timer_stop(&session->beat);
    forget(session);
    polling_answer(session, session->engine->close_packet);
}

/* ---- what a client sends */

static void send_own(struct session *session, struct bytes *packet)
{
    if (session->ws)
        websocket_send_packet(session->ws, packet);
    else
        polling_push(session, packet);
}

/* A client of v3 is alive as long as it sends anything; those of v4 answer pings. */
static void note_life(struct session *session)
{
    if (session->is_v3)
        timer_start(&session->engine->silence, &session->beat);
}

static void on_ping(struct session *session)
{
    if (session->is_v3)
        send_own(session, session->engine->pong_packet);
    else
        session_end(session, SESSION_TRANSPORT_ERROR, "ping from a client");
}

static void on_pong(struct session *session)
{
    if (session->is_v3) {
        session_end(session, SESSION_TRANSPORT_ERROR, "pong from a v3 client");
        return;
    }
    if (!session->awaits_pong)
        return; /* C24: an unasked pong moves no timer */
    session->awaits_pong = false;
    timer_start(&session->engine->ping, &session->beat);
}

static void on_base64(struct session *session, const struct packet *packet)
{
    void *data = mem_try_alloc(packet->len);
    long len = data ? base64_decode(packet->data, packet->len, data) : -1;

    if (len >= 0)
        session_on_binary(session, data, (size_t)len);
    else
        session_end(session, SESSION_PARSE_ERROR, "bad base64");
    free(data);
}

void session_on_packet(struct session *session, const struct packet *packet)
{
    note_life(session);
    switch (packet->type) {
    case PACKET_MESSAGE:
        session->engine->upper.on_text(session, packet->data, packet->len);
        break;
    case PACKET_BINARY:
        on_base64(session, packet);
        break;
    case PACKET_PONG:
        on_pong(session);
        break;
    case PACKET_CLOSE:
        session_end(session, SESSION_TRANSPORT_CLOSE, "close packet");
        break;
    case PACKET_PING:
        on_ping(session);
        break;
    case PACKET_BYTES:
        session_on_binary(session, packet->data, packet->len);
        break;
    case PACKET_BAD:
        session_end(session, SESSION_PARSE_ERROR, "unknown packet type");
        break;
    case PACKET_OPEN:
    case PACKET_UPGRADE:
    case PACKET_NOOP:
        break; /* the reference ignores them too */
    }
}

void session_on_binary(struct session *session, const void *data, size_t len)
{
    session->engine->upper.on_binary(session, data, len);
}

/* ---- heartbeat */

static struct session *session_of_beat(struct timer_node *node)
{
    return (struct session *)(void *)((char *)node - offsetof(struct session, beat));
}

void session_on_beat(struct timer_node *node)
{
    struct session *session = session_of_beat(node);

    session->awaits_pong = true;
    timer_start(&session->engine->pong, node);
    send_own(session, session->engine->ping_packet);
}

void session_on_no_pong(struct timer_node *node)
{
    struct session *session = session_of_beat(node);

    if (session_has_input(session))
        session_on_beat(node); /* the client counts too: without a ping it would leave */
    else
        session_end(session, SESSION_PING_TIMEOUT, NULL);
}

void session_on_silence(struct timer_node *node)
{
    struct session *session = session_of_beat(node);

    if (session_has_input(session))
        note_life(session);
    else
        session_end(session, SESSION_PING_TIMEOUT, NULL);
}

/* Of the pong list, or that of v3's clients: whoever owes a sign of life longest is first. */
static bool is_silent(const struct engine *engine, const struct timer_node *node)
{
    uint64_t half_ms = (uint64_t)engine->settings->ping_timeout_ms / 2;

    return node->due_ms <= loop_now(engine->net->loop) + half_ms;
}

static size_t count_silent(const struct engine *engine, const struct timer_list *list)
{
    const struct timer_node *node = list->head;
    size_t n = 0;

    for (; node && is_silent(engine, node); node = node->next)
        n++;
    return n;
}

size_t session_count_silent(const struct engine *engine)
{
    return count_silent(engine, &engine->pong) + count_silent(engine, &engine->silence);
}

/* One that has input not looked at yet may have answered: it shields nobody behind it. */
static struct timer_node *most_silent(const struct engine *engine,
                                      const struct timer_list *list)
{
    struct timer_node *node = list->head;

    for (int i = 0; node && i < SILENT_LOOKS && is_silent(engine, node);
         i++, node = node->next)
        if (!session_has_input(session_of_beat(node)))
            return node;
    return NULL;
}

struct session *session_most_silent(const struct engine *engine)
{
    struct timer_node *node = most_silent(engine, &engine->pong),
                      *other = most_silent(engine, &engine->silence);

    if (!node || (other && other->due_ms < node->due_ms))
        node = other;
    return node ? session_of_beat(node) : NULL;
}

void session_on_linger(struct timer_node *node)
{
    session_stop_lingering(session_of_beat(node));
}

/* ---- what the layer above uses */

size_t session_held(const struct session *session)
{
    const struct engine_upper *upper = &session->engine->upper;

    return session->is_open && upper->held ? upper->held(session) : 0;
}

void session_send(struct session *session, struct outgoing *out)
{
    if (!session->is_open)
        return;
    if (session->ws)
        websocket_send(session->ws, out);
    else
        polling_send(session, out);
}

/* A full lane stops the reading, and what is more than a turn takes waits. */
bool session_has_input(const struct session *session)
{
    if (session->ws)
        return session->ws->conn && conn_has_input(session->ws->conn);
    return session->polling->is_posting || net_holds_input(session->engine->net);
}

bool session_is_receiving(const struct session *session)
{
    return session->ws ? session->ws->reader != NULL : session->polling->post != NULL;
}

handle session_handle(const struct session *session)
{
    return session->self;
}

bool session_is_open(const struct session *session)
{
    return session->is_open;
}

int session_protocol(const struct session *session)
{
    return session->is_v3 ? 3 : 4;
}

void session_sid(const struct session *session, char sid[SESSION_SID_SIZE])
{
    if (session->given_id)
        snprintf(sid, SESSION_SID_SIZE, "%s.%02x", session->given_id, session->sid[0]);
    else
        base64url(session->sid, SID_BYTES, sid);
}

void *session_upper(const struct session *session)
{
    return session->upper;
}

struct log_id session_log_id(const struct session *session)
{
    struct log_id id;

    base64url(session->sid, LOG_ID_BYTES, id.text);
    return id;
}
