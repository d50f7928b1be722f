/*
 * crowd.c - many clients of a server, each one WebSocket: connect, join, login, messages.
 */
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTS_AT_ONCE = 128, /* well below any server's backlog */
    MAX_EVENTS = 1024,
    INPUT_BYTES = 1024 * 1024,
    PATIENCE_MS = 30000, /* without any event: something is lost */
};

static char input[INPUT_BYTES];

void crowd_init(struct crowd *crowd, const struct options *options, unsigned capacity)
{
    *crowd = (struct crowd){
        .options = options,
        .clients = allocate(capacity * sizeof *crowd->clients),
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .name = "user",
    };
    for (unsigned i = 0; i < capacity; i++)
        crowd->clients[i] = (struct client){.fd = -1, .id = i};
}

void crowd_done(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->n_clients; i++)
        client_close(crowd, &crowd->clients[i], END_ORDERLY);
    free(crowd->clients);
    close(crowd->epoll);
}

static void watch(struct crowd *crowd, struct client *client, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = client};

    if (epoll_ctl(crowd->epoll, how, client->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

void client_connect(struct crowd *crowd, struct client *client)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(crowd->options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0 &&
        errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    client->state = CLIENT_CONNECTING;
    watch(crowd, client, EPOLL_CTL_ADD, EPOLLOUT);
}

void client_close(struct crowd *crowd, struct client *client, enum ending ending)
{
    if (client->state == CLIENT_CLOSED)
        return;
    if (client->state == CLIENT_READY)
        crowd->n_ready--;
    client->state = CLIENT_CLOSED;
    if (ending == END_ABRUPT) {
        struct linger reset = {.l_onoff = 1};
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    close(client->fd);
    client->fd = -1;
    free(client->rest);
    free(client->out);
    client->rest = client->out = NULL;
    client->n_rest = client->n_out = 0;
}

static void lose(struct crowd *crowd, struct client *client, const char *why)
{
    if (client->state != CLIENT_READY)
        crowd->n_refused++;
    client_close(crowd, client, END_ORDERLY);
    if (!crowd->on_closed)
        fail("client %u: %s", client->id, why);
    crowd->on_closed(crowd, client);
}

/* ---- sending */

/* A mask of zeros: the server has the same work, and we have none. */
size_t put_frame(char *to, const char *text, size_t n)
{
    size_t at = 2;

    to[0] = (char)0x81;
    if (n < 126) {
        to[1] = (char)(0x80 | n);
    } else if (n < 65536) {
        to[1] = (char)(0x80 | 126);
        to[2] = (char)(n >> 8);
        to[3] = (char)n;
        at = 4;
    } else {
        fail("a frame of %zu bytes is longer than we write", n);
    }
    memset(to + at, 0, 4);
    memcpy(to + at + 4, text, n);
    return at + 4 + n;
}

void client_send(struct crowd *crowd, struct client *client, const char *bytes, size_t n)
{
    ssize_t sent = 0;

    if (client->state == CLIENT_CLOSED)
        return;
    if (client->n_out == 0) {
        sent = send(client->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* the read that follows says why */
        if (sent < 0)
            sent = 0;
        if ((size_t)sent == n)
            return;
        watch(crowd, client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    n -= (size_t)sent;
    client->out = realloc(client->out, client->n_out + n);
    if (!client->out)
        fail("out of memory");
    memcpy(client->out + client->n_out, bytes + sent, n);
    client->n_out += n;
}

static void send_rest(struct crowd *crowd, struct client *client)
{
    ssize_t sent = send(client->fd, client->out, client->n_out, MSG_NOSIGNAL);

    if (sent <= 0)
        return;
    client->n_out -= (size_t)sent;
    memmove(client->out, client->out + sent, client->n_out);
    if (client->n_out == 0)
        watch(crowd, client, EPOLL_CTL_MOD, EPOLLIN);
}

void client_send_text(struct crowd *crowd, struct client *client, const char *text,
                      size_t n)
{
    char frame[1024];

    if (n + 14 > sizeof frame)
        fail("a text of %zu bytes is longer than we send", n);
    client_send(crowd, client, frame, put_frame(frame, text, n));
}

static void send_words(struct crowd *crowd, struct client *client, const char *words)
{
    client_send_text(crowd, client, words, strlen(words));
}

/* ---- reading */

static void be_ready(struct crowd *crowd, struct client *client)
{
    client->state = CLIENT_READY;
    crowd->n_ready++;
    if (crowd->on_ready)
        crowd->on_ready(crowd, client);
}

static bool begins(const char *text, size_t n, const char *with)
{
    size_t length = strlen(with);

    return n >= length && memcmp(text, with, length) == 0;
}

static void log_in(struct crowd *crowd, struct client *client)
{
    char login[64];

    client->state = CLIENT_LOGGING_IN;
    snprintf(login, sizeof login, "42[\"login\",\"%s%u\"]", crowd->name, client->id);
    send_words(crowd, client, login);
}

static void handle_text(struct crowd *crowd, struct client *client, const char *text,
                        size_t n)
{
    if (n == 1 && text[0] == '2' && !crowd->options->is_nchan) {
        send_words(crowd, client, "3");
        return;
    }
    switch (client->state) {
    case CLIENT_OPENING:
        if (text[0] != '0')
            fail("client %u: no open packet: %.*s", client->id, (int)n, text);
        client->state = CLIENT_JOINING;
        send_words(crowd, client, "40");
        break;
    case CLIENT_JOINING:
        if (!begins(text, n, "40"))
            fail("client %u: not joined: %.*s", client->id, (int)n, text);
        log_in(crowd, client);
        break;
    case CLIENT_LOGGING_IN:
        if (begins(text, n, "42[\"welcome\"")) {
            be_ready(crowd, client);
        } else if (begins(text, n, "42[\"loginNameExists\"")) {
            crowd->n_refused++; /* it has not left yet: once more */
            log_in(crowd, client);
        } else if (begins(text, n, "42[\"loginNameBad\"")) {
            fail("client %u: %.*s", client->id, (int)n, text);
        }
        break;
    case CLIENT_READY:
        if (crowd->on_message)
            crowd->on_message(crowd, client, text, n);
        break;
    default:
        break;
    }
}

/* Returns the length of the frame at `at`, or 0 if it is not whole; finds its text. */
static size_t whole_frame(const char *at, size_t n, const char **text, size_t *n_text)
{
    const unsigned char *head = (const unsigned char *)at;
    size_t length, start = 2;

    if (n < 2)
        return 0;
    length = head[1] & 0x7f;
    if (length == 126) {
        if (n < 4)
            return 0;
        length = (size_t)head[2] << 8 | head[3];
        start = 4;
    } else if (length == 127) {
        if (n < 10)
            return 0;
        length = 0;
        for (int i = 2; i < 10; i++)
            length = length << 8 | head[i];
        start = 10;
    }
    if (n < start + length)
        return 0;
    *text = at + start;
    *n_text = length;
    return start + length;
}

/* The answer to the upgrade; returns its length, or 0 if it is not whole. */
static size_t whole_head(struct crowd *crowd, struct client *client, const char *at,
                         size_t n)
{
    const char *end = memmem(at, n, "\r\n\r\n", 4);

    if (!end)
        return 0;
    if (!begins(at, n, "HTTP/1.1 101"))
        fail("client %u: not upgraded: %.*s", client->id, (int)(end - at), at);
    client->state = CLIENT_OPENING;
    if (crowd->options->is_nchan)
        be_ready(crowd, client);
    return (size_t)(end - at) + 4;
}

/* Returns how many bytes were used. */
static size_t handle_bytes(struct crowd *crowd, struct client *client, const char *bytes,
                           size_t n)
{
    size_t at = 0;

    if (client->state == CLIENT_UPGRADING) {
        at = whole_head(crowd, client, bytes, n);
        if (at == 0)
            return 0;
    }
    while (client->state != CLIENT_CLOSED) {
        const char *text;
        size_t n_text;
        size_t length = whole_frame(bytes + at, n - at, &text, &n_text);

        if (length == 0)
            break;
        if (bytes[at] == (char)0x81)
            handle_text(crowd, client, text, n_text);
        else if (bytes[at] == (char)0x88)
            break; /* the end of the stream follows */
        at += length;
    }
    return at;
}

static void read_client(struct crowd *crowd, struct client *client)
{
    size_t had = client->n_rest;
    size_t n, used;
    ssize_t got;

    if (had)
        memcpy(input, client->rest, had);
    got = recv(client->fd, input + had, sizeof input - had, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        lose(crowd, client, got < 0 ? strerror(errno) : "the server has closed");
        return;
    }
    crowd->read_at_ns = now_ns();
    n = had + (size_t)got;
    used = handle_bytes(crowd, client, input, n);
    if (client->state == CLIENT_CLOSED)
        return;
    client->n_rest = n - used;
    if (client->n_rest) {
        client->rest = realloc(client->rest, client->n_rest);
        if (!client->rest)
            fail("out of memory");
        memcpy(client->rest, input + used, client->n_rest);
    }
}

static void be_connected(struct crowd *crowd, struct client *client)
{
    static const char request[] =
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char text[sizeof request + 64];
    int error = 0;

    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error) {
        lose(crowd, client, strerror(error));
        return;
    }
    client->state = CLIENT_UPGRADING;
    watch(crowd, client, EPOLL_CTL_MOD, EPOLLIN);
    snprintf(text, sizeof text, request,
             crowd->options->is_nchan ? "/sub" : "/socket.io/?EIO=4&transport=websocket");
    client_send(crowd, client, text, strlen(text));
}

int crowd_turn(struct crowd *crowd, int timeout_ms)
{
    static struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(crowd->epoll, events, MAX_EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct client *client = events[i].data.ptr;

        if (client->state == CLIENT_CLOSED)
            continue;
        if (client->state == CLIENT_CONNECTING) {
            be_connected(crowd, client);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            send_rest(crowd, client);
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            read_client(crowd, client);
    }
    return n < 0 ? 0 : n;
}

void crowd_connect(struct crowd *crowd, unsigned n)
{
    unsigned goal = crowd->n_clients + n;

    while (crowd->n_ready < goal) {
        while (crowd->n_clients < goal &&
               crowd->n_clients - crowd->n_ready < CONNECTS_AT_ONCE)
            client_connect(crowd, &crowd->clients[crowd->n_clients++]);
        if (crowd_turn(crowd, PATIENCE_MS) == 0)
            fail("%u of %u clients are logged in, and no more come", crowd->n_ready,
                 goal);
    }
}
