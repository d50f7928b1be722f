/*
 * test_handshake.c - who may come in (core/engine/handshake.c): the order of the checks and
 * their answers (docs/PROTOCOL.md 1.2), hostile queries (C07), origins (C02, T01).
 */
#include "tests/unit/wire.h"

#include "core/engine/handshake.h"

static void an_origin_must_name_our_host(void **state)
{
    static const struct {
        const char *origin, *host, *origins;
        enum origin_verdict verdict;
    } rows[] = {
        {NULL, "a", "", ORIGIN_SAME},
        {"http://a", "a", "", ORIGIN_SAME},
        {"http://a", "a:80", "", ORIGIN_SAME},
        {"http://a:80", "a", "", ORIGIN_SAME},
        {"https://a", "a", "", ORIGIN_SAME}, /* behind a proxy that does TLS */
        {"https://a", "a:443", "", ORIGIN_SAME},
        {"http://A.Example", "a.eXample", "", ORIGIN_SAME},
        {"http://a:8080", "a:8080", "", ORIGIN_SAME},
        {"http://[::1]:8080", "[::1]:8080", "", ORIGIN_SAME},
        {"http://[::1]", "[::1]", "", ORIGIN_SAME},
        {"http://evil", "a", "", ORIGIN_FORBIDDEN},
        {"null", "a", "", ORIGIN_FORBIDDEN},
        {"", "a", "", ORIGIN_FORBIDDEN},
        {"http://", "", "", ORIGIN_FORBIDDEN},
        {"http://a.evil", "a", "", ORIGIN_FORBIDDEN},
        {"https://a:444", "a", "", ORIGIN_FORBIDDEN},
        {"http://a", "a:443", "", ORIGIN_FORBIDDEN},
        {"http://a.", "a", "", ORIGIN_FORBIDDEN},
        {"http://a:8080", "a", "", ORIGIN_FORBIDDEN},
        {"http://a:0", "a:0", "", ORIGIN_FORBIDDEN},
        {"http://a:65536", "a:65536", "", ORIGIN_FORBIDDEN},
        {"http://a:80x", "a", "", ORIGIN_FORBIDDEN},
        {"http://a/path", "a", "", ORIGIN_FORBIDDEN},
        {"http://a@evil", "evil", "", ORIGIN_FORBIDDEN},
        {"ftp://a", "a", "", ORIGIN_FORBIDDEN},
        {"http://a, http://evil", "a", "", ORIGIN_FORBIDDEN},
        {"http://a", NULL, "", ORIGIN_FORBIDDEN},
        {"http://a\x01", "a", "", ORIGIN_INVALID},
        {"http://a\x7f", "a", "", ORIGIN_INVALID},
        {"https://b", "a", "http://b, https://b", ORIGIN_LISTED},
        {"https://b:443", "a", "http://c, https://B", ORIGIN_LISTED},
        {"http://b", "a", "https://b", ORIGIN_FORBIDDEN},
        {"http://b:8080", "a", "http://b", ORIGIN_FORBIDDEN},
        {"http://a", "a", "http://b", ORIGIN_SAME},
        {"http://b", "a", "*", ORIGIN_ANY},
        {"null", "a", "*", ORIGIN_ANY},
        {"http://b", "a", "http://b, *", ORIGIN_LISTED},
    };
    char longest[9000];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(origin_check(rows[i].origin, rows[i].host, rows[i].origins),
                         rows[i].verdict);
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "http://", 7);
    longest[8192] = '\0';
    assert_int_equal(origin_check(longest, longest + 7, "*"), ORIGIN_FORBIDDEN);
}

#define BODY(code, text) "{\"code\":" #code ",\"message\":\"" text "\"}"
#define UNKNOWN_TRANSPORT BODY(0, "Transport unknown")
#define UNKNOWN_SID BODY(1, "Session ID unknown")
#define BAD_METHOD BODY(2, "Bad handshake method")
#define BAD_REQUEST BODY(3, "Bad request")
#define FORBIDDEN BODY(4, "Forbidden")
#define BAD_VERSION BODY(5, "Unsupported protocol version")
#define SID26 "AAAAAAAAAAAAAAAAAAAAAAAAAA"

