/*
 * plugin_state.h - a plugin's state: filled from its section, checked, and filled anew while the
 * plugin runs. Thread: start; logic.
 */
#ifndef PLUGIN_PLUGIN_STATE_H
#define PLUGIN_PLUGIN_STATE_H

#include <sockhop/plugin.h>
#include <sockhop/types.h>

struct config;
struct plugin;
struct revision;

/* One table of the keys of every plugin and its own. 0, or -1 with the reason. */
int plugin_join_keys(struct plugin *plugin, hop_error *error);
/* The same, and a state that is filled from the section. */
int plugin_fill_state(struct plugin *plugin, const struct config *config,
                      hop_error *error);
/* What the plugin itself says of the values in a state of its own. */
int plugin_check_state(struct plugin *plugin, const struct config *config,
                       const void *state, hop_error *error);
void plugin_free_state(struct plugin *plugin);

/* Where its section is as it was read last; start: what the server was started with. Borrowed. */
const struct config *plugin_config(const struct plugin *plugin,
                                   const struct config *start);

/* What has become of the plugin's section. */
enum plugin_change {
    PLUGIN_SAME,
    PLUGIN_REVISED, /* in keys that are HOP_KEY_RELOADABLE */
    PLUGIN_CHANGED  /* in others, too */
};
enum plugin_change plugin_compare(const struct plugin *plugin, const struct config *now,
                                  const struct config *then);

/*
 * The values that have changed, read and checked: NULL with the reason. then: a reference is
 * taken. Owned by the caller: revision_free(), which takes NULL.
 */
struct revision *revision_prepare(struct plugin *plugin, const struct config *now,
                                  struct config *then, hop_error *error);
/* They are in the plugin's state, and it is told. Cannot fail. */
void revision_apply(hop_server *server, const struct revision *revision);
struct plugin *revision_plugin(const struct revision *revision); /* borrowed */
void revision_free(struct revision *revision);

#endif
