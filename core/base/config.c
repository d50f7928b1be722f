/*
 * config.c - the sections and keys of all conf files and of -o, and where they stood.
 *
 * config_read.c fills it from files, config_table.c checks it against tables of keys.
 * Called by: main.c, settings.c, the plugin loader. Thread: start.
 */
#include "core/base/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/config_store.h"
#include "core/base/mem.h"
#include "core/base/text.h"

/* ---- the store */

struct config *config_new(void)
{
    struct config *config = mem_calloc(1, sizeof *config);

    config->n_refs = 1;
    return config;
}

static void entry_free(struct conf_entry *entry)
{
    free(entry->key);
    free(entry->value);
    free(entry->place);
    free(entry->folder);
    free(entry->path);
    free(entry);
}

static void section_free(struct conf_section *section)
{
    for (size_t i = 0; i < section->n_entries; i++)
        entry_free(section->entries[i]);
    free(section->entries);
    free(section->name);
    free(section->place);
    free(section);
}

void config_free(struct config *config)
{
    if (!config || --config->n_refs > 0)
        return;
    for (size_t i = 0; i < config->n_sections; i++)
        section_free(config->sections[i]);
    free(config->sections);
    for (size_t i = 0; i < config->n_assignments; i++)
        free(config->assignments[i]);
    free(config->assignments);
    free(config->path);
    free(config);
}

struct conf_section *config_find(const struct config *config, const char *section)
{
    for (size_t i = 0; i < config->n_sections; i++)
        if (strcmp(config->sections[i]->name, section) == 0)
            return config->sections[i];
    return NULL;
}

struct conf_entry *config_section_find(const struct conf_section *section,
                                       const char *key)
{
    for (size_t i = 0; i < section->n_entries; i++)
        if (strcmp(section->entries[i]->key, key) == 0)
            return section->entries[i];
    return NULL;
}

struct conf_entry *config_find_key(const struct config *config, const char *section,
                                   const char *key)
{
    const struct conf_section *found = config_find(config, section);

    return found ? config_section_find(found, key) : NULL;
}

struct conf_section *config_add(struct config *config, const char *section,
                                const char *place)
{
    struct conf_section *added = mem_calloc(1, sizeof *added);

    added->name = mem_strdup(section);
    added->place = mem_strdup(place);
    config->sections = mem_realloc(config->sections,
                                   (config->n_sections + 1) * sizeof *config->sections);
    config->sections[config->n_sections++] = added;
    return added;
}

struct conf_entry *config_set(struct conf_section *section, const char *key,
                              const char *value, const char *place, const char *folder)
{
    struct conf_entry *entry = config_section_find(section, key);

    if (entry) {
        free(entry->value);
        free(entry->place);
        free(entry->folder);
        free(entry->path);
        entry->path = NULL;
    } else {
        entry = mem_calloc(1, sizeof *entry);
        entry->key = mem_strdup(key);
        section->entries = mem_realloc(section->entries, (section->n_entries + 1) *
                                                             sizeof *section->entries);
        section->entries[section->n_entries++] = entry;
    }
    entry->value = mem_strdup(value);
    entry->place = mem_strdup(place);
    entry->folder = mem_strdup(folder);
    return entry;
}

const char *config_bad_bytes(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '\0')
            return "a NUL byte";
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return "a control byte";
    }
    return utf8_is_valid(text, len) ? NULL : "bytes that are not UTF-8";
}

/* ---- overrides */

/* Copy from start to end without blanks around it. Owned by the caller. */
static char *copy_trimmed(const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return mem_strndup(start, (size_t)(end - start));
}

/* Whether a file's reader would see less of the value: " = ;x", "x ;y". */
static bool is_cut_by_comment(const char *value)
{
    const char *mark = value;

    while ((mark = strchr(mark, ';'))) {
        if (mark == value || mark[-1] == ' ' || mark[-1] == '\t')
            return true;
        mark++;
    }
    return false;
}

static int override(struct config *config, const char *section, const char *key,
                    const char *value, hop_error *error)
{
    struct conf_section *target = config_find(config, section);

    if (strcmp(section, "server") == 0 && strcmp(key, "include") == 0) {
        hop_error_set(error, "-o: server.include: the conf files have been read: put "
                             "it into the file itself");
        return -1;
    }
    if ((!target && config->n_sections >= CONF_SECTIONS) ||
        (target && target->n_entries >= CONF_KEYS)) {
        hop_error_set(error, "-o: %s.%s: more than the %d sections or keys that are read",
                      section, key, (int)CONF_KEYS);
        return -1;
    }
    if (is_cut_by_comment(value)) {
        hop_error_set(error,
                      "-o: %s.%s: the value has a \";\" after a blank: a conf file "
                      "could not hold it, there a comment starts so",
                      section, key);
        return -1;
    }
    config_override_from(config, section, key, value, "-o");
    return 0;
}

