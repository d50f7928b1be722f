/*
 * config_read.c - conf files and what they include, through inih.
 *
 * inih takes one line at a time from next_line(), which does what inih does not: it
 * counts lines, refuses long ones and odd bytes, and notes every section header. Blanks
 * before a line are dropped, so that inih never takes it for a continuation.
 * Called by: main.c. Thread: start.
 */
#include "core/base/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/config_store.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/text.h"

/* ---- one text */

struct reader {
    struct config *config;        /* borrowed */
    struct conf_section *section; /* borrowed: the keys go there; NULL at the start */
    const char *name;             /* borrowed: the file, as errors show it */
    const char *folder;           /* borrowed: see struct conf_entry */
    const char *at, *end;         /* borrowed: what is still to read */
    const char *line;             /* borrowed: the line that inih has */
    size_t line_len;
    int n_lines;      /* the number of that line */
    bool is_key_due;  /* inih must find a key in it */
    bool has_failed;  /* error is written */
    hop_error *error; /* borrowed */
};

/* The first failure wins; the next call of next_line() ends the parsing. */
__attribute__((format(printf, 2, 3))) static void fail(struct reader *reader,
                                                       const char *format, ...)
{
    hop_error text;
    va_list values;

    if (reader->has_failed)
        return;
    va_start(values, format);
    if (vsnprintf(text.text, sizeof text.text, format, values) < 0)
        text.text[0] = '\0';
    va_end(values);
    hop_error_set(reader->error, "%s:%d: %s", reader->name, reader->n_lines, text.text);
    reader->has_failed = true;
}

