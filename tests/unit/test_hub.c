/*
 * test_hub.c - the logic half of Socket.IO: who gets what in which order, how sockets end,
 * and what hooks may do meanwhile.
 */
#include "tests/unit/siobench.h"

static void emit(hop_target *target, const char *event)
{
    assert_int_equal(hub_emit(target, event, ARGS(NULL)), 0);
}

static hop_target *to_room(const char *room)
{
    return hub_target_room(bench.hub, "/", room);
}

static hop_target *to_socket(hop_socket socket)
{
    return hub_target_socket(bench.hub, socket);
}

static hop_target *except(hop_target *target, hop_socket socket)
{
    hub_target_except(target, socket);
    return target;
}

static hop_target *and_room(hop_target *target, const char *room)
{
    hub_target_add_room(target, room);
    return target;
}

static hop_target *except_room(hop_target *target, const char *room)
{
    hub_target_except_room(target, room);
    return target;
}

/* Joined sessions 1..n dealt to the shards; their sockets have the same numbers. */
static struct session *people[64];

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

/* ---- emits */

static void an_emit_reaches_the_union_once_minus_the_excepted(void **state)
{
    (void)state;
    open_people(7);
    join(1, "a");
    join(2, "a");
    join(2, "b");
    join(3, "b");
    join(4, "a");
    join(4, "mute");
    join(5, "a");
    emit(except_room(
             except(except(and_room(to_room("a"), "b"), bench.socket[5]), HOP_NO_SOCKET),
             "mute"),
         "x");
    pump();
    expect_got(people[1], "2[\"x\"]\n");
    expect_got(people[2], "2[\"x\"]\n");
    expect_got(people[3], "2[\"x\"]\n");
    expect_got(people[4], "");
    expect_got(people[5], "");
    expect_got(people[6], "");
    emit(except(hub_target_all(bench.hub, "/"), bench.socket[1]), "y");
    pump();
    expect_got(people[1], "");
    for (unsigned i = 2; i <= 7; i++)
        expect_got(people[i], "2[\"y\"]\n");
}

static void a_socket_is_reached_by_handle_and_by_the_room_of_its_id(void **state)
{
    char id[32];

    (void)state;
    open_people(3);
    strcpy(id, hub_socket_id(bench.hub, bench.socket[1]));
    emit(to_socket(bench.socket[1]), "handle");
    emit(to_room(id), "id");
    emit(and_room(to_socket(bench.socket[1]), id), "both");
    emit(except(to_socket(bench.socket[1]), bench.socket[1]), "none");
    emit(except_room(hub_target_all(bench.hub, "/"), id), "others");
    pump();
    expect_got(people[1], "2[\"handle\"]\n2[\"id\"]\n2[\"both\"]\n");
    expect_got(people[2], "2[\"others\"]\n");
    /* It is in that room always, and others may join it. */
    join(1, id);
    assert_true(hub_in_room(bench.hub, bench.socket[1], id));
    assert_false(hub_in_room(bench.hub, bench.socket[2], id));
    assert_int_equal(bench_metric(METRIC_ROOMS), 0);
    join(2, id);
    expect_got(people[3], "2[\"others\"]\n");
    emit(to_room(id), "two");
    pump();
    expect_got(people[1], "2[\"two\"]\n");
    expect_got(people[2], "2[\"two\"]\n");
    expect_got(people[3], "");
}

static void arguments_are_relayed_as_they_are(void **state)
{
    static const struct {
        const char *args, *packet; /* NULL: refused */
    } rows[] = {
        {NULL, "2[\"e\"]\n"},
        {"", "2[\"e\"]\n"},
        {"[]", "2[\"e\"]\n"},
        {" [ ] ", "2[\"e\"]\n"},
        {"[1]", "2[\"e\",1]\n"},
        {" [ 1 , {\"n\":18446744073709552000} ]\n",
         "2[\"e\",1 , {\"n\":18446744073709552000}]\n"},
        {"{}", NULL},
        {"1", NULL},
        {"[", NULL},
        {"]", NULL},
    };

    (void)state;
    open_people(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result = hub_emit(to_socket(bench.socket[1]), "e", ARGS(rows[i].args));

        assert_int_equal(result, rows[i].packet ? 0 : -1);
        pump();
        expect_got(people[1], rows[i].packet ? rows[i].packet : "");
    }
    emit(to_socket(bench.socket[1]), "q\"\\\n\x01\xc3\xa9");
    pump();
    expect_got(people[1], "2[\"q\\\"\\\\\\u000a\\u0001\xc3\xa9\"]\n");
}

