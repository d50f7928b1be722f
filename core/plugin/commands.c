/*
 * commands.c - the plugins' part of the control socket: see commands.h, <sockhop/command.h>.
 *
 * Called by: plugins (registration, answers), core/control.c (calls), change.c, server.c. Thread:
 * logic, but for hop_command_resume().
 */
#include "core/plugin/commands.h"

#include <assert.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/sockhop.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

enum { COMMAND_NAME_MAX = 32 };

struct command {
    struct plugin *plugin;     /* borrowed */
    char *name, *usage, *help; /* owned */
    const char *shown;         /* the name, of running_name() */
    hop_command_run *run;
    void *self; /* borrowed: the plugin's own */
};

struct hop_command_call {
    hop_server *server;          /* borrowed */
    const struct plugin *plugin; /* borrowed: who is to answer */
    char *name;                  /* owned */
    command_done *done;          /* NULL once it is answered */
    void *arg;
    bool is_running;                          /* within run() */
    hop_deferral deferral;                    /* 0: none */
    struct event *timer;                      /* owned: its deadline */
    struct hop_command_call *previous, *next; /* among those that wait */
};

void commands_init(struct commands *commands)
{
    memset(commands, 0, sizeof *commands);
    slots_init(&commands->deferrals, 0);
}

void commands_done(struct commands *commands)
{
    free(commands->list);
    slots_done(&commands->deferrals);
}

/* ---- registration */

static bool is_command_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return name[len] == '\0' && len >= 1 && len <= COMMAND_NAME_MAX && *name >= 'a' &&
           *name <= 'z';
}

static bool is_text(const char *text)
{
    return text && utf8_is_valid(text, strlen(text));
}

