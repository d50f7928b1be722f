/*
 * test_sidmap.c - the table of session ids (core/engine/sidmap.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/engine/sidmap.h"

enum { N_KEYS = 2000 };

static struct session *fake(uint64_t n)
{
    return (struct session *)(uintptr_t)(n + 1);
}

/* Keys that share few buckets, so that removal has runs to repair. */
static uint64_t key_of(uint64_t n)
{
    return (n % 7) + (n << 32) + n / 7 * 3;
}

static void what_is_added_is_found_until_it_is_removed(void **state)
{
    struct sidmap map = {0};

    (void)state;
    assert_null(sidmap_get(&map, 1));
    sidmap_remove(&map, 1);
    for (uint64_t n = 0; n < N_KEYS; n++)
        sidmap_add(&map, key_of(n), fake(n));
    assert_int_equal(map.n, N_KEYS);
    for (uint64_t n = 0; n < N_KEYS; n += 3)
        sidmap_remove(&map, key_of(n));
    for (uint64_t n = 0; n < N_KEYS; n++)
        assert_ptr_equal(sidmap_get(&map, key_of(n)), n % 3 ? fake(n) : NULL);
    for (uint64_t n = N_KEYS; n-- > 0;)
        sidmap_remove(&map, key_of(n));
    assert_int_equal(map.n, 0);
    assert_true(map.cap <= 32); /* it shrinks again */
    sidmap_done(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_added_is_found_until_it_is_removed),
    };

    return cmocka_run_group_tests_name("sidmap", tests, NULL, NULL);
}
