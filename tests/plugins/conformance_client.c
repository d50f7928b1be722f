/*
 * conformance_client.c - the profile `client`: what socket.io-client's own suite asks for.
 *
 * Called by: conformance.c (init). Thread: logic.
 */
#include "tests/plugins/conformance.h"

#include <time.h>

enum { ACK_TIMEOUT_MS = 60000 };

/* ---- plain values */

static hop_verdict on_hi(hop_socket socket, hop_event *event, void *self)
{
    emit_to(self, socket, hop_event_name(event), NULL);
    return HOP_STOP;
}

static hop_verdict on_echo(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_raw(args, event, 0);
    hop_event_ack_args(event, args);
    return HOP_STOP;
}

static hop_verdict on_false(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    emit_to(self, socket, "false", json_pack("[b]", 0));
    return HOP_STOP;
}

static hop_verdict on_get_utf8(hop_socket socket, hop_event *event, void *self)
{
    static const char *const texts[] = {"てすと", "Я Б Г Д Ж Й", "Ä ä Ü ü ß",
                                        "utf8 — string", "utf8 — string"};

    (void)event;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        emit_to(self, socket, "takeUtf8", json_pack("[s]", texts[i]));
    return HOP_STOP;
}

/* ---- dates: JSON.stringify() makes texts of them */

static json_t *date_now(void)
{
    char text[40];
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &utc);
    return json_string(text);
}

static hop_verdict on_get_ack_date(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    hop_event_ack(event, json_pack("[o]", date_now()));
    return HOP_STOP;
}

static hop_verdict on_get_date(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    emit_to(self, socket, "takeDate", json_pack("[o]", date_now()));
    return HOP_STOP;
}

static hop_verdict on_get_date_obj(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    emit_to(self, socket, "takeDateObj", json_pack("[{so}]", "date", date_now()));
    return HOP_STOP;
}

/* ---- acks */

static void on_got(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    json_int_t number;
    int test;

    if (status == HOP_ACK_OK &&
        json_unpack(args, "[I, {s:b}]", &number, "test", &test) == 0 && number == 5 &&
        test)
        emit_to(self, socket, "got it", NULL);
}

/* An ack that the client asks for here never comes: its retry test counts on that. */
static hop_verdict on_ack(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    (void)event;
    hop_emit_with_ack(conformance->server, socket, "ack", NULL, ACK_TIMEOUT_MS, on_got,
                      conformance);
    return HOP_STOP;
}

static hop_verdict on_get_id(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_event_ack(event, json_pack("[s]", hop_socket_id(conformance->server, socket)));
    return HOP_STOP;
}

/* ---- binary */

static bool is_binary(const hop_event *event)
{
    size_t len;

    return hop_event_binary(event, 0, &len) != NULL;
}

/* doge and getbin: eight octets. */
static void emit_octets(struct conformance *conformance, hop_socket socket,
                        const char *event)
{
    hop_args *args = hop_args_new();

    hop_args_binary(args, "asdfasdf", 8);
    hop_emit_args(hop_to_socket(conformance->server, socket), event, args);
}

static hop_verdict on_doge(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    emit_octets(self, socket, "doge");
    return HOP_STOP;
}

static hop_verdict on_getbin(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    emit_octets(self, socket, "takebin");
    return HOP_STOP;
}

static hop_verdict on_buffa(hop_socket socket, hop_event *event, void *self)
{
    if (is_binary(event))
        emit_to(self, socket,
                strcmp(hop_event_name(event), "buffa") == 0 ? "buffack" : "back", NULL);
    return HOP_STOP;
}

/* {hello: "lol", message: binary, goodbye: "gotcha"}, where binary is a placeholder. */
static hop_verdict on_jsonbuff(hop_socket socket, hop_event *event, void *self)
{
    const char *hello, *goodbye;
    int is_placeholder;

    if (hop_event_unpack(event, "[{s:s, s:{s:b}, s:s}]", "hello", &hello, "message",
                         "_placeholder", &is_placeholder, "goodbye", &goodbye) == 0 &&
        hop_event_n_attachments(event) == 1 && strcmp(hello, "lol") == 0 &&
        is_placeholder && strcmp(goodbye, "gotcha") == 0)
        emit_to(self, socket,
                strcmp(hop_event_name(event), "jsonbuff") == 0 ? "jsonbuff-ack"
                                                               : "jsonblob-ack",
                NULL);
    return HOP_STOP;
}

