/*
 * conformance_engine.c - the profile `engine`: what engine.io-client's own suite asks for.
 *
 * Called by: conformance.c (init). Thread: logic.
 */
#include "tests/plugins/conformance.h"

static const char utf8[] = "пойду спать всем спокойной ночи";
static const char binary[] = {0, 1, 2, 3, 4};

static void greet(hop_peer peer, hop_request *request, void *self)
{
    struct conformance *conformance = self;

    (void)request;
    hop_peer_send(conformance->server, peer, HOP_TEXT, "hi", 2);
}

static bool is_text(const char *word, hop_message_kind kind, const char *data, size_t len)
{
    return kind == HOP_TEXT && len == strlen(word) && memcmp(data, word, len) == 0;
}

static void answer(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                   void *self)
{
    struct conformance *conformance = self;

    if (is_text("give binary", kind, data, len))
        hop_peer_send(conformance->server, peer, HOP_BINARY, binary, sizeof binary);
    else if (is_text("give utf8", kind, data, len))
        hop_peer_send(conformance->server, peer, HOP_TEXT, utf8, strlen(utf8));
    else
        hop_peer_send(conformance->server, peer, kind, data, len);
}

static hop_verdict set_cookies(hop_handshake *handshake, void *self)
{
    static const char *const cookies[] = {
        "1=1; Max-Age=86400", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict",
        "3=3; Max-Age=0", "4=4; Expires=0"};

    (void)self;
    for (size_t i = 0; i < sizeof cookies / sizeof *cookies; i++)
        hop_handshake_add_header(handshake, HOP_FIRST_RESPONSE, "Set-Cookie", cookies[i]);
    return HOP_NEXT;
}

void engine_init(struct conformance *conformance)
{
    static const hop_endpoint endpoint = {
        HOP_ENDPOINT,
        .on_open = greet,
        .on_message = answer,
    };

    hop_engine(conformance->server, "/engine.io", &endpoint, conformance);
    hop_on_handshake(conformance->server, "/engine.io", deny_if_asked, NULL);
    hop_on_handshake(conformance->server, "/engine.io", set_cookies, NULL);
}
