/*
 * conformance_proto.c - the profile `proto`: what the official protocol suites ask for.
 *
 * Called by: conformance.c (init); the smoke profile has all of it too. Thread: logic.
 */
#include "tests/plugins/conformance.h"

static void tell_auth(hop_socket socket, void *self)
{
    struct conformance *conformance = self;

    emit_to(conformance, socket, "auth",
            json_pack("[o]", hop_socket_auth(conformance->server, socket)));
}

static hop_verdict on_message(hop_socket socket, hop_event *event, void *self)
{
    struct conformance *conformance = self;

    hop_emit_args(hop_to_socket(conformance->server, socket), "message-back",
                  raw_from(event, 0));
    return HOP_STOP;
}

static hop_verdict on_message_with_ack(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    hop_event_ack_args(event, raw_from(event, 0));
    return HOP_STOP;
}

void proto_init(struct conformance *conformance)
{
    static const struct reaction reactions[] = {
        {"message", on_message},
        {"message-with-ack", on_message_with_ack},
        {NULL, NULL},
    };
    static const hop_endpoint echo = {HOP_ENDPOINT, .on_message = echo_message};

    hop_namespace(conformance->server, "/custom");
    reactions_register(conformance, "*", reactions);
    hop_on_connect_in(conformance->server, "*", tell_auth, conformance);
    hop_engine(conformance->server, "/engine.io", &echo, conformance);
    hop_on_handshake(conformance->server, "/engine.io", deny_if_asked, NULL);
}
