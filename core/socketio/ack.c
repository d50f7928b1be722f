/*
 * ack.c - acks that clients owe us.
 *
 * Called by: core/socketio/hub.c (answers), emit.c (new ones), socket.c (failing). An ack or
 * a roll is out of its table before its handler runs, so that the handler may do anything.
 * Thread: logic; timeouts come from the timers of the loop's event_base.
 */
#include "core/socketio/ack.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/namespace.h"
#include "core/socketio/socket.h"

struct ack {
    UT_hash_handle hh; /* in socket->acks, by id */
    uint64_t id;
    struct socket *socket; /* borrowed: fails its acks before it goes */
    struct event *timer;   /* owned */
    sio_on_answer *on_answer;
    void *self;
};

struct roll {
    UT_hash_handle hh; /* in acks.rolls, by id */
    uint64_t id;
    struct hub *hub;     /* borrowed */
    struct event *timer; /* owned */
    sio_on_answers *on_answers;
    void *self;
    struct roll *next; /* of those that are complete */
    size_t n, n_pending;
    /* Ascending by socket. What was answered is owned, and so is the id, NULL while the socket
     * is there. One that is awaited counts as timed out: so it is, if nothing comes. */
    struct sio_answer answer[];
};

bool acks_have_room(const struct acks *acks, size_t n)
{
    return n <= acks->max && acks->n_awaited <= acks->max - n;
}

static void count_awaited(struct hub *hub, int64_t n)
{
    hub->acks.n_awaited += (size_t)n;
    metric_add(&hub->loop->metrics, METRIC_ACKS_PENDING, n);
}

static struct event *start_timer(struct hub *hub, int timeout_ms, event_callback_fn call,
                                 void *arg)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000L};
    struct event *timer = evtimer_new(hub->loop->base, call, arg);

    if (!timer || evtimer_add(timer, &timeout) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
    return timer;
}

static const struct sio_args nothing;

/* ---- of one socket */

/* Takes the ack out and frees it, then calls its handler. */
static void settle(struct ack *ack, hop_ack_status status, const struct sio_args *args)
{
    struct socket *socket = ack->socket;
    sio_on_answer *on_answer = ack->on_answer;
    void *self = ack->self;
    char id[UINT8_MAX + 1]; /* a copy: the handler may end the socket, then look at it */
    const struct sio_answer answer = {
        .socket = socket->handle,
        .id = memcpy(id, socket_id(socket), (size_t)socket->id_len + 1),
        .status = status,
        .text = args->text,
        .text_len = args->len,
        .n_attachments = args->n_attachments,
        .attachments = args->attachments,
    };

    HASH_DEL(socket->acks, ack);
    count_awaited(socket->nsp->hub, -1);
    event_free(ack->timer);
    free(ack);
    on_answer(&answer, self);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    settle(arg, HOP_ACK_TIMEOUT, &nothing);
}

uint64_t ack_new(struct socket *socket, int timeout_ms, sio_on_answer *on_answer,
                 void *self)
{
    struct hub *hub = socket->nsp->hub;
    struct ack *ack = mem_calloc(1, sizeof *ack);

    ack->id = hub->acks.next_id++;
    ack->socket = socket;
    ack->on_answer = on_answer;
    ack->self = self;
    ack->timer = start_timer(hub, timeout_ms, on_timeout, ack);
    HASH_ADD(hh, socket->acks, id, sizeof ack->id, ack);
    count_awaited(hub, 1);
    return ack->id;
}

/* ---- of the sockets of a target */

static void answer_done(const struct sio_answer *answer)
{
    for (size_t i = 0; i < answer->n_attachments; i++)
        bytes_unref(answer->attachments[i]);
    free((void *)(uintptr_t)answer->attachments);
    free((char *)(uintptr_t)answer->text);
    free((char *)(uintptr_t)answer->id);
}

static size_t answer_bytes(const struct sio_answer *answer)
{
    size_t n_bytes = answer->text_len;

    for (size_t i = 0; i < answer->n_attachments; i++)
        n_bytes += answer->attachments[i]->len;
    return n_bytes;
}

static void roll_free(struct roll *roll)
{
    for (size_t i = 0; i < roll->n; i++)
        answer_done(&roll->answer[i]);
    event_free(roll->timer);
    free(roll);
}

/* Nothing more is awaited: takes the roll out of the table and off its sockets, which lend
 * their ids from now on if they are there. */
static void roll_take_out(struct roll *roll)
{
    struct hub *hub = roll->hub;

    HASH_DEL(hub->acks.rolls, roll);
    count_awaited(hub, -(int64_t)roll->n_pending);
    for (size_t i = 0; i < roll->n; i++) {
        struct socket *socket = socket_find(hub, roll->answer[i].socket);

        hub->acks.n_bytes -= answer_bytes(&roll->answer[i]);
        if (!socket || roll->answer[i].id)
            continue;
        socket->n_rolls--;
        roll->answer[i].id = mem_strdup(socket_id(socket));
    }
}

/* Calls the handler of a roll that was taken out, and frees it. */
static void roll_settle(struct roll *roll)
{
    roll->on_answers(roll->answer, roll->n, roll->self);
    roll_free(roll);
}

static void on_roll_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct roll *roll = arg;

    (void)fd;
    (void)what;
    roll_take_out(roll);
    roll_settle(roll);
}

static int compare_answers(const void *left, const void *right)
{
    const struct sio_answer *a = left, *b = right;

    return a->socket < b->socket ? -1 : a->socket > b->socket;
}