static void on_late_ack(const struct sio_answer *answer, void *self);

/* Attachments a, b, ... of the letters' own length, and empty ones for dashes. */
static struct sio_args attached(const char *text, const char *words)
{
    static struct bytes *attachments[32];
    struct sio_args args = {.text = text, .len = strlen(text)};

    for (size_t i = 0; i < 32; i++) {
        bytes_unref(attachments[i]);
        attachments[i] = NULL;
    }
    for (args.n_attachments = 0; words && *words; words++)
        attachments[args.n_attachments++] = bytes_copy(words, *words != '-');
    args.attachments = attachments;
    return args;
}

static void attachments_make_a_packet_binary(void **state)
{
    static const struct {
        const char *args, *words, *event, *ack;
    } rows[] = {
        {"[0]", "", "2[\"e\",0]\n", "37[0]\n"},
        {"[0]", "a", "51-[\"e\",0] <a>\n", "61-7[0] <a>\n"},
        {"[ {} ]", "a-b", "53-[\"e\",{}] <a> <> <b>\n", "63-7[{}] <a> <> <b>\n"},
        {"[]", "abcdefghij", "510-[\"e\"] <a> <b> <c> <d> <e> <f> <g> <h> <i> <j>\n",
         "610-7[] <a> <b> <c> <d> <e> <f> <g> <h> <i> <j>\n"},
        {"[0]", "abcdefghijk", NULL, NULL}, /* engine.max_attachments */
    };

    (void)state;
    open_people(2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sio_args args = attached(rows[i].args, rows[i].words);
        int result = rows[i].event ? 0 : -1;

        assert_int_equal(hub_emit(hub_target_all(bench.hub, "/"), "e", &args), result);
        pump();
        for (unsigned who = 1; who <= 2; who++)
            expect_got(people[who], rows[i].event ? rows[i].event : "");
        assert_int_equal(hub_ack(bench.hub, bench.socket[1], 7, &args), result);
        pump();
        expect_got(people[1], rows[i].ack ? rows[i].ack : "");
        assert_int_equal(hub_emit_with_ack(bench.hub, bench.socket[1], "e", &args, 1000,
                                           on_late_ack, NULL),
                         result);
        pump();
        forget(people[1]);
    }
    attached("[]", NULL);
}

/* T12 */
static void reserved_and_malformed_events_are_not_sent(void **state)
{
    static const char *const names[] = {
        "connect",     "connect_error",  "disconnect", "disconnecting",
        "newListener", "removeListener", "\xff",       "\xed\xa0\x80"};

    (void)state;
    open_people(1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(hub_emit(to_socket(bench.socket[1]), names[i], ARGS(NULL)), -1);
        assert_int_equal(hub_emit_with_ack(bench.hub, bench.socket[1], names[i],
                                           ARGS(NULL), 1000, NULL, NULL),
                         -1);
    }
    emit(to_socket(bench.socket[1]), "connection");
    pump();
    expect_got(people[1], "2[\"connection\"]\n");
}

static void one_turn_keeps_the_order_of_emits(void **state)
{
    (void)state;
    open_people(4);
    for (unsigned i = 1; i <= 4; i++)
        join(i, "a");
    join(1, "b");
    join(2, "b");
    hub_ack(bench.hub, bench.socket[1], 7, ARGS("[1]"));
    emit(to_room("a"), "1");
    emit(to_room("b"), "2");
    emit(to_socket(bench.socket[1]), "3");
    emit(except(to_room("a"), bench.socket[2]), "4");
    emit(and_room(to_room("b"), "a"), "5");
    emit(hub_target_all(bench.hub, "/"), "6");
    hub_leave(bench.hub, bench.socket[1], "b");
    emit(to_room("b"), "7");
    join(1, "b");
    emit(to_room("b"), "8");
    hub_ack(bench.hub, bench.socket[1], 8, ARGS(NULL));
    pump();
    expect_got(people[1], "37[1]\n2[\"1\"]\n2[\"2\"]\n2[\"3\"]\n2[\"4\"]\n2[\"5\"]\n"
                          "2[\"6\"]\n2[\"8\"]\n38[]\n");
    expect_got(people[2], "2[\"1\"]\n2[\"2\"]\n2[\"5\"]\n2[\"6\"]\n2[\"7\"]\n2[\"8\"]\n");
    expect_got(people[3], "2[\"1\"]\n2[\"4\"]\n2[\"5\"]\n2[\"6\"]\n");
}

