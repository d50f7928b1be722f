/*
 * test_config.c - promises of core/base/config*.c: every wrong conf file is refused with
 * its place and the way out.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/config.h"

#define BYTES(literal) (literal), sizeof(literal) - 1
#define TEN "aaaaaaaaaa"
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN

static hop_error error;

static struct config *parse(const char *text)
{
    struct config *config = config_parse("x.ini", text, strlen(text), &error);

    if (!config)
        fail_msg("%s", error.text);
    return config;
}

static void assert_key(const struct config *config, const char *section, const char *key,
                       const char *value)
{
    const char *found = config_get(config, section, key);

    assert_non_null(found);
    assert_string_equal(found, value);
}

/* ---- reading */

static void sections_and_keys_are_found_with_their_places(void **state)
{
    struct config *config = parse("; comment\n"
                                  "[server]\n"
                                  "port = 80\n"
                                  "\n"
                                  "# comment\n"
                                  "  listen=::1\n"
                                  "[plugin:echo]\n"
                                  "[ plugin:lobby ] ; rooms\n"
                                  "name : a b");

    (void)state;
    assert_string_equal(config_section(config, 0), "server");
    assert_string_equal(config_section(config, 1), "plugin:echo");
    assert_string_equal(config_section(config, 2), "plugin:lobby");
    assert_null(config_section(config, 3));
    assert_string_equal(config_section_place(config, "plugin:echo"), "x.ini:7");
    assert_null(config_section_place(config, "plugin:auth"));
    assert_key(config, "server", "port", "80");
    assert_key(config, "server", "listen", "::1");
    assert_key(config, "plugin:lobby", "name", "a b");
    assert_string_equal(config_key_place(config, "plugin:lobby", "name"), "x.ini:9");
    assert_string_equal(config_key(config, "server", 0), "port");
    assert_string_equal(config_key(config, "server", 1), "listen");
    assert_null(config_key(config, "server", 2));
    assert_null(config_key(config, "plugin:echo", 0));
    assert_null(config_key(config, "none", 0));
    assert_null(config_get(config, "server", "Port"));
    assert_null(config_get(config, "none", "port"));
    config_free(config);
}

