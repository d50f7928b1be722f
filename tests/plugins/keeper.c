/*
 * keeper.c - keeps a text on each kind of object, and says how many have been destroyed.
 *
 *   set KIND WHAT TEXT   ack [whether it could]: KIND is server, namespace (WHAT: its name),
 *   get KIND WHAT        ack [TEXT or null]      socket, room (its name), member (of the room), user
 *   join ROOM, leave ROOM
 *   be NAME              the socket is the user of that name, who is made if need be
 *   nobody               it is nobody's
 *   end NAME             ends the user; ack [whether there was one]
 *   whose                ack [name or null, how many sockets the user has]
 *   freed                ack {KIND: how many values were destroyed}
 *
 * In leave hooks the values of the membership and the room are looked at: `left` [ROOM, TEXT or null, TEXT or null].
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = HOP_ON_USER + 1, USERS_MAX = 8 };

static const char *const kind_names[KINDS] = {"socket", "server", "namespace",
                                              "room",   "member", "user"};

struct keeper {
    hop_server *server; /* borrowed */
    hop_slot slot[KINDS];
    hop_user user[USERS_MAX];
};

/* How many of each kind were destroyed: a value knows nothing but itself. */
struct value {
    int kind;
    char text[];
};

static int n_freed[KINDS];

static void value_free(void *value)
{
    n_freed[((struct value *)value)->kind]++;
    free(value);
}

static struct value *value_new(int kind, const char *text)
{
    struct value *value = malloc(sizeof *value + strlen(text) + 1);

    if (!value)
        abort();
    value->kind = kind;
    strcpy(value->text, text);
    return value;
}

static json_t *value_save(const void *value, void *self)
{
    (void)self;
    return json_string(((const struct value *)value)->text);
}

#define RESTORE(kind)                                                                    \
    static void *restore_##kind(json_t *saved, const hop_owner *owner, void *self)       \
    {                                                                                    \
        (void)owner;                                                                     \
        (void)self;                                                                      \
        return json_is_string(saved) ? value_new(kind, json_string_value(saved)) : NULL; \
    }
RESTORE(HOP_ON_SOCKET)
RESTORE(HOP_ON_SERVER)
RESTORE(HOP_ON_NAMESPACE)
RESTORE(HOP_ON_ROOM)
RESTORE(HOP_ON_MEMBER)
RESTORE(HOP_ON_USER)

static void *(*const restores[KINDS])(json_t *, const hop_owner *, void *) = {
    restore_HOP_ON_SOCKET, restore_HOP_ON_SERVER, restore_HOP_ON_NAMESPACE,
    restore_HOP_ON_ROOM,   restore_HOP_ON_MEMBER, restore_HOP_ON_USER};

static int find_kind(const char *name)
{
    int kind = 0;

    while (kind < KINDS && strcmp(kind_names[kind], name) != 0)
        kind++;
    return kind;
}

static int set(const struct keeper *keeper, hop_socket socket, int kind, const char *what,
               struct value *value)
{
    hop_server *server = keeper->server;

    switch (kind) {
    case HOP_ON_SOCKET:
        return hop_socket_set(server, socket, keeper->slot[kind], value);
    case HOP_ON_SERVER:
        return hop_server_set(server, keeper->slot[kind], value);
    case HOP_ON_NAMESPACE:
        return hop_namespace_set(server, what, keeper->slot[kind], value);
    case HOP_ON_ROOM:
        return hop_room_set(server, hop_socket_namespace(server, socket), what,
                            keeper->slot[kind], value);
    case HOP_ON_MEMBER:
        return hop_member_set(server, socket, what, keeper->slot[kind], value);
    case HOP_ON_USER:
        return hop_user_set(server, hop_socket_user(server, socket), keeper->slot[kind],
                            value);
    default:
        return -1;
    }
}

static struct value *get(const struct keeper *keeper, hop_socket socket, int kind,
                         const char *what)
{
    hop_server *server = keeper->server;

    switch (kind) {
    case HOP_ON_SOCKET:
        return hop_socket_get(server, socket, keeper->slot[kind]);
    case HOP_ON_SERVER:
        return hop_server_get(server, keeper->slot[kind]);
    case HOP_ON_NAMESPACE:
        return hop_namespace_get(server, what, keeper->slot[kind]);
    case HOP_ON_ROOM:
        return hop_room_get(server, hop_socket_namespace(server, socket), what,
                            keeper->slot[kind]);
    case HOP_ON_MEMBER:
        return hop_member_get(server, socket, what, keeper->slot[kind]);
    case HOP_ON_USER:
        return hop_user_get(server, hop_socket_user(server, socket), keeper->slot[kind]);
    default:
        return NULL;
    }
}

static hop_verdict answer(hop_event *event, json_t *value)
{
    hop_event_ack(event, json_pack("[o]", value));
    return HOP_STOP;
}

static json_t *text_of(const struct value *value)
{
    return value ? json_string(value->text) : json_null();
}

static hop_verdict on_set(hop_socket socket, hop_event *event, void *self)
{
    const char *kind, *what;
    struct value *value;
    json_t *text;

    if (hop_event_unpack(event, "[s,s,o]", &kind, &what, &text) < 0)
        return hop_reject(event, "bad", "a kind, what, and a text");
    value =
        json_is_string(text) ? value_new(find_kind(kind), json_string_value(text)) : NULL;
    if (set(self, socket, find_kind(kind), what, value) == 0)
        return answer(event, json_true());
    free(value);
    return answer(event, json_false());
}

