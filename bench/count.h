/*
 * count.h - the counters that count.c leaves in a shared file for the load generator.
 */
#ifndef BENCH_COUNT_H
#define BENCH_COUNT_H

#include <stdint.h>

struct count_row {
    char name[24]; /* "" after the last */
    uint64_t n;
};

enum {
    COUNT_ROWS = 32,
    COUNT_BYTES = COUNT_ROWS * (int)sizeof(struct count_row),
};

#endif
