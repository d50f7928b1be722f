/*
 * values.c - what plugins keep on objects: slots, and the values in them.
 *
 * Called by: plugins (include/sockhop/slot.h, socket.h), server.c (the hub's news, a plugin
 * that goes). Thread: logic.
 *
 * Whoever destroys a value may be plugin code that does anything: entries leave the table
 * first, and no pointer into it is kept across such a call.
 */
#include "core/plugin/values.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/plugin/plugin.h"
#include "core/plugin/state.h"

struct value_entry {
    hop_slot slot;
    void *value; /* the plugin's */
};

/* The values of one object; there is at least one. */
struct object_values {
    UT_hash_handle hh;
    struct object_key key;
    struct value_entry *entry; /* owned */
    size_t n;
};

void values_init(struct values *values)
{
    memset(values, 0, sizeof *values);
    for (int place = 0; place < SLOTS_MAX; place++)
        values->of_place[place] = -1;
}

void values_done(struct values *values)
{
    assert(!values->objects);
    (void)values;
}

/* ---- the table */

static struct object_values *find_object(const struct values *values,
                                         struct object_key key)
{
    struct object_values *found = NULL;

    if (values->n_objects[key.on] > 0)
        HASH_FIND(hh, values->objects, &key, sizeof key, found);
    return found;
}

static struct object_values *need_object(struct values *values, struct object_key key)
{
    struct object_values *object = find_object(values, key);

    if (object)
        return object;
    object = mem_calloc(1, sizeof *object);
    object->key = key;
    HASH_ADD(hh, values->objects, key, sizeof object->key, object);
    values->n_objects[key.on]++;
    return object;
}

static void unlink_object(struct values *values, struct object_values *object)
{
    HASH_DEL(values->objects, object);
    values->n_objects[object->key.on]--;
}

static struct value_entry *find_entry(const struct object_values *object, hop_slot slot)
{
    for (size_t i = 0; i < object->n; i++)
        if (object->entry[i].slot == slot)
            return &object->entry[i];
    return NULL;
}

static void *table_get(const struct values *values, struct object_key key, hop_slot slot)
{
    const struct object_values *object = find_object(values, key);
    const struct value_entry *entry = object ? find_entry(object, slot) : NULL;

    return entry ? entry->value : NULL;
}

/* Takes the value out of the table; the object as well, if it was the last. */
static void *table_take(struct values *values, struct object_key key, hop_slot slot)
{
    struct object_values *object = find_object(values, key);
    struct value_entry *entry = object ? find_entry(object, slot) : NULL;
    void *value;

    if (!entry)
        return NULL;
    value = entry->value;
    *entry = object->entry[--object->n];
    if (object->n == 0) {
        unlink_object(values, object);
        free(object->entry);
        free(object);
    }
    return value;
}

static void table_put(struct values *values, struct object_key key, hop_slot slot,
                      void *value)
{
    struct object_values *object = need_object(values, key);

    object->entry = mem_realloc(object->entry, (object->n + 1) * sizeof *object->entry);
    object->entry[object->n++] = (struct value_entry){slot, value};
}

/* ---- destroying */

static void destroy(hop_server *server, hop_slot slot, void *value)
{
    const struct value_slot *of = &server->values.slot[slot];
    struct call call;

    if (!value || !of->plugin || !of->options.free)
        return;
    call_begin_as(server, of->plugin, "hook", "free_slot", &call);
    of->options.free(value);
    call_end(server, &call, "hook", "free_slot");
}

void values_drop(hop_server *server, struct object_key key)
{
    struct object_values *object = find_object(&server->values, key);

    if (!object)
        return;
    unlink_object(&server->values, object);
    for (size_t i = 0; i < object->n; i++)
        destroy(server, object->entry[i].slot, object->entry[i].value);
    free(object->entry);
    free(object);
}

void values_drop_member(hop_server *server, hop_socket socket, const char *room)
{
    if (server->values.n_objects[HOP_ON_MEMBER] == 0 ||
        hub_is_member(server->hub, socket, room)) /* a leave hook has put it back */
        return;
    values_drop(server, (struct object_key){
                            .on = HOP_ON_MEMBER,
                            .object = socket,
                            .room = hub_room_of(server->hub, socket, room),
                        });
}

void values_free_place(hop_server *server, int place, void *value)
{
    int slot = place >= 0 && place < SLOTS_MAX ? server->values.of_place[place] : -1;

    if (slot >= 0)
        destroy(server, slot, value);
}

/* ---- from one plugin to the one that replaces it */

void values_destroy(hop_server *server, hop_slot slot, void *value)
{
    destroy(server, slot, value);
}

