/*
 * test_loader.c - core/plugin/{plugin,loader,server}.c: which files are plugins, what they
 * need, in which order they start; and every bad one refused with its place (T41).
 *
 * Loads the shared objects of tests/plugins.
 */
#include <sys/stat.h>

#include "tests/unit/fakehub.h"

static const char test_dir[] = "tests/plugins/.libs";

static struct fixture fixture;

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void plugins_start_in_the_order_of_the_conf_file(void **state)
{
    (void)state;
    fixture_open(&fixture, "[plugin:rooms]\n[plugin:kick]\n[plugin:ask]\n", test_dir);
    assert_int_equal(fixture_load(&fixture), 0);
    assert_int_equal(fixture.server->loader->n, 3);
    assert_string_equal(fixture.server->loader->plugins[0]->name, "rooms");
    assert_string_equal(fixture.server->loader->plugins[1]->name, "kick");
    assert_string_equal(fixture.server->loader->plugins[2]->name, "ask");
    fixture_close(&fixture);
}

static void who_is_wanted_starts_before(void **state)
{
    (void)state;
    fixture_open(&fixture, "[plugin:circle_b]\n[plugin:kick]\n", test_dir);
    assert_int_equal(fixture_load(&fixture), 0); /* circle_a is only wanted */
    fixture_close(&fixture);

    fixture_open(&fixture, "[plugin:lobby]\n[plugin:echo]\n[plugin:auth]\n",
                 "plugins/.libs");
    if (fixture_load(&fixture) < 0)
        fail_msg("%s", fixture.error.text);
    assert_string_equal(fixture.server->loader->plugins[0]->name, "echo");
    assert_string_equal(fixture.server->loader->plugins[1]->name, "auth");
    assert_string_equal(fixture.server->loader->plugins[2]->name, "lobby");
    assert_int_equal(fixture.server->loader->plugins[2]->conf_index, 0);
    fixture_close(&fixture);
}

static void a_disabled_plugin_is_not_even_opened(void **state)
{
    (void)state;
    fixture_open(&fixture,
                 "[plugin:nowhere]\nenabled = no\n[plugin:ask]\nenabled = yes\n",
                 test_dir);
    assert_int_equal(fixture_load(&fixture), 0);
    assert_int_equal(fixture.server->loader->n, 1);
    fixture_close(&fixture);
}

static void a_key_may_name_the_file(void **state)
{
    (void)state;
    fixture_open(&fixture, "[plugin:ask]\nfile = ../plugins/.libs/ask.so\n",
                 "tests/plugins");
    if (fixture_load(&fixture) < 0)
        fail_msg("%s", fixture.error.text);
    fixture_close(&fixture);
}

