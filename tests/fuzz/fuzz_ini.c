/*
 * fuzz_ini.c - conf files (core/base/config*.c): T40.
 *
 * Input: a conf file; each form feed in it begins a further file, conf.d/1.conf,
 * conf.d/2.conf and so on. Properties:
 *   - what loads and is printed (as -T does) loads again, to the same sections, keys and
 *     values, and prints the same again;
 *   - what loads stands where its place says: a section alone on its line, a key at the
 *     beginning of one, with its value behind it;
 *   - what is refused is refused with FILE:LINE, and again with the same words;
 *   - what loads may be given with -o, key by key, to the same effect, and over itself;
 *   - as paths, values are as written, or stand behind their file's folder; a key that no
 *     table has is refused.
 * Files are written only where something is included: all else is read from memory.
 * Thread: main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/base/config_store.h"
#include "core/base/text.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "ini";

enum { MAX_FILES = 4, MAX_OVERRIDES = 20 /* looked at in one section */ };

/* ---- printing what was loaded */

/* Whether the words begin with FILE:LINE. */
static bool has_place(const char *text)
{
    const char *line = strchr(text, ':');

    return line && strspn(line + 1, "0123456789") > 0 &&
           strchr(":", line[1 + strspn(line + 1, "0123456789")]);
}

/* A table with all keys of a section, as texts. Free the table alone. */
static hop_config_key *table_of(const struct conf_section *section)
{
    hop_config_key *keys = calloc(section->n_entries + 1, sizeof *keys);

    for (size_t i = 0; i < section->n_entries; i++)
        keys[i] =
            (hop_config_key){.type = HOP_KEY_STRING, .name = section->entries[i]->key};
    return keys;
}

static struct fuzz_text print(const struct config *config)
{
    struct fuzz_text out = {0};
    FILE *file = open_memstream(&out.text, &out.len);

    for (size_t i = 0; i < config->n_sections; i++) {
        hop_config_key *keys = table_of(config->sections[i]);

        config_print(config, config->sections[i]->name, keys, sizeof *keys, file);
        free(keys);
    }
    fclose(file);
    return out;
}

/* One section, and the same as it was read again: without what an include was. */
static void check_same_section(const struct conf_section *a, const struct conf_section *b)
{
    size_t n = 0;

    FUZZ_CHECK(strcmp(a->name, b->name) == 0, "the sections are the same");
    for (size_t i = 0; i < a->n_entries; i++) {
        const struct conf_entry *entry = a->entries[i];

        if (entry->is_spent)
            continue;
        FUZZ_CHECK(n < b->n_entries && strcmp(entry->key, b->entries[n]->key) == 0,
                   "the keys are the same");
        FUZZ_CHECK(strcmp(entry->value, b->entries[n]->value) == 0,
                   "the values are the same");
        FUZZ_CHECK(has_place(entry->place) || strcmp(entry->place, "-o") == 0,
                   "a key has its place");
        n++;
    }
    FUZZ_CHECK(n == b->n_entries, "no key is added");
}

static void check_same(const struct config *a, const struct config *b)
{
    FUZZ_CHECK(a->n_sections == b->n_sections, "no section is lost or added");
    for (size_t i = 0; i < a->n_sections; i++)
        check_same_section(a->sections[i], b->sections[i]);
}

/*
 * Whether files can say it. -o takes longer lines, and keys and sections that would read as
 * something else in a file; the tables of keys know none of those.
 */
static bool is_sayable(const struct config *config)
{
    for (size_t i = 0; i < config->n_sections; i++) {
        const struct conf_section *section = config->sections[i];

        if (strlen(section->name) + 2 > CONF_LINE_BYTES || strchr(section->name, ']'))
            return false;
        for (size_t j = 0; j < section->n_entries; j++) {
            const struct conf_entry *entry = section->entries[j];

            if (entry->key[strspn(entry->key, "abcdefghijklmnopqrstuvwxyz0123456789_")] ||
                strlen(entry->key) + 1 + strlen(entry->value) > CONF_LINE_BYTES)
                return false;
        }
    }
    return true;
}

static void check_printed(const struct config *config)
{
    struct fuzz_text text = print(config);
    hop_error error = {{0}};
    struct config *again = config_parse("printed.ini", text.text, text.len, &error);

    if (!again)
        fuzz_fail("what is printed loads again", error.text, __FILE__, __LINE__);
    check_same(config, again);
    config_free(again);
    free(text.text);
}

/* ---- overrides */

/* -o cannot say all that a file can: a section with '=', a key with a dot, " = ;x". */
static bool can_override(const char *section, const struct conf_entry *entry)
{
    return !strchr(section, '=') && !strpbrk(entry->key, ".=") &&
           entry->value[0] != ';' &&
           !(strcmp(section, "server") == 0 && strcmp(entry->key, "include") == 0);
}

