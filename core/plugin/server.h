/*
 * server.h - the plugin layer as main.c sees it: load, serve, tell, stop.
 *
 * Order: hub_new(), router_new(), server_new(), server_load_plugins(), then the loops run;
 * at the end hub_shutdown(), loops_join(), loops_drain(), server_free(), hub_free(),
 * router_free(). Thread: start and stop, but for server_print_metrics(): logic.
 */
#ifndef PLUGIN_SERVER_H
#define PLUGIN_SERVER_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include <sockhop/types.h>

#include "core/base/config.h"
#include "core/base/settings.h"
#include "core/loop/loop.h"

struct engine;
struct hub;
struct router;

/*
 * All arguments are borrowed and outlive the server. Sets jansson's allocator and seed,
 * and becomes the hub's upper layer. public_router: where plugins' routes go.
 */
hop_server *server_new(struct loops *loops, const struct settings *settings,
                       const struct config *config, struct hub *hub,
                       struct router *public_router);

/* The shards' engines by number, borrowed: for plugins that open endpoints. Before the
 * plugins are loaded; without it such plugins are refused. */
void server_set_shards(hop_server *server, struct engine *const *engines);

/* Load and start the plugins of the conf file. Returns 0, or -1 with the reason; nothing
 * of any plugin is left then. Before the loops run, in the thread that will be logic. */
int server_load_plugins(hop_server *server, hop_error *error);

/* The server has become whom it serves as: whether that one may read what plugins serve. 0, or -1
 * with the reason. */
int server_check_access(const hop_server *server, hop_error *error);

/* Listeners are open: tell the plugins, in the order of init. Thread: logic. */
void server_ready(hop_server *server);

/* The server is about to stop: a change of plugins that is under way is undone, and the events that
 * wait for it are dispatched. Thread: logic. */
void server_settle(hop_server *server);

/* The server stops: endpoints of plugins close, behind the sockets. Thread: logic. */
void server_shutdown(hop_server *server);
/* Behind it, in each shard. Thread: shard. */
void server_shutdown_shard(hop_server *server, unsigned shard);

/*
 * Stop the plugins in reverse order and free everything. After the last socket has gone
 * and no loop runs any more, before hub_free(). Takes NULL.
 */
void server_free(hop_server *server);

/*
 * The conf file is another now (a reference is taken): plugins that it changes are loaded,
 * unloaded, reloaded. What comes of it is logged, and done is called then, from within this
 * or later. 0, or -1 with the reason: nothing has been changed, and done is not called.
 * While plugins are being changed already, nothing else can be. Thread: logic.
 */
struct change_report;
typedef void server_reloaded(const struct change_report *report, void *arg);
int server_reload(hop_server *server, struct config *config, server_reloaded *done,
                  void *arg, hop_error *error);
bool server_is_changing(const hop_server *server);
/* Called whenever a change has ended, behind its done: another may begin. */
void server_on_settled(hop_server *server, void (*on_settled)(void *arg), void *arg);

/* The plugins in their order of init: objects {name, version, calls, slow, busy_ms, summary}. Owned
 * by the caller. */
json_t *server_list_plugins(const hop_server *server);
size_t server_count_plugins(const hop_server *server);

/* Plugins and what became of events, as Prometheus text. */
void server_print_metrics(hop_server *server, FILE *out);

/* What plugins say about themselves, a line each. Returns whether none is unhealthy. */
bool server_print_health(FILE *out);

/* Everything about plugins that can be checked without starting them (-t). */
int server_check(const struct settings *settings, const struct config *config,
                 hop_error *error);

/* The keys of every plugin that the conf file names, turned off or not: --config-doc. */
int server_print_config_doc(const struct settings *settings, const struct config *config,
                            enum config_doc format, FILE *out, hop_error *error);

/* What the plugins have registered, in tables: --print-hooks. After server_load_plugins(). */
void server_print_hooks(const hop_server *server, FILE *out);

/* The same as server_check(), then each plugin's section with all its keys (-T). */
int server_print_config(const struct settings *settings, const struct config *config,
                        FILE *out, hop_error *error);

#endif
