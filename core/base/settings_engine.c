/*
 * settings_engine.c - the keys of [engine] beyond their types: see settings_engine.h.
 *
 * Called by: settings.c. Thread: start.
 */
#include "core/base/settings_engine.h"

#include <string.h>

#include "core/base/config.h"
#include "core/base/text.h"

enum { MAX_PATH = 128 };

static const char *path_complaint(const char *path)
{
    size_t len = strlen(path);

    if (*path != '/')
        return "must start with \"/\"";
    if (len == 1)
        return "must name something below \"/\", which the page has";
    if (path[len - 1] == '/')
        return "must not end with \"/\"";
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

int settings_check_engine(const struct settings *settings, const struct config *config,
                          hop_error *error)
{
    typedef int check(const struct settings *, const struct config *, hop_error *);
    static check *const checks[] = {check_path, check_transports, check_origins};

    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (checks[i](settings, config, error) < 0)
            return -1;
    return 0;
}
