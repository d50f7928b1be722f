/*
 * cell.h - the values of plugins' metrics, found by their handles, and their Prometheus text.
 *
 * A handle is slot and generation, as in slots.h, with the number of the label's value above.
 * Any thread changes a cell without a lock. Whoever does is counted while it does, and
 * cell_remove() waits for those, some instructions long where all of them run: so nobody meets a cell that goes,
 * and what a late one adds never lands in the next cell of that slot.
 * Thread: logic, but for what <sockhop/metric.h> says.
 */
#ifndef PLUGIN_CELL_H
#define PLUGIN_CELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <sockhop/metric.h>

enum {
    CELLS_MAX = 4096, /* of all plugins: 32 KiB of pointers */
    CELL_BOUNDS_MAX = 32,
    CELL_VALUES_MAX = 32
};

/* options: copied, as plugins give them but for the name, which is the whole one. They have
 * been checked. HOP_NO_METRIC when there are CELLS_MAX. */
hop_metric cell_add(const hop_metric_options *options);

/* Takes what is none. */
void cell_remove(hop_metric metric);

/* Its whole name, "" of what is none. Borrowed. */
const char *cell_name(hop_metric metric);

/* Where both have the same name, kind, bounds and label, the second goes on from where the
 * first is: see <sockhop/metric.h>. */
void cell_take_over(hop_metric from, hop_metric to);

/* With HELP and TYPE. */
void cell_print(hop_metric metric, FILE *out);

#endif
