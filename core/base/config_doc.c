/*
 * config_doc.c - tables of keys as documentation: see config_doc.h.
 *
 * Called by: settings.c, core/plugin/server.c. Thread: start.
 */
#include "core/base/config_doc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config.h"
#include "core/base/mem.h"

enum { WIDTH = 96, VALUE_BYTES = 512 };

/* Words of text in lines of at most WIDTH, each behind the mark. */
static void print_wrapped(const char *mark, const char *text, FILE *out)
{
    size_t room = WIDTH - strlen(mark);

    while (*text) {
        size_t len = strlen(text);

        if (len > room) {
            for (len = room; len > 0 && text[len] != ' ';)
                len--;
            if (len == 0)
                len = strcspn(text, " ");
        }
        fprintf(out, "%s%.*s\n", mark, (int)len, text);
        text += len + strspn(text + len, " ");
    }
}

static const char *type_name(const hop_config_key *key)
{
    switch (key->type) {
    case HOP_KEY_PATH:
        return "path";
    case HOP_KEY_BOOL:
        return "yes or no";
    case HOP_KEY_INT:
        return "number";
    case HOP_KEY_SIZE:
        return "size";
    case HOP_KEY_MS:
        return "time";
    case HOP_KEY_CHOICE:
        return "one of";
    default:
        return "text";
    }
}

/* ", 0 to 10m", as far as there are bounds. */
static void print_bounds(const hop_config_key *key, FILE *out)
{
    char min[32], max[32];

    if (key->type != HOP_KEY_INT && key->type != HOP_KEY_SIZE && key->type != HOP_KEY_MS)
        return;
    config_key_number(key, key->min, min, sizeof min);
    config_key_number(key, key->max, max, sizeof max);
    if (key->max != INT64_MAX)
        fprintf(out, ", %s to %s", min, max);
    else if (key->min != 0 && key->min != INT64_MIN)
        fprintf(out, ", at least %s", min);
}

static void print_choices(const char *choices, FILE *out)
{
    for (const char *sign = " "; choices && *choices; sign = ", ") {
        size_t len = strcspn(choices, "|");

        fprintf(out, "%s%.*s", sign, (int)len, choices);
        choices += len + (choices[len] == '|');
    }
}

/* "time, 0 to 10m; default 10s; may be changed while the server runs": owned by the caller. */
static char *describe(const hop_config_key *key)
{
    char fallback[VALUE_BYTES];
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        mem_exhausted(1);
    config_key_default(key, fallback, sizeof fallback);
    fputs(type_name(key), out);
    if (key->type == HOP_KEY_CHOICE)
        print_choices(key->choices, out);
    print_bounds(key, out);
    fprintf(out, "; default %s", *fallback ? fallback : "empty");
    if (key->flags & HOP_KEY_RELOADABLE)
        fputs("; may be changed while the server runs", out);
    if (key->flags & HOP_KEY_SECRET)
        fputs("; secret", out);
    if (fclose(out) != 0)
        mem_exhausted(len);
    return text;
}

static void print_key(enum config_doc format, const hop_config_key *key, FILE *out)
{
    const char *mark = format == CONFIG_DOC_TEXT ? "    " : "; ";
    char *about = describe(key);
    char fallback[VALUE_BYTES];

    if (format == CONFIG_DOC_TEXT)
        fprintf(out, "\n%s\n", key->name);
    else
        fputc('\n', out);
    print_wrapped(mark, key->help ? key->help : "", out);
    print_wrapped(mark, about, out);
    if (format == CONFIG_DOC_CONF) {
        config_key_default(key, fallback, sizeof fallback);
        fprintf(out, ";%s =%s%s\n", key->name, *fallback ? " " : "", fallback);
    }
    free(about);
}

void config_doc(enum config_doc format, const char *section, const char *about,
                const hop_config_key *keys, size_t key_size, FILE *out)
{
    hop_config_key key;

    if (about && format == CONFIG_DOC_CONF)
        print_wrapped("; ", about, out);
    fprintf(out, "[%s]\n", section);
    if (about && format == CONFIG_DOC_TEXT)
        print_wrapped("", about, out);
    for (size_t i = 0; config_key_at(keys, key_size, i, &key); i++)
        print_key(format, &key, out);
}
