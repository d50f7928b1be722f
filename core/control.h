/*
 * control.h - the control socket: the operator's commands, a line of JSON each, over a Unix socket
 * that only the server's own user and root may use.
 *
 * {"command": ["plugin", "list"]} is answered {"ok": true, "data": ...} or
 * {"ok": false, "error": "..."}, each in one line and in the order of asking. Thread: logic.
 */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include <sys/types.h>

#include <sockhop/types.h>

struct console;
struct control;
struct loops;

enum {
    CONTROL_LINE_MAX = 65536, /* bytes of a request */
    CONTROL_CLIENTS_MAX = 16
};

/*
 * Listen at path, which belongs to uid and gid then, with mode 0600. A socket that nobody listens
 * at any more is replaced. NULL with the reason. console: borrowed.
 */
struct control *control_open(struct loops *loops, struct console *console,
                             const char *path, uid_t uid, gid_t gid, hop_error *error);

/* The server stops: nobody is accepted any more, and the path goes, if we still may. Takes NULL. */
void control_stop(struct control *control);

/* After the last answer. Takes NULL. */
void control_free(struct control *control);

#endif
