/*
 * test_polling.c - long-polling end to end (core/engine/polling.c, session.c): what each
 * request is answered, and what ends a session (docs/PROTOCOL.md 1.2, 1.12; C08, T26, T47).
 */
#include "tests/unit/wire.h"

#include "core/net/pressure.h"

/* One session with a peer for GETs and one for POSTs. */
struct client {
    struct wire *wire;
    struct peer *get, *post;
    char sid[32];
};

static struct client client_open(const struct settings *settings)
{
    struct client client = {.wire = wire_new(settings)};

    client.get = peer_new(client.wire);
    client.post = peer_new(client.wire);
    open_session(client.wire, client.get, client.sid);
    return client;
}

static void client_close(struct client *client)
{
    peer_free(client->get);
    peer_free(client->post);
    wire_free(client->wire);
}

static void get(struct client *client)
{
    poll_get(client->wire, client->get, client->sid);
}

static void post(struct client *client, const char *body)
{
    poll_post(client->wire, client->post, client->sid, body);
}

/* The sid is forgotten. */
static void expect_gone(struct client *client)
{
    struct peer *peer = peer_new(client->wire);

    poll_get(client->wire, peer, client->sid);
    expect_response(peer, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    peer_free(peer);
}

static void the_handshake_tells_what_it_must(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char body[256];

    (void)state;
    snprintf(body, sizeof body,
             "0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":100000}",
             client.sid);
    expect_response(client.get, 200, body);
    assert_non_null(
        strstr(client.get->in, "Content-Type: text/plain; charset=UTF-8\r\n"));
    assert_non_null(strstr(client.get->in, "Cache-Control: no-store\r\n"));
    assert_int_equal(metric_of(client.wire->loop, METRIC_SESSIONS_POLLING), 1);
    client_close(&client);
}

static void a_held_get_is_answered_when_there_is_something(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    get(&client);
    assert_int_equal(client.get->len, 0); /* held */
    post(&client, "4hello");
    expect_response(client.post, 200, "ok");
    assert_non_null(strstr(client.post->in, "Content-Type: text/html\r\n"));
    assert_non_null(strstr(client.post->in, "Cache-Control: no-store\r\n"));
    wire_expect(client.wire, "text:hello ");
    peer_read(client.wire, client.get);
    assert_int_equal(client.get->len, 0);
    post(&client, "4echo:back");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "4back");
    client_close(&client);
}

static void packets_of_a_turn_come_in_one_response(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    post(&client, "4burst\x1e"
                  "4echo:d");
    get(&client);
    expect_response(client.get, 200,
                    "4a\x1e"
                    "4b\x1e"
                    "4c\x1e"
                    "4d");
    get(&client);
    assert_int_equal(client.get->len, 0);
    post(&client, "4burst");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200,
                    "4a\x1e"
                    "4b\x1e"
                    "4c");
    client_close(&client);
}

static void attachments_stand_behind_their_text(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    struct bytes *packet = wire_attached("52-[]", "bytes");
    struct outgoing out = {.packet = packet};

    (void)state;
    session_send(client.wire->session, &out);
    get(&client);
    expect_response(client.get, 200,
                    "452-[]\x1e"
                    "bYnl0ZXM=\x1e"
                    "b");
    session_send(client.wire->session, &out);
    send_text(client.wire->session, "a", false);
    session_send(client.wire->session, &out);
    assert_int_equal(metric_of(client.wire->loop, METRIC_QUEUED_BYTES),
                     2 * packet->len + 2);
    get(&client);
    expect_response(client.get, 200,
                    "452-[]\x1e"
                    "bYnl0ZXM=\x1e"
                    "b\x1e"
                    "4a\x1e"
                    "452-[]\x1e"
                    "bYnl0ZXM=\x1e"
                    "b");
    bytes_unref(packet);
    client_close(&client);
}

