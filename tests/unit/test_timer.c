/*
 * test_timer.c - core/loop/timer.c: constant intervals in FIFO lists. The clock is ours
 * where it says `at()`, and the real one in the tests with turns.
 */
#include "core/loop/timer.h"

#include <string.h>

#include "tests/unit/turns.h"

enum { NODES = 6 };

/* What on_due() saw: names of nodes in the order of their calls. */
static struct timer_node node[NODES];
static struct timer_list list, other;
static char calls[64];
static void (*in_callback)(struct timer_node *due);

static void on_due(struct timer_node *due)
{
    size_t n = strlen(calls);

    assert_false(timer_is_running(due));
    assert_true(n + 1 < sizeof calls);
    calls[n] = (char)('a' + (due - node));
    calls[n + 1] = '\0';
    if (in_callback)
        in_callback(due);
}

static int set_up(void **state)
{
    struct loops *loops = loops_for_turns();

    memset(node, 0, sizeof node);
    memset(calls, 0, sizeof calls);
    in_callback = NULL;
    timer_list_init(&list, loops->logic, 100, on_due);
    timer_list_init(&other, loops->logic, 30, on_due);
    *state = loops;
    return 0;
}

static int tear_down(void **state)
{
    struct loops *loops = *state;

    timer_list_done(&list);
    timer_list_done(&other);
    assert_int_equal(metric_of(loops->logic, METRIC_TIMERS), 0);
    assert_true(timers_next_due(loops->logic) == UINT64_MAX);
    loops_free(loops);
    return 0;
}

/* Set the loop's clock, and run what is due. */
static const char *at(struct loops *loops, uint64_t now_ms)
{
    loops->logic->now_ms = now_ms;
    loops->logic->now_is_fresh = true;
    calls[0] = '\0';
    timers_run(loops->logic);
    return calls;
}

static void nodes_are_due_in_the_order_of_their_start(void **state)
{
    at(*state, 1000);
    timer_start(&list, &node[2]);
    at(*state, 1001);
    timer_start(&list, &node[0]);
    timer_start(&list, &node[1]);
    assert_true(timers_next_due(((struct loops *)*state)->logic) == 1100);
    assert_string_equal(at(*state, 1099), "");
    assert_string_equal(at(*state, 1100), "c");
    assert_string_equal(at(*state, 1101), "ab");
    assert_string_equal(at(*state, 9999), "");
}

/* Counted, not named: there are more of them than letters. */
static unsigned n_called;

static void count_call(struct timer_node *due)
{
    (void)due;
    n_called++;
}

static void of_a_crowd_some_are_called_each_turn(void **state)
{
    static struct timer_node crowd[2 * TIMERS_A_TURN + 1];
    struct loops *loops = *state;
    struct timer_list many;

    timer_list_init(&many, loops->logic, 100, count_call);
    at(loops, 1000);
    for (size_t i = 0; i < sizeof crowd / sizeof *crowd; i++)
        timer_start(&many, &crowd[i]);
    timer_start(&list, &node[0]);
    n_called = 0;
    assert_string_equal(at(loops, 1100), "a"); /* other lists have their own turn */
    assert_int_equal(n_called, TIMERS_A_TURN);
    assert_true(timers_next_due(loops->logic) == 1100);
    at(loops, 1100);
    assert_int_equal(n_called, 2 * TIMERS_A_TURN);
    at(loops, 1101);
    assert_int_equal(n_called, 2 * TIMERS_A_TURN + 1);
    timer_list_done(&many);
}

static void a_restarted_node_waits_from_then_on(void **state)
{
    at(*state, 1000);
    timer_start(&list, &node[0]);
    timer_start(&list, &node[1]);
    at(*state, 1050);
    timer_start(&list, &node[0]);
    assert_int_equal(metric_of(((struct loops *)*state)->logic, METRIC_TIMERS), 2);
    assert_string_equal(at(*state, 1100), "b");
    assert_string_equal(at(*state, 1149), "");
    assert_string_equal(at(*state, 1150), "a");
}

static void a_node_may_change_its_list(void **state)
{
    at(*state, 1000);
    timer_start(&list, &node[0]);
    timer_start(&other, &node[0]);
    assert_null(list.head);
    assert_string_equal(at(*state, 1030), "a");
    assert_string_equal(at(*state, 1100), "");
}

static void a_stopped_node_is_never_called(void **state)
{
    at(*state, 1000);
    for (int i = 0; i < 3; i++)
        timer_start(&list, &node[i]);
    timer_stop(&node[1]);
    timer_stop(&node[1]);
    timer_stop(&node[5]); /* never started */
    assert_string_equal(at(*state, 2000), "ac");
}

static void a_jump_of_the_clock_calls_each_node_once(void **state)
{
    at(*state, 1000);
    timer_start(&list, &node[0]);
    timer_start(&other, &node[1]);
    timer_start(&list, &node[2]);
    at(*state, 1000000000);
    assert_int_equal(strlen(calls), 3);
    assert_true(strchr(calls, 'a') < strchr(calls, 'c')); /* of one list: in order */
    assert_string_equal(at(*state, 2000000000), "");
}

