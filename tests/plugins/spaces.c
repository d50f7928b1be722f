/*
 * spaces.c - namespaces: /chat (declared here), those of the conf file, and all of "*".
 *
 *   everywhere     `where`   ack: the namespace's name, the socket's id
 *                  `arrivals` ack: how many sockets of "*" have connected, and left
 *   /chat only     `talk ARGS...` -> `talk` ARGS... to everybody in /chat
 *                  `join ROOM`   -> ack; `joined ROOM` to the socket itself, by its join hook
 *                  `tell ROOM ARGS...` -> `told` ARGS... to ROOM of /chat
 *   / only         `talk ARGS...` -> `talk` ARGS... to everybody in /
 *                  `call NSP ARGS...` -> `called` ARGS... to everybody in NSP
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>

#include <string.h>

struct spaces {
    hop_server *server; /* borrowed */
    json_int_t n_arrived, n_left;
};

static void on_arrive(hop_socket socket, void *self)
{
    struct spaces *spaces = self;

    (void)socket;
    spaces->n_arrived++;
}

static void on_part(hop_socket socket, const char *reason, void *self)
{
    struct spaces *spaces = self;

    (void)socket;
    (void)reason;
    spaces->n_left++;
}

static hop_verdict on_where(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;

    hop_event_ack(event, json_pack("[ss]", hop_socket_namespace(spaces->server, socket),
                                   hop_socket_id(spaces->server, socket)));
    return HOP_STOP;
}

static hop_verdict on_arrivals(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;

    (void)socket;
    hop_event_ack(event, json_pack("[II]", spaces->n_arrived, spaces->n_left));
    return HOP_STOP;
}

static hop_args *rest(hop_event *event, size_t from)
{
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, from);
    return args;
}

static hop_verdict on_talk(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;

    hop_emit_args(
        hop_to_namespace(spaces->server, hop_socket_namespace(spaces->server, socket)),
        "talk", rest(event, 0));
    return HOP_STOP;
}

static hop_verdict on_join(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0 ||
        hop_socket_join(spaces->server, socket, room) < 0)
        return hop_reject(event, "bad_room", "a room, please");
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static void on_joined(hop_socket socket, const char *room, void *self)
{
    struct spaces *spaces = self;

    hop_emit(hop_to_socket(spaces->server, socket), "joined", json_pack("[s]", room));
}

static hop_verdict on_tell(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;
    const char *room;

    (void)socket;
    if (hop_event_unpack(event, "[s*]", &room) < 0)
        return hop_reject(event, "bad_room", "a room, please");
    hop_emit_args(hop_to_room_in(spaces->server, "/chat", room), "told", rest(event, 1));
    return HOP_STOP;
}

static hop_verdict on_call(hop_socket socket, hop_event *event, void *self)
{
    struct spaces *spaces = self;
    const char *nsp;

    (void)socket;
    if (hop_event_unpack(event, "[s*]", &nsp) < 0)
        return hop_reject(event, "bad_namespace", "a namespace, please");
    hop_emit_args(hop_to_namespace(spaces->server, nsp), "called", rest(event, 1));
    return HOP_STOP;
}

static int spaces_init(hop_server *server, void *self)
{
    struct spaces *spaces = self;
    const hop_on_options chat = {
        .size = sizeof chat, .phase = HOP_HANDLE, .nsp = "/chat"};
    const hop_on_options all = {.size = sizeof all, .phase = HOP_HANDLE, .nsp = "*"};

    spaces->server = server;
    hop_on_with(server, "talk", on_talk, spaces, &chat);
    hop_on_with(server, "join", on_join, spaces, &chat);
    hop_on_with(server, "tell", on_tell, spaces, &chat);
    hop_namespace(server, "/chat"); /* later than what is for it */
    hop_on(server, "talk", on_talk, spaces);
    hop_on(server, "call", on_call, spaces);
    hop_on_with(server, "where", on_where, spaces, &all);
    hop_on_with(server, "arrivals", on_arrivals, spaces, &all);
    hop_on_connect_in(server, "*", on_arrive, spaces);
    hop_on_disconnect_in(server, "*", on_part, spaces);
    hop_on_join_in(server, "/chat", on_joined, spaces);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("spaces", "1.0", "several namespaces"),
    .state_size = sizeof(struct spaces),
    .init = spaces_init,
};
