/*
 * test_settings.c - promises of core/base/settings.c: the core's keys, their bounds, and
 * what must hold between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/machine.h"
#include "core/base/settings.h"

#define TEN "1111111111"

static hop_error error;

static int clear_environment(void **state)
{
    (void)state;
    return unsetenv("PORT");
}

static struct config *parse(const char *text)
{
    struct config *config = config_parse("x.ini", text, strlen(text), &error);

    if (!config)
        fail_msg("%s", error.text);
    return config;
}

static void assert_refused(const char *text, const char *reason)
{
    struct config *config = parse(text);
    struct settings settings;

    if (settings_fill(&settings, config, &error) == 0)
        fail_msg("taken: %s", text);
    assert_string_equal(error.text, reason);
    config_free(config);
}

static void assert_taken(const char *text)
{
    struct config *config = parse(text);
    struct settings settings;

    if (settings_fill(&settings, config, &error) < 0)
        fail_msg("%s", error.text);
    config_free(config);
}

static void an_empty_file_gives_the_documented_defaults(void **state)
{
    struct config *config = parse("");
    struct settings it;

    (void)state;
    assert_int_equal(settings_fill(&it, config, &error), 0);
    assert_string_equal(it.listen, "127.0.0.1, ::1");
    assert_int_equal(it.port, 8080);
    assert_string_equal(it.threads, "auto");
    assert_in_range(it.n_threads, 1, 64);
    assert_true(*it.public_dir == '/');
    assert_true(*it.plugin_dir == '/');
    assert_string_equal(it.status, "");
    assert_string_equal(it.include, "");
    assert_int_equal(it.shutdown_timeout_ms, 10000);
    assert_string_equal(it.path, "/socket.io");
    assert_int_equal(it.ping_interval_ms, 25000);
    assert_int_equal(it.ping_timeout_ms, 20000);
    assert_int_equal(it.upgrade_timeout_ms, 10000);
    assert_int_equal(it.connect_timeout_ms, 45000);
    assert_int_equal(it.max_http_buffer_bytes, 1000000);
    assert_string_equal(it.transports, "polling, websocket");
    assert_true(it.allow_upgrades);
    assert_false(it.allow_eio3);
    assert_string_equal(it.origins, "");
    assert_true(it.add_trailing_slash);
    assert_true(it.serve_client);
    assert_true(it.http_compression);
    assert_int_equal(it.http_compression_threshold, 1024);
    assert_string_equal(it.initial_packet, "");
    assert_false(it.cors_credentials);
    assert_string_equal(it.cors_allowed_headers, "");
    assert_string_equal(it.cors_exposed_headers, "");
    assert_int_equal(it.cors_max_age_ms, 600000);
    assert_false(it.cookie);
    assert_string_equal(it.cookie_name, "io");
    assert_string_equal(it.cookie_path, "/");
    assert_string_equal(it.cookie_domain, "");
    assert_int_equal(it.cookie_max_age_ms, 0);
    assert_true(it.cookie_http_only);
    assert_false(it.cookie_secure);
    assert_int_equal(it.cookie_same_site, SAME_SITE_LAX);
    assert_false(it.cookie_partitioned);
    assert_int_equal(it.cookie_priority, PRIORITY_UNSET);
    assert_int_equal(it.max_head_bytes, 16384);
    assert_int_equal(it.max_target_bytes, 8192);
    assert_int_equal(it.max_headers, 100);
    assert_int_equal(it.max_body_bytes, 1000000);
    assert_int_equal(it.head_timeout_ms, 10000);
    assert_int_equal(it.body_timeout_ms, 30000);
    assert_int_equal(it.keep_alive_ms, 60000);
    assert_int_equal(it.min_body_rate, 500);
    assert_int_equal(it.max_connections, 0);
    assert_int_equal(it.max_connections_per_address, 1000);
    assert_int_equal(it.max_queue_bytes, 1 << 20);
    assert_int_equal(it.soft_queue_bytes, 256 << 10);
    assert_int_equal(it.soft_queue_ms, 10000);
    assert_int_equal(it.max_queue_frames, 16384);
    assert_int_equal(it.max_lane_bytes, 8 << 20);
    assert_int_equal(it.max_turn_packets, 64);
    assert_int_equal(it.max_fragments, 1024);
    assert_int_equal(it.max_controls, 100);
    assert_int_equal(it.max_json_depth, 64);
    assert_int_equal(it.max_json_values, 10000);
    assert_int_equal(it.max_rooms, 1000);
    assert_int_equal(it.max_acks, 1000000);
    assert_int_equal(it.max_answer_bytes, 16 << 20);
    assert_int_equal(it.max_attachments, 10);
    assert_int_equal(it.max_attached_bytes, 1000000);
    assert_int_equal(it.attachment_timeout_ms, 10000);
    assert_int_equal(it.max_handshakes, 1000);
    assert_int_equal(it.max_waiting_bytes, 1 << 20);
    assert_int_equal(it.max_jobs, 10000);
    assert_int_equal(it.n_workers, 4);
    assert_int_equal(it.jobs_timeout_ms, 30000);
    assert_string_equal(it.namespaces, "");
    assert_int_equal(it.max_namespaces, 1000);
    assert_int_equal(it.max_client_namespaces, 16);
    assert_true(it.cleanup_empty_child_namespaces);
    assert_int_equal(it.parser, PARSER_JSON);
    assert_int_equal(it.log_level, HOP_INFO);
    config_free(config);
}

static void each_key_reaches_its_member(void **state)
{
    struct config *config = parse(
        "[server]\nlisten=0.0.0.0\nport=1\nthreads=3\npublic=page\nplugin_dir=/p\n"
        "status=[::1]:9\nshutdown_timeout=2s\nnamespaces=/a, /b\n"
        "[engine]\npath=/chat/io\nping_interval=3s\nping_timeout=4s\nupgrade_timeout=5s\n"
        "connect_timeout=6s\nmax_http_buffer_size=7k\ntransports=websocket\n"
        "allow_upgrades=no\nallow_eio3=yes\nmax_attachments=26\n"
        "origins=https://example.org, "
        "http://localhost:3000\n"
        "add_trailing_slash=no\nserve_client=no\nhttp_compression=no\nhttp_compression_"
        "threshold=9\n"
        "initial_packet=hello\ncors_credentials=yes\ncors_allowed_headers=x-a, x-b\n"
        "cors_exposed_headers=x-c\ncors_max_age=26s\ncookie=yes\ncookie_name=node\n"
        "cookie_path=/"
        "p\ncookie_domain=example.org\ncookie_max_age=1d\ncookie_http_only=no\n"
        "cookie_secure=yes\ncookie_same_site=none\ncookie_partitioned=yes\ncookie_"
        "priority=high\n"
        "cleanup_empty_child_namespaces=no\nparser=msgpack\n"
        "[limits]\nmax_head=8k\nmax_target=1k\nmax_headers=9\nmax_body=10\n"
        "head_timeout=11s\nbody_timeout=12s\nkeep_alive=13s\nmax_queue=14k\n"
        "soft_queue=15000\nmin_body_rate=22\nmax_connections=23\n"
        "max_connections_per_address=24\n"
        "max_queue_frames=16\nmax_lane=1M\nmax_turn_packets=21\n"
        "max_fragments=17\nmax_controls=18\n"
        "max_json_depth=19\nmax_json_values=20\nmax_rooms=25\n"
        "max_acks=29\nmax_answers=65k\nmax_waiting=30k\nmax_jobs=40\nmax_handshakes=38\n"
        "max_attached=27\nattachment_timeout=28s\n"
        "max_namespaces=36\nmax_client_namespaces=37\n"
        "[log]\nlevel=debug\n");
    struct settings it;

    (void)state;
    assert_int_equal(config_override(config, "limits.soft_queue=13k", &error), 0);
    assert_int_equal(config_override(config, "limits.soft_queue_time=21s", &error), 0);
    if (settings_fill(&it, config, &error) < 0)
        fail_msg("%s", error.text);
    assert_string_equal(it.listen, "0.0.0.0");
    assert_int_equal(it.port, 1);
    assert_int_equal(it.n_threads, 3);
    assert_string_equal(it.public_dir, "page");
    assert_string_equal(it.plugin_dir, "/p");
    assert_string_equal(it.status, "[::1]:9");
    assert_int_equal(it.shutdown_timeout_ms, 2000);
    assert_string_equal(it.path, "/chat/io");
    assert_int_equal(it.ping_interval_ms, 3000);
    assert_int_equal(it.ping_timeout_ms, 4000);
    assert_int_equal(it.upgrade_timeout_ms, 5000);
    assert_int_equal(it.connect_timeout_ms, 6000);
    assert_int_equal(it.max_http_buffer_bytes, 7168);
    assert_string_equal(it.transports, "websocket");
    assert_false(it.allow_upgrades);
    assert_true(it.allow_eio3);
    assert_string_equal(it.origins, "https://example.org, http://localhost:3000");
    assert_false(it.add_trailing_slash);
    assert_false(it.serve_client);
    assert_false(it.http_compression);
    assert_int_equal(it.http_compression_threshold, 9);
    assert_string_equal(it.initial_packet, "hello");
    assert_true(it.cors_credentials);
    assert_string_equal(it.cors_allowed_headers, "x-a, x-b");
    assert_string_equal(it.cors_exposed_headers, "x-c");
    assert_int_equal(it.cors_max_age_ms, 26000);
    assert_true(it.cookie);
    assert_string_equal(it.cookie_name, "node");
    assert_string_equal(it.cookie_path, "/p");
    assert_string_equal(it.cookie_domain, "example.org");
    assert_int_equal(it.cookie_max_age_ms, 86400000);
    assert_false(it.cookie_http_only);
    assert_true(it.cookie_secure);
    assert_int_equal(it.cookie_same_site, SAME_SITE_NONE);
    assert_true(it.cookie_partitioned);
    assert_int_equal(it.cookie_priority, PRIORITY_HIGH);
    assert_string_equal(it.namespaces, "/a, /b");
    assert_false(it.cleanup_empty_child_namespaces);
    assert_int_equal(it.parser, PARSER_MSGPACK);
    assert_int_equal(it.max_namespaces, 36);
    assert_int_equal(it.max_client_namespaces, 37);
    assert_int_equal(it.max_head_bytes, 8192);
    assert_int_equal(it.max_target_bytes, 1024);
    assert_int_equal(it.max_headers, 9);
    assert_int_equal(it.max_body_bytes, 10);
    assert_int_equal(it.head_timeout_ms, 11000);
    assert_int_equal(it.body_timeout_ms, 12000);
    assert_int_equal(it.keep_alive_ms, 13000);
    assert_int_equal(it.min_body_rate, 22);
    assert_int_equal(it.max_connections, 23);
    assert_int_equal(it.max_connections_per_address, 24);
    assert_int_equal(it.max_queue_bytes, 14336);
    assert_int_equal(it.soft_queue_bytes, 13312);
    assert_int_equal(it.soft_queue_ms, 21000);
    assert_int_equal(it.max_queue_frames, 16);
    assert_int_equal(it.max_lane_bytes, 1 << 20);
    assert_int_equal(it.max_turn_packets, 21);
    assert_int_equal(it.max_fragments, 17);
    assert_int_equal(it.max_controls, 18);
    assert_int_equal(it.max_json_depth, 19);
    assert_int_equal(it.max_json_values, 20);
    assert_int_equal(it.max_rooms, 25);
    assert_int_equal(it.max_acks, 29);
    assert_int_equal(it.max_answer_bytes, 65 << 10);
    assert_int_equal(it.max_attachments, 26);
    assert_int_equal(it.max_attached_bytes, 27);
    assert_int_equal(it.attachment_timeout_ms, 28000);
    assert_int_equal(it.max_handshakes, 38);
    assert_int_equal(it.max_waiting_bytes, 30 << 10);
    assert_int_equal(it.max_jobs, 40);
    assert_int_equal(it.log_level, HOP_DEBUG);
    config_free(config);
}

static void log_levels_are_those_of_the_log(void **state)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};

    (void)state;
    for (int level = HOP_ERROR; level <= HOP_DEBUG; level++) {
        struct config *config = parse("");
        struct settings settings;
        char text[32];

        snprintf(text, sizeof text, "log.level=%s", words[level]);
        config_override(config, text, &error);
        assert_int_equal(settings_fill(&settings, config, &error), 0);
        assert_int_equal(settings.log_level, level);
        config_free(config);
    }
}

static void sections_of_plugins_are_left_to_them(void **state)
{
    (void)state;
    assert_taken("[plugin:echo]\nanything = goes\n[plugin:my-auth_2]\n");
}

static void wrong_settings_are_refused_with_the_way_out(void **state)
{
    static const char *const cases[][2] = {
        {"[srever]\n", "x.ini:1: srever: unknown section; did you mean \"server\"?"},
        {"[Server]\n", "x.ini:1: Server: unknown section; did you mean \"server\"?"},
        {"[plguin:auth]\n",
         "x.ini:1: plguin:auth: unknown section; did you mean \"plugin:auth\"?"},
        {"[auth]\n", "x.ini:1: auth: unknown section: use server, engine, limits, log or "
                     "plugin:NAME"},
        {"[plugin:]\n",
         "x.ini:1: plugin:: no name of a plugin: use small letters, digits, "
         "_ and -"},
        {"[plugin:../x]\n",
         "x.ini:1: plugin:../x: no name of a plugin: use small letters, "
         "digits, _ and -"},
        {"[server]\nprot = 1\n",
         "x.ini:2: server.prot: unknown key; did you mean \"port\"?"},
        {"[server]\nport = 65536\n",
         "x.ini:2: server.port: \"65536\" is out of bounds: use 0 to 65535"},
        {"[server]\nthreads = 65\n", "x.ini:2: server.threads: \"65\" is not a number of "
                                     "threads: use auto, or 0 to 64"},
        {"[server]\nthreads = -1\n", "x.ini:2: server.threads: \"-1\" is not a number of "
                                     "threads: use auto, or 0 to 64"},
        {"[server]\nthreads =\n", "x.ini:2: server.threads: \"\" is not a number of "
                                  "threads: use auto, or 0 to 64"},
        {"[server]\nlisten = localhost\n", "x.ini:2: server.listen: \"localhost\" is not "
                                           "a numeric address: use one such as "
                                           "127.0.0.1 or ::1"},
        {"[server]\nlisten = 127.0.0.1, 127.1\n",
         "x.ini:2: server.listen: \"127.1\" is not a numeric address: use one such as "
         "127.0.0.1 or ::1"},
        {"[server]\nlisten = ::ffff:127.0.0.1\n",
         "x.ini:2: server.listen: \"::ffff:127.0.0.1\" is not a numeric address: use one "
         "such as 127.0.0.1 or ::1"},
        {"[server]\nlisten = ,\n",
         "x.ini:2: server.listen: no address: use one such as 127.0.0.1 or ::1"},
        {"[server]\nlisten = ::1, 0:0:0:0:0:0:0:1\n",
         "x.ini:2: server.listen: \"0:0:0:0:0:0:0:1\" stands there twice: keep one"},
        {"[server]\nnamespaces = /a, chat\n", "x.ini:2: server.namespaces: \"chat\" is "
                                              "not a namespace: use one such as /chat, "
                                              "of at most 128 bytes, without \"?\""},
        {"[server]\nnamespaces = /a?b\n", "x.ini:2: server.namespaces: \"/a?b\" is not a "
                                          "namespace: use one such as /chat, "
                                          "of at most 128 bytes, without \"?\""},
        {"[server]\nstatus = 9090\n",
         "x.ini:2: server.status: \"9090\" is not ADDRESS:PORT: use one such as "
         "127.0.0.1:9090 or [::1]:9090"},
        {"[engine]\npath = socket.io\n", "x.ini:2: engine.path: \"socket.io\" must start "
                                         "with \"/\": use one such as /socket.io"},
        {"[engine]\npath =\n",
         "x.ini:2: engine.path: \"\" must start with \"/\": use one such as /socket.io"},
        {"[engine]\npath = /\n", "x.ini:2: engine.path: \"/\" must name something below "
                                 "\"/\", which the page has: use one such as /socket.io"},
        {"[engine]\npath = /a//\n",
         "x.ini:2: engine.path: \"/a//\" must not have \"//\", nor a part that starts "
         "with a dot: use one such as /socket.io"},
        {"[engine]\npath = /a?b\n",
         "x.ini:2: engine.path: \"/a?b\" may have letters, "
         "digits and / . _ ~ - only: use one such as /socket.io"},
        {"[engine]\npath = /a/../b\n",
         "x.ini:2: engine.path: \"/a/../b\" must not have \"//\", nor a part that starts "
         "with a dot: use one such as /socket.io"},
        {"[engine]\ntransports = polling, webtransport\n",
         "x.ini:2: engine.transports: \"webtransport\" is not a transport: use polling, "
         "websocket, or both"},
        {"[engine]\ntransports =\n", "x.ini:2: engine.transports: none is named: use "
                                     "polling, websocket, or both"},
        {"[engine]\norigins = example.org\n",
         "x.ini:2: engine.origins: \"example.org\" is not an origin: use *, or one such "
         "as "
         "https://example.org, in small letters, nothing behind the host"},
        {"[engine]\norigins = https://example.org/\n",
         "x.ini:2: engine.origins: \"https://example.org/\" is not an origin: use *, or "
         "one "
         "such as https://example.org, in small letters, nothing behind the host"},
        {"[engine]\ncors_credentials = yes\norigins = *\n",
         "x.ini:2: engine.cors_credentials: is for origins that are named, and "
         "engine.origins names none: add them there"},
        {"[engine]\ncors_allowed_headers = x-a, x b\n",
         "x.ini:2: engine.cors_allowed_headers: \"x b\" is not the name of a header"},
        {"[engine]\ncors_exposed_headers = x:y\n",
         "x.ini:2: engine.cors_exposed_headers: \"x:y\" is not the name of a header"},
        {"[engine]\ncookie_name = a=b\n",
         "x.ini:2: engine.cookie_name: \"a=b\" is no cookie's name: use letters, digits, "
         "- and _"},
        {"[engine]\ncookie_path = /;x\n",
         "x.ini:2: engine.cookie_path: \"/;x\" is no path: use one such as /"},
        {"[engine]\ncookie_domain = Example.org\n",
         "x.ini:2: engine.cookie_domain: \"Example.org\" is no domain: use one such as "
         "example.org"},
        {"[engine]\ncookie = yes\ncookie_same_site = none\n",
         "x.ini:3: engine.cookie_same_site: \"none\" makes browsers drop the cookie "
         "without cookie_secure = yes"},
        {"[engine]\ncookie = yes\ncookie_partitioned = yes\n",
         "x.ini:3: engine.cookie_partitioned: \"yes\" makes browsers drop the cookie "
         "without cookie_secure = yes"},
        {"[limits]\nsoft_queue = 2M\n",
         "x.ini:2: limits.soft_queue: 2097152 is more than "
         "max_queue, which is 1048576: lower it, or raise "
         "max_queue"},
#define NO_MEMORY(text)                                                                  \
    {"[limits]\nmax_memory = " text "\n",                                                \
     "x.ini:2: limits.max_memory: \"" text "\" is not a size of 16M or more: use "       \
     "auto, one such as 512M, or 0"}
        NO_MEMORY("16777215"),
        NO_MEMORY("1"),
        NO_MEMORY("lots"),
        NO_MEMORY("-1"),
        NO_MEMORY("9223372036854775807k"),
#undef NO_MEMORY
        {"[limits]\nmax_queue = 64k\n", "x.ini:2: limits.max_queue: 65536 is less than "
                                        "soft_queue, which is 262144: raise it, or lower "
                                        "soft_queue"},
        {"[limits]\nmax_head = 4k\n", "x.ini:2: limits.max_head: 4096 is less than "
                                      "max_target, which is 8192: raise it, "
                                      "or lower max_target"},
        {"[log]\nlevel = verbose\n",
         "x.ini:2: log.level: \"verbose\" is not one of: error warn info debug"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i][0], cases[i][1]);
}

static void too_many_addresses_are_refused(void **state)
{
    char text[512] = "[server]\nlisten = ";

    (void)state;
    for (int i = 1; i <= 17; i++)
        sprintf(text + strlen(text), "1.1.1.%d,", i);
    assert_refused(text, "x.ini:2: server.listen: more than 16 addresses");
}

static void the_environments_port_wins(void **state)
{
    struct config *config = parse("[server]\nport = 1\n");
    struct settings settings;

    (void)state;
    setenv("PORT", "0", 1);
    assert_int_equal(settings_fill(&settings, config, &error), 0);
    assert_int_equal(settings.port, 0);
    setenv("PORT", "65535", 1);
    assert_int_equal(settings_fill(&settings, config, &error), 0);
    assert_int_equal(settings.port, 65535);
    assert_string_equal(config_get(config, "server", "port"), "65535");
    assert_string_equal(config_key_place(config, "server", "port"), "PORT"); /* in -T */
    config_free(config);
}

