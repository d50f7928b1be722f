/*
 * test_upgrade.c - from polling to WebSocket (core/engine/upgrade.c): nothing lost, doubled
 * or reordered, and a session that survives every attempt that fails (C09, T25).
 */
#include "tests/unit/wire.h"

#include "core/engine/session_impl.h"

struct client {
    struct wire *wire;
    struct peer *get, *post, *ws;
    char sid[32];
};

static struct client client_open(const struct settings *settings)
{
    struct client client = {.wire = wire_new(settings)};

    client.get = peer_new(client.wire);
    client.post = peer_new(client.wire);
    client.ws = peer_new(client.wire);
    open_session(client.wire, client.get, client.sid);
    return client;
}

static void client_close(struct client *client)
{
    peer_free(client->get);
    peer_free(client->post);
    peer_free(client->ws);
    wire_free(client->wire);
}

static void expect_words(struct client *client, const char *words)
{
    peer_read(client->wire, client->ws);
    assert_string_equal(ws_words(client->ws), words);
}

static void probe(struct client *client)
{
    ws_open(client->wire, client->ws, client->sid);
    ws_text(client->wire, client->ws, "2probe");
    expect_words(client, "text:3probe ");
}

static void upgrade(struct client *client)
{
    probe(client);
    ws_text(client->wire, client->ws, "5");
    assert_int_equal(metric_of(client->wire->loop, METRIC_UPGRADES), 1);
    assert_int_equal(metric_of(client->wire->loop, METRIC_SESSIONS_WEBSOCKET), 1);
    assert_int_equal(metric_of(client->wire->loop, METRIC_SESSIONS_POLLING), 0);
}

/* Polling still carries the session. */
static void expect_polling(struct client *client)
{
    peer_free(client->post);
    client->post = peer_new(client->wire);
    poll_post(client->wire, client->post, client->sid, "4alive");
    expect_response(client->post, 200, "ok");
    wire_expect(client->wire, "text:alive ");
}

static bool has_answer(void *arg)
{
    struct client *client = arg;

    peer_read(client->wire, client->get);
    return client->get->len > 0;
}

static void expect_noop(struct client *client)
{
    turns_until(client->wire->loop, has_answer, client);
    expect_response(client->get, 200, "6");
}

static void the_probe_frees_the_held_get_and_5_switches(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    poll_get(client.wire, client.get, client.sid);
    assert_int_equal(client.get->len, 0);
    probe(&client);
    expect_noop(&client);
    poll_get(client.wire, client.get, client.sid); /* again, until "5" comes */
    assert_int_equal(client.get->len, 0);
    expect_noop(&client);
    ws_text(client.wire, client.ws, "5");
    expect_words(&client, "");
    ws_text(client.wire, client.ws, "4echo:x");
    expect_words(&client, "text:4x ");
    wire_expect(client.wire, "text:echo:x ");
    assert_null(client.wire->session->polling);
    client_close(&client);
}

/* A noop is for those who would wait in vain: socket.io-client's suite counts packets. */
static void a_get_that_has_an_answer_needs_no_noop(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    poll_get(client.wire, client.get, client.sid);
    probe(&client);
    poll_post(client.wire, client.post, client.sid, "4echo:x");
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "4x");
    ws_text(client.wire, client.ws, "5");
    expect_words(&client, "");
    assert_null(client.wire->session->polling);
    client_close(&client);
}

static void what_is_queued_moves_over_in_order(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    probe(&client);
    poll_post(client.wire, client.post, client.sid, "4burst");
    ws_text(client.wire, client.ws, "5");
    expect_words(&client, "text:4a text:4b text:4c ");
    client_close(&client);
}

static void a_get_still_held_at_the_switch_gets_a_noop(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    ws_open(client.wire, client.ws, client.sid);
    poll_get(client.wire, client.get, client.sid);
    ws_text(client.wire, client.ws,
            "5"); /* without a probe: the reference takes it too */
    peer_read(client.wire, client.get);
    expect_response(client.get, 200, "6");
    ws_text(client.wire, client.ws, "4echo:x");
    expect_words(&client, "text:4x ");
    client_close(&client);
}

