/*
 * test_link.c - the shard's half of Socket.IO: what clients may send, and what closes them.
 */
#include "tests/unit/siobench.h"

static void a_connect_is_answered_with_a_sid_of_its_own(void **state)
{
    struct session *session = open_session(0);
    char expected[64];

    (void)state;
    say(session, "0");
    assert_int_equal(session->n_got, 0);
    pump();
    assert_int_equal(strlen(hub_socket_id(bench.hub, last_socket())), 20);
    snprintf(expected, sizeof expected, "0{\"sid\":\"%s\"}\n",
             hub_socket_id(bench.hub, last_socket()));
    expect_got(session, expected);
    expect_log("connect 1\n");
    assert_string_equal(hub_socket_address(bench.hub, last_socket()), "127.0.0.1");
    assert_true(hub_find(bench.hub, "/", hub_socket_id(bench.hub, last_socket())) ==
                last_socket());
}

static void a_connect_may_carry_an_object(void **state)
{
    static const char *const good[] = {"0{}", "0{\"token\":\"1\"}", "0/,{}", "0/",
                                       "0 {} "};
    static const char *const bad[] = {"0[]",    "0null", "0\"x\"", "0{",    "0{}}",
                                      "0{a:1}", "0,",    "0{},",   "0/,[1]"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct session *session = open_session(0);

        say(session, good[i]);
        pump();
        assert_true(session->is_open);
        assert_int_equal(session->n_got, 1);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct session *session = open_session(0);

        say(session, bad[i]);
        pump();
        assert_false(session->is_open);
        assert_int_equal(session->end, SESSION_PARSE_ERROR);
    }
}

/* T15 */
static void other_namespaces_are_refused_and_the_session_stays(void **state)
{
    struct session *session = open_session(0);
    char long_name[600] = "0/", expected[600] = "4/";

    (void)state;
    say(session, "0/admin,{\"a\":1}");
    pump();
    expect_got(session, "4/admin,{\"message\":\"Invalid namespace\"}\n");
    memset(long_name + 2, 'n', 126);
    strcat(long_name, "\xe2\x82\xac cut"); /* byte 128 is inside this character */
    say(session, long_name);
    pump();
    memset(expected + 2, 'n', 126);
    strcat(expected, ",{\"message\":\"Invalid namespace\"}\n");
    expect_got(session, expected);
    say(session, "0");
    pump();
    expect_log("connect 1\n");
    say(session, "0/admin");
    pump();
    assert_true(session->is_open);
}