static void packets_of_one_room_share_its_buffer(void **state)
{
    const struct turnbuf *buffer;

    (void)state;
    open_people(2);
    join(1, "a");
    join(1, "b");
    emit(to_room("a"), "x");
    pump();
    buffer = people[1]->buffer;
    assert_non_null(buffer);
    emit(except(to_room("a"), bench.socket[2]), "x");
    pump();
    assert_ptr_equal(people[1]->buffer, buffer);
    emit(and_room(to_room("a"), "b"), "x");
    pump();
    assert_null(people[1]->buffer);
    emit(to_socket(bench.socket[1]), "x");
    pump();
    assert_null(people[1]->buffer);
    assert_false(people[1]->was_volatile);
}

static void an_emit_may_be_compressed_unless_its_target_says_no(void **state)
{
    hop_target *target;

    (void)state;
    open_people(1);
    join(1, "a");
    target = to_room("a");
    emit(target, "x");
    pump();
    assert_true(people[1]->may_compress);
    target = to_room("a");
    hub_target_compress(target, false);
    emit(target, "x");
    hub_ack(bench.hub, bench.socket[1], 1, ARGS(NULL));
    pump();
    assert_true(people[1]->may_compress); /* the ack */
    target = to_room("a");
    hub_target_compress(target, false);
    emit(target, "x");
    pump();
    assert_false(people[1]->may_compress);
    target = to_room("a");
    hub_target_compress(target, false);
    hub_target_compress(target, true);
    emit(target, "x");
    pump();
    assert_true(people[1]->may_compress);
}

static void a_volatile_emit_is_marked_so(void **state)
{
    hop_target *target;

    (void)state;
    open_people(1);
    join(1, "a");
    target = to_room("a");
    hub_target_set_volatile(target);
    emit(target, "x");
    pump();
    assert_true(people[1]->was_volatile);
    /* Targets are used again, and are as new then. */
    emit(to_room("a"), "x");
    pump();
    assert_false(people[1]->was_volatile);
}

static void a_target_serves_until_the_turn_ends(void **state)
{
    hop_target *target;

    (void)state;
    open_people(2);
    join(1, "a");
    target = to_room("a");
    emit(target, "1");
    hub_leave(bench.hub, bench.socket[1], "a"); /* frees the room */
    emit(target, "2");
    join(2, "a");
    emit(target, "3");
    for (unsigned i = 0; i < 1000; i++)
        hub_target_add_room(to_room("none"), "a room with a longer name than others");
    pump();
    expect_got(people[1], "2[\"1\"]\n");
    expect_got(people[2], "2[\"3\"]\n");
}

static void a_receiver_that_is_closed_by_a_packet_harms_no_other(void **state)
{
    (void)state;
    open_people(9);
    for (unsigned i = 1; i <= 9; i++) {
        join(i, "a");
        people[i]->ends_when_sent_to = i % 2;
    }
    emit(to_room("a"), "x");
    emit(to_room("a"), "y");
    pump();
    for (unsigned i = 1; i <= 9; i++)
        expect_got(people[i], i % 2 ? "2[\"x\"]\n" : "2[\"x\"]\n2[\"y\"]\n");
    assert_int_equal(bench_metric(METRIC_SOCKETS), 4);
}

/* ---- rooms */

static void rooms_exist_while_they_have_a_member(void **state)
{
    char name[130];

    (void)state;
    open_people(2);
    memset(name, 'r', 129);
    name[129] = '\0';
    assert_int_equal(hub_join(bench.hub, bench.socket[1], name), -1);
    name[128] = '\0';
    join(1, name);
    assert_int_equal(hub_join(bench.hub, bench.socket[1], ""), -1); /* C48 */
    assert_int_equal(hub_join(bench.hub, bench.socket[1], "\xff"), -1);
    assert_int_equal(hub_join(bench.hub, HOP_NO_SOCKET, "a"), -1);
    assert_int_equal(hub_leave(bench.hub, bench.socket[2], name), -1);
    assert_int_equal(hub_leave(bench.hub, bench.socket[2], "none"), -1);
    join(1, name);
    join(2, name);
    assert_int_equal(bench_metric(METRIC_ROOMS), 1);
    assert_int_equal(hub_leave(bench.hub, bench.socket[1], name), 0);
    assert_false(hub_in_room(bench.hub, bench.socket[1], name));
    assert_true(hub_in_room(bench.hub, bench.socket[2], name));
    assert_int_equal(hub_leave(bench.hub, bench.socket[2], name), 0);
    assert_int_equal(bench_metric(METRIC_ROOMS), 0);
    pump();
    assert_int_equal(bench_metric(METRIC_MEMBERSHIPS), 2); /* in the room of all */
}

