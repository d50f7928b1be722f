/*
 * config_table.c - sections checked against tables of keys: texts become typed members.
 *
 * A table may come from a plugin built when hop_config_key had fewer members, so that it
 * is walked in steps of the plugin's own size.
 * Called by: settings.c, the plugin loader, main.c (-T). Thread: start.
 */
#include "core/base/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/config_store.h"
#include "core/base/mem.h"
#include "core/base/text.h"

/* ---- tables */

bool config_key_at(const hop_config_key *keys, size_t key_size, size_t n,
                   hop_config_key *key)
{
    const char *row = (const char *)keys;

    memset(key, 0, sizeof *key);
    if (!keys || key_size < offsetof(hop_config_key, text)) /* no type, name, offset */
        return false;
    memcpy(key, row + n * key_size, key_size < sizeof *key ? key_size : sizeof *key);
    return key->type != HOP_KEY_END;
}

/* A unit that a number may carry; tables go from the largest to the smallest. */
struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit sizes[] = {
    {"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0},
};

static const struct unit times[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000},
    {"ms", 1},       {"", 1},        {NULL, 0},
};

/* The number with the largest unit that leaves it whole. */
static void print_with_unit(char *text, size_t size, int64_t number,
                            const struct unit *units)
{
    while (units[1].name && (number == 0 || number % units->factor != 0))
        units++;
    snprintf(text, size, "%" PRId64 "%s", number / units->factor, units->name);
}

static const struct unit *units_of(hop_key_type type)
{
    static const struct unit none[] = {{"", 1}, {NULL, 0}};

    return type == HOP_KEY_SIZE ? sizes : type == HOP_KEY_MS ? times : none;
}

const char *config_key_number(const hop_config_key *key, int64_t number, char *text,
                              size_t size)
{
    print_with_unit(text, size, number, units_of(key->type));
    return text;
}

const char *config_key_default(const hop_config_key *key, char *text, size_t size)
{
    switch (key->type) {
    case HOP_KEY_BOOL:
        snprintf(text, size, "%s", key->number ? "yes" : "no");
        break;
    case HOP_KEY_INT:
    case HOP_KEY_SIZE:
    case HOP_KEY_MS:
        return config_key_number(key, key->number, text, size);
    default:
        snprintf(text, size, "%s", key->text ? key->text : "");
    }
    return text;
}

/* ---- one value */

/* What all the functions below need to read one key and to complain about it. */
struct field {
    const struct config *config;
    const char *section;
    hop_config_key key;
    const char *value; /* as written */
    hop_error *error;
};

enum number_result { NUMBER_OK, NUMBER_BAD, NUMBER_TOO_LARGE };

/* Digits, a '-' before them if there may be one; *rest: what stands behind. */
static enum number_result read_number(const char *text, bool may_be_negative,
                                      int64_t *number, const char **rest)
{
    bool is_negative = may_be_negative && *text == '-';
    int64_t n = 0;
    bool has_overflown = false;

    text += is_negative;
    if (*text < '0' || *text > '9')
        return NUMBER_BAD;
    for (; *text >= '0' && *text <= '9'; text++) {
        int digit = *text - '0';

        has_overflown |= __builtin_mul_overflow(n, (int64_t)10, &n);
        has_overflown |=
            __builtin_sub_overflow(n, (int64_t)digit, &n); /* < 0: INT64_MIN */
    }
    *rest = text;
    if (!is_negative)
        has_overflown |= __builtin_sub_overflow((int64_t)0, n, &n);
    *number = n;
    return has_overflown ? NUMBER_TOO_LARGE : NUMBER_OK;
}

/* A number with one of the units (NULL: none) behind it. */
static enum number_result read_with_unit(const char *text, const struct unit *units,
                                         bool may_be_negative, bool is_any_case,
                                         int64_t *number)
{
    const char *rest = "";
    enum number_result result = read_number(text, may_be_negative, number, &rest);

    if (result == NUMBER_BAD)
        return result;
    for (; units->name; units++) {
        bool is_it = is_any_case ? ascii_equal_nocase(rest, strlen(rest), units->name)
                                 : strcmp(rest, units->name) == 0;

        if (!is_it)
            continue;
        if (__builtin_mul_overflow(*number, units->factor, number))
            return NUMBER_TOO_LARGE;
        return result;
    }
    return NUMBER_BAD;
}

/* The value as an error may show it. */
static const char *shown_value(const struct field *field)
{
    return field->key.flags & HOP_KEY_SECRET ? "(secret)" : field->value;
}

static int refuse(const struct field *field, const char *what)
{
    config_error(field->config, field->section, field->key.name, field->error,
                 "\"%s\" is %s", shown_value(field), what);
    return -1;
}

