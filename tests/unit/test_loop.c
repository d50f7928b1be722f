/*
 * test_loop.c - core/loop/loop.c: the turn, and threads that talk through lanes.
 *
 * Most tests run twice: with one loop in all, and with two shards beside logic. Thread:
 * the test's is logic's; functions named `in_shard` run in shard 0's.
 */
#include "core/loop/loop.h"

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/bytes.h"
#include "core/loop/lane.h"
#include "tests/unit/turns.h"

enum { MAX_LANE_BYTES = 65536 };

/* A watch over logic: a test that hangs fails instead. */
static struct event *watchdog;

static void give_up(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fail_msg("no end within %d ms (%s)", DEADLINE_MS, (const char *)arg);
}

static struct loops *start(int n_threads)
{
    const struct timeval deadline = {DEADLINE_MS / 1000, 0};
    struct loops *loops = loops_new(n_threads, MAX_LANE_BYTES);
    static char name[] = "loop_run";

    watchdog = evtimer_new(loops->logic->base, give_up, name);
    evtimer_add(watchdog, &deadline);
    loops_start(loops);
    return loops;
}

static void stop_this(struct loop *loop, void *payload)
{
    (void)payload;
    loop_stop(loop);
}

static void stop_loop(void *loop)
{
    loop_stop(loop);
}

/* Logic has run to its end: stop the shards, wait, deliver the rest. */
static void finish(struct loops *loops)
{
    event_free(watchdog);
    for (unsigned i = 0; i + 1 < loops->n_loops; i++)
        assert_int_equal(loop_post(loops->loop[i], stop_loop, loops->loop[i]), 0);
    loops_join(loops);
    loops_drain(loops);
    loops_free(loops);
}

/* ---- order ---- */

enum { N_MESSAGES = 20000 };

struct numbered {
    unsigned number;
    char filler[20];
};

static unsigned n_echoed;

static void back_in_logic(struct loop *logic, void *payload)
{
    const struct numbered *message = payload;

    assert_int_equal(message->number, n_echoed);
    assert_true(loop_is_mine(logic));
    if (++n_echoed == N_MESSAGES)
        loop_stop(logic);
}

static void echo_in_shard(struct loop *shard, void *payload)
{
    struct numbered *back =
        loop_send(shard, shard->loops->logic, back_in_logic, sizeof *back, 0);

    assert_true(loop_is_mine(shard));
    memcpy(back, payload, sizeof *back);
}

static void messages_come_back_in_order(int n_threads)
{
    struct loops *loops = start(n_threads);

    n_echoed = 0;
    for (unsigned i = 0; i < N_MESSAGES; i++) {
        struct numbered *message =
            loop_send(loops->logic, loops->loop[0], echo_in_shard, sizeof *message, 0);

        *message = (struct numbered){.number = i};
    }
    loop_run(loops->logic);
    assert_int_equal(n_echoed, N_MESSAGES);
    finish(loops);
}

static void lanes_keep_their_order_on_one_loop(void **state)
{
    (void)state;
    messages_come_back_in_order(0);
}

static void lanes_keep_their_order_between_threads(void **state)
{
    (void)state;
    messages_come_back_in_order(2);
}

/* ---- wake-ups ---- */

static unsigned hops;

/* logic -> shard 0 -> shard 1 -> logic ...: each loop is asleep when its turn comes. */
static void hop_on(struct loop *loop, void *payload)
{
    unsigned next = (loop->index + 1) % loop->loops->n_loops;

    (void)payload;
    if (loop == loop->loops->logic && ++hops == 500) {
        loop_stop(loop);
        return;
    }
    loop_send(loop, loop->loops->loop[next], hop_on, 0, 0);
}

static void a_message_wakes_a_loop_that_sleeps(void **state)
{
    static const int threads[] = {0, 1, 2};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct loops *loops = start(threads[i]);

        hops = 0;
        loop_send(loops->logic, loops->logic, hop_on, 0, 0);
        loop_run(loops->logic);
        assert_int_equal(hops, 500);
        finish(loops);
    }
}

/* ---- posts from threads that have no loop ---- */

enum { POSTERS = 3, POSTS = 2000 };

