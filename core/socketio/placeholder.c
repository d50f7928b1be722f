/*
 * placeholder.c - finds the objects of a JSON text that stand for attachments: see
 * placeholder.h.
 *
 * Called by: core/socketio/link.c (are they sound? shard), core/plugin/args.c (renumbering)
 * and event.c (logic). Thread: any (no state).
 * Source: socket.io-parser, lib/binary.ts.
 */
#include "core/socketio/placeholder.h"

#include <stdlib.h>
#include <string.h>

#include "core/socketio/json.h"

void placeholders_init(struct placeholders *walk, const char *text, size_t len)
{
    walk->text = text;
    walk->at = 0;
    walk->len = len;
    walk->depth = 0;
}

static char char_at(const struct placeholders *walk)
{
    return walk->at < walk->len ? walk->text[walk->at] : '\0';
}

static void skip_blanks(struct placeholders *walk)
{
    while (char_at(walk) == ' ' || char_at(walk) == '\t' || char_at(walk) == '\n' ||
           char_at(walk) == '\r')
        walk->at++;
}

/* at stands on the opening quote. */
static void skip_string(struct placeholders *walk)
{
    walk->at++;
    while (walk->at < walk->len && walk->text[walk->at] != '"')
        walk->at += walk->text[walk->at] == '\\' ? 2 : 1;
    walk->at++;
}

/* NULL while it is too deep to be looked at. */
static struct placeholder_level *innermost(struct placeholders *walk)
{
    return walk->depth > 0 && walk->depth <= PLACEHOLDER_DEPTH
               ? &walk->level[walk->depth - 1]
               : NULL;
}

static bool is_word(const struct placeholders *walk, const char *word)
{
    size_t len = strlen(word);

    return walk->len - walk->at >= len && memcmp(walk->text + walk->at, word, len) == 0;
}

/* Of a string with its quotes, escaped or not. */
static bool is_name(const char *text, size_t len, const char *name)
{
    size_t name_len = strlen(name);
    char plain[6 * sizeof "_placeholder"];

    if (len == name_len + 2)
        return memcmp(text + 1, name, name_len) == 0;
    if (len > 6 * name_len + 2 || !memchr(text, '\\', len))
        return false;
    return json_unescape(text, (struct json_span){.from = 0, .to = (uint32_t)len},
                         plain) == (long)name_len &&
           memcmp(plain, name, name_len) == 0;
}

/* The number at hand: 1, 1.0 and 10e-1 are the same to JavaScript. -1: it is none of use. */
static int64_t integer_at(const struct placeholders *walk, size_t *to)
{
    size_t len = 0;
    char digits[32], *end;
    double value;

    while (walk->at + len < walk->len &&
           strchr("+-.0123456789eE", walk->text[walk->at + len]) &&
           walk->text[walk->at + len])
        len++;
    *to = walk->at + len;
    if (len == 0 || len >= sizeof digits)
        return -1;
    memcpy(digits, walk->text + walk->at, len);
    digits[len] = '\0';
    value = strtod(digits, &end);
    if (*end || !(value >= 0 && value <= INT32_MAX) || value != (double)(int64_t)value)
        return -1;
    return (int64_t)value;
}

/* at stands on the value of a member. name: with its quotes. */
static void take_member(struct placeholders *walk, const char *name, size_t len)
{
    struct placeholder_level *level = innermost(walk);

    if (!level)
        return;
    if (is_name(name, len, "_placeholder")) {
        level->is_placeholder = is_word(walk, "true");
        level->true_from = walk->at;
    } else if (is_name(name, len, "num")) {
        level->num_from = walk->at;
        level->num = integer_at(walk, &level->num_to);
    }
}

/* A string, which is a member's name if a colon follows. */
static void take_string(struct placeholders *walk)
{
    const char *name = walk->text + walk->at;
    size_t len;

    skip_string(walk);
    len = (size_t)(walk->text + walk->at - name);
    skip_blanks(walk);
    if (char_at(walk) != ':')
        return;
    walk->at++;
    skip_blanks(walk);
    take_member(walk, name, len);
}

static void step_in(struct placeholders *walk)
{
    struct placeholder_level *level;

    walk->depth++;
    level = innermost(walk);
    if (level)
        *level = (struct placeholder_level){.from = walk->at, .num = -1};
    walk->at++;
}

/* Behind the bracket that closes here. Whether that was a placeholder's. */
static bool step_out(struct placeholders *walk, struct placeholder *placeholder)
{
    const struct placeholder_level *level = innermost(walk);

    walk->at++;
    walk->depth--;
    if (!level || !level->is_placeholder)
        return false;
    *placeholder = (struct placeholder){
        .from = level->from,
        .to = walk->at,
        .true_from = level->true_from,
        .num_from = level->num_from,
        .num_to = level->num_to,
        .num = level->num,
    };
    return true;
}

bool placeholders_next(struct placeholders *walk, struct placeholder *placeholder)
{
    while (walk->at < walk->len) {
        switch (char_at(walk)) {
        case '{':
        case '[':
            step_in(walk);
            break;
        case '}':
        case ']':
            if (step_out(walk, placeholder))
                return true;
            break;
        case '"':
            take_string(walk);
            break;
        default:
            walk->at++;
        }
    }
    return false;
}

bool placeholders_are_below(const char *text, size_t len, size_t n)
{
    struct placeholders walk;
    struct placeholder placeholder;

    placeholders_init(&walk, text, len);
    while (placeholders_next(&walk, &placeholder))
        if (placeholder.num < 0 || (size_t)placeholder.num >= n)
            return false;
    return true;
}
