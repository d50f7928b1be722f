/*
 * settings.c - the tables of the core's own keys, and what must hold between them.
 *
 * Called by: main.c. Thread: start; the filled struct is read-only for all.
 */
#include "core/base/settings.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config.h"
#include "core/base/machine.h"
#include "core/base/settings_engine.h"
#include "core/base/text.h"

/* The build gives the installed folders; these are those of a build without it. */
#ifndef HOP_PUBLIC_DIR
#define HOP_PUBLIC_DIR "/usr/local/share/sockhop/public"
#endif
#ifndef HOP_PLUGIN_DIR
#define HOP_PLUGIN_DIR "/usr/local/lib/sockhop/plugins"
#endif

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECONDS INT64_C(1000)
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)

enum {
    MAX_THREADS = 64,    /* shard numbers must fit into a session's id */
    MAX_LISTEN = 16,     /* addresses: each is one descriptor before any client */
    MAX_NAMESPACE = 128, /* threats.md T15; SIO_MAX_NSP */
    MIN_MEMORY_MIB = 16, /* less is the program itself */
    MIN_MS = 10          /* timers tick coarsely: less would mean "at once" */
};

/* ---- the tables */

#define S struct settings

static const hop_config_key server_keys[] = {
    HOP_STRING(S, listen, "listen", "127.0.0.1, ::1", "numeric addresses to listen on"),
    HOP_INT(S, port, "port", 8080, 0, 65535,
            "port to listen on; 0 takes a free one; PORT in the environment wins"),
    HOP_STRING(S, threads, "threads", "auto",
               "threads for connections, 0 to 64; 0: all in one; auto: cores - 1"),
    HOP_PATH(S, public_dir, "public", HOP_PUBLIC_DIR,
             "folder of the page; empty: serve none"),
    HOP_PATH(S, plugin_dir, "plugin_dir", HOP_PLUGIN_DIR, "folder of the plugins"),
    HOP_STRING(S, status, "status", "",
               "ADDRESS:PORT that answers /metrics, /readyz and /livez; empty: none"),
    HOP_PATH(S, control, "control", "",
             "path of the socket that sockhopctl talks to; empty: none"),
    HOP_MS(S, shutdown_timeout_ms, "shutdown_timeout", 10 * SECONDS, 0, 10 * MINUTES,
           "time at SIGTERM to send what is queued"),
    HOP_STRING(S, user, "user", "",
               "USER or USER:GROUP to become when started as root, which needs one"),
    HOP_BOOL(S, seccomp, "seccomp", false,
             "whether system calls that serving does not need fail"),
    HOP_MS(S, slow_ms, "slow_ms", 50, 0, 1 * HOURS,
           "a plugin's call that takes so long is logged; 0: none is"),
    HOP_MS(S, watchdog_ms, "watchdog", 10 * SECONDS, 0, 1 * HOURS,
           "a turn of the plugins' thread that takes so long ends the server; 0: none"),
    HOP_MS(S, jobs_timeout_ms, "jobs_timeout", 30 * SECONDS, 0, 10 * MINUTES,
           "time at the end for jobs of plugins that run"),
    HOP_INT(S, n_workers, "workers", 4, 1, 64, "threads for the jobs of plugins"),
    HOP_STRING(S, namespaces, "namespaces", "",
               "namespaces that clients may join beside /: a list such as /a, /b"),
    HOP_STRING(S, include, "include", "",
               "more conf files: a list of files or patterns, such as conf.d/*.conf"),
    HOP_KEYS_END,
};

