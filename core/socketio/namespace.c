/*
 * namespace.c - a namespace and its two indexes.
 *
 * Called by: core/socketio/hub.c, socket.c, room.c, emit.c. Thread: logic.
 */
#include "core/socketio/namespace.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

struct namespace *namespace_new(struct hub *hub, uint32_t number, const char *name)
{
    struct namespace *nsp = mem_calloc(1, sizeof *nsp);

    nsp->hub = hub;
    nsp->number = number;
    nsp->name = mem_strdup(name);
    nsp->name_len = strlen(name);
    nsp->all = room_new_unnamed(nsp);
    return nsp;
}

void namespace_free(struct namespace *nsp)
{
    if (!nsp)
        return;
    assert(!nsp->sockets && !nsp->rooms);
    room_unpin(nsp->all);
    free(nsp->name);
    free(nsp);
}

struct socket *namespace_find_id(const struct namespace *nsp, const char *id, size_t len)
{
    struct socket *found = NULL;

    HASH_FIND(hh, nsp->sockets, id, len, found);
    return found;
}

struct room *namespace_find_room(const struct namespace *nsp, const char *name,
                                 size_t len)
{
    struct room *found = NULL;

    HASH_FIND(hh, nsp->rooms, name, len, found);
    return found;
}
