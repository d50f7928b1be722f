/*
 * outgoing.c - those who are told of every event that plugins emit.
 *
 * Called by: api.c and answer.c (before an emit), plugins. Thread: logic.
 */
#include "core/plugin/outgoing.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

struct hop_outgoing {
    hop_target *target;     /* borrowed */
    const char *name, *raw; /* borrowed */
    size_t raw_len;
    json_t *args; /* ref: NULL before was_parsed, or when jansson cannot */
    bool was_parsed, has_ack;
};

void outgoing_done(struct outgoing_hooks *hooks)
{
    free(hooks->list);
}

void outgoing_remove(struct outgoing_hooks *hooks, const struct plugin *plugin)
{
    size_t n_kept = 0;

    for (size_t i = 0; i < hooks->n; i++)
        if (hooks->list[i].plugin != plugin)
            hooks->list[n_kept++] = hooks->list[i];
    hooks->n = n_kept;
}

static int compare(const void *left, const void *right)
{
    const struct outgoing_hook *a = left, *b = right;

    if (a->plugin->order != b->plugin->order)
        return a->plugin->order < b->plugin->order ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

void outgoing_sort(struct outgoing_hooks *hooks)
{
    if (hooks->n > 0)
        qsort(hooks->list, hooks->n, sizeof *hooks->list, compare);
}

int hop_on_any_outgoing(hop_server *server, hop_outgoing_hook *hook, void *self)
{
    struct outgoing_hooks *hooks = &server->outgoing;

    if (!in_init(server, __func__))
        return -1;
    if (!hook)
        return refuse(server, "hop_on_any_outgoing(): NULL is no hook");
    hooks->list = mem_realloc(hooks->list, (hooks->n + 1) * sizeof *hooks->list);
    hooks->list[hooks->n++] =
        (struct outgoing_hook){server->current, hook, self, hooks->n_added++};
    return 0;
}

void outgoing_tell(hop_server *server, hop_target *target, const char *event,
                   const struct sio_args *args, bool has_ack)
{
    struct outgoing_hooks *hooks = &server->outgoing;
    hop_outgoing outgoing = {.target = target,
                             .name = event,
                             .raw = args->text,
                             .raw_len = args->len,
                             .has_ack = has_ack};

    if (hooks->n == 0 || hooks->is_telling)
        return;
    hooks->is_telling = true;
    for (size_t i = 0; i < hooks->n; i++) {
        struct call call;

        if (!hooks->list[i].plugin->is_live)
            continue;
        call_begin_as(server, hooks->list[i].plugin, "hook", "outgoing", &call);
        hooks->list[i].call(&outgoing, hooks->list[i].self);
        call_end(server, &call, "hook", "outgoing");
    }
    hooks->is_telling = false;
    json_decref(outgoing.args);
}

/* ---- what a hook asks */

const char *hop_outgoing_name(const hop_outgoing *outgoing)
{
    return outgoing->name;
}

const char *hop_outgoing_raw(const hop_outgoing *outgoing, size_t *len)
{
    *len = outgoing->raw_len;
    return outgoing->raw;
}

json_t *hop_outgoing_args(hop_outgoing *outgoing)
{
    if (!outgoing->was_parsed)
        outgoing->args = json_loadb(outgoing->raw, outgoing->raw_len, 0, NULL);
    outgoing->was_parsed = true;
    return outgoing->args;
}

hop_target *hop_outgoing_target(const hop_outgoing *outgoing)
{
    return outgoing->target;
}

bool hop_outgoing_has_ack(const hop_outgoing *outgoing)
{
    return outgoing->has_ack;
}
