/*
 * test_owner.c - core/plugin/owner.c: whose code an address is, with a plugin that was loaded
 * from its file.
 */
#include "tests/unit/fakehub.h"

#include <pthread.h>

#include "core/plugin/owner.h"

static struct fixture fixture;

static struct plugin *open_plugin(void)
{
    fixture_open(&fixture, "[plugin:rooms]\n[plugin:later]\n", "tests/plugins/.libs");
    if (fixture_load(&fixture) < 0)
        fail_msg("%s", fixture.error.text);
    return fixture.server->loader->plugins[1];
}

static void nothing(void *self)
{
    (void)self;
}

static void code_is_its_plugins(void **state)
{
    struct plugin *plugin = open_plugin(), *found;

    (void)state;
    assert_true(plugin->owner != 0);
    assert_int_equal(owner_at((uintptr_t)plugin->entry.init), plugin->owner);
    assert_int_equal(owner_at((uintptr_t)plugin->entry.free), plugin->owner);
    assert_ptr_equal(owner_plugin(plugin->owner), plugin);
    assert_true(owner_at((uintptr_t)fixture.server->loader->plugins[0]->entry.init) !=
                plugin->owner);
    assert_true(owner_find(fixture.server, (uintptr_t)plugin->entry.free, &found));
    assert_ptr_equal(found, plugin);
    fixture_close(&fixture);
}

static void other_code_is_the_cores_or_of_who_runs(void **state)
{
    struct plugin *plugin = open_plugin(), *found;

    (void)state;
    assert_int_equal(owner_at((uintptr_t)nothing), 0);
    assert_int_equal(owner_at((uintptr_t)free), 0);
    assert_int_equal(owner_at(0), 0);
    assert_true(owner_find(fixture.server, (uintptr_t)nothing, &found));
    assert_null(found);
    fixture.server->current = plugin;
    assert_true(owner_find(fixture.server, (uintptr_t)nothing, &found));
    assert_ptr_equal(found, plugin);
    fixture.server->current = NULL;
    fixture_close(&fixture);
}

static void *post_from_elsewhere(void *arg)
{
    const struct plugin *plugin = arg;
    int result = hop_post(fixture.server, plugin->entry.free, plugin->state);

    return (void *)(intptr_t)result;
}

static intptr_t post_in_a_thread(struct plugin *plugin)
{
    pthread_t thread;
    void *result;

    assert_int_equal(pthread_create(&thread, NULL, post_from_elsewhere, plugin), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return (intptr_t)result;
}

/* Its free() is what is posted: it joins a thread, and to do that twice is a crash. */
static void code_of_a_plugin_that_has_gone_is_not_called(void **state)
{
    struct plugin *plugin = open_plugin(), *found;

    (void)state;
    assert_int_equal(post_in_a_thread(plugin), 0); /* in the lane when the plugin goes */
    loader_stop(fixture.server->loader, fixture.server);
    loops_drain(fixture.loops);
    assert_null(owner_plugin(plugin->owner));
    assert_int_equal(post_in_a_thread(plugin), -1);
    assert_false(owner_find(fixture.server, (uintptr_t)plugin->entry.free, &found));
    fixture_close(&fixture);
}

static void code_that_is_loaded_again_is_the_new_plugins(void **state)
{
    struct plugin *plugin;
    uint64_t first;

    (void)state;
    plugin = open_plugin();
    first = plugin->owner;
    loader_stop(fixture.server->loader, fixture.server);
    owner_enter(plugin); /* the code has stayed where it was */
    assert_true(plugin->owner != first);
    assert_int_equal(owner_at((uintptr_t)plugin->entry.init), plugin->owner);
    assert_null(owner_plugin(first));
    owner_unmap(plugin);
    assert_int_equal(owner_at((uintptr_t)plugin->entry.init), 0);
    fixture_close(&fixture);
}

static void a_plugin_without_code_has_a_number_too(void **state)
{
    struct plugin made = {.name = NULL};
    uint64_t owner;

    (void)state;
    owner = owner_of(&made);
    assert_int_equal(owner_of(&made), owner);
    assert_ptr_equal(owner_plugin(owner), &made);
    owner_leave(&made);
    assert_null(owner_plugin(owner));
    assert_null(owner_plugin(0));
    assert_true(owner_of(&made) != owner);
    owner_leave(&made);
    owners_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_is_its_plugins),
        cmocka_unit_test(other_code_is_the_cores_or_of_who_runs),
        cmocka_unit_test(code_of_a_plugin_that_has_gone_is_not_called),
        cmocka_unit_test(code_that_is_loaded_again_is_the_new_plugins),
        cmocka_unit_test(a_plugin_without_code_has_a_number_too),
    };

    return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
