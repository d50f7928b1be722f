/*
 * lookup.h - objects by a hash that they can tell of themselves: open addressing, 8 bytes an
 * entry, and nothing in the objects.
 *
 * For tables of many small objects; hash.h, which takes more than 56 bytes of each, is the
 * simpler one. The hashes must be such that nobody can aim at one place: random bits, or
 * those of hash_bytes(). Thread: any; a table belongs to one.
 */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t lookup_hash(const void *object);
typedef bool lookup_match(const void *object, const void *key);

struct lookup {
    void **entries;  /* owned; the objects borrowed, NULL where free */
    uint32_t n, cap; /* cap: 0, or a power of two */
    lookup_hash *hash_of;
};

void lookup_init(struct lookup *lookup, lookup_hash *hash_of);
void lookup_done(struct lookup *lookup);
/* One that is not there yet. */
void lookup_add(struct lookup *lookup, void *object);
/* The object of that hash that matches the key, or NULL. */
void *lookup_find(const struct lookup *lookup, uint32_t hash, lookup_match *matches,
                  const void *key);
void lookup_remove(struct lookup *lookup,
                   const void *object); /* safe when it is not there */

#endif
