/*
 * gate.c - namespaces by pattern and by hook, and middleware that looks at who comes in.
 *
 *   /n-[a-z]+ or /n-[0-9]{1,3}   by a pattern
 *   "invited"    by a hook: those whose auth has `invited` = the name that they ask for
 *   everywhere   `whoami`    ack: {nsp, id, data: the slot's text, early, left: in these rooms}
 *                `handshake` ack: the handshake object, parameter `q`, auth
 *                `counts`    ack: [namespaces made, gone, slots freed, hooks of connects]
 *   "/", in the order of the calls:
 *     first:  slot = auth.name or "nobody"; joins room `early`; emits `early` to itself;
 *             the parameter `fail` refuses with its text and, if `code` is there, {code}
 *     second: auth.wait = "pass" | "refuse" | "never" defers; a thread of its own resumes,
 *             or nobody does and 50 ms end it. auth.close ends the transport at once.
 *             auth.bad returns a verdict that it may not return.
 *             auth.hold waits until somebody emits `release` (ack: whether one waited)
 *   by pattern: refuses with "closed" when the name is /n-shut
 *
 * Thread: logic; `resumer` is a thread of its own.
 */
#include <sockhop/sockhop.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char pattern[] = "/n-[a-z]+|/n-[0-9]{1,3}";

struct gate {
    hop_server *server; /* borrowed */
    hop_slot slot;
    hop_deferral held;
    json_int_t n_made, n_gone, n_freed, n_connected;
    pthread_t *threads; /* owned: all that were started, joined at the end */
    size_t n_threads;
};

static struct gate *the_gate; /* borrowed: for free_value() */

static void free_value(void *value)
{
    the_gate->n_freed++;
    free(value);
}

/* ---- middleware */

static hop_verdict first(hop_socket socket, hop_connect *connect, void *self)
{
    struct gate *gate = self;
    const json_t *name = json_object_get(hop_connect_auth(connect), "name");
    json_t *fail = hop_connect_query(connect, "fail"),
           *code = hop_connect_query(connect, "code");
    hop_verdict verdict = HOP_NEXT;

    hop_socket_set(gate->server, socket, gate->slot,
                   strdup(json_is_string(name) ? json_string_value(name) : "nobody"));
    hop_socket_join(gate->server, socket, "early");
    hop_socket_join(gate->server, socket, "left");
    hop_socket_leave(gate->server, socket, "left");
    hop_emit(hop_to_socket(gate->server, socket), "early", json_pack("[i]", 1));
    hop_emit(hop_to_room(gate->server, hop_socket_id(gate->server, socket)), "early",
             json_pack("[i]", 2));
    if (fail)
        verdict = hop_connect_reject(connect, json_string_value(fail),
                                     code ? json_pack("{sO}", "code", code) : NULL);
    json_decref(fail);
    json_decref(code);
    return verdict;
}

struct errand {
    struct gate *gate; /* borrowed */
    hop_deferral deferral;
    bool passes;
};

static void *resumer(void *arg)
{
    struct errand *errand = arg;

    hop_connect_resume(errand->gate->server, errand->deferral,
                       errand->passes ? NULL : "not today",
                       errand->passes ? NULL : json_pack("[i]", 7));
    hop_connect_resume(errand->gate->server, errand->deferral, "too late", NULL);
    free(errand);
    return NULL;
}

static void start_resumer(struct gate *gate, hop_deferral deferral, bool passes)
{
    struct errand *errand = malloc(sizeof *errand);
    pthread_t *threads =
        realloc(gate->threads, (gate->n_threads + 1) * sizeof *gate->threads);

    if (threads)
        gate->threads = threads;
    if (!errand || !threads) {
        free(errand);
        return;
    }
    *errand = (struct errand){gate, deferral, passes};
    if (pthread_create(&gate->threads[gate->n_threads], NULL, resumer, errand) == 0)
        gate->n_threads++;
    else
        free(errand);
}

static hop_verdict second(hop_socket socket, hop_connect *connect, void *self)
{
    struct gate *gate = self;
    const json_t *auth = hop_connect_auth(connect);
    const char *wait = json_string_value(json_object_get(auth, "wait"));
    hop_deferral deferral;

    if (json_object_get(auth, "close")) {
        hop_socket_disconnect(gate->server, socket, HOP_CLOSE_TRANSPORT);
        return HOP_NEXT;
    }
    if (json_object_get(auth, "bad"))
        return HOP_STOP;
    if (json_object_get(auth, "hold")) {
        gate->held = hop_connect_defer(connect, 60000);
        return HOP_DEFER;
    }
    if (!wait)
        return HOP_NEXT;
    deferral = hop_connect_defer(connect, strcmp(wait, "never") == 0 ? 50 : 60000);
    if (strcmp(wait, "never") != 0)
        start_resumer(gate, deferral, strcmp(wait, "pass") == 0);
    return HOP_DEFER;
}

