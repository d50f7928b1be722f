/*
 * hooks.h - the lifecycle hooks of plugins, called in the order of init. Thread: logic.
 */
#ifndef PLUGIN_HOOKS_H
#define PLUGIN_HOOKS_H

#include <stddef.h>

#include <sockhop/namespace.h>
#include <sockhop/server.h>

#include "core/plugin/scope.h"

struct plugin;
struct table;

enum hook_kind {
    HOOK_CONNECT,
    HOOK_DISCONNECT,
    HOOK_JOIN,
    HOOK_LEAVE,
    HOOK_NAMESPACE,
    HOOK_KINDS
};

struct hook {
    struct plugin *plugin; /* borrowed */
    struct scope scope;
    union {
        hop_connect_hook *connect;
        hop_disconnect_hook *disconnect;
        hop_room_hook *room;
        hop_namespace_change *space;
    } call;
    void *self;      /* borrowed: the plugin's own */
    unsigned serial; /* of registration */
};

struct hooks {
    struct hook *list[HOOK_KINDS]; /* owned */
    size_t n[HOOK_KINDS];
    unsigned n_added;
};

void hooks_done(struct hooks *hooks);
void hooks_add(struct hooks *hooks, enum hook_kind kind, struct hook hook);
void hooks_remove(struct hooks *hooks, const struct plugin *plugin);
/* In the order of the plugins' init(), then of registration. */
void hooks_sort(struct hooks *hooks);
/* Find the namespaces that they are for, once all are declared. */
int hooks_resolve(struct hooks *hooks, const struct hub *hub, hop_error *error);

/* For --print-hooks. */
void hooks_show(const struct hooks *hooks, struct table *table);

/* Those of the socket's namespace. text: the reason of a disconnect, the room of a join or leave, NULL for a connect. */
void hooks_call(hop_server *server, enum hook_kind kind, hop_socket socket,
                const char *text);

/* Those for the declaration that a namespace came about by. */
void hooks_call_namespace(hop_server *server, const char *nsp, int declared,
                          bool is_made);

#endif
