/*
 * table.h - rows of words for a person to read, in columns as wide as they need to be.
 * Thread: any; a table has one user.
 */
#ifndef PLUGIN_TABLE_H
#define PLUGIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table {
    const char *title;        /* borrowed */
    const char *const *heads; /* borrowed: n_columns of them */
    size_t n_columns;
    char **cells; /* owned: row by row */
    size_t n_cells;
};

/* heads: NULL-terminated. */
void table_init(struct table *table, const char *title, const char *const *heads);

/* The next cell of the row: copied, control bytes and quotes escaped. NULL or "" is "-". */
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, size_t number);

/* Rows by their cells from left to right, as bytes. */
void table_sort(struct table *table);

/* Title, heads and rows, and an empty line; nothing where there are no rows. Frees the table's own. */
void table_print(struct table *table, FILE *out);

#endif
