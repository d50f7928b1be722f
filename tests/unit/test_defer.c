/*
 * test_defer.c - core/plugin/defer.c: events that are decided later, those that wait behind
 * them, and how both end; acks that are answered later.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include "tests/unit/fakehub.h"

#include <event2/event.h>
#include <pthread.h>

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[4096];           /* what ran, a word each */
static hop_deferral deferral[1000]; /* in their order */
static unsigned n_deferrals;
static hop_late_ack *late;

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
    n_deferrals = 0;
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

static void name_it(hop_event *event, const char *word)
{
    size_t len;
    const char *raw = hop_event_raw(event, 0, &len);

    note("%s:%s%.*s ", word, hop_event_name(event), (int)len, raw ? raw : "");
}

static hop_verdict goes_on(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    name_it(event, self);
    return HOP_NEXT;
}

/* Defers events whose argument is 1, for a minute. */
static hop_verdict defers(hop_socket socket, hop_event *event, void *self)
{
    json_int_t n = 0;

    (void)socket;
    name_it(event, self);
    if (hop_event_unpack(event, "[I]", &n) < 0 || n != 1)
        return HOP_NEXT;
    deferral[n_deferrals] = hop_event_defer(event, 60000);
    assert_true(deferral[n_deferrals++] != 0);
    assert_int_equal(hop_event_defer(event, 60000), 0); /* it is already */
    return HOP_DEFER;
}

static hop_verdict defers_for_a_moment(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    name_it(event, self);
    assert_int_equal(hop_event_defer(event, 0), 0);
    assert_int_equal(hop_event_defer(event, 3600001), 0);
    deferral[n_deferrals++] = hop_event_defer(event, 1);
    return HOP_DEFER;
}

static hop_verdict defers_and_closes(hop_socket socket, hop_event *event, void *self)
{
    hop_verdict verdict = defers(socket, event, self);

    hop_socket_disconnect(fixture.server, socket, HOP_CLOSE_SOCKET);
    return verdict;
}

static hop_verdict changes_its_mind(hop_socket socket, hop_event *event, void *self)
{
    defers(socket, event, self);
    return HOP_NEXT;
}

static hop_verdict cannot_defer(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    name_it(event, self);
    assert_int_equal(hop_event_defer(event, 1000), 0);
    return HOP_DEFER;
}

static hop_verdict takes_the_ack(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    late = hop_event_take_ack(event);
    assert_null(hop_event_take_ack(event));
    assert_false(hop_event_has_ack(event));
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

/* A guard that defers [1], a handler, an observer. */
static void on_all(hop_handler *guard)
{
    on(A, HOP_GUARD, guard, "g");
    on(B, HOP_HANDLE, goes_on, "h");
    on(B, HOP_OBSERVE, goes_on, "o");
    fake_connect(1);
    fake_connect(2);
}

static void resume(unsigned i, hop_verdict verdict)
{
    assert_int_equal(
        hop_event_resume(fixture.server, deferral[i], verdict, "late", "so sorry"), 0);
    loops_drain(fixture.loops);
}

/* ---- promises */

static void a_deferred_event_goes_on_where_it_was(void **state)
{
    (void)state;
    on_all(defers);
    on(A, HOP_GUARD, goes_on, "g2");
    fake_event(1, "[\"e\",1]", 3);
    called_is("g:e1 ");
    assert_int_equal(hop_event_resume(fixture.server, deferral[0], HOP_NEXT, NULL, NULL),
                     0);
    called_is(""); /* not at once */
    loops_drain(fixture.loops);
    called_is("g2:e1 h:e1 o:e1 ");
    resume(0, HOP_NEXT); /* it is over */
    called_is("");
    assert_null(fixture.server->current);
    assert_int_equal(plugins[A].count[PLUGIN_NEXT], 2);
}

static void a_deferred_event_may_be_stopped_or_rejected(void **state)
{
    (void)state;
    on_all(defers);
    fake_event(1, "[\"e\",1]", 3);
    resume(0, HOP_STOP);
    called_is("g:e1 o:e1 ");
    fake_event(1, "[\"e\",1]", 4);
    fake_event(2, "[\"e\",1]", NO_ACK);
    resume(1, HOP_REJECTED);
    resume(2, HOP_REJECTED);
    called_is("g:e1 g:e1 o:e1 o:e1 ");
    fake_sent_is("1 ack4 [{\"ok\":false,\"error\":{\"code\":\"late\",\"message\":\"so "
                 "sorry\"}}]\n2 error "
                 "[{\"event\":\"e\",\"code\":\"late\",\"message\":\"so sorry\"}]\n");
    assert_int_equal(hop_event_resume(fixture.server, deferral[2], HOP_DEFER, NULL, NULL),
                     -1);
    assert_int_equal(plugins[A].count[PLUGIN_STOP], 1);
    assert_int_equal(plugins[A].count[PLUGIN_REJECT], 2);
}

static void later_events_of_the_socket_wait_in_order(void **state)
{
    (void)state;
    on_all(defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, "[\"e\",2]", NO_ACK);
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, "[\"e\",\"\\ud800\"]", NO_ACK);
    fake_event(1, "[\"nobody's\"]", NO_ACK);
    called_is("g:e1 ");
    fake_event(2, "[\"e\",7]", NO_ACK);
    called_is("g:e7 h:e7 o:e7 "); /* another socket waits for nobody */
    resume(0, HOP_NEXT);
    called_is("h:e1 o:e1 g:e2 h:e2 o:e2 g:e1 ");
    fake_event(1, "[\"e\",5]", NO_ACK);
    resume(0, HOP_NEXT); /* over: its wait has another id now */
    called_is("");
    resume(1, HOP_STOP);
    called_is("o:e1 g:e\"\\ud800\" h:e\"\\ud800\" o:e\"\\ud800\" g:e5 h:e5 o:e5 ");
    fake_event(1, "[\"e\",6]", NO_ACK);
    called_is("g:e6 h:e6 o:e6 ");
}

