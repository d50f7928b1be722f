/*
 * placeholder.h - finds the objects of a JSON text that stand for attachments, as
 * socket.io-parser does: {"_placeholder":true,"num":0}, whatever else is in them; of a
 * name that comes twice the last counts.
 *
 * For text that json.h has scanned, or that we have written. Recursion-free, builds
 * nothing. Thread: any.
 */
#ifndef SOCKETIO_PLACEHOLDER_H
#define SOCKETIO_PLACEHOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct placeholder {
    size_t from, to;         /* of the object */
    size_t true_from;        /* of the value that makes it one */
    size_t num_from, num_to; /* of its num; both 0 when it has none */
    int64_t num;             /* -1: no integer from 0 on */
};

enum {
    PLACEHOLDER_DEPTH = 1100
}; /* deeper, none is found: json.h's 1,024 and a builder's */

/* A walk over them, in the order in which they end. */
struct placeholders {
    const char *text; /* borrowed */
    size_t at, len;
    size_t depth;
    struct placeholder_level {
        size_t from, true_from, num_from, num_to;
        int64_t num;
        bool is_placeholder;
    } level[PLACEHOLDER_DEPTH];
};

void placeholders_init(struct placeholders *walk, const char *text, size_t len);
bool placeholders_next(struct placeholders *walk, struct placeholder *placeholder);

/* Whether each has a num, an integer below n. */
bool placeholders_are_below(const char *text, size_t len, size_t n);

#endif
