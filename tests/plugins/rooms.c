/*
 * rooms.c - rooms, as the profile `smoke` of the conformance plugin has them.
 *
 *   whoami             ack {id, address, rooms: whether it is in the room of its id}
 *   join ROOM          ack [] (refused: bad_room)
 *   leave ROOM         ack [] (refused: bad_room)
 *   say ROOM ARGS...   `said` ROOM ARGS... to the room without the sender
 *   shout ARGS...      `shouted` ARGS... to every socket
 *   drop ROOM ARGS...  as say, but volatile
 *   send ID ARGS...    `sent` ARGS... to the socket with that id (refused: nobody)
 *   burst N            `tick` 0 .. N-1 to the sender (at most 1,000)
 *   big N              `big-back` with a text of N times x (at most 500,000)
 *   blast N SIZE       N times `blasted` i TEXT to every socket (at most 10,000 of 100,000)
 * Hooks: every join and leave of a room is told to the socket itself: `joined` ROOM,
 * `left` ROOM (a leave that comes with the disconnect goes nowhere).
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

struct rooms {
    hop_server *server; /* borrowed */
};

static hop_verdict on_whoami(hop_socket socket, hop_event *event, void *self)
{
    hop_server *server = ((struct rooms *)self)->server;
    const char *id = hop_socket_id(server, socket);

    hop_event_ack(event, json_pack("[{ss, ss, sb}]", "id", id, "address",
                                   hop_socket_address(server, socket), "rooms",
                                   hop_socket_in_room(server, socket, id)));
    return HOP_STOP;
}

static hop_verdict on_join(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_join(rooms->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_leave(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_leave(rooms->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room that it is in, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_args *raw_from(hop_event *event, size_t n)
{
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, n);
    return args;
}

static hop_verdict on_say(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    hop_target *target;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    target = hop_except(hop_to_room(rooms->server, room), socket);
    if (strcmp(hop_event_name(event), "drop") == 0)
        target = hop_volatile(target);
    hop_emit_args(target, "said", raw_from(event, 0));
    return HOP_STOP;
}

static hop_verdict on_shout(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;

    (void)socket;
    hop_emit_args(hop_to_all(rooms->server), "shouted", raw_from(event, 0));
    return HOP_STOP;
}

static hop_verdict on_send(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    hop_socket to = HOP_NO_SOCKET;
    const char *id;

    (void)socket;
    if (hop_event_unpack(event, "[s]", &id) == 0)
        to = hop_socket_find(rooms->server, id);
    if (to == HOP_NO_SOCKET)
        return hop_reject(event, "nobody", "no such socket");
    hop_emit_args(hop_to_socket(rooms->server, to), "sent", raw_from(event, 1));
    return HOP_STOP;
}

static hop_verdict on_burst(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > 1000)
        return hop_reject(event, "bad_number", "up to 1000, please");
    for (json_int_t i = 0; i < n; i++)
        hop_emit(hop_to_socket(rooms->server, socket), "tick", json_pack("[I]", i));
    return HOP_STOP;
}

/* A text of n times x, as JSON. */
static json_t *text_of(json_int_t n)
{
    char *text = malloc((size_t)n + 1);
    json_t *json = NULL;

    if (text) {
        memset(text, 'x', (size_t)n);
        json = json_stringn(text, (size_t)n);
    }
    free(text);
    return json;
}

static hop_verdict on_big(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > 500000)
        return hop_reject(event, "bad_number", "up to 500000, please");
    hop_emit(hop_to_socket(rooms->server, socket), "big-back",
             json_pack("[o]", text_of(n)));
    return HOP_STOP;
}

static hop_verdict on_blast(hop_socket socket, hop_event *event, void *self)
{
    struct rooms *rooms = self;
    json_int_t n, size;

    (void)socket;
    if (hop_event_unpack(event, "[I, I]", &n, &size) < 0 || n < 0 || n > 10000 ||
        size < 0 || size > 100000)
        return hop_reject(event, "bad_number", "up to 10000 and 100000, please");
    for (json_int_t i = 0; i < n; i++)
        hop_emit(hop_to_all(rooms->server), "blasted",
                 json_pack("[I, o]", i, text_of(size)));
    return HOP_STOP;
}

static void tell_join(hop_socket socket, const char *room, void *self)
{
    struct rooms *rooms = self;

    hop_emit(hop_to_socket(rooms->server, socket), "joined", json_pack("[s]", room));
}

static void tell_leave(hop_socket socket, const char *room, void *self)
{
    struct rooms *rooms = self;

    hop_emit(hop_to_socket(rooms->server, socket), "left", json_pack("[s]", room));
}

static int rooms_init(hop_server *server, void *self)
{
    static const struct {
        const char *event;
        hop_handler *handler;
    } handlers[] = {
        {"whoami", on_whoami}, {"join", on_join},   {"leave", on_leave},
        {"say", on_say},       {"drop", on_say},    {"shout", on_shout},
        {"send", on_send},     {"burst", on_burst}, {"big", on_big},
        {"blast", on_blast},
    };
    struct rooms *rooms = self;

    rooms->server = server;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        hop_on(server, handlers[i].event, handlers[i].handler, rooms);
    hop_on_join(server, tell_join, rooms);
    hop_on_leave(server, tell_leave, rooms);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("rooms", "1.0", "joins, leaves, says, shouts"),
    .state_size = sizeof(struct rooms),
    .init = rooms_init,
};