static void several_handlers_may_defer_one_after_the_other(void **state)
{
    (void)state;
    on_all(defers);
    on(B, HOP_HANDLE, defers, "h2");
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, "[\"e\",2]", NO_ACK);
    resume(0, HOP_NEXT);
    called_is("g:e1 h:e1 h2:e1 ");
    resume(1, HOP_NEXT);
    called_is("o:e1 g:e2 h:e2 h2:e2 o:e2 ");
}

static void a_deadline_rejects(void **state)
{
    (void)state;
    on_all(defers_for_a_moment);
    fake_event(1, "[\"e\",1]", 3);
    called_is("g:e1 ");
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE);
    called_is("o:e1 ");
    fake_sent_is("1 ack3 [{\"ok\":false,\"error\":{\"code\":\"timeout\",\"message\":\"it "
                 "took too long to decide\"}}]\n");
    resume(0, HOP_NEXT);
    called_is("");
}

static void a_disconnect_ends_it_and_observers_see_the_rest(void **state)
{
    (void)state;
    on_all(defers);
    fake_event(1, "[\"e\",1]", 3);
    fake_event(1, "[\"e\",2]", 4);
    fake_disconnect(1, "transport close");
    called_is("g:e1 o:e1 o:e2 ");
    fake_sent_is("");
    resume(0, HOP_NEXT);
    called_is("");
    fake_connect(1); /* another socket, of the same number here */
    fake_event(1, "[\"e\",3]", NO_ACK);
    called_is("g:e3 h:e3 o:e3 ");
}

static void a_handler_may_defer_and_close(void **state)
{
    (void)state;
    on_all(defers_and_closes);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("g:e1 o:e1 ");
    assert_null(fixture.server->deferrals.waits);
    resume(0, HOP_NEXT);
    called_is("");
}

static void ends_who_is_told(hop_outgoing *outgoing, void *self)
{
    (void)self;
    note("told:%s ", hop_outgoing_name(outgoing));
    hop_socket_disconnect(fixture.server, 1, HOP_CLOSE_SOCKET);
}

static void whoever_hears_of_a_rejection_may_close(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    server->current = &plugins[B];
    server->is_registering = true;
    assert_int_equal(hop_on_any_outgoing(server, ends_who_is_told, NULL), 0);
    server->current = NULL;
    server->is_registering = false;
    on_all(defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, "[\"e\",2]", NO_ACK);
    resume(0, HOP_REJECTED);
    called_is("g:e1 told:error o:e1 o:e2 ");
    assert_null(server->deferrals.waits);
}

static void a_handler_of_a_waiting_event_may_close(void **state)
{
    (void)state;
    on_all(defers);
    on(B, HOP_HANDLE, defers_and_closes, "x");
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, "[\"e\",2]", NO_ACK);
    fake_event(1, "[\"e\",3]", NO_ACK);
    called_is("g:e1 ");
    resume(0, HOP_NEXT);
    called_is("h:e1 x:e1 o:e1 o:e2 o:e3 ");
    assert_null(fixture.server->deferrals.waits);
}

