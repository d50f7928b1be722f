/*
 * nspnames.c - names of namespaces by number: each counted, freed with its last user.
 *
 * Called by: core/socketio/stay.c, link.c. Thread: shard.
 */
#include "core/socketio/nspnames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/socketio/records.h"

enum { FIRST_CAP = 16 };

struct nsp_name {
    UT_hash_handle hh;
    uint32_t number, n_users;
    size_t len;
    char text[];
};

void nsp_names_done(struct nsp_names *names)
{
    assert(!names->by_name);
    free(names->name);
    free(names->free);
    *names = (struct nsp_names){0};
}

static bool is_main(const char *text, size_t len)
{
    return len == 1 && *text == '/';
}

static struct nsp_name *find(const struct nsp_names *names, const char *text, size_t len)
{
    struct nsp_name *found = NULL;

    HASH_FIND(hh, names->by_name, text, len, found);
    return found;
}

/* Both arrays have room for all numbers: giving one back needs none. */
static uint32_t take_number(struct nsp_names *names)
{
    if (names->n_free > 0)
        return names->free[--names->n_free];
    if (names->n + 1 >= names->cap) {
        names->cap = names->cap ? names->cap * 2 : FIRST_CAP;
        names->name = mem_realloc(names->name, names->cap * sizeof *names->name);
        names->free = mem_realloc(names->free, names->cap * sizeof *names->free);
    }
    return ++names->n; /* NSP_MAIN is none of them */
}

uint32_t nsp_names_take(struct nsp_names *names, const char *text, size_t len)
{
    struct nsp_name *name;

    if (is_main(text, len))
        return NSP_MAIN;
    name = find(names, text, len);
    if (!name) {
        name = mem_calloc(1, sizeof *name + len + 1);
        memcpy(name->text, text, len);
        name->len = len;
        name->number = take_number(names);
        names->name[name->number] = name;
        HASH_ADD_KEYPTR(hh, names->by_name, name->text, len, name);
    }
    name->n_users++;
    return name->number;
}

void nsp_names_drop(struct nsp_names *names, uint32_t number)
{
    struct nsp_name *name;

    if (number == NSP_MAIN)
        return;
    name = names->name[number];
    if (--name->n_users > 0)
        return;
    HASH_DEL(names->by_name, name);
    names->name[number] = NULL;
    names->free[names->n_free++] = number;
    free(name);
}

bool nsp_names_find(const struct nsp_names *names, const char *text, size_t len,
                    uint32_t *number)
{
    const struct nsp_name *name;

    *number = NSP_MAIN;
    if (is_main(text, len))
        return true;
    name = find(names, text, len);
    if (name)
        *number = name->number;
    return name != NULL;
}

const char *nsp_names_text(const struct nsp_names *names, uint32_t number, size_t *len)
{
    *len = number == NSP_MAIN ? 1 : names->name[number]->len;
    return number == NSP_MAIN ? "/" : names->name[number]->text;
}
