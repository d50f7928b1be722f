/*
 * jsonp.h - polling for browsers without XMLHttpRequest across origins: a response is a
 * script that calls back with the payload as a string, a POST is a form.
 *
 * A codec: knows neither sessions nor sockets. Thread: any.
 * Source: Engine.IO protocol v3, "JSONP"; docs/PROTOCOL.md 1.2.
 */
#ifndef ENGINE_JSONP_H
#define ENGINE_JSONP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of the page's callbacks is called: the digits of the parameter "j". */
struct jsonp_index {
    uint32_t is_given : 1; /* false: no JSONP */
    uint32_t n_digits : 4; /* with leading zeros: at most JSONP_DIGITS_MAX */
    uint32_t number : 27;
};

enum { JSONP_DIGITS_MAX = 8 };

/* From the parameter's text, where only digits count. False when there are too many. */
bool jsonp_index_read(const char *text, size_t len, struct jsonp_index *index);

/*
 * The script ___eio[INDEX]("PAYLOAD"); with a payload of valid UTF-8. Returns its size;
 * writes it to out, unless that is NULL.
 */
size_t jsonp_write(struct jsonp_index index, const char *payload, size_t len, char *out);

/*
 * The payload of a form's field "d", into out, which holds len bytes. Returns its length;
 * -1 when the form has no such field, or two, or is malformed.
 */
long jsonp_read(const char *form, size_t len, char *out);

#endif
