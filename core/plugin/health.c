/*
 * health.c - how plugins say that they are.
 *
 * Called by: plugins (hop_health_new() in init(), hop_health_set() in any thread), server.c,
 * change.c. The checks are the process's, as a handle knows no server, and stand under a
 * mutex, held for as long as it takes to print them.
 */
#include "core/plugin/health.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/health.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/loop/slots.h"
#include "core/plugin/state.h"

enum { /* promised in the header */
       CHECKS_A_PLUGIN = 16,
       NAME_MAX_BYTES = 32,
       TEXT_MAX_BYTES = 200
};

struct check {
    const struct plugin *plugin; /* borrowed */
    hop_health self, before;     /* before: of the code that it is to replace, or none */
    char name[NAME_MAX_BYTES + 1];
    hop_health_state state;
    char text[TEXT_MAX_BYTES + 1];
    bool was_set;
    uint64_t serial; /* of its registration */
};

static struct {
    pthread_mutex_t mutex;
    struct slots checks; /* owned, and they; stays, for the generations */
    uint64_t n_added;
} all = {.mutex = PTHREAD_MUTEX_INITIALIZER, .checks = {.free_head = UINT32_MAX}};

/* The next check of a plugin from *slot on, or NULL. The mutex is held. */
static struct check *next_of(const struct plugin *plugin, uint32_t *slot)
{
    while (*slot < all.checks.n) {
        struct check *check = slots_at(&all.checks, (*slot)++);

        if (check && check->plugin == plugin)
            return check;
    }
    return NULL;
}

static struct check *find(const struct plugin *plugin, const char *name)
{
    struct check *check;
    uint32_t slot = 0;

    while ((check = next_of(plugin, &slot)))
        if (strcmp(check->name, name) == 0)
            return check;
    return NULL;
}

static size_t count(const struct plugin *plugin)
{
    uint32_t slot = 0;
    size_t n = 0;

    while (next_of(plugin, &slot))
        n++;
    return n;
}

/* ---- the public functions */

static hop_health add(const struct plugin *plugin, const char *name)
{
    const struct check *before = plugin->replaces ? find(plugin->replaces, name) : NULL;
    struct check *check = mem_calloc(1, sizeof *check);

    check->plugin = plugin;
    check->serial = all.n_added++;
    strcpy(check->name, name);
    check->state = HOP_UNHEALTHY;
    strcpy(check->text, "not known yet");
    check->before = before ? before->self : HOP_NO_HEALTH;
    check->self = slots_add(&all.checks, check);
    if (check->self)
        return check->self;
    free(check);
    return HOP_NO_HEALTH;
}

hop_health hop_health_new(hop_server *server, const char *name)
{
    hop_health health = HOP_NO_HEALTH;
    const char *fault = NULL;

    if (!in_init(server, __func__))
        return HOP_NO_HEALTH;
    if (!is_short_name(name, NAME_MAX_BYTES)) {
        refuse(server, "hop_health_new(): a name is [a-z][a-z0-9_]*, at most 32 bytes");
        return HOP_NO_HEALTH;
    }
    pthread_mutex_lock(&all.mutex);
    if (find(server->current, name))
        fault = "the plugin has it already";
    else if (count(server->current) == CHECKS_A_PLUGIN)
        fault = "the plugin has 16 already";
    else if (!(health = add(server->current, name)))
        fault = "all plugins have 16777216 already";
    pthread_mutex_unlock(&all.mutex);
    if (fault)
        refuse(server, "hop_health_new(\"%s\"): %s", name, fault);
    return health;
}

int hop_health_set(hop_health health, hop_health_state state, const char *text)
{
    const size_t len = text ? utf8_cut(text, TEXT_MAX_BYTES) : 0;
    struct check *check;

    if ((unsigned)state > HOP_UNHEALTHY)
        return -1;
    pthread_mutex_lock(&all.mutex);
    check = slots_get(&all.checks, health);
    if (check) {
        check->state = state;
        check->was_set = true;
        memcpy(check->text, text ? text : "", len);
        check->text[len] = '\0';
    }
    pthread_mutex_unlock(&all.mutex);
    return check ? 0 : -1;
}

/* ---- the header's functions */

static void print_one(const struct check *check, FILE *out)
{
    static const char *const words[] = {"healthy", "degraded", "unhealthy"};
    char text[6 * TEXT_MAX_BYTES + 1]; /* escaped: \u2028 is the longest */

    fprintf(out, "%s.%s %s", check->plugin->name, check->name, words[check->state]);
    if (*check->text)
        fprintf(out, " \"%s\"",
                log_escape(text, sizeof text, check->text, strlen(check->text)));
    fputc('\n', out);
}

/* As their plugins come, whichever slots they have. */
static int compare(const void *left, const void *right)
{
    const struct check *a = *(const struct check *const *)left,
                       *b = *(const struct check *const *)right;

    if (a->plugin->order != b->plugin->order)
        return a->plugin->order < b->plugin->order ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

bool health_print(FILE *out)
{
    const struct check **live;
    bool is_ready = true;
    size_t n = 0;

    pthread_mutex_lock(&all.mutex);
    live = mem_calloc(all.checks.n, sizeof(const struct check *));
    for (uint32_t slot = 0; slot < all.checks.n; slot++) {
        const struct check *check = slots_at(&all.checks, slot);

        if (check && check->plugin->is_live)
            live[n++] = check;
    }
    qsort(live, n, sizeof(const struct check *), compare);
    for (size_t i = 0; i < n; i++) {
        print_one(live[i], out);
        is_ready = is_ready && live[i]->state != HOP_UNHEALTHY;
    }
    pthread_mutex_unlock(&all.mutex);
    free(live);
    return is_ready;
}

static void take_over(const struct check *from, struct check *to)
{
    to->before = HOP_NO_HEALTH;
    if (to->was_set)
        return;
    to->state = from->state;
    to->was_set = from->was_set;
    strcpy(to->text, from->text);
}

/* The mutex is held. */
static void yield(const struct plugin *plugin)
{
    for (uint32_t slot = 0; slot < all.checks.n; slot++) {
        struct check *to = slots_at(&all.checks, slot);
        const struct check *from = to ? slots_get(&all.checks, to->before) : NULL;

        if (from && from->plugin == plugin)
            take_over(from, to);
    }
}

void health_yield(const struct plugin *plugin)
{
    pthread_mutex_lock(&all.mutex);
    yield(plugin);
    pthread_mutex_unlock(&all.mutex);
}

void health_remove(const struct plugin *plugin)
{
    struct check *check;
    uint32_t slot = 0;

    pthread_mutex_lock(&all.mutex);
    yield(plugin);
    while ((check = next_of(plugin, &slot))) {
        slots_remove(&all.checks, check->self);
        free(check);
    }
    pthread_mutex_unlock(&all.mutex);
}