hop_slot values_find_slot(const hop_server *server, const struct plugin *plugin,
                          const hop_slot_options *like)
{
    for (hop_slot i = 0; i < server->values.n_slots; i++) {
        const struct value_slot *slot = &server->values.slot[i];

        if (slot->plugin == plugin && slot->options.on == like->on &&
            slot->options.name && like->name &&
            strcmp(slot->options.name, like->name) == 0)
            return i;
    }
    return -1;
}

typedef void each_value(struct object_key key, hop_slot slot, void *value, void *arg);

static void each_in_places(const hop_server *server, hop_slot slot, each_value *each,
                           void *arg)
{
    const int place = server->values.slot[slot].place;
    const uint32_t end = place < 0 ? 0 : hub_sockets_end(server->hub);

    for (uint32_t i = 0; i < end; i++) {
        const struct object_key key = {.on = HOP_ON_SOCKET,
                                       .object = hub_socket_at(server->hub, i)};
        void *value = key.object ? hub_slot_get(server->hub, key.object, place) : NULL;

        if (value)
            each(key, slot, value, arg);
    }
}

struct key_list {
    struct object_key *key; /* owned by the caller */
    size_t n;
};

/* Of what has a value in that slot: a call of code may change the table. */
static struct key_list list_keys(const struct values *values, hop_slot slot)
{
    const hop_slot_on on = values->slot[slot].options.on;
    struct key_list list = {0};

    if (values->n_objects[on] == 0)
        return list;
    list.key = mem_calloc(values->n_objects[on], sizeof *list.key);
    for (const struct object_values *object = values->objects; object;
         object = object->hh.next)
        if (object->key.on == (uint32_t)on && find_entry(object, slot))
            list.key[list.n++] = object->key;
    return list;
}

static void each_in_table(const hop_server *server, hop_slot slot, each_value *each,
                          void *arg)
{
    const struct key_list list = list_keys(&server->values, slot);

    for (size_t i = 0; i < list.n; i++) {
        void *value = table_get(&server->values, list.key[i], slot);

        if (value)
            each(list.key[i], slot, value, arg);
    }
    free(list.key);
}

void values_each(hop_server *server, const struct plugin *plugin, each_value *each,
                 void *arg)
{
    for (hop_slot slot = 0; slot < server->values.n_slots; slot++) {
        if (server->values.slot[slot].plugin != plugin)
            continue;
        each_in_places(server, slot, each, arg);
        each_in_table(server, slot, each, arg);
    }
}

void values_take_places(hop_server *server, const struct plugin *from,
                        const struct plugin *to)
{
    struct values *values = &server->values;

    for (hop_slot slot = 0; slot < values->n_slots; slot++) {
        struct value_slot *of = &values->slot[slot];
        hop_slot other =
            of->plugin == from ? values_find_slot(server, to, &of->options) : -1;
        int place = of->place;

        if (other < 0)
            continue;
        of->place = values->slot[other].place;
        values->slot[other].place = place;
        if (place >= 0)
            values->of_place[place] = other;
        if (of->place >= 0)
            values->of_place[of->place] = slot;
    }
}

/* The places have been exchanged already. */
void *values_swap(hop_server *server, struct object_key key, hop_slot from, hop_slot to,
                  void *value)
{
    const int place = server->values.slot[to].place;
    void *old = table_take(&server->values, key, from);

    if (old) {
        destroy(server, to, table_take(&server->values, key, to));
        if (value)
            table_put(&server->values, key, to, value);
        return old;
    }
    if (place < 0)
        return NULL;
    old = hub_slot_get(server->hub, key.object, place);
    if (old)
        hub_slot_exchange(server->hub, key.object, place, value);
    return old;
}

/* ---- the end of a slot */

static void clear_place(hop_server *server, int place)
{
    const uint32_t end = hub_sockets_end(server->hub);

    for (uint32_t i = 0; i < end; i++) {
        hop_socket socket = hub_socket_at(server->hub, i);

        if (socket != HOP_NO_SOCKET)
            hub_slot_set(server->hub, socket, place, NULL);
    }
}

/* Whoever destroys one may set others: there is another round then. */
static void clear_table(hop_server *server, hop_slot slot)
{
    size_t n;

    do {
        const struct key_list list = list_keys(&server->values, slot);

        n = list.n;
        for (size_t i = 0; i < n; i++)
            destroy(server, slot, table_take(&server->values, list.key[i], slot));
        free(list.key);
    } while (n > 0);
}

static void end_slot(hop_server *server, hop_slot slot)
{
    struct values *values = &server->values;
    struct value_slot *of = &values->slot[slot];

    if (of->place >= 0)
        clear_place(server, of->place);
    clear_table(server, slot);
    if (of->place >= 0)
        values->of_place[of->place] = -1;
    free(of->name);
    *of = (struct value_slot){.place = -1};
}

