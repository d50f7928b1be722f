/*
 * test_log.c - promises of core/base/log.c: what a client sends cannot write our log.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/text.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

static int saved_stderr, captured;

static int start_capture(void **state)
{
    (void)state;
    captured = memfd_create("log", 0);
    if (captured < 0)
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(captured, STDERR_FILENO);
    log_set_level(HOP_INFO);
    return 0;
}

static int end_capture(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(captured);
    return 0;
}

/* What was logged since the last call. */
static const char *take_log(size_t *len)
{
    static char text[1 << 17];
    ssize_t n = pread(captured, text, sizeof text - 1, 0);

    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(ftruncate(captured, 0), 0);
    lseek(captured, 0, SEEK_SET);
    if (len)
        *len = (size_t)n;
    return text;
}

/* The line behind time and level. */
static const char *take_body(void)
{
    const char *body = strchr(take_log(NULL), ' ');

    assert_non_null(body);
    body = strchr(body + 1, ' ');
    assert_non_null(body);
    return body + 1;
}

static void a_line_has_time_level_and_text(void **state)
{
    regex_t pattern;

    (void)state;
    assert_int_equal(
        regcomp(&pattern,
                "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
                "\\.[0-9]{3}Z WARN auth\\.refused n=3 reason=\"no name\"\n$",
                REG_EXTENDED | REG_NOSUB),
        0);
    hop_log(HOP_WARN, "auth.refused n=%d reason=\"%s\"", 3, "no name");
    assert_int_equal(regexec(&pattern, take_log(NULL), 0, NULL, 0), 0);
    regfree(&pattern);
}

static void lines_above_the_level_are_not_written(void **state)
{
    static const char *const words[] = {" ERROR ", " WARN ", " INFO ", " DEBUG "};

    (void)state;
    for (int level = HOP_ERROR; level <= HOP_DEBUG; level++) {
        const char *text;

        log_set_level((hop_log_level)level);
        for (int i = HOP_ERROR; i <= HOP_DEBUG; i++)
            hop_log((hop_log_level)i, "a.line");
        text = take_log(NULL);
        for (int i = HOP_ERROR; i <= HOP_DEBUG; i++) {
            assert_int_equal(strstr(text, words[i]) != NULL, i <= level);
            assert_int_equal(hop_log_enabled((hop_log_level)i), i <= level);
        }
    }
}

/* T22 */
static void clients_cannot_write_lines_of_their_own(void **state)
{
    static const struct {
        const char *value, *line;
    } cases[] = {
        {"plain", "x v=plain\n"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80",
         "x v=gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\n"},
        {"a\nERROR b", "x v=a\\x0aERROR b\n"},
        {"a\r\nb\tc", "x v=a\\x0d\\x0ab\\x09c\n"},
        {"\x1b[2J", "x v=\\x1b[2J\n"},
        {"\x01\x1f\x7f", "x v=\\x01\\x1f\\x7f\n"},
        {"\xc2\x85", "x v=\\u0085\n"}, /* next line */
        {"\xc2\x9b"
         "2J",
         "x v=\\u009b2J\n"},                                  /* CSI in one character */
        {"\xe2\x80\xa8\xe2\x80\xa9", "x v=\\u2028\\u2029\n"}, /* separators */
        {"\xe2\x80\xae"
         "abc",
         "x v=\\u202eabc\n"}, /* text runs backwards */
        {"\xe2\x81\xa6", "x v=\\u2066\n"},
        {"\xff\xc3(", "x v=\\xff\\xc3(\n"},
        {"\xed\xa0\x80", "x v=\\xed\\xa0\\x80\n"},
        {"\xe2\x82", "x v=\\xe2\\x82\n"},
        {"\"\\", "x v=\"\\\n"}, /* quoting is the caller's: log_escape() */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hop_log(HOP_INFO, "x v=%s", cases[i].value);
        assert_string_equal(take_body(), cases[i].line);
    }
}

static void a_long_line_is_cut_at_a_character(void **state)
{
    static const char *const units[] = {
        "a", "\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\n", "\xe2\x80\xa8"};
    static char value[1 << 20];

    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t shift = 0; shift < 8; shift++) {
            size_t unit_len = strlen(units[i]), len = shift;
            const char *text;

            memset(value, '.', shift);
            while (len + unit_len < sizeof value) {
                memcpy(value + len, units[i], unit_len);
                len += unit_len;
            }
            value[len] = '\0';
            hop_log(HOP_INFO, "x v=%s", value);
            text = take_log(&len);
            assert_in_range(len, 1024 - 12, 1024);
            assert_true(utf8_is_valid(text, len));
            assert_string_equal(text + len - 4, "...\n");
            assert_ptr_equal(strchr(text, '\n'), text + len - 1);
        }
}

static void a_line_that_just_fits_is_whole(void **state)
{
    char value[1100];
    const char *text;
    size_t head, len;

    (void)state;
    hop_log(HOP_INFO, "%s", "");
    take_log(&head);
    memset(value, 'a', sizeof value);
    value[1024 - head] = '\0';
    hop_log(HOP_INFO, "%s", value);
    text = take_log(&len);
    assert_int_equal(len, 1024);
    assert_null(strstr(text, "..."));
    value[1024 - head] = 'a';
    value[1025 - head] = '\0';
    hop_log(HOP_INFO, "%s", value);
    text = take_log(&len);
    assert_int_equal(len, 1024);
    assert_non_null(strstr(text, "a...\n"));
}

