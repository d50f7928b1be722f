/*
 * users.c - who is behind which sockets, for plugins.
 *
 * Called by: plugins (include/sockhop/user.h), server.c (a socket or a plugin goes).
 * Thread: logic.
 */
#include "core/plugin/users.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/state.h"

struct user {
    hop_user handle;
    struct plugin *plugin;    /* borrowed: the one that made it */
    struct attachment *first; /* owned: its sockets */
    char name[];
};

/* A socket that is a user's; in users->attachments and in the user's list. */
struct attachment {
    UT_hash_handle hh;
    hop_socket socket;
    struct user *user; /* borrowed */
    struct attachment *next, *previous;
};

void users_init(struct users *users)
{
    slots_init(&users->by_handle, 0);
    users->attachments = NULL;
}

void users_done(struct users *users)
{
    slots_done(&users->by_handle);
}

static struct attachment *find_attachment(const struct users *users, hop_socket socket)
{
    struct attachment *found = NULL;

    if (users->attachments)
        HASH_FIND(hh, users->attachments, &socket, sizeof socket, found);
    return found;
}

static void detach(struct users *users, struct attachment *attachment)
{
    struct user *user = attachment->user;

    *(attachment->previous ? &attachment->previous->next : &user->first) =
        attachment->next;
    if (attachment->next)
        attachment->next->previous = attachment->previous;
    HASH_DEL(users->attachments, attachment);
    free(attachment);
}

static void attach(struct users *users, struct user *user, hop_socket socket)
{
    struct attachment *attachment = mem_calloc(1, sizeof *attachment);

    attachment->socket = socket;
    attachment->user = user;
    attachment->next = user->first;
    if (user->first)
        user->first->previous = attachment;
    user->first = attachment;
    HASH_ADD(hh, users->attachments, socket, sizeof attachment->socket, attachment);
}

/* It is found no more when its values are destroyed. */
static void end(hop_server *server, struct user *user)
{
    struct attachment *attachment = user->first, *next;

    for (; attachment; attachment = next) {
        next = attachment->next;
        HASH_DEL(server->users.attachments, attachment);
        free(attachment);
    }
    slots_remove(&server->users.by_handle, user->handle);
    values_drop(server, (struct object_key){.on = HOP_ON_USER, .object = user->handle});
    free(user);
}

void users_drop_socket(hop_server *server, hop_socket socket)
{
    struct attachment *attachment = find_attachment(&server->users, socket);

    if (attachment)
        detach(&server->users, attachment);
}

void users_hand_over(hop_server *server, const struct plugin *from, struct plugin *to)
{
    const struct slots *slots = &server->users.by_handle;

    for (uint32_t i = 0; i < slots->n; i++) {
        struct user *user = slots_at(slots, i);

        if (user && user->plugin == from)
            user->plugin = to;
    }
}

void users_forget(hop_server *server, const struct plugin *plugin)
{
    const struct slots *slots = &server->users.by_handle;

    for (uint32_t i = 0; i < slots->n; i++) {
        struct user *user = slots_at(slots, i);

        if (user && user->plugin == plugin)
            end(server, user);
    }
}

/* ---- the public functions */

static struct user *find_user(const hop_server *server, hop_user user)
{
    return slots_get(&server->users.by_handle, user);
}

/* Whether the plugin whose code runs may change it: of work that was posted nobody knows. */
static bool is_ours(const hop_server *server, const struct user *user)
{
    return !server->current || server->current == user->plugin;
}

hop_user hop_user_new(hop_server *server, const char *name)
{
    size_t size = name ? strlen(name) + 1 : 0;
    struct user *user;

    if (!on_logic(__func__) || !name || !utf8_is_valid(name, size - 1))
        return HOP_NO_USER;
    user = mem_calloc(1, sizeof *user + size);
    memcpy(user->name, name, size);
    user->plugin = server->current;
    user->handle = slots_add(&server->users.by_handle, user);
    if (user->handle != HOP_NO_USER)
        return user->handle;
    free(user);
    return HOP_NO_USER;
}

int hop_user_end(hop_server *server, hop_user which)
{
    struct user *user = on_logic(__func__) ? find_user(server, which) : NULL;

    if (!user || !is_ours(server, user))
        return -1;
    end(server, user);
    return 0;
}

const char *hop_user_name(hop_server *server, hop_user which)
{
    const struct user *user = on_logic(__func__) ? find_user(server, which) : NULL;

    return user ? user->name : NULL;
}

int hop_socket_set_user(hop_server *server, hop_socket socket, hop_user which)
{
    struct users *users = &server->users;
    struct attachment *old;
    struct user *user;

    if (!on_logic(__func__) || !hub_may_have_values(server->hub, socket))
        return -1;
    user = which == HOP_NO_USER ? NULL : find_user(server, which);
    old = find_attachment(users, socket);
    if ((which != HOP_NO_USER && (!user || !is_ours(server, user))) ||
        (old && !is_ours(server, old->user)))
        return -1;
    if (old)
        detach(users, old);
    if (user)
        attach(users, user, socket);
    return 0;
}

hop_user hop_socket_user(hop_server *server, hop_socket socket)
{
    const struct attachment *attachment =
        on_logic(__func__) ? find_attachment(&server->users, socket) : NULL;

    return attachment ? attachment->user->handle : HOP_NO_USER;
}

hop_socket hop_user_socket(hop_server *server, hop_user which, size_t n)
{
    const struct user *user = on_logic(__func__) ? find_user(server, which) : NULL;
    const struct attachment *attachment = user ? user->first : NULL;

    while (attachment && n-- > 0)
        attachment = attachment->next;
    return attachment ? attachment->socket : HOP_NO_SOCKET;
}
