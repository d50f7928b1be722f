/*
 * routes.c - HTTP paths that are answered in the logic thread.
 *
 * Called by: the router (on_request, shard), lanes (serve in logic, answer in the shard
 * again), plugins (hop_request_*, hop_respond(): logic).
 */
#include "core/plugin/routes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/running.h"
#include "core/base/text.h"
#include "core/loop/bytes.h"
#include "core/net/router.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

enum { CONTENT_TYPE_BYTES = 128 }; /* longer than any that is registered */

struct logic_route {
    struct http_route http;
    hop_server *server;    /* borrowed */
    struct plugin *plugin; /* borrowed: NULL for the core's own, and once it has gone */
    const char *method;    /* NULL for the core's own; of running_name() */
    char *path;            /* owned */
    const char *shown;     /* the same, of running_name() */
    hop_route_handler *handler; /* NULL once its plugin has gone; logic */
    atomic_bool is_there;       /* somebody answers: for the router */
    void *self;                 /* borrowed: the handler's own */
    struct plugin *next_plugin; /* borrowed: that is to replace it, with the next two */
    hop_route_handler *next_handler;
    void *next_self;
    struct logic_route *next; /* of the server's list */
};

/* The record back. */
struct answer {
    struct net *net; /* borrowed: of the shard that it arrives in */
    handle conn;
    int status;
    char content_type[CONTENT_TYPE_BYTES]; /* "" for none */
    struct bytes *body;                    /* ref: owned by the record */
};

/* ---- the answer */

static void send_response(struct loop *shard, void *payload)
{
    const struct answer *answer = payload;
    struct httpconn *http = httpconn_find(answer->net, answer->conn);
    struct http_response response = {
        .status = answer->status,
        .content_type = *answer->content_type ? answer->content_type : NULL,
        .bytes = answer->body,
    };

    (void)shard;
    if (http)
        http_respond(http, &response); /* takes the reference */
    else
        bytes_unref(answer->body); /* the peer has gone */
}

