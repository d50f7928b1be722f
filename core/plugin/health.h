/*
 * health.h - the checks of plugins: see <sockhop/health.h>. Thread: logic, but for
 * hop_health_set().
 */
#ifndef PLUGIN_HEALTH_H
#define PLUGIN_HEALTH_H

#include <stdbool.h>
#include <stdio.h>

#include <sockhop/types.h>

struct plugin;

/* A line for each check of those that are live. Returns whether none is unhealthy. */
bool health_print(FILE *out);

/* The plugin makes room for the one that has replaced it: whose checks of the same names
 * are as its own, where they have not been set. */
void health_yield(const struct plugin *plugin);

/* It has gone: so have its checks, when they have been yielded. */
void health_remove(const struct plugin *plugin);

#endif