static void start_again(struct timer_node *due)
{
    timer_start(&list, due);
}

static void what_a_callback_starts_waits_a_whole_interval(void **state)
{
    in_callback = start_again;
    at(*state, 1000);
    timer_start(&list, &node[0]);
    assert_string_equal(at(*state, 5000), "a"); /* late, but once */
    assert_string_equal(at(*state, 5099), "");
    assert_string_equal(at(*state, 5100), "a");
}

static void stop_the_others(struct timer_node *due)
{
    for (int i = 0; i < NODES; i++)
        if (&node[i] != due)
            timer_stop(&node[i]);
}

static void a_callback_may_stop_nodes_that_are_due_as_well(void **state)
{
    in_callback = stop_the_others;
    at(*state, 1000);
    for (int i = 0; i < 4; i++)
        timer_start(&list, &node[i]);
    timer_start(&list, &node[4]);
    assert_string_equal(at(*state, 2000), "a");
}

static void a_due_time_of_its_own_keeps_the_list_in_order(void **state)
{
    at(*state, 1000);
    timer_start(&list, &node[0]); /* 1100 */
    timer_start_at(&list, &node[1], 1040);
    timer_start_at(&list, &node[2], 1200);
    timer_start_at(&list, &node[3], 1100); /* behind its equal */
    timer_start_at(&list, &node[4], 900);  /* is due already */
    assert_true(timers_next_due(((struct loops *)*state)->logic) == 900);
    assert_string_equal(at(*state, 1000), "e");
    assert_string_equal(at(*state, 1100), "bad");
    assert_string_equal(at(*state, 1199), "");
    assert_string_equal(at(*state, 1200), "c");
}

static void an_interval_of_0_is_one_millisecond(void **state)
{
    struct timer_list zero;

    timer_list_init(&zero, ((struct loops *)*state)->logic, 0, on_due);
    at(*state, 1000);
    timer_start(&zero, &node[0]);
    assert_string_equal(at(*state, 1000), "");
    assert_string_equal(at(*state, 1001), "a");
    timer_list_done(&zero);
}

static void a_list_that_goes_stops_its_nodes(void **state)
{
    struct timer_list going;

    timer_list_init(&going, ((struct loops *)*state)->logic, 10, on_due);
    at(*state, 1000);
    timer_start(&going, &node[0]);
    timer_start(&going, &node[1]);
    timer_start(&list, &node[2]);
    timer_list_done(&going);
    assert_false(timer_is_running(&node[0]));
    assert_string_equal(at(*state, 2000), "c");
}

static bool has_a_call(void *arg)
{
    (void)arg;
    return calls[0] != '\0';
}

static void the_loop_calls_what_is_due_and_never_early(void **state)
{
    struct loop *loop = ((struct loops *)*state)->logic;
    uint64_t started_ms = clock_ms();

    turn(loop);
    timer_start(&list, &node[0]);
    timer_start(&other, &node[1]);
    turns_until(loop, has_a_call, NULL);
    assert_string_equal(calls, "b");
    assert_true(clock_ms() - started_ms >= 30 - 1);
    calls[0] = '\0';
    turns_until(loop, has_a_call, NULL);
    assert_string_equal(calls, "a");
    assert_true(clock_ms() - started_ms >= 100 - 1);
}

static struct loop *waiting;

static void stop_waiting(struct timer_node *due)
{
    (void)due;
    loop_stop(waiting);
}

static void a_loop_that_waits_for_events_wakes_for_a_timer(void **state)
{
    struct loops *loops = loops_new(0, 1 << 20);
    struct timer_list waking;

    (void)state;
    timer_list_init(&waking, loops->logic, 20, on_due);
    waiting = loops->logic;
    in_callback = stop_waiting;
    timer_start(&waking, &node[0]);
    loop_run(loops->logic); /* returns only when the callback has stopped it */
    assert_string_equal(calls, "a");
    timer_list_done(&waking);
    loops_free(loops);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(nodes_are_due_in_the_order_of_their_start),
        TEST(of_a_crowd_some_are_called_each_turn),
        TEST(a_restarted_node_waits_from_then_on),
        TEST(a_node_may_change_its_list),
        TEST(a_stopped_node_is_never_called),
        TEST(a_jump_of_the_clock_calls_each_node_once),
        TEST(what_a_callback_starts_waits_a_whole_interval),
        TEST(a_callback_may_stop_nodes_that_are_due_as_well),
        TEST(a_due_time_of_its_own_keeps_the_list_in_order),
        TEST(an_interval_of_0_is_one_millisecond),
        TEST(a_list_that_goes_stops_its_nodes),
        TEST(the_loop_calls_what_is_due_and_never_early),
        TEST(a_loop_that_waits_for_events_wakes_for_a_timer),
    };
#undef TEST

    return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
