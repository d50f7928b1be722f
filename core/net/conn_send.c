/*
 * conn_send.c - what a connection sends: its queue, the limits on it, its flush; see conn.h.
 *
 * A queue of slices of counted bytes, one call of the kernel a turn; room is waited for only
 * while its buffer is full. Called by: the HTTP connection's files and websocket.c
 * (send), net.c (flush, at the end of a turn), conn.c (the end). Thread: shard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/net/conn.h"
#include "core/net/conn_impl.h"

enum {
    IOV_BATCH = 64,
    OWN_MAX = 16 << 10 /* a blocked receiver's frames are collected in pieces of this */
};

/* ---- the queue of slices ---- */

static struct slice *slice_at(struct conn *conn, uint32_t n)
{
    const struct conn_backlog *backlog = conn->backlog;

    if (n == 0)
        return &conn->one;
    return &backlog->more[(backlog->head + n - 1) % backlog->cap];
}

static struct conn_backlog *need_backlog(struct conn *conn)
{
    struct conn_backlog *backlog = conn->backlog;

    if (!backlog) {
        backlog = conn->backlog = mem_calloc(1, sizeof *backlog);
        backlog->conn = conn;
        backlog->more = backlog->few;
        backlog->cap = CONN_FEW_SLICES;
    }
    return backlog;
}

static void free_more(struct conn_backlog *backlog)
{
    if (backlog->more != backlog->few)
        free(backlog->more);
}

/* How many there are is for the peer to say, who does not read. */
static bool grow_queue(struct conn *conn)
{
    struct conn_backlog *backlog = conn->backlog;
    uint32_t cap = backlog->cap * 2;
    struct slice *more = mem_alloc_mixed(cap * sizeof *more);

    if (!more)
        return false;
    for (uint32_t i = 0; i < backlog->cap; i++)
        more[i] = *slice_at(conn, i + 1);
    free_more(backlog);
    backlog->more = more;
    backlog->head = 0;
    backlog->cap = cap;
    return true;
}

/* Takes one more reference to bytes. */
static bool push_slice(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    if (conn->n_slices > 0 && conn->n_slices - 1 == need_backlog(conn)->cap &&
        !grow_queue(conn))
        return false;
    bytes_ref(bytes, 1);
    conn->n_slices++;
    *slice_at(conn, conn->n_slices - 1) = (struct slice){bytes, from, to};
    return true;
}

static void pop_slice(struct conn *conn)
{
    struct conn_backlog *backlog = conn->backlog;

    bytes_unref(conn->one.bytes);
    conn->n_slices--;
    if (conn->n_slices == 0)
        return;
    conn->one = backlog->more[backlog->head];
    backlog->head = (backlog->head + 1) % backlog->cap;
}

static void count_queued(struct conn *conn, int64_t n)
{
    conn->queued_bytes = (size_t)((int64_t)conn->queued_bytes + n);
    metric_add(&conn->net->loop->metrics, METRIC_QUEUED_BYTES, n);
}

/* What a connection with an empty queue does not need. */
static void release_backlog(struct conn *conn)
{
    struct conn_backlog *backlog = conn->backlog;

    if (!backlog)
        return;
    timer_stop(&backlog->slow);
    bytes_unref(backlog->own);
    free_more(backlog);
    free(backlog);
    conn->backlog = NULL;
}

void conn_drop_queue(struct conn *conn)
{
    while (conn->n_slices)
        pop_slice(conn);
    count_queued(conn, -(int64_t)conn->queued_bytes);
    release_backlog(conn);
}

/* ---- when to send ---- */

static void mark_dirty(struct conn *conn)
{
    if (conn->is_dirty)
        return;
    conn->is_dirty = true;
    conn->next_dirty = conn->net->dirty;
    conn->net->dirty = conn;
}

void conn_on_writable(struct conn *conn)
{
    conn->is_blocked = false;
    mark_dirty(conn); /* what is queued in this turn leaves with it */
}

