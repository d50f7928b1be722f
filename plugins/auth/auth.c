/*
 * auth.c - names: a socket logs in under one that nobody else has, until it leaves.
 *
 * Events, keys and the interface for other plugins: auth.md, <sockhop/auth.h>.
 * A name is claimed in one step of the logic thread, so of a thousand clients that ask for
 * it in the same turn the first one gets it (T20).
 *
 * Called by: core/plugin/loader.c (check, init, free), dispatch.c and hooks.c (handlers).
 * Thread: logic.
 */
#include <search.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/auth.h>
#include <sockhop/sockhop.h>

#include "name.h"

enum {
    HOOKS_MAX = 16,   /* plugins that want to know, for each of the two moments */
    ECHO_BYTES = 1024 /* a refused argument of more is not sent back */
};

struct hook {
    hop_auth_hook *call;
    void *self; /* borrowed: of the plugin that registered */
};

struct hook_list {
    struct hook hook[HOOKS_MAX];
    size_t n;
};

/* A socket that has logged in; held by its slot. */
struct user {
    struct auth *auth;            /* borrowed: NULL once the name is free again */
    struct user *previous, *next; /* in the order of login */
    uint8_t n_keys, n_claimed;    /* of the keys: the first ones are in auth->by_key */
    char name[]; /* as the client wrote it; behind its NUL the keys, each with its own */
};

struct auth {
    hop_server *server;             /* borrowed: outlives every plugin */
    hop_slot slot;                  /* of struct user */
    int64_t min_length, max_length; /* characters */
    size_t max_bytes;
    int restriction; /* enum name_restriction */
    bool blocks_lookalikes;
    struct name_rules *rules; /* owned */

    /* A tree and no hash table: clients choose the keys, and a tree needs no secret. */
    void *by_key; /* owned: tsearch() of the keys in use */
    struct user *first, *last;
    void *restored; /* owned: tsearch() of names that have no socket yet, in a reload */
    struct hook_list on_login, on_leave;
    hop_auth interface;
};

static const hop_config_key auth_keys[] = {
    HOP_INT(struct auth, min_length, "min_length", 3, 1, 1000,
            "shortest name, characters (code points)"),
    HOP_INT(struct auth, max_length, "max_length", 10, 1, 1000,
            "longest name, characters (code points)"),
    HOP_SIZE_RANGE(struct auth, max_bytes, "max_bytes", 40, 1, 4096,
                   "longest name, bytes of UTF-8"),
    /* The order of the words is that of enum name_restriction. */
    HOP_CHOICE(struct auth, restriction, "restriction", "highly-restrictive",
               "ascii|single-script|highly-restrictive|moderately-restrictive|"
               "minimally-restrictive|any",
               "scripts that may stand in one name: a level of Unicode's UTS 39, or any"),
    HOP_BOOL(struct auth, blocks_lookalikes, "block_lookalikes", true,
             "whether a name that looks like one in use counts as taken"),
    HOP_KEYS_END,
};

/* ---- users */

static int compare_keys(const void *left, const void *right)
{
    return strcmp(left, right);
}

static const char *next_text(const char *text)
{
    return text + strlen(text) + 1;
}

static void withdraw(struct auth *auth, struct user *user)
{
    const char *key = user->name;

    for (; user->n_claimed > 0; user->n_claimed--) {
        key = next_text(key);
        tdelete(key, &auth->by_key, compare_keys);
    }
}

/* Makes the name free; the struct stays until its slot is freed. */
static void release_name(struct user *user)
{
    struct auth *auth = user->auth;

    if (!auth)
        return;
    withdraw(auth, user);
    *(user->previous ? &user->previous->next : &auth->first) = user->next;
    *(user->next ? &user->next->previous : &auth->last) = user->previous;
    user->auth = NULL;
}

static void user_free(void *value)
{
    struct user *user = value;

    if (!user)
        return;
    release_name(user);
    free(user);
}

