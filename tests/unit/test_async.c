/*
 * test_async.c - core/plugin/{timers,watches,posts,async}.c: what comes later, in which order,
 * and that nothing comes of a plugin that is held or has gone.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include "tests/unit/fakehub.h"

#include <event2/event.h>
#include <fcntl.h>

#include <sockhop/timer.h>
#include <sockhop/watch.h>

#include "core/plugin/async.h"

enum { A, B, PLUGINS };

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static char called[4096]; /* what ran, a word each */
static unsigned n_called;
static hop_timer timer;
static hop_watch watch;
static int fds[2];

static int set_up(void **state)
{
    static const char *const names[] = {"a", "b"};

    (void)state;
    fixture_open(&fixture, "", NULL);
    memset(plugins, 0, sizeof plugins);
    for (unsigned i = 0; i < PLUGINS; i++) {
        plugins[i].name = mem_strdup(names[i]);
        plugins[i].conf_index = i;
    }
    called[0] = '\0';
    n_called = 0;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PLUGINS; i++)
        server_forget(fixture.server, &plugins[i]);
    fixture_close(&fixture);
    for (unsigned i = 0; i < PLUGINS; i++)
        free(plugins[i].name);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static void note(const char *word)
{
    strcat(strcat(called, word), " ");
    n_called++;
}

static void called_is(const char *expected)
{
    assert_string_equal(called, expected);
    called[0] = '\0';
    n_called = 0;
}

/* Whose calls are those that follow. */
static hop_server *as(int plugin)
{
    fixture.server->current = &plugins[plugin];
    return fixture.server;
}

/* One turn, without waiting. */
static void turn(void)
{
    fixture.server->current = NULL;
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    loops_drain(fixture.loops);
}

static void turns_until(unsigned n)
{
    fixture.server->current = NULL;
    while (n_called < n)
        event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE);
}

static void stall_ms(long ms)
{
    const struct timespec time = {0, ms * 1000000};

    nanosleep(&time, NULL);
}

/* ---- timers */

static void note_timer(hop_timer which, void *self)
{
    (void)which;
    note(self);
}

static hop_timer once(int plugin, int64_t ms, const char *word)
{
    return hop_timer_once(as(plugin), ms, note_timer, (void *)(uintptr_t)word);
}

static void timers_come_in_the_order_of_their_times(void **state)
{
    (void)state;
    assert_true(once(A, 30, "30") != 0);
    once(B, 10, "10");
    once(A, 20, "20");
    once(A, 0, "0");
    assert_int_equal(plugins[A].async.n_timers, 3);
    called_is("");
    turns_until(4);
    called_is("0 10 20 30 ");
    assert_int_equal(plugins[A].async.n_timers, 0);
    assert_null(fixture.server->current);
}

static void a_timer_that_is_cancelled_never_comes(void **state)
{
    hop_timer first = once(A, 1, "1"), second = once(A, 2, "2");

    (void)state;
    once(A, 3, "3");
    assert_int_equal(hop_timer_cancel(fixture.server, first), 0);
    assert_int_equal(hop_timer_cancel(fixture.server, first), -1);
    assert_int_equal(hop_timer_cancel(fixture.server, HOP_NO_TIMER), -1);
    turns_until(2);
    called_is("2 3 ");
    assert_int_equal(hop_timer_cancel(fixture.server, second), -1);
}

static void repeat_and_cancel(hop_timer which, void *self)
{
    note(self);
    if (n_called == 3)
        assert_int_equal(hop_timer_cancel(fixture.server, which), 0);
}

static void a_timer_repeats_until_it_cancels_itself(void **state)
{
    (void)state;
    hop_timer_every(as(A), 1, repeat_and_cancel, (void *)(uintptr_t) "x");
    turns_until(3);
    assert_int_equal(plugins[A].async.n_timers, 0);
    once(A, 5, "end");
    turns_until(4);
    called_is("x x x end ");
}

static void after_a_stall_a_timer_comes_once(void **state)
{
    (void)state;
    timer = hop_timer_every(as(A), 1, note_timer, (void *)(uintptr_t) "x");
    stall_ms(20);
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE);
    called_is("x ");
}

