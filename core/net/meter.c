/*
 * meter.c - how much memory is in use: see meter.h.
 *
 * Called by: pressure.c. Thread: any.
 */
#include "core/net/meter.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAP_MS = 5,    /* between two walks through malloc's lists, */
    OWN_SHARE = 20, /* and this often their own time; of trims too */
    TRIM_MS = 100,  /* between two trims; doubles while they do not help */
    TRIM_MAX_MS = 60000
};

/* Sanitizers bring their own malloc, and valgrind its own without telling. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t ask_heap(void)
{
    struct mallinfo2 info;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

uint64_t meter_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Whether it is this thread's turn to do what is due at *next_ms. */
static bool claim(_Atomic uint64_t *next_ms, uint64_t now_ms, uint64_t wait_ms)
{
    uint64_t next = atomic_load(next_ms);

    return now_ms >= next &&
           atomic_compare_exchange_strong(next_ms, &next, now_ms + wait_ms);
}

/* Between two walks, what has become resident since the last one is added. */
static size_t heap_bytes(struct meter *meter, size_t resident, bool must_be_fresh)
{
    uint64_t started_us = meter_clock_us(), took_us;

    if (__sanitizer_get_current_allocated_bytes) /* its resident set says nothing */
        return ask_heap();
    if (!claim(&meter->heap_ms, started_us / 1000, HEAP_MS) && !must_be_fresh) {
        size_t before = atomic_load(&meter->heap_resident_bytes);

        return atomic_load(&meter->heap_bytes) +
               (resident > before && resident != SIZE_MAX ? resident - before : 0);
    }
    atomic_store(&meter->heap_bytes, ask_heap());
    atomic_store(&meter->heap_resident_bytes, resident);
    took_us = meter_clock_us() - started_us;
    if (took_us * OWN_SHARE > HEAP_MS * 1000)
        atomic_store(&meter->heap_ms, (started_us + took_us * OWN_SHARE) / 1000);
    return atomic_load(&meter->heap_bytes);
}

/* /proc/self/statm: pages in all, then those resident. */
static size_t resident_bytes(const struct meter *meter)
{
    char text[128];
    ssize_t n = pread(meter->statm_fd, text, sizeof text - 1, 0);
    char *second;

    if (n <= 0)
        return SIZE_MAX; /* then ask malloc each time */
    text[n] = '\0';
    second = strchr(text, ' ');
    return second ? strtoul(second, NULL, 10) * meter->page_bytes : SIZE_MAX;
}

/* What was freed but not given back may end us all the same. */
static void trim(struct meter *meter, size_t resident)
{
    unsigned wait_ms = atomic_load(&meter->trim_wait_ms);
    uint64_t started_us = meter_clock_us(), took_us;

    if (!claim(&meter->trim_ms, started_us / 1000, wait_ms))
        return;
    malloc_trim(0);
    took_us = meter_clock_us() - started_us;
    if (resident_bytes(meter) < resident - meter->max_bytes / 16)
        wait_ms = TRIM_MS;
    else if (wait_ms < TRIM_MAX_MS)
        wait_ms *= 2;
    atomic_store(&meter->trim_wait_ms, wait_ms);
    if (took_us * OWN_SHARE > TRIM_MS * 1000)
        atomic_store(&meter->trim_ms, (started_us + took_us * OWN_SHARE) / 1000);
}

void meter_init(struct meter *meter, size_t max_bytes, size_t near_bytes)
{
    meter->max_bytes = max_bytes;
    meter->near_bytes = near_bytes;
    meter->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    meter->page_bytes = (size_t)sysconf(_SC_PAGE_SIZE);
    atomic_init(&meter->heap_ms, 0);
    atomic_init(&meter->trim_ms, 0);
    atomic_init(&meter->heap_bytes, 0);
    atomic_init(&meter->heap_resident_bytes, 0);
    atomic_init(&meter->trim_wait_ms, TRIM_MS);
}

void meter_done(struct meter *meter)
{
    if (meter->statm_fd >= 0)
        close(meter->statm_fd);
    meter->statm_fd = -1;
}

size_t meter_read(struct meter *meter, bool must_be_fresh)
{
    size_t resident = resident_bytes(meter), used;

    if (resident < meter->near_bytes)
        return resident;
    used = heap_bytes(meter, resident, must_be_fresh);
    if (resident > meter->max_bytes && resident != SIZE_MAX && resident > used &&
        resident - used > meter->max_bytes / 8)
        trim(meter, resident);
    return used;
}
