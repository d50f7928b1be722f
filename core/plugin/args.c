/*
 * args.c - argument lists as text: written front to back, the grammar watched.
 *
 * Binary data stands in the text as a placeholder, and beside it as a counted block: that
 * of a received event is shared, not copied. A placeholder is recognised by the place of
 * its number: what else looks like one, in a list that has attachments, would be taken for
 * one by whoever receives it, and is made plain when the list is finished.
 *
 * Called by: plugins, event.c, api.c. Thread: any; a list has one user (logic).
 */
#include "core/plugin/args.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/answer.h>
#include <sockhop/event.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/plugin/event.h"
#include "core/socketio/json.h"
#include "core/socketio/placeholder.h"

enum {
    ARGS_DEPTH = 64, /* of the builder's own containers, the list itself included */
    FIRST_TEXT = 448 /* bytes without an allocation of their own */
};

struct hop_args {
    char *text; /* owned, unless it is `first` */
    size_t len, cap;
    struct bytes **attachments; /* refs; owned array */
    size_t n_attachments, attachments_cap;
    size_t *places; /* owned: where the numbers of our placeholders stand, ascending */
    size_t n_places, places_cap;
    bool may_have_fakes; /* text that may hold what only looks like a placeholder */
    bool is_bad;
    bool has_key;       /* the innermost is an object that waits for the value */
    unsigned depth;     /* open levels; 0: the list is closed */
    uint64_t is_object; /* a bit for each level: it is one, not an array */
    uint64_t has_any;   /* the same: a comma comes first */
    char first[FIRST_TEXT];
};

/* ---- text */

/* NULL without memory, which makes the list a bad one: what it holds is of a client. */
static char *reserve(hop_args *args, size_t len)
{
    if (args->len + len > args->cap) {
        size_t cap = (args->len + len) * 2;
        bool is_first = args->text == args->first;
        char *text = mem_try_realloc(is_first ? NULL : args->text, cap);

        if (!text) {
            args->is_bad = true;
            return NULL;
        }
        if (is_first)
            memcpy(text, args->first, args->len);
        args->text = text;
        args->cap = cap;
    }
    return args->text + args->len;
}

static void append(hop_args *args, const char *text, size_t len)
{
    char *to = reserve(args, len);

    if (!to)
        return;
    memcpy(to, text, len);
    args->len += len;
}

static void append_quoted(hop_args *args, const char *text)
{
    size_t len = strlen(text);
    char *to = reserve(args, 6 * len + 3);

    if (to)
        args->len += json_quote(text, len, to);
}

/* ---- grammar */

static uint64_t top_bit(const hop_args *args)
{
    return (uint64_t)1 << (args->depth - 1);
}

static bool in_object(const hop_args *args)
{
    return args->is_object & top_bit(args);
}

/* A value may come now: writes the comma before it. */
static bool begin_value(hop_args *args)
{
    if (args->is_bad || args->depth == 0 || (in_object(args) && !args->has_key)) {
        args->is_bad = true;
        return false;
    }
    if (!in_object(args) && (args->has_any & top_bit(args)))
        append(args, ",", 1);
    args->has_any |= top_bit(args);
    args->has_key = false;
    return true;
}

static void begin(hop_args *args, bool is_object)
{
    if (args->depth == ARGS_DEPTH)
        args->is_bad = true;
    if (!begin_value(args))
        return;
    append(args, is_object ? "{" : "[", 1);
    args->depth++;
    args->has_any &= ~top_bit(args);
    args->is_object &= ~top_bit(args);
    if (is_object)
        args->is_object |= top_bit(args);
}

static void append_value(hop_args *args, const char *text, size_t len)
{
    if (begin_value(args))
        append(args, text, len);
}

/* ---- attachments */

/* Room for one more in an array that a client may grow. */
static void *grow(hop_args *args, void *array, size_t n, size_t *cap, size_t size)
{
    size_t new_cap = n ? n * 2 : 4;
    void *grown;

    if (n < *cap)
        return array;
    grown = mem_try_realloc(array, new_cap * size);
    if (grown)
        *cap = new_cap;
    else
        args->is_bad = true;
    return grown;
}

/* Its number. bytes: a reference is taken. */
static size_t attach(hop_args *args, struct bytes *bytes)
{
    struct bytes **grown;
    size_t n = 0;

    while (n < args->n_attachments && args->attachments[n] != bytes)
        n++;
    if (n < args->n_attachments)
        return n;
    grown = grow(args, args->attachments, n, &args->attachments_cap, sizeof *grown);
    if (!grown)
        return 0;
    args->attachments = grown; /* the old one has gone, whatever follows */
    if (n >= PACKET_MAX_ATTACHMENTS)
        args->is_bad = true;
    if (args->is_bad)
        return 0;
    args->attachments[args->n_attachments++] = bytes;
    bytes_ref(bytes, 1);
    return n;
}

