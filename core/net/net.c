/*
 * net.c - what one shard's connections share, and their common end: see net.h.
 *
 * Called by: daemon.c (start and stop), conn.c. Thread: shard.
 */
#include "core/net/net.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/net/conn.h"
#include "core/net/conn_impl.h"
#include "core/net/pressure.h"

enum {
    LINGER_MS = 5000,  /* time for the peer to take our last words */
    CATCH_UP_MS = 1000 /* to read what waited for the lane */
};

static struct conn *conn_of_deadline(struct timer_node *node)
{
    return ((struct conn_deadline *)(void *)node)->conn; /* its first member */
}

static void on_deadline(struct timer_node *node)
{
    conn_deadline_passed(conn_of_deadline(node));
}

static void on_rate(struct timer_node *node)
{
    conn_check_rate(conn_of_deadline(node));
}

static void on_slow(struct timer_node *node)
{
    const struct conn_backlog *backlog =
        (struct conn_backlog *)(void *)((char *)node -
                                        offsetof(struct conn_backlog, slow));

    conn_close(backlog->conn, CONN_SLOW);
}

static void flush_dirty(void *arg)
{
    struct net *net = arg;
    struct conn *conn = net->dirty;

    net->dirty = NULL;
    net->is_flushing = true;
    while (conn) {
        struct conn *next = conn->next_dirty;

        conn->next_dirty = NULL;
        conn->is_dirty = false;
        conn_flush(conn);
        conn = next;
    }
    net->is_flushing = false;
}

static void free_dead(void *arg)
{
    struct net *net = arg;
    struct conn *conn = net->dead;

    net_watch_memory(net); /* what was queued in this turn */
    net->dead = NULL;
    newcomers_end_turn(net);
    while (conn) {
        struct conn *next = conn->next_dead;

        if (conn->is_dirty) { /* still on the list of the next flush */
            conn->next_dead = net->dead;
            net->dead = conn;
        } else {
            conn_free(conn);
        }
        conn = next;
    }
}

void net_resume(struct net *net)
{
    struct conn *conn = net->paused;

    if (net->is_lane_paused)
        net->resumed_ms = loop_now(net->loop);
    net->is_lane_paused = false;
    net->paused = NULL;
    while (conn) {
        struct conn *next = conn->next_paused;

        conn->next_paused = NULL;
        conn->is_paused = false;
        conn_read(conn, conn->wants_read);
        conn = next;
    }
}

/* ---- work that was put off */

static void run_work(struct loop *loop, void *payload);

static void expect_work(struct net *net)
{
    struct net **payload;

    if (net->is_work_due)
        return;
    net->is_work_due = true;
    payload = loop_send_next_turn(net->loop, run_work, sizeof *payload);
    *payload = net;
}

void net_put_off(struct net *net, struct net_work *work)
{
    metric_add(&net->loop->metrics, METRIC_PUT_OFF, 1);
    work->next = NULL;
    *net->work_end = work;
    net->work_end = &work->next;
    net->n_work++;
    expect_work(net);
}

static struct net_work *take_work(struct net *net)
{
    struct net_work *work = net->work;

    net->work = work->next;
    if (!net->work)
        net->work_end = &net->work;
    net->n_work--;
    return work;
}

/* Each of them once, as long as logic keeps up: its relief brings the others' turn. */
static void run_work(struct loop *loop, void *payload)
{
    struct net *net = *(struct net **)payload;

    net->is_work_due = false;
    for (size_t n = net->n_work; n > 0; n--) {
        struct net_work *work;

        if (loop_is_behind(loop, loop->loops->logic))
            return;
        work = take_work(net);
        work->run(net, work);
    }
}

/* The lane to logic has drained: go on. */
static void on_relief(void *arg)
{
    struct net *net = arg;

    net_resume(net);
    if (net->work)
        expect_work(net);
}

