/*
 * test_loader.c - core/plugin/{plugin,loader,server}.c: which files are plugins, what they
 * need, in which order they start; and every bad one refused with its place (T41).
 *
 * Loads the shared objects of tests/plugins.
 */
#include <elf.h>
#include <link.h>
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
        {"[plugin:bad_minor]\n", {"built for interface 0.5, this sockhop has 0.4"}},
        {"[plugin:bad_name]\n", {"holds the plugin \"other\"", "[plugin:other]"}},
        {"[plugin:bad_entry]\n", {"exports no hop_plugin_entry"}},
        {"[plugin:bad_symbol]\n",
         {"hop_from_the_future is missing: built for a newer sockhop",
          "this one has interface 0.4"}},
        {"[plugin:bad_key]\n", {"far: it lies outside of the state"}},
        {"[plugin:bad_init]\n",
         {"s.ini:1: plugin:bad_init: cannot open the pod bay doors"}},
        {"[plugin:bad_event]\n", {"plugin:bad_event: ", "disconnecting", "reserved"}},
        {"[plugin:bad_check]\n", {"s.ini:1: plugin:bad_check: no good"}},
        {"[plugin:bad_check]\ngood = no\nblame = good\n",
         {"s.ini:2: plugin:bad_check.good: no good"}},
        {"[plugin:bad_check]\nblame = good\n",
         {"s.ini:1: plugin:bad_check.good: no good"}}, /* not set: its default */
        {"[plugin:bad_check]\nblame = nobody\n", {"s.ini:1: plugin:bad_check: no good"}},
        {"[plugin:bad_check]\nreason =\n",
         {"plugin:bad_check: check() failed and gave no reason"}},
        {"[plugin:bad_check]\ngood = yes\n", {"init() has run"}},
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

/* ---- files that are no good: built from a good one in the fixture's folder, as ask.so */

static char *read_file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "r");
    char *text;

    if (!in)
        fail_msg("cannot open %s", path);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *len = (size_t)ftell(in);
    rewind(in);
    text = malloc(*len);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *len, in), *len);
    fclose(in);
    return text;
}

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
}

/* The good plugin, and where its copy is to be. */
struct copy {
    char *text; /* owned */
    size_t len;
    char path[200];
};

static void copy_open(struct copy *copy)
{
    char from[400];

    fixture_open(&fixture, "[plugin:ask]\n", test_dir);
    snprintf(from, sizeof from, "%s/ask.so", fixture.settings.plugin_dir);
    copy->text = read_file(from, &copy->len);
    snprintf(copy->path, sizeof copy->path, "%s/ask.so", fixture.folder);
}

/* Load the copy in place of the built one. */
static int copy_load(void)
{
    const char *build_dir = fixture.settings.plugin_dir;
    int result;

    fixture.settings.plugin_dir = fixture.folder;
    result = fixture_load(&fixture);
    fixture.settings.plugin_dir = build_dir;
    return result;
}

static void copy_close(struct copy *copy)
{
    unlink(copy->path);
    rmdir(copy->path);
    free(copy->text);
    fixture_close(&fixture);
}

