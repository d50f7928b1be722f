/*
 * answer.c - asking clients: emits whose acks are awaited, and what a handler sees of each
 * answer.
 *
 * Called by: plugins; the hub, when an answer has come or will not. Thread: logic.
 */
#include <sockhop/answer.h>

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/plugin/args.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"

struct hop_answer {
    const struct sio_answer *in; /* borrowed */
    json_t *args;                /* ref: NULL before was_parsed, or when jansson cannot */
    struct json_span *spans;     /* owned: NULL before was_scanned, or of none */
    size_t n_args;
    bool was_parsed, was_scanned;
};

struct hop_answers {
    hop_answer *one; /* owned */
    size_t n;
};

/* Whose code an answer runs, or the answers of many. */
struct awaited {
    hop_server *server;    /* borrowed */
    struct plugin *plugin; /* borrowed */
    hop_ack_handler *on_ack;
    hop_answer_handler *on_answer;
    hop_answers_handler *on_answers;
    void *self; /* borrowed: the plugin's own */
    uint64_t serial;
    struct awaited *next, *previous; /* in server->awaited */
};

static void answer_done(hop_answer *answer)
{
    json_decref(answer->args);
    free(answer->spans);
}

/* ---- what a handler asks of an answer */

hop_socket hop_answer_socket(const hop_answer *answer)
{
    return answer->in->socket;
}

const char *hop_answer_id(const hop_answer *answer)
{
    return answer->in->id;
}

hop_ack_status hop_answer_status(const hop_answer *answer)
{
    return answer->in->status;
}

json_t *hop_answer_args(hop_answer *answer)
{
    if (!on_logic(__func__))
        return NULL;
    if (!answer->was_parsed && answer->in->text)
        answer->args = json_loadb(answer->in->text, answer->in->text_len, 0, NULL);
    answer->was_parsed = true;
    return answer->args;
}

/* The shard has checked the text: here its elements are found, once one is asked for. */
static void scan(hop_answer *answer)
{
    static const struct json_limits any = {SIZE_MAX, SIZE_MAX};
    const struct sio_answer *in = answer->in;
    size_t n;

    if (answer->was_scanned)
        return;
    answer->was_scanned = true;
    if (!in->text ||
        json_scan_array(in->text, in->text_len, &any, NULL, 0, &n) != JSON_OK || n == 0)
        return;
    answer->spans = mem_try_alloc(n * sizeof *answer->spans);
    if (!answer->spans)
        return;
    json_scan_array(in->text, in->text_len, &any, answer->spans, n, &answer->n_args);
}

size_t hop_answer_n_args(hop_answer *answer)
{
    scan(answer);
    return answer->n_args;
}

const char *hop_answer_raw(hop_answer *answer, size_t n, size_t *len)
{
    *len = 0;
    scan(answer);
    if (n >= answer->n_args)
        return NULL;
    *len = answer->spans[n].to - answer->spans[n].from;
    return answer->in->text + answer->spans[n].from;
}

/* The answer's text and attachments, as args.c sees them. */
static struct sio_args whole(const hop_answer *answer)
{
    const struct sio_answer *in = answer->in;

    return (struct sio_args){in->text, in->text_len, in->n_attachments, in->attachments};
}

size_t hop_answer_n_attachments(const hop_answer *answer)
{
    return answer->in->n_attachments;
}

const void *hop_answer_attachment(const hop_answer *answer, size_t n, size_t *len)
{
    const struct sio_args from = whole(answer);

    return args_attachment(&from, n, len);
}

const void *hop_answer_binary(hop_answer *answer, size_t n, size_t *len)
{
    const struct sio_args from = whole(answer);
    const char *raw = hop_answer_raw(answer, n, len);

    return args_binary(&from, raw, *len, len);
}

void hop_args_answer(hop_args *args, hop_answer *answer, size_t n)
{
    const struct sio_args from = whole(answer);
    size_t len;
    const char *raw = hop_answer_raw(answer, n, &len);

    args_relay(args, &from, raw, len);
}

size_t hop_answers_n(const hop_answers *answers)
{
    return answers->n;
}

