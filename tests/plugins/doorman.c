/*
 * doorman.c - looks at handshakes, and does what their query says:
 *
 *   deny=WORDS    refused with WORDS; deny without a value: with no words
 *   later=WORDS   decided in a later turn: refused with WORDS, or let in where there are none
 *   never=MS      not decided: its deadline refuses it, of 100 ms where MS is none
 *   wrong         a verdict that is none
 *   id=ID         the session's id; `set` says whether it was taken
 *   first=VALUE   header X-First of the first response; all=VALUE: X-All of every one
 *   cookies       two cookies, each a header of its own, with the first response
 *
 * For Socket.IO, and for bare Engine.IO under /engine-door. GET /door tells what it has seen:
 * {"asked":N,"set":N,"transport":..,"address":..,"header":..,"errors":[{"code":..,"message":..,
 * "reason":..,"address":..,"path":..}]}, and forgets it. `header` is X-Ask of the last one.
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

struct doorman {
    hop_server *server; /* borrowed */
    json_t *errors;     /* owned */
    json_int_t n_asked, set;
    char transport[16], address[64], header[64];
};

/* The value of a parameter as it stands in the query; NULL: it is not there. */
static const char *parameter(const hop_request *request, const char *name, char *value,
                             size_t size)
{
    const char *at = hop_request_query(request);
    size_t len = strlen(name), n;

    while (strncmp(at, name, len) != 0 || (at[len] != '=' && at[len] != '&' && at[len])) {
        at = strchr(at, '&');
        if (!at)
            return NULL;
        at++;
    }
    at += len + (at[len] == '=');
    n = strcspn(at, "&");
    n = n < size ? n : size - 1;
    memcpy(value, at, n);
    value[n] = '\0';
    return value;
}

static hop_verdict on_handshake(hop_handshake *handshake, void *self)
{
    struct doorman *doorman = self;
    hop_request *request = hop_handshake_request(handshake);
    const char *ask = hop_request_header(request, "X-Ask");
    char value[128];

    doorman->n_asked++;
    strcpy(doorman->transport, hop_handshake_transport(handshake));
    strcpy(doorman->address, hop_handshake_address(handshake));
    strncpy(doorman->header, ask ? ask : "", sizeof doorman->header - 1);
    hop_respond(request, 200, NULL, NULL, 0); /* which it cannot */
    if (parameter(request, "id", value, sizeof value))
        doorman->set = hop_handshake_set_id(handshake, value);
    if (parameter(request, "first", value, sizeof value))
        hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "X-First", value);
    if (parameter(request, "all", value, sizeof value))
        hop_handshake_add_header(handshake, HOP_ALL_RESPONSES, "X-All", value);
    if (parameter(request, "cookies", value, sizeof value)) {
        hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "Set-Cookie", "a=1");
        hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "Set-Cookie",
                                 "b=2; HttpOnly");
    }
    if (parameter(request, "wrong", value, sizeof value))
        return HOP_STOP;
    if (parameter(request, "deny", value, sizeof value))
        return hop_handshake_reject(handshake, *value ? value : NULL);
    if (parameter(request, "never", value, sizeof value)) {
        hop_handshake_defer(handshake, *value ? atoi(value) : 100);
        return HOP_DEFER;
    }
    if (!parameter(request, "later", value, sizeof value))
        return HOP_NEXT;
    hop_handshake_resume(doorman->server, hop_handshake_defer(handshake, 60000),
                         *value ? value : NULL);
    return HOP_DEFER;
}

static void on_error(const hop_connection_error *error, void *self)
{
    struct doorman *doorman = self;

    json_array_append_new(doorman->errors,
                          json_pack("{si ss ss ss ss}", "code", error->code, "message",
                                    error->message, "reason", error->reason, "address",
                                    error->address, "path",
                                    hop_request_path(error->request)));
}

static void on_door(hop_request *request, void *self)
{
    struct doorman *doorman = self;
    json_t *seen =
        json_pack("{sI sI ss ss ss so}", "asked", doorman->n_asked, "set", doorman->set,
                  "transport", doorman->transport, "address", doorman->address, "header",
                  doorman->header, "errors", doorman->errors);
    char *text = json_dumps(seen, JSON_COMPACT);

    hop_respond(request, 200, "application/json", text, strlen(text));
    free(text);
    json_decref(seen);
    doorman->errors = json_array();
    doorman->n_asked = doorman->set = 0;
}

static void on_message(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                       void *self)
{
    struct doorman *doorman = self;

    hop_peer_send(doorman->server, peer, kind, data, len);
}

static int doorman_init(hop_server *server, void *self)
{
    const hop_endpoint echo = {HOP_ENDPOINT, .on_message = on_message};
    struct doorman *doorman = self;

    doorman->server = server;
    doorman->errors = json_array();
    hop_on_handshake(server, NULL, on_handshake, doorman);
    hop_on_handshake(server, "/engine-door", on_handshake, doorman);
    hop_on_connection_error(server, NULL, on_error, doorman);
    hop_on_connection_error(server, "/engine-door", on_error, doorman);
    hop_engine(server, "/engine-door", &echo, doorman); /* later is soon enough */
    hop_route(server, "GET", "/door", on_door, doorman);
    return 0;
}

static void doorman_free(void *self)
{
    struct doorman *doorman = self;

    json_decref(doorman->errors);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("doorman", "1.0", "decides who may connect"),
    .state_size = sizeof(struct doorman),
    .init = doorman_init,
    .free = doorman_free,
};
