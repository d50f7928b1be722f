/*
 * test_lookup.c - tables of objects that know their hash (core/base/lookup.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/lookup.h"

enum { N_OBJECTS = 2000 };

static uint32_t objects[N_OBJECTS]; /* each is its own key */

/* Few places, so that removal has runs to repair. */
static uint32_t hash_of(const void *object)
{
    const uint32_t key = *(const uint32_t *)object;

    return key % 7 + key / 7 * 3;
}

static bool matches(const void *object, const void *key)
{
    return *(const uint32_t *)object == *(const uint32_t *)key;
}

static void *find(const struct lookup *lookup, uint32_t key)
{
    return lookup_find(lookup, hash_of(&key), matches, &key);
}

static void what_is_added_is_found_until_it_is_removed(void **state)
{
    struct lookup lookup;

    (void)state;
    lookup_init(&lookup, hash_of);
    assert_null(find(&lookup, 1));
    lookup_remove(&lookup, &objects[1]);
    for (uint32_t n = 0; n < N_OBJECTS; n++) {
        objects[n] = n;
        lookup_add(&lookup, &objects[n]);
    }
    assert_int_equal(lookup.n, N_OBJECTS);
    for (uint32_t n = 0; n < N_OBJECTS; n += 3)
        lookup_remove(&lookup, &objects[n]);
    for (uint32_t n = 0; n < N_OBJECTS; n++)
        assert_ptr_equal(find(&lookup, n), n % 3 ? &objects[n] : NULL);
    for (uint32_t n = N_OBJECTS; n-- > 0;)
        lookup_remove(&lookup, &objects[n]);
    assert_int_equal(lookup.n, 0);
    assert_true(lookup.cap <= 32); /* it shrinks again */
    lookup_done(&lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_found_until_it_is_removed),
    };

    return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
