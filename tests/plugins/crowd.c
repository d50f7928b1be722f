/*
 * crowd.c - what can be done with many sockets at once, and who is told of what.
 *
 *   poll WHO MS ARGS...  asks WHO `question` ARGS..., waiting MS; then `polled` {id: [args], ...}
 *                        {id: reason, ...}: who answered, and who did not
 *   poll-raw WHO ARGS... the same of one socket (its id), relayed: `answered` ID ARGS...
 *   who WHO              ack [[id, ...], sorted]
 *   enter WHO ROOM       all of WHO join; ack [n]
 *   exit WHO ROOM        all of WHO leave; ack [n]
 *   end WHO MODE         all of WHO are disconnected, MODE `soft` or `hard`; ack [n] first
 *   set KEY VALUE        socket.data; ack [{the whole of it}]
 *   my-rooms             ack [[room, ...]] as hop_socket_room() has them
 *   message ARGS...      hop_send() of them to everybody else
 *   tell ARGS...         a server event; its handler answers with them: `told` ARGS...
 *   seen                 ack [[name, ...], [name, ...]]: events in and out so far, this one
 *                        not yet; then forgets them
 *   forbidden            refused by the catch-all
 * WHO: "all", "others" (without the sender), or a room's name or an id.
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

struct crowd {
    hop_server *server; /* borrowed */
    json_t *in, *out;   /* owned: names of events */
};

/* Whom an ack is for, while others are asked. */
struct asking {
    struct crowd *crowd; /* borrowed */
    hop_socket asker;
};

static hop_target *target_of(struct crowd *crowd, hop_socket sender, const char *who)
{
    if (strcmp(who, "all") == 0)
        return hop_to_all(crowd->server);
    if (strcmp(who, "others") == 0)
        return hop_except(hop_to_all(crowd->server), sender);
    return hop_to_room(crowd->server, who);
}

static struct asking *asking_new(struct crowd *crowd, hop_socket asker)
{
    struct asking *asking = malloc(sizeof *asking);

    if (!asking)
        abort();
    *asking = (struct asking){crowd, asker};
    return asking;
}

/* ---- asking */

static void on_polled(hop_answers *answers, void *self)
{
    static const char *const words[] = {"ok", "timeout", "disconnected", "dropped"};
    struct asking *asking = self;
    json_t *given = json_object(), *missing = json_object();

    for (size_t i = 0; i < hop_answers_n(answers); i++) {
        hop_answer *answer = hop_answers_at(answers, i);

        if (hop_answer_status(answer) == HOP_ACK_OK)
            json_object_set(given, hop_answer_id(answer), hop_answer_args(answer));
        else
            json_object_set_new(missing, hop_answer_id(answer),
                                json_string(words[hop_answer_status(answer)]));
    }
    hop_emit(hop_to_socket(asking->crowd->server, asking->asker), "polled",
             json_pack("[o, o]", given, missing));
    free(asking);
}

static hop_verdict on_poll(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    struct asking *asking;
    hop_args *args;
    const char *who;
    json_int_t ms;

    if (hop_event_unpack(event, "[s, I]", &who, &ms) < 0)
        return hop_reject(event, "bad_poll", "whom and how long, please");
    asking = asking_new(crowd, socket);
    args = hop_args_new();
    hop_args_raw_from(args, event, 2);
    if (hop_emit_args_with_acks(target_of(crowd, socket, who), "question", args, (int)ms,
                                on_polled, asking) < 0) {
        free(asking);
        return hop_reject(event, "bad_poll", "it cannot be asked");
    }
    return HOP_STOP;
}

static void on_raw_answer(hop_answer *answer, void *self)
{
    struct asking *asking = self;
    hop_args *args = hop_args_new();

    hop_args_string(args, hop_answer_id(answer));
    hop_args_answer_from(args, answer, 0);
    hop_emit_args(hop_to_socket(asking->crowd->server, asking->asker), "answered", args);
    free(asking);
}

static hop_verdict on_poll_raw(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    struct asking *asking;
    hop_args *args;
    const char *id;

    if (hop_event_unpack(event, "[s]", &id) < 0)
        return hop_reject(event, "bad_poll", "whom, please");
    asking = asking_new(crowd, socket);
    args = hop_args_new();
    hop_args_raw_from(args, event, 1);
    if (hop_emit_args_with_ack(crowd->server, hop_socket_find(crowd->server, id),
                               "question", args, 10000, on_raw_answer, asking) < 0) {
        free(asking);
        return hop_reject(event, "bad_poll", "nobody is called that");
    }
    return HOP_STOP;
}

/* ---- all sockets of a target */

static int compare_ids(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static hop_verdict on_who(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    const hop_socket *found;
    const char *who, **ids;
    json_t *list = json_array();
    size_t n;

    if (hop_event_unpack(event, "[s]", &who) < 0)
        who = "all";
    found = hop_target_sockets(target_of(crowd, socket, who), &n);
    ids = calloc(n + 1, sizeof *ids);
    if (!ids)
        abort();
    for (size_t i = 0; i < n; i++)
        ids[i] = hop_socket_id(crowd->server, found[i]);
    qsort(ids, n, sizeof *ids, compare_ids);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(ids[i]));
    free(ids);
    hop_event_ack(event, json_pack("[o]", list));
    return HOP_STOP;
}

