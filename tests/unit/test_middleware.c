/*
 * test_middleware.c - core/plugin/connect.c: who looks at a newcomer, in which order, and
 * what becomes of it; namespaces that registrations are for.
 *
 * Plugins are made by hand here, on a double of the hub.
 */
#include <event2/event.h>
#include <pthread.h>

#include "tests/unit/fakehub.h"

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[256]; /* what ran, a word each */
static hop_deferral deferred;
static int timeout_ms;

static int set_up(void **state)
{
    static const char *const names[] = {"a", "b"};

    (void)state;
    fixture_open(&fixture, "", NULL);
    memset(plugins, 0, sizeof plugins);
    for (unsigned i = 0; i < PLUGINS; i++) {
        plugins[i].name = mem_strdup(names[i]);
        plugins[i].conf_index = plugins[i].order = i;
        plugins[i].is_live = true;
    }
    called[0] = '\0';
    deferred = 0;
    timeout_ms = 60000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    for (unsigned i = 0; i < PLUGINS; i++)
        free(plugins[i].name);
    return 0;
}

/* What follows until leave_init() is the plugin's init(). */
static hop_server *enter_init(int plugin)
{
    fixture.server->current = &plugins[plugin];
    fixture.server->is_registering = true;
    fixture.server->refusal.text[0] = '\0';
    return fixture.server;
}

static void leave_init(void)
{
    hop_error error;

    fixture.server->current = NULL;
    fixture.server->is_registering = false;
    if (connects_resolve(&fixture.server->connects, NULL, &error) < 0)
        fail_msg("%s", error.text);
}

static void note(const char *word)
{
    size_t len = strlen(called);

    snprintf(called + len, sizeof called - len, "%s%s", len ? " " : "", word);
}

static void expect_called(const char *words)
{
    assert_string_equal(called, words);
    called[0] = '\0';
}

static void use(int plugin, const char *nsp, hop_middleware *middleware, const char *word)
{
    assert_int_equal(
        hop_use(enter_init(plugin), nsp, middleware, (void *)(uintptr_t)word), 0);
}

static hop_verdict passes(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)connect;
    note(self);
    return HOP_NEXT;
}

static hop_verdict refuses(hop_socket socket, hop_connect *connect, void *self)
{
    char message[] = "no \"way\"";

    passes(socket, connect, self);
    return hop_connect_reject(connect, message, json_pack("{ss}", "code", "E"));
}

static hop_verdict refuses_badly(hop_socket socket, hop_connect *connect, void *self)
{
    passes(socket, connect, self);
    hop_connect_reject(connect, "first", json_true());
    return hop_connect_reject(connect, "\xff", NULL);
}

static hop_verdict rejects_but_passes(hop_socket socket, hop_connect *connect, void *self)
{
    hop_connect_reject(connect, "no", json_true());
    return passes(socket, connect, self);
}

static hop_verdict defers(hop_socket socket, hop_connect *connect, void *self)
{
    passes(socket, connect, self);
    assert_true(hop_connect_defer(connect, 0) == 0);
    assert_true(hop_connect_defer(connect, 3600001) == 0);
    deferred = hop_connect_defer(connect, timeout_ms);
    assert_true(deferred != 0);
    return HOP_DEFER;
}

static hop_verdict defers_but_passes(hop_socket socket, hop_connect *connect, void *self)
{
    defers(socket, connect, self);
    return HOP_NEXT;
}

static hop_verdict bad_verdict;

static hop_verdict returns_what_it_may_not(hop_socket socket, hop_connect *connect,
                                           void *self)
{
    passes(socket, connect, self);
    return bad_verdict;
}

static hop_verdict leaves(hop_socket socket, hop_connect *connect, void *self)
{
    passes(socket, connect, self);
    fake_abandon(socket);
    return hop_connect_reject(connect, "gone anyway", NULL);
}

static void pump(void)
{
    loops_drain(fixture.loops);
}

/* ---- in order */

static void who_has_no_middleware_is_in_at_once(void **state)
{
    (void)state;
    use(A, "/chat", passes, "chat");
    leave_init();
    fake_arrive(1, NULL);
    fake_sent_is("1 is in\n");
    fake_arrive(FAKE_CHAT, NULL);
    fake_sent_is("8 is in\n");
    expect_called("chat");
}

static void it_runs_in_the_order_of_the_conf_file_and_of_registration(void **state)
{
    (void)state;
    use(B, NULL, passes, "b1");
    use(B, "*", passes, "b2");
    use(A, "/", passes, "a1");
    use(A, "/chat", passes, "chat");
    use(A, NULL, passes, "a2");
    leave_init();
    fake_arrive(1, NULL);
    expect_called("a1 a2 b1 b2");
    fake_arrive(FAKE_CHAT, NULL);
    expect_called("chat b2");
}

static void the_first_refusal_ends_it(void **state)
{
    (void)state;
    use(A, NULL, passes, "a");
    use(A, NULL, refuses, "no");
    use(A, NULL, passes, "never");
    leave_init();
    fake_arrive(1, NULL);
    expect_called("a no");
    fake_sent_is("1 is refused: no \"way\" {\"code\":\"E\"}\n");
}

