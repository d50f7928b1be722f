/*
 * namespace.h - a namespace: its sockets by id, its rooms by name; and how those come about
 * that clients may ask for. Thread: logic.
 *
 * A declaration is a name, a pattern, or a hook: what is registered for it holds for each
 * namespace that came about by it. A static one makes its namespace at once, the others
 * make one when a client asks for a name that fits.
 */
#ifndef SOCKETIO_NAMESPACE_H
#define SOCKETIO_NAMESPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/types.h>

#include "core/base/hash.h"
#include "core/base/lookup.h"
#include "core/base/settings.h"

struct hub;
struct hub_connect;
struct room;
struct socket;

struct namespace
{
    UT_hash_handle hh; /* in namespaces->by_name */
    struct hub *hub;   /* borrowed */
    char *name;        /* owned: "/" */
    size_t name_len;
    uint32_t number; /* of its own; not 0 */
    int declared;    /* number of the declaration that it came about by */
    bool is_dynamic; /* a client's CONNECT has made it */
    bool is_emptied; /* in namespaces->emptied */
    struct namespace *next_emptied;
    struct socket *sockets, *last_socket; /* owned: in the order of coming */
    struct lookup ids;                    /* of the sockets, by id */
    struct room *rooms;                   /* owned: hashed by name */
    struct room *all;                     /* owned: every open socket of the namespace */
};

struct declaration;

struct namespaces {
    struct namespace *main;       /* borrowed: "/" */
    struct namespace *nowhere;    /* owned: what a name that is not there stands for */
    struct namespace *by_name;    /* owned: hashed */
    struct namespace *emptied;    /* borrowed: to be looked at when the turn ends */
    struct declaration *declared; /* owned: by number */
    int n_declared;
    uint32_t n_made; /* in all, so far */
    size_t n_dynamic, max_dynamic;
    bool cleans_up; /* whether a dynamic one goes with its last socket */
};

void namespaces_init(struct namespaces *spaces, struct hub *hub,
                     const struct settings *settings);
void namespaces_done(struct namespaces *spaces); /* after the last socket */

/* See hub.h: hub_declare() and what follows it. */
int namespaces_declare(struct namespaces *spaces, struct hub *hub, const char *name);
int namespaces_declare_pattern(struct namespaces *spaces, const char *pattern,
                               hop_error *error);
int namespaces_declare_hook(struct namespaces *spaces, const char *label,
                            bool (*accept)(const struct hub_connect *connect, void *arg),
                            void *arg);
void namespaces_set_open(struct namespaces *spaces, int number, bool is_open);
int namespaces_find_declared(const struct namespaces *spaces, const char *name);
/* The same of patterns and hooks alone, by which several may come about. */
int namespaces_find_family(const struct namespaces *spaces, const char *name);

/* The namespace of that name, or NULL. */
struct namespace *namespaces_find(const struct namespaces *spaces, const char *name,
                                  size_t len);
/* The one that a client asks for, made when a declaration lets it. NULL with the reason:
 * a constant, for the client and the log. */
struct namespace *namespaces_get(struct namespaces *spaces, struct hub *hub,
                                 const struct hub_connect *connect, const char **reason);
/* Its last socket has gone: a dynamic one goes when the turn ends, unless it fills again. */
void namespaces_on_empty(struct namespaces *spaces, struct namespace *nsp);
void namespaces_end_turn(struct namespaces *spaces);

/* Whether it can be a namespace's name: 1 to 128 bytes of UTF-8 without NUL and comma, that
 * start with a slash. */
bool namespace_is_name(const char *name, size_t len);

/* Its sockets: each comes once, before it is found, and goes once. */
void namespace_add_socket(struct namespace *nsp, struct socket *socket);
void namespace_remove_socket(struct namespace *nsp, struct socket *socket);
/* The socket with that id, or NULL. */
struct socket *namespace_find_id(const struct namespace *nsp, const char *id, size_t len);
/* The room of that name, or NULL while nobody is in it. */
struct room *namespace_find_room(const struct namespace *nsp, const char *name,
                                 size_t len);

#endif
