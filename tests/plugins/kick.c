/*
 * kick.c - disconnects, from inside a handler and of others; and the disconnect hook.
 *
 *   kick            emits `bye` "soft", then disconnects the sender's socket (41)
 *   kick-hard       emits `bye` "hard", then closes its whole connection
 *   kick-id ID      disconnects the socket with that id; ack whether there was one
 *   kick-all        disconnects every socket that ever connected here (at most 1,000)
 *   last-reason     ack [reason, n]: of the last disconnect, and how many there were
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdio.h>

enum { SEEN_MAX = 1000 };

struct kick {
    hop_server *server; /* borrowed */
    hop_socket seen[SEEN_MAX];
    size_t n_seen;
    char reason[64]; /* of the last disconnect */
    json_int_t n_left;
};

static hop_verdict on_kick(hop_socket socket, hop_event *event, void *self)
{
    struct kick *kick = self;

    hop_event_ack(event, NULL);
    hop_emit(hop_to_socket(kick->server, socket), "bye", json_pack("[s]", "soft"));
    hop_socket_disconnect(kick->server, socket, HOP_CLOSE_SOCKET);
    return HOP_NEXT; /* later handlers are not called all the same */
}

static hop_verdict on_kick_hard(hop_socket socket, hop_event *event, void *self)
{
    struct kick *kick = self;

    hop_event_ack(event, NULL);
    hop_emit(hop_to_socket(kick->server, socket), "bye", json_pack("[s]", "hard"));
    hop_socket_disconnect(kick->server, socket, HOP_CLOSE_TRANSPORT);
    return HOP_STOP;
}

static hop_verdict on_kick_id(hop_socket socket, hop_event *event, void *self)
{
    struct kick *kick = self;
    hop_socket victim;
    const char *id;

    (void)socket;
    if (hop_event_unpack(event, "[s]", &id) < 0)
        return hop_reject(event, "bad_id", "an id, please");
    victim = hop_socket_find(kick->server, id);
    hop_event_ack(event, json_pack("[b]", hop_socket_disconnect(kick->server, victim,
                                                                HOP_CLOSE_SOCKET) == 0));
    return HOP_STOP;
}

static hop_verdict on_kick_all(hop_socket socket, hop_event *event, void *self)
{
    struct kick *kick = self;

    (void)socket;
    (void)event;
    for (size_t i = 0; i < kick->n_seen; i++) /* most handles may be stale */
        hop_socket_disconnect(kick->server, kick->seen[i], HOP_CLOSE_SOCKET);
    return HOP_STOP;
}

static hop_verdict on_last_reason(hop_socket socket, hop_event *event, void *self)
{
    struct kick *kick = self;

    (void)socket;
    hop_event_ack(event, json_pack("[s, I]", kick->reason, kick->n_left));
    return HOP_STOP;
}

static void on_connect(hop_socket socket, void *self)
{
    struct kick *kick = self;

    if (kick->n_seen < SEEN_MAX)
        kick->seen[kick->n_seen++] = socket;
}

static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    struct kick *kick = self;

    hop_socket_disconnect(kick->server, socket, HOP_CLOSE_SOCKET); /* harmless */
    snprintf(kick->reason, sizeof kick->reason, "%s", reason);
    kick->n_left++;
}

static int kick_init(hop_server *server, void *self)
{
    struct kick *kick = self;

    kick->server = server;
    hop_on(server, "kick", on_kick, kick);
    hop_on(server, "kick-hard", on_kick_hard, kick);
    hop_on(server, "kick-id", on_kick_id, kick);
    hop_on(server, "kick-all", on_kick_all, kick);
    hop_on(server, "last-reason", on_last_reason, kick);
    hop_on_connect(server, on_connect, kick);
    hop_on_disconnect(server, on_disconnect, kick);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("kick", "1.0", "disconnects"),
    .state_size = sizeof(struct kick),
    .init = kick_init,
};
