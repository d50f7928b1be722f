/*
 * cell.c - the values of plugins' metrics: see cell.h.
 *
 * Called by: metric.c; plugins, in any thread. What makes it safe is in cell.h; the table and
 * its cells are the process's, and stay when their metrics go, for the next ones.
 */
#include "core/plugin/cell.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

struct cell {
    atomic_uint generation; /* odd while it is a metric */
    atomic_uint n_users;    /* in the middle of a change */
    hop_metric_kind kind;
    char *name, *help, *label; /* owned; label NULL: none */
    double *bounds;            /* owned */
    size_t n_bounds;
    char **values; /* owned, and they: of the label */
    size_t n_series;
    size_t width; /* of a series: 1, or the count of each bucket, and the sum */
    _Atomic(double) *series; /* owned */
    atomic_bool *was_set;    /* owned, by series: of a gauge, by hop_metric_set() */
};

static _Atomic(struct cell *) table[CELLS_MAX];

/* ---- handles */

static hop_metric handle_of(size_t slot, unsigned generation)
{
    return (hop_metric)slot << 32 | generation;
}

static size_t slot_of(hop_metric metric)
{
    return metric >> 32 & 0xffffff;
}

static size_t series_of(hop_metric metric)
{
    return metric >> 56;
}

hop_metric hop_metric_of(hop_metric metric, size_t n)
{
    if (n >= CELL_VALUES_MAX)
        return HOP_NO_METRIC;
    return (metric & 0x00ffffffffffffff) | (hop_metric)n << 56;
}

/* The cell, counted as in use, or NULL. Sequentially consistent, as cell_remove() is: either
 * it sees us, or we see the new generation. Who comes with a stale handle is not counted, but
 * for those that look while it goes: or many such would keep cell_remove() waiting. */
static struct cell *enter(hop_metric metric)
{
    const size_t slot = slot_of(metric);
    struct cell *cell = slot < CELLS_MAX ? atomic_load(&table[slot]) : NULL;
    const unsigned generation = (unsigned)(metric & 0xffffffff);

    if (!cell || generation % 2 == 0 || atomic_load(&cell->generation) != generation)
        return NULL;
    atomic_fetch_add(&cell->n_users, 1);
    if (atomic_load(&cell->generation) == generation &&
        series_of(metric) < cell->n_series)
        return cell;
    atomic_fetch_sub(&cell->n_users, 1);
    return NULL;
}

static void leave(struct cell *cell)
{
    atomic_fetch_sub(&cell->n_users, 1);
}

/* ---- changes */

static void add(_Atomic(double) *value, double by)
{
    double old = atomic_load_explicit(value, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(
        value, &old, old + by, memory_order_relaxed, memory_order_relaxed))
        continue;
}

