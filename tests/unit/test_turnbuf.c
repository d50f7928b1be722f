/*
 * test_turnbuf.c - core/loop/turnbuf.c: what one turn sends lies side by side.
 */
#include "core/loop/turnbuf.h"

#include <string.h>

#include "core/loop/bytes.h"
#include "tests/unit/turns.h"

static int set_up(void **state)
{
    *state = loops_for_turns();
    return 0;
}

static int tear_down(void **state)
{
    loops_free(*state);
    return 0;
}

/* Append a frame of len bytes, all of them c. */
static size_t append(struct turnbuf *turnbuf, struct loop *loop, char c, size_t len,
                     struct bytes **bytes)
{
    size_t from;
    char *space = turnbuf_append(turnbuf, loop, len, bytes, &from);

    memset(space, c, len);
    return from;
}

static void frames_of_a_turn_lie_side_by_side(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *first, *second;

    assert_int_equal(append(&turnbuf, loop, 'a', 10, &first), 0);
    assert_int_equal(append(&turnbuf, loop, 'b', 20, &second), 10);
    assert_ptr_equal(first, second);
    assert_int_equal(first->len, 30);
    turnbuf_done(&turnbuf, loop);
}

static void offsets_stay_valid_when_the_buffer_grows(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *bytes, *first;
    size_t from[200];

    append(&turnbuf, loop, 'x', 1, &first);
    for (int i = 0; i < 200; i++) {
        from[i] = append(&turnbuf, loop, (char)i, 60, &bytes);
        assert_ptr_equal(bytes, first);
    }
    for (int i = 0; i < 200; i++)
        for (size_t at = 0; at < 60; at++)
            assert_int_equal(first->data[from[i] + at], (char)i);
    turnbuf_done(&turnbuf, loop);
}

static void a_buffer_that_nobody_holds_is_used_again(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *first, *second;

    append(&turnbuf, loop, 'a', 100, &first);
    turnbufs_end_turn(loop);
    assert_false(turnbuf.is_listed);
    assert_int_equal(append(&turnbuf, loop, 'b', 100, &second), 0);
    assert_ptr_equal(first, second);
    turnbuf_done(&turnbuf, loop);
}

static void a_buffer_that_someone_holds_is_let_go_at_the_end_of_the_turn(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *held, *next;

    append(&turnbuf, loop, 'a', 5000, &held);
    append(&turnbuf, loop, 'b', 100, &held);
    bytes_ref(held, 1);
    turnbufs_end_turn(loop);
    assert_null(turnbuf.bytes);
    assert_int_equal(atomic_load(&held->refs), 1);
    assert_int_equal(append(&turnbuf, loop, 'c', 100, &next), 0);
    assert_ptr_not_equal(next, held);
    assert_true(held->cap < 5100 + 256); /* trimmed: a slow reader keeps what it needs */
    assert_int_equal(held->data[4999], 'a');
    assert_int_equal(held->data[5099], 'b');
    bytes_unref(held);
    turnbuf_done(&turnbuf, loop);
}

static void a_large_buffer_does_not_stay(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *bytes;

    append(&turnbuf, loop, 'a', 12000, &bytes);
    turnbufs_end_turn(loop);
    assert_null(turnbuf.bytes);
}

static void
past_16_kib_a_new_block_is_begun_and_the_old_one_lives_until_the_turn_ends(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *first, *second;

    append(&turnbuf, loop, 'a', 10000, &first);
    assert_int_equal(append(&turnbuf, loop, 'b', 10000, &second), 0);
    assert_ptr_not_equal(first, second);
    assert_int_equal(first->data[9999], 'a'); /* nobody took a reference, still there */
    assert_int_equal(second->data[0], 'b');
    turn(loop); /* releases both */
    assert_null(turnbuf.bytes);
}

static void a_frame_over_16_kib_has_a_block_to_itself(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf turnbuf = {0};
    struct bytes *small, *big, *after;

    append(&turnbuf, loop, 's', 10, &small);
    assert_int_equal(append(&turnbuf, loop, 'b', 100000, &big), 0);
    assert_int_equal(append(&turnbuf, loop, 'a', 10, &after), 0);
    assert_ptr_not_equal(small, big);
    assert_ptr_not_equal(big, after);
    assert_int_equal(big->len, 100000);
    assert_int_equal(big->data[99999], 'b');
    turn(loop);
    turnbuf_done(&turnbuf, loop);
}

static void the_holder_of_a_buffer_may_go_within_the_turn(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    struct turnbuf first = {0}, going = {0}, last = {0};
    struct bytes *bytes, *held;

    append(&first, loop, 'f', 10, &bytes);
    append(&going, loop, 'g', 10, &held);
    append(&last, loop, 'l', 10, &bytes);
    turnbuf_done(&going, loop);
    memset(&going, 0xee, sizeof going); /* nothing may look at it any more */
    assert_int_equal(held->data[9], 'g');
    turnbufs_end_turn(loop);
    assert_false(first.is_listed);
    assert_false(last.is_listed);
    turnbuf_done(&first, loop);
    turnbuf_done(&last, loop);
    turnbuf_done(&last, loop); /* twice is as good as once */
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(frames_of_a_turn_lie_side_by_side),
        TEST(offsets_stay_valid_when_the_buffer_grows),
        TEST(a_buffer_that_nobody_holds_is_used_again),
        TEST(a_buffer_that_someone_holds_is_let_go_at_the_end_of_the_turn),
        TEST(a_large_buffer_does_not_stay),
        TEST(past_16_kib_a_new_block_is_begun_and_the_old_one_lives_until_the_turn_ends),
        TEST(a_frame_over_16_kib_has_a_block_to_itself),
        TEST(the_holder_of_a_buffer_may_go_within_the_turn),
    };
#undef TEST

    return cmocka_run_group_tests_name("turnbuf", tests, NULL, NULL);
}