/* The bounds as the operator writes them. */
static int refuse_bounds(const struct field *field, const struct unit *units)
{
    char min[32], max[32];

    print_with_unit(min, sizeof min, field->key.min, units);
    print_with_unit(max, sizeof max, field->key.max, units);
    config_error(field->config, field->section, field->key.name, field->error,
                 "\"%s\" is out of bounds: use %s to %s", shown_value(field), min, max);
    return -1;
}

static int read_numeric(const struct field *field, int64_t *number)
{
    const struct unit *units = units_of(field->key.type);
    const char *complaint = "not a whole number: use digits only";
    enum number_result result;

    if (field->key.type == HOP_KEY_SIZE) {
        complaint = "not a size: use bytes, or k, M, G, such as 4096 or 64k";
    } else if (field->key.type == HOP_KEY_MS) {
        complaint = "not a time: use ms, s, m, h, d, such as 250ms or 10s";
    }
    result = read_with_unit(field->value, units, field->key.type == HOP_KEY_INT,
                            units == sizes, number);
    if (result == NUMBER_BAD)
        return refuse(field, complaint);
    if (result == NUMBER_TOO_LARGE || *number < field->key.min ||
        *number > field->key.max)
        return refuse_bounds(field, units);
    return 0;
}

int config_read_size(const char *text, int64_t *bytes)
{
    return read_with_unit(text, sizes, false, true, bytes) == NUMBER_OK ? 0 : -1;
}

static int read_bool(const struct field *field, bool *is_on)
{
    static const char *const words[] = {"no",  "yes", "false", "true",
                                        "off", "on",  "0",     "1"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(field->value, words[i]) == 0) {
            *is_on = i % 2 != 0;
            return 0;
        }
    return refuse(field, "not a bool: use yes or no");
}

/* The index of word in "a|b|c", or -1. */
static int find_choice(const char *choices, const char *word)
{
    size_t len = strlen(word);

    for (int index = 0; choices; index++) {
        size_t size = strcspn(choices, "|");

        if (size == len && memcmp(choices, word, len) == 0)
            return index;
        choices = choices[size] ? choices + size + 1 : NULL;
    }
    return -1;
}

static int read_choice(const struct field *field, int *index)
{
    char words[256];

    *index = find_choice(field->key.choices, field->value);
    if (*index >= 0)
        return 0;
    snprintf(words, sizeof words, "%s", field->key.choices ? field->key.choices : "");
    for (char *bar = strchr(words, '|'); bar; bar = strchr(bar, '|'))
        *bar = ' ';
    config_error(field->config, field->section, field->key.name, field->error,
                 "\"%s\" is not one of: %s", shown_value(field), words);
    return -1;
}

/* The value as a path from the folder of its file. Borrowed from entry. */
static const char *read_path(struct conf_entry *entry)
{
    size_t size;

    if (*entry->value == '\0' || *entry->value == '/' || *entry->folder == '\0')
        return entry->value;
    if (entry->path)
        return entry->path;
    size = strlen(entry->folder) + strlen(entry->value) + 1;
    entry->path = mem_alloc(size);
    snprintf(entry->path, size, "%s%s", entry->folder, entry->value);
    return entry->path;
}

/* ---- filling */

/* The value of one key, or its default, goes to the member of its type. */
static int fill_key(struct field *field, struct conf_entry *entry, void *state)
{
    void *member = (char *)state + field->key.offset;
    const char *text = field->key.text ? field->key.text : "";
    int64_t number = field->key.number;
    bool is_on = number != 0;
    size_t size;
    int index;

    switch (field->key.type) {
    case HOP_KEY_STRING:
        text = entry ? entry->value : text;
        memcpy(member, &text, sizeof text);
        return 0;
    case HOP_KEY_PATH:
        text = entry ? read_path(entry) : text;
        memcpy(member, &text, sizeof text);
        return 0;
    case HOP_KEY_BOOL:
        if (entry && read_bool(field, &is_on) < 0)
            return -1;
        memcpy(member, &is_on, sizeof is_on);
        return 0;
    case HOP_KEY_INT:
    case HOP_KEY_MS:
        if (entry && read_numeric(field, &number) < 0)
            return -1;
        memcpy(member, &number, sizeof number);
        return 0;
    case HOP_KEY_SIZE:
        if (entry && read_numeric(field, &number) < 0)
            return -1;
        size = (size_t)number;
        memcpy(member, &size, sizeof size);
        return 0;
    case HOP_KEY_CHOICE:
        if (!entry)
            field->value = text; /* a default that is no choice is refused as well */
        if (read_choice(field, &index) < 0)
            return -1;
        memcpy(member, &index, sizeof index);
        return 0;
    default:
        config_error(field->config, field->section, field->key.name, field->error,
                     "key type %d is unknown: rebuild the plugin for this sockhop",
                     (int)field->key.type);
        return -1;
    }
}