static void leave_at_once(hop_socket socket, const char *room)
{
    hub_leave(bench.hub, socket, room);
}

static void a_socket_is_in_so_many_rooms_and_no_more(void **state)
{
    char name[16];

    (void)state; /* T16 */
    open_people(2);
    for (unsigned i = 0; i < BENCH_ROOMS; i++) {
        snprintf(name, sizeof name, "own %u", i);
        join(1, name);
    }
    assert_int_equal(bench_metric(METRIC_ROOMS), BENCH_ROOMS);
    assert_int_equal(hub_join(bench.hub, bench.socket[1], "one more"), -1);
    assert_int_equal(bench_metric(METRIC_ROOMS), BENCH_ROOMS);
    join(1, "own 0"); /* where it is already */
    join(1, hub_socket_id(bench.hub, bench.socket[1]));
    join(2, "own 0"); /* others may */
    assert_int_equal(hub_leave(bench.hub, bench.socket[1], "own 3"), 0);
    join(1, "one more");
    assert_int_equal(hub_join(bench.hub, bench.socket[1], "own 3"), -1);
}

static void join_again(hop_socket socket, const char *room)
{
    bench.on_leave = NULL;
    hub_join(bench.hub, socket, room);
}

static void hooks_may_undo_what_they_are_told(void **state)
{
    (void)state;
    open_people(1);
    bench.on_join = leave_at_once;
    join(1, "a");
    expect_log("join 1 a\nleave 1 a\n");
    assert_int_equal(bench_metric(METRIC_ROOMS), 0);
    bench.on_join = NULL;
    join(1, "b");
    bench.on_leave = join_again;
    hub_leave(bench.hub, bench.socket[1], "b");
    expect_log("join 1 b\nleave 1 b\njoin 1 b\n");
    emit(to_room("b"), "x");
    pump();
    expect_got(people[1], "2[\"x\"]\n");
}

/* ---- the end of a socket */

static char values[2][8] = {"one", "two"};

static void on_late_ack(const struct sio_answer *answer, void *self)
{
    hop_socket socket = answer->socket;

    (void)self;
    assert_null(answer->text);
    assert_string_equal(answer->id, hub_socket_id(bench.hub, socket));
    assert_false(hub_is_connected(bench.hub, socket));
    note("ack %u status %d\n", number_of(socket), answer->status);
    assert_int_equal(hub_slot_set(bench.hub, socket, 0, values[0]), -1);
    assert_int_equal(
        hub_emit_with_ack(bench.hub, socket, "x", ARGS(NULL), 1000, on_late_ack, NULL),
        -1);
}

static void look_around(hop_socket socket)
{
    assert_false(hub_is_connected(bench.hub, socket));
    assert_non_null(hub_socket_id(bench.hub, socket));
    assert_string_equal(hub_socket_address(bench.hub, socket), "127.0.0.1");
    assert_true(hub_in_room(bench.hub, socket, "a"));
    assert_ptr_equal(hub_slot_get(bench.hub, socket, 3), values[0]);
    assert_int_equal(hub_join(bench.hub, socket, "late"), -1); /* C15 */
    assert_int_equal(hub_ack(bench.hub, socket, 1, ARGS("[]")), -1);
    assert_int_equal(hub_disconnect(bench.hub, socket, HOP_CLOSE_SOCKET), 0);
    emit(to_socket(socket), "nowhere");
    emit(to_room("a"), "left");
}

