/*
 * binary.c - binary data in events and acks, made and taken apart by a plugin.
 *
 *   what ARGS...       ack [N, [LEN or null for each argument], SUM]: attachments in all, the
 *                      size of each argument that is binary itself, the sum of all bytes
 *   make SIZE          ack [BINARY], SIZE bytes 0, 1, 2 ... (at most 2,000,000)
 *   nest               ack [{a: [BINARY "a", {b: BINARY "b"}]}, 5, BINARY ""]
 *   many N             `many` with N pieces of binary data to the sender; ack [whether sent]
 *   turn ARGS...       ack [last argument, BINARY "between", first argument]
 *   beside ARG         ack [BINARY "real", ARG, the same ARG by way of a tree]
 *   question ARGS...   `question` ARGS... to the sender; what it acks is its `answer` ARGS...
 *   attachment N ...   ack [attachment N] (null where there is none)
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>

#include <stdlib.h>

struct binary {
    hop_server *server; /* borrowed */
};

static hop_verdict on_what(hop_socket socket, hop_event *event, void *self)
{
    json_t *sizes = json_array();
    json_int_t sum = 0;
    size_t len;

    (void)socket;
    (void)self;
    for (size_t i = 0; i < hop_event_n_args(event); i++) {
        const void *data = hop_event_binary(event, i, &len);

        json_array_append_new(sizes, data ? json_integer((json_int_t)len) : json_null());
    }
    for (size_t i = 0; i < hop_event_n_attachments(event); i++) {
        const unsigned char *data = hop_event_attachment(event, i, &len);

        while (len > 0)
            sum += data[--len];
    }
    hop_event_ack(
        event,
        json_pack("[I, o, I]", (json_int_t)hop_event_n_attachments(event), sizes, sum));
    return HOP_STOP;
}

static hop_verdict on_make(hop_socket socket, hop_event *event, void *self)
{
    json_int_t size;
    hop_args *args;
    unsigned char *data;

    (void)socket;
    (void)self;
    if (hop_event_unpack(event, "[I]", &size) < 0 || size < 0 || size > 2000000)
        return hop_reject(event, "bad_size", "up to 2000000, please");
    data = malloc((size_t)size + 1);
    if (!data)
        return hop_reject(event, "no_memory", "later, please");
    for (json_int_t i = 0; i < size; i++)
        data[i] = (unsigned char)i;
    args = hop_args_new();
    hop_args_binary(args, data, (size_t)size);
    free(data);
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static hop_verdict on_nest(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_begin_object(args);
    hop_args_key(args, "a");
    hop_args_begin_array(args);
    hop_args_binary(args, "a", 1);
    hop_args_begin_object(args);
    hop_args_key(args, "b");
    hop_args_binary(args, "b", 1);
    hop_args_end(args);
    hop_args_end(args);
    hop_args_end(args);
    hop_args_json(args, json_integer(5));
    hop_args_binary(args, NULL, 0);
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static hop_verdict on_many(hop_socket socket, hop_event *event, void *self)
{
    struct binary *binary = self;
    hop_args *args = hop_args_new();
    json_int_t n = 0;
    int result;

    hop_event_unpack(event, "[I]", &n);
    for (json_int_t i = 0; i < n && i < 1000; i++)
        hop_args_binary(args, &i, 1);
    result = hop_emit_args(hop_to_socket(binary->server, socket), "many", args);
    hop_event_ack(event, json_pack("[b]", result == 0));
    return HOP_STOP;
}

static hop_verdict on_turn(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_raw(args, event, hop_event_n_args(event) - 1);
    hop_args_binary(args, "between", 7);
    hop_args_raw(args, event, 0);
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static hop_verdict on_beside(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_binary(args, "real", 4);
    hop_args_raw(args, event, 0);
    hop_args_json(args, json_incref(json_array_get(hop_event_args(event), 0)));
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static hop_verdict on_attachment(hop_socket socket, hop_event *event, void *self)
{
    json_int_t n = json_integer_value(json_array_get(hop_event_args(event), 0));
    hop_args *args = hop_args_new();
    size_t len;
    const void *data = hop_event_attachment(event, (size_t)n, &len);

    (void)socket;
    (void)self;
    if (data)
        hop_args_binary(args, data, len);
    else
        hop_args_json(args, json_null());
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static void on_answer(hop_answer *answer, void *self)
{
    struct binary *binary = self;
    hop_args *args = hop_args_new();

    hop_args_answer_from(args, answer, 0);
    hop_emit_args(hop_to_socket(binary->server, hop_answer_socket(answer)), "answer",
                  args);
}

static hop_verdict on_question(hop_socket socket, hop_event *event, void *self)
{
    struct binary *binary = self;
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, 0);
    hop_emit_args_with_ack(binary->server, socket, "question", args, 10000, on_answer,
                           binary);
    return HOP_STOP;
}

static int binary_init(hop_server *server, void *self)
{
    struct binary *binary = self;

    binary->server = server;
    hop_on(server, "what", on_what, binary);
    hop_on(server, "make", on_make, binary);
    hop_on(server, "nest", on_nest, binary);
    hop_on(server, "many", on_many, binary);
    hop_on(server, "turn", on_turn, binary);
    hop_on(server, "beside", on_beside, binary);
    hop_on(server, "question", on_question, binary);
    hop_on(server, "attachment", on_attachment, binary);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("binary", "1.0", "binary data, for the tests"),
    .state_size = sizeof(struct binary),
    .init = binary_init,
};
