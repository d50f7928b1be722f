/*
 * test_ack.c - the acks of many: who has answered, who has not and why, and what is left
 * behind. Of one socket: test_hub.c.
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

static void forget_all(unsigned n)
{
    for (unsigned i = 1; i <= n; i++)
        forget(people[i]);
}

/* What the last roll gave, by the number of the socket: "1 ok [1], 2 gone, " */
static char result[2048];
static unsigned n_results;

static void on_answers(const struct sio_answer *answers, size_t n, void *self)
{
    static const char *const words[] = {
        [HOP_ACK_OK] = "ok",
        [HOP_ACK_TIMEOUT] = "late",
        [HOP_ACK_DISCONNECTED] = "gone",
        [HOP_ACK_DROPPED] = "dropped",
    };
    size_t n_named = 0;

    (void)self;
    n_results++;
    result[0] = '\0';
    for (unsigned number = 1; number <= bench.n_sockets; number++)
        for (size_t i = 0; i < n; i++) {
            const struct sio_answer *answer = &answers[i];

            if (answer->socket != bench.socket[number])
                continue;
            n_named++;
            assert_int_equal(strlen(answer->id), 20);
            if (hub_socket_id(bench.hub, answer->socket))
                assert_string_equal(answer->id, hub_socket_id(bench.hub, answer->socket));
            assert_int_equal(answer->text != NULL, answer->status == HOP_ACK_OK);
            snprintf(result + strlen(result), sizeof result - strlen(result), "%u %s%s%s",
                     number, words[answer->status], answer->text ? " " : "",
                     answer->text ? answer->text : "");
            for (size_t j = 0; j < answer->n_attachments; j++)
                snprintf(result + strlen(result), sizeof result - strlen(result),
                         " <%.*s>", (int)answer->attachments[j]->len,
                         answer->attachments[j]->data);
            strcat(result, ", ");
        }
    assert_int_equal(n_named, n);
}

static int ask_all(hop_target *target, int timeout_ms)
{
    n_results = 0;
    strcpy(result, "none");
    return hub_emit_with_acks(target, "q", ARGS("[1]"), timeout_ms, on_answers, NULL);
}

static hop_target *all(void)
{
    return hub_target_all(bench.hub, "/");
}

static bool has_result(void *arg)
{
    (void)arg;
    return n_results > 0;
}

