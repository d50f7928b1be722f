/*
 * connect.c - from a CONNECT to an open socket, or to the word why not.
 *
 * Called by: the lanes (hub_take_connect), core/plugin through hub.h (hub_accept,
 * hub_refuse) when those who look at a newcomer have decided, which may be much later.
 * Until then its socket is there, but nobody hears of it, and what is emitted to it waits.
 * Thread: logic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockhop/log.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/emit.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/opening.h"
#include "core/socketio/packet.h"
#include "core/socketio/room.h"
#include "core/socketio/sio.h"
#include "core/socketio/socket.h"

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- refusing */

static void log_refusal(const char *nsp, size_t nsp_len, const char *reason)
{
    char name[4 * SIO_MAX_NSP + 1];

    if (!hop_log_enabled(HOP_DEBUG))
        return;
    log_escape(name, sizeof name, nsp, nsp_len);
    hop_log(HOP_DEBUG, "sio.connect_refused namespace=\"%s\" reason=\"%s\"", name,
            reason);
}

/* packet: owned. */
static void send_refusal(struct hub *hub, handle session, uint32_t epoch,
                         struct bytes *packet)
{
    struct down_refused *down =
        hub_send_to_session(hub, session, link_take_refused, sizeof *down, packet->len);

    down->head.epoch = epoch;
    down->packet = packet;
}

static void refuse_connect(struct hub *hub, const struct up_connect *record,
                           const char *reason)
{
    send_refusal(hub, record->head.session, record->head.epoch,
                 emit_encode_refusal(hub->parser, record->text, record->nsp_len, reason,
                                     record->sid[0] != '\0'));
    log_refusal(record->text, record->nsp_len, reason);
    metric_add(&hub->loop->metrics,
               strcmp(reason, INVALID_NAMESPACE) == 0 ? METRIC_CONNECTS_REFUSED_NAMESPACE
                                                      : METRIC_CONNECTS_REFUSED_LIMIT,
               1);
}

/* {"message":...,"data":...}: owned by the caller. */
static char *refusal_payload(const char *message, const char *data, size_t *len)
{
    static const char head[] = "{\"message\":", middle[] = ",\"data\":";
    const size_t message_len = strlen(message), data_len = data ? strlen(data) : 0;
    char *payload =
        mem_alloc(sizeof head + sizeof middle + 6 * message_len + 3 + data_len + 2);
    char *at = stpcpy(payload, head);

    at += json_quote(message, message_len, at);
    if (data)
        at = stpcpy(stpcpy(at, middle), data);
    at = stpcpy(at, "}");
    *len = (size_t)(at - payload);
    return payload;
}

/* For Engine.IO 3: the data alone, or the message. */
static char *bare_payload(const char *message, const char *data, size_t *len)
{
    char *payload = data ? mem_strdup(data) : mem_alloc(6 * strlen(message) + 3);

    *len = data ? strlen(data) : json_quote(message, strlen(message), payload);
    return payload;
}

int hub_refuse(struct hub *hub, hop_socket which, const char *message, const char *data)
{
    struct socket *socket = socket_find(hub, which);
    struct sio_packet packet = {.type = SIO_CONNECT_ERROR};
    char *payload;

    if (!socket || socket->state != SOCKET_CONNECTING)
        return -1;
    payload = *client_engine_id(socket->client)
                  ? bare_payload(message, data, &packet.payload_len)
                  : refusal_payload(message, data, &packet.payload_len);
    packet.payload = payload;
    packet.nsp = socket->nsp->name;
    packet.nsp_len = socket->nsp->name_len;
    if (!socket->client->is_gone && !hub->is_stopping)
        send_refusal(hub, socket->client->session, socket->epoch,
                     emit_encode(hub->parser, &packet));
    free(payload);
    log_refusal(packet.nsp, packet.nsp_len, "a plugin's");
    metric_add(&hub->loop->metrics, METRIC_CONNECTS_REFUSED_PLUGIN, 1);
    socket_drop(socket);
    return 0;
}

/* ---- accepting */

static void send_connect_reply(struct socket *socket)
{
    char payload[sizeof "{\"sid\":\"\"}" + SOCKET_ID_LEN];
    struct sio_packet packet = {.type = SIO_CONNECT,
                                .nsp = socket->nsp->name,
                                .nsp_len = socket->nsp->name_len,
                                .payload = payload};

    if (*client_engine_id(socket->client))
        packet.payload = NULL; /* Engine.IO 3: it knows its id */
    else
        packet.payload_len = (size_t)snprintf(payload, sizeof payload, "{\"sid\":\"%s\"}",
                                              socket_id(socket));
    emit_to_socket(socket, emit_encode(socket->nsp->hub->parser, &packet), 0);
}

/* It would have its reply and then not what was emitted to it before. */
static void close_for_kept(struct socket *socket)
{
    struct hub *hub = socket->nsp->hub;
    char name[4 * SIO_MAX_NSP + 1];

    log_escape(name, sizeof name, socket->nsp->name, socket->nsp->name_len);
    hop_log(
        HOP_WARN,
        "sio.kept_too_much namespace=\"%s\" max_queue=%zu hint=\"a plugin emitted more "
        "to a socket that it had not yet accepted\"",
        name, hub->max_kept_bytes);
    hub_close_transport(hub, socket->client);
}

/* The reply goes first, then what was kept for it, then the room of all: whatever is
 * emitted later arrives later. */