/* A body of one packet with attachments is made once a turn, and is nobody else's. */
static void pollers_share_the_body_of_a_packet_with_attachments(void **state)
{
    enum { POLLERS = 4 };
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct bytes *packets[2] = {wire_attached("52-[]", "one"),
                                wire_attached("52-[]", "two")};
    struct peer *peers[POLLERS];
    char sid[32];

    (void)state;
    for (int i = 0; i < POLLERS; i++) {
        struct outgoing out = {.packet = packets[i / 2]};

        peers[i] = peer_new(wire);
        open_session(wire, peers[i], sid);
        peers[i]->len = 0;
        poll_get(wire, peers[i], sid);
        session_send(wire->session, &out);
    }
    assert_null(wire->engine->joined);
    engine_pack(wire->engine);
    assert_non_null(wire->engine->joined);
    assert_true(wire->engine->joined_of == packets[0] ||
                wire->engine->joined_of == packets[1]);
    for (int i = 0; i < POLLERS; i++) {
        peer_read(wire, peers[i]);
        expect_response(peers[i], 200,
                        i < 2 ? "452-[]\x1e"
                                "bb25l\x1e"
                                "b"
                              : "452-[]\x1e"
                                "bdHdv\x1e"
                                "b");
        peer_free(peers[i]);
    }
    assert_null(wire->engine->joined);
    bytes_unref(packets[0]);
    bytes_unref(packets[1]);
    wire_free(wire);
}

/* What a POST brings, and what becomes of the session: the held GET tells. */
static void each_packet_has_its_effect(void **state)
{
    static const struct {
        const char *body;
        const char *told;
        const char *last; /* of the held GET; NULL: still held */
    } rows[] = {
        {"3", "", NULL},
        {"6", "", NULL},
        {"5", "", NULL},
        {"0", "", NULL},
        {"6\x1e"
         "6\x1e"
         "6\x1e"
         "4x",
         "text:x ", NULL},
        {"4", "text: ", NULL},
        {"4\xe2\x82\xac", "text:\xe2\x82\xac ", NULL},
        {"bYWJj", "binary:abc ", NULL},
        {"b", "binary: ", NULL},
        {"1", "closed:transport close ", "6"},
        {"4a\x1e"
         "1\x1e"
         "4b",
         "text:a closed:transport close ", "6"},
        {"2", "closed:transport error ", "1"},
        {"2probe", "closed:transport error ", "1"},
        {"", "closed:parse error ", "1"},
        {"abc", "closed:parse error ", "1"},
        {"7", "closed:parse error ", "1"},
        {"4a\x1e"
         "x\x1e"
         "4b",
         "text:a closed:parse error ", "1"},
        {"4a\x1e", "text:a closed:parse error ", "1"},
        {"bYW", "closed:parse error ", "1"},
        {"bYW==YW==", "closed:parse error ", "1"},
        {"4close\x1e"
         "4b",
         "text:close closed:forced close ", "1"},
    };
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(&settings);

        get(&client);
        post(&client, rows[i].body);
        expect_response(client.post, 200, "ok");
        wire_expect(client.wire, rows[i].told);
        peer_read(client.wire, client.get);
        if (rows[i].last) {
            expect_response(client.get, 200, rows[i].last);
            expect_gone(&client);
        } else {
            assert_int_equal(client.get->len, 0);
        }
        client_close(&client);
    }
}

static void a_closed_session_keeps_its_last_packets_for_the_next_get(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    post(&client, "4burst\x1e"
                  "4close");
    wire_expect(client.wire, "text:burst text:close closed:forced close ");
    post(&client, "4too late");
    expect_response(client.post, 200, "ok");
    wire_expect(client.wire, "");
    get(&client);
    expect_response(client.get, 200,
                    "4a\x1e"
                    "4b\x1e"
                    "4c");
    get(&client);
    expect_response(client.get, 200, "1");
    expect_gone(&client);
    client_close(&client);
}

/* Stock clients drop events that stand in one payload with the close packet. */
static void the_close_packet_comes_in_a_response_of_its_own(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    get(&client);
    post(&client, "4burst\x1e"
                  "4close");
    wire_expect(client.wire, "text:burst text:close closed:forced close ");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200,
                    "4a\x1e"
                    "4b\x1e"
                    "4c");
    get(&client);
    expect_response(client.get, 200, "1");
    expect_gone(&client);
    client_close(&client);
}

