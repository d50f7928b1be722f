/*
 * types.h - the handles and small types that every other header speaks of.
 */
#ifndef SOCKHOP_TYPES_H
#define SOCKHOP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what crosses the border between sockhop and a plugin; all else is hidden. */
#define HOP_API __attribute__((visibility("default")))

/* gcc and clang check the arguments of printf-like functions. */
#define HOP_PRINTF(text, values) __attribute__((format(printf, text, values)))

/* The running server. Opaque; borrowed by plugins, outlives every one of them. */
typedef struct hop_server hop_server;

/*
 * One client in one namespace, by value: slot and generation. It may be stored for as
 * long as one likes: a function that gets the handle of a socket that has gone does
 * nothing and says so. HOP_NO_SOCKET is never a socket.
 */
typedef uint64_t hop_socket;
#define HOP_NO_SOCKET ((hop_socket)0)

/* A reason that a person will read; see hop_error_set(). */
typedef struct hop_error {
    char text[512]; /* UTF-8, NUL-terminated, cut to fit */
} hop_error;

/*
 * Write the reason of a failure, printf-like. error may be NULL. Thread: any.
 */
HOP_API void hop_error_set(hop_error *error, const char *format, ...) HOP_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif

#endif
