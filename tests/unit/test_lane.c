/*
 * test_lane.c - core/loop/lane.c: records in blocks, first in, first out.
 */
#include "core/loop/lane.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "tests/unit/turns.h"

static const size_t no_relief[LANE_MARKS];
static unsigned n_run;

/* A payload: its number, and then so many bytes that tell it. */
struct record_test {
    unsigned number;
    unsigned n_bytes;
    unsigned char byte[];
};

static void run_record(struct loop *to, void *payload)
{
    const struct record_test *record = payload;

    (void)to;
    assert_int_equal((uintptr_t)payload % 16, 0);
    assert_int_equal(record->number, n_run);
    for (unsigned i = 0; i < record->n_bytes; i++)
        assert_int_equal(record->byte[i], (unsigned char)(record->number + i));
    n_run++;
}

static void push(struct lane *lane, unsigned number, unsigned n_bytes, size_t weight)
{
    struct record_test *record =
        lane_push(lane, run_record, sizeof *record + n_bytes, weight);

    record->number = number;
    record->n_bytes = n_bytes;
    for (unsigned i = 0; i < n_bytes; i++)
        record->byte[i] = (unsigned char)(number + i);
}

static int set_up(void **state)
{
    *state = lane_new();
    n_run = 0;
    return 0;
}

static int tear_down(void **state)
{
    lane_free(*state);
    return 0;
}

static void records_of_any_size_arrive_in_order(void **state)
{
    static const unsigned sizes[] = {0,    1,    7,    8,     9,     15,   16,
                                     17,   100,  8000, 8151,  8152,  8153, 8168,
                                     8184, 8192, 9000, 65536, 500000};
    enum { N = sizeof sizes / sizeof *sizes };
    struct lane *lane = *state;

    for (unsigned i = 0; i < 10 * N; i++)
        push(lane, i, sizes[i % N], 0);
    assert_true(lane_publish(lane));
    lane_run(lane_take(lane, false), NULL);
    assert_int_equal(n_run, 10 * N);
}

static void nothing_is_seen_before_it_is_published(void **state)
{
    struct lane *lane = *state;

    assert_false(lane_publish(lane));
    push(lane, 0, 10, 0);
    assert_null(lane_take(lane, false));
    assert_true(lane_publish(lane));
    assert_false(lane_publish(lane));
    push(lane, 1, 10, 0);
    lane_run(lane_take(lane, false), NULL);
    assert_int_equal(n_run, 1);
    assert_true(lane_publish(lane));
    lane_run(lane_take(lane, false), NULL);
    assert_int_equal(n_run, 2);
}

static void what_is_published_twice_is_taken_in_one_step(void **state)
{
    struct lane *lane = *state;

    push(lane, 0, 10, 0);
    lane_publish(lane);
    push(lane, 1, 20000, 0);
    lane_publish(lane);
    lane_run(lane_take(lane, false), NULL);
    assert_int_equal(n_run, 2);
    assert_null(lane_take(lane, false));
}

static void a_lane_to_itself_needs_no_publishing(void **state)
{
    struct lane *lane = *state;

    push(lane, 0, 10, 0);
    push(lane, 1, 9000, 0);
    lane_run(lane_take(lane, true), NULL);
    assert_int_equal(n_run, 2);
    assert_null(lane_take(lane, true));
}

static struct lane *pushed_while_run;

static void push_one_more(struct loop *to, void *payload)
{
    (void)to;
    (void)payload;
    push(pushed_while_run, n_run, 1, 0);
}

static void work_may_push_onto_the_lane_it_came_from(void **state)
{
    struct lane *lane = *state;

    pushed_while_run = lane;
    lane_push(lane, push_one_more, 0, 0);
    lane_run(lane_take(lane, true), NULL);
    assert_int_equal(n_run, 0);
    lane_run(lane_take(lane, true), NULL);
    assert_int_equal(n_run, 1);
}