struct net *net_new(struct loop *loop, const struct settings *settings,
                    struct net *const *all)
{
    struct net *net = mem_calloc(1, sizeof *net);
    const int64_t interval_ms[NET_DEADLINES] = {
        [NET_HEAD] = settings->head_timeout_ms,
        [NET_BODY] = settings->body_timeout_ms,
        [NET_SEND] = settings->body_timeout_ms,
        [NET_KEEP_ALIVE] = settings->keep_alive_ms,
        [NET_LINGER] = LINGER_MS,
        [NET_SLOW] = settings->soft_queue_ms,
        [NET_RATE] = NET_RATE_MS,
    };
    void (*const on_due[NET_DEADLINES])(struct timer_node *) = {
        [NET_HEAD] = on_deadline,   [NET_BODY] = on_deadline,
        [NET_SEND] = on_deadline,   [NET_KEEP_ALIVE] = on_deadline,
        [NET_LINGER] = on_deadline, [NET_SLOW] = on_slow,
        [NET_RATE] = on_rate,
    };

    net->loop = loop;
    net->settings = settings;
    net->all = all;
    net->work_end = &net->work;
    net->read_buffer = mem_alloc(NET_READ_BYTES);
    slots_init(&net->conns, loop->index);
    watch_init(&net->watch, loop, conn_on_ready);
    for (unsigned i = 0; i < NET_DEADLINES; i++)
        timer_list_init(&net->deadline[i], loop, interval_ms[i], on_due[i]);
    loop_on_stage(loop, LOOP_FLUSH, flush_dirty, net);
    loop_on_stage(loop, LOOP_FREE, free_dead, net);
    loop_on_relief(loop, on_relief, net);
    return net;
}

bool net_is_empty(const struct net *net)
{
    return net->conns.n_used == 0;
}

bool net_holds_input(const struct net *net)
{
    return net->is_lane_paused ||
           (net->resumed_ms && loop_now(net->loop) < net->resumed_ms + CATCH_UP_MS);
}

void net_watch_memory(struct net *net)
{
    int64_t queued_bytes = atomic_load_explicit(
        &net->loop->metrics.value[METRIC_QUEUED_BYTES], memory_order_relaxed);

    if (queued_bytes < net->queued_seen)
        net->queued_seen = queued_bytes;
    if (!net->pressure ||
        net->read_bytes + queued_bytes - net->queued_seen < net->probe_bytes)
        return;
    net->read_bytes = 0;
    net->queued_seen = queued_bytes;
    pressure_probe(net->pressure, net->loop);
}

static void end_holder(void *arg, handle who)
{
    struct net *net = arg;
    struct conn *conn = slots_get(&net->conns, who);

    if (conn)
        conn_close(conn, conn->queued_bytes ? CONN_SLOW : CONN_BY_US);
}

void net_collect(struct net *net, struct holders *holders)
{
    for (uint32_t i = 0; i < net->conns.n; i++) {
        const struct conn *conn = slots_at(&net->conns, i);
        struct holder holder = {.end = end_holder, .arg = net};

        if (!conn)
            continue;
        holder.bytes = conn->queued_bytes;
        holder.who = conn->self;
        if (conn->ops->held)
            holder.bytes += conn->ops->held(conn);
        if (conn->is_holding)
            holder.bytes += NET_READ_BYTES; /* at most */
        holders_add(holders, &holder);
    }
    if (net->on_collect)
        net->on_collect(net->collect_arg, holders);
}

void net_on_collect(struct net *net,
                    void (*on_collect)(void *arg, struct holders *holders), void *arg)
{
    net->on_collect = on_collect;
    net->collect_arg = arg;
}

void net_shutdown(struct net *net)
{
    net->is_closing = true;
    for (uint32_t i = 0; i < net->conns.n; i++)
        if (slots_at(&net->conns, i))
            conn_close_after_flush(slots_at(&net->conns, i));
}

void net_close_all(struct net *net)
{
    for (uint32_t i = 0; i < net->conns.n; i++)
        if (slots_at(&net->conns, i))
            conn_close(slots_at(&net->conns, i), CONN_BY_US);
}

void net_free(struct net *net)
{
    if (!net)
        return;
    net_close_all(net);
    flush_dirty(net);
    free_dead(net);
    while (net->work) {
        struct net_work *work = take_work(net);

        work->drop(work);
    }
    for (unsigned i = 0; i < NET_DEADLINES; i++)
        timer_list_done(&net->deadline[i]);
    while (net->spare_deadlines) {
        struct conn_deadline *deadline = net->spare_deadlines;

        net->spare_deadlines = deadline->next_spare;
        free(deadline);
    }
    newcomers_done(net);
    turnbuf_done(&net->direct, net->loop);
    slots_done(&net->conns);
    watch_done(&net->watch);
    free(net->read_buffer);
    free(net);
}
