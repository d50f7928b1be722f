/*
 * connect.c - clients on their way in: middleware one after the other, each of which may
 * pass, refuse, or take its time; and the hooks that are asked for a namespace.
 *
 * Called by: server.c (the hub's news), plugins. A newcomer may leave at any moment, also by
 * the hand of the very middleware that looks at it: then it is only marked, and freed when
 * that has returned. Thread: logic; hop_connect_resume() any.
 */
#include "core/plugin/connect.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"
#include "core/socketio/opening.h"

struct middleware {
    struct plugin *plugin; /* borrowed */
    struct scope scope;
    hop_middleware *call;
    void *self;      /* borrowed: the plugin's own */
    unsigned serial; /* of registration */
};

/* Who answers for a label. */
struct acceptor {
    struct plugin *plugin; /* borrowed; NULL: nobody, it has gone */
    hop_namespace_accept *accept;
    void *self; /* borrowed: the plugin's own */
};

struct namespace_hook {
    hop_server *server;        /* borrowed */
    char *label;               /* owned */
    int declared;              /* number of its declaration */
    struct acceptor now, next; /* next: of the plugin that is to replace it */
    struct namespace_hook *other;
};

struct hop_connect {
    UT_hash_handle hh;            /* in connects->connects, by socket */
    hop_server *server;           /* borrowed */
    struct plugin *plugin;        /* borrowed: whose middleware has deferred it */
    hop_socket socket;            /* HOP_NO_SOCKET where a namespace is asked for */
    const struct hub_connect *in; /* borrowed: in that case alone */
    size_t next;                  /* middleware to be called */
    unsigned serial;              /* of that which was called last */
    json_t *auth;          /* ref: NULL before was_parsed, or when jansson cannot */
    char *message;         /* owned: of the last hop_connect_reject() */
    json_t *data;          /* owned */
    hop_deferral deferral; /* 0: none */
    struct event *timer;   /* owned: its deadline */
    bool was_parsed;
    bool is_running; /* its middleware stands on the stack */
    bool is_gone;    /* and the socket has gone meanwhile */
};

/* ---- registration */

void connects_init(struct connects *connects)
{
    *connects = (struct connects){0};
    slots_init(&connects->deferrals, 0);
}

void connects_done(struct connects *connects)
{
    for (size_t i = 0; i < connects->n; i++)
        scope_done(&connects->middleware[i].scope);
    free(connects->middleware);
    while (connects->hooks) {
        struct namespace_hook *hook = connects->hooks;

        connects->hooks = hook->other;
        free(hook->label);
        free(hook);
    }
    slots_done(&connects->deferrals);
}

void connects_remove(struct connects *connects, const struct plugin *plugin)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < connects->n; i++) {
        if (connects->middleware[i].plugin == plugin)
            scope_done(&connects->middleware[i].scope);
        else
            connects->middleware[n_kept++] = connects->middleware[i];
    }
    connects->n = n_kept;
    for (struct namespace_hook *hook = connects->hooks; hook; hook = hook->other) {
        if (hook->next.plugin == plugin)
            hook->next = (struct acceptor){0};
        if (hook->now.plugin == plugin)
            hook->now = (struct acceptor){0}; /* the hub still knows it */
    }
}

void connects_take_over(struct connects *connects, const struct plugin *plugin)
{
    for (struct namespace_hook *hook = connects->hooks; hook; hook = hook->other) {
        if (hook->next.plugin != plugin)
            continue;
        hook->now = hook->next;
        hook->next = (struct acceptor){0};
    }
}

int hop_use(hop_server *server, const char *nsp, hop_middleware *middleware, void *self)
{
    struct connects *connects = &server->connects;

    if (!in_init(server, __func__))
        return -1;
    if (!middleware)
        return refuse(server, "hop_use(): NULL is no middleware");
    connects->middleware = mem_realloc(connects->middleware,
                                       (connects->n + 1) * sizeof *connects->middleware);
    connects->middleware[connects->n] = (struct middleware){
        .plugin = server->current,
        .scope = scope_new(nsp),
        .call = middleware,
        .self = self,
        .serial = connects->n_added++,
    };
    connects->n++;
    hub_want_auth(server->hub);
    return 0;
}

