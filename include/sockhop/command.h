/*
 * command.h - a plugin's own commands for the operator: `sockhopctl PLUGIN WORD ARGUMENT...`.
 *
 *   static void run_kick(hop_command_call *call, size_t n, const char *const *args, void *self)
 *   {
 *       if (n != 1)
 *           hop_command_fail(call, "whom?");
 *       else
 *           hop_command_answer(call, json_pack("{s:i}", "kicked", kick(self, args[0])));
 *   }
 *   ...
 *   hop_command(server, "kick", "NAME", "disconnect a user", run_kick, self);
 *
 * sockhopctl(8) prints the answer: an array of objects as a table, an object line by line, a text
 * as it is.
 */
#ifndef SOCKHOP_COMMAND_H
#define SOCKHOP_COMMAND_H

#include <jansson.h>
#include <sockhop/event.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call. Borrowed: until run() returns. */
typedef struct hop_command_call hop_command_call;

/*
 * What the operator asks for: answer it before this returns, or defer it.
 *   args  n texts of UTF-8, what stands behind the command's name; borrowed until it returns
 *   self  the pointer given at registration
 * Without either the operator is told that the plugin gave no answer. Thread: logic.
 */
typedef void hop_command_run(hop_command_call *call, size_t n, const char *const *args,
                             void *self);

/*
 * Register a command. Those of a plugin that is named like one of the server's own commands
 * (sockhopctl(8)) cannot be called.
 *   name   [a-z][a-z0-9_-]*, at most 32 bytes, this plugin's only one of that name
 *   usage  its arguments as the help shows them, "NAME [REASON]", or ""
 *   help   one line: what it does
 *   (all three: copied)
 * Returns 0, or -1: the plugin is refused with the reason. Only in init(). Thread: logic.
 */
HOP_API int hop_command(hop_server *server, const char *name, const char *usage,
                        const char *help, hop_command_run *run, void *self);

/*
 * Answer, once, while run() runs: with data of any kind (the reference is taken, also where it
 * fails; NULL: there is nothing to tell), or with what went wrong and the way out.
 * Returns 0, or -1: it has been answered or deferred already. Thread: logic.
 */
HOP_API int hop_command_answer(hop_command_call *call, json_t *data);
HOP_API int hop_command_fail(hop_command_call *call, const char *format, ...)
    HOP_PRINTF(2, 3);

/*
 * The answer comes later, from hop_command_resume(); after timeout_ms (1 ms to an hour) the
 * operator is told that it has not come. When the plugin is replaced or unloaded it is waited
 * for, at most for five seconds.
 * Returns the deferral, or 0: it has been answered or deferred, or the time is out of bounds.
 * Only while run() runs. Thread: logic.
 */
HOP_API hop_deferral hop_command_defer(hop_command_call *call, int timeout_ms);

/*
 * Answer what was deferred.
 *   data   as for hop_command_answer()
 *   error  NULL, or what went wrong (copied): data does not count then
 * Returns 0, or -1: the server has ended. An answer that comes too late is dropped.
 * Thread: any.
 */
HOP_API int hop_command_resume(hop_server *server, hop_deferral deferral, json_t *data,
                               const char *error);

#ifdef __cplusplus
}
#endif

#endif
