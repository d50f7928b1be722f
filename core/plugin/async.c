/*
 * async.c - what of plugins happens outside of handlers: see async.h.
 *
 * Called by: loader.c (a plugin starts, and goes), server.c. Thread: logic.
 */
#include "core/plugin/async.h"

#include "core/plugin/owner.h"
#include "core/plugin/state.h"

void async_init(hop_server *server)
{
    server->thread = pthread_self();
}

void async_done(hop_server *server)
{
    (void)server;
    owners_clear();
}

void async_hold(struct plugin *plugin)
{
    plugin->async.is_held = true;
    owner_enter(plugin);
}

void async_release(hop_server *server, struct plugin *plugin)
{
    plugin->async.is_held = false;
    posts_release(server, plugin);
}

void async_forget(hop_server *server, struct plugin *plugin)
{
    (void)server;
    posts_forget(plugin);
    owner_leave(plugin);
}
