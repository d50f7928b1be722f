/*
 * running.c - a sequence lock of three pointers: the writer waits for nobody, since it runs
 * around every call of a plugin; a reader that was overtaken reads again.
 *
 * Copying the names there would cost 20 ns a call, seven times what this does.
 * Called by: core/plugin; watchdog.c, crash.c. Thread: as running.h says.
 */
#include "core/base/running.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"

enum { TRIES = 100 };

struct name {
    UT_hash_handle hh;
    char text[]; /* the key */
};

static struct name *names; /* never freed; logic */

/* A pointer that has been stored is seen together with the odd number before it: hence
 * release and acquire. plugin is NULL while the core's own code runs. */
static struct {
    atomic_uint serial; /* odd while it is written */
    _Atomic(const char *) plugin, kind, what;
} now;

const char *running_name(const char *text)
{
    size_t len = strlen(text);
    struct name *name;

    HASH_FIND(hh, names, text, len, name);
    if (name)
        return name->text;
    name = mem_calloc(1, sizeof *name + len + 1);
    memcpy(name->text, text, len);
    HASH_ADD_KEYPTR(hh, names, name->text, len, name);
    return name->text;
}

void running_set(const char *plugin, const char *kind, const char *what)
{
    unsigned serial = atomic_load_explicit(&now.serial, memory_order_relaxed);

    atomic_store_explicit(&now.serial, serial + 1, memory_order_relaxed);
    atomic_store_explicit(&now.plugin, plugin, memory_order_release);
    atomic_store_explicit(&now.kind, kind, memory_order_release);
    atomic_store_explicit(&now.what, what, memory_order_release);
    atomic_store_explicit(&now.serial, serial + 2, memory_order_release);
}

void running_clear(void)
{
    atomic_store_explicit(&now.plugin, NULL, memory_order_release);
}

bool running_get(struct running *out)
{
    for (int i = 0; i < TRIES; i++) {
        unsigned before = atomic_load_explicit(&now.serial, memory_order_acquire);

        out->plugin = atomic_load_explicit(&now.plugin, memory_order_acquire);
        out->kind = atomic_load_explicit(&now.kind, memory_order_acquire);
        out->what = atomic_load_explicit(&now.what, memory_order_acquire);
        if (before % 2 == 0 &&
            before == atomic_load_explicit(&now.serial, memory_order_relaxed))
            return out->plugin != NULL;
    }
    return false;
}
