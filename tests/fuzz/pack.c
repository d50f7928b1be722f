/*
 * pack.c - corpora between lines of text, as they are committed, and folders of files, as
 * libFuzzer wants them:
 *
 *   pack -x FOLDER FILE.txt...   write each input to a file of that folder
 *   pack -c FILE...              print the inputs in these files as lines
 *
 * Called by: tests/fuzz/run, tests/fuzz/merge. Thread: main.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/fuzz/corpus.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "pack";

/* No target: fuzz.c wants one. */
void fuzz_one(const char *input, size_t len)
{
    (void)input;
    (void)len;
}

/* Named by the content: the same input twice is one file. */
static void write_file(const char *input, size_t len, int line, void *folder)
{
    char path[PATH_MAX];
    FILE *file;

    (void)line;
    snprintf(path, sizeof path, "%s/%016llx", (const char *)folder,
             (unsigned long long)XXH3_64bits(input, len));
    file = fopen(path, "we");
    if (!file || fwrite(input, 1, len, file) != len || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static int print_file(const char *path)
{
    struct fuzz_text input;

    if (corpus_read_file(path, &input) < 0)
        return -1;
    if (input.len > 0) /* an empty line is none */
        corpus_write(input.text, input.len, stdout);
    free(input.text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "-x") == 0) {
        for (int i = 3; i < argc; i++)
            if (corpus_read(argv[i], write_file, argv[2]) < 0)
                return 1;
        return 0;
    }
    if (argc >= 3 && strcmp(argv[1], "-c") == 0) {
        for (int i = 2; i < argc; i++)
            if (print_file(argv[i]) < 0)
                return 1;
        return 0;
    }
    fputs("usage: pack -x FOLDER FILE.txt... | pack -c FILE...\n", stderr);
    return 2;
}