/* All words that a section may have as keys, NULL-terminated. Free the array alone. */
static const char **list_keys(const hop_config_key *keys, size_t key_size,
                              const char *const *also)
{
    const char **words = NULL;
    hop_config_key key;
    size_t n = 0;

    for (size_t i = 0; config_key_at(keys, key_size, i, &key); i++) {
        words = mem_realloc(words, (n + 2) * sizeof *words);
        words[n++] = key.name;
    }
    for (; also && *also; also++) {
        words = mem_realloc(words, (n + 2) * sizeof *words);
        words[n++] = *also;
    }
    if (!words)
        words = mem_alloc(sizeof *words);
    words[n] = NULL;
    return words;
}

static void refuse_key(const struct config *config, const char *section, const char *key,
                       const char *const *words, hop_error *error)
{
    const char *nearest = config_nearest(key, words);
    char list[400] = "none";
    size_t size = 0;

    if (nearest) {
        config_error(config, section, key, error, "unknown key; did you mean \"%s\"?",
                     nearest);
        return;
    }
    for (; *words && size < sizeof list; words++)
        size += (size_t)snprintf(list + size, sizeof list - size, "%s%s",
                                 size ? ", " : "", *words);
    config_error(config, section, key, error, "unknown key; the section's keys are: %s",
                 list);
}

/* Every key of the section must be one of the words, or known to config_get()'s caller. */
static int check_keys(const struct config *config, const struct conf_section *section,
                      const char *const *words, hop_error *error)
{
    for (size_t i = 0; i < section->n_entries; i++) {
        struct conf_entry *entry = section->entries[i];
        const char *const *word = words;

        while (*word && strcmp(*word, entry->key) != 0)
            word++;
        if (!*word && !entry->is_known) {
            refuse_key(config, section->name, entry->key, words, error);
            return -1;
        }
        entry->is_known = true;
    }
    return 0;
}

int config_fill(const struct config *config, const char *section,
                const hop_config_key *keys, size_t key_size, const char *const *also,
                void *state, hop_error *error)
{
    const struct conf_section *found = config_find(config, section);
    struct field field = {.config = config, .section = section, .error = error};

    if (found) {
        const char **words = list_keys(keys, key_size, also);
        int result = check_keys(config, found, words, error);

        free(words);
        if (result < 0)
            return -1;
    }
    for (size_t i = 0; config_key_at(keys, key_size, i, &field.key); i++) {
        struct conf_entry *entry =
            found ? config_section_find(found, field.key.name) : NULL;

        field.value = entry ? entry->value : NULL;
        if (fill_key(&field, entry, state) < 0)
            return -1;
    }
    return 0;
}

/* ---- printing */

/* What a file anywhere would have to say. Owned by the caller. */
static char *write_value(const hop_config_key *key, struct conf_entry *entry)
{
    char number[32];
    char *folder, *text = NULL;
    const char *value;

    if (!entry)
        return mem_strdup(key->text ? key->text
                                    : config_key_default(key, number, sizeof number));
    value = key->type == HOP_KEY_PATH ? read_path(entry) : entry->value;
    if (key->type != HOP_KEY_PATH || *value == '\0' || *value == '/')
        return mem_strdup(value);
    folder = getcwd(NULL, 0);
    if (!folder || asprintf(&text, "%s/%s", folder, value) < 0)
        text = mem_strdup(value);
    free(folder);
    return text;
}

/* The place stands behind the value where the line stays one that is read again. A value
 * with a ';' in front has no blank before it: there a comment would begin. A comment that
 * would be too long says less. A secret that is set is a comment as well. */
static void print_key(const hop_config_key *key, struct conf_entry *entry, FILE *out)
{
    const bool is_secret = entry && key->flags & HOP_KEY_SECRET;
    const char *mark = entry && (entry->is_spent || is_secret) ? "; " : "";
    char *value = is_secret ? mem_strdup("(secret)") : write_value(key, entry);
    size_t len;

    if (*mark && strlen(mark) + strlen(key->name) + 1 + strlen(value) > CONF_LINE_BYTES)
        memcpy(value, "...", sizeof "...");
    len = strlen(mark) + strlen(key->name) + strlen(" = ") + strlen(value);

    if (len > CONF_LINE_BYTES || *value == ';')
        fprintf(out, "%s%s=%s", mark, key->name, value);
    else
        fprintf(out, "%s%s =%s%s", mark, key->name, *value ? " " : "", value);
    if (entry && len + strlen(" ; ") + strlen(entry->place) <= CONF_LINE_BYTES)
        fprintf(out, " ; %s", entry->place);
    fputc('\n', out);
    free(value);
}

void config_print(const struct config *config, const char *section,
                  const hop_config_key *keys, size_t key_size, FILE *out)
{
    hop_config_key key;

    fprintf(out, "[%s]\n", section);
    for (size_t i = 0; config_key_at(keys, key_size, i, &key); i++)
        print_key(&key, config_find_key(config, section, key.name), out);
}