static void a_socket_ends_in_the_promised_order(void **state)
{
    static const char *const reasons[] = {"client namespace disconnect",
                                          "server namespace disconnect",
                                          "forced server close", "ping timeout"};

    (void)state;
    for (int way = 0; way < 4; way++) {
        char expected[256];
        unsigned a = bench.n_sockets + 1, b = a + 1;
        struct session *going = open_joined(0), *staying = open_joined(0);

        bench.on_disconnect = NULL;
        join(a, "a");
        join(b, "a");
        assert_int_equal(hub_slot_set(bench.hub, bench.socket[a], 3, values[0]), 0);
        hub_emit_with_ack(bench.hub, bench.socket[a], "q", ARGS(NULL), 1000, on_late_ack,
                          NULL);
        pump();
        forget(going);
        bench.log_len = 0;
        bench.on_disconnect = look_around;
        if (way == 0)
            say(going, "1");
        else if (way == 1)
            hub_disconnect(bench.hub, bench.socket[a], HOP_CLOSE_SOCKET);
        else if (way == 2)
            hub_disconnect(bench.hub, bench.socket[a], HOP_CLOSE_TRANSPORT);
        else
            session_close(going, SESSION_PING_TIMEOUT, NULL);
        pump();
        snprintf(expected, sizeof expected,
                 "disconnect %u %s\nleave %u a\nfree 3 one\nack %u status %d\n", a,
                 reasons[way], a, a, HOP_ACK_DISCONNECTED);
        expect_log(expected);
        expect_got(going, way == 1 ? "1\n" : "");
        expect_got(staying, "2[\"left\"]\n");
        assert_int_equal(going->is_open, way < 2);
        assert_false(hub_is_connected(bench.hub, bench.socket[a]));
        assert_null(hub_socket_id(bench.hub, bench.socket[a]));
        assert_int_equal(hub_disconnect(bench.hub, bench.socket[a], HOP_CLOSE_SOCKET),
                         -1);
        assert_int_equal(hub_slot_set(bench.hub, bench.socket[a], 3, values[0]), -1);
        assert_int_equal(hub_emit_with_ack(bench.hub, bench.socket[a], "q", ARGS(NULL),
                                           1000, on_late_ack, NULL),
                         -1);
        bench.on_disconnect = NULL;
        session_close(staying, SESSION_TRANSPORT_CLOSE, NULL);
        pump();
    }
}

static void what_was_emitted_before_a_transport_close_goes_out(void **state)
{
    (void)state;
    open_people(1);
    emit(to_socket(bench.socket[1]), "bye");
    assert_int_equal(hub_disconnect(bench.hub, bench.socket[1], HOP_CLOSE_TRANSPORT), 0);
    assert_false(hub_is_connected(bench.hub, bench.socket[1]));
    pump();
    expect_got(people[1], "2[\"bye\"]\n");
    assert_int_equal(people[1]->end, SESSION_SERVER_FORCED);
}

static void disconnect_next(hop_socket socket)
{
    hub_disconnect(bench.hub, bench.socket[number_of(socket) + 1], HOP_CLOSE_SOCKET);
    hub_disconnect(bench.hub, socket, HOP_CLOSE_TRANSPORT);
    hub_join(bench.hub, socket, "late");
}

static void a_chain_of_disconnects_ends_however_long(void **state)
{
    enum { CHAIN = 3000 };
    struct session *first;

    (void)state;
    first = open_joined(0);
    for (unsigned i = 1; i < CHAIN; i++) {
        struct session *session = open_session(i % bench.loops->n_shards);

        say(session, "0");
    }
    pump();
    bench.log_len = 0;
    bench.on_disconnect = disconnect_next;
    session_close(first, SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    assert_int_equal(bench_metric(METRIC_SOCKETS), 0);
    bench.log_len = 0;
    for (struct session *session = bench.sessions; session; session = session->next)
        assert_false(session->is_open); /* closed by their own hooks */
}

static void disconnect_at_once(hop_socket socket)
{
    hub_disconnect(bench.hub, socket, HOP_CLOSE_SOCKET);
}

static void disconnect_who_joined(hop_socket socket, const char *room)
{
    (void)room;
    disconnect_at_once(socket);
}

static void disconnect_who_spoke(const struct sio_event *event)
{
    disconnect_at_once(event->socket);
    assert_int_equal(hub_ack(bench.hub, event->socket, event->ack_id, ARGS(NULL)), -1);
}

static void any_hook_may_disconnect_its_socket(void **state)
{
    struct session *session;

    (void)state;
    bench.on_connect = disconnect_at_once;
    open_joined(0);
    bench.on_connect = NULL;
    expect_log("connect 1\ndisconnect 1 server namespace disconnect\n");
    session = open_joined(0);
    bench.on_join = disconnect_who_joined;
    join(2, "a");
    expect_log("connect 2\njoin 2 a\ndisconnect 2 server namespace disconnect\n"
               "leave 2 a\n");
    bench.on_join = NULL;
    pump();
    say(session, "0");
    bench.on_event = disconnect_who_spoke;
    say(session, "21[\"x\"]");
    pump();
    expect_log("connect 3\nevent 3 x [\"x\"] 1\n"
               "disconnect 3 server namespace disconnect\n");
    bench.on_event = NULL;
}

static void a_shutdown_ends_all_and_nothing_is_sent_after_it(void **state)
{
    (void)state;
    open_people(3);
    join(1, "a");
    join(2, "a");
    pump();
    bench.on_disconnect = disconnect_next;
    bench.log_len = 0;
    hub_shutdown(bench.hub);
    assert_int_equal(bench_metric(METRIC_SOCKETS), 0);
    emit(hub_target_all(bench.hub, "/"), "x");
    pump();
    for (unsigned i = 1; i <= 3; i++)
        expect_got(people[i], "");
    bench.log_len = 0;
    say(open_session(0), "0");
    pump();
    expect_log("");
}

/* ---- slots */

static void slots_are_freed_when_replaced_and_at_the_end(void **state)
{
    (void)state;
    open_people(1);
    assert_null(hub_slot_get(bench.hub, bench.socket[1], 5));
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 5, values[0]), 0);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 5, values[0]), 0);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 5, values[1]), 0);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 127, values[0]), 0);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 128, values[0]), -1);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], -1, values[0]), -1);
    assert_int_equal(hub_slot_set(bench.hub, bench.socket[1], 127, NULL), 0);
    expect_log("free 5 one\nfree 127 one\n");
    assert_ptr_equal(hub_slot_get(bench.hub, bench.socket[1], 5), values[1]);
    session_close(people[1], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    expect_log("disconnect 1 transport close\nfree 5 two\n");
}

