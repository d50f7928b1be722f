/*
 * test_pressure.c - core/net/pressure.c: the cap on memory (T47), with connections that hold
 * real memory, on two shards that are run turn by turn.
 *
 * The cap is set by what the test's process uses already.
 */
#include "core/net/pressure.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/conn.h"
#include "tests/unit/turns.h"

enum { SHARDS = 2, MAX = 48 << 20, MIB = 1 << 20, ENDS_MAX = 200 };

static const struct settings settings = {.head_timeout_ms = 60000,
                                         .body_timeout_ms = 60000,
                                         .keep_alive_ms = 60000,
                                         .max_queue_bytes = 1 << 20,
                                         .soft_queue_bytes = 1 << 18,
                                         .soft_queue_ms = 60000,
                                         .max_queue_frames = 1000};

struct bench {
    struct loops *loops;
    struct net *net[SHARDS];
    struct pressure *pressure;
};

/* A connection and what it holds. */
struct end {
    struct conn *conn;
    char *memory;
    size_t bytes;
    int peer_fd;
    unsigned n_got;
    bool is_closed;
};

static struct end ends[ENDS_MAX];
static size_t n_ends;

static char *hold(size_t bytes)
{
    char *memory = malloc(bytes);

    assert_non_null(memory);
    for (size_t i = 0; i < bytes; i += 512) /* resident, and not alike */
        memory[i] = (char)i;
    return memory;
}

static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct end *end = conn->user;

    (void)data;
    end->n_got += (unsigned)len;
}

static void on_closed(struct conn *conn, enum conn_end why)
{
    struct end *end = conn->user;

    (void)why;
    free(end->memory);
    end->memory = NULL;
    end->is_closed = true;
}

static size_t held(const struct conn *conn)
{
    return ((const struct end *)conn->user)->bytes;
}

static const struct conn_ops holder_ops = {
    .on_data = on_data, .on_closed = on_closed, .held = held};

static struct end *open_holder(struct bench *bench, size_t bytes)
{
    const struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    struct end *end = &ends[n_ends];
    int fd[2];

    assert_true(n_ends < ENDS_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    *end = (struct end){.memory = hold(bytes), .bytes = bytes, .peer_fd = fd[1]};
    end->conn = conn_new(bench->net[n_ends % SHARDS], fd[0], &peer, &holder_ops, end);
    assert_non_null(end->conn);
    n_ends++;
    return end;
}

static void turn_all(struct bench *bench)
{
    for (unsigned i = 0; i < bench->loops->n_loops; i++)
        turn(bench->loops->loop[i]);
}

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    n_ends = 0;
    malloc_trim(0);
    bench->loops = loops_new(SHARDS, 1 << 20);
    for (unsigned i = 0; i < bench->loops->n_loops; i++)
        loop_on_stage(bench->loops->loop[i], LOOP_FREE, stop_after_turn,
                      bench->loops->loop[i]);
    for (unsigned i = 0; i < SHARDS; i++)
        bench->net[i] = net_new(bench->loops->loop[i], &settings, bench->net);
    bench->pressure = pressure_new(bench->loops, bench->net, MAX);
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    for (unsigned i = 0; i < SHARDS; i++) {
        net_on_collect(bench->net[i], NULL, NULL);
        net_free(bench->net[i]);
    }
    for (size_t i = 0; i < n_ends; i++)
        close(ends[i].peer_fd);
    pressure_free(bench->pressure);
    loops_free(bench->loops);
    free(bench);
    return 0;
}

/* As when a shard's clients have grown; not from what was measured just before. */
static void probe(struct bench *bench)
{
    poll(NULL, 0, 30);
    pressure_probe(bench->pressure, bench->loops->loop[SHARDS - 1]);
}

static bool is_tight(struct bench *bench)
{
    return pressure_is_tight(bench->pressure, bench->loops->loop[0]);
}

/* Probe, and a round to its end if one has begun. */
static void settle(struct bench *bench)
{
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    probe(bench);
    do {
        turn_all(bench);
        assert_true(clock_ms() < deadline_ms);
    } while (pressure_is_full(bench->pressure));
    turn_all(bench); /* those that were paused are read again */
}

static int64_t n_shed(struct bench *bench)
{
    int64_t n = 0;

    for (unsigned i = 0; i < SHARDS; i++)
        n += metric_of(bench->loops->loop[i], METRIC_SHED);
    return n;
}

