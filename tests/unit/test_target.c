/*
 * test_target.c - what is done with all sockets of a target: found, joined, left, closed,
 * while hooks do what they like. Who gets an emit: test_hub.c.
 */
#include "tests/unit/siobench.h"

static struct session *people[16];

/* Joined sessions 1..n dealt to the shards; their sockets have the same numbers. */
static void open_people(unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        people[i] = open_joined((i - 1) % bench.loops->n_shards);
    bench.log_len = 0;
}

static void join(unsigned number, const char *room)
{
    assert_int_equal(hub_join(bench.hub, bench.socket[number], room), 0);
}

static hop_target *to_room(const char *room)
{
    return hub_target_room(bench.hub, "/", room);
}

/* numbers: "1 3 ", ascending. */
static void expect_sockets(hop_target *target, const char *numbers)
{
    size_t n;
    const hop_socket *sockets = hub_target_sockets(target, &n);
    char found[64] = "";
    size_t n_named = 0;

    for (unsigned number = 1; number <= bench.n_sockets; number++)
        for (size_t i = 0; i < n; i++)
            if (sockets[i] == bench.socket[number]) {
                snprintf(found + strlen(found), sizeof found - strlen(found), "%u ",
                         number);
                n_named++;
            }
    assert_int_equal(n, n_named);
    assert_string_equal(found, numbers);
}

static void a_target_is_the_union_once_minus_the_excepted(void **state)
{
    hop_target *target = to_room("nobody's");

    (void)state;
    expect_sockets(target, "");
    open_people(7);
    join(1, "a");
    join(2, "a");
    join(2, "b");
    join(3, "b");
    join(4, "a");
    join(4, "mute");
    join(5, "a");
    target = to_room("a");
    hub_target_add_room(target, "b");
    hub_target_add_room(target, hub_socket_id(bench.hub, bench.socket[1]));
    hub_target_add_room(target, hub_socket_id(bench.hub, bench.socket[6]));
    expect_sockets(target, "1 2 3 4 5 6 ");
    hub_target_except(target, bench.socket[5]);
    hub_target_except_room(target, "mute");
    hub_target_except_room(target, hub_socket_id(bench.hub, bench.socket[6]));
    expect_sockets(target, "1 2 3 ");
    expect_sockets(target, "1 2 3 ");
    hub_leave(bench.hub, bench.socket[2], "a");
    hub_leave(bench.hub, bench.socket[1], "a");
    expect_sockets(target, "1 2 3 "); /* by its id, by the other room */
    expect_sockets(hub_target_all(bench.hub, "/"), "1 2 3 4 5 6 7 ");
    expect_sockets(hub_target_socket(bench.hub, bench.socket[7]), "7 ");
    hub_disconnect(bench.hub, bench.socket[7], HOP_CLOSE_SOCKET);
    expect_sockets(hub_target_socket(bench.hub, bench.socket[7]), "");
    expect_sockets(hub_target_all(bench.hub, "/"), "1 2 3 4 5 6 ");
}

static void look_for_itself(hop_socket socket)
{
    size_t n;

    (void)socket;
    hub_target_sockets(to_room("a"), &n);
    note("%u left\n", (unsigned)n);
}

static void one_that_goes_is_in_no_target(void **state)
{
    (void)state;
    open_people(2);
    join(1, "a");
    join(2, "a");
    bench.log_len = 0;
    bench.on_disconnect = look_for_itself;
    hub_disconnect(bench.hub, bench.socket[1], HOP_CLOSE_SOCKET);
    expect_log("disconnect 1 server namespace disconnect\n1 left\nleave 1 a\n");
}

static void all_of_a_target_join_and_leave(void **state)
{
    (void)state;
    open_people(3);
    join(1, "a");
    join(2, "a");
    bench.log_len = 0;
    assert_int_equal(hub_target_join(to_room("a"), "b"), 2);
    expect_sockets(to_room("b"), "1 2 ");
    assert_int_equal(hub_target_join(hub_target_all(bench.hub, "/"), ""), 0);
    assert_int_equal(hub_target_leave(hub_target_all(bench.hub, "/"), "a"), 2);
    assert_int_equal(hub_target_leave(to_room("b"), "b"), 2);
    expect_log("join 1 b\njoin 2 b\nleave 1 a\nleave 2 a\nleave 1 b\nleave 2 b\n");
}

