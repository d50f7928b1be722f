/*
 * config_doc.h - tables of keys as documentation: --config-doc. Thread: start.
 */
#ifndef BASE_CONFIG_DOC_H
#define BASE_CONFIG_DOC_H

#include <stdio.h>

#include <sockhop/config.h>

enum config_doc {
    CONFIG_DOC_TEXT, /* to be read */
    CONFIG_DOC_CONF  /* a conf file: every key commented out, at its default */
};

/* One section: each key with its help, type, bounds and default. about: a line on the
 * section itself, or NULL. key_size as in config_fill(). */
void config_doc(enum config_doc format, const char *section, const char *about,
                const hop_config_key *keys, size_t key_size, FILE *out);

#endif
