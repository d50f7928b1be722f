/*
 * claims.c - which namespaces are open: see claims.h.
 *
 * Called by: namespaces.c, connect.c, change.c, server.c. Thread: logic.
 */
#include "core/plugin/claims.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/plugin/state.h"

struct claim {
    const struct plugin *plugin; /* borrowed */
    int declared;
};

static void apply(hop_server *server, int declared)
{
    const struct claims *claims = &server->claims;
    bool is_open = false;

    for (size_t i = 0; i < claims->n && !is_open; i++)
        is_open =
            claims->claims[i].declared == declared && claims->claims[i].plugin->is_live;
    hub_open_declared(server->hub, declared, is_open);
}

void claims_add(hop_server *server, const struct plugin *plugin, int declared)
{
    struct claims *claims = &server->claims;

    claims->claims =
        mem_realloc(claims->claims, (claims->n + 1) * sizeof *claims->claims);
    claims->claims[claims->n++] = (struct claim){plugin, declared};
    apply(server, declared);
}

void claims_remove(hop_server *server, const struct plugin *plugin)
{
    struct claims *claims = &server->claims;

    for (size_t i = claims->n; i-- > 0;)
        if (claims->claims[i].plugin == plugin) {
            const int declared = claims->claims[i].declared;

            claims->claims[i] = claims->claims[--claims->n];
            apply(server, declared);
        }
}

void claims_apply(hop_server *server)
{
    for (size_t i = 0; i < server->claims.n; i++)
        apply(server, server->claims.claims[i].declared);
}

void claims_done(struct claims *claims)
{
    free(claims->claims);
}