static void a_file_that_everybody_may_write_is_refused(void **state)
{
    static const struct {
        mode_t file, folder;
        const char *complaint; /* NULL: taken */
    } rows[] = {
        {0644, 0755, NULL},
        {0755, 0775, NULL},
        {0775, 0700, NULL},
        {0646, 0755, "ask.so may be written by everybody: chmod o-w it"},
        {0777, 0755, "ask.so may be written by everybody: chmod o-w it"},
        {0644, 0777, "to which everybody may write: chmod o-w it"},
        {0644, 0757, "to which everybody may write: chmod o-w it"},
        {0644, 01777, NULL}, /* as /tmp: nobody else may put another in its place */
        {0646, 01777, "ask.so may be written by everybody"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct copy copy;

        copy_open(&copy);
        write_file(copy.path, copy.text, copy.len, rows[i].file);
        assert_int_equal(chmod(fixture.folder, rows[i].folder), 0);
        assert_int_equal(copy_load(), rows[i].complaint ? -1 : 0);
        if (rows[i].complaint)
            expect_in(fixture.error.text, rows[i].complaint);
        copy_close(&copy);
    }
}

static void the_folder_that_a_link_leads_to_counts(void **state)
{
    char folder[200], target[300];
    struct copy copy;

    (void)state;
    copy_open(&copy);
    snprintf(folder, sizeof folder, "%s/open", fixture.folder);
    snprintf(target, sizeof target, "%s/file", folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    write_file(target, copy.text, copy.len, 0644);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(symlink(target, copy.path), 0);
    assert_int_equal(copy_load(), -1);
    expect_in(fixture.error.text, "/open, to which everybody may write");
    unlink(target);
    rmdir(folder);
    copy_close(&copy);
}

/* Each of 2 bytes of the head, as this machine writes them. */
static void set_half(struct copy *copy, size_t offset, uint16_t value)
{
    memcpy(copy->text + offset, &value, sizeof value);
}

static void expect_refused(struct copy *copy, size_t len, const char *complaint)
{
    assert_true(len <= copy->len);
    write_file(copy->path, copy->text, len, 0644);
    if (copy_load() == 0)
        fail_msg("taken, should be: %s", complaint);
    expect_in(fixture.error.text, "s.ini:1: plugin:ask: ");
    expect_in(fixture.error.text, "ask.so");
    expect_in(fixture.error.text, complaint);
}

static void a_file_that_is_no_shared_object_of_this_machine_is_refused(void **state)
{
    static const char none[] = "is no shared object: give the .so";
    static const char other[] = "is for another kind of machine: build it for this one";
    static const char program[] = "link it with -shared";
    static const char cut[] = "is cut off: copy or build it again";
    static const struct {
        size_t offset; /* of a half word of the head */
        uint16_t value;
        const char *complaint;
    } rows[] = {
        {0, 0x457e, none},
        {2, 0x4c45, none},
        {offsetof(ElfW(Ehdr), e_ident) + EI_CLASS, ELFCLASSNONE, other},
        {offsetof(ElfW(Ehdr), e_ident) + EI_CLASS,
         ELFDATA2LSB << 8 | (sizeof(void *) == 8 ? ELFCLASS32 : ELFCLASS64), other},
        {offsetof(ElfW(Ehdr), e_ident) + EI_DATA, ELFDATANONE, other},
        {offsetof(ElfW(Ehdr), e_machine), EM_NONE, other},
        {offsetof(ElfW(Ehdr), e_machine), EM_SPARC, other},
        {offsetof(ElfW(Ehdr), e_machine), EM_S390, other},
        {offsetof(ElfW(Ehdr), e_type), ET_EXEC, program},
        {offsetof(ElfW(Ehdr), e_type), ET_REL, program},
        {offsetof(ElfW(Ehdr), e_type), ET_CORE, program},
        {offsetof(ElfW(Ehdr), e_phnum), 65535, cut},
        {offsetof(ElfW(Ehdr), e_phentsize), 0, cut},
        {offsetof(ElfW(Ehdr), e_shnum), 65535, cut},
        {offsetof(ElfW(Ehdr), e_phoff) + sizeof(void *) - 2, 65535, cut},
        {offsetof(ElfW(Ehdr), e_shoff) + sizeof(void *) - 2, 65535, cut},
    };
    struct copy copy;
    uint16_t kept;

    (void)state;
    copy_open(&copy);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memcpy(&kept, copy.text + rows[i].offset, sizeof kept);
        set_half(&copy, rows[i].offset, rows[i].value);
        expect_refused(&copy, copy.len, rows[i].complaint);
        set_half(&copy, rows[i].offset, kept);
    }
    expect_refused(&copy, 0, none);
    expect_refused(&copy, SELFMAG - 1, none);
    for (size_t len = SELFMAG; len < sizeof(ElfW(Ehdr)); len++)
        expect_refused(&copy, len, cut);
    /* dlopen() alone is killed by SIGBUS in most of these */
    for (size_t len = sizeof(ElfW(Ehdr)); len < copy.len; len += copy.len / 200 + 1)
        expect_refused(&copy, len, cut);
    expect_refused(&copy, copy.len - 1, cut);
    memset(copy.text, '#', copy.len);
    expect_refused(&copy, copy.len, none);
    copy_close(&copy);
}

static void what_is_no_file_at_all_is_refused(void **state)
{
    struct copy copy;

    (void)state;
    copy_open(&copy);
    assert_int_equal(mkdir(copy.path, 0755), 0);
    assert_int_equal(copy_load(), -1);
    expect_in(fixture.error.text, "ask.so is not a regular file");
    rmdir(copy.path);
    assert_int_equal(mkfifo(copy.path, 0644), 0);
    assert_int_equal(copy_load(), -1); /* and waits for nobody */
    expect_in(fixture.error.text, "ask.so is not a regular file");
    unlink(copy.path);
    assert_int_equal(symlink("/dev/zero", copy.path), 0);
    assert_int_equal(copy_load(), -1);
    expect_in(fixture.error.text, "ask.so is not a regular file");
    unlink(copy.path);
    assert_int_equal(symlink("ask.so", copy.path), 0);
    assert_int_equal(copy_load(), -1);
    expect_in(fixture.error.text, "Too many levels of symbolic links");
    unlink(copy.path);
    assert_int_equal(symlink("nowhere", copy.path), 0);
    assert_int_equal(copy_load(), -1);
    expect_in(fixture.error.text, "no such file");
    copy_close(&copy);
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

static void a_check_asks_the_plugins_own(void **state)
{
    hop_error error;

    (void)state;
    fixture_open(&fixture, "[plugin:bad_check]\nblame = reason\nreason = no\n", test_dir);
    assert_int_equal(server_check(&fixture.settings, fixture.config, &error), -1);
    assert_non_null(strstr(error.text, "s.ini:3: plugin:bad_check.reason: no"));
    assert_int_equal(
        server_print_config(&fixture.settings, fixture.config, stdout, &error), -1);
    fixture_close(&fixture);

    fixture_open(&fixture, "[plugin:bad_check]\ngood = yes\n", test_dir);
    assert_int_equal(server_check(&fixture.settings, fixture.config, &error), 0);
    fixture_close(&fixture);
}

static void a_check_reads_the_keys_of_what_is_turned_off(void **state)
{
    static const struct {
        const char *conf, *complaint; /* NULL: none */
    } rows[] = {
        {"[plugin:ask]\nenabled = no\ntimeuot = 5s\n",
         "s.ini:3: plugin:ask.timeuot: unknown key; did you mean \"timeout\"?"},
        {"[plugin:ask]\ntimeout = soon\nenabled = off\n",
         "s.ini:2: plugin:ask.timeout: "},
        {"[plugin:ask]\nenabled = no\ntimeout = 5s\n", NULL},
        {"[plugin:bad_check]\nenabled = no\n", NULL}, /* its values may wait */
        {"[plugin:needy]\nenabled = no\n", NULL},     /* its needs as well */
        {"[plugin:nowhere]\nenabled = no\nx = 1\n", NULL},
        {"[plugin:bad_abi]\nenabled = no\nx = 1\n", NULL},
        {"[plugin:bad_entry]\nenabled = no\nx = 1\n", NULL},
        {"[plugin:../..]\nenabled = no\nx = 1\n", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hop_error error = {""};
        int result;

        fixture_open(&fixture, rows[i].conf, test_dir);
        result = server_check(&fixture.settings, fixture.config, &error);
        if (result != (rows[i].complaint ? -1 : 0))
            fail_msg("%s: %d %s", rows[i].conf, result, error.text);
        if (rows[i].complaint)
            expect_in(error.text, rows[i].complaint);
        assert_int_equal(fixture_load(&fixture), 0); /* the start goes on */
        fixture_close(&fixture);
    }
}

static void a_plugin_of_an_older_minor_runs(void **state)
{
    (void)state;
    fixture_open(&fixture, "[plugin:old_minor]\n", test_dir);
    if (fixture_load(&fixture) < 0)
        fail_msg("%s", fixture.error.text);
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
        cmocka_unit_test(the_folder_that_a_link_leads_to_counts),
        cmocka_unit_test(a_file_that_is_no_shared_object_of_this_machine_is_refused),
        cmocka_unit_test(what_is_no_file_at_all_is_refused),
        cmocka_unit_test(metrics_count_events_by_plugin_and_verdict),
        cmocka_unit_test(checking_and_printing_run_no_plugin),
        cmocka_unit_test(a_check_asks_the_plugins_own),
        cmocka_unit_test(a_check_reads_the_keys_of_what_is_turned_off),
        cmocka_unit_test(a_plugin_of_an_older_minor_runs),
        cmocka_unit_test(a_server_without_plugins_is_fine),
    };

    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
