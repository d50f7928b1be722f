/*
 * values.h - what plugins keep on sockets, rooms, memberships, namespaces, users and the
 * server: slots, and where their values are. Thread: logic.
 *
 * A socket has an array with a place for each slot that was there before it came. All else,
 * a slot of a plugin that was loaded later included, stands in a table by object, which
 * costs those nothing that have no value.
 */
#ifndef PLUGIN_VALUES_H
#define PLUGIN_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/slot.h>

struct hub;
struct object_values;
struct plugin;

/* Of all plugins; promised in <sockhop/socket.h>. While all are being replaced there are those
 * of both generations. */
enum { SLOTS_LIVE_MAX = 64, SLOTS_MAX = 2 * SLOTS_LIVE_MAX };
enum { VALUE_KINDS = HOP_ON_USER + 1 };

/* An object that has values. It holds no padding: it is hashed as it is. */
struct object_key {
    uint64_t object; /* hop_socket, hop_user, number of a namespace; 0 for the server's */
    uint32_t room;   /* number of a room or 0 */
    uint32_t on;     /* hop_slot_on */
};

struct hop_owner {
    struct object_key key;
};

struct value_slot {
    struct plugin *plugin;    /* borrowed; NULL: the slot is free */
    hop_slot_options options; /* copy, with our name */
    char *name;               /* owned: NULL for none */
    int place; /* in the sockets' arrays; -1: none, the table has its values */
};

struct values {
    struct value_slot slot[SLOTS_MAX];
    int n_slots;                   /* numbers below have been given */
    int of_place[SLOTS_MAX];       /* the slot that a place is of, or -1 */
    int n_places;                  /* of each socket that comes from now on */
    struct object_values *objects; /* owned: hashed by key */
    size_t n_objects[VALUE_KINDS]; /* of each kind */
};

void values_init(struct values *values);
/* After values_forget() of every plugin. */
void values_done(struct values *values);

/* The object has gone: its values, but those in a socket's array, are destroyed. */
void values_drop(hop_server *server, struct object_key key);
/* A socket is in that room no more. */
void values_drop_member(hop_server *server, hop_socket socket, const char *room);
/* For the hub: destroys the value of a place of a socket's array. */
void values_free_place(hop_server *server, int place, void *value);

/* ---- for handover.c */

/* Call each(key, slot, value) for every value of a plugin; each may change some. */
void values_each(hop_server *server, const struct plugin *plugin,
                 void (*each)(struct object_key key, hop_slot slot, void *value,
                              void *arg),
                 void *arg);
/* The plugin's slot of that name and kind, or -1. */
hop_slot values_find_slot(const hop_server *server, const struct plugin *plugin,
                          const hop_slot_options *like);
/* Where both have a slot of a name, the second one's gets the place in the sockets' arrays. */
void values_take_places(hop_server *server, const struct plugin *from,
                        const struct plugin *to);
/* The value in one slot leaves it and is returned, undestroyed; another one comes into the other
 * slot. NULL: there was none, and nothing has changed. */
void *values_swap(hop_server *server, struct object_key key, hop_slot from, hop_slot to,
                  void *value);
void values_destroy(hop_server *server, hop_slot slot, void *value);

/* The plugin goes: its slots and all their values, before its free(). */
void values_forget(hop_server *server, const struct plugin *plugin);

#endif