size_t hop_answers_n_missing(const hop_answers *answers)
{
    size_t n = 0;

    for (size_t i = 0; i < answers->n; i++)
        n += answers->one[i].in->status != HOP_ACK_OK;
    return n;
}

hop_answer *hop_answers_at(hop_answers *answers, size_t n)
{
    return n < answers->n ? &answers->one[n] : NULL;
}

/* ---- those that are awaited */

/* One of them is given. */
static uintptr_t code_of(const struct awaited *awaited)
{
    if (awaited->on_ack)
        return (uintptr_t)awaited->on_ack;
    return awaited->on_answer ? (uintptr_t)awaited->on_answer
                              : (uintptr_t)awaited->on_answers;
}

static struct awaited *keep(const struct awaited *awaited)
{
    hop_server *server = awaited->server;
    struct awaited *kept = mem_alloc(sizeof *kept);

    *kept = *awaited;
    kept->plugin = server->current;
    owner_find(server, code_of(awaited), &kept->plugin);
    kept->serial = server->n_awaited++;
    kept->previous = NULL;
    kept->next = server->awaited;
    if (kept->next)
        kept->next->previous = kept;
    server->awaited = kept;
    return kept;
}

static void forget(struct awaited *awaited)
{
    *(awaited->previous ? &awaited->previous->next : &awaited->server->awaited) =
        awaited->next;
    if (awaited->next)
        awaited->next->previous = awaited->previous;
    free(awaited);
}

/* ---- called by the hub, once each */

/* Whether the plugin is still there. */
static bool has_handler(const struct awaited *awaited)
{
    return awaited->on_ack || awaited->on_answer || awaited->on_answers;
}

static void take_answer(const struct sio_answer *in, void *self)
{
    struct awaited *awaited = self;
    hop_answer answer = {.in = in};
    struct call call;

    if (!has_handler(awaited)) {
        forget(awaited);
        return;
    }
    call_begin_as(awaited->server, awaited->plugin, "hook", "ack", &call);
    if (awaited->on_ack)
        awaited->on_ack(in->socket, in->status, hop_answer_args(&answer), awaited->self);
    else
        awaited->on_answer(&answer, awaited->self);
    call_end(awaited->server, &call, "hook", "ack");
    answer_done(&answer);
    forget(awaited);
}

static void take_answers(const struct sio_answer *in, size_t n, void *self)
{
    struct awaited *awaited = self;
    hop_answers answers = {0};
    struct call call;

    if (!has_handler(awaited)) {
        forget(awaited);
        return;
    }
    answers = (hop_answers){mem_calloc(n + 1, sizeof *answers.one), n};
    for (size_t i = 0; i < n; i++)
        answers.one[i].in = &in[i];
    call_begin_as(awaited->server, awaited->plugin, "hook", "acks", &call);
    awaited->on_answers(&answers, awaited->self);
    call_end(awaited->server, &call, "hook", "acks");
    for (size_t i = 0; i < n; i++)
        answer_done(&answers.one[i]);
    free(answers.one);
    forget(awaited);
}

/* A handler may ask anew, or end sockets, and with them others of these: from the start. */
static struct awaited *first_of(const hop_server *server, const struct plugin *plugin,
                                uint64_t before)
{
    struct awaited *at = server->awaited;

    while (at && (at->plugin != plugin || at->serial >= before || !has_handler(at)))
        at = at->next;
    return at;
}

static void drop(struct awaited *awaited)
{
    awaited->plugin = NULL;
    awaited->on_ack = NULL;
    awaited->on_answer = NULL;
    awaited->on_answers = NULL;
}

/* Their handlers are called now: as if the answers had been dropped. */
void answers_clear(hop_server *server, const struct plugin *plugin)
{
    static const struct sio_answer none = {.id = "", .status = HOP_ACK_DROPPED};
    const uint64_t before = server->n_awaited;
    struct awaited *at;

    while ((at = first_of(server, plugin, before))) {
        const struct awaited awaited = *at;
        hop_answer answer = {.in = &none};
        hop_answers answers = {NULL, 0};
        struct call call;

        drop(at);
        call_begin_as(server, awaited.plugin, "hook", "ack", &call);
        if (awaited.on_ack)
            awaited.on_ack(HOP_NO_SOCKET, HOP_ACK_DROPPED, NULL, awaited.self);
        else if (awaited.on_answer)
            awaited.on_answer(&answer, awaited.self);
        else
            awaited.on_answers(&answers, awaited.self);
        call_end(server, &call, "hook", "ack");
        answer_done(&answer);
    }
}

