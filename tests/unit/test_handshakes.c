/*
 * test_handshakes.c - core/plugin/handshakes.c: who is asked about a handshake in which
 * order, what comes of each verdict, and how those that wait end.
 *
 * Plugins are made by hand here, and the engines are doubles: see fakehub.h.
 */
#include "tests/unit/fakehub.h"

#include <event2/event.h>
#include <pthread.h>

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[1024]; /* the hooks that ran, a letter each */
static hop_verdict verdict;
static hop_deferral deferral;
static int defer_ms;
static hop_handshake *latest;
static handle conn; /* of the latest to arrive */

static int set_up(void **state)
{
    static struct engine *engines[1];
    static const char *const names[] = {"a", "b"};

    (void)state;
    fixture_open(&fixture, "", NULL);
    memset(plugins, 0, sizeof plugins);
    memset(&fake_engine, 0, sizeof fake_engine);
    for (unsigned i = 0; i < PLUGINS; i++) {
        plugins[i].name = mem_strdup(names[i]);
        plugins[i].conf_index = plugins[i].order = i;
        plugins[i].is_live = true;
    }
    server_set_shards(fixture.server, engines);
    called[0] = '\0';
    verdict = HOP_NEXT;
    defer_ms = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    held_handshake_free(fake_engine.answered);
    for (unsigned i = 0; i < PLUGINS; i++)
        free(plugins[i].name);
    return 0;
}

static hop_verdict goes_on(hop_handshake *handshake, void *self)
{
    (void)handshake;
    strcat(called, self);
    return HOP_NEXT;
}

static hop_verdict decides(hop_handshake *handshake, void *self)
{
    strcat(called, self);
    latest = handshake;
    if (defer_ms)
        deferral = hop_handshake_defer(handshake, defer_ms);
    return verdict;
}

static void on_path(int plugin, const char *path, hop_handshake_hook *hook,
                    const char *word)
{
    hop_server *server = fixture.server;

    server->current = &plugins[plugin];
    server->is_registering = true;
    assert_int_equal(hop_on_handshake(server, path, hook, (void *)(uintptr_t)word), 0);
    server->current = NULL;
    server->is_registering = false;
}

static void on(int plugin, hop_handshake_hook *hook, const char *word)
{
    on_path(plugin, NULL, hook, word);
}

static void resolve(void)
{
    hop_error error;

    assert_int_equal(handshakes_resolve(fixture.server, &error), 0);
}

/* A handshake arrives; what was decided of the one before is forgotten. */
static void arrive(void)
{
    static struct http_request request;
    static handle n_conns;
    struct held_handshake *held = mem_calloc(1, sizeof *held);

    held_handshake_free(fake_engine.answered);
    fake_engine.answered = NULL;
    held->request = &request;
    held->conn = conn = ++n_conns;
    strcpy(held->address, "::1");
    fake_engine.gate.on_handshake(held, fake_engine.gate.arg);
    loops_drain(fixture.loops);
}

static void called_is(const char *expected)
{
    assert_string_equal(called, expected);
    called[0] = '\0';
}

static const struct held_handshake *answered(bool is_refused)
{
    assert_non_null(fake_engine.answered);
    assert_int_equal(fake_engine.answered->is_refused, is_refused);
    return fake_engine.answered;
}

static void resume(const char *message)
{
    assert_int_equal(hop_handshake_resume(fixture.server, deferral, message), 0);
    loops_drain(fixture.loops);
}

/* One that the hook "1" defers. */
static void arrive_and_wait(void)
{
    on(A, decides, "1");
    resolve();
    verdict = HOP_DEFER;
    defer_ms = 60000;
    arrive();
}

/* ---- promises */

static void hooks_are_asked_in_the_order_of_the_conf_file(void **state)
{
    (void)state;
    on(B, goes_on, "3");
    on(A, goes_on, "1");
    on(A, goes_on, "2");
    on(B, goes_on, "4");
    resolve();
    arrive();
    called_is("1234");
    assert_null(answered(false)->message);
}

static void nobody_is_asked_where_nobody_registered(void **state)
{
    (void)state;
    resolve();
    assert_null(fake_engine.gate.on_handshake);
    on(A, goes_on, "1");
    handshakes_remove(&fixture.server->handshakes, &plugins[A]);
    resolve();
    assert_null(fake_engine.gate.on_handshake);
}

