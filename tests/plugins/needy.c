/*
 * needy.c - requires a plugin that nobody has. Thread: logic.
 */
#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("needy", "1.0", "cannot do without"),
    .requires = "echo, nowhere",
    .init = init,
};