/* The number of one of our placeholders. */
static void append_num(hop_args *args, size_t num)
{
    size_t *grown =
        grow(args, args->places, args->n_places, &args->places_cap, sizeof *grown);
    char digits[24];

    if (!grown)
        return;
    args->places = grown;
    args->places[args->n_places++] = args->len;
    append(args, digits, (size_t)snprintf(digits, sizeof digits, "%zu", num));
}

/* ---- passing on what a client sent */

/* A piece of text that is replaced. */
struct edit {
    size_t from, len;
    size_t num; /* of what came with it */
};

struct edits {
    struct edit *all; /* owned */
    size_t n, cap;
};

static void add_edit(hop_args *args, struct edits *edits, const struct edit *edit)
{
    struct edit *grown = grow(args, edits->all, edits->n, &edits->cap, sizeof *grown);

    if (!grown)
        return;
    edits->all = grown;
    edits->all[edits->n++] = *edit;
}

static int compare_edits(const void *left, const void *right)
{
    const struct edit *a = left, *b = right;

    return (a->from > b->from) - (a->from < b->from);
}

/* The numbers in text, in the order in which they stand. */
static void find_numbers(hop_args *args, const char *text, size_t len,
                         struct edits *edits)
{
    struct placeholders walk;
    struct placeholder one;

    placeholders_init(&walk, text, len);
    while (placeholders_next(&walk, &one) && !args->is_bad)
        add_edit(
            args, edits,
            &(struct edit){one.num_from, one.num_to - one.num_from, (size_t)one.num});
    if (edits->n > 1)
        qsort(edits->all, edits->n, sizeof *edits->all, compare_edits);
}

/* Text that came with attachments: its placeholders get our numbers. */
static void append_renumbered(hop_args *args, struct bytes *const *attachments,
                              const char *text, size_t len)
{
    struct edits edits = {NULL, 0, 0};
    size_t done = 0;

    find_numbers(args, text, len, &edits);
    for (size_t i = 0; i < edits.n && !args->is_bad; i++) {
        const struct edit *edit = &edits.all[i];

        append(args, text + done, edit->from - done);
        append_num(args, attach(args, attachments[edit->num]));
        done = edit->from + edit->len;
    }
    append(args, text + done, len - done);
    free(edits.all);
}

/* ---- what only looks like a placeholder */

