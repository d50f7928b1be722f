/*
 * test_bursts.c - what one connection sends at once is taken share by share, one a turn
 * (limits.max_turn_packets): frames, the packets of a POST, pipelined requests. The others
 * get their turn in between, nothing is lost or reordered, and whoever ends in between ends
 * cleanly (issue 3, threats.md T06, T15, T26).
 */
#include "tests/unit/wire.h"

#include "core/engine/polling.h"
#include "core/net/conn_impl.h"

static const int64_t shares[] = {1, 2, 7, 64, 200, 201, 1000};

enum { N_SHARES = sizeof shares / sizeof *shares, N = 200 };

static struct settings settings_with(int64_t share)
{
    struct settings settings = wire_settings();

    settings.max_turn_packets = share;
    return settings;
}

/* How many texts the upper layer was told. */
static unsigned n_told(const struct wire *wire)
{
    unsigned n = 0;

    for (const char *at = wire->log; (at = strstr(at, "text:")) != NULL; at++)
        n++;
    return n;
}

/* "text:0 text:1 ..." in order, and nothing else. */
static void expect_numbers(struct wire *wire, unsigned n)
{
    char expected[4096] = "";
    size_t len = 0;

    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(expected + len, sizeof expected - len, "text:%u ", i);
    wire_expect(wire, expected);
}

static void nothing(struct loop *loop, void *payload)
{
    (void)loop;
    (void)payload;
}

/* Logic is behind for this turn: what was put off waits for its relief. */
static void keep_logic_busy(struct wire *wire)
{
    loop_send(wire->loop, wire->loop, nothing, 0, wire->loops->max_lane_bytes / 2);
}

/* ---- WebSocket */

struct client {
    struct wire *wire;
    struct peer *peer, *other;
};

static void open_peer(struct wire *wire, struct peer **peer)
{
    *peer = peer_new(wire);
    ws_open(wire, *peer, "");
    (*peer)->len = 0;
    wire_expect(wire, "open ");
}

static struct client client_open(const struct settings *settings)
{
    struct client client = {.wire = wire_new(settings)};

    open_peer(client.wire, &client.other);
    open_peer(client.wire, &client.peer);
    return client;
}

static void client_close(struct client *client)
{
    peer_free(client->peer);
    peer_free(client->other);
    wire_free(client->wire);
}

/* Text frames 40 .. 4(n - 1), as one write. */
static void write_numbers(struct peer *peer, unsigned from, unsigned n)
{
    char frames[8192], text[16];
    size_t len = 0;

    for (unsigned i = from; i < from + n; i++) {
        int text_len = snprintf(text, sizeof text, "4%u", i);

        len += put_frame(frames + len, FIN | TEXT, text, (size_t)text_len);
    }
    peer_write(peer, frames, len);
}

static void write_text(struct peer *peer, const char *text)
{
    char frame[256];

    peer_write(peer, frame, put_frame(frame, FIN | TEXT, text, strlen(text)));
}

static void a_burst_of_frames_takes_as_many_turns_as_it_has_shares(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N_SHARES; i++) {
        const struct settings settings = settings_with(shares[i]);
        struct client client = client_open(&settings);
        unsigned n = 0, n_turns = 0;

        write_numbers(client.peer, 0, N);
        for (; n_told(client.wire) < N; n_turns++) {
            turn(client.wire->loop);
            assert_true(n_told(client.wire) > n);
            assert_true(n_told(client.wire) - n <= shares[i]);
            n = n_told(client.wire);
        }
        assert_int_equal(n_turns, (N + shares[i] - 1) / shares[i]);
        assert_int_equal(metric_of(client.wire->loop, METRIC_PUT_OFF), n_turns - 1);
        expect_numbers(client.wire, N);
        client_close(&client);
    }
}