static struct user *user_of(const char *name, const struct name_keys *keys)
{
    size_t size = strlen(name) + 1;
    struct user *user;
    char *end;

    for (size_t i = 0; i < NAME_KEYS && keys->key[i]; i++)
        size += strlen(keys->key[i]) + 1;
    user = calloc(1, offsetof(struct user, name) + size);
    if (!user)
        return NULL;
    end = stpcpy(user->name, name);
    for (; user->n_keys < NAME_KEYS && keys->key[user->n_keys]; user->n_keys++)
        end = stpcpy(end + 1, keys->key[user->n_keys]);
    return user;
}

/* Not claimed yet: NULL without memory, or when ICU cannot make a key of the name. */
static struct user *user_new(const struct name_rules *rules, const char *name)
{
    struct name_keys keys;
    struct user *user = NULL;

    if (name_keys_make(rules, name, &keys) < 0)
        return NULL;
    if (*keys.key[0])
        user = user_of(name, &keys);
    name_keys_done(&keys);
    return user;
}

/* Returns false when the name is taken (or memory is). */
static bool claim_name(struct auth *auth, struct user *user)
{
    const char *key = user->name;

    while (user->n_claimed < user->n_keys) {
        const char *const *found;

        key = next_text(key);
        found = tsearch(key, &auth->by_key, compare_keys);
        if (!found || *found != key) {
            withdraw(auth, user);
            return false;
        }
        user->n_claimed++;
    }
    user->auth = auth;
    user->previous = auth->last;
    *(auth->last ? &auth->last->next : &auth->first) = user;
    auth->last = user;
    return true;
}

/* ---- login */

/* Both answers of the contract: the article's event, and an ack where one was asked. */
static hop_verdict refuse(struct auth *auth, hop_socket socket, hop_event *event,
                          const char *answer, const char *code, const char *message)
{
    hop_args *args = hop_args_new();
    size_t len;

    hop_event_raw(event, 0, &len);
    if (len <= ECHO_BYTES)
        hop_args_raw(args, event, 0); /* as its sender wrote it, whatever it is */
    else
        hop_args_json(args, json_null());
    hop_emit_args(hop_to_socket(auth->server, socket), answer, args);
    if (hop_event_has_ack(event))
        hop_event_ack(event, json_pack("[{s:b, s:{s:s, s:s}}]", "ok", false, "error",
                                       "code", code, "message", message));
    return HOP_STOP;
}

/* Whether max_bytes never bounds what max_length does not. */
static bool bytes_follow_length(const struct auth *auth)
{
    return auth->max_bytes / 4 >= (size_t)auth->max_length; /* RFC 3629: 4 at most */
}

/* What would have been right, where our keys decide it: a page cannot know them. */
static hop_verdict refuse_name(struct auth *auth, hop_socket socket, hop_event *event,
                               enum name_verdict verdict)
{
    const char *complaint = name_complaint(verdict);
    char text[128];

    if (verdict == NAME_SHORT)
        snprintf(text, sizeof text, "%s, at least %lld characters", complaint,
                 (long long)auth->min_length);
    else if (verdict == NAME_LONG && bytes_follow_length(auth))
        snprintf(text, sizeof text, "%s, at most %lld characters", complaint,
                 (long long)auth->max_length);
    else if (verdict == NAME_LONG)
        snprintf(text, sizeof text, "%s, at most %lld characters and %zu bytes",
                 complaint, (long long)auth->max_length, auth->max_bytes);
    else if (verdict == NAME_MIXED_SCRIPTS && auth->restriction == NAME_ASCII)
        snprintf(text, sizeof text, "only letters, digits and signs of ASCII, please");
    else
        snprintf(text, sizeof text, "%s", complaint);
    return refuse(auth, socket, event, "loginNameBad", "name_bad", text);
}

