/*
 * bad_init.c - init() fails and says why, after it has registered. Thread: logic.
 */
#include <sockhop/sockhop.h>

static hop_verdict never(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)event;
    (void)self;
    return HOP_STOP;
}

static int init(hop_server *server, void *self)
{
    hop_on(server, "never", never, self);
    return hop_fail(server, "cannot open %s", "the pod bay doors");
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_init", "1.0", "does not start"),
    .init = init,
};