/* And so do few bytes that become many (T10). */
static void what_inflates_counts_as_it_has_become(void **state)
{
    enum { LEN = 90000, MESSAGES = 5 };
    struct settings settings = settings_with(64);
    struct deflate_pool pool = {0};
    struct client client = {0};
    char *zeros = calloc(1, LEN), frames[MESSAGES * 1024];
    const char *deflated;
    size_t len, n = 0;

    (void)state;
    settings.permessage_deflate = true;
    client.wire = wire_new(&settings);
    client.peer = peer_new(client.wire);
    client.other = peer_new(client.wire);
    ws_open_with(client.wire, client.peer, "",
                 "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    wire_expect(client.wire, "open ");
    len = deflate_message(&pool, DEFLATE_MAX_BITS, zeros, LEN, &deflated);
    assert_true(len > 0 && len < 1000);
    for (int i = 0; i < MESSAGES; i++)
        n += put_frame(frames + n, FIN | FRAME_DEFLATED | BINARY, deflated, len);
    client.wire->net->read_bytes = 0;
    peer_write(client.peer, frames, n);
    turn(client.wire->loop);
    wire_expect(client.wire, "binary: binary: binary: ");
    assert_true(client.wire->net->read_bytes >=
                3 * LEN); /* the memory watch goes by it */
    turn(client.wire->loop);
    wire_expect(client.wire, "binary: binary: ");
    deflate_pool_done(&pool);
    free(zeros);
    client_close(&client);
}

/* T06: pings cost a turn as messages do. */
static void control_frames_count_too(void **state)
{
    struct settings settings = settings_with(10);
    struct client client;
    char frames[1024];
    size_t len = 0;

    (void)state;
    settings.max_controls = 1000;
    client = client_open(&settings);
    for (int i = 0; i < 35; i++)
        len += put_frame(frames + len, FIN | PING, "", 0);
    peer_write(client.peer, frames, len);
    for (size_t n = 10; n <= 30; n += 10) {
        turn(client.wire->loop);
        assert_int_equal(client.wire->session->ws->n_controls, n);
    }
    peer_read(client.wire, client.peer);
    assert_int_equal(client.peer->len, 35 * 2);
    client_close(&client);
}

static void others_are_served_in_between(void **state)
{
    const struct settings settings = settings_with(10);
    struct client client = client_open(&settings);

    (void)state;
    write_numbers(client.peer, 0, 100);
    turn(client.wire->loop);
    assert_int_equal(n_told(client.wire), 10);
    write_text(client.other, "4other");
    turn(client.wire->loop);
    assert_int_equal(n_told(client.wire), 21);
    assert_non_null(strstr(client.wire->log, "text:19 text:other ")); /* of 100 */
    client_close(&client);
}

/* What comes later is read when the burst is over, not before. */
static void nothing_is_read_beside_the_rest(void **state)
{
    const struct settings settings = settings_with(10);
    struct client client = client_open(&settings);
    const struct conn *conn = client.wire->session->ws->conn;
    char byte;

    (void)state;
    write_numbers(client.peer, 0, 50);
    turn(client.wire->loop);
    write_numbers(client.peer, 50, 50);
    for (int i = 2; i < 5; i++) {
        turn(client.wire->loop);
        assert_int_equal(n_told(client.wire), i * 10);
        assert_int_equal(recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 1);
        assert_true(conn->is_holding && conn_has_input(conn));
    }
    for (int i = 0; i < 8; i++)
        turn(client.wire->loop);
    assert_false(conn->is_holding);
    expect_numbers(client.wire, 100);
    client_close(&client);
}

static void a_burst_waits_while_logic_is_behind(void **state)
{
    const struct settings settings = settings_with(10);
    struct client client = client_open(&settings);

    (void)state;
    write_numbers(client.peer, 0, 50);
    turn(client.wire->loop);
    for (unsigned n = 10; n < 50; n += 10) {
        write_text(client.other, "4other");
        keep_logic_busy(client.wire);
        turn(client.wire->loop); /* an honest peer's frames come through */
        assert_int_equal(n_told(client.wire), n + n / 10);
        turn(client.wire->loop); /* relieved */
        assert_int_equal(n_told(client.wire), n + n / 10 + 10);
    }
    client_close(&client);
}

static void the_burst_of_a_session_that_ends_is_dropped(void **state)
{
    const struct settings settings = settings_with(10);
    struct client client = client_open(&settings);

    (void)state;
    write_numbers(client.peer, 0, 25);
    write_text(client.peer, "4close");
    write_numbers(client.peer, 26, 74);
    peer_read(client.wire, client.peer);
    assert_string_equal(ws_words(client.peer), "close:1000 ");
    assert_true(client.peer->is_over);
    assert_int_equal(n_told(client.wire), 26);
    assert_non_null(strstr(client.wire->log, "text:24 text:close closed:forced close "));
    client_close(&client);
}

/* In each turn of a burst: the server closes, or the peer goes without a word. */
static void either_side_may_end_in_between(void **state)
{
    const struct settings settings = settings_with(10);

    (void)state;
    for (int n_turns = 1; n_turns <= 6; n_turns++)
        for (int is_peers = 0; is_peers < 2; is_peers++) {
            struct client client = client_open(&settings);
            unsigned n;

            write_numbers(client.peer, 0, 50);
            for (int i = 0; i < n_turns; i++)
                turn(client.wire->loop);
            n = n_told(client.wire);
            assert_int_equal(n, n_turns < 5 ? n_turns * 10 : 50);
            if (is_peers) { /* what it has sent is taken first */
                close(client.peer->fd);
                client.peer->fd = -1;
                n = 50;
            } else {
                session_close(client.wire->session, SESSION_SERVER_FORCED, NULL);
            }
            for (int i = 0; i < 10; i++)
                turn(client.wire->loop);
            assert_int_equal(n_told(client.wire), n);
            assert_non_null(
                strstr(client.wire->log, is_peers ? "closed:transport close "
                                                  : "closed:forced server close "));
            if (!is_peers) {
                peer_read(client.wire, client.peer);
                assert_string_equal(ws_words(client.peer), "close:1000 ");
                assert_true(client.peer->is_over);
            }
            client.wire->log[0] = '\0';
            client_close(&client);
        }
}

/* The pong may be in what waits: nobody is blamed for our being behind. */
static void deadlines_do_not_blame_who_waits(void **state)
{
    struct settings settings = settings_with(1);
    struct client client = client_open(&settings);
    struct session *session = client.wire->session;
    struct conn *conn = client.wire->session->ws->conn;

    (void)state;
    write_numbers(client.peer, 0, 20);
    write_text(client.peer, "3");
    turn(client.wire->loop);
    assert_true(conn->is_holding);
    session_on_beat(&session->beat);
    session_on_no_pong(&session->beat);
    assert_non_null(client.wire->session);
    conn_set_deadline(conn, NET_BODY);
    conn_deadline_passed(conn);
    assert_true(conn->is_open && conn_has_deadline(conn));
    for (int i = 0; i < 30; i++)
        turn(client.wire->loop);
    assert_false(session->awaits_pong);
    expect_numbers(client.wire, 20);
    client_close(&client);
}

/* Bytes behind the opening handshake, cut anywhere, are a burst too. */
static void a_burst_may_come_behind_the_handshake(void **state)
{
    const struct settings settings = settings_with(3);
    struct wire *wire = wire_new(&settings);
    struct peer *peer = peer_new(wire);
    char text[1024];
    size_t len = (size_t)snprintf(
        text, sizeof text,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS "\r\n");

    (void)state;
    for (int i = 0; i < 10; i++) {
        char number[4] = {'4', (char)('0' + i)};

        len += put_frame(text + len, FIN | TEXT, number, 2);
    }
    peer_write(peer, text, len);
    turn(wire->loop);
    wire_expect(wire, "open ");
    for (unsigned n = 3; n <= 9; n += 3) {
        turn(wire->loop);
        assert_int_equal(n_told(wire), n);
    }
    turn(wire->loop);
    expect_numbers(wire, 10);
    peer_free(peer);
    wire_free(wire);
}

/* ---- a POST of many packets */

struct poster {
    struct wire *wire;
    struct peer *get, *post;
    char sid[32];
};

static struct poster poster_open(const struct settings *settings)
{
    struct poster poster = {.wire = wire_new(settings)};

    poster.get = peer_new(poster.wire);
    poster.post = peer_new(poster.wire);
    open_session(poster.wire, poster.get, poster.sid);
    return poster;
}

static void poster_close(struct poster *poster)
{
    peer_free(poster->get);
    peer_free(poster->post);
    wire_free(poster->wire);
}

/* Messages 0 .. n - 1 in one payload, with `last` behind them. */
static void write_post(const struct poster *poster, struct peer *peer, unsigned n,
                       const char *last)
{
    char body[4096] = "", text[5000];
    size_t len = 0;
    int text_len;

    for (unsigned i = 0; i < n; i++)
        len +=
            (size_t)snprintf(body + len, sizeof body - len, "%s4%u", i ? "\x1e" : "", i);
    snprintf(body + len, sizeof body - len, "%s", last);
    text_len =
        snprintf(text, sizeof text,
                 "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
                 "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n"
                 "%s",
                 poster->sid, strlen(body), body);
    peer->len = 0;
    peer_write(peer, text, (size_t)text_len);
}

/* Whether its answer is here; not a turn is taken for it. */
static bool is_answered(struct peer *peer)
{
    char byte;

    return recv(peer->fd, &byte, 1, MSG_PEEK) > 0;
}

static void a_post_takes_its_turns_and_is_answered_behind_its_last_packet(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N_SHARES; i++) {
        const struct settings settings = settings_with(shares[i]);
        struct poster poster = poster_open(&settings);
        unsigned n = 0, n_turns = 0;

        write_post(&poster, poster.post, N, "");
        for (; n_told(poster.wire) < N; n_turns++) {
            assert_false(is_answered(poster.post));
            turn(poster.wire->loop);
            assert_true(n_told(poster.wire) > n);
            assert_true(n_told(poster.wire) - n <= shares[i]);
            n = n_told(poster.wire);
        }
        assert_int_equal(n_turns, (N + shares[i] - 1) / shares[i]);
        assert_true(is_answered(poster.post)); /* in the same turn */
        peer_read(poster.wire, poster.post);
        expect_response(poster.post, 200, "ok");
        assert_non_null(strstr(poster.post->in, "Cache-Control: no-store\r\n"));
        expect_numbers(poster.wire, N);
        poll_post(poster.wire, poster.post, poster.sid,
                  "4next"); /* its connection lives */
        expect_response(poster.post, 200, "ok");
        wire_expect(poster.wire, "text:next ");
        poster_close(&poster);
    }
}