/* {text, value of [s] k} */
static void odd_but_right_lines_are_read(void **state)
{
    static const char *const cases[][2] = {
        {"[s]\nk = v", "v"},
        {"\xef\xbb\xbf[s]\nk = v\n", "v"},
        {"[s]\r\nk = v\r\n\r\n", "v"},
        {"[s]\n\t  k\t=\tv\t\n", "v"},
        {"[s]\n  j = 1\n    k = v\n", "v"}, /* no continuation of j */
        {"[s]\nk = v ; comment\n", "v"},
        {"[s]\nk = a;b\n", "a;b"},
        {"[s]\nk = a # b\n", "a # b"},
        {"[s]\nk = a=b:c\n", "a=b:c"},
        {"[s]\nk =\n", ""},
        {"[s]\nk = ; comment\n", ""},
        {"[s]\nk = [a]\n", "[a]"},
        {"[s]\nk = \"v\"\n", "\"v\""},
        {"[s]\nk = gr\xc3\xbc\xc3\x9f\n", "gr\xc3\xbc\xc3\x9f"},
        {"; \xff latin\n[s]\nk = v\n", "v"}, /* a comment may be anything but NUL */
        {"[s]\nk = " NINETY NINETY TEN "123\n", NINETY NINETY TEN "123"}, /* 198 - 0 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *config = parse(cases[i][0]);

        assert_key(config, "s", "k", cases[i][1]);
        config_free(config);
    }
}

static void an_empty_text_has_no_sections(void **state)
{
    struct config *config = parse("");

    (void)state;
    assert_null(config_section(config, 0));
    config_free(config);
    config = parse("\n\r\n  \n;\n#");
    assert_null(config_section(config, 0));
    config_free(config);
    config_free(NULL);
}

static void wrong_texts_are_refused_with_the_line(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *reason;
    } cases[] = {
        {BYTES("port = 80\n"),
         "x.ini:1: port: the key stands in no section: put it below "
         "\"[server]\" or another"},
        {BYTES("[a]\n\n[b]\n[a]\n"),
         "x.ini:4: a: section appears twice (first at x.ini:1): merge them"},
        {BYTES("[a]\n[ a ]\n"),
         "x.ini:2: a: section appears twice (first at x.ini:1): merge them"},
        {BYTES("[a]\nk=1\nl=1\nk=2\n"),
         "x.ini:4: a.k: key appears twice (first at x.ini:2): keep one"},
        {BYTES("[a]\nhello\n"),
         "x.ini:2: \"hello\" is neither \"[section]\" nor \"key = value\""},
        {BYTES("[a]\nhello"),
         "x.ini:2: \"hello\" is neither \"[section]\" nor \"key = value\""},
        {BYTES("[a]\nhello ; = 1\nk=1\nk=2\n"),
         "x.ini:2: \"hello ; = 1\" is neither \"[section]\" nor \"key = value\""},
        {BYTES("[a]\n= 1\n"), "x.ini:2: the key has no name: write \"key = value\""},
        {BYTES("[a]\n: 1\n"), "x.ini:2: the key has no name: write \"key = value\""},
        {BYTES("[a\n"), "x.ini:1: a section's line is \"[name]\" and nothing else"},
        {BYTES("[\n"), "x.ini:1: a section's line is \"[name]\" and nothing else"},
        {BYTES("[a] k = 1\n"),
         "x.ini:1: a section's line is \"[name]\" and nothing else"},
        {BYTES("\n[]\n"), "x.ini:2: the section has no name: write \"[name]\""},
        {BYTES("[  ]\n"), "x.ini:1: the section has no name: write \"[name]\""},
        {BYTES("[a]\nk = 1\0 2\n"),
         "x.ini:2: the line has a NUL byte: save the file as UTF-8 text"},
        {BYTES("; \0\n"),
         "x.ini:1: the line has a NUL byte: save the file as UTF-8 text"},
        {BYTES("\xff\xfe[\0a\0]\0"),
         "x.ini:1: the line has a NUL byte: save the file as UTF-8 text"},
        {BYTES("[a]\nk = \x1b[2J\n"),
         "x.ini:2: the line has a control byte: save the file as UTF-8 text"},
        {BYTES("[a]\rk = 1\r"),
         "x.ini:1: the line has a control byte: save the file as UTF-8 text"},
        {BYTES("[a]\nk = gr\xfc\n"),
         "x.ini:2: the line has bytes that are not UTF-8: save the file as UTF-8 text"},
        {BYTES("[a]\nk = " NINETY NINETY TEN "12345\n"),
         "x.ini:2: the line has 199 bytes: at most 198"},
        {BYTES("; " NINETY NINETY NINETY "\n"),
         "x.ini:1: the line has 272 bytes: at most 198"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config *config =
            config_parse("x.ini", cases[i].text, cases[i].len, &error);

        if (config)
            fail_msg("taken: %s", cases[i].text);
        assert_string_equal(error.text, cases[i].reason);
    }
}

/* A cut never crashes, and what it leaves is as good as the whole file's beginning. */
static void every_beginning_of_a_file_is_survived(void **state)
{
    static const char text[] = "\xef\xbb\xbf; c\r\n[server]\r\n port = 1 ; x\r\n"
                               "[plugin:a]\nk : \xc3\xbc\n[b]";

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        char *exact = malloc(len ? len : 1); /* so that ASan sees a read beyond */
        struct config *config;

        memcpy(exact, text, len);
        config = config_parse("x.ini", exact, len, &error);
        free(exact);
        config_free(config);
    }
}

static void too_many_sections_and_keys_are_refused(void **state)
{
    char *text = malloc(1 << 16);
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 1001; i++)
        len += (size_t)sprintf(text + len, "[s%d]\n", i);
    assert_null(config_parse("x.ini", text, len, &error));
    assert_string_equal(error.text, "x.ini:1001: s1000: more than 1000 sections");
    len = (size_t)sprintf(text, "[s]\n");
    for (int i = 0; i < 1001; i++)
        len += (size_t)sprintf(text + len, "k%d=1\n", i);
    assert_null(config_parse("x.ini", text, len, &error));
    assert_string_equal(error.text, "x.ini:1002: s: more than 1000 keys");
    free(text);
}

/* ---- files */

static char *old_folder;