struct poster {
    pthread_t thread;
    struct loop *to;
    unsigned n_run; /* in `to` */
};

struct one_post {
    struct poster *poster;
    unsigned number;
};

static unsigned n_posters_done;

static void run_post_in_logic(void *arg)
{
    struct one_post *post = arg;

    assert_int_equal(post->number, post->poster->n_run++);
    assert_true(loop_is_mine(post->poster->to));
    if (post->poster->n_run == POSTS && ++n_posters_done == POSTERS)
        loop_stop(post->poster->to);
}

static void *post_many(void *arg)
{
    struct poster *poster = arg;
    static struct one_post post[POSTERS][POSTS];
    static atomic_uint n_threads;
    unsigned me = atomic_fetch_add(&n_threads, 1) % POSTERS;

    for (unsigned i = 0; i < POSTS; i++) {
        post[me][i] = (struct one_post){poster, i};
        if (loop_post(poster->to, run_post_in_logic, &post[me][i]) < 0)
            return arg;
    }
    return NULL;
}

static void posts_from_any_thread_run_in_the_loop_each_in_order(void **state)
{
    struct loops *loops = start(2);
    struct poster poster[POSTERS] = {0};
    void *failed;

    (void)state;
    n_posters_done = 0;
    for (int i = 0; i < POSTERS; i++) {
        poster[i].to = loops->logic;
        pthread_create(&poster[i].thread, NULL, post_many, &poster[i]);
    }
    loop_run(loops->logic);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(poster[i].thread, &failed);
        assert_null(failed);
        assert_int_equal(poster[i].n_run, POSTS);
    }
    finish(loops);
}

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

/* Where the start has failed, no loop has ever run. */
static void nothing_is_posted_to_loops_that_were_shut(void **state)
{
    struct loops *loops = loops_new(1, MAX_LANE_BYTES);
    int n = 0;

    (void)state;
    assert_int_equal(loop_post(loops->logic, count, &n), 0);
    loops_shut(loops);
    assert_int_equal(loop_post(loops->logic, count, &n), -1);
    assert_int_equal(loop_post(loops->loop[0], count, &n), -1);
    loops_drain(loops);
    assert_int_equal(n, 1); /* what came before is not lost */
    loops_free(loops);
}

static void a_post_that_was_taken_runs_though_the_loop_stops(void **state)
{
    struct loops *loops = start(0);
    unsigned n = 0;

    (void)state;
    loop_send(loops->logic, loops->logic, stop_this, 0, 0);
    assert_int_equal(loop_post(loops->logic, count, &n), 0);
    loop_run(loops->logic);
    assert_int_equal(loop_post(loops->logic, count, &n), -1); /* refused: it has ended */
    finish(loops);
    assert_int_equal(n, 1);
}

/* ---- the turn ---- */

static char trace[64];

static void note(char c)
{
    size_t n = strlen(trace);

    assert_true(n + 1 < sizeof trace);
    trace[n] = c;
    trace[n + 1] = '\0';
}

static void on_pack(void *arg)
{
    (void)arg;
    note('P');
}

static void on_flush(void *arg)
{
    (void)arg;
    note('F');
}

static void on_free(void *arg)
{
    note('D');
    loop_stop(arg);
}

static void in_lane(struct loop *loop, void *payload)
{
    const unsigned *depth = payload;
    unsigned *next;

    note((char)('0' + *depth));
    if (*depth == 3)
        return;
    next = loop_send(loop, loop, in_lane, sizeof *next, 0);
    *next = *depth + 1;
}

static void on_timer_due(struct timer_node *node)
{
    (void)node;
    note('T');
}

static void a_turn_is_timers_then_lanes_then_pack_flush_free(void **state)
{
    struct loops *loops = loops_new(0, MAX_LANE_BYTES);
    struct loop *loop = loops->logic;
    struct timer_node node = {0};
    struct timer_list list;

    (void)state;
    trace[0] = '\0';
    timer_list_init(&list, loop, 1000, on_timer_due);
    timer_start_at(&list, &node, 1);
    loop_on_stage(loop, LOOP_FREE, on_free, loop);
    loop_on_stage(loop, LOOP_FLUSH, on_flush, NULL);
    loop_on_stage(loop, LOOP_PACK, on_pack, NULL);
    *(unsigned *)loop_send(loop, loop, in_lane, sizeof(unsigned), 0) = 0;
    loop_run(loop);
    assert_string_equal(trace, "T0123PFD");
    timer_list_done(&list);
    loops_free(loops);
}

