/*
 * sidmap.c - linear probing with backward shift on removal: see sidmap.h.
 *
 * Called by: session.c, handshake.c. Thread: shard.
 */
#include "core/engine/sidmap.h"

#include <stdlib.h>

#include "core/base/mem.h"

enum { SIDMAP_FIRST = 16 };

/* The place of the key, or the free one where it would stand. */
static uint32_t find(const struct sidmap *map, uint64_t key)
{
    uint32_t at = (uint32_t)key & (map->cap - 1);

    while (map->entries[at].session && map->entries[at].key != key)
        at = (at + 1) & (map->cap - 1);
    return at;
}

static void resize(struct sidmap *map, uint32_t cap)
{
    struct sidmap_entry *old = map->entries;
    uint32_t old_cap = map->cap;

    map->entries = mem_calloc(cap, sizeof *map->entries);
    map->cap = cap;
    for (uint32_t i = 0; i < old_cap; i++)
        if (old[i].session)
            map->entries[find(map, old[i].key)] = old[i];
    free(old);
}

void sidmap_done(struct sidmap *map)
{
    free(map->entries);
    *map = (struct sidmap){0};
}

void sidmap_add(struct sidmap *map, uint64_t key, struct session *session)
{
    if (map->n >= map->cap / 4 * 3)
        resize(map, map->cap ? map->cap * 2 : SIDMAP_FIRST);
    map->entries[find(map, key)] = (struct sidmap_entry){key, session};
    map->n++;
}

struct session *sidmap_get(const struct sidmap *map, uint64_t key)
{
    return map->cap ? map->entries[find(map, key)].session : NULL;
}

void sidmap_remove(struct sidmap *map, uint64_t key)
{
    uint32_t mask = map->cap - 1;
    uint32_t hole, at;

    if (!sidmap_get(map, key))
        return;
    hole = find(map, key);
    map->n--;
    /* What follows without a gap moves up, unless it stands where it belongs or before. */
    for (at = (hole + 1) & mask; map->entries[at].session; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)map->entries[at].key & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole].session = NULL;
    if (map->cap > SIDMAP_FIRST && map->n < map->cap / 8)
        resize(map, map->cap / 2);
}
