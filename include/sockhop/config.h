/*
 * config.h - a plugin's configuration keys, declared in one table.
 *
 * The loader reads the section [plugin:NAME], checks each value against the table and
 * fills the plugin's state before init() runs. An unknown key or a bad value stops the
 * start with the file, the line and the way out; what only several values together can get
 * wrong is for the plugin's check() (plugin.h). Two keys are every plugin's and not in
 * its table: `enabled` (yes) and `file` (NAME.so in server.plugin_dir).
 *
 *   static const hop_config_key keys[] = {
 *       HOP_STRING(struct relay, room, "room", "relay", "room that every client joins"),
 *       HOP_SIZE(struct relay, max_bytes, "max_bytes", 4096, "longest line, bytes"),
 *       HOP_KEYS_END,
 *   };
 */
#ifndef SOCKHOP_CONFIG_H
#define SOCKHOP_CONFIG_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hop_key_type {
    HOP_KEY_END, /* closes a table */
    HOP_KEY_STRING, /* const char *: never NULL, lives as long as the plugin (but see RELOADABLE) */
    HOP_KEY_PATH,  /* const char *: relative paths count from the conf file's folder */
    HOP_KEY_BOOL,  /* bool: yes, no, true, false, on, off, 1, 0 */
    HOP_KEY_INT,   /* int64_t */
    HOP_KEY_SIZE,  /* size_t, bytes: 4096, 64k, 1M, 1G (powers of 1,024) */
    HOP_KEY_MS,    /* int64_t, milliseconds: 250, 250ms, 10s, 5m, 24h, 30d */
    HOP_KEY_CHOICE /* int: the index of the word in `choices` */
} hop_key_type;

/* One key. Build it with the macros below; new members will be appended. */
typedef struct hop_config_key {
    hop_key_type type;
    const char *name;    /* as in the conf file: [a-z0-9_]+ */
    size_t offset;       /* of the member in the plugin's state */
    const char *text;    /* default of STRING, PATH and CHOICE (the word) */
    int64_t number;      /* default of the others */
    int64_t min, max;    /* bounds of INT, SIZE and MS, both included */
    const char *choices; /* CHOICE: the words, "a|b|c" */
    const char *help;    /* one line; its unit where it has one */

    /* since 0.4 */
    unsigned flags; /* HOP_KEY_* */
} hop_config_key;

/*
 * Behind the help of any of the macros below may stand a member by its name:
 *   HOP_STRING(struct x, token, "token", "", "what we log in with", .flags = HOP_KEY_SECRET)
 *
 * HOP_KEY_SECRET: the value is neither printed by -T nor quoted in an error of the server;
 * what the plugin's own check() says is its own to watch. HOP_KEY_RELOADABLE: when the
 * conf file is read again, the new value is put into the state of the plugin that runs, which
 * need not be replaced for it (see hop_plugin.changed); its text lives until the next one has
 * come.
 */
#define HOP_KEY_RELOADABLE 1u
#define HOP_KEY_SECRET 2u

#define HOP_STRING(state, member, key, fallback, ...)                                    \
    {                                                                                    \
        .type = HOP_KEY_STRING, .name = (key), .offset = offsetof(state, member),        \
        .text = (fallback), .help = __VA_ARGS__                                          \
    }
#define HOP_PATH(state, member, key, fallback, ...)                                      \
    {                                                                                    \
        .type = HOP_KEY_PATH, .name = (key), .offset = offsetof(state, member),          \
        .text = (fallback), .help = __VA_ARGS__                                          \
    }
#define HOP_BOOL(state, member, key, fallback, ...)                                      \
    {                                                                                    \
        .type = HOP_KEY_BOOL, .name = (key), .offset = offsetof(state, member),          \
        .number = (fallback), .help = __VA_ARGS__                                        \
    }
#define HOP_INT(state, member, key, fallback, low, high, ...)                            \
    {                                                                                    \
        .type = HOP_KEY_INT, .name = (key), .offset = offsetof(state, member),           \
        .number = (fallback), .min = (low), .max = (high), .help = __VA_ARGS__           \
    }
#define HOP_SIZE(state, member, key, fallback, ...)                                      \
    HOP_SIZE_RANGE(state, member, key, fallback, 0, INT64_MAX, __VA_ARGS__)
#define HOP_SIZE_RANGE(state, member, key, fallback, low, high, ...)                     \
    {                                                                                    \
        .type = HOP_KEY_SIZE, .name = (key), .offset = offsetof(state, member),          \
        .number = (fallback), .min = (low), .max = (high), .help = __VA_ARGS__           \
    }
#define HOP_MS(state, member, key, fallback, low, high, ...)                             \
    {                                                                                    \
        .type = HOP_KEY_MS, .name = (key), .offset = offsetof(state, member),            \
        .number = (fallback), .min = (low), .max = (high), .help = __VA_ARGS__           \
    }
#define HOP_CHOICE(state, member, key, fallback, words, ...)                             \
    {                                                                                    \
        .type = HOP_KEY_CHOICE, .name = (key), .offset = offsetof(state, member),        \
        .text = (fallback), .choices = (words), .help = __VA_ARGS__                      \
    }
#define HOP_KEYS_END                                                                     \
    {                                                                                    \
        .type = HOP_KEY_END                                                              \
    }

#ifdef __cplusplus
}
#endif

#endif