static void what_is_no_packet_of_a_joined_client_closes(void **state)
{
    static const struct {
        const char *text;
        enum session_end end;
    } rows[] = {
        {"0", SESSION_SERVER_FORCED}, /* a second time */
        {"0{}", SESSION_SERVER_FORCED},
        {"1[]", SESSION_PARSE_ERROR},
        {"1/admin,", SESSION_SERVER_FORCED},
        {"2", SESSION_PARSE_ERROR}, /* C12 */
        {"25", SESSION_PARSE_ERROR},
        {"2{}", SESSION_PARSE_ERROR},
        {"2\"chat\"", SESSION_PARSE_ERROR},
        {"2[]", SESSION_PARSE_ERROR},
        {"2[null]", SESSION_PARSE_ERROR},
        {"2[true]", SESSION_PARSE_ERROR},
        {"2[{}]", SESSION_PARSE_ERROR},
        {"2[[\"a\"]]", SESSION_PARSE_ERROR},
        {"2[\"a\"", SESSION_PARSE_ERROR},
        {"2[\"a\",]", SESSION_PARSE_ERROR},
        {"2[\"a\"]x", SESSION_PARSE_ERROR},
        {"2-1[\"a\"]", SESSION_PARSE_ERROR}, /* T14 */
        {"2+1[\"a\"]", SESSION_PARSE_ERROR},
        {"21.5[\"a\"]", SESSION_PARSE_ERROR},
        {"29007199254740992[\"a\"]", SESSION_PARSE_ERROR},
        {"2[\"\\u0000\"]", SESSION_PARSE_ERROR},
        {"2[\"\\ud800\"]", SESSION_PARSE_ERROR},
        {"2[\"connect\"]", SESSION_PARSE_ERROR}, /* T12 */
        {"2[\"connect_error\"]", SESSION_PARSE_ERROR},
        {"2[\"disconnect\"]", SESSION_PARSE_ERROR},
        {"2[\"disconnecting\"]", SESSION_PARSE_ERROR},
        {"2[\"newListener\"]", SESSION_PARSE_ERROR},
        {"2[\"remove\\u004cistener\"]", SESSION_PARSE_ERROR},
        {"2/admin,[\"a\"]", SESSION_SERVER_FORCED},
        {"3{}", SESSION_PARSE_ERROR},
        {"31{}", SESSION_PARSE_ERROR},
        {"31[", SESSION_PARSE_ERROR},
        {"3/admin,1[]", SESSION_SERVER_FORCED},
        {"4", SESSION_SERVER_FORCED}, /* C48: the server's packet */
        {"4{\"message\":\"x\"}", SESSION_SERVER_FORCED},
        {"511-[\"a\"]", SESSION_PARSE_ERROR}, /* C13 */
        {"51001-[\"a\"]", SESSION_PARSE_ERROR},
        {"611-1[]", SESSION_PARSE_ERROR},
        {"5", SESSION_PARSE_ERROR},
        {"5-[\"a\"]", SESSION_PARSE_ERROR},
        {"51[\"a\"]", SESSION_PARSE_ERROR},
        {"51-", SESSION_PARSE_ERROR},
        {"51-{}", SESSION_PARSE_ERROR},
        {"51-[\"connect\"]", SESSION_PARSE_ERROR},
        {"51-[\"a\"", SESSION_PARSE_ERROR},
        {"51-/admin,[\"a\"]", SESSION_SERVER_FORCED},
        {"61-1{}", SESSION_PARSE_ERROR},
        {"51-[\"a\",{\"_placeholder\":true,\"num\":1}]", SESSION_PARSE_ERROR}, /* C11 */
        {"51-[\"a\",{\"_placeholder\":true,\"num\":-1}]", SESSION_PARSE_ERROR},
        {"52-[\"a\",{\"_placeholder\":true,\"num\":0.5}]", SESSION_PARSE_ERROR},
        {"52-[\"a\",{\"_placeholder\":true,\"num\":\"0\"}]", SESSION_PARSE_ERROR},
        {"52-[\"a\",{\"_placeholder\":true,\"num\":null}]", SESSION_PARSE_ERROR},
        {"52-[\"a\",[{\"b\":{\"_placeholder\":true}}]]", SESSION_PARSE_ERROR},
        {"61-1[{\"_placeholder\":true,\"num\":1}]", SESSION_PARSE_ERROR},
        {"7", SESSION_PARSE_ERROR},
        {"", SESSION_PARSE_ERROR},
        {"x", SESSION_PARSE_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct session *session = open_joined(0);
        char expected[64];

        bench.log_len = 0;
        say(session, rows[i].text);
        pump();
        if (session->is_open || session->end != rows[i].end)
            fail_msg("not closed as it should be: %s", rows[i].text);
        if (!session->detail || !*session->detail)
            fail_msg("closed without a word why: %s", rows[i].text);
        snprintf(expected, sizeof expected, "disconnect %u %s\n", bench.n_sockets,
                 session_end_word(rows[i].end));
        expect_log(expected);
        assert_int_equal(session->n_got, 0);
    }
}

static void nothing_but_connect_is_taken_before_it(void **state)
{
    static const char *const texts[] = {"1", "2[\"a\"]", "30[]", "4", "51-[\"a\"]", "7"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct session *session = open_session(0);

        say(session, texts[i]);
        pump();
        assert_false(session->is_open);
    }
    expect_log("");
}

static void a_binary_message_that_no_packet_waits_for_closes(void **state)
{
    static const char *const texts[] = {
        "2[\"a\"]", "51-[\"a\"]", "50-[\"a\"]", "60-1[]", "51-[\"a\"]", "61-1[]",
    };
    struct session *fresh = open_session(0);

    (void)state;
    attach(fresh, "x");
    assert_int_equal(fresh->end, SESSION_PARSE_ERROR);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct session *session = open_joined(0);

        say(session, texts[i]);
        if (texts[i][1] == '1')
            attach(session, "due");
        pump();
        assert_true(session->is_open);
        attach(session, "not due");
        assert_int_equal(session->end, SESSION_PARSE_ERROR);
        pump();
    }
    bench.log_len = 0;
}

static void a_text_before_the_last_attachment_closes(void **state)
{
    static const char *const texts[] = {"2[\"a\"]", "1", "51-[\"a\"]", "", "0"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct session *session = open_joined(0);

        bench.log_len = 0;
        say(session, "52-[\"a\"]");
        attach(session, "x");
        say(session, texts[i]);
        assert_int_equal(session->end, SESSION_PARSE_ERROR);
        attach(session, "y");
        pump();
        bench.log[bench.log_len] = '\0';
        assert_null(strstr(bench.log, "event"));
    }
    bench.log_len = 0;
}