static hop_verdict on_enter(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    const char *who, *room;
    size_t n;

    if (hop_event_unpack(event, "[s, s]", &who, &room) < 0)
        return hop_reject(event, "bad_room", "who and where, please");
    n = strcmp(hop_event_name(event), "enter") == 0
            ? hop_target_join(target_of(crowd, socket, who), room)
            : hop_target_leave(target_of(crowd, socket, who), room);
    hop_event_ack(event, json_pack("[I]", (json_int_t)n));
    return HOP_STOP;
}

static hop_verdict on_end(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    const char *who, *mode;
    hop_target *target;
    size_t n;

    if (hop_event_unpack(event, "[s, s]", &who, &mode) < 0)
        return hop_reject(event, "bad_end", "who and how, please");
    target = target_of(crowd, socket, who);
    hop_target_sockets(target, &n);
    hop_event_ack(event, json_pack("[I]", (json_int_t)n));
    hop_target_disconnect(target, strcmp(mode, "hard") == 0 ? HOP_CLOSE_TRANSPORT
                                                            : HOP_CLOSE_SOCKET);
    return HOP_STOP;
}

static hop_verdict on_set(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    json_t *data = hop_socket_data(crowd->server, socket), *value;
    const char *key;

    if (hop_event_unpack(event, "[s, o]", &key, &value) < 0)
        return hop_reject(event, "bad_data", "a key and a value, please");
    json_object_set(data, key, value);
    hop_event_ack(event, json_pack("[O]", data));
    return HOP_STOP;
}

static hop_verdict on_my_rooms(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    json_t *rooms = json_array();
    const char *room;

    for (size_t i = 0; (room = hop_socket_room(crowd->server, socket, i)); i++)
        json_array_append_new(rooms, json_string(room));
    hop_event_ack(event, json_pack("[o]", rooms));
    return HOP_STOP;
}

static hop_verdict on_message(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;

    hop_send(hop_compress(hop_local(target_of(crowd, socket, "others")), false),
             json_incref(hop_event_args(event)));
    return HOP_STOP;
}

/* ---- between servers */

static void on_told(hop_server_event *event, void *self)
{
    (void)self;
    hop_server_event_ack(event, json_incref(hop_server_event_args(event)));
}

static void on_told_answers(hop_server_answers *answers, void *self)
{
    struct asking *asking = self;

    hop_emit(hop_to_socket(asking->crowd->server, asking->asker), "told",
             json_incref(hop_server_answers_at(answers, 0)));
    free(asking);
}

static hop_verdict on_tell(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    struct asking *asking = asking_new(crowd, socket);

    if (hop_server_emit_with_acks(crowd->server, "tell",
                                  json_incref(hop_event_args(event)), 5000,
                                  on_told_answers, asking) < 0)
        free(asking);
    return HOP_STOP;
}

/* ---- who is told */

static hop_verdict on_any(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;
    const char *name = hop_event_name(event);

    (void)socket;
    if (strcmp(name, "forbidden") == 0)
        return hop_reject(event, "forbidden", "by the catch-all");
    if (strcmp(name, "seen") != 0)
        json_array_append_new(crowd->in, json_string(name));
    return HOP_NEXT;
}

static void on_any_outgoing(hop_outgoing *outgoing, void *self)
{
    struct crowd *crowd = self;

    json_array_append_new(crowd->out, json_string(hop_outgoing_name(outgoing)));
}

static hop_verdict on_seen(hop_socket socket, hop_event *event, void *self)
{
    struct crowd *crowd = self;

    (void)socket;
    hop_event_ack(event, json_pack("[O, O]", crowd->in, crowd->out));
    json_array_clear(crowd->in);
    json_array_clear(crowd->out);
    return HOP_STOP;
}

static int crowd_init(hop_server *server, void *self)
{
    static const struct {
        const char *event;
        hop_handler *handler;
    } handlers[] = {
        {"poll", on_poll},   {"poll-raw", on_poll_raw}, {"who", on_who},
        {"enter", on_enter}, {"exit", on_enter},        {"end", on_end},
        {"set", on_set},     {"my-rooms", on_my_rooms}, {"message", on_message},
        {"tell", on_tell},   {"seen", on_seen},
    };
    struct crowd *crowd = self;

    crowd->server = server;
    crowd->in = json_array();
    crowd->out = json_array();
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        hop_on(server, handlers[i].event, handlers[i].handler, crowd);
    hop_on_any(server, on_any, crowd);
    hop_on_any_outgoing(server, on_any_outgoing, crowd);
    hop_on_server_event(server, "tell", on_told, crowd);
    return 0;
}

static void crowd_free(void *self)
{
    struct crowd *crowd = self;

    json_decref(crowd->in);
    json_decref(crowd->out);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("crowd", "1.0", "does it with many at once"),
    .state_size = sizeof(struct crowd),
    .init = crowd_init,
    .free = crowd_free,
};
