/*
 * half.c - a packet whose attachments are still coming: see half.h.
 *
 * Each attachment is copied once, into a counted block of its own, which logic and every
 * argument list that passes it on then share.
 * Called by: core/socketio/link.c. Thread: shard.
 */
#include "core/socketio/half.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/loop/bytes.h"
#include "core/socketio/link.h"
#include "core/socketio/records.h"

struct half {
    struct link *link; /* borrowed: owns us */
    struct timer_node expiry;
    lane_work *work;
    struct attachments *attachments; /* owned, until it is sent */
    unsigned n_due;
    size_t size; /* of the record */
    max_align_t record[];
};

/* ---- what it holds */

size_t half_bytes(const struct link *link)
{
    const struct half *half = link->half;

    return half ? sizeof *half + half->size + half->attachments->n_bytes : 0;
}

static void count(const struct link *link, int64_t n)
{
    struct metrics *metrics = &link->sio->loop->metrics;

    metric_add(metrics, METRIC_INCOMPLETE_PACKETS, n);
    metric_add(metrics, METRIC_INCOMPLETE_BYTES, n * (int64_t)half_bytes(link));
}

/* ---- the header's functions */

static void on_expired(struct timer_node *node)
{
    const struct half *half =
        (const struct half *)(const void *)((char *)node - offsetof(struct half, expiry));
    struct link *link = half->link;

    if (session_has_input(link->session) || session_is_receiving(link->session))
        timer_start(&link->sio->half_timers,
                    node); /* it may be here, in part or unread */
    else
        session_close(link->session, SESSION_PARSE_ERROR, "an attachment did not come");
}

void halves_init(struct sio *sio, const struct settings *settings)
{
    sio->max_attachments = (unsigned)settings->max_attachments;
    sio->max_attached_bytes = settings->max_attached_bytes;
    timer_list_init(&sio->half_timers, sio->loop, settings->attachment_timeout_ms,
                    on_expired);
}

void halves_done(struct sio *sio)
{
    timer_list_done(&sio->half_timers);
}

void *half_begin(struct link *link, lane_work *work, size_t size, unsigned n_due,
                 struct attachments **attachments)
{
    struct half *half = mem_try_alloc(sizeof *half + size);

    *attachments = attachments_try_new(n_due);
    if (!half || !*attachments) {
        free(half);
        attachments_free(*attachments);
        return NULL;
    }
    *half = (struct half){.link = link,
                          .work = work,
                          .attachments = *attachments,
                          .n_due = n_due,
                          .size = size};
    link->half = half;
    count(link, 1);
    timer_start(&link->sio->half_timers, &half->expiry);
    return half->record;
}

enum half_result half_take(struct link *link, const void *data, size_t len)
{
    struct half *half = link->half;
    struct attachments *attachments = half->attachments;
    struct bytes *bytes;

    if (len > link->sio->max_attached_bytes - attachments->n_bytes)
        return HALF_TOO_LARGE;
    bytes = bytes_try_new(len);
    if (!bytes)
        return HALF_NO_MEMORY;
    if (len)
        memcpy(bytes->data, data, len);
    attachments->at[attachments->n++] = bytes;
    attachments->n_bytes += len;
    metric_add(&link->sio->loop->metrics, METRIC_INCOMPLETE_BYTES, (int64_t)len);
    if (attachments->n == half->n_due)
        return HALF_COMPLETE;
    timer_start(&link->sio->half_timers, &half->expiry);
    return HALF_MORE;
}

static void release(struct link *link)
{
    struct half *half = link->half;

    count(link, -1);
    timer_stop(&half->expiry);
    link->half = NULL;
    free(half);
}

bool half_send(struct link *link)
{
    const struct half *half = link->half;
    struct loop *loop = link->sio->loop;
    void *record = loop_try_send(loop, loop->loops->logic, half->work, half->size,
                                 half->attachments->n_bytes);

    if (!record)
        return false;
    memcpy(record, half->record, half->size);
    release(link);
    return true;
}

void half_drop(struct link *link)
{
    struct attachments *attachments;

    if (!link->half)
        return;
    attachments = link->half->attachments;
    release(link);
    attachments_free(attachments);
}
