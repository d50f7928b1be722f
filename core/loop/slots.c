/*
 * slots.c - tables of handles: see slots.h.
 *
 * Called by: net (connections), engine (sessions), socketio (sockets). Thread: the one loop
 * that owns the table.
 */
#include "core/loop/slots.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

enum { SLOTS_FIRST = 64, SLOTS_MAX = 1 << 24 };
static const uint32_t NO_SLOT = UINT32_MAX;

void slots_init(struct slots *slots, unsigned shard)
{
    memset(slots, 0, sizeof *slots);
    slots->free_head = NO_SLOT;
    slots->shard = (uint8_t)shard;
}

void slots_done(struct slots *slots)
{
    free(slots->slot);
    slots->slot = NULL;
    slots->n = slots->cap = 0;
}

static bool take_new_slot(struct slots *slots, uint32_t *slot)
{
    if (slots->n == SLOTS_MAX)
        return false;
    if (slots->n == slots->cap) {
        slots->cap = slots->cap ? slots->cap * 2 : SLOTS_FIRST;
        slots->slot = mem_realloc(slots->slot, slots->cap * sizeof *slots->slot);
    }
    *slot = slots->n++;
    slots->slot[*slot] = (struct slot){.generation = 0};
    return true;
}

handle slots_add(struct slots *slots, void *object)
{
    uint32_t slot = slots->free_head;

    assert(object);
    if (slot != NO_SLOT)
        slots->free_head = slots->slot[slot].next_free;
    else if (!take_new_slot(slots, &slot))
        return 0;
    slots->n_used++;
    slots->slot[slot].object = object;
    if (++slots->slot[slot].generation == 0)
        slots->slot[slot].generation = 1; /* 0 would make slot 0 of shard 0 no handle */
    return (uint64_t)slots->shard << 56 | (uint64_t)slot << 32 |
           slots->slot[slot].generation;
}

void *slots_get(const struct slots *slots, handle h)
{
    uint32_t slot = handle_slot(h);

    if (slot >= slots->n || handle_shard(h) != slots->shard ||
        slots->slot[slot].generation != handle_generation(h))
        return NULL;
    return slots->slot[slot].object;
}

void slots_remove(struct slots *slots, handle h)
{
    uint32_t slot = handle_slot(h);

    if (!slots_get(slots, h))
        return;
    slots->slot[slot].object = NULL;
    slots->slot[slot].next_free = slots->free_head;
    slots->free_head = slot;
    slots->n_used--;
}

void *slots_at(const struct slots *slots, uint32_t slot)
{
    return slot < slots->n ? slots->slot[slot].object : NULL;
}
