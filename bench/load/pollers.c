/*
 * pollers.c - see pollers.h. Each has one connection, on which requests follow each other.
 */
#include "bench/load/pollers.h"

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
    CONNECTS_AT_ONCE = 128,
    MAX_EVENTS = 1024,
    INPUT_BYTES = 1024 * 1024,
    PATIENCE_MS = 30000,
    SEPARATOR = 0x1e, /* between packets of a payload */
};

static char input[INPUT_BYTES];

void pollers_init(struct pollers *pollers, const struct options *options,
                  unsigned capacity)
{
    *pollers = (struct pollers){
        .options = options,
        .pollers = allocate(capacity * sizeof *pollers->pollers),
        .epoll = epoll_create1(EPOLL_CLOEXEC),
    };
}

void pollers_done(struct pollers *pollers)
{
    for (unsigned i = 0; i < pollers->n_pollers; i++) {
        close(pollers->pollers[i].fd);
        free(pollers->pollers[i].rest);
    }
    free(pollers->pollers);
    close(pollers->epoll);
}

static void watch(struct pollers *pollers, struct poller *poller, int how,
                  uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = poller};

    if (epoll_ctl(pollers->epoll, how, poller->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void begin(struct pollers *pollers)
{
    struct poller *poller = &pollers->pollers[pollers->n_pollers];
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(pollers->options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;

    poller->id = pollers->n_pollers++;
    poller->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (poller->fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(poller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(poller->fd, (struct sockaddr *)&address, sizeof address) < 0 &&
        errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    watch(pollers, poller, EPOLL_CTL_ADD, EPOLLOUT);
}

/* ---- requests */

static void get(struct poller *poller)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\n"
                     "Host: localhost\r\n\r\n",
                     poller->sid[0] ? "&sid=" : "", poller->sid);

    if (send(poller->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        fail("poller %u: %s", poller->id, strerror(errno));
}

static void post(struct poller *poller, const char *body)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n"
                     "Host: localhost\r\nContent-Type: text/plain;charset=UTF-8\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     poller->sid, strlen(body), body);

    if (send(poller->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        fail("poller %u: %s", poller->id, strerror(errno));
}

/* ---- responses */

static void take_sid(struct poller *poller, const char *body, size_t n)
{
    if (sscanf(body, "0{\"sid\":\"%63[^\"]", poller->sid) != 1)
        fail("poller %u: no open packet: %.*s", poller->id, (int)n, body);
    poller->state = POLLER_JOINING;
    post(poller, "40");
}

/* A payload: each packet that is a message of the chat goes on; says whether a ping was among them. */
static bool handle_payload(struct pollers *pollers, struct poller *poller,
                           const char *body, size_t n)
{
    bool has_ping = false;

    while (n) {
        const char *end = memchr(body, SEPARATOR, n);
        size_t length = end ? (size_t)(end - body) : n;

        if (length == 1 && body[0] == '2')
            has_ping = true;
        else if (poller->state == POLLER_READY && pollers->on_message)
            pollers->on_message(pollers, poller, body, length);
        body += length + (end ? 1 : 0);
        n -= length + (end ? 1 : 0);
    }
    return has_ping;
}

static void handle_body(struct pollers *pollers, struct poller *poller, const char *body,
                        size_t n)
{
    char login[64];

    switch (poller->state) {
    case POLLER_OPENING:
        take_sid(poller, body, n);
        return;
    case POLLER_JOINING:
        poller->state = POLLER_JOINED;
        break;
    case POLLER_JOINED:
        if (!memmem(body, n, "40{", 3))
            break; /* once more */
        poller->state = POLLER_LOGGING_IN;
        snprintf(login, sizeof login, "42[\"login\",\"poll%u\"]", poller->id);
        post(poller, login);
        return;
    case POLLER_LOGGING_IN:
        poller->state = POLLER_LOGGED_IN;
        break;
    case POLLER_LOGGED_IN:
        if (memmem(body, n, "[\"welcome\"", 10)) {
            poller->state = POLLER_READY;
            pollers->n_ready++;
        }
        break;
    case POLLER_READY:
        if (handle_payload(pollers, poller, body, n)) {
            poller->state = POLLER_PONGING;
            post(poller, "3");
            return;
        }
        break;
    case POLLER_PONGING:
        poller->state = POLLER_READY;
        break;
    default:
        fail("poller %u: an answer to nothing", poller->id);
    }
    get(poller);
}

/* Returns the length of the response, or 0 if it is not whole. */
static size_t whole_response(struct poller *poller, const char *at, size_t n,
                             const char **body, size_t *n_body)
{
    const char *end = memmem(at, n, "\r\n\r\n", 4);
    const char *length;

    if (!end)
        return 0;
    if (memcmp(at, "HTTP/1.1 200", 12) != 0)
        fail("poller %u: %.*s", poller->id, (int)n, at);
    length = memmem(at, n, "ontent-", 7);
    while (length && length < end && strncasecmp(length, "ontent-length:", 14) != 0)
        length = memmem(length + 1, (size_t)(end - length - 1), "ontent-", 7);
    if (!length || length >= end)
        fail("poller %u: a response without a length", poller->id);
    *n_body = strtoul(length + 14, NULL, 10);
    *body = end + 4;
    if (n < (size_t)(*body - at) + *n_body)
        return 0;
    return (size_t)(*body - at) + *n_body;
}

static void keep_rest(struct poller *poller, const char *from, size_t n)
{
    poller->n_rest = n;
    if (!n)
        return;
    poller->rest = realloc(poller->rest, n);
    if (!poller->rest)
        fail("out of memory");
    memcpy(poller->rest, from, n);
}

static void read_poller(struct pollers *pollers, struct poller *poller)
{
    size_t had = poller->n_rest;
    size_t n, length, n_body;
    const char *body;
    ssize_t got;

    if (had)
        memcpy(input, poller->rest, had);
    got = recv(poller->fd, input + had, sizeof input - had - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("poller %u: %s", poller->id,
             got < 0 ? strerror(errno) : "the server has closed");
    pollers->read_at_ns = now_ns();
    n = had + (size_t)got;
    input[n] = '\0';
    length = whole_response(poller, input, n, &body, &n_body);
    if (length)
        handle_body(pollers, poller, body, n_body);
    keep_rest(poller, input + length,
              n - length); /* nothing follows before the next request */
}

static void be_connected(struct pollers *pollers, struct poller *poller)
{
    int error = 0;

    getsockopt(poller->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error)
        fail("poller %u: %s", poller->id, strerror(error));
    watch(pollers, poller, EPOLL_CTL_MOD, EPOLLIN);
    poller->state = POLLER_OPENING;
    get(poller);
}

int pollers_turn(struct pollers *pollers, int timeout_ms)
{
    static struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(pollers->epoll, events, MAX_EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct poller *poller = events[i].data.ptr;

        if (poller->state == POLLER_CONNECTING)
            be_connected(pollers, poller);
        else
            read_poller(pollers, poller);
    }
    return n < 0 ? 0 : n;
}

void pollers_connect(struct pollers *pollers, unsigned n)
{
    unsigned goal = pollers->n_pollers + n;

    while (pollers->n_ready < goal) {
        while (pollers->n_pollers < goal &&
               pollers->n_pollers - pollers->n_ready < CONNECTS_AT_ONCE)
            begin(pollers);
        if (pollers_turn(pollers, PATIENCE_MS) == 0)
            fail("%u of %u pollers are logged in, and no more come", pollers->n_ready,
                 goal);
    }
}