static void an_event_arrives_with_its_attachments(void **state)
{
    struct session *session = open_joined(0), *other = open_joined(0);

    (void)state;
    bench.log_len = 0;
    say(session, "52-7[\"a\",{\"_placeholder\":true,\"num\":1},"
                 "[{\"_placeholder\":true,\"num\":0}]]");
    pump();
    attach(session, "first");
    say(other, "2[\"b\"]");
    pump();
    expect_log("event 2 b [\"b\"]\n");
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_PACKETS), 1);
    assert_true(bench_metric(METRIC_INCOMPLETE_BYTES) > 80);
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_BYTES),
                     session->engine->upper.held(session));
    attach(session, "");
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_PACKETS), 0);
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_BYTES), 0);
    assert_int_equal(session->engine->upper.held(session), 0);
    say(session, "2[\"c\"]");
    pump();
    expect_log("event 1 a [\"a\",{\"_placeholder\":true,\"num\":1},"
               "[{\"_placeholder\":true,\"num\":0}]] <first> <> 7\n"
               "event 1 c [\"c\"]\n");
    /* none is due: complete at once, and nothing is left of it (CVE-2026-69185) */
    say(session, "50-[\"d\",{\"_placeholder\":true,\"num\":4}]");
    say(session, "2[\"e\"]");
    pump();
    expect_log("event 1 d [\"d\",{\"_placeholder\":true,\"num\":4}]\n"
               "event 1 e [\"e\"]\n");
    /* ten, of which none is named */
    say(session, "510-[\"f\"]");
    for (int i = 0; i < 10; i++)
        attach(session, "x");
    pump();
    expect_log("event 1 f [\"f\"] <x> <x> <x> <x> <x> <x> <x> <x> <x> <x>\n");
    assert_int_equal(bench_metric(METRIC_PACKETS_IN), 8);
    assert_true(session->is_open);
}

static void an_ack_may_have_attachments(void **state)
{
    struct session *session = open_joined(0);

    (void)state;
    say(session, "61-5[{\"_placeholder\":true,\"num\":0}]"); /* of nothing */
    attach(session, "x");
    say(session, "61-[{\"_placeholder\":true,\"num\":0}]"); /* without an id */
    attach(session, "x");
    say(session, "60-5[]");
    say(session, "60-[]");
    pump();
    assert_true(session->is_open);
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_PACKETS), 0);
}

static void attachments_are_bounded_together(void **state)
{
    char text[1002];
    struct session *session = open_joined(0), *over = open_joined(0);

    (void)state;
    bench.log_len = 0;
    memset(text, 'x', sizeof text);
    text[999] = '\0';
    say(session, "52-[\"a\"]");
    attach(session, text);
    attach(session, "y"); /* max_attached, to the byte */
    assert_true(session->is_open);
    bench.log_len = 0;
    say(over, "53-[\"a\"]");
    attach(over, text);
    attach(over, "");
    attach(over, "yz");
    assert_int_equal(over->end, SESSION_PARSE_ERROR);
    text[999] = 'x';
    text[1001] = '\0';
    over = open_joined(0);
    say(over, "51-[\"a\"]");
    attach(over, text);
    assert_int_equal(over->end, SESSION_PARSE_ERROR);
    pump();
    bench.log_len = 0;
}

static void who_goes_or_is_sent_away_takes_half_a_packet_along(void **state)
{
    struct session *goes = open_joined(0), *kicked = open_joined(0),
                   *back = open_joined(0);

    (void)state;
    say(goes, "52-[\"a\"]");
    attach(goes, "x");
    session_close(goes, SESSION_TRANSPORT_CLOSE, NULL);
    say(kicked, "52-[\"a\"]");
    attach(kicked, "x");
    pump();
    bench.log_len = 0;
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_PACKETS), 1);
    hub_disconnect(bench.hub, bench.socket[2], HOP_CLOSE_SOCKET);
    pump();
    attach(kicked, "y"); /* is taken, and told nobody */
    assert_true(kicked->is_open);
    say(kicked, "0");
    pump();
    expect_log("disconnect 2 server namespace disconnect\nconnect 4\n");
    say(back, "51-[\"late\"]");
    attach(back, "x");
    hub_disconnect(bench.hub, bench.socket[3], HOP_CLOSE_SOCKET);
    pump(); /* the event's socket is gone before it is read */
    expect_log("disconnect 3 server namespace disconnect\n");
}

