/*
 * handshakes.c - hooks that decide about new sessions, and those that hear of refusals.
 *
 * Called by: the engines' gates (shard: they send records here), lanes (ask, tell: logic),
 * server.c (start and stop), plugins. A held handshake goes to logic and comes back as one
 * pointer: it has one owner at a time.
 */
#include "core/plugin/handshakes.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/engine.h"
#include "core/loop/bytes.h"
#include "core/net/http.h"
#include "core/plugin/endpoints.h"
#include "core/plugin/plugin.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

enum { MAX_MESSAGE = 1000 /* bytes of a refusal */ };

struct handshake_hook {
    struct plugin *plugin; /* borrowed */
    unsigned serial;       /* of its registration */
    hop_handshake_hook *decide;
    hop_connection_error_hook *hear; /* one of the two */
    void *self;
};

/* Of one path. */
struct handshake_gate {
    hop_server *server; /* borrowed */
    struct handshake_gate *next;
    char *path;                  /* owned: NULL for Socket.IO's */
    struct handshake_hook *hook; /* owned: in the order of their calls */
    size_t n;
};

/* A handshake, while hooks decide about it. */
struct hop_handshake {
    const struct handshake_gate *gate; /* borrowed */
    struct held_handshake *held;       /* owned */
    size_t next;                       /* the hook that is asked next */
    unsigned serial;                   /* of that which was asked last */
    const struct plugin *plugin;       /* borrowed: whose that is */
    hop_request request;               /* texts NULL until it is asked for */
    bool is_running;                   /* within a hook */
    hop_deferral deferral;             /* 0: it does not wait */
    int defer_ms;
    struct event *timer; /* owned: its deadline */
    UT_hash_handle hh;   /* in handshakes.waiting, by held->conn */
};

/* ---- registration */

void handshakes_init(struct handshakes *handshakes)
{
    slots_init(&handshakes->deferrals, 0);
}

static struct handshake_gate *find_gate(const hop_server *server, const char *path)
{
    struct handshake_gate *gate = server->handshakes.gates;

    while (gate && (path ? !gate->path || strcmp(gate->path, path) != 0 : !!gate->path))
        gate = gate->next;
    return gate;
}

static struct handshake_gate *need_gate(hop_server *server, const char *path)
{
    struct handshake_gate *gate = find_gate(server, path);

    if (gate)
        return gate;
    gate = mem_calloc(1, sizeof *gate);
    gate->server = server;
    gate->path = path ? mem_strdup(path) : NULL;
    gate->next = server->handshakes.gates;
    server->handshakes.gates = gate;
    return gate;
}

static void add_hook(hop_server *server, const char *path, struct handshake_hook hook)
{
    const bool is_main = path && strcmp(path, server->settings->path) == 0;
    struct handshake_gate *gate = need_gate(server, is_main ? NULL : path);

    hook.plugin = server->current;
    hook.serial = server->handshakes.n_hooks++;
    gate->hook = mem_realloc(gate->hook, (gate->n + 1) * sizeof *gate->hook);
    gate->hook[gate->n++] = hook;
}

int hop_on_handshake(hop_server *server, const char *path, hop_handshake_hook *hook,
                     void *self)
{
    if (!in_init(server, __func__))
        return -1;
    if (!hook)
        return refuse(server, "hop_on_handshake(): NULL is no hook");
    add_hook(server, path, (struct handshake_hook){.decide = hook, .self = self});
    return 0;
}

int hop_on_connection_error(hop_server *server, const char *path,
                            hop_connection_error_hook *hook, void *self)
{
    if (!in_init(server, __func__))
        return -1;
    if (!hook)
        return refuse(server, "hop_on_connection_error(): NULL is no hook");
    add_hook(server, path, (struct handshake_hook){.hear = hook, .self = self});
    return 0;
}

void handshakes_remove(struct handshakes *handshakes, const struct plugin *plugin)
{
    for (struct handshake_gate *gate = handshakes->gates; gate; gate = gate->next) {
        size_t n_kept = 0;

        for (size_t i = 0; i < gate->n; i++)
            if (gate->hook[i].plugin != plugin)
                gate->hook[n_kept++] = gate->hook[i];
        gate->n = n_kept;
    }
}

