/*
 * listener.c - accept, and the pause when descriptors run out: see listener.h.
 *
 * Called by: daemon.c (open, close), the events of shard 0. Thread: shard 0.
 */
#include "core/net/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/net/conn.h"
#include "core/net/gate.h"
#include "core/net/pressure.h"

enum {
    ACCEPT_BATCH = 32, /* then other events have their turn */
    BACKLOG = 4096,    /* all clients of a restarted server come back at once */
    PAUSE_MS = 100,
    LOG_EVERY_MS = 1000
};

struct listener {
    struct net *net;             /* borrowed */
    struct gate *gate;           /* borrowed: NULL: everybody may come in */
    const struct router *router; /* borrowed */
    listener_deal *deal;
    struct event *event, *pause_event; /* owned */
    int fd;
    int reserve_fd; /* given up to refuse a client politely when no other is left */
    unsigned next_shard;
    uint64_t logged_ms;         /* of a pause */
    uint64_t refusal_logged_ms; /* of a client over a limit */
    unsigned n_unlogged;        /* refused since then */
};

struct dealt {
    listener_deal *deal;
    const struct router *router;
    struct net *net;
    int fd;
    bool is_counted; /* by net->gate */
    struct sockaddr_storage peer;
};

/* Hand a connection to what serves it; whoever ends it uncounts it. */
static void deal_here(const struct dealt *dealt)
{
    struct net *net = dealt->net;
    struct conn *conn = dealt->deal(net, dealt->fd, &dealt->peer, dealt->router);

    if (conn && dealt->is_counted)
        conn->is_counted = true;
    else if (conn)
        conn->n_reads = NEWCOMER_READS; /* who asks how we are waits for no newcomers */
    else if (dealt->is_counted)
        gate_leave(net->gate, (const struct sockaddr *)&dealt->peer, &net->loop->metrics);
}

static void take_dealt(struct loop *loop, void *payload)
{
    const struct dealt *dealt = payload;

    (void)loop;
    if (!dealt->net->is_closing) {
        deal_here(dealt);
        return;
    }
    close(dealt->fd);
    if (dealt->is_counted)
        gate_leave(dealt->net->gate, (const struct sockaddr *)&dealt->peer,
                   &dealt->net->loop->metrics);
}

/* Round robin over the shards; our own gets its share directly. */
static void deal_out(struct listener *listener, int fd,
                     const struct sockaddr_storage *peer)
{
    struct loop *loop = listener->net->loop;
    struct net *net = listener->net->all[listener->next_shard];
    struct dealt dealt = {
        listener->deal, listener->router, net, fd, listener->gate != NULL, *peer};

    listener->next_shard = (listener->next_shard + 1) % loop->loops->n_shards;
    metric_add(&loop->metrics, METRIC_CONNECTIONS_ACCEPTED, 1);
    if (net == listener->net)
        deal_here(&dealt);
    else
        *(struct dealt *)loop_send(loop, net->loop, take_dealt, sizeof dealt, 0) = dealt;
}

/* ---- over a limit ---- */

/* What is told to clients and operators, by verdict of the gate. */
static const struct refusal {
    enum metric metric;
    const char *key; /* that would let it in */
} refusals[] = {
    [GATE_FULL] = {METRIC_REFUSED_FULL, "max_connections"},
    [GATE_ADDRESS_FULL] = {METRIC_REFUSED_ADDRESS, "max_connections_per_address"},
    [GATE_NO_MEMORY] = {METRIC_REFUSED_MEMORY, "max_memory"},
};

static void log_refusal(struct listener *listener, const char *key,
                        const struct sockaddr_storage *peer)
{
    uint64_t now_ms = loop_now(listener->net->loop);
    char address[CONN_ADDRESS_MAX];

    listener->n_unlogged++;
    if (listener->refusal_logged_ms &&
        now_ms - listener->refusal_logged_ms < LOG_EVERY_MS)
        return;
    conn_print_address((const struct sockaddr *)peer, address, sizeof address);
    hop_log(HOP_WARN,
            "listener.refused reason=%s address=%s clients=%u connections=%" PRId64
            " hint=\"raise limits.%s, if these are not hostile\"",
            key, address, listener->n_unlogged, gate_connections(listener->gate), key);
    listener->refusal_logged_ms = now_ms;
    listener->n_unlogged = 0;
}

/* Best effort: what the kernel does not take at once is not worth any state. */
static void refuse(struct listener *listener, int fd, const struct refusal *refusal,
                   const struct sockaddr_storage *peer)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
                                 "Retry-After: 10\r\n"
                                 "Content-Length: 0\r\n"
                                 "Connection: close\r\n\r\n";

    metric_add(&listener->net->loop->metrics, refusal->metric, 1);
    log_refusal(listener, refusal->key, peer);
    send(fd, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    /* A request that is here already, left unread, would turn our end into a RST. */
    recv(fd, listener->net->read_buffer, NET_READ_BYTES, MSG_DONTWAIT);
    close(fd);
}

static void take_in(struct listener *listener, int fd,
                    const struct sockaddr_storage *peer)
{
    struct net *net = listener->net;
    enum gate_verdict verdict = GATE_OPEN;

    if (listener->gate && pressure_is_tight(net->pressure, net->loop))
        verdict = GATE_NO_MEMORY;
    else if (listener->gate)
        verdict = gate_enter(listener->gate, (const struct sockaddr *)peer,
                             &net->loop->metrics);
    if (verdict == GATE_OPEN)
        deal_out(listener, fd, peer);
    else
        refuse(listener, fd, &refusals[verdict], peer);
}