static void logging_keeps_errno_and_survives_a_closed_log(void **state)
{
    (void)state;
    errno = EBADMSG;
    hop_log(HOP_INFO, "x");
    assert_int_equal(errno, EBADMSG);
    close(STDERR_FILENO);
    hop_log(HOP_INFO, "x");
    assert_int_equal(errno, EBADMSG);
}

static void *log_many(void *self)
{
    for (int i = 0; i < 200; i++)
        hop_log(HOP_INFO, "thread.line who=%s", (const char *)self);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    char a[] = "aaaaaaaaaaaaaaaaaaaa", b[] = "bbbbbbbbbbbbbbbbbbbb";
    pthread_t one, two;
    const char *text;
    size_t n = 0;

    (void)state;
    fcntl(captured, F_SETFL, O_APPEND);
    pthread_create(&one, NULL, log_many, a);
    pthread_create(&two, NULL, log_many, b);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    text = take_log(NULL);
    for (; *text; n++) {
        const char *end = strchr(text, '\n');
        const char *who = strstr(text, "who=");

        assert_true(end && who && end - who == 24);
        assert_true(memcmp(who + 4, a, 20) == 0 || memcmp(who + 4, b, 20) == 0);
        text = end + 1;
    }
    assert_int_equal(n, 400);
}

static void escape_makes_a_quoted_value(void **state)
{
    static const struct {
        const char *src;
        size_t len;
        const char *escaped;
    } cases[] = {
        {BYTES(""), ""},
        {BYTES("plain"), "plain"},
        {BYTES("say \"hi\" \\o/"), "say \\\"hi\\\" \\\\o/"},
        {BYTES("a\0b\n"), "a\\x00b\\x0a"},
        {BYTES("\xc2\x85\xe2\x80\xa8"), "\\u0085\\u2028"},
        {BYTES("\xf0\x9f\x98"), "\\xf0\\x9f\\x98"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dst[64];

        assert_string_equal(log_escape(dst, sizeof dst, cases[i].src, cases[i].len),
                            cases[i].escaped);
    }
}

/* Whatever room there is: never written beyond, terminated, whole characters. */
static void escape_is_cut_to_fit(void **state)
{
    static const char src[] = "a\n\"\xe2\x82\xac\xff\xe2\x80\xa8z\xf0\x9f\x98\x80\\end";
    char whole[64];
    size_t whole_len;

    (void)state;
    log_escape(whole, sizeof whole, src, sizeof src - 1);
    whole_len = strlen(whole);
    for (size_t size = 0; size < sizeof whole; size++) {
        char dst[65];
        size_t len;

        memset(dst, '!', sizeof dst);
        assert_ptr_equal(log_escape(dst, size, src, sizeof src - 1), dst);
        for (size_t i = size; i < sizeof dst; i++)
            assert_int_equal(dst[i], '!');
        if (size == 0)
            continue;
        len = strlen(dst);
        assert_true(len < size);
        assert_true(utf8_is_valid(dst, len));
        if (size > whole_len) {
            assert_string_equal(dst, whole);
        } else if (size > 3) {
            assert_string_equal(dst + len - 3, "...");
            assert_memory_equal(dst, whole, len - 3);
        }
    }
}

static void an_error_holds_its_reason(void **state)
{
    hop_error error;

    (void)state;
    hop_error_set(&error, "%s: full (max=%d)", "lobby", 500);
    assert_string_equal(error.text, "lobby: full (max=500)");
    hop_error_set(&error, "start: %s", error.text); /* may take itself as a value */
    assert_string_equal(error.text, "start: lobby: full (max=500)");
    hop_error_set(NULL, "nobody reads %s", "this");
}

static void a_long_error_is_cut_at_a_character(void **state)
{
    static const char *const units[] = {"a", "\xc3\xbc", "\xe2\x82\xac",
                                        "\xf0\x9f\x98\x80"};
    hop_error error;

    (void)state;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t shift = 0; shift < 5; shift++) {
            char value[1024] = "";
            size_t len;

            memset(value, '.', shift);
            while (strlen(value) < sizeof value - 5)
                strcat(value, units[i]);
            hop_error_set(&error, "%s", value);
            len = strlen(error.text);
            assert_in_range(len, sizeof error.text - 4, sizeof error.text - 1);
            assert_true(utf8_is_valid(error.text, len));
        }
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, start_capture, end_capture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_line_has_time_level_and_text),
        LOG_TEST(lines_above_the_level_are_not_written),
        LOG_TEST(clients_cannot_write_lines_of_their_own),
        LOG_TEST(a_long_line_is_cut_at_a_character),
        LOG_TEST(a_line_that_just_fits_is_whole),
        LOG_TEST(logging_keeps_errno_and_survives_a_closed_log),
        LOG_TEST(lines_of_threads_do_not_mix),
        cmocka_unit_test(escape_makes_a_quoted_value),
        cmocka_unit_test(escape_is_cut_to_fit),
        cmocka_unit_test(an_error_holds_its_reason),
        cmocka_unit_test(a_long_error_is_cut_at_a_character),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