int hub_accept(struct hub *hub, hop_socket which)
{
    struct socket *socket = socket_find(hub, which);

    if (!socket || socket->state != SOCKET_CONNECTING)
        return -1;
    if (socket->entry && socket->entry->is_over_limit) {
        close_for_kept(socket);
        return -1;
    }
    socket_open(socket, send_connect_reply);
    if (hub->upper.on_connect && socket_find_open(hub, which))
        hub->upper.on_connect(which, hub->upper.arg);
    return 0;
}

/* ---- CONNECT */

/* How many namespaces a client is in, or would be; and whether nsp is one of them. */
static size_t count_sockets(const struct client *client, const struct namespace *nsp,
                            bool *is_in)
{
    size_t n = 0;

    *is_in = false;
    for (const struct socket *socket = client ? client->sockets : NULL; socket;
         socket = socket->next_of_client) {
        if (socket->state != SOCKET_CONNECTING && socket->state != SOCKET_OPEN)
            continue;
        *is_in = *is_in || socket->nsp == nsp;
        n++;
    }
    return n;
}

/* Before those who look at it are asked: what they may ask for. */
static int fill_entry(struct socket *socket, const struct hub_connect *connect)
{
    const struct hub *hub = socket->nsp->hub;
    struct socket_entry *entry;

    if (!hub->wants_opening && !connect->auth)
        return 0;
    entry = socket_need_entry(socket);
    if (hub->wants_opening)
        entry->issued_ms = now_ms();
    if (!connect->auth)
        return 0;
    entry->auth = mem_try_alloc(connect->auth_len + 1);
    if (!entry->auth)
        return -1;
    memcpy(entry->auth, connect->auth, connect->auth_len);
    entry->auth[connect->auth_len] = '\0';
    entry->auth_len = connect->auth_len;
    return 0;
}

static void begin(struct hub *hub, const struct up_connect *record, struct namespace *nsp,
                  struct hub_connect *connect)
{
    struct client *client = client_find(&hub->clients, record->head.session);
    struct socket *socket;

    if (!client) {
        client = client_new(&hub->clients, record->head.session, connect->address,
                            record->sid);
        client->opening = record->opening;
        if (record->opening)
            bytes_ref(record->opening, 1);
    }
    socket = socket_new(nsp, client, record->head.epoch);
    if (!socket) {
        hop_log(HOP_ERROR, "sio.full reason=\"2^24 sockets are connected\"");
        refuse_connect(hub, record, "Too many sockets");
        return;
    }
    connect->socket = socket->handle;
    if (fill_entry(socket, connect) < 0)
        hub_close_transport(hub, client);
    else if (hub->upper.on_connecting)
        hub->upper.on_connecting(connect, hub->upper.arg);
    else
        hub_accept(hub, connect->socket);
}

/* A query as the JSON text of an object: owned by the caller. */
static char *query_text(const char *query, size_t len)
{
    json_t *parameters = json_object();
    char *text;

    opening_add_query(parameters, query, len);
    text = json_dumps(parameters, JSON_COMPACT);
    json_decref(parameters);
    return text;
}

static void take_connect(struct hub *hub, const struct up_connect *record)
{
    struct client *client = client_find(&hub->clients, record->head.session);
    const char *address = record->text + record->nsp_len + 1,
               *auth = address + record->address_len + 1;
    struct hub_connect connect = {
        .nsp = record->text,
        .nsp_len = record->nsp_len,
        .address = client ? client->address : address,
        .auth = record->auth_len ? auth : NULL,
        .auth_len = record->auth_len,
        .opening = client ? client->opening : record->opening,
    };
    struct namespace *nsp = namespaces_find(&hub->spaces, record->text, record->nsp_len);
    const char *reason = TOO_MANY_NAMESPACES;
    bool is_in;

    char *text = NULL; /* owned */

    if (hub->is_stopping || (client && client->is_gone))
        return;
    if (connect.auth && record->sid[0]) {
        connect.auth = text = query_text(auth, record->auth_len);
        connect.auth_len = text ? strlen(text) : 0;
    }
    if (count_sockets(client, nsp, &is_in) < hub->max_client_namespaces)
        nsp = namespaces_get(&hub->spaces, hub, &connect, &reason);
    else if (!is_in)
        nsp = NULL;
    if (!nsp)
        refuse_connect(hub, record, reason);
    else if (is_in)
        hub_close_transport(hub, client); /* a second CONNECT */
    else if (!client || !client->is_gone) /* a hook may have closed it by now */
        begin(hub, record, nsp, &connect);
    if (nsp && !nsp->sockets)
        namespaces_on_empty(&hub->spaces, nsp);
    free(text);
}

void hub_take_connect(struct loop *to, void *payload)
{
    const struct up_connect *record = payload;

    (void)to;
    take_connect(record->head.hub, record);
    bytes_unref(record->opening);
}

/* ---- what came with it */

void hub_want_auth(struct hub *hub)
{
    hub->wants_auth = true;
    for (unsigned i = 0; i < hub->loops->n_shards; i++)
        sio_want(hub->shard[i], true, hub->wants_opening);
}

void hub_want_opening(struct hub *hub)
{
    hub->wants_opening = true;
    hub_want_auth(hub);
}

const char *hub_socket_auth(const struct hub *hub, hop_socket which, size_t *len)
{
    const struct socket *socket = socket_find(hub, which);
    const struct socket_entry *entry = socket ? socket->entry : NULL;

    *len = entry ? entry->auth_len : 0;
    return entry ? entry->auth : NULL;
}

const struct bytes *hub_socket_opening(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket ? socket->client->opening : NULL;
}

int64_t hub_socket_issued_ms(const struct hub *hub, hop_socket which)
{
    const struct socket *socket = socket_find(hub, which);

    return socket && socket->entry ? socket->entry->issued_ms : 0;
}