static void polling_is_over_after_the_switch(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state;
    upgrade(&client);
    poll_get(client.wire, client.get, client.sid);
    expect_response(client.get, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    poll_post(client.wire, client.post, client.sid, "4a");
    expect_response(client.post, 400, "{\"code\":3,\"message\":\"Bad request\"}");
    wire_expect(client.wire, "");
    ws_text(client.wire, client.ws, "4echo:x");
    expect_words(&client, "text:4x ");
    client_close(&client);
}

static void a_second_websocket_is_closed_and_the_session_kept(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);

    (void)state; /* C09 */
    probe(&client);
    for (int i = 0; i < 2; i++) { /* during, and after */
        struct peer *second = peer_new(client.wire);

        ws_open(client.wire, second, client.sid);
        peer_read(client.wire, second);
        assert_string_equal(ws_words(second), "close:1008 ");
        assert_true(second->is_over);
        peer_free(second);
        if (i == 0)
            ws_text(client.wire, client.ws, "5");
    }
    ws_text(client.wire, client.ws, "4echo:x");
    expect_words(&client, "text:4x ");
    wire_expect(client.wire, "text:echo:x ");
    client_close(&client);
}

static void a_probe_that_fails_leaves_the_session_on_polling(void **state)
{
    static const struct {
        unsigned first;
        const char *payload;
        const char *back;
    } rows[] = {
        {FIN | TEXT, "4message", "close:1000 "}, {FIN | TEXT, "3", "close:1000 "},
        {FIN | TEXT, "2", "close:1000 "},        {FIN | TEXT, "2probex", "close:1000 "},
        {FIN | TEXT, "1", "close:1000 "},        {FIN | TEXT, "", "close:1000 "},
        {FIN | BINARY, "5", "close:1000 "},      {FIN | CONT, "5", "close:1002 "},
        {FIN | 0x40 | TEXT, "5", "close:1002 "}, {FIN | TEXT, "5\xff", "close:1007 "},
        {FIN | CLOSE, "", "close:0 "},
    };
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_probed = 0; is_probed < 2; is_probed++) {
            struct client client = client_open(&settings);

            if (is_probed)
                probe(&client);
            else
                ws_open(client.wire, client.ws, client.sid);
            ws_frame(client.wire, client.ws, rows[i].first, rows[i].payload,
                     strlen(rows[i].payload));
            expect_words(&client, rows[i].back);
            assert_true(client.ws->is_over);
            wire_expect(client.wire, "");
            expect_polling(&client);
            poll_get(client.wire, client.get, client.sid);
            assert_int_equal(client.get->len, 0); /* held again */
            peer_free(client.ws);
            client.ws = peer_new(client.wire);
            probe(&client); /* and another attempt may come */
            ws_text(client.wire, client.ws, "5");
            ws_text(client.wire, client.ws, "4echo:x");
            expect_words(&client, "text:4x ");
            client_close(&client);
        }
}

static void a_probe_may_vanish_at_every_byte(void **state)
{
    const struct settings settings = wire_settings();
    struct client client = client_open(&settings);
    char text[512];
    size_t len = (size_t)snprintf(
        text, sizeof text,
        "GET /socket.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\n" HOST WS_HEADERS
        "\r\n",
        client.sid);

    (void)state; /* C06 */
    len += put_frame(text + len, FIN | TEXT, "2probe", 6);
    for (size_t cut = 0; cut <= len; cut++) {
        struct peer *peer = peer_new(client.wire);

        peer_write(peer, text, cut);
        if (cut % 2)
            settle(client.wire);
        peer_free(peer);
        settle(client.wire);
        wire_expect(client.wire, "");
        assert_null(client.wire->session->polling->probe);
    }
    expect_polling(&client);
    client_close(&client);
}

