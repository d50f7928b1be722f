/*
 * ack.c - acks that clients owe us.
 *
 * Called by: core/socketio/hub.c (answers), emit.c (new ones), socket.c (failing). An ack
 * is out of its table before its handler runs, so that the handler may do anything.
 * Thread: logic; timeouts come from the timers of the loop's event_base.
 */
#include "core/socketio/ack.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/socket.h"

struct ack {
    UT_hash_handle hh; /* in socket->acks, by id */
    uint64_t id;
    struct socket *socket; /* borrowed: fails its acks before it goes */
    struct event *timer;   /* owned */
    hop_ack_handler *on_ack;
    void *self;
};

static struct metrics *metrics_of(const struct socket *socket)
{
    return &socket->nsp->hub->loop->metrics;
}

/* Takes the ack out and frees it, then calls its handler. args: borrowed. */
static void settle(struct ack *ack, hop_ack_status status, json_t *args)
{
    struct socket *socket = ack->socket;
    hop_ack_handler *on_ack = ack->on_ack;
    void *self = ack->self;

    HASH_DEL(socket->acks, ack);
    metric_add(metrics_of(socket), METRIC_ACKS_PENDING, -1);
    event_free(ack->timer);
    free(ack);
    on_ack(socket->handle, status, args, self);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    settle(arg, HOP_ACK_TIMEOUT, NULL);
}

uint64_t ack_new(struct socket *socket, int timeout_ms, hop_ack_handler *on_ack,
                 void *self)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    struct ack *ack = mem_calloc(1, sizeof *ack);

    ack->id = socket->next_ack_id++;
    ack->socket = socket;
    ack->on_ack = on_ack;
    ack->self = self;
    ack->timer = evtimer_new(socket->nsp->hub->loop->base, on_timeout, ack);
    if (!ack->timer || evtimer_add(ack->timer, &timeout) < 0)
        mem_exhausted(sizeof *ack); /* the one reason that libevent has */
    HASH_ADD(hh, socket->acks, id, sizeof ack->id, ack);
    metric_add(metrics_of(socket), METRIC_ACKS_PENDING, 1);
    return ack->id;
}

void ack_answer(struct socket *socket, uint64_t id, const char *text, size_t len)
{
    struct ack *ack;
    json_t *args;

    HASH_FIND(hh, socket->acks, &id, sizeof id, ack);
    if (!ack)
        return;
    args = json_loadb(text, len, 0, NULL);
    settle(ack, HOP_ACK_OK, args);
    json_decref(args);
}

void ack_fail_all(struct socket *socket)
{
    while (socket->acks)
        settle(socket->acks, HOP_ACK_DISCONNECTED, NULL);
}