static void what_left_its_stage_is_not_called(void **state)
{
    struct loops *loops = loops_new(0, MAX_LANE_BYTES);
    struct loop *loop = loops->logic;
    int gone, stays;

    (void)state;
    trace[0] = '\0';
    loop_on_stage(loop, LOOP_PACK, on_pack, &gone);
    loop_on_stage(loop, LOOP_PACK, on_flush, &stays);
    loop_off_stage(loop, LOOP_PACK, on_pack, &stays); /* is no hook */
    loop_off_stage(loop, LOOP_PACK, on_pack, &gone);
    loops_drain(loops);
    assert_string_equal(trace, "F");
    loops_free(loops);
}

static void in_next_turn(struct loop *loop, void *payload)
{
    const unsigned *n_more = payload;

    note((char)('0' + *n_more));
    if (*n_more > 0)
        *(unsigned *)loop_send_next_turn(loop, in_next_turn, sizeof(unsigned)) =
            *n_more - 1;
}

static void note_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    note('E');
}

/* Once a turn, which does not wait, and the events come in between. */
static void what_is_put_off_comes_once_a_turn(void **state)
{
    struct loops *loops = loops_for_turns();
    struct loop *loop = loops->logic;
    struct event *event;
    int fd[2];

    (void)state;
    trace[0] = '\0';
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(write(fd[1], "x", 1), 1); /* stays readable */
    event = event_new(loop->base, fd[0], EV_READ | EV_PERSIST, note_event, NULL);
    event_add(event, NULL);
    for (int i = 0; i < 2; i++)
        *(unsigned *)loop_send_next_turn(loop, in_next_turn, sizeof(unsigned)) = 2;
    for (int i = 0; i < 4; i++)
        turn(loop);
    assert_string_equal(trace, "22E11E00EE");
    event_del(event);
    *(unsigned *)loop_send_next_turn(loop, in_next_turn, sizeof(unsigned)) = 9;
    trace[0] = '\0';
    loops_drain(loops); /* the end of all of it */
    assert_string_equal(trace, "9876543210");
    event_free(event);
    close(fd[0]);
    close(fd[1]);
    loops_free(loops);
}

static size_t n_at_once;
static int work_ms; /* of what input leads to */

static void work(struct loop *loop, void *payload)
{
    in_lane(loop, payload);
    poll(NULL, 0, work_ms);
}

static void take_input(evutil_socket_t fd, short what, void *arg)
{
    char byte;

    (void)what;
    assert_int_equal(read(fd, &byte, 1), 1);
    note('E');
    *(unsigned *)loop_send(arg, arg, work, sizeof(unsigned), 0) = 3;
    loop_take(arg, n_at_once);
}

/* Four descriptors are readable in one turn of libevent's. */
static void expect_parts(size_t n, const char *expected)
{
    struct loops *loops = loops_for_turns();
    struct loop *loop = loops->logic;
    struct event *event[4];
    int fd[4][2];

    trace[0] = '\0';
    n_at_once = n;
    loop_on_stage(loop, LOOP_FLUSH, on_flush, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pipe(fd[i]), 0);
        assert_int_equal(write(fd[i][1], "x", 1), 1);
        event[i] = event_new(loop->base, fd[i][0], EV_READ, take_input, loop);
        event_add(event[i], NULL);
    }
    turn(loop);
    assert_string_equal(trace, expected);
    for (int i = 0; i < 4; i++) {
        event_free(event[i]);
        close(fd[i][0]);
        close(fd[i][1]);
    }
    loops_free(loops);
}

static void a_turn_that_has_taken_much_is_carried_out_in_parts(void **state)
{
    (void)state;
    expect_parts(100, "EEEE3333F");
    expect_parts(LOOP_PART_BYTES / 2, "EE33FEE33FF");
    expect_parts(LOOP_PART_BYTES, "E3FE3FE3FE3FF");
}

