/*
 * console.h - the operator's commands: what the control socket runs. Thread: logic.
 */
#ifndef CORE_CONSOLE_H
#define CORE_CONSOLE_H

#include <stddef.h>

#include <sockhop/types.h>

#include "core/plugin/commands.h"

struct console;
struct hub;
struct loops;
struct reloads;
struct settings;
struct status;

/* What the commands look at and change: all borrowed. */
struct console_parts {
    hop_server *server;
    struct loops *loops;
    struct hub *hub;
    struct reloads *reloads;
    struct status *status;
    const struct settings *settings;
};

struct console *console_new(const struct console_parts *parts);
void console_free(struct console *console); /* takes NULL */

/*
 * Run a command of n words (UTF-8, borrowed): one of the server's own, or a plugin's. done is
 * called once, from within this or later, at the latest when the server is freed.
 */
void console_run(struct console *console, size_t n, const char *const *words,
                 command_done *done, void *arg);

#endif