static int enter_folder(void **state)
{
    const char *parent = getenv("TMPDIR");
    char name[256];

    (void)state;
    snprintf(name, sizeof name, "%s/test_config.XXXXXX", parent ? parent : "/tmp");
    old_folder = getcwd(NULL, 0);
    return mkdtemp(name) && chdir(name) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    char *folder = getcwd(NULL, 0);
    char command[512];
    int result;

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    result = chdir(old_folder) == 0 && system(command) == 0 ? 0 : -1;
    free(folder);
    free(old_folder);
    return result;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct config *load(const char *path)
{
    struct config *config = config_load(path, &error);

    if (!config)
        fail_msg("%s", error.text);
    return config;
}

static void assert_not_loaded(const char *path, const char *reason)
{
    assert_null(config_load(path, &error));
    assert_string_equal(error.text, reason);
}

static void files_that_are_no_conf_files_are_refused(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    put("secret", "");
    chmod("secret", 0);
    assert_not_loaded("none", "none: cannot be opened: No such file or directory");
    assert_not_loaded("", ": cannot be opened: No such file or directory");
    assert_not_loaded("folder", "folder: is a folder, not a conf file");
    assert_not_loaded("fifo", "fifo: is no regular file, not a conf file");
    assert_not_loaded("/dev/null", "/dev/null: is no regular file, not a conf file");
    if (geteuid() != 0)
        assert_not_loaded("secret", "secret: cannot be opened: Permission denied");
    fd = open("large", O_WRONLY | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
    close(fd);
    assert_not_loaded("large", "large: larger than 1048576 bytes: is it a conf file?");
}

static void included_files_come_in_name_order(void **state)
{
    struct config *config;

    (void)state;
    mkdir("conf", 0700);
    mkdir("conf/d[1]", 0700); /* the folder of the file is no pattern */
    mkdir("conf/d[1]/conf.d", 0700);
    put("conf/d[1]/x.ini", "[server]\ninclude = conf.d/*.ini, extra, none/*.ini\n[b]\n");
    put("conf/d[1]/extra", "[z]\n[c]");
    put("conf/d[1]/conf.d/20.ini", "[y]\nk = 1");
    put("conf/d[1]/conf.d/10.ini", "[x]");
    put("conf/d[1]/conf.d/10.txt", "not read");
    config = load("conf/d[1]/x.ini");
    assert_string_equal(config_section(config, 0), "server");
    assert_string_equal(config_section(config, 1), "b");
    assert_string_equal(config_section(config, 2), "x");
    assert_string_equal(config_section(config, 3), "y");
    assert_string_equal(config_section(config, 4), "z");
    assert_string_equal(config_section(config, 5), "c");
    assert_null(config_section(config, 6));
    assert_string_equal(config_key_place(config, "y", "k"), "conf/d[1]/conf.d/20.ini:2");
    config_free(config);
}

static void wrong_includes_are_refused(void **state)
{
    (void)state;
    mkdir("d", 0700);
    mkdir("e", 0700);
    mkdir("e/sub", 0700);
    put("d/a.ini", "[plugin:a]\n");
    put("d/b.ini", "\n[plugin:a]\n");
    put("bad", "[b]\nhello\n");
    put("again", "[b]\n[server]\ninclude = d/*\n");

    put("x.ini", "[server]\n\ninclude = none.ini\n");
    assert_not_loaded("x.ini", "x.ini:3: server.include: none.ini: cannot be opened: No "
                               "such file or directory");
    put("x.ini", "[server]\ninclude = d/*.ini\n");
    assert_not_loaded("x.ini", "d/b.ini:2: plugin:a: section appears twice (first at "
                               "d/a.ini:1): merge them");
    put("x.ini", "[server]\ninclude = d/a*.ini\n[plugin:a]\n");
    assert_not_loaded("x.ini", "d/a.ini:1: plugin:a: section appears twice (first at "
                               "x.ini:3): merge them");
    put("x.ini", "[server]\ninclude = bad\n");
    assert_not_loaded("x.ini",
                      "bad:2: \"hello\" is neither \"[section]\" nor \"key = value\"");
    put("x.ini", "[server]\ninclude = *.ini\n");
    assert_not_loaded("x.ini", "x.ini:2: server.include: x.ini has been read already: "
                               "name it once");
    put("x.ini", "[server]\ninclude = d/a.ini, d/../d/a.ini\n");
    assert_not_loaded("x.ini", "x.ini:2: server.include: d/../d/a.ini has been read "
                               "already: name it once");
    put("x.ini", "[server]\ninclude = e/*\n");
    assert_not_loaded("x.ini",
                      "x.ini:2: server.include: e/sub: is a folder, not a conf file");
    put("x.ini", "[server]\ninclude = again\n");
    assert_not_loaded("x.ini", "again:2: server: section appears twice (first at "
                               "x.ini:1): merge them");
}

/* ---- overrides */

static void overrides_win_and_make_sections(void **state)
{
    struct config *config = parse("[server]\nport = 1\n");

    (void)state;
    assert_int_equal(config_override(config, "server.port=2", &error), 0);
    assert_int_equal(config_override(config, "server.port = 3 ", &error), 0);
    assert_int_equal(config_override(config, "plugin:a.b.k=x=y.z", &error), 0);
    assert_int_equal(config_override(config, "plugin:lobby.notices=", &error), 0);
    assert_int_equal(config_override(config, "plugin:lobby.text=a;b; c", &error), 0);
    config_override_from(config, "server", "port", "3", "PORT");
    assert_key(config, "server", "port", "3");
    assert_key(config, "plugin:a.b", "k", "x=y.z");
    assert_key(config, "plugin:lobby", "notices", "");
    assert_key(config, "plugin:lobby", "text", "a;b; c");
    assert_string_equal(config_key_place(config, "server", "port"), "PORT");
    assert_string_equal(config_section_place(config, "server"), "x.ini:1");
    assert_string_equal(config_section_place(config, "plugin:lobby"), "-o");
    config_free(config);
}

static void wrong_overrides_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"", "-o: \"\" is no assignment: write section.key=value"},
        {"port", "-o: \"port\" is no assignment: write section.key=value"},
        {"port=1", "-o: \"port=1\" is no assignment: write section.key=value"},
        {"port=1.5", "-o: \"port=1.5\" is no assignment: write section.key=value"},
        {".port=1", "-o: \".port=1\" is no assignment: write section.key=value"},
        {"server.=1", "-o: \"server.=1\" is no assignment: write section.key=value"},
        {"a.b=\n", "-o: the text has a control byte: use UTF-8 text"},
        {"a.b=\xff", "-o: the text has bytes that are not UTF-8: use UTF-8 text"},
        {"a.b=x ;y",
         "-o: a.b: the value has a \";\" after a blank: a conf file could not "
         "hold it, there a comment starts so"},
        {"a.b= ;", "-o: a.b: the value has a \";\" after a blank: a conf file could not "
                   "hold it, there a comment starts so"},
        {"server.include=x", "-o: server.include: the conf files have been read: put it "
                             "into the file itself"},
    };
    struct config *config = parse("");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(config_override(config, cases[i][0], &error), -1);
        assert_string_equal(error.text, cases[i][1]);
    }
    assert_null(config_section(config, 0));
    config_free(config);
}

