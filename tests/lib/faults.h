/*
 * faults.h - the file through which a test and a preloaded library speak: see faults.js.
 *
 * A file of rows, named by SOCKHOP_FAULTS and mapped shared. A row belongs to one function: the
 * library counts its calls there, and makes those fail that the test asks for, at any time.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAULT_SHORT = -1 /* as an error: let the call do one byte only */ };

/* Its layout is repeated in faults.js. */
struct fault_row {
    char name[24];
    _Atomic int64_t seen;  /* calls so far that count */
    _Atomic int64_t first; /* the first of them that fails; 0: none does */
    _Atomic int64_t last;  /* and the last */
    _Atomic int64_t
        min_size;          /* smaller allocations do not count; of a clock: ns to add */
    _Atomic int32_t error; /* errno, or FAULT_SHORT */
    _Atomic int32_t injected; /* calls that failed so far */
    _Atomic int64_t size;     /* of the last allocation that failed */
    int64_t unused;
};

static struct fault_row *fault_rows; /* NULL: no test wants anything */
static size_t n_fault_rows;

/* Called by the constructor, before any other thread is. Allocates nothing. */
static void open_fault_rows(void)
{
    const char *path = getenv("SOCKHOP_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat stat;
    void *rows = MAP_FAILED;

    if (fd < 0)
        return;
    if (fstat(fd, &stat) == 0)
        rows =
            mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (rows == MAP_FAILED)
        return;
    n_fault_rows = (size_t)stat.st_size / sizeof *fault_rows;
    fault_rows = rows;
}

static struct fault_row *find_fault_row(const char *name)
{
    for (size_t i = 0; i < n_fault_rows; i++)
        if (strcmp(fault_rows[i].name, name) == 0)
            return &fault_rows[i];
    return NULL;
}

/* Count a call. Returns 0 when it is to go well, else what row->error says. */
static int count_call(struct fault_row *row)
{
    int64_t n, first;

    if (!row)
        return 0;
    n = atomic_fetch_add(&row->seen, 1) + 1;
    first = atomic_load(&row->first);
    if (first == 0 || n < first || n > atomic_load(&row->last))
        return 0;
    atomic_fetch_add(&row->injected, 1);
    return atomic_load(&row->error);
}

#endif
