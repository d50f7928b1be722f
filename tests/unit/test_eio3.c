/*
 * test_eio3.c - clients of Engine.IO v3 on both transports, and JSONP of both versions, end
 * to end (core/engine): docs/PROTOCOL.md 1.2 and 1.3.
 */
#include "tests/unit/wire.h"

#include "core/engine/packet.h"

struct client {
    struct wire *wire;
    struct peer *get, *post, *ws;
    char sid[32];
};

/* A row's bytes, which may hold NULs. */
#define BYTES(text) (text), sizeof(text) - 1

static struct settings eio3_settings(void)
{
    struct settings settings = wire_settings();

    settings.allow_eio3 = true;
    return settings;
}

/* Ask for a session: headers of the request, or "". Its sid, when there is one. */
static void ask_for_session(struct client *client, const char *query, const char *headers)
{
    char text[1024];
    const char *at;

    snprintf(text, sizeof text,
             "GET /socket.io/?transport=polling&%s HTTP/1.1\r\n" HOST "%s\r\n", query,
             headers);
    peer_ask(client->wire, client->get, text);
    client->sid[0] = '\0';
    at = strstr(client->get->in, "sid");
    if (!at)
        return;
    at += strspn(at + 3, "\\\":") + 3;
    memcpy(client->sid, at, 26);
    client->sid[26] = '\0';
}

static struct client client_new(const struct settings *settings)
{
    struct client client = {.wire = wire_new(settings)};

    client.get = peer_new(client.wire);
    client.post = peer_new(client.wire);
    client.ws = peer_new(client.wire);
    return client;
}

static struct client client_open(const char *query)
{
    const struct settings settings = eio3_settings();
    struct client client = client_new(&settings);

    ask_for_session(&client, query, "");
    assert_int_equal(strlen(client.sid), 26);
    wire_expect(client.wire, "open ");
    return client;
}

static void client_close(struct client *client)
{
    peer_free(client->get);
    peer_free(client->post);
    peer_free(client->ws);
    wire_free(client->wire);
}

static void get(struct client *client)
{
    poll_get(client->wire, client->get, client->sid);
}

static void post(struct client *client, const char *type, const char *body, size_t len)
{
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "POST /socket.io/?EIO=3&transport=polling&sid=%s HTTP/1.1\r\n" HOST
                     "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                     client->sid, type, len);

    assert_true((size_t)n + len < sizeof text);
    memcpy(text + n, body, len);
    client->post->len = 0;
    peer_write(client->post, text, (size_t)n + len);
    peer_read(client->wire, client->post);
}

#define PLAIN "text/plain;charset=UTF-8"
#define OCTETS "application/octet-stream"
#define FORM "application/x-www-form-urlencoded"

static void post_text(struct client *client, const char *body)
{
    post(client, PLAIN, body, strlen(body));
    expect_response(client->post, 200, "ok");
}

/* What came must be 200 with this content type and body. */
static void expect_body(const struct peer *peer, const char *type, const char *body,
                        size_t len)
{
    const char *end = strstr(peer->in, "\r\n\r\n");
    char line[128];

    assert_non_null(end);
    end += 4;
    assert_memory_equal(peer->in, "HTTP/1.1 200 ", 13);
    snprintf(line, sizeof line, "\r\nContent-Type: %s\r\n", type);
    assert_non_null(strstr(peer->in, line));
    assert_int_equal((size_t)(peer->in + peer->len - end), len);
    assert_memory_equal(end, body, len);
}

/* An event with two attachments, and text of another packet around it. */
static void send_attachments(struct client *client)
{
    struct bytes *packet = packet_try_new(4, 5, 2);
    struct outgoing out = {.packet = packet};

    send_text(client->wire->session, "\xe2\x82\xac", false);
    memcpy(packet->data, "452-", 4);
    packet_end_text(packet, 4);
    packet_attach(packet, "\1\2\3\4", 4);
    packet_attach(packet, "\xff", 1);
    session_send(client->wire->session, &out);
    bytes_unref(packet);
    send_text(client->wire->session, "x", false);
}