/* ---- tables */

struct sample {
    const char *name, *file;
    bool is_on;
    int64_t count, wait_ms;
    size_t bytes;
    int colour;
};

static const hop_config_key keys[] = {
    HOP_STRING(struct sample, name, "name", "anna", "a name"),
    HOP_PATH(struct sample, file, "file", "etc/words", "a file"),
    HOP_BOOL(struct sample, is_on, "on", true, "a switch"),
    HOP_INT(struct sample, count, "count", 7, -10, 100, "a number"),
    HOP_MS(struct sample, wait_ms, "wait", 10000, 10, 86400000, "a time"),
    HOP_SIZE(struct sample, bytes, "bytes", 65536, "a size"),
    HOP_CHOICE(struct sample, colour, "colour", "green", "red|green|blue", "a colour"),
    HOP_KEYS_END,
};

static int fill(const struct config *config, struct sample *sample)
{
    return config_fill(config, "s", keys, sizeof *keys, NULL, sample, &error);
}

static void a_missing_section_gives_the_defaults(void **state)
{
    struct config *config = parse("");
    struct sample sample;

    (void)state;
    memset(&sample, 0xff, sizeof sample);
    assert_int_equal(fill(config, &sample), 0);
    assert_string_equal(sample.name, "anna");
    assert_string_equal(sample.file, "etc/words");
    assert_true(sample.is_on);
    assert_int_equal(sample.count, 7);
    assert_int_equal(sample.wait_ms, 10000);
    assert_int_equal(sample.bytes, 65536);
    assert_int_equal(sample.colour, 1);
    config_free(config);
}

