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

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/emit.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/packet.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

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
                 emit_encode_refusal(record->text, record->nsp_len, reason));
    log_refusal(record->text, record->nsp_len, reason);
}

int hub_refuse(struct hub *hub, hop_socket which, const char *payload, size_t len)
{
    struct socket *socket = socket_find(hub, which);
    struct sio_packet packet = {
        .type = SIO_CONNECT_ERROR, .payload = payload, .payload_len = len};

    if (!socket || socket->state != SOCKET_CONNECTING)
        return -1;
    packet.nsp = socket->nsp->name;
    packet.nsp_len = socket->nsp->name_len;
    if (!socket->client->is_gone && !hub->is_stopping)
        send_refusal(hub, socket->client->session, socket->epoch, emit_encode(&packet));
    log_refusal(packet.nsp, packet.nsp_len, "refused by a plugin");
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

    packet.payload_len =
        (size_t)snprintf(payload, sizeof payload, "{\"sid\":\"%s\"}", socket->id);
    emit_to_socket(socket, emit_encode(&packet), 0);
}

/* The reply goes first, then what was kept for it, then the room of all: whatever is
 * emitted later arrives later. */
int hub_accept(struct hub *hub, hop_socket which)
{
    struct socket *socket = socket_find(hub, which);

    if (!socket || socket->state != SOCKET_CONNECTING)
        return -1;
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

static void begin(struct hub *hub, const struct up_connect *record, struct namespace *nsp,
                  struct hub_connect *connect)
{
    struct client *client = client_find(&hub->clients, record->head.session);
    struct socket *socket;

    if (!client)
        client = client_new(&hub->clients, record->head.session, connect->address);
    socket = socket_new(nsp, client, record->head.epoch);
    if (!socket) {
        hop_log(HOP_ERROR, "sio.full reason=\"2^24 sockets are connected\"");
        refuse_connect(hub, record, "Too many sockets");
        return;
    }
    connect->socket = socket->handle;
    if (hub->upper.on_connecting)
        hub->upper.on_connecting(connect, hub->upper.arg);
    else
        hub_accept(hub, connect->socket);
}

void hub_take_connect(struct loop *to, void *payload)
{
    const struct up_connect *record = payload;
    struct hub *hub = record->head.hub;
    struct client *client = client_find(&hub->clients, record->head.session);
    struct hub_connect connect = {
        .nsp = record->text,
        .nsp_len = record->nsp_len,
        .address = client ? client->address : record->text + record->nsp_len + 1,
    };
    struct namespace *nsp = namespaces_find(&hub->spaces, record->text, record->nsp_len);
    const char *reason = "Too many namespaces";
    bool is_in;

    (void)to;
    if (hub->is_stopping || (client && client->is_gone))
        return;
    if (count_sockets(client, nsp, &is_in) < hub->max_client_namespaces)
        nsp = namespaces_get(&hub->spaces, hub, &connect, &reason);
    else if (!is_in)
        nsp = NULL;
    if (!nsp)
        refuse_connect(hub, record, reason);
    else if (is_in)
        hub_close_transport(hub, client); /* a second CONNECT */
    else
        begin(hub, record, nsp, &connect);
}