static const hop_config_key engine_keys[] = {
    HOP_STRING(S, path, "path", "/socket.io", "path that clients connect to"),
    HOP_BOOL(S, add_trailing_slash, "add_trailing_slash", true,
             "whether clients put a / behind path; no: with and without"),
    HOP_BOOL(S, serve_client, "serve_client", true,
             "whether the client's scripts are served below path"),
    HOP_MS(S, ping_interval_ms, "ping_interval", 25 * SECONDS, MIN_MS, 24 * HOURS,
           "time between two pings"),
    HOP_MS(S, ping_timeout_ms, "ping_timeout", 20 * SECONDS, MIN_MS, 24 * HOURS,
           "time for the answer to a ping"),
    HOP_MS(S, upgrade_timeout_ms, "upgrade_timeout", 10 * SECONDS, MIN_MS, 1 * HOURS,
           "time for an upgrade to WebSocket"),
    HOP_MS(S, connect_timeout_ms, "connect_timeout", 45 * SECONDS, MIN_MS, 1 * HOURS,
           "time to join a namespace"),
    HOP_SIZE_RANGE(S, max_http_buffer_bytes, "max_http_buffer_size", 1000000, 16, 1 * GIB,
                   "longest message of a client, bytes"),
    HOP_INT(S, max_attachments, "max_attachments", 10, 0, 1000,
            "attachments of a packet with binary data, received or sent"),
    HOP_STRING(S, transports, "transports", "polling, websocket",
               "list of polling and websocket"),
    HOP_BOOL(S, allow_upgrades, "allow_upgrades", true,
             "whether polling clients may change to WebSocket"),
    HOP_BOOL(S, allow_eio3, "allow_eio3", false,
             "whether clients of Socket.IO 2.x may connect"),
    HOP_CHOICE(S, parser, "parser", "json", "json|msgpack",
               "json or msgpack: how packets are written; all clients must use the same"),
    HOP_BOOL(S, permessage_deflate, "permessage_deflate", false,
             "whether WebSocket messages are compressed for clients that can"),
    HOP_SIZE_RANGE(S, deflate_min_bytes, "permessage_deflate_threshold", 1024, 0, 1 * GIB,
                   "shortest message that is sent compressed, bytes"),
    HOP_BOOL(S, http_compression, "http_compression", true,
             "whether polling responses are compressed for clients that take it"),
    HOP_SIZE_RANGE(S, http_compression_threshold, "http_compression_threshold", 1 * KIB,
                   0, 1 * GIB, "shortest polling response that is, bytes"),
    HOP_STRING(S, initial_packet, "initial_packet", "",
               "message sent behind the handshake; empty: none"),
    HOP_STRING(S, origins, "origins", "",
               "origins of other hosts' pages, as https://example.org; *: any"),
    HOP_BOOL(S, cors_credentials, "cors_credentials", false,
             "whether pages of listed origins may send cookies"),
    HOP_STRING(S, cors_allowed_headers, "cors_allowed_headers", "",
               "request headers that such pages may send; empty: what they ask for"),
    HOP_STRING(S, cors_exposed_headers, "cors_exposed_headers", "",
               "response headers that such pages may read, beside the usual"),
    HOP_MS(S, cors_max_age_ms, "cors_max_age", 10 * MINUTES, 0, 24 * HOURS,
           "how long a browser need not ask again (preflight)"),
    HOP_BOOL(S, cookie, "cookie", false,
             "whether a polling handshake sets a cookie with the session's id"),
    HOP_STRING(S, cookie_name, "cookie_name", "io", "the cookie's name"),
    HOP_STRING(S, cookie_path, "cookie_path", "/", "the cookie's Path; empty: none"),
    HOP_STRING(S, cookie_domain, "cookie_domain", "", "the cookie's Domain; empty: none"),
    HOP_MS(S, cookie_max_age_ms, "cookie_max_age", 0, 0, 400 * DAYS,
           "the cookie's Max-Age; 0: until the browser ends"),
    HOP_BOOL(S, cookie_http_only, "cookie_http_only", true,
             "whether scripts cannot read the cookie"),
    HOP_BOOL(S, cookie_secure, "cookie_secure", false,
             "whether the cookie goes over HTTPS only"),
    HOP_CHOICE(S, cookie_same_site, "cookie_same_site", "lax", "strict|lax|none|unset",
               "strict, lax, none or unset: whether other sites' requests carry it"),
    HOP_BOOL(S, cookie_partitioned, "cookie_partitioned", false,
             "whether each embedding site gets a cookie of its own"),
    HOP_CHOICE(S, cookie_priority, "cookie_priority", "unset", "low|medium|high|unset",
               "low, medium, high or unset: what a full browser drops first"),
    HOP_BOOL(S, cleanup_empty_child_namespaces, "cleanup_empty_child_namespaces", true,
             "whether a namespace made for a client goes with its last client"),
    HOP_KEYS_END,
};

