/*
 * table.c - see table.h.
 *
 * Called by: show.c, and those whose lists it shows. Thread: start.
 */
#include "core/plugin/table.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/mem.h"

void table_init(struct table *table, const char *title, const char *const *heads)
{
    *table = (struct table){.title = title, .heads = heads};
    while (heads[table->n_columns])
        table->n_columns++;
}

void table_add(struct table *table, const char *text)
{
    char cell[LOG_NAME_SIZE] = "-";

    if (text && *text)
        log_escape(cell, sizeof cell, text, strlen(text));
    table->cells = mem_realloc(table->cells, (table->n_cells + 1) * sizeof *table->cells);
    table->cells[table->n_cells++] = mem_strdup(cell);
}

void table_add_number(struct table *table, size_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%zu", number);
    table_add(table, text);
}

static int compare_rows(const void *left, const void *right, void *arg)
{
    char *const *a = left, *const *b = right;
    const struct table *table = arg;
    int order = 0;

    for (size_t i = 0; i < table->n_columns && order == 0; i++)
        order = strcmp(a[i], b[i]);
    return order;
}

void table_sort(struct table *table)
{
    if (table->n_cells)
        qsort_r(table->cells, table->n_cells / table->n_columns,
                table->n_columns * sizeof *table->cells, compare_rows, table);
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t width = strlen(table->heads[column]);

    for (size_t i = column; i < table->n_cells; i += table->n_columns)
        if (strlen(table->cells[i]) > width)
            width = strlen(table->cells[i]);
    return width;
}

/* Nothing stands behind the last cell. */
static void print_row(const struct table *table, const char *const *cells, FILE *out)
{
    for (size_t i = 0; i + 1 < table->n_columns; i++)
        fprintf(out, "%-*s  ", (int)column_width(table, i), cells[i]);
    fprintf(out, "%s\n", cells[table->n_columns - 1]);
}

void table_print(struct table *table, FILE *out)
{
    if (table->n_cells) {
        fprintf(out, "%s\n", table->title);
        print_row(table, table->heads, out);
    }
    for (size_t i = 0; i < table->n_cells; i += table->n_columns)
        print_row(table, (const char *const *)&table->cells[i], out);
    if (table->n_cells)
        fputc('\n', out);
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
}