static void an_empty_port_in_the_environment_is_none(void **state)
{
    struct config *config = parse("[server]\nport = 7\n");
    struct settings settings;

    (void)state;
    setenv("PORT", "", 1);
    assert_int_equal(settings_fill(&settings, config, &error), 0);
    assert_int_equal(settings.port, 7);
    config_free(config);
}

static void a_wrong_port_in_the_environment_is_refused(void **state)
{
    static const char *const wrong[] = {"65536", "-1",          "80x",
                                        "0x50",  "99999999999", " 1"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char reason[128];

        setenv("PORT", wrong[i], 1);
        snprintf(reason, sizeof reason,
                 "PORT: \"%s\" is not a port: use 0 to 65535, or unset PORT", wrong[i]);
        assert_refused("", reason);
    }
}

static void addresses_with_ports_are_parsed(void **state)
{
    static const struct {
        const char *text, *address;
        int port;
    } cases[] = {
        {"127.0.0.1:9090", "127.0.0.1", 9090},
        {"[::1]:0", "::1", 0},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
         "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535},
    };
    static const char *const wrong[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:1",
        "localhost:1",
        "[",
        "[:",
        "]:1",
        "1.1.1.1]:1",
        "1.1.1.1:65536",
        "1.1.1.1:-1",
        "1.1.1.1:1x",
        "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555]:1",
        "[::1%lo]:1",
        "[" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "]:1",
        "[::1" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN,
        TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN ":1",
        "::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::::1",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[::1]:1",
        "1.1.1.1:99999999999999999999"};
    struct settings_address out;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(settings_address_parse(cases[i].text, &out), 0);
        assert_string_equal(out.address, cases[i].address);
        assert_int_equal(out.port, cases[i].port);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (settings_address_parse(wrong[i], &out) == 0)
            fail_msg("taken: %s", wrong[i]);
}

