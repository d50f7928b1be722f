/*
 * conformance_smoke.c - the profile `smoke`: all of `proto`, and what checks of clients,
 * WebSocket and HTTP ask for.
 *
 * Called by: conformance.c (init). Thread: logic.
 */
#include "tests/plugins/conformance.h"

#include <stdlib.h>

enum {
    MAX_TICKS = 1000, /* of one burst */
    MAX_BIG = 500000, /* bytes of one big-back: half a message */
    ASK_TIMEOUT_MS = 10000
};

/* ---- in every namespace */

static hop_verdict on_whoami(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;
    hop_server *server = conformance->server;
    json_t *handshake = hop_socket_handshake(server, socket);

    hop_event_ack(event, json_pack("[{ss, ss, sO?}]", "id", hop_socket_id(server, socket),
                                   "nsp", hop_socket_namespace(server, socket), "query",
                                   json_object_get(handshake, "query")));
    json_decref(handshake);
    return HOP_STOP;
}

static hop_verdict deny(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)self;
    return hop_connect_reject(connect, "not authorized",
                              json_pack("{ss}", "code", "E_DENIED"));
}

/* ---- in the main namespace */

static void on_answer(hop_answer *answer, void *self)
{
    struct conformance *conformance = self;
    hop_args *args;

    if (hop_answer_status(answer) != HOP_ACK_OK)
        return;
    args = hop_args_new();
    hop_args_answer_from(args, answer, 0);
    hop_emit_args(hop_to_socket(conformance->server, hop_answer_socket(answer)), "answer",
                  args);
}

static hop_verdict on_ask(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_emit_args_with_ack(conformance->server, socket, "question", raw_from(event, 0),
                           ASK_TIMEOUT_MS, on_answer, conformance);
    return HOP_STOP;
}

static hop_verdict on_kick(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    (void)event;
    hop_socket_disconnect(conformance->server, socket, HOP_CLOSE_SOCKET);
    return HOP_STOP;
}

static hop_verdict on_kick_hard(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    (void)event;
    hop_socket_disconnect(conformance->server, socket, HOP_CLOSE_TRANSPORT);
    return HOP_STOP;
}

static hop_verdict on_join(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_join(conformance->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_leave(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    hop_socket_leave(conformance->server, socket, room);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_say(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    hop_emit_args(hop_except(hop_to_room(conformance->server, room), socket), "said",
                  raw_from(event, 0));
    return HOP_STOP;
}

static hop_verdict on_shout(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    (void)socket;
    hop_emit_args(hop_to_all(conformance->server), "shouted", raw_from(event, 0));
    return HOP_STOP;
}

static hop_verdict on_burst(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > MAX_TICKS)
        return hop_reject(event, "bad_number", "up to 1000, please");
    for (json_int_t i = 0; i < n; i++)
        emit_to(conformance, socket, "tick", json_pack("[I]", i));
    return HOP_STOP;
}

static hop_verdict on_big(hop_socket socket, hop_event *event, void *self)
{
    static char xs[MAX_BIG + 1];
    struct conformance *conformance = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > MAX_BIG)
        return hop_reject(event, "bad_number", "up to 500000, please");
    memset(xs, 'x', MAX_BIG);
    emit_to(conformance, socket, "big-back",
            json_pack("[o]", json_stringn(xs, (size_t)n)));
    return HOP_STOP;
}

void smoke_init(struct conformance *conformance)
{
    static const struct reaction reactions[] = {
        {"ask", on_ask},     {"kick", on_kick},   {"kick-hard", on_kick_hard},
        {"join", on_join},   {"leave", on_leave}, {"say", on_say},
        {"shout", on_shout}, {"burst", on_burst}, {"big", on_big},
        {NULL, NULL},
    };

    static const struct reaction everywhere[] = {
        {"whoami", on_whoami},
        {NULL, NULL},
    };
    static const hop_endpoint echo = {HOP_ENDPOINT,
                                      .on_message = echo_message}; /* Autobahn's */

    proto_init(conformance);
    hop_namespace(conformance->server, "/denied");
    hop_use(conformance->server, "/denied", deny, conformance);
    reactions_register(conformance, "*", everywhere);
    reactions_register(conformance, "/", reactions);
    hop_websocket(conformance->server, "/ws-echo", &echo, conformance);
}
