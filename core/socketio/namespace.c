/*
 * namespace.c - namespaces: declared at start, made and freed as clients come and go.
 *
 * Called by: core/socketio/hub.c, connect.c, socket.c, room.c, emit.c. Thread: logic.
 */
#include "core/socketio/namespace.h"

#include <assert.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/records.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

/* One of the three. */
struct declaration {
    char *name;     /* owned: the namespace's, the pattern, or the hook's label */
    regex_t *whole; /* owned: of a pattern, bound to the whole name */
    bool (*accept)(const struct hub_connect *connect, void *arg); /* of a hook */
    void *arg;
    bool is_fixed;  /* the conf file's, or "/": never closed */
    bool is_closed; /* nobody answers for it: no client gets in */
};

/* ---- its sockets */

struct socket_id {
    const char *text;
    size_t len;
};

static uint32_t hash_of_socket(const void *object)
{
    const struct socket *socket = object;

    return hash_bytes(socket_id(socket), socket->id_len);
}

static bool has_id(const void *object, const void *key)
{
    const struct socket *socket = object;
    const struct socket_id *id = key;

    return socket->id_len == id->len && memcmp(socket_id(socket), id->text, id->len) == 0;
}

void namespace_add_socket(struct namespace *nsp, struct socket *socket)
{
    socket->previous = nsp->last_socket;
    *(nsp->last_socket ? &nsp->last_socket->next : &nsp->sockets) = socket;
    nsp->last_socket = socket;
    lookup_add(&nsp->ids, socket);
}

void namespace_remove_socket(struct namespace *nsp, struct socket *socket)
{
    *(socket->previous ? &socket->previous->next : &nsp->sockets) = socket->next;
    *(socket->next ? &socket->next->previous : &nsp->last_socket) = socket->previous;
    lookup_remove(&nsp->ids, socket);
}

struct socket *namespace_find_id(const struct namespace *nsp, const char *id, size_t len)
{
    const struct socket_id key = {id, len};

    return lookup_find(&nsp->ids, hash_bytes(id, len), has_id, &key);
}

/* ---- one namespace */

static struct namespace *namespace_new(struct hub *hub, const char *name, size_t len,
                                       int declared)
{
    struct namespace *nsp = mem_calloc(1, sizeof *nsp);

    nsp->hub = hub;
    nsp->name = mem_strndup(name, len);
    nsp->name_len = len;
    nsp->declared = declared;
    nsp->all = room_new_unnamed(nsp);
    lookup_init(&nsp->ids, hash_of_socket);
    return nsp;
}

static void namespace_free(struct namespace *nsp)
{
    assert(!nsp->sockets && !nsp->rooms);
    room_unpin(nsp->all);
    lookup_done(&nsp->ids);
    free(nsp->name);
    free(nsp);
}

struct room *namespace_find_room(const struct namespace *nsp, const char *name,
                                 size_t len)
{
    struct room *found = NULL;

    HASH_FIND(hh, nsp->rooms, name, len, found);
    return found;
}

bool namespace_is_name(const char *name, size_t len)
{
    return len >= 1 && len <= SIO_MAX_NSP && *name == '/' && !memchr(name, '\0', len) &&
           !memchr(name, ',', len) && utf8_is_valid(name, len);
}

/* ---- declarations */

static int add_declaration(struct namespaces *spaces, struct declaration declaration)
{
    spaces->declared = mem_realloc(spaces->declared, ((size_t)spaces->n_declared + 1) *
                                                         sizeof *spaces->declared);
    spaces->declared[spaces->n_declared] = declaration;
    return spaces->n_declared++;
}

int namespaces_find_declared(const struct namespaces *spaces, const char *name)
{
    int number = 0;

    while (number < spaces->n_declared &&
           strcmp(spaces->declared[number].name, name) != 0)
        number++;
    return number < spaces->n_declared ? number : -1;
}

int namespaces_find_family(const struct namespaces *spaces, const char *name)
{
    int number = namespaces_find_declared(spaces, name);

    return number >= 0 &&
                   (spaces->declared[number].whole || spaces->declared[number].accept)
               ? number
               : -1;
}

static struct namespace *add_namespace(struct namespaces *spaces, struct hub *hub,
                                       const char *name, size_t len, int declared)
{
    struct namespace *nsp = namespace_new(hub, name, len, declared);

    nsp->number = ++spaces->n_made;
    HASH_ADD_KEYPTR(hh, spaces->by_name, nsp->name, nsp->name_len, nsp);
    return nsp;
}

int namespaces_declare(struct namespaces *spaces, struct hub *hub, const char *name)
{
    int number = namespaces_find_declared(spaces, name);

    if (number >= 0)
        return number;
    number = add_declaration(spaces, (struct declaration){.name = mem_strdup(name)});
    add_namespace(spaces, hub, name, strlen(name), number);
    return number;
}

/* Bound to the whole name, whatever alternatives the pattern has. */
static int compile(regex_t *out, const char *pattern, hop_error *error)
{
    size_t size = strlen(pattern) + sizeof "^()$";
    char *whole = mem_alloc(size), reason[200];
    int result;

    snprintf(whole, size, "^(%s)$", pattern);
    result = regcomp(out, whole, REG_EXTENDED | REG_NOSUB);
    free(whole);
    if (result == 0)
        return 0;
    regerror(result, NULL, reason, sizeof reason);
    hop_error_set(error, "\"%s\" is no extended regular expression: %s", pattern, reason);
    return -1;
}

