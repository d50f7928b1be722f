/*
 * circle_a.c - requires circle_b, which wants circle_a: refused together. Thread: logic.
 */
#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("circle_a", "1.0", "one half"),
    .requires = "circle_b",
    .init = init,
};
