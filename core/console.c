/*
 * console.c - the operator's commands: a table, and what each does.
 *
 * sockhopctl(8) describes them. An answer is JSON; a text is for the operator's eyes.
 * Called by: control.c. Thread: logic.
 */
#include "core/console.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/metrics.h"
#include "core/base/settings.h"
#include "core/loop/loop.h"
#include "core/plugin/change.h"
#include "core/plugin/server.h"
#include "core/reload.h"
#include "core/socketio/hub.h"
#include "core/status.h"

enum {
    SOCKETS_SHOWN = 100, /* unless more are asked for */
    SOCKETS_MAX = 10000
};

struct console {
    struct console_parts parts;
    uint64_t began_ms;
};

/* One call of a command: n arguments behind its words. */
struct ask {
    struct console *console;
    size_t n;
    const char *const *args;
    command_done *done;
    void *arg;
};

struct entry {
    const char *words[2]; /* the second NULL: it has one word */
    const char *usage, *help;
    size_t n_least, n_most; /* arguments */
    void (*run)(const struct ask *ask);
};

static void answer(const struct ask *ask, json_t *data)
{
    ask->done(data, NULL, ask->arg);
    json_decref(data);
}

static void refuse(const struct ask *ask, const char *error)
{
    ask->done(NULL, error, ask->arg);
}

/* ---- what it prints anyway */

