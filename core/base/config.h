/*
 * config.h - conf files through inih: sections and keys with the place they came from.
 *
 * `include = conf.d/<glob>, ...` in [server] of the first file reads further files, in
 * name order, relative to its folder. A section may stand once in all files together, and a key once in
 * its section; overrides (-o) come last and win. Every error reads
 * `FILE:LINE: section.key: what, and the way out`. Thread: start or logic; read-only
 * once it is filled.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdio.h>

#include <sockhop/config.h>

struct config;

/* Read a file and what it includes. Returns NULL with the reason. Free: config_free(). */
struct config *config_load(const char *path, hop_error *error);
/* Gives up the one reference that it comes with, or one of config_ref(). Takes NULL. */
void config_free(struct config *config);
struct config *config_ref(struct config *config);

/*
 * Read all of it again: the same file and what it includes now, then the same overrides.
 * Returns NULL with the reason. Free: config_free().
 */
struct config *config_load_again(const struct config *config, hop_error *error);

/*
 * The same from memory: name stands for the file in errors, and nothing is included.
 * Free: config_free().
 */
struct config *config_parse(const char *name, const char *text, size_t len,
                            hop_error *error);

/*
 * "section.key=value", as given with -o; the section is made if it is not there. The
 * section ends at the last dot before '=': plugin:lobby.notices=no. Relative paths in it
 * count from the working directory. Before config_fill(): a replaced value is freed.
 * Returns 0, or -1 with the reason.
 */
int config_override(struct config *config, const char *assignment, hop_error *error);

/* The same with its parts, of which place is what errors and -T show: "PORT". */
void config_override_from(struct config *config, const char *section, const char *key,
                          const char *value, const char *place);

/* The sections in file order; NULL behind the last. Borrowed. */
const char *config_section(const struct config *config, size_t n);

/* "FILE:LINE" of a section's header ("-o" for an override's). Borrowed. */
const char *config_section_place(const struct config *config, const char *section);

/* The keys of a section in file order; NULL behind the last, or no section. Borrowed. */
const char *config_key(const struct config *config, const char *section, size_t n);

/* "FILE:LINE" of a key, "-o" for an override, NULL where it is not set. Borrowed. */
const char *config_key_place(const struct config *config, const char *section,
                             const char *key);

/* The raw text of a key, or NULL; marks it as known. Borrowed. */
const char *config_get(const struct config *config, const char *section, const char *key);

/*
 * Check the section against a table and fill state: every key of the table gets its value
 * or its default, every key of the section must be in the table or in `also` (names that
 * somebody else reads, NULL-terminated, or NULL). key_size: sizeof(hop_config_key) of
 * whoever built the table. Strings are borrowed from config. A section that is not there
 * gives the defaults. Returns 0, or -1 with the reason and the nearest valid key.
 */
int config_fill(const struct config *config, const char *section,
                const hop_config_key *keys, size_t key_size, const char *const *also,
                void *state, hop_error *error);

/* An error at a key or section: "FILE:LINE: section.key: text". key may be NULL. */
void config_error(const struct config *config, const char *section, const char *key,
                  hop_error *error, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * Print one section, merged: every key of the table with the value in force, changed ones
 * with their place as a comment. A conf file in any folder may say the same: paths are
 * whole, and an include that has been read is a comment, as is a secret. For -T.
 */
void config_print(const struct config *config, const char *section,
                  const hop_config_key *keys, size_t key_size, FILE *out);

/*
 * Key n of a table into *key; false behind the last. key_size as in config_fill(): what
 * the table lacks is zero.
 */
bool config_key_at(const hop_config_key *keys, size_t key_size, size_t n,
                   hop_config_key *key);

/* A size as a conf file writes it: "4096", "64k". Returns 0, or -1 when it is none. */
int config_read_size(const char *text, int64_t *bytes);

/* A key's default as a conf file writes it, cut to fit. Returns text. */
const char *config_key_default(const hop_config_key *key, char *text, size_t size);

/* A number as a conf file writes it for that key: with the unit of its type. Returns text. */
const char *config_key_number(const hop_config_key *key, int64_t number, char *text,
                              size_t size);

/* The nearest of the words (NULL-terminated), or NULL when none is near. */
const char *config_nearest(const char *word, const char *const *words);

#endif
