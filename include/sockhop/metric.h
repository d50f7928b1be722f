/*
 * metric.h - numbers of a plugin's own on /metrics of the status listener, for Prometheus.
 *
 * A metric is called sockhop_PLUGIN_NAME there, each '-' of the plugin's name being a '_'. It
 * is registered in init() and goes with the plugin; nobody sees it before the plugin is live.
 * When the plugin is reloaded, a metric of the same name, kind, bounds and label goes on from
 * where the old code's was: a counter never goes backwards. Of a gauge that the new code has
 * set by then that value stays; what it has added to one counts beside what there was.
 */
#ifndef SOCKHOP_METRIC_H
#define SOCKHOP_METRIC_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One metric, by value: it may be stored for as long as one likes, and given to any thread.
 * That of a plugin that has gone does nothing and says so. HOP_NO_METRIC is never one.
 */
typedef uint64_t hop_metric;
#define HOP_NO_METRIC ((hop_metric)0)

typedef enum hop_metric_kind {
    HOP_COUNTER, /* only grows; 0 at first */
    HOP_GAUGE,   /* goes up and down; 0 at first */
    HOP_HISTOGRAM /* how many of the observed values were at most each bound, and their sum */
} hop_metric_kind;

/*
 * Register a metric.
 *   name    [a-z][a-z0-9_]*, at most 64 bytes, with the unit in it, as Prometheus has it:
 *           "queries_total", "query_seconds", "pool_bytes". A counter's ends in _total, no
 *           other's does; none ends in _bucket, _sum or _count, or
 *           is one of these words. Copied
 *   help    one line for who reads it: UTF-8, 1 to 256 bytes without control bytes. Copied
 *   bounds  n of them, 1 to 32, finite, each greater than the one before, in the unit of the
 *           name; what is greater than the last counts as well. Copied
 * Returns the metric, or HOP_NO_METRIC when an argument is none of these, the name on
 * /metrics is taken (the core's own, and whatever begins with sockhop_plugin_, are), or a
 * plugin has 64 metrics already: the plugin is refused with the reason then. Only in init().
 * Thread: logic.
 */
HOP_API hop_metric hop_counter(hop_server *server, const char *name, const char *help);
HOP_API hop_metric hop_gauge(hop_server *server, const char *name, const char *help);
HOP_API hop_metric hop_histogram(hop_server *server, const char *name, const char *help,
                                 const double *bounds, size_t n);

/*
 * The same with a label: one value of the metric for each of a fixed set of words, so that
 * nothing that a client sends can make more of them.
 */
typedef struct hop_metric_options {
    size_t size; /* sizeof(hop_metric_options) */
    hop_metric_kind kind;
    const char *name, *help; /* as above */
    const double *bounds;    /* of a histogram, else NULL */
    size_t n_bounds;
    const char *label; /* [a-z][a-z0-9_]*, at most 32 bytes, not "le"; NULL: none */
    const char *const
        *values;     /* of the label: UTF-8, 1 to 64 bytes each, no two the same */
    size_t n_values; /* 1 to 32; 0 without a label */
} hop_metric_options;

/* As hop_counter(). options: copied, and all that it leads to. */
HOP_API hop_metric hop_metric_new(hop_server *server, const hop_metric_options *options);

/*
 * The metric for the n-th value of its label, from 0: to be changed by the functions below. The
 * metric itself is that of value 0. What is no value of the label is harmless there.
 * Thread: any.
 */
HOP_API hop_metric hop_metric_of(hop_metric metric, size_t n);

/*
 * Change a metric; many threads may change the same one.
 *   add      counters, by 0 or more, and gauges; by a finite number
 *   set      gauges
 *   observe  histograms: one more value, a finite number
 * Counts are exact up to 2^53. They wait for nobody and cost some 10 ns. Return 0, or -1 when
 * the metric has gone or is of another kind, or the number is none of these: nothing has
 * changed then. Thread: any, jobs' and the plugin's own included.
 */
HOP_API int hop_metric_add(hop_metric metric, double by);
HOP_API int hop_metric_set(hop_metric metric, double value);
HOP_API int hop_metric_observe(hop_metric metric, double value);

#ifdef __cplusplus
}
#endif

#endif