static const hop_config_key limits_keys[] = {
    HOP_SIZE_RANGE(S, max_head_bytes, "max_head", 16 * KIB, 256, 1 * MIB,
                   "request line and headers, bytes; else 431"),
    HOP_SIZE_RANGE(S, max_target_bytes, "max_target", 8 * KIB, 64, 1 * MIB,
                   "request target, bytes; else 414"),
    HOP_INT(S, max_headers, "max_headers", 100, 1, 10000,
            "headers of a request; else 431"),
    HOP_SIZE_RANGE(S, max_body_bytes, "max_body", 1000000, 0, 1 * GIB,
                   "body of a request to a plugin, bytes; else 413"),
    HOP_MS(S, head_timeout_ms, "head_timeout", 10 * SECONDS, MIN_MS, 1 * HOURS,
           "time for a whole head; else 408"),
    HOP_MS(S, body_timeout_ms, "body_timeout", 30 * SECONDS, MIN_MS, 1 * HOURS,
           "time for a whole body; else 408"),
    HOP_SIZE_RANGE(S, min_body_rate, "min_body_rate", 500, 0, 1 * GIB,
                   "bytes a second of a body or message; else 408; 0: any"),
    HOP_MS(S, keep_alive_ms, "keep_alive", 60 * SECONDS, MIN_MS, 1 * HOURS,
           "time that a connection may idle between requests"),
    HOP_INT(S, max_connections, "max_connections", 0, 0, 16000000,
            "connections in all; else 503; 0: as many as there are descriptors"),
    HOP_INT(S, max_connections_per_address, "max_connections_per_address", 1000, 0,
            16000000, "connections of an address or IPv6 /64; else 503; 0: any number"),
    HOP_STRING(S, max_memory, "max_memory", "auto",
               "memory in all, bytes; auto: three quarters of what there is; 0: any"),
    HOP_SIZE_RANGE(S, max_queue_bytes, "max_queue", 1 * MIB, 1 * KIB, 1 * GIB,
                   "bytes queued for a client; closed above"),
    HOP_SIZE_RANGE(S, soft_queue_bytes, "soft_queue", 256 * KIB, 1 * KIB, 1 * GIB,
                   "bytes queued for a client; closed when above for soft_queue_time"),
    HOP_MS(S, soft_queue_ms, "soft_queue_time", 10 * SECONDS, MIN_MS, 1 * HOURS,
           "how long a client's queue may stay above soft_queue"),
    HOP_INT(S, max_queue_frames, "max_queue_frames", 16384, 16, 1000000,
            "packets queued for a client; closed above"),
    HOP_SIZE_RANGE(S, max_lane_bytes, "max_lane", 8 * MIB, 64 * KIB, 1 * GIB,
                   "bytes between two threads; reading pauses above"),
    HOP_INT(S, max_turn_packets, "max_turn_packets", 64, 1, 1000000,
            "packets, frames or requests of a connection before others get their turn"),
    HOP_INT(S, max_fragments, "max_fragments", 1024, 1, 1000000,
            "WebSocket fragments of a message"),
    HOP_INT(S, max_controls, "max_controls", 100, 1, 1000000,
            "WebSocket control frames of a client in a second"),
    HOP_INT(S, max_json_depth, "max_json_depth", 64, 1, 1024,
            "arrays and objects inside each other in a message"),
    HOP_INT(S, max_json_values, "max_json_values", 10000, 1, 10000000,
            "JSON values in a message"),
    HOP_SIZE_RANGE(S, max_attached_bytes, "max_attached", 1000000, 0, 1 * GIB,
                   "all attachments of a packet of a client, bytes"),
    HOP_MS(S, attachment_timeout_ms, "attachment_timeout", 10 * SECONDS, MIN_MS,
           1 * HOURS, "time for the next attachment of a packet to begin"),
    HOP_INT(S, max_namespaces, "max_namespaces", 1000, 0, 1000000,
            "namespaces that clients' requests have made, in all"),
    HOP_INT(S, max_client_namespaces, "max_client_namespaces", 16, 1, 1000,
            "namespaces that a client may be in"),
    HOP_INT(S, max_rooms, "max_rooms", 1000, 1, 1000000,
            "rooms that a client may be in; no plugin can have it join more"),
    HOP_INT(S, max_acks, "max_acks", 1000000, 1, 16000000,
            "acks of clients that are awaited at a time; emits that ask for more fail"),
    HOP_SIZE_RANGE(S, max_answer_bytes, "max_answers", 16 * MIB, 64 * KIB, 1 * GIB,
                   "bytes of answers kept until all that were asked have answered"),
    HOP_INT(S, max_handshakes, "max_handshakes", 1000, 1, 1000000,
            "requests for a session that wait for a plugin at once, for each thread"),
    HOP_SIZE_RANGE(S, max_waiting_bytes, "max_waiting", 1 * MIB, 1 * KIB, 1 * GIB,
                   "bytes of a client's events behind a deferred one; closed above"),
    HOP_INT(S, max_jobs, "max_jobs", 10000, 1, 1000000,
            "jobs of a plugin that wait for a thread; it can start no more"),
    HOP_KEYS_END,
};