static void start_another(hop_timer which, void *self)
{
    (void)which;
    note(self);
    if (n_called < 3)
        hop_timer_once(fixture.server, 0, start_another, self);
}

static void a_timer_may_start_others_for_a_later_turn(void **state)
{
    (void)state;
    hop_timer_once(as(A), 0, start_another, (void *)(uintptr_t) "x");
    turns_until(1);
    assert_int_equal(n_called, 1);
    turns_until(3);
    called_is("x x x ");
    assert_int_equal(plugins[A].async.n_timers, 0);
}

static void count_timer(hop_timer which, void *self)
{
    (void)which;
    (void)self;
    n_called++;
}

static void a_crowd_of_timers_leaves_others_their_turn(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        hop_timer_once(as(A), 0, count_timer, NULL);
    stall_ms(1);
    event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE);
    assert_in_range(n_called, 1, TIMERS_A_TURN);
    turns_until(1000);
    assert_int_equal(n_called, 1000);
}

static void times_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_int_equal(hop_timer_once(as(A), -1, note_timer, NULL), 0);
    assert_int_equal(hop_timer_once(as(A), HOP_TIMER_MAX_MS + 1, note_timer, NULL), 0);
    assert_int_equal(hop_timer_every(as(A), 0, note_timer, NULL), 0);
    assert_int_equal(hop_timer_every(as(A), INT64_MIN, note_timer, NULL), 0);
    assert_int_equal(hop_timer_once(as(A), 1, NULL, NULL), 0);
    assert_true(hop_timer_every(as(A), HOP_TIMER_MAX_MS, note_timer, NULL) != 0);
    assert_int_equal(plugins[A].async.n_timers, 1);
}

static void a_plugin_has_a_limited_number_of_timers(void **state)
{
    hop_timer first = hop_timer_once(as(A), 60000, note_timer, NULL);

    (void)state;
    for (unsigned i = 1; i < 100000; i++)
        assert_true(hop_timer_once(as(A), 60000 - i % 1000, note_timer, NULL) != 0);
    assert_int_equal(hop_timer_once(as(A), 1, note_timer, NULL), 0);
    assert_true(once(B, 1, "b") != 0);
    assert_int_equal(hop_timer_cancel(as(A), first), 0);
    assert_true(hop_timer_once(as(A), 60000, note_timer, NULL) != 0);
    turns_until(1);
    called_is("b ");
}

static void cancel_the_other(hop_timer which, void *self)
{
    (void)which;
    note(self);
    assert_int_equal(hop_timer_cancel(fixture.server, timer), 0);
}

static void a_timer_may_cancel_one_that_is_due_as_well(void **state)
{
    (void)state;
    hop_timer_once(as(A), 0, cancel_the_other, (void *)(uintptr_t) "first");
    timer = once(B, 0, "never");
    turns_until(1);
    once(B, 5, "last");
    turns_until(2);
    called_is("first last ");
}

static void a_timer_of_a_plugin_that_has_gone_never_fires(void **state)
{
    (void)state;
    once(A, 0, "a");
    hop_timer_every(as(A), 1, note_timer, (void *)(uintptr_t) "a");
    once(B, 2, "b");
    server_forget(fixture.server, &plugins[A]);
    assert_int_equal(plugins[A].async.n_timers, 0);
    turns_until(1);
    called_is("b ");
}

/* ---- watches */

static void note_watch(hop_watch which, int fd, unsigned events, void *self)
{
    (void)self;
    assert_int_equal(which, watch);
    assert_true(fd == fds[0] || fd == fds[1]);
    note(events == HOP_READABLE ? "r" : events == HOP_WRITABLE ? "w" : "rw");
}

static void write_one(void)
{
    assert_int_equal(write(fds[1], "x", 1), 1);
}

static void read_one(void)
{
    char byte;

    assert_int_equal(read(fds[0], &byte, 1), 1);
}

static void a_watch_comes_as_long_as_there_is_something(void **state)
{
    (void)state;
    watch = hop_watch_new(as(A), fds[0], HOP_READABLE, note_watch, NULL);
    assert_true(watch != HOP_NO_WATCH);
    turn();
    called_is("");
    write_one();
    turn();
    turn();
    called_is("r r ");
    read_one();
    turn();
    called_is("");
    assert_null(fixture.server->current);
}