void values_forget(hop_server *server, const struct plugin *plugin)
{
    for (hop_slot slot = 0; slot < server->values.n_slots; slot++)
        if (server->values.slot[slot].plugin == plugin)
            end_slot(server, slot);
}

/* ---- slots */

/* Those that will still be there when plugins that leave have gone. */
static int count_lasting(const struct values *values)
{
    int n = 0;

    for (int slot = 0; slot < values->n_slots; slot++)
        n += values->slot[slot].plugin && !values->slot[slot].plugin->is_leaving;
    return n;
}

static int take_number(struct values *values)
{
    if (count_lasting(values) >= SLOTS_LIVE_MAX)
        return -1;
    for (int slot = 0; slot < values->n_slots; slot++)
        if (!values->slot[slot].plugin)
            return slot;
    return values->n_slots < SLOTS_MAX ? values->n_slots++ : -1;
}

/* A place that nobody has any more is as good as a new one. */
static int take_place(hop_server *server)
{
    struct values *values = &server->values;
    int place = 0;

    while (place < values->n_places && values->of_place[place] >= 0)
        place++;
    if (place == SLOTS_MAX)
        return -1;
    if (place == values->n_places)
        hub_want_slots(server->hub, ++values->n_places);
    return place;
}

static hop_slot add_slot(hop_server *server, const hop_slot_options *options)
{
    struct values *values = &server->values;
    int slot = take_number(values);

    if (slot < 0)
        return refuse(server, "hop_slot_new(): all %d slots are taken", SLOTS_LIVE_MAX);
    values->slot[slot] = (struct value_slot){
        .plugin = server->current,
        .options = *options,
        .name = options->name ? mem_strdup(options->name) : NULL,
        .place = -1,
    };
    values->slot[slot].options.name = values->slot[slot].name;
    if (options->on == HOP_ON_SOCKET) {
        values->slot[slot].place = take_place(server);
        if (values->slot[slot].place >= 0)
            values->of_place[values->slot[slot].place] = slot;
    }
    return slot;
}

hop_slot hop_slot_new(hop_server *server, void (*free_value)(void *value))
{
    const hop_slot_options options = {
        .size = sizeof options, .on = HOP_ON_SOCKET, .free = free_value};

    return in_init(server, __func__) ? add_slot(server, &options) : -1;
}

static bool is_slot_name(const char *name)
{
    return *name >= 'a' && *name <= 'z' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool is_name_taken(const hop_server *server, const hop_slot_options *options)
{
    for (int i = 0; i < server->values.n_slots; i++) {
        const struct value_slot *slot = &server->values.slot[i];

        if (slot->plugin == server->current && slot->options.on == options->on &&
            slot->options.name && strcmp(slot->options.name, options->name) == 0)
            return true;
    }
    return false;
}

hop_slot hop_slot_new_with(hop_server *server, const hop_slot_options *given)
{
    hop_slot_options options = {0};

    if (!in_init(server, __func__))
        return -1;
    if (!given || given->size < offsetof(hop_slot_options, name))
        return refuse(server, "hop_slot_new_with(): set options.size");
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    if ((unsigned)options.on >= VALUE_KINDS)
        return refuse(server, "hop_slot_new_with(): no such kind of object");
    if (options.name && !is_slot_name(options.name))
        return refuse(server, "hop_slot_new_with(\"%s\"): a name is [a-z][a-z0-9_]*",
                      options.name);
    if (!options.save != !options.restore || (options.save && !options.name))
        return refuse(server, "hop_slot_new_with(): save and restore go together, and "
                              "want a name");
    if (options.name && is_name_taken(server, &options))
        return refuse(server, "hop_slot_new_with(\"%s\"): the name is taken",
                      options.name);
    return add_slot(server, &options);
}

/* ---- setting and getting */

/* Whether there is such a slot, and for that kind of object. */
static bool is_slot(const hop_server *server, hop_slot slot, hop_slot_on on)
{
    const struct value_slot *of;

    if (slot < 0 || slot >= server->values.n_slots)
        return false;
    of = &server->values.slot[slot];
    return of->plugin && of->options.on == on;
}

static int table_set(hop_server *server, struct object_key key, hop_slot slot,
                     void *value)
{
    void *old = table_get(&server->values, key, slot);

    if (old == value)
        return 0;
    table_take(&server->values, key, slot);
    if (value)
        table_put(&server->values, key, slot, value);
    destroy(server, slot, old);
    return 0;
}

int hop_socket_set(hop_server *server, hop_socket socket, hop_slot slot, void *value)
{
    int place;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_SOCKET))
        return -1;
    place = server->values.slot[slot].place;
    if (place >= 0 && hub_slot_set(server->hub, socket, place, value) == 0)
        return 0;
    if (!hub_may_have_values(server->hub, socket))
        return -1;
    return table_set(server, (struct object_key){.on = HOP_ON_SOCKET, .object = socket},
                     slot, value);
}

