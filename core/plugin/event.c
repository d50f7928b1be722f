/*
 * event.c - what handlers ask of an event: its arguments as text or as trees, its ack.
 *
 * Called by: handlers of plugins, dispatch.c. Thread: logic.
 */
#include "core/plugin/event.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/emit.h>
#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/args.h"
#include "core/plugin/replace.h"
#include "core/plugin/state.h"

void event_forget_rejection(hop_event *event)
{
    free(event->code);
    free(event->message);
    event->code = event->message = NULL;
}

void event_done(hop_event *event)
{
    json_decref(event->args);
    event_forget_rejection(event);
    replacement_free(event->next);
    replacement_free(event->replaced);
}

/* ---- arguments */

const char *hop_event_name(const hop_event *event)
{
    return event->in->name;
}

size_t hop_event_n_args(const hop_event *event)
{
    return event->in->n_args;
}

const char *hop_event_raw(const hop_event *event, size_t n, size_t *len)
{
    const struct sio_event *in = event->in;

    *len = 0;
    if (n >= in->n_args)
        return NULL;
    *len = in->args[n].to - in->args[n].from;
    return in->text + in->args[n].from;
}

size_t hop_event_n_attachments(const hop_event *event)
{
    return event->in->n_attachments;
}

static struct sio_args whole(const hop_event *event)
{
    const struct sio_event *in = event->in;

    return (struct sio_args){in->text, in->text_len, in->n_attachments, in->attachments};
}

const void *hop_event_attachment(const hop_event *event, size_t n, size_t *len)
{
    const struct sio_args from = whole(event);

    return args_attachment(&from, n, len);
}

const void *hop_event_binary(const hop_event *event, size_t n, size_t *len)
{
    const struct sio_args from = whole(event);
    const char *raw = hop_event_raw(event, n, len);

    return args_binary(&from, raw, *len, len);
}

/* The scanner has bounded depth and number of values already. */
json_t *hop_event_args(hop_event *event)
{
    json_t *packet;

    if (!on_logic(__func__))
        return NULL;
    if (event->was_parsed)
        return event->args;
    event->was_parsed = true;
    packet = json_loadb(event->in->text, event->in->text_len, 0, NULL);
    if (!json_is_array(packet) || json_array_remove(packet, 0) < 0) { /* the name */
        json_decref(packet);
        return NULL;
    }
    event->args = packet;
    return event->args;
}

int hop_event_unpack(hop_event *event, const char *format, ...)
{
    json_t *args = hop_event_args(event);
    va_list values;
    int result;

    if (!args)
        return -1;
    va_start(values, format);
    result = json_vunpack_ex(args, NULL, 0, format, values);
    va_end(values);
    return result;
}

/* ---- answers */

bool hop_event_has_ack(const hop_event *event)
{
    return event->in->has_ack && !event->was_acked;
}

static int send_ack(hop_event *event, const struct sio_args *args)
{
    if (!hop_event_has_ack(event))
        return -1;
    event->was_acked = true;
    return hub_ack(event->server->hub, event->in->socket, event->in->ack_id, args);
}

int hop_event_ack(hop_event *event, json_t *args)
{
    char *text = NULL;
    int result = -1;

    if (on_logic(__func__) && (!args || json_is_array(args)))
        text = args_dump(args);
    if (text)
        result = send_ack(event, &(struct sio_args){.text = text, .len = strlen(text)});
    free(text);
    json_decref(args);
    return result;
}

int hop_event_ack_args(hop_event *event, hop_args *args)
{
    struct sio_args list;
    int result = -1;

    if (on_logic(__func__) && args_finish(args, &list) == 0)
        result = send_ack(event, &list);
    hop_args_free(args);
    return result;
}

struct hop_late_ack {
    struct hub *hub; /* borrowed */
    hop_socket socket;
    uint64_t id;
};

hop_late_ack *hop_event_take_ack(hop_event *event)
{
    hop_late_ack *ack;

    if (!on_logic(__func__) || !hop_event_has_ack(event))
        return NULL;
    event->was_acked = true;
    ack = mem_alloc(sizeof *ack);
    *ack = (hop_late_ack){event->server->hub, event->in->socket, event->in->ack_id};
    return ack;
}

int hop_late_ack_send(hop_late_ack *ack, json_t *args)
{
    char *text = NULL;
    int result = -1;

    if (on_logic(__func__) && ack && (!args || json_is_array(args)))
        text = args_dump(args);
    if (text)
        result = hub_ack(ack->hub, ack->socket, ack->id,
                         &(struct sio_args){.text = text, .len = strlen(text)});
    free(text);
    json_decref(args);
    hop_late_ack_free(ack);
    return result;
}

int hop_late_ack_send_args(hop_late_ack *ack, hop_args *args)
{
    struct sio_args list;
    int result = -1;

    if (on_logic(__func__) && ack && args_finish(args, &list) == 0)
        result = hub_ack(ack->hub, ack->socket, ack->id, &list);
    hop_args_free(args);
    hop_late_ack_free(ack);
    return result;
}

void hop_late_ack_free(hop_late_ack *ack)
{
    free(ack);
}

/* A word that may stand in an answer, whatever the plugin gave. */
static char *copy_word(const char *text, const char *otherwise)
{
    return mem_strdup(text && utf8_is_valid(text, strlen(text)) ? text : otherwise);
}

hop_verdict hop_reject(hop_event *event, const char *code, const char *message)
{
    if (!on_logic(__func__))
        return HOP_REJECTED;
    event_forget_rejection(event);
    event->code = copy_word(code, "rejected");
    event->message = copy_word(message, "refused");
    return HOP_REJECTED;
}

static void add_field(hop_args *args, const char *key, const char *value)
{
    hop_args_key(args, key);
    hop_args_string(args, value);
}

/* Sent when the handler has returned the verdict; an ack that was answered stays so. */
void event_answer_rejection(hop_event *event)
{
    const struct sio_event *in = event->in;
    const char *code = event->code ? event->code : "rejected";
    const char *message = event->message ? event->message : "refused";
    hop_args *args;

    if (event->was_acked)
        return;
    args = hop_args_new();
    hop_args_begin_object(args);
    if (in->has_ack) {
        hop_args_key(args, "ok");
        hop_args_json(args, json_false());
        hop_args_key(args, "error");
        hop_args_begin_object(args);
    } else {
        add_field(args, "event", in->name);
    }
    add_field(args, "code", code);
    add_field(args, "message", message);
    hop_args_end(args);
    if (in->has_ack) {
        hop_args_end(args);
        hop_event_ack_args(event, args);
        return;
    }
    hop_emit_args(hop_to_socket(event->server, in->socket), "error", args);
}