static void begin_post(struct client *client, struct peer *peer, const char *body_part)
{
    char request[512];

    snprintf(request, sizeof request,
             "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
             "Content-Length: 10\r\n\r\n%s",
             client->sid, body_part);
    peer_ask(client->wire, peer, request);
}

static void two_posts_at_once_end_the_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state; /* T26 */
    begin_post(&client, client.post, "4he");
    assert_int_equal(client.post->len, 0);
    begin_post(&client, client.get, "4x");
    expect_response(client.get, 400, "");
    wire_expect(client.wire, "closed:transport error ");
    peer_ask(client.wire, client.post, "llo+wor");
    expect_response(client.post, 400, "{\"code\":1,\"message\":\"Session ID unknown\"}");
    expect_gone(&client);
    client_close(&client);
}

static void an_aborted_post_ends_the_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    begin_post(&client, client.post, "4he");
    close(client.post->fd);
    client.post->fd = -1;
    settle(client.wire);
    wire_expect(client.wire, "closed:transport error ");
    expect_gone(&client);
    client_close(&client);
}

/* All in one turn: the session ends, its POST is complete, and the POST's peer has gone. */
static void a_post_may_end_in_the_turn_of_its_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    begin_post(&client, client.post, "4he");
    peer_write(client.post, "llo+wor", 7);
    close(client.post->fd);
    client.post->fd = -1;
    session_end(client.wire->session, SESSION_PING_TIMEOUT, NULL);
    settle(client.wire);
    wire_expect(client.wire, "closed:ping timeout ");
    expect_gone(&client);
    client_close(&client);
}

static void two_gets_at_once_end_the_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state; /* T26 */
    get(&client);
    poll_get(client.wire, client.post, client.sid);
    expect_response(client.post, 400, "");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "1");
    wire_expect(client.wire, "closed:transport error ");
    expect_gone(&client);
    client_close(&client);
}

static void an_aborted_get_ends_the_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    get(&client);
    close(client.get->fd);
    client.get->fd = -1;
    settle(client.wire);
    wire_expect(client.wire, "closed:transport error ");
    expect_gone(&client);
    client_close(&client);
}

static void a_connection_between_two_polls_may_go(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    close(client.get->fd);
    client.get->fd = -1;
    settle(client.wire);
    wire_expect(client.wire, "");
    post(&client, "4still here");
    wire_expect(client.wire, "text:still here ");
    client_close(&client);
}

static void a_body_of_another_kind_is_refused(void **state)
{
    static const struct {
        const char *type, *body, *told;
    } rows[] = {
        {"application/octet-stream", "4a", "closed:transport error "}, /* C08 */
        {"Application/Octet-Stream; x=y", "4a", "closed:transport error "},
        {"text/plain", "4\xff", "closed:parse error "}, /* T11 */
        {"text/plain", "4\xed\xa0\x80", "closed:parse error "},
    };
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(&settings);
        char text[512];

        snprintf(text, sizeof text,
                 "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
                 "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                 client.sid, rows[i].type, strlen(rows[i].body), rows[i].body);
        peer_ask(client.wire, client.post, text);
        expect_response(client.post, 400, "");
        wire_expect(client.wire, rows[i].told);
        expect_gone(&client);
        client_close(&client);
    }
}

static void a_body_over_the_limit_is_413_and_the_session_survives(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char text[512];
    int status = 0;

    (void)state; /* C04 */
    snprintf(text, sizeof text,
             "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
             "Content-Length: 100001\r\n\r\n",
             client.sid);
    sscanf(peer_ask(client.wire, client.post, text), "HTTP/1.1 %d", &status);
    assert_int_equal(status, 413);
    peer_free(client.post);
    client.post = peer_new(client.wire);
    post(&client, "4alive");
    wire_expect(client.wire, "text:alive ");
    client_close(&client);
}