static void check_overrides(struct config *config)
{
    const char *section, *key;

    for (size_t i = 0; (section = config_section(config, i)); i++)
        for (size_t j = 0; j < MAX_OVERRIDES && (key = config_key(config, section, j));
             j++) {
            struct fuzz_text text = {0};
            hop_error error = {{0}};
            struct config *other;
            const char *value;

            if (!can_override(section, config_find_key(config, section, key)))
                continue;
            other = config_parse("empty.ini", "", 0, &error);
            fuzz_print(&text, "%s.%s=%s", section, key, config_get(config, section, key));
            if (config_override(other, text.text, &error) < 0)
                fuzz_fail("what a file says may be said with -o", error.text, __FILE__,
                          __LINE__);
            value = config_get(other, section, key);
            FUZZ_CHECK(value && strcmp(value, config_get(config, section, key)) == 0,
                       "-o says the same as a file");
            FUZZ_CHECK(strcmp(config_key_place(other, section, key), "-o") == 0,
                       "an override's place is -o");
            config_free(other);
            free(text.text);
        }
}

/* Over what is there: the same again, and one key more where there is room. */
static void check_overridden(struct config *config)
{
    struct fuzz_text text = {0};
    hop_error error = {{0}};
    const struct conf_section *section;
    bool has_room;

    if (config->n_sections == 0 || config->sections[0]->n_entries == 0)
        return;
    section = config->sections[0];
    if (can_override(section->name, section->entries[0])) {
        fuzz_print(&text, "%s.%s=%s", section->name, section->entries[0]->key,
                   section->entries[0]->value);
        has_room = section->n_entries < CONF_KEYS;
        FUZZ_CHECK((config_override(config, text.text, &error) == 0) == has_room,
                   "a value may be given over itself while there is room");
    }
    has_room = config->n_sections < CONF_SECTIONS;
    if (!config_find(config, "new"))
        FUZZ_CHECK((config_override(config, "new.key=x", &error) == 0) == has_room,
                   "a section may be added while there is room");
    free(text.text);
}

/* ---- filling */

/* The section's keys as paths, but for the last, which somebody else reads. */
static void check_paths(const struct config *config, const struct conf_section *section)
{
    size_t n = section->n_entries < 8 ? section->n_entries : 8;
    const char *also[] = {NULL, NULL}, *found[8];
    hop_config_key keys[9] = {{.type = HOP_KEY_END}};
    hop_error error = {{0}};

    if (n == 0 || n != section->n_entries)
        return;
    for (size_t i = 0; i + 1 < n; i++)
        keys[i] = (hop_config_key){.type = HOP_KEY_PATH,
                                   .name = section->entries[i]->key,
                                   .offset = i * sizeof *found};
    for (int round = 0; round < 2; round++) {
        int result;

        also[0] = round ? section->entries[n - 1]->key : NULL;
        section->entries[n - 1]->is_known = false;
        result =
            config_fill(config, section->name, keys, sizeof *keys, also, found, &error);
        FUZZ_CHECK((result == 0) == (round == 1), "a key that nobody reads is refused");
    }
    for (size_t i = 0; i + 1 < n; i++) {
        const char *value = section->entries[i]->value;
        size_t folder_len = strlen(section->entries[i]->folder);

        FUZZ_CHECK(strcmp(found[i], value) == 0 ||
                       (strncmp(found[i], section->entries[i]->folder, folder_len) == 0 &&
                        strcmp(found[i] + folder_len, value) == 0),
                   "a path is as written, or behind the folder");
    }
    keys[0].type = (hop_key_type)99;
    keys[1].type = HOP_KEY_END;
    keys[0].name = section->entries[0]->key;
    for (size_t i = 0; i < n; i++)
        section->entries[i]->is_known = true;
    FUZZ_CHECK(
        config_fill(config, section->name, keys, sizeof *keys, NULL, found, &error) < 0,
        "a type of a later version is refused");
}

static void check_filled(const struct config *config)
{
    hop_config_key key;

    FUZZ_CHECK(!config_key_at(NULL, 0, 0, &key), "no table has no key");
    for (size_t i = 0; i < config->n_sections; i++)
        check_paths(config, config->sections[i]);
}

/* The whole input as one -o. */
static void check_as_override(const char *input, size_t len)
{
    struct fuzz_text text = {0};
    hop_error error = {{0}};
    struct config *config = config_parse("empty.ini", "", 0, &error);

    fuzz_put(&text, input, len);
    if (config_override(config, text.text, &error) < 0)
        FUZZ_CHECK(strncmp(error.text, "-o: ", 4) == 0, "a refusal of -o says so");
    else if (is_sayable(config))
        check_printed(config);
    config_free(config);
    free(text.text);
}

/* ---- loading */

/* The line that a place names, without blanks before it: free(). */
static char *line_of(const char *text, size_t len, const char *place)
{
    long number = strtol(strrchr(place, ':') + 1, NULL, 10);
    const char *at = text, *end = text + len, *stop;
    char *line;

    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    while (--number > 0 && at < end) {
        stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
    }
    stop = memchr(at, '\n', (size_t)(end - at));
    stop = stop ? stop : end;
    while (at < stop && strchr(" \t\r", *at))
        at++;
    line = malloc((size_t)(stop - at) + 1);
    memcpy(line, at, (size_t)(stop - at));
    line[stop - at] = '\0';
    return line;
}

