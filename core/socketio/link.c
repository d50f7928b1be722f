/*
 * link.c - the shard's half of Socket.IO: one link for each Engine.IO session.
 *
 * Called by: core/engine through sio_upper() (a session opens, speaks, ends), daemon.c
 * (sio_*). What a client sends is decoded here and goes on in link_up.c; logic gets only
 * what is well-formed. A link knows which namespaces it has joined or asked for (stay.c);
 * which there are, and who may join, is decided in logic. What logic sends arrives in
 * link_down.c.
 * Thread: shard.
 */
#include "core/socketio/sio.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/half.h"
#include "core/socketio/link.h"
#include "core/socketio/msgpack.h"
#include "core/socketio/opening.h"
#include "core/socketio/packet.h"
#include "core/socketio/records.h"

enum { FIRST_SPANS = 64 };

/* ---- ending */

static struct link *link_of_timer(struct timer_node *node)
{
    const struct link_rare *rare =
        (struct link_rare *)(void *)((char *)node -
                                     offsetof(struct link_rare, connect_timer));

    return rare->link;
}

static void on_connect_timeout(struct timer_node *node)
{
    session_close(link_of_timer(node)->session, SESSION_NEVER_JOINED,
                  "no CONNECT within connect_timeout");
}

static void link_free(struct link *link)
{
    half_drop(link);
    stays_done(link);
    free(link);
}

static void on_closed(struct session *session, enum session_end end)
{
    struct link *link = session_upper(session);

    link_tell_closed(link, end);
    link_free(link);
}

static size_t n_unjoined(void *arg)
{
    return ((const struct sio *)arg)->connect_timers.n;
}

static struct session *oldest_unjoined(void *arg)
{
    struct timer_node *node = ((const struct sio *)arg)->connect_timers.head;

    return node ? link_of_timer(node)->session : NULL;
}

/* ---- what the client sends. Each of these may end the link: callers return at once. */

/* In a packet of an Engine.IO 3 client, a query may follow the namespace: what its CONNECT
 * carries, in place of a payload. */
static void cut_query(struct sio_packet *packet)
{
    const char *mark = memchr(packet->nsp, '?', packet->nsp_len);
    size_t query_len = mark ? packet->nsp_len - (size_t)(mark + 1 - packet->nsp) : 0;

    if (mark)
        packet->nsp_len = (size_t)(mark - packet->nsp);
    if (packet->type != SIO_CONNECT)
        return;
    packet->payload = query_len ? mark + 1 : NULL;
    packet->payload_len = query_len;
}

static void on_text(struct session *session, const char *text, size_t len)
{
    struct link *link = session_upper(session);
    struct sio_packet packet;
    enum sio_packet_result result = sio_packet_decode(text, len, &packet);

    if (link->sio->parser == PARSER_MSGPACK)
        link_refuse(link, "text, and engine.parser is msgpack", SESSION_PARSE_ERROR);
    else if (link->half)
        link_refuse(link, "text, and a packet waits for its attachments",
                    SESSION_PARSE_ERROR);
    else if (result == SIO_PACKET_OK && packet.n_attachments > link->sio->max_attachments)
        link_refuse(link, sio_packet_word(SIO_PACKET_MANY_ATTACHMENTS),
                    SESSION_PARSE_ERROR);
    else if (result != SIO_PACKET_OK)
        link_refuse(link, sio_packet_word(result), SESSION_PARSE_ERROR);
    else {
        if (session_protocol(session) == 3)
            cut_query(&packet);
        link_on_packet(link, &packet);
    }
}

/* What a packet that has begun waits for. */
static void on_attachment(struct link *link, const void *data, size_t len)
{
    struct session *session = link->session;

    switch (half_take(link, data, len)) {
    case HALF_MORE:
        break;
    case HALF_COMPLETE:
        if (half_send(link))
            break;
        /* fall through */
    case HALF_NO_MEMORY:
        session_close(session, SESSION_TRANSPORT_ERROR, "no memory for a packet");
        break;
    case HALF_TOO_LARGE:
        link_refuse(link, "attachments larger than max_attached", SESSION_PARSE_ERROR);
        break;
    }
}