static void a_watch_may_wait_for_other_things_or_nothing(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    watch = hop_watch_new(as(A), fds[1], 0, note_watch, NULL);
    turn();
    called_is("");
    assert_int_equal(hop_watch_set(server, watch, HOP_WRITABLE), 0);
    turn();
    called_is("w ");
    assert_int_equal(hop_watch_set(server, watch, HOP_READABLE | HOP_WRITABLE), 0);
    turn();
    called_is("w ");
    assert_int_equal(hop_watch_set(server, watch, 0), 0);
    turn();
    called_is("");
    assert_int_equal(hop_watch_set(server, watch, 4), -1);
    assert_int_equal(hop_watch_free(server, watch), 0);
    assert_int_equal(hop_watch_free(server, watch), -1);
    assert_int_equal(hop_watch_set(server, watch, HOP_WRITABLE), -1);
    assert_int_equal(plugins[A].async.n_watches, 0);
}

static void free_watch(hop_watch which, int fd, unsigned events, void *self)
{
    note_watch(which, fd, events, self);
    assert_int_equal(hop_watch_free(fixture.server, which), 0);
}

static void a_watch_may_free_itself(void **state)
{
    (void)state;
    watch = hop_watch_new(as(A), fds[1], HOP_WRITABLE, free_watch, NULL);
    turn();
    turn();
    called_is("w ");
    assert_int_equal(fcntl(fds[1], F_GETFD), FD_CLOEXEC); /* the plugin's own */
}

static void descriptors_that_cannot_be_waited_for_are_refused(void **state)
{
    int closed = dup(fds[0]), file = open(fixture.conf, O_RDONLY | O_CLOEXEC);

    (void)state;
    close(closed);
    assert_true(file >= 0);
    assert_int_equal(hop_watch_new(as(A), -1, HOP_READABLE, note_watch, NULL), 0);
    assert_int_equal(hop_watch_new(as(A), closed, HOP_READABLE, note_watch, NULL), 0);
    assert_int_equal(hop_watch_new(as(A), file, HOP_READABLE, note_watch, NULL), 0);
    assert_int_equal(hop_watch_new(as(A), fds[0], 4, note_watch, NULL), 0);
    assert_int_equal(hop_watch_new(as(A), fds[0], HOP_READABLE, NULL, NULL), 0);
    assert_int_equal(plugins[A].async.n_watches, 0);
    close(file);
}

static void a_descriptor_that_was_closed_is_an_error_not_a_crash(void **state)
{
    int copy = dup(fds[1]);

    (void)state;
    watch = hop_watch_new(as(A), copy, HOP_WRITABLE, note_watch, NULL);
    close(copy);
    assert_int_equal(hop_watch_set(fixture.server, watch, HOP_READABLE), -1);
    assert_int_equal(hop_watch_free(fixture.server, watch), 0);
}

static void the_watches_of_a_plugin_that_has_gone_never_come(void **state)
{
    (void)state;
    watch = hop_watch_new(as(A), fds[1], HOP_WRITABLE, note_watch, NULL);
    server_forget(fixture.server, &plugins[A]);
    turn();
    called_is("");
    assert_int_equal(hop_watch_free(fixture.server, watch), -1);
}

/* ---- posts */

static void note_post(void *self)
{
    note(self);
    if (fixture.server->current)
        note(fixture.server->current->name);
}

static int post(int plugin, const char *word)
{
    return hop_post(as(plugin), note_post, (void *)(uintptr_t)word);
}

static void a_post_runs_as_its_plugin(void **state)
{
    (void)state;
    assert_int_equal(post(A, "1"), 0);
    assert_int_equal(post(B, "2"), 0);
    fixture.server->current = NULL;
    assert_int_equal(hop_post(fixture.server, note_post, (void *)(uintptr_t) "3"), 0);
    called_is("");
    turn();
    called_is("1 a 2 b 3 ");
    assert_null(fixture.server->current);
    assert_true(plugins[A].busy_ns > 0);
}

static void post_stalls(void *self)
{
    (void)self;
    stall_ms(fixture.settings.slow_ms + 10);
}

