/*
 * hash.c - the seed of hash.h.
 *
 * Thread: any (written before main() starts).
 */
#include "core/base/hash.h"

#include "core/base/text.h"

uint64_t hash_seed;

/* A constructor, so that reading the seed costs no check in every hash. */
__attribute__((constructor)) static void draw_seed(void)
{
    random_bytes(&hash_seed, sizeof hash_seed);
}
