/*
 * assets.h - folders of plugins on the public router: see <sockhop/static.h>. Thread: logic.
 */
#ifndef PLUGIN_ASSETS_H
#define PLUGIN_ASSETS_H

#include <sockhop/types.h>

struct asset;
struct plugin;
struct table;

/* What the plugin has registered is served from now on, what it replaces no more. */
void assets_take_over(hop_server *server, const struct plugin *plugin);

/* The plugin has gone: what was its own is not there any more. */
void assets_remove(hop_server *server, const struct plugin *plugin);

/* For --print-hooks. */
void assets_show(const hop_server *server, struct table *table);

/* After the loops have ended. */
/* Whether whoever the server is now may read them: 0, or -1 with the reason. */
int assets_check(const hop_server *server, hop_error *error);

void assets_free(hop_server *server);

#endif
