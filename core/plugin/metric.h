/*
 * metric.h - which plugin has which metric: see <sockhop/metric.h>; their values are in cell.h.
 * Thread: logic.
 */
#ifndef PLUGIN_METRIC_H
#define PLUGIN_METRIC_H

#include <stddef.h>
#include <stdio.h>

#include <sockhop/types.h>

struct metric_row;
struct plugin;

struct plugin_metrics {
    struct metric_row *row; /* owned */
    size_t n;
};

/* The metrics of those that are live, as Prometheus text. */
void plugin_metrics_print(const hop_server *server, FILE *out);

/* The plugin makes room for the one that has replaced it, whose metrics go on from where its
 * own are. Once nothing changes those any more. */
void plugin_metrics_yield(hop_server *server, const struct plugin *plugin);

/* It has gone: so have its metrics, when they have been yielded. */
void plugin_metrics_remove(hop_server *server, const struct plugin *plugin);

void plugin_metrics_done(struct plugin_metrics *metrics);
#endif
