/*
 * fuzz_settings.c - the core's own configuration (core/base/settings.c, config_table.c)
 * and its addresses: C29, C30, T40.
 *
 * Input: a conf file. Each line is besides taken for the value of server.status and of
 * server.listen, the first, when it starts with "PORT=", for the environment's PORT.
 * Properties:
 *   - settings that are taken are within the bounds of their tables, and print as
 *     settings that are taken and are the same;
 *   - settings that are refused are refused with the key's name;
 *   - an address is taken exactly when the system's own parser takes its parts, and what
 *     was taken, written plainly, is taken again;
 *   - a list of addresses is taken exactly when each of them is one, none stands twice and
 *     there are 1 to 16.
 * Thread: main.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/base/config_store.h"
#include "core/base/settings.h"
#include "core/base/text.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "settings";

enum { MAX_LISTEN = 16 };

/* ---- settings */

/* One member by its key: number or text. */
static int64_t number_of(const struct settings *settings, const hop_config_key *key)
{
    const char *member = (const char *)settings + key->offset;
    int64_t number = 0;
    size_t size;
    bool is_on;
    int index;

    switch (key->type) {
    case HOP_KEY_BOOL:
        memcpy(&is_on, member, sizeof is_on);
        return is_on;
    case HOP_KEY_SIZE:
        memcpy(&size, member, sizeof size);
        return (int64_t)size;
    case HOP_KEY_CHOICE:
        memcpy(&index, member, sizeof index);
        return index;
    default:
        memcpy(&number, member, sizeof number);
        return number;
    }
}

static const char *text_of(const struct settings *settings, const hop_config_key *key)
{
    const char *text;

    memcpy(&text, (const char *)settings + key->offset, sizeof text);
    return text;
}

/* A path is printed whole. */
static bool is_same_text(const hop_config_key *key, const char *given,
                         const char *printed)
{
    size_t len = strlen(given), printed_len = strlen(printed);

    if (key->type == HOP_KEY_PATH && printed_len > len && len > 0)
        printed += printed_len - len;
    return strcmp(given, printed) == 0;
}

/* Each member: within its bounds, and the same in both. */
static void check_members(const struct settings *a, const struct settings *b)
{
    for (size_t i = 0; settings_sections[i].name; i++)
        for (const hop_config_key *key = settings_sections[i].keys; key->type; key++) {
            if (strcmp(key->name, "include") == 0)
                continue; /* nothing was read here: a comment in what is printed */
            if (key->type == HOP_KEY_STRING || key->type == HOP_KEY_PATH) {
                FUZZ_CHECK(is_same_text(key, text_of(a, key), text_of(b, key)),
                           "a text that is printed is the same");
                continue;
            }
            FUZZ_CHECK(number_of(a, key) == number_of(b, key),
                       "a number that is printed is the same");
            if (key->type == HOP_KEY_INT || key->type == HOP_KEY_SIZE ||
                key->type == HOP_KEY_MS)
                FUZZ_CHECK(number_of(a, key) >= key->min && number_of(a, key) <= key->max,
                           "a number is within its bounds");
        }
    FUZZ_CHECK(a->n_threads == b->n_threads && a->n_threads >= 0 && a->n_threads <= 64,
               "the number of threads is resolved");
}

/* A path is printed whole, and may be too long for a line then. */
static bool has_long_path(const struct settings *settings)
{
    char *folder = getcwd(NULL, 0);
    bool has_one = false;

    for (size_t i = 0; settings_sections[i].name; i++)
        for (const hop_config_key *key = settings_sections[i].keys; key->type; key++)
            if (key->type == HOP_KEY_PATH)
                has_one |= strlen(key->name) + 1 + strlen(folder) + 1 +
                               strlen(text_of(settings, key)) >
                           CONF_LINE_BYTES;
    free(folder);
    return has_one;
}

static void check_printed(const struct settings *settings, const struct config *config)
{
    struct fuzz_text text = {0};
    FILE *file = open_memstream(&text.text, &text.len);
    struct settings again;
    hop_error error = {{0}};
    struct config *printed;

    settings_print(config, file);
    fclose(file);
    printed = config_parse("printed.ini", text.text, text.len, &error);
    if (!printed || settings_fill(&again, printed, &error) < 0)
        fuzz_fail("settings that are printed are taken", error.text, __FILE__, __LINE__);
    check_members(settings, &again);
    config_free(printed);
    free(text.text);
}

/* PORT= in the first line: what remains of the input. */
static void take_port(const char **input, size_t *len)
{
    const char *stop = memchr(*input, '\n', *len);
    size_t line_len = stop ? (size_t)(stop - *input) : *len;
    char *line;

    unsetenv("PORT");
    if (line_len < 5 || memcmp(*input, "PORT=", 5) != 0)
        return;
    line = malloc(line_len + 1);
    memcpy(line, *input, line_len);
    line[line_len] = '\0';
    setenv("PORT", line + 5, 1);
    free(line);
    *input += line_len + (stop != NULL);
    *len -= line_len + (stop != NULL);
}

static void check_defaults(void)
{
    char text[64];

    for (size_t i = 0; settings_sections[i].name; i++)
        for (const hop_config_key *key = settings_sections[i].keys; key->type; key++)
            FUZZ_CHECK(strlen(config_key_default(key, text, sizeof text)) < sizeof text,
                       "a default can be written");
}

