/*
 * fuzz.c - what every fuzz target shares: see fuzz.h.
 *
 * Called by: libFuzzer or replay.c. Thread: main.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Noreturn void fuzz_fail(const char *property, const char *claim, const char *file,
                         int line)
{
    fprintf(stderr, "fuzz_%s: property broken: %s\n  %s:%d: %s\n", fuzz_name, property,
            file, line, claim);
    abort();
}

char *fuzz_copy(const void *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

/* ---- text */

void fuzz_put(struct fuzz_text *text, const void *data, size_t len)
{
    if (text->len + len + 1 > text->cap) {
        text->cap = (text->len + len + 1) * 2;
        text->text = realloc(text->text, text->cap);
        if (!text->text)
            abort();
    }
    if (len > 0)
        memcpy(text->text + text->len, data, len);
    text->len += len;
    text->text[text->len] = '\0';
}

void fuzz_print(struct fuzz_text *text, const char *format, ...)
{
    char line[512], *long_line = line;
    va_list values;
    int len;

    va_start(values, format);
    len = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (len >= (int)sizeof line) {
        va_start(values, format);
        len = vasprintf(&long_line, format, values);
        va_end(values);
    }
    if (len < 0)
        abort();
    fuzz_put(text, long_line, (size_t)len);
    if (long_line != line)
        free(long_line);
}

bool fuzz_same(const struct fuzz_text *a, const struct fuzz_text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
}

/* ---- cuts */

size_t fuzz_piece(struct fuzz_cuts *cuts, size_t left)
{
    size_t size = cuts->fixed;

    if (size == 0) {
        cuts->state = cuts->state * 1664525 + 1013904223; /* Numerical Recipes */
        size = 1 + (cuts->state >> 24) % ((cuts->state >> 16) % 8 ? 16 : 256);
    }
    return size < left ? size : left;
}

/* ---- one input, bounded */

#ifdef HOP_FUZZ
enum {
    MAX_INPUT_MS = 100,        /* of processor time, with sanitizers */
    MAX_INPUT_BYTES = 64 << 20 /* of heap, at its peak */
};

int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *,
                                                                size_t),
                                              void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *at);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static long heap, heap_peak; /* bytes since the input began */

static void on_malloc(const volatile void *at, size_t size)
{
    (void)at;
    heap += (long)size;
    if (heap > heap_peak)
        heap_peak = heap;
}

static void on_free(const volatile void *at)
{
    if (at)
        heap -= (long)__sanitizer_get_allocated_size(at);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    return 0;
}

static long processor_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void run_bounded(const char *input, size_t len)
{
    long began = processor_ms();

    heap = heap_peak = 0;
    fuzz_one(input, len);
    FUZZ_CHECK(heap_peak <= MAX_INPUT_BYTES, "no input takes more than 64 MB");
    FUZZ_CHECK(processor_ms() - began <= MAX_INPUT_MS, "no input takes more than 100 ms");
}
#else
static void run_bounded(const char *input, size_t len)
{
    fuzz_one(input, len);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_bounded((const char *)data, size);
    return 0;
}
