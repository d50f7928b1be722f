/*
 * test_replace.c - core/plugin/replace.c: events that go on with other arguments, at once and
 * after a deferral.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include "tests/unit/fakehub.h"

#include <pthread.h>

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[8192];      /* what handlers saw */
static hop_deferral deferral;  /* the last */
static hop_args *given;        /* what hands_on_given() passes on */
static const char *const none; /* attachments, to be passed for a list of none */

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

static void note(const char *format, ...) HOP_PRINTF(1, 2);
static void note(const char *format, ...)
{
    size_t len = strlen(called);
    va_list values;

    va_start(values, format);
    vsnprintf(called + len, sizeof called - len, format, values);
    va_end(values);
}

static void called_is(const char *expected)
{
    assert_string_equal(called, expected);
    called[0] = '\0';
}

/* word:name(each raw argument; each attachment) */
static void see(hop_event *event, const char *word)
{
    size_t len;

    note("%s:%s(", word, hop_event_name(event));
    for (size_t i = 0; i < hop_event_n_args(event); i++) {
        const char *raw = hop_event_raw(event, i, &len);

        note("%s%.*s", i ? "," : "", (int)len, raw);
    }
    for (size_t i = 0; i < hop_event_n_attachments(event); i++) {
        const char *data = hop_event_attachment(event, i, &len);

        note(" <%.*s>", (int)len, data);
    }
    note(") ");
}

static hop_verdict sees(hop_socket socket, hop_event *event, void *self)
{
    json_t *args = hop_event_args(event);

    (void)socket;
    see(event, self);
    if (args) /* jansson has no lone surrogates */
        assert_int_equal(json_array_size(args), hop_event_n_args(event));
    return HOP_NEXT;
}

static hop_verdict wraps(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    see(event, self);
    hop_event_args(event); /* a tree of the old ones */
    hop_args_string(args, self);
    hop_args_begin_array(args);
    hop_args_raw_from(args, event, 0);
    hop_args_end(args);
    return hop_replace(event, args);
}

static hop_verdict attaches(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_binary(args, "new", 3);
    hop_args_raw_from(args, event, 0);
    return hop_replace(event, args);
}

static hop_verdict empties(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    return hop_replace(event, hop_args_new());
}

static hop_verdict hands_on_given(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    return hop_replace(event, given);
}

static hop_verdict thinks_better_of_it(hop_socket socket, hop_event *event, void *self)
{
    wraps(socket, event, self);
    wraps(socket, event, self);
    return HOP_NEXT;
}

static hop_verdict only_says_so(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    see(event, self);
    return HOP_REPLACE;
}

static hop_verdict replaces_and_defers(hop_socket socket, hop_event *event, void *self)
{
    wraps(socket, event, self);
    deferral = hop_event_defer(event, 60000);
    return HOP_DEFER;
}

static hop_verdict defers(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    see(event, self);
    deferral = hop_event_defer(event, 60000);
    return HOP_DEFER;
}

static hop_verdict acks(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_raw_from(args, event, 0);
    hop_event_ack_args(event, args);
    return HOP_NEXT;
}

static hop_verdict tells_binary(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    for (size_t i = 0; i < hop_event_n_args(event); i++) {
        size_t len;
        const char *data = hop_event_binary(event, i, &len);

        note("%.*s;", data ? (int)len : 1, data ? data : "-");
    }
    return HOP_NEXT;
}

static void on(int plugin, hop_phase phase, hop_handler *handler, const char *word)
{
    const hop_on_options options = {.size = sizeof options, .phase = phase};
    hop_server *server = fixture.server;
    hop_error error;

    server->current = &plugins[plugin];
    server->is_registering = true;
    assert_int_equal(hop_on_with(server, "e", handler, (void *)(uintptr_t)word, &options),
                     0);
    server->current = NULL;
    server->is_registering = false;
    assert_int_equal(dispatch_sort(server->dispatch, &error), 0);
}

/* The handler in the phase, and behind it a handler and an observer that look. */
static void on_all(hop_phase phase, hop_handler *first)
{
    on(A, phase, first, "1");
    on(B, HOP_HANDLE, sees, "h");
    on(B, HOP_OBSERVE, sees, "o");
    fake_connect(1);
}

static hop_args *list_of(const char *text)
{
    hop_args *args = hop_args_new();

    hop_args_string(args, text);
    return args;
}

/* ---- promises */

static void later_handlers_see_the_new_arguments(void **state)
{
    (void)state;
    on_all(HOP_GUARD, wraps);
    fake_event(1, "[\"e\", 1 , \"\\ud800\",{\"a\":1.50}]", NO_ACK);
    called_is("1:e(1,\"\\ud800\",{\"a\":1.50}) "
              "h:e(\"1\",[1,\"\\ud800\",{\"a\":1.50}]) "
              "o:e(\"1\",[1,\"\\ud800\",{\"a\":1.50}]) ");
}

