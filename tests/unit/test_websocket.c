/*
 * test_websocket.c - a session on WebSocket alone, end to end (core/engine/websocket.c,
 * session.c): packets, control frames, ends, slow readers (C05, C09, C16, C24, T05, T06).
 */
#include "tests/unit/wire.h"

#include "core/base/text.h"
#include "core/engine/session_impl.h"
#include "core/engine/websocket.h"

struct client {
    struct wire *wire;
    struct peer *peer;
    char sid[32];
};

static struct client client_open(const struct settings *settings)
{
    struct client client = {.wire = wire_new(settings)};
    char body[256];
    const char *open;

    client.peer = peer_new(client.wire);
    ws_open(client.wire, client.peer, "");
    wire_expect(client.wire, "open ");
    assert_true(client.peer->len > 40);
    open = memmem(client.peer->in, client.peer->len, "0{\"sid\":\"", 9);
    assert_non_null(open);
    memcpy(client.sid, open + 9, 26);
    snprintf(body, sizeof body,
             "0{\"sid\":\"%s\",\"upgrades\":[],\"pingInterval\":%d,\"pingTimeout\":%d,"
             "\"maxPayload\":%d}",
             client.sid, (int)settings->ping_interval_ms, (int)settings->ping_timeout_ms,
             (int)settings->max_http_buffer_bytes);
    assert_string_equal(open, body);
    return client;
}

static void client_close(struct client *client)
{
    peer_free(client->peer);
    wire_free(client->wire);
}

static void expect_words(const struct client *client, const char *words)
{
    assert_string_equal(ws_words(client->peer), words);
}

/* What a text does: what the upper layer is told, what comes back. */
static void each_packet_has_its_effect(void **state)
{
    static const struct {
        const char *text, *told, *back;
    } rows[] = {
        {"4hello", "text:hello ", ""},
        {"4", "text: ", ""},
        {"4echo:x", "text:echo:x ", "text:4x "},
        {"4burst", "text:burst ", "text:4a text:4b text:4c "},
        {"3", "", ""},
        {"5", "", ""},
        {"6", "", ""},
        {"bYWJj", "binary:abc ", ""},
        {"1", "closed:transport close ", "close:1000 "},
        {"2", "closed:transport error ", "close:1008 "},
        {"2probe", "closed:transport error ", "close:1008 "},
        {"", "closed:parse error ", "close:1008 "},
        {"abc", "closed:parse error ", "close:1008 "},
        {"7", "closed:parse error ", "close:1008 "},
        {"4close", "text:close closed:forced close ", "close:1000 "},
    };
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(&settings);

        ws_text(client.wire, client.peer, rows[i].text);
        wire_expect(client.wire, rows[i].told);
        expect_words(&client, rows[i].back);
        assert_int_equal(client.peer->is_over, strstr(rows[i].back, "close") != NULL);
        client_close(&client);
    }
}

static void what_was_sent_before_a_close_goes_out_first(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char frames[256];
    size_t len = put_frame(frames, FIN | TEXT, "4burst", 6);

    (void)state;
    len += put_frame(frames + len, FIN | TEXT, "4close", 6);
    len += put_frame(frames + len, FIN | TEXT, "4never", 6);
    client.peer->len = 0;
    peer_write(client.peer, frames, len);
    peer_read(client.wire, client.peer);
    wire_expect(client.wire, "text:burst text:close closed:forced close ");
    expect_words(&client, "text:4a text:4b text:4c close:1000 ");
    assert_true(client.peer->is_over);
    client_close(&client);
}

static void a_stream_cut_at_every_byte_is_the_same_stream(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char frames[256];
    size_t len = put_frame(frames, FIN | TEXT, "4echo:x", 7);

    (void)state;
    len += put_frame(frames + len, FIN | PING, "p", 1);
    len += put_frame(frames + len, TEXT, "4a\xe2", 3);
    len += put_frame(frames + len, FIN | PONG, "late", 4);
    len += put_frame(frames + len, FIN | CONT, "\x82\xac", 2);
    len += put_frame(frames + len, FIN | BINARY, "\1\2", 2);
    for (size_t cut = 1; cut < len; cut++) {
        client.wire->session->ws->n_controls = 0; /* not what is tested here */
        client.peer->len = 0;
        peer_write(client.peer, frames, cut);
        settle(client.wire);
        peer_write(client.peer, frames + cut, len - cut);
        peer_read(client.wire, client.peer);
        wire_expect(client.wire, "text:echo:x text:a\xe2\x82\xac binary:\1\2 ");
        expect_words(&client, "text:4x pong:p ");
    }
    assert_null(client.wire->session->ws->reader); /* idle: nothing is held */
    client_close(&client);
}

