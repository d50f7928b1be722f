/*
 * wire.h - for the unit tests of the engine: one shard with its route, an upper layer that
 * writes down what it is told, and peers that speak raw bytes over socket pairs.
 *
 * The upper layer obeys texts: "echo:X" sends 4X back, "close" closes the session,
 * "burst" sends "a", "b", "c" in one turn. Included by: test_*.c. Thread: the test's.
 */
#ifndef TESTS_UNIT_WIRE_H
#define TESTS_UNIT_WIRE_H

#include "tests/unit/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/engine/engine.h"
#include "core/engine/packet.h"
#include "core/engine/session_impl.h"
#include "core/loop/bytes.h"
#include "core/net/conn.h"
#include "core/net/router.h"
#include "tests/unit/masked.h"

#define HOST "Host: chat.example:8080\r\n"
#define WS_HEADERS                                                                       \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

struct wire {
    struct loops *loops;
    struct loop *loop;
    struct net *net, *nets[1];
    struct settings settings;
    struct engine *engine, *engines[1];
    struct http_route route;
    struct router *router;
    struct session *session; /* the last that opened; NULL once it has closed */
    bool closes_on_open;     /* the upper layer ends sessions as they open */
    char log[4096];          /* what the upper layer was told */
};

struct peer {
    int fd;
    size_t len;
    bool is_over; /* the server has closed */
    char in[1 << 18];
};

/* ---- the upper layer */

static inline void wire_log(struct wire *wire, const char *what, const char *text,
                            size_t len)
{
    size_t at = strlen(wire->log);

    snprintf(wire->log + at, sizeof wire->log - at, "%s%.*s ", what, (int)len,
             len ? text : "");
}

/* What was told since the last call must be this. */
static inline void wire_expect(struct wire *wire, const char *expected)
{
    assert_string_equal(wire->log, expected);
    wire->log[0] = '\0';
}

static inline void send_text(struct session *session, const char *text, bool is_volatile)
{
    char packet[70000];
    int len = snprintf(packet, sizeof packet, "4%s", text);
    struct bytes *bytes = bytes_copy(packet, (size_t)len);
    struct outgoing out = {.packet = bytes, .is_volatile = is_volatile};

    session_send(session, &out);
    bytes_unref(bytes);
}

/* A packet of text, an attachment and an empty one. */
static inline struct bytes *wire_attached(const char *text, const char *attachment)
{
    struct bytes *packet = packet_try_new(strlen(text) + 1, strlen(attachment), 2);

    packet->data[0] = '4';
    memcpy(packet->data + 1, text, strlen(text));
    packet_end_text(packet, strlen(text) + 1);
    packet_attach(packet, attachment, strlen(attachment));
    packet_attach(packet, NULL, 0);
    return packet;
}

static inline void *wire_on_open(struct session *session,
                                 const struct http_request *request, const char *address,
                                 void *arg)
{
    struct wire *wire = arg;

    assert_int_equal(request->method, HTTP_M_GET);
    assert_string_equal(address, "127.0.0.1");
    wire->session = session;
    wire_log(wire, "open", "", 0);
    if (wire->closes_on_open)
        session_close(session, SESSION_FORCED, NULL);
    return wire;
}

static inline void wire_on_text(struct session *session, const char *text, size_t len)
{
    struct wire *wire = session_upper(session);
    char copy[256];

    assert_true(session_is_open(session));
    wire_log(wire, "text:", text, len);
    snprintf(copy, sizeof copy, "%.*s", (int)len, text);
    if (strncmp(copy, "echo:", 5) == 0) {
        send_text(session, copy + 5, false);
    } else if (strcmp(copy, "close") == 0) {
        session_close(session, SESSION_FORCED, NULL);
    } else if (strcmp(copy, "burst") == 0) {
        send_text(session, "a", false);
        send_text(session, "b", false);
        send_text(session, "c", false);
    }
}

static inline void wire_on_binary(struct session *session, const void *data, size_t len)
{
    wire_log(session_upper(session), "binary:", data, len);
}