static void handlers_replace_one_after_the_other(void **state)
{
    (void)state;
    on_all(HOP_HANDLE, wraps);
    on(A, HOP_GUARD, empties, NULL);
    on(A, HOP_HANDLE, wraps, "2");
    on(B, HOP_HANDLE, sees, "last");
    fake_event(1, "[\"e\",7,8]", NO_ACK);
    called_is("1:e() 2:e(\"1\",[]) h:e(\"2\",[\"1\",[]]) last:e(\"2\",[\"1\",[]]) "
              "o:e(\"2\",[\"1\",[]]) ");
    assert_int_equal(plugins[A].count[PLUGIN_REPLACE], 3);
    assert_int_equal(plugins[A].count[PLUGIN_NEXT], 0);
}

static void many_replacements_leave_the_last(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++)
        on(A, i < 250 ? HOP_GUARD : HOP_HANDLE, attaches, NULL);
    on(A, HOP_HANDLE, empties, NULL);
    on(B, HOP_OBSERVE, sees, "o");
    fake_connect(1);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("o:e() ");
}

static void attachments_go_along(void **state)
{
    const char *const photos[] = {"zero", "one", none};

    (void)state;
    on_all(HOP_GUARD, attaches);
    on(B, HOP_HANDLE, tells_binary, NULL);
    fake_binary_event(1,
                      "[\"e\",{\"_placeholder\":true,\"num\":1},2,"
                      "{\"_placeholder\":true,\"num\":0}]",
                      NO_ACK, photos);
    called_is("h:e({\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1},2,"
              "{\"_placeholder\":true,\"num\":2} <new> <one> <zero>) new;one;-;zero;"
              "o:e({\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1},2,"
              "{\"_placeholder\":true,\"num\":2} <new> <one> <zero>) ");
}

static void the_name_and_the_ack_stay(void **state)
{
    (void)state;
    on_all(HOP_GUARD, wraps);
    on(B, HOP_HANDLE, acks, NULL);
    fake_event(1, "[\"e\",5]", 9);
    fake_sent_is("1 ack9 [\"1\",[5]]\n");
}

static void a_name_of_any_kind_stays(void **state)
{
    const hop_on_options options = {.size = sizeof options, .phase = HOP_GUARD};
    hop_server *server = fixture.server;
    hop_error error;

    (void)state;
    server->current = &plugins[A];
    server->is_registering = true;
    assert_int_equal(hop_on_any_with(server, wraps, (void *)(uintptr_t) "w", &options),
                     0);
    assert_int_equal(
        hop_on_with(server, "a\"\n\xc3\xa9", sees, (void *)(uintptr_t) "s", &options), 0);
    server->current = NULL;
    server->is_registering = false;
    assert_int_equal(dispatch_sort(server->dispatch, &error), 0);
    fake_connect(1);
    fake_event(1, "[\"a\\\"\\n\\u00e9\",1]", NO_ACK);
    called_is("w:a\"\n\xc3\xa9(1) s:a\"\n\xc3\xa9(\"w\",[1]) ");
}

static void a_bad_list_refuses_the_event(void **state)
{
    (void)state;
    on_all(HOP_GUARD, hands_on_given);
    given = NULL;
    fake_event(1, "[\"e\",1]", 3);
    given = hop_args_new();
    hop_args_end(given); /* one too many */
    fake_event(1, "[\"e\",1]", NO_ACK);
    given = hop_args_new();
    hop_args_begin_array(given); /* not complete */
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("o:e(1) o:e(1) o:e(1) ");
    fake_sent_is(
        "1 ack3 [{\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"it could "
        "not be passed on\"}}]\n"
        "1 error [{\"event\":\"e\",\"code\":\"internal\",\"message\":\"it could not be "
        "passed on\"}]\n"
        "1 error [{\"event\":\"e\",\"code\":\"internal\",\"message\":\"it could not be "
        "passed on\"}]\n");
    assert_int_equal(plugins[A].count[PLUGIN_REJECT], 3);
}

static void who_does_not_mean_it_does_not_replace(void **state)
{
    (void)state;
    on_all(HOP_GUARD, thinks_better_of_it);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("1:e(1) 1:e(1) h:e(1) o:e(1) ");
}

static void a_verdict_alone_does_not_replace(void **state)
{
    (void)state;
    on_all(HOP_GUARD, only_says_so);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("1:e(1) h:e(1) o:e(1) ");
    assert_int_equal(plugins[A].count[PLUGIN_REPLACE], 0);
    assert_int_equal(plugins[A].count[PLUGIN_NEXT], 1);
}

static void an_observer_does_not_replace(void **state)
{
    (void)state;
    on_all(HOP_OBSERVE, wraps);
    fake_event(1, "[\"e\",1]", 3);
    called_is("h:e(1) 1:e(1) o:e(1) ");
    fake_sent_is("");
}

/* ---- with a deferral */

static void resume(hop_args *args)
{
    assert_int_equal(hop_event_resume_replace(fixture.server, deferral, args), 0);
    loops_drain(fixture.loops);
}