void *hop_socket_get(hop_server *server, hop_socket socket, hop_slot slot)
{
    int place;
    void *value;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_SOCKET))
        return NULL;
    place = server->values.slot[slot].place;
    value = place >= 0 ? hub_slot_get(server->hub, socket, place) : NULL;
    if (value || server->values.n_objects[HOP_ON_SOCKET] == 0)
        return value;
    return table_get(&server->values,
                     (struct object_key){.on = HOP_ON_SOCKET, .object = socket}, slot);
}

/* The keys of the other kinds; false: there is no such object. */
static bool key_of_namespace(const hop_server *server, const char *nsp,
                             struct object_key *key)
{
    *key =
        (struct object_key){.on = HOP_ON_NAMESPACE,
                            .object = nsp ? hub_namespace_number(server->hub, nsp) : 0};
    return key->object != 0;
}

static bool key_of_room(const hop_server *server, const char *nsp, const char *room,
                        struct object_key *key)
{
    *key = (struct object_key){
        .on = HOP_ON_ROOM,
        .room = nsp && room ? hub_room_number(server->hub, nsp, room) : 0};
    return key->room != 0;
}

static bool key_of_member(const hop_server *server, hop_socket socket, const char *room,
                          struct object_key *key)
{
    *key = (struct object_key){.on = HOP_ON_MEMBER,
                               .object = socket,
                               .room = room ? hub_room_of(server->hub, socket, room) : 0};
    return key->room != 0;
}

int hop_server_set(hop_server *server, hop_slot slot, void *value)
{
    const struct object_key key = {.on = HOP_ON_SERVER};

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_SERVER))
        return -1;
    return table_set(server, key, slot, value);
}

void *hop_server_get(hop_server *server, hop_slot slot)
{
    const struct object_key key = {.on = HOP_ON_SERVER};

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_SERVER))
        return NULL;
    return table_get(&server->values, key, slot);
}

int hop_namespace_set(hop_server *server, const char *nsp, hop_slot slot, void *value)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_NAMESPACE) ||
        !key_of_namespace(server, nsp, &key))
        return -1;
    return table_set(server, key, slot, value);
}

void *hop_namespace_get(hop_server *server, const char *nsp, hop_slot slot)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_NAMESPACE) ||
        !key_of_namespace(server, nsp, &key))
        return NULL;
    return table_get(&server->values, key, slot);
}

int hop_room_set(hop_server *server, const char *nsp, const char *room, hop_slot slot,
                 void *value)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_ROOM) ||
        !key_of_room(server, nsp, room, &key))
        return -1;
    return table_set(server, key, slot, value);
}

void *hop_room_get(hop_server *server, const char *nsp, const char *room, hop_slot slot)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_ROOM) ||
        !key_of_room(server, nsp, room, &key))
        return NULL;
    return table_get(&server->values, key, slot);
}

int hop_member_set(hop_server *server, hop_socket socket, const char *room, hop_slot slot,
                   void *value)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_MEMBER) ||
        !key_of_member(server, socket, room, &key) ||
        !hub_is_member(server->hub, socket, room))
        return -1;
    return table_set(server, key, slot, value);
}

void *hop_member_get(hop_server *server, hop_socket socket, const char *room,
                     hop_slot slot)
{
    struct object_key key;

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_MEMBER) ||
        !key_of_member(server, socket, room, &key))
        return NULL;
    return table_get(&server->values, key, slot);
}

int hop_user_set(hop_server *server, hop_user user, hop_slot slot, void *value)
{
    const struct object_key key = {.on = HOP_ON_USER, .object = user};

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_USER) ||
        !hop_user_name(server, user))
        return -1;
    return table_set(server, key, slot, value);
}

void *hop_user_get(hop_server *server, hop_user user, hop_slot slot)
{
    const struct object_key key = {.on = HOP_ON_USER, .object = user};

    if (!on_logic(__func__) || !is_slot(server, slot, HOP_ON_USER))
        return NULL;
    return table_get(&server->values, key, slot);
}

/* ---- whose */

hop_socket hop_owner_socket(const hop_owner *owner)
{
    return owner->key.on == HOP_ON_SOCKET || owner->key.on == HOP_ON_MEMBER
               ? owner->key.object
               : HOP_NO_SOCKET;
}

hop_user hop_owner_user(const hop_owner *owner)
{
    return owner->key.on == HOP_ON_USER ? owner->key.object : HOP_NO_USER;
}