static void a_message_that_is_no_text_is_refused(void **state)
{
    (void)state;
    use(A, NULL, refuses_badly, "no");
    leave_init();
    fake_arrive(1, NULL);
    fake_sent_is("1 is refused: refused -\n");
}

static void a_rejection_that_was_not_returned_is_forgotten(void **state)
{
    (void)state;
    use(A, NULL, rejects_but_passes, "a");
    use(A, NULL, returns_what_it_may_not, "b");
    leave_init();
    bad_verdict = HOP_REJECTED;
    fake_arrive(1, NULL);
    fake_sent_is("1 is refused: refused -\n");
}

static void whoever_is_not_let_in_expressly_stays_outside(void **state)
{
    static const int verdicts[] = {HOP_STOP, HOP_REJECTED, HOP_DEFER, 17, -1};

    (void)state;
    use(A, NULL, returns_what_it_may_not, "a");
    leave_init();
    for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
        bad_verdict = (hop_verdict)verdicts[i];
        fake_arrive(1, NULL);
        fake_sent_is("1 is refused: refused -\n");
    }
}

/* ---- later */

static void what_was_deferred_goes_on_behind_it(void **state)
{
    (void)state;
    use(A, NULL, passes, "a");
    use(A, NULL, defers, "wait");
    use(A, NULL, passes, "c");
    leave_init();
    fake_arrive(1, NULL);
    pump();
    expect_called("a wait");
    fake_sent_is("");
    assert_int_equal(hop_connect_resume(fixture.server, deferred, NULL, NULL), 0);
    assert_int_equal(hop_connect_resume(fixture.server, deferred, "again", json_null()),
                     0);
    expect_called("");
    pump();
    expect_called("c");
    fake_sent_is("1 is in\n");
}

static void several_may_defer_one_after_the_other(void **state)
{
    hop_deferral first;

    (void)state;
    use(A, NULL, defers, "one");
    use(A, NULL, defers, "two");
    leave_init();
    fake_arrive(1, NULL);
    first = deferred;
    hop_connect_resume(fixture.server, first, NULL, NULL);
    pump();
    assert_true(deferred != first);
    hop_connect_resume(fixture.server, first, "stale", NULL);
    pump();
    fake_sent_is("");
    hop_connect_resume(fixture.server, deferred, "no", json_pack("[i]", 1));
    pump();
    fake_sent_is("1 is refused: no [1]\n");
}

static void two_newcomers_wait_side_by_side(void **state)
{
    hop_deferral first;

    (void)state;
    use(A, NULL, defers, "w");
    leave_init();
    fake_arrive(1, NULL);
    first = deferred;
    fake_arrive(2, NULL);
    hop_connect_resume(fixture.server, deferred, NULL, NULL);
    pump();
    fake_sent_is("2 is in\n");
    hop_connect_resume(fixture.server, first, NULL, NULL);
    pump();
    fake_sent_is("1 is in\n");
}

static void stop_loop(evutil_socket_t fd, short what, void *loop)
{
    (void)fd;
    (void)what;
    loop_stop(loop);
}

/* Turns of the loop until something was sent. */
static void wait_for_answer(void)
{
    const struct timeval soon = {0, 5000};

    for (int i = 0; i < 2000 && !fake.sent[0]; i++) {
        event_base_once(fixture.loops->logic->base, -1, EV_TIMEOUT, stop_loop,
                        fixture.loops->logic, &soon);
        loop_run(fixture.loops->logic);
    }
}

static void the_deadline_refuses(void **state)
{
    (void)state;
    timeout_ms = 1;
    use(A, NULL, defers, "wait");
    leave_init();
    fake_arrive(1, NULL);
    wait_for_answer();
    fake_sent_is("1 is refused: timeout -\n");
    hop_connect_resume(fixture.server, deferred, NULL, NULL);
    pump();
    fake_sent_is("");
}

static void a_deferral_that_was_not_returned_is_forgotten(void **state)
{
    (void)state;
    use(A, NULL, defers_but_passes, "a");
    leave_init();
    fake_arrive(1, NULL);
    fake_sent_is("1 is in\n");
    hop_connect_resume(fixture.server, deferred, "no", json_pack("{}"));
    pump();
    fake_sent_is("");
}

static void who_leaves_meanwhile_is_forgotten(void **state)
{
    (void)state;
    use(A, NULL, defers, "wait");
    use(B, NULL, passes, "never");
    leave_init();
    fake_arrive(1, NULL);
    fake_abandon(1);
    hop_connect_resume(fixture.server, deferred, NULL, NULL);
    pump();
    expect_called("wait");
    fake_sent_is("");
}

static void who_leaves_within_a_call_is_forgotten(void **state)
{
    (void)state;
    use(A, NULL, leaves, "leave");
    use(B, NULL, passes, "never");
    leave_init();
    fake_arrive(1, NULL);
    expect_called("leave");
    fake_sent_is("");
}

static void *resume_elsewhere(void *arg)
{
    (void)arg;
    hop_connect_resume(fixture.server, deferred, "from afar", json_pack("[s]", "data"));
    return NULL;
}