/* Whoever joins last is closed with all others, from inside the walk. */
static hop_target *walked;
static void close_all(hop_socket socket, const char *room)
{
    size_t n;

    (void)socket;
    (void)room;
    bench.on_join = NULL;
    hub_target_sockets(walked, &n); /* of the very target that is walked */
    assert_int_equal(n, 5);
    assert_int_equal(hub_target_disconnect(walked, HOP_CLOSE_TRANSPORT), 5);
}

static void a_hook_may_end_the_walk_that_called_it(void **state)
{
    (void)state;
    open_people(5);
    walked = hub_target_all(bench.hub, "/");
    bench.on_join = close_all;
    assert_int_equal(hub_target_join(walked, "a"), 1);
    assert_int_equal(bench_metric(METRIC_SOCKETS), 0);
    assert_int_equal(bench_metric(METRIC_ROOMS), 0);
}

static void all_of_a_target_are_disconnected(void **state)
{
    (void)state;
    open_people(4);
    join(1, "a");
    join(2, "a");
    assert_int_equal(hub_target_disconnect(to_room("a"), HOP_CLOSE_SOCKET), 2);
    assert_int_equal(hub_target_disconnect(to_room("a"), HOP_CLOSE_SOCKET), 0);
    pump();
    expect_got(people[1], "1\n");
    expect_got(people[2], "1\n");
    expect_got(people[3], "");
    assert_true(people[1]->is_open);
    assert_int_equal(
        hub_target_disconnect(hub_target_all(bench.hub, "/"), HOP_CLOSE_TRANSPORT), 2);
    pump();
    assert_false(people[3]->is_open);
}

static void the_rooms_of_a_socket_can_be_listed(void **state)
{
    const hop_socket *socket = &bench.socket[1];

    (void)state;
    open_people(1);
    assert_string_equal(hub_socket_room(bench.hub, *socket, 0),
                        hub_socket_id(bench.hub, *socket));
    assert_null(hub_socket_room(bench.hub, *socket, 1));
    join(1, "a");
    join(1, "b");
    assert_string_equal(hub_socket_room(bench.hub, *socket, 1), "a");
    assert_string_equal(hub_socket_room(bench.hub, *socket, 2), "b");
    hub_leave(bench.hub, *socket, "a");
    assert_string_equal(hub_socket_room(bench.hub, *socket, 1), "b");
    assert_null(hub_socket_room(bench.hub, *socket, 2));
    assert_null(hub_socket_room(bench.hub, HOP_NO_SOCKET, 0));
}

static void read_data(hop_socket socket)
{
    note("nick %s\n",
         json_string_value(json_object_get(hub_socket_data(bench.hub, socket), "nick")));
}

static void the_data_of_a_socket_lives_as_long_as_it(void **state)
{
    json_t *data;

    (void)state;
    open_people(2);
    data = hub_socket_data(bench.hub, bench.socket[1]);
    assert_true(json_is_object(data));
    assert_int_equal(json_object_size(data), 0);
    json_object_set_new(data, "nick", json_string("ann"));
    assert_ptr_equal(hub_socket_data(bench.hub, bench.socket[1]), data);
    assert_ptr_not_equal(hub_socket_data(bench.hub, bench.socket[2]), data);
    bench.on_disconnect = read_data;
    hub_disconnect(bench.hub, bench.socket[1], HOP_CLOSE_SOCKET);
    expect_log("disconnect 1 server namespace disconnect\nnick ann\n");
    assert_null(hub_socket_data(bench.hub, bench.socket[1]));
    bench.on_disconnect = NULL;
}

static void nobody_is_no_list(void **state)
{
    hop_target *target;
    size_t n = 1;

    (void)state;
    open_people(1);
    join(1, "a");
    target = to_room("a");
    assert_non_null(hub_target_sockets(target, &n));
    hub_leave(bench.hub, bench.socket[1], "a");
    assert_null(hub_target_sockets(target, &n));
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_target_is_the_union_once_minus_the_excepted),
        ON_BOTH(one_that_goes_is_in_no_target),
        ON_BOTH(all_of_a_target_join_and_leave),
        ON_BOTH(a_hook_may_end_the_walk_that_called_it),
        ON_BOTH(all_of_a_target_are_disconnected),
        ON_BOTH(nobody_is_no_list),
        ON_BOTH(the_rooms_of_a_socket_can_be_listed),
        ON_BOTH(the_data_of_a_socket_lives_as_long_as_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
