/*
 * test_dispatch.c - core/plugin/{dispatch,event,hooks,api}.c: who is called, in which
 * order, and what the client is told.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/unit/fakehub.h"

#include <sockhop/answer.h>

/* ---- plugins made by hand */

enum { A, B, C, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[256]; /* what ran, a word each */

static size_t seeds[64]; /* that jansson was given, the latest first */

/* In place of jansson's own. */
void json_object_seed(size_t seed)
{
    memmove(seeds + 1, seeds, sizeof seeds - sizeof *seeds);
    seeds[0] = seed;
}

static int set_up(void **state)
{
    static const char *const names[] = {"a", "b", "c"};

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
    fixture.server->current = NULL;
    fixture.server->is_registering = false;
}

static void sort(void)
{
    hop_error error;

    leave_init();
    if (dispatch_sort(fixture.server->dispatch, &error) < 0)
        fail_msg("%s", error.text);
}

static void note(const char *word)
{
    size_t len = strlen(called);

    snprintf(called + len, sizeof called - len, "%s%s", len ? " " : "", word);
}

static hop_verdict goes_on(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)event;
    note(self);
    return HOP_NEXT;
}

static hop_verdict stops(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    return HOP_STOP;
}

static hop_verdict rejects(hop_socket socket, hop_event *event, void *self)
{
    char message[] = "no \"way\"";

    goes_on(socket, event, self);
    return hop_reject(event, "no", message); /* message: need not outlive the call */
}

static hop_verdict disconnects(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    hop_socket_disconnect(fixture.server, socket, HOP_CLOSE_SOCKET);
    return HOP_NEXT;
}

static void on(int plugin, hop_phase phase, hop_handler *handler, const char *word,
               const char *before, const char *after)
{
    const hop_on_options options = {
        .size = sizeof options, .phase = phase, .before = before, .after = after};

    assert_int_equal(
        hop_on_with(enter_init(plugin), "e", handler, (void *)(uintptr_t)word, &options),
        0);
}

static void send_e(int ack_id)
{
    fake_connect(1);
    fake_event(1, "[\"e\",1]", ack_id);
}

/* ---- order */

static void handlers_run_by_phase_then_conf_order_then_registration(void **state)
{
    (void)state;
    on(B, HOP_OBSERVE, goes_on, "b-observe", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "b1", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "b2", NULL, NULL);
    on(A, HOP_HANDLE, goes_on, "a", NULL, NULL);
    on(C, HOP_GUARD, goes_on, "c-guard", NULL, NULL);
    on(A, HOP_OBSERVE, goes_on, "a-observe", NULL, NULL);
    sort();
    send_e(NO_ACK);
    assert_string_equal(called, "c-guard a b1 b2 a-observe b-observe");
}

static void before_and_after_move_a_handler_within_its_phase(void **state)
{
    static const struct {
        const char *before[PLUGINS], *after[PLUGINS], *order;
    } rows[] = {
        {{NULL, NULL, NULL}, {NULL, NULL, NULL}, "a b c"},
        {{NULL, NULL, "a"}, {NULL, NULL, NULL}, "b c a"},
        {{NULL, NULL, NULL}, {"c", NULL, NULL}, "b c a"},
        {{NULL, NULL, "b"}, {NULL, NULL, "a"}, "a c b"},
        {{NULL, "a", "b"}, {NULL, NULL, NULL}, "c b a"},
        {{"nobody", NULL, NULL}, {NULL, NULL, "nobody"}, "a b c"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int plugin = 0; plugin < PLUGINS; plugin++)
            on(plugin, HOP_HANDLE, goes_on, plugins[plugin].name, rows[i].before[plugin],
               rows[i].after[plugin]);
        sort();
        send_e(NO_ACK);
        assert_string_equal(called, rows[i].order);
        tear_down(state);
        set_up(state);
    }
}

static void a_circle_of_before_and_after_is_named(void **state)
{
    hop_error error;

    (void)state;
    on(C, HOP_HANDLE, goes_on, "c", NULL, "b");
    on(B, HOP_HANDLE, goes_on, "b", "a", NULL);
    on(A, HOP_GUARD, goes_on, "a", NULL, "b"); /* another phase: no part of it */
    on(A, HOP_HANDLE, goes_on, "a", "b", NULL);
    leave_init();
    assert_int_equal(dispatch_sort(fixture.server->dispatch, &error), -1);
    assert_non_null(strstr(error.text, "event e: "));
    assert_non_null(strstr(error.text, "a after b after a"));
}

/* ---- verdicts */

static void stop_ends_guards_and_handlers_but_not_observers(void **state)
{
    (void)state;
    on(A, HOP_GUARD, stops, "guard", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "never", NULL, NULL);
    on(C, HOP_OBSERVE, goes_on, "observer", NULL, NULL);
    sort();
    send_e(3);
    assert_string_equal(called, "guard observer");
    fake_sent_is(""); /* nobody acked: nothing is sent */
    assert_int_equal(plugins[A].count[PLUGIN_STOP], 1);
    assert_int_equal(plugins[C].count[PLUGIN_OBSERVE], 1);
    assert_int_equal(plugins[C].count[PLUGIN_NEXT], 0);
}

static void a_rejection_answers_the_ack(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, rejects, "a", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "never", NULL, NULL);
    sort();
    send_e(3);
    fake_sent_is("1 ack3 [{\"ok\":false,\"error\":{\"code\":\"no\",\"message\":\"no "
                 "\\\"way\\\"\"}}]\n");
    assert_string_equal(called, "a");
    assert_int_equal(plugins[A].count[PLUGIN_REJECT], 1);
}