/* ---- no descriptors left ---- */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* One client more would not fit: refuse it with the reserve, rather than let it hang. */
static void refuse_one(struct listener *listener)
{
    int fd;

    if (listener->reserve_fd < 0)
        return;
    close(listener->reserve_fd);
    fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    listener->reserve_fd = open_reserve();
}

static void start_pause(struct listener *listener)
{
    const struct timeval wait = {.tv_usec = PAUSE_MS * 1000L};

    evtimer_add(listener->pause_event, &wait);
}

static void pause_accepting(struct listener *listener, int error)
{
    uint64_t now_ms = loop_now(listener->net->loop);

    refuse_one(listener);
    event_del(listener->event);
    start_pause(listener);
    metric_add(&listener->net->loop->metrics, METRIC_ACCEPT_PAUSES, 1);
    if (listener->logged_ms && now_ms - listener->logged_ms < LOG_EVERY_MS)
        return;
    listener->logged_ms = now_ms;
    hop_log(HOP_WARN,
            "listener.paused reason=\"%s\" retry_ms=%d hint=\"raise the limit of open "
            "files (ulimit -n, LimitNOFILE=)\"",
            strerror(error), PAUSE_MS);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;

    (void)fd;
    (void)what;
    if (listener->reserve_fd < 0)
        listener->reserve_fd = open_reserve();
    if (event_add(listener->event, NULL) < 0)
        start_pause(listener); /* the kernel may have room for it then */
}

static bool is_out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void on_acceptable(evutil_socket_t listen_fd, short what, void *arg)
{
    struct listener *listener = arg;

    (void)what;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd = accept4(listen_fd, (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            take_in(listener, fd, &peer);
        } else if (is_out_of_resources(errno)) {
            pause_accepting(listener, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else: that client has gone already (ECONNABORTED and the like) */
    }
}

/* ---- opening ---- */

static int parse_address(const char *address, int port, struct sockaddr_storage *out,
                         socklen_t *len)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, address, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
        *len = sizeof *in4;
        return 0;
    }
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET6, address, &in6->sin6_addr) != 1)
        return -1;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons((uint16_t)port);
    *len = sizeof *in6;
    return 0;
}

/* Returns -1 with errno when it cannot be told. */
static int bound_port(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t len = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
        return -1;
    if (name.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&name)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&name)->sin_port);
}

/* Returns the listening fd, or -1 with errno; *port is where it listens. */
static int bind_and_listen(const struct sockaddr_storage *name, socklen_t len, int *port)
{
    int on = 1, error, bound;
    int fd = socket(name->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
               sizeof on); /* accepted ones inherit it */
    if (name->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)name, len) == 0 && listen(fd, BACKLOG) == 0 &&
        (bound = bound_port(fd)) >= 0) {
        *port = bound;
        return fd;
    }
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static const char *way_out(int error)
{
    if (error == EADDRINUSE)
        return ": another program listens there; stop it or choose another port";
    if (error == EACCES)
        return ": ports below 1024 need a privilege; choose a higher one";
    if (error == EADDRNOTAVAIL)
        return ": this machine has no such address";
    if (is_out_of_resources(error))
        return ": raise the limit of open files (ulimit -n, LimitNOFILE=)";
    return "";
}

struct listener *listener_open(struct net *net, const char *address, int *port,
                               const char *what, const struct router *router,
                               listener_deal *deal, hop_error *error)
{
    struct sockaddr_storage name;
    socklen_t len;
    struct listener *listener;
    int fd;

    if (parse_address(address, *port, &name, &len) < 0) {
        hop_error_set(error, "%s is no numeric address", address);
        return NULL;
    }
    fd = bind_and_listen(&name, len, port);
    if (fd < 0) {
        hop_error_set(error, "cannot listen on %s port %d: %s%s", address, *port,
                      strerror(errno), way_out(errno));
        return NULL;
    }
    listener = mem_calloc(1, sizeof *listener);
    listener->net = net;
    listener->router = router;
    listener->deal = deal;
    listener->fd = fd;
    listener->reserve_fd = open_reserve();
    listener->event =
        event_new(net->loop->base, fd, EV_READ | EV_PERSIST, on_acceptable, listener);
    listener->pause_event = evtimer_new(net->loop->base, on_pause_over, listener);
    if (!listener->event || !listener->pause_event ||
        event_add(listener->event, NULL) < 0) {
        hop_error_set(error, "cannot watch %s port %d", address, *port);
        listener_close(listener);
        return NULL;
    }
    hop_log(HOP_INFO, "%s.open address=%s port=%d", what, address, *port);
    return listener;
}

void listener_set_gate(struct listener *listener, struct gate *gate)
{
    assert(listener->net->gate == gate); /* connections leave by their net's */
    listener->gate = gate;
}

void listener_close(struct listener *listener)
{
    if (!listener)
        return;
    if (listener->event)
        event_free(listener->event);
    if (listener->pause_event)
        event_free(listener->pause_event);
    if (listener->reserve_fd >= 0)
        close(listener->reserve_fd);
    close(listener->fd);
    free(listener);
}
