/*
 * client.h - one session as logic sees it: who it is, and its sockets. Found by the
 * session's handle in a table that mirrors the shards' own. Thread: logic.
 */
#ifndef SOCKETIO_CLIENT_H
#define SOCKETIO_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/loop/loop.h"
#include "core/loop/slots.h"

struct bytes;
struct socket;

struct client {
    handle session;
    struct bytes *opening;  /* ref: NULL where nobody wants it */
    struct socket *sockets; /* borrowed: its sockets, by next_of_client */
    bool is_gone;           /* ended, or told to: nothing is sent to it any more */
    char address[];         /* behind its NUL the engine's id, "" for most */
};

struct clients {
    struct client_table {
        struct client **client; /* owned: by the session's slot */
        uint32_t n;
    } shard[LOOPS_MAX];
};

/* The client of a session, or NULL. */
struct client *client_find(const struct clients *clients, handle session);
/* engine_id: of a client of Engine.IO 3, whose sockets are called by it; else "". */
struct client *client_new(struct clients *clients, handle session, const char *address,
                          const char *engine_id);
static inline const char *client_engine_id(const struct client *client)
{
    return client->address + strlen(client->address) + 1; /* it stands behind */
}
void client_free(struct clients *clients, struct client *client); /* without sockets */
/* When all is over. Clients that are left have no sockets. */
void clients_done(struct clients *clients);

#endif
