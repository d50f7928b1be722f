/*
 * old_minor.c - a plugin of interface 0.1, whose descriptor ends before check: what lies
 * behind is none of the server's business. Thread: logic.
 */
#include <stddef.h>

#include <sockhop/sockhop.h>

static int init(hop_server *server, void *self)
{
    (void)server;
    (void)self;
    return 0;
}

static int check(const void *self, const char **key, hop_error *error)
{
    (void)self;
    (void)key;
    hop_error_set(error, "behind the end of the descriptor");
    return -1;
}

HOP_API const hop_plugin hop_plugin_entry = {
    .size = offsetof(hop_plugin, check),
    .abi = HOP_ABI,
    .minor = 1,
    .key_size = sizeof(hop_config_key),
    .name = "old_minor",
    .version = "1.0",
    .summary = "from last year",
    .init = init,
    .check = check,
};
