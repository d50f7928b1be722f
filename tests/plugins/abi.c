/*
 * abi.c - every struct of the interface that no function of it leads to, for tests/checks/abi alone.
 */
#include <sockhop/auth.h>
#include <sockhop/sockhop.h>

HOP_API const hop_auth abi_auth = {.size = sizeof(hop_auth)};
HOP_API const hop_verdict abi_verdict = HOP_NEXT;

static int abi_init(hop_server *server, void *self)
{
    (void)self;
    return hop_fail(server, "not to be loaded");
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("abi", "1.0", "the structs of the interface"),
    .init = abi_init,
};