static void events_arrive_with_their_names_resolved(void **state)
{
    struct session *session = open_session(0);

    (void)state;
    say(session, "0"); /* what follows need not wait for the reply */
    say(session, "2[\"chat\",1,{\"a\" : 2}]");
    say(session, "2 [ \"blank\" ] ");
    say(session, "212[\"ack\"]");
    say(session, "2007[\"zeros\"]");
    say(session, "2/,[\"named\"]");
    say(session, "2[\"caf\\u00e9\"]");
    say(session, "2[42,1]");
    say(session, "2[-1.5e3]");
    say(session, "2[\"\"]");
    say(session, "2[\"__proto__\",{\"__proto__\":1}]"); /* T13 */
    say(session, "2[\"connection\",18446744073709552000,\"\\ud800\",\"\\u0000\",1e400]");
    pump();
    expect_log("connect 1\n"
               "event 1 chat [\"chat\",1,{\"a\" : 2}]\n"
               "event 1 blank  [ \"blank\" ] \n"
               "event 1 ack [\"ack\"] 12\n"
               "event 1 zeros [\"zeros\"] 144115188075855879\n"
               "event 1 named [\"named\"]\n"
               "event 1 caf\xc3\xa9 [\"caf\\u00e9\"]\n"
               "event 1 42 [42,1]\n"
               "event 1 -1.5e3 [-1.5e3]\n"
               "event 1  [\"\"]\n"
               "event 1 __proto__ [\"__proto__\",{\"__proto__\":1}]\n"
               "event 1 connection [\"connection\",18446744073709552000,\"\\ud800\","
               "\"\\u0000\",1e400]\n");
    assert_true(session->is_open);
    assert_int_equal(bench_metric(METRIC_PACKETS_IN), 12);
}

static size_t seen_args;

static void check_arguments(const struct sio_event *event)
{
    assert_int_equal(strlen(event->name), event->name_len);
    assert_int_equal(event->text[event->text_len], '\0');
    for (size_t i = 0; i < event->n_args; i++) {
        char number[24];
        size_t len = event->args[i].to - event->args[i].from;

        snprintf(number, sizeof number, "%zu", i);
        assert_int_equal(len, strlen(number));
        assert_memory_equal(event->text + event->args[i].from, number, len);
    }
    seen_args = event->n_args;
}

static void arguments_have_their_spans_however_many(void **state)
{
    static const size_t counts[] = {0, 1, 15, 16, 17, 62, 63, 64, 200, 9998};
    struct session *session = open_joined(0);

    (void)state;
    bench.on_event = check_arguments;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        char *text = mem_alloc(100000), *put = text;

        put += sprintf(put, "2[\"n\"");
        for (size_t n = 0; n < counts[i]; n++)
            put += sprintf(put, ",%zu", n);
        sprintf(put, "]");
        seen_args = SIZE_MAX;
        say(session, text);
        pump();
        assert_int_equal(seen_args, counts[i]);
        free(text);
    }
    bench.log_len = 0;
}

static void the_name_of_an_event_has_at_most_1024_bytes(void **state)
{
    char text[8192];

    (void)state;
    for (int over = 0; over < 2; over++) {
        struct session *session = open_joined(0);
        char *put = text + sprintf(text, "2[\"");

        for (int i = 0; i < 1024 + over; i++)
            put += sprintf(put, "\\u0061");
        sprintf(put, "\"]");
        say(session, text);
        assert_int_equal(session->is_open, !over);
    }
}

static void limits_on_json_close(void **state)
{
    struct session *deep = open_joined(0), *wide = open_joined(0), *big = open_joined(0);
    char *text = mem_alloc(60000);

    (void)state;
    memset(text, '[', 5000);
    memcpy(text, "2[\"a\",", 6);
    say_bytes(deep, text, 5000);
    assert_int_equal(deep->end, SESSION_PARSE_ERROR);
    memcpy(text, "2[\"a\"", 5);
    for (size_t i = 0; i < 20000; i++)
        memcpy(text + 5 + 2 * i, ",1", 2);
    text[40005] = ']';
    say_bytes(wide, text, 40006);
    assert_false(wide->is_open);
    memset(text, '1', 500);
    memcpy(text, "2[\"a\",", 6);
    text[500] = ']';
    say_bytes(big, text, 501);
    assert_false(big->is_open);
    free(text);
    pump();
}