static double load(const _Atomic(double) *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static _Atomic(double) *series_at(const struct cell *cell, size_t n)
{
    return &cell->series[n * cell->width];
}

int hop_metric_add(hop_metric metric, double by)
{
    struct cell *cell = enter(metric);
    bool can_add;

    if (!cell)
        return -1;
    can_add = isfinite(by) &&
              (cell->kind == HOP_GAUGE || (cell->kind == HOP_COUNTER && by >= 0));
    if (can_add)
        add(series_at(cell, series_of(metric)), by);
    leave(cell);
    return can_add ? 0 : -1;
}

int hop_metric_set(hop_metric metric, double value)
{
    struct cell *cell = enter(metric);
    bool can_set;

    if (!cell)
        return -1;
    can_set = isfinite(value) && cell->kind == HOP_GAUGE;
    if (can_set) { /* in this order: see take_gauge() */
        atomic_store(&cell->was_set[series_of(metric)], true);
        atomic_store(series_at(cell, series_of(metric)), value);
    }
    leave(cell);
    return can_set ? 0 : -1;
}

int hop_metric_observe(hop_metric metric, double value)
{
    struct cell *cell = enter(metric);
    bool can_observe;

    if (!cell)
        return -1;
    can_observe = isfinite(value) && cell->kind == HOP_HISTOGRAM;
    if (can_observe) {
        _Atomic(double) *series = series_at(cell, series_of(metric));
        size_t bucket = 0;

        while (bucket < cell->n_bounds && value > cell->bounds[bucket])
            bucket++;
        add(&series[bucket], 1);
        add(&series[cell->width - 1], value);
    }
    leave(cell);
    return can_observe ? 0 : -1;
}

/* ---- making and removing */

static void fill(struct cell *cell, const hop_metric_options *options)
{
    cell->kind = options->kind;
    cell->name = mem_strdup(options->name);
    cell->help = mem_strdup(options->help);
    cell->label = options->label ? mem_strdup(options->label) : NULL;
    cell->n_bounds = options->kind == HOP_HISTOGRAM ? options->n_bounds : 0;
    cell->bounds = mem_calloc(cell->n_bounds, sizeof *cell->bounds);
    if (cell->n_bounds)
        memcpy(cell->bounds, options->bounds, cell->n_bounds * sizeof *cell->bounds);
    cell->n_series = options->label ? options->n_values : 1;
    cell->values = mem_calloc(cell->n_series, sizeof *cell->values);
    for (size_t i = 0; options->label && i < cell->n_series; i++)
        cell->values[i] = mem_strdup(options->values[i]);
    cell->width = options->kind == HOP_HISTOGRAM ? cell->n_bounds + 2 : 1;
    cell->series = mem_calloc(cell->n_series * cell->width, sizeof *cell->series);
    cell->was_set = mem_calloc(cell->n_series, sizeof *cell->was_set);
}

static void empty(struct cell *cell)
{
    for (size_t i = 0; i < cell->n_series; i++)
        free(cell->values[i]);
    free(cell->values);
    free(cell->series);
    free(cell->was_set);
    free(cell->bounds);
    free(cell->label);
    free(cell->help);
    free(cell->name);
}

static bool is_metric(const struct cell *cell)
{
    return atomic_load(&cell->generation) % 2 == 1;
}

hop_metric cell_add(const hop_metric_options *options)
{
    for (size_t slot = 0; slot < CELLS_MAX; slot++) {
        struct cell *cell = atomic_load(&table[slot]);

        if (cell && is_metric(cell))
            continue;
        if (!cell) {
            cell = mem_calloc(1, sizeof *cell);
            fill(cell, options);
            atomic_store(&table[slot], cell);
        } else {
            fill(cell, options);
        }
        return handle_of(slot, atomic_fetch_add(&cell->generation, 1) + 1);
    }
    return HOP_NO_METRIC;
}

/* For logic, which alone makes and removes: it need not be counted. */
static struct cell *find(hop_metric metric)
{
    const size_t slot = slot_of(metric);
    struct cell *cell = slot < CELLS_MAX ? atomic_load(&table[slot]) : NULL;

    return cell && metric % 2 == 1 &&
                   atomic_load(&cell->generation) == (metric & 0xffffffff)
               ? cell
               : NULL;
}

void cell_remove(hop_metric metric)
{
    struct cell *cell = find(metric);

    if (!cell)
        return;
    atomic_fetch_add(&cell->generation, 1);
    while (atomic_load(&cell->n_users) > 0)
        sched_yield();
    empty(cell);
}

const char *cell_name(hop_metric metric)
{
    const struct cell *cell = find(metric);

    return cell ? cell->name : "";
}

/* ---- from old code to new */

static bool is_same_label(const struct cell *a, const struct cell *b)
{
    if (!a->label || !b->label)
        return a->label == b->label;
    if (strcmp(a->label, b->label) != 0 || a->n_series != b->n_series)
        return false;
    for (size_t i = 0; i < a->n_series; i++)
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    return true;
}

static bool is_same(const struct cell *a, const struct cell *b)
{
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           a->n_bounds == b->n_bounds &&
           memcmp(a->bounds, b->bounds, a->n_bounds * sizeof *a->bounds) == 0 &&
           is_same_label(a, b);
}

/* What was added so far is added to the old; what was set, or is being set now, counts alone. */
static void take_gauge(const struct cell *old, struct cell *new, size_t n)
{
    _Atomic(double) *value = series_at(new, n);
    double now = atomic_load(value);

    while (!atomic_load(&new->was_set[n]) &&
           !atomic_compare_exchange_weak(value, &now, now + load(series_at(old, n))))
        continue;
}

void cell_take_over(hop_metric from, hop_metric to)
{
    const struct cell *old = find(from);
    struct cell *new = find(to);

    if (!old || !new || !is_same(old, new))
        return;
    for (size_t i = 0; i < new->n_series *new->width; i++)
        if (new->kind == HOP_GAUGE)
            take_gauge(old, new, i);
        else
            add(&new->series[i], load(&old->series[i]));
}

/* ---- the text of Prometheus, version 0.0.4 */

/* In a help, \ and line feed are escaped, in a label's value the quote as well. */
static void print_escaped(const char *text, bool is_quoted, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || (is_quoted && *text == '"'))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

/* As short as it can be and still be the same number. */
static void print_number(double value, FILE *out)
{
    char text[40];

    if (isinf(value)) { /* a sum that has grown beyond all */
        fputs(value > 0 ? "+Inf" : "-Inf", out);
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    fputs(text, out);
}

static void print_label(const struct cell *cell, size_t n, FILE *out)
{
    fprintf(out, "%s=\"", cell->label);
    print_escaped(cell->values[n], true, out);
    fputc('"', out);
}

static void print_row(const struct cell *cell, const char *end, size_t n, double value,
                      FILE *out)
{
    fprintf(out, "%s%s", cell->name, end);
    if (cell->label) {
        fputc('{', out);
        print_label(cell, n, out);
        fputc('}', out);
    }
    fputc(' ', out);
    print_number(value, out);
    fputc('\n', out);
}

static void print_bucket(const struct cell *cell, size_t n, size_t bucket, double count,
                         FILE *out)
{
    fprintf(out, "%s_bucket{", cell->name);
    if (cell->label) {
        print_label(cell, n, out);
        fputc(',', out);
    }
    fputs("le=\"", out);
    if (bucket < cell->n_bounds)
        print_number(cell->bounds[bucket], out);
    else
        fputs("+Inf", out);
    fputs("\"} ", out);
    print_number(count, out);
    fputc('\n', out);
}

static void print_histogram(const struct cell *cell, size_t n, FILE *out)
{
    const _Atomic(double) *series = series_at(cell, n);
    double count = 0;

    for (size_t i = 0; i <= cell->n_bounds; i++)
        print_bucket(cell, n, i, count += load(&series[i]), out);
    print_row(cell, "_sum", n, load(&series[cell->width - 1]), out);
    print_row(cell, "_count", n, count, out);
}

void cell_print(hop_metric metric, FILE *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    const struct cell *cell = find(metric);

    if (!cell)
        return;
    fprintf(out, "# HELP %s ", cell->name);
    print_escaped(cell->help, false, out);
    fprintf(out, "\n# TYPE %s %s\n", cell->name, kinds[cell->kind]);
    for (size_t i = 0; i < cell->n_series; i++)
        if (cell->kind == HOP_HISTOGRAM)
            print_histogram(cell, i, out);
        else
            print_row(cell, "", i, load(series_at(cell, i)), out);
}