static void a_replaced_event_may_be_deferred(void **state)
{
    const char *const photos[] = {"zero", none};

    (void)state;
    on_all(HOP_GUARD, wraps);
    on(A, HOP_GUARD, defers, "d");
    on(A, HOP_GUARD, wraps, "2");
    on(A, HOP_GUARD, defers, "d2");
    fake_binary_event(1, "[\"e\",{\"_placeholder\":true,\"num\":0}]", NO_ACK, photos);
    called_is("1:e({\"_placeholder\":true,\"num\":0} <zero>) "
              "d:e(\"1\",[{\"_placeholder\":true,\"num\":0}] <zero>) ");
    hop_event_resume(fixture.server, deferral, HOP_NEXT, NULL, NULL);
    loops_drain(fixture.loops);
    called_is("2:e(\"1\",[{\"_placeholder\":true,\"num\":0}] <zero>) "
              "d2:e(\"2\",[\"1\",[{\"_placeholder\":true,\"num\":0}]] <zero>) ");
    resume(list_of("new"));
    called_is("h:e(\"new\") o:e(\"new\") ");
}

static void a_deferred_event_may_be_replaced(void **state)
{
    hop_args *args = hop_args_new();

    (void)state;
    on_all(HOP_GUARD, defers);
    on(B, HOP_HANDLE, acks, NULL);
    fake_event(1, "[\"e\",1]", 4);
    fake_event(1, "[\"e\",2]", 5);
    resume(list_of("new"));
    called_is("1:e(1) h:e(\"new\") o:e(\"new\") 1:e(2) ");
    hop_args_binary(args, "data", 4);
    resume(args);
    called_is("h:e({\"_placeholder\":true,\"num\":0} <data>) "
              "o:e({\"_placeholder\":true,\"num\":0} <data>) ");
    fake_sent_is("1 ack4 [\"new\"]\n"
                 "1 ack5 [{\"_placeholder\":true,\"num\":0}] <data>\n");
    assert_int_equal(plugins[A].count[PLUGIN_REPLACE], 2);
    resume(list_of("over"));
    called_is("");
}

static void a_bad_list_refuses_the_deferred_event(void **state)
{
    hop_args *bad = hop_args_new();

    (void)state;
    on_all(HOP_GUARD, defers);
    fake_event(1, "[\"e\",1]", 4);
    hop_args_key(bad, "no object");
    resume(bad);
    fake_event(1, "[\"e\",1]", 5);
    resume(NULL);
    called_is("1:e(1) o:e(1) 1:e(1) o:e(1) ");
    fake_sent_is(
        "1 ack4 [{\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"it could "
        "not be passed on\"}}]\n"
        "1 ack5 [{\"ok\":false,\"error\":{\"code\":\"internal\",\"message\":\"it could "
        "not be passed on\"}}]\n");
    assert_int_equal(plugins[A].count[PLUGIN_REJECT], 2);
}

static void who_replaces_and_defers_only_defers(void **state)
{
    (void)state;
    on_all(HOP_GUARD, replaces_and_defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    hop_event_resume(fixture.server, deferral, HOP_NEXT, NULL, NULL);
    loops_drain(fixture.loops);
    called_is("1:e(1) h:e(1) o:e(1) ");
}

static void a_disconnect_frees_a_replaced_event(void **state)
{
    (void)state;
    on_all(HOP_GUARD, wraps);
    on(A, HOP_GUARD, defers, "d");
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_disconnect(1, "transport close");
    called_is("1:e(1) d:e(\"1\",[1]) o:e(\"1\",[1]) ");
    resume(list_of("over"));
    called_is("");
    assert_null(fixture.server->deferrals.waits);
}

static void *replace_elsewhere(void *arg)
{
    (void)arg;
    hop_event_resume_replace(fixture.server, deferral, list_of("from afar"));
    return NULL;
}

static void any_thread_may_replace_what_is_deferred(void **state)
{
    pthread_t thread;

    (void)state;
    on_all(HOP_GUARD, defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    assert_int_equal(pthread_create(&thread, NULL, replace_elsewhere, NULL), 0);
    pthread_join(thread, NULL);
    called_is("1:e(1) ");
    loops_drain(fixture.loops);
    called_is("h:e(\"from afar\") o:e(\"from afar\") ");
}

static void a_server_that_stops_takes_the_list(void **state)
{
    (void)state;
    on_all(HOP_GUARD, defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    loops_shut(fixture.loops);
    assert_int_equal(
        hop_event_resume_replace(fixture.server, deferral, list_of("too late")), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(later_handlers_see_the_new_arguments),
        TEST(handlers_replace_one_after_the_other),
        TEST(many_replacements_leave_the_last),
        TEST(attachments_go_along),
        TEST(the_name_and_the_ack_stay),
        TEST(a_name_of_any_kind_stays),
        TEST(a_bad_list_refuses_the_event),
        TEST(who_does_not_mean_it_does_not_replace),
        TEST(a_verdict_alone_does_not_replace),
        TEST(an_observer_does_not_replace),
        TEST(a_replaced_event_may_be_deferred),
        TEST(a_deferred_event_may_be_replaced),
        TEST(a_bad_list_refuses_the_deferred_event),
        TEST(who_replaces_and_defers_only_defers),
        TEST(a_disconnect_frees_a_replaced_event),
        TEST(any_thread_may_replace_what_is_deferred),
        TEST(a_server_that_stops_takes_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