static size_t n_closed(void)
{
    size_t n = 0;

    for (size_t i = 0; i < n_ends; i++)
        n += ends[i].is_closed;
    return n;
}

static void below_nine_tenths_nothing_happens(void **state)
{
    struct bench *bench = *state;

    for (int i = 0; i < 30; i++) {
        open_holder(bench, MIB);
        if (i % 5 > 0)
            continue;
        settle(bench);
        assert_false(is_tight(bench));
        assert_false(pressure_is_full(bench->pressure));
    }
    assert_int_equal(n_shed(bench), 0);
}

/* One MiB more each: tight comes before the first is closed, and ends by itself. */
static void newcomers_are_refused_before_anybody_is_closed(void **state)
{
    struct bench *bench = *state;
    int n_tight = 0;

    while (n_ends < MAX / MIB * 3 / 4)
        open_holder(bench, MIB);
    while (!n_closed()) {
        open_holder(bench, MIB);
        settle(bench);
        if (!n_closed())
            n_tight += is_tight(bench);
        assert_true(n_ends < MAX / MIB + 1);
    }
    assert_in_range(n_tight, 3, 6); /* 4.8 of them */
    assert_in_range(n_ends, MAX / MIB * 9 / 10, MAX / MIB + 1);
    assert_int_equal(n_shed(bench), n_closed());
    assert_in_range(n_closed(), 8, 13); /* a fifth is free now, 9.6 */
    assert_false(is_tight(bench));
}

static void who_holds_the_most_goes_first_whatever_its_shard(void **state)
{
    static const size_t large = 3 * MIB, small = 256 << 10;
    struct bench *bench = *state;
    size_t n = 0;

    /* Large ones on shard 0 alone, small ones on both. */
    while (n_ends < 20)
        open_holder(bench, n_ends % SHARDS == 0 && n_ends < 16 ? large : small);
    while (!n_closed()) {
        open_holder(bench, small);
        if (n_ends % 4 == 0)
            settle(bench);
    }
    for (size_t i = 0; i < n_ends; i++) {
        if (ends[i].bytes == small)
            assert_false(ends[i].is_closed);
        n += ends[i].is_closed;
    }
    assert_in_range(n, 3, 4); /* 9.6 MiB and what was above the cap */
    assert_int_equal(n_shed(bench), n);
    assert_false(is_tight(bench));
}

/* As with a broadcast that many have queued: it is there once, and counts for each. */
static void one_round_follows_another_where_less_was_freed_than_held(void **state)
{
    struct bench *bench = *state;

    while (n_ends < 20)
        open_holder(bench, 3 * MIB)->bytes *= 4;
    settle(bench);
    assert_in_range(n_closed(), 5, 8); /* 12 MiB above the cap; a round closes 2 */
    assert_int_equal(n_shed(bench), n_closed());
    assert_false(pressure_is_full(bench->pressure));
}

static void while_it_is_full_nobody_is_read(void **state)
{
    struct bench *bench = *state;
    struct end *small[2] = {open_holder(bench, 100), open_holder(bench, 100)};

    for (int i = 0; i < MAX / MIB; i++)
        open_holder(bench, MIB + MIB / 8);
    probe(bench);
    assert_true(pressure_is_full(bench->pressure));
    assert_int_equal(write(small[0]->peer_fd, "x", 1), 1);
    assert_int_equal(write(small[1]->peer_fd, "x", 1), 1);
    turn(bench->loops->loop[1]);
    assert_int_equal(small[1]->n_got, 0);
    assert_true(small[1]->conn->is_paused);
    assert_false(net_holds_input(bench->net[1])); /* excuses nobody's silence */
    settle(bench);
    assert_false(net_holds_input(bench->net[1]));
    for (int i = 0; i < 2; i++) {
        turn_all(bench);
        assert_false(small[i]->is_closed);
        assert_int_equal(small[i]->n_got, 1);
    }
    assert_false(is_tight(bench));
}

/* The server's own memory: closing clients would win nothing, and reading must go on. */
static void what_no_client_holds_closes_nobody(void **state)
{
    struct bench *bench = *state;
    struct end *small = open_holder(bench, 1023);
    char *own = hold(MAX);

    for (int i = 0; i < 3; i++) {
        settle(bench);
        assert_false(small->is_closed);
        assert_true(is_tight(bench));
    }
    assert_int_equal(write(small->peer_fd, "x", 1), 1);
    for (int i = 0; i < 3; i++)
        turn_all(bench);
    assert_int_equal(small->n_got, 1);
    assert_int_equal(n_shed(bench), 0);
    free(own);
    malloc_trim(0);
    settle(bench);
    assert_false(is_tight(bench));
}