static void requests_behind_a_long_post_wait_for_its_answer(void **state)
{
    const struct settings settings = settings_with(10);
    struct poster poster = poster_open(&settings);
    const char *second;

    (void)state;
    write_post(&poster, poster.post, 50, "");
    write_post(&poster, poster.post, 1,
               "\x1e"
               "4b");
    for (int i = 0; i < 5; i++)
        turn(poster.wire->loop);
    expect_numbers(poster.wire, 50);
    peer_read(poster.wire, poster.post);
    wire_expect(poster.wire, "text:0 text:b ");
    assert_int_equal(strncmp(poster.post->in, "HTTP/1.1 200 ", 13), 0);
    second = strstr(poster.post->in + 13, "HTTP/1.1 200 ");
    assert_non_null(second);
    assert_null(strstr(second + 13, "HTTP/1.1 "));
    poster_close(&poster);
}

/* T26, with the first POST complete, but not taken. */
static void a_second_post_ends_the_session_while_the_first_waits(void **state)
{
    const struct settings settings = settings_with(10);

    (void)state;
    for (int has_body = 0; has_body < 2; has_body++) {
        struct poster poster = poster_open(&settings);

        write_post(&poster, poster.post, 100, "");
        turn(poster.wire->loop);
        assert_int_equal(n_told(poster.wire), 10);
        write_post(&poster, poster.get, 0, has_body ? "4second" : "");
        peer_read(poster.wire, poster.get);
        expect_response(poster.get, 400, "");
        peer_read(poster.wire, poster.post);
        expect_response(poster.post, 200, "ok");
        assert_non_null(strstr(poster.wire->log, " closed:transport error "));
        assert_null(strstr(poster.wire->log, "second"));
        assert_true(n_told(poster.wire) < 40);
        poll_get(poster.wire, poster.post, poster.sid);
        expect_response(poster.post, 400,
                        "{\"code\":1,\"message\":\"Session ID unknown\"}");
        poster.wire->log[0] = '\0';
        poster_close(&poster);
    }
}

