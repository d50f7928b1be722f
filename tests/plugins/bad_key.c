/*
 * bad_key.c - a key that lies outside of its state: refused at load. Thread: logic.
 */
#include <sockhop/sockhop.h>

static const hop_config_key keys[] = {
    {.type = HOP_KEY_INT, .name = "far", .offset = 4096, .max = 10, .help = "too far"},
    HOP_KEYS_END,
};

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_key", "1.0", "writes where it must not"),
    .state_size = sizeof(int64_t),
    .keys = keys,
    .init = init,
};