static void wait_for_result(void)
{
    turns_until(bench.loops->logic, has_result, NULL);
    pump();
    assert_int_equal(n_results, 1);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static void all_answer_one_packet_of_one_id(void **state)
{
    hop_target *target = all();

    (void)state;
    open_people(3);
    target = all();
    hub_target_except(target, bench.socket[2]);
    assert_int_equal(ask_all(target, 60000), 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 2);
    pump();
    expect_got(people[1], "20[\"q\",1]\n");
    expect_got(people[2], "");
    expect_got(people[3], "20[\"q\",1]\n");
    say(people[3], "30[\"c\",{\"n\":1e400}]");
    say(people[2], "30[\"not asked\"]");
    say(people[3], "30[\"twice\"]");
    pump();
    assert_int_equal(n_results, 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 1);
    say(people[1], "30");
    pump();
    assert_int_equal(n_results, 1);
    assert_string_equal(result, "1 ok [], 3 ok [\"c\",{\"n\":1e400}], ");
    say(people[1], "30[]");
    pump();
    assert_int_equal(n_results, 1);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static void answers_keep_their_attachments_until_the_last_has_come(void **state)
{
    (void)state;
    open_people(2);
    assert_int_equal(ask_all(all(), 60000), 0);
    pump();
    say(people[1], "62-0[{\"_placeholder\":true,\"num\":1}]");
    attach(people[1], "x");
    attach(people[1], "yy");
    pump();
    assert_int_equal(n_results, 0);
    say(people[2], "61-0[]");
    attach(people[2], "");
    pump();
    assert_int_equal(n_results, 1);
    assert_string_equal(result, "1 ok [{\"_placeholder\":true,\"num\":1}] <x> <yy>, "
                                "2 ok [] <>, ");
    /* they count as much as text does */
    assert_int_equal(ask_all(all(), 60000), 0);
    pump();
    say(people[1], "61-1[]");
    {
        char large[BENCH_ANSWER_BYTES];

        memset(large, 'x', sizeof large - 1);
        large[sizeof large - 1] = '\0'; /* two bytes of text do not fit beside it */
        attach(people[1], large);
    }
    say(people[2], "61-1[1]");
    attach(people[2], "y");
    pump();
    assert_string_equal(result, "1 dropped, 2 ok [1] <y>, ");
}

static void ids_of_rolls_and_of_single_acks_never_meet(void **state)
{
    (void)state;
    open_people(2);
    for (unsigned i = 0; i < 3; i++) {
        char packet[32];

        assert_int_equal(ask_all(all(), 60000), 0);
        pump();
        snprintf(packet, sizeof packet, "2%u[\"q\",1]\n", i);
        expect_got(people[1], packet);
        expect_got(people[2], packet);
        snprintf(packet, sizeof packet, "3%u[%u]", i, i);
        say(people[1], packet);
        say(people[2], packet);
        pump();
        snprintf(packet, sizeof packet, "1 ok [%u], 2 ok [%u], ", i, i);
        assert_string_equal(result, packet);
    }
}

static void who_does_not_answer_in_time_is_named(void **state)
{
    (void)state;
    open_people(4);
    assert_int_equal(ask_all(all(), 50), 0);
    pump();
    say(people[2], "30[2]");
    session_close(people[3], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    assert_int_equal(n_results, 0);
    wait_for_result();
    assert_string_equal(result, "1 late, 2 ok [2], 3 gone, 4 late, ");
    say(people[1], "30[\"too late\"]");
    pump();
    assert_int_equal(n_results, 1);
}

/* Pain 16 of EXPECTATIONS.md: whoever goes is not waited for. */
static void who_goes_is_not_waited_for(void **state)
{
    (void)state;
    open_people(3);
    assert_int_equal(ask_all(all(), 60000), 0);
    pump();
    say(people[1], "30[1]");
    pump();
    hub_disconnect(bench.hub, bench.socket[2], HOP_CLOSE_SOCKET);
    hub_disconnect(bench.hub, bench.socket[1], HOP_CLOSE_TRANSPORT); /* has answered */
    assert_int_equal(n_results, 0);
    session_close(people[3], SESSION_PING_TIMEOUT, NULL);
    pump();
    assert_int_equal(n_results, 1);
    assert_string_equal(result, "1 ok [1], 2 gone, 3 gone, ");
}

static void a_target_of_nobody_has_no_answers(void **state)
{
    (void)state;
    assert_int_equal(ask_all(hub_target_room(bench.hub, "/", "empty"), 60000), 0);
    assert_int_equal(n_results, 0); /* not before it returns */
    wait_for_result();
    assert_string_equal(result, "");
}

static void what_cannot_be_asked_is_not(void **state)
{
    (void)state;
    open_people(2);
    assert_int_equal(
        hub_emit_with_acks(all(), "connect", ARGS(NULL), 1000, on_answers, NULL), -1);
    assert_int_equal(hub_emit_with_acks(all(), "q", ARGS("{}"), 1000, on_answers, NULL),
                     -1);
    assert_int_equal(ask_all(all(), 0), -1);
    assert_int_equal(ask_all(all(), 3600001), -1);
    pump();
    expect_got(people[1], "");
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
    hub_shutdown(bench.hub);
    assert_int_equal(ask_all(all(), 1000), -1);
}

/* BENCH_ACKS of limits.max_acks. */
static void so_many_are_awaited_and_no_more(void **state)
{
    unsigned n = 0;

    (void)state;
    open_people(3);
    while (ask_all(all(), 60000) == 0) {
        n++;
        if (n % 100 == 0) {
            pump();
            forget_all(3);
        }
    }
    assert_int_equal(n, BENCH_ACKS / 3);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), n * 3);
    session_close(people[1], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    assert_int_equal(n_results, 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), n * 2);
    session_close(people[2], SESSION_TRANSPORT_CLOSE, NULL);
    session_close(people[3], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    assert_int_equal(n_results, n);
    assert_string_equal(result, "1 gone, 2 gone, 3 gone, ");
}

/* BENCH_ANSWER_BYTES of limits.max_answers. */
static void answers_that_find_no_room_are_dropped(void **state)
{
    static char text[BENCH_ANSWER_BYTES];

    (void)state;
    open_people(4);
    memset(text, ' ', sizeof text);
    text[0] = '3';
    text[1] = '0';
    text[2] = '[';
    text[BENCH_ANSWER_BYTES - 1] = ']'; /* two bytes less than the limit */
    for (unsigned i = 0; i < 3; i++) {  /* their room is given back each time */
        text[1] = (char)('0' + i);
        assert_int_equal(ask_all(all(), 60000), 0);
        pump();
        say_bytes(people[1], text, sizeof text);
        say_bytes(people[2], text, sizeof text);
        pump();
        say_bytes(people[3], (char[]){'3', text[1], '[', ']'}, 4);
        pump();
        assert_int_equal(n_results, 0);
        say_bytes(people[4], (char[]){'3', text[1], '[', '4', ']'}, 5);
        pump();
        assert_int_equal(n_results, 1);
        assert_non_null(strstr(result, "2 dropped, 3 ok [], 4 dropped, "));
        forget_all(4);
    }
}

/* ---- handlers that meddle */

static void close_everybody(const struct sio_answer *answers, size_t n, void *self)
{
    (void)self;
    n_results++;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(strlen(answers[i].id), 20);
    hub_target_disconnect(all(), HOP_CLOSE_TRANSPORT);
    assert_int_equal(hub_emit_with_acks(all(), "q", ARGS(NULL), 60000, on_answers, NULL),
                     0);
    for (size_t i = 0; i < n; i++) /* still there */
        assert_int_equal(strlen(answers[i].id), 20);
}

static void a_handler_may_close_those_who_are_asked(void **state)
{
    (void)state;
    n_results = 0;
    open_people(5);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(
            hub_emit_with_acks(all(), "q", ARGS(NULL), 60000, close_everybody, NULL), 0);
    pump();
    forget_all(5);
    for (unsigned i = 2; i <= 5; i++)
        say(people[i], "30[]");
    pump();
    assert_int_equal(n_results, 0);
    say(people[1], "30[]"); /* all four rolls end, inside each other */
    pump();
    assert_true(n_results >= 4);
    assert_int_equal(bench_metric(METRIC_SOCKETS), 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static void ask_again(hop_socket socket)
{
    (void)socket;
    hub_emit_with_acks(all(), "q", ARGS(NULL), 60000, on_answers, NULL);
}

static void a_hook_of_one_that_goes_may_ask_the_others(void **state)
{
    (void)state;
    open_people(3);
    bench.on_disconnect = ask_again;
    n_results = 0;
    hub_disconnect(bench.hub, bench.socket[2], HOP_CLOSE_SOCKET);
    pump();
    expect_got(people[1], "20[\"q\"]\n");
    expect_got(people[2], "1\n");
    say(people[1], "30[]");
    say(people[3], "30[]");
    pump();
    assert_int_equal(n_results, 1);
    assert_string_equal(result, "1 ok [], 3 ok [], ");
    bench.on_disconnect = NULL;
}

static void a_shutdown_ends_every_roll(void **state)
{
    (void)state;
    open_people(2);
    assert_int_equal(ask_all(all(), 60000), 0);
    assert_int_equal(hub_emit_with_acks(hub_target_room(bench.hub, "/", "empty"), "q",
                                        ARGS(NULL), 60000, on_answers, NULL),
                     0);
    hub_shutdown(bench.hub);
    assert_int_equal(n_results, 2);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

/* C14 */
static void rolls_that_nobody_answers_leave_nothing(void **state)
{
    enum { N = 2000 };
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    (void)state;
    open_people(3);
    n_results = 0;
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(hub_emit_with_acks(all(), "q", ARGS(NULL), 1 + (int)(i * 7 % 20),
                                            on_answers, NULL),
                         0);
        if (i % 100 == 0)
            pump();
        forget_all(3);
    }
    while (n_results < N && clock_ms() < deadline_ms)
        turn(bench.loops->logic);
    assert_int_equal(n_results, N);
    pump();
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static char answer_id[64];

static void end_and_read(const struct sio_answer *answer, void *self)
{
    (void)self;
    hub_disconnect(bench.hub, answer->socket, HOP_CLOSE_TRANSPORT);
    snprintf(answer_id, sizeof answer_id, "%s", answer->id);
}

static void the_id_in_an_answer_outlives_the_socket(void **state)
{
    char id[64];

    (void)state;
    open_people(1);
    snprintf(id, sizeof id, "%s", hub_socket_id(bench.hub, bench.socket[1]));
    assert_int_equal(hub_emit_with_ack(bench.hub, bench.socket[1], "q", ARGS(NULL), 1000,
                                       end_and_read, NULL),
                     0);
    pump();
    say(people[1], "30[]");
    pump();
    assert_string_equal(answer_id, id);
    assert_null(hub_socket_id(bench.hub, bench.socket[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(all_answer_one_packet_of_one_id),
        ON_BOTH(answers_keep_their_attachments_until_the_last_has_come),
        ON_BOTH(ids_of_rolls_and_of_single_acks_never_meet),
        ON_BOTH(who_does_not_answer_in_time_is_named),
        ON_BOTH(who_goes_is_not_waited_for),
        ON_BOTH(a_target_of_nobody_has_no_answers),
        ON_BOTH(what_cannot_be_asked_is_not),
        ON_BOTH(so_many_are_awaited_and_no_more),
        ON_BOTH(answers_that_find_no_room_are_dropped),
        ON_BOTH(a_handler_may_close_those_who_are_asked),
        ON_BOTH(a_hook_of_one_that_goes_may_ask_the_others),
        ON_BOTH(a_shutdown_ends_every_roll),
        ON_BOTH(the_id_in_an_answer_outlives_the_socket),
        ON_BOTH(rolls_that_nobody_answers_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