static bool is_header_value(const char *text)
{
    if (strlen(text) >= CONTENT_TYPE_BYTES)
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

static void respond(hop_request *request, int status, const char *content_type,
                    const void *body, size_t len)
{
    struct loop *logic = request->route->server->loops->logic;
    struct bytes *copy = bytes_try_new(len); /* it may be made of what a client sent */
    struct answer *answer;

    request->was_answered = true;
    if (!copy) {
        copy = bytes_new(0);
        status = 503;
        len = 0;
    }
    if (len)
        memcpy(copy->data, body, len);
    answer = loop_send(logic, request->shard, send_response, sizeof *answer, len);
    *answer = (struct answer){
        .net = request->net,
        .conn = request->conn,
        .status = status,
        .body = copy,
    };
    strcpy(answer->content_type, content_type);
}

int hop_respond(hop_request *request, int status, const char *content_type,
                const void *body, size_t len)
{
    if (!on_logic(__func__) || request->was_answered || status < 200 || status > 599 ||
        (len > 0 && !body) || (content_type && !is_header_value(content_type)))
        return -1;
    respond(request, status, content_type ? content_type : "", len ? body : "", len);
    return 0;
}

/* ---- the request, in logic */

const char *hop_request_path(const hop_request *request)
{
    return request->path;
}

const char *hop_request_query(const hop_request *request)
{
    return request->texts->data;
}

const char *hop_request_header(const hop_request *request, const char *name)
{
    const char *text = request->texts->data + request->headers_at;

    for (size_t i = 0; i < request->n_headers; i++) {
        size_t len = strlen(text);
        const char *value = text + len + 1;

        if (ascii_equal_nocase(text, len, name))
            return value;
        text = value + strlen(value) + 1;
    }
    return NULL;
}

const char *hop_request_header_at(const hop_request *request, size_t n, const char **name)
{
    const char *text = request->texts->data + request->headers_at;

    if (n >= request->n_headers)
        return NULL;
    for (size_t i = 0; i < 2 * n; i++)
        text += strlen(text) + 1;
    *name = text;
    return text + strlen(text) + 1;
}

const char *hop_request_body(const hop_request *request, size_t *len)
{
    *len = request->body_len;
    return request->texts->data + request->body_at;
}

static void serve(struct loop *logic, void *payload)
{
    static const char gone[] = "Service Unavailable\n",
                      none[] = "Internal Server Error\n";
    hop_request *request = payload;
    const struct logic_route *route = request->route;
    struct call call;

    (void)logic;
    if (route->handler && (!route->plugin || route->plugin->is_live)) {
        call_begin_as(route->server, route->plugin, "route", route->shown, &call);
        route->handler(request, route->self);
        call_end(route->server, &call, "route", route->path);
        if (!request->was_answered) {
            hop_log(HOP_WARN, "route.unanswered plugin=%s path=%s",
                    route->plugin ? route->plugin->name : "", route->path);
            respond(request, 500, "text/plain; charset=utf-8", none, strlen(none));
        }
    } else {
        respond(request, 503, "text/plain; charset=utf-8", gone, strlen(gone));
    }
    bytes_unref(request->texts);
}

/* ---- the request, in the shard */

static char *put(char *to, const char *text, size_t len)
{
    memcpy(to, text, len);
    to[len] = '\0';
    return to + len + 1;
}

bool request_copy(hop_request *request, const struct http_request *in, const char *body,
                  size_t body_len)
{
    size_t total = in->query.len + 1 + body_len + 1;
    struct bytes *texts;
    char *to;

    for (size_t i = 0; i < in->n_headers; i++)
        total += in->headers[i].name.len + in->headers[i].value.len + 2;
    texts = bytes_try_new(total);
    if (!texts)
        return false;
    request->texts = texts;
    to = put(texts->data, in->query.len ? in->query.text : "", in->query.len);
    request->headers_at = (size_t)(to - texts->data);
    request->n_headers = in->n_headers;
    for (size_t i = 0; i < in->n_headers; i++) {
        to = put(to, in->headers[i].name.text, in->headers[i].name.len);
        to = put(to, in->headers[i].value.text, in->headers[i].value.len);
    }
    request->body_at = (size_t)(to - texts->data);
    request->body_len = body_len;
    put(to, body_len ? body : "", body_len);
    return true;
}

/* The answer finds no connection then: nothing is to be released. */
static void on_aborted(struct httpconn *http, void *arg)
{
    (void)http;
    (void)arg;
}

static void on_request(struct httpconn *http, const struct http_request *in,
                       const char *body, size_t body_len, void *arg)
{
    const struct logic_route *route = arg;
    const struct conn *conn = http_conn(http);
    hop_request request = {
        .path = route->path,
        .route = route,
        .net = conn->net,
        .shard = conn->net->loop,
        .conn = conn->self,
    };
    hop_request *record;

    if (!request_copy(&request, in, body, body_len)) {
        http_respond_error(http, 503, "no memory for the request");
        return;
    }
    http_hold(http, on_aborted, NULL);
    record = loop_send(request.shard, route->server->loops->logic, serve, sizeof *record,
                       request.texts->len);
    *record = request;
}

/* ---- routes */

static void look(struct logic_route *route)
{
    atomic_store(&route->is_there, route->plugin && route->plugin->is_live);
}

void routes_look(hop_server *server)
{
    for (struct logic_route *route = server->routes; route; route = route->next)
        look(route);
}

struct logic_route *logic_route_new(hop_server *server, const char *path,
                                    size_t max_body_bytes, hop_route_handler *handler,
                                    void *self)
{
    struct logic_route *route = mem_calloc(1, sizeof *route);

    route->server = server;
    route->plugin = server->current;
    route->path = mem_strdup(path);
    route->shown = running_name(path);
    route->handler = handler;
    route->self = self;
    atomic_init(&route->is_there, !server->current || server->current->is_live);
    route->http = (struct http_route){
        .max_body_bytes = max_body_bytes,
        .on_request = on_request,
        .is_there = &route->is_there,
        .arg = route,
    };
    return route;
}

void logic_route_free(struct logic_route *route)
{
    if (!route)
        return;
    free(route->path);
    free(route);
}

const struct http_route *logic_route_http(const struct logic_route *route)
{
    return &route->http;
}

bool route_is_path(const char *path)
{
    if (!path || *path != '/' || strpbrk(path, "?#"))
        return false;
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return false;
    return utf8_is_valid(path, strlen(path));
}

bool route_is_below(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    while (len > 0 && prefix[len - 1] == '/')
        len--;
    return strncmp(path, prefix, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static struct logic_route *find_route(const hop_server *server, const char *method,
                                      const char *path)
{
    struct logic_route *route = server->routes;

    while (route &&
           (strcmp(route->method, method) != 0 || strcmp(route->path, path) != 0))
        route = route->next;
    return route;
}

/* A router forgets nothing: a path is had again from a plugin that has gone, where meanwhile nothing
 * is there, or will be from the one that is replaced. */
static bool take_place(struct logic_route *route, struct plugin *plugin,
                       hop_route_handler *handler, void *self)
{
    if (!route->plugin) {
        route->plugin = plugin;
        route->handler = handler;
        route->self = self;
        look(route);
        return true;
    }
    if (!plugin->replaces || route->plugin != plugin->replaces || route->next_plugin)
        return false;
    route->next_plugin = plugin;
    route->next_handler = handler;
    route->next_self = self;
    return true;
}

void routes_take_over(hop_server *server, const struct plugin *plugin)
{
    for (struct logic_route *route = server->routes; route; route = route->next) {
        if (route->next_plugin != plugin)
            continue;
        route->plugin = route->next_plugin;
        route->handler = route->next_handler;
        route->self = route->next_self;
        route->next_plugin = NULL;
    }
}

int routes_add(hop_server *server, const char *method, const char *path,
               hop_route_handler *handler, void *self)
{
    struct logic_route *route = find_route(server, method, path);

    if (route && take_place(route, server->current, handler, self))
        return 0;
    route =
        logic_route_new(server, path, server->settings->max_body_bytes, handler, self);
    route->method = *method == 'G' ? "GET" : "POST";
    if (router_add(server->router, method, path, &route->http) < 0) {
        logic_route_free(route);
        return -1;
    }
    route->method = running_name(method);
    route->next = server->routes;
    server->routes = route;
    return 0;
}

void routes_remove(hop_server *server, const struct plugin *plugin)
{
    for (struct logic_route *route = server->routes; route; route = route->next) {
        if (route->next_plugin == plugin)
            route->next_plugin = NULL;
        if (route->plugin != plugin)
            continue;
        route->plugin = NULL;
        route->handler = NULL;
        look(route);
    }
}

void routes_show(const hop_server *server, struct table *table)
{
    for (const struct logic_route *route = server->routes; route; route = route->next) {
        table_add(table, route->path);
        table_add(table, route->method);
        table_add(table, route->plugin ? route->plugin->name : NULL);
    }
}

void routes_free(hop_server *server)
{
    while (server->routes) {
        struct logic_route *route = server->routes;

        server->routes = route->next;
        logic_route_free(route);
    }
}