static void answer_text(const struct ask *ask,
                        void (*print)(const struct console *console, FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        mem_exhausted(1);
    print(ask->console, out);
    if (fclose(out) != 0)
        mem_exhausted(len);
    answer(ask, json_stringn(text, len));
    free(text);
}

static void print_metrics(const struct console *console, FILE *out)
{
    status_print(console->parts.status, out);
}

static void print_hooks(const struct console *console, FILE *out)
{
    server_print_hooks(console->parts.server, out);
}

static void run_metrics(const struct ask *ask)
{
    answer_text(ask, print_metrics);
}

static void run_hooks(const struct ask *ask)
{
    answer_text(ask, print_hooks);
}

/* ---- how it goes */

static json_int_t count(const struct console *console, enum metric id)
{
    struct metrics *all[LOOPS_MAX];
    const struct loops *loops = console->parts.loops;

    for (unsigned i = 0; i < loops->n_loops; i++)
        all[i] = &loops->loop[i]->metrics;
    return metric_sum(all, loops->n_loops, id);
}

static void run_status(const struct ask *ask)
{
    const struct console *console = ask->console;
    const uint64_t now_ms = loop_now(console->parts.loops->logic);
    struct rusage usage = {0};

    getrusage(RUSAGE_SELF, &usage);
    answer(ask,
           json_pack("{s:s, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "version",
                     HOP_VERSION, "pid", (json_int_t)getpid(), "uptime_s",
                     (json_int_t)((now_ms - console->began_ms) / 1000), "threads",
                     console->parts.settings->n_threads, "connections",
                     count(console, METRIC_CONNECTIONS), "sessions",
                     count(console, METRIC_SESSIONS_POLLING) +
                         count(console, METRIC_SESSIONS_WEBSOCKET),
                     "sockets", count(console, METRIC_SOCKETS), "rooms",
                     count(console, METRIC_ROOMS), "plugins",
                     (json_int_t)server_count_plugins(console->parts.server), "cpu_ms",
                     (json_int_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000,
                     "peak_memory_kib", (json_int_t)usage.ru_maxrss));
}

/* ---- plugins */

struct pending {
    command_done *done;
    void *arg;
};

static void on_changed(const struct change_report *report, void *arg)
{
    struct pending *pending = arg;
    json_t *data;

    if (!report->is_done) {
        pending->done(NULL, report->error, pending->arg);
    } else {
        data = json_pack("{s:s, s:I, s:I, s:I}", "plugins", report->plugins, "values",
                         (json_int_t)report->n_values, "held_us",
                         (json_int_t)report->held_us, "swap_us",
                         (json_int_t)report->swap_us);
        if (report->restart)
            json_object_set_new(data, "restart_needed", json_string(report->restart));
        pending->done(data, NULL, pending->arg);
        json_decref(data);
    }
    free(pending);
}

static struct pending *pending_new(const struct ask *ask)
{
    struct pending *pending = mem_alloc(sizeof *pending);

    *pending = (struct pending){ask->done, ask->arg};
    return pending;
}

static void change(const struct ask *ask, enum change_kind kind)
{
    struct pending *pending = pending_new(ask);
    char name[LOG_NAME_SIZE];
    hop_error error;

    hop_log(HOP_INFO, "control.plugin plugin=\"%s\" change=%s",
            log_escape(name, sizeof name, ask->args[0], strlen(ask->args[0])),
            kind == CHANGE_LOAD     ? "load"
            : kind == CHANGE_UNLOAD ? "unload"
                                    : "reload");
    if (change_begin(ask->console->parts.server, kind, ask->args[0], NULL, on_changed,
                     pending, &error) == 0)
        return;
    free(pending);
    refuse(ask, error.text);
}

static void run_plugin_load(const struct ask *ask)
{
    change(ask, CHANGE_LOAD);
}

static void run_plugin_unload(const struct ask *ask)
{
    change(ask, CHANGE_UNLOAD);
}

static void run_plugin_reload(const struct ask *ask)
{
    change(ask, CHANGE_RELOAD);
}

static void run_plugin_list(const struct ask *ask)
{
    answer(ask, server_list_plugins(ask->console->parts.server));
}

static void run_reload(const struct ask *ask)
{
    reloads_request(ask->console->parts.reloads, on_changed, pending_new(ask));
}

/* ---- the log */

static const char *const levels[] = {
    [HOP_ERROR] = "error",
    [HOP_WARN] = "warn",
    [HOP_INFO] = "info",
    [HOP_DEBUG] = "debug",
};

static void run_log_level(const struct ask *ask)
{
    int level = HOP_DEBUG;

    if (ask->n == 0) {
        while (level > HOP_ERROR && !hop_log_enabled((hop_log_level)level))
            level--;
        answer(ask, json_string(levels[level]));
        return;
    }
    while (level >= HOP_ERROR && strcmp(levels[level], ask->args[0]) != 0)
        level--;
    if (level < HOP_ERROR) {
        refuse(ask, "a level is error, warn, info or debug");
        return;
    }
    log_set_level((hop_log_level)level);
    hop_log(HOP_INFO, "control.log_level level=%s", levels[level]);
    answer(ask, json_string(levels[level]));
}

/* ---- clients */

static json_t *show_socket(const struct hub *hub, hop_socket socket)
{
    return json_pack("{s:s, s:s, s:s}", "id", hub_socket_id(hub, socket), "namespace",
                     hub_socket_namespace(hub, socket), "address",
                     hub_socket_address(hub, socket));
}

static bool read_most(const struct ask *ask, size_t *most)
{
    char *end;
    unsigned long n;

    *most = SOCKETS_SHOWN;
    if (ask->n < 2)
        return true;
    n = strtoul(ask->args[1], &end, 10);
    *most = n;
    return *end == '\0' && end != ask->args[1] && n >= 1 && n <= SOCKETS_MAX;
}

static void run_sockets(const struct ask *ask)
{
    const struct hub *hub = ask->console->parts.hub;
    const char *nsp = ask->n > 0 && strcmp(ask->args[0], "*") != 0 ? ask->args[0] : NULL;
    json_t *list;
    size_t most, n = 0;

    if (!read_most(ask, &most)) {
        refuse(ask, "how many to show is a number from 1 to 10000");
        return;
    }
    list = json_array();
    for (uint32_t i = 0; i < hub_sockets_end(hub); i++) {
        const hop_socket socket = hub_socket_at(hub, i);

        if (socket == HOP_NO_SOCKET || !hub_is_connected(hub, socket) ||
            (nsp && strcmp(nsp, hub_socket_namespace(hub, socket)) != 0))
            continue;
        if (n++ < most)
            json_array_append_new(list, show_socket(hub, socket));
    }
    answer(ask, json_pack("{s:I, s:o}", "total", (json_int_t)n, "sockets", list));
}

static void run_disconnect(const struct ask *ask)
{
    struct hub *hub = ask->console->parts.hub;
    char id[LOG_NAME_SIZE];
    const hop_socket socket =
        hub_find(hub, ask->n > 1 ? ask->args[1] : "/", ask->args[0]);

    if (socket == HOP_NO_SOCKET || hub_disconnect(hub, socket, HOP_CLOSE_TRANSPORT) < 0) {
        refuse(ask, "no socket of that id is there: see sockets");
        return;
    }
    hop_log(HOP_INFO, "control.disconnect id=\"%s\"",
            log_escape(id, sizeof id, ask->args[0], strlen(ask->args[0])));
    answer(ask, json_null());
}

/* ---- the table */

static void run_help(const struct ask *ask);

static const struct entry entries[] = {
    {{"help", NULL}, "", "the commands, those of plugins too", 0, 0, run_help},
    {{"status", NULL}, "", "version, uptime, how many are there", 0, 0, run_status},
    {{"plugin", "list"}, "", "the plugins that are loaded", 0, 0, run_plugin_list},
    {{"plugin", "load"},
     "NAME",
     "load one that the conf file has",
     1,
     1,
     run_plugin_load},
    {{"plugin", "unload"},
     "NAME",
     "unload one that no other needs",
     1,
     1,
     run_plugin_unload},
    {{"plugin", "reload"},
     "NAME",
     "replace one, with those that are bound to it",
     1,
     1,
     run_plugin_reload},
    {{"reload", NULL}, "", "read the conf file again, as SIGHUP does", 0, 0, run_reload},
    {{"log", "level"},
     "[LEVEL]",
     "tell or set it: error, warn, info, debug",
     0,
     1,
     run_log_level},
    {{"sockets", NULL}, "[NAMESPACE|* [MOST]]", "who is connected", 0, 2, run_sockets},
    {{"disconnect", NULL},
     "ID [NAMESPACE]",
     "close the connection of a socket",
     1,
     2,
     run_disconnect},
    {{"metrics", NULL}, "", "what /metrics tells", 0, 0, run_metrics},
    {{"hooks", NULL}, "", "what --print-hooks tells", 0, 0, run_hooks},
};

enum { N_ENTRIES = sizeof entries / sizeof *entries };

static void run_help(const struct ask *ask)
{
    json_t *list = json_array();

    for (size_t i = 0; i < N_ENTRIES; i++) {
        const struct entry *entry = &entries[i];

        json_array_append_new(list,
                              json_pack("{s:s++, s:s, s:s}", "command", entry->words[0],
                                        entry->words[1] ? " " : "",
                                        entry->words[1] ? entry->words[1] : "", "usage",
                                        entry->usage, "help", entry->help));
    }
    commands_list(ask->console->parts.server, list);
    answer(ask, list);
}

/* How many words of the entry stand at the front: 0 if it is another. */
static size_t fits(const struct entry *entry, size_t n, const char *const *words)
{
    if (n < 1 || strcmp(entry->words[0], words[0]) != 0)
        return 0;
    if (!entry->words[1])
        return 1;
    return n > 1 && strcmp(entry->words[1], words[1]) == 0 ? 2 : 0;
}

static void refuse_usage(const struct ask *ask, const struct entry *entry)
{
    char text[200];

    snprintf(text, sizeof text, "usage: %s%s%s %s", entry->words[0],
             entry->words[1] ? " " : "", entry->words[1] ? entry->words[1] : "",
             entry->usage);
    refuse(ask, text);
}

/* "plugin" alone, or "plugin lod": what there is. False: nothing begins so. */
static bool refuse_word(const struct ask *ask)
{
    char text[200];
    size_t len =
        (size_t)snprintf(text, sizeof text, "%.32s is followed by", ask->args[0]);
    const size_t n_before = len;

    for (size_t i = 0; i < N_ENTRIES && len < sizeof text; i++)
        if (entries[i].words[1] && strcmp(entries[i].words[0], ask->args[0]) == 0)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s %s",
                                    len > n_before ? "," : "", entries[i].words[1]);
    if (len > n_before)
        refuse(ask, text);
    return len > n_before;
}

void console_run(struct console *console, size_t n, const char *const *words,
                 command_done *done, void *arg)
{
    struct ask ask = {console, n, words, done, arg};

    for (size_t i = 0; i < N_ENTRIES; i++) {
        const size_t n_words = fits(&entries[i], n, words);

        if (n_words == 0)
            continue;
        ask.n = n - n_words;
        ask.args = words + n_words;
        if (ask.n < entries[i].n_least || ask.n > entries[i].n_most)
            refuse_usage(&ask, &entries[i]);
        else
            entries[i].run(&ask);
        return;
    }
    if (!refuse_word(&ask) && !commands_run(console->parts.server, n, words, done, arg))
        refuse(&ask, "no such command: see help");
}

struct console *console_new(const struct console_parts *parts)
{
    struct console *console = mem_calloc(1, sizeof *console);

    console->parts = *parts;
    console->began_ms = loop_now(parts->loops->logic);
    return console;
}

void console_free(struct console *console)
{
    free(console);
}
