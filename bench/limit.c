/*
 * limit.c - the limit: the least work that answers the benchmarks' messages at all.
 *
 *     limit each     one send() for each delivery
 *     limit batch    joins what one turn of epoll brought: one send() for each connection
 *
 * A yardstick and no server: it knows only what bench/load sends (upgrade, login, chat,
 * echo), copies text as it came, trusts its clients, pings nobody. A chat is framed once
 * and goes to an array of descriptors; nothing is allocated, looked up or touched for a
 * delivery that the kernel takes at once.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEXT = 0x81,  /* RFC 6455 5.2: the last frame of a text message */
    CLOSE = 0x88, /* and of a close */
    EVENTS_MAX = 1024,
    INPUT_BYTES = 256 << 10,
    FRAME_MAX = 1 << 20,  /* bytes: npm's and our largest message */
    QUEUE_MAX = 64 << 20, /* bytes that wait for one connection, which is then closed */
    FDS_MAX = 1 << 20
};

struct buffer {
    unsigned char *data; /* owned */
    size_t n, capacity;
};

struct conn {
    struct buffer in;  /* a frame whose end has not come yet */
    struct buffer out; /* what the socket did not take; batch: this turn's answers too */
    size_t n_sent;     /* of out */
    size_t from;       /* batch: the turn's chats up to here are in out, or not for us */
    int place;         /* in members, -1 before login */
    bool is_open;      /* the upgrade is answered */
    bool is_blocked;   /* out waits for EPOLLOUT */
    bool is_touched;   /* out waits for the end of the turn */
    size_t n_prefix;
    char prefix[128]; /* of its chats: 42["chat",{"sender":"NAME","message": */
};

struct server {
    bool is_batch;
    int epoll_fd, listen_fd;
    size_t n_fds;
    struct conn *conns; /* owned: by descriptor */
    int *members;       /* owned: in order of login; ~fd when all must go through out */
    int n_members;
    struct buffer frames; /* each: the one in hand; batch: the chats of this turn */
    int touched[EVENTS_MAX];
    int n_touched;
    unsigned char input[INPUT_BYTES];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- bytes */

/* Where n more bytes go; adds them. */
static unsigned char *extend(struct buffer *buffer, size_t n)
{
    if (buffer->n + n > buffer->capacity) {
        buffer->capacity = 2 * (buffer->n + n);
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (!buffer->data)
            die("realloc");
    }
    buffer->n += n;
    return buffer->data + buffer->n - n;
}

static void clear(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

/* A text frame of three parts. */
static void put_frame(struct buffer *to, const void *head, size_t n_head,
                      const void *body, size_t n_body, const char *tail)
{
    const size_t n_tail = strlen(tail), n = n_head + n_body + n_tail;
    const size_t n_length = n < 126 ? 0 : n < 65536 ? 2 : 8;
    unsigned char *at = extend(to, 2 + n_length + n);

    *at++ = TEXT;
    *at++ = (unsigned char)(n_length == 0 ? n : n_length == 2 ? 126 : 127);
    for (size_t i = n_length; i-- > 0;)
        *at++ = (unsigned char)(n >> (8 * i));
    memcpy(at, head, n_head);
    memcpy(at + n_head, body, n_body);
    memcpy(at + n_head + n_body, tail, n_tail);
}

static void unmask(unsigned char *text, size_t n, const unsigned char *key)
{
    uint64_t keys, word;
    size_t i = 0;

    memcpy(&keys, key, 4);
    memcpy((unsigned char *)&keys + 4, key, 4);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, text + i, 8);
        word ^= keys;
        memcpy(text + i, &word, 8);
    }
    for (; i < n; i++)
        text[i] ^= key[i & 3];
}

/* ---- out. A descriptor is closed by drop() alone, never in a walk over the members:
 * what fails here is what epoll reports next. */