static hop_verdict at_pattern(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)self;
    if (strcmp(hop_connect_namespace(connect), "/n-shut") == 0)
        return hop_connect_reject(connect, "closed", NULL);
    return HOP_NEXT;
}

static bool is_invited(hop_connect *connect, void *self)
{
    const char *to =
        json_string_value(json_object_get(hop_connect_auth(connect), "invited"));

    (void)self;
    return to && strcmp(to, hop_connect_namespace(connect)) == 0;
}

/* ---- what is told */

static void on_namespace(const char *nsp, bool is_made, void *self)
{
    struct gate *gate = self;

    if (is_made)
        gate->n_made++;
    else
        gate->n_gone++;
    hop_log(HOP_INFO, "gate.namespace name=%s made=%d", nsp, is_made);
}

static void on_connect(hop_socket socket, void *self)
{
    struct gate *gate = self;

    (void)socket;
    gate->n_connected++;
}

static hop_verdict on_whoami(hop_socket socket, hop_event *event, void *self)
{
    struct gate *gate = self;
    const char *data = hop_socket_get(gate->server, socket, gate->slot);

    hop_event_ack(event,
                  json_pack("[{ss ss ss* sb sb}]", "nsp",
                            hop_socket_namespace(gate->server, socket), "id",
                            hop_socket_id(gate->server, socket), "data", data, "early",
                            hop_socket_in_room(gate->server, socket, "early"), "left",
                            hop_socket_in_room(gate->server, socket, "left")));
    return HOP_STOP;
}

static hop_verdict on_handshake(hop_socket socket, hop_event *event, void *self)
{
    struct gate *gate = self;

    hop_event_ack(event,
                  json_pack("[o o? o?]", hop_socket_handshake(gate->server, socket),
                            hop_socket_query(gate->server, socket, "q"),
                            hop_socket_auth(gate->server, socket)));
    return HOP_STOP;
}

static hop_verdict on_counts(hop_socket socket, hop_event *event, void *self)
{
    struct gate *gate = self;

    (void)socket;
    hop_event_ack(event, json_pack("[IIII]", gate->n_made, gate->n_gone, gate->n_freed,
                                   gate->n_connected));
    return HOP_STOP;
}

static hop_verdict on_release(hop_socket socket, hop_event *event, void *self)
{
    struct gate *gate = self;

    (void)socket;
    hop_event_ack(event, json_pack("[b]", gate->held != 0));
    if (!gate->held)
        return HOP_STOP;
    hop_emit(hop_to_room(gate->server, "early"), "shout", json_pack("[s]", "early"));
    hop_connect_resume(gate->server, gate->held, NULL, NULL);
    gate->held = 0;
    return HOP_STOP;
}

static int gate_init(hop_server *server, void *self)
{
    struct gate *gate = self;
    const hop_on_options all = {.size = sizeof all, .phase = HOP_HANDLE, .nsp = "*"};

    the_gate = gate;
    gate->server = server;
    gate->slot = hop_slot_new(server, free_value);
    hop_want_handshake(server);
    hop_namespace_pattern(server, pattern);
    hop_namespace_hook(server, "invited", is_invited, gate);
    hop_use(server, NULL, first, gate);
    hop_use(server, NULL, second, gate);
    hop_use(server, pattern, at_pattern, gate);
    hop_on_namespace(server, "*", on_namespace, gate);
    hop_on_connect_in(server, "*", on_connect, gate);
    hop_on_with(server, "whoami", on_whoami, gate, &all);
    hop_on_with(server, "handshake", on_handshake, gate, &all);
    hop_on_with(server, "counts", on_counts, gate, &all);
    hop_on(server, "release", on_release, gate);
    return 0;
}

/* The server goes when this returns, and this code with it. */
static void gate_free(void *self)
{
    struct gate *gate = self;

    for (size_t i = 0; i < gate->n_threads; i++)
        pthread_join(gate->threads[i], NULL);
    free(gate->threads);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("gate", "1.0", "looks at who comes in"),
    .state_size = sizeof(struct gate),
    .init = gate_init,
    .free = gate_free,
};
