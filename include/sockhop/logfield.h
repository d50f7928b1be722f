/*
 * logfield.h - what a plugin adds to the core's log lines about a socket.
 */
#ifndef SOCKHOP_LOGFIELD_H
#define SOCKHOP_LOGFIELD_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Have log lines about a socket end in PLUGIN.NAME="VALUE", such as auth.user="alice". The lines
 * are those that the logic thread writes about one socket: socket.opened, socket.closed and
 * event.ignored (debug), plugin.defer_timeout, plugin.bad_verdict and
 * event.too_many_waiting (warn). Those of connections and Engine.IO sessions, which a client
 * may have before and after its sockets, are written in other threads and have none.
 *
 *   name   [a-z][a-z0-9_]*, at most 32 bytes; copied
 *   value  what it is: a new one takes the place of the old, NULL takes it away. Copied;
 *          cut at 64 bytes, and escaped, so that it may be what a client has sent
 *
 * The field is of the plugin that is running, and goes with the socket or with the plugin;
 * when that is reloaded it stays. A socket may have it while it connects. A plugin that sets
 * none costs nothing.
 * Returns 0, or -1 when there is no such socket or it is going, name is none, or the plugin has 8 fields on
 * that socket already. Thread: logic.
 */
HOP_API int hop_socket_log_field(hop_server *server, hop_socket socket, const char *name,
                                 const char *value);

#ifdef __cplusplus
}
#endif

#endif