/* A hook may disconnect the socket: then the user is no more, and nobody has logged in. */
static void tell_login(const struct auth *auth, hop_socket socket,
                       const struct user *user)
{
    const struct hook_list *list = &auth->on_login;

    for (size_t i = 0; i < list->n; i++)
        if (hop_socket_is_connected(auth->server, socket))
            list->hook[i].call(socket, user->name, list->hook[i].self);
}

static void tell_leave(const struct auth *auth, hop_socket socket,
                       const struct user *user)
{
    const struct hook_list *list = &auth->on_leave;

    for (size_t i = 0; i < list->n; i++)
        list->hook[i].call(socket, user->name, list->hook[i].self);
}

static hop_verdict on_login(hop_socket socket, hop_event *event, void *self)
{
    struct auth *auth = self;
    enum name_verdict verdict;
    struct user *user;
    const char *name; /* borrowed from the event */

    if (hop_socket_get(auth->server, socket, auth->slot))
        return refuse(auth, socket, event, "loginNameExists", "logged_in",
                      "this socket has a name already");
    if (hop_event_unpack(event, "[s]", &name) < 0)
        return refuse(auth, socket, event, "loginNameBad", "name_bad",
                      "a name as text, please");
    verdict = name_check(auth->rules, name);
    if (verdict != NAME_OK)
        return refuse_name(auth, socket, event, verdict);
    user = user_new(auth->rules, name);
    if (!user)
        return refuse_name(auth, socket, event, NAME_BAD_CHARACTER);
    if (!claim_name(auth, user)) {
        user_free(user);
        return refuse(auth, socket, event, "loginNameExists", "name_exists",
                      auth->blocks_lookalikes
                          ? "somebody has this name, or one that looks like it"
                          : "somebody has this name");
    }
    if (hop_socket_set(auth->server, socket, auth->slot, user) < 0) {
        user_free(user); /* the socket has gone */
        return HOP_STOP;
    }
    hop_emit(hop_to_socket(auth->server, socket), "welcome", NULL);
    if (hop_event_has_ack(event))
        hop_event_ack(event, json_pack("[{s:b}]", "ok", true));
    tell_login(auth, socket, user);
    return HOP_STOP;
}

/* Those who are told still find the name in use; then it is free. */
static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    struct auth *auth = self;
    struct user *user = hop_socket_get(auth->server, socket, auth->slot);

    (void)reason;
    if (!user || !user->auth)
        return;
    tell_leave(auth, socket, user);
    release_name(user);
}

/* ---- for other plugins: <sockhop/auth.h> */

static const char *name_of(void *self, hop_socket socket)
{
    struct auth *auth = self;
    const struct user *user = hop_socket_get(auth->server, socket, auth->slot);

    return user ? user->name : NULL;
}

static void each_name(void *self, void (*each)(const char *name, void *arg), void *arg)
{
    const struct auth *auth = self;

    for (const struct user *user = auth->first; user;) {
        const struct user *next = user->next;

        each(user->name, arg);
        user = next;
    }
}

static int add_hook(struct hook_list *list, hop_auth_hook *hook, void *hook_self)
{
    if (!hook || list->n == HOOKS_MAX)
        return -1;
    list->hook[list->n++] = (struct hook){hook, hook_self};
    return 0;
}

static int add_login_hook(void *self, hop_auth_hook *hook, void *hook_self)
{
    struct auth *auth = self;

    return add_hook(&auth->on_login, hook, hook_self);
}

static int add_leave_hook(void *self, hop_auth_hook *hook, void *hook_self)
{
    struct auth *auth = self;

    return add_hook(&auth->on_leave, hook, hook_self);
}

/* ---- reload: the names in the order of their logins, then each socket finds its own */

static int compare_names(const void *left, const void *right)
{
    const struct user *a = left, *b = right;

    return strcmp(a->name, b->name);
}

static json_t *auth_save(const void *self)
{
    const struct auth *auth = self;
    json_t *names = json_array();

    for (const struct user *user = auth->first; user; user = user->next)
        json_array_append_new(names, json_string(user->name));
    return names;
}