/* ---- polling */

static void the_open_packet_has_its_length(void **state)
{
    struct client client = client_open("EIO=3");
    char body[256], open[200];

    (void)state;
    snprintf(open, sizeof open,
             "0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":100000}",
             client.sid);
    snprintf(body, sizeof body, "%zu:%s", strlen(open), open);
    expect_body(client.get, "text/plain; charset=UTF-8", body, strlen(body));
    client_close(&client);
}

static void packets_of_a_turn_come_in_one_response(void **state)
{
    struct client client = client_open("EIO=3&b64=1");

    (void)state;
    post_text(&client, "6:4burst9:4echo:\xf0\x9f\x98\x80x");
    get(&client);
    expect_response(client.get, 200, "2:4a2:4b2:4c4:4\xf0\x9f\x98\x80x");
    get(&client);
    assert_int_equal(client.get->len, 0);
    post_text(&client, "6:4burst");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "2:4a2:4b2:4c");
    client_close(&client);
}

/* What a POST brings, and what becomes of the session: the held GET tells. */
static void each_packet_has_its_effect(void **state)
{
    static const struct {
        const char *type, *body;
        size_t len;
        int status;
        const char *told;
        const char *last; /* of the held GET; NULL: still held */
    } rows[] = {
        {PLAIN, BYTES("6:4hello"), 200, "text:hello ", NULL},
        {PLAIN, BYTES("1:4"), 200, "text: ", NULL},
        {PLAIN, BYTES("1:61:51:02:4x"), 200, "text:x ", NULL},
        {PLAIN, BYTES("0:"), 200, "", NULL},
        {PLAIN, BYTES("6:4hello6:b4YWJj"), 200, "text:hello binary:abc ", NULL},
        {PLAIN, BYTES("1:2"), 200, "", "1:3"},
        {PLAIN, BYTES("6:2probe"), 200, "", "1:3"},
        {PLAIN, BYTES("1:21:2"), 200, "", "1:31:3"},
        {PLAIN, BYTES("1:1"), 200, "closed:transport close ", "1:6"},
        {PLAIN, BYTES("2:4a1:12:4b"), 200, "text:a closed:transport close ", "1:6"},
        {PLAIN, BYTES("1:3"), 200, "closed:transport error ", "1:1"},
        {PLAIN, BYTES("abc"), 200, "closed:parse error ", "1:1"},
        {PLAIN, BYTES(""), 200, "closed:parse error ", "1:1"},
        {PLAIN, BYTES("2:4a2:7b"), 200, "text:a closed:parse error ", "1:1"},
        {PLAIN, BYTES("2:4a9:4b"), 200, "text:a closed:parse error ", "1:1"},
        {PLAIN, BYTES("4:b4Y="), 200, "closed:parse error ", "1:1"},
        {PLAIN, BYTES("4hello"), 200, "closed:parse error ", "1:1"},
        {PLAIN, BYTES("2:4\xff"), 400, "closed:parse error ", "1:1"},
        {OCTETS,
         BYTES("\0\6\xff"
               "4hello\1\4\xff\4abc"),
         200, "text:hello binary:abc ", NULL},
        {OCTETS,
         BYTES("\0\1\xff"
               "2"),
         200, "", "1:3"},
        {OCTETS, BYTES("\1\1\xff\4"), 200, "binary: ", NULL},
        {OCTETS, BYTES(""), 200, "", NULL},
        {OCTETS, BYTES("6:4hello"), 200, "closed:parse error ", "1:1"},
        {OCTETS,
         BYTES("\0\2\xff"
               "4\xff"),
         200, "closed:parse error ", "1:1"},
        {OCTETS, BYTES("\1\2\xff\4"), 200, "closed:parse error ", "1:1"},
        {OCTETS,
         BYTES("\0\2\xff"
               "4a\1\1\xff\2"),
         200, "text:a closed:parse error ", "1:1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open("EIO=3");

        get(&client);
        post(&client, rows[i].type, rows[i].body, rows[i].len);
        expect_response(client.post, rows[i].status, rows[i].status == 200 ? "ok" : "");
        wire_expect(client.wire, rows[i].told);
        peer_read(client.wire, client.get);
        if (rows[i].last)
            expect_response(client.get, 200, rows[i].last);
        else
            assert_int_equal(client.get->len, 0);
        client_close(&client);
    }
}

static void bytes_leave_as_the_client_takes_them(void **state)
{
    static const struct {
        const char *query, *type, *body;
        size_t len;
    } rows[] = {
        {"EIO=3&b64=1", "text/plain; charset=UTF-8",
         BYTES("2:4\xe2\x82\xac"
               "4:452-10:b4AQIDBA==6:b4/w==2:4x")},
        {"EIO=3", "application/octet-stream",
         BYTES("\0\4\xff"
               "4\xe2\x82\xac\0\4\xff"
               "452-\1\5\xff\4\1\2\3\4\1\2\xff\4\xff\0\2\xff"
               "4x")},
        {"EIO=3&b64=", "application/octet-stream",
         BYTES("\0\4\xff"
               "4\xe2\x82\xac\0\4\xff"
               "452-\1\5\xff\4\1\2\3\4\1\2\xff\4\xff\0\2\xff"
               "4x")},
        {"EIO=3&j=5", "text/javascript; charset=UTF-8",
         BYTES("___eio[5](\"2:4\xe2\x82\xac"
               "4:452-10:b4AQIDBA==6:b4/w==2:4x\");")},
        {"EIO=4&j=5", "text/javascript; charset=UTF-8",
         BYTES("___eio[5](\"4\xe2\x82\xac"
               "\\u001e452-\\u001ebAQIDBA==\\u001eb/w==\\u001e4x\");")},
        {"EIO=4", "text/plain; charset=UTF-8",
         BYTES("4\xe2\x82\xac\x1e"
               "452-\x1e"
               "bAQIDBA==\x1e"
               "b/w==\x1e"
               "4x")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(rows[i].query);

        send_attachments(&client);
        get(&client);
        expect_body(client.get, rows[i].type, rows[i].body, rows[i].len);
        if (strstr(rows[i].query, "EIO=3") && !strstr(rows[i].query, "j=")) {
            send_text(client.wire->session, "y", false); /* text again, in text */
            get(&client);
            expect_body(client.get, "text/plain; charset=UTF-8", "2:4y", 4);
        }
        client_close(&client);
    }
}

/* limits.max_turn_packets: the rest waits, whatever the form. */
static void a_long_post_is_taken_in_turns(void **state)
{
    struct settings settings = eio3_settings();

    (void)state;
    settings.max_turn_packets = 2;
    for (int i = 0; i < 2; i++) {
        struct client client = client_new(&settings);

        ask_for_session(&client, "EIO=3", "");
        wire_expect(client.wire, "open ");
        if (i == 0)
            post(&client, PLAIN, BYTES("2:4a2:4b0:2:4c2:4d2:4e6:b4YWJj"));
        else
            post(&client, OCTETS,
                 BYTES("\0\2\xff"
                       "4a\0\2\xff"
                       "4b\0\2\xff"
                       "4c\0\2\xff"
                       "4d\0\2\xff"
                       "4e\1\4\xff\4abc"));
        expect_response(client.post, 200, "ok");
        wire_expect(client.wire, "text:a text:b text:c text:d text:e binary:abc ");
        client_close(&client);
    }
}

static void a_body_over_the_limit_is_413_and_the_session_survives(void **state)
{
    struct client client = client_open("EIO=3");
    char text[512];
    int status = 0;

    (void)state;
    snprintf(text, sizeof text,
             "POST /socket.io/?EIO=3&transport=polling&sid=%s HTTP/1.1\r\n" HOST
             "Content-Type: application/octet-stream\r\nContent-Length: 100001\r\n\r\n",
             client.sid);
    sscanf(peer_ask(client.wire, client.post, text), "HTTP/1.1 %d", &status);
    assert_int_equal(status, 413);
    peer_free(client.post);
    client.post = peer_new(client.wire);
    post_text(&client, "6:4alive");
    wire_expect(client.wire, "text:alive ");
    client_close(&client);
}

static void the_close_packet_comes_in_a_response_of_its_own(void **state)
{
    struct client client = client_open("EIO=3");

    (void)state;
    get(&client);
    post_text(&client, "6:4burst6:4close");
    wire_expect(client.wire, "text:burst text:close closed:forced close ");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "2:4a2:4b2:4c");
    get(&client);
    expect_response(client.get, 200, "1:1");
    client_close(&client);
}

/* ---- the heartbeat */

static bool has_told(void *wire)
{
    return ((struct wire *)wire)->log[0] != '\0';
}

static void silence_ends_a_session(void **state)
{
    struct settings settings = eio3_settings();

    (void)state;
    settings.ping_interval_ms = 60;
    settings.ping_timeout_ms = 40;
    for (int i = 0; i < 2; i++) {
        struct client client = client_new(&settings);
        uint64_t from_ms = clock_ms();

        if (i == 0) {
            ask_for_session(&client, "EIO=3", "");
            get(&client);
        } else {
            peer_ask(
                client.wire, client.ws,
                "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS
                "\r\n");
        }
        wire_expect(client.wire, "open ");
        turns_until(client.wire->loop, has_told, client.wire);
        wire_expect(client.wire, "closed:ping timeout ");
        assert_true(clock_ms() - from_ms >=
                    100 - TIMER_TICK_MS); /* both together, not one */
        client_close(&client);
    }
}

/* Whatever it sends, and nothing that the server sends. */
static void what_a_client_sends_shows_that_it_lives(void **state)
{
    static const char *const packets[] = {"2", "4x", "6", "b4AQID"};
    struct settings settings = eio3_settings();
    struct client client;

    (void)state;
    settings.ping_interval_ms = 3600000;
    client = client_new(&settings);
    peer_ask(client.wire, client.ws,
             "GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS
             "\r\n");
    for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
        struct timer_node *beat = &client.wire->session->beat;
        uint64_t due_ms;

        beat->due_ms = 1; /* as if it were about to end */
        send_text(client.wire->session, "y", false);
        assert_int_equal(beat->due_ms, 1);
        due_ms = loop_now(client.wire->loop) + 3600000;
        ws_text(client.wire, client.ws, packets[i]);
        assert_true(beat->due_ms >= due_ms);
    }
    assert_int_equal(metric_of(client.wire->loop, METRIC_SESSIONS_WEBSOCKET), 1);
    client_close(&client);
}