/* The order of the words is that of enum hop_log_level. */
static const hop_config_key log_keys[] = {
    HOP_CHOICE(S, log_level, "level", "info", "error|warn|info|debug",
               "error, warn, info or debug: lines of lower levels are not written"),
    HOP_KEYS_END,
};

#undef S

const struct settings_section settings_sections[] = {
    {"server", server_keys},
    {"engine", engine_keys},
    {"limits", limits_keys},
    {"log", log_keys},
    {NULL, NULL},
};

void settings_print(const struct config *config, FILE *out)
{
    for (size_t i = 0; settings_sections[i].name; i++) {
        if (i > 0)
            fputc('\n', out);
        config_print(config, settings_sections[i].name, settings_sections[i].keys,
                     sizeof(hop_config_key), out);
    }
}

void settings_doc(enum config_doc format, FILE *out)
{
    for (size_t i = 0; settings_sections[i].name; i++) {
        if (i > 0)
            fputc('\n', out);
        config_doc(format, settings_sections[i].name, NULL, settings_sections[i].keys,
                   sizeof(hop_config_key), out);
    }
}

/* ---- sections */

static bool is_core_section(const char *name)
{
    for (size_t i = 0; settings_sections[i].name; i++)
        if (strcmp(settings_sections[i].name, name) == 0)
            return true;
    return false;
}