static void block(struct server *server, int fd, bool is_blocked)
{
    struct epoll_event event = {EPOLLIN | (is_blocked ? EPOLLOUT : 0), {.fd = fd}};

    if (server->conns[fd].is_blocked == is_blocked)
        return;
    server->conns[fd].is_blocked = is_blocked;
    epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* Something was added to out: all else comes behind it. */
static void hold(struct server *server, int fd)
{
    const struct conn *conn = &server->conns[fd];

    if (conn->place >= 0)
        server->members[conn->place] = ~fd;
    if (conn->out.n - conn->n_sent > QUEUE_MAX)
        shutdown(fd, SHUT_RDWR);
}

static void queue(struct server *server, int fd, const void *bytes, size_t n)
{
    memcpy(extend(&server->conns[fd].out, n), bytes, n);
    hold(server, fd);
}

static void deliver(struct server *server, int fd, const unsigned char *bytes, size_t n)
{
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

    if (sent == (ssize_t)n)
        return;
    if (sent < 0 && errno != EAGAIN)
        return;
    if (sent < 0)
        sent = 0;
    queue(server, fd, bytes + sent, n - (size_t)sent);
    block(server, fd, true);
}

static void flush(struct server *server, int fd)
{
    struct conn *conn = &server->conns[fd];
    struct buffer *out = &conn->out;
    ssize_t sent =
        send(fd, out->data + conn->n_sent, out->n - conn->n_sent, MSG_NOSIGNAL);

    conn->n_sent += sent > 0 ? (size_t)sent : 0;
    block(server, fd, conn->n_sent < out->n);
    if (conn->n_sent == out->n) {
        out->n = conn->n_sent = 0;
        if (out->capacity > INPUT_BYTES)
            clear(out);
        if (conn->place >= 0)
            server->members[conn->place] = fd;
    } else if (conn->n_sent > out->n / 2) {
        out->n -= conn->n_sent;
        memmove(out->data, out->data + conn->n_sent, out->n);
        conn->n_sent = 0;
    }
}

/* Batch: one that has an out of its own gets there the chats that the turn has so far. */
static void catch_up(struct server *server, int fd)
{
    struct conn *conn = &server->conns[fd];

    if (conn->place >= 0 && server->frames.n > conn->from)
        queue(server, fd, server->frames.data + conn->from,
              server->frames.n - conn->from);
    conn->from = server->frames.n;
}

/* Where an answer to one client is put, and then sent from. */
static struct buffer *begin_answer(struct server *server, int fd)
{
    if (server->is_batch)
        catch_up(server, fd);
    return server->is_batch || server->conns[fd].out.n ? &server->conns[fd].out
                                                       : &server->frames;
}

static void end_answer(struct server *server, int fd)
{
    struct conn *conn = &server->conns[fd];

    if (!server->is_batch && conn->out.n == 0) {
        deliver(server, fd, server->frames.data, server->frames.n);
        server->frames.n = 0;
        return;
    }
    hold(server, fd);
    if (server->is_batch && !conn->is_touched) {
        conn->is_touched = true;
        server->touched[server->n_touched++] = fd; /* once an event at most: they fit */
    }
}

static void answer(struct server *server, int fd, const char *text)
{
    put_frame(begin_answer(server, fd), text, strlen(text), "", 0, "");
    end_answer(server, fd);
}

/* Each: the one frame; batch: all of the turn. */
static void deliver_to_members(struct server *server)
{
    const struct buffer *frames = &server->frames;

    for (int i = 0; i < server->n_members; i++) {
        const int fd = server->members[i];

        if (fd >= 0) {
            deliver(server, fd, frames->data, frames->n);
        } else {
            catch_up(server, ~fd);
            server->conns[~fd].from = 0;
        }
    }
}

static void end_turn(struct server *server)
{
    if (server->frames.n)
        deliver_to_members(server);
    server->frames.n = 0;
    for (int i = 0; i < server->n_touched; i++) {
        struct conn *conn = &server->conns[server->touched[i]];

        conn->is_touched = false;
        conn->from = 0;
        if (conn->out.n && !conn->is_blocked)
            flush(server, server->touched[i]);
    }
    server->n_touched = 0;
}

/* ---- in */

/* The client is not one that checks: so the answer to RFC 6455's sample key does for all. */
static void on_upgrade(struct server *server, int fd)
{
    static const char response[] =
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char format[] =
        "0{\"sid\":\"%d\",\"upgrades\":[],\"pingInterval\":25000,"
        "\"pingTimeout\":20000,\"maxPayload\":1000000}";
    struct buffer *to = begin_answer(server, fd);
    char text[sizeof format + 16];
    const int n = snprintf(text, sizeof text, format, fd);

    memcpy(extend(to, sizeof response - 1), response, sizeof response - 1);
    put_frame(to, text, (size_t)n, "", 0, "");
    end_answer(server, fd);
    server->conns[fd].is_open = true;
}

/* name: as in JSON, with its quotes. */
static void on_login(struct server *server, int fd, const unsigned char *name, size_t n)
{
    struct conn *conn = &server->conns[fd];
    const int n_prefix =
        snprintf(conn->prefix, sizeof conn->prefix,
                 "42[\"chat\",{\"sender\":%.*s,\"message\":", (int)n, (const char *)name);

    if (conn->place >= 0 || n_prefix >= (int)sizeof conn->prefix)
        return;
    conn->n_prefix = (size_t)n_prefix;
    answer(server, fd, "42[\"welcome\"]");
    conn->place = server->n_members++;
    server->members[conn->place] = conn->out.n ? ~fd : fd;
}

static void on_chat(struct server *server, int fd, const unsigned char *message, size_t n)
{
    const struct conn *conn = &server->conns[fd];

    if (conn->place < 0)
        return;
    put_frame(&server->frames, conn->prefix, conn->n_prefix, message, n, "}]");
    if (server->is_batch)
        return;
    deliver_to_members(server);
    server->frames.n = 0;
}

/* The number of bytes of text up to the event's argument, or 0 when that is another event. */
static size_t match(const unsigned char *text, size_t n, size_t at, const char *event)
{
    const size_t n_event = strlen(event);

    return at + n_event < n && memcmp(text + at, event, n_event) == 0 ? at + n_event : 0;
}

/* 42, an ack id or none, and ["EVENT",ARGUMENT] */
static void on_event(struct server *server, int fd, unsigned char *text, size_t n)
{
    size_t id = 2, at;

    while (id < n && text[id] >= '0' && text[id] <= '9')
        id++;
    if ((at = match(text, n, id, "[\"chat\","))) {
        on_chat(server, fd, text + at, n - at - 1);
    } else if ((at = match(text, n, id, "[\"echo\","))) {
        text[1] = '3'; /* the ack's head is the event's up to its [ */
        put_frame(begin_answer(server, fd), text, id + 1, text + at, n - at, "");
        end_answer(server, fd);
    } else if ((at = match(text, n, id, "[\"login\","))) {
        on_login(server, fd, text + at, n - at - 1);
    }
}

static void on_text(struct server *server, int fd, unsigned char *text, size_t n)
{
    if (n < 2 || text[0] != '4')
        return; /* 3, the answer to a ping that nobody sent */
    if (text[1] == '2')
        on_event(server, fd, text, n);
    else if (text[1] == '0')
        answer(server, fd, "40{\"sid\":\"0\"}");
}

/* Returns how many bytes were whole frames, or -1 to close. */
static ssize_t take_frames(struct server *server, int fd, unsigned char *bytes, size_t n)
{
    size_t used = 0;

    while (n - used >= 6) {
        unsigned char *frame = bytes + used;
        size_t n_head = 2, len = frame[1] & 127;
        const size_t n_length = len < 126 ? 0 : len == 126 ? 2 : 8;

        if (frame[0] == CLOSE || !(frame[1] & 128))
            return -1;
        if (n - used < 6 + n_length)
            break;
        if (n_length)
            len = 0;
        for (; n_head < 2 + n_length; n_head++)
            len = len << 8 | frame[n_head];
        n_head += 4;
        if (len > FRAME_MAX)
            return -1;
        if (n - used < n_head + len)
            break;
        unmask(frame + n_head, len, frame + n_head - 4);
        if (frame[0] == TEXT)
            on_text(server, fd, frame + n_head, len);
        used += n_head + len;
    }
    return (ssize_t)used;
}

static ssize_t take(struct server *server, int fd, unsigned char *bytes, size_t n)
{
    size_t used = 0;
    ssize_t n_frames;

    if (!server->conns[fd].is_open) {
        unsigned char *end = memmem(bytes, n, "\r\n\r\n", 4);

        if (!end)
            return 0;
        used = (size_t)(end + 4 - bytes);
        on_upgrade(server, fd);
    }
    n_frames = take_frames(server, fd, bytes + used, n - used);
    return n_frames < 0 ? -1 : n_frames + (ssize_t)used;
}

/* Returns -1 to close. */
static int on_readable(struct server *server, int fd)
{
    struct buffer *in = &server->conns[fd].in;
    unsigned char *bytes = server->input;
    ssize_t n = recv(fd, bytes, INPUT_BYTES, 0), used;

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    if (in->n) {
        memcpy(extend(in, (size_t)n), bytes, (size_t)n);
        bytes = in->data;
        n = (ssize_t)in->n;
    }
    used = take(server, fd, bytes, (size_t)n);
    if (used < 0)
        return -1;
    if (used == n) {
        clear(in);
    } else if (in->n) {
        in->n -= (size_t)used;
        memmove(in->data, in->data + used, in->n);
    } else {
        memcpy(extend(in, (size_t)(n - used)), bytes + used, (size_t)(n - used));
    }
    return 0;
}

/* ---- connections */

static void drop(struct server *server, int fd)
{
    struct conn *conn = &server->conns[fd];

    close(fd);
    clear(&conn->in);
    clear(&conn->out);
    if (conn->place < 0)
        return;
    server->n_members--;
    for (int i = conn->place; i < server->n_members; i++) {
        const int member = server->members[i + 1];

        server->members[i] = member;
        server->conns[member < 0 ? ~member : member].place = i;
    }
}

static void accept_all(struct server *server)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {EPOLLIN, {.fd = fd}};

        if ((size_t)fd >= server->n_fds) {
            close(fd);
            continue;
        }
        server->conns[fd] = (struct conn){.place = -1};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
}