static void a_packet_cut_anywhere_does_no_harm(void **state)
{
    static const char text[] =
        "212[\"ch\\u00e9at\",{\"a\":[1.5,\"\\ud83d\\ude00\"]},null]";

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        struct session *session = open_joined(0);

        say_bytes(session, text, len);
        pump();
        assert_false(session->is_open);
        assert_int_equal(session->end, SESSION_PARSE_ERROR);
    }
}

static bool is_closed(void *session)
{
    return !((struct session *)session)->is_open;
}

static void an_attachment_must_come_in_time(void **state)
{
    struct session *slow = open_joined(0), *unread = open_joined(0),
                   *done = open_joined(0);

    (void)state;
    unread->has_input = true;
    say(slow, "52-[\"a\"]");
    attach(slow, "x");
    say(unread, "51-[\"a\"]");
    say(done, "51-[\"a\"]");
    attach(done, "x");
    turns_until(bench.loops->loop[0], is_closed, slow);
    assert_int_equal(slow->end, SESSION_PARSE_ERROR);
    assert_true(done->is_open);
    assert_true(unread->is_open);
    unread->has_input = false;
    turns_until(bench.loops->loop[0], is_closed, unread);
}

static void who_never_joins_is_closed_in_time(void **state)
{
    struct session *silent = open_session(0), *refused = open_session(0),
                   *joined = open_session(0);

    (void)state;
    say(joined, "0");
    say(refused, "0/nowhere");
    pump();
    turns_until(bench.loops->loop[0], is_closed, silent);
    turns_until(bench.loops->loop[0], is_closed, refused);
    assert_int_equal(silent->end, SESSION_NEVER_JOINED);
    assert_int_equal(refused->end, SESSION_NEVER_JOINED);
    assert_true(joined->is_open);
}

static void a_client_may_leave_and_come_back(void **state)
{
    struct session *session = open_joined(0);

    (void)state;
    hub_join(bench.hub, bench.socket[1], "lobby");
    pump();
    say(session, "1");
    say(session, "0");
    say(session, "2[\"again\"]");
    pump();
    expect_log("connect 1\njoin 1 lobby\ndisconnect 1 client namespace disconnect\n"
               "leave 1 lobby\nconnect 2\nevent 2 again [\"again\"]\n");
    assert_true(bench.socket[1] != bench.socket[2]);
    assert_false(hub_is_connected(bench.hub, bench.socket[1]));
    assert_string_equal(hub_socket_address(bench.hub, bench.socket[2]), "127.0.0.1");
    forget(session);
    hub_emit(hub_target_room(bench.hub, "/", "lobby"), "x", ARGS(NULL));
    pump();
    expect_got(session, "");
    say(session, "1");
    pump();
    say(session, "2[\"late\"]");
    assert_int_equal(session->end, SESSION_SERVER_FORCED);
}

/* The server's DISCONNECT and the client's cross each other, and the client is back. */
static void what_belonged_to_an_earlier_stay_does_not_touch_the_later(void **state)
{
    struct session *session = open_joined(0);

    (void)state;
    hub_join(bench.hub, bench.socket[1], "old");
    hub_emit(hub_target_socket(bench.hub, bench.socket[1]), "old", ARGS(NULL));
    hub_disconnect(bench.hub, bench.socket[1], HOP_CLOSE_SOCKET);
    say(session, "2[\"in flight\"]");
    say(session, "1");
    say(session, "0");
    pump();
    expect_log("connect 1\njoin 1 old\ndisconnect 1 server namespace disconnect\n"
               "leave 1 old\nconnect 2\n");
    assert_int_equal(session->n_got, 1); /* the second CONNECT's reply */
    assert_true(session->is_open);
    say(session, "2[\"x\"]");
    pump();
    expect_log("event 2 x [\"x\"]\n");
}

/* ---- several namespaces */

/* What logic has answered to a CONNECT: its id. */
static const char *id_of(unsigned number)
{
    return hub_socket_id(bench.hub, bench.socket[number]);
}