static void a_session_may_end_before_the_last_packet_of_its_post(void **state)
{
    static const struct {
        const char *last, *told;
    } rows[] = {
        {"\x1e"
         "4close"
         "\x1e"
         "4never",
         "text:close closed:forced close "},
        {"\x1e"
         "1"
         "\x1e"
         "4never",
         "closed:transport close "},
        {"\x1e"
         "x"
         "\x1e"
         "4never",
         "closed:parse error "},
        {"\x1e", "closed:parse error "},
    };
    const struct settings settings = settings_with(10);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct poster poster = poster_open(&settings);

        write_post(&poster, poster.post, 25, rows[i].last);
        peer_read(poster.wire, poster.post);
        expect_response(poster.post, 200, "ok");
        assert_non_null(strstr(poster.wire->log, rows[i].told));
        assert_null(strstr(poster.wire->log, "never"));
        poster.wire->log[0] = '\0';
        poster_close(&poster);
    }
}

/* By the server, by the peer's going, by the server's shutting down: in each turn. */
static void whoever_ends_while_a_post_waits(void **state)
{
    enum { BY_US, BY_PEER, BY_SHUTDOWN, WAYS };
    const struct settings settings = settings_with(10);

    (void)state;
    for (int n_turns = 1; n_turns <= 5; n_turns++)
        for (int way = 0; way < WAYS; way++) {
            struct poster poster = poster_open(&settings);
            unsigned n;

            write_post(&poster, poster.post, 50, "");
            for (int i = 0; i < n_turns; i++)
                turn(poster.wire->loop);
            n = n_told(poster.wire);
            assert_int_equal(n, n_turns * 10);
            assert_true(polling_bytes(poster.wire->session) > 0 || n_turns == 5);
            if (way == BY_US) {
                const struct session *session = poster.wire->session;

                session_close(poster.wire->session, SESSION_SERVER_FORCED, NULL);
                assert_int_equal(polling_bytes(session), 0); /* at once */
            } else if (way == BY_PEER) {
                close(poster.post->fd);
                poster.post->fd = -1;
            } else {
                engine_shutdown(poster.wire->engine);
                net_shutdown(poster.wire->net);
            }
            for (int i = 0; i < 10; i++)
                turn(poster.wire->loop);
            if (way == BY_PEER) { /* all of it had come: it counts */
                expect_numbers(poster.wire, 50);
                assert_non_null(poster.wire->session);
                poll_post(poster.wire, poster.get, poster.sid, "4next");
                expect_response(poster.get, 200, "ok");
                wire_expect(poster.wire, "text:next ");
            } else {
                assert_int_equal(n_told(poster.wire), n);
                peer_read(poster.wire, poster.post);
                if (way == BY_US || n_turns == 5)
                    expect_response(poster.post, 200, "ok");
                else
                    assert_true(poster.post->is_over);
            }
            poster.wire->log[0] = '\0';
            poster_close(&poster);
        }
}

