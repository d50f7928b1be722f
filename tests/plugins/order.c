/*
 * order.c - all ways to send, mixed in one turn.
 *
 *   connect   the socket joins the rooms "a" and "b"
 *   part ROOM  it leaves one of them; ack []
 *   enter ROOM it joins that room; ack []
 *   mix N F   for i = 0 .. N-1 (at most 1,000), in this order, all numbers plus F (or 0):
 *               step [7i]     to all                  step [7i+1]  to room a
 *               step [7i+2]   to the asker            step [7i+3]  to room b
 *               step [7i+4]   to a and b, once each   step [7i+5]  to all but the asker
 *               step [7i+6]   to all but room b
 *             in the middle (i = N/2, before its steps) the ack: ["acked", F + 7*(N/2)]
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>

struct order {
    hop_server *server; /* borrowed */
};

static void step(hop_target *target, json_int_t number)
{
    hop_emit(target, "step", json_pack("[I]", number));
}

static void steps(hop_server *server, hop_socket asker, json_int_t from)
{
    step(hop_to_all(server), from);
    step(hop_to_room(server, "a"), from + 1);
    step(hop_to_socket(server, asker), from + 2);
    step(hop_to_room(server, "b"), from + 3);
    step(hop_and_room(hop_to_room(server, "a"), "b"), from + 4);
    step(hop_except(hop_to_all(server), asker), from + 5);
    step(hop_except_room(hop_to_all(server), "b"), from + 6);
}

static hop_verdict on_mix(hop_socket socket, hop_event *event, void *self)
{
    struct order *order = self;
    json_int_t n, first = 0;

    if (hop_event_unpack(event, "[I, I]", &n, &first) < 0 &&
        hop_event_unpack(event, "[I]", &n) < 0)
        n = -1;
    if (n < 0 || n > 1000 || first < 0 || first > 1000000000)
        return hop_reject(event, "bad_mix", "a number up to 1000, please");
    for (json_int_t i = 0; i < n; i++) {
        if (i == n / 2)
            hop_event_ack(event, json_pack("[s, I]", "acked", first + 7 * i));
        steps(order->server, socket, first + 7 * i);
    }
    return HOP_STOP;
}

static hop_verdict on_part(hop_socket socket, hop_event *event, void *self)
{
    struct order *order = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_leave(order->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room that it is in, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_enter(hop_socket socket, hop_event *event, void *self)
{
    struct order *order = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_join(order->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static void on_connect(hop_socket socket, void *self)
{
    struct order *order = self;

    hop_socket_join(order->server, socket, "a");
    hop_socket_join(order->server, socket, "b");
}

static int order_init(hop_server *server, void *self)
{
    struct order *order = self;

    order->server = server;
    hop_on_connect(server, on_connect, order);
    hop_on(server, "mix", on_mix, order);
    hop_on(server, "part", on_part, order);
    hop_on(server, "enter", on_enter, order);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("order", "1.0", "mixes all ways to send"),
    .state_size = sizeof(struct order),
    .init = order_init,
};
