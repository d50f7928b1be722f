/*
 * settings_engine.c - the keys of [engine] beyond their types: see settings_engine.h.
 *
 * Called by: settings.c. Thread: start.
 */
#include "core/base/settings_engine.h"

#include <string.h>

#include "core/base/config.h"
#include "core/base/text.h"

enum {
    MAX_PATH = 128,
    MAX_HEADER_NAMES = 256, /* of a list: it stands in every response */
    MAX_COOKIE_NAME = 64,
    MAX_DOMAIN = 253 /* RFC 1035 */
};

static const char token_chars[] = /* RFC 9110 5.6.2 */
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";

static const char *path_complaint(const char *path)
{
    size_t len = strlen(path);

    if (*path != '/')
        return "must start with \"/\"";
    if (len == 1)
        return "must name something below \"/\", which the page has";
    if (len > MAX_PATH)
        return "is longer than 128 bytes";
    if (strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                     "/._~-") != len)
        return "may have letters, digits and / . _ ~ - only";
    if (strstr(path, "//") || strstr(path, "/."))
        return "must not have \"//\", nor a part that starts with a dot";
    return NULL;
}

static int check_path(const struct settings *settings, const struct config *config,
                      hop_error *error)
{
    const char *complaint = path_complaint(settings->path);

    if (!complaint)
        return 0;
    config_error(config, "engine", "path", error, "\"%s\" %s: use one such as /socket.io",
                 settings->path, complaint);
    return -1;
}

static int check_transports(const struct settings *settings, const struct config *config,
                            hop_error *error)
{
    const char *list = settings->transports;
    const char *item;
    size_t n = 0, len;

    for (; (item = list_next(&list, &len)); n++) {
        if ((len == 7 && memcmp(item, "polling", len) == 0) ||
            (len == 9 && memcmp(item, "websocket", len) == 0))
            continue;
        config_error(config, "engine", "transports", error,
                     "\"%.*s\" is not a transport: use polling, websocket, or both",
                     (int)len, item);
        return -1;
    }
    if (n > 0)
        return 0;
    config_error(config, "engine", "transports", error,
                 "none is named: use polling, websocket, or both");
    return -1;
}

/* "*", or scheme://host[:port] as browsers send it: in small letters, nothing behind. */
static bool is_origin(const char *item, size_t len)
{
    static const char sign[] = "://";
    const char *host = memmem(item, len, sign, strlen(sign));
    size_t host_len;

    if (len == 1 && *item == '*')
        return true;
    if (!host || host == item)
        return false;
    host += strlen(sign);
    host_len = len - (size_t)(host - item);
    for (size_t i = 0; i < len; i++)
        if (item[i] <= ' ' || (item[i] >= 'A' && item[i] <= 'Z'))
            return false;
    return host_len > 0 && !memchr(host, '/', host_len) && !memchr(host, '*', host_len);
}

static int check_origins(const struct settings *settings, const struct config *config,
                         hop_error *error)
{
    const char *list = settings->origins;
    const char *item;
    size_t len;

    while ((item = list_next(&list, &len))) {
        if (is_origin(item, len))
            continue;
        config_error(config, "engine", "origins", error,
                     "\"%.*s\" is not an origin: use *, or one such as "
                     "https://example.org, in small letters, nothing behind the host",
                     (int)len, item);
        return -1;
    }
    return 0;
}

/* ---- CORS */

static int check_header_names(const struct config *config, const char *key,
                              const char *names, hop_error *error)
{
    const char *list = names, *item;
    size_t len;

    while ((item = list_next(&list, &len)))
        if (strspn(item, token_chars) < len) {
            config_error(config, "engine", key, error,
                         "\"%.*s\" is not the name of a header", (int)len, item);
            return -1;
        }
    if (strlen(names) <= MAX_HEADER_NAMES)
        return 0;
    config_error(config, "engine", key, error, "is longer than %d bytes",
                 (int)MAX_HEADER_NAMES);
    return -1;
}

static int check_cors(const struct settings *settings, const struct config *config,
                      hop_error *error)
{
    const char *list = settings->origins;
    bool names_one = false;
    size_t len;

    while (list_next(&list, &len))
        names_one |= len > 1;
    if (settings->cors_credentials && !names_one) {
        config_error(config, "engine", "cors_credentials", error,
                     "is for origins that are named, and engine.origins names none: "
                     "add them there");
        return -1;
    }
    if (check_header_names(config, "cors_allowed_headers", settings->cors_allowed_headers,
                           error) < 0)
        return -1;
    return check_header_names(config, "cors_exposed_headers",
                              settings->cors_exposed_headers, error);
}

/* ---- the cookie */

static int refuse_cookie(const struct config *config, const char *key, const char *value,
                         const char *complaint, hop_error *error)
{
    config_error(config, "engine", key, error, "\"%s\" %s", value, complaint);
    return -1;
}

static bool is_cookie_path(const char *path)
{
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at > '~' || *at == ';')
            return false;
    return (*path == '\0' || *path == '/') && strlen(path) <= MAX_PATH;
}

static int check_cookie(const struct settings *settings, const struct config *config,
                        hop_error *error)
{
    const char *name = settings->cookie_name, *domain = settings->cookie_domain;
    bool is_none = settings->cookie_same_site == SAME_SITE_NONE;

    if (!*name || name[strspn(name, token_chars)] || strlen(name) > MAX_COOKIE_NAME)
        return refuse_cookie(config, "cookie_name", name,
                             "is no cookie's name: use letters, digits, - and _", error);
    if (!is_cookie_path(settings->cookie_path))
        return refuse_cookie(config, "cookie_path", settings->cookie_path,
                             "is no path: use one such as /", error);
    if (domain[strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-")] ||
        strlen(domain) > MAX_DOMAIN)
        return refuse_cookie(config, "cookie_domain", domain,
                             "is no domain: use one such as example.org", error);
    if (settings->cookie && !settings->cookie_secure &&
        (is_none || settings->cookie_partitioned))
        return refuse_cookie(config, is_none ? "cookie_same_site" : "cookie_partitioned",
                             is_none ? "none" : "yes",
                             "makes browsers drop the cookie without cookie_secure = yes",
                             error);
    return 0;
}

/* ---- all */

int settings_check_engine(const struct settings *settings, const struct config *config,
                          hop_error *error)
{
    typedef int check(const struct settings *, const struct config *, hop_error *);
    static check *const checks[] = {check_path, check_transports, check_origins,
                                    check_cors, check_cookie};

    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i](settings, config, error) < 0)
            return -1;
    return 0;
}
