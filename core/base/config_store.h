/*
 * config_store.h - what a struct config is made of; for the config_*.c files alone.
 * Thread: start.
 */
#ifndef BASE_CONFIG_STORE_H
#define BASE_CONFIG_STORE_H

#include <stddef.h>

#include "core/base/config.h"

enum {
    CONF_FILE_BYTES = 1 << 20, /* a file of more is no conf file */
    CONF_LINE_BYTES = 198,     /* inih's line buffer holds 200: line, newline, NUL */
    CONF_SECTIONS = 1000,      /* they are found by walking, so that few are enough */
    CONF_KEYS = 1000           /* of one section */
};

/* One key as it was written. */
struct conf_entry {
    char *key;     /* owned */
    char *value;   /* owned: blanks around it and comments behind it are gone */
    char *place;   /* owned: "FILE:LINE" or "-o" */
    char *folder;  /* owned: relative paths count from it: "" or with a '/' at its end */
    char *path;    /* owned: the value as a path; NULL until somebody asks */
    bool is_known; /* somebody reads it */
    bool is_spent; /* include: its files are here already; printed as a comment */
};

struct conf_section {
    char *name;                  /* owned */
    char *place;                 /* owned */
    struct conf_entry **entries; /* owned, in the order of the file */
    size_t n_entries;
};

struct config {
    struct conf_section **sections; /* owned, in the order of the files */
    size_t n_sections;
    char *path;         /* owned: of the first file; NULL: from memory */
    char **assignments; /* owned, and they: those of config_override() */
    size_t n_assignments;
    unsigned n_refs;
};

struct config *config_new(void);
struct conf_section *config_find(const struct config *config, const char *section);
struct conf_entry *config_find_key(const struct config *config, const char *section,
                                   const char *key);

/* Each returns the new or changed one; strings are copied. Borrowed. */
struct conf_section *config_add(struct config *config, const char *section,
                                const char *place);
struct conf_entry *config_set(struct conf_section *section, const char *key,
                              const char *value, const char *place, const char *folder);
struct conf_entry *config_section_find(const struct conf_section *section,
                                       const char *key);

/* What is wrong with bytes that stand in a conf file or in -o, or NULL. */
const char *config_bad_bytes(const char *text, size_t len);

#endif