static inline void wire_on_closed(struct session *session, enum session_end end)
{
    struct wire *wire = engine_upper_arg(session->engine);

    assert_false(session_is_open(session));
    assert_null(engine_find(wire->engine, session_handle(session)));
    if (wire->session == session)
        wire->session = NULL;
    wire_log(wire, "closed:", session_end_word(end), strlen(session_end_word(end)));
}

/* ---- the shard */

static inline struct settings wire_settings(void)
{
    return (struct settings){
        .path = "/socket.io",
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .max_http_buffer_bytes = 100000,
        .transports = "polling, websocket",
        .allow_upgrades = true,
        .serve_client = true,
        .initial_packet = "",
        .origins = "",
        .cors_credentials = true,
        .cors_allowed_headers = "",
        .cors_exposed_headers = "",
        .cors_max_age_ms = 600000,
        .max_head_bytes = 16384,
        .max_target_bytes = 8192,
        .max_headers = 100,
        .head_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .keep_alive_ms = 60000,
        .max_queue_bytes = 1 << 20,
        .soft_queue_bytes = 1 << 18,
        .soft_queue_ms = 10000,
        .max_queue_frames = 16384,
        .max_turn_packets = 64,
        .max_fragments = 1024,
        .max_controls = 100,
        .max_handshakes = 3,
    };
}

static inline struct wire *wire_new(const struct settings *settings)
{
    struct wire *wire = mem_calloc(1, sizeof *wire);
    struct engine_upper upper = {.on_open = wire_on_open,
                                 .on_text = wire_on_text,
                                 .on_binary = wire_on_binary,
                                 .on_closed = wire_on_closed,
                                 .arg = wire};

    wire->settings = *settings;
    wire->loops = loops_for_turns();
    wire->loop = wire->loops->logic;
    wire->net = wire->nets[0] = net_new(wire->loop, &wire->settings, wire->nets);
    wire->engine = wire->engines[0] = engine_new(wire->net, &wire->settings, &upper);
    wire->route = engine_route(wire->engines, 1, &wire->settings, NULL);
    wire->router = router_new();
    assert_int_equal(router_add_prefix(wire->router, wire->settings.path, &wire->route),
                     0);
    return wire;
}

static inline void settle(struct wire *wire)
{
    for (int i = 0; i < 4; i++)
        turn(wire->loop);
}

/* After the last session has left, nothing may be counted any more. */
static inline void wire_free(struct wire *wire)
{
    engine_shutdown(wire->engine);
    settle(wire);
    engine_free(wire->engine); /* no turn from here on */
    assert_int_equal(metric_of(wire->loop, METRIC_SESSIONS_POLLING), 0);
    assert_int_equal(metric_of(wire->loop, METRIC_SESSIONS_WEBSOCKET), 0);
    net_free(wire->net);
    assert_int_equal(metric_of(wire->loop, METRIC_QUEUED_BYTES), 0);
    assert_int_equal(metric_of(wire->loop, METRIC_TIMERS), 0);
    router_free(wire->router);
    engine_route_free(&wire->route);
    loops_free(wire->loops);
    free(wire);
}

/* ---- peers */