static void check_settings(const char *input, size_t len)
{
    hop_error error = {{0}};
    struct settings settings;
    struct config *config;

    take_port(&input, &len);
    config = config_parse("x.ini", input, len, &error);
    if (!config)
        return; /* fuzz_ini.c has these */
    /* The printed form names no plugins: their sections are the loader's. */
    if (settings_fill(&settings, config, &error) == 0) {
        if (!has_long_path(&settings))
            check_printed(&settings, config);
    } else {
        FUZZ_CHECK(strchr(error.text, ':') && strlen(error.text) > 4,
                   "a refusal has words");
    }
    config_free(config);
}

/* ---- addresses */

static bool is_ipv4(const char *text)
{
    struct in_addr address;

    return inet_pton(AF_INET, text, &address) == 1;
}

static bool is_ipv6(const char *text)
{
    struct in6_addr address;

    return inet_pton(AF_INET6, text, &address) == 1 && !IN6_IS_ADDR_V4MAPPED(&address);
}

static bool is_port(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 6 && strspn(text, "0123456789") == len &&
           atol(text) <= 65535;
}

/* ADDRESS:PORT or [ADDRESS]:PORT, slowly. */
static bool is_address(const char *text)
{
    char *copy = fuzz_copy(text, strlen(text) + 1);
    char *colon = strrchr(copy, ':');
    bool is_one = false;

    if (colon) {
        size_t len = (size_t)(colon - copy);

        *colon = '\0';
        if (copy[0] != '[') {
            is_one = is_ipv4(copy);
        } else if (len >= 2 && copy[len - 1] == ']') {
            copy[len - 1] = '\0';
            is_one = is_ipv6(copy + 1);
        }
        is_one = is_one && is_port(colon + 1);
    }
    free(copy);
    return is_one;
}

static void check_address(const char *line)
{
    struct settings_address *found = malloc(sizeof *found), again;
    char text[128];
    int result = settings_address_parse(line, found);

    FUZZ_CHECK(result == 0 || result == -1, "a verdict is yes or no");
    FUZZ_CHECK((result == 0) == is_address(line),
               "C30: an address is taken when the system takes its parts");
    if (result == 0) {
        FUZZ_CHECK(strlen(found->address) < sizeof found->address, "C30: it fits");
        FUZZ_CHECK(found->port >= 0 && found->port <= 65535, "a port is a port");
        snprintf(text, sizeof text, strchr(found->address, ':') ? "[%s]:%d" : "%s:%d",
                 found->address, found->port);
        FUZZ_CHECK(settings_address_parse(text, &again) == 0 &&
                       strcmp(again.address, found->address) == 0 &&
                       again.port == found->port,
                   "an address written plainly is the same");
    }
    free(found);
}

/* The same in network bytes; false when it is none. */
static bool to_bytes(const char *text, unsigned char bytes[17])
{
    memset(bytes, 0, 17);
    bytes[0] = is_ipv4(text) ? 4 : 6;
    return (is_ipv4(text) || is_ipv6(text)) &&
           inet_pton(is_ipv4(text) ? AF_INET : AF_INET6, text, bytes + 1) == 1;
}

static bool is_listen_list(const char *list)
{
    unsigned char seen[MAX_LISTEN][17];
    const char *item;
    size_t n = 0, len;

    while ((item = list_next(&list, &len))) {
        char *text = fuzz_copy(item, len + 1); /* the list goes on with a NUL at least */
        bool is_one;

        text[len] = '\0';
        is_one = n < MAX_LISTEN && to_bytes(text, seen[n]);
        free(text);
        if (!is_one)
            return false;
        for (size_t i = 0; i < n; i++)
            if (memcmp(seen[i], seen[n], sizeof seen[n]) == 0)
                return false;
        n++;
    }
    return n > 0;
}

static void check_listen(const char *line)
{
    struct fuzz_text text = {0};
    hop_error error = {{0}};
    struct config *config = config_parse("empty.ini", "", 0, &error);
    struct settings settings;

    fuzz_print(&text, "server.listen=%s", line);
    if (config_override(config, text.text, &error) == 0) {
        bool is_taken = settings_fill(&settings, config, &error) == 0;

        FUZZ_CHECK(is_taken == is_listen_list(config_get(config, "server", "listen")),
                   "C30: a list of addresses is taken when each is one and alone");
        FUZZ_CHECK(is_taken || strstr(error.text, "server.listen: "),
                   "a refused list is refused by its name");
    }
    config_free(config);
    free(text.text);
}

static void check_lines(const char *input, size_t len)
{
    const char *at = input, *end = input + len;

    for (int n = 0; at < end && n < 20; n++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t line_len = stop ? (size_t)(stop - at) : (size_t)(end - at);
        char *line = malloc(line_len + 1);

        memcpy(line, at, line_len);
        line[line_len] = '\0';
        check_address(line);
        check_listen(line);
        free(line);
        at += line_len + 1;
    }
}

void fuzz_one(const char *input, size_t len)
{
    check_settings(input, len);
    unsetenv("PORT");
    check_defaults();
    check_lines(input, len);
}