static void who_does_not_mean_it_does_not_defer(void **state)
{
    (void)state;
    on_all(changes_its_mind);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("g:e1 h:e1 o:e1 ");
    resume(0, HOP_NEXT);
    called_is("");
    assert_null(fixture.server->deferrals.waits);
}

static void an_observer_cannot_defer(void **state)
{
    (void)state;
    on(A, HOP_OBSERVE, cannot_defer, "o");
    fake_connect(1);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("o:e1 ");
}

static hop_verdict only_says_so(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    return HOP_DEFER;
}

static void a_verdict_alone_does_not_defer(void **state)
{
    (void)state;
    on_all(only_says_so);
    fake_event(1, "[\"e\",1]", NO_ACK);
    called_is("g:e1 h:e1 o:e1 ");
}

/* settings.max_waiting_bytes is 2,000 here. */
static void who_sends_too_much_meanwhile_is_closed(void **state)
{
    char packet[600];

    (void)state;
    on_all(defers);
    memset(packet, ' ', sizeof packet);
    memcpy(packet, "[\"e\",2]", 7);
    packet[sizeof packet - 1] = '\0';
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(1, packet, NO_ACK);
    fake_event(1, packet, NO_ACK);
    called_is("g:e1 ");
    fake_sent_is("");
    fake_event(1, packet, NO_ACK);
    fake_sent_is("1 is closed hard\n");
    called_is("o:e1 o:e2 o:e2 ");
    assert_null(fixture.server->deferrals.waits);
}

static void *resume_all(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < n_deferrals; i++)
        hop_event_resume(fixture.server, deferral[i], HOP_NEXT, NULL, NULL);
    return NULL;
}

static void any_thread_may_resume(void **state)
{
    pthread_t thread;

    (void)state;
    on_all(defers);
    fake_event(1, "[\"e\",1]", NO_ACK);
    fake_event(2, "[\"e\",1]", NO_ACK);
    assert_int_equal(pthread_create(&thread, NULL, resume_all, NULL), 0);
    pthread_join(thread, NULL);
    called_is("g:e1 g:e1 ");
    loops_drain(fixture.loops);
    called_is("h:e1 o:e1 h:e1 o:e1 ");
}

/* ---- acks */

static void an_ack_may_be_answered_later(void **state)
{
    hop_args *args = hop_args_new();

    (void)state;
    on_all(takes_the_ack);
    fake_event(1, "[\"e\"]", 3);
    fake_sent_is("");
    assert_int_equal(hop_late_ack_send(late, json_pack("[i]", 1)), 0);
    fake_event(1, "[\"e\"]", 4);
    hop_args_string(args, "a");
    assert_int_equal(hop_late_ack_send_args(late, args), 0);
    fake_sent_is("1 ack3 [1]\n1 ack4 [\"a\"]\n");
    fake_event(1, "[\"e\"]", 5);
    assert_int_equal(hop_late_ack_send(late, json_object()), -1);
    fake_event(1, "[\"e\"]", 6);
    fake_disconnect(1, "transport close");
    assert_int_equal(hop_late_ack_send(late, NULL), -1);
    fake_event(2, "[\"e\"]", NO_ACK);
    assert_null(late);
    assert_int_equal(hop_late_ack_send(NULL, json_array()), -1);
    assert_int_equal(hop_late_ack_send_args(NULL, hop_args_new()), -1);
    fake_event(2, "[\"e\"]", 7);
    hop_late_ack_free(late);
    fake_sent_is("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deferred_event_goes_on_where_it_was),
        TEST(a_deferred_event_may_be_stopped_or_rejected),
        TEST(later_events_of_the_socket_wait_in_order),
        TEST(several_handlers_may_defer_one_after_the_other),
        TEST(a_deadline_rejects),
        TEST(a_disconnect_ends_it_and_observers_see_the_rest),
        TEST(a_handler_may_defer_and_close),
        TEST(whoever_hears_of_a_rejection_may_close),
        TEST(a_handler_of_a_waiting_event_may_close),
        TEST(who_does_not_mean_it_does_not_defer),
        TEST(an_observer_cannot_defer),
        TEST(a_verdict_alone_does_not_defer),
        TEST(who_sends_too_much_meanwhile_is_closed),
        TEST(any_thread_may_resume),
        TEST(an_ack_may_be_answered_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