/* No stock client does that: the POST's packets come through all the same. */
static void a_post_that_waits_outlives_the_upgrade(void **state)
{
    const struct settings settings = settings_with(10);
    struct poster poster = poster_open(&settings);
    struct peer *ws = peer_new(poster.wire);

    (void)state;
    ws_open(poster.wire, ws, poster.sid);
    ws_text(poster.wire, ws, "2probe");
    write_post(&poster, poster.post, 100, "");
    turn(poster.wire->loop);
    write_text(ws, "5");
    settle(poster.wire);
    assert_null(poster.wire->session->polling);
    assert_true(n_told(poster.wire) < 100);
    for (int i = 0; i < 10; i++)
        turn(poster.wire->loop);
    expect_numbers(poster.wire, 100);
    peer_read(poster.wire, poster.post);
    expect_response(poster.post, 200, "ok");
    peer_free(ws);
    poster_close(&poster);
}

static void a_post_waits_while_logic_is_behind_and_its_pong_with_it(void **state)
{
    const struct settings settings = settings_with(10);
    struct poster poster = poster_open(&settings);
    struct session *session = poster.wire->session;

    (void)state;
    write_post(&poster, poster.post, 15,
               "\x1e"
               "3");
    turn(poster.wire->loop);
    session_on_beat(&session->beat);
    for (int i = 0; i < 3; i++) {
        keep_logic_busy(poster.wire);
        turn(poster.wire->loop);
        assert_int_equal(n_told(poster.wire), 10);
        session_on_no_pong(&session->beat);
    }
    assert_non_null(poster.wire->session);
    settle(poster.wire);
    expect_numbers(poster.wire, 15);
    assert_false(session->awaits_pong);
    poster_close(&poster);
}

/* A full lane excuses silence, until what waited has been read; a round of the cap on
 * memory does not (test_pressure.c). */