static const struct command *find_command(const hop_server *server,
                                          const struct plugin *plugin, const char *name)
{
    for (size_t i = 0; i < server->commands.n; i++) {
        const struct command *command = &server->commands.list[i];

        if (command->plugin == plugin && strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

int hop_command(hop_server *server, const char *name, const char *usage, const char *help,
                hop_command_run *run, void *self)
{
    struct commands *commands = &server->commands;

    if (!in_init(server, __func__))
        return -1;
    if (!name || !is_command_name(name) || !is_text(usage) || !is_text(help) || !run)
        return refuse(server,
                      "hop_command(\"%s\"): a name ([a-z][a-z0-9_-]*, at most %d bytes), "
                      "its usage, its help and a function, please",
                      name ? name : "", COMMAND_NAME_MAX);
    if (find_command(server, server->current, name))
        return refuse(server, "hop_command(\"%s\"): the name is taken", name);
    commands->list =
        mem_realloc(commands->list, (commands->n + 1) * sizeof *commands->list);
    commands->list[commands->n++] = (struct command){
        .plugin = server->current,
        .name = mem_strdup(name),
        .usage = mem_strdup(usage),
        .help = mem_strdup(help),
        .shown = running_name(name),
        .run = run,
        .self = self,
    };
    return 0;
}

/* ---- answers */

static void call_free(hop_command_call *call)
{
    free(call->name);
    free(call);
}

static void end_deferral(hop_command_call *call)
{
    struct commands *commands = &call->server->commands;

    if (!call->deferral)
        return;
    slots_remove(&commands->deferrals, call->deferral);
    call->deferral = 0;
    event_free(call->timer);
    *(call->previous ? &call->previous->next : &commands->waiting) = call->next;
    if (call->next)
        call->next->previous = call->previous;
}

/* Tells whoever asked; the call goes, or is about to. data: borrowed. */
static void answer(hop_command_call *call, json_t *data, const char *error)
{
    command_done *done = call->done;

    assert(done); /* it is answered once */
    end_deferral(call);
    call->done = NULL;
    done(data, error, call->arg);
    if (!call->is_running)
        call_free(call);
}

static bool may_answer(const hop_command_call *call, const char *function)
{
    return on_logic(function) && call && call->is_running && call->done &&
           !call->deferral;
}

int hop_command_answer(hop_command_call *call, json_t *data)
{
    json_t *given = data ? data : json_null();
    int result = -1;

    if (may_answer(call, __func__)) {
        answer(call, given, NULL);
        result = 0;
    }
    json_decref(given);
    return result;
}

int hop_command_fail(hop_command_call *call, const char *format, ...)
{
    char text[512];
    va_list values;

    if (!may_answer(call, __func__))
        return -1;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    text[utf8_cut(text, sizeof text - 4)] = '\0'; /* not within a character */
    answer(call, NULL, text);
    return 0;
}

/* ---- taking one's time */

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    hop_command_call *call = arg;

    (void)fd;
    (void)what;
    hop_log(HOP_WARN, "plugin.defer_timeout plugin=%s command=%s", call->plugin->name,
            call->name);
    answer(call, NULL, "the plugin has not answered in time");
}

hop_deferral hop_command_defer(hop_command_call *call, int timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    struct commands *commands;

    if (!may_answer(call, __func__) || timeout_ms < 1 || timeout_ms > MAX_TIMEOUT_MS)
        return 0;
    commands = &call->server->commands;
    call->deferral = slots_add(&commands->deferrals, call);
    if (!call->deferral)
        return 0;
    call->timer = evtimer_new(call->server->loops->logic->base, on_timeout, call);
    if (!call->timer || evtimer_add(call->timer, &timeout) < 0)
        mem_exhausted(sizeof *call); /* the one reason that libevent has */
    call->previous = NULL;
    call->next = commands->waiting;
    if (call->next)
        call->next->previous = call;
    commands->waiting = call;
    return call->deferral;
}

struct late_answer {
    hop_server *server; /* borrowed */
    hop_deferral deferral;
    json_t *data; /* owned: NULL with an error */
    char *error;  /* owned */
};

static void late_answer_free(struct late_answer *late)
{
    json_decref(late->data);
    free(late->error);
    free(late);
}

/* In logic, by loop_post(): never while run() still runs. */
static void answer_late(void *arg)
{
    struct late_answer *late = arg;
    hop_command_call *call = slots_get(&late->server->commands.deferrals, late->deferral);

    if (call)
        answer(call, late->data, late->error);
    late_answer_free(late);
}

int hop_command_resume(hop_server *server, hop_deferral deferral, json_t *data,
                       const char *error)
{
    struct late_answer *late = mem_alloc(sizeof *late);

    *late =
        (struct late_answer){server, deferral, NULL, error ? mem_strdup(error) : NULL};
    if (error)
        json_decref(data);
    else
        late->data = data ? data : json_null();
    if (loop_post(server->loops->logic, answer_late, late) == 0)
        return 0;
    late_answer_free(late);
    return -1;
}

/* ---- calls */

static bool has_commands(const hop_server *server, const struct plugin *plugin)
{
    for (size_t i = 0; i < server->commands.n; i++)
        if (server->commands.list[i].plugin == plugin)
            return true;
    return false;
}

static void refuse_word(const hop_server *server, const struct plugin *plugin,
                        command_done *done, void *arg)
{
    char text[512];
    size_t len = (size_t)snprintf(text, sizeof text, "%s knows no such command, but",
                                  plugin->name);

    for (size_t i = 0; i < server->commands.n && len < sizeof text; i++)
        if (server->commands.list[i].plugin == plugin)
            len += (size_t)snprintf(text + len, sizeof text - len, " %s",
                                    server->commands.list[i].name);
    done(NULL, text, arg);
}

static void run(hop_server *server, const struct command *command, size_t n,
                const char *const *args, command_done *done, void *arg)
{
    const char *shown = command->shown;
    hop_command_call *self = mem_calloc(1, sizeof *self);
    struct call call;

    self->server = server;
    self->plugin = command->plugin;
    self->name = mem_strdup(command->name);
    self->done = done;
    self->arg = arg;
    self->is_running = true;
    call_begin_as(server, command->plugin, "command", shown, &call);
    command->run(self, n, args, command->self);
    call_end(server, &call, "command", shown);
    self->is_running = false;
    if (self->deferral)
        return;
    if (self->done)
        answer(self, NULL, "the plugin gave no answer");
    else
        call_free(self);
}

bool commands_run(hop_server *server, size_t n, const char *const *words,
                  command_done *done, void *arg)
{
    struct plugin *plugin = n > 0 ? loader_find(server->loader, words[0]) : NULL;
    const struct command *command;

    if (!plugin || !plugin->is_live || !has_commands(server, plugin))
        return false;
    command = n > 1 ? find_command(server, plugin, words[1]) : NULL;
    if (!command)
        refuse_word(server, plugin, done, arg);
    else if (plugin->is_leaving)
        done(NULL, "the plugin is being changed: try again", arg);
    else
        run(server, command, n - 2, words + 2, done, arg);
    return true;
}

void commands_list(const hop_server *server, json_t *list)
{
    for (size_t i = 0; i < server->commands.n; i++) {
        const struct command *command = &server->commands.list[i];

        if (command->plugin->is_live)
            json_array_append_new(list, json_pack("{s:s++, s:s, s:s}", "command",
                                                  command->plugin->name, " ",
                                                  command->name, "usage", command->usage,
                                                  "help", command->help));
    }
}

/* ---- when a plugin goes or is replaced */

static hop_command_call *first_of(const struct commands *commands,
                                  const struct plugin *plugin)
{
    hop_command_call *call = commands->waiting;

    while (call && call->plugin != plugin)
        call = call->next;
    return call;
}

bool commands_has_any(const struct commands *commands, const struct plugin *plugin)
{
    return first_of(commands, plugin) != NULL;
}

void commands_refuse_all(hop_server *server, const struct plugin *plugin)
{
    hop_command_call *call;

    while ((call = first_of(&server->commands, plugin)))
        answer(call, NULL, "the plugin is being changed: it has not answered in time");
}

void commands_remove(hop_server *server, const struct plugin *plugin)
{
    struct commands *commands = &server->commands;
    size_t n_kept = 0;

    commands_refuse_all(server, plugin);
    for (size_t i = 0; i < commands->n; i++) {
        struct command *command = &commands->list[i];

        if (command->plugin == plugin) {
            free(command->name);
            free(command->usage);
            free(command->help);
        } else {
            commands->list[n_kept++] = *command;
        }
    }
    commands->n = n_kept;
}
