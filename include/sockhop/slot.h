/*
 * slot.h - a plugin's own value on each socket, room, membership, namespace or user, and on
 * the server.
 *
 * A slot is made once, in init(), for one kind of object; then each object of that kind has
 * room for one pointer of the plugin's. The value goes with its object: a room's when its
 * last member has left, a membership's when the socket leaves the room. hop_slot_new() and
 * hop_socket_set() in socket.h are the short form for sockets.
 *
 *   notes->slot = hop_slot_new_with(server, &(hop_slot_options){
 *       .size = sizeof(hop_slot_options), .on = HOP_ON_ROOM, .name = "notes",
 *       .free = notes_free, .save = notes_save, .restore = notes_restore, .self = notes});
 *   ...
 *   hop_room_set(server, "/", "kitchen", notes->slot, value);
 */
#ifndef SOCKHOP_SLOT_H
#define SOCKHOP_SLOT_H

#include <jansson.h>
#include <sockhop/socket.h>
#include <sockhop/types.h>
#include <sockhop/user.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a slot's values are on. */
typedef enum hop_slot_on {
    HOP_ON_SOCKET,
    HOP_ON_SERVER, /* one value in all */
    HOP_ON_NAMESPACE, /* while it is there: "/" always, one of a pattern as long as it has clients */
    HOP_ON_ROOM,   /* while it has members; not the room of a socket's own id */
    HOP_ON_MEMBER, /* a socket in a room, from its join hooks to its leave hooks */
    HOP_ON_USER    /* see user.h */
} hop_slot_on;

/* Whose value it is, for restore(): what does not apply is HOP_NO_SOCKET, HOP_NO_USER, NULL.
 * Borrowed: until restore() returns. Read it with these. Thread: logic. */
typedef struct hop_owner hop_owner;
HOP_API hop_socket hop_owner_socket(const hop_owner *owner); /* SOCKET, MEMBER */
HOP_API hop_user hop_owner_user(const hop_owner *owner);     /* USER */

typedef struct hop_slot_options {
    size_t size; /* sizeof(hop_slot_options) */
    hop_slot_on on;

    /* What saved values go by: of this plugin's slots for this kind the only one of that
     * name, [a-z][a-z0-9_]*; copied. NULL where values cannot be saved. */
    const char *name;

    /* Destroys a value: its object has gone (behind its hooks), another value replaces it,
     * or the plugin goes (before its free()). Never called with NULL; may be NULL. */
    void (*free)(void *value);

    /*
     * A value as JSON, and back: when the plugin is reloaded the old code saves, the new
     * code restores, and the old value is destroyed.
     *   save     a new reference, or NULL: the value is not worth keeping
     *   restore  saved is borrowed; returns the value, or NULL: this cannot be restored, the
     *            plugin stays as it was
     * Both or neither. A plugin with values that cannot be saved is not reloaded. They must
     * not change anything of the server. Thread: logic.
     */
    json_t *(*save)(const void *value, void *self);
    void *(*restore)(json_t *saved, const hop_owner *owner, void *self);
    void *self; /* of save and restore; borrowed: the plugin's own */
} hop_slot_options;

/*
 * Make a slot. Returns it, >= 0, or -1: all 64 are taken, or options are wrong; the plugin is
 * refused with the reason then. Only in init(). Thread: logic.
 */
HOP_API hop_slot hop_slot_new_with(hop_server *server, const hop_slot_options *options);

/*
 * Set a value: 0, or -1 when there is no such object, or no such slot for this kind of
 * object: the value is then not taken over. NULL takes the value away.
 * Get: the value, or NULL. Thread: logic.
 *   nsp   "/" or "/chat"
 *   room  as in hop_socket_join()
 */
HOP_API int hop_server_set(hop_server *server, hop_slot slot, void *value);
HOP_API void *hop_server_get(hop_server *server, hop_slot slot);
HOP_API int hop_namespace_set(hop_server *server, const char *nsp, hop_slot slot,
                              void *value);
HOP_API void *hop_namespace_get(hop_server *server, const char *nsp, hop_slot slot);
HOP_API int hop_room_set(hop_server *server, const char *nsp, const char *room,
                         hop_slot slot, void *value);
HOP_API void *hop_room_get(hop_server *server, const char *nsp, const char *room,
                           hop_slot slot);
HOP_API int hop_member_set(hop_server *server, hop_socket socket, const char *room,
                           hop_slot slot, void *value);
HOP_API void *hop_member_get(hop_server *server, hop_socket socket, const char *room,
                             hop_slot slot);
HOP_API int hop_user_set(hop_server *server, hop_user user, hop_slot slot, void *value);
HOP_API void *hop_user_get(hop_server *server, hop_user user, hop_slot slot);

#ifdef __cplusplus
}
#endif

#endif