/* Timers, and all who are not ready for reading, wait for the turn's end. */
static void all_parts_of_a_turn_have_one_time(void **state)
{
    (void)state;
    work_ms = 30;
    expect_parts(LOOP_PART_BYTES, "E3FEEE333F");
    work_ms = 0;
}

static unsigned n_chats;

static void chat_for_ever(struct loop *loop, void *payload)
{
    (void)payload;
    n_chats++;
    loop_send(loop, loop, chat_for_ever, 0, 0);
}

static void stop_on_byte(evutil_socket_t fd, short what, void *arg)
{
    char byte;

    (void)what;
    assert_int_equal(read(fd, &byte, 1), 1);
    loop_stop(arg);
}

static void a_loop_that_talks_to_itself_for_ever_still_serves_descriptors(void **state)
{
    struct loops *loops = start(0);
    struct event *event;
    int fd[2];

    (void)state;
    n_chats = 0;
    assert_int_equal(pipe(fd), 0);
    event = event_new(loops->logic->base, fd[0], EV_READ, stop_on_byte, loops->logic);
    event_add(event, NULL);
    assert_int_equal(write(fd[1], "x", 1), 1);
    loop_send(loops->logic, loops->logic, chat_for_ever, 0, 0);
    loop_run(loops->logic);
    assert_true(n_chats > 0 && n_chats <= 16 * 3); /* rounds of a turn, a few turns */
    event_free(event);
    close(fd[0]);
    close(fd[1]);
    event_free(watchdog);
    loops_free(loops); /* the next chat lies in the lane: released unrun */
}

static void what_was_sent_before_the_start_is_delivered(void **state)
{
    struct loops *loops = loops_new(1, MAX_LANE_BYTES);

    (void)state;
    loop_send(loops->loop[0], loops->logic, stop_this, 0, 0);
    loops_start(loops); /* shard 0 publishes at the end of its first turn */
    loop_run(loops->logic);
    loop_post(loops->loop[0], stop_loop, loops->loop[0]);
    loops_join(loops);
    loops_free(loops);
}

static void stop_and_send(struct loop *loop, void *payload)
{
    unsigned *depth = loop_send(loop, loop->loops->loop[0], in_lane, sizeof *depth, 0);

    (void)payload;
    *depth = 3;
    loop_stop(loop);
}

static void draining_delivers_what_lies_in_the_lanes_after_the_end(void **state)
{
    struct loops *loops = loops_new(2, MAX_LANE_BYTES);

    (void)state;
    trace[0] = '\0';
    for (unsigned i = 0; i < loops->n_loops; i++)
        loop_send(loops->loop[i], loops->loop[i], stop_and_send, 0, 0);
    loops_start(loops);
    loop_run(loops->logic);
    loops_join(loops);
    loops_drain(loops);
    assert_string_equal(trace, "333");
    loops_free(loops);
}

static void stop_from_post(void *arg)
{
    note('p');
    loop_stop(arg);
}

static struct loop *stopped_by_timer;

static void stop_from_timer(struct timer_node *node)
{
    (void)node;
    note('t');
    loop_stop(stopped_by_timer);
}

static void a_loop_can_be_stopped_from_any_callback(void **state)
{
    struct loops *loops;
    struct timer_list list;
    struct timer_node node = {0};

    (void)state;
    trace[0] = '\0';
    loops = start(0);
    loop_send(loops->logic, loops->logic, stop_this, 0, 0);
    loop_run(loops->logic);
    finish(loops);

    loops = start(0);
    loop_post(loops->logic, stop_from_post, loops->logic);
    loop_run(loops->logic);
    finish(loops);

    loops = start(0);
    timer_list_init(&list, loops->logic, 1, stop_from_timer);
    stopped_by_timer = loops->logic;
    timer_start(&list, &node);
    loop_run(loops->logic);
    timer_list_done(&list);
    finish(loops);
    assert_string_equal(trace, "pt");
}

