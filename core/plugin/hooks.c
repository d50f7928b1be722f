/*
 * hooks.c - the lifecycle hooks of plugins.
 *
 * Called by: server.c (the hub's news), api.c (registration). Thread: logic.
 */
#include "core/plugin/hooks.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

void hooks_done(struct hooks *hooks)
{
    for (int kind = 0; kind < HOOK_KINDS; kind++) {
        for (size_t i = 0; i < hooks->n[kind]; i++)
            scope_done(&hooks->list[kind][i].scope);
        free(hooks->list[kind]);
    }
}

void hooks_add(struct hooks *hooks, enum hook_kind kind, struct hook hook)
{
    size_t n = hooks->n[kind]++;

    hook.serial = hooks->n_added++;
    hooks->list[kind] = mem_realloc(hooks->list[kind], (n + 1) * sizeof hook);
    hooks->list[kind][n] = hook;
}

void hooks_remove(struct hooks *hooks, const struct plugin *plugin)
{
    for (int kind = 0; kind < HOOK_KINDS; kind++) {
        size_t n_kept = 0;

        for (size_t i = 0; i < hooks->n[kind]; i++) {
            if (hooks->list[kind][i].plugin == plugin)
                scope_done(&hooks->list[kind][i].scope);
            else
                hooks->list[kind][n_kept++] = hooks->list[kind][i];
        }
        hooks->n[kind] = n_kept;
    }
}

static int compare(const void *left, const void *right)
{
    const struct hook *a = left, *b = right;

    if (a->plugin->order != b->plugin->order)
        return a->plugin->order < b->plugin->order ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

void hooks_sort(struct hooks *hooks)
{
    for (int kind = 0; kind < HOOK_KINDS; kind++)
        if (hooks->n[kind] > 0)
            qsort(hooks->list[kind], hooks->n[kind], sizeof *hooks->list[kind], compare);
}

static const char *const words[] = {"connect", "disconnect", "join", "leave",
                                    "namespace"};

int hooks_resolve(struct hooks *hooks, const struct hub *hub, hop_error *error)
{
    for (int kind = 0; kind < HOOK_KINDS; kind++)
        for (size_t i = 0; i < hooks->n[kind]; i++) {
            struct hook *hook = &hooks->list[kind][i];
            char what[32];

            snprintf(what, sizeof what, "a %s hook", words[kind]);
            if (scope_resolve(&hook->scope, hub, hook->plugin, what, error) < 0)
                return -1;
        }
    return 0;
}

void hooks_show(const struct hooks *hooks, struct table *table)
{
    for (int kind = 0; kind < HOOK_KINDS; kind++)
        for (size_t i = 0; i < hooks->n[kind]; i++) {
            table_add(table, words[kind]);
            table_add_number(table, i + 1);
            table_add(table, hooks->list[kind][i].plugin->name);
            table_add(table, scope_name(&hooks->list[kind][i].scope));
        }
}

/* Whether what a hook is to be told is still so: an earlier one may have undone it. Else
 * the later ones would hear of the undoing first, and be left with what is not so. */
static bool is_still_so(const struct hub *hub, enum hook_kind kind, hop_socket socket,
                        const char *text)
{
    switch (kind) {
    case HOOK_CONNECT:
        return hub_is_connected(hub, socket);
    case HOOK_JOIN:
        return hub_in_room(hub, socket, text);
    case HOOK_LEAVE: /* one that goes cannot join again */
        return !hub_is_connected(hub, socket) || !hub_in_room(hub, socket, text);
    default:
        return true;
    }
}

/* No hook can register another while this runs: that is possible in init() alone. */
void hooks_call(hop_server *server, enum hook_kind kind, hop_socket socket,
                const char *text)
{
    const struct hooks *hooks = &server->hooks;
    const int declared = hub_socket_declared(server->hub, socket);
    bool is_first = true;

    for (size_t i = 0; i < hooks->n[kind]; i++) {
        const struct hook *hook = &hooks->list[kind][i];
        struct call call;

        if (!hook->plugin->is_live || !scope_has(&hook->scope, declared))
            continue;
        if (!is_first && !is_still_so(server->hub, kind, socket, text))
            return;
        is_first = false;
        call_begin_as(server, hook->plugin, "hook", words[kind], &call);
        if (kind == HOOK_CONNECT)
            hook->call.connect(socket, hook->self);
        else if (kind == HOOK_DISCONNECT)
            hook->call.disconnect(socket, text, hook->self);
        else
            hook->call.room(socket, text, hook->self);
        call_end(server, &call, "hook", words[kind]);
    }
}

void hooks_call_namespace(hop_server *server, const char *nsp, int declared, bool is_made)
{
    const struct hooks *hooks = &server->hooks;

    for (size_t i = 0; i < hooks->n[HOOK_NAMESPACE]; i++) {
        const struct hook *hook = &hooks->list[HOOK_NAMESPACE][i];
        struct call call;

        if (!hook->plugin->is_live || !scope_has(&hook->scope, declared))
            continue;
        call_begin_as(server, hook->plugin, "hook", words[HOOK_NAMESPACE], &call);
        hook->call.space(nsp, is_made, hook->self);
        call_end(server, &call, "hook", words[HOOK_NAMESPACE]);
    }
}