/* ---- what is free, but still ours */

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all, pages;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &all, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGE_SIZE);
}

static void memory_that_is_free_again_is_given_back(void **state)
{
    enum { CHUNK = 10000, N_CHUNKS = MAX * 2 / CHUNK };
    static char *chunk[N_CHUNKS];
    struct bench *bench = *state;
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    if (__sanitizer_get_current_allocated_bytes)
        skip(); /* keeps what was freed, to see whether it is used */
    for (int i = 0; i < N_CHUNKS; i++)
        chunk[i] = hold(CHUNK);
    for (int i = 0; i < N_CHUNKS - 1; i++) /* the last one keeps the heap where it is */
        free(chunk[i]);
    assert_true(resident() > MAX);
    while (resident() > MAX) {
        probe(bench);
        assert_false(pressure_is_full(bench->pressure));
        assert_true(clock_ms() < deadline_ms);
    }
    assert_int_equal(n_shed(bench), 0);
    free(chunk[N_CHUNKS - 1]);
}

/* ---- what the layer above holds */

static struct upper {
    char *memory[20];
    size_t n_ended;
} upper;

static void end_upper(void *arg, handle who)
{
    struct upper *it = arg;

    free(it->memory[who]);
    it->memory[who] = NULL;
    it->n_ended++;
}

static void collect_upper(void *arg, struct holders *holders)
{
    struct upper *it = arg;

    for (size_t i = 0; i < 20; i++)
        if (it->memory[i])
            holders_add(holders, &(struct holder){2 * MIB, i, end_upper, it});
}

static void holders_of_the_layer_above_count_too(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < 20; i++)
        upper.memory[i] = hold(2 * MIB);
    net_on_collect(bench->net[1], collect_upper, &upper);
    while (!upper.n_ended) {
        open_holder(bench, MIB / 2);
        settle(bench);
    }
    assert_int_equal(n_closed(), 0);
    assert_in_range(upper.n_ended, 4, 6);
    assert_int_equal(n_shed(bench), upper.n_ended);
    for (size_t i = 0; i < 20; i++)
        free(upper.memory[i]);
}

/* ---- clients that have not joined, each of 1 MiB; a round asks for them once a shard */

static struct crowd {
    char *memory[40];
    size_t n_ended, n; /* those in between are there: the oldest go first */
    unsigned n_rounds;
} crowd;

static size_t end_crowd(void *arg, size_t bytes, unsigned *n)
{
    struct crowd *it = arg;
    size_t freed = 0;

    for (; freed < bytes && it->n_ended < it->n; freed += MIB, ++*n) {
        free(it->memory[it->n_ended]);
        it->memory[it->n_ended++] = NULL;
    }
    return freed;
}

static void collect_crowd(void *arg, struct holders *holders)
{
    struct crowd *it = arg;

    it->n_rounds++;
    holders->idle_bytes = (it->n - it->n_ended) * MIB;
    holders->end_idle = end_crowd;
    holders->idle_arg = it;
}

static void gather(struct bench *bench, size_t n)
{
    crowd = (struct crowd){.n = n};
    for (size_t i = 0; i < n; i++)
        crowd.memory[i] = hold(MIB);
    net_on_collect(bench->net[1], collect_crowd, &crowd);
}

static void disperse(void)
{
    unsigned n = 0;

    end_crowd(&crowd, SIZE_MAX, &n);
}

/* T47: where they are enough, nobody who has joined is closed, whatever he holds. */
static void who_has_not_joined_goes_first(void **state)
{
    struct bench *bench = *state;

    gather(bench, 20);
    while (!crowd.n_ended) {
        open_holder(bench, MIB);
        settle(bench);
        assert_int_equal(n_closed(), 0);
        assert_true(n_ends < MAX / MIB);
    }
    assert_in_range(crowd.n_ended, 8, 13); /* a fifth is free now, 9.6 */
    assert_int_equal(n_shed(bench), crowd.n_ended);
    assert_false(is_tight(bench));
    disperse();
}

