/*
 * replace.c - events that go on with other arguments than the client sent.
 *
 * A replacement is a whole event: the text that the hub would have given, its spans and its
 * attachments, so that whoever reads an event need not know of it. It waits beside the event
 * until its handler has returned the verdict, since that one may still read the old one.
 * Called by: handlers of plugins; dispatch.c (verdicts), defer.c (copies). Thread: logic.
 */
#include "core/plugin/replace.h"

#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/plugin/args.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"
#include "core/socketio/json.h"

struct replacement {
    struct sio_event event; /* its text, spans and attachments (refs) lie behind this; the
                               name is borrowed: as long as the event's own */
};

/* ---- making one */

/* How many arguments a finished list has; -1: deeper than json.h goes. */
static long count_args(const struct sio_args *list)
{
    const struct json_limits any = {SIZE_MAX, SIZE_MAX};
    size_t n = 0;

    if (json_scan_array(list->text, list->len, &any, NULL, 0, &n) != JSON_OK)
        return -1;
    return (long)n;
}

/* ["name",ARGS...] into out: returns its length. */
static size_t write_text(char *out, const struct sio_event *in,
                         const struct sio_args *list)
{
    size_t len = 0;

    out[len++] = '[';
    len += json_quote(in->name, in->name_len, out + len);
    if (list->len > strlen("[]"))
        out[len++] = ',';
    memcpy(out + len, list->text + 1, list->len - 1);
    len += list->len - 1;
    out[len] = '\0';
    return len;
}

/* Where the arguments stand in the event's text: `shift` further than in the list. */
static void find_args(struct json_span *spans, size_t n_args, const struct sio_args *list,
                      size_t shift)
{
    const struct json_limits any = {SIZE_MAX, SIZE_MAX};
    size_t n = 0;

    json_scan_array(list->text, list->len, &any, spans, n_args, &n);
    for (size_t i = 0; i < n_args; i++) {
        spans[i].from += (uint32_t)shift;
        spans[i].to += (uint32_t)shift;
    }
}

/* NULL without memory, which clients may use up, or where the list is too deep. */
static struct replacement *replacement_new(const struct sio_event *in,
                                           const struct sio_args *list)
{
    const long n_args = count_args(list);
    const size_t spans = (size_t)n_args * sizeof(struct json_span),
                 blocks = list->n_attachments * sizeof(struct bytes *),
                 text = 6 * in->name_len + list->len + 5;
    struct replacement *replacement;
    struct bytes **attachments;
    struct json_span *args;
    char *put;

    if (n_args < 0 || list->len > UINT32_MAX / 2)
        return NULL;
    replacement = mem_try_alloc(sizeof *replacement + blocks + spans + text);
    if (!replacement)
        return NULL;
    attachments = (struct bytes **)(replacement + 1);
    for (size_t i = 0; i < list->n_attachments; i++) {
        attachments[i] = list->attachments[i];
        bytes_ref(attachments[i], 1);
    }
    args = (struct json_span *)(void *)((char *)attachments + blocks);
    put = (char *)args + spans;
    replacement->event = *in;
    replacement->event.text = put;
    replacement->event.text_len = write_text(put, in, list);
    replacement->event.n_args = (size_t)n_args;
    replacement->event.args = args;
    replacement->event.attachments = attachments;
    replacement->event.n_attachments = list->n_attachments;
    find_args(args, (size_t)n_args, list, replacement->event.text_len - list->len);
    return replacement;
}

void replacement_free(struct replacement *replacement)
{
    if (!replacement)
        return;
    for (size_t i = 0; i < replacement->event.n_attachments; i++)
        bytes_unref(replacement->event.attachments[i]);
    free(replacement);
}

/* ---- */

void replace_forget(hop_event *event)
{
    replacement_free(event->next);
    event->next = NULL;
}

void replace_apply(hop_event *event)
{
    replacement_free(event->replaced);
    event->replaced = event->next;
    event->next = NULL;
    event->in = &event->replaced->event;
    json_decref(event->args); /* the tree is of the old arguments */
    event->args = NULL;
    event->was_parsed = false;
}

static void log_bad(const hop_event *event)
{
    const struct plugin *plugin = event->server->current;
    char name[LOG_NAME_SIZE];

    hop_log(
        HOP_WARN,
        "plugin.bad_replacement plugin=%s event=\"%s\" hint=\"a complete hop_args, no "
        "deeper than 1,024; the event is refused\"",
        plugin ? plugin->name : "-",
        log_escape(name, sizeof name, event->in->name, event->in->name_len));
}

hop_verdict hop_replace(hop_event *event, hop_args *args)
{
    struct sio_args list;

    if (!on_logic(__func__) || event->is_observed) {
        hop_args_free(args);
        return HOP_REJECTED; /* of an observer no verdict counts */
    }
    replace_forget(event);
    if (args_finish(args, &list) == 0)
        event->next = replacement_new(event->in, &list);
    hop_args_free(args);
    if (event->next)
        return HOP_REPLACE;
    log_bad(event);
    return hop_reject(event, "internal", "it could not be passed on");
}