static void violations_close_with_their_code(void **state)
{
    static const struct {
        unsigned first;
        const char *payload;
        size_t len;
        const char *back, *told;
    } rows[] = {
        {FIN | 0x40 | TEXT, "4a", 2, "close:1002 ", "closed:transport error "},
        {FIN | 3, "4a", 2, "close:1002 ", "closed:transport error "},
        {FIN | CONT, "4a", 2, "close:1002 ", "closed:transport error "},
        {FIN | TEXT, "4\xff", 2, "close:1007 ", "closed:transport error "},
        {FIN | CLOSE, "\x03", 1, "close:1002 ", "closed:transport error "},
        {FIN | CLOSE, "\x03\xe8\xff", 3, "close:1007 ", "closed:transport error "},
        {FIN | CLOSE, "\x03\xe8", 2, "close:1000 ", "closed:transport close "},
        {FIN | CLOSE, "\x0f\xa0", 2, "close:4000 ", "closed:transport close "},
        {FIN | CLOSE, "", 0, "close:0 ", "closed:transport close "},
    };
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(&settings);

        ws_frame(client.wire, client.peer, rows[i].first, rows[i].payload, rows[i].len);
        wire_expect(client.wire, rows[i].told);
        expect_words(&client, rows[i].back);
        assert_true(client.peer->is_over);
        client_close(&client);
    }
}

static void a_message_may_have_the_limit_and_no_byte_more(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char *big = malloc(100001);

    (void)state; /* T07 */
    memset(big, 'x', 100001);
    big[0] = '4';
    ws_frame(client.wire, client.peer, FIN | TEXT, big, 100000);
    assert_int_equal(strncmp(client.wire->log, "text:xxxx", 9), 0);
    client.wire->log[0] = '\0';
    ws_frame(client.wire, client.peer, FIN | TEXT, big, 100001);
    wire_expect(client.wire, "closed:transport error ");
    expect_words(&client, "close:1009 ");
    free(big);
    client_close(&client);
}

static void every_ping_is_echoed_byte_by_byte(void **state)
{
    struct settings settings = wire_settings();
    struct client client;
    char payload[125];

    (void)state; /* C16 */
    settings.max_controls = 1000;
    client = client_open(&settings);
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof payload; n++) {
        ws_frame(client.wire, client.peer, FIN | PING, payload, n);
        assert_int_equal(client.peer->len, n + 2);
        assert_int_equal((unsigned char)client.peer->in[0], 0x8a);
        assert_int_equal(client.peer->in[1], n);
        if (n)
            assert_memory_equal(client.peer->in + 2, payload, n);
    }
    client_close(&client);
}

static void a_flood_of_control_frames_is_ended(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char frames[1200];
    size_t len = 0;

    (void)state; /* T06 */
    for (int i = 0; i < 101; i++)
        len += put_frame(frames + len, FIN | PONG, "", 0);
    client.peer->len = 0;
    peer_write(client.peer, frames, len);
    peer_read(client.wire, client.peer);
    wire_expect(client.wire, "closed:transport error ");
    expect_words(&client, "close:1008 ");
    client_close(&client);
}

/* Stop reading and make the server send until the kernel takes no more. */
static void block(struct client *client)
{
    static char text[60000];

    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 100; i++) {
        struct websocket *ws = client->wire->session->ws;

        if (ws->conn->is_blocked)
            return;
        send_text(client->wire->session, text, false);
        settle(client->wire);
    }
    fail_msg("the socket pair never fills");
}