static bool is_ours(const hop_args *args, size_t place)
{
    size_t from = 0, to = args->n_places;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (args->places[middle] == place)
            return true;
        if (args->places[middle] < place)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

/* "_placeholder":true becomes "_placeholder":1, which no parser takes for one. */
static void make_fakes_plain(hop_args *args)
{
    struct edits edits = {NULL, 0, 0};
    struct placeholders walk;
    struct placeholder one;
    size_t put;

    placeholders_init(&walk, args->text, args->len);
    while (placeholders_next(&walk, &one) && !args->is_bad)
        if (!is_ours(args, one.num_from))
            add_edit(args, &edits, &(struct edit){one.true_from, strlen("true"), 0});
    if (edits.n > 1)
        qsort(edits.all, edits.n, sizeof *edits.all, compare_edits);
    put = edits.n > 0 ? edits.all[0].from : args->len;
    for (size_t i = 0; i < edits.n; i++) {
        size_t to = i + 1 < edits.n ? edits.all[i + 1].from : args->len;
        size_t done = edits.all[i].from + edits.all[i].len;

        args->text[put++] = '1';
        memmove(args->text + put, args->text + done, to - done);
        put += to - done;
    }
    args->len = put;
    free(edits.all);
}

static bool is_text(const char *utf8)
{
    return utf8 && utf8_is_valid(utf8, strlen(utf8));
}

/* ---- the public functions */

hop_args *hop_args_new(void)
{
    hop_args *args = mem_alloc(sizeof *args);

    memset(args, 0, offsetof(hop_args, first));
    args->text = args->first;
    args->cap = sizeof args->first;
    append(args, "[", 1);
    args->depth = 1;
    return args;
}

void hop_args_free(hop_args *args)
{
    if (!args)
        return;
    for (size_t i = 0; i < args->n_attachments; i++)
        bytes_unref(args->attachments[i]);
    free(args->attachments);
    free(args->places);
    if (args->text != args->first)
        free(args->text);
    free(args);
}

void hop_args_begin_object(hop_args *args)
{
    begin(args, true);
}

void hop_args_begin_array(hop_args *args)
{
    begin(args, false);
}

void hop_args_key(hop_args *args, const char *key)
{
    if (args->is_bad || args->depth == 0 || !in_object(args) || args->has_key ||
        !is_text(key)) {
        args->is_bad = true;
        return;
    }
    if (args->has_any & top_bit(args))
        append(args, ",", 1);
    append_quoted(args, key);
    append(args, ":", 1);
    args->has_key = true;
    args->may_have_fakes |= strcmp(key, "_placeholder") == 0;
}

void hop_args_end(hop_args *args)
{
    if (args->is_bad || args->depth <= 1 || args->has_key) {
        args->is_bad = true; /* the list itself is closed by whoever sends it */
        return;
    }
    append(args, in_object(args) ? "}" : "]", 1);
    args->depth--;
}

void hop_args_string(hop_args *args, const char *utf8)
{
    if (!is_text(utf8))
        args->is_bad = true;
    if (begin_value(args))
        append_quoted(args, utf8);
}

void hop_args_json(hop_args *args, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (text)
        append_value(args, text, strlen(text));
    else
        args->is_bad = true;
    args->may_have_fakes = true;
    free(text);
    json_decref(value);
}

void hop_args_binary(hop_args *args, const void *data, size_t len)
{
    struct bytes *bytes = data || len == 0 ? bytes_try_new(len) : NULL;

    if (!bytes)
        args->is_bad = true;
    if (begin_value(args)) {
        static const char head[] = "{\"_placeholder\":true,\"num\":";

        if (len)
            memcpy(bytes->data, data, len);
        append(args, head, sizeof head - 1);
        append_num(args, attach(args, bytes));
        append(args, "}", 1);
    }
    bytes_unref(bytes);
}

void hop_args_raw(hop_args *args, const hop_event *event, size_t n)
{
    const struct sio_event *in = event->in;
    const struct sio_args from = {in->text, in->text_len, in->n_attachments,
                                  in->attachments};
    size_t len;
    const char *raw = hop_event_raw(event, n, &len);

    args_relay(args, &from, raw, len);
}

void hop_args_raw_from(hop_args *args, const hop_event *event, size_t n)
{
    if (args->depth == 0 || in_object(args))
        args->is_bad = true; /* however many arguments there are */
    for (; n < hop_event_n_args(event); n++)
        hop_args_raw(args, event, n);
}

void hop_args_answer_from(hop_args *args, hop_answer *answer, size_t n)
{
    if (args->depth == 0 || in_object(args))
        args->is_bad = true; /* however many arguments there are */
    for (; n < hop_answer_n_args(answer); n++)
        hop_args_answer(args, answer, n);
}

/* ---- the core's functions */

void args_relay(hop_args *args, const struct sio_args *from, const char *raw, size_t len)
{
    if (!raw) {
        append_value(args, "null", strlen("null"));
    } else if (from->n_attachments == 0) {
        append_value(args, raw, len);
        args->may_have_fakes = true;
    } else if (begin_value(args)) {
        append_renumbered(args, from->attachments, raw, len);
    }
}

const void *args_attachment(const struct sio_args *from, size_t n, size_t *len)
{
    *len = 0;
    if (n >= from->n_attachments)
        return NULL;
    *len = from->attachments[n]->len;
    return from->attachments[n]->data;
}

const void *args_binary(const struct sio_args *from, const char *raw, size_t raw_len,
                        size_t *len)
{
    struct placeholders walk;
    struct placeholder last = {.num = -1};

    *len = 0;
    if (!raw || from->n_attachments == 0)
        return NULL;
    placeholders_init(&walk, raw, raw_len);
    while (placeholders_next(&walk, &last))
        ;
    if (last.num < 0 || last.from != 0 || last.to != raw_len)
        return NULL;
    return args_attachment(from, (size_t)last.num, len);
}

int args_finish(hop_args *args, struct sio_args *out)
{
    if (!args || args->is_bad || args->depth > 1)
        return -1;
    if (args->depth == 1) {
        append(args, "]", 1);
        args->depth = 0;
        if (args->n_attachments > 0 && args->may_have_fakes)
            make_fakes_plain(args);
    }
    if (args->is_bad)
        return -1;
    *out = (struct sio_args){
        .text = args->text,
        .len = args->len,
        .n_attachments = args->n_attachments,
        .attachments = args->attachments,
    };
    return 0;
}

char *args_dump(json_t *array)
{
    if (!array && mem_was_refused())
        return NULL; /* it may well be json_pack() that failed, and not a list of nothing */
    return array ? json_dumps(array, JSON_COMPACT) : mem_strdup("[]");
}