/* By place in the conf file, then registration. */
static int compare(const void *left, const void *right)
{
    const struct handshake_hook *a = left, *b = right;

    if (a->plugin->conf_index != b->plugin->conf_index)
        return a->plugin->conf_index < b->plugin->conf_index ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static void on_handshake(struct held_handshake *held, void *arg);
static void on_abandoned(handle conn, void *arg);
static void on_refused(const struct handshake_refusal *refusal, void *arg);

/* To an engine whose shard runs: behind what it has been told so far. */
struct gate_record {
    struct engine *engine; /* borrowed */
    struct engine_gate calls;
};

static void take_gate(struct loop *shard, void *payload)
{
    const struct gate_record *record = payload;

    (void)shard;
    engine_set_gate(record->engine, &record->calls);
}

static void send_gate(const hop_server *server, struct engine *engine, unsigned shard,
                      const struct engine_gate *calls)
{
    struct gate_record *record = loop_send(
        server->loops->logic, server->loops->loop[shard], take_gate, sizeof *record, 0);

    *record = (struct gate_record){engine, *calls};
}

static struct engine *const *engines_of(const struct handshake_gate *gate)
{
    return gate->path ? endpoint_engines(gate->server, gate->path)
                      : gate->server->engines;
}

static int check(const struct handshake_gate *gate, hop_error *error)
{
    if (gate->n == 0 || engines_of(gate))
        return 0;
    hop_error_set(error,
                  "plugin %s: a hook for handshakes of %s, which no plugin has opened "
                  "with hop_engine(): enable that one, or turn this one off",
                  gate->hook[0].plugin->name, gate->path ? gate->path : "Socket.IO");
    return -1;
}

/* An engine keeps a gate that it has: without hooks it lets everybody in. */
static void resolve(struct handshake_gate *gate)
{
    const hop_server *server = gate->server;
    struct engine_gate calls = {.on_abandoned = on_abandoned, .arg = gate};
    struct engine *const *engines = engines_of(gate);

    if (gate->n == 0)
        return;
    qsort(gate->hook, gate->n, sizeof *gate->hook, compare);
    for (size_t i = 0; i < gate->n; i++)
        if (gate->hook[i].decide)
            calls.on_handshake = on_handshake;
        else
            calls.on_refused = on_refused;
    for (unsigned i = 0; i < server->loops->n_shards; i++) {
        if (loop_is_running(server->loops->loop[i]))
            send_gate(server, engines[i], i, &calls);
        else
            engine_set_gate(engines[i], &calls);
    }
}

int handshakes_check(hop_server *server, hop_error *error)
{
    for (struct handshake_gate *gate = server->handshakes.gates; gate; gate = gate->next)
        if (check(gate, error) < 0)
            return -1;
    return 0;
}

int handshakes_resolve(hop_server *server, hop_error *error)
{
    if (handshakes_check(server, error) < 0)
        return -1;
    for (struct handshake_gate *gate = server->handshakes.gates; gate; gate = gate->next)
        resolve(gate);
    return 0;
}

void handshakes_show(const hop_server *server, struct table *table)
{
    for (const struct handshake_gate *gate = server->handshakes.gates; gate;
         gate = gate->next)
        for (size_t i = 0; i < gate->n; i++) {
            table_add(table, gate->path ? gate->path : server->settings->path);
            table_add(table, gate->hook[i].decide ? "handshake" : "connection_error");
            table_add_number(table, i + 1);
            table_add(table, gate->hook[i].plugin->name);
        }
}

/* ---- the end of one */

static void stop_waiting(struct hop_handshake *handshake)
{
    struct handshakes *handshakes = &handshake->gate->server->handshakes;

    if (!handshake->deferral)
        return;
    slots_remove(&handshakes->deferrals, handshake->deferral);
    handshake->deferral = 0;
    event_free(handshake->timer);
    handshake->timer = NULL;
    HASH_DEL(handshakes->waiting, handshake);
}

/* What becomes of held is the caller's business. */
static void handshake_free(struct hop_handshake *handshake)
{
    stop_waiting(handshake);
    bytes_unref(handshake->request.texts);
    free(handshake);
}

void handshakes_done(struct handshakes *handshakes)
{
    while (handshakes->waiting) {
        struct hop_handshake *handshake = handshakes->waiting;
        struct held_handshake *held = handshake->held;

        handshake_free(handshake);
        held_handshake_free(held);
    }
    while (handshakes->gates) {
        struct handshake_gate *gate = handshakes->gates;

        handshakes->gates = gate->next;
        free(gate->path);
        free(gate->hook);
        free(gate);
    }
    slots_done(&handshakes->deferrals);
}

static void take_back(struct loop *shard, void *payload)
{
    (void)shard;
    engine_answer_handshake(*(struct held_handshake **)payload);
}

/* It is decided: held goes back. */
static void give_back(struct hop_handshake *handshake, bool is_refused)
{
    struct held_handshake *held = handshake->held;
    struct loops *loops = handshake->gate->server->loops;
    struct held_handshake **record =
        loop_send(loops->logic, loops->loop[handle_shard(held->conn)], take_back,
                  sizeof(struct held_handshake *), held->n_bytes);

    held->is_refused = is_refused;
    *record = held;
    handshake_free(handshake);
}

/* ---- asking the hooks */

static void log_bad_verdict(const struct handshake_hook *hook, hop_verdict verdict,
                            const char *hint)
{
    hop_log(HOP_WARN,
            "plugin.bad_verdict plugin=%s hook=handshake verdict=%d hint=\"%s\"",
            hook->plugin->name, (int)verdict, hint);
}

static hop_verdict call_hook(struct hop_handshake *handshake,
                             const struct handshake_hook *hook)
{
    hop_server *server = handshake->gate->server;
    hop_verdict verdict;
    struct call call;

    free(handshake->held->message); /* of one before, who then let it in */
    handshake->held->message = NULL;
    handshake->is_running = true;
    call_begin_as(server, hook->plugin, "hook", "handshake", &call);
    verdict = hook->decide(handshake, hook->self);
    call_end(server, &call, "hook", "handshake");
    handshake->is_running = false;
    if (verdict == HOP_NEXT || verdict == HOP_REJECTED)
        return verdict;
    if (verdict == HOP_DEFER && handshake->deferral)
        return verdict;
    log_bad_verdict(hook, verdict,
                    verdict == HOP_DEFER ? "call hop_handshake_defer() first"
                                         : "no verdict of these hooks: refused");
    return HOP_REJECTED;
}

/* From the hook at hand on. It may be gone when this returns. */
static void run(struct hop_handshake *handshake)
{
    const struct handshake_gate *gate = handshake->gate;

    while (handshake->next < gate->n) {
        const struct handshake_hook *hook = &gate->hook[handshake->next++];
        hop_verdict verdict;

        if (!hook->decide || !hook->plugin->is_live)
            continue;
        handshake->serial = hook->serial;
        handshake->plugin = hook->plugin;
        verdict = call_hook(handshake, hook);
        if (verdict == HOP_DEFER)
            return;
        stop_waiting(handshake);
        if (verdict == HOP_REJECTED) {
            give_back(handshake, true);
            return;
        }
    }
    give_back(handshake, false);
}

struct question {
    const struct handshake_gate *gate; /* borrowed: outlives the loops */
    struct held_handshake *held;
};

static void ask(struct loop *logic, void *payload)
{
    const struct question *question = payload;
    struct hop_handshake *handshake = mem_calloc(1, sizeof *handshake);

    (void)logic;
    handshake->gate = question->gate;
    handshake->held = question->held;
    run(handshake);
}

static void on_handshake(struct held_handshake *held, void *arg)
{
    const struct handshake_gate *gate = arg;
    struct loops *loops = gate->server->loops;
    struct question *question =
        loop_send(loops->loop[handle_shard(held->conn)], loops->logic, ask,
                  sizeof *question, held->n_bytes);

    *question = (struct question){gate, held};
}

/* A client that has gone is waited for by nobody. */
struct farewell {
    hop_server *server; /* borrowed */
    handle conn;
};

static void let_go(struct loop *logic, void *payload)
{
    const struct farewell *farewell = payload;
    struct hop_handshake *handshake = NULL;

    (void)logic;
    if (farewell->server->handshakes.waiting)
        HASH_FIND(hh, farewell->server->handshakes.waiting, &farewell->conn,
                  sizeof farewell->conn, handshake);
    if (handshake)
        give_back(handshake, true);
}

static void on_abandoned(handle conn, void *arg)
{
    const struct handshake_gate *gate = arg;
    struct loops *loops = gate->server->loops;
    struct farewell *farewell = loop_send(loops->loop[handle_shard(conn)], loops->logic,
                                          let_go, sizeof *farewell, 0);

    *farewell = (struct farewell){gate->server, conn};
}

/* ---- what hooks ask */

hop_handshake *hop_handshake_of(hop_server *server, hop_deferral deferral)
{
    return on_logic(__func__) ? slots_get(&server->handshakes.deferrals, deferral) : NULL;
}

hop_request *hop_handshake_request(hop_handshake *handshake)
{
    if (!on_logic(__func__))
        return NULL;
    if (!handshake->request.texts) {
        const struct http_request *request = handshake->held->request;

        handshake->request.path = request->path.text;
        handshake->request.was_answered = true; /* it cannot be */
        if (!request_copy(&handshake->request, request, NULL, 0))
            return NULL;
    }
    return &handshake->request;
}

const char *hop_handshake_address(const hop_handshake *handshake)
{
    return handshake->held->address;
}

const char *hop_handshake_transport(const hop_handshake *handshake)
{
    return handshake->held->is_websocket ? "websocket" : "polling";
}

/* ---- what hooks say */

int hop_handshake_set_id(hop_handshake *handshake, const char *id)
{
    if (!on_logic(__func__) || !id || !engine_is_id(id))
        return -1;
    free(handshake->held->id);
    handshake->held->id = mem_strdup(id);
    return 0;
}

/* A header that the core writes itself. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"Cache-Control",
                                        "Connection",
                                        "Content-Encoding",
                                        "Content-Length",
                                        "Content-Type",
                                        "Date",
                                        "Keep-Alive",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "X-Content-Type-Options",
                                        "Vary"};
    static const char *const prefixes[] = {"Access-Control-", "Sec-WebSocket-"};
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ascii_equal_nocase(name, len, names[i]))
            return true;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (len >= strlen(prefixes[i]) &&
            ascii_equal_nocase(name, strlen(prefixes[i]), prefixes[i]))
            return true;
    return false;
}

static bool is_header_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

int hop_handshake_add_header(hop_handshake *handshake, hop_response when,
                             const char *name, const char *value)
{
    static const char between[] = ": ", end[] = "\r\n";
    char **lines = when == HOP_FIRST_RESPONSE ? &handshake->held->first_headers
                                              : &handshake->held->headers;
    size_t len = *lines ? strlen(*lines) : 0, size;
    char *at;

    if (!on_logic(__func__) ||
        (when != HOP_FIRST_RESPONSE && when != HOP_ALL_RESPONSES) || !name || !value ||
        !http_is_token(name, strlen(name)) || is_ours(name) || !is_header_value(value))
        return -1;
    size = len + strlen(name) + strlen(value) + sizeof between + sizeof end - 1;
    if (size > HELD_HEADERS_MAX)
        return -1;
    *lines = mem_realloc(*lines, size);
    at = stpcpy(stpcpy(*lines + len, name), between);
    strcpy(stpcpy(at, value), end);
    return 0;
}

/* The first bytes of text, up to the start of a code point. */
static char *cut_copy(const char *text)
{
    size_t len = strlen(text);

    if (len > MAX_MESSAGE) {
        len = MAX_MESSAGE;
        while (((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    return mem_strndup(text, len);
}

hop_verdict hop_handshake_reject(hop_handshake *handshake, const char *message)
{
    if (!on_logic(__func__))
        return HOP_REJECTED;
    free(handshake->held->message);
    handshake->held->message =
        message && utf8_is_valid(message, strlen(message)) ? cut_copy(message) : NULL;
    return HOP_REJECTED;
}

/* ---- taking one's time */

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct hop_handshake *handshake = arg;

    (void)fd;
    (void)what;
    hop_log(HOP_WARN, "plugin.defer_timeout plugin=%s hook=handshake ms=%d",
            handshake->plugin->name, handshake->defer_ms);
    hop_handshake_reject(handshake, "timeout");
    give_back(handshake, true);
}

hop_deferral hop_handshake_defer(hop_handshake *handshake, int timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    hop_server *server = handshake->gate->server;
    struct handshakes *handshakes = &server->handshakes;

    if (!on_logic(__func__) || !handshake->is_running || timeout_ms < 1 ||
        timeout_ms > MAX_TIMEOUT_MS)
        return 0;
    stop_waiting(handshake); /* the latest counts */
    handshake->deferral = slots_add(&handshakes->deferrals, handshake);
    if (!handshake->deferral)
        return 0;
    handshake->timer = evtimer_new(server->loops->logic->base, on_timeout, handshake);
    if (!handshake->timer || evtimer_add(handshake->timer, &timeout) < 0)
        mem_exhausted(sizeof *handshake); /* the one reason that libevent has */
    handshake->defer_ms = timeout_ms;
    HASH_ADD_KEYPTR(hh, handshakes->waiting, &handshake->held->conn,
                    sizeof handshake->held->conn, handshake);
    return handshake->deferral;
}

struct resumption {
    hop_server *server; /* borrowed: outlives the posts, loops_shut() */
    hop_deferral deferral;
    char *message; /* owned: NULL: it goes on */
};

/* By loop_post(): never while the hook that deferred it still runs. */
static void resume(void *arg)
{
    struct resumption *resumption = arg;
    struct hop_handshake *handshake =
        slots_get(&resumption->server->handshakes.deferrals, resumption->deferral);

    if (handshake && resumption->message) {
        hop_handshake_reject(handshake, resumption->message);
        give_back(handshake, true);
    } else if (handshake) {
        stop_waiting(handshake);
        run(handshake);
    }
    free(resumption->message);
    free(resumption);
}

int hop_handshake_resume(hop_server *server, hop_deferral deferral, const char *message)
{
    struct resumption *resumption = mem_alloc(sizeof *resumption);

    *resumption =
        (struct resumption){server, deferral, message ? mem_strdup(message) : NULL};
    if (loop_post(server->loops->logic, resume, resumption) == 0)
        return 0;
    free(resumption->message);
    free(resumption);
    return -1;
}

/* ---- when a plugin goes or is replaced */

/* A gate without hooks lets everybody in. */
static void relocate(struct hop_handshake *handshake)
{
    const struct handshake_gate *gate = handshake->gate;
    size_t i = 0;

    while (i < gate->n && gate->hook[i].serial != handshake->serial)
        i++;
    handshake->next = i < gate->n ? i + 1 : 0;
}

void handshakes_relocate(struct handshakes *handshakes)
{
    for (struct hop_handshake *at = handshakes->waiting; at; at = at->hh.next)
        relocate(at);
}

static struct hop_handshake *first_of(const struct handshakes *handshakes,
                                      const struct plugin *plugin)
{
    struct hop_handshake *at = handshakes->waiting;

    while (at && at->plugin != plugin)
        at = at->hh.next;
    return at;
}

bool handshakes_has_any(const struct handshakes *handshakes, const struct plugin *plugin)
{
    return first_of(handshakes, plugin) != NULL;
}

void handshakes_refuse_all(struct handshakes *handshakes, const struct plugin *plugin)
{
    struct hop_handshake *handshake;

    while ((handshake = first_of(handshakes, plugin))) {
        hop_handshake_reject(handshake, "the server is reloading");
        give_back(handshake, true);
    }
}

/* ---- refusals */

struct news {
    const struct handshake_gate *gate; /* borrowed: outlives the loops */
    int code;
    char *message;       /* owned */
    const char *reason;  /* borrowed: a constant */
    hop_request request; /* its texts: a ref */
    char *path;          /* owned */
    char address[CONN_ADDRESS_MAX];
};

static void tell(struct loop *logic, void *payload)
{
    struct news *news = payload;
    const struct handshake_gate *gate = news->gate;
    const hop_connection_error error = {
        .code = news->code,
        .message = news->message,
        .reason = news->reason,
        .address = news->address,
        .request = &news->request,
    };

    (void)logic;
    news->request.path = news->path;
    for (size_t i = 0; i < gate->n; i++) {
        const struct handshake_hook *hook = &gate->hook[i];
        struct call call;

        if (!hook->hear || !hook->plugin->is_live)
            continue;
        call_begin_as(gate->server, hook->plugin, "hook", "connection_error", &call);
        hook->hear(&error, hook->self);
        call_end(gate->server, &call, "hook", "connection_error");
    }
    bytes_unref(news->request.texts);
    free(news->message);
    free(news->path);
}

static void on_refused(const struct handshake_refusal *refusal, void *arg)
{
    const struct handshake_gate *gate = arg;
    struct loops *loops = gate->server->loops;
    struct loop *shard = loops->loop[refusal->shard], *logic = loops->logic;
    hop_request request = {.was_answered = true};
    struct news *news;

    if (loop_is_behind(shard, logic) ||
        !request_copy(&request, refusal->request, NULL, 0))
        return;
    news = loop_send(shard, logic, tell, sizeof *news, request.texts->len);
    *news = (struct news){
        .gate = gate,
        .code = refusal->code,
        .message = mem_strdup(refusal->message),
        .reason = refusal->reason,
        .request = request,
        .path = mem_strndup(refusal->request->path.text, refusal->request->path.len),
    };
    strcpy(news->address, refusal->address);
}
