/*
 * corpus.h - the inputs of a fuzz target as lines of text, so that they can be read,
 * written by hand and compared.
 *
 * A line is one input; empty lines and those that start with "# " are comments. In it,
 * \r \n \t \\ and \xNN stand for bytes, \(N*TEXT) for N times TEXT (it may hold escapes,
 * but no second \( ); a first '#' that belongs to the input is written \x23.
 * Called by: replay.c, pack.c. Thread: main.
 */
#ifndef TESTS_FUZZ_CORPUS_H
#define TESTS_FUZZ_CORPUS_H

#include <stddef.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

typedef void corpus_input(const char *input, size_t len, int line, void *arg);

/* Calls back for each input of the file. Returns their number, or -1 with a message. */
int corpus_read(const char *path, corpus_input *on_input, void *arg);

/* The bytes of a file, as libFuzzer writes it: they are the input. Returns 0, or -1 with a message;
 * free(out->text) if 0. */
int corpus_read_file(const char *path, struct fuzz_text *out);

/* Write one input as a line. */
void corpus_write(const char *input, size_t len, FILE *out);

#endif
