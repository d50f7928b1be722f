/*
 * test_gate.c - core/net/gate.c: connections in all and by address (T47), with addresses
 * that no test could connect from, and shards that leave at the same time.
 */
#include "core/net/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/settings.h"
#include "tests/unit/turns.h"

static struct metrics metrics;

static int64_t n_addresses(void)
{
    struct metrics *all[] = {&metrics};

    return metric_sum(all, 1, METRIC_ADDRESSES);
}

static struct gate *new_gate(int64_t max_connections, int64_t max_per_address)
{
    const struct settings settings = {.max_connections = max_connections,
                                      .max_connections_per_address = max_per_address};

    return gate_new(&settings);
}

/* "1.2.3.4", "2001:db8::1", "" for a peer that is no network's. */
static struct sockaddr_storage peer_of(const char *text)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)&peer;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&peer;

    if (strchr(text, ':')) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)rand()); /* ports differ and do not count */
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
    } else if (*text) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)rand());
        assert_int_equal(inet_pton(AF_INET, text, &in4->sin_addr), 1);
    }
    return peer;
}

static enum gate_verdict enter(struct gate *gate, const char *text)
{
    const struct sockaddr_storage peer = peer_of(text);

    return gate_enter(gate, (const struct sockaddr *)&peer, &metrics);
}

static void leave(struct gate *gate, const char *text)
{
    const struct sockaddr_storage peer = peer_of(text);

    gate_leave(gate, (const struct sockaddr *)&peer, &metrics);
}

/* T47 */
static void so_many_may_be_inside_at_once_and_no_more(void **state)
{
    struct gate *gate = new_gate(3, 0);

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(enter(gate, "192.0.2.1"), GATE_OPEN);
        assert_int_equal(enter(gate, "127.0.0.1"), GATE_OPEN);
        assert_int_equal(enter(gate, "::1"), GATE_OPEN);
        assert_int_equal(gate_connections(gate), 3);
        for (int i = 0; i < 5; i++)
            assert_int_equal(enter(gate, "127.0.0.1"), GATE_FULL);
        leave(gate, "127.0.0.1");
        assert_int_equal(enter(gate, "198.51.100.1"), GATE_OPEN);
        assert_int_equal(enter(gate, "192.0.2.1"), GATE_FULL);
        leave(gate, "198.51.100.1");
        leave(gate, "::1");
        leave(gate, "192.0.2.1");
        assert_int_equal(gate_connections(gate), 0);
        assert_int_equal(n_addresses(), 0);
    }
    gate_free(gate);
}

/* T47: addresses of one row are one place */
static void an_address_has_a_limit_of_its_own(void **state)
{
    static const char *const rows[][3] = {
        {"192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"},
        {"192.0.2.2", "192.0.2.2", "192.0.2.2"},
        {"2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff:ffff:ffff:ffff"},
        {"2001:db8:0:1::1", "2001:db8:0:1:8000::", "2001:db8:0:1::"},
        {"c000:201::", "c000:201::1", "c000:201::2"}, /* the bytes of 192.0.2.1 */
        {"128.0.0.0", "128.0.0.0", "128.0.0.0"},      /* beside loopback, as the next */
        {"126.255.255.255", "126.255.255.255", "126.255.255.255"},
        {"::2", "::2", "::3"},
    };
    const size_t n_rows = sizeof rows / sizeof *rows;
    struct gate *gate = new_gate(0, 2);

    (void)state;
    for (size_t i = 0; i < n_rows; i++) {
        assert_int_equal(enter(gate, rows[i][0]), GATE_OPEN);
        assert_int_equal(enter(gate, rows[i][1]), GATE_OPEN);
        assert_int_equal(enter(gate, rows[i][2]), GATE_ADDRESS_FULL);
        assert_int_equal(n_addresses(), i + 1);
    }
    assert_int_equal(gate_connections(gate), 2 * n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        leave(gate, rows[i][1]);
        assert_int_equal(enter(gate, rows[i][2]), GATE_OPEN);
        assert_int_equal(enter(gate, rows[i][0]), GATE_ADDRESS_FULL);
        leave(gate, rows[i][2]);
        assert_int_equal(n_addresses(), n_rows - i);
        leave(gate, rows[i][0]);
        assert_int_equal(n_addresses(), n_rows - i - 1);
    }
    assert_int_equal(gate_connections(gate), 0);
    gate_free(gate);
}