void answers_forget(hop_server *server, const struct plugin *plugin)
{
    struct awaited *at;

    while ((at = first_of(server, plugin, UINT64_MAX)))
        drop(at);
}

/* ---- emits */

/* Whether the rest of an emit is worth a look: the hub looks at the text. */
static bool is_asked(const char *event, int timeout_ms, bool is_handled)
{
    return is_handled && is_emittable(event) && timeout_ms >= 1 &&
           timeout_ms <= MAX_TIMEOUT_MS;
}

static int ask_socket(hop_socket socket, const char *event, const struct sio_args *args,
                      int timeout_ms, const struct awaited *awaited)
{
    hop_server *server = awaited->server;
    struct awaited *kept = keep(awaited);

    if (server->outgoing.n > 0)
        outgoing_tell(server, hub_target_socket(server->hub, socket), event, args, true);
    if (hub_emit_with_ack(server->hub, socket, event, args, timeout_ms, take_answer,
                          kept) == 0)
        return 0;
    forget(kept);
    return -1;
}

static int ask_target(hop_target *target, const char *event, const struct sio_args *args,
                      int timeout_ms, hop_answers_handler *on_answers, void *self)
{
    hop_server *server = hub_target_owner(target);
    struct awaited *kept =
        keep(&(struct awaited){.server = server, .on_answers = on_answers, .self = self});

    outgoing_tell(server, target, event, args, true);
    if (hub_emit_with_acks(target, event, args, timeout_ms, take_answers, kept) == 0)
        return 0;
    forget(kept);
    return -1;
}

int hop_emit_with_ack(hop_server *server, hop_socket socket, const char *event,
                      json_t *args, int timeout_ms, hop_ack_handler *handler, void *self)
{
    const struct awaited awaited = {.server = server, .on_ack = handler, .self = self};
    char *text = NULL;
    int result = -1;

    if (on_logic(__func__) && is_asked(event, timeout_ms, handler != NULL) &&
        (!args || json_is_array(args)))
        text = args_dump(args);
    if (text)
        result = ask_socket(socket, event,
                            &(struct sio_args){.text = text, .len = strlen(text)},
                            timeout_ms, &awaited);
    free(text);
    json_decref(args);
    return result;
}

int hop_emit_args_with_ack(hop_server *server, hop_socket socket, const char *event,
                           hop_args *args, int timeout_ms, hop_answer_handler *on_answer,
                           void *self)
{
    const struct awaited awaited = {
        .server = server, .on_answer = on_answer, .self = self};
    struct sio_args list;
    int result = -1;

    if (on_logic(__func__) && is_asked(event, timeout_ms, on_answer != NULL) &&
        args_finish(args, &list) == 0)
        result = ask_socket(socket, event, &list, timeout_ms, &awaited);
    hop_args_free(args);
    return result;
}

int hop_emit_with_acks(hop_target *target, const char *event, json_t *args,
                       int timeout_ms, hop_answers_handler *on_answers, void *self)
{
    char *text = NULL;
    int result = -1;

    if (on_logic(__func__) && target && is_asked(event, timeout_ms, on_answers != NULL) &&
        (!args || json_is_array(args)))
        text = args_dump(args);
    if (text)
        result = ask_target(target, event,
                            &(struct sio_args){.text = text, .len = strlen(text)},
                            timeout_ms, on_answers, self);
    free(text);
    json_decref(args);
    return result;
}

int hop_emit_args_with_acks(hop_target *target, const char *event, hop_args *args,
                            int timeout_ms, hop_answers_handler *on_answers, void *self)
{
    struct sio_args list;
    int result = -1;

    if (on_logic(__func__) && target && is_asked(event, timeout_ms, on_answers != NULL) &&
        args_finish(args, &list) == 0)
        result = ask_target(target, event, &list, timeout_ms, on_answers, self);
    hop_args_free(args);
    return result;
}
