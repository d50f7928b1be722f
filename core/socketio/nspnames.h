/*
 * nspnames.h - what the namespaces are called that the links of a shard have asked for.
 *
 * Packets bring names, links hold numbers: a name is kept once, and only while a link needs
 * it. Numbers are this shard's own; "/" is NSP_MAIN and needs no entry. Thread: shard.
 */
#ifndef SOCKETIO_NSPNAMES_H
#define SOCKETIO_NSPNAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nsp_name;

struct nsp_names {
    struct nsp_name *by_name; /* owned: hashed */
    struct nsp_name **name;   /* borrowed: by number; NULL where it is free */
    uint32_t *free;           /* owned: numbers that were given back */
    uint32_t n, n_free, cap;
};

void nsp_names_done(struct nsp_names *names); /* after the last drop */

/* The number of a name, for one link more. */
uint32_t nsp_names_take(struct nsp_names *names, const char *text, size_t len);
/* For one link less. */
void nsp_names_drop(struct nsp_names *names, uint32_t number);
/* Whether a link has taken the name; its number. */
bool nsp_names_find(const struct nsp_names *names, const char *text, size_t len,
                    uint32_t *number);
/* NUL-terminated; borrowed until the last drop. */
const char *nsp_names_text(const struct nsp_names *names, uint32_t number, size_t *len);

#endif
