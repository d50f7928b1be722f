/*
 * scope.c - for which namespaces something is registered.
 *
 * Called by: dispatch.c, hooks.c, connect.c. Thread: logic.
 */
#include "core/plugin/scope.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/plugin/plugin.h"
#include "core/socketio/hub.h"

struct scope scope_new(const char *nsp)
{
    if (!nsp)
        return (struct scope){.nsp = NULL, .declared = HUB_MAIN};
    return (struct scope){.nsp = mem_strdup(nsp), .declared = SCOPE_ALL};
}

void scope_done(struct scope *scope)
{
    free(scope->nsp);
}

int scope_resolve(struct scope *scope, const struct hub *hub, const struct plugin *plugin,
                  const char *what, hop_error *error)
{
    if (!scope->nsp || strcmp(scope->nsp, "*") == 0)
        return 0;
    scope->declared = hub_find_declared(hub, scope->nsp);
    if (scope->declared >= 0)
        return 0;
    hop_error_set(
        error,
        "plugin %s registers %s for the namespace %s, which nobody declares: add "
        "it to [server] namespaces, or have a plugin call hop_namespace()",
        plugin->name, what, scope->nsp);
    return -1;
}
