/*
 * posts.h - hop_post(): work that other threads hand to a plugin's code. Thread: logic, but
 * for hop_post() itself.
 */
#ifndef PLUGIN_POSTS_H
#define PLUGIN_POSTS_H

#include <sockhop/types.h>

struct plugin;
struct post;

/* Those that have come while their plugin is held: plugin.h. */
struct held_posts {
    struct post *first, **end; /* owned; end is valid while there is a first */
};

/* The plugin is not held any more: what has come meanwhile runs in a later turn, and before
 * what comes from now on. */
void posts_release(hop_server *server, struct plugin *plugin);

/* Drop those. Others find out by themselves that their plugin has gone. */
void posts_forget(struct plugin *plugin);

#endif
