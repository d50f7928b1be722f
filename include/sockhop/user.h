/*
 * user.h - who is behind a socket: one user may have several, one in each tab.
 *
 * A plugin that knows who people are makes users and says which sockets are theirs; all
 * others can ask, and keep values on users (slot.h). The core knows no more of them than a
 * name. A hop_user is a value like hop_socket: harmless when the user has gone.
 */
#ifndef SOCKHOP_USER_H
#define SOCKHOP_USER_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t hop_user;
#define HOP_NO_USER ((hop_user)0)

/*
 * Make a user, or end one: its sockets are nobody's then, its values are destroyed. A user
 * is of the plugin that made it, which alone may end it, and goes with that plugin.
 *   name  UTF-8; copied; need not be the only one of its kind
 * hop_user_new() returns HOP_NO_USER when there is no name or no room (2^24 users);
 * hop_user_end() 0, or -1. Thread: logic.
 */
HOP_API hop_user hop_user_new(hop_server *server, const char *name);
HOP_API int hop_user_end(hop_server *server, hop_user user);

/* Borrowed: until the user ends. NULL when it has gone. Thread: logic. */
HOP_API const char *hop_user_name(hop_server *server, hop_user user);

/*
 * Say whose a socket is: HOP_NO_USER for nobody's. A socket that goes leaves its user behind
 * its disconnect hooks. Returns 0, or -1 when there is no such socket or user, or either is
 * another plugin's. Thread: logic.
 */
HOP_API int hop_socket_set_user(hop_server *server, hop_socket socket, hop_user user);
HOP_API hop_user hop_socket_user(hop_server *server, hop_socket socket);

/* The n-th socket of a user, in any order, or HOP_NO_SOCKET behind the last. Thread: logic. */
HOP_API hop_socket hop_user_socket(hop_server *server, hop_user user, size_t n);

#ifdef __cplusplus
}
#endif

#endif
