/*
 * meddler.c - emits, joins, disconnects from inside every hook, and in crowds.
 *
 *   keys connect, disconnect, join, leave, answer = nothing, emit, join, soft, hard or others:
 *        what is done in that hook (answer: when an ack came or will not come) to the very
 *        socket that it is told of; others: every other socket is disconnected
 *   do ACT       the same from inside a handler; the ack [is it connected] comes behind it
 *   owe          asks the sender for an ack that is waited for
 *   index        ack: the sender's place among all that ever connected (at most 1,000)
 *   rooms N      joins r0 .. rN-1 (at most 100,000); ack [how often that went well]
 *   everywhere N `once` to the rooms r0 .. rN-1, together; ack []
 *   unroom N     leaves r0 .. rN-1; ack [how often that went well]
 *   churn        in one turn, for each socket i that ever connected: it joins "crowd", `step` i
 *                to the crowd, every third leaves again, every fifth is disconnected; `done` to
 *                all, and nobody in the crowd is left behind; ack []
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdio.h>
#include <string.h>

enum { SEEN_MAX = 1000, ROOMS_MAX = 100000 };
enum act { NOTHING, EMIT, JOIN, SOFT, HARD, OTHERS };
static const char *const acts[] = {"nothing", "emit", "join", "soft", "hard", "others"};
#define ACT_WORDS "nothing|emit|join|soft|hard|others"

struct meddler {
    hop_server *server;                                          /* borrowed */
    int on_connect, on_disconnect, on_join, on_leave, on_answer; /* enum act */
    hop_socket seen[SEEN_MAX];
    size_t n_seen;
};

static const hop_config_key meddler_keys[] = {
    HOP_CHOICE(struct meddler, on_connect, "connect", "nothing", ACT_WORDS, "in connect"),
    HOP_CHOICE(struct meddler, on_disconnect, "disconnect", "nothing", ACT_WORDS,
               "in disconnect"),
    HOP_CHOICE(struct meddler, on_join, "join", "nothing", ACT_WORDS, "in join"),
    HOP_CHOICE(struct meddler, on_leave, "leave", "nothing", ACT_WORDS, "in leave"),
    HOP_CHOICE(struct meddler, on_answer, "answer", "nothing", ACT_WORDS, "at an ack"),
    HOP_KEYS_END,
};

static void disconnect_others(struct meddler *meddler, hop_socket socket)
{
    for (size_t i = 0; i < meddler->n_seen; i++)
        if (meddler->seen[i] != socket)
            hop_socket_disconnect(meddler->server, meddler->seen[i], HOP_CLOSE_SOCKET);
}

static void act(struct meddler *meddler, hop_socket socket, enum act what)
{
    hop_server *server = meddler->server;

    switch (what) {
    case EMIT:
        hop_emit(hop_to_socket(server, socket), "meddled", json_pack("[s]", "you"));
        hop_emit(hop_to_all(server), "meddled", json_pack("[s]", "all"));
        break;
    case JOIN:
        hop_socket_join(server, socket, "meddled");
        hop_emit(hop_to_room(server, "meddled"), "meddled", json_pack("[s]", "room"));
        break;
    case SOFT:
    case HARD:
        hop_emit(hop_to_socket(server, socket), "meddled", json_pack("[s]", acts[what]));
        hop_socket_disconnect(server, socket,
                              what == SOFT ? HOP_CLOSE_SOCKET : HOP_CLOSE_TRANSPORT);
        hop_emit(hop_to_socket(server, socket), "meddled", json_pack("[s]", "too late"));
        hop_socket_join(server, socket, "too late");
        break;
    case OTHERS:
        disconnect_others(meddler, socket);
        break;
    case NOTHING:
        break;
    }
}

/* ---- hooks */

static void on_connect(hop_socket socket, void *self)
{
    struct meddler *meddler = self;

    if (meddler->n_seen < SEEN_MAX)
        meddler->seen[meddler->n_seen++] = socket;
    act(meddler, socket, (enum act)meddler->on_connect);
}

static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    struct meddler *meddler = self;

    (void)reason;
    act(meddler, socket, (enum act)meddler->on_disconnect);
}

static void on_join(hop_socket socket, const char *room, void *self)
{
    struct meddler *meddler = self;

    if (strcmp(room, "meddled") != 0) /* else it would go on for ever */
        act(meddler, socket, (enum act)meddler->on_join);
}

