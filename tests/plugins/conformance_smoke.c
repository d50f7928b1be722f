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

static hop_target *to_sender(struct conformance *conformance, hop_socket socket)
{
    return hop_to_socket(conformance->server, socket);
}

static hop_verdict on_whoami(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_event_ack(event, json_pack("[{ss, ss, s{}}]", "id",
                                   hop_socket_id(conformance->server, socket), "nsp", "/",
                                   "query"));
    return HOP_STOP;
}

static void on_answer(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    struct conformance *conformance = self;

    if (status == HOP_ACK_OK)
        hop_emit(to_sender(conformance, socket), "answer", json_incref(args));
}

static hop_verdict on_ask(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_emit_with_ack(conformance->server, socket, "question",
                      json_incref(hop_event_args(event)), ASK_TIMEOUT_MS, on_answer,
                      conformance);
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
        hop_emit(to_sender(conformance, socket), "tick", json_pack("[I]", i));
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
    hop_emit(to_sender(conformance, socket), "big-back",
             json_pack("[o]", json_stringn(xs, (size_t)n)));
    return HOP_STOP;
}

void smoke_init(struct conformance *conformance)
{
    static const struct reaction reactions[] = {
        {"whoami", on_whoami}, {"ask", on_ask},
        {"kick", on_kick},     {"kick-hard", on_kick_hard},
        {"join", on_join},     {"leave", on_leave},
        {"say", on_say},       {"shout", on_shout},
        {"burst", on_burst},   {"big", on_big},
        {NULL, NULL},
    };

    proto_init(conformance);
    reactions_register(conformance, reactions);
}