uint64_t roll_new(struct hub *hub, const struct socket_list *list, int timeout_ms,
                  sio_on_answers *on_answers, void *self)
{
    struct roll *roll = mem_calloc(1, sizeof *roll + list->n * sizeof *roll->answer);

    roll->id = hub->acks.next_id++;
    roll->hub = hub;
    roll->on_answers = on_answers;
    roll->self = self;
    roll->n = roll->n_pending = list->n;
    for (size_t i = 0; i < list->n; i++) {
        roll->answer[i].socket = list->socket[i];
        roll->answer[i].status = HOP_ACK_TIMEOUT;
        socket_find(hub, list->socket[i])->n_rolls++;
    }
    qsort(roll->answer, roll->n, sizeof *roll->answer, compare_answers);
    roll->timer = start_timer(hub, roll->n > 0 ? timeout_ms : 0, on_roll_timeout, roll);
    HASH_ADD(hh, hub->acks.rolls, id, sizeof roll->id, roll);
    count_awaited(hub, (int64_t)roll->n);
    return roll->id;
}

static struct sio_answer *find_answer(struct roll *roll, const struct socket *socket)
{
    const struct sio_answer key = {.socket = socket->handle};

    return bsearch(&key, roll->answer, roll->n, sizeof key, compare_answers);
}

static bool is_awaited(const struct sio_answer *answer)
{
    return answer->status == HOP_ACK_TIMEOUT;
}

/* References to the attachments, for an answer that is kept. NULL without memory. */
static struct bytes **keep_attachments(const struct sio_args *args)
{
    struct bytes **kept = mem_try_alloc(args->n_attachments * sizeof(struct bytes *));

    for (size_t i = 0; kept && i < args->n_attachments; i++) {
        kept[i] = args->attachments[i];
        bytes_ref(kept[i], 1);
    }
    return kept;
}

/* Keeps a copy of what was answered, if the answers of all rolls leave it room. False: there
 * is no memory for what the client sent, and it is about to be closed for that. */
static bool keep_answer(struct acks *acks, struct sio_answer *answer,
                        const struct sio_args *args)
{
    size_t n_bytes = answer_bytes(&(struct sio_answer){
        .text_len = args->len,
        .n_attachments = args->n_attachments,
        .attachments = args->attachments,
    });
    struct bytes **attachments = NULL;
    char *copy;

    if (n_bytes > acks->max_bytes || acks->n_bytes > acks->max_bytes - n_bytes) {
        answer->status = HOP_ACK_DROPPED;
        return true;
    }
    copy = mem_try_alloc(args->len + 1);
    if (copy && args->n_attachments > 0)
        attachments = keep_attachments(args);
    if (!copy || (args->n_attachments > 0 && !attachments)) {
        free(copy);
        return false;
    }
    memcpy(copy, args->text, args->len);
    copy[args->len] = '\0';
    acks->n_bytes += n_bytes;
    answer->status = HOP_ACK_OK;
    answer->text = copy;
    answer->text_len = args->len;
    answer->n_attachments = args->n_attachments;
    answer->attachments = attachments;
    return true;
}

static void count_answered(struct roll *roll)
{
    roll->n_pending--;
    count_awaited(roll->hub, -1);
}

static void roll_answer(struct roll *roll, const struct socket *socket,
                        const struct sio_args *args)
{
    struct sio_answer *answer = find_answer(roll, socket);

    if (!answer || !is_awaited(answer) || !keep_answer(&roll->hub->acks, answer, args))
        return;
    count_answered(roll);
    if (roll->n_pending > 0)
        return;
    roll_take_out(roll);
    roll_settle(roll);
}

/* A socket that closes keeps its name in the roll. */
static void roll_fail(struct roll *roll, struct socket *socket)
{
    struct sio_answer *answer = find_answer(roll, socket);

    if (!answer)
        return;
    answer->id = mem_strdup(socket_id(socket));
    socket->n_rolls--;
    if (!is_awaited(answer))
        return;
    answer->status = HOP_ACK_DISCONNECTED;
    count_answered(roll);
}

/* First all rolls are told, then the handlers of those that are complete run, which may
 * close other sockets and begin other rolls. */
static void fail_in_rolls(struct socket *socket)
{
    struct roll *complete = NULL, **end = &complete, *roll, *next;

    if (socket->n_rolls == 0)
        return;
    HASH_ITER(hh, socket->nsp->hub->acks.rolls, roll, next)
    {
        roll_fail(roll, socket);
        if (roll->n_pending > 0 || roll->n == 0)
            continue;
        roll_take_out(roll);
        roll->next = NULL;
        *end = roll;
        end = &roll->next;
    }
    while (complete) {
        roll = complete;
        complete = roll->next;
        roll_settle(roll);
    }
}

/* ---- the header's other functions */

void ack_answer(struct socket *socket, uint64_t id, const struct sio_args *args)
{
    struct roll *roll = NULL;
    struct ack *ack = NULL;

    HASH_FIND(hh, socket->acks, &id, sizeof id, ack);
    if (ack) {
        settle(ack, HOP_ACK_OK, args);
        return;
    }
    HASH_FIND(hh, socket->nsp->hub->acks.rolls, &id, sizeof id, roll);
    if (roll)
        roll_answer(roll, socket, args);
}

void ack_fail_all(struct socket *socket)
{
    while (socket->acks)
        settle(socket->acks, HOP_ACK_DISCONNECTED, &nothing);
    fail_in_rolls(socket);
}

void acks_end(struct hub *hub)
{
    while (hub->acks.rolls) {
        struct roll *roll = hub->acks.rolls;

        roll_take_out(roll);
        roll_settle(roll);
    }
}
