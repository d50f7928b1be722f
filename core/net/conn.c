/*
 * conn.c - one TCP connection: see conn.h.
 *
 * A raw read event, a queue of slices of counted bytes, one sendmsg() a turn; a write event
 * exists only while the kernel's buffer is full. Called by: httpconn.c and websocket.c
 * (send, close), net.c (flush, deadlines). Thread: shard.
 */
#include "core/net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/net/conn_impl.h"

enum {
    IOV_BATCH = 64,
    OWN_MAX = 16 << 10 /* a blocked receiver's frames are collected in pieces of this */
};

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);

/* ---- the queue of slices ---- */

static struct slice *slice_at(struct conn *conn, uint32_t n)
{
    if (n == 0)
        return &conn->one;
    return &conn->more[(conn->more_head + n - 1) % conn->more_cap];
}

static void grow_queue(struct conn *conn)
{
    uint32_t n_more = conn->n_slices - 1;
    uint32_t cap = conn->more_cap ? conn->more_cap * 2 : 4;
    struct slice *more = mem_alloc(cap * sizeof *more);

    for (uint32_t i = 0; i < n_more; i++)
        more[i] = *slice_at(conn, i + 1);
    free(conn->more);
    conn->more = more;
    conn->more_head = 0;
    conn->more_cap = cap;
}

/* Takes over one reference to bytes. */
static void push_slice(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    if (conn->n_slices > 0 && conn->n_slices - 1 == conn->more_cap)
        grow_queue(conn);
    conn->n_slices++;
    *slice_at(conn, conn->n_slices - 1) = (struct slice){bytes, from, to};
}

static void pop_slice(struct conn *conn)
{
    bytes_unref(conn->one.bytes);
    conn->n_slices--;
    if (conn->n_slices == 0)
        return;
    conn->one = conn->more[conn->more_head];
    conn->more_head = (conn->more_head + 1) % conn->more_cap;
}

static void count_queued(struct conn *conn, int64_t n)
{
    conn->queued_bytes = (size_t)((int64_t)conn->queued_bytes + n);
    metric_add(&conn->net->loop->metrics, METRIC_QUEUED_BYTES, n);
}

/* What an idle connection does not need. */
static void release_queue(struct conn *conn)
{
    free(conn->more);
    conn->more = NULL;
    conn->more_head = conn->more_cap = 0;
    bytes_unref(conn->own);
    conn->own = NULL;
}

static void drop_queue(struct conn *conn)
{
    while (conn->n_slices)
        pop_slice(conn);
    count_queued(conn, -(int64_t)conn->queued_bytes);
    release_queue(conn);
}

/* ---- birth ---- */

static void link_open(struct conn *conn)
{
    struct net *net = conn->net;

    conn->prev_open = NULL;
    conn->next_open = net->open;
    if (net->open)
        net->open->prev_open = conn;
    net->open = conn;
    metric_add(&net->loop->metrics, METRIC_CONNECTIONS, 1);
}

static void unlink_open(struct conn *conn)
{
    if (conn->prev_open)
        conn->prev_open->next_open = conn->next_open;
    else
        conn->net->open = conn->next_open;
    if (conn->next_open)
        conn->next_open->prev_open = conn->prev_open;
    metric_add(&conn->net->loop->metrics, METRIC_CONNECTIONS, -1);
}

/* Make it one of conn->net's. Returns false when the table or libevent is full. */
static bool settle(struct conn *conn)
{
    struct net *net = conn->net;

    conn->self = slots_add(&net->conns, conn);
    if (!conn->self)
        return false;
    conn->read_event =
        event_new(net->loop->base, conn->fd, EV_READ | EV_PERSIST, on_readable, conn);
    if (!conn->read_event) {
        slots_remove(&net->conns, conn->self);
        return false;
    }
    link_open(conn);
    conn_read(conn, conn->wants_read);
    return true;
}

struct conn *conn_new(struct net *net, int fd, const struct sockaddr_storage *peer,
                      const struct router *router, const struct conn_ops *ops, void *user)
{
    struct conn *conn = mem_calloc(1, sizeof *conn);

    conn->net = net;
    conn->ops = ops;
    conn->user = user;
    conn->router = router;
    conn->fd = fd;
    conn->is_open = true;
    conn->wants_read = true;
    memcpy(&conn->peer, peer, sizeof conn->peer);
    if (!settle(conn)) {
        close(fd);
        free(conn);
        return NULL;
    }
    return conn;
}

void conn_free(struct conn *conn)
{
    free(conn);
}

/* ---- reading ---- */

