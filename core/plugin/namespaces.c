/*
 * namespaces.c - the public hop_* functions on namespaces: checked, then handed on.
 *
 * Called by: plugins. Thread: any may call, logic alone gets through.
 */
#include <sockhop/sockhop.h>

#include <string.h>

#include "core/plugin/state.h"

/* ---- declarations */

int hop_namespace(hop_server *server, const char *name)
{
    int declared;

    if (!in_init(server, __func__))
        return -1;
    declared = name && !strchr(name, '?') ? hub_declare(server->hub, name) : -1;
    if (declared < 0)
        return refuse(server,
                      "hop_namespace(\"%s\"): a name of at most 128 bytes that starts "
                      "with \"/\", without \",\" and \"?\", please",
                      name ? name : "");
    claims_add(server, server->current, declared);
    return 0;
}

int hop_namespace_pattern(hop_server *server, const char *pattern)
{
    hop_error error;
    int declared;

    if (!in_init(server, __func__))
        return -1;
    if (!pattern || !*pattern || strcmp(pattern, "*") == 0)
        return refuse(server, "hop_namespace_pattern(): a pattern, please");
    declared = hub_declare_pattern(server->hub, pattern, &error);
    if (declared < 0)
        return refuse(server, "hop_namespace_pattern(): %s", error.text);
    claims_add(server, server->current, declared);
    return 0;
}

/* ---- sockets and targets */

const char *hop_socket_namespace(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) ? hub_socket_namespace(server->hub, socket) : NULL;
}

hop_socket hop_socket_find_in(hop_server *server, const char *nsp, const char *id)
{
    return on_logic(__func__) && nsp && id ? hub_find(server->hub, nsp, id)
                                           : HOP_NO_SOCKET;
}

hop_target *hop_to_namespace(hop_server *server, const char *nsp)
{
    return on_logic(__func__) && nsp ? hub_target_all(server->hub, nsp) : NULL;
}

hop_target *hop_to_room_in(hop_server *server, const char *nsp, const char *room)
{
    return on_logic(__func__) && nsp && room ? hub_target_room(server->hub, nsp, room)
                                             : NULL;
}

/* ---- hooks */

static int add_hook(hop_server *server, enum hook_kind kind, const char *nsp,
                    struct hook hook, bool is_given, const char *function)
{
    if (!in_init(server, function))
        return -1;
    if (!is_given)
        return refuse(server, "%s(): NULL is no hook", function);
    hook.plugin = server->current;
    hook.scope = scope_new(nsp);
    hooks_add(&server->hooks, kind, hook);
    return 0;
}

int hop_on_connect_in(hop_server *server, const char *nsp, hop_connect_hook *hook,
                      void *self)
{
    return add_hook(server, HOOK_CONNECT, nsp,
                    (struct hook){.call.connect = hook, .self = self}, hook != NULL,
                    __func__);
}

int hop_on_disconnect_in(hop_server *server, const char *nsp, hop_disconnect_hook *hook,
                         void *self)
{
    return add_hook(server, HOOK_DISCONNECT, nsp,
                    (struct hook){.call.disconnect = hook, .self = self}, hook != NULL,
                    __func__);
}

int hop_on_join_in(hop_server *server, const char *nsp, hop_room_hook *hook, void *self)
{
    return add_hook(server, HOOK_JOIN, nsp,
                    (struct hook){.call.room = hook, .self = self}, hook != NULL,
                    __func__);
}

int hop_on_leave_in(hop_server *server, const char *nsp, hop_room_hook *hook, void *self)
{
    return add_hook(server, HOOK_LEAVE, nsp,
                    (struct hook){.call.room = hook, .self = self}, hook != NULL,
                    __func__);
}

int hop_on_namespace(hop_server *server, const char *nsp, hop_namespace_change *hook,
                     void *self)
{
    return add_hook(server, HOOK_NAMESPACE, nsp,
                    (struct hook){.call.space = hook, .self = self}, hook != NULL,
                    __func__);
}

int hop_on_connect(hop_server *server, hop_connect_hook *hook, void *self)
{
    return hop_on_connect_in(server, NULL, hook, self);
}

int hop_on_disconnect(hop_server *server, hop_disconnect_hook *hook, void *self)
{
    return hop_on_disconnect_in(server, NULL, hook, self);
}

int hop_on_join(hop_server *server, hop_room_hook *hook, void *self)
{
    return hop_on_join_in(server, NULL, hook, self);
}

int hop_on_leave(hop_server *server, hop_room_hook *hook, void *self)
{
    return hop_on_leave_in(server, NULL, hook, self);
}