static void a_slow_post_is_counted(void **state)
{
    (void)state;
    fixture.settings.slow_ms = 10;
    hop_post(as(A), post_stalls, NULL);
    turn();
    assert_int_equal(plugins[A].n_slow, 1);
}

static void a_post_of_a_plugin_that_has_gone_is_dropped(void **state)
{
    (void)state;
    post(A, "1");
    post(B, "2");
    server_forget(fixture.server, &plugins[A]);
    turn();
    called_is("2 b ");
}

/* ---- a plugin that is held */

static void a_timer_of_a_held_plugin_waits_until_it_is_released(void **state)
{
    (void)state;
    async_hold(&plugins[A]);
    once(A, 0, "a");
    once(B, 20, "b");
    turns_until(1);
    called_is("b ");
    async_release(fixture.server, &plugins[A]);
    turns_until(1);
    called_is("a ");
}

static void posts_and_watches_of_a_held_plugin_wait_until_it_is_released(void **state)
{
    (void)state;
    async_hold(&plugins[A]);
    watch = hop_watch_new(as(A), fds[1], HOP_WRITABLE, free_watch, NULL);
    assert_true(watch != HOP_NO_WATCH);
    post(A, "1");
    post(A, "2");
    turn();
    called_is("");
    post(A, "3");
    async_release(fixture.server, &plugins[A]);
    post(A, "4");
    turn();
    called_is("w 1 a 2 a 3 a 4 a ");
}

static void what_was_held_goes_with_its_plugin(void **state)
{
    (void)state;
    async_hold(&plugins[A]);
    post(A, "post");
    once(A, 0, "timer");
    turn();
    server_forget(fixture.server, &plugins[A]);
    once(B, 20, "b");
    turns_until(1);
    called_is("b ");
}

/* ---- */

static void metrics_tell_what_a_plugin_has(void **state)
{
    struct plugin *all[] = {&plugins[A], &plugins[B]};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    once(A, 60000, "1");
    once(A, 60000, "2");
    watch = hop_watch_new(as(B), fds[0], HOP_READABLE, note_watch, NULL);
    async_print_metrics(fixture.server, all, 2, out);
    fclose(out);
    assert_non_null(strstr(text, "\nsockhop_plugin_timers{plugin=\"a\"} 2\n"));
    assert_non_null(strstr(text, "\nsockhop_plugin_timers{plugin=\"b\"} 0\n"));
    assert_non_null(strstr(text, "\nsockhop_plugin_watches{plugin=\"b\"} 1\n"));
    assert_non_null(
        strstr(text, "\nsockhop_plugin_jobs{plugin=\"a\",state=\"queued\"} 0\n"));
    assert_non_null(strstr(text, "# TYPE sockhop_plugin_jobs gauge\n"));
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_come_in_the_order_of_their_times),
        TEST(a_timer_that_is_cancelled_never_comes),
        TEST(a_timer_repeats_until_it_cancels_itself),
        TEST(after_a_stall_a_timer_comes_once),
        TEST(a_timer_may_start_others_for_a_later_turn),
        TEST(a_crowd_of_timers_leaves_others_their_turn),
        TEST(times_that_are_none_are_refused),
        TEST(a_plugin_has_a_limited_number_of_timers),
        TEST(a_timer_may_cancel_one_that_is_due_as_well),
        TEST(a_timer_of_a_plugin_that_has_gone_never_fires),
        TEST(a_watch_comes_as_long_as_there_is_something),
        TEST(a_watch_may_wait_for_other_things_or_nothing),
        TEST(a_watch_may_free_itself),
        TEST(descriptors_that_cannot_be_waited_for_are_refused),
        TEST(a_descriptor_that_was_closed_is_an_error_not_a_crash),
        TEST(the_watches_of_a_plugin_that_has_gone_never_come),
        TEST(a_post_runs_as_its_plugin),
        TEST(a_slow_post_is_counted),
        TEST(a_post_of_a_plugin_that_has_gone_is_dropped),
        TEST(a_timer_of_a_held_plugin_waits_until_it_is_released),
        TEST(posts_and_watches_of_a_held_plugin_wait_until_it_is_released),
        TEST(what_was_held_goes_with_its_plugin),
        TEST(metrics_tell_what_a_plugin_has),
    };

    return cmocka_run_group_tests_name("async", tests, NULL, NULL);
}