static void another_thread_may_decide(void **state)
{
    pthread_t thread;

    (void)state;
    use(A, NULL, defers, "wait");
    leave_init();
    fake_arrive(1, NULL);
    assert_int_equal(pthread_create(&thread, NULL, resume_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    fake_sent_is("");
    pump();
    fake_sent_is("1 is refused: from afar [\"data\"]\n");
}

/* ---- what it asks */

static json_t *seen;

static hop_verdict looks(hop_socket socket, hop_connect *connect, void *self)
{
    json_t *auth = hop_connect_auth(connect);

    passes(socket, connect, self);
    note(hop_connect_namespace(connect));
    assert_ptr_equal(auth, hop_connect_auth(connect));
    assert_null(hop_connect_query(connect, "a"));
    assert_null(hop_connect_headers(connect));
    json_decref(seen);
    seen = json_incref(auth);
    return HOP_NEXT;
}

static void the_payload_is_there_as_a_tree(void **state)
{
    (void)state;
    use(A, NULL, looks, "a");
    leave_init();
    fake_arrive(1, "{\"token\":5}");
    expect_called("a /");
    assert_int_equal(json_integer_value(json_object_get(seen, "token")), 5);
    fake_arrive(2, NULL);
    assert_true(json_is_object(seen));
    assert_int_equal(json_object_size(seen), 0);
    fake_arrive(3, "{\"big\":1e400}");
    assert_null(seen);
    assert_null(hop_socket_handshake(fixture.server, 1));
    assert_null(hop_socket_auth(fixture.server, 1));
    assert_null(hop_socket_query(fixture.server, 1, "a"));
}

static bool asks(hop_connect *connect, void *self)
{
    note(self);
    note(hop_connect_namespace(connect));
    assert_true(hop_connect_defer(connect, 10) == 0);
    return json_object_get(hop_connect_auth(connect), "in") != NULL;
}

static void a_hook_is_asked_for_a_namespace(void **state)
{
    static const char auth[] = "{\"in\":1}";
    struct hub_connect in = {.nsp = "/x", .nsp_len = 2};

    (void)state;
    assert_int_equal(hop_namespace_hook(enter_init(A), "label", asks, "hook"), 0);
    leave_init();
    assert_false(fake.accept(&in, fake.accept_arg));
    in.auth = auth;
    in.auth_len = strlen(auth);
    assert_true(fake.accept(&in, fake.accept_arg));
    expect_called("hook /x hook /x");
    server_forget(fixture.server, &plugins[A]);
    assert_false(fake.accept(&in, fake.accept_arg));
}

/* ---- what refuses a plugin */

static void wrong_registrations_refuse_the_plugin(void **state)
{
    hop_error error;

    (void)state;
    assert_int_equal(hop_use(enter_init(A), NULL, NULL, NULL), -1);
    assert_non_null(strstr(fixture.server->refusal.text, "hop_use()"));
    assert_int_equal(hop_namespace(enter_init(A), "chat"), -1);
    assert_non_null(strstr(fixture.server->refusal.text, "starts with \"/\""));
    assert_int_equal(hop_namespace(enter_init(A), "/a?b"), -1);
    assert_int_equal(hop_namespace(enter_init(A), NULL), -1);
    assert_int_equal(hop_namespace_pattern(enter_init(A), ""), -1);
    assert_int_equal(hop_namespace_pattern(enter_init(A), "*"), -1);
    assert_int_equal(hop_namespace_hook(enter_init(A), "/x", asks, NULL), -1);
    assert_int_equal(hop_namespace_hook(enter_init(A), "x", NULL, NULL), -1);
    assert_int_equal(hop_on_connect_in(enter_init(A), "/chat", NULL, NULL), -1);
    use(A, "/nowhere", passes, "a");
    assert_int_equal(connects_resolve(&fixture.server->connects, NULL, &error), -1);
    assert_non_null(
        strstr(error.text, "plugin a registers middleware for the namespace /nowhere"));
    server_forget(fixture.server, &plugins[A]);
    leave_init();
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_has_no_middleware_is_in_at_once),
        TEST(it_runs_in_the_order_of_the_conf_file_and_of_registration),
        TEST(the_first_refusal_ends_it),
        TEST(a_message_that_is_no_text_is_refused),
        TEST(a_rejection_that_was_not_returned_is_forgotten),
        TEST(whoever_is_not_let_in_expressly_stays_outside),
        TEST(what_was_deferred_goes_on_behind_it),
        TEST(several_may_defer_one_after_the_other),
        TEST(two_newcomers_wait_side_by_side),
        TEST(the_deadline_refuses),
        TEST(a_deferral_that_was_not_returned_is_forgotten),
        TEST(who_leaves_meanwhile_is_forgotten),
        TEST(who_leaves_within_a_call_is_forgotten),
        TEST(another_thread_may_decide),
        TEST(the_payload_is_there_as_a_tree),
        TEST(a_hook_is_asked_for_a_namespace),
        TEST(wrong_registrations_refuse_the_plugin),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);

    json_decref(seen);
    return result;
}
