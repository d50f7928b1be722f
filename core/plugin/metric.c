/*
 * metric.c - plugins' metrics registered, handed from old code to new, and removed.
 *
 * Called by: plugins (init()), server.c, change.c. Thread: logic.
 */
#include "core/plugin/metric.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/metric.h>

#include "core/base/mem.h"
#include "core/base/metrics.h"
#include "core/base/text.h"
#include "core/plugin/cell.h"
#include "core/plugin/state.h"

enum { /* promised in the header */
       METRICS_A_PLUGIN = 64,
       NAME_MAX_BYTES = 64,
       HELP_MAX_BYTES = 256,
       LABEL_MAX_BYTES = 32,
       VALUE_MAX_BYTES = 64
};

#define CORE_PREFIX "sockhop_plugin_" /* of what the core tells of each plugin */

struct metric_row {
    struct plugin *plugin; /* borrowed */
    hop_metric metric;
    hop_metric before; /* of the code that it is to replace, or HOP_NO_METRIC */
};

/* Room for "sockhop_PLUGIN_NAME". */
enum { WHOLE_NAME_SIZE = sizeof "sockhop__" + PLUGIN_NAME_MAX + NAME_MAX_BYTES };

/* ---- what may be registered */

static bool is_line(const char *text, size_t max)
{
    size_t len = text ? strlen(text) : 0;

    if (len == 0 || len > max || !utf8_is_valid(text, len))
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static const char *name_fault(const hop_metric_options *options)
{
    const char *name = options->name;

    if (!is_short_name(name, NAME_MAX_BYTES))
        return "a name is [a-z][a-z0-9_]*, at most 64 bytes";
    if (ends_in(name, "_bucket") || ends_in(name, "_sum") || ends_in(name, "_count") ||
        strcmp(name, "bucket") == 0 || strcmp(name, "sum") == 0 ||
        strcmp(name, "count") == 0) /* behind a plugin's name that is another metric's */
        return "_bucket, _sum and _count at the end are for the rows of a histogram";
    if (options->kind == HOP_COUNTER && !ends_in(name, "_total"))
        return "a counter's name ends in _total";
    if (options->kind != HOP_COUNTER && ends_in(name, "_total"))
        return "_total at the end is for counters";
    return NULL;
}

static const char *bounds_fault(const hop_metric_options *options)
{
    const double *bounds = options->bounds;

    if (options->kind != HOP_HISTOGRAM)
        return options->n_bounds ? "bounds are for histograms" : NULL;
    if (!bounds || options->n_bounds < 1 || options->n_bounds > CELL_BOUNDS_MAX)
        return "a histogram has 1 to 32 bounds";
    for (size_t i = 0; i < options->n_bounds; i++)
        if (!isfinite(bounds[i]) || (i > 0 && bounds[i] <= bounds[i - 1]))
            return "each bound is a finite number greater than the one before";
    return NULL;
}

static const char *label_fault(const hop_metric_options *options)
{
    if (!options->label)
        return options->n_values ? "values are for a label" : NULL;
    if (!is_short_name(options->label, LABEL_MAX_BYTES) ||
        strcmp(options->label, "le") == 0)
        return "a label is [a-z][a-z0-9_]*, at most 32 bytes, and not \"le\"";
    if (!options->values || options->n_values < 1 || options->n_values > CELL_VALUES_MAX)
        return "a label has 1 to 32 values";
    for (size_t i = 0; i < options->n_values; i++) {
        if (!is_line(options->values[i], VALUE_MAX_BYTES))
            return "a label's value is UTF-8 of 1 to 64 bytes without control bytes";
        for (size_t j = 0; j < i; j++)
            if (strcmp(options->values[i], options->values[j]) == 0)
                return "a label has a value twice";
    }
    return NULL;
}

static const char *fault(const hop_metric_options *options)
{
    const char *reason;

    if ((unsigned)options->kind > HOP_HISTOGRAM)
        return "there is no such kind";
    if ((reason = name_fault(options)))
        return reason;
    if (!is_line(options->help, HELP_MAX_BYTES))
        return "a help is one line of UTF-8, 1 to 256 bytes";
    if ((reason = bounds_fault(options)))
        return reason;
    return label_fault(options);
}

/* ---- whose it is */

/* One whose job never ended, so that its code was left where it is: it tells nothing. */
static bool is_lost(const hop_server *server, const struct plugin *plugin)
{
    return !plugin->is_live && !plugin->is_running && plugin != server->current;
}

static size_t count(const hop_server *server, const struct plugin *plugin)
{
    size_t n = 0;

    for (size_t i = 0; i < server->metrics.n; i++)
        n += server->metrics.row[i].plugin == plugin;
    return n;
}

/* Who has a name, apart from the plugin that is to be replaced: that one's is in *before. */
static const struct plugin *find_holder(const hop_server *server, const char *name,
                                        hop_metric *before)
{
    for (size_t i = 0; i < server->metrics.n; i++) {
        const struct metric_row *row = &server->metrics.row[i];

        if (strcmp(cell_name(row->metric), name) != 0 || is_lost(server, row->plugin))
            continue;
        if (row->plugin != server->current->replaces)
            return row->plugin;
        *before = row->metric;
    }
    return NULL;
}

static void write_name(char *whole, size_t size, const char *plugin, const char *name)
{
    snprintf(whole, size, "sockhop_%s_%s", plugin, name);
    for (char *at = whole; *at; at++)
        if (*at == '-')
            *at = '_';
}

static hop_metric refuse_metric(hop_server *server, const char *name, const char *reason)
{
    refuse(server, "metric \"%s\": %s", is_line(name, HELP_MAX_BYTES) ? name : "",
           reason);
    return HOP_NO_METRIC;
}

static hop_metric add_row(hop_server *server, const hop_metric_options *options,
                          hop_metric before)
{
    struct plugin_metrics *metrics = &server->metrics;
    hop_metric metric = cell_add(options);

    if (metric == HOP_NO_METRIC)
        return refuse_metric(server, options->name, "all plugins have 4096 already");
    metrics->row = mem_realloc(metrics->row, (metrics->n + 1) * sizeof *metrics->row);
    metrics->row[metrics->n++] = (struct metric_row){server->current, metric, before};
    return metric;
}

/* ---- the public functions */

hop_metric hop_metric_new(hop_server *server, const hop_metric_options *given)
{
    hop_metric_options options = {0};
    char whole[WHOLE_NAME_SIZE];
    hop_metric before = HOP_NO_METRIC;
    const struct plugin *holder;
    const char *reason;

    if (!in_init(server, __func__))
        return HOP_NO_METRIC;
    if (!given || given->size < sizeof given->size)
        return refuse_metric(server, "", "options with their size");
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    reason = fault(&options);
    if (reason)
        return refuse_metric(server, options.name, reason);
    write_name(whole, sizeof whole, server->current->name, options.name);
    if (strncmp(whole, CORE_PREFIX, strlen(CORE_PREFIX)) == 0 || metrics_have(whole))
        return refuse_metric(server, whole, "that name is the core's own");
    holder = find_holder(server, whole, &before);
    if (holder) {
        refuse(server, "metric \"%s\": the plugin %s has it already", whole,
               holder->name);
        return HOP_NO_METRIC;
    }
    if (count(server, server->current) == METRICS_A_PLUGIN)
        return refuse_metric(server, whole, "the plugin has 64 already");
    options.name = whole;
    return add_row(server, &options, before);
}

static hop_metric new_of_kind(hop_server *server, hop_metric_kind kind, const char *name,
                              const char *help, const double *bounds, size_t n)
{
    const hop_metric_options options = {.size = sizeof options,
                                        .kind = kind,
                                        .name = name,
                                        .help = help,
                                        .bounds = bounds,
                                        .n_bounds = n};

    return hop_metric_new(server, &options);
}

hop_metric hop_counter(hop_server *server, const char *name, const char *help)
{
    return new_of_kind(server, HOP_COUNTER, name, help, NULL, 0);
}

hop_metric hop_gauge(hop_server *server, const char *name, const char *help)
{
    return new_of_kind(server, HOP_GAUGE, name, help, NULL, 0);
}

hop_metric hop_histogram(hop_server *server, const char *name, const char *help,
                         const double *bounds, size_t n)
{
    return new_of_kind(server, HOP_HISTOGRAM, name, help, bounds, n);
}

/* ---- the header's functions */

void plugin_metrics_print(const hop_server *server, FILE *out)
{
    for (size_t i = 0; i < server->metrics.n; i++)
        if (server->metrics.row[i].plugin->is_live)
            cell_print(server->metrics.row[i].metric, out);
}

void plugin_metrics_yield(hop_server *server, const struct plugin *plugin)
{
    const struct plugin_metrics *metrics = &server->metrics;

    for (size_t i = 0; i < metrics->n; i++) {
        struct metric_row *row = &metrics->row[i];

        for (size_t j = 0; row->before != HOP_NO_METRIC && j < metrics->n; j++)
            if (metrics->row[j].plugin == plugin &&
                metrics->row[j].metric == row->before) {
                cell_take_over(row->before, row->metric);
                row->before = HOP_NO_METRIC;
            }
    }
}

void plugin_metrics_remove(hop_server *server, const struct plugin *plugin)
{
    struct plugin_metrics *metrics = &server->metrics;
    size_t n_kept = 0;

    plugin_metrics_yield(server, plugin);
    for (size_t i = 0; i < metrics->n; i++) {
        if (metrics->row[i].plugin == plugin)
            cell_remove(metrics->row[i].metric);
        else
            metrics->row[n_kept++] = metrics->row[i];
    }
    metrics->n = n_kept;
}

void plugin_metrics_done(struct plugin_metrics *metrics)
{
    for (size_t i = 0; i < metrics->n; i++)
        cell_remove(metrics->row[i].metric);
    free(metrics->row);
    *metrics = (struct plugin_metrics){0};
}
