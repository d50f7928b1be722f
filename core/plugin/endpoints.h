/*
 * endpoints.h - raw WebSocket and bare Engine.IO endpoints of plugins: hop_websocket(),
 * hop_engine(), hop_peer_*(). Thread: start and stop, but for what says otherwise.
 */
#ifndef PLUGIN_ENDPOINTS_H
#define PLUGIN_ENDPOINTS_H

#include <stddef.h>

#include <sockhop/endpoint.h>

struct engine;
struct plugin;

/* The server stops: every peer is closed and its on_close called; nothing is told or sent
 * from now on. Thread: logic. */
void endpoints_shutdown(hop_server *server);

/* The same in a shard, where engines of endpoints end. Thread: shard. */
void endpoints_shutdown_shard(hop_server *server, unsigned shard);

/* A plugin's endpoints call nobody any more: a router forgets nothing. Thread: logic. */
void endpoints_remove(hop_server *server, const struct plugin *plugin);

/* The endpoints that a plugin has opened while it was to replace another are its own. */
void endpoints_take_over(hop_server *server, const struct plugin *plugin);
/* How many are connected to a plugin's endpoints. */
size_t endpoints_n_peers(const hop_server *server, const struct plugin *plugin);

void endpoints_free(hop_server *server);

/* The engines of a hop_engine() by shard number, or NULL. Borrowed: until endpoints_free(). */
struct engine *const *endpoint_engines(const hop_server *server, const char *path);

#endif
