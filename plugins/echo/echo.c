/*
 * echo.c - sends the arguments of every "echo" back: in its ack, or as an event.
 *
 * Called by: core/plugin/loader.c (init) and core/plugin/dispatch.c (handlers).
 * Thread: logic.
 */
#include <sockhop/sockhop.h>

struct echo {
    hop_server *server; /* borrowed: outlives every plugin */
};

static hop_verdict on_echo(hop_socket socket, hop_event *event, void *self)
{
    const struct echo *echo = self;
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, 0); /* as the client wrote them: exact numbers too */
    if (hop_event_has_ack(event))
        hop_event_ack_args(event, args);
    else
        hop_emit_args(hop_to_socket(echo->server, socket), "echo", args);
    return HOP_STOP;
}

static int echo_init(hop_server *server, void *self)
{
    struct echo *echo = self;

    echo->server = server;
    return hop_on(server, "echo", on_echo, echo);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("echo", "1.0", "sends back what it gets"),
    .state_size = sizeof(struct echo),
    .init = echo_init,
};
