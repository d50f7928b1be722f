/*
 * test_slots.c - core/loop/slots.c: handles that are harmless when stale.
 */
#include "core/loop/slots.h"

#include "tests/unit/turns.h"

static int objects[5000];

static void a_handle_finds_its_object(void **state)
{
    struct slots slots;
    handle first, second;

    (void)state;
    slots_init(&slots, 7);
    first = slots_add(&slots, &objects[0]);
    second = slots_add(&slots, &objects[1]);
    assert_true(first != 0 && second != 0 && first != second);
    assert_int_equal(handle_shard(first), 7);
    assert_ptr_equal(slots_get(&slots, first), &objects[0]);
    assert_ptr_equal(slots_get(&slots, second), &objects[1]);
    assert_ptr_equal(slots_at(&slots, handle_slot(second)), &objects[1]);
    assert_int_equal(slots.n_used, 2);
    slots_done(&slots);
}

static void a_handle_is_stale_after_removal_and_stays_so_after_reuse(void **state)
{
    struct slots slots;
    handle old, young;

    (void)state;
    slots_init(&slots, 0);
    old = slots_add(&slots, &objects[0]);
    slots_remove(&slots, old);
    assert_null(slots_get(&slots, old));
    assert_null(slots_at(&slots, handle_slot(old)));
    young = slots_add(&slots, &objects[1]);
    assert_int_equal(handle_slot(young), handle_slot(old));
    assert_null(slots_get(&slots, old));
    slots_remove(&slots, old); /* a stale one removes nothing */
    assert_ptr_equal(slots_get(&slots, young), &objects[1]);
    slots_remove(&slots, young);
    slots_remove(&slots, young);
    assert_int_equal(slots.n_used, 0);
    slots_done(&slots);
}

static void foreign_and_made_up_handles_find_nothing(void **state)
{
    static const handle made_up[] = {
        0, 1, 2, 1ull << 32, 0xffffffffffffffffull, 0x0000ffff00000001ull};
    struct slots ours, theirs;
    handle h;

    (void)state;
    slots_init(&ours, 1);
    slots_init(&theirs, 2);
    h = slots_add(&theirs, &objects[0]);
    slots_add(&ours, &objects[1]);
    assert_null(slots_get(&ours, h));
    for (unsigned i = 0; i < sizeof made_up / sizeof *made_up; i++) {
        assert_null(slots_get(&ours, made_up[i]));
        slots_remove(&ours, made_up[i]);
    }
    assert_int_equal(ours.n_used, 1);
    slots_done(&ours);
    slots_done(&theirs);
}

static void the_first_slot_of_the_first_shard_never_gets_the_handle_0(void **state)
{
    struct slots slots;
    handle h;

    (void)state;
    slots_init(&slots, 0);
    h = slots_add(&slots, &objects[0]);
    assert_true(h != 0);
    slots_remove(&slots, h);
    slots.slot[0].generation = UINT32_MAX; /* after 2^32 - 1 uses */
    h = slots_add(&slots, &objects[0]);
    assert_true(h != 0);
    assert_int_equal(handle_generation(h), 1);
    assert_ptr_equal(slots_get(&slots, h), &objects[0]);
    slots_done(&slots);
}

static void handles_survive_the_growth_of_the_table(void **state)
{
    handle handles[5000];
    struct slots slots;
    int *seen = NULL;
    unsigned n = 0;

    (void)state;
    slots_init(&slots, 3);
    for (int i = 0; i < 5000; i++)
        handles[i] = slots_add(&slots, &objects[i]);
    for (int i = 0; i < 5000; i += 2)
        slots_remove(&slots, handles[i]);
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(slots_get(&slots, handles[i]), i % 2 ? &objects[i] : NULL);
    for (uint32_t slot = 0; slot < slots.n; slot++)
        if ((seen = slots_at(&slots, slot)) != NULL) {
            assert_int_equal((seen - objects) % 2, 1);
            n++;
        }
    assert_int_equal(n, 2500);
    assert_int_equal(slots.n_used, 2500);
    for (int i = 0; i < 5000; i += 2)
        assert_true((handles[i] = slots_add(&slots, &objects[i])) != 0);
    assert_int_equal(slots.n, 5000); /* the free ones were used */
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(slots_get(&slots, handles[i]), &objects[i]);
    slots_done(&slots);
}

static void past_the_end_of_the_table_there_is_nothing(void **state)
{
    struct slots slots;

    (void)state;
    slots_init(&slots, 0);
    assert_null(slots_at(&slots, 0));
    assert_null(slots_at(&slots, UINT32_MAX));
    slots_done(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handle_finds_its_object),
        cmocka_unit_test(a_handle_is_stale_after_removal_and_stays_so_after_reuse),
        cmocka_unit_test(foreign_and_made_up_handles_find_nothing),
        cmocka_unit_test(the_first_slot_of_the_first_shard_never_gets_the_handle_0),
        cmocka_unit_test(handles_survive_the_growth_of_the_table),
        cmocka_unit_test(past_the_end_of_the_table_there_is_nothing),
    };

    return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
