/*
 * slots.h - handles instead of pointers: {shard, slot, generation} in 64 bits.
 *
 * Handles cross threads and outlive what they name; looking up a stale one gives NULL.
 * Thread: the loop that owns the table; handle_*() any.
 */
#ifndef LOOP_SLOTS_H
#define LOOP_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

typedef uint64_t handle; /* 0 is never one */

static inline unsigned handle_shard(handle h)
{
    return (unsigned)(h >> 56);
}
static inline uint32_t handle_slot(handle h)
{
    return (uint32_t)(h >> 32) & 0xffffff;
}
static inline uint32_t handle_generation(handle h)
{
    return (uint32_t)h;
}

struct slot {
    void *object; /* borrowed; NULL when free */
    uint32_t generation;
    uint32_t next_free;
};

struct slots {
    struct slot *slot; /* owned */
    uint32_t n, cap, free_head, n_used;
    uint8_t shard;
};

void slots_init(struct slots *slots, unsigned shard);
void slots_done(struct slots *slots);
handle slots_add(struct slots *slots, void *object); /* 0 when 2^24 are in use */
void *slots_get(const struct slots *slots, handle h);
void slots_remove(struct slots *slots, handle h);
/* The object in a slot, whatever its generation (to walk all: 0 .. slots->n - 1). */
void *slots_at(const struct slots *slots, uint32_t slot);

#endif
