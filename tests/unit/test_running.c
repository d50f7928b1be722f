/*
 * test_running.c - core/base/running.c, and what core/plugin/server.c tells it: whose code
 * runs, as another thread sees it.
 */
#include "tests/unit/fakehub.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/running.h"

enum { ROUNDS = 200000 };

static struct fixture fixture;
static struct plugin plugins[2] = {{.name = "a", .shown = "a"},
                                   {.name = "b", .shown = "b"}};

static int set_up(void **state)
{
    (void)state;
    fixture_open(&fixture, "", NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static void running_is(const char *plugin, const char *kind, const char *what)
{
    struct running running;

    assert_int_equal(running_get(&running), plugin != NULL);
    if (!plugin)
        return;
    assert_string_equal(running.plugin, plugin);
    assert_true(kind ? strcmp(running.kind, kind) == 0 : !running.kind);
    assert_true(what ? strcmp(running.what, what) == 0 : !running.what);
}

static void a_name_is_kept_once(void **state)
{
    char text[] = "chat";
    const char *name = running_name(text);

    (void)state;
    text[0] = 'x';
    assert_string_equal(name, "chat");
    assert_ptr_equal(running_name("chat"), name);
    assert_ptr_not_equal(running_name("cha"), name);
    assert_string_equal(running_name(""), "");
}

static void the_innermost_call_is_shown_and_then_the_outer_one(void **state)
{
    struct call outer, inner, core;

    (void)state;
    running_is(NULL, NULL, NULL);
    call_begin_as(fixture.server, &plugins[0], "event", "chat", &outer);
    running_is("a", "event", "chat");
    call_begin(fixture.server, &plugins[1], &inner);
    running_is("b", NULL, NULL);
    call_begin(fixture.server, NULL, &core);
    running_is(NULL, NULL, NULL);
    call_end(fixture.server, &core, NULL, NULL);
    running_is("b", NULL, NULL);
    call_end(fixture.server, &inner, "hook", "join");
    running_is("a", "event", "chat");
    call_end(fixture.server, &outer, "event", "chat");
    running_is(NULL, NULL, NULL);
    assert_null(fixture.server->call);
    assert_null(fixture.server->current);
}

static void *change_it(void *arg)
{
    atomic_bool *has_ended = arg;

    for (int i = 0; i < ROUNDS; i++) {
        running_set("a", "a", "a");
        running_clear();
        running_set("b", "b", "b");
    }
    atomic_store(has_ended, true);
    return NULL;
}

/* One call's plugin is never shown with another's event. */
static void another_thread_sees_whole_calls(void **state)
{
    static atomic_bool has_ended;
    struct running running;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, change_it, &has_ended), 0);
    while (!atomic_load(&has_ended))
        if (running_get(&running)) {
            assert_string_equal(running.plugin, running.kind);
            assert_string_equal(running.plugin, running.what);
        }
    pthread_join(thread, NULL);
    running_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_kept_once),
        cmocka_unit_test_setup_teardown(
            the_innermost_call_is_shown_and_then_the_outer_one, set_up, tear_down),
        cmocka_unit_test(another_thread_sees_whole_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
