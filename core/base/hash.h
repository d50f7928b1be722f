/*
 * hash.h - uthash as we use it: keyed with XXH3, memory from mem.h. Include this one,
 * never <uthash.h> itself.
 *
 * The seed is drawn once a process, so that nobody who chooses keys (names, rooms,
 * headers) can choose those of one bucket. One seed for all files: a table may be
 * filled in one and read in another. Thread: any (a table itself belongs to one).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/mem.h"

/* Drawn before main() starts; never changes. Defined in hash.c. */
extern uint64_t hash_seed;

static inline unsigned hash_bytes(const void *key, size_t len)
{
    return (unsigned)XXH3_64bits_withSeed(key, len, hash_seed);
}

#define HASH_FUNCTION(key, len, hash) ((hash) = hash_bytes((key), (size_t)(len)))
#define uthash_malloc(bytes) mem_alloc(bytes)
#define uthash_free(memory, bytes) free(memory)
#define uthash_fatal(reason) abort() /* not reached: mem_alloc() does not fail */

#include <uthash.h>

#endif