static void who_has_not_joined_stays_where_that_is_not_enough(void **state)
{
    struct bench *bench = *state;

    gather(bench, 4);
    while (!n_closed()) {
        open_holder(bench, MIB);
        settle(bench);
        assert_true(n_ends < MAX / MIB);
    }
    assert_int_equal(crowd.n_ended, 0);
    assert_int_equal(n_shed(bench), n_closed());
    disperse();
}

/* Neither is enough: all of both go, once. */
static void what_clients_hold_is_not_enough(void **state)
{
    struct bench *bench = *state;
    char *own = hold(MAX);

    gather(bench, 3);
    for (int i = 0; i < 4; i++)
        open_holder(bench, MIB);
    settle(bench);
    assert_int_equal(n_closed(), 4);
    assert_int_equal(crowd.n_ended, 3);
    assert_int_equal(n_shed(bench), 7);
    free(own);
}

/* T47: every newcomer that is refused asks for a round; it is braked when it wins nothing. */
static void rounds_that_close_nobody_do_not_follow_each_other(void **state)
{
    struct bench *bench = *state;
    struct end *small = open_holder(bench, 1023);
    char *own = hold(MAX / 10 * 9 + MAX / 20);
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;
    uint64_t began_ms;

    gather(bench, 0);
    settle(bench);
    while (!crowd.n_rounds) {
        assert_true(is_tight(bench));
        turn_all(bench);
        assert_true(clock_ms() < deadline_ms);
        poll(NULL, 0, 10);
    }
    began_ms = clock_ms();
    for (int i = 0; i < 100; i++) {
        assert_true(is_tight(bench));
        turn_all(bench);
        poll(NULL, 0, 1);
    }
    assert_in_range(crowd.n_rounds, 1, 1 + (clock_ms() - began_ms) / 5000);
    assert_false(small->is_closed);
    assert_false(pressure_is_full(bench->pressure));
    assert_int_equal(n_shed(bench), 0);
    gather(bench, 0);
    while (clock_ms() < began_ms + 5100) /* then there may be one again */
        poll(NULL, 0, 10);
    assert_true(is_tight(bench));
    for (int i = 0; i < 10; i++)
        turn_all(bench);
    assert_int_equal(crowd.n_rounds, 1);
    free(own);
}

/* ---- when it is measured */

static void clients_that_grow_have_it_measured(void **state)
{
    struct bench *bench = *state;
    struct net *net = bench->net[0];
    struct end *end = open_holder(bench, 100);
    char *own = hold(MAX);
    char data[4096] = {0};
    size_t n_sent = 0;

    assert_int_equal(net->probe_bytes, MAX / 64 / SHARDS);
    poll(NULL, 0, 30);
    while (!pressure_is_full(bench->pressure)) {
        if (write(end->peer_fd, data, sizeof data) > 0)
            n_sent += sizeof data;
        end->conn->net->loop->must_stop = false;
        loop_run(end->conn->net->loop);
        if (pressure_is_full(bench->pressure) || is_tight(bench))
            break;
        assert_true(n_sent < 2 * MAX / 64);
    }
    assert_in_range(n_sent, MAX / 64 / SHARDS / 2, MAX / 64 / SHARDS + 64 * 1024);
    free(own);
}

static void without_a_cap_there_is_none(void **state)
{
    struct bench *bench = *state;

    assert_null(pressure_new(bench->loops, bench->net, 0));
    assert_false(pressure_is_tight(NULL, bench->loops->loop[0]));
    assert_false(pressure_is_full(NULL));
    pressure_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(below_nine_tenths_nothing_happens),
        TEST(newcomers_are_refused_before_anybody_is_closed),
        TEST(who_holds_the_most_goes_first_whatever_its_shard),
        TEST(one_round_follows_another_where_less_was_freed_than_held),
        TEST(while_it_is_full_nobody_is_read),
        TEST(what_no_client_holds_closes_nobody),
        TEST(memory_that_is_free_again_is_given_back),
        TEST(holders_of_the_layer_above_count_too),
        TEST(who_has_not_joined_goes_first),
        TEST(who_has_not_joined_stays_where_that_is_not_enough),
        TEST(what_clients_hold_is_not_enough),
        TEST(rounds_that_close_nobody_do_not_follow_each_other),
        TEST(clients_that_grow_have_it_measured),
        TEST(without_a_cap_there_is_none),
    };

    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
