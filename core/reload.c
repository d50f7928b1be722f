/*
 * reload.c - SIGHUP: the conf file is read again, checked, and applied as far as a server that
 * runs can.
 *
 * Of the server's own keys that is log.level; the others are named in the log, for they need
 * a restart. Plugins are reloaded where their section or their file has changed.
 * Called by: daemon.c. Thread: logic.
 */
#include "core/reload.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/plugin/plugin.h"
#include "core/plugin/server.h"

struct reloads {
    hop_server *server;       /* borrowed */
    const struct config *now; /* borrowed */
    struct config *then;      /* ref: what is being applied, or NULL */
    hop_log_level then_level;
    bool is_wanted; /* once what is under way has ended */
    bool is_over;
    struct waiter *waiting; /* owned: for the next one */
    struct waiter *current; /* owned: for the one under way */
};

/* Somebody who wants to know how it went. */
struct waiter {
    change_done *done;
    void *arg;
    struct waiter *next;
};

static void tell(struct waiter *waiters, const struct change_report *report)
{
    struct waiter *next;

    for (; waiters; waiters = next) {
        next = waiters->next;
        waiters->done(report, waiters->arg);
        free(waiters);
    }
}

static void tell_current(struct reloads *reloads, const struct change_report *report)
{
    struct waiter *waiters = reloads->current;

    reloads->current = NULL;
    tell(waiters, report);
}

/* Whether the key can be changed while the server runs. */
static bool is_applied(const char *section, const char *key)
{
    return strcmp(section, "log") == 0 && strcmp(key, "level") == 0;
}

struct key_list {
    char text[512];
    size_t len;
};

static void add_key(struct key_list *list, const char *section, const char *key)
{
    if (list->len < sizeof list->text)
        list->len +=
            (size_t)snprintf(list->text + list->len, sizeof list->text - list->len,
                             "%s%s.%s", list->len ? ", " : "", section, key);
}

/* The keys of one that the other has not, or not so. both: say of which both have one. */
static void compare(const struct config *one, const struct config *other, bool both,
                    struct key_list *list)
{
    const char *section, *key;

    for (size_t i = 0; (section = config_section(one, i)); i++)
        for (size_t j = 0; (key = config_key(one, section, j)); j++) {
            const char *here = config_get(one, section, key);
            const char *there = config_get(other, section, key);

            if (plugin_section_name(section) || is_applied(section, key) ||
                strcmp(key, "include") == 0)
                continue;
            if (there ? both && strcmp(here, there) != 0 : true)
                add_key(list, section, key);
        }
}

static void find_rest(const struct config *now, const struct config *then,
                      struct key_list *list)
{
    compare(now, then, true, list);
    compare(then, now, false, list);
}

/* What a reload has changed beside plugins, and what it could not. */
static void apply(struct reloads *reloads, const struct key_list *rest)
{
    log_set_level(reloads->then_level);
    if (rest->len > 0)
        hop_log(HOP_WARN,
                "server.restart_needed keys=\"%s\" hint=\"they are as they were: a "
                "server that runs cannot change them\"",
                rest->text);
}

static void on_done(const struct change_report *report, void *arg)
{
    struct reloads *reloads = arg;
    struct change_report told = *report;
    struct key_list rest = {"", 0};

    if (report->is_done) {
        find_rest(reloads->now, reloads->then, &rest);
        apply(reloads, &rest);
        told.restart = rest.len > 0 ? rest.text : NULL;
    }
    config_free(reloads->then);
    reloads->then = NULL;
    tell_current(reloads, &told);
}

/* Returns 0, or -1 with the reason: then nothing has been changed. */
static int begin(struct reloads *reloads, hop_error *error)
{
    struct config *then = config_load_again(reloads->now, error);
    struct settings settings = {0};

    if (!then)
        return -1;
    reloads->then = then;
    if (settings_fill(&settings, then, error) == 0) {
        reloads->then_level = (hop_log_level)settings.log_level;
        if (server_reload(reloads->server, then, on_done, reloads, error) == 0)
            return 0;
    }
    reloads->then = NULL;
    config_free(then);
    return -1;
}

static void add_waiter(struct reloads *reloads, change_done *done, void *arg)
{
    struct waiter *waiter = mem_alloc(sizeof *waiter);

    *waiter = (struct waiter){done, arg, reloads->waiting};
    reloads->waiting = waiter;
}

void reloads_request(struct reloads *reloads, change_done *done, void *arg)
{
    hop_error error;

    if (done)
        add_waiter(reloads, done, arg);
    if (reloads->is_over) {
        reloads_stop(reloads);
        return;
    }
    if (server_is_changing(reloads->server)) {
        reloads->is_wanted = true;
        return;
    }
    reloads->current = reloads->waiting;
    reloads->waiting = NULL;
    hop_log(HOP_INFO, "server.reloading");
    if (begin(reloads, &error) == 0)
        return;
    hop_log(HOP_ERROR, "server.reload_failed reason=\"%s\"", error.text);
    tell_current(reloads, &(struct change_report){.error = error.text});
}

static void on_settled(void *arg)
{
    struct reloads *reloads = arg;

    if (!reloads->is_wanted)
        return;
    reloads->is_wanted = false;
    reloads_request(reloads, NULL, NULL);
}

void reloads_stop(struct reloads *reloads)
{
    struct waiter *waiters = reloads->waiting;

    reloads->is_over = true;
    reloads->waiting = NULL;
    tell(waiters, &(struct change_report){.error = "the server stops"});
}

struct reloads *reloads_new(hop_server *server, const struct config *now)
{
    struct reloads *reloads = mem_calloc(1, sizeof *reloads);

    reloads->server = server;
    reloads->now = now;
    server_on_settled(server, on_settled, reloads);
    return reloads;
}

void reloads_free(struct reloads *reloads)
{
    if (!reloads)
        return;
    config_free(reloads->then);
    free(reloads);
}
