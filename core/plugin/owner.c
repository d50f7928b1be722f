/*
 * owner.c - the table of the plugins' code: see owner.h.
 *
 * Code is mapped for the whole process, so the table is the process's. It has a row for each
 * plugin, and is read in every hop_post(): a walk over a handful of rows.
 * Called by: loader.c, plugin.c (plugins come and go), posts.c, timers.c, watches.c, jobs.c.
 * Thread: logic writes, under the mutex; any reads, under it too.
 */
#include "core/plugin/owner.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/plugin/state.h"

struct owner {
    uint64_t id;
    uintptr_t from, to;    /* of its code; both 0: it has none of its own */
    struct plugin *plugin; /* borrowed: NULL when it has gone */
};

static struct {
    pthread_mutex_t mutex;
    struct owner *row; /* owned */
    size_t n;
    uint64_t last_id;
} owners = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- where code lies */

struct search {
    const struct link_map *map;
    uintptr_t from, to;
};

/* What the linker has reserved for one object is one piece: all its segments. */
static int take_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *search = arg;

    (void)size;
    if (info->dlpi_addr != search->map->l_addr)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + segment->p_vaddr;

        if (segment->p_type != PT_LOAD)
            continue;
        if (search->to == 0 || from < search->from)
            search->from = from;
        if (from + segment->p_memsz > search->to)
            search->to = from + segment->p_memsz;
    }
    return 1;
}

static struct search find_code(void *code)
{
    struct search search = {NULL, 0, 0};
    struct link_map *map;

    if (!code || dlinfo(code, RTLD_DI_LINKMAP, &map) != 0)
        return search;
    search.map = map;
    dl_iterate_phdr(take_object, &search);
    return search;
}

/* ---- rows; the mutex is held */

static struct owner *find_row(uint64_t id)
{
    for (size_t i = 0; i < owners.n; i++)
        if (owners.row[i].id == id)
            return &owners.row[i];
    return NULL;
}

static void drop_row(struct owner *row)
{
    *row = owners.row[--owners.n];
    if (owners.n > 0)
        return;
    free(owners.row);
    owners.row = NULL;
}

/* Of code that was there before: a plugin that has gone, loaded again from the same file. */
static void drop_overlaps(uintptr_t from, uintptr_t to)
{
    for (size_t i = owners.n; i-- > 0;)
        if (owners.row[i].from < to && from < owners.row[i].to)
            drop_row(&owners.row[i]);
}

static void add_row(struct plugin *plugin, uintptr_t from, uintptr_t to)
{
    plugin->owner = ++owners.last_id;
    owners.row = mem_realloc(owners.row, (owners.n + 1) * sizeof *owners.row);
    owners.row[owners.n++] = (struct owner){plugin->owner, from, to, plugin};
}

/* ---- the header's functions */

void owner_enter(struct plugin *plugin)
{
    struct search code = find_code(plugin->code);

    pthread_mutex_lock(&owners.mutex);
    drop_overlaps(code.from, code.to);
    add_row(plugin, code.from, code.to);
    pthread_mutex_unlock(&owners.mutex);
}

void owner_leave(const struct plugin *plugin)
{
    struct owner *row;

    pthread_mutex_lock(&owners.mutex);
    row = find_row(plugin->owner);
    if (row && row->to > 0)
        row->plugin = NULL;
    else if (row)
        drop_row(row);
    pthread_mutex_unlock(&owners.mutex);
}

void owner_unmap(const struct plugin *plugin)
{
    struct owner *row;

    pthread_mutex_lock(&owners.mutex);
    row = find_row(plugin->owner);
    if (row)
        drop_row(row);
    pthread_mutex_unlock(&owners.mutex);
}

void owners_clear(void)
{
    pthread_mutex_lock(&owners.mutex);
    free(owners.row);
    owners.row = NULL;
    owners.n = 0;
    pthread_mutex_unlock(&owners.mutex);
}

uint64_t owner_at(uintptr_t code)
{
    uint64_t id = 0;

    pthread_mutex_lock(&owners.mutex);
    for (size_t i = 0; i < owners.n; i++)
        if (code >= owners.row[i].from && code < owners.row[i].to)
            id = owners.row[i].id;
    pthread_mutex_unlock(&owners.mutex);
    return id;
}

uint64_t owner_of(struct plugin *plugin)
{
    if (!owner_plugin(plugin->owner)) {
        pthread_mutex_lock(&owners.mutex);
        add_row(plugin, 0, 0);
        pthread_mutex_unlock(&owners.mutex);
    }
    return plugin->owner;
}

struct plugin *owner_plugin(uint64_t owner)
{
    struct plugin *plugin = NULL;
    struct owner *row;

    pthread_mutex_lock(&owners.mutex);
    row = find_row(owner);
    if (row)
        plugin = row->plugin;
    pthread_mutex_unlock(&owners.mutex);
    return plugin;
}

bool owner_find(const hop_server *server, uintptr_t code, struct plugin **plugin)
{
    uint64_t owner = owner_at(code);

    *plugin = owner ? owner_plugin(owner) : server->current;
    return !owner || *plugin;
}
