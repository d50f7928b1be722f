/*
 * args.c - argument lists as text: written front to back, the grammar watched.
 *
 * Called by: plugins, event.c, api.c. Thread: any; a list has one user (logic).
 */
#include "core/plugin/args.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/answer.h>
#include <sockhop/event.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/socketio/json.h"

enum { ARGS_DEPTH = 64 }; /* of the builder's own containers, the list itself included */

struct level {
    bool is_object;
    bool has_key; /* an object that waits for the value */
    bool has_any; /* a comma comes first */
};

struct hop_args {
    char *text; /* owned */
    size_t len, cap;
    struct level level[ARGS_DEPTH];
    unsigned depth; /* open levels; 0: the list is closed */
    bool is_bad;
};

/* ---- text */

/* NULL without memory, which makes the list a bad one: what it holds is of a client. */
static char *reserve(hop_args *args, size_t len)
{
    if (args->len + len > args->cap) {
        size_t cap = (args->len + len) * 2;
        char *text = mem_try_realloc(args->text, cap);

        if (!text) {
            args->is_bad = true;
            return NULL;
        }
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

static struct level *top(hop_args *args)
{
    return &args->level[args->depth - 1];
}

/* A value may come now: writes the comma before it. */
static bool begin_value(hop_args *args)
{
    struct level *level;

    if (args->is_bad || args->depth == 0 ||
        (top(args)->is_object && !top(args)->has_key)) {
        args->is_bad = true;
        return false;
    }
    level = top(args);
    if (!level->is_object && level->has_any)
        append(args, ",", 1);
    level->has_any = true;
    level->has_key = false;
    return true;
}

static void begin(hop_args *args, bool is_object)
{
    if (args->depth == ARGS_DEPTH)
        args->is_bad = true;
    if (!begin_value(args))
        return;
    append(args, is_object ? "{" : "[", 1);
    args->level[args->depth++] = (struct level){.is_object = is_object};
}

static void append_value(hop_args *args, const char *text, size_t len)
{
    if (begin_value(args))
        append(args, text, len);
}

static bool is_text(const char *utf8)
{
    return utf8 && utf8_is_valid(utf8, strlen(utf8));
}

/* ---- the public functions */

hop_args *hop_args_new(void)
{
    hop_args *args = mem_calloc(1, sizeof *args);

    append(args, "[", 1);
    args->depth = 1;
    return args;
}

void hop_args_free(hop_args *args)
{
    if (!args)
        return;
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
    if (args->is_bad || args->depth == 0 || !top(args)->is_object || top(args)->has_key ||
        !is_text(key)) {
        args->is_bad = true;
        return;
    }
    if (top(args)->has_any)
        append(args, ",", 1);
    append_quoted(args, key);
    append(args, ":", 1);
    top(args)->has_key = true;
}

void hop_args_end(hop_args *args)
{
    if (args->is_bad || args->depth <= 1 || top(args)->has_key) {
        args->is_bad = true; /* the list itself is closed by whoever sends it */
        return;
    }
    append(args, top(args)->is_object ? "}" : "]", 1);
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
    free(text);
    json_decref(value);
}

void hop_args_raw(hop_args *args, const hop_event *event, size_t n)
{
    size_t len;
    const char *raw = hop_event_raw(event, n, &len);

    append_value(args, raw ? raw : "null", raw ? len : strlen("null"));
}

void hop_args_raw_from(hop_args *args, const hop_event *event, size_t n)
{
    if (args->depth == 0 || top(args)->is_object)
        args->is_bad = true; /* however many arguments there are */
    for (; n < hop_event_n_args(event); n++)
        hop_args_raw(args, event, n);
}

void hop_args_answer(hop_args *args, hop_answer *answer, size_t n)
{
    size_t len;
    const char *raw = hop_answer_raw(answer, n, &len);

    append_value(args, raw ? raw : "null", raw ? len : strlen("null"));
}

void hop_args_answer_from(hop_args *args, hop_answer *answer, size_t n)
{
    if (args->depth == 0 || top(args)->is_object)
        args->is_bad = true; /* however many arguments there are */
    for (; n < hop_answer_n_args(answer); n++)
        hop_args_answer(args, answer, n);
}

/* ---- the core's functions */

const char *args_text(hop_args *args, size_t *len)
{
    if (!args || args->is_bad || args->depth > 1)
        return NULL;
    if (args->depth == 1) {
        append(args, "]", 1);
        args->depth = 0;
    }
    if (args->is_bad)
        return NULL;
    *len = args->len;
    return args->text;
}

char *args_dump(json_t *array)
{
    if (!array && mem_was_refused())
        return NULL; /* it may well be json_pack() that failed, and not a list of nothing */
    return array ? json_dumps(array, JSON_COMPACT) : mem_strdup("[]");
}
