/*
 * corpus.c - the inputs of a fuzz target as lines of text: see corpus.h.
 *
 * Called by: replay.c, pack.c. Thread: main.
 */
#include "tests/fuzz/corpus.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

enum { MAX_INPUT = 4 << 20 };

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* One character or escape at *at; false when it is malformed. */
static bool read_byte(const char **at, struct fuzz_text *out)
{
    static const char names[] = "rnt\\", bytes[] = "\r\n\t\\";
    const char *found;
    char c = *(*at)++;
    int high, low;

    if (c == '\\') {
        c = *(*at)++;
        found = c ? strchr(names, c) : NULL;
        if (found) {
            c = bytes[found - names];
        } else {
            if (c != 'x' || (high = hex_value((*at)[0])) < 0 ||
                (low = hex_value((*at)[1])) < 0)
                return false;
            c = (char)(high << 4 | low);
            *at += 2;
        }
    }
    fuzz_put(out, &c, 1);
    return true;
}

/* *at stands on "\(": N times what stands up to the ")". */
static bool read_repeated(const char **at, struct fuzz_text *out)
{
    struct fuzz_text once = {0};
    char *end;
    unsigned long n = strtoul(*at + 2, &end, 10);
    bool is_good = *end == '*';

    *at = is_good ? end + 1 : end;
    while (is_good && **at != ')')
        is_good = **at && strncmp(*at, "\\(", 2) != 0 && read_byte(at, &once);
    is_good = is_good && n * once.len <= MAX_INPUT;
    for (; is_good && n > 0; n--)
        fuzz_put(out, once.text, once.len);
    free(once.text);
    if (is_good)
        ++*at;
    return is_good;
}

static bool read_line(const char *line, struct fuzz_text *out)
{
    while (*line)
        if (!(line[0] == '\\' && line[1] == '(' ? read_repeated(&line, out)
                                                : read_byte(&line, out)))
            return false;
    return true;
}

int corpus_read(const char *path, corpus_input *on_input, void *arg)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    int n = 0, number = 0;

    if (!file) {
        perror(path);
        return -1;
    }
    while (n >= 0 && getline(&line, &cap, file) > 0) {
        struct fuzz_text input = {0};

        number++;
        line[strcspn(line, "\n")] = '\0';
        if (!*line || strcmp(line, "#") == 0 || strncmp(line, "# ", 2) == 0)
            continue;
        fuzz_put(&input, "", 0);
        if (read_line(line, &input)) {
            on_input(input.text, input.len, number, arg);
            n++;
        } else {
            fprintf(stderr, "%s:%d: malformed escape\n", path, number);
            n = -1;
        }
        free(input.text);
    }
    free(line);
    fclose(file);
    return n;
}

int corpus_read_file(const char *path, struct fuzz_text *out)
{
    FILE *file = fopen(path, "re");
    char part[4096];
    size_t n;

    if (!file) {
        perror(path);
        return -1;
    }
    *out = (struct fuzz_text){0};
    while ((n = fread(part, 1, sizeof part, file)) > 0)
        fuzz_put(out, part, n);
    fclose(file);
    return 0;
}

void corpus_write(const char *input, size_t len, FILE *out)
{
    static const char names[] = "rnt\\", bytes[] = "\r\n\t\\";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)input[i];
        const char *found = c ? strchr(bytes, c) : NULL;

        if (found)
            fprintf(out, "\\%c", names[found - bytes]);
        else if (c < 0x20 || c >= 0x7f || (c == '#' && i == 0))
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('\n', out);
}