/* plugin:NAME, where NAME is [a-z][a-z0-9_-]* */
static bool is_plugin_section(const char *name)
{
    static const char prefix[] = "plugin:";

    if (strncmp(name, prefix, strlen(prefix)) != 0)
        return false;
    name += strlen(prefix);
    return *name >= 'a' && *name <= 'z' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static int refuse_section(const struct config *config, const char *name, hop_error *error)
{
    const char *colon = strchr(name, ':');
    char plugin[64];
    const char *words[] = {"server", "engine", "limits", "log", plugin, NULL};
    const char *nearest;

    snprintf(plugin, sizeof plugin, "plugin:%s", colon ? colon + 1 : "NAME");
    if (strcmp(name, plugin) == 0) {
        config_error(config, name, NULL, error,
                     "no name of a plugin: use small letters, digits, _ and -");
        return -1;
    }
    nearest = config_nearest(name, words);
    if (nearest)
        config_error(config, name, NULL, error, "unknown section; did you mean \"%s\"?",
                     nearest);
    else
        config_error(config, name, NULL, error,
                     "unknown section: use server, engine, limits, log or plugin:NAME");
    return -1;
}

static int check_sections(const struct config *config, hop_error *error)
{
    const char *name;

    for (size_t i = 0; (name = config_section(config, i)); i++)
        if (!is_core_section(name) && !is_plugin_section(name))
            return refuse_section(config, name, error);
    return 0;
}

/* ---- [server] */

/* A whole decimal number of 0..max, or -1. */
static int small_number(const char *text, int max)
{
    size_t len = strlen(text);
    long number;

    if (len == 0 || len > 6 || strspn(text, "0123456789") != len)
        return -1;
    number = strtol(text, NULL, 10);
    return number <= max ? (int)number : -1;
}

static int resolve_threads(struct settings *settings, const struct config *config,
                           hop_error *error)
{
    if (strcmp(settings->threads, "auto") == 0) {
        int n = machine_cores() - 1;

        settings->n_threads = n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
        return 0;
    }
    settings->n_threads = small_number(settings->threads, MAX_THREADS);
    if (settings->n_threads >= 0)
        return 0;
    config_error(config, "server", "threads", error,
                 "\"%s\" is not a number of threads: use auto, or 0 to %d",
                 settings->threads, (int)MAX_THREADS);
    return -1;
}

static int take_port_variable(struct config *config, hop_error *error)
{
    const char *text = getenv("PORT");

    if (!text || *text == '\0') /* PORT= is how some unset it */
        return 0;
    if (small_number(text, 65535) < 0) {
        hop_error_set(error, "PORT: \"%s\" is not a port: use 0 to 65535, or unset PORT",
                      text);
        return -1;
    }
    config_override_from(config, "server", "port", text, "PORT");
    return 0;
}

/* The numeric address in network bytes (4 or 16), or 0. IPv4 is written as IPv4: our IPv6
 * sockets take no mapped addresses. */
static size_t read_address(const char *text, unsigned char bytes[16])
{
    struct in6_addr address;

    if (inet_pton(AF_INET, text, bytes) == 1)
        return 4;
    if (inet_pton(AF_INET6, text, &address) != 1 || IN6_IS_ADDR_V4MAPPED(&address))
        return 0;
    memcpy(bytes, &address, sizeof address);
    return sizeof address;
}

static int check_listen(const struct settings *settings, const struct config *config,
                        hop_error *error)
{
    unsigned char seen[MAX_LISTEN][16] = {{0}};
    size_t sizes[MAX_LISTEN];
    const char *list = settings->listen;
    const char *item;
    size_t n = 0, len;

    while ((item = list_next(&list, &len))) {
        char text[INET6_ADDRSTRLEN] = "";

        if (len < sizeof text)
            memcpy(text, item, len);
        if (n == MAX_LISTEN) {
            config_error(config, "server", "listen", error, "more than %d addresses",
                         (int)MAX_LISTEN);
            return -1;
        }
        sizes[n] = read_address(text, seen[n]);
        if (sizes[n] == 0) {
            config_error(config, "server", "listen", error,
                         "\"%.*s\" is not a numeric address: use one such as 127.0.0.1 "
                         "or ::1",
                         (int)len, item);
            return -1;
        }
        for (size_t i = 0; i < n; i++)
            if (sizes[i] == sizes[n] && memcmp(seen[i], seen[n], sizes[n]) == 0) {
                config_error(config, "server", "listen", error,
                             "\"%s\" stands there twice: keep one", text);
                return -1;
            }
        n++;
    }
    if (n > 0)
        return 0;
    config_error(config, "server", "listen", error,
                 "no address: use one such as 127.0.0.1 or ::1");
    return -1;
}

int settings_address_parse(const char *text, struct settings_address *out)
{
    const char *colon = strrchr(text, ':');
    const char *end = colon;
    bool is_bracketed = *text == '[';
    unsigned char bytes[16];
    size_t size;

    if (!colon)
        return -1;
    if (is_bracketed) {
        text++;
        if (end <= text || *--end != ']')
            return -1;
    }
    if ((size_t)(end - text) >= sizeof out->address)
        return -1;
    memcpy(out->address, text, (size_t)(end - text));
    out->address[end - text] = '\0';
    out->port = small_number(colon + 1, 65535);
    size = read_address(out->address, bytes);
    return out->port >= 0 && size == (is_bracketed ? 16 : 4) ? 0 : -1;
}

static int check_status(const struct settings *settings, const struct config *config,
                        hop_error *error)
{
    struct settings_address status;

    if (!*settings->status || settings_address_parse(settings->status, &status) == 0)
        return 0;
    config_error(config, "server", "status", error,
                 "\"%s\" is not ADDRESS:PORT: use one such as 127.0.0.1:9090 or "
                 "[::1]:9090",
                 settings->status);
    return -1;
}

static bool is_namespace(const char *item, size_t len)
{
    return len <= MAX_NAMESPACE && *item == '/' && !memchr(item, '?', len) &&
           utf8_is_valid(item, len);
}

static int check_namespaces(const struct settings *settings, const struct config *config,
                            hop_error *error)
{
    const char *list = settings->namespaces;
    const char *item;
    size_t len;

    while ((item = list_next(&list, &len))) {
        if (is_namespace(item, len))
            continue;
        config_error(config, "server", "namespaces", error,
                     "\"%.*s\" is not a namespace: use one such as /chat, of at most %d "
                     "bytes, without \"?\"",
                     (int)len, item, (int)MAX_NAMESPACE);
        return -1;
    }
    return 0;
}

/* ---- [limits] */

/* The complaint stands where one of the two was set. */
static int check_at_most(const struct config *config, const char *small_key, size_t small,
                         const char *large_key, size_t large, hop_error *error)
{
    bool is_small_set = config_key_place(config, "limits", small_key) != NULL;

    if (small <= large)
        return 0;
    if (is_small_set)
        config_error(config, "limits", small_key, error,
                     "%zu is more than %s, which is %zu: lower it, or raise %s", small,
                     large_key, large, large_key);
    else
        config_error(config, "limits", large_key, error,
                     "%zu is less than %s, which is %zu: raise it, or lower %s", large,
                     small_key, small, small_key);
    return -1;
}

/* What the machine or a control group gives us is not all for the heap: the kernel's
 * buffers of our connections count there too. */
static int resolve_memory(struct settings *settings, const struct config *config,
                          hop_error *error)
{
    int64_t bytes;

    if (strcmp(settings->max_memory, "auto") == 0) {
        uint64_t memory = machine_memory("");

        settings->max_memory_bytes = (size_t)(memory - memory / 4);
        return 0;
    }
    if (config_read_size(settings->max_memory, &bytes) == 0 &&
        (bytes == 0 || bytes >= MIN_MEMORY_MIB * MIB)) {
        settings->max_memory_bytes = (size_t)bytes;
        return 0;
    }
    config_error(config, "limits", "max_memory", error,
                 "\"%s\" is not a size of %dM or more: use auto, one such as 512M, or 0",
                 settings->max_memory, (int)MIN_MEMORY_MIB);
    return -1;
}

static int check_limits(const struct settings *settings, const struct config *config,
                        hop_error *error)
{
    if (check_at_most(config, "soft_queue", settings->soft_queue_bytes, "max_queue",
                      settings->max_queue_bytes, error) < 0)
        return -1;
    return check_at_most(config, "max_target", settings->max_target_bytes, "max_head",
                         settings->max_head_bytes, error);
}

/* ---- all */

static int fill_sections(struct settings *settings, const struct config *config,
                         hop_error *error)
{
    for (size_t i = 0; settings_sections[i].name; i++)
        if (config_fill(config, settings_sections[i].name, settings_sections[i].keys,
                        sizeof(hop_config_key), NULL, settings, error) < 0)
            return -1;
    return 0;
}

int settings_fill(struct settings *settings, struct config *config, hop_error *error)
{
    typedef int check(const struct settings *, const struct config *, hop_error *);
    static check *const checks[] = {check_listen, check_status, check_namespaces,
                                    settings_check_engine, check_limits};

    memset(settings, 0, sizeof *settings);
    if (check_sections(config, error) < 0 || take_port_variable(config, error) < 0 ||
        fill_sections(settings, config, error) < 0 ||
        resolve_threads(settings, config, error) < 0 ||
        resolve_memory(settings, config, error) < 0)
        return -1;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i](settings, config, error) < 0)
            return -1;
    return 0;
}