static void values_become_their_types(void **state)
{
    static const struct {
        const char *line;
        size_t offset;
        int64_t value;
    } cases[] = {
        {"count = 0", offsetof(struct sample, count), 0},
        {"count = -10", offsetof(struct sample, count), -10},
        {"count = 100", offsetof(struct sample, count), 100},
        {"count = 007", offsetof(struct sample, count), 7},
        {"wait = 250", offsetof(struct sample, wait_ms), 250},
        {"wait = 250ms", offsetof(struct sample, wait_ms), 250},
        {"wait = 10s", offsetof(struct sample, wait_ms), 10000},
        {"wait = 5m", offsetof(struct sample, wait_ms), 300000},
        {"wait = 24h", offsetof(struct sample, wait_ms), 86400000},
        {"wait = 1d", offsetof(struct sample, wait_ms), 86400000},
        {"bytes = 0", offsetof(struct sample, bytes), 0},
        {"bytes = 4096", offsetof(struct sample, bytes), 4096},
        {"bytes = 64k", offsetof(struct sample, bytes), 65536},
        {"bytes = 64K", offsetof(struct sample, bytes), 65536},
        {"bytes = 1M", offsetof(struct sample, bytes), 1 << 20},
        {"bytes = 8g", offsetof(struct sample, bytes), INT64_C(8) << 30},
        {"bytes = 9223372036854775807", offsetof(struct sample, bytes), INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        struct config *config;
        struct sample sample;
        int64_t value;

        snprintf(text, sizeof text, "[s]\n%s\n", cases[i].line);
        config = parse(text);
        if (fill(config, &sample) < 0)
            fail_msg("%s", error.text);
        memcpy(&value, (const char *)&sample + cases[i].offset, sizeof value);
        assert_int_equal(value, cases[i].value);
        config_free(config);
    }
}

static void bools_have_eight_words(void **state)
{
    static const char *const words[] = {"no",  "yes", "false", "true",
                                        "off", "on",  "0",     "1"};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[64];
        struct config *config;
        struct sample sample;

        snprintf(text, sizeof text, "[s]\non = %s\ncolour = blue\n", words[i]);
        config = parse(text);
        assert_int_equal(fill(config, &sample), 0);
        assert_int_equal(sample.is_on, i % 2);
        assert_int_equal(sample.colour, 2);
        config_free(config);
    }
}

