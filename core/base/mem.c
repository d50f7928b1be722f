/*
 * mem.c - allocation that succeeds or ends the process.
 *
 * Called by: everything. Thread: any (as malloc).
 */
#include "core/base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

/* malloc(0) may give NULL, which callers would take for a failure. */
static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

static void *checked(void *memory, size_t bytes)
{
    if (memory)
        return memory;
    hop_log(HOP_ERROR, "mem.exhausted bytes=%zu", bytes); /* allocates nothing */
    abort();
}

void *mem_alloc(size_t bytes)
{
    return checked(mem_try_alloc(bytes), bytes);
}

void *mem_calloc(size_t n, size_t bytes)
{
    size_t total;

    if (__builtin_mul_overflow(n, bytes, &total))
        total = SIZE_MAX;
    return checked(calloc(at_least_one(n), at_least_one(bytes)), total);
}

void *mem_realloc(void *old, size_t bytes)
{
    return checked(mem_try_realloc(old, bytes), bytes);
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *text, size_t len)
{
    char *copy;

    if (len == SIZE_MAX) /* no room for the NUL */
        checked(NULL, len);
    copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void *mem_try_alloc(size_t bytes)
{
    return malloc(at_least_one(bytes));
}

void *mem_try_realloc(void *old, size_t bytes)
{
    return realloc(old, at_least_one(bytes));
}