static void a_rejection_without_an_ack_is_the_event_error(void **state)
{
    (void)state;
    on(A, HOP_GUARD, rejects, "a", NULL, NULL);
    sort();
    send_e(NO_ACK);
    fake_sent_is("1 error [{\"event\":\"e\",\"code\":\"no\",\"message\":\"no "
                 "\\\"way\\\"\"}]\n");
}

static void an_observers_rejection_tells_nobody(void **state)
{
    (void)state;
    on(A, HOP_OBSERVE, rejects, "a", NULL, NULL);
    sort();
    send_e(1);
    send_e(NO_ACK);
    fake_sent_is("");
    assert_string_equal(called, "a a");
}

static hop_verdict rejected_alone(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    return HOP_REJECTED;
}

static hop_verdict rejects_badly(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    return hop_reject(event, "\xff", NULL);
}

static void a_careless_rejection_is_answered_too(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, rejected_alone, "a", NULL, NULL);
    sort();
    send_e(1);
    fake_sent_is("1 ack1 [{\"ok\":false,\"error\":{\"code\":\"rejected\",\"message\":"
                 "\"refused\"}}]\n");
    tear_down(state);
    set_up(state);
    on(A, HOP_HANDLE, rejects_badly, "a", NULL, NULL);
    sort();
    send_e(1);
    fake_sent_is("1 ack1 [{\"ok\":false,\"error\":{\"code\":\"rejected\",\"message\":"
                 "\"refused\"}}]\n");
}

static hop_verdict rejects_and_goes_on(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    hop_reject(event, "mine", "never said");
    return HOP_NEXT;
}

static void a_rejection_that_was_not_returned_is_forgotten(void **state)
{
    (void)state;
    on(A, HOP_GUARD, rejects_and_goes_on, "a", NULL, NULL);
    on(B, HOP_HANDLE, rejected_alone, "b", NULL, NULL);
    sort();
    send_e(1);
    fake_sent_is("1 ack1 [{\"ok\":false,\"error\":{\"code\":\"rejected\",\"message\":"
                 "\"refused\"}}]\n");
    assert_string_equal(called, "a b");
}

static hop_verdict returns_nonsense(hop_socket socket, hop_event *event, void *self)
{
    goes_on(socket, event, self);
    return (hop_verdict)77;
}

static void an_unknown_verdict_is_next(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, returns_nonsense, "a", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "b", NULL, NULL);
    sort();
    send_e(1);
    assert_string_equal(called, "a b");
}

/* What sending the event logs. Borrowed until the next call. */
static const char *log_of_e(void)
{
    static char text[4096];
    int log = memfd_create("log", 0), saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_true(log >= 0 && saved >= 0);
    dup2(log, STDERR_FILENO);
    send_e(1);
    dup2(saved, STDERR_FILENO);
    n = pread(log, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(log);
    close(saved);
    return text;
}

static void a_verdict_that_no_handler_should_return_is_logged(void **state)
{
    static const struct {
        hop_handler *handler;
        const char *line; /* NULL: none */
    } rows[] = {
        {returns_nonsense, "plugin.bad_verdict plugin=a event=\"e\" verdict=77"},
        {rejected_alone, "plugin.bad_verdict plugin=a event=\"e\" verdict=2"},
        {rejects, NULL},
        {goes_on, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *text;

        tear_down(state);
        set_up(state);
        on(A, HOP_HANDLE, rows[i].handler, "a", NULL, NULL);
        sort();
        text = log_of_e();
        if (rows[i].line)
            assert_non_null(strstr(text, rows[i].line));
        else
            assert_string_equal(text, "");
    }
}

static void after_a_disconnect_only_observers_are_called(void **state)
{
    (void)state;
    on(A, HOP_GUARD, disconnects, "a", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "never", NULL, NULL);
    on(C, HOP_OBSERVE, goes_on, "observer", NULL, NULL);
    sort();
    send_e(1);
    assert_string_equal(called, "a observer");
}

static void an_event_that_nobody_handles_is_ignored(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, goes_on, "a", NULL, NULL);
    sort();
    fake_connect(1);
    fake_event(1, "[\"connection\",1]", 1); /* C03: any name but ours */
    fake_event(1, "[\"\"]", NO_ACK);
    fake_event(1, "[\"__proto__\"]", 2);
    fake_event(1, "[\"e\\u0020\"]", 2);
    fake_sent_is("");
    assert_string_equal(called, "");
}

/* ---- acks and arguments */

static hop_verdict acks_twice(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    goes_on(socket, event, self);
    note(hop_event_has_ack(event) ? "asked" : "unasked");
    hop_args_string(args, "second");
    note(hop_event_ack(event, json_pack("{s:i}", "no", 1)) == 0 ? "0" : "-1");
    note(hop_event_ack(event, json_pack("[s]", "first")) == 0 ? "0" : "-1");
    note(hop_event_ack_args(event, args) == 0 ? "0" : "-1");
    note(hop_event_has_ack(event) ? "asked" : "unasked");
    return hop_reject(event, "late", "an ack that was sent stays");
}

static void an_ack_is_sent_once(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, acks_twice, "a", NULL, NULL);
    sort();
    send_e(9);
    assert_string_equal(called, "a asked -1 0 -1 unasked");
    fake_sent_is("1 ack9 [\"first\"]\n");
}