static void loopback_and_what_has_no_address_are_not_counted_by_address(void **state)
{
    static const char *const free_ones[] = {"127.0.0.1", "127.255.255.255", "::1",
                                            "::ffff:127.0.0.1", ""};
    struct gate *gate = new_gate(0, 1);

    (void)state;
    for (size_t i = 0; i < sizeof free_ones / sizeof *free_ones; i++) {
        for (int n = 0; n < 10; n++)
            assert_int_equal(enter(gate, free_ones[i]), GATE_OPEN);
        assert_int_equal(n_addresses(), 0);
        for (int n = 0; n < 10; n++)
            leave(gate, free_ones[i]);
    }
    assert_int_equal(gate_connections(gate), 0);
    gate_free(gate);
    gate = new_gate(0, 0); /* off: for nobody */
    for (int n = 0; n < 10; n++)
        assert_int_equal(enter(gate, "192.0.2.1"), GATE_OPEN);
    assert_int_equal(n_addresses(), 0);
    for (int n = 0; n < 10; n++)
        leave(gate, "192.0.2.1");
    gate_free(gate);
}

static void a_gate_may_be_freed_while_some_are_inside(void **state)
{
    struct gate *gate = new_gate(0, 2);

    (void)state;
    assert_int_equal(enter(gate, "192.0.2.1"), GATE_OPEN);
    assert_int_equal(enter(gate, "2001:db8::1"), GATE_OPEN);
    gate_free(gate);
    gate_free(NULL);
    memset(&metrics, 0, sizeof metrics);
}

/* ---- shards that leave while shard 0 lets in */

enum { SHARDS = 3, EACH = 20000, PLACES = 500 };

struct shard {
    struct gate *gate;
    pthread_t thread;
    struct metrics metrics;
    int inside[2]; /* a pipe: places of those that are to leave */
};

static struct sockaddr_storage nth_peer(int n)
{
    char text[INET6_ADDRSTRLEN];

    snprintf(text, sizeof text, n % 2 ? "198.18.%d.%d" : "2001:db8:%x:%x::1", n / 250,
             n % 250);
    return peer_of(text);
}

static void *leave_all(void *arg)
{
    struct shard *shard = arg;
    int place;

    while (read(shard->inside[0], &place, sizeof place) == sizeof place) {
        const struct sockaddr_storage peer = nth_peer(place);

        gate_leave(shard->gate, (const struct sockaddr *)&peer, &shard->metrics);
    }
    return NULL;
}

static void counts_stay_right_across_threads(void **state)
{
    struct shard shards[SHARDS];
    struct metrics *all[SHARDS + 1];
    struct gate *gate = new_gate(2000, 7);
    int n_in = 0;

    (void)state;
    memset(shards, 0, sizeof shards);
    for (int i = 0; i < SHARDS; i++) {
        shards[i].gate = gate;
        all[i] = &shards[i].metrics;
        assert_int_equal(pipe(shards[i].inside), 0);
        pthread_create(&shards[i].thread, NULL, leave_all, &shards[i]);
    }
    all[SHARDS] = &metrics;
    for (int i = 0; i < EACH; i++) {
        int place = i % PLACES;
        const struct sockaddr_storage peer = nth_peer(place);

        if (gate_enter(gate, (const struct sockaddr *)&peer, &metrics) != GATE_OPEN)
            continue;
        assert_in_range(gate_connections(gate), 0, 2000);
        n_in++;
        assert_int_equal(write(shards[i % SHARDS].inside[1], &place, sizeof place),
                         sizeof place);
    }
    assert_true(n_in > 0);
    for (int i = 0; i < SHARDS; i++) {
        close(shards[i].inside[1]);
        pthread_join(shards[i].thread, NULL);
        close(shards[i].inside[0]);
    }
    assert_int_equal(gate_connections(gate), 0);
    assert_int_equal(metric_sum(all, SHARDS + 1, METRIC_ADDRESSES), 0);
    gate_free(gate);
    memset(&metrics, 0, sizeof metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_may_be_inside_at_once_and_no_more),
        cmocka_unit_test(an_address_has_a_limit_of_its_own),
        cmocka_unit_test(loopback_and_what_has_no_address_are_not_counted_by_address),
        cmocka_unit_test(a_gate_may_be_freed_while_some_are_inside),
        cmocka_unit_test(counts_stay_right_across_threads),
    };

    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
