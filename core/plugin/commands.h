/*
 * commands.h - commands of plugins: the list, and the calls that wait for an answer.
 * Thread: logic.
 */
#ifndef PLUGIN_COMMANDS_H
#define PLUGIN_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <sockhop/command.h>

#include "core/loop/slots.h"

struct command;
struct plugin;

struct commands {
    struct command *list; /* owned: in the order of registration */
    size_t n;
    hop_command_call *waiting; /* owned: a list of the deferred ones */
    struct slots deferrals;    /* borrowed calls */
};

void commands_init(struct commands *commands);
void commands_done(struct commands *commands);

/*
 * Run a command: the plugin's name, the command's, its arguments. done is called once, from within
 * this or later, until commands_remove() of the plugin at the latest: with the data (borrowed, never
 * NULL) or the error (borrowed). False: no plugin of that name that is live has any, and done is not
 * called.
 */
typedef void command_done(json_t *data, const char *error, void *arg);
bool commands_run(hop_server *server, size_t n, const char *const *words,
                  command_done *done, void *arg);

/* Append one object {command, usage, help} for each. */
void commands_list(const hop_server *server, json_t *list);

/* Whether answers of the plugin are awaited. */
bool commands_has_any(const struct commands *commands, const struct plugin *plugin);
/* They are given up: whoever asked is told. */
void commands_refuse_all(hop_server *server, const struct plugin *plugin);
void commands_remove(hop_server *server, const struct plugin *plugin);

#endif
