/*
 * ask.c - the server asks, the client acks.
 *
 *   key   timeout = 10s
 *   ask ARGS...   emits `question` ARGS... to the sender and waits for its ack; then
 *                 `answer` with the ack's arguments, or `unanswered` when none came in time
 *                 (an ack that jansson cannot hold: `answer` without arguments)
 *   gone          ack: how often an asked socket went away before it answered
 *   greet-all N   asks N times (at most 1,000) at once; each answer is `answer`
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>

struct ask {
    hop_server *server; /* borrowed */
    int64_t timeout_ms;
    json_int_t n_gone;
};

static const hop_config_key ask_keys[] = {
    HOP_MS(struct ask, timeout_ms, "timeout", 10000, 1, 60000, "how long it waits"),
    HOP_KEYS_END,
};

static void on_answer(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    struct ask *ask = self;

    if (status == HOP_ACK_DISCONNECTED)
        ask->n_gone++;
    else
        hop_emit(hop_to_socket(ask->server, socket),
                 status == HOP_ACK_OK ? "answer" : "unanswered", json_incref(args));
}

static hop_verdict on_ask(hop_socket socket, hop_event *event, void *self)
{
    struct ask *ask = self;
    json_t *args = hop_event_args(event);

    if (!args)
        return hop_reject(event, "bad_args", "arguments that a tree can hold, please");
    hop_emit_with_ack(ask->server, socket, "question", json_incref(args),
                      (int)ask->timeout_ms, on_answer, ask);
    return HOP_STOP;
}

static hop_verdict on_greet_all(hop_socket socket, hop_event *event, void *self)
{
    struct ask *ask = self;
    json_int_t n;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > 1000)
        return hop_reject(event, "bad_number", "up to 1000, please");
    for (json_int_t i = 0; i < n; i++)
        hop_emit_with_ack(ask->server, socket, "question", json_pack("[I]", i),
                          (int)ask->timeout_ms, on_answer, ask);
    return HOP_STOP;
}

static hop_verdict on_gone(hop_socket socket, hop_event *event, void *self)
{
    struct ask *ask = self;

    (void)socket;
    hop_event_ack(event, json_pack("[I]", ask->n_gone));
    return HOP_STOP;
}

static int ask_init(hop_server *server, void *self)
{
    struct ask *ask = self;

    ask->server = server;
    hop_on(server, "ask", on_ask, ask);
    hop_on(server, "greet-all", on_greet_all, ask);
    hop_on(server, "gone", on_gone, ask);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("ask", "1.0", "asks back"),
    .state_size = sizeof(struct ask),
    .keys = ask_keys,
    .init = ask_init,
};