static void a_path_that_nobody_has_opened_refuses_the_start(void **state)
{
    hop_error error = {{0}};

    (void)state;
    on_path(A, "/none", goes_on, "1");
    assert_int_equal(handshakes_resolve(fixture.server, &error), -1);
    assert_non_null(strstr(error.text, "plugin a: a hook for handshakes of /none"));
}

static void whatever_is_not_next_refuses_and_later_hooks_are_not_asked(void **state)
{
    static const hop_verdict verdicts[] = {HOP_REJECTED, HOP_STOP, HOP_DEFER,
                                           (hop_verdict)77};

    (void)state;
    on(A, decides, "1");
    on(B, goes_on, "2");
    resolve();
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        verdict = verdicts[i];
        arrive();
        called_is("1");
        assert_null(answered(true)->message);
    }
}

static void who_defers_is_asked_on_when_it_is_decided(void **state)
{
    (void)state;
    on(A, decides, "1");
    on(B, goes_on, "2");
    resolve();
    verdict = HOP_DEFER;
    defer_ms = 60000;
    arrive();
    called_is("1");
    assert_null(fake_engine.answered);
    resume(NULL);
    called_is("2");
    answered(false);
    resume("too late"); /* it is decided */
    answered(false);
    arrive();
    resume("not you");
    called_is("1");
    assert_string_equal(answered(true)->message, "not you");
}

static void who_defers_and_decides_at_once_has_decided(void **state)
{
    (void)state;
    on(A, decides, "1");
    resolve();
    defer_ms = 60000;
    arrive();
    answered(false);
    resume("too late");
    answered(false);
}

static void a_deadline_refuses(void **state)
{
    (void)state;
    on(A, decides, "1");
    resolve();
    verdict = HOP_DEFER;
    defer_ms = 1;
    arrive();
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE);
    loops_drain(fixture.loops);
    assert_string_equal(answered(true)->message, "timeout");
}

static void one_that_waits_at_the_end_is_let_go(void **state)
{
    (void)state;
    arrive_and_wait();
    arrive();
    loops_shut(fixture.loops);
    assert_int_equal(hop_handshake_resume(fixture.server, deferral, NULL), -1);
    /* The leak checker says the rest. */
}

static void a_client_that_goes_is_waited_for_by_nobody(void **state)
{
    (void)state;
    arrive_and_wait();
    assert_ptr_equal(hop_handshake_of(fixture.server, deferral), latest);
    fake_engine.gate.on_abandoned(conn + 1, fake_engine.gate.arg); /* somebody else */
    loops_drain(fixture.loops);
    assert_null(fake_engine.answered);
    fake_engine.gate.on_abandoned(conn, fake_engine.gate.arg);
    loops_drain(fixture.loops);
    answered(true);
    assert_null(hop_handshake_of(fixture.server, deferral));
    resume(NULL); /* nothing happens */
    fake_engine.gate.on_abandoned(conn, fake_engine.gate.arg);
    loops_drain(fixture.loops);
}

static void one_that_waits_may_be_named_before_it_goes_on(void **state)
{
    (void)state;
    arrive_and_wait();
    assert_int_equal(
        hop_handshake_set_id(hop_handshake_of(fixture.server, deferral), "late"), 0);
    resume(NULL);
    assert_string_equal(answered(false)->id, "late");
}

static hop_verdict refuses_at_length(hop_handshake *handshake, void *self)
{
    char message[2002];

    (void)self;
    for (int i = 0; i < 1000; i++)
        memcpy(message + 1 + 2 * i, "\xc3\xa4", 3);
    message[0] = 'x';
    return hop_handshake_reject(handshake, message);
}

static hop_verdict says_one_thing_and_does_another(hop_handshake *handshake, void *self)
{
    (void)self;
    hop_handshake_reject(handshake, "no");
    return HOP_NEXT;
}

static void words_of_a_refusal_are_cut_and_are_those_of_who_refuses(void **state)
{
    (void)state;
    on(A, refuses_at_length, "");
    resolve();
    arrive();
    assert_int_equal(strlen(answered(true)->message), 999);
    handshakes_remove(&fixture.server->handshakes, &plugins[A]);
    on(A, says_one_thing_and_does_another, "");
    on(B, decides, "");
    verdict = (hop_verdict)77;
    resolve();
    arrive();
    assert_null(answered(true)->message);
}

static void *resume_from_elsewhere(void *arg)
{
    (void)arg;
    return hop_handshake_resume(fixture.server, deferral, "elsewhere") == 0 ? &deferral
                                                                            : NULL;
}