/* By place in the conf file, then registration. */
static int compare(const void *left, const void *right)
{
    const struct middleware *a = left, *b = right;

    if (a->plugin->conf_index != b->plugin->conf_index)
        return a->plugin->conf_index < b->plugin->conf_index ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

int connects_check(struct connects *connects, const struct hub *hub, hop_error *error)
{
    for (size_t i = 0; i < connects->n; i++)
        if (scope_resolve(&connects->middleware[i].scope, hub,
                          connects->middleware[i].plugin, "middleware", error) < 0)
            return -1;
    return 0;
}

int connects_resolve(struct connects *connects, const struct hub *hub, hop_error *error)
{
    if (connects->n > 0)
        qsort(connects->middleware, connects->n, sizeof *connects->middleware, compare);
    return connects_check(connects, hub, error);
}

void connects_show(const struct connects *connects, struct table *table)
{
    size_t n = 0;

    for (size_t i = 0; i < connects->n; i++) {
        table_add(table, "middleware");
        table_add_number(table, i + 1);
        table_add(table, connects->middleware[i].plugin->name);
        table_add(table, scope_name(&connects->middleware[i].scope));
    }
    for (const struct namespace_hook *hook = connects->hooks; hook; hook = hook->other) {
        if (!hook->now.accept)
            continue;
        table_add(table, "namespace");
        table_add_number(table, ++n);
        table_add(table, hook->now.plugin->name);
        table_add(table, NULL);
    }
}

/* ---- one of them */

static void end_deferral(struct hop_connect *connect)
{
    if (!connect->deferral)
        return;
    slots_remove(&connect->server->connects.deferrals, connect->deferral);
    connect->deferral = 0;
    event_free(connect->timer);
    connect->timer = NULL;
}

static void forget_refusal(struct hop_connect *connect)
{
    free(connect->message);
    json_decref(connect->data);
    connect->message = NULL;
    connect->data = NULL;
}

static void connect_free(struct hop_connect *connect)
{
    end_deferral(connect);
    forget_refusal(connect);
    json_decref(connect->auth);
    free(connect);
}

static void connect_end(struct hop_connect *connect)
{
    HASH_DEL(connect->server->connects.connects, connect);
    connect_free(connect);
}

static struct hop_connect *find(const struct connects *connects, hop_socket socket)
{
    struct hop_connect *found = NULL;

    HASH_FIND(hh, connects->connects, &socket, sizeof socket, found);
    return found;
}

void connects_abandon(hop_server *server, hop_socket socket)
{
    struct hop_connect *connect = find(&server->connects, socket);

    if (connect && connect->is_running)
        connect->is_gone = true;
    else if (connect)
        connect_end(connect);
}

static const char default_message[] = "refused";

static void refuse_connect(struct hop_connect *connect)
{
    hop_server *server = connect->server;
    const hop_socket socket = connect->socket;
    char *message = mem_strdup(connect->message ? connect->message : default_message);
    char *data =
        connect->data ? json_dumps(connect->data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    connect_end(connect);
    hub_refuse(server->hub, socket, message, data);
    free(message);
    free(data);
}

static void accept_connect(struct hop_connect *connect)
{
    hop_server *server = connect->server;
    const hop_socket socket = connect->socket;

    connect_end(connect);
    hub_accept(server->hub, socket);
}

/* ---- middleware */

static void log_bad_verdict(const struct middleware *middleware, hop_verdict verdict,
                            const char *hint)
{
    hop_log(HOP_WARN,
            "plugin.bad_verdict plugin=%s hook=middleware verdict=%d hint=\"%s\"",
            middleware->plugin->name, (int)verdict, hint);
}

static hop_verdict call_middleware(struct hop_connect *connect,
                                   const struct middleware *middleware)
{
    hop_server *server = connect->server;
    hop_verdict verdict;
    struct call call;

    forget_refusal(connect);
    connect->plugin = middleware->plugin;
    connect->serial = middleware->serial;
    connect->is_running = true;
    call_begin_as(server, middleware->plugin, "hook", "middleware", &call);
    verdict = middleware->call(connect->socket, connect, middleware->self);
    call_end(server, &call, "hook", "middleware");
    connect->is_running = false;
    if (connect->is_gone || verdict == HOP_NEXT)
        return verdict;
    if (verdict == HOP_DEFER && connect->deferral)
        return verdict;
    if (verdict == HOP_DEFER)
        log_bad_verdict(middleware, verdict, "call hop_connect_defer() first");
    else if (verdict != HOP_REJECTED)
        log_bad_verdict(middleware, verdict, "no verdict of middleware: refused");
    else if (!connect->message)
        log_bad_verdict(middleware, verdict, "return what hop_connect_reject() gave");
    return HOP_REJECTED;
}

/* Who is not let in expressly stays outside. */
static void run(struct hop_connect *connect)
{
    const struct connects *connects = &connect->server->connects;
    const int declared = hub_socket_declared(connect->server->hub, connect->socket);

    while (connect->next < connects->n) {
        const struct middleware *middleware = &connects->middleware[connect->next++];
        hop_verdict verdict;

        if (!middleware->plugin->is_live || !scope_has(&middleware->scope, declared))
            continue;
        verdict = call_middleware(connect, middleware);
        if (connect->is_gone) {
            connect_end(connect);
            return;
        }
        if (verdict == HOP_DEFER)
            return;
        end_deferral(connect);
        if (verdict == HOP_REJECTED) {
            refuse_connect(connect);
            return;
        }
    }
    accept_connect(connect);
}

static bool has_middleware(const hop_server *server, hop_socket socket)
{
    const struct connects *connects = &server->connects;
    const int declared = connects->n ? hub_socket_declared(server->hub, socket) : 0;

    for (size_t i = 0; i < connects->n; i++)
        if (connects->middleware[i].plugin->is_live &&
            scope_has(&connects->middleware[i].scope, declared))
            return true;
    return false;
}

void connects_begin(hop_server *server, const struct hub_connect *in)
{
    struct hop_connect *connect;

    if (!has_middleware(server, in->socket)) {
        hub_accept(server->hub, in->socket);
        return;
    }
    connect = mem_calloc(1, sizeof *connect);
    connect->server = server;
    connect->socket = in->socket;
    HASH_ADD(hh, server->connects.connects, socket, sizeof connect->socket, connect);
    run(connect);
}

/* ---- what middleware and namespace hooks ask and say */

const char *hop_connect_namespace(const hop_connect *connect)
{
    return connect->in ? connect->in->nsp
                       : hub_socket_namespace(connect->server->hub, connect->socket);
}

static json_t *parse_auth(const char *text, size_t len)
{
    return text ? json_loadb(text, len, 0, NULL) : json_object();
}

json_t *hop_connect_auth(hop_connect *connect)
{
    const char *text;
    size_t len;

    if (!on_logic(__func__))
        return NULL;
    if (!connect->was_parsed) {
        connect->was_parsed = true;
        if (connect->in) {
            text = connect->in->auth;
            len = connect->in->auth_len;
        } else {
            text = hub_socket_auth(connect->server->hub, connect->socket, &len);
        }
        connect->auth = parse_auth(text, len);
    }
    return connect->auth;
}

static const struct bytes *opening_of(const hop_connect *connect)
{
    return connect->in ? connect->in->opening
                       : hub_socket_opening(connect->server->hub, connect->socket);
}

/* A new reference; NULL where there is none, or it came more than once. */
static json_t *find_parameter(const struct bytes *opening, const char *name)
{
    json_t *query = opening ? opening_query(opening) : NULL;
    json_t *value = json_incref(json_object_get(query, name));

    json_decref(query);
    if (json_is_array(value)) {
        json_t *last = json_incref(json_array_get(value, json_array_size(value) - 1));

        json_decref(value);
        value = last;
    }
    return value;
}

json_t *hop_connect_query(hop_connect *connect, const char *name)
{
    return on_logic(__func__) && name ? find_parameter(opening_of(connect), name) : NULL;
}

json_t *hop_connect_headers(hop_connect *connect)
{
    const struct bytes *opening = on_logic(__func__) ? opening_of(connect) : NULL;

    return opening ? opening_headers(opening) : NULL;
}

hop_verdict hop_connect_reject(hop_connect *connect, const char *message, json_t *data)
{
    if (!on_logic(__func__)) {
        json_decref(data);
        return HOP_REJECTED;
    }
    forget_refusal(connect);
    connect->message = mem_strdup(
        message && utf8_is_valid(message, strlen(message)) ? message : default_message);
    connect->data = data;
    return HOP_REJECTED;
}

/* ---- taking one's time */

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct hop_connect *connect = arg;

    (void)fd;
    (void)what;
    end_deferral(connect);
    hop_connect_reject(connect, "timeout", NULL);
    refuse_connect(connect);
}

hop_deferral hop_connect_defer(hop_connect *connect, int timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    hop_server *server = connect->server;

    if (!on_logic(__func__) || !connect->is_running || timeout_ms < 1 ||
        timeout_ms > MAX_TIMEOUT_MS)
        return 0;
    end_deferral(connect); /* the latest counts */
    connect->deferral = slots_add(&server->connects.deferrals, connect);
    if (!connect->deferral)
        return 0;
    connect->timer = evtimer_new(server->loops->logic->base, on_timeout, connect);
    if (!connect->timer || evtimer_add(connect->timer, &timeout) < 0)
        mem_exhausted(sizeof *connect); /* the one reason that libevent has */
    return connect->deferral;
}

struct resumption {
    hop_server *server; /* borrowed */
    hop_deferral deferral;
    char *message; /* owned: NULL: it goes on */
    json_t *data;  /* owned */
};

static void resumption_free(struct resumption *resumption)
{
    json_decref(resumption->data);
    free(resumption->message);
    free(resumption);
}

/* In logic, by loop_post(): never while the middleware that deferred it still runs. */
static void resume(void *arg)
{
    struct resumption *resumption = arg;
    struct hop_connect *connect =
        slots_get(&resumption->server->connects.deferrals, resumption->deferral);

    if (connect) {
        end_deferral(connect);
        if (resumption->message) {
            hop_connect_reject(connect, resumption->message, resumption->data);
            resumption->data = NULL;
            refuse_connect(connect);
        } else {
            run(connect);
        }
    }
    resumption_free(resumption);
}

int hop_connect_resume(hop_server *server, hop_deferral deferral, const char *message,
                       json_t *data)
{
    struct resumption *resumption = mem_alloc(sizeof *resumption);

    *resumption =
        (struct resumption){server, deferral, message ? mem_strdup(message) : NULL, data};
    if (loop_post(server->loops->logic, resume, resumption) == 0)
        return 0;
    resumption_free(resumption);
    return -1;
}

/* ---- when a plugin goes or is replaced */

void connects_relocate(struct connects *connects)
{
    for (struct hop_connect *connect = connects->connects; connect;
         connect = connect->hh.next) {
        size_t i = 0;

        while (i < connects->n && connects->middleware[i].serial != connect->serial)
            i++;
        connect->next = i < connects->n ? i + 1 : 0;
    }
}

static struct hop_connect *first_of(const struct connects *connects,
                                    const struct plugin *plugin)
{
    struct hop_connect *connect = connects->connects;

    while (connect && (connect->plugin != plugin || !connect->deferral))
        connect = connect->hh.next;
    return connect;
}

bool connects_has_any(const struct connects *connects, const struct plugin *plugin)
{
    return first_of(connects, plugin) != NULL;
}

void connects_refuse_all(struct connects *connects, const struct plugin *plugin)
{
    struct hop_connect *connect;

    while ((connect = first_of(connects, plugin))) {
        end_deferral(connect);
        hop_connect_reject(connect, "the server is reloading", NULL);
        refuse_connect(connect);
    }
}

/* ---- hooks that are asked for a namespace */

static bool ask_hook(const struct hub_connect *in, void *arg)
{
    const struct namespace_hook *hook = arg;
    struct hop_connect connect = {.server = hook->server, .in = in};
    struct call call;
    bool is_accepted;

    if (!hook->now.accept || !hook->now.plugin->is_live)
        return false;
    call_begin_as(hook->server, hook->now.plugin, "hook", "namespace", &call);
    is_accepted = hook->now.accept(&connect, hook->now.self);
    call_end(hook->server, &call, "hook", "namespace");
    forget_refusal(&connect);
    json_decref(connect.auth);
    return is_accepted;
}

static struct namespace_hook *find_hook(const struct connects *connects,
                                        const char *label)
{
    struct namespace_hook *hook = connects->hooks;

    while (hook && strcmp(hook->label, label) != 0)
        hook = hook->other;
    return hook;
}

/* NULL: the label is taken. */
static struct namespace_hook *declare_hook(hop_server *server, const char *label,
                                           const struct acceptor *acceptor)
{
    struct namespace_hook *hook = mem_alloc(sizeof *hook);

    *hook = (struct namespace_hook){.server = server, .now = *acceptor};
    hook->declared = hub_declare_hook(server->hub, label, ask_hook, hook);
    if (hook->declared < 0) {
        free(hook);
        return NULL;
    }
    hook->label = mem_strdup(label);
    hook->other = server->connects.hooks;
    server->connects.hooks = hook;
    return hook;
}

int hop_namespace_hook(hop_server *server, const char *label,
                       hop_namespace_accept *accept, void *self)
{
    const struct acceptor acceptor = {server->current, accept, self};
    struct namespace_hook *hook;

    if (!in_init(server, __func__))
        return -1;
    if (!label || !*label || *label == '/' || strcmp(label, "*") == 0 || !accept)
        return refuse(server, "hop_namespace_hook(): a label that does not start with "
                              "\"/\", and a hook, please");
    hub_want_auth(server->hub);
    hook = find_hook(&server->connects, label);
    if (hook && !hook->now.plugin) /* of a plugin that has gone */
        hook->now = acceptor;
    else if (hook && server->current->replaces &&
             hook->now.plugin == server->current->replaces)
        hook->next = acceptor;
    else
        hook = declare_hook(server, label, &acceptor);
    if (!hook)
        return refuse(server, "hop_namespace_hook(\"%s\"): the label is taken", label);
    claims_add(server, server->current, hook->declared);
    return 0;
}

/* ---- what a socket came with */

int hop_want_handshake(hop_server *server)
{
    if (!in_init(server, __func__))
        return -1;
    hub_want_opening(server->hub);
    return 0;
}

json_t *hop_socket_auth(hop_server *server, hop_socket socket)
{
    const char *text;
    size_t len;

    if (!on_logic(__func__) || !hub_socket_opening(server->hub, socket))
        return NULL;
    text = hub_socket_auth(server->hub, socket, &len);
    return parse_auth(text, len);
}

json_t *hop_socket_handshake(hop_server *server, hop_socket socket)
{
    const struct bytes *opening =
        on_logic(__func__) ? hub_socket_opening(server->hub, socket) : NULL;
    json_t *auth, *handshake;

    if (!opening)
        return NULL;
    auth = hop_socket_auth(server, socket);
    if (!auth)
        auth = json_null(); /* one that jansson cannot hold */
    handshake = opening_handshake(opening, hub_socket_address(server->hub, socket),
                                  hub_socket_issued_ms(server->hub, socket), auth);
    json_decref(auth);
    return handshake;
}

json_t *hop_socket_query(hop_server *server, hop_socket socket, const char *name)
{
    return on_logic(__func__) && name
               ? find_parameter(hub_socket_opening(server->hub, socket), name)
               : NULL;
}