static hop_verdict on_get(hop_socket socket, hop_event *event, void *self)
{
    const char *kind, *what;

    if (hop_event_unpack(event, "[s,s]", &kind, &what) < 0)
        return hop_reject(event, "bad", "a kind and what");
    return answer(event, text_of(get(self, socket, find_kind(kind), what)));
}

static hop_verdict on_join(hop_socket socket, hop_event *event, void *self)
{
    const struct keeper *keeper = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad", "a room");
    return answer(event,
                  json_boolean(hop_socket_join(keeper->server, socket, room) == 0));
}

static hop_verdict on_leave(hop_socket socket, hop_event *event, void *self)
{
    const struct keeper *keeper = self;
    const char *room;

    if (hop_event_unpack(event, "[s]", &room) < 0)
        return hop_reject(event, "bad", "a room");
    return answer(event,
                  json_boolean(hop_socket_leave(keeper->server, socket, room) == 0));
}

static void left(hop_socket socket, const char *room, void *self)
{
    const struct keeper *keeper = self;

    hop_emit(hop_to_all(keeper->server), "left",
             json_pack("[s, o, o]", room,
                       text_of(get(keeper, socket, HOP_ON_MEMBER, room)),
                       text_of(get(keeper, socket, HOP_ON_ROOM, room))));
}

/* ---- users */

static hop_user *find_user(struct keeper *keeper, const char *name)
{
    for (int i = 0; i < USERS_MAX; i++) {
        const char *its = hop_user_name(keeper->server, keeper->user[i]);

        if (its && strcmp(its, name) == 0)
            return &keeper->user[i];
    }
    return NULL;
}

static hop_user *need_user(struct keeper *keeper, const char *name)
{
    hop_user *user = find_user(keeper, name);

    for (int i = 0; i < USERS_MAX && !user; i++)
        if (!hop_user_name(keeper->server, keeper->user[i])) {
            user = &keeper->user[i];
            *user = hop_user_new(keeper->server, name);
        }
    return user;
}

static hop_verdict on_be(hop_socket socket, hop_event *event, void *self)
{
    struct keeper *keeper = self;
    const char *name;
    const hop_user *user;

    if (hop_event_unpack(event, "[s]", &name) < 0 || !(user = need_user(keeper, name)))
        return hop_reject(event, "bad", "a name");
    return answer(event,
                  json_boolean(hop_socket_set_user(keeper->server, socket, *user) == 0));
}

static hop_verdict on_nobody(hop_socket socket, hop_event *event, void *self)
{
    struct keeper *keeper = self;

    return answer(event, json_boolean(hop_socket_set_user(keeper->server, socket,
                                                          HOP_NO_USER) == 0));
}

static hop_verdict on_end(hop_socket socket, hop_event *event, void *self)
{
    struct keeper *keeper = self;
    const char *name;
    const hop_user *user;

    (void)socket;
    if (hop_event_unpack(event, "[s]", &name) < 0)
        return hop_reject(event, "bad", "a name");
    user = find_user(keeper, name);
    return answer(event, json_boolean(user && hop_user_end(keeper->server, *user) == 0));
}

static hop_verdict on_whose(hop_socket socket, hop_event *event, void *self)
{
    const struct keeper *keeper = self;
    const hop_user user = hop_socket_user(keeper->server, socket);
    const char *name = hop_user_name(keeper->server, user);
    int n = 0;

    while (hop_user_socket(keeper->server, user, (size_t)n) != HOP_NO_SOCKET)
        n++;
    hop_event_ack(event, json_pack("[s?, i]", name, n));
    return HOP_STOP;
}

static hop_verdict on_freed(hop_socket socket, hop_event *event, void *self)
{
    json_t *counts = json_object();

    (void)socket;
    (void)self;
    for (int kind = 0; kind < KINDS; kind++)
        json_object_set_new(counts, kind_names[kind], json_integer(n_freed[kind]));
    return answer(event, counts);
}

/* ---- start */

static int keeper_init(hop_server *server, void *self)
{
    struct keeper *keeper = self;
    const hop_on_options everywhere = {
        .size = sizeof everywhere, .phase = HOP_HANDLE, .nsp = "*"};
    static const struct {
        const char *event;
        hop_handler *call;
    } handlers[] = {
        {"set", on_set},     {"get", on_get},     {"join", on_join},
        {"leave", on_leave}, {"be", on_be},       {"nobody", on_nobody},
        {"end", on_end},     {"whose", on_whose}, {"freed", on_freed},
    };

    keeper->server = server;
    hop_namespace_pattern(server, "/tenant-[a-z]+");
    for (int kind = 0; kind < KINDS; kind++) {
        const hop_slot_options options = {
            .size = sizeof options,
            .on = (hop_slot_on)kind,
            .name = "text",
            .free = value_free,
            .save = value_save,
            .restore = restores[kind],
            .self = keeper,
        };

        keeper->slot[kind] = hop_slot_new_with(server, &options);
    }
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        hop_on_with(server, handlers[i].event, handlers[i].call, keeper, &everywhere);
    return hop_on_leave_in(server, "*", left, keeper);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("keeper", "1.0", "keeps texts on objects"),
    .state_size = sizeof(struct keeper),
    .init = keeper_init,
};