static void each_error_has_its_answer(void **state)
{
    static const struct {
        const char *method, *query, *headers;
        int status;
        const char *body;
    } rows[] = {
        {"GET", "", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=abc", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=webtransport", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=constructor", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=__proto__", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=polling%00", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=Polling", "", 400, UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=polling&transport=websocket", "", 400,
         UNKNOWN_TRANSPORT},
        {"GET", "?EIO=4&transport=polling", "Origin: http://evil\r\n", 403, FORBIDDEN},
        {"GET", "?EIO=4&transport=polling&sid=x", "Origin: null\r\n", 403, FORBIDDEN},
        {"GET", "?EIO=4&transport=polling",
         "Origin: http://chat.example:8080\r\nOrigin: http://chat.example:8080\r\n", 403,
         FORBIDDEN},
        {"GET", "?EIO=4&transport=polling&sid=abc", "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=polling&sid=" SID26, "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=polling&sid=" SID26 "A", "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=polling&sid=__proto__", "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=polling&sid=%00", "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=polling&sid=a&sid=b", "", 400, UNKNOWN_SID},
        {"GET", "?EIO=4&transport=websocket&sid=abc", "", 400, UNKNOWN_SID},
        {"POST", "?EIO=4&transport=polling&sid=abc", "Content-Length: 0\r\n", 400,
         UNKNOWN_SID},
        {"POST", "?EIO=4&transport=polling", "Content-Length: 0\r\n", 400, BAD_METHOD},
        {"PUT", "?EIO=4&transport=polling", "", 400, BAD_METHOD},
        {"OPTIONS", "?EIO=4&transport=polling", "", 400, BAD_METHOD},
        {"GET", "?EIO=4&transport=websocket", "", 400, BAD_REQUEST},
        {"GET", "?EIO=3&transport=websocket", "", 400, BAD_REQUEST},
        {"GET", "?transport=polling", "", 400, BAD_VERSION},
        {"GET", "?EIO=3&transport=polling", "", 400, BAD_VERSION},
        {"GET", "?EIO=abc&transport=polling", "", 400, BAD_VERSION},
        {"GET", "?EIO=04&transport=polling", "", 400, BAD_VERSION},
        {"GET", "?EIO=44&transport=polling", "", 400, BAD_VERSION},
        {"GET", "?EIO=4&EIO=3&transport=polling", "", 400, BAD_VERSION},
        /* upgrades: text, and the connection is closed */
        {"GET", "?EIO=4&transport=abc", WS_HEADERS, 400, "Transport unknown"},
        {"GET", "?EIO=4&transport=polling", WS_HEADERS, 400, "Bad request"},
        {"GET", "?EIO=4&transport=websocket&sid=abc", WS_HEADERS, 400,
         "Session ID unknown"},
        {"GET", "?EIO=3&transport=websocket", WS_HEADERS, 400,
         "Unsupported protocol version"},
        {"GET", "?EIO=4&transport=websocket", "Origin: https://evil\r\n" WS_HEADERS, 403,
         "Forbidden"},
    };
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer *peer = peer_new(wire);
        bool is_upgrade = strstr(rows[i].headers, "Upgrade") != NULL;
        char text[1024];

        snprintf(text, sizeof text, "%s /socket.io/%s HTTP/1.1\r\n" HOST "%s\r\n",
                 rows[i].method, rows[i].query, rows[i].headers);
        peer_ask(wire, peer, text);
        expect_response(peer, rows[i].status, rows[i].body);
        assert_non_null(strstr(peer->in, is_upgrade ? "Content-Type: text/html\r\n"
                                                    : "Content-Type: application/json"));
        assert_int_equal(is_upgrade, strstr(peer->in, "Connection: close") != NULL);
        assert_int_equal(is_upgrade, peer->is_over);
        assert_null(strstr(peer->in, "Access-Control"));
        peer_free(peer);
    }
    wire_expect(wire, "");
    wire_free(wire);
}

static void a_bad_opening_handshake_is_refused(void **state)
{
    static const struct {
        const char *headers;
        int status;
    } rows[] = {
        {"Sec-WebSocket-Version: 13\r\n", 400},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n", 400},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n",
         400},
        {"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWFh\r\n",
         400},
        {"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
         426},
        {"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 426},
    };
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer *peer = peer_new(wire);
        char text[512];
        int status = 0;

        snprintf(text, sizeof text,
                 "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST
                 "Connection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n",
                 rows[i].headers);
        sscanf(peer_ask(wire, peer, text), "HTTP/1.1 %d", &status);
        assert_int_equal(status, rows[i].status);
        assert_int_equal(status == 426,
                         strstr(peer->in, "Sec-WebSocket-Version: 13\r\n") != NULL);
        assert_true(peer->is_over);
        peer_free(peer);
    }
    wire_expect(wire, "");
    wire_free(wire);
}

static void hostile_extensions_and_subprotocols_are_ignored(void **state)
{
    static const char *const values[] = {"constructor", "permessage-deflate; x=\"",
                                         ";;;,,,", "__proto__;a=b", ""};
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);

    (void)state; /* C18, C19 */
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct peer *peer = peer_new(wire);
        char text[1024];

        snprintf(text, sizeof text,
                 "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n" HOST WS_HEADERS
                 "Sec-WebSocket-Extensions: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                 values[i], values[i]);
        peer_ask(wire, peer, text);
        assert_memory_equal(peer->in, "HTTP/1.1 101 ", 13);
        assert_null(strstr(peer->in, "Sec-WebSocket-Extensions"));
        assert_null(strstr(peer->in, "Sec-WebSocket-Protocol"));
        peer_free(peer);
        settle(wire);
        wire_expect(wire, "open closed:transport close ");
    }
    wire_free(wire);
}

