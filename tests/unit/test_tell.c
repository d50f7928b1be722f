/*
 * test_tell.c - core/plugin/{outgoing,serverevent,dispatch}.c: who is told of every event,
 * of clients and to them, and what plugins tell each other.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include "tests/unit/fakehub.h"

#include <event2/event.h>
#include <sockhop/answer.h>
#include <sockhop/cluster.h>

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[512]; /* what ran, a word each */

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
    if (dispatch_sort(fixture.server->dispatch, &error) < 0)
        fail_msg("%s", error.text);
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

/* ---- every event of clients */

static hop_verdict names_it(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    note("%s:%s ", (char *)self, hop_event_name(event));
    return HOP_NEXT;
}

static hop_verdict stops_x(hop_socket socket, hop_event *event, void *self)
{
    names_it(socket, event, self);
    return strcmp(hop_event_name(event), "x") == 0 ? HOP_STOP : HOP_NEXT;
}

static hop_verdict refuses(hop_socket socket, hop_event *event, void *self)
{
    names_it(socket, event, self);
    return hop_reject(event, "no", "never");
}

static void a_handler_of_any_event_comes_first_in_its_phase(void **state)
{
    const hop_on_options in_handle = {.size = sizeof in_handle, .phase = HOP_HANDLE},
                         observe = {.size = sizeof observe, .phase = HOP_OBSERVE},
                         guard = {.size = sizeof guard, .phase = HOP_GUARD};
    hop_server *server = enter_init(A);

    (void)state;
    hop_on_with(server, "x", names_it, "guard", &guard);
    hop_on(server, "x", names_it, "handle");
    hop_on_with(server, "x", names_it, "observe", &observe);
    server = enter_init(B);
    assert_int_equal(hop_on_any(server, names_it, "any"), 0);
    assert_int_equal(hop_on_any_with(server, names_it, "any-handle", &in_handle), 0);
    assert_int_equal(hop_on_any_with(server, names_it, "any-observe", &observe), 0);
    leave_init();
    fake_connect(1);
    fake_event(1, "[\"x\"]", NO_ACK);
    called_is("any:x guard:x any-handle:x handle:x any-observe:x observe:x ");
    fake_event(1, "[\"nobody's\",1]", NO_ACK);
    called_is("any:nobody's any-handle:nobody's any-observe:nobody's ");
    server_forget(server, &plugins[B]);
    fake_event(1, "[\"x\"]", NO_ACK);
    fake_event(1, "[\"nobody's\",1]", NO_ACK);
    called_is("guard:x handle:x observe:x ");
}

static void a_handler_of_any_event_decides_like_others(void **state)
{
    hop_server *server = enter_init(A);

    (void)state;
    hop_on(server, "x", names_it, "x");
    hop_on(server, "y", names_it, "y");
    hop_on_any(enter_init(B), stops_x, "any");
    leave_init();
    fake_connect(1);
    fake_event(1, "[\"x\"]", 3);
    fake_event(1, "[\"y\"]", 3);
    called_is("any:x any:y y:y ");
    fake_sent_is("");
    hop_on_any(enter_init(A), refuses, "a"); /* before b's, by the conf file */
    leave_init();
    fake_event(1, "[\"y\"]", 3);
    called_is("a:y ");
    fake_sent_is(
        "1 ack3 [{\"ok\":false,\"error\":{\"code\":\"no\",\"message\":\"never\"}}]\n");
}

static void handlers_of_any_event_are_ordered_among_themselves(void **state)
{
    const hop_on_options before = {
        .size = sizeof before, .phase = HOP_GUARD, .before = "a"};
    hop_error error;

    (void)state;
    hop_on_any(enter_init(A), names_it, "a");
    hop_on_any_with(enter_init(B), names_it, "b", &before);
    leave_init();
    fake_connect(1);
    fake_event(1, "[\"x\"]", NO_ACK);
    called_is("b:x a:x ");
    hop_on_any_with(
        enter_init(A), names_it, "a2",
        &(hop_on_options){.size = sizeof before, .phase = HOP_GUARD, .before = "b"});
    fixture.server->is_registering = false;
    fixture.server->current = NULL;
    assert_int_equal(dispatch_sort(fixture.server->dispatch, &error), -1);
    assert_non_null(strstr(error.text, "event *: "));
}

/* ---- every event to clients */

static void on_outgoing(hop_outgoing *outgoing, void *self)
{
    size_t len, n;
    const char *raw = hop_outgoing_raw(outgoing, &len);

    hop_target_sockets(hop_outgoing_target(outgoing), &n);
    note("%s:%s%.*s%s%s to %zu %s; ", (char *)self, hop_outgoing_name(outgoing), (int)len,
         raw, hop_outgoing_args(outgoing) ? "" : "?",
         hop_outgoing_has_ack(outgoing) ? " ack" : "", n, fixture.server->current->name);
    hop_emit(hop_to_all(fixture.server), "told", NULL); /* of which nobody is told */
}

static void ignore_answer(hop_answer *answer, void *self)
{
    (void)answer;
    (void)self;
}

