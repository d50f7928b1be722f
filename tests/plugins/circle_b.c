/*
 * circle_b.c - wants circle_a, which requires circle_b: fine alone, refused together. Thread: logic.
 */
#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("circle_b", "1.0", "the other half"),
    .wants = "circle_a",
    .init = init,
};