static void a_peer_that_does_not_read_gets_one_pong(void **state)
{
    struct settings settings = wire_settings();
    struct client client;
    char frame[16];
    size_t at, n_pongs = 0;

    (void)state; /* threats.md 0.2 */
    client = client_open(&settings);
    block(&client);
    for (int i = 0; i < 50; i++) {
        size_t len = put_frame(frame, FIN | PING, &i, sizeof i);

        peer_write(client.peer, frame, len);
        settle(client.wire);
    }
    client.peer->len = 0;
    for (int i = 0; i < 100; i++) {
        size_t before = client.peer->len;

        peer_read(client.wire, client.peer);
        if (client.peer->len == before)
            break;
    }
    for (at = 0; at + 6 <= client.peer->len; at++)
        if (memcmp(client.peer->in + at, "\x8a\x04", 2) == 0) {
            assert_int_equal(client.peer->in[at + 2], 49); /* the newest */
            n_pongs++;
        }
    assert_int_equal(n_pongs, 1);
    wire_expect(client.wire, "");
    client_close(&client);
}

static void a_peer_that_does_not_read_is_closed_as_slow(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state; /* T05 */
    settings.max_queue_bytes = 200000;
    client = client_open(&settings);
    block(&client);
    for (int i = 0; i < 100 && client.wire->session; i++) {
        static char text[30000];

        memset(text, 'y', sizeof text - 1);
        send_text(client.wire->session, "never", true);
        send_text(client.wire->session, text, false);
        assert_true(client.wire->session != NULL); /* sending never ends a session */
        settle(client.wire);
    }
    wire_expect(client.wire, "closed:transport error ");
    assert_int_equal(metric_of(client.wire->loop, METRIC_CLOSED_SLOW), 1);
    assert_true(metric_of(client.wire->loop, METRIC_VOLATILE_DROPPED) > 0);
    assert_int_equal(metric_of(client.wire->loop, METRIC_QUEUED_BYTES), 0);
    client_close(&client);
}

static void a_frame_is_made_once_and_shared(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    struct session *first = client.wire->session;
    struct peer *peer = peer_new(client.wire);
    struct bytes *packet = bytes_copy("4all", 4);
    struct outgoing out = {.packet = packet};

    (void)state;
    ws_open(client.wire, peer, "");
    client.peer->len = peer->len = 0;
    session_send(first, &out);
    assert_non_null(out.frame);
    assert_int_equal(out.to - out.from, 6);
    {
        struct bytes *frame = out.frame;
        size_t from = out.from;

        session_send(client.wire->session, &out);
        assert_ptr_equal(out.frame, frame);
        assert_int_equal(out.from, from);
    }
    bytes_unref(packet);
    peer_read(client.wire, client.peer);
    expect_words(&client, "text:4all ");
    peer_read(client.wire, peer);
    assert_string_equal(ws_words(peer), "text:4all ");
    peer_free(peer);
    client_close(&client);
}

static void attachments_are_frames_behind_their_text(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    struct session *first = client.wire->session;
    struct peer *peer = peer_new(client.wire);
    struct bytes *packet = wire_attached("52-[]", "bytes");
    struct outgoing out = {.packet = packet};

    (void)state;
    ws_open(client.wire, peer, "");
    client.peer->len = peer->len = 0;
    session_send(first, &out);
    assert_int_equal(out.to - out.from, 2 + 6 + 2 + 5 + 2);
    session_send(client.wire->session, &out);
    bytes_unref(packet);
    peer_read(client.wire, client.peer);
    expect_words(&client, "text:452-[] binary:bytes binary: ");
    peer_read(client.wire, peer);
    assert_string_equal(ws_words(peer), "text:452-[] binary:bytes binary: ");
    peer_free(peer);
    client_close(&client);
}

/* All sizes for which parts are copied or sent from where they are, alone and in mixture. */
static void long_attachments_arrive_as_they_are(void **state)
{
    static const size_t sizes[][3] = {
        {10, 4097, 0},   {5000, 1, 5000},  {400, 65536, 3},   {1, 512, 513},
        {600, 500, 126}, {4096, 512, 125}, {70000, 0, 70000}, {4095, 4096, 4097},
    };
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        static char data[70000], expected[1 << 18];
        const size_t *size = sizes[i];
        struct bytes *packet = packet_try_new(size[0], size[1] + size[2], 2);
        struct outgoing out = {.packet = packet};
        size_t at = 0;

        for (size_t j = 0; j < sizeof data; j++)
            data[j] = (char)(j * 7 + i);
        memcpy(packet->data, data, size[0]);
        packet_end_text(packet, size[0]);
        packet_attach(packet, data, size[1]);
        packet_attach(packet, data, size[2]);
        for (unsigned j = 0; j < 3; j++) {
            at += frame_head(j ? FRAME_KIND_BINARY : FRAME_KIND_TEXT, size[j],
                             (unsigned char *)expected + at);
            memcpy(expected + at, data, size[j]);
            at += size[j];
        }
        client.peer->len = 0;
        session_send(client.wire->session, &out);
        bytes_unref(packet);
        peer_read(client.wire, client.peer);
        assert_int_equal(client.peer->len, at);
        assert_memory_equal(client.peer->in, expected, at);
    }
    client_close(&client);
}

