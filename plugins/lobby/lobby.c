/*
 * lobby.c - the chat: everyone hears everyone who has logged in.
 *
 * Events and keys: lobby.md. A message is passed on as its sender wrote it, whatever JSON
 * or binary data it is: nothing is parsed or encoded again.
 *
 * Called by: core/plugin/loader.c (init), dispatch.c (handlers), plugin auth (its hooks).
 * Thread: logic.
 */
#include <string.h>

#include <sockhop/auth.h>
#include <sockhop/sockhop.h>

struct lobby {
    hop_server *server;   /* borrowed: outlives every plugin */
    const hop_auth *auth; /* borrowed: auth outlives us, since we require it */
    bool notices;
    size_t max_message_bytes;
};

static const hop_config_key lobby_keys[] = {
    HOP_BOOL(struct lobby, notices, "notices", true,
             "tell everyone who joins and leaves (userJoined, userLeft)"),
    HOP_SIZE_RANGE(struct lobby, max_message_bytes, "max_message_bytes", 65536, 1,
                   INT64_MAX, "longest message, bytes of JSON and of binary data"),
    HOP_KEYS_END,
};

/* ---- who is here */

static void send_notice(struct lobby *lobby, const char *event, const char *name)
{
    if (lobby->notices)
        hop_emit(hop_to_all(lobby->server), event, json_pack("[s]", name));
}

static void on_login(hop_socket socket, const char *name, void *self)
{
    (void)socket;
    send_notice(self, "userJoined", name);
}

static void on_leave(hop_socket socket, const char *name, void *self)
{
    (void)socket;
    send_notice(self, "userLeft", name);
}

static void add_name(const char *name, void *arg)
{
    hop_args_string(arg, name);
}

static void add_names(struct lobby *lobby, hop_args *args)
{
    hop_args_begin_array(args);
    lobby->auth->each_name(lobby->auth->self, add_name, args);
    hop_args_end(args);
}

static hop_verdict on_online_users(hop_socket socket, hop_event *event, void *self)
{
    struct lobby *lobby = self;
    hop_args *names = hop_args_new();

    add_names(lobby, names);
    hop_emit_args(hop_to_socket(lobby->server, socket), "onlineUsers", names);
    if (hop_event_has_ack(event)) {
        hop_args *answer = hop_args_new();

        hop_args_begin_object(answer);
        hop_args_key(answer, "ok");
        hop_args_json(answer, json_true());
        hop_args_key(answer, "users");
        add_names(lobby, answer);
        hop_args_end(answer);
        hop_event_ack_args(event, answer);
    }
    return HOP_STOP;
}

/* ---- messages */

/* A number whose digits are all 0 up to its exponent: 0, -0, 0.00, 0e5. */
static bool is_zero(const char *json, size_t len)
{
    size_t i = json[0] == '-';

    if (i == len || json[i] != '0')
        return false;
    while (i < len && (json[i] == '0' || json[i] == '.'))
        i++;
    return i == len || json[i] == 'e' || json[i] == 'E';
}

/* What `if (message)` refuses in JavaScript: "", null, false, 0; and no argument at all. */
static bool is_falsy(const char *json, size_t len)
{
    static const char *const words[] = {"\"\"", "null", "false"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (len == strlen(words[i]) && memcmp(json, words[i], len) == 0)
            return true;
    return len == 0 || is_zero(json, len);
}

/* Also what came with the event and the message does not name. */
static size_t attached_bytes(const hop_event *event)
{
    size_t total = 0, len;

    for (size_t i = 0; i < hop_event_n_attachments(event); i++) {
        hop_event_attachment(event, i, &len);
        total += len;
    }
    return total;
}

/* The article ignores these without a word; who asked for an ack is told. */
static hop_verdict ignore(hop_event *event, const char *code, const char *message)
{
    if (hop_event_has_ack(event))
        return hop_reject(event, code, message);
    return HOP_STOP;
}

static hop_verdict on_chat(hop_socket socket, hop_event *event, void *self)
{
    struct lobby *lobby = self;
    const char *sender = lobby->auth->name_of(lobby->auth->self, socket);
    size_t len;
    const char *message = hop_event_raw(event, 0, &len); /* borrowed from the event */
    hop_args *args;

    if (!sender)
        return ignore(event, "not_logged_in", "log in first");
    if (is_falsy(message, len))
        return ignore(event, "empty", "an empty message");
    if (len + attached_bytes(event) > lobby->max_message_bytes)
        return hop_reject(event, "too_long", "longer than max_message_bytes");

    args = hop_args_new();
    hop_args_begin_object(args);
    hop_args_key(args, "sender");
    hop_args_string(args, sender);
    hop_args_key(args, "message");
    hop_args_raw(args, event, 0);
    hop_args_end(args);
    if (hop_emit_args(hop_to_all(lobby->server), "chat", args) < 0)
        return HOP_STOP; /* no memory: nobody has got it, so nothing says so */
    if (hop_event_has_ack(event))
        hop_event_ack(event, json_pack("[{s:b}]", "ok", true));
    return HOP_STOP;
}

/* ---- start */

static int lobby_init(hop_server *server, void *self)
{
    struct lobby *lobby = self;

    lobby->server = server;
    lobby->auth = hop_require(server, "auth", sizeof *lobby->auth);
    if (!lobby->auth)
        return hop_fail(server,
                        "the plugin auth is too old for this lobby: rebuild both");
    if (lobby->auth->on_login(lobby->auth->self, on_login, lobby) < 0 ||
        lobby->auth->on_leave(lobby->auth->self, on_leave, lobby) < 0)
        return hop_fail(server, "auth takes no more hooks");
    hop_on(server, "onlineUsers", on_online_users, lobby);
    hop_on(server, "chat", on_chat, lobby);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("lobby", "1.0", "the chat that everyone who logged in shares"),
    .state_size = sizeof(struct lobby),
    .keys = lobby_keys,
    .requires = "auth",
    .init = lobby_init,
};
