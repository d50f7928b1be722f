/*
 * bad_minor.c - built for a later minor version: refused at load. Thread: logic.
 */
#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    .size = sizeof(hop_plugin),
    .abi = HOP_ABI,
    .minor = HOP_MINOR + 1,
    .key_size = sizeof(hop_config_key),
    .name = "bad_minor",
    .version = "1.0",
    .summary = "from next year",
    .init = init,
};