static void kept_bytes_live_until_the_turn_ends(void **state)
{
    struct loops *loops = loops_for_turns();
    struct bytes *bytes[100];

    (void)state;
    for (int i = 0; i < 100; i++) {
        bytes[i] = bytes_copy("kept", 4);
        bytes_ref(bytes[i], 1);
        loop_keep_bytes(loops->logic, bytes[i]);
        assert_int_equal(atomic_load(&bytes[i]->refs), 2);
    }
    turn(loops->logic);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(atomic_load(&bytes[i]->refs), 1);
        bytes_unref(bytes[i]);
    }
    loop_keep_bytes(loops->logic, bytes_copy("released with the loop", 22));
    loops_free(loops);
}

static void the_clock_stands_still_within_a_turn(void **state)
{
    struct loops *loops = loops_for_turns();
    uint64_t now_ms;

    (void)state;
    turn(loops->logic);
    now_ms = loop_now(loops->logic);
    poll(NULL, 0, 3);
    assert_true(loop_now(loops->logic) == now_ms);
    turn(loops->logic);
    assert_true(loop_now(loops->logic) > now_ms);
    assert_true(loop_now(loops->logic) <= clock_ms());
    loops_free(loops);
}

/* ---- back-pressure ---- */

enum { FLOOD_RECORDS = 3000, RECORD_WEIGHT = 1000 };

struct flood {
    struct loop *from, *to;
    bool (*is_full)(struct loop *from, struct loop *to);
    unsigned n_sent, n_arrived, n_stops, n_reliefs;
    bool is_stopped;
};

static struct flood flood;

static void flood_arrived(struct loop *loop, void *payload)
{
    (void)payload;
    if (++flood.n_arrived == FLOOD_RECORDS)
        loop_stop(loop);
}

/* Send until the lane is full, as a shard does that reads; in `from`. */
static void send_some(void)
{
    while (flood.n_sent < FLOOD_RECORDS) {
        if (flood.is_full(flood.from, flood.to)) {
            flood.n_stops++;
            flood.is_stopped = true;
            return;
        }
        loop_send(flood.from, flood.to, flood_arrived, 0, RECORD_WEIGHT);
        flood.n_sent++;
    }
}

static void on_relief(void *arg)
{
    assert_ptr_equal(arg, &flood);
    if (!flood.is_stopped)
        return;
    flood.is_stopped = false;
    flood.n_reliefs++;
    send_some();
}

static void begin_flood(struct loop *loop, void *payload)
{
    (void)payload;
    assert_ptr_equal(loop, flood.from);
    send_some();
}

static void a_full_lane_stops_its_sender_until_relief(int n_threads,
                                                      bool (*is_full)(struct loop *from,
                                                                      struct loop *to))
{
    struct loops *loops = loops_new(n_threads, MAX_LANE_BYTES);
    const struct timeval deadline = {DEADLINE_MS / 1000, 0};
    static char name[] = "relief";

    flood =
        (struct flood){.from = loops->loop[0], .to = loops->logic, .is_full = is_full};
    watchdog = evtimer_new(loops->logic->base, give_up, name);
    evtimer_add(watchdog, &deadline);
    loop_on_relief(flood.from, on_relief, &flood);
    loops_start(loops);
    loop_send(loops->logic, flood.from, begin_flood, 0, 0);
    loop_run(loops->logic); /* hangs when a relief is lost */
    assert_int_equal(flood.n_arrived, FLOOD_RECORDS);
    finish(loops);
    assert_true(flood.n_stops > 3);
    assert_int_equal(flood.n_reliefs, flood.n_stops);
}

static void congestion_is_relieved_on_one_loop(void **state)
{
    (void)state;
    a_full_lane_stops_its_sender_until_relief(0, loop_is_congested);
    a_full_lane_stops_its_sender_until_relief(0, loop_is_behind);
}

static void congestion_is_relieved_between_threads(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        a_full_lane_stops_its_sender_until_relief(2, loop_is_congested);
        a_full_lane_stops_its_sender_until_relief(2, loop_is_behind);
    }
}

static void a_loop_is_mine_in_its_own_thread_only(void **state)
{
    struct loops *loops = start(1);

    (void)state;
    assert_true(loop_is_mine(loops->logic)); /* does not run yet: the starter's */
    loop_send(loops->logic, loops->logic, stop_this, 0, 0);
    loop_run(loops->logic);
    loop_post(loops->loop[0], stop_loop, loops->loop[0]);
    loops_join(loops);
    assert_true(loop_is_mine(loops->loop[0]));
    event_free(watchdog);
    loops_free(loops);
    loops_free(NULL);
}