/* What -T prints is a conf file with the same meaning. */
static void memory_is_capped_by_a_size_or_by_what_there_is(void **state)
{
    static const struct {
        const char *value;
        size_t bytes;
    } rows[] = {
        {"0", 0},
        {"16M", 16 << 20},
        {"16777216", 16 << 20},
        {"16777217", (16 << 20) + 1},
        {"2G", 2ul << 30},
    };
    struct settings it;
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *config;

        snprintf(text, sizeof text, "[limits]\nmax_memory = %s\n", rows[i].value);
        config = parse(text);
        assert_int_equal(settings_fill(&it, config, &error), 0);
        assert_int_equal(it.max_memory_bytes, rows[i].bytes);
        config_free(config);
    }
    for (int i = 0; i < 2; i++) { /* the default */
        struct config *config = parse(i ? "" : "[limits]\nmax_memory = auto\n");

        assert_int_equal(settings_fill(&it, config, &error), 0);
        assert_string_equal(it.max_memory, "auto");
        assert_int_equal(it.max_memory_bytes,
                         machine_memory("") - machine_memory("") / 4);
        config_free(config);
    }
}

static void the_printed_settings_read_back(void **state)
{
    struct config *config = parse("[limits]\nmax_queue = 2M\n[log]\nlevel = warn\n");
    struct settings first, second;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_int_equal(settings_fill(&first, config, &error), 0);
    settings_print(config, out);
    fclose(out);
    assert_non_null(strstr(text, "\n\n[limits]\nmax_head = 16k\n"));
    assert_non_null(strstr(text, "\nmax_queue = 2M ; x.ini:2\n"));
    config_free(config);

    config = parse(text);
    assert_int_equal(settings_fill(&second, config, &error), 0);
    assert_int_equal(second.max_queue_bytes, 2 << 20);
    assert_int_equal(second.log_level, HOP_WARN);
    for (size_t i = 0; settings_sections[i].name; i++) {
        hop_config_key key;

        for (size_t n = 0; config_key_at(settings_sections[i].keys, sizeof key, n, &key);
             n++) {
            const char *a = (const char *)&first + key.offset;
            const char *b = (const char *)&second + key.offset;

            if (key.type == HOP_KEY_INT || key.type == HOP_KEY_MS ||
                key.type == HOP_KEY_SIZE)
                assert_memory_equal(a, b, 8);
            assert_non_null(key.help);
        }
    }
    config_free(config);
    free(text);
}