void conn_read(struct conn *conn, bool on)
{
    conn->wants_read = on;
    if (!conn->read_event || conn->is_paused)
        return;
    if (on)
        event_add(conn->read_event, NULL);
    else
        event_del(conn->read_event);
}

static void pause_reading(struct conn *conn)
{
    event_del(conn->read_event);
    conn->is_paused = true;
    conn->next_paused = conn->net->paused;
    conn->net->paused = conn;
}

static void unpause(struct conn *conn)
{
    struct conn **at = &conn->net->paused;

    if (!conn->is_paused)
        return;
    while (*at && *at != conn)
        at = &(*at)->next_paused;
    if (*at)
        *at = conn->next_paused;
    conn->is_paused = false;
}

bool conn_has_input(const struct conn *conn)
{
    char byte;

    return conn->is_open && (conn->is_paused || recv(conn->fd, &byte, 1, MSG_PEEK) > 0);
}

/* The peer's FIN: nothing more will come. */
static void at_end_of_input(struct conn *conn)
{
    if (conn->is_ending && conn->n_slices) {
        conn_read(conn, false); /* it may still be reading what we have for it */
        return;
    }
    if (!conn->is_ending && conn->ops->on_half_closed &&
        conn->ops->on_half_closed(conn)) {
        conn_read(conn, false);
        return;
    }
    conn_close(conn, conn->is_ending ? CONN_BY_US : CONN_PEER_CLOSED);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;
    struct net *net = conn->net;
    ssize_t n;

    (void)what;
    if (!conn->is_ending && loop_is_congested(net->loop, net->loop->loops->logic)) {
        pause_reading(conn);
        return;
    }
    n = recv(fd, net->read_buffer, NET_READ_BYTES, 0);
    if (n == 0)
        at_end_of_input(conn);
    else if (n > 0 && !conn->is_ending) /* else: dropped, so that our close arrives */
        conn->ops->on_data(conn, net->read_buffer, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_close(conn, CONN_FAILED);
}

/* ---- sending ---- */

static void mark_dirty(struct conn *conn)
{
    if (conn->is_dirty)
        return;
    conn->is_dirty = true;
    conn->next_dirty = conn->net->dirty;
    conn->net->dirty = conn;
}

static void doom(struct conn *conn, enum conn_end end)
{
    if (conn->is_doomed)
        return;
    conn->is_doomed = true;
    conn->doom = (uint8_t)end;
    mark_dirty(conn);
}

static void wait_writable(struct conn *conn)
{
    if (!conn->write_event)
        conn->write_event =
            event_new(conn->net->loop->base, conn->fd, EV_WRITE, on_writable, conn);
    if (!conn->write_event || event_add(conn->write_event, NULL) < 0)
        doom(conn, CONN_FAILED);
}

static void watch_soft_limit(struct conn *conn)
{
    bool is_over =
        conn->is_capped && conn->queued_bytes > conn->net->settings->soft_queue_bytes;

    if (!is_over)
        timer_stop(&conn->slow);
    else if (!timer_is_running(&conn->slow))
        timer_start(&conn->net->deadline[NET_SLOW], &conn->slow);
}

/* Something was queued: send it at the end of this turn, or when the kernel has room. */
static void wants_flush(struct conn *conn)
{
    if (conn->is_blocked) {
        watch_soft_limit(conn); /* there may be no flush for as long as it is blocked */
        return;
    }
    if (conn->net->is_flushing)
        wait_writable(conn);
    else
        mark_dirty(conn);
}

static void consume(struct conn *conn, size_t n)
{
    count_queued(conn, -(int64_t)n);
    while (conn->n_slices) {
        size_t len = conn->one.to - conn->one.from;

        if (n < len) {
            conn->one.from += n;
            return;
        }
        n -= len;
        pop_slice(conn);
    }
}

/* One sendmsg() of what fits. Returns 1 all gone, 0 kernel full, -1 failed. */
static int send_batch(struct conn *conn)
{
    struct iovec iov[IOV_BATCH];
    struct msghdr message = {.msg_iov = iov};
    size_t total = 0;
    ssize_t n;

    while (message.msg_iovlen < IOV_BATCH && message.msg_iovlen < conn->n_slices) {
        const struct slice *slice = slice_at(conn, (uint32_t)message.msg_iovlen);

        iov[message.msg_iovlen].iov_base = slice->bytes->data + slice->from;
        iov[message.msg_iovlen].iov_len = slice->to - slice->from;
        total += slice->to - slice->from;
        message.msg_iovlen++;
    }
    metric_add(&conn->net->loop->metrics, METRIC_SENDS, 1);
    do
        n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    consume(conn, (size_t)n);
    return (size_t)n == total;
}

/* Write until the queue is empty or the kernel is full. Never calls back. */
static void write_queue(struct conn *conn)
{
    int result = 1;

    while (conn->n_slices && result > 0)
        result = send_batch(conn);
    if (result < 0) {
        doom(conn, CONN_FAILED);
        return;
    }
    conn->is_blocked = conn->n_slices > 0;
    if (conn->is_blocked) {
        wait_writable(conn);
        return;
    }
    release_queue(conn);
    if (conn->write_event) {
        event_free(conn->write_event);
        conn->write_event = NULL;
    }
}

/* Over the hard limits? A queue that the kernel would still take is no slow reader's. */
static void check_limits(struct conn *conn)
{
    const struct settings *settings = conn->net->settings;

    if (!conn->is_capped || (conn->queued_bytes <= settings->max_queue_bytes &&
                             (int64_t)conn->n_slices <= settings->max_queue_frames))
        return;
    if (!conn->is_blocked)
        write_queue(conn);
    if (conn->queued_bytes > settings->max_queue_bytes ||
        (int64_t)conn->n_slices > settings->max_queue_frames)
        doom(conn, CONN_SLOW);
}

static bool can_send(const struct conn *conn)
{
    return conn->is_open && !conn->is_doomed && !conn->is_ending;
}

/* Queue a slice; takes a reference over when has_ref. */
static bool queue_slice(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    struct slice *last = conn->n_slices ? slice_at(conn, conn->n_slices - 1) : NULL;

    if (last && last->bytes == bytes && last->to == from) {
        last->to = to;
    } else {
        bytes_ref(bytes, 1);
        push_slice(conn, bytes, from, to);
    }
    count_queued(conn, (int64_t)(to - from));
    wants_flush(conn);
    check_limits(conn);
    return !conn->is_doomed;
}

bool conn_send(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    if (!can_send(conn))
        return false;
    return from == to || queue_slice(conn, bytes, from, to);
}

/* A blocked receiver collects in a buffer of its own: it must not keep the shared one,
 * with everybody's frames, alive. */
static char *own_space(struct conn *conn, size_t len, struct bytes **bytes, size_t *from)
{
    if (conn->own && conn->own->len + len > OWN_MAX) {
        bytes_unref(conn->own);
        conn->own = NULL;
    }
    if (!conn->own)
        conn->own = bytes_growable(len > 256 ? len : 256);
    *bytes = conn->own;
    *from = conn->own->len;
    bytes_reserve(conn->own, len);
    conn->own->len += len;
    return conn->own->data + *from;
}

char *conn_send_space(struct conn *conn, size_t len)
{
    struct bytes *bytes;
    size_t from;
    char *space;

    if (!can_send(conn))
        return NULL;
    if (conn->is_blocked)
        space = own_space(conn, len, &bytes, &from);
    else
        space = turnbuf_append(&conn->net->direct, conn->net->loop, len, &bytes, &from);
    /* Limits are checked by the flush: what is not filled yet must not be sent. */
    if (len) {
        bool is_capped = conn->is_capped;

        conn->is_capped = false;
        queue_slice(conn, bytes, from, from + len);
        conn->is_capped = is_capped;
        if (is_capped)
            mark_dirty(conn);
    }
    return space;
}

bool conn_send_copy(struct conn *conn, const void *data, size_t len)
{
    char *space = conn_send_space(conn, len);

    if (!space)
        return false;
    if (len)
        memcpy(space, data, len);
    check_limits(conn);
    return !conn->is_doomed;
}

bool conn_is_writable(const struct conn *conn)
{
    return can_send(conn) && !conn->is_blocked;
}

/* ---- flush ---- */

/* All is written and the connection is to end: our FIN, then the peer's. */
static void finish_ending(struct conn *conn)
{
    if (conn->is_shut)
        return;
    conn->is_shut = true;
    if (conn->net->is_closing || !conn->wants_read || shutdown(conn->fd, SHUT_WR) < 0)
        conn_close(conn, CONN_BY_US);
}

void conn_flush(struct conn *conn)
{
    bool had_work = conn->n_slices > 0;

    if (!conn->is_open)
        return;
    if (!conn->is_blocked && !conn->is_doomed)
        write_queue(conn);
    if (!conn->is_doomed)
        check_limits(conn);
    if (conn->is_doomed) {
        conn_close(conn, (enum conn_end)conn->doom);
        return;
    }
    watch_soft_limit(conn);
    if (conn->n_slices)
        return;
    if (conn->is_ending)
        finish_ending(conn);
    else if (had_work && conn->ops->on_drained)
        conn->ops->on_drained(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    (void)fd;
    (void)what;
    conn->is_blocked = false;
    mark_dirty(conn); /* what is queued in this turn leaves with it */
}

/* ---- deadlines ---- */

void conn_set_deadline(struct conn *conn, enum net_deadline which)
{
    if (!conn->is_open || (conn->is_ending && which != NET_LINGER))
        return;
    conn->deadline_kind = (uint8_t)which;
    timer_start(&conn->net->deadline[which], &conn->deadline);
}

void conn_clear_deadline(struct conn *conn)
{
    if (!conn->is_ending)
        timer_stop(&conn->deadline);
}

void conn_deadline_passed(struct conn *conn)
{
    if (conn->is_paused) /* it may have come in time: we did not read */
        conn_set_deadline(conn, (enum net_deadline)conn->deadline_kind);
    else if (conn->deadline_kind != NET_LINGER && conn->ops->on_deadline)
        conn->ops->on_deadline(conn, (enum net_deadline)conn->deadline_kind);
    else
        conn_close(conn, CONN_TIMED_OUT);
}

/* ---- end ---- */

static void free_events(struct conn *conn)
{
    if (conn->read_event)
        event_free(conn->read_event);
    if (conn->write_event)
        event_free(conn->write_event);
    conn->read_event = conn->write_event = NULL;
}

/* Leave this shard's lists and tables; the fd stays open. */
static void unsettle(struct conn *conn)
{
    unpause(conn);
    free_events(conn);
    timer_stop(&conn->deadline);
    timer_stop(&conn->slow);
    unlink_open(conn);
    slots_remove(&conn->net->conns, conn->self);
}

void conn_close(struct conn *conn, enum conn_end end)
{
    if (!conn->is_open)
        return;
    conn->is_open = false;
    unsettle(conn);
    drop_queue(conn);
    close(conn->fd);
    conn->fd = -1;
    conn->next_dead = conn->net->dead;
    conn->net->dead = conn;
    conn->ops->on_closed(conn, end);
}

void conn_close_after_flush(struct conn *conn)
{
    if (conn->is_shut && conn->net->is_closing)
        conn_close(conn, CONN_BY_US); /* a server that stops waits for no FIN */
    if (!conn->is_open || conn->is_ending)
        return;
    conn->is_ending = true;
    unpause(conn);
    conn_read(conn, true); /* and drop it: unread input would turn our close into a RST */
    conn_set_deadline(conn, NET_LINGER);
    wants_flush(conn);
}

/* ---- moving ---- */

struct arrival {
    struct conn *conn; /* owned: nobody else knows it on the way */
    struct net *to;
    uint64_t due_ms; /* of its deadline, 0 when none runs */
};

static void arrive(struct loop *loop, void *payload)
{
    const struct arrival *arrival = payload;
    struct conn *conn = arrival->conn;

    (void)loop;
    conn->net = arrival->to;
    if (!settle(conn)) {
        link_open(conn);
        conn_close(conn, CONN_FAILED);
        return;
    }
    if (arrival->due_ms)
        timer_start_at(&conn->net->deadline[conn->deadline_kind], &conn->deadline,
                       arrival->due_ms);
    metric_add(&conn->net->loop->metrics, METRIC_CONNECTIONS_MOVED, 1);
    if (conn->net->is_closing)
        conn_close_after_flush(conn);
    else
        conn->ops->on_moved(conn);
}

void conn_move(struct conn *conn, struct net *to)
{
    struct arrival *arrival;

    assert(conn->is_open && conn->n_slices == 0 && conn->net != to);
    if (conn->is_dirty) { /* nothing to flush; but the list must not keep it */
        struct conn **at = &conn->net->dirty;

        while (*at && *at != conn)
            at = &(*at)->next_dirty;
        if (*at)
            *at = conn->next_dirty;
        conn->is_dirty = false;
    }
    arrival = loop_send(conn->net->loop, to->loop, arrive, sizeof *arrival, 0);
    *arrival = (struct arrival){.conn = conn, .to = to};
    if (timer_is_running(&conn->deadline))
        arrival->due_ms = conn->deadline.due_ms;
    unsettle(conn);
}

/* ---- address ---- */

void conn_address(const struct conn *conn, char *out, size_t size)
{
    int family = conn->peer.any.sa_family;
    const void *address = family == AF_INET6 ? (const void *)&conn->peer.in6.sin6_addr
                                             : (const void *)&conn->peer.in4.sin_addr;

    if ((family != AF_INET && family != AF_INET6) ||
        !inet_ntop(family, address, out, (socklen_t)size))
        snprintf(out, size, "unknown");
}
