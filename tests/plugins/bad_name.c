/*
 * bad_name.c - its descriptor names another plugin: refused at load. Thread: logic.
 */
#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("other", "1.0", "somebody else"),
    .init = init,
};
