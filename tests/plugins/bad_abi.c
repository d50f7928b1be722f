/*
 * bad_abi.c - built for another ABI: refused at load. Thread: logic.
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
    .abi = HOP_ABI + 1,
    .minor = HOP_MINOR,
    .key_size = sizeof(hop_config_key),
    .name = "bad_abi",
    .version = "1.0",
    .summary = "from the future",
    .init = init,
};