static void any_thread_may_decide(void **state)
{
    pthread_t thread;
    void *result;

    (void)state;
    arrive_and_wait();
    assert_int_equal(pthread_create(&thread, NULL, resume_from_elsewhere, NULL), 0);
    pthread_join(thread, &result);
    assert_non_null(result);
    loops_drain(fixture.loops);
    assert_string_equal(answered(true)->message, "elsewhere");
}

static hop_verdict tries_headers(hop_handshake *handshake, void *self)
{
    static const char *const bad[][2] = {
        {"", "x"},
        {"a b", "x"},
        {"a:", "x"},
        {"X", "a\r\nB: c"},
        {"X", "\x7f"},
        {"content-length", "1"},
        {"Connection", "x"},
        {"DATE", "x"},
        {"Sec-WebSocket-Accept", "x"},
        {"upgrade", "x"},
        {"cache-control", "x"},
        {"Access-Control-X", "x"},
        {"vary", "x"},
        {"Sec-websocket-x", "x"},
    };
    char value[5000];

    (void)self;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, bad[i][0], bad[i][1]),
            -1);
    assert_int_equal(hop_handshake_add_header(handshake, (hop_response)7, "X", "x"), -1);
    assert_int_equal(hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, NULL, "x"),
                     -1);
    assert_int_equal(hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "X", NULL),
                     -1);
    assert_int_equal(hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "X", ""), 0);
    assert_int_equal(hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "X", "\t1"),
                     0);
    memset(value, 'v', sizeof value);
    value[HELD_HEADERS_MAX - 6] = '\0'; /* "Y: ", CRLF and the NUL: one too many */
    assert_int_equal(hop_handshake_add_header(handshake, HOP_ALL_RESPONSES, "Y", value),
                     0);
    assert_int_equal(hop_handshake_add_header(handshake, HOP_ALL_RESPONSES, "Y", ""), -1);
    return HOP_NEXT;
}

static void headers_are_checked_and_kept_in_order(void **state)
{
    const struct held_handshake *held;

    (void)state;
    on(A, tries_headers, "");
    resolve();
    arrive();
    held = answered(false);
    assert_string_equal(held->first_headers, "X: \r\nX: \t1\r\n");
    assert_int_equal(strlen(held->headers), HELD_HEADERS_MAX - 1);
}

static void hear(const hop_connection_error *error, void *self)
{
    (void)self;
    snprintf(called, sizeof called, "%d %s %s %s %s", error->code, error->message,
             error->reason, error->address, hop_request_path(error->request));
}

static void a_refusal_is_told_and_is_nobodys_to_answer(void **state)
{
    static struct http_request request = {.path = {"/x", 2}};
    const struct handshake_refusal refusal = {
        .code = 3, .message = "m", .reason = "r", .request = &request, .address = "::1"};
    hop_server *server = fixture.server;

    (void)state;
    server->current = &plugins[A];
    server->is_registering = true;
    assert_int_equal(hop_on_connection_error(server, NULL, hear, NULL), 0);
    server->current = NULL;
    server->is_registering = false;
    resolve();
    assert_null(fake_engine.gate.on_handshake); /* nobody decides */
    fake_engine.gate.on_refused(&refusal, fake_engine.gate.arg);
    loops_drain(fixture.loops);
    called_is("3 m r ::1 /x");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hooks_are_asked_in_the_order_of_the_conf_file),
        TEST(nobody_is_asked_where_nobody_registered),
        TEST(a_path_that_nobody_has_opened_refuses_the_start),
        TEST(whatever_is_not_next_refuses_and_later_hooks_are_not_asked),
        TEST(who_defers_is_asked_on_when_it_is_decided),
        TEST(who_defers_and_decides_at_once_has_decided),
        TEST(a_deadline_refuses),
        TEST(one_that_waits_at_the_end_is_let_go),
        TEST(a_client_that_goes_is_waited_for_by_nobody),
        TEST(one_that_waits_may_be_named_before_it_goes_on),
        TEST(words_of_a_refusal_are_cut_and_are_those_of_who_refuses),
        TEST(any_thread_may_decide),
        TEST(headers_are_checked_and_kept_in_order),
        TEST(a_refusal_is_told_and_is_nobodys_to_answer),
    };

    return cmocka_run_group_tests_name("handshakes", tests, NULL, NULL);
}