void conn_doom(struct conn *conn, enum conn_end end)
{
    if (conn->is_doomed)
        return;
    conn->is_doomed = true;
    conn->doom = (uint8_t)end;
    mark_dirty(conn);
}

static void wait_writable(struct conn *conn)
{
    conn_watch(conn, conn->watched | EPOLLOUT);
}

static void watch_soft_limit(struct conn *conn)
{
    bool is_over =
        conn->is_capped && conn->queued_bytes > conn->net->settings->soft_queue_bytes;

    if (is_over && !timer_is_running(&need_backlog(conn)->slow))
        timer_start(&conn->net->deadline[NET_SLOW], &conn->backlog->slow);
    else if (!is_over && conn->backlog)
        timer_stop(&conn->backlog->slow);
}

void conn_wants_flush(struct conn *conn)
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

/* ---- writing ---- */

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

/* One call for what fits. Returns 1 all gone, 0 kernel full, -1 failed. */
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
    do /* the kernel takes one piece faster than a list of one */
        n = message.msg_iovlen == 1 ? send(conn->fd, iov[0].iov_base, total, MSG_NOSIGNAL)
                                    : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
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
        conn_doom(conn, CONN_FAILED);
        return;
    }
    conn->is_blocked = conn->n_slices > 0;
    if (conn->is_blocked) {
        wait_writable(conn);
        return;
    }
    release_backlog(conn);
    if (conn->watched & EPOLLOUT)
        conn_watch(conn, conn->watched & ~(uint32_t)EPOLLOUT);
}

/* ---- sending ---- */

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
        conn_doom(conn, CONN_SLOW);
}

static bool can_send(const struct conn *conn)
{
    return conn->is_open && !conn->is_doomed && !conn->is_ending;
}

/* The limits are for the caller to check, once the bytes are there. */
static bool add_slice(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    struct slice *last = conn->n_slices ? slice_at(conn, conn->n_slices - 1) : NULL;

    if (last && last->bytes == bytes && last->to == from) {
        last->to = to;
    } else if (!push_slice(conn, bytes, from, to)) {
        conn_doom(conn, CONN_FAILED);
        return false;
    }
    count_queued(conn, (int64_t)(to - from));
    conn_wants_flush(conn);
    return true;
}

static bool queue_slice(struct conn *conn, struct bytes *bytes, size_t from, size_t to)
{
    if (add_slice(conn, bytes, from, to))
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
    struct conn_backlog *backlog = need_backlog(conn);

    if (backlog->own && backlog->own->len + len > OWN_MAX) {
        bytes_unref(backlog->own);
        backlog->own = NULL;
    }
    if (!backlog->own)
        backlog->own = bytes_growable(len > 256 ? len : 256);
    *bytes = backlog->own;
    *from = backlog->own->len;
    bytes_reserve(backlog->own, len);
    backlog->own->len += len;
    return backlog->own->data + *from;
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
    if (len && add_slice(conn, bytes, from, from + len) && conn->is_capped)
        mark_dirty(conn);
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

/* All is written and the connection is to end: our FIN, then the peer's. Closed at once, what
 * it sends meanwhile would be answered with a RST, and that takes away what it has not yet
 * read (T51); a server that stops does so only to those who have just been sent nothing. */
static void finish_ending(struct conn *conn, bool had_work)
{
    bool is_hurried = conn->net->is_closing && !had_work;

    if (conn->is_shut)
        return;
    conn->is_shut = true;
    if (is_hurried || !conn->wants_read || shutdown(conn->fd, SHUT_WR) < 0)
        conn_close(conn, CONN_BY_US);
}

void conn_write_now(struct conn *conn)
{
    if (conn->is_open && !conn->is_blocked && !conn->is_doomed)
        write_queue(conn);
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
        finish_ending(conn, had_work);
    else if (had_work && conn->ops->on_drained)
        conn->ops->on_drained(conn);
}
