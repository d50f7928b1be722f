/*
 * conn.c - one TCP connection: its birth, reading, deadlines, end and moving; see conn.h.
 *
 * Watched by the shard's epoll, paused while the lane to logic or memory is full. What a connection
 * sends is in conn_send.c. Called by: the HTTP connection's files (all of it), websocket.c
 * (deadlines, close), session.c (address, input), net.c (deadlines, the end of all).
 * Thread: shard.
 */
#include "core/net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/net/conn_impl.h"
#include "core/net/gate.h"
#include "core/net/pressure.h"

/* n_watched of a deadline: the coming look passes, whatever has come until then. */
static const uint32_t RATE_EXCUSED = UINT32_MAX;

enum {
    CONN_COST = 2048, /* with its HTTP state and place in tables, about */
    LONG_QUEUE = 64   /* of newcomers: the wait is some turns */
};

/* ---- birth ---- */

static void count_open(const struct conn *conn, int n)
{
    metric_add(&conn->net->loop->metrics, METRIC_CONNECTIONS, n);
}

/* Make it one of conn->net's. Returns false when the table is full. */
static bool settle(struct conn *conn)
{
    struct net *net = conn->net;

    conn->self = slots_add(&net->conns, conn);
    if (!conn->self)
        return false;
    count_open(conn, 1);
    conn_read(conn, conn->wants_read);
    return true;
}

struct conn *conn_new(struct net *net, int fd, const struct sockaddr_storage *peer,
                      const struct conn_ops *ops, void *user)
{
    struct conn *conn = mem_calloc(1, sizeof *conn);

    conn->net = net;
    conn->ops = ops;
    conn->user = user;
    conn->fd = fd;
    conn->is_open = true;
    conn->wants_read = true;
    memcpy(&conn->peer, peer, sizeof conn->peer);
    if (!settle(conn)) {
        close(fd);
        free(conn);
        return NULL;
    }
    net->read_bytes += CONN_COST;
    return conn;
}

void conn_free(struct conn *conn)
{
    free(conn);
}

/* ---- reading ---- */

void conn_watch(struct conn *conn, uint32_t events)
{
    conn->watched =
        (uint8_t)watch_change(&conn->net->watch, conn->fd, conn, conn->watched, events);
    if (conn->watched != events)
        conn_doom(conn, CONN_FAILED); /* nothing would be heard of it any more */
}

/* As its user wants, unless the lane is full or what was read before is not done with. */
static bool is_to_be_read(const struct conn *conn)
{
    return conn->wants_read && !conn->is_paused && !conn->is_holding && !conn->is_waiting;
}

/* Reading often stops for less than a turn: it is watched on until something comes. */
static void update_reading(struct conn *conn)
{
    if (conn->is_open && is_to_be_read(conn))
        conn_watch(conn, conn->watched | EPOLLIN);
}

static void stop_watching(struct conn *conn)
{
    conn_watch(conn, conn->watched & ~(uint32_t)EPOLLIN);
}

void conn_read(struct conn *conn, bool on)
{
    conn->wants_read = on;
    update_reading(conn);
}

/* What comes late now is not the peer's fault. */
static void excuse(struct conn *conn)
{
    if (conn->deadline)
        conn->deadline->n_watched = RATE_EXCUSED;
}

static void pause_reading(struct conn *conn)
{
    conn->is_paused = true;
    update_reading(conn);
    excuse(conn);
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

    return conn->is_open && (conn->is_paused || conn->is_holding || conn->is_waiting ||
                             recv(conn->fd, &byte, 1, MSG_PEEK) > 0);
}