static void no_ack_is_sent_where_none_was_asked(void **state)
{
    (void)state;
    on(A, HOP_HANDLE, acks_twice, "a", NULL, NULL);
    sort();
    send_e(NO_ACK);
    assert_string_equal(called, "a unasked -1 -1 -1 unasked");
    fake_sent_is(
        "1 error [{\"event\":\"e\",\"code\":\"late\",\"message\":\"an ack that was "
        "sent stays\"}]\n");
}

/* Tells what the event's accessors say, in one line. */
static hop_verdict describes(hop_socket socket, hop_event *event, void *self)
{
    json_t *args = hop_event_args(event);
    char *tree = args ? json_dumps(args, JSON_COMPACT) : NULL;
    char line[200];
    const char *raw, *text = NULL;
    size_t len;

    (void)socket;
    (void)self;
    raw = hop_event_raw(event, 0, &len);
    snprintf(line, sizeof line, "%s %zu %.*s %s %d", hop_event_name(event),
             hop_event_n_args(event), raw ? (int)len : 4, raw ? raw : "NULL",
             tree ? tree : "NULL", hop_event_unpack(event, "[s]", &text));
    note(line);
    assert_null(hop_event_raw(event, hop_event_n_args(event), &len));
    assert_int_equal(len, 0);
    free(tree);
    return HOP_STOP;
}

