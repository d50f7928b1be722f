/*
 * mem.c - allocation that succeeds or ends the process.
 *
 * Called by: everything. Thread: any (as malloc).
 */
#include "core/base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockhop/log.h>

enum { LOG_EVERY_S = 1 };

/* malloc(0) may give NULL, which callers would take for a failure. */
static size_t at_least_one(size_t bytes)
{
    return bytes ? bytes : 1;
}

void mem_exhausted(size_t bytes)
{
    hop_log(HOP_ERROR, "mem.exhausted bytes=%zu", bytes); /* allocates nothing */
    abort();
}

static void *checked(void *memory, size_t bytes)
{
    if (!memory)
        mem_exhausted(bytes);
    return memory;
}

void *mem_alloc(size_t bytes)
{
    return checked(malloc(at_least_one(bytes)), bytes);
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
    return checked(realloc(old, at_least_one(bytes)), bytes);
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

/* ---- what may fail */

static _Thread_local bool was_refused;

/* At most a line in LOG_EVERY_S: many clients may be refused at once. */
static void log_refusal(size_t bytes)
{
    static atomic_llong logged_s;
    struct timespec now;
    long long last = atomic_load(&logged_s);

    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((!last || now.tv_sec - last >= LOG_EVERY_S) &&
        atomic_compare_exchange_strong(&logged_s, &last, now.tv_sec))
        hop_log(HOP_WARN,
                "mem.refused bytes=%zu hint=\"no memory for what a client sent\"", bytes);
}

static void *noted(void *memory, size_t bytes)
{
    if (!memory) {
        was_refused = true;
        log_refusal(bytes);
    }
    return memory;
}

void *mem_try_alloc(size_t bytes)
{
    return noted(malloc(at_least_one(bytes)), bytes);
}

void *mem_try_realloc(void *old, size_t bytes)
{
    return noted(realloc(old, at_least_one(bytes)), bytes);
}

void *mem_alloc_mixed(size_t bytes)
{
    return bytes > MEM_LARGE ? mem_try_alloc(bytes) : mem_alloc(bytes);
}

bool mem_was_refused(void)
{
    return was_refused;
}

void mem_refusal_forget(void)
{
    was_refused = false;
}
