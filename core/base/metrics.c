/*
 * metrics.c - sums the loops' counters and writes them for Prometheus.
 *
 * Called by: whoever answers /metrics. Thread: any: values are read with relaxed loads,
 * so that a sum may mix moments, but each value is whole.
 */
#include "core/base/metrics.h"

#include <inttypes.h>
#include <string.h>

struct metric_row {
    const char *name;
    const char *kind;
    const char *label; /* "" for none */
    const char *help;
};

static const struct metric_row rows[N_METRICS] = {
#define METRIC_ROW(id, name, kind, label, help) {name, #kind, label, help},
    METRICS(METRIC_ROW)
#undef METRIC_ROW
};

int64_t metric_sum(struct metrics *const *all, unsigned n, enum metric id)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += atomic_load_explicit(&all[i]->value[id], memory_order_relaxed);
    return sum;
}

bool metrics_have(const char *name)
{
    for (int id = 0; id < N_METRICS; id++)
        if (strcmp(rows[id].name, name) == 0)
            return true;
    return false;
}

void metrics_print(struct metrics *const *all, unsigned n, FILE *out)
{
    const char *last = "";

    for (int id = 0; id < N_METRICS; id++) {
        const struct metric_row *row = &rows[id];
        int64_t sum = metric_sum(all, n, (enum metric)id);

        if (strcmp(row->name, last) != 0) {
            fprintf(out, "# HELP %s %s\n", row->name, row->help);
            fprintf(out, "# TYPE %s %s\n", row->name, row->kind);
            last = row->name;
        }
        if (*row->label)
            fprintf(out, "%s{%s} %" PRId64 "\n", row->name, row->label, sum);
        else
            fprintf(out, "%s %" PRId64 "\n", row->name, sum);
    }
}