/* The packet, then its attachments, as if they had come one by one. */
static void on_msgpack(struct session *session, const char *data, size_t len)
{
    struct link *link = session_upper(session);
    struct msgpack_packet in;
    enum msgpack_result result =
        msgpack_decode(data, len, &link->sio->limits, link->sio->max_attachments, &in);

    if (result == MSGPACK_NO_MEMORY) {
        session_close(session, SESSION_TRANSPORT_ERROR, msgpack_word(result));
        return;
    }
    if (result != MSGPACK_OK) {
        link_refuse(link, msgpack_word(result), SESSION_PARSE_ERROR);
        return;
    }
    if (session_protocol(session) == 3)
        cut_query(&in.packet);
    link_on_packet(link, &in.packet);
    for (unsigned i = 0;
         i < in.packet.n_attachments && session_is_open(session) && link->half; i++)
        on_attachment(link, in.attachments[i].data, in.attachments[i].len);
    msgpack_done(&in);
}

static void on_binary(struct session *session, const void *data, size_t len)
{
    struct link *link = session_upper(session);

    if (link->sio->parser == PARSER_MSGPACK)
        on_msgpack(session, data, len);
    else if (link->half)
        on_attachment(link, data, len);
    else
        link_refuse(link, "binary message, and no packet waits for one",
                    SESSION_PARSE_ERROR);
}

static size_t held(const struct session *session)
{
    return half_bytes(session_upper(session));
}

/* ---- opening */

/* A client of Engine.IO 3 is in "/" without having asked. */
static void join_main(struct link *link)
{
    const struct sio_packet packet = {.type = SIO_CONNECT, .nsp = "/", .nsp_len = 1};

    link_send_connect(link, &packet);
}

static void *on_open(struct session *session, const struct http_request *request,
                     const char *address, void *arg)
{
    struct sio *sio = arg;
    struct link *link = mem_calloc(1, sizeof *link);

    link->sio = sio;
    link->session = session;
    link_need_rare(link)->address = mem_strdup(address);
    if (atomic_load_explicit(&sio->wants_opening, memory_order_relaxed))
        link->rare->opening = opening_pack(request);
    timer_start(&sio->connect_timers, &link->rare->connect_timer);
    if (session_protocol(session) == 3)
        join_main(link);
    return link;
}

/* ---- the header's functions */

struct sio *sio_new(struct loop *loop, const struct settings *settings, struct hub *hub)
{
    struct sio *sio = mem_calloc(1, sizeof *sio);

    sio->loop = loop;
    sio->hub = hub;
    sio->parser = (enum sio_parser)settings->parser;
    sio->limits.max_depth = (size_t)settings->max_json_depth;
    sio->limits.max_values = (size_t)settings->max_json_values;
    sio->spans = mem_alloc(FIRST_SPANS * sizeof *sio->spans);
    sio->spans_cap = FIRST_SPANS;
    sio->name = mem_alloc(6 * SIO_MAX_EVENT + 3);
    members_init(&sio->members, loop);
    timer_list_init(&sio->connect_timers, loop, settings->connect_timeout_ms,
                    on_connect_timeout);
    halves_init(sio, settings);
    return sio;
}

void sio_free(struct sio *sio)
{
    if (!sio)
        return;
    timer_list_done(&sio->connect_timers);
    halves_done(sio);
    members_done(&sio->members);
    nsp_names_done(&sio->names);
    free(sio->spans);
    free(sio->name);
    free(sio);
}

struct engine_upper sio_upper(struct sio *sio)
{
    return (struct engine_upper){
        .on_open = on_open,
        .on_text = on_text,
        .on_binary = on_binary,
        .on_closed = on_closed,
        .held = held,
        .arg = sio,
        .n_unjoined = n_unjoined,
        .oldest_unjoined = oldest_unjoined,
    };
}

void sio_want(struct sio *sio, bool auth, bool opening)
{
    atomic_store_explicit(&sio->wants_auth, auth, memory_order_relaxed);
    atomic_store_explicit(&sio->wants_opening, opening, memory_order_relaxed);
}

void sio_attach(struct sio *sio, struct engine *engine)
{
    sio->engine = engine;
}
