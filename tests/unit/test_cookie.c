/*
 * test_cookie.c - the cookie of a polling handshake (core/engine/cookie.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/base/config.h"
#include "core/base/settings.h"
#include "core/engine/cookie.h"

static void print(const char *conf, char out[COOKIE_BYTES])
{
    hop_error error;
    struct config *config = config_parse("x.ini", conf, strlen(conf), &error);
    struct settings settings;

    assert_non_null(config);
    if (settings_fill(&settings, config, &error) < 0)
        fail_msg("%s", error.text);
    cookie_print(&settings, "SID", out, COOKIE_BYTES);
    config_free(config);
}

static void it_says_what_its_keys_say(void **state)
{
    static const struct {
        const char *conf, *line;
    } rows[] = {
        {"", ""},
        {"cookie_name = x\n", ""},
        {"cookie = yes\n", "Set-Cookie: io=SID; Path=/; HttpOnly; SameSite=Lax\r\n"},
        {"cookie = yes\ncookie_name = node\ncookie_path = /a\ncookie_same_site = "
         "strict\n",
         "Set-Cookie: node=SID; Path=/a; HttpOnly; SameSite=Strict\r\n"},
        {"cookie = yes\ncookie_path =\ncookie_http_only = no\ncookie_same_site = unset\n",
         "Set-Cookie: io=SID\r\n"},
        {"cookie = yes\ncookie_max_age = 1d\ncookie_domain = example.org\n"
         "cookie_secure = yes\ncookie_partitioned = yes\ncookie_priority = high\n"
         "cookie_same_site = none\n",
         "Set-Cookie: io=SID; Max-Age=86400; Domain=example.org; Path=/; HttpOnly; "
         "Secure; Partitioned; Priority=High; SameSite=None\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char conf[512] = "[engine]\n", line[COOKIE_BYTES];

        strcat(conf, rows[i].conf);
        print(conf, line);
        assert_string_equal(line, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_its_keys_say),
    };

    return cmocka_run_group_tests_name("cookie", tests, NULL, NULL);
}