static void wrong_values_are_refused_with_the_way_out(void **state)
{
    static const char *const cases[][2] = {
        {"on = maybe", "x.ini:2: s.on: \"maybe\" is not a bool: use yes or no"},
        {"on = Yes", "x.ini:2: s.on: \"Yes\" is not a bool: use yes or no"},
        {"on =", "x.ini:2: s.on: \"\" is not a bool: use yes or no"},
        {"count = 1x", "x.ini:2: s.count: \"1x\" is not a whole number: use digits only"},
        {"count = +1", "x.ini:2: s.count: \"+1\" is not a whole number: use digits only"},
        {"count = 0x1",
         "x.ini:2: s.count: \"0x1\" is not a whole number: use digits only"},
        {"count = 1.5",
         "x.ini:2: s.count: \"1.5\" is not a whole number: use digits only"},
        {"count = 1 2",
         "x.ini:2: s.count: \"1 2\" is not a whole number: use digits only"},
        {"count = -", "x.ini:2: s.count: \"-\" is not a whole number: use digits only"},
        {"count =", "x.ini:2: s.count: \"\" is not a whole number: use digits only"},
        {"count = 101", "x.ini:2: s.count: \"101\" is out of bounds: use -10 to 100"},
        {"count = -11", "x.ini:2: s.count: \"-11\" is out of bounds: use -10 to 100"},
        {"count = 9223372036854775808",
         "x.ini:2: s.count: \"9223372036854775808\" is out of bounds: use -10 to 100"},
        {"count = 99999999999999999999999",
         "x.ini:2: s.count: \"99999999999999999999999\" is out of bounds: use -10 to "
         "100"},
        {"count = -99999999999999999999999",
         "x.ini:2: s.count: \"-99999999999999999999999\" is out of bounds: use -10 to "
         "100"},
        {"wait = 10x", "x.ini:2: s.wait: \"10x\" is not a time: use ms, s, m, h, d, such "
                       "as 250ms or 10s"},
        {"wait = 10S", "x.ini:2: s.wait: \"10S\" is not a time: use ms, s, m, h, d, such "
                       "as 250ms or 10s"},
        {"wait = -10", "x.ini:2: s.wait: \"-10\" is not a time: use ms, s, m, h, d, such "
                       "as 250ms or 10s"},
        {"wait = 9", "x.ini:2: s.wait: \"9\" is out of bounds: use 10ms to 1d"},
        {"wait = 2d", "x.ini:2: s.wait: \"2d\" is out of bounds: use 10ms to 1d"},
        {"wait = 9000000000000000d",
         "x.ini:2: s.wait: \"9000000000000000d\" is out of bounds: use 10ms to 1d"},
        {"bytes = 64q",
         "x.ini:2: s.bytes: \"64q\" is not a size: use bytes, or k, M, G, such "
         "as 4096 or 64k"},
        {"bytes = -1",
         "x.ini:2: s.bytes: \"-1\" is not a size: use bytes, or k, M, G, such "
         "as 4096 or 64k"},
        {"bytes = 99999999999G",
         "x.ini:2: s.bytes: \"99999999999G\" is out of bounds: use "
         "0 to 9223372036854775807"},
        {"colour = pink", "x.ini:2: s.colour: \"pink\" is not one of: red green blue"},
        {"colour = re", "x.ini:2: s.colour: \"re\" is not one of: red green blue"},
        {"colour = red|green",
         "x.ini:2: s.colour: \"red|green\" is not one of: red green blue"},
        {"cuont = 1", "x.ini:2: s.cuont: unknown key; did you mean \"count\"?"},
        {"Count = 1", "x.ini:2: s.Count: unknown key; did you mean \"count\"?"},
        {"speed = 1",
         "x.ini:2: s.speed: unknown key; the section's keys are: name, file, "
         "on, count, wait, bytes, colour"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        struct config *config;
        struct sample sample;

        snprintf(text, sizeof text, "[s]\n%s\n", cases[i][0]);
        config = parse(text);
        assert_int_equal(fill(config, &sample), -1);
        assert_string_equal(error.text, cases[i][1]);
        config_free(config);
    }
}

static void keys_that_others_read_are_known(void **state)
{
    static const char *const also[] = {"theirs", NULL};
    struct config *config = parse("[s]\nmine = 1\ntheirs = 2\n");

    (void)state;
    assert_int_equal(config_fill(config, "s", NULL, sizeof *keys, also, NULL, &error),
                     -1);
    assert_string_equal(error.text,
                        "x.ini:2: s.mine: unknown key; the section's keys are: theirs");
    assert_int_equal(config_fill(config, "s", NULL, sizeof *keys, NULL, NULL, &error),
                     -1);
    assert_string_equal(error.text,
                        "x.ini:2: s.mine: unknown key; the section's keys are: none");
    assert_key(config, "s", "mine", "1");
    assert_int_equal(config_fill(config, "s", NULL, sizeof *keys, also, NULL, &error), 0);
    config_free(config);
}

static void paths_count_from_the_folder_of_their_file(void **state)
{
    struct config *config;
    struct sample sample;

    (void)state;
    mkdir("conf", 0700);
    mkdir("conf/d", 0700);
    put("conf/x.ini", "[server]\ninclude = d/*\n[abs]\nfile=/a/b\n[empty]\nfile=\n");
    put("conf/d/1", "[s]\nfile = lists/words\n");
    config = load("conf/x.ini");
    assert_int_equal(fill(config, &sample), 0);
    assert_string_equal(sample.file, "conf/d/lists/words");
    config_fill(config, "abs", keys, sizeof *keys, NULL, &sample, &error);
    assert_string_equal(sample.file, "/a/b");
    config_fill(config, "empty", keys, sizeof *keys, NULL, &sample, &error);
    assert_string_equal(sample.file, "");
    config_fill(config, "none", keys, sizeof *keys, NULL, &sample, &error);
    assert_string_equal(sample.file, "etc/words");
    config_override(config, "s.file=here", &error);
    assert_int_equal(fill(config, &sample), 0);
    assert_string_equal(sample.file, "here");
    config_free(config);
}

/* A plugin's build may know fewer members of a key, or more. */
static void tables_of_other_builds_are_walked_in_their_steps(void **state)
{
    struct old_key {
        hop_key_type type;
        const char *name;
        size_t offset;
        const char *text;
        int64_t number;
    };
    struct new_key {
        hop_config_key key;
        const char *appended;
    };
    static const struct old_key old_keys[] = {
        {HOP_KEY_STRING, "name", offsetof(struct sample, name), "old", 0},
        {HOP_KEY_BOOL, "on", offsetof(struct sample, is_on), NULL, 1},
        {HOP_KEY_END, NULL, 0, NULL, 0},
    };
    static const struct new_key new_keys[] = {
        {HOP_STRING(struct sample, name, "name", "new", ""), "x"},
        {HOP_INT(struct sample, count, "count", 5, 0, 9, ""), "x"},
        {HOP_KEYS_END, "x"},
    };
    struct config *config = parse("[s]\n");
    struct sample sample;

    (void)state;
    assert_int_equal(config_fill(config, "s", (const void *)old_keys, sizeof *old_keys,
                                 NULL, &sample, &error),
                     0);
    assert_string_equal(sample.name, "old");
    assert_true(sample.is_on);
    assert_int_equal(config_fill(config, "s", (const void *)new_keys, sizeof *new_keys,
                                 NULL, &sample, &error),
                     0);
    assert_string_equal(sample.name, "new");
    assert_int_equal(sample.count, 5);
    config_free(config);
}

static void wrong_tables_are_refused(void **state)
{
    static const hop_config_key no_choice[] = {
        HOP_CHOICE(struct sample, colour, "colour", "pink", "red|green", ""),
        HOP_KEYS_END};
    static const hop_config_key no_type[] = {{.type = 99, .name = "odd"}, HOP_KEYS_END};
    struct config *config = parse("");
    struct sample sample;

    (void)state;
    assert_int_equal(
        config_fill(config, "s", no_choice, sizeof *keys, NULL, &sample, &error), -1);
    assert_string_equal(error.text, "s.colour: \"pink\" is not one of: red green");
    assert_int_equal(
        config_fill(config, "s", no_type, sizeof *keys, NULL, &sample, &error), -1);
    assert_string_equal(
        error.text, "s.odd: key type 99 is unknown: rebuild the plugin for this sockhop");
    config_free(config);
}

/* ---- the rest */

static void errors_carry_the_best_known_place(void **state)
{
    struct config *config = parse("\n[s]\nk = 1\n");

    (void)state;
    config_override(config, "s.o=1", &error);
    config_error(config, "s", "k", &error, "too %s", "odd");
    assert_string_equal(error.text, "x.ini:3: s.k: too odd");
    config_error(config, "s", "o", &error, "odd");
    assert_string_equal(error.text, "-o: s.o: odd");
    config_error(config, "s", "none", &error, "odd");
    assert_string_equal(error.text, "x.ini:2: s.none: odd");
    config_error(config, "s", NULL, &error, "odd");
    assert_string_equal(error.text, "x.ini:2: s: odd");
    config_error(config, "none", "k", &error, "odd");
    assert_string_equal(error.text, "none.k: odd");
    config_error(config, "s", NULL, NULL, "nobody reads this");
    config_free(config);
}

static void printing_shows_what_is_in_force_and_where_it_was_set(void **state)
{
    struct config *config = parse("[s]\nname = berta\nwait = 90s\nfile =\n");
    struct sample sample;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    config_override(config, "s.count=9", &error);
    assert_int_equal(fill(config, &sample), 0);
    config_print(config, "s", keys, sizeof *keys, out);
    fclose(out);
    assert_string_equal(text, "[s]\n"
                              "name = berta ; x.ini:2\n"
                              "file = ; x.ini:4\n"
                              "on = yes\n"
                              "count = 9 ; -o\n"
                              "wait = 90s ; x.ini:3\n"
                              "bytes = 64k\n"
                              "colour = green\n");
    config_free(config);

    config = parse(text); /* and it is a conf file that says the same */
    assert_int_equal(fill(config, &sample), 0);
    assert_string_equal(sample.name, "berta");
    assert_string_equal(sample.file, "");
    assert_int_equal(sample.count, 9);
    assert_int_equal(sample.wait_ms, 90000);
    assert_int_equal(sample.bytes, 65536);
    config_free(config);
    free(text);
}

/* Wherever what was printed is put. */
static void printed_paths_are_whole_and_includes_have_been_taken_in(void **state)
{
    static const hop_config_key server_keys[] = {
        HOP_STRING(struct sample, name, "include", "", ""), HOP_KEYS_END};
    struct config *config;
    struct sample sample;
    char expected[4096 + 200], here[4096];
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    mkdir("conf", 0700);
    put("conf/x.ini", "[server]\ninclude = *.d\n");
    put("conf/a.d", "[s]\nfile = words\n");
    config = load("conf/x.ini");
    assert_int_equal(config_fill(config, "server", server_keys, sizeof *server_keys, NULL,
                                 &sample, &error),
                     0);
    assert_string_equal(sample.name, "*.d");
    config_print(config, "server", server_keys, sizeof *server_keys, out);
    config_print(config, "s", keys, sizeof *keys, out);
    fclose(out);
    snprintf(expected, sizeof expected,
             "[server]\n; include = *.d ; conf/x.ini:2\n[s]\nname = anna\n"
             "file = %s/conf/words ; conf/a.d:2\n",
             here);
    assert_memory_equal(text, expected, strlen(expected));
    config_free(config);
    free(text);
}

/* As a comment it takes more room than as a key. */
static void a_long_include_is_printed_as_a_line_that_can_be_read(void **state)
{
    static const hop_config_key server_keys[] = {
        HOP_STRING(struct sample, name, "include", "", ""), HOP_KEYS_END};

    (void)state;
    for (size_t len = 170; len <= 198 - strlen("include="); len++) {
        char line[256], value[200];
        struct config *config;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        memset(value, '*', len);
        memcpy(value, "none/", strlen("none/"));
        value[len] = '\0';
        snprintf(line, sizeof line, "[server]\ninclude=%s\n", value);
        put("x.ini", line);
        config = load("x.ini");
        config_print(config, "server", server_keys, sizeof *server_keys, out);
        fclose(out);
        config_free(config);
        config_free(parse(text));
        free(text);
    }
}

/* Behind a blank it would begin a comment. */
static void
a_value_that_begins_like_a_comment_is_printed_as_one_that_does_not(void **state)
{
    struct config *config = parse("[s]\nname=;x\n");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_key(config, "s", "name", ";x");
    config_print(config, "s", keys, sizeof *keys, out);
    fclose(out);
    config_free(config);

    config = parse(text);
    assert_key(config, "s", "name", ";x");
    config_free(config);
    free(text);
}

static void printed_lines_are_short_enough_to_be_read(void **state)
{
    char line[256], value[200];

    (void)state;
    for (size_t len = 150; len <= 198 - strlen("name="); len++) {
        struct config *config;
        struct sample sample;
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        memset(value, 'v', len);
        value[len] = '\0';
        snprintf(line, sizeof line, "[s]\nname=%s\n", value);
        config = parse(line);
        config_print(config, "s", keys, sizeof *keys, out);
        fclose(out);
        config_free(config);
        config = parse(text);
        assert_int_equal(fill(config, &sample), 0);
        assert_string_equal(sample.name, value);
        config_free(config);
        free(text);
    }
}

static void tables_are_listed_with_their_defaults(void **state)
{
    static const char *const texts[] = {"anna", "etc/words", "yes",  "7",
                                        "10s",  "64k",       "green"};
    hop_config_key key;
    char text[32];
    size_t n = 0;

    (void)state;
    for (; config_key_at(keys, sizeof *keys, n, &key); n++)
        assert_string_equal(config_key_default(&key, text, sizeof text), texts[n]);
    assert_int_equal(n, 7);
    assert_false(config_key_at(NULL, sizeof *keys, 0, &key));
    assert_false(config_key_at(keys, 0, 0, &key));
}

static void the_nearest_word_is_near(void **state)
{
    static const char *const words[] = {"port", "listen", "ping_timeout", "max_queue",
                                        NULL};
    static const char *const none[] = {NULL};

    (void)state;
    assert_string_equal(config_nearest("prot", words), "port");
    assert_string_equal(config_nearest("PORT", words), "port");
    assert_string_equal(config_nearest("ports", words), "port");
    assert_string_equal(config_nearest("lisen", words), "listen");
    assert_string_equal(config_nearest("pingTimeout", words), "ping_timeout");
    assert_string_equal(config_nearest("max-queue", words), "max_queue");
    assert_null(config_nearest("colour", words));
    assert_null(config_nearest("x", words));
    assert_null(config_nearest("", words));
    assert_null(config_nearest(NINETY, words));
    assert_null(config_nearest("port", none));
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_keys_are_found_with_their_places),
        cmocka_unit_test(odd_but_right_lines_are_read),
        cmocka_unit_test(an_empty_text_has_no_sections),
        cmocka_unit_test(wrong_texts_are_refused_with_the_line),
        cmocka_unit_test(every_beginning_of_a_file_is_survived),
        cmocka_unit_test(too_many_sections_and_keys_are_refused),
        FILE_TEST(files_that_are_no_conf_files_are_refused),
        FILE_TEST(included_files_come_in_name_order),
        FILE_TEST(wrong_includes_are_refused),
        cmocka_unit_test(overrides_win_and_make_sections),
        cmocka_unit_test(wrong_overrides_are_refused),
        cmocka_unit_test(a_missing_section_gives_the_defaults),
        cmocka_unit_test(values_become_their_types),
        cmocka_unit_test(bools_have_eight_words),
        cmocka_unit_test(wrong_values_are_refused_with_the_way_out),
        cmocka_unit_test(keys_that_others_read_are_known),
        FILE_TEST(paths_count_from_the_folder_of_their_file),
        cmocka_unit_test(tables_of_other_builds_are_walked_in_their_steps),
        cmocka_unit_test(wrong_tables_are_refused),
        cmocka_unit_test(errors_carry_the_best_known_place),
        cmocka_unit_test(printing_shows_what_is_in_force_and_where_it_was_set),
        FILE_TEST(printed_paths_are_whole_and_includes_have_been_taken_in),
        cmocka_unit_test(printed_lines_are_short_enough_to_be_read),
        FILE_TEST(a_long_include_is_printed_as_a_line_that_can_be_read),
        cmocka_unit_test(
            a_value_that_begins_like_a_comment_is_printed_as_one_that_does_not),
        cmocka_unit_test(tables_are_listed_with_their_defaults),
        cmocka_unit_test(the_nearest_word_is_near),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
