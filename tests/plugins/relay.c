/*
 * relay.c - passes each "line" of text on to everyone else in one room.
 *
 * The model of STYLE.md: it has to compile and work as it stands there.
 *   key   room = relay, max_bytes = 4096
 *   line TEXT  -> `line` TEXT to the others; ack {ok: true}
 *                 refused: bad_line, too_long
 *
 * Called by: core/plugin/loader.c (init, free) and core/plugin/dispatch.c (handlers).
 * Thread: logic, as all plugin code: no locks.
 */
#include <sockhop/sockhop.h>
#include <string.h>

struct relay {
    hop_server *server; /* borrowed: outlives every plugin */
    const char *room;   /* borrowed from the config: lives as long as we do */
    size_t max_bytes;   /* longest accepted line, in bytes of UTF-8 */
};

static const hop_config_key relay_keys[] = {
    HOP_STRING(struct relay, room, "room", "relay", "room that every client joins"),
    HOP_SIZE(struct relay, max_bytes, "max_bytes", 4096, "longest accepted line, bytes"),
    HOP_KEYS_END,
};

static void on_connect(hop_socket socket, void *self)
{
    const struct relay *relay = self;

    hop_socket_join(relay->server, socket, relay->room);
}

static hop_verdict on_line(hop_socket socket, hop_event *event, void *self)
{
    const struct relay *relay = self;
    const char *line; /* borrowed from the event */

    if (hop_event_unpack(event, "[s]", &line) < 0)
        return hop_reject(event, "bad_line", "a line of text, please");
    if (strlen(line) > relay->max_bytes)
        return hop_reject(event, "too_long", "longer than max_bytes");
    hop_emit(hop_except(hop_to_room(relay->server, relay->room), socket), "line",
             json_pack("[s]", line));
    hop_event_ack(event, json_pack("[{sb}]", "ok", true));
    return HOP_STOP;
}

static int relay_init(hop_server *server, void *self)
{
    struct relay *relay = self; /* allocated by the loader, filled from relay_keys */

    relay->server = server;
    hop_on_connect(server, on_connect, relay);
    hop_on(server, "line", on_line, relay);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("relay", "1.0",
               "passes lines on"), /* size, ABI, minor, name, version, summary */
    .state_size = sizeof(struct relay),
    .keys = relay_keys,
    .init = relay_init,
};