static bool is_without_probe(void *wire)
{
    return !((struct wire *)wire)->session->polling->probe;
}

static void a_probe_without_5_is_given_up(void **state)
{
    struct settings settings = wire_settings();
    struct client client;

    (void)state;
    settings.upgrade_timeout_ms = 400;
    client = client_open(&settings);
    probe(&client);
    turns_until(client.wire->loop, is_without_probe, client.wire);
    client.ws->len = 0;
    expect_words(&client, "close:1000 ");
    expect_polling(&client);
    client_close(&client);
}

static void the_session_may_end_while_probing(void **state)
{
    static const char *const posts[] = {"1", "2", "4close", "x"};
    const struct settings settings = wire_settings();

    (void)state;
    for (size_t i = 0; i < sizeof posts / sizeof *posts; i++) {
        struct client client = client_open(&settings);

        probe(&client);
        client.ws->len = 0;
        poll_post(client.wire, client.post, client.sid, posts[i]);
        assert_non_null(strstr(client.wire->log, "closed:"));
        expect_words(&client, "close:1000 ");
        assert_true(client.ws->is_over);
        client_close(&client);
    }
}

/* By the transport that the client goes on with: "5" may be on its way when it happens. */
static void the_last_packets_of_a_closed_session_find_their_way(void **state)
{
    const struct settings settings = wire_settings();

    (void)state;
    for (int goes_over = 0; goes_over < 2; goes_over++) {
        struct client client = client_open(&settings);

        probe(&client);
        poll_post(client.wire, client.post, client.sid,
                  "4burst\x1e"
                  "4close");
        assert_non_null(strstr(client.wire->log, "closed:"));
        client.ws->len = 0;
        if (goes_over) {
            ws_text(client.wire, client.ws, "5");
            expect_words(&client, "text:4a text:4b text:4c close:1000 ");
        } else {
            poll_get(client.wire, client.get, client.sid);
            expect_response(client.get, 200,
                            "4a\x1e"
                            "4b\x1e"
                            "4c");
            poll_get(client.wire, client.get, client.sid);
            expect_response(client.get, 200, "1");
            expect_words(&client, "close:1000 ");
        }
        assert_true(client.ws->is_over);
        client_close(&client);
    }
}

/* ---- a client that does anything at any time, against what it must have got */

struct walk {
    struct client client;
    char sent[8000], heard[8000]; /* numbers of the packets that the server sent us */
    char said[8000];              /* of those that we sent, as the server must tell */
    unsigned n_out, n_in;
    bool has_get, is_probed, is_upgraded, has_ws;
};

static void note(char *list, unsigned n)
{
    snprintf(list + strlen(list), 12, "%u,", n);
}

/* Numbers behind each "4n" of a text with separators or frames between. */
static void hear(struct walk *walk, struct peer *peer, const char *text)
{
    const char *at = text;

    while ((at = strstr(at, "4n"))) {
        note(walk->heard, (unsigned)strtoul(at + 2, NULL, 10));
        at += 2;
    }
    peer->len = 0;
}

static void hear_get(struct walk *walk)
{
    struct peer *get = walk->client.get;

    peer_read(walk->client.wire, get);
    if (get->len == 0)
        return;
    assert_memory_equal(get->in, "HTTP/1.1 200 ", 13);
    walk->has_get = false;
    hear(walk, get, strstr(get->in, "\r\n\r\n"));
}

static void hear_ws(struct walk *walk)
{
    peer_read(walk->client.wire, walk->client.ws);
    if (walk->has_ws)
        hear(walk, walk->client.ws, ws_words(walk->client.ws));
}

