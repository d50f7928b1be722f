/*
 * route.c - the requests of an engine's path: verified, then to their session's transport, or
 * to the opening of a new session.
 *
 * Called by: core/net. Thread: shard; engine_route() and engine_route_free() before and after
 * the loops run.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/bundle.h"
#include "core/engine/engine.h"
#include "core/engine/handshake.h"
#include "core/engine/open.h"
#include "core/engine/polling.h"
#include "core/engine/session_impl.h"
#include "core/net/uri.h"

struct engine_route {
    struct engine *const *engines; /* borrowed: by shard number */
    unsigned n_engines;
    const struct settings *settings; /* borrowed */
    struct bundle bundle;
};

static void on_session_request(struct session *session, struct httpconn *http,
                               const struct http_request *request, const char *body,
                               size_t body_len, const char *headers)
{
    if (request->method == HTTP_M_GET)
        polling_get(session, http, request, headers);
    else if (request->method == HTTP_M_POST)
        polling_post(session, http, request, body, body_len, headers);
    else
        open_respond_text(http, 500, NULL, ""); /* as the reference */
}

static void on_engine_request(struct engine *engine, struct httpconn *http,
                              const struct http_request *request, const char *body,
                              size_t body_len)
{
    struct handshake handshake;
    enum handshake_error error;

    if (handshake_preflight(engine, http, request))
        return;
    error = handshake_verify(engine, request, &handshake);
    if (error != HANDSHAKE_OK)
        open_refuse(engine, http, request, error, &handshake);
    else if (!handshake.session)
        open_session(engine, http, request, &handshake);
    else if (request->is_websocket)
        open_probe(handshake.session, http, request, &handshake);
    else
        on_session_request(handshake.session, http, request, body, body_len,
                           handshake.headers);
}

/* Of engine.path, without a slash at its end. */
static size_t length_of_path(const struct settings *settings)
{
    size_t len = strlen(settings->path);

    return len - (settings->path[len - 1] == '/');
}

/* Whether a request for the path itself, without a slash behind it, is not for us. */
static bool lacks_slash(const struct engine_route *route,
                        const struct http_request *request)
{
    size_t n = 0, n_ours = 0;

    if (!route->settings->add_trailing_slash)
        return false;
    for (size_t i = 0; i < request->path.len; i++)
        n += request->path.text[i] == '/';
    for (size_t i = 0; i < length_of_path(route->settings); i++)
        n_ours += route->settings->path[i] == '/';
    return n <= n_ours;
}

static void on_request(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg)
{
    const struct engine_route *route = arg;

    if (bundle_serve(&route->bundle, http, request, length_of_path(route->settings)))
        return;
    if (lacks_slash(route, request))
        open_respond_text(http, 404, NULL, "Not Found");
    else
        on_engine_request(route->engines[http_conn(http)->net->loop->index], http,
                          request, body, body_len);
}

/* The polling session that a request with a body is for, or NULL. */
static struct session *posted_to(const struct httpconn *http,
                                 const struct http_request *request,
                                 const struct engine_route *route)
{
    unsigned shard = http_conn(http)->net->loop->index;
    struct handshake handshake;

    if (request->method != HTTP_M_POST || lacks_slash(route, request) ||
        handshake_verify(route->engines[shard], request, &handshake) != HANDSHAKE_OK)
        return NULL; /* on_request will say why */
    return handshake.session && handshake.session->polling ? handshake.session : NULL;
}

static void on_body(struct httpconn *http, const struct http_request *request, void *arg)
{
    struct session *session = posted_to(http, request, arg);

    if (session)
        polling_post_begins(session, http);
}

static void on_too_large(struct httpconn *http, const struct http_request *request,
                         void *arg)
{
    struct session *session = posted_to(http, request, arg);

    if (session)
        polling_post_refused(session, http);
}

static int shard_for(const struct http_request *request, void *arg)
{
    const struct engine_route *route = arg;
    char sid[SESSION_SID_SIZE];
    long len =
        uri_query_get(request->query.text, request->query.len, "sid", sid, sizeof sid);
    int shard = len > 0 ? session_shard_of(sid, (size_t)len) : -1;

    return shard < (int)route->n_engines ? shard : -1;
}

struct http_route engine_route(struct engine *const *engines, unsigned n_engines,
                               const struct settings *settings,
                               struct static_files *files)
{
    struct engine_route *route = mem_alloc(sizeof *route);

    *route = (struct engine_route){
        .engines = engines,
        .n_engines = n_engines,
        .settings = settings,
    };
    bundle_init(&route->bundle, settings, files);
    /* A body over the limit is answered 413 by core/net, and the session survives. */
    return (struct http_route){
        .shard_for = shard_for,
        .on_body = on_body,
        .on_too_large = on_too_large,
        .is_terse = true,
        .max_body_bytes = settings->max_http_buffer_bytes,
        .on_request = on_request,
        .arg = route,
    };
}

void engine_route_free(struct http_route *route)
{
    free(route->arg);
    route->arg = NULL;
}