static void check_header(const char *line, const char *name)
{
    const char *end = strchr(line, ']'), *found = strstr(line, name);

    FUZZ_CHECK(line[0] == '[' && found && end && found < end, "a section stands there");
    end += 1 + strspn(end + 1, " \t\r");
    FUZZ_CHECK(!*end || *end == ';' || *end == '#', "a section stands alone");
}

static void check_key_line(const char *line, const char *key, const char *value)
{
    const char *rest = line + strlen(key);

    FUZZ_CHECK(strncmp(line, key, strlen(key)) == 0, "a key stands there");
    rest += strspn(rest, " \t");
    FUZZ_CHECK(*rest == '=' || *rest == ':', "a sign stands behind a key");
    rest += 1 + strspn(rest + 1, " \t");
    FUZZ_CHECK(strncmp(rest, value, strlen(value)) == 0,
               "a value stands behind the sign");
    rest += strlen(value) + strspn(rest + strlen(value), " \t\r");
    FUZZ_CHECK(!*rest || *rest == ';', "a value goes on to the end or a comment");
}

static void check_places(const struct config *config, const char *text, size_t len)
{
    for (size_t i = 0; i < config->n_sections; i++) {
        const struct conf_section *section = config->sections[i];
        char *header = line_of(text, len, section->place);

        check_header(header, section->name);
        free(header);
        for (size_t j = 0; j < section->n_entries && j < MAX_OVERRIDES; j++) {
            char *line = line_of(text, len, section->entries[j]->place);

            check_key_line(line, section->entries[j]->key, section->entries[j]->value);
            free(line);
        }
    }
}

static struct config *load_text(const char *text, size_t len)
{
    hop_error error = {{0}}, again = {{0}};
    char *copy = fuzz_copy(text, len);
    struct config *config = config_parse("x.ini", copy, len, &error);

    if (!config) {
        FUZZ_CHECK(has_place(error.text), "a refusal has its place");
        FUZZ_CHECK(!config_parse("x.ini", copy, len, &again) &&
                       strcmp(error.text, again.text) == 0,
                   "a refusal is always the same");
    } else if (config->n_sections < 100) {
        check_places(config, text, len);
    }
    free(copy);
    return config;
}

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "we");

    if (!file || fwrite(text, 1, len, file) != len || fclose(file) != 0)
        abort();
}

/* Nothing outside of the folder may be read: it is not the input's. */
static bool stays_inside(const char *list)
{
    const char *item;
    size_t len;

    if (!list || strstr(list, ".."))
        return false;
    while ((item = list_next(&list, &len)))
        if (*item == '/')
            return false;
    return true;
}

/* In a folder of its own, which is removed: x.ini and conf.d/N.conf. */
static void load_files(const char *input, size_t len)
{
    char folder[64],
        path[128]; /* the folder's name has what glob() takes for a pattern */
    const char *end = input + len, *at = input;
    hop_error error = {{0}};
    struct config *config;
    int n = 0;

    snprintf(folder, sizeof folder, "%s/sockhop-fuzz-[%ld]",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    snprintf(path, sizeof path, "%s/conf.d", folder);
    mkdir(folder, 0700);
    mkdir(path, 0700);
    for (; n < MAX_FILES && at <= end; n++) {
        const char *stop = memchr(at, '\f', (size_t)(end - at));

        if (!stop)
            stop = end;
        if (n == 0)
            snprintf(path, sizeof path, "%s/x.ini", folder);
        else
            snprintf(path, sizeof path, "%s/conf.d/%d.conf", folder, n);
        write_file(path, at, (size_t)(stop - at));
        at = stop + 1;
    }
    snprintf(path, sizeof path, "%s/x.ini", folder);
    config = config_load(path, &error);
    if (config) {
        check_printed(config);
        check_filled(config);
    } else {
        FUZZ_CHECK(has_place(error.text), "a refusal has its place");
    }
    config_free(config);
    unlink(path);
    FUZZ_CHECK(!config_load(path, &error) && strstr(error.text, path),
               "a file that is not there is refused by its name");
    while (--n > 0) {
        snprintf(path, sizeof path, "%s/conf.d/%d.conf", folder, n);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/conf.d", folder);
    rmdir(path);
    rmdir(folder);
}

void fuzz_one(const char *input, size_t len)
{
    const char *stop = memchr(input, '\f', len);
    size_t first_len = stop ? (size_t)(stop - input) : len;
    struct config *config = load_text(input, first_len);

    if (!config) {
        check_as_override(input, len);
        return;
    }
    check_printed(config);
    check_overrides(config);
    check_filled(config);
    if (stays_inside(config_get(config, "server", "include")))
        load_files(input, len);
    check_overridden(config);
    config_free(config);
}
