/*
 * fields.c - fields of log lines, by socket.
 *
 * Called by: plugins, server.c, change.c, and whoever logs of a socket in logic. Thread: logic.
 */
#include "core/plugin/fields.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/logfield.h>

#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/state.h"
#include "core/socketio/hub.h"

enum { /* promised in the header */
       FIELDS_A_PLUGIN = 8,
       NAME_MAX_BYTES = 32,
       VALUE_MAX_BYTES = 64
};

struct field {
    struct field *next;
    const struct plugin *plugin; /* borrowed */
    char name[NAME_MAX_BYTES + 1];
    char value[VALUE_MAX_BYTES +
               1]; /* as it was given: it is escaped when it is written */
};

/* Of one socket; not empty. */
struct field_set {
    UT_hash_handle hh;
    hop_socket socket;
    struct field *first; /* owned: the oldest comes first */
};

static struct field_set *find_set(const hop_server *server, hop_socket socket)
{
    struct field_set *found = NULL;

    if (server->fields.sets)
        HASH_FIND(hh, server->fields.sets, &socket, sizeof socket, found);
    return found;
}

static struct field **find_field(struct field_set *set, const struct plugin *plugin,
                                 const char *name)
{
    struct field **at = &set->first;

    while (*at && ((*at)->plugin != plugin || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    return at;
}

static void remove_at(struct field **at)
{
    struct field *field = *at;

    *at = field->next;
    free(field);
}

static void free_set(hop_server *server, struct field_set *set)
{
    while (set->first)
        remove_at(&set->first);
    HASH_DEL(server->fields.sets, set);
    free(set);
}

/* ---- the public function */

static size_t count(const struct field_set *set, const struct plugin *plugin)
{
    size_t n = 0;

    for (const struct field *field = set->first; field; field = field->next)
        n += field->plugin == plugin;
    return n;
}

static struct field_set *need_set(hop_server *server, hop_socket socket)
{
    struct field_set *set = find_set(server, socket);

    if (set)
        return set;
    set = mem_calloc(1, sizeof *set);
    set->socket = socket;
    HASH_ADD(hh, server->fields.sets, socket, sizeof set->socket, set);
    return set;
}

static struct field *field_new(struct field_set *set, const struct plugin *plugin,
                               const char *name)
{
    struct field *field = mem_calloc(1, sizeof *field);
    struct field **at = &set->first;

    while (*at)
        at = &(*at)->next;
    *at = field;
    field->plugin = plugin;
    strcpy(field->name, name);
    return field;
}

static void set_value(struct field *field, const char *value)
{
    const size_t len = utf8_cut(value, VALUE_MAX_BYTES);

    memcpy(field->value, value, len);
    field->value[len] = '\0';
}

static void take_away(hop_server *server, hop_socket socket, const char *name)
{
    struct field_set *set = find_set(server, socket);
    struct field **at = set ? find_field(set, server->current, name) : NULL;

    if (!at || !*at)
        return;
    remove_at(at);
    if (!set->first)
        free_set(server, set);
}

int hop_socket_log_field(hop_server *server, hop_socket socket, const char *name,
                         const char *value)
{
    struct field_set *set;
    struct field *field;

    if (!on_logic(__func__) || !server->current || !is_short_name(name, NAME_MAX_BYTES) ||
        !hub_is_alive(server->hub, socket))
        return -1;
    if (!value) {
        take_away(server, socket, name);
        return 0;
    }
    set = need_set(server, socket);
    field = *find_field(set, server->current, name);
    if (!field && count(set, server->current) >= FIELDS_A_PLUGIN)
        return -1;
    if (!field)
        field = field_new(set, server->current, name);
    set_value(field, value);
    return 0;
}

/* ---- the header's functions */

char *fields_write(char text[LOG_FIELDS_SIZE], const hop_server *server,
                   hop_socket socket)
{
    const struct field_set *set = find_set(server, socket);
    size_t len = 0;

    *text = '\0';
    for (const struct field *field = set ? set->first : NULL; field;
         field = field->next) {
        char one[LOG_FIELDS_SIZE], value[6 * VALUE_MAX_BYTES + 1];
        int n;

        if (!field->plugin->is_live)
            continue;
        n = snprintf(one, sizeof one, " %s.%s=\"%s\"", field->plugin->name, field->name,
                     log_escape(value, sizeof value, field->value, strlen(field->value)));
        if (len + (size_t)n >= LOG_FIELDS_SIZE)
            break;
        memcpy(text + len, one, (size_t)n + 1);
        len += (size_t)n;
    }
    return text;
}

void fields_drop_socket(hop_server *server, hop_socket socket)
{
    struct field_set *set = find_set(server, socket);

    if (set)
        free_set(server, set);
}

void fields_hand_over(hop_server *server, const struct plugin *from,
                      const struct plugin *to)
{
    struct field_set *set, *next;

    HASH_ITER(hh, server->fields.sets, set, next)
    {
        struct field **at = &set->first, *field;

        while ((field = *at)) {
            const bool goes =
                field->plugin == from &&
                (*find_field(set, to, field->name) || count(set, to) >= FIELDS_A_PLUGIN);

            if (goes) {
                remove_at(at);
                continue;
            }
            if (field->plugin == from)
                field->plugin = to;
            at = &field->next;
        }
    }
}

void fields_remove(hop_server *server, const struct plugin *plugin)
{
    struct field_set *set, *next;

    HASH_ITER(hh, server->fields.sets, set, next)
    {
        for (struct field **at = &set->first; *at;)
            if ((*at)->plugin == plugin)
                remove_at(at);
            else
                at = &(*at)->next;
        if (!set->first)
            free_set(server, set);
    }
}

void fields_done(struct fields *fields)
{
    struct field_set *set, *next;

    HASH_ITER(hh, fields->sets, set, next)
    {
        while (set->first)
            remove_at(&set->first);
        HASH_DEL(fields->sets, set);
        free(set);
    }
}