static void one_session_is_in_several_namespaces(void **state)
{
    struct session *session = open_joined(0);
    char expected[128];

    (void)state;
    say(session, "0/chat,{\"token\":1}");
    say(session, "0/news");
    pump();
    snprintf(expected, sizeof expected,
             "0/chat,{\"sid\":\"%s\"}\n0/news,{\"sid\":\"%s\"}\n", id_of(2), id_of(3));
    expect_got(session, expected);
    expect_log("connect 1\nconnect 2\nconnect 3\n");
    assert_string_not_equal(id_of(1), id_of(2));
    assert_string_equal(hub_socket_namespace(bench.hub, bench.socket[1]), "/");
    assert_string_equal(hub_socket_namespace(bench.hub, bench.socket[3]), "/news");
    assert_true(hub_find(bench.hub, "/chat", id_of(2)) == bench.socket[2]);
    assert_true(hub_find(bench.hub, "/", id_of(2)) == HOP_NO_SOCKET);
    assert_true(hub_find(bench.hub, "/none", id_of(2)) == HOP_NO_SOCKET);
    say(session, "2/chat,12[\"a\"]");
    say(session, "2[\"b\"]");
    say(session, "2/news,[\"c\"]");
    pump();
    expect_log("event 2 a [\"a\"] 12\nevent 1 b [\"b\"]\nevent 3 c [\"c\"]\n");
    hub_ack(bench.hub, bench.socket[2], 12, ARGS("[1]"));
    hub_emit(hub_target_socket(bench.hub, bench.socket[3]), "x", ARGS(NULL));
    hub_emit(hub_target_all(bench.hub, "/chat"), "y", ARGS(NULL));
    hub_emit(hub_target_all(bench.hub, "/none"), "z", ARGS(NULL));
    pump();
    expect_got(session, "3/chat,12[1]\n2/news,[\"x\"]\n2/chat,[\"y\"]\n");
}

static void rooms_of_two_namespaces_share_but_their_name(void **state)
{
    struct session *session = open_joined(0), *other = open_joined(0);

    (void)state;
    say(session, "0/chat,");
    say(other, "0/chat");
    pump();
    forget(session);
    forget(other);
    hub_join(bench.hub, bench.socket[1], "den");
    hub_join(bench.hub, bench.socket[3], "den");
    hub_join(bench.hub, bench.socket[4], "den");
    hub_emit(hub_target_room(bench.hub, "/", "den"), "main", ARGS(NULL));
    hub_emit(hub_target_room(bench.hub, "/chat", "den"), "chat", ARGS(NULL));
    pump();
    expect_got(session, "2[\"main\"]\n2/chat,[\"chat\"]\n");
    expect_got(other, "2/chat,[\"chat\"]\n");
    say(session, "1/chat,");
    hub_disconnect(bench.hub, bench.socket[4], HOP_CLOSE_SOCKET);
    hub_emit(hub_target_room(bench.hub, "/chat", "den"), "late", ARGS(NULL));
    hub_emit(hub_target_room(bench.hub, "/", "den"), "main", ARGS(NULL));
    pump();
    expect_got(session, "2[\"main\"]\n");
    expect_got(other, "1/chat,\n");
    assert_true(hub_is_connected(bench.hub, bench.socket[1]));
    assert_true(hub_is_connected(bench.hub, bench.socket[2]));
    assert_false(hub_is_connected(bench.hub, bench.socket[3]));
}

static void a_namespace_is_left_and_joined_without_the_main_one(void **state)
{
    struct session *session = open_session(0);

    (void)state;
    say(session, "0/news");
    pump();
    expect_log("connect 1\n");
    say(session, "1/news");
    say(session, "0/news");
    say(session, "0/chat");
    say(session, "1/news");
    say(session, "0/news");
    pump();
    expect_log("disconnect 1 client namespace disconnect\nconnect 2\nconnect 3\n"
               "disconnect 2 client namespace disconnect\nconnect 4\n");
    say(session, "2/news,[\"a\"]");
    pump();
    expect_log("event 4 a [\"a\"]\n");
    assert_true(session->is_open);
    say(session, "2[\"main\"]");
    pump();
    assert_int_equal(session->end, SESSION_SERVER_FORCED);
    expect_log("disconnect 4 forced server close\ndisconnect 3 forced server close\n");
}

static void a_second_connect_closes_in_any_namespace(void **state)
{
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        struct session *session = open_joined(0);

        say(session, "0/chat");
        if (waits)
            pump();
        say(session, "0/chat");
        pump();
        assert_false(session->is_open);
        assert_int_equal(session->end, SESSION_SERVER_FORCED);
    }
}