int namespaces_declare_pattern(struct namespaces *spaces, const char *pattern,
                               hop_error *error)
{
    int number = namespaces_find_declared(spaces, pattern);
    struct declaration declaration = {0};

    if (number >= 0)
        return number;
    declaration.whole = mem_alloc(sizeof *declaration.whole);
    if (compile(declaration.whole, pattern, error) < 0) {
        free(declaration.whole);
        return -1;
    }
    declaration.name = mem_strdup(pattern);
    return add_declaration(spaces, declaration);
}

int namespaces_declare_hook(struct namespaces *spaces, const char *label,
                            bool (*accept)(const struct hub_connect *connect, void *arg),
                            void *arg)
{
    if (namespaces_find_declared(spaces, label) >= 0)
        return -1;
    return add_declaration(
        spaces,
        (struct declaration){.name = mem_strdup(label), .accept = accept, .arg = arg});
}

void namespaces_set_open(struct namespaces *spaces, int number, bool is_open)
{
    struct declaration *declaration = &spaces->declared[number];

    declaration->is_closed = !is_open && !declaration->is_fixed;
}

static bool fits(const struct declaration *declaration, const struct hub_connect *connect)
{
    if (declaration->is_closed)
        return false;
    if (declaration->whole)
        return regexec(declaration->whole, connect->nsp, 0, NULL, 0) == 0;
    return declaration->accept && declaration->accept(connect, declaration->arg);
}

/* ---- all of them */

void namespaces_init(struct namespaces *spaces, struct hub *hub,
                     const struct settings *settings)
{
    const char *list = settings->namespaces, *item;
    size_t len;

    *spaces = (struct namespaces){
        .max_dynamic = (size_t)settings->max_namespaces,
        .cleans_up = settings->cleanup_empty_child_namespaces,
    };
    namespaces_declare(spaces, hub, "/");
    spaces->main = namespaces_find(spaces, "/", 1);
    spaces->nowhere = namespace_new(hub, "", 0, -1);
    while (list && (item = list_next(&list, &len))) {
        char *name = mem_strndup(item, len);

        namespaces_declare(spaces, hub, name);
        free(name);
    }
    for (int i = 0; i < spaces->n_declared; i++)
        spaces->declared[i].is_fixed = true;
}

void namespaces_done(struct namespaces *spaces)
{
    struct namespace *nsp, *next;

    namespaces_end_turn(spaces);
    HASH_ITER(hh, spaces->by_name, nsp, next)
    {
        HASH_DEL(spaces->by_name, nsp);
        namespace_free(nsp);
    }
    namespace_free(spaces->nowhere);
    for (int i = 0; i < spaces->n_declared; i++) {
        if (spaces->declared[i].whole)
            regfree(spaces->declared[i].whole);
        free(spaces->declared[i].whole);
        free(spaces->declared[i].name);
    }
    free(spaces->declared);
}

struct namespace *namespaces_find(const struct namespaces *spaces, const char *name,
                                  size_t len)
{
    struct namespace *found = NULL;

    HASH_FIND(hh, spaces->by_name, name, len, found);
    return found;
}

static void note(struct namespaces *spaces, const struct namespace *nsp, int n)
{
    const struct hub_upper *upper = &nsp->hub->upper;
    char name[4 * SIO_MAX_NSP + 1];

    spaces->n_dynamic += (size_t)n;
    metric_add(&nsp->hub->loop->metrics, METRIC_NAMESPACES, n);
    if (upper->on_namespace)
        upper->on_namespace(nsp->name, nsp->declared, n > 0, upper->arg);
    if (!hop_log_enabled(HOP_DEBUG))
        return;
    log_escape(name, sizeof name, nsp->name, nsp->name_len);
    hop_log(HOP_DEBUG, "namespace.%s namespace=\"%s\"", n > 0 ? "made" : "gone", name);
}

struct namespace *namespaces_get(struct namespaces *spaces, struct hub *hub,
                                 const struct hub_connect *connect, const char **reason)
{
    size_t len = connect->nsp_len;
    struct namespace *nsp = namespaces_find(spaces, connect->nsp, len);
    int number = 0;

    *reason = INVALID_NAMESPACE;
    if (nsp)
        return spaces->declared[nsp->declared].is_closed ? NULL : nsp;
    if (!namespace_is_name(connect->nsp, len))
        return NULL;
    while (number < spaces->n_declared && !fits(&spaces->declared[number], connect))
        number++;
    if (number == spaces->n_declared)
        return NULL;
    if (spaces->n_dynamic >= spaces->max_dynamic) {
        *reason = TOO_MANY_NAMESPACES;
        return NULL;
    }
    nsp = add_namespace(spaces, hub, connect->nsp, len, number);
    nsp->is_dynamic = true;
    note(spaces, nsp, 1);
    return nsp;
}

void namespaces_on_empty(struct namespaces *spaces, struct namespace *nsp)
{
    if (!nsp->is_dynamic || !spaces->cleans_up || nsp->is_emptied)
        return;
    nsp->is_emptied = true;
    nsp->next_emptied = spaces->emptied;
    spaces->emptied = nsp;
}

/* Until now targets and hooks of this turn may have spoken of it. */
void namespaces_end_turn(struct namespaces *spaces)
{
    while (spaces->emptied) {
        struct namespace *nsp = spaces->emptied;

        spaces->emptied = nsp->next_emptied;
        nsp->is_emptied = false;
        if (nsp->sockets || nsp->rooms)
            continue;
        HASH_DEL(spaces->by_name, nsp);
        note(spaces, nsp, -1);
        if (nsp->hub->upper.on_gone)
            nsp->hub->upper.on_gone(HUB_NAMESPACE, nsp->number, nsp->hub->upper.arg);
        namespace_free(nsp);
    }
}
