/*
 * scope.h - for which namespaces something is registered: those of one declaration, or all.
 * Thread: logic.
 */
#ifndef PLUGIN_SCOPE_H
#define PLUGIN_SCOPE_H

#include <stdbool.h>

#include <sockhop/types.h>

struct hub;
struct plugin;

enum { SCOPE_ALL = -1 };

struct scope {
    char *nsp;    /* owned: as it was given; NULL: "/" */
    int declared; /* what it comes to, once scope_resolve() knows: see hub_declare() */
};

/* nsp: copied; NULL for "/", "*" for all. */
struct scope scope_new(const char *nsp);
void scope_done(struct scope *scope);

/* Find the declaration, once every plugin has declared its own. -1 with the reason, which
 * names the plugin and what it has registered. */
int scope_resolve(struct scope *scope, const struct hub *hub, const struct plugin *plugin,
                  const char *what, hop_error *error);

/* As it was given. Borrowed. */
static inline const char *scope_name(const struct scope *scope)
{
    return scope->nsp ? scope->nsp : "/";
}

static inline bool scope_has(const struct scope *scope, int declared)
{
    return scope->declared == declared || scope->declared == SCOPE_ALL;
}

#endif
