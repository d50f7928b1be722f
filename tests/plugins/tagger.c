/*
 * tagger.c - adds fields to log lines about its sockets.
 *
 *   tag NAME VALUE   VALUE null: takes it away; ack [0 or -1]
 *
 * While it connects, a client is tagged with "via". Thread: logic.
 */
#include <sockhop/sockhop.h>

struct tagger {
    hop_server *server; /* borrowed */
    const char *word;   /* borrowed */
    bool fail;
};

static const hop_config_key keys[] = {
    HOP_STRING(struct tagger, word, "word", "", "any, for a reload"),
    HOP_BOOL(struct tagger, fail, "fail", false, "whether init() fails in the end"),
    HOP_KEYS_END,
};

static hop_verdict on_tag(hop_socket socket, hop_event *event, void *self)
{
    const struct tagger *tagger = self;
    const char *name;
    const json_t *value;
    int result;

    if (hop_event_unpack(event, "[so]", &name, &value) < 0)
        return hop_reject(event, "bad", "a name and a value");
    result = hop_socket_log_field(tagger->server, socket, name, json_string_value(value));
    hop_event_ack(event, json_pack("[i]", result));
    return HOP_STOP;
}

static hop_verdict on_connecting(hop_socket socket, hop_connect *connect, void *self)
{
    const struct tagger *tagger = self;

    (void)connect;
    hop_socket_log_field(tagger->server, socket, "via", "middleware");
    return HOP_NEXT;
}

static int init(hop_server *server, void *self)
{
    struct tagger *tagger = self;

    tagger->server = server;
    hop_use(server, NULL, on_connecting, tagger);
    hop_on(server, "tag", on_tag, tagger);
    return tagger->fail ? hop_fail(server, "told to fail") : 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("tagger", "1.0", "adds fields to the log"),
    .state_size = sizeof(struct tagger),
    .keys = keys,
    .init = init,
};
