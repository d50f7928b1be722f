/*
 * bouncer.c - hooks that undo what they are told of, and hooks after them that take notes.
 *
 *   login "banned"   a hook of auth disconnects the socket
 *   enter ROOM       joins; ack [0 or -1]. A hook disconnects who joins "closed" and takes
 *                    who joins "full" out again
 *   exit ROOM        leaves; ack [0 or -1]. A hook puts who leaves "jail" back
 *   seen             ack: what the second hooks were told, "login ada, join r"
 *
 * Thread: logic.
 */
#include <sockhop/auth.h>
#include <sockhop/sockhop.h>
#include <stdio.h>
#include <string.h>

struct bouncer {
    hop_server *server; /* borrowed */
    char seen[4096];
};

static void note(struct bouncer *bouncer, const char *what, const char *which)
{
    size_t len = strlen(bouncer->seen);

    snprintf(bouncer->seen + len, sizeof bouncer->seen - len, "%s%s %s", len ? ", " : "",
             what, which);
}

/* ---- first hooks */

static void bounce_login(hop_socket socket, const char *name, void *self)
{
    const struct bouncer *bouncer = self;

    if (strcmp(name, "banned") == 0)
        hop_socket_disconnect(bouncer->server, socket, HOP_CLOSE_SOCKET);
}

static void bounce_join(hop_socket socket, const char *room, void *self)
{
    const struct bouncer *bouncer = self;

    if (strcmp(room, "closed") == 0)
        hop_socket_disconnect(bouncer->server, socket, HOP_CLOSE_SOCKET);
    else if (strcmp(room, "full") == 0)
        hop_socket_leave(bouncer->server, socket, room);
}

static void bounce_leave(hop_socket socket, const char *room, void *self)
{
    const struct bouncer *bouncer = self;

    if (strcmp(room, "jail") == 0)
        hop_socket_join(bouncer->server, socket, room); /* fails when it disconnects */
}

/* ---- second hooks */

static void note_login(hop_socket socket, const char *name, void *self)
{
    (void)socket;
    note(self, "login", name);
}

static void note_logout(hop_socket socket, const char *name, void *self)
{
    (void)socket;
    note(self, "logout", name);
}

static void note_join(hop_socket socket, const char *room, void *self)
{
    (void)socket;
    note(self, "join", room);
}

static void note_leave(hop_socket socket, const char *room, void *self)
{
    (void)socket;
    note(self, "leave", room);
}

/* ---- events */

static hop_verdict on_move(hop_socket socket, hop_event *event, void *self)
{
    const struct bouncer *bouncer = self;
    const char *room;
    int result;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad_room", "a room's name, please");
    if (strcmp(hop_event_name(event), "enter") == 0)
        result = hop_socket_join(bouncer->server, socket, room);
    else
        result = hop_socket_leave(bouncer->server, socket, room);
    hop_event_ack(event, json_pack("[i]", result));
    return HOP_STOP;
}

static hop_verdict on_seen(hop_socket socket, hop_event *event, void *self)
{
    struct bouncer *bouncer = self;

    (void)socket;
    hop_event_ack(event, json_pack("[s]", bouncer->seen));
    bouncer->seen[0] = '\0';
    return HOP_STOP;
}

static int bouncer_init(hop_server *server, void *self)
{
    struct bouncer *bouncer = self;
    const hop_auth *auth = hop_require(server, "auth", sizeof *auth);

    if (!auth)
        return hop_fail(server, "no auth");
    bouncer->server = server;
    auth->on_login(auth->self, bounce_login, bouncer);
    auth->on_login(auth->self, note_login, bouncer);
    auth->on_leave(auth->self, note_logout, bouncer);
    hop_on_join(server, bounce_join, bouncer);
    hop_on_join(server, note_join, bouncer);
    hop_on_leave(server, bounce_leave, bouncer);
    hop_on_leave(server, note_leave, bouncer);
    hop_on(server, "enter", on_move, bouncer);
    hop_on(server, "exit", on_move, bouncer);
    hop_on(server, "seen", on_seen, bouncer);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bouncer", "1.0", "undoes what it is told of"),
    .state_size = sizeof(struct bouncer),
    .requires = "auth",
    .init = bouncer_init,
};