static void on_leave(hop_socket socket, const char *room, void *self)
{
    struct meddler *meddler = self;

    (void)room;
    act(meddler, socket, (enum act)meddler->on_leave);
}

static void on_answer(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    struct meddler *meddler = self;

    (void)status;
    (void)args;
    act(meddler, socket, (enum act)meddler->on_answer);
}

/* ---- events */

static hop_verdict on_do(hop_socket socket, hop_event *event, void *self)
{
    struct meddler *meddler = self;
    const char *word;

    if (hop_event_unpack(event, "[s]", &word) < 0)
        return hop_reject(event, "bad_act", "what, please");
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(word, acts[i]) == 0)
            act(meddler, socket, (enum act)i);
    hop_event_ack(event,
                  json_pack("[b]", hop_socket_is_connected(meddler->server, socket)));
    return HOP_STOP;
}

static hop_verdict on_owe(hop_socket socket, hop_event *event, void *self)
{
    struct meddler *meddler = self;

    (void)event;
    hop_emit_with_ack(meddler->server, socket, "owed", NULL, 60000, on_answer, meddler);
    return HOP_STOP;
}

static hop_verdict on_index(hop_socket socket, hop_event *event, void *self)
{
    const struct meddler *meddler = self;
    size_t i = 0;

    while (i < meddler->n_seen && meddler->seen[i] != socket)
        i++;
    hop_event_ack(event, json_pack("[I]", (json_int_t)i));
    return HOP_STOP;
}

/* ---- many rooms */

static hop_verdict on_rooms(hop_socket socket, hop_event *event, void *self)
{
    struct meddler *meddler = self;
    hop_server *server = meddler->server;
    json_int_t n, n_well = 0;
    const char *name = hop_event_name(event);
    hop_target *target = NULL;

    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 1 || n > ROOMS_MAX)
        return hop_reject(event, "bad_number", "from 1 to 100000, please");
    for (json_int_t i = 0; i < n; i++) {
        char room[32];

        snprintf(room, sizeof room, "r%lld", (long long)i);
        if (strcmp(name, "rooms") == 0)
            n_well += hop_socket_join(server, socket, room) == 0;
        else if (strcmp(name, "unroom") == 0)
            n_well += hop_socket_leave(server, socket, room) == 0;
        else
            target = target ? hop_and_room(target, room) : hop_to_room(server, room);
    }
    if (target)
        hop_emit(target, "once", NULL);
    hop_event_ack(event, json_pack("[I]", n_well));
    return HOP_STOP;
}

/* ---- a crowd */

static hop_verdict on_churn(hop_socket socket, hop_event *event, void *self)
{
    struct meddler *meddler = self;
    hop_server *server = meddler->server;

    (void)socket;
    for (size_t i = 0; i < meddler->n_seen; i++) {
        hop_socket one = meddler->seen[i];

        hop_socket_join(server, one, "crowd");
        hop_emit(hop_to_room(server, "crowd"), "step", json_pack("[I]", (json_int_t)i));
        if (i % 3 == 0)
            hop_socket_leave(server, one, "crowd");
        if (i % 5 == 0)
            hop_socket_disconnect(server, one, HOP_CLOSE_SOCKET);
    }
    for (size_t i = 0; i < meddler->n_seen; i++)
        hop_socket_leave(server, meddler->seen[i], "crowd");
    hop_emit(hop_to_room(server, "crowd"), "step", json_pack("[i]", -1)); /* to nobody */
    hop_emit(hop_to_all(server), "done", NULL);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static int meddler_init(hop_server *server, void *self)
{
    struct meddler *meddler = self;

    meddler->server = server;
    hop_on_connect(server, on_connect, meddler);
    hop_on_disconnect(server, on_disconnect, meddler);
    hop_on_join(server, on_join, meddler);
    hop_on_leave(server, on_leave, meddler);
    hop_on(server, "do", on_do, meddler);
    hop_on(server, "owe", on_owe, meddler);
    hop_on(server, "index", on_index, meddler);
    hop_on(server, "rooms", on_rooms, meddler);
    hop_on(server, "unroom", on_rooms, meddler);
    hop_on(server, "everywhere", on_rooms, meddler);
    hop_on(server, "churn", on_churn, meddler);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("meddler", "1.0", "acts inside of hooks"),
    .state_size = sizeof(struct meddler),
    .keys = meddler_keys,
    .init = meddler_init,
};
