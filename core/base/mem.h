/*
 * mem.h - allocation that succeeds or ends the process.
 *
 * What a client's size decides (an inbound message, a body) uses mem_try_alloc(), whose
 * failure costs that client its connection; everything else is small, and running on
 * without it would only move the crash. Thread: any.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* Zero bytes give a pointer that may be freed. Release all of them with free(). */
void *mem_alloc(size_t bytes);
void *mem_calloc(size_t n, size_t bytes);
void *mem_realloc(void *old, size_t bytes);
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t len); /* len bytes exactly; adds the NUL */

/* How the above end the process: for a library's function that has failed for want of memory. */
_Noreturn void mem_exhausted(size_t bytes);

/* May return NULL: for sizes that a client chooses. Release with free(). */
void *mem_try_alloc(size_t bytes);
void *mem_try_realloc(void *old, size_t bytes);

enum { MEM_LARGE = 16 << 10 /* whoever gets more than this looks whether it is NULL */ };

/* For code that asks for both kinds: small sizes end the process, large ones may fail. */
void *mem_alloc_mixed(size_t bytes);

/*
 * Whether one of the last three has returned NULL in this thread since mem_refusal_forget():
 * by that whoever ran a client's request knows that this client cannot be served.
 */
bool mem_was_refused(void);
void mem_refusal_forget(void);

#endif
