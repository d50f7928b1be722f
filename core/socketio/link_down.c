/*
 * link_down.c - carries out in the shard what logic has sent: link_take_*() of records.h.
 *
 * Called by: the loop, for each record that hub.c, socket.c or emit.c has put into the
 * shard's lane. A link may have ended since, or have left and come back: what speaks of an
 * earlier stay does nothing. Thread: shard.
 */
#include "core/socketio/records.h"

#include <stdlib.h>

#include "core/engine/engine.h"
#include "core/loop/bytes.h"
#include "core/socketio/link.h"

static struct link *find_link(const struct sio *sio, handle session)
{
    struct session *found = sio->engine ? engine_find(sio->engine, session) : NULL;

    return found && session_is_open(found) ? session_upper(found) : NULL;
}

/* The link that a record is for, unless it speaks of an earlier stay. */
static struct link *addressee(const struct down_head *head)
{
    struct link *link = find_link(head->sio, head->session);

    if (!link || head->epoch == EPOCH_ANY)
        return link;
    return stay_find(link, head->epoch) ? link : NULL;
}

void link_take_joined(struct loop *to, void *payload)
{
    const struct down_head *head = payload;
    struct link *link = addressee(head);

    (void)to;
    if (!link)
        return;
    stay_find(link, head->epoch)->is_joined = true;
    link_drop_opening(link);
}

void link_take_left(struct loop *to, void *payload)
{
    const struct down_head *head = payload;
    struct link *link = addressee(head);

    (void)to;
    if (link)
        stay_end(link, stay_find(link, head->epoch));
}

void link_take_refused(struct loop *to, void *payload)
{
    const struct down_refused *record = payload;
    struct link *link = addressee(&record->head);
    struct outgoing out = {.packet = record->packet};

    if (link) {
        stay_end(link, stay_find(link, record->head.epoch));
        metric_add(&to->metrics, METRIC_PACKETS_OUT, 1);
        session_send(link->session, &out);
    }
    bytes_unref(record->packet);
}

static struct outgoing outgoing_of(struct bytes *packet, unsigned flags)
{
    return (struct outgoing){
        .packet = packet,
        .is_volatile = flags & SEND_VOLATILE,
        .may_compress = !(flags & SEND_PLAIN),
    };
}

void link_take_send(struct loop *to, void *payload)
{
    const struct down_send *record = payload;
    struct link *link = addressee(&record->head);
    struct outgoing out = outgoing_of(record->packet, record->flags);

    if (link) {
        metric_add(&to->metrics, METRIC_PACKETS_OUT, 1);
        session_send(link->session, &out);
    }
    bytes_unref(record->packet);
}

void link_take_join(struct loop *to, void *payload)
{
    const struct down_room *record = payload;
    struct link *link = addressee(&record->head);

    (void)to;
    if (link)
        members_join(&record->head.sio->members, link,
                     stay_find(link, record->head.epoch)->nsp, record->room);
}

void link_take_leave(struct loop *to, void *payload)
{
    const struct down_room *record = payload;
    struct link *link = addressee(&record->head);

    (void)to;
    if (link)
        members_leave(&record->head.sio->members, link, record->room);
}

void link_take_close(struct loop *to, void *payload)
{
    const struct down_close *record = payload;
    struct link *link = addressee(&record->head);

    (void)to;
    if (link)
        session_close(link->session, record->end, NULL);
}

static void mark_excepted(struct sio *sio, struct down_broadcast *record)
{
    const handle *except = down_broadcast_except(record);
    const uint32_t *rooms = down_broadcast_rooms(record);

    for (uint32_t i = 0; i < record->n_except; i++) {
        struct link *link = find_link(sio, except[i]);

        if (link)
            members_mark(&sio->members, link);
    }
    for (uint32_t i = 0; i < record->n_except_rooms; i++)
        members_mark_room(&sio->members, rooms[record->n_rooms + i]);
}

void link_take_broadcast(struct loop *to, void *payload)
{
    struct down_broadcast *record = payload;
    struct sio *sio = record->sio;
    const uint32_t *rooms = down_broadcast_rooms(record);
    struct outgoing out = outgoing_of(record->packet, record->flags);

    (void)to;
    members_begin(&sio->members);
    mark_excepted(sio, record);
    if (record->n_rooms == 1 && record->n_stays == 0)
        members_use_buffer(&sio->members, rooms[0], &out);
    for (uint32_t i = 0; i < record->n_stays; i++) {
        struct link *link = find_link(sio, record->stays[i].session);

        if (link && stay_find(link, record->stays[i].epoch))
            members_send_link(&sio->members, link, &out);
    }
    for (uint32_t i = 0; i < record->n_rooms; i++)
        members_send_room(&sio->members, rooms[i], &out);
    bytes_unref(record->packet);
}