static void other_methods_and_transports_do_not_fit_the_session(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char text[512];

    (void)state;
    snprintf(text, sizeof text,
             "GET /socket.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\n" HOST "\r\n",
             client.sid);
    peer_ask(client.wire, client.post, text);
    expect_response(client.post, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    snprintf(text, sizeof text,
             "PUT /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "\r\n",
             client.sid);
    peer_ask(client.wire, client.post, text);
    expect_response(client.post, 500, "");
    wire_expect(client.wire, "");
    get(&client);
    assert_int_equal(client.get->len, 0); /* still there */
    client_close(&client);
}

static void volatile_packets_need_a_waiting_get(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    send_text(client.wire->session, "lost", true);
    get(&client);
    assert_int_equal(client.get->len, 0);
    send_text(client.wire->session, "kept", true);
    send_text(client.wire->session, "lost too", true);
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "4kept");
    assert_int_equal(metric_of(client.wire->loop, METRIC_VOLATILE_DROPPED), 2);
    client_close(&client);
}

static void a_client_that_does_not_poll_is_closed_as_slow(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state; /* T05 */
    settings.max_queue_bytes = 100;
    client = client_open(&settings);
    for (int i = 0; i < 30; i++) {
        send_text(client.wire->session, "123", false);
        assert_true(client.wire->session != NULL); /* sending never ends a session */
    }
    settle(client.wire);
    wire_expect(client.wire, "closed:transport error ");
    assert_int_equal(metric_of(client.wire->loop, METRIC_CLOSED_SLOW), 1);
    client_close(&client);

    settings.max_queue_bytes = 1 << 20;
    settings.max_queue_frames = 5;
    client = client_open(&settings);
    get(&client);
    for (int i = 0; i < 30; i++) /* a held GET takes them all */
        send_text(client.wire->session, "1", false);
    peer_read(client.wire, client.get);
    wire_expect(client.wire, "");
    for (int i = 0; i < 6; i++)
        send_text(client.wire->session, "1", false);
    settle(client.wire);
    wire_expect(client.wire, "closed:transport error ");
    client_close(&client);
}

static bool has_told(void *wire)
{
    return ((struct wire *)wire)->log[0] != '\0';
}

static void a_queue_over_the_soft_limit_may_stay_so_for_a_while(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state;
    settings.soft_queue_bytes = 100;
    settings.soft_queue_ms = 400;
    client = client_open(&settings);
    for (int i = 0; i < 30; i++)
        send_text(client.wire->session, "1234", false);
    settle(client.wire);
    wire_expect(client.wire, "");
    turns_until(client.wire->loop, has_told, client.wire);
    wire_expect(client.wire, "closed:transport error ");
    assert_int_equal(metric_of(client.wire->loop, METRIC_CLOSED_SLOW), 1);
    client_close(&client);
}

static void a_request_cut_at_every_byte_is_the_same_request(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct peer *peer = peer_new(wire);
    char sid[32], text[512];
    size_t len;

    (void)state;
    open_session(wire, peer, sid);
    len = (size_t)snprintf(
        text, sizeof text,
        "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
        "Content-Length: 9\r\n\r\n4ab\x1e"
        "bYWJj",
        sid);
    for (size_t cut = 1; cut < len; cut++) {
        peer->len = 0;
        peer_write(peer, text, cut);
        settle(wire);
        peer_write(peer, text + cut, len - cut);
        peer_read(wire, peer);
        expect_response(peer, 200, "ok");
        wire_expect(wire, "text:ab binary:abc ");
    }
    peer_free(peer);
    wire_free(wire);
}

/* T47: sessions that have joined and say nothing more take room from newcomers, and there
 * may be many: an address is limited in connections, which these have none of. */