/* ---- WebSocket */

/* Open one of its own: the open packet is taken off. */
static struct client ws_client(const char *query)
{
    const struct settings settings = eio3_settings();
    struct client client = client_new(&settings);
    char text[512];

    snprintf(text, sizeof text,
             "GET /socket.io/?transport=websocket&%s HTTP/1.1\r\n" HOST WS_HEADERS "\r\n",
             query);
    peer_ask(client.wire, client.ws, text);
    assert_non_null(strstr(client.ws->in, "\"upgrades\":[],"));
    wire_expect(client.wire, "open ");
    client.ws->len = 0;
    return client;
}

static void each_message_of_a_websocket_has_its_effect(void **state)
{
    static const struct {
        unsigned first;
        const char *payload;
        size_t len;
        const char *told, *back;
    } rows[] = {
        {TEXT, BYTES("4hello"), "text:hello ", ""},
        {TEXT, BYTES("4echo:x"), "text:echo:x ", "text:4x "},
        {TEXT, BYTES("b4YWJj"), "binary:abc ", ""},
        {BINARY, BYTES("\4abc"), "binary:abc ", ""},
        {BINARY, BYTES("\4"), "binary: ", ""},
        {TEXT, BYTES("2"), "", "text:3 "},
        {TEXT, BYTES("2x"), "", "text:3 "},
        {TEXT, BYTES("1"), "closed:transport close ", "close:1000 "},
        {TEXT, BYTES("3"), "closed:transport error ", "close:1008 "},
        {TEXT, BYTES("abc"), "closed:parse error ", "close:1008 "},
        {TEXT, BYTES(""), "closed:parse error ", "close:1008 "},
        {TEXT, BYTES("bYWJj"), "closed:parse error ", "close:1008 "},
        {TEXT, BYTES("6:4hello"), "", ""}, /* a noop: no payloads here */
        {BINARY, BYTES("abc"), "closed:parse error ", "close:1008 "},
        {BINARY, BYTES("\2"), "closed:parse error ", "close:1008 "},
        {BINARY, BYTES(""), "closed:parse error ", "close:1008 "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = ws_client("EIO=3");

        ws_frame(client.wire, client.ws, FIN | rows[i].first, rows[i].payload,
                 rows[i].len);
        wire_expect(client.wire, rows[i].told);
        assert_string_equal(ws_words(client.ws), rows[i].back);
        client_close(&client);
    }
}

static void bytes_leave_a_websocket_with_their_type(void **state)
{
    static const struct {
        const char *query, *frames;
        size_t len;
    } rows[] = {
        {"EIO=3", BYTES("\x81\4"
                        "4\xe2\x82\xac\x81\4"
                        "452-\x82\5\4\1\2\3\4\x82\2\4\xff\x81\2"
                        "4x")},
        {"EIO=3&b64=1", BYTES("\x81\4"
                              "4\xe2\x82\xac\x81\4"
                              "452-\x81\x0a"
                              "b4AQIDBA==\x81\6"
                              "b4/w==\x81\2"
                              "4x")},
        {"EIO=4&b64=1", BYTES("\x81\4"
                              "4\xe2\x82\xac\x81\4"
                              "452-\x82\4\1\2\3\4\x82\1\xff\x81\2"
                              "4x")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = ws_client(rows[i].query);

        send_attachments(&client);
        peer_read(client.wire, client.ws);
        assert_int_equal(client.ws->len, rows[i].len);
        assert_memory_equal(client.ws->in, rows[i].frames, rows[i].len);
        client_close(&client);
    }
}

/* From where they are: the type goes with the head. */
static void many_bytes_leave_whole(void **state)
{
    enum { LEN = 60000 };

    (void)state;
    for (int is_base64 = 0; is_base64 < 2; is_base64++) {
        struct client client = ws_client(is_base64 ? "EIO=3&b64=1" : "EIO=3");
        struct bytes *packet = packet_try_new(4, LEN, 1);
        struct outgoing out = {.packet = packet};
        const char *at;
        char *data = malloc(LEN), *back = malloc(LEN + 3);

        for (size_t i = 0; i < LEN; i++)
            data[i] = (char)(i * 7 + i / 256);
        memcpy(packet->data, "451-", 4);
        packet_end_text(packet, 4);
        packet_attach(packet, data, LEN);
        session_send(client.wire->session, &out);
        bytes_unref(packet);
        peer_read(client.wire, client.ws);
        assert_memory_equal(client.ws->in,
                            "\x81\4"
                            "451-",
                            6);
        at = client.ws->in + 6;
        if (is_base64) {
            assert_memory_equal(at,
                                "\x81\x7f\0\0\0\0\0\x01\x38\x82"
                                "b4",
                                12);
            assert_int_equal(client.ws->len, 6 + 12 + 80000);
            assert_int_equal(base64_decode(at + 12, 80000, back), LEN);
        } else {
            assert_memory_equal(at, "\x82\x7e\xea\x61\4", 5);
            assert_int_equal(client.ws->len, 6 + 5 + LEN);
            memcpy(back, at + 5, LEN);
        }
        assert_memory_equal(back, data, LEN);
        free(data);
        free(back);
        client_close(&client);
    }
}

/* What base64 makes of an attachment counts at once, not when the turn ends (T05). */
static void many_long_texts_of_bytes_do_not_pass_the_queue(void **state)
{
    enum { LEN = 60000, N = 40, FRAME = 12 + 80000 };
    struct client client = ws_client("EIO=3&b64=1");
    const struct conn *conn = client.wire->session->ws->conn;
    struct bytes *packet = packet_try_new(4, LEN, 1);
    char *zeros = calloc(1, LEN);

    (void)state;
    memcpy(packet->data, "451-", 4);
    packet_end_text(packet, 4);
    packet_attach(packet, zeros, LEN);
    for (int i = 0; i < N; i++) {
        struct outgoing out = {.packet = packet};

        session_send(client.wire->session, &out);
        assert_true(conn->queued_bytes <= client.wire->settings.max_queue_bytes + FRAME);
    }
    peer_read(client.wire, client.ws);
    wire_expect(client.wire, "closed:transport error ");
    bytes_unref(packet);
    free(zeros);
    client_close(&client);
}

static void a_receiver_of_v4_beside_one_of_v3_gets_its_own_frames(void **state)
{
    struct client client = ws_client("EIO=3");
    struct session *old = client.wire->session;
    struct bytes *packet = packet_try_new(4, 1, 1);
    struct session *both[2];

    (void)state;
    ws_open(client.wire, client.get, "");
    client.get->len = 0;
    both[0] = old;
    both[1] = client.wire->session;
    memcpy(packet->data, "451-", 4);
    packet_end_text(packet, 4);
    packet_attach(packet, "\x7", 1);
    for (int i = 0; i < 2; i++) { /* whoever comes first */
        struct outgoing out = {.packet = packet};

        client.ws->len = client.get->len = 0;
        session_send(both[i], &out);
        session_send(both[1 - i], &out);
        peer_read(client.wire, client.ws);
        peer_read(client.wire, client.get);
        assert_int_equal(client.ws->len, 10);
        assert_memory_equal(client.ws->in,
                            "\x81\4"
                            "451-\x82\2\4\7",
                            10);
        assert_int_equal(client.get->len, 9);
        assert_memory_equal(client.get->in,
                            "\x81\4"
                            "451-\x82\1\7",
                            9);
    }
    bytes_unref(packet);
    client_close(&client);
}

/* ---- upgrades */

static bool has_answer(void *arg)
{
    struct client *client = arg;

    peer_read(client->wire, client->get);
    return client->get->len > 0;
}

static void an_upgrade_keeps_order_and_pings(void **state)
{
    struct client client = client_open("EIO=3&b64=1");

    (void)state;
    get(&client);
    ws_open(client.wire, client.ws, client.sid); /* without b64 */
    ws_text(client.wire, client.ws, "2probe");
    peer_read(client.wire, client.ws);
    assert_string_equal(ws_words(client.ws), "text:3probe ");
    turns_until(client.wire->loop, has_answer, &client);
    expect_response(client.get, 200, "1:6");
    post_text(&client, "1:2"); /* a ping on its way out by polling */
    send_attachments(&client);
    ws_text(client.wire, client.ws, "5");
    peer_read(client.wire, client.ws);
    assert_int_equal(client.ws->len, 3 + 6 + 6 + 7 + 4 + 4);
    assert_memory_equal(client.ws->in,
                        "\x81\1"
                        "3\x81\4"
                        "4\xe2\x82\xac\x81\4"
                        "452-\x82\5\4\1\2\3\4\x82\2\4\xff\x81\2"
                        "4x",
                        client.ws->len);
    ws_text(client.wire, client.ws, "2");
    peer_read(client.wire, client.ws);
    assert_string_equal(ws_words(client.ws), "text:3 ");
    ws_frame(client.wire, client.ws, FIN | BINARY, "\4abc", 4);
    wire_expect(client.wire, "binary:abc ");
    client_close(&client);
}

/* ---- JSONP */

static void a_handshake_with_j_is_answered_by_a_script(void **state)
{
    static const struct {
        const char *query, *before;
    } rows[] = {
        {"EIO=3&j=0", "___eio[0](\"123:0{\\\"sid\\\":\\\""},
        {"EIO=4&j=12", "___eio[12](\"0{\\\"sid\\\":\\\""},
        {"EIO=4&j=", "___eio[](\"0{\\\"sid\\\":\\\""},
        {"EIO=4&j=1x2%3Balert(1)", "___eio[121](\"0{\\\"sid\\\":\\\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(rows[i].query);
        const char *body = strstr(client.get->in, "\r\n\r\n") + 4;

        assert_non_null(
            strstr(client.get->in, "Content-Type: text/javascript; charset=UTF-8\r\n"));
        assert_non_null(strstr(client.get->in, "X-Content-Type-Options: nosniff\r\n"));
        assert_memory_equal(body, rows[i].before, strlen(rows[i].before));
        assert_string_equal(body + strlen(body) - 4, "}\");");
        client_close(&client);
    }
}

static void a_form_is_a_post(void **state)
{
    static const struct {
        const char *query, *body;
        int status;
        const char *told, *last;
    } rows[] = {
        {"EIO=3&j=0", "d=6%3A4hello", 200, "text:hello ", NULL},
        {"EIO=3&j=0", "d=6%3Ab4YWJj", 200, "binary:abc ", NULL},
        {"EIO=3&j=0", "d=4%3A4a%5Cnb", 200, "text:a\nb ", NULL},
        {"EIO=3&j=0", "d=5%3A4a%5C%5Cnb", 200, "text:a\\nb ", NULL},
        {"EIO=3&j=0", "d=1%3A2", 200, "", "___eio[0](\"1:3\");"},
        {"EIO=3&j=0", "d=1%3A1", 200, "closed:transport close ", "___eio[0](\"1:6\");"},
        {"EIO=4&j=3", "d=4a%1Ebe%2B%2F%2B", 200, "text:a binary:{\xef\xfe ", NULL},
        {"EIO=4&j=3", "d=4echo%3A%22", 200, "text:echo:\" ", "___eio[3](\"4\\\"\");"},
        {"EIO=4&j=3", "d=4%E2%82%AC", 200, "text:\xe2\x82\xac ", NULL},
        {"EIO=4&j=3", "d=4%FF", 400, "closed:parse error ", "___eio[3](\"1\");"},
        {"EIO=4&j=3", "4a", 400, "closed:parse error ", "___eio[3](\"1\");"},
        {"EIO=4&j=3", "d=4a&d=4b", 400, "closed:parse error ", "___eio[3](\"1\");"},
        {"EIO=4&j=3", "d=4%", 400, "closed:parse error ", "___eio[3](\"1\");"},
        {"EIO=4&j=3", "", 400, "closed:parse error ", "___eio[3](\"1\");"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client client = client_open(rows[i].query);

        get(&client);
        post(&client, FORM, rows[i].body, strlen(rows[i].body));
        expect_response(client.post, rows[i].status, rows[i].status == 200 ? "ok" : "");
        wire_expect(client.wire, rows[i].told);
        peer_read(client.wire, client.get);
        if (rows[i].last)
            expect_response(client.get, 200, rows[i].last);
        else
            assert_int_equal(client.get->len, 0);
        client_close(&client);
    }
}

/* T01: browsers send no Origin with what they load as a script. */
static void a_script_of_another_site_gets_no_session(void **state)
{
    static const struct {
        const char *origins, *headers;
        int status;
    } rows[] = {
        {"", "", 200}, /* no browser */
        {"", "Origin: http://chat.example:8080\r\n", 200},
        {"", "Origin: http://evil\r\n", 403},
        {"", "Referer: http://chat.example:8080/page?x\r\n", 200},
        {"", "Referer: http://chat.example:8080\r\nCookie: a=b\r\n", 200},
        {"", "Referer: http://evil/chat.example:8080/\r\n", 403},
        {"", "Referer: http://chat.example:8080@evil/\r\n", 403},
        {"", "Referer: http://chat.example:8080.evil/\r\n", 403},
        {"", "Referer: about:blank\r\n", 403},
        {"", "Referer: x\r\n", 403},
        {"", "Referer: \r\n", 403},
        {"", "Sec-Fetch-Site: same-origin\r\nCookie: a=b\r\n", 200},
        {"", "Sec-Fetch-Site: none\r\n", 200}, /* typed by its user */
        {"", "Sec-Fetch-Site: cross-site\r\n", 403},
        {"", "Sec-Fetch-Site: same-site\r\n", 403},
        {"", "Cookie: a=b\r\n", 403}, /* and nothing that says where from */
        {"http://b.example", "Referer: http://b.example/x\r\nCookie: a=b\r\n", 200},
        {"http://b.example",
         "Referer: http://b.example/\r\nSec-Fetch-Site: cross-site\r\n", 200},
        {"http://b.example", "Sec-Fetch-Site: cross-site\r\n", 403},
        {"http://b.example", "Referer: http://c.example/\r\n", 403},
        {"*", "Referer: http://evil/\r\nSec-Fetch-Site: cross-site\r\nCookie: a=b\r\n",
         200},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings settings = eio3_settings();
        struct client client;
        int status = 0;

        settings.origins = rows[i].origins;
        client = client_new(&settings);
        ask_for_session(&client, i % 2 ? "EIO=3&j=0" : "EIO=4&j=0", rows[i].headers);
        sscanf(client.get->in, "HTTP/1.1 %d", &status);
        assert_int_equal(status, rows[i].status);
        wire_expect(client.wire, status == 200 ? "open " : "");
        client_close(&client);
    }
}

static void an_index_is_short_and_stands_once(void **state)
{
    static const char *const queries[] = {
        "EIO=4&j=123456789", "EIO=4&j=0&j=1", "EIO=4&j=%zz",
        "EIO=4&j=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    const struct settings settings = eio3_settings();

    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct client client = client_new(&settings);

        ask_for_session(&client, queries[i], "");
        expect_response(client.get, 400, "{\"code\":3,\"message\":\"Bad request\"}");
        client_close(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_open_packet_has_its_length),
        cmocka_unit_test(packets_of_a_turn_come_in_one_response),
        cmocka_unit_test(each_packet_has_its_effect),
        cmocka_unit_test(bytes_leave_as_the_client_takes_them),
        cmocka_unit_test(a_long_post_is_taken_in_turns),
        cmocka_unit_test(a_body_over_the_limit_is_413_and_the_session_survives),
        cmocka_unit_test(the_close_packet_comes_in_a_response_of_its_own),
        cmocka_unit_test(silence_ends_a_session),
        cmocka_unit_test(what_a_client_sends_shows_that_it_lives),
        cmocka_unit_test(each_message_of_a_websocket_has_its_effect),
        cmocka_unit_test(bytes_leave_a_websocket_with_their_type),
        cmocka_unit_test(many_bytes_leave_whole),
        cmocka_unit_test(many_long_texts_of_bytes_do_not_pass_the_queue),
        cmocka_unit_test(a_receiver_of_v4_beside_one_of_v3_gets_its_own_frames),
        cmocka_unit_test(an_upgrade_keeps_order_and_pings),
        cmocka_unit_test(a_handshake_with_j_is_answered_by_a_script),
        cmocka_unit_test(a_form_is_a_post),
        cmocka_unit_test(a_script_of_another_site_gets_no_session),
        cmocka_unit_test(an_index_is_short_and_stands_once),
    };

    return cmocka_run_group_tests_name("eio3", tests, NULL, NULL);
}