static void on_ready(struct server *server, int fd, uint32_t events)
{
    if (fd == server->listen_fd) {
        accept_all(server);
        return;
    }
    if (events & EPOLLOUT)
        flush(server, fd);
    if (events & (EPOLLERR | EPOLLHUP) ||
        (events & EPOLLIN && on_readable(server, fd) < 0))
        drop(server, fd);
}

static void start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    struct epoll_event event = {EPOLLIN, {0}};
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    server->n_fds = limit.rlim_cur < FDS_MAX ? limit.rlim_cur : FDS_MAX;
    server->conns = calloc(server->n_fds, sizeof *server->conns);
    server->members = calloc(server->n_fds, sizeof *server->members);
    if (!server->conns || !server->members)
        die("calloc");

    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    server->epoll_fd = epoll_create1(0);
    event.data.fd = server->listen_fd;
    if (bind(server->listen_fd, (struct sockaddr *)&address, n) < 0 ||
        listen(server->listen_fd, 4096) < 0 ||
        getsockname(server->listen_fd, (struct sockaddr *)&address, &n) < 0 ||
        epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->listen_fd, &event) < 0)
        die("listen");
    printf("listener.open address=127.0.0.1 port=%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct server server;
    static struct epoll_event events[EVENTS_MAX];

    server.is_batch = argc == 2 && strcmp(argv[1], "batch") == 0;
    if (argc != 2 || (!server.is_batch && strcmp(argv[1], "each") != 0)) {
        fputs("usage: limit each|batch\n", stderr);
        return 2;
    }
    start(&server);
    for (;;) { /* until SIGTERM, which nothing here needs to catch */
        const int n = epoll_wait(server.epoll_fd, events, EVENTS_MAX, -1);

        for (int i = 0; i < n; i++)
            on_ready(&server, events[i].data.fd, events[i].events);
        if (server.is_batch)
            end_turn(&server);
    }
}
