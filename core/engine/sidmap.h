/*
 * sidmap.h - session ids of one shard: 64 random bits of the sid -> session.
 *
 * The key is already random, so it is its own hash and nobody can aim at one bucket; the
 * caller compares the whole sid. Open addressing, 16 bytes an entry. Thread: shard.
 */
#ifndef ENGINE_SIDMAP_H
#define ENGINE_SIDMAP_H

#include <stdint.h>

struct session;

struct sidmap_entry {
    uint64_t key;
    struct session *session; /* borrowed: NULL when free */
};

struct sidmap {
    struct sidmap_entry *entries; /* owned */
    uint32_t n, cap;              /* cap: 0, or a power of two */
};

void sidmap_done(struct sidmap *map);
/* The key must not be there yet. */
void sidmap_add(struct sidmap *map, uint64_t key, struct session *session);
/* NULL when it is not there. */
struct session *sidmap_get(const struct sidmap *map, uint64_t key);
void sidmap_remove(struct sidmap *map, uint64_t key); /* safe when it is not there */

#endif