/* ---- the documents */

/* A file of the source tree. Free it. */
static char *read_source(const char *name)
{
    const char *source = getenv("SOCKHOP_SOURCE");
    char path[4096];
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", source ? source : ".", name);
    file = fopen(path, "r");
    if (!file)
        fail_msg("%s: cannot be read; SOCKHOP_SOURCE names the source tree", path);
    if (getdelim(&text, &size, '\0', file) < 0)
        fail_msg("%s: empty", path);
    fclose(file);
    return text;
}

/* The part of text from header to the next line that starts with what headers start with. */
static char *copy_section(const char *text, const char *header, const char *next)
{
    const char *start = strstr(text, header);
    const char *end;

    if (!start)
        fail_msg("no section: %s", header);
    start += strlen(header);
    end = strstr(start, next);
    return end ? strndup(start, (size_t)(end - start)) : strdup(start);
}

static void assert_line(const char *section, const char *text, const char *line)
{
    const char *at = strstr(text, line);

    if (!at || at == text || at[-1] != '\n' || at[strlen(line)] != '\n')
        fail_msg("[%s]: there is no line: %s", section, line);
}

/* "1k to 1G", or as the manual says a number of the key's type. */
static const char *bound(hop_config_key key, int64_t number, char text[32])
{
    key.number = number;
    return config_key_default(&key, text, 32);
}

