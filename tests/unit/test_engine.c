/*
 * test_engine.c - the route of Engine.IO (core/engine/route.c): which shard serves a
 * request, the client bundle, and what an idle session costs.
 */
#include "tests/unit/wire.h"

#include <sys/stat.h>

#include "core/base/text.h"
#include "core/engine/session_impl.h"
#include "core/net/static.h"

static void a_sid_names_its_shard(void **state)
{
    const struct settings settings = wire_settings();
    struct engine *engines[3] = {NULL};
    struct http_route route = engine_route(engines, 3, &settings, NULL);
    unsigned char bytes[SID_BYTES] = {0};
    char sid[SID_CHARS + 1], query[128];

    (void)state;
    for (unsigned shard = 0; shard < 256; shard++) {
        struct http_request request = {.query = {query, 0}};

        bytes[0] = (unsigned char)shard;
        base64url(bytes, sizeof bytes, sid);
        request.query.len =
            (size_t)snprintf(query, sizeof query, "EIO=4&transport=polling&sid=%s", sid);
        assert_int_equal(route.shard_for(&request, route.arg),
                         shard < 3 ? (int)shard : -1);
    }
    engine_route_free(&route);
}

static void a_bad_sid_names_no_shard(void **state)
{
    static const char *const queries[] = {
        "",
        "EIO=4",
        "sid=",
        "sid=AAAAAAAAAAAAAAAAAAAAAAAAA",
        "sid=AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sid=AAAAAAAAAAAAAAAAAAAAAAAAA!",
        "sid=AAAAAAAAAAAAAAAAAAAAAAAAAB", /* stray bits */
        "sid=AAAAAAAAAAAAAAAAAAAAAAAAAA&sid=AQAAAAAAAAAAAAAAAAAAAAAAAA",
        "sid=%00AAAAAAAAAAAAAAAAAAAAAAAAA",
    };
    const struct settings settings = wire_settings();
    struct engine *engines[3] = {NULL};
    struct http_route route = engine_route(engines, 3, &settings, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct http_request request = {.query = {queries[i], strlen(queries[i])}};

        assert_int_equal(route.shard_for(&request, route.arg), -1);
    }
    engine_route_free(&route);
}

/* An id that a plugin gave, with its shard behind it. */
static void a_given_id_is_found_in_its_shard_alone(void **state)
{
    static const struct {
        const char *sid;
        int shard;
        bool is_found;
    } rows[] = {
        {"me.00", 0, true},    {"me.01", 1, false},  {"me.0", -1, false},
        {"me.000", -1, false}, {"me", -1, false},    {"me.0g", -1, false},
        {"ME.00", 0, false},   {".00", -1, false},   {"me.00.00", -1, false},
        {"m.e.00", -1, false}, {"mee.00", 0, false},
    };
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct session *session, *other;
    char sid[SESSION_SID_SIZE];

    (void)state;
    assert_false(session_id_is_taken(wire->engine, "me"));
    session = session_new(wire->engine, "me");
    other = session_new(wire->engine, NULL);
    assert_true(session_id_is_taken(wire->engine, "me"));
    session_sid(session, sid);
    assert_string_equal(sid, "me.00");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(session_shard_of(rows[i].sid, strlen(rows[i].sid)),
                         rows[i].shard);
        assert_ptr_equal(session_by_sid(wire->engine, rows[i].sid, strlen(rows[i].sid)),
                         rows[i].is_found ? session : NULL);
    }
    base64url(session->sid, SID_BYTES, sid); /* what it is found by is no sid */
    assert_null(session_by_sid(wire->engine, sid, SID_CHARS));
    session_sid(other, sid);
    assert_ptr_equal(session_by_sid(wire->engine, sid, strlen(sid)), other);
    session_free(session);
    assert_false(session_id_is_taken(wire->engine, "me"));
    session_free(other);
    wire_free(wire);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_file(const char *folder, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
}

static void the_client_bundle_lies_below_the_path(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *body; /* NULL: any */
    } rows[] = {
        {"GET /socket.io/socket.io.js", 200, "bundle"},
        {"HEAD /socket.io/socket.io.js", 200, ""},
        {"GET /socket.io/socket.io.js?v=1", 200, "bundle"},
        {"GET /socket.io/socket.io.min.js", 404, NULL},
        {"GET /socket.io/other.js", 400,
         "{\"code\":0,\"message\":\"Transport unknown\"}"},
        {"POST /socket.io/socket.io.js", 400, NULL},
        {"GET /socket.io", 400, NULL},
    };
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct static_files *files;
    char folder[] = "/tmp/test_engine.XXXXXX", path[64];
    hop_error error;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket.io", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    write_file(folder, "socket.io/socket.io.js", "bundle");
    write_file(folder, "socket.io/other.js", "never served");
    files = static_new(folder, &error);
    assert_non_null(files);
    router_free(wire->router);
    engine_route_free(&wire->route);
    wire->route = engine_route(wire->engines, 1, &wire->settings, files);
    wire->router = router_new();
    router_add_prefix(wire->router, "/socket.io", &wire->route);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer *peer = peer_new(wire);
        char text[256];
        int status = 0;

        snprintf(text, sizeof text, "%s HTTP/1.1\r\n" HOST "%s\r\n", rows[i].request,
                 rows[i].request[0] == 'P' ? "Content-Length: 0\r\n" : "");
        sscanf(peer_ask(wire, peer, text), "HTTP/1.1 %d", &status);
        assert_int_equal(status, rows[i].status);
        if (rows[i].body)
            expect_response(peer, status, rows[i].body);
        peer_free(peer);
    }
    static_free(files);
    remove_file(folder, "socket.io/socket.io.js");
    remove_file(folder, "socket.io/other.js");
    remove_file(folder, "socket.io");
    assert_int_equal(remove(folder), 0);
    wire_free(wire);
}

static void the_layer_above_may_close_at_once(void **state)
{
    const struct settings settings = wire_settings();
    struct wire *wire = wire_new(&settings);
    struct peer *peer = peer_new(wire);

    (void)state; /* C41 */
    wire->closes_on_open = true;
    ws_open(wire, peer, "");
    wire_expect(wire, "open closed:forced close ");
    peer_read(wire, peer);
    assert_memory_equal(peer->in + peer->len - 4, "\x88\x02\x03\xe8", 4);
    assert_true(peer->is_over);
    peer_free(peer);
    peer = peer_new(wire);
    peer_ask(wire, peer,
             "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "\r\n");
    wire_expect(wire, "open closed:forced close ");
    assert_non_null(strstr(peer->in, "\r\n\r\n0{\"sid\":"));
    assert_null(strchr(peer->in, '\x1e')); /* the close packet is for the next GET */
    peer_free(peer);
    wire_free(wire);
}

static void an_idle_session_is_small(void **state)
{
    (void)state; /* DESIGN.md 7: with its connection, below 1 kB */
    assert_true(sizeof(struct session) <= 160);
    assert_true(sizeof(struct websocket) <= 104);
    assert_true(sizeof(struct polling) <= 168);
    assert_true(sizeof(struct session) + sizeof(struct websocket) + sizeof(struct conn) <=
                640);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sid_names_its_shard),
        cmocka_unit_test(a_bad_sid_names_no_shard),
        cmocka_unit_test(a_given_id_is_found_in_its_shard_alone),
        cmocka_unit_test(the_client_bundle_lies_below_the_path),
        cmocka_unit_test(the_layer_above_may_close_at_once),
        cmocka_unit_test(an_idle_session_is_small),
    };

    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