static void whoever_owes_a_pong_for_long_goes_when_memory_is_full(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct engine *engine = wire->engine;
    struct session *session[3];
    struct holders holders = {0};
    unsigned n = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct peer *peer = peer_new(wire);
        char sid[32];

        open_session(wire, peer, sid);
        session[i] = wire->session;
        peer_free(peer);
    }
    engine->pong.interval_ms = settings.ping_timeout_ms / 2; /* as if it were half over */
    session_on_beat(&session[1]->beat);
    session_on_beat(&session[0]->beat);
    engine->pong.interval_ms = settings.ping_timeout_ms;
    session_on_beat(&session[2]->beat); /* a round trip is no silence */

    net_collect(wire->net, &holders);
    assert_int_equal(holders.idle_bytes, 2 * 512);
    assert_int_equal(holders.end_idle(holders.idle_arg, 1, &n), 512);
    assert_int_equal(n, 1);
    assert_false(session_is_open(session[1]));
    assert_true(session_is_open(session[0]));
    wire_expect(wire, "closed:ping timeout ");
    assert_int_equal(holders.end_idle(holders.idle_arg, SIZE_MAX, &n), 512);
    assert_int_equal(n, 2);
    assert_true(session_is_open(session[2]));
    wire_expect(wire, "closed:ping timeout ");
    free(holders.all);
    wire_free(wire);
}

static void who_may_have_answered_shields_nobody_behind_it(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct engine *engine = wire->engine;
    struct peer *busy = peer_new(wire), *peer = peer_new(wire);
    struct session *first, *second;
    struct holders holders = {0};
    unsigned n = 0;
    char sid[32];

    (void)state;
    ws_open(wire, busy, "");
    wire_expect(wire, "open ");
    first = wire->session;
    open_session(wire, peer, sid);
    second = wire->session;
    engine->pong.interval_ms = settings.ping_timeout_ms / 2;
    session_on_beat(&first->beat);
    session_on_beat(&second->beat);
    peer_write(busy, "\x81", 1); /* which nobody has read yet */

    net_collect(wire->net, &holders);
    holders.end_idle(holders.idle_arg, SIZE_MAX, &n);
    assert_int_equal(n, 1);
    assert_true(session_is_open(first));
    assert_false(session_is_open(second));
    free(holders.all);
    peer_free(busy);
    peer_free(peer);
    wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_tells_what_it_must),
        cmocka_unit_test(a_held_get_is_answered_when_there_is_something),
        cmocka_unit_test(packets_of_a_turn_come_in_one_response),
        cmocka_unit_test(attachments_stand_behind_their_text),
        cmocka_unit_test(pollers_share_the_body_of_a_packet_with_attachments),
        cmocka_unit_test(each_packet_has_its_effect),
        cmocka_unit_test(a_closed_session_keeps_its_last_packets_for_the_next_get),
        cmocka_unit_test(the_close_packet_comes_in_a_response_of_its_own),
        cmocka_unit_test(two_gets_at_once_end_the_session),
        cmocka_unit_test(two_posts_at_once_end_the_session),
        cmocka_unit_test(an_aborted_post_ends_the_session),
        cmocka_unit_test(a_post_may_end_in_the_turn_of_its_session),
        cmocka_unit_test(an_aborted_get_ends_the_session),
        cmocka_unit_test(a_connection_between_two_polls_may_go),
        cmocka_unit_test(a_body_of_another_kind_is_refused),
        cmocka_unit_test(a_body_over_the_limit_is_413_and_the_session_survives),
        cmocka_unit_test(other_methods_and_transports_do_not_fit_the_session),
        cmocka_unit_test(volatile_packets_need_a_waiting_get),
        cmocka_unit_test(a_client_that_does_not_poll_is_closed_as_slow),
        cmocka_unit_test(a_queue_over_the_soft_limit_may_stay_so_for_a_while),
        cmocka_unit_test(a_request_cut_at_every_byte_is_the_same_request),
        cmocka_unit_test(whoever_owes_a_pong_for_long_goes_when_memory_is_full),
        cmocka_unit_test(who_may_have_answered_shields_nobody_behind_it),
    };

    return cmocka_run_group_tests_name("polling", tests, NULL, NULL);
}