static void listed_origins_get_cors_lines(void **state)
{
    static const struct {
        const char *origins, *origin;
        bool has_cors, has_credentials;
    } rows[] = {
        {"", "http://chat.example:8080", false, false},
        {"https://b.example", "https://b.example", true, true},
        {"*", "https://b.example", true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings settings = wire_settings();
        struct wire *wire;
        struct peer *peer;
        char text[512], line[128];

        settings.origins = rows[i].origins;
        wire = wire_new(&settings);
        peer = peer_new(wire);
        snprintf(text, sizeof text,
                 "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST
                 "Origin: %s\r\n\r\n",
                 rows[i].origin);
        peer_ask(wire, peer, text);
        assert_memory_equal(peer->in, "HTTP/1.1 200 ", 13);
        snprintf(line, sizeof line, "\r\nAccess-Control-Allow-Origin: %s\r\n",
                 rows[i].origin);
        assert_int_equal(strstr(peer->in, line) != NULL, rows[i].has_cors);
        assert_int_equal(strstr(peer->in, "\r\nVary: Origin\r\n") != NULL,
                         rows[i].has_cors);
        assert_int_equal(strstr(peer->in, "Allow-Credentials: true\r\n") != NULL,
                         rows[i].has_credentials);
        peer_free(peer);
        wire_free(wire);
    }
}

static void transports_and_upgrades_can_be_switched_off(void **state)
{
    struct settings settings = wire_settings();
    struct wire *wire;
    struct peer *peer;
    char sid[32];

    (void)state;
    settings.transports = "websocket";
    wire = wire_new(&settings);
    peer = peer_new(wire);
    peer_ask(wire, peer,
             "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "\r\n");
    expect_response(peer, 400, UNKNOWN_TRANSPORT);
    peer_free(peer);
    wire_free(wire);

    settings = wire_settings();
    settings.allow_upgrades = false;
    wire = wire_new(&settings);
    peer = peer_new(wire);
    open_session(wire, peer, sid);
    assert_non_null(strstr(peer->in, "\"upgrades\":[],"));
    wire->log[0] = '\0';
    peer_free(peer);
    peer = peer_new(wire);
    peer->len = 0;
    {
        char text[512];

        snprintf(text, sizeof text,
                 "GET /socket.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\n" HOST
                     WS_HEADERS "\r\n",
                 sid);
        peer_ask(wire, peer, text);
    }
    expect_response(peer, 400, "Bad request");
    peer_free(peer);
    wire_free(wire);
}

static int on_open_protocol;

static void *note_protocol(struct session *session, const struct http_request *request,
                           const char *address, void *arg)
{
    on_open_protocol = session_protocol(session);
    return wire_on_open(session, request, address, arg);
}

static void the_version_is_exactly_4_or_where_allowed_3(void **state)
{
    static const struct {
        bool is_allowed;
        const char *version;
        int protocol; /* 0: refused */
    } rows[] = {{false, "EIO=4&", 4},  {false, "EIO=3&", 0},  {true, "EIO=4&", 4},
                {true, "EIO=3&", 3},   {true, "", 0},         {true, "EIO=&", 0},
                {true, "EIO=2&", 0},   {true, "EIO=5&", 0},   {true, "EIO=abc&", 0},
                {true, "EIO=03&", 0},  {true, "EIO=3.0&", 0}, {true, "EIO=3&EIO=4&", 0},
                {true, "EIO=33&", 0},  {true, "EIO=%33&", 3}, {true, "EIO=-3&", 0},
                {true, "EIO=3%00&", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows * 2; i++) {
        struct settings settings = wire_settings();
        bool is_websocket = i % 2;
        struct wire *wire;
        struct peer *peer;
        char text[512];

        settings.allow_eio3 = rows[i / 2].is_allowed;
        wire = wire_new(&settings);
        wire->engine->upper.on_open = note_protocol;
        on_open_protocol = 0;
        peer = peer_new(wire);
        snprintf(text, sizeof text,
                 "GET /socket.io/?%stransport=%s HTTP/1.1\r\n" HOST "%s\r\n",
                 rows[i / 2].version, is_websocket ? "websocket" : "polling",
                 is_websocket ? WS_HEADERS : "");
        peer_ask(wire, peer, text);
        assert_int_equal(on_open_protocol, rows[i / 2].protocol);
        if (!rows[i / 2].protocol)
            expect_response(peer, 400,
                            is_websocket ? "Unsupported protocol version" : BAD_VERSION);
        peer_free(peer);
        wire_free(wire);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_must_name_our_host),
        cmocka_unit_test(each_error_has_its_answer),
        cmocka_unit_test(a_bad_opening_handshake_is_refused),
        cmocka_unit_test(hostile_extensions_and_subprotocols_are_ignored),
        cmocka_unit_test(listed_origins_get_cors_lines),
        cmocka_unit_test(transports_and_upgrades_can_be_switched_off),
        cmocka_unit_test(the_version_is_exactly_4_or_where_allowed_3),
    };

    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