/* T15 */
static void a_client_is_in_so_many_namespaces_and_no_more(void **state)
{
    struct session *session = open_joined(0);
    char text[32], expected[128];

    (void)state;
    hub_declare_pattern(bench.hub, "/n[0-9]+", NULL);
    for (int i = 1; i < BENCH_OF_CLIENT; i++) {
        snprintf(text, sizeof text, "0/n%d", i);
        say(session, text);
    }
    pump();
    assert_int_equal(session->n_got, BENCH_OF_CLIENT - 1);
    assert_int_equal(bench_metric(METRIC_NAMESPACES), BENCH_OF_CLIENT - 1);
    forget(session);
    say(session, "0/n99");
    say(session, "0/none");
    pump();
    snprintf(expected, sizeof expected,
             "4/n99,{\"message\":\"Too many namespaces\"}\n"
             "4/none,{\"message\":\"Too many namespaces\"}\n");
    expect_got(session, expected);
    say(session, "1/n1");
    say(session, "0/n99");
    pump();
    assert_memory_equal(session->got, "0/n99,{\"sid\":", 13);
    assert_int_equal(bench_metric(METRIC_NAMESPACES), BENCH_OF_CLIENT - 1);
}

/* T15, EXPECTATIONS 24 */
static void dynamic_namespaces_are_bounded_and_go_with_their_last_client(void **state)
{
    struct session *session[BENCH_NAMESPACES + 1];
    char text[32];

    (void)state;
    hub_declare_pattern(bench.hub, "/a|/n[0-9]+", NULL);
    for (int i = 0; i <= BENCH_NAMESPACES; i++) {
        session[i] = open_session((unsigned)i % bench.loops->n_shards);
        snprintf(text, sizeof text, "0/n%d", i);
        say(session[i], text);
        pump();
    }
    expect_got(session[BENCH_NAMESPACES], "4/n5,{\"message\":\"Too many namespaces\"}\n");
    assert_int_equal(bench_metric(METRIC_NAMESPACES), BENCH_NAMESPACES);
    say(session[BENCH_NAMESPACES], "0/n0"); /* which is there */
    say(session[BENCH_NAMESPACES], "0/chat");
    pump();
    assert_int_equal(session[BENCH_NAMESPACES]->n_got, 2);
    say(session[0], "1/n0");
    say(session[1], "1/n1");
    pump();
    pump();
    assert_int_equal(bench_metric(METRIC_NAMESPACES), BENCH_NAMESPACES - 1);
    say(session[1], "0/x/n1"); /* a pattern fits the whole name or not at all */
    say(session[1], "0/ab");
    say(session[1], "0/a");
    pump();
    assert_int_equal(session[1]->n_got, 4);
    assert_non_null(strstr(session[1]->got, "4/x/n1,{"));
    assert_non_null(strstr(session[1]->got, "4/ab,{"));
    assert_non_null(strstr(session[1]->got, "0/a,{"));
    for (int i = 0; i <= BENCH_NAMESPACES; i++)
        session_close(session[i], SESSION_TRANSPORT_CLOSE, NULL);
    pump();
    pump();
    assert_int_equal(bench_metric(METRIC_NAMESPACES), 0);
    bench.log_len = 0;
}

static bool accept_all(const struct hub_connect *connect, void *arg)
{
    (void)connect;
    (void)arg;
    return true;
}

/* PROTOCOL.md 1.4: a parent's emit fans out to its children. */
static void a_pattern_is_a_target_for_all_that_came_about_by_it(void **state)
{
    struct session *session[4];
    hop_target *target;
    size_t n;

    (void)state;
    hub_declare_pattern(bench.hub, "/n.+", NULL);
    hub_declare_hook(bench.hub, "others", accept_all, NULL);
    for (unsigned i = 0; i < 4; i++)
        session[i] = open_session(i % bench.loops->n_shards);
    say(session[0], "0/n1");
    say(session[1], "0/n2");
    say(session[2], "0/other");
    say(session[3], "0/n.+"); /* a client may ask for that */
    pump();
    for (unsigned i = 0; i < 4; i++)
        forget(session[i]);
    hub_emit(hub_target_all(bench.hub, "/n.+"), "x", ARGS("[1]"));
    hub_emit(hub_target_all(bench.hub, "others"), "y", ARGS(NULL));
    pump();
    expect_got(session[0], "2/n1,[\"x\",1]\n");
    expect_got(session[1], "2/n2,[\"x\",1]\n");
    expect_got(session[2], "2/other,[\"y\"]\n");
    expect_got(session[3], "2/n.+,[\"x\",1]\n");

    hub_join(bench.hub, bench.socket[1], "den");
    hub_join(bench.hub, bench.socket[4], "den");
    target = hub_target_room(bench.hub, "/n.+", "den");
    hub_target_except(target, bench.socket[4]);
    assert_non_null(hub_target_sockets(target, &n));
    assert_int_equal(n, 1);
    hub_emit(target, "z", ARGS(NULL));
    pump();
    expect_got(session[0], "2/n1,[\"z\"]\n");
    expect_got(session[3], "");
    assert_int_equal(
        hub_target_disconnect(hub_target_all(bench.hub, "/n.+"), HOP_CLOSE_SOCKET), 3);
    pump();
    expect_got(session[1], "1/n2,\n");
    bench.log_len = 0;
}