/* ---- acks */

static unsigned n_acks[3];
static char acked[64];

static void on_ack(const struct sio_answer *answer, void *self)
{
    assert_ptr_equal(self, n_acks);
    n_acks[answer->status]++;
    snprintf(acked, sizeof acked, "%s", answer->text ? answer->text : "");
}

static int ask(unsigned number, int timeout_ms)
{
    return hub_emit_with_ack(bench.hub, bench.socket[number], "q", ARGS("[1]"),
                             timeout_ms, on_ack, n_acks);
}

static void an_ack_is_taken_once_and_only_by_its_socket(void **state)
{
    (void)state;
    memset(n_acks, 0, sizeof n_acks);
    open_people(2);
    assert_int_equal(ask(1, 0), -1);
    assert_int_equal(ask(1, 3600001), -1);
    assert_int_equal(ask(1, 60000), 0);
    assert_int_equal(ask(1, 60000), 0);
    pump();
    expect_got(people[1], "20[\"q\",1]\n21[\"q\",1]\n");
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 2);
    say(people[2], "30[\"not mine\"]");
    say(people[1], "32[\"unknown\"]");
    say(people[1], "3[\"of nothing\"]");
    pump();
    assert_int_equal(n_acks[HOP_ACK_OK], 0);
    say(people[1], "31[\"yes\",2]");
    pump();
    assert_int_equal(n_acks[HOP_ACK_OK], 1);
    assert_string_equal(acked, "[\"yes\",2]");
    say(people[1], "31[\"twice\"]");
    say(people[1], "30[\"\\u0000\"]");
    pump();
    assert_int_equal(n_acks[HOP_ACK_OK], 2);
    assert_string_equal(acked, "[\"\\u0000\"]");
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static bool all_timed_out(void *arg)
{
    (void)arg;
    return bench_metric(METRIC_ACKS_PENDING) == 0;
}