static void the_weight_is_pending_until_it_is_delivered(void **state)
{
    struct lane *lane = *state;
    size_t pending, weight;

    assert_int_equal(lane_pending(lane), 0);
    push(lane, 0, 10, 1000);
    pending = lane_pending(lane);
    assert_true(pending > 1000);
    push(lane, 1, 10, 0);
    assert_true(lane_pending(lane) > pending);
    lane_publish(lane);
    weight = lane_run(lane_take(lane, false), NULL);
    assert_int_equal(weight, lane_pending(lane));
    assert_false(lane_delivered(lane, weight, no_relief)); /* nobody asked */
    assert_int_equal(lane_pending(lane), 0);
}

static void relief_is_told_once_and_only_below_the_mark(void **state)
{
    static const size_t below[LANE_MARKS] = {[LANE_FULL] = 500, [LANE_BEHIND] = 200};
    struct lane *lane = *state;

    push(lane, 0, 0, 1000);
    push(lane, 1, 0, 1000);
    lane_want_relief(lane, LANE_FULL, true);
    assert_false(lane_delivered(lane, 1000, below));
    assert_true(lane_delivered(lane, lane_pending(lane) - 500, below));
    assert_false(lane_delivered(lane, 100, below));
    lane_want_relief(lane, LANE_FULL, true);
    lane_want_relief(lane, LANE_FULL, false);
    assert_false(lane_delivered(lane, 100, below));
    lane_want_relief(lane, LANE_BEHIND, true); /* that of the other has no say */
    assert_false(lane_delivered(lane, lane_pending(lane) - 201, below));
    assert_true(lane_delivered(lane, 1, below));
    lane_want_relief(lane, LANE_FULL, true);
    lane_want_relief(lane, LANE_BEHIND, true);
    assert_true(lane_delivered(lane, 100, below));
    assert_false(lane_delivered(lane, 100, below)); /* one relief for both */
}

static void what_nobody_took_is_released_unrun(void **state)
{
    struct lane *lane = lane_new();

    (void)state;
    push(lane, 0, 10, 0);
    lane_publish(lane);
    push(lane, 1, 20000, 0);
    assert_true(lane_post(lane, run_record, &(struct record_test){.number = 2},
                          sizeof(struct record_test)));
    lane_free(lane);
    lane_free(NULL);
    assert_int_equal(n_run, 0);
}

static void a_shut_lane_takes_no_posts(void **state)
{
    struct lane *lane = *state;
    struct record_test record = {.number = 0};

    assert_true(lane_post(lane, run_record, &record, sizeof record));
    lane_shut(lane);
    assert_false(lane_post(lane, run_record, &record, sizeof record));
    lane_run(lane_take(lane, false), NULL); /* what came before is still there */
    assert_int_equal(n_run, 1);
}

enum { TOTAL = 20000 };

static void *send_many(void *arg)
{
    for (unsigned i = 0; i < TOTAL; i++) {
        push(arg, i, i % 50, 0);
        if (i % 97 == 0)
            lane_publish(arg);
    }
    lane_publish(arg);
    return NULL;
}

static void order_holds_between_two_threads(void **state)
{
    struct lane *lane = *state;
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;
    pthread_t sender;

    assert_int_equal(pthread_create(&sender, NULL, send_many, lane), 0);
    while (n_run < TOTAL && clock_ms() < deadline_ms) {
        lane_delivered(lane, lane_run(lane_take(lane, false), NULL), no_relief);
        sched_yield();
    }
    pthread_join(sender, NULL);
    assert_int_equal(n_run, TOTAL);
    assert_int_equal(lane_pending(lane), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(records_of_any_size_arrive_in_order),
        TEST(nothing_is_seen_before_it_is_published),
        TEST(what_is_published_twice_is_taken_in_one_step),
        TEST(a_lane_to_itself_needs_no_publishing),
        TEST(work_may_push_onto_the_lane_it_came_from),
        TEST(the_weight_is_pending_until_it_is_delivered),
        TEST(relief_is_told_once_and_only_below_the_mark),
        TEST(what_nobody_took_is_released_unrun),
        TEST(a_shut_lane_takes_no_posts),
        TEST(order_holds_between_two_threads),
    };
#undef TEST

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
