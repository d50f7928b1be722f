/*
 * status.c - what an operator's tools read: see status.h.
 *
 * The listener is one of its own, so that metrics never reach the public port (T61).
 * Called by: daemon.c. Thread: logic.
 */
#include "core/status.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include <sockhop/route.h>

#include "core/base/mem.h"
#include "core/base/metrics.h"
#include "core/loop/loop.h"
#include "core/net/router.h"
#include "core/plugin/routes.h"
#include "core/plugin/server.h"

struct status {
    struct loops *loops;                                          /* borrowed */
    hop_server *server;                                           /* borrowed */
    struct router *router;                                        /* owned */
    struct logic_route *metrics_route, *ready_route, *live_route; /* owned */
    bool is_ready;
    locale_t plain; /* owned: a plugin may have chosen another, with commas in numbers */
};

void status_print(const struct status *status, FILE *out)
{
    struct metrics *all[LOOPS_MAX];
    locale_t before = uselocale(status->plain);

    for (unsigned i = 0; i < status->loops->n_loops; i++)
        all[i] = &status->loops->loop[i]->metrics;
    metrics_print(all, status->loops->n_loops, out);
    server_print_metrics(status->server, out);
    uselocale(before);
}

static void on_metrics(hop_request *request, void *arg)
{
    const struct status *status = arg;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return; /* answered 500 for us */
    status_print(status, out);
    if (fclose(out) == 0)
        hop_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
    free(text);
}

static void on_readyz(hop_request *request, void *arg)
{
    const struct status *status = arg;
    char *checks = NULL, *text = NULL;
    size_t n_checks = 0, len = 0;
    FILE *out = open_memstream(&checks, &n_checks);
    bool is_ready;

    if (!out)
        return; /* answered 500 for us */
    is_ready = server_print_health(out) && status->is_ready;
    if (fclose(out) == 0 && (out = open_memstream(&text, &len))) {
        fprintf(out, "%s\n%s", is_ready ? "ready" : "not ready", checks);
        if (fclose(out) == 0)
            hop_respond(request, is_ready ? 200 : 503, "text/plain; charset=utf-8", text,
                        len);
    }
    free(checks);
    free(text);
}

/* That it is answered at all says it: by the thread of the plugins. */
static void on_livez(hop_request *request, void *arg)
{
    static const char alive[] = "alive\n";

    (void)arg;
    hop_respond(request, 200, "text/plain; charset=utf-8", alive, sizeof alive - 1);
}

static struct logic_route *add_route(struct status *status, const char *path,
                                     hop_route_handler *handler)
{
    struct logic_route *route = logic_route_new(status->server, path, 0, handler, status);

    router_add(status->router, "GET", path, logic_route_http(route));
    return route;
}

struct status *status_new(struct loops *loops, hop_server *server)
{
    struct status *status = mem_calloc(1, sizeof *status);

    status->loops = loops;
    status->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    status->server = server;
    status->router = router_new();
    status->metrics_route = add_route(status, "/metrics", on_metrics);
    status->ready_route = add_route(status, "/readyz", on_readyz);
    status->live_route = add_route(status, "/livez", on_livez);
    return status;
}

void status_free(struct status *status)
{
    if (!status)
        return;
    router_free(status->router);
    logic_route_free(status->metrics_route);
    logic_route_free(status->ready_route);
    freelocale(status->plain);
    logic_route_free(status->live_route);
    free(status);
}

const struct router *status_router(const struct status *status)
{
    return status->router;
}

void status_set_ready(struct status *status, bool is_ready)
{
    status->is_ready = is_ready;
}