static void arguments_are_there_as_text_and_as_tree(void **state)
{
    static const struct {
        const char *packet, *line;
    } rows[] = {
        {"[\"e\"]", "e 0 NULL [] -1"},
        {"[ \"e\" , \"x\" ]", "e 1 \"x\" [\"x\"] 0"},
        {"[\"\\u0065\",\"x\",{}]", "e 2 \"x\" [\"x\",{}] 0"},
        {"[\"e\",1.50,2]", "e 2 1.50 [1.5,2] -1"},
        /* what jansson cannot hold: the raw text still works */
        {"[\"e\",\"\\ud800\"]", "e 1 \"\\ud800\" NULL -1"},
        {"[\"e\",\"\\u0000\"]", "e 1 \"\\u0000\" NULL -1"},
        {"[\"e\",18446744073709552000]", "e 1 18446744073709552000 NULL -1"},
        {"[\"e\",1e400]", "e 1 1e400 NULL -1"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        on(A, HOP_HANDLE, describes, "a", NULL, NULL);
        sort();
        fake_connect(1);
        fake_event(1, rows[i].packet, NO_ACK);
        assert_string_equal(called, rows[i].line);
        tear_down(state);
        set_up(state);
    }
}

/* ---- emits */

static void targets_and_arguments_reach_the_hub(void **state)
{
    hop_server *server = fixture.server;
    hop_args *spoilt = hop_args_new();
    size_t n = 7;

    (void)state;
    assert_int_equal(hop_emit(hop_to_all(server), "x", NULL), 0);
    assert_int_equal(hop_emit(hop_except(hop_to_room(server, "r"), 2), "x",
                              json_pack("[s, i]", "\xc3\xa9", 1)),
                     0);
    hop_emit(
        hop_volatile(hop_except_room(hop_and_room(hop_to_room(server, "r"), "s"), "t")),
        "x", NULL);
    hop_emit(hop_except(hop_to_socket(server, 1), HOP_NO_SOCKET), "x", NULL);
    hop_send(hop_local(hop_compress(hop_to_all(server), false)), json_pack("[i]", 7));
    hop_send(hop_compress(hop_to_all(server), true), NULL);
    fake_sent_is("all x []\nroom:r-2 x [\"\xc3\xa9\",1]\nroom:r+room:s-room:t? x []\n"
                 "1 x []\nall!z@here message [7]\nallz message []\n");

    assert_int_equal(hop_target_join(hop_to_room(server, "r"), "s"), 2);
    assert_int_equal(hop_target_leave(hop_to_all(server), "s"), 2);
    assert_int_equal(hop_target_disconnect(hop_to_all(server), HOP_CLOSE_TRANSPORT), 2);
    assert_int_equal(hop_target_disconnect(hop_to_all(server), (hop_close_mode)9), 0);
    assert_int_equal(hop_target_join(NULL, "s"), 0);
    assert_int_equal(hop_target_join(hop_to_all(server), NULL), 0);
    assert_int_equal(hop_target_leave(hop_to_all(server), NULL), 0);
    assert_null(hop_target_sockets(NULL, &n));
    assert_int_equal(n, 0);
    assert_non_null(hop_target_sockets(hop_to_all(server), &n));
    assert_int_equal(n, 2);
    fake_sent_is("room:r joins s\nall leaves s\nall is closed hard\n");

    hop_args_end(spoilt);
    assert_int_equal(hop_emit_args(hop_to_all(server), "x", spoilt), -1);
    assert_int_equal(hop_emit(hop_to_all(server), "x", json_object()), -1);
    assert_int_equal(hop_emit(hop_to_all(server), "connect", json_array()), -1);
    assert_int_equal(hop_emit(hop_to_all(server), "\xff", json_array()), -1);
    assert_int_equal(hop_emit(NULL, "x", json_array()), -1);
    assert_int_equal(hop_emit(hop_to_all(server), NULL, json_array()), -1);
    assert_int_equal(hop_emit(hop_to_all(server), "", json_array()), 0);
    fake_sent_is("all  []\n");
    assert_int_equal(hop_emit_args(NULL, "x", hop_args_new()), -1);
    fake_sent_is("");
}

static void on_ack(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    char line[64];

    snprintf(line, sizeof line, "%s %u %d %zu %s", (char *)self, (unsigned)socket,
             (int)status, json_array_size(args), fixture.server->current->name);
    note(line);
}

static void an_asked_ack_comes_back_to_its_plugin(void **state)
{
    const struct sio_answer answer = {1, "id1", HOP_ACK_OK, "[1]", 3, 0, NULL};

    (void)state;
    fake_connect(1);
    fixture.server->current = &plugins[B];
    assert_int_equal(hop_emit_with_ack(fixture.server, 1, "q", json_pack("[i]", 5), 250,
                                       on_ack, "answer"),
                     0);
    fixture.server->current = NULL;
    fake_sent_is("1 q [5] within 250\n");
    fake.asked.on_answer(&answer, fake.asked.self);
    assert_string_equal(called, "answer 1 0 1 b");
    assert_null(fixture.server->current);

    assert_int_equal(hop_emit_with_ack(fixture.server, 2, "q", NULL, 250, on_ack, ""),
                     -1);
    assert_int_equal(hop_emit_with_ack(fixture.server, 1, "q", NULL, 0, on_ack, ""), -1);
    assert_int_equal(hop_emit_with_ack(fixture.server, 1, "q", NULL, 3600001, on_ack, ""),
                     -1);
    assert_int_equal(hop_emit_with_ack(fixture.server, 1, "q", NULL, 1, NULL, ""), -1);
    fake_sent_is("");
}

static void note_answer(hop_answer *answer, void *self)
{
    size_t len;
    const char *raw = hop_answer_raw(answer, 1, &len);
    char line[200];

    snprintf(line, sizeof line, "%s %u %s %d %zu %zu '%.*s' %s", (char *)self,
             (unsigned)hop_answer_socket(answer), hop_answer_id(answer),
             (int)hop_answer_status(answer), hop_answer_n_args(answer),
             json_array_size(hop_answer_args(answer)), (int)len, raw ? raw : "",
             fixture.server->current->name);
    note(line);
}

static void an_answer_is_read_as_text_and_as_a_tree(void **state)
{
    const struct sio_answer ok = {1,  "id1", HOP_ACK_OK, "[1, {\"a\" : 1e4}]",
                                  16, 0,     NULL},
                            odd = {1, "id1", HOP_ACK_OK, "[1,1e400]", 9, 0, NULL},
                            none = {1, "id1", HOP_ACK_TIMEOUT, NULL, 0, 0, NULL};
    const struct sio_answer *const rows[] = {&ok, &odd, &none};

    (void)state;
    fake_connect(1);
    for (size_t i = 0; i < 3; i++) {
        fixture.server->current = &plugins[B];
        assert_int_equal(hop_emit_args_with_ack(fixture.server, 1, "q", hop_args_new(),
                                                250, note_answer, "x"),
                         0);
        fixture.server->current = NULL;
        fake_sent_is("1 q [] within 250\n");
        fake.asked.on_answer(rows[i], fake.asked.self);
    }
    assert_string_equal(called, "x 1 id1 0 2 2 '{\"a\" : 1e4}' b "
                                "x 1 id1 0 2 0 '1e400' b x 1 id1 1 0 0 '' b");
    assert_int_equal(hop_emit_args_with_ack(fixture.server, 1, "q", hop_args_new(), 0,
                                            note_answer, ""),
                     -1);
    assert_int_equal(
        hop_emit_args_with_ack(fixture.server, 1, "q", hop_args_new(), 1, NULL, ""), -1);
    assert_int_equal(
        hop_emit_args_with_ack(fixture.server, 1, "q", NULL, 1, note_answer, ""), -1);
}

static void note_binary(hop_answer *answer, void *self)
{
    hop_args *args = hop_args_new();
    size_t len, len_of_all = 0;

    (void)self;
    assert_int_equal(hop_answer_n_attachments(answer), 2);
    assert_null(hop_answer_binary(answer, 0, &len));
    assert_memory_equal(hop_answer_binary(answer, 1, &len), "yy", 2);
    assert_int_equal(len, 2);
    assert_null(hop_answer_binary(answer, 2, &len));
    for (size_t i = 0; hop_answer_attachment(answer, i, &len); i++)
        len_of_all += len;
    assert_int_equal(len_of_all, 3);
    hop_args_answer(args, answer, 1);
    hop_args_answer_from(args, answer, 0);
    hop_emit_args(hop_to_all(fixture.server), "relayed", args);
}

static void an_answer_gives_its_attachments_out(void **state)
{
#define HOLDER(num) "{\"_placeholder\":true,\"num\":" #num "}"
    struct bytes *attachments[] = {bytes_copy("x", 1), bytes_copy("yy", 2)};
    const char *text = "[[" HOLDER(0) "]," HOLDER(1) "]";
    const struct sio_answer answer = {1, "id1",      HOP_ACK_OK, text, strlen(text),
                                      2, attachments};

    (void)state;
    fake_connect(1);
    fixture.server->current = &plugins[B];
    assert_int_equal(hop_emit_args_with_ack(fixture.server, 1, "q", hop_args_new(), 250,
                                            note_binary, NULL),
                     0);
    fixture.server->current = NULL;
    fake.sent[0] = '\0';
    fake.asked.on_answer(&answer, fake.asked.self);
    fake_sent_is("all relayed [" HOLDER(0) ",[" HOLDER(1) "]," HOLDER(0) "] <yy> <x>\n");
    bytes_unref(attachments[0]);
    bytes_unref(attachments[1]);
}

static void relay_answers(hop_answers *answers, void *self)
{
    hop_args *args = hop_args_new();

    (void)self;
    for (size_t i = 0; hop_answers_at(answers, i); i++) {
        hop_args_string(args, hop_answer_id(hop_answers_at(answers, i)));
        hop_args_answer(args, hop_answers_at(answers, i), 0);
        hop_args_answer_from(args, hop_answers_at(answers, i), 1);
    }
    hop_args_json(args, json_integer((json_int_t)hop_answers_n(answers)));
    hop_args_json(args, json_integer((json_int_t)hop_answers_n_missing(answers)));
    hop_emit_args(hop_to_all(fixture.server), "votes", args);
}

static void the_answers_of_many_come_together(void **state)
{
    const struct sio_answer answers[] = {
        {1, "id1", HOP_ACK_OK, "[1, 1e400 ]", 11, 0, NULL},
        {2, "id2", HOP_ACK_TIMEOUT, NULL, 0, 0, NULL},
        {3, "id3", HOP_ACK_OK, "[]", 2, 0, NULL},
    };
    hop_server *server = fixture.server;

    (void)state;
    server->current = &plugins[B];
    assert_int_equal(hop_emit_with_acks(hop_to_room(server, "r"), "vote",
                                        json_pack("[i]", 1), 250, relay_answers, NULL),
                     0);
    server->current = NULL;
    fake_sent_is("room:r vote [1] within 250\n");
    fake.asked.on_answers(answers, 3, fake.asked.self);
    fake_sent_is("all votes [\"id1\",1,1e400,\"id2\",null,\"id3\",null,3,1]\n");
    assert_int_equal(hop_emit_args_with_acks(hop_to_room(server, "r"), "vote",
                                             hop_args_new(), 250, relay_answers, NULL),
                     0);
    fake_sent_is("room:r vote [] within 250\n");
    fake.asked.on_answers(NULL, 0, fake.asked.self);
    fake_sent_is("all votes [0,0]\n");
    assert_int_equal(
        hop_emit_with_acks(NULL, "vote", json_array(), 250, relay_answers, NULL), -1);
    assert_int_equal(
        hop_emit_with_acks(hop_to_all(server), "vote", json_array(), 250, NULL, NULL),
        -1);
    assert_int_equal(hop_emit_with_acks(hop_to_all(server), "connect", json_array(), 250,
                                        relay_answers, NULL),
                     -1);
    assert_int_equal(hop_emit_args_with_acks(hop_to_all(server), "vote", NULL, 250,
                                             relay_answers, NULL),
                     -1);
    fake_sent_is("");
    assert_int_equal(hop_emit_with_acks(hop_to_all(server), "too many", NULL, 250,
                                        relay_answers, NULL),
                     -1);
}

/* ---- registration */

static void a_wrong_registration_refuses_the_plugin(void **state)
{
    const hop_on_options no_phase = {.size = sizeof no_phase, .phase = (hop_phase)9};
    const hop_on_options no_size = {.phase = HOP_GUARD};
    const hop_on_options itself = {.size = sizeof itself, .before = "a"};
    hop_server *server = fixture.server;

    (void)state;
#define REFUSED(call, why)                                                               \
    do {                                                                                 \
        enter_init(A);                                                                   \
        assert_int_equal(call, -1);                                                      \
        assert_non_null(strstr(server->refusal.text, why));                              \
    } while (0)
    REFUSED(hop_on(server, "connect", goes_on, NULL), "reserved"); /* T12 */
    REFUSED(hop_on(server, "disconnecting", goes_on, NULL), "reserved");
    REFUSED(hop_on(server, "\xc0", goes_on, NULL), "UTF-8");
    REFUSED(hop_on(server, NULL, goes_on, NULL), "name");
    REFUSED(hop_on(server, "e", NULL, NULL), "NULL is no handler");
    REFUSED(hop_on(server, "connect", NULL, NULL), "no handler, and a reserved event");
    REFUSED(hop_on(server, "\xc0", NULL, NULL), "no handler, and no event's name");
    REFUSED(hop_on_with(server, "e", goes_on, NULL, &no_phase), "phase");
    REFUSED(hop_on_with(server, "e", goes_on, NULL, &no_size), "size");
    REFUSED(hop_on_with(server, "e", goes_on, NULL, NULL), "size");
    REFUSED(hop_on_with(server, "e", goes_on, NULL, &itself), "itself");
    REFUSED(hop_on_connect(server, NULL, NULL), "hop_on_connect");
    REFUSED(hop_on_leave(server, NULL, NULL), "hop_on_leave");
    REFUSED(hop_fail(server, "no %s", "luck"), "no luck");
    REFUSED(hop_route(server, "GET", "/taken", NULL, NULL), "handler");
    REFUSED(hop_provide(server, "x", NULL, 8), "struct");
#undef REFUSED
    leave_init();
}

static void routes_are_checked(void **state)
{
    static const struct {
        const char *method, *path;
        int result;
    } rows[] = {
        {"GET", "/x", 0},
        {"POST", "/x/y", 0},
        {"GET", "/socket.ioo", 0},
        {"GET", "/taken", -1},
        {"PUT", "/x", -1},
        {NULL, "/x", -1},
        {"GET", "x", -1},
        {"GET", "/x?y", -1},
        {"GET", "/a b", -1},
        {"GET", "/socket.io", -1},
        {"GET", "/socket.io/", -1},
        {"GET", NULL, -1},
        {"GET", "/socket.io/x", -1},
        {"GET", "/\xff", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(hop_route(enter_init(A), rows[i].method, rows[i].path,
                                   (hop_route_handler *)(uintptr_t)1, NULL),
                         rows[i].result);
    leave_init();
}

static void nothing_is_registered_outside_of_init(void **state)
{
    hop_server *server = fixture.server;
    size_t size = 8;

    (void)state;
    assert_int_equal(hop_on(server, "e", goes_on, NULL), -1);
    assert_int_equal(hop_on_connect(server, NULL, NULL), -1);
    assert_int_equal(hop_slot_new(server, NULL), -1);
    assert_int_equal(hop_provide(server, "x", &size, sizeof size), -1);
    assert_null(hop_require(server, "x", 8));
    assert_int_equal(
        hop_route(server, "GET", "/x", (hop_route_handler *)(uintptr_t)1, NULL), -1);
    assert_int_equal(hop_fail(server, "x"), -1);
    sort();
    send_e(NO_ACK);
    assert_string_equal(called, "");
}

static void what_a_plugin_registered_goes_with_it(void **state)
{
    static const size_t interface = sizeof interface;

    (void)state;
    on(A, HOP_HANDLE, goes_on, "a", NULL, NULL);
    on(B, HOP_HANDLE, goes_on, "b", NULL, NULL);
    hop_provide(enter_init(A), "x", &interface, sizeof interface);
    server_forget(fixture.server, &plugins[A]);
    assert_null(hop_require(enter_init(B), "x", 8));
    sort();
    send_e(NO_ACK);
    assert_string_equal(called, "b");
}

static void interfaces_are_found_by_name_and_size(void **state)
{
    static const size_t interface[2] = {sizeof interface, 0};
    hop_server *server = enter_init(A);

    (void)state;
    assert_int_equal(hop_provide(server, "x", interface, sizeof interface), 0);
    assert_int_equal(hop_provide(server, "x", interface, sizeof interface), -1);
    assert_non_null(strstr(server->refusal.text, "plugin a provides it"));
    assert_ptr_equal(hop_require(server, "x", sizeof interface), interface);
    assert_ptr_equal(hop_require(server, "x", sizeof(size_t)), interface);
    assert_null(hop_require(server, "x", sizeof interface + 1));
    assert_null(hop_require(server, "y", 8));
    leave_init();
}

/* ---- slots and hooks */

static void slots_free_their_values(void **state)
{
    hop_slot slot = hop_slot_new(enter_init(A), free);
    hop_slot plain = hop_slot_new(enter_init(A), NULL);
    int value;

    (void)state;
    leave_init();
    fake_connect(1);
    assert_int_equal(hop_socket_set(fixture.server, 1, slot, malloc(1)), 0);
    assert_int_equal(hop_socket_set(fixture.server, 1, slot, malloc(2)),
                     0); /* frees it */
    assert_int_equal(hop_socket_set(fixture.server, 1, plain, &value), 0);
    assert_ptr_equal(hop_socket_get(fixture.server, 1, plain), &value);
    assert_int_equal(hop_socket_set(fixture.server, 1, plain + 1, &value), -1);
    assert_int_equal(hop_socket_set(fixture.server, 1, -1, &value), -1);
    assert_null(hop_socket_get(fixture.server, 1, 64));
    assert_null(hop_socket_get(fixture.server, 2, plain));
    fake_disconnect(1, "transport close"); /* the sanitizer sees to the rest */
}

static void slots_end_at_64(void **state)
{
    hop_server *server = enter_init(A);

    (void)state;
    for (int i = 0; i < 64; i++)
        assert_int_equal(hop_slot_new(server, free), i);
    assert_int_equal(hop_slot_new(server, free), -1);
    assert_non_null(strstr(server->refusal.text, "64"));
    leave_init();
}

static void tell_connect(hop_socket socket, void *self)
{
    (void)socket;
    note(self);
}

static void turn_away(hop_socket socket, void *self)
{
    note(self);
    hop_socket_disconnect(fixture.server, socket, HOP_CLOSE_SOCKET);
}

static void tell_text(hop_socket socket, const char *text, void *self)
{
    (void)socket;
    note(self);
    note(text);
}

static void hooks_run_in_the_order_of_registration(void **state)
{
    hop_server *server = enter_init(B);

    (void)state;
    hop_on_connect(server, tell_connect, "b");
    hop_on_disconnect(server, tell_text, "gone");
    hop_on_join(server, tell_text, "in");
    hop_on_leave(server, tell_text, "out");
    hop_on_connect(enter_init(A), tell_connect, "a");
    leave_init();
    fake_connect(1);
    hop_socket_join(server, 1, "r");
    hop_socket_leave(server, 1, "r");
    fake_disconnect(1, "ping timeout");
    assert_string_equal(called, "b a in r out r gone ping timeout");
}

static void a_hook_may_turn_a_socket_away(void **state)
{
    (void)state;
    hop_on_connect(enter_init(A), turn_away, "away");
    hop_on_connect(enter_init(B), tell_connect, "never");
    leave_init();
    fake_connect(1);
    assert_string_equal(called, "away");
}

static void leave_at_once(hop_socket socket, const char *room, void *self)
{
    note(self);
    hop_socket_leave(fixture.server, socket, room);
}

static void join_again(hop_socket socket, const char *room, void *self)
{
    note(self);
    hop_socket_join(fixture.server, socket, room);
}

static void turn_away_from(hop_socket socket, const char *room, void *self)
{
    (void)room;
    turn_away(socket, self);
}

/* Else a plugin that keeps a list of members would keep one that is none. */
static void a_join_that_a_hook_undoes_is_not_told_to_later_hooks(void **state)
{
    (void)state;
    hop_on_join(enter_init(A), leave_at_once, "undo");
    hop_on_join(enter_init(B), tell_text, "in");
    hop_on_leave(enter_init(B), tell_text, "out");
    leave_init();
    fake_connect(1);
    hop_socket_join(fixture.server, 1, "r");
    assert_string_equal(called, "undo out r");
}

static void a_join_whose_hook_disconnects_is_not_told_to_later_hooks(void **state)
{
    (void)state;
    hop_on_join(enter_init(A), turn_away_from, "away");
    hop_on_join(enter_init(B), tell_text, "in");
    hop_on_disconnect(enter_init(B), tell_text, "gone");
    leave_init();
    fake_connect(1);
    hop_socket_join(fixture.server, 1, "r");
    assert_string_equal(called, "away gone server namespace disconnect");
}

static void a_leave_that_a_hook_undoes_is_not_told_to_later_hooks(void **state)
{
    (void)state;
    hop_on_leave(enter_init(A), join_again, "undo");
    hop_on_leave(enter_init(B), tell_text, "out");
    hop_on_join(enter_init(B), tell_text, "in");
    leave_init();
    fake_connect(1);
    hop_socket_join(fixture.server, 1, "r");
    hop_socket_leave(fixture.server, 1, "r");
    assert_string_equal(called, "in r undo in r");
}

/* ---- threads */

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

static void mark(void *arg)
{
    *(volatile bool *)arg = true;
}

/* The loop runs elsewhere now: this thread is a plugin's own. */
static void calls_from_another_thread_are_refused(void **state)
{
    hop_server *server = fixture.server;
    struct loop *logic = fixture.loops->logic;
    volatile bool has_run = false;
    hop_args *args = hop_args_new();
    pthread_t thread;

    (void)state;
    fake_connect(1);
    hop_on_connect(enter_init(A), tell_connect, "a");
    leave_init();
    assert_int_equal(pthread_create(&thread, NULL, run_loop, logic), 0);
    while (loop_is_mine(logic)) /* until it has begun */
        sched_yield();

    assert_null(hop_to_all(server));
    assert_null(hop_to_room(server, "r"));
    assert_int_equal(hop_emit_args(&fake.target[0], "x", args), -1);
    assert_int_equal(hop_emit(&fake.target[0], "x", json_array()), -1);
    assert_int_equal(hop_socket_join(server, 1, "r"), -1);
    assert_int_equal(hop_socket_disconnect(server, 1, HOP_CLOSE_SOCKET), -1);
    assert_false(hop_socket_is_connected(server, 1));
    assert_null(hop_socket_id(server, 1));
    assert_int_equal(hop_socket_find(server, "id1"), HOP_NO_SOCKET);
    assert_int_equal(hop_on(server, "e", goes_on, NULL), -1);
    assert_int_equal(hop_emit_with_ack(server, 1, "q", json_array(), 1, on_ack, NULL),
                     -1);
    fake_sent_is("");

    assert_int_equal(hop_post(server, mark, (void *)(uintptr_t)&has_run), 0);
    assert_int_equal(hop_post(server, NULL, NULL), -1);
    assert_int_equal(hop_post(server, stop_loop, logic), 0);
    pthread_join(thread, NULL);
    assert_true(has_run);
}

enum { SLOW_MS = 50, DAWDLE_MS = SLOW_MS + 10 };

static uint64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes the time that its caller measures. */
static hop_verdict dawdles(hop_socket socket, hop_event *event, void *self)
{
    uint64_t from_ms = clock_ms();

    goes_on(socket, event, self);
    while (clock_ms() - from_ms <= DAWDLE_MS)
        sched_yield();
    return HOP_STOP;
}

static void a_slow_handler_is_counted(void **state)
{
    (void)state;
    fixture.settings.slow_ms = SLOW_MS;
    on(A, HOP_HANDLE, dawdles, "a", NULL, NULL);
    sort();
    send_e(NO_ACK);
    assert_int_equal(plugins[A].n_slow, 1);
    assert_true(plugins[A].busy_ns >= DAWDLE_MS * 1000000u);
    fixture.settings.slow_ms = 0;
    send_e(NO_ACK);
    assert_int_equal(plugins[A].n_slow, 1);
}

static void every_call_is_in_the_histogram_once(void **state)
{
    const struct call_times *times = &plugins[A].times;
    uint64_t n = 0;

    (void)state;
    on(A, HOP_HANDLE, dawdles, "a", NULL, NULL);
    on(A, HOP_OBSERVE, goes_on, "o", NULL, NULL);
    sort();
    send_e(NO_ACK);
    for (int i = 0; i < CALL_BUCKETS; i++)
        n += times->n[i];
    assert_int_equal(n, 2);
    assert_int_equal(times->n[0] + times->n[1] + times->n[2] + times->n[3], 1);
    assert_true(times->ns >= DAWDLE_MS * 1000000u);
    assert_int_equal(times->ns, plugins[A].busy_ns);
}

/* ---- routes: the shard's half, the lane, the logic half, and back */

static struct logic_route *route;

static void answer_hello(hop_request *request, void *self)
{
    const char *agent = hop_request_header(request, "x-NAME");
    char text[200];
    size_t len;
    const char *body = hop_request_body(request, &len);

    snprintf(text, sizeof text, "%s %s %s %s %zu %s", (char *)self,
             hop_request_path(request), hop_request_query(request), agent, len, body);
    assert_null(hop_request_header(request, "x-nam"));
    assert_int_equal(hop_respond(request, 199, NULL, NULL, 0), -1);
    assert_int_equal(hop_respond(request, 600, NULL, NULL, 0), -1);
    assert_int_equal(hop_respond(request, 200, NULL, NULL, 1), -1);
    assert_int_equal(hop_respond(request, 200, "a\r\nb", NULL, 0), -1);
    assert_int_equal(hop_respond(request, 200, "text/plain", text, strlen(text)), 0);
    assert_int_equal(hop_respond(request, 200, "text/plain", text, 1), -1);
}

static void answer_nothing(hop_request *request, void *self)
{
    (void)request;
    (void)self;
}

/* Sends one request through a route and runs the loop until it is answered. */
static void ask_route(hop_route_handler *handler)
{
    struct http_header header = {.name = {"X-Name", 6}, .value = {"ada", 3}};
    const struct http_request request = {
        .query = {"a=1", 3}, .headers = &header, .n_headers = 1};
    const struct http_route *http;

    memset(&fake_http, 0, sizeof fake_http);
    fake_http.net.loop = fixture.loops->loop[0];
    fake_http.conn.net = &fake_http.net;
    fake_http.conn.self = 7;
    route = logic_route_new(fixture.server, "/hello", 100, handler, "self");
    http = logic_route_http(route);
    assert_int_equal(http->max_body_bytes, 100);
    http->on_request((struct httpconn *)(void *)&fake_http, &request, "body", 4,
                     http->arg);
    assert_true(fake_http.is_held);
}

static void finish_route(void)
{
    loops_drain(fixture.loops);
    logic_route_free(route);
}

static void a_route_is_answered_from_logic(void **state)
{
    (void)state;
    ask_route(answer_hello);
    finish_route();
    assert_string_equal(fake_http.answer, "200 text/plain: self /hello a=1 ada 4 body");
}

static void a_route_that_forgets_answers_500(void **state)
{
    (void)state;
    ask_route(answer_nothing);
    finish_route();
    assert_int_equal(strncmp(fake_http.answer, "500 ", 4), 0);
}

static void an_answer_to_a_connection_that_has_gone_is_dropped(void **state)
{
    (void)state;
    ask_route(answer_hello);
    fake_http.is_gone = true;
    finish_route();
    assert_string_equal(fake_http.answer, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* C35: nobody who sends keys can choose those of one bucket. */
static void the_hash_seed_of_trees_is_drawn_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        fixture_close(&fixture);
        fixture_open(&fixture, "", NULL);
        assert_int_not_equal((uint32_t)seeds[0], 0); /* jansson would draw one itself */
        for (int earlier = 1; earlier <= i + 1; earlier++)
            assert_int_not_equal(seeds[0], seeds[earlier]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(handlers_run_by_phase_then_conf_order_then_registration),
        TEST(before_and_after_move_a_handler_within_its_phase),
        TEST(a_circle_of_before_and_after_is_named),
        TEST(stop_ends_guards_and_handlers_but_not_observers),
        TEST(a_rejection_answers_the_ack),
        TEST(a_rejection_without_an_ack_is_the_event_error),
        TEST(an_observers_rejection_tells_nobody),
        TEST(a_careless_rejection_is_answered_too),
        TEST(a_rejection_that_was_not_returned_is_forgotten),
        TEST(a_verdict_that_no_handler_should_return_is_logged),
        TEST(an_unknown_verdict_is_next),
        TEST(after_a_disconnect_only_observers_are_called),
        TEST(an_event_that_nobody_handles_is_ignored),
        TEST(the_hash_seed_of_trees_is_drawn_anew),
        TEST(an_ack_is_sent_once),
        TEST(no_ack_is_sent_where_none_was_asked),
        TEST(arguments_are_there_as_text_and_as_tree),
        TEST(targets_and_arguments_reach_the_hub),
        TEST(an_asked_ack_comes_back_to_its_plugin),
        TEST(an_answer_is_read_as_text_and_as_a_tree),
        TEST(an_answer_gives_its_attachments_out),
        TEST(the_answers_of_many_come_together),
        TEST(a_wrong_registration_refuses_the_plugin),
        TEST(routes_are_checked),
        TEST(nothing_is_registered_outside_of_init),
        TEST(what_a_plugin_registered_goes_with_it),
        TEST(interfaces_are_found_by_name_and_size),
        TEST(slots_free_their_values),
        TEST(slots_end_at_64),
        TEST(hooks_run_in_the_order_of_registration),
        TEST(a_hook_may_turn_a_socket_away),
        TEST(a_join_that_a_hook_undoes_is_not_told_to_later_hooks),
        TEST(a_join_whose_hook_disconnects_is_not_told_to_later_hooks),
        TEST(a_leave_that_a_hook_undoes_is_not_told_to_later_hooks),
        TEST(calls_from_another_thread_are_refused),
        TEST(a_slow_handler_is_counted),
        TEST(every_call_is_in_the_histogram_once),
        TEST(a_route_is_answered_from_logic),
        TEST(a_route_that_forgets_answers_500),
        TEST(an_answer_to_a_connection_that_has_gone_is_dropped),
    };

    return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
