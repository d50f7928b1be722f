/*
 * oom.c - allocations that fail when a test says so: the n-th of those that are at least so
 * large, by whoever asks. A library to preload: see faults.h and faults.js.
 *
 * Called by: the server, and all libraries in it, instead of libc's functions. Thread: any.
 * Not for builds with a sanitizer, which has an allocator of its own.
 */
#pragma GCC visibility push(default)

#include "tests/lib/faults.h"

#include <stddef.h>

/* What libc's own functions are called where somebody stands before them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *old, size_t size);

static struct fault_row *row;

__attribute__((constructor)) static void start(void)
{
    open_fault_rows();
    row = find_fault_row("malloc");
}

static int fails(size_t size)
{
    int error;

    if (!row || (int64_t)size < atomic_load(&row->min_size))
        return 0;
    error = count_call(row);
    if (!error)
        return 0;
    atomic_store(&row->size, (int64_t)size);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    size_t total;

    if (__builtin_mul_overflow(n, size, &total))
        total = SIZE_MAX >> 1;
    return fails(total) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    return fails(size) ? NULL : __libc_realloc(old, size);
}
