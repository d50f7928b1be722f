/*
 * bad_event.c - registers reserved events and returns 0: refused all the same (T12). Thread: logic.
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
    hop_on(server, "disconnecting", never, self);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_event", "1.0", "takes a reserved name"),
    .init = init,
};