static void act(struct walk *walk, unsigned action)
{
    struct client *us = &walk->client;
    char text[32];

    switch (action) {
    case 0: /* the server sends */
    case 1:
        snprintf(text, sizeof text, "n%u", walk->n_out);
        note(walk->sent, walk->n_out++);
        send_text(us->wire->session, text, false);
        if (action)
            settle(us->wire);
        break;
    case 2: /* we send, by what carries the session */
        snprintf(text, sizeof text, "4%u", walk->n_in);
        snprintf(walk->said + strlen(walk->said), 20, "text:%u ", walk->n_in++);
        if (walk->is_upgraded) {
            hear_ws(walk);
            ws_text(us->wire, us->ws, text);
            hear_ws(walk);
        } else {
            poll_post(us->wire, us->post, us->sid, text);
        }
        break;
    case 3: /* poll; not where a stock client would not */
        if (walk->is_upgraded || walk->has_get)
            break;
        walk->has_get = true;
        poll_get(us->wire, us->get, us->sid);
        break;
    case 4: /* a WebSocket, or a second one */
        if (!walk->has_ws) {
            ws_open(us->wire, us->ws, us->sid);
            walk->has_ws = true;
        } else {
            struct peer *second = peer_new(us->wire);

            ws_open(us->wire, second, us->sid);
            peer_free(second);
        }
        break;
    case 5: /* probe, once or again */
        if (!walk->has_ws || walk->is_upgraded)
            break;
        ws_text(us->wire, us->ws, "2probe");
        walk->is_probed = true;
        hear_ws(walk);
        break;
    case 6: /* the probe goes, or is no good */
        if (!walk->has_ws || walk->is_upgraded)
            break;
        if (walk->n_out % 2)
            ws_text(us->wire, us->ws, "4stray");
        peer_free(us->ws);
        us->ws = peer_new(us->wire);
        walk->has_ws = walk->is_probed = false;
        settle(us->wire);
        break;
    case 7: /* switch, once the poll is over as a stock client waits for */
        hear_get(walk);
        if (!walk->is_probed || walk->is_upgraded || walk->has_get)
            break;
        ws_text(us->wire, us->ws, "5");
        walk->is_upgraded = true;
        hear_ws(walk);
        break;
    }
    hear_get(walk);
    hear_ws(walk);
}

static void no_walk_loses_doubles_or_reorders(void **state)
{
    const struct settings settings = wire_settings();
    unsigned seed = 1;
    int n_upgraded = 0;

    (void)state; /* T25 */
    for (int round = 0; round < 60; round++) {
        struct walk *walk = calloc(1, sizeof *walk);

        walk->client = client_open(&settings);
        walk->client.get->len = 0;
        for (int i = 0; i < 60; i++) {
            seed = seed * 1103515245 + 12345;
            act(walk, seed >> 16 & 7);
        }
        if (!walk->is_upgraded)
            act(walk, 3); /* fetch the rest */
        assert_string_equal(walk->heard, walk->sent);
        assert_string_equal(walk->client.wire->log, walk->said);
        n_upgraded += walk->is_upgraded;
        client_close(&walk->client);
        free(walk);
    }
    assert_true(n_upgraded > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_probe_frees_the_held_get_and_5_switches),
        cmocka_unit_test(a_get_that_has_an_answer_needs_no_noop),
        cmocka_unit_test(what_is_queued_moves_over_in_order),
        cmocka_unit_test(a_get_still_held_at_the_switch_gets_a_noop),
        cmocka_unit_test(polling_is_over_after_the_switch),
        cmocka_unit_test(a_second_websocket_is_closed_and_the_session_kept),
        cmocka_unit_test(a_probe_that_fails_leaves_the_session_on_polling),
        cmocka_unit_test(a_probe_may_vanish_at_every_byte),
        cmocka_unit_test(a_probe_without_5_is_given_up),
        cmocka_unit_test(the_session_may_end_while_probing),
        cmocka_unit_test(the_last_packets_of_a_closed_session_find_their_way),
        cmocka_unit_test(no_walk_loses_doubles_or_reorders),
    };

    return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
