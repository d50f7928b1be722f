/*
 * connect.h - clients on their way in: middleware, which may take its time, and the hooks
 * that are asked for a namespace. Thread: logic; hop_connect_resume() any.
 */
#ifndef PLUGIN_CONNECT_H
#define PLUGIN_CONNECT_H

#include <stddef.h>

#include <stdbool.h>

#include <sockhop/namespace.h>

#include "core/loop/slots.h"
#include "core/plugin/scope.h"

struct hub;
struct hub_connect;
struct middleware;
struct namespace_hook;
struct plugin;
struct table;

struct connects {
    struct middleware *middleware; /* owned: in the order of their calls */
    size_t n;
    unsigned n_added;
    struct namespace_hook *hooks; /* owned: a list */
    struct hop_connect *connects; /* owned: hashed by socket; those under way */
    struct slots deferrals;       /* of those that wait */
};

void connects_init(struct connects *connects);
void connects_done(struct connects *connects); /* after the last socket */
/* Remove what a plugin has registered. */
void connects_remove(struct connects *connects, const struct plugin *plugin);
/* Put middleware in order and find its namespaces, once all is registered. */
int connects_resolve(struct connects *connects, const struct hub *hub, hop_error *error);

/* A plugin goes or is replaced: what it is to answer for becomes its own; those under way go
 * on behind the middleware that they have passed; whether any wait for its decision; refuse
 * them. */
void connects_take_over(struct connects *connects, const struct plugin *plugin);
void connects_relocate(struct connects *connects);
bool connects_has_any(const struct connects *connects, const struct plugin *plugin);
void connects_refuse_all(struct connects *connects, const struct plugin *plugin);

/* Whether connects_resolve() would do, without the order. */
int connects_check(struct connects *connects, const struct hub *hub, hop_error *error);

/* For --print-hooks. */
void connects_show(const struct connects *connects, struct table *table);

/* The hub's news. */
void connects_begin(hop_server *server, const struct hub_connect *in);
void connects_abandon(hop_server *server, hop_socket socket);

#endif
