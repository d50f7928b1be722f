/*
 * replay.c - main() of a fuzz target without libFuzzer: runs all inputs of its corpus, or
 * the files that it is given (a reproducer). Part of `make check`. Thread: main.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/corpus.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a crash came from: printed before it, as only then is it known. */
static void on_input(const char *input, size_t len, int line, void *arg)
{
    char *copy = fuzz_copy(input, len);

    if (getenv("SOCKHOP_FUZZ_VERBOSE"))
        fprintf(stderr, "%s:%d: %zu bytes\n", (const char *)arg, line, len);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, len);
    free(copy);
}

static int run_corpus(const char *path)
{
    int n = corpus_read(path, on_input, (char *)(size_t)path);

    if (n >= 0)
        printf("%s: %d inputs\n", path, n);
    return n;
}

/* A file as libFuzzer writes it: its bytes are the input. */
static int run_file(const char *path)
{
    struct fuzz_text input;

    if (corpus_read_file(path, &input) < 0)
        return -1;
    on_input(input.text, input.len, 1, (char *)(size_t)path);
    free(input.text);
    printf("%s: ok\n", path);
    return 1;
}

static int run_all(const char *source)
{
    static const char *const kinds[] = {"", ".found"};
    char path[PATH_MAX];
    int sum = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int n;

        snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s%s.txt", source, fuzz_name,
                 kinds[i]);
        n = run_corpus(path);
        if (n < 0)
            return -1;
        sum += n;
    }
    printf("fuzz_%s: %d inputs replayed\n", fuzz_name, sum);
    if (sum == 0)
        return -1;
    puts("[  PASSED  ] 1 test(s)."); /* as cmocka says it: quickstart counts them */
    return 0;
}

int main(int argc, char **argv)
{
    const char *source = getenv("SOCKHOP_SOURCE");

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        const char *dot = strrchr(argv[i], '.');

        if ((dot && strcmp(dot, ".txt") == 0 ? run_corpus(argv[i]) : run_file(argv[i])) <
            0)
            return 1;
    }
    return argc == 1 && run_all(source ? source : ".") < 0;
}
