/*
 * meter.h - how much memory is in use, for the cap on it (pressure.h): what malloc has
 * given out, or what is resident where that is far from the cap.
 *
 * Thread: any, but for meter_init() and meter_done().
 */
#ifndef NET_METER_H
#define NET_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct meter {
    size_t max_bytes, near_bytes;
    int statm_fd; /* owned; kept: none may be left when it is needed */
    size_t page_bytes;
    _Atomic uint64_t heap_ms, trim_ms;             /* when next */
    atomic_size_t heap_bytes, heap_resident_bytes; /* when it was asked last */
    atomic_uint trim_wait_ms;
};

/* max_bytes: the cap; from near_bytes on malloc is asked. */
void meter_init(struct meter *meter, size_t max_bytes, size_t near_bytes);
void meter_done(struct meter *meter);

/* Bytes in use, a few milliseconds old unless must_be_fresh. Above the cap, it may have
 * malloc give back what was freed. */
size_t meter_read(struct meter *meter, bool must_be_fresh);

uint64_t meter_clock_us(void);

#endif