/* C14 */
static void acks_that_never_come_leave_nothing(void **state)
{
    enum { N = 20000 };

    (void)state;
    memset(n_acks, 0, sizeof n_acks);
    open_people(2);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(ask(1, 1 + (int)(i * 7 % 20)), 0);
        if (i % 100 == 0)
            pump();
        forget(people[1]);
    }
    turns_until(bench.loops->logic, all_timed_out, NULL);
    pump();
    assert_int_equal(n_acks[HOP_ACK_TIMEOUT], N);
    say(people[1], "31[]");
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(ask(2, 60000), 0);
    session_close(people[2], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    assert_int_equal(n_acks[HOP_ACK_DISCONNECTED], N);
    assert_int_equal(n_acks[HOP_ACK_OK], 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
}

static void answer_with_the_argument(const struct sio_event *event)
{
    char args[64];

    snprintf(args, sizeof args, "[%.*s]", (int)(event->args[0].to - event->args[0].from),
             event->text + event->args[0].from);
    assert_int_equal(hub_ack(bench.hub, event->socket, event->ack_id, ARGS(args)), 0);
    assert_int_equal(hub_ack(bench.hub, event->socket, event->ack_id, ARGS("{}")), -1);
}

/* T14 */
static void the_id_of_an_ack_is_echoed_exactly(void **state)
{
    (void)state;
    open_people(1);
    bench.on_event = answer_with_the_argument;
    say(people[1], "20[\"x\",1e400]");
    say(people[1], "2007[\"x\",\"\\ud800\"]");
    say(people[1], "29007199254740991[\"x\",{\"a\" : 1}]");
    pump();
    expect_got(people[1],
               "30[1e400]\n3007[\"\\ud800\"]\n39007199254740991[{\"a\" : 1}]\n");
}

/* ---- all together, against a model */

enum { M_PEOPLE = 20, M_ROOMS = 6 };

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static struct model {
    hop_socket socket; /* 0: none */
    bool in[M_ROOMS];
    bool is_dead; /* its session has ended; logic may not know */
    char expected[GOT_MAX];
    size_t len;
} model[M_PEOPLE];

static void model_open(unsigned i)
{
    memset(&model[i], 0, sizeof model[i]);
    people[i] = open_session(i % bench.loops->n_shards);
    say(people[i], "0");
    pump();
    forget(people[i]);
    model[i].socket = last_socket();
}

static void model_check(void)
{
    pump();
    for (unsigned i = 0; i < M_PEOPLE; i++) {
        if (!model[i].is_dead)
            assert_string_equal(people[i]->got, model[i].expected);
        forget(people[i]);
        model[i].expected[0] = '\0';
        model[i].len = 0;
        if (model[i].is_dead)
            model_open(i);
    }
}

static bool holds(const hop_socket *sockets, size_t n, hop_socket socket)
{
    while (n > 0 && sockets[n - 1] != socket)
        n--;
    return n > 0;
}

static void model_emit(uint64_t *seed, unsigned number)
{
    unsigned rooms = next_random(seed) % (1 << M_ROOMS), out_room = next_random(seed) % 9,
             direct = next_random(seed) % 40, out = next_random(seed) % 40;
    hop_target *target = to_room("nobody's");
    const hop_socket *found;
    size_t n_found, n_gets = 0;
    char event[16];

    snprintf(event, sizeof event, "%u", number);
    for (unsigned r = 0; r < M_ROOMS; r++)
        if (rooms >> r & 1)
            hub_target_add_room(target, (char[]){(char)('a' + r), '\0'});
    if (out_room < M_ROOMS)
        hub_target_except_room(target, (char[]){(char)('a' + out_room), '\0'});
    if (out < M_PEOPLE)
        hub_target_except(target, model[out].socket);
    if (direct < M_PEOPLE) /* by its id */
        hub_target_add_room(target, hub_socket_id(bench.hub, model[direct].socket));
    emit(target, event);
    found = hub_target_sockets(target, &n_found);
    for (unsigned i = 0; i < M_PEOPLE; i++) {
        bool gets = i == direct;

        for (unsigned r = 0; r < M_ROOMS; r++)
            gets |= model[i].in[r] && (rooms >> r & 1);
        gets &= i != out && !(out_room < M_ROOMS && model[i].in[out_room]);
        if (gets)
            model[i].len +=
                (size_t)sprintf(model[i].expected + model[i].len, "2[\"%u\"]\n", number);
        assert_int_equal(holds(found, n_found, model[i].socket), gets);
        n_gets += gets;
    }
    assert_int_equal(n_found, n_gets);
}

static void random_work_is_as_in_a_model(void **state)
{
    uint64_t seed = 99;

    (void)state;
    for (unsigned i = 0; i < M_PEOPLE; i++)
        model_open(i);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = next_random(&seed) % M_PEOPLE, what = next_random(&seed) % 100;
        unsigned r = next_random(&seed) % M_ROOMS;
        const char room[] = {(char)('a' + r), '\0'};

        if (what < 35) {
            hub_join(bench.hub, model[i].socket, room);
            model[i].in[r] = true;
        } else if (what < 55) {
            int result = hub_leave(bench.hub, model[i].socket, room);

            assert_int_equal(result, model[i].in[r] ? 0 : -1);
            model[i].in[r] = false;
        } else if (what < 95) {
            model_emit(&seed, step);
        } else if (what < 97) {
            model_check();
        } else if (what < 98 && !model[i].is_dead) {
            session_close(people[i], SESSION_TRANSPORT_CLOSE, NULL);
            model[i].is_dead = true;
        } else if (what < 99) {
            /* Its number belongs to the next connection at once. */
            model_check();
            hub_disconnect(bench.hub, model[i].socket, HOP_CLOSE_TRANSPORT);
            pump();
            model_open(i);
        }
        bench.log_len = 0;
    }
    model_check();
}

/* ---- sockets that connect */

static hop_socket newcomer;

static void keep_waiting(hop_socket socket)
{
    newcomer = socket;
}

static struct session *open_newcomer(void)
{
    struct session *session = open_session(0);

    bench.on_connecting = keep_waiting;
    say(session, "0");
    pump();
    expect_got(session, "");
    return session;
}

