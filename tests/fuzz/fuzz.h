/*
 * fuzz.h - what every fuzz target shares: its one function, and how it complains.
 *
 * A target is a file fuzz_NAME.c with fuzz_name and fuzz_one(). It is linked with fuzz.c
 * and either libFuzzer (configure --enable-fuzz) or replay.c, which runs the inputs of
 * corpus/NAME*.txt. docs/fuzzing.md tells how to run them. Thread: main.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a target defines */

extern const char *const fuzz_name;
/* Run one input: no state stays from one to the next. Borrowed: input. */
void fuzz_one(const char *input, size_t len);

/* ---- fuzz.c has */

/* The property, in words, is part of the message; ends the process. */
#define FUZZ_CHECK(claim, property)                                                      \
    ((claim) ? (void)0 : fuzz_fail((property), #claim, __FILE__, __LINE__))
_Noreturn void fuzz_fail(const char *property, const char *claim, const char *file,
                         int line);

/* A copy of exactly that size, so that a sanitizer sees a read behind it: free(). */
char *fuzz_copy(const void *data, size_t len);

/* Text that grows. Start with {0}; free(text). */
struct fuzz_text {
    char *text;
    size_t len, cap;
};
void fuzz_put(struct fuzz_text *text, const void *data, size_t len);
void fuzz_print(struct fuzz_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool fuzz_same(const struct fuzz_text *a, const struct fuzz_text *b);

/* Sizes of pieces from a seed: how a stream is cut, the same each time. */
struct fuzz_cuts {
    uint32_t state;
    size_t fixed; /* every piece has this size; 0: by the seed */
};
size_t fuzz_piece(struct fuzz_cuts *cuts, size_t left);

#endif