static void a_volatile_packet_is_dropped_with_its_attachments(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    struct bytes *packet = wire_attached("52-[]", "bytes");
    static char text[30000];

    (void)state;
    client.peer->len = 0;
    memset(text, 'y', sizeof text - 1);
    while (!client.wire->session->ws->conn->is_blocked) {
        send_text(client.wire->session, text, false);
        settle(client.wire);
    }
    session_send(client.wire->session,
                 &(struct outgoing){.packet = packet, .is_volatile = true});
    assert_int_equal(metric_of(client.wire->loop, METRIC_VOLATILE_DROPPED), 1);
    assert_int_equal(packet->refs, 1);
    bytes_unref(packet);
    client_close(&client);
}

static void bytes_behind_the_request_are_frames(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    char text[512];
    size_t len = (size_t)snprintf(
        text, sizeof text,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS "\r\n");

    (void)state;
    len += put_frame(text + len, FIN | TEXT, "4early", 6);
    for (size_t cut = len - 12; cut <= len; cut++) {
        struct peer *peer = peer_new(wire);

        peer_write(peer, text, cut);
        settle(wire);
        if (cut < len)
            peer_write(peer, text + cut, len - cut);
        peer_read(wire, peer);
        wire_expect(wire, "open text:early ");
        peer_free(peer);
        settle(wire);
        wire_expect(wire, "closed:transport close ");
    }
    wire_free(wire);
}

static void a_peer_may_vanish_at_every_byte(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    char text[512];
    size_t len = (size_t)snprintf(
        text, sizeof text,
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS "\r\n");

    (void)state; /* C06 */
    len += put_frame(text + len, TEXT, "4echo:", 6);
    len += put_frame(text + len, FIN | CONT, "x", 1);
    len += put_frame(text + len, FIN | CLOSE, "\x03\xe8", 2);
    for (size_t cut = 0; cut <= len; cut++)
        for (int turns = 0; turns < 2; turns++) {
            struct peer *peer = peer_new(wire);

            peer_write(peer, text, cut);
            if (turns)
                settle(wire);
            peer_free(peer);
            settle(wire);
            assert_null(wire->session);
            assert_true(net_is_empty(wire->net));
            wire->log[0] = '\0';
        }
    wire_free(wire);
}

static bool has_told(void *wire)
{
    return ((struct wire *)wire)->log[0] != '\0';
}

static bool has_input(void *client)
{
    struct client *us = client;

    peer_read(us->wire, us->peer);
    return us->peer->len > 0;
}

static void the_server_pings_and_wants_pongs(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state;
    settings.ping_interval_ms = 40;
    settings.ping_timeout_ms = 500;
    client = client_open(&settings);
    for (int i = 0; i < 3; i++) {
        client.peer->len = 0;
        turns_until(client.wire->loop, has_input, &client);
        expect_words(&client, "text:2 ");
        ws_text(client.wire, client.peer, "3");
    }
    wire_expect(client.wire, "");
    turns_until(client.wire->loop, has_told, client.wire); /* no pong any more */
    wire_expect(client.wire, "closed:ping timeout ");
    peer_read(client.wire, client.peer);
    assert_true(client.peer->is_over);
    client_close(&client);
}

static void pongs_nobody_asked_for_move_no_timer(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    int64_t n_timers = metric_of(client.wire->loop, METRIC_TIMERS);
    uint64_t due_ms = client.wire->session->beat.due_ms;

    (void)state; /* C24 */
    for (int i = 0; i < 100; i++)
        ws_text(client.wire, client.peer, "3");
    assert_int_equal(metric_of(client.wire->loop, METRIC_TIMERS), n_timers);
    assert_int_equal(client.wire->session->beat.due_ms, due_ms);
    client_close(&client);
}