/* ---- a long inbox ---- */

enum { N_SLOW = 200, SLOW_BYTES = 8000 };

static unsigned n_slow;

static void work_slowly(struct loop *loop, void *payload)
{
    (void)loop;
    assert_int_equal(*(unsigned *)payload, n_slow); /* order survives the pauses */
    n_slow++;
    poll(NULL, 0, 2);
}

static void a_long_inbox_does_not_hold_a_turn(void **state)
{
    struct loops *loops = loops_for_turns();
    unsigned n_turns = 0;

    (void)state;
    n_slow = 0;
    for (unsigned i = 0; i < N_SLOW; i++)
        *(unsigned *)loop_send(loops->logic, loops->logic, work_slowly, SLOW_BYTES, 0) =
            i;
    for (; n_slow < N_SLOW; n_turns++) {
        unsigned before = n_slow;

        turn(loops->logic);
        assert_true(n_slow > before);
    }
    assert_true(n_turns > 2);
    loops_free(loops);
}

static unsigned n_spread;

static void take_nothing(struct loop *loop, void *payload)
{
    (void)loop;
    (void)payload;
}

static void spread(struct loop *logic, void *payload)
{
    (void)payload;
    n_spread++;
    loop_send(logic, logic->loops->loop[0], take_nothing, 0, MAX_LANE_BYTES);
}

/* So that the shards' own lanes fill, and they stop reading. */
static void logic_takes_no_more_while_a_shard_is_behind(void **state)
{
    struct loops *loops = loops_new(1, MAX_LANE_BYTES);
    struct loop *shard = loops->loop[0], *logic = loops->logic;

    (void)state;
    n_spread = 0;
    for (unsigned i = 0; i < 2; i++)
        loop_on_stage(loops->loop[i], LOOP_FREE, stop_after_turn, loops->loop[i]);
    for (unsigned i = 0; i < 3; i++) {
        loop_send(shard, logic, spread, 0, 0);
        lane_publish(logic->in[0]);
        turn(logic);
        assert_int_equal(n_spread, 1);
    }
    turn(shard); /* takes what there was, and says so */
    turn(logic);
    assert_int_equal(n_spread, 3);
    loops_drain(loops);
    loops_free(loops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_keep_their_order_on_one_loop),
        cmocka_unit_test(lanes_keep_their_order_between_threads),
        cmocka_unit_test(a_message_wakes_a_loop_that_sleeps),
        cmocka_unit_test(posts_from_any_thread_run_in_the_loop_each_in_order),
        cmocka_unit_test(a_post_that_was_taken_runs_though_the_loop_stops),
        cmocka_unit_test(nothing_is_posted_to_loops_that_were_shut),
        cmocka_unit_test(a_turn_is_timers_then_lanes_then_pack_flush_free),
        cmocka_unit_test(what_left_its_stage_is_not_called),
        cmocka_unit_test(what_is_put_off_comes_once_a_turn),
        cmocka_unit_test(a_turn_that_has_taken_much_is_carried_out_in_parts),
        cmocka_unit_test(all_parts_of_a_turn_have_one_time),
        cmocka_unit_test(a_loop_that_talks_to_itself_for_ever_still_serves_descriptors),
        cmocka_unit_test(what_was_sent_before_the_start_is_delivered),
        cmocka_unit_test(draining_delivers_what_lies_in_the_lanes_after_the_end),
        cmocka_unit_test(a_loop_can_be_stopped_from_any_callback),
        cmocka_unit_test(kept_bytes_live_until_the_turn_ends),
        cmocka_unit_test(the_clock_stands_still_within_a_turn),
        cmocka_unit_test(congestion_is_relieved_on_one_loop),
        cmocka_unit_test(congestion_is_relieved_between_threads),
        cmocka_unit_test(a_loop_is_mine_in_its_own_thread_only),
        cmocka_unit_test(a_long_inbox_does_not_hold_a_turn),
        cmocka_unit_test(logic_takes_no_more_while_a_shard_is_behind),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