static bool is_newcomer(const struct conn *conn)
{
    return conn->n_reads < NEWCOMER_READS;
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

static void count_watched(struct conn *conn, uint32_t n)
{
    struct conn_deadline *deadline = conn->deadline;

    if (deadline)
        deadline->n_watched = deadline->n_watched < RATE_EXCUSED - n
                                  ? deadline->n_watched + n
                                  : RATE_EXCUSED;
}

/* To be told of it again in each turn is cheaper for some of them than to stop and begin
 * listening, which are two system calls; for thousands it is not. */
static void wait_turn(struct conn *conn, bool is_over, bool has_failed)
{
    conn->is_waiting = true;
    excuse(conn);
    if (is_over || conn->net->newcomers.n >= LONG_QUEUE)
        stop_watching(conn);
    newcomers_wait(conn->net, conn->self, has_failed);
}

static void take_end(struct conn *conn, bool has_failed)
{
    if (has_failed)
        conn_close(conn, CONN_FAILED);
    else
        at_end_of_input(conn);
}

static void on_end(struct conn *conn, bool has_failed, bool has_place)
{
    if (has_place || newcomers_enter(conn->net))
        take_end(conn, has_failed);
    else
        wait_turn(conn, true, has_failed);
}

/* has_place: in this turn, see newcomers.h; ends need one. Returns how many bytes came. */
static size_t read_input(struct conn *conn, bool has_place)
{
    struct net *net = conn->net;
    ssize_t n;

    if (!conn->is_ending && loop_is_congested(net->loop, net->loop->loops->logic)) {
        net->is_lane_paused = true;
        pause_reading(conn);
        return 0;
    }
    if (!conn->is_ending && pressure_is_full(net->pressure)) {
        pause_reading(conn);
        return 0;
    }
    n = recv(conn->fd, net->read_buffer, NET_READ_BYTES, 0);
    if (n > 0) {
        conn->n_reads += is_newcomer(conn);
        count_watched(conn, (uint32_t)n);
        net->read_bytes += n;
    }
    if (n == 0)
        on_end(conn, false, has_place);
    else if (n > 0 && !conn->is_ending) /* else: dropped, so that our close arrives */
        conn->ops->on_data(conn, net->read_buffer, (size_t)n);
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        on_end(conn, true, has_place);
    net_watch_memory(net); /* a turn may read from thousands */
    return n > 0 ? (size_t)n : 0;
}

static void on_readable(struct conn *conn)
{
    struct net *net = conn->net;

    if (is_newcomer(conn) && !newcomers_enter(net))
        wait_turn(conn, false, false);
    else
        loop_take(net->loop, read_input(conn, is_newcomer(conn)));
}

void conn_on_ready(void *object, uint32_t events)
{
    struct conn *conn = object;

    events &= conn->watched; /* of this turn: it may have ended, or moved */
    if (events & EPOLLOUT)
        conn_on_writable(conn);
    if (!(events & EPOLLIN))
        return;
    if (is_to_be_read(conn))
        on_readable(conn);
    else if (!conn->is_waiting || conn->net->newcomers.n >= LONG_QUEUE)
        stop_watching(
            conn); /* else: we are told of it in each turn until it has its own */
}

void conn_take_turn(struct conn *conn, bool has_failed)
{
    conn->is_waiting = false;
    if (has_failed) {
        take_end(conn, true);
        return;
    }
    update_reading(conn);
    if (is_to_be_read(conn))
        read_input(conn, true);
}

/* ---- holding ---- */

struct held {
    struct net_work work;
    handle conn;
    size_t from, len; /* of data: what is left */
    char data[];
};

static void run_held(struct net *net, struct net_work *work)
{
    struct held *held = (struct held *)(void *)work;
    struct conn *conn = slots_get(&net->conns, held->conn);

    if (!conn || !conn->is_holding) { /* it has ended, or is ending */
        free(held);
        return;
    }
    conn->is_holding = false;
    net->held = held;
    conn->ops->on_data(conn, held->data + held->from, held->len - held->from);
    net->held = NULL;
    if (conn->is_holding) { /* conn_hold() has moved `from` */
        net_put_off(net, work);
        return;
    }
    update_reading(conn);
    free(held);
}

static void drop_held(struct net_work *work)
{
    free(work);
}

void conn_hold(struct conn *conn, const char *data, size_t len)
{
    struct net *net = conn->net;
    struct held *held = net->held;

    if (!conn->is_open || conn->is_ending || len == 0)
        return;
    conn->is_holding = true;
    excuse(conn);
    if (held && held->conn == conn->self) {
        held->from = held->len - len;
        return;
    }
    update_reading(conn);
    held = mem_try_alloc(sizeof *held + len);
    if (!held) {
        conn_doom(conn, CONN_FAILED);
        return;
    }
    *held = (struct held){
        .work = {.run = run_held, .drop = drop_held}, .conn = conn->self, .len = len};
    memcpy(held->data, data, len);
    net_put_off(net, &held->work);
}

/* ---- deadlines ---- */

static struct conn_deadline *need_deadline(struct conn *conn)
{
    struct net *net = conn->net;

    if (conn->deadline)
        return conn->deadline;
    if (net->spare_deadlines) {
        conn->deadline = net->spare_deadlines;
        net->spare_deadlines = conn->deadline->next_spare;
        net->n_spare_deadlines--;
    } else {
        conn->deadline = mem_calloc(1, sizeof *conn->deadline);
    }
    conn->deadline->conn = conn;
    return conn->deadline;
}

static void drop_deadline(struct conn *conn)
{
    struct conn_deadline *deadline = conn->deadline;
    struct net *net = conn->net;

    if (!deadline)
        return;
    timer_stop(&deadline->node);
    conn->deadline = NULL;
    if (net->n_spare_deadlines == NET_SPARE_DEADLINES) {
        free(deadline);
        return;
    }
    deadline->next_spare = net->spare_deadlines;
    net->spare_deadlines = deadline;
    net->n_spare_deadlines++;
}

static bool is_rated(const struct conn *conn)
{
    return conn->deadline_kind == NET_BODY && conn->net->settings->min_body_rate;
}

/* Its total time, or before that a look at how fast it comes. One node for both: most
 * connections never have a body. */
static void await_body(struct conn *conn)
{
    struct net *net = conn->net;
    struct conn_deadline *deadline = conn->deadline;
    uint64_t now_ms = loop_now(net->loop);
    int32_t left_ms = (int32_t)(deadline->body_due - (uint32_t)now_ms);

    if (left_ms > net->deadline[NET_RATE].interval_ms)
        timer_start(&net->deadline[NET_RATE], &deadline->node);
    else
        timer_start_at(&net->deadline[NET_BODY], &deadline->node,
                       now_ms + (uint64_t)(left_ms > 0 ? left_ms : 0));
}

void conn_set_deadline(struct conn *conn, enum net_deadline which)
{
    struct conn_deadline *deadline;

    if (!conn->is_open || (conn->is_ending && which != NET_LINGER))
        return;
    conn->deadline_kind = (uint8_t)which;
    deadline = need_deadline(conn);
    if (!is_rated(conn)) {
        timer_start(&conn->net->deadline[which], &deadline->node);
        return;
    }
    deadline->n_watched = RATE_EXCUSED;
    deadline->body_due = (uint32_t)(loop_now(conn->net->loop) +
                                    (uint64_t)conn->net->settings->body_timeout_ms);
    await_body(conn);
}

void conn_clear_deadline(struct conn *conn)
{
    if (!conn->is_ending)
        drop_deadline(conn);
}

bool conn_has_deadline(const struct conn *conn)
{
    return conn->deadline && timer_is_running(&conn->deadline->node);
}

void conn_deadline_passed(struct conn *conn)
{
    if (conn->is_paused || conn->is_holding || conn->is_waiting) /* it may be in time */
        conn_set_deadline(conn, (enum net_deadline)conn->deadline_kind);
    else if (conn->deadline_kind != NET_LINGER && conn->ops->on_deadline)
        conn->ops->on_deadline(conn, (enum net_deadline)conn->deadline_kind);
    else
        conn_close(conn, CONN_TIMED_OUT);
}

/* T04. What lies unread is not the peer's fault. */
void conn_check_rate(struct conn *conn)
{
    const struct net *net = conn->net;
    struct conn_deadline *deadline = conn->deadline;
    uint64_t wanted = net->settings->min_body_rate *
                      (uint64_t)net->deadline[NET_RATE].interval_ms / 1000;

    bool is_held_up = !conn->wants_read || conn_has_input(conn);

    if (!is_held_up && deadline->n_watched != RATE_EXCUSED &&
        deadline->n_watched < wanted) {
        conn_deadline_passed(conn);
        return;
    }
    deadline->n_watched = is_held_up ? RATE_EXCUSED : 0;
    await_body(conn);
}

/* ---- end ---- */

static void stop_watch(struct conn *conn)
{
    if (conn->watched)
        watch_drop(&conn->net->watch, conn->fd);
    conn->watched = 0;
}

/* Leave this shard's lists and tables; the fd stays open. */
static void unsettle(struct conn *conn)
{
    unpause(conn);
    conn->is_holding = conn->is_waiting = false;
    count_open(conn, -1);
    slots_remove(&conn->net->conns, conn->self);
}

void conn_close(struct conn *conn, enum conn_end end)
{
    if (!conn->is_open)
        return;
    conn->is_open = false;
    unsettle(conn);
    drop_deadline(conn);
    conn_drop_queue(conn);
    stop_watch(conn);
    close(conn->fd);
    conn->fd = -1;
    if (conn->is_counted)
        gate_leave(conn->net->gate, &conn->peer.any, &conn->net->loop->metrics);
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
    conn->is_holding = conn->is_waiting = false;
    unpause(conn);
    conn_read(conn, true); /* and drop it: unread input would turn our close into a RST */
    conn_set_deadline(conn, NET_LINGER);
    conn_wants_flush(conn);
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
        count_open(conn, 1);
        conn_close(conn, CONN_FAILED);
        return;
    }
    if (arrival->due_ms && is_rated(conn))
        await_body(conn);
    else if (arrival->due_ms)
        timer_start_at(&conn->net->deadline[conn->deadline_kind], &conn->deadline->node,
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

    assert(conn->is_open && !conn->is_holding && conn->n_slices == 0 && conn->net != to);
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
    if (conn_has_deadline(conn)) {
        arrival->due_ms = conn->deadline->node.due_ms;
        timer_stop(&conn->deadline->node);
    }
    unsettle(conn);
    stop_watch(conn);
}

/* ---- address ---- */

/* As inet_ntop(), which needs a printf() for each of the bytes; every login has one. */
static void print_ipv4(const unsigned char *address, char *out)
{
    for (int i = 0; i < 4; i++) {
        const unsigned byte = address[i];

        if (byte >= 100)
            *out++ = (char)('0' + byte / 100);
        if (byte >= 10)
            *out++ = (char)('0' + byte / 10 % 10);
        *out++ = (char)('0' + byte % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

void conn_print_address(const struct sockaddr *peer, char *out, size_t size)
{
    int family = peer->sa_family;
    const void *address =
        family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr;

    if (family == AF_INET && size >= INET_ADDRSTRLEN)
        print_ipv4(address, out);
    else if ((family != AF_INET && family != AF_INET6) ||
             !inet_ntop(family, address, out, (socklen_t)size))
        snprintf(out, size, "unknown");
}

void conn_address(const struct conn *conn, char *out, size_t size)
{
    conn_print_address(&conn->peer.any, out, size);
}
