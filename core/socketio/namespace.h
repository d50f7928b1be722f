/*
 * namespace.h - a namespace: its sockets by id, its rooms by name. Thread: logic.
 */
#ifndef SOCKETIO_NAMESPACE_H
#define SOCKETIO_NAMESPACE_H

#include <stddef.h>
#include <stdint.h>

struct hub;
struct room;
struct socket;

struct namespace
{
    struct hub *hub; /* borrowed */
    uint32_t number; /* as in records */
    char *name;      /* owned: "/" */
    size_t name_len;
    struct socket *sockets; /* owned: hashed by id */
    struct room *rooms;     /* owned: hashed by name */
    struct room *all;       /* owned: every socket of the namespace */
};

struct namespace *namespace_new(struct hub *hub, uint32_t number, const char *name);
void namespace_free(struct namespace *nsp); /* after its last socket */

/* The socket with that id, or NULL. */
struct socket *namespace_find_id(const struct namespace *nsp, const char *id, size_t len);
/* The room of that name, or NULL while nobody is in it. */
struct room *namespace_find_room(const struct namespace *nsp, const char *name,
                                 size_t len);

#endif
