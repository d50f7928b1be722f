/*
 * peers.c - endpoints of a plugin.
 *
 *   /ws-echo   sends each message back as it came
 *   /engine    Engine.IO: the same
 *   /talk      Engine.IO, and
 *   /ws-talk   a WebSocket: a text is an order:
 *              "query"      sends the raw query of the opening request
 *              "header N"   sends its header N, or "-"
 *              "address"    sends the peer's address
 *              "set T"      keeps T as the peer's value; "get" sends it
 *              "close C R"  closes with code C and reason R, and sends "late" behind it
 *              "bad"        tries what must fail, sends "ok" when all of it did
 *              "last"       sends how the peer before left: "CODE reason"
 *              anything else is sent back
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peers {
    hop_server *server; /* borrowed */
    char last[160];     /* how the latest peer of /ws-talk left */
    hop_peer gone;      /* its handle */
};

/* What is kept of a peer. */
struct known {
    char query[64], value[64];
    char headers[8][2][64];
    size_t n_headers;
};

static void on_echo(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                    void *self)
{
    const struct peers *peers = self;

    hop_peer_send(peers->server, peer, kind, data, len);
}

static void on_open(hop_peer peer, hop_request *request, void *self)
{
    const struct peers *peers = self;
    struct known *known = calloc(1, sizeof *known);
    const char *name, *value;

    if (!known)
        return;
    snprintf(known->query, sizeof known->query, "%s", hop_request_query(request));
    for (size_t i = 0; (value = hop_request_header_at(request, i, &name)) && i < 8; i++) {
        snprintf(known->headers[i][0], sizeof known->headers[i][0], "%s", name);
        snprintf(known->headers[i][1], sizeof known->headers[i][1], "%s", value);
        known->n_headers++;
    }
    hop_peer_set(peers->server, peer, known);
    hop_respond(request, 200, NULL, "", 0); /* does nothing */
    if (strcmp(known->query, "refuse") == 0)
        hop_peer_close(peers->server, peer, 4001, "not you");
    else
        hop_peer_send(peers->server, peer, HOP_TEXT, "welcome", 7);
}

static void on_close(hop_peer peer, int code, const char *reason, void *self)
{
    struct peers *peers = self;

    snprintf(peers->last, sizeof peers->last, "%d %s%s", code, reason,
             hop_peer_send(peers->server, peer, HOP_TEXT, "x", 1) == 0 ? " alive" : "");
    peers->gone = peer;
    free(hop_peer_get(peers->server, peer));
    hop_log(HOP_INFO, "peers.closed code=%d reason=\"%s\"", code, reason);
}

static void say(const struct peers *peers, hop_peer peer, const char *text)
{
    hop_peer_send(peers->server, peer, HOP_TEXT, text, strlen(text));
}

static const char *header(const struct known *known, const char *name)
{
    for (size_t i = 0; i < known->n_headers; i++)
        if (strcmp(known->headers[i][0], name) == 0)
            return known->headers[i][1];
    return "-";
}

static void close_as_told(const struct peers *peers, hop_peer peer, const char *text)
{
    char *reason;
    long code = strtol(text, &reason, 10);

    if (hop_peer_close(peers->server, peer, (int)code, *reason ? reason + 1 : NULL) < 0)
        say(peers, peer, "refused");
    else
        say(peers, peer, "late"); /* goes nowhere */
}

/* Returns "ok" when everything failed as promised. */
static const char *try_bad(const struct peers *peers, hop_peer peer)
{
    char longest[125];

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    if (hop_peer_send(peers->server, peer, HOP_TEXT, "\xc3\x28", 2) == 0 ||
        hop_peer_send(peers->server, peer, HOP_TEXT, NULL, 1) == 0 ||
        hop_peer_send(peers->server, HOP_NO_PEER, HOP_TEXT, "x", 1) == 0 ||
        hop_peer_send(peers->server, peers->gone, HOP_TEXT, "x", 1) == 0)
        return "sent";
    if (hop_peer_close(peers->server, peer, 1005, NULL) == 0 ||
        hop_peer_close(peers->server, peer, -1, NULL) == 0 ||
        hop_peer_close(peers->server, peer, 70000, NULL) == 0 ||
        hop_peer_close(peers->server, peer, 1000, "\xff") == 0 ||
        hop_peer_close(peers->server, peer, 1000, longest) == 0)
        return "closed";
    if (hop_peer_address(peers->server, peers->gone) ||
        hop_peer_get(peers->server, peers->gone) ||
        hop_peer_set(peers->server, peers->gone, longest) == 0 ||
        hop_peer_is_open(peers->server, peers->gone) ||
        !hop_peer_is_open(peers->server, peer))
        return "found";
    if (hop_websocket(peers->server, "/late",
                      &(hop_endpoint){HOP_ENDPOINT, .on_message = on_echo}, NULL) == 0)
        return "registered";
    return "ok";
}

static void on_talk(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                    void *self)
{
    const struct peers *peers = self;
    struct known *known = hop_peer_get(peers->server, peer);

    if (!known || kind != HOP_TEXT)
        hop_peer_send(peers->server, peer, kind, data, len);
    else if (strcmp(data, "query") == 0)
        say(peers, peer, known->query);
    else if (strncmp(data, "header ", 7) == 0)
        say(peers, peer, header(known, data + 7));
    else if (strcmp(data, "address") == 0)
        say(peers, peer, hop_peer_address(peers->server, peer));
    else if (strncmp(data, "set ", 4) == 0)
        snprintf(known->value, sizeof known->value, "%s", data + 4);
    else if (strcmp(data, "get") == 0)
        say(peers, peer, known->value);
    else if (strncmp(data, "close ", 6) == 0)
        close_as_told(peers, peer, data + 6);
    else if (strcmp(data, "bad") == 0)
        say(peers, peer, try_bad(peers, peer));
    else if (strcmp(data, "last") == 0)
        say(peers, peer, peers->last);
    else
        hop_peer_send(peers->server, peer, kind, data, len);
}

static int peers_init(hop_server *server, void *self)
{
    static const hop_endpoint echo = {HOP_ENDPOINT, .on_message = on_echo};
    static const hop_endpoint talk = {
        HOP_ENDPOINT,
        .on_open = on_open,
        .on_message = on_talk,
        .on_close = on_close,
    };
    struct peers *peers = self;

    peers->server = server;
    hop_websocket(server, "/ws-echo", &echo, self);
    hop_websocket(server, "/ws-talk", &talk, self);
    hop_engine(server, "/engine", &echo, self);
    hop_engine(server, "/talk/", &talk, self);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("peers", "1.0", "endpoints of its own"),
    .state_size = sizeof(struct peers),
    .init = peers_init,
};