static void write_facts(const hop_config_key *key, char *facts, size_t size)
{
    static const char *const words[] = {
        [HOP_KEY_STRING] = "text",    [HOP_KEY_PATH] = "path", [HOP_KEY_INT] = "number",
        [HOP_KEY_BOOL] = "yes or no", [HOP_KEY_MS] = "time",   [HOP_KEY_SIZE] = "size",
        [HOP_KEY_CHOICE] = "word",
    };
    const char *word = words[key->type];
    char value[128], min[32], max[32];

    config_key_default(key, value, sizeof value);
    if (key->type == HOP_KEY_PATH) /* the build decides */
        snprintf(facts, size, "%s", word);
    else if (key->type == HOP_KEY_INT || key->type == HOP_KEY_MS ||
             key->type == HOP_KEY_SIZE)
        snprintf(facts, size, "%s, %s to %s; default %s", word,
                 bound(*key, key->min, min), bound(*key, key->max, max), value);
    else
        snprintf(facts, size, "%s; default %s", word, *value ? value : "empty");
}

static void the_manual_has_every_key_with_its_bounds_and_default(void **state)
{
    char *manual = read_source("man/sockhop.ini.5");

    (void)state;
    for (size_t i = 0; settings_sections[i].name; i++) {
        const char *name = settings_sections[i].name;
        hop_config_key key;
        char header[64], facts[256], line[400];
        char *section;

        snprintf(header, sizeof header, ".Ss [%s]", name);
        section = copy_section(manual, header, "\n.Ss");
        for (size_t n = 0; config_key_at(settings_sections[i].keys, sizeof key, n, &key);
             n++) {
            write_facts(&key, facts, sizeof facts);
            snprintf(line, sizeof line, ".It Cm %s Pq %s", key.name, facts);
            assert_line(name, section, line);
        }
        free(section);
    }
    free(manual);
}

