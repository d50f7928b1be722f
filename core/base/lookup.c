/*
 * lookup.c - linear probing with backward shift on removal: see lookup.h.
 *
 * Called by: core/engine/session.c (session ids), core/socketio/namespace.c (socket ids).
 * Thread: any.
 */
#include "core/base/lookup.h"

#include <stdlib.h>

#include "core/base/mem.h"

enum { LOOKUP_FIRST = 16 };

void lookup_init(struct lookup *lookup, lookup_hash *hash_of)
{
    *lookup = (struct lookup){.hash_of = hash_of};
}

void lookup_done(struct lookup *lookup)
{
    free(lookup->entries);
    lookup->entries = NULL;
    lookup->n = lookup->cap = 0;
}

static void put(struct lookup *lookup, void *object)
{
    uint32_t mask = lookup->cap - 1;
    uint32_t at = lookup->hash_of(object) & mask;

    while (lookup->entries[at])
        at = (at + 1) & mask;
    lookup->entries[at] = object;
}

static void resize(struct lookup *lookup, uint32_t cap)
{
    void **old = lookup->entries;
    uint32_t old_cap = lookup->cap;

    lookup->entries = mem_calloc(cap, sizeof(void *));
    lookup->cap = cap;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i])
            put(lookup, old[i]);
    free(old);
}

void lookup_add(struct lookup *lookup, void *object)
{
    if (lookup->n >= lookup->cap / 4 * 3)
        resize(lookup, lookup->cap ? lookup->cap * 2 : LOOKUP_FIRST);
    put(lookup, object);
    lookup->n++;
}

void *lookup_find(const struct lookup *lookup, uint32_t hash, lookup_match *matches,
                  const void *key)
{
    uint32_t mask = lookup->cap - 1;

    if (lookup->cap == 0)
        return NULL;
    for (uint32_t at = hash & mask; lookup->entries[at]; at = (at + 1) & mask)
        if (matches(lookup->entries[at], key))
            return lookup->entries[at];
    return NULL;
}

/* What follows a hole without a gap moves up, unless it stands where it belongs or before. */
static void close_hole(struct lookup *lookup, uint32_t hole)
{
    uint32_t mask = lookup->cap - 1;

    for (uint32_t at = (hole + 1) & mask; lookup->entries[at]; at = (at + 1) & mask) {
        uint32_t home = lookup->hash_of(lookup->entries[at]) & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            lookup->entries[hole] = lookup->entries[at];
            hole = at;
        }
    }
    lookup->entries[hole] = NULL;
}

void lookup_remove(struct lookup *lookup, const void *object)
{
    uint32_t mask = lookup->cap - 1;
    uint32_t at;

    if (lookup->cap == 0)
        return;
    at = lookup->hash_of(object) & mask;
    while (lookup->entries[at] && lookup->entries[at] != object)
        at = (at + 1) & mask;
    if (!lookup->entries[at])
        return;
    close_hole(lookup, at);
    lookup->n--;
    if (lookup->cap > LOOKUP_FIRST && lookup->n < lookup->cap / 8)
        resize(lookup, lookup->cap / 2);
}