static void who_is_not_read_for_the_lane_is_excused(void **state)
{
    const struct settings settings = settings_with(10);
    struct poster poster = poster_open(&settings);
    struct wire *wire = poster.wire;
    struct session *session = wire->session;

    (void)state;
    assert_false(net_holds_input(wire->net));
    session_on_beat(&session->beat);
    loop_send(wire->loop, wire->loop, nothing, 0, wire->loops->max_lane_bytes);
    write_post(&poster, poster.post, 1,
               "\x1e"
               "3");
    turn(wire->loop);
    assert_int_equal(n_told(wire), 0);
    assert_true(net_holds_input(wire->net));
    session_on_no_pong(&session->beat);
    assert_ptr_equal(wire->session, session);
    settle(wire);
    assert_false(session->awaits_pong);
    assert_true(net_holds_input(wire->net)); /* for a second */
    wire->net->resumed_ms = 1;
    assert_false(net_holds_input(wire->net));
    expect_numbers(wire, 1);
    poster_close(&poster);
}

/* ---- pipelined requests */

static void pipelined_requests_take_as_many_turns_as_they_have_shares(void **state)
{
    static const char request[] = "GET /none HTTP/1.1\r\n" HOST "\r\n";

    (void)state;
    for (unsigned i = 0; i < N_SHARES; i++) {
        const struct settings settings = settings_with(shares[i]);
        struct wire *wire = wire_new(&settings);
        struct peer *peer = peer_new(wire);
        int64_t n = 0, n_turns = 0;
        unsigned n_answers = 0;

        for (unsigned j = 0; j < N; j++)
            peer_write(peer, request, strlen(request));
        for (; n < N; n_turns++) {
            int64_t before = n;

            turn(wire->loop);
            n = metric_of(wire->loop, METRIC_HTTP_REQUESTS);
            assert_true(n > before && n - before <= shares[i]);
        }
        assert_int_equal(n_turns, (N + shares[i] - 1) / shares[i]);
        peer_read(wire, peer);
        for (const char *at = peer->in; (at = strstr(at, "HTTP/1.1 404 ")); at++)
            n_answers++;
        assert_int_equal(n_answers, N);
        peer_free(peer);
        wire_free(wire);
    }
}

/* Each cut of a pipeline: the rest that waits, and what comes later, are one stream. */
static void a_pipeline_cut_anywhere_is_the_same_pipeline(void **state)
{
    static const char request[] = "GET /none HTTP/1.1\r\n" HOST "\r\n";
    const struct settings settings = settings_with(2);
    char all[8 * sizeof request] = "";

    (void)state;
    for (int i = 0; i < 7; i++)
        strcat(all, request);
    for (size_t cut = 1; cut < strlen(all); cut += 3) {
        struct wire *wire = wire_new(&settings);
        struct peer *peer = peer_new(wire);

        peer_write(peer, all, cut);
        turn(wire->loop);
        peer_write(peer, all + cut, strlen(all) - cut);
        peer_read(wire, peer);
        assert_int_equal(metric_of(wire->loop, METRIC_HTTP_REQUESTS), 7);
        assert_int_equal(metric_of(wire->loop, METRIC_HTTP_ERRORS), 0);
        peer_free(peer);
        wire_free(wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_of_frames_takes_as_many_turns_as_it_has_shares),
        cmocka_unit_test(what_inflates_counts_as_it_has_become),
        cmocka_unit_test(control_frames_count_too),
        cmocka_unit_test(others_are_served_in_between),
        cmocka_unit_test(nothing_is_read_beside_the_rest),
        cmocka_unit_test(a_burst_waits_while_logic_is_behind),
        cmocka_unit_test(the_burst_of_a_session_that_ends_is_dropped),
        cmocka_unit_test(either_side_may_end_in_between),
        cmocka_unit_test(deadlines_do_not_blame_who_waits),
        cmocka_unit_test(a_burst_may_come_behind_the_handshake),
        cmocka_unit_test(a_post_takes_its_turns_and_is_answered_behind_its_last_packet),
        cmocka_unit_test(requests_behind_a_long_post_wait_for_its_answer),
        cmocka_unit_test(a_second_post_ends_the_session_while_the_first_waits),
        cmocka_unit_test(a_session_may_end_before_the_last_packet_of_its_post),
        cmocka_unit_test(whoever_ends_while_a_post_waits),
        cmocka_unit_test(a_post_that_waits_outlives_the_upgrade),
        cmocka_unit_test(a_post_waits_while_logic_is_behind_and_its_pong_with_it),
        cmocka_unit_test(who_is_not_read_for_the_lane_is_excused),
        cmocka_unit_test(pipelined_requests_take_as_many_turns_as_they_have_shares),
        cmocka_unit_test(a_pipeline_cut_anywhere_is_the_same_pipeline),
    };

    return cmocka_run_group_tests_name("bursts", tests, NULL, NULL);
}