/* s.ini:1 is the place of the first line. */
static void a_bad_plugin_is_refused_with_its_place_and_the_reason(void **state)
{
    static const struct {
        const char *conf, *part[3];
    } rows[] = {
        {"[plugin:nowhere]\n",
         {"s.ini:1: plugin:nowhere: no such file",
          "nowhere.so: install it, fix plugin_dir", "enabled = no"}},
        {"\n[plugin:Bad]\n", {"s.ini:2: plugin:Bad: ", "no plugin's name"}},
        {"[plugin:a/b]\n", {"no plugin's name"}},
        {"[plugin:..]\n", {"no plugin's name"}},
        {"[plugin:]\n", {"no plugin's name"}},
        {"[plugin:aaaaaaaaaabbbbbbbbbbccccccccccddd]\n",
         {"no plugin's name", "at most 32"}},
        {"[plugin:bad_abi]\n",
         {"s.ini:1: plugin:bad_abi: ", "built for plugin ABI 1", "rebuild it"}},
        {"[plugin:bad_minor]\n", {"built for interface 0.2, this sockhop has 0.1"}},
        {"[plugin:bad_name]\n", {"holds the plugin \"other\"", "[plugin:other]"}},
        {"[plugin:bad_entry]\n", {"exports no hop_plugin_entry"}},
        {"[plugin:bad_symbol]\n",
         {"hop_from_the_future is missing: built for a newer sockhop",
          "this one has interface 0.1"}},
        {"[plugin:bad_key]\n", {"far: it lies outside of the state"}},
        {"[plugin:bad_init]\n",
         {"s.ini:1: plugin:bad_init: cannot open the pod bay doors"}},
        {"[plugin:bad_event]\n", {"plugin:bad_event: ", "disconnecting", "reserved"}},
        {"[plugin:needy]\n",
         {"plugin:needy: needs the plugin echo: add a section [plugin:echo]"}},
        {"[plugin:needy]\n[plugin:echo]\nenabled = no\n",
         {"s.ini:1: plugin:needy: needs the plugin echo, which is turned off at",
          "s.ini:2: remove its enabled = no"}},
        {"[plugin:circle_a]\n[plugin:circle_b]\n",
         {"wait for each other", "circle_a -> circle_b -> circle_a"}},
        {"[plugin:ask]\ntimeuot = 5s\n",
         {"s.ini:2: plugin:ask.timeuot: ", "\"timeout\""}},
        {"[plugin:ask]\ntimeout = soon\n", {"s.ini:2: plugin:ask.timeout: "}},
        {"[plugin:ask]\nenabled = maybe\n", {"s.ini:2: plugin:ask.enabled: "}},
        {"[plugin:ask]\n[plugin:kick]\nx = 1\n", {"s.ini:3: plugin:kick.x: unknown key"}},
        {"[plugin:ask]\nfile = /\n", {"is not a regular file"}},
        {"[plugin:ask]\nfile = ask.la.no\n", {"no such file"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fixture_open(&fixture, rows[i].conf, test_dir);
        if (fixture_load(&fixture) == 0)
            fail_msg("taken: %s", rows[i].conf);
        for (size_t part = 0; part < 3 && rows[i].part[part]; part++)
            expect_in(fixture.error.text, rows[i].part[part]);
        fixture_close(&fixture);
    }
}

static void what_started_before_a_failure_is_stopped_again(void **state)
{
    (void)state;
    fixture_open(&fixture,
                 "[plugin:skeleton]\n[plugin:echo]\n[plugin:bad_init]\n"
                 "file = ../../tests/plugins/.libs/bad_init.so\n",
                 "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), -1);
    expect_in(fixture.error.text, "the pod bay doors");
    fake_connect(1);
    fake_event(1, "[\"echo\",1]", 1);
    fake_event(1, "[\"note\",\"x\"]", 1);
    fake_event(1, "[\"never\"]", 1);
    fake_sent_is("");
    fixture_close(&fixture);
}

/* Copies a plugin next to the conf file, to change its mode there. */
static void copy_plugin(const char *name, mode_t mode)
{
    char from[400], to[200], block[4096];
    size_t len;
    FILE *in, *out;

    snprintf(from, sizeof from, "%s/%s.so", fixture.settings.plugin_dir, name);
    snprintf(to, sizeof to, "%s/%s.so", fixture.folder, name);
    in = fopen(from, "r");
    out = fopen(to, "w");
    assert_true(in && out);
    while ((len = fread(block, 1, sizeof block, in)) > 0)
        assert_int_equal(fwrite(block, 1, len, out), len);
    fclose(in);
    fclose(out);
    assert_int_equal(chmod(to, mode), 0);
}

static void a_file_that_everybody_may_write_is_refused(void **state)
{
    static const struct {
        mode_t mode;
        bool is_taken;
    } rows[] = {{0644, true}, {0755, true}, {0775, true}, {0646, false}, {0777, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *build_dir;
        char path[100];

        fixture_open(&fixture, "[plugin:ask]\n", test_dir);
        copy_plugin("ask", rows[i].mode);
        build_dir = fixture.settings.plugin_dir;
        fixture.settings.plugin_dir = fixture.folder;
        assert_true((fixture_load(&fixture) == 0) == rows[i].is_taken);
        if (!rows[i].is_taken)
            expect_in(fixture.error.text, "chmod o-w");
        fixture.settings.plugin_dir = build_dir;
        snprintf(path, sizeof path, "%s/ask.so", fixture.folder);
        unlink(path);
        fixture_close(&fixture);
    }
}

/* The whole of what a function prints. */
static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static void print_metrics(FILE *out)
{
    server_print_metrics(fixture.server, out);
}

static void print_config(FILE *out)
{
    hop_error error;

    assert_int_equal(server_print_config(&fixture.settings, fixture.config, out, &error),
                     0);
}

static void metrics_count_events_by_plugin_and_verdict(void **state)
{
    char *text;

    (void)state;
    fixture_open(&fixture, "[plugin:echo]\n[plugin:skeleton]\n", "plugins/.libs");
    assert_int_equal(fixture_load(&fixture), 0);
    fake_connect(1);
    fake_event(1, "[\"echo\"]", NO_ACK);
    fake_event(1, "[\"echo\"]", NO_ACK);
    fake_event(1, "[\"note\",5]", NO_ACK);
    text = printed(print_metrics);
    expect_in(text, "sockhop_plugin_info{plugin=\"echo\",version=\"1.0\"} 1\n");
    expect_in(text, "sockhop_plugin_events_total{plugin=\"echo\",verdict=\"stop\"} 2\n");
    expect_in(text,
              "sockhop_plugin_events_total{plugin=\"skeleton\",verdict=\"reject\"} 1\n");
    expect_in(text, "# TYPE sockhop_plugin_seconds_total counter\n");
    free(text);
    fixture_close(&fixture);
}

static void checking_and_printing_run_no_plugin(void **state)
{
    hop_error error;
    char *text;

    (void)state;
    fixture_open(&fixture, "[plugin:bad_init]\n[plugin:ask]\ntimeout = 5s\n", test_dir);
    assert_int_equal(server_check(&fixture.settings, fixture.config, &error), 0);
    text = printed(print_config);
    expect_in(text, "[plugin:bad_init]\nenabled = yes\n");
    expect_in(text, "[plugin:ask]\nenabled = yes\nfile =\ntimeout = 5s");
    free(text);
    fixture_close(&fixture);

    fixture_open(&fixture, "[plugin:ask]\ntimeout = soon\n", test_dir);
    assert_int_equal(server_check(&fixture.settings, fixture.config, &error), -1);
    expect_in(error.text, "s.ini:2: plugin:ask.timeout: ");
    fixture_close(&fixture);
}

static void a_server_without_plugins_is_fine(void **state)
{
    (void)state;
    fixture_open(&fixture, "[server]\n", NULL);
    assert_int_equal(fixture_load(&fixture), 0);
    fake_connect(1);
    fake_event(1, "[\"x\"]", 1);
    fake_sent_is("");
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_start_in_the_order_of_the_conf_file),
        cmocka_unit_test(who_is_wanted_starts_before),
        cmocka_unit_test(a_disabled_plugin_is_not_even_opened),
        cmocka_unit_test(a_key_may_name_the_file),
        cmocka_unit_test(a_bad_plugin_is_refused_with_its_place_and_the_reason),
        cmocka_unit_test(what_started_before_a_failure_is_stopped_again),
        cmocka_unit_test(a_file_that_everybody_may_write_is_refused),
        cmocka_unit_test(metrics_count_events_by_plugin_and_verdict),
        cmocka_unit_test(checking_and_printing_run_no_plugin),
        cmocka_unit_test(a_server_without_plugins_is_fine),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