static inline struct peer *peer_new(struct wire *wire)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    struct peer *peer = mem_calloc(1, sizeof *peer);
    int fds[2];

    ((struct sockaddr_in *)(void *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    peer->fd = fds[0];
    httpconn_deal(wire->net, fds[1], &address, wire->router);
    return peer;
}

static inline void peer_free(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    free(peer);
}

static inline void peer_write(struct peer *peer, const void *data, size_t len)
{
    assert_int_equal(send(peer->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Take what has come; the text so far, NUL-terminated. */
static inline const char *peer_read(struct wire *wire, struct peer *peer)
{
    settle(wire);
    for (;;) {
        ssize_t n =
            recv(peer->fd, peer->in + peer->len, sizeof peer->in - 1 - peer->len, 0);

        if (n == 0)
            peer->is_over = true;
        if (n <= 0)
            break;
        peer->len += (size_t)n;
        settle(wire);
    }
    peer->in[peer->len] = '\0';
    return peer->in;
}

/* The same, and forget what came before. */
static inline const char *peer_ask(struct wire *wire, struct peer *peer, const char *text)
{
    peer->len = 0;
    peer_write(peer, text, strlen(text));
    return peer_read(wire, peer);
}

/* What came must be a response with this status and body. */
static inline void expect_response(const struct peer *peer, int status, const char *body)
{
    const char *end = strstr(peer->in, "\r\n\r\n");
    int got = 0;

    sscanf(peer->in, "HTTP/1.1 %d", &got);
    assert_int_equal(got, status);
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static inline void poll_get(struct wire *wire, struct peer *peer, const char *sid)
{
    char text[512];

    snprintf(text, sizeof text,
             "GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST "\r\n",
             sid);
    peer_ask(wire, peer, text);
}

static inline void poll_post(struct wire *wire, struct peer *peer, const char *sid,
                             const char *body)
{
    char text[2048];

    snprintf(text, sizeof text,
             "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" HOST
             "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%s",
             sid, strlen(body), body);
    peer_ask(wire, peer, text);
}

/* Open a polling session: its sid. */
static inline void open_session(struct wire *wire, struct peer *peer, char *sid)
{
    const char *at;

    peer_ask(wire, peer,
             "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n" HOST "\r\n");
    at = strstr(peer->in, "0{\"sid\":\"");
    assert_non_null(at);
    memcpy(sid, at + 9, 26);
    sid[26] = '\0';
    assert_int_equal(at[35], '"');
    wire_expect(wire, "open ");
}

/* Send the opening handshake; sid "" for a session of its own. Takes the 101 off. headers:
 * of the request, or "". */
static inline void ws_open_with(struct wire *wire, struct peer *peer, const char *sid,
                                const char *headers)
{
    char text[512];
    char *end;

    snprintf(text, sizeof text,
             "GET /socket.io/?EIO=4&transport=websocket%s%s HTTP/1.1\r\n" HOST WS_HEADERS
             "%s\r\n",
             *sid ? "&sid=" : "", sid, headers);
    peer_ask(wire, peer, text);
    assert_memory_equal(peer->in, "HTTP/1.1 101 ", 13);
    assert_non_null(
        strstr(peer->in, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    end = strstr(peer->in, "\r\n\r\n");
    assert_non_null(end);
    peer->len -= (size_t)(end + 4 - peer->in);
    memmove(peer->in, end + 4, peer->len + 1);
}

static inline void ws_open(struct wire *wire, struct peer *peer, const char *sid)
{
    ws_open_with(wire, peer, sid, "");
}

static inline void ws_frame(struct wire *wire, struct peer *peer, unsigned first,
                            const void *payload, size_t len)
{
    char *frame = malloc(len + 14);
    size_t n = put_frame(frame, first, payload, len);

    peer->len = 0;
    peer_write(peer, frame, n);
    free(frame);
    peer_read(wire, peer);
}

static inline void ws_text(struct wire *wire, struct peer *peer, const char *text)
{
    ws_frame(wire, peer, FIN | TEXT, text, strlen(text));
}

/* What came, frame by frame: "text:4a close:1000 "; short frames only. */
static inline const char *ws_words(const struct peer *peer)
{
    static char words[4096];
    size_t at = 0;

    words[0] = '\0';
    while (at + 2 <= peer->len) {
        const unsigned char *head = (const unsigned char *)peer->in + at;
        size_t len = head[1];
        size_t used = strlen(words);

        assert_true(len < 126 && at + 2 + len <= peer->len);
        if (head[0] == 0x88)
            snprintf(words + used, sizeof words - used, "close:%d ",
                     len ? head[2] << 8 | head[3] : 0);
        else
            snprintf(words + used, sizeof words - used, "%s:%.*s ",
                     head[0] == 0x81   ? "text"
                     : head[0] == 0x82 ? "binary"
                     : head[0] == 0x8a ? "pong"
                                       : "other",
                     (int)len, peer->in + at + 2);
        at += 2 + len;
    }
    assert_int_equal(at, peer->len);
    return words;
}

#endif