/* PROTOCOL.md 1.3: EIO3 */
static void a_client_of_engine_io_3_is_in_the_main_namespace_at_once(void **state)
{
    struct session *session = open_session_of(0, 3);

    (void)state;
    pump();
    expect_got(session, "0\n");
    expect_log("connect 1\n");
    assert_string_equal(id_of(1), "the-sid");
    assert_true(hub_find(bench.hub, "/", "the-sid") == bench.socket[1]);
    say(session, "0/chat?token=a%20b&x=1,");
    say(session, "0/none?token=1");
    pump();
    expect_got(session, "0/chat,\n4/none,\"Invalid namespace\"\n");
    assert_string_equal(id_of(2), "/chat#the-sid");
    say(session, "2/chat,1[\"a\"]");
    say(session, "2[\"b\"]");
    say(session, "1/chat");
    pump();
    expect_log("connect 2\nevent 2 a [\"a\"] 1\nevent 1 b [\"b\"]\n"
               "disconnect 2 client namespace disconnect\n");
    say(session, "0");
    pump();
    assert_int_equal(session->end, SESSION_SERVER_FORCED);
}

/* A query is made an object of: so it is limited as JSON is. */
static void a_query_of_engine_io_3_has_so_many_parameters(void **state)
{
    enum { MOST = 10000 };
    static const char nsp[] = "0/chat?a";
    char *text = malloc(sizeof nsp + 2 * MOST + 1);
    size_t len = sizeof nsp - 1;

    (void)state;
    for (int n = MOST; n <= MOST + 1; n++) {
        struct session *session = open_session_of(0, 3);

        memcpy(text, nsp, len + 1);
        for (int i = 1; i < n; i++)
            memcpy(text + len + 2 * (i - 1), "&a", 2);
        memcpy(text + len + 2 * (n - 1), ",", 2);
        say(session, text);
        pump();
        assert_int_equal(session_is_open(session), n == MOST);
        if (n > MOST)
            assert_int_equal(session->end, SESSION_PARSE_ERROR);
    }
    free(text);
    bench.log_len = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(a_connect_is_answered_with_a_sid_of_its_own),
        ON_BOTH(a_connect_may_carry_an_object),
        ON_BOTH(other_namespaces_are_refused_and_the_session_stays),
        ON_BOTH(what_is_no_packet_of_a_joined_client_closes),
        ON_BOTH(nothing_but_connect_is_taken_before_it),
        ON_BOTH(a_binary_message_that_no_packet_waits_for_closes),
        ON_BOTH(a_text_before_the_last_attachment_closes),
        ON_BOTH(an_event_arrives_with_its_attachments),
        ON_BOTH(an_ack_may_have_attachments),
        ON_BOTH(attachments_are_bounded_together),
        ON_BOTH(who_goes_or_is_sent_away_takes_half_a_packet_along),
        {"an_attachment_must_come_in_time", an_attachment_must_come_in_time, one_loop,
         bench_done, NULL},
        ON_BOTH(events_arrive_with_their_names_resolved),
        ON_BOTH(arguments_have_their_spans_however_many),
        ON_BOTH(the_name_of_an_event_has_at_most_1024_bytes),
        ON_BOTH(limits_on_json_close),
        ON_BOTH(a_packet_cut_anywhere_does_no_harm),
        {"who_never_joins_is_closed_in_time", who_never_joins_is_closed_in_time, one_loop,
         bench_done, NULL},
        ON_BOTH(a_client_may_leave_and_come_back),
        ON_BOTH(what_belonged_to_an_earlier_stay_does_not_touch_the_later),
        ON_BOTH(a_query_of_engine_io_3_has_so_many_parameters),
        ON_BOTH(a_pattern_is_a_target_for_all_that_came_about_by_it),
        ON_BOTH(a_client_of_engine_io_3_is_in_the_main_namespace_at_once),
        ON_BOTH(one_session_is_in_several_namespaces),
        ON_BOTH(rooms_of_two_namespaces_share_but_their_name),
        ON_BOTH(a_namespace_is_left_and_joined_without_the_main_one),
        ON_BOTH(a_second_connect_closes_in_any_namespace),
        ON_BOTH(a_client_is_in_so_many_namespaces_and_no_more),
        ON_BOTH(dynamic_namespaces_are_bounded_and_go_with_their_last_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
