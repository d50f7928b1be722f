/*
 * cookie.h - the cookie of a polling handshake. Thread: any; no state.
 */
#ifndef ENGINE_COOKIE_H
#define ENGINE_COOKIE_H

#include <stddef.h>

struct settings;

enum { COOKIE_BYTES = 1024 }; /* the longest that the bounds of its keys allow */

/* Its line, "Set-Cookie: ..." and CRLF; "" where engine.cookie is off. */
void cookie_print(const struct settings *settings, const char *sid, char *out,
                  size_t size);

#endif