static int auth_restore(void *self, json_t *saved, hop_error *error)
{
    struct auth *auth = self;
    json_t *name;
    size_t i;

    json_array_foreach(saved, i, name)
    {
        struct user *user = user_new(auth->rules, json_string_value(name));

        if (user && claim_name(auth, user)) {
            tsearch(user, &auth->restored, compare_names);
            continue;
        }
        user_free(user);
        hop_error_set(error,
                      "names are in use that the new configuration lets nobody have at "
                      "the same time: let them log out, or change it back");
        return -1;
    }
    return 0;
}

static json_t *save_user(const void *value, void *self)
{
    const struct user *user = value;

    (void)self;
    return user->auth ? json_string(user->name) : NULL;
}

/* The user was made by auth_restore(). */
static void *restore_user(json_t *saved, const hop_owner *owner, void *self)
{
    struct auth *auth = self;
    struct user *key = calloc(1, sizeof *key + json_string_length(saved) + 1);
    struct user **found, *user;

    (void)owner;
    if (!key)
        return NULL;
    strcpy(key->name, json_string_value(saved));
    found = tfind(key, &auth->restored, compare_names);
    user = found ? *found : NULL;
    if (user)
        tdelete(user, &auth->restored, compare_names);
    free(key);
    return user;
}

/* ---- start */

static int auth_check(const void *self, const char **key, hop_error *error)
{
    const struct auth *auth = self;

    if (auth->min_length > auth->max_length) {
        *key = "min_length";
        hop_error_set(error,
                      "%lld is above max_length, which is %lld: nobody could log in",
                      (long long)auth->min_length, (long long)auth->max_length);
        return -1;
    }
    if ((uint64_t)auth->min_length > auth->max_bytes) {
        *key = "max_bytes";
        hop_error_set(error,
                      "%zu is below min_length, which is %lld, and a character has at "
                      "least one byte: nobody could log in",
                      auth->max_bytes, (long long)auth->min_length);
        return -1;
    }
    return 0;
}

static int auth_init(hop_server *server, void *self)
{
    struct auth *auth = self;
    const struct name_limits limits = {
        .min_length = (size_t)auth->min_length,
        .max_length = (size_t)auth->max_length,
        .max_bytes = auth->max_bytes,
    };

    auth->rules = name_rules_new(&limits, (enum name_restriction)auth->restriction,
                                 auth->blocks_lookalikes);
    if (!auth->rules)
        return hop_fail(server, "ICU has no data for names: install its library anew");
    auth->server = server;
    auth->slot = hop_slot_new_with(server, &(hop_slot_options){
                                               .size = sizeof(hop_slot_options),
                                               .on = HOP_ON_SOCKET,
                                               .name = "user",
                                               .free = user_free,
                                               .save = save_user,
                                               .restore = restore_user,
                                               .self = auth,
                                           });
    auth->interface = (hop_auth){
        .size = sizeof auth->interface,
        .self = auth,
        .name_of = name_of,
        .each_name = each_name,
        .on_login = add_login_hook,
        .on_leave = add_leave_hook,
    };
    hop_on(server, "login", on_login, auth);
    hop_on_disconnect(server, on_disconnect, auth);
    if (hop_provide(server, "auth", &auth->interface, sizeof auth->interface) == 0)
        return 0;
    name_rules_free(auth->rules);
    return -1;
}

static void auth_free(void *self)
{
    struct auth *auth = self;

    while (auth->restored) { /* a reload came to nothing */
        struct user *user = *(struct user **)auth->restored;

        tdelete(user, &auth->restored, compare_names);
        user_free(user);
    }
    name_rules_free(auth->rules);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("auth", "1.0", "names: one for each socket, unique"),
    .state_size = sizeof(struct auth),
    .keys = auth_keys,
    .init = auth_init,
    .free = auth_free,
    .check = auth_check,
    .save = auth_save,
    .restore = auth_restore,
};
