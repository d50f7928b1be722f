/*
 * router.c - path -> route: see router.h.
 *
 * Called by: main.c and the plugins' API (filling), httpconn.c (finding).
 * Thread: one fills it, any find, also while it is filled: what is published never changes,
 * and nothing goes before the router does.
 */
#include "core/net/router.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/net/uri.h"

enum {
    N_METHODS = HTTP_M_OTHER, /* those with a name of their own */
    PATH_MAX_BYTES = 4096     /* a longer path is nobody's; the fallback may say so */
};

static const char *const method_names[N_METHODS] = {
    [HTTP_M_GET] = "GET",
    [HTTP_M_HEAD] = "HEAD",
    [HTTP_M_POST] = "POST",
    [HTTP_M_OPTIONS] = "OPTIONS",
};

/* One path and who answers which method there. */
struct exact {
    struct exact *next;                     /* owned: older ones */
    char *path;                             /* owned */
    struct http_route route[N_METHODS + 1]; /* [HTTP_M_OTHER]: all the others */
    bool has[N_METHODS + 1];                /* of these */
};

struct prefix {
    _Atomic(struct prefix *) next; /* owned; the longest prefix comes first */
    char *path;                    /* owned: without a slash at its end */
    size_t len;
    struct http_route route;
};

struct router {
    _Atomic(struct exact *) exact;     /* owned: the latest of a path counts */
    _Atomic(struct prefix *) prefixes; /* owned */
    struct http_route fallback;
    bool has_fallback;
};

/* Values of Allow, by the set of methods: "GET, HEAD, POST". */
static char allowed[1 << N_METHODS][40];

static void list_allowed(void)
{
    for (unsigned set = 0; set < 1u << N_METHODS; set++) {
        size_t len = 0;

        for (unsigned i = 0; i < N_METHODS; i++)
            if (set & 1u << i)
                len += (size_t)snprintf(allowed[set] + len, sizeof allowed[set] - len,
                                        "%s%s", len ? ", " : "", method_names[i]);
    }
}

struct router *router_new(void)
{
    list_allowed();
    return mem_calloc(1, sizeof(struct router));
}

static void free_exact(struct exact *exact)
{
    free(exact->path);
    free(exact);
}

void router_free(struct router *router)
{
    if (!router)
        return;
    while (router->exact) {
        struct exact *exact = router->exact;

        atomic_store(&router->exact, exact->next);
        free_exact(exact);
    }
    while (router->prefixes) {
        struct prefix *prefix = router->prefixes;

        atomic_store(&router->prefixes, prefix->next);
        free(prefix->path);
        free(prefix);
    }
    free(router);
}

/* ---- filling */

static const struct exact *find_exact(const struct router *router, const char *path)
{
    const struct exact *exact = router->exact;

    while (exact && strcmp(exact->path, path) != 0)
        exact = exact->next;
    return exact;
}

/* The place of a method; NULL stands for all. -1: none of ours. */
static int method_index(const char *method)
{
    if (!method)
        return HTTP_M_OTHER;
    for (int i = 0; i < N_METHODS; i++)
        if (strcmp(method_names[i], method) == 0)
            return i;
    return -1;
}

/* The path's methods so far and one more, in front of what they were. */
int router_add(struct router *router, const char *method, const char *path,
               const struct http_route *route)
{
    int index = method_index(method);
    const struct exact *before = find_exact(router, path);
    struct exact *exact;

    if (index < 0 || (before && before->has[index]))
        return -1;
    exact = mem_calloc(1, sizeof *exact);
    if (before)
        *exact = *before;
    exact->path = mem_strdup(path);
    exact->route[index] = *route;
    exact->has[index] = true;
    exact->next = router->exact;
    atomic_store(&router->exact, exact);
    return 0;
}

int router_add_prefix(struct router *router, const char *prefix,
                      const struct http_route *route)
{
    _Atomic(struct prefix *) *at = &router->prefixes;
    struct prefix *added, *next;
    size_t len = strlen(prefix);

    if (len > 0 && prefix[len - 1] == '/')
        len--;
    while ((next = *at) && next->len >= len) {
        if (next->len == len && memcmp(next->path, prefix, len) == 0)
            return -1;
        at = &next->next;
    }
    added = mem_calloc(1, sizeof *added);
    added->path = mem_strndup(prefix, len);
    added->len = len;
    added->route = *route;
    atomic_store(&added->next, next);
    atomic_store(at, added);
    return 0;
}

void router_set_fallback(struct router *router, const struct http_route *route)
{
    router->fallback = *route;
    router->has_fallback = true;
}

/* ---- finding */

static bool is_there(const struct http_route *route)
{
    return !route->is_there || atomic_load(route->is_there);
}

static bool has(const struct exact *exact, int method)
{
    return exact->has[method] && is_there(&exact->route[method]);
}

static unsigned methods_of(const struct exact *exact)
{
    unsigned set = 0;

    for (int i = 0; i < N_METHODS; i++)
        if (has(exact, i) || (i == HTTP_M_HEAD && has(exact, HTTP_M_GET)))
            set |= 1u << i;
    return set;
}

static bool has_any(const struct exact *exact)
{
    for (int i = 0; i <= N_METHODS; i++)
        if (has(exact, i))
            return true;
    return false;
}

static const struct http_route *route_of(const struct exact *exact,
                                         enum http_method method)
{
    if (method == HTTP_M_HEAD && !has(exact, HTTP_M_HEAD))
        method = HTTP_M_GET;
    if (has(exact, (int)method))
        return &exact->route[method];
    return has(exact, HTTP_M_OTHER) ? &exact->route[HTTP_M_OTHER] : NULL;
}

static const struct http_route *find_prefix(const struct router *router, const char *path)
{
    for (const struct prefix *prefix = router->prefixes; prefix; prefix = prefix->next)
        if (strncmp(path, prefix->path, prefix->len) == 0 &&
            (path[prefix->len] == '\0' || path[prefix->len] == '/') &&
            is_there(&prefix->route))
            return &prefix->route;
    return NULL;
}

static const struct http_route *find_fallback(const struct router *router, int *status)
{
    if (router->has_fallback)
        return &router->fallback;
    *status = 404;
    return NULL;
}

const struct http_route *router_find(const struct router *router,
                                     const struct http_request *request, int *status,
                                     const char **allow)
{
    char path[PATH_MAX_BYTES];
    const struct exact *exact;
    const struct http_route *route;

    *status = 0;
    *allow = NULL;
    if (uri_decode(request->path.text, request->path.len, path, sizeof path) < 0)
        return find_fallback(router, status);
    exact = find_exact(router, path);
    if (exact && has_any(exact)) {
        route = route_of(exact, request->method);
        if (!route) {
            *status = 405;
            *allow = allowed[methods_of(exact)];
        }
        return route;
    }
    route = find_prefix(router, path);
    return route ? route : find_fallback(router, status);
}