static void the_shipped_file_has_every_key_at_its_default(void **state)
{
    char *shipped = read_source("conf/sockhop.ini");

    (void)state;
    for (size_t i = 0; settings_sections[i].name; i++) {
        const char *name = settings_sections[i].name;
        hop_config_key key;
        char header[64], value[128], line[400];
        char *section;

        snprintf(header, sizeof header, "\n[%s]", name);
        section = copy_section(shipped, header, "\n[");
        for (size_t n = 0; config_key_at(settings_sections[i].keys, sizeof key, n, &key);
             n++) {
            config_key_default(&key, value, sizeof value);
            if (strcmp(key.name, "include") == 0) /* the one that is set */
                snprintf(line, sizeof line, "include = conf.d/*.conf");
            else
                snprintf(line, sizeof line, ";%s =%s%s", key.name, *value ? " " : "",
                         value);
            if (key.type != HOP_KEY_PATH) /* the build decides */
                assert_line(name, section, line);
        }
        free(section);
    }
    free(shipped);
}

#define SETTINGS_TEST(name) cmocka_unit_test_setup(name, clear_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SETTINGS_TEST(an_empty_file_gives_the_documented_defaults),
        SETTINGS_TEST(each_key_reaches_its_member),
        SETTINGS_TEST(log_levels_are_those_of_the_log),
        SETTINGS_TEST(sections_of_plugins_are_left_to_them),
        SETTINGS_TEST(wrong_settings_are_refused_with_the_way_out),
        SETTINGS_TEST(too_many_addresses_are_refused),
        SETTINGS_TEST(the_environments_port_wins),
        SETTINGS_TEST(an_empty_port_in_the_environment_is_none),
        SETTINGS_TEST(a_wrong_port_in_the_environment_is_refused),
        SETTINGS_TEST(addresses_with_ports_are_parsed),
        SETTINGS_TEST(memory_is_capped_by_a_size_or_by_what_there_is),
        SETTINGS_TEST(the_printed_settings_read_back),
        SETTINGS_TEST(the_manual_has_every_key_with_its_bounds_and_default),
        SETTINGS_TEST(the_shipped_file_has_every_key_at_its_default),
    };

    return cmocka_run_group_tests_name("settings", tests, clear_environment,
                                       clear_environment);
}
