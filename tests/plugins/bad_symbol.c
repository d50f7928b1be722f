/*
 * bad_symbol.c - calls a function that no server has yet: refused at load. Thread: logic.
 */
#include <sockhop/sockhop.h>

HOP_API int hop_from_the_future(hop_server *server);

static int init(hop_server *server, void *self)
{
    (void)self;
    return hop_from_the_future(server);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_symbol", "1.0", "wants too much"),
    .init = init,
};