static void half_a_message_may_not_stay_for_ever(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state; /* T08 */
    settings.body_timeout_ms = 400;
    client = client_open(&settings);
    ws_frame(client.wire, client.peer, TEXT, "4a", 2);
    wire_expect(client.wire, "");
    turns_until(client.wire->loop, has_told, client.wire);
    wire_expect(client.wire, "closed:transport error ");
    peer_read(client.wire, client.peer);
    expect_words(&client, "close:1008 ");
    client_close(&client);
}

static void sids_differ_and_name_their_shard(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    size_t ones = 0, n = 20000;

    (void)state; /* C01 */
    for (size_t i = 0; i < n; i++) {
        struct session *session = session_new(wire->engine, NULL);

        assert_int_equal(session->sid[0], 0);
        for (int byte = 1; byte < SID_BYTES; byte++)
            ones += (size_t)__builtin_popcount(session->sid[byte]);
        if (i % 2) {
            session_free(session);
        } else {
            char sid[SID_CHARS + 1];

            base64url(session->sid, SID_BYTES, sid);
            assert_int_equal(strlen(sid), SID_CHARS);
            assert_ptr_equal(session_by_sid(wire->engine, sid, SID_CHARS), session);
            assert_memory_equal(sid, session_log_id(session).text, LOG_ID_CHARS);
            sid[25] ^= 4; /* another character, the key untouched */
            assert_ptr_not_equal(session_by_sid(wire->engine, sid, SID_CHARS), session);
        }
    }
    assert_true(ones > n * 144 * 49 / 100 && ones < n * 144 * 51 / 100);
    for (uint32_t i = 0; i < wire->engine->sessions.n; i++)
        session_free(slots_at(&wire->engine->sessions, i));
    assert_int_equal(wire->engine->sids.n, 0);
    wire_free(wire);
}

static void shutting_down_ends_every_session_and_lets_none_in(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    struct peer *polling = peer_new(client.wire);
    char sid[32];
    int status = 0;

    (void)state;
    open_session(client.wire, polling, sid);
    poll_get(client.wire, polling, sid);
    client.peer->len = 0;
    engine_shutdown(client.wire->engine);
    wire_expect(client.wire, "closed:server shutting down closed:server shutting down ");
    peer_read(client.wire, client.peer);
    expect_words(&client, "close:1001 ");
    peer_read(client.wire, polling);
    expect_response(polling, 200, "1");
    sscanf(peer_ask(client.wire, polling,
                    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "\r\n"),
           "HTTP/1.1 %d", &status);
    assert_int_equal(status, 503);
    peer_free(polling);
    client_close(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_has_its_effect),
        cmocka_unit_test(what_was_sent_before_a_close_goes_out_first),
        cmocka_unit_test(a_stream_cut_at_every_byte_is_the_same_stream),
        cmocka_unit_test(violations_close_with_their_code),
        cmocka_unit_test(a_message_may_have_the_limit_and_no_byte_more),
        cmocka_unit_test(every_ping_is_echoed_byte_by_byte),
        cmocka_unit_test(a_flood_of_control_frames_is_ended),
        cmocka_unit_test(a_peer_that_does_not_read_gets_one_pong),
        cmocka_unit_test(a_peer_that_does_not_read_is_closed_as_slow),
        cmocka_unit_test(a_frame_is_made_once_and_shared),
        cmocka_unit_test(attachments_are_frames_behind_their_text),
        cmocka_unit_test(long_attachments_arrive_as_they_are),
        cmocka_unit_test(a_volatile_packet_is_dropped_with_its_attachments),
        cmocka_unit_test(bytes_behind_the_request_are_frames),
        cmocka_unit_test(a_peer_may_vanish_at_every_byte),
        cmocka_unit_test(the_server_pings_and_wants_pongs),
        cmocka_unit_test(pongs_nobody_asked_for_move_no_timer),
        cmocka_unit_test(half_a_message_may_not_stay_for_ever),
        cmocka_unit_test(sids_differ_and_name_their_shard),
        cmocka_unit_test(shutting_down_ends_every_session_and_lets_none_in),
    };

    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