/* ---- those that must come in order: socket.data has what came */

static void mark(struct conformance *conformance, hop_socket socket, const char *event)
{
    json_object_set_new(hop_socket_data(conformance->server, socket), event, json_true());
}

static bool is_marked(struct conformance *conformance, hop_socket socket,
                      const char *event)
{
    return json_object_get(hop_socket_data(conformance->server, socket), event) != NULL;
}

/* abuff1 and blob1 */
static hop_verdict on_first(hop_socket socket, hop_event *event, void *self)
{
    if (is_binary(event))
        mark(self, socket, hop_event_name(event));
    return HOP_STOP;
}

static hop_verdict on_abuff2(hop_socket socket, hop_event *event, void *self)
{
    (void)event;
    if (is_marked(self, socket, "abuff1"))
        emit_to(self, socket, "abuff2-ack", NULL);
    return HOP_STOP;
}

static hop_verdict on_blob2(hop_socket socket, hop_event *event, void *self)
{
    const char *text;

    if (hop_event_unpack(event, "[s]", &text) == 0 && strcmp(text, "second") == 0 &&
        is_marked(self, socket, "blob1"))
        mark(self, socket, "blob2");
    return HOP_STOP;
}

static hop_verdict on_blob3(hop_socket socket, hop_event *event, void *self)
{
    if (is_binary(event) && is_marked(self, socket, "blob2"))
        emit_to(self, socket, "blob3-ack", NULL);
    return HOP_STOP;
}

/* ---- the handshake, and who is refused */

static hop_verdict on_get_handshake(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_event_ack(event,
                  json_pack("[o]", hop_socket_handshake(conformance->server, socket)));
    return HOP_STOP;
}

static void tell_handshake(hop_socket socket, void *self)
{
    struct conformance *conformance = self;

    emit_to(conformance, socket, "handshake",
            json_pack("[o]", hop_socket_handshake(conformance->server, socket)));
}

static hop_verdict check_query(hop_socket socket, hop_connect *connect, void *self)
{
    json_t *fail = hop_connect_query(connect, "fail");

    (void)socket;
    (void)self;
    if (!fail)
        return HOP_NEXT;
    json_decref(fail);
    return hop_connect_reject(connect, "Auth failed (main namespace)", NULL);
}

static hop_verdict refuse(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)self;
    return hop_connect_reject(connect, "Auth failed (custom namespace)", NULL);
}

void client_init(struct conformance *conformance)
{
    static const struct reaction reactions[] = {
        {"hi", on_hi},
        {"echo", on_echo},
        {"ack", on_ack},
        {"getAckDate", on_get_ack_date},
        {"getDate", on_get_date},
        {"getDateObj", on_get_date_obj},
        {"getUtf8", on_get_utf8},
        {"false", on_false},
        {"getId", on_get_id},
        {"doge", on_doge},
        {"getbin", on_getbin},
        {"buffa", on_buffa},
        {"blob", on_buffa},
        {"jsonbuff", on_jsonbuff},
        {"jsonblob", on_jsonbuff},
        {"abuff1", on_first},
        {"blob1", on_first},
        {"abuff2", on_abuff2},
        {"blob2", on_blob2},
        {"blob3", on_blob3},
        {"getHandshake", on_get_handshake},
        {NULL, NULL},
    };
    static const struct reaction foo[] = {{"getId", on_get_id}, {NULL, NULL}};
    static const char *const others[] = {
        "/abc", "/asd", "/foo", "/no", "/timeout_socket", "/valid"};
    hop_server *server = conformance->server;

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        hop_namespace(server, others[i]);
    delays_start(conformance);
    reactions_register(conformance, "/", reactions);
    reactions_register(conformance, "/foo", foo);
    hop_on_connect_in(server, "/abc", tell_handshake, conformance);
    hop_use(server, "/", check_query, conformance);
    hop_use(server, "/no", refuse, conformance);
}