void config_override_from(struct config *config, const char *section, const char *key,
                          const char *value, const char *place)
{
    struct conf_section *target = config_find(config, section);

    if (!target)
        target = config_add(config, section, place);
    config_set(target, key, value, place, "");
}

static void remember(struct config *config, const char *assignment)
{
    config->assignments = mem_realloc(
        config->assignments, (config->n_assignments + 1) * sizeof *config->assignments);
    config->assignments[config->n_assignments++] = mem_strdup(assignment);
}

int config_override(struct config *config, const char *assignment, hop_error *error)
{
    const char *equals = strchr(assignment, '=');
    const char *dot =
        equals ? memrchr(assignment, '.', (size_t)(equals - assignment)) : NULL;
    const char *bad = config_bad_bytes(assignment, strlen(assignment));
    char *section, *key, *value;
    int result = -1;

    if (bad) {
        hop_error_set(error, "-o: the text has %s: use UTF-8 text", bad);
        return -1;
    }
    if (!dot) {
        hop_error_set(error, "-o: \"%s\" is no assignment: write section.key=value",
                      assignment);
        return -1;
    }
    section = copy_trimmed(assignment, dot);
    key = copy_trimmed(dot + 1, equals);
    value = copy_trimmed(equals + 1, equals + strlen(equals));
    if (*section && *key)
        result = override(config, section, key, value, error);
    else
        hop_error_set(error, "-o: \"%s\" is no assignment: write section.key=value",
                      assignment);
    if (result == 0)
        remember(config, assignment);
    free(section);
    free(key);
    free(value);
    return result;
}

/* ---- asking */

const char *config_section(const struct config *config, size_t n)
{
    return n < config->n_sections ? config->sections[n]->name : NULL;
}

const char *config_section_place(const struct config *config, const char *section)
{
    const struct conf_section *found = config_find(config, section);

    return found ? found->place : NULL;
}

const char *config_key(const struct config *config, const char *section, size_t n)
{
    const struct conf_section *found = config_find(config, section);

    return found && n < found->n_entries ? found->entries[n]->key : NULL;
}

const char *config_key_place(const struct config *config, const char *section,
                             const char *key)
{
    const struct conf_entry *entry = config_find_key(config, section, key);

    return entry ? entry->place : NULL;
}

const char *config_get(const struct config *config, const char *section, const char *key)
{
    struct conf_entry *entry = config_find_key(config, section, key);

    if (!entry)
        return NULL;
    entry->is_known = true;
    return entry->value;
}

void config_error(const struct config *config, const char *section, const char *key,
                  hop_error *error, const char *format, ...)
{
    const char *place = key ? config_key_place(config, section, key) : NULL;
    hop_error text;
    va_list values;

    if (!error)
        return;
    va_start(values, format);
    if (vsnprintf(text.text, sizeof text.text, format, values) < 0)
        text.text[0] = '\0';
    va_end(values);
    if (!place)
        place = config_section_place(config, section);
    hop_error_set(error, "%s%s%s%s%s: %s", place ? place : "", place ? ": " : "", section,
                  key ? "." : "", key ? key : "", text.text);
}

/* ---- the nearest word */

enum { NEAREST_BYTES = 48 }; /* longer words are not compared */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* Letters to insert, drop, change or swap to make b of a; upper case is as lower case. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_BYTES + 1]; /* the row before the last, the last, this */
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    memset(rows, 0, sizeof rows);
    for (size_t j = 0; j <= b_len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *spare = before;

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            bool is_same = (a[i - 1] | 0x20) == (b[j - 1] | 0x20);

            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + !is_same);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        before = last;
        last = row;
        row = spare;
    }
    return last[b_len];
}

const char *config_nearest(const char *word, const char *const *words)
{
    size_t len = strlen(word);
    unsigned least = len < 6 ? 2 : len < 9 ? 3 : 4; /* so many letters are another word */
    const char *nearest = NULL;

    if (len > NEAREST_BYTES)
        return NULL;
    for (; *words; words++) {
        size_t other_len = strlen(*words);
        unsigned letters;

        if (other_len > NEAREST_BYTES)
            continue;
        letters = distance(word, len, *words, other_len);
        if (letters >= least || letters >= len)
            continue;
        least = letters;
        nearest = *words;
    }
    return nearest;
}