static char *write_place(const struct reader *reader)
{
    size_t size = strlen(reader->name) + 16;
    char *place = mem_alloc(size);

    snprintf(place, size, "%s:%d", reader->name, reader->n_lines);
    return place;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Take the next line: without its end and the blanks around it. */
static void take_line(struct reader *reader)
{
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    const char *end = newline ? newline : reader->end;
    const char *start = reader->at;

    reader->at = newline ? newline + 1 : reader->end;
    reader->n_lines++;
    if (end > start && end[-1] == '\r')
        end--;
    if (end - start > CONF_LINE_BYTES)
        fail(reader, "the line has %zd bytes: at most %d", (ssize_t)(end - start),
             (int)CONF_LINE_BYTES);
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    reader->line = start;
    reader->line_len = (size_t)(end - start);
}

/* Whether the line has a comment or nothing; a NUL byte is refused even there. */
static bool is_comment(struct reader *reader)
{
    const char *line = reader->line;

    if (memchr(line, '\0', reader->line_len))
        fail(reader, "the line has a NUL byte: save the file as UTF-8 text");
    return reader->line_len == 0 || *line == ';' || *line == '#';
}

static void open_section(struct reader *reader, const char *name)
{
    const struct conf_section *first = config_find(reader->config, name);
    char *place;

    if (first) {
        fail(reader, "%s: section appears twice (first at %s): merge them", name,
             first->place);
        return;
    }
    if (reader->config->n_sections >= CONF_SECTIONS) {
        fail(reader, "%s: more than %d sections", name, (int)CONF_SECTIONS);
        return;
    }
    place = write_place(reader);
    reader->section = config_add(reader->config, name, place);
    free(place);
}

/* The line starts with '['. */
static void read_header(struct reader *reader)
{
    const char *start = reader->line + 1;
    const char *line_end = reader->line + reader->line_len;
    const char *end = memchr(start, ']', (size_t)(line_end - start));
    const char *rest = end ? end + 1 : line_end;
    char name[CONF_LINE_BYTES + 1];

    while (rest < line_end && is_blank(*rest))
        rest++;
    if (!end || (rest < line_end && *rest != ';' && *rest != '#')) {
        fail(reader, "a section's line is \"[name]\" and nothing else");
        return;
    }
    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    if (start == end) {
        fail(reader, "the section has no name: write \"[name]\"");
        return;
    }
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    open_section(reader, name);
}

/* inih found no key in the line that it was given. */
static void refuse_line(struct reader *reader)
{
    char shown[64];

    log_escape(shown, sizeof shown, reader->line, reader->line_len);
    fail(reader, "\"%s\" is neither \"[section]\" nor \"key = value\"", shown);
}

/* inih's reader, as fgets(): section headers are read here and never reach it. */
static char *next_line(char *buffer, int size, void *self)
{
    struct reader *reader = self;
    const char *bad;

    if (reader->is_key_due)
        refuse_line(reader);
    if (reader->has_failed || reader->at == reader->end)
        return NULL;
    take_line(reader);
    if (is_comment(reader)) {
        *buffer = '\0';
        return reader->has_failed ? NULL : buffer;
    }
    bad = config_bad_bytes(reader->line, reader->line_len);
    if (bad)
        fail(reader, "the line has %s: save the file as UTF-8 text", bad);
    if (reader->has_failed)
        return NULL;
    if (*reader->line == '[') {
        read_header(reader);
        *buffer = '\0';
        return reader->has_failed ? NULL : buffer;
    }
    if ((int)reader->line_len >= size) {
        fail(reader, "the line has %zu bytes: at most %d", reader->line_len, size - 1);
        return NULL;
    }
    memcpy(buffer, reader->line, reader->line_len);
    buffer[reader->line_len] = '\0';
    reader->is_key_due = true;
    return buffer;
}

/* inih's handler. Its section stays "": ours is the reader's. Returns 0 for an error. */
static int on_key(void *self, const char *inih_section, const char *key,
                  const char *value)
{
    struct reader *reader = self;
    struct conf_section *section = reader->section;
    const struct conf_entry *first;
    char *place;

    (void)inih_section;
    reader->is_key_due = false;
    if (!*key) {
        fail(reader, "the key has no name: write \"key = value\"");
        return 0;
    }
    if (!section) {
        fail(reader,
             "%s: the key stands in no section: put it below \"[server]\" or "
             "another",
             key);
        return 0;
    }
    first = config_section_find(section, key);
    if (first) {
        fail(reader, "%s.%s: key appears twice (first at %s): keep one", section->name,
             key, first->place);
        return 0;
    }
    if (section->n_entries >= CONF_KEYS) {
        fail(reader, "%s: more than %d keys", section->name, (int)CONF_KEYS);
        return 0;
    }
    place = write_place(reader);
    config_set(section, key, value, place, reader->folder);
    free(place);
    return 1;
}

static int read_text(struct config *config, const char *name, const char *folder,
                     const char *text, size_t len, hop_error *error)
{
    static const char bom[] = {'\xef', '\xbb', '\xbf'};
    struct reader reader = {.config = config,
                            .name = name,
                            .folder = folder,
                            .at = text,
                            .end = text + len,
                            .error = error};
    int result;

    if (len >= sizeof bom && memcmp(text, bom, sizeof bom) == 0)
        reader.at += sizeof bom;
    result = ini_parse_stream(next_line, &reader, on_key, &reader);
    if (result != 0) /* what next_line() and on_key() have not seen themselves */
        fail(&reader, "the file cannot be read (inih: %d)", result);
    return reader.has_failed ? -1 : 0;
}

struct config *config_parse(const char *name, const char *text, size_t len,
                            hop_error *error)
{
    struct config *config = config_new();

    if (read_text(config, name, "", text, len, error) == 0)
        return config;
    config_free(config);
    return NULL;
}

/* ---- files */

/* What is read of a file, and which one it was. */
struct slurped {
    char *text; /* owned */
    size_t len;
    dev_t device;
    ino_t inode;
};

/* Read fd up to the cap; errors name path. */
static int slurp_fd(int fd, const char *path, struct slurped *slurped, hop_error *error)
{
    struct stat stat;

    if (fstat(fd, &stat) < 0) {
        hop_error_set(error, "%s: cannot be read: %s", path, strerror(errno));
        return -1;
    }
    if (!S_ISREG(stat.st_mode)) {
        hop_error_set(error, "%s: is %s, not a conf file", path,
                      S_ISDIR(stat.st_mode) ? "a folder" : "no regular file");
        return -1;
    }
    slurped->device = stat.st_dev;
    slurped->inode = stat.st_ino;
    slurped->text = mem_alloc(CONF_FILE_BYTES + 1);
    slurped->len = 0;
    while (slurped->len <= CONF_FILE_BYTES) {
        ssize_t n =
            read(fd, slurped->text + slurped->len, CONF_FILE_BYTES + 1 - slurped->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            hop_error_set(error, "%s: cannot be read: %s", path, strerror(errno));
        if (n <= 0)
            return (int)n;
        slurped->len += (size_t)n;
    }
    hop_error_set(error, "%s: larger than %d bytes: is it a conf file?", path,
                  (int)CONF_FILE_BYTES);
    return -1;
}

/* On success the text is the caller's to free. */
static int slurp(const char *path, struct slurped *slurped, hop_error *error)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO does not block */
    int result;

    slurped->text = NULL;
    if (fd < 0) {
        hop_error_set(error, "%s: cannot be opened: %s", path, strerror(errno));
        return -1;
    }
    result = slurp_fd(fd, path, slurped, error);
    close(fd);
    if (result < 0) {
        free(slurped->text);
        slurped->text = NULL;
    }
    return result;
}

/* The folder of a file with a '/' at its end, or "". Owned by the caller. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return mem_strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

/* ---- includes */

struct loader {
    struct config *config; /* borrowed */
    char *folder;          /* owned: of the first file */
    struct slurped *files; /* owned: those read so far, their texts freed */
    size_t n_files;
    hop_error *error; /* borrowed */
};

static void loader_done(struct loader *loader)
{
    free(loader->folder);
    free(loader->files);
}

__attribute__((format(printf, 2, 3))) static int fail_include(struct loader *loader,
                                                              const char *format, ...)
{
    hop_error text;
    va_list values;

    va_start(values, format);
    if (vsnprintf(text.text, sizeof text.text, format, values) < 0)
        text.text[0] = '\0';
    va_end(values);
    config_error(loader->config, "server", "include", loader->error, "%s", text.text);
    return -1;
}

static bool was_read(const struct loader *loader, const struct slurped *file)
{
    for (size_t i = 0; i < loader->n_files; i++)
        if (loader->files[i].device == file->device &&
            loader->files[i].inode == file->inode)
            return true;
    return false;
}

/* Takes the text over: freed even on failure. */
static int load_slurped(struct loader *loader, const char *path, struct slurped *file)
{
    char *folder = folder_of(path);
    int result =
        read_text(loader->config, path, folder, file->text, file->len, loader->error);

    free(folder);
    free(file->text);
    file->text = NULL;
    loader->files =
        mem_realloc(loader->files, (loader->n_files + 1) * sizeof *loader->files);
    loader->files[loader->n_files++] = *file;
    return result;
}

static int include_file(struct loader *loader, const char *path)
{
    struct slurped file;
    hop_error reason;

    if (slurp(path, &file, &reason) < 0)
        return fail_include(loader, "%s", reason.text);
    if (was_read(loader, &file)) {
        free(file.text);
        return fail_include(loader, "%s has been read already: name it once", path);
    }
    return load_slurped(loader, path, &file);
}

/* glob()'s complaint about a folder: one that is not there holds no matches. */
static int on_glob_error(const char *path, int code)
{
    (void)path;
    return code != ENOENT && code != ENOTDIR;
}

static int include_glob(struct loader *loader, const char *pattern)
{
    glob_t found = {0};
    int result = glob(pattern, 0, on_glob_error, &found);

    if (result == GLOB_NOMATCH)
        result = 0;
    else if (result != 0)
        result = fail_include(loader, "%s: cannot be searched: %s", pattern,
                              result == GLOB_NOSPACE ? "out of memory"
                                                     : "a folder cannot be read");
    for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
        result = include_file(loader, found.gl_pathv[i]);
    globfree(&found);
    return result;
}

/* folder + item, the folder's own wildcards escaped for glob(). Owned by the caller. */
static char *join(const char *folder, const char *item, size_t len, bool is_pattern)
{
    char *path = mem_alloc(2 * strlen(folder) + len + 1);
    char *at = path;

    for (; *folder && item[0] != '/'; folder++) {
        if (is_pattern && strchr("*?[]\\", *folder))
            *at++ = '\\';
        *at++ = *folder;
    }
    memcpy(at, item, len);
    at[len] = '\0';
    return path;
}

static int include_item(struct loader *loader, const char *item, size_t len)
{
    bool is_pattern = strcspn(item, "*?[") < len;
    char *path = join(loader->folder, item, len, is_pattern);
    int result = is_pattern ? include_glob(loader, path) : include_file(loader, path);

    free(path);
    return result;
}

static int include_all(struct loader *loader)
{
    struct conf_entry *entry = config_find_key(loader->config, "server", "include");
    const char *list = entry ? entry->value : NULL;
    const char *item;
    size_t len;

    if (entry)
        entry->is_known = entry->is_spent = true;
    while ((item = list_next(&list, &len)))
        if (include_item(loader, item, len) < 0)
            return -1;
    return 0;
}

struct config *config_load(const char *path, hop_error *error)
{
    struct loader loader = {.error = error};
    struct slurped file;
    int result;

    if (slurp(path, &file, error) < 0)
        return NULL;
    loader.config = config_new();
    loader.config->path = mem_strdup(path);
    loader.folder = folder_of(path);
    result = load_slurped(&loader, path, &file);
    if (result == 0)
        result = include_all(&loader);
    loader_done(&loader);
    if (result == 0)
        return loader.config;
    config_free(loader.config);
    return NULL;
}