static void every_emit_is_told_once_before_it_is_sent(void **state)
{
    hop_server *server = enter_init(A);
    hop_args *args;

    (void)state;
    assert_int_equal(hop_on_any_outgoing(server, on_outgoing, "1"), 0);
    hop_on_any_outgoing(enter_init(B), on_outgoing, "2");
    leave_init();
    fake_connect(1);
    hop_emit(hop_to_room(server, "r"), "x", json_pack("[i]", 7));
    called_is("1:x[7] to 2 a; 2:x[7] to 2 b; ");
    fake_sent_is("all told []\nall told []\nroom:r x [7]\n");
    args = hop_args_new();
    hop_args_string(args, "s");
    server->current = &plugins[B];
    hop_emit_args_with_ack(server, 1, "q", args, 5, ignore_answer, NULL);
    fake.asked.on_answer(&(struct sio_answer){.socket = 1, .status = HOP_ACK_TIMEOUT},
                         fake.asked.self);
    server->current = NULL;
    called_is("1:q[\"s\"] ack to 2 a; 2:q[\"s\"] ack to 2 b; ");
    fake_sent_is("all told []\nall told []\n1 q [\"s\"] within 5\n");
    assert_int_equal(hop_emit(hop_to_all(server), "connect", NULL), -1);
    called_is("");
    server_forget(server, &plugins[A]);
    hop_send(hop_to_all(server), NULL);
    called_is("2:message[] to 2 b; ");
}

/* ---- between plugins */

static void on_told(hop_server_event *event, void *self)
{
    char *text = json_dumps(hop_server_event_args(event), JSON_COMPACT);

    note("%s:%s%s%s %d; ", (char *)self, hop_server_event_name(event), text,
         hop_server_event_is_own(event) ? "" : " foreign",
         hop_server_event_ack(event, json_pack("[s]", self)));
    free(text);
    if (strcmp(self, "again") == 0)
        hop_server_emit(fixture.server, "later", NULL);
}

static void on_answers(hop_server_answers *answers, void *self)
{
    json_t *first = hop_server_answers_at(answers, 0);

    note("%s %zu-%zu %s; ", (char *)self, hop_server_answers_n(answers),
         hop_server_answers_n_missing(answers),
         first ? json_string_value(json_array_get(first, 0)) : "none");
    assert_null(hop_server_answers_at(answers, 1));
}

static void one_turn(void)
{
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void a_server_event_comes_in_the_next_turn_and_in_order(void **state)
{
    hop_server *server = enter_init(A);

    (void)state;
    assert_int_equal(hop_on_server_event(server, "x", on_told, "a"), 0);
    hop_on_server_event(server, "y", on_told, "again");
    hop_on_server_event(server, "later", on_told, "a");
    hop_on_server_event(enter_init(B), "x", on_told, "b");
    leave_init();
    assert_int_equal(hop_server_emit(server, "y", json_pack("[i]", 1)), 0);
    assert_int_equal(hop_server_emit(server, "x", json_pack("[i]", 2)), 0);
    assert_int_equal(hop_server_emit(server, "nobody's", NULL), 0);
    called_is("");
    one_turn();
    called_is("again:y[1] -1; a:x[2] -1; b:x[2] -1; ");
    one_turn();
    called_is("a:later[] -1; ");
    server_forget(server, &plugins[A]);
    hop_server_emit(server, "x", NULL);
    one_turn();
    called_is("b:x[] -1; ");
}

static void the_first_answer_is_the_server_s(void **state)
{
    hop_server *server = enter_init(A);

    (void)state;
    hop_on_server_event(server, "x", on_told, "a");
    hop_on_server_event(enter_init(B), "x", on_told, "b");
    leave_init();
    assert_int_equal(
        hop_server_emit_with_acks(server, "x", NULL, 5000, on_answers, "got"), 0);
    assert_int_equal(
        hop_server_emit_with_acks(server, "nobody's", NULL, 5000, on_answers, "got"), 0);
    called_is("");
    one_turn();
    called_is("a:x[] 0; b:x[] -1; got 1-0 a; got 1-1 none; ");
}

static void what_is_no_server_event_is_refused(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    assert_int_equal(hop_server_emit(server, NULL, json_array()), -1);
    assert_int_equal(hop_server_emit(server, "\xff", json_array()), -1);
    assert_int_equal(hop_server_emit(server, "x", json_object()), -1);
    assert_int_equal(
        hop_server_emit_with_acks(server, "x", json_array(), 0, on_answers, NULL), -1);
    assert_int_equal(hop_server_emit_with_acks(server, "x", json_array(), 5, NULL, NULL),
                     -1);
    assert_int_equal(hop_on_server_event(server, "x", on_told, NULL), -1); /* no init() */
    assert_int_equal(hop_on_server_event(enter_init(A), "\xff", on_told, NULL), -1);
    assert_int_equal(hop_on_server_event(enter_init(A), "x", NULL, NULL), -1);
    assert_int_equal(hop_on_any_outgoing(enter_init(A), NULL, NULL), -1);
    assert_int_equal(hop_on_any(enter_init(A), NULL, NULL), -1);
    leave_init();
}

static void what_waits_at_the_end_is_told_so(void **state)
{
    hop_server *server = enter_init(A);

    (void)state;
    hop_on_server_event(server, "x", on_told, "a");
    leave_init();
    hop_server_emit(server, "x", NULL);
    hop_server_emit_with_acks(server, "x", NULL, 5000, on_answers, "got");
    server_events_end(server);
    called_is("got 1-1 none; ");
    assert_int_equal(hop_server_emit(server, "x", NULL), -1);
    one_turn();
    called_is("");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_handler_of_any_event_comes_first_in_its_phase),
        TEST(a_handler_of_any_event_decides_like_others),
        TEST(handlers_of_any_event_are_ordered_among_themselves),
        TEST(every_emit_is_told_once_before_it_is_sent),
        TEST(a_server_event_comes_in_the_next_turn_and_in_order),
        TEST(the_first_answer_is_the_server_s),
        TEST(what_is_no_server_event_is_refused),
        TEST(what_waits_at_the_end_is_told_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