static void what_is_kept_for_a_newcomer_keeps_its_flags(void **state)
{
    struct session *session = open_newcomer();
    hop_target *target = to_socket(newcomer);

    (void)state;
    hub_target_compress(target, false);
    emit(target, "plain");
    target = to_socket(newcomer);
    hub_target_set_volatile(target);
    emit(target, "gone");
    assert_int_equal(bench_metric(METRIC_VOLATILE_DROPPED), 1);
    assert_int_equal(hub_accept(bench.hub, newcomer), 0);
    pump();
    assert_non_null(strstr(session->got, "2[\"plain\"]\n"));
    assert_null(strstr(session->got, "gone"));
    assert_false(session->may_compress);
}

static void too_much_for_a_newcomer_closes_it(void **state)
{
    struct session *session = open_newcomer();
    const size_t len = BENCH_QUEUE / 3;
    char *args = malloc(len + 5);

    (void)state;
    memset(args, 'a', len + 4);
    memcpy(args, "[\"", 2);
    memcpy(args + len + 2, "\"]", 3);
    for (int i = 0; i < 4; i++)
        assert_int_equal(hub_emit(to_socket(newcomer), "e", ARGS(args)), 0);
    assert_int_equal(hub_accept(bench.hub, newcomer), -1);
    pump();
    expect_got(session, "");
    assert_int_equal(session->end, SESSION_SERVER_FORCED);
    assert_null(hub_socket_id(bench.hub, newcomer));
    expect_log(""); /* nobody has heard of it */
    free(args);
}

static void a_newcomer_that_is_disconnected_is_refused(void **state)
{
    struct session *session = open_newcomer();

    (void)state;
    assert_int_equal(hub_disconnect(bench.hub, newcomer, HOP_CLOSE_SOCKET), 0);
    assert_int_equal(hub_accept(bench.hub, newcomer), -1);
    pump();
    expect_got(session, "4{\"message\":\"disconnected\"}\n");
    expect_log("");
}

static void a_newcomer_is_excepted_by_a_room_that_is_its_own_wish(void **state)
{
    struct session *session = open_newcomer();

    (void)state;
    assert_int_equal(hub_join(bench.hub, newcomer, "quiet"), 0);
    emit(except_room(to_socket(newcomer), "quiet"), "loud");
    emit(to_socket(newcomer), "soft");
    assert_int_equal(hub_accept(bench.hub, newcomer), 0);
    pump();
    assert_non_null(strstr(session->got, "2[\"soft\"]\n"));
    assert_null(strstr(session->got, "loud"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(an_emit_reaches_the_union_once_minus_the_excepted),
        ON_BOTH(a_socket_is_reached_by_handle_and_by_the_room_of_its_id),
        ON_BOTH(arguments_are_relayed_as_they_are),
        ON_BOTH(attachments_make_a_packet_binary),
        ON_BOTH(reserved_and_malformed_events_are_not_sent),
        ON_BOTH(one_turn_keeps_the_order_of_emits),
        ON_BOTH(packets_of_one_room_share_its_buffer),
        ON_BOTH(an_emit_may_be_compressed_unless_its_target_says_no),
        ON_BOTH(a_volatile_emit_is_marked_so),
        ON_BOTH(a_target_serves_until_the_turn_ends),
        ON_BOTH(a_receiver_that_is_closed_by_a_packet_harms_no_other),
        ON_BOTH(rooms_exist_while_they_have_a_member),
        ON_BOTH(a_socket_is_in_so_many_rooms_and_no_more),
        ON_BOTH(hooks_may_undo_what_they_are_told),
        ON_BOTH(a_socket_ends_in_the_promised_order),
        ON_BOTH(what_was_emitted_before_a_transport_close_goes_out),
        ON_BOTH(a_chain_of_disconnects_ends_however_long),
        ON_BOTH(any_hook_may_disconnect_its_socket),
        ON_BOTH(a_shutdown_ends_all_and_nothing_is_sent_after_it),
        ON_BOTH(slots_are_freed_when_replaced_and_at_the_end),
        ON_BOTH(an_ack_is_taken_once_and_only_by_its_socket),
        ON_BOTH(acks_that_never_come_leave_nothing),
        ON_BOTH(the_id_of_an_ack_is_echoed_exactly),
        ON_BOTH(what_is_kept_for_a_newcomer_keeps_its_flags),
        ON_BOTH(too_much_for_a_newcomer_closes_it),
        ON_BOTH(a_newcomer_that_is_disconnected_is_refused),
        ON_BOTH(a_newcomer_is_excepted_by_a_room_that_is_its_own_wish),
        ON_BOTH(random_work_is_as_in_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
