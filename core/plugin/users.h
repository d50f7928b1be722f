/*
 * users.h - who is behind which sockets, for plugins. Thread: logic.
 */
#ifndef PLUGIN_USERS_H
#define PLUGIN_USERS_H

#include <sockhop/user.h>

#include "core/loop/slots.h"

struct attachment;
struct plugin;

struct users {
    struct slots by_handle;         /* struct user, owned */
    struct attachment *attachments; /* owned: hashed by socket */
};

void users_init(struct users *users);
void users_done(struct users *users); /* after users_forget() of every plugin */

/* The socket has gone. */
void users_drop_socket(hop_server *server, hop_socket socket);

/* The plugin goes: its users end; or another takes its place, and them. */
void users_hand_over(hop_server *server, const struct plugin *from, struct plugin *to);
void users_forget(hop_server *server, const struct plugin *plugin);

#endif
