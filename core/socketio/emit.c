/*
 * emit.c - from an emit to packets and records: one for each shard that has a receiver.
 *
 * Called by: core/plugin through hub.h, and core/socketio/hub.c. The packet is encoded
 * once, and not at all when nobody would get it. Thread: logic.
 */
#include "core/socketio/emit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/socketio/ack.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/json.h"
#include "core/socketio/msgpack.h"
#include "core/socketio/namespace.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

/* ---- from an audience to records */

static bool is_on_shard(const struct audience *audience, unsigned shard)
{
    for (size_t i = 0; i < audience->n_rooms; i++)
        if (audience->rooms[i]->n_on_shard[shard] > 0)
            return true;
    for (size_t i = 0; i < audience->n_stays; i++)
        if (handle_shard(audience->stays[i].session) == shard)
            return true;
    return false;
}

/* Bytes for a record that lists everybody, of which one shard's is a part. */
static size_t largest_record(const struct audience *audience)
{
    return sizeof(struct down_broadcast) + audience->n_stays * sizeof(struct stay) +
           audience->n_except * sizeof(handle) +
           (audience->n_rooms + audience->n_except_rooms) * sizeof(uint32_t);
}

static uint32_t fill_rooms(uint32_t *numbers, struct room *const *rooms, size_t n,
                           unsigned shard)
{
    uint32_t n_filled = 0;

    for (size_t i = 0; i < n; i++)
        if (rooms[i]->n_on_shard[shard] > 0)
            numbers[n_filled++] = rooms[i]->number;
    return n_filled;
}

static void fill_record(struct down_broadcast *record, const struct audience *audience,
                        unsigned shard)
{
    handle *except;
    uint32_t *rooms;

    record->n_stays = record->n_except = 0;
    for (size_t i = 0; i < audience->n_stays; i++)
        if (handle_shard(audience->stays[i].session) == shard)
            record->stays[record->n_stays++] = audience->stays[i];
    except = down_broadcast_except(record);
    for (size_t i = 0; i < audience->n_except; i++)
        if (handle_shard(audience->except[i]) == shard)
            except[record->n_except++] = audience->except[i];
    rooms = down_broadcast_rooms(record);
    record->n_rooms = fill_rooms(rooms, audience->rooms, audience->n_rooms, shard);
    record->n_except_rooms = fill_rooms(rooms + record->n_rooms, audience->except_rooms,
                                        audience->n_except_rooms, shard);
}

/* packet: owned. shards: those concerned, n of them. */
static void broadcast(struct hub *hub, const struct audience *audience,
                      const unsigned *shards, unsigned n, struct bytes *packet,
                      unsigned flags)
{
    const size_t size = largest_record(audience), weight = packet->len;

    if (n > 1)
        bytes_ref(packet, (int)n - 1);
    for (unsigned i = 0; i < n; i++) {
        struct down_broadcast *record = loop_send(hub->loop, hub->loops->loop[shards[i]],
                                                  link_take_broadcast, size, weight);

        record->sio = hub->shard[shards[i]];
        record->packet = packet;
        record->flags = flags;
        fill_record(record, audience, shards[i]);
    }
}

static bool is_excepted(const struct audience *audience, const struct socket *socket)
{
    for (size_t i = 0; i < audience->n_except; i++)
        if (audience->except[i] == socket->client->session)
            return true;
    for (size_t i = 0; i < audience->n_except_rooms; i++)
        if (socket_in_room(socket, audience->except_rooms[i]))
            return true;
    return false;
}

/* Each once, as often as it may be named. */
static void keep_for_waiting(const struct audience *audience, struct bytes *packet,
                             unsigned flags)
{
    for (size_t i = 0; i < audience->n_waiting; i++) {
        struct socket *socket = audience->waiting[i];
        size_t first = 0;

        while (audience->waiting[first] != socket)
            first++;
        if (first < i || is_excepted(audience, socket))
            continue;
        bytes_ref(packet, 1);
        emit_to_socket(socket, packet, flags);
    }
}

void emit_to_socket(struct socket *socket, struct bytes *packet, unsigned flags)
{
    struct hub *hub = socket->nsp->hub;
    struct down_send *record;

    if (hub->is_stopping || socket->client->is_gone) {
        bytes_unref(packet);
        return;
    }
    if (socket->state == SOCKET_CONNECTING) {
        socket_keep(socket, packet, flags);
        return;
    }
    record = hub_send_down(hub, socket, link_take_send, sizeof *record, packet->len);
    record->packet = packet;
    record->flags = flags;
}

/* ---- encoding */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void trim(const char **text, size_t *len)
{
    while (*len > 0 && is_blank(**text)) {
        ++*text;
        --*len;
    }
    while (*len > 0 && is_blank((*text)[*len - 1]))
        --*len;
}

/* What stands between the brackets of args. False when there are none. */
static bool find_inside(const char **args, size_t *len)
{
    if (!*args || *len == 0) {
        *args = "";
        *len = 0;
        return true;
    }
    trim(args, len);
    if (*len < 2 || (*args)[0] != '[' || (*args)[*len - 1] != ']')
        return false;
    ++*args;
    *len -= 2;
    trim(args, len);
    return true;
}

static bool is_sound(const struct hub *hub, const struct sio_args *args)
{
    const char *text = args->text;
    size_t len = args->len;

    return find_inside(&text, &len) && args->n_attachments <= hub->max_attachments;
}

bool emit_is_sound(const struct hub *hub, const char *event, const struct sio_args *args)
{
    return event && !sio_is_reserved(event) && utf8_is_valid(event, strlen(event)) &&
           is_sound(hub, args);
}

/* Our own packets: small, or of a plugin's making. */
static struct bytes *encode_msgpack(const struct sio_packet *packet)
{
    struct bytes *bytes = msgpack_encode(packet, NULL, 0);

    if (!bytes)
        mem_exhausted(packet->payload_len);
    return bytes;
}

struct bytes *emit_encode(enum sio_parser parser, const struct sio_packet *packet)
{
    struct bytes *bytes;
    size_t len = 1;

    if (parser == PARSER_MSGPACK)
        return encode_msgpack(packet);
    bytes = bytes_new(1 + SIO_HEAD_SIZE + packet->nsp_len + packet->payload_len);
    bytes->data[0] = '4'; /* Engine.IO message */
    len += sio_packet_head(packet, bytes->data + len);
    if (packet->payload_len > 0)
        memcpy(bytes->data + len, packet->payload, packet->payload_len);
    bytes->len = len + packet->payload_len;
    return bytes;
}

struct bytes *emit_encode_refusal(enum sio_parser parser, const char *nsp, size_t nsp_len,
                                  const char *message, bool is_bare)
{
    char payload[128];
    struct sio_packet packet = {
        .type = SIO_CONNECT_ERROR, .nsp = nsp, .nsp_len = nsp_len, .payload = payload};

    packet.payload_len = (size_t)snprintf(
        payload, sizeof payload, is_bare ? "\"%s\"" : "{\"message\":\"%s\"}", message);
    return emit_encode(parser, &packet);
}

/* A packet of arguments while its text is written. */
struct draft {
    enum sio_parser parser;
    struct sio_packet head;
    const struct sio_args *args; /* borrowed */
    struct bytes *packet;        /* owned */
    size_t payload_from;         /* in packet->data */
};

/* Room for the event's name as JSON, and for the attachments; the text up to "[" is
 * written. Returns where it goes on, or NULL without memory. */
static char *begin_packet(struct draft *draft, size_t name_len, size_t inside_len)
{
    const struct sio_args *args = draft->args;
    size_t max_text = 1 + SIO_HEAD_SIZE + draft->head.nsp_len + name_len + inside_len + 3;
    size_t attachments_len = 0;
    char *put;

    for (size_t i = 0; i < args->n_attachments; i++)
        attachments_len += args->attachments[i]->len;
    if (args->n_attachments == 0 || draft->parser == PARSER_MSGPACK)
        draft->packet = bytes_try_new(max_text);
    else
        draft->packet =
            packet_try_new(max_text, attachments_len, (unsigned)args->n_attachments);
    if (!draft->packet)
        return NULL;
    draft->head.n_attachments = (unsigned)args->n_attachments;
    if (args->n_attachments > 0)
        draft->head.type =
            draft->head.type == SIO_EVENT ? SIO_BINARY_EVENT : SIO_BINARY_ACK;
    put = draft->packet->data;
    *put++ = '4';
    put += sio_packet_head(&draft->head, put);
    draft->payload_from = (size_t)(put - draft->packet->data);
    *put++ = '[';
    return put;
}

/* text_end: behind what was written. Returns the packet, or NULL without memory. */
static struct bytes *end_packet(struct draft *draft, const char *text_end)
{
    const struct sio_args *args = draft->args;
    struct bytes *packet = draft->packet;
    size_t text_len = (size_t)(text_end - packet->data);

    if (draft->parser == PARSER_MSGPACK) {
        draft->head.payload = packet->data + draft->payload_from;
        draft->head.payload_len = text_len - draft->payload_from;
        packet = msgpack_encode(&draft->head, args->attachments, args->n_attachments);
        bytes_unref(draft->packet);
        return packet;
    }
    if (args->n_attachments == 0) {
        packet->len = text_len;
        return packet;
    }
    packet_end_text(packet, text_len);
    for (size_t i = 0; i < args->n_attachments; i++)
        packet_attach(packet, args->attachments[i]->data, args->attachments[i]->len);
    return packet;
}

static char *put_text(char *put, const char *text, size_t len)
{
    if (len > 0)
        memcpy(put, text, len);
    return put + len;
}

struct bytes *emit_encode_event(enum sio_parser parser, const struct sio_packet *head,
                                const char *event, const struct sio_args *args)
{
    struct draft draft = {.parser = parser, .head = *head, .args = args};
    const size_t event_len = strlen(event);
    const char *inside = args->text;
    size_t len = args->len;
    char *put;

    find_inside(&inside, &len);
    put = begin_packet(&draft, 6 * event_len + 3, len);
    if (!put)
        return NULL;
    put += json_quote(event, event_len, put);
    if (len > 0)
        *put++ = ',';
    put = put_text(put, inside, len);
    *put++ = ']';
    return end_packet(&draft, put);
}

/* The same without an event's name. */
static struct bytes *encode_ack(enum sio_parser parser, const struct sio_packet *head,
                                const struct sio_args *args)
{
    struct draft draft = {.parser = parser, .head = *head, .args = args};
    const char *inside = args->text;
    size_t len = args->len;
    char *put;

    find_inside(&inside, &len);
    put = begin_packet(&draft, 0, len);
    if (!put)
        return NULL;
    put = put_text(put, inside, len);
    *put++ = ']';
    return end_packet(&draft, put);
}

/* ---- emits */

static struct sio_packet packet_of(const struct namespace *nsp, enum sio_packet_type type)
{
    return (struct sio_packet){.type = type, .nsp = nsp->name, .nsp_len = nsp->name_len};
}

/* An event that is sound, to whoever of the target is in the namespace at hand. */
static int emit_in_namespace(const hop_target *target, const uint64_t *id,
                             const char *event, const struct sio_args *args)
{
    struct hub *hub = target->nsp->hub;
    const struct audience *audience = target_resolve(target);
    struct sio_packet head = packet_of(target->nsp, SIO_EVENT);
    unsigned shards[LOOPS_MAX], n_shards = 0;
    struct bytes *packet;
    bool is_for_waiting;

    for (unsigned i = 0; i < hub->loops->n_shards; i++)
        if (is_on_shard(audience, i))
            shards[n_shards++] = i;
    is_for_waiting = audience->n_waiting > 0 && !id; /* they are not asked */
    if (n_shards == 0 && !is_for_waiting)
        return 0;
    head.has_id = id != NULL;
    head.id = id ? *id : 0;
    packet = emit_encode_event(hub->parser, &head, event, args);
    if (!packet)
        return -1;
    if (is_for_waiting)
        keep_for_waiting(audience, packet, target->flags);
    if (n_shards > 0)
        broadcast(hub, audience, shards, n_shards, packet, target->flags);
    else
        bytes_unref(packet);
    return 0;
}

/* The same in all that the target is in. id: of the ack that is asked for, or NULL. -1: no
 * memory. */
static int emit_to_target(hop_target *target, const uint64_t *id, const char *event,
                          const struct sio_args *args)
{
    struct namespace *own = target->nsp;
    int result = 0;

    for (struct namespace *nsp = target_next(target, NULL); nsp && result == 0;
         nsp = target_next(target, nsp)) {
        target->nsp = nsp;
        result = emit_in_namespace(target, id, event, args);
    }
    target->nsp = own;
    return result;
}

int hub_emit(hop_target *target, const char *event, const struct sio_args *args)
{
    if (!emit_is_sound(target->nsp->hub, event, args))
        return -1;
    if (target->nsp->hub->is_stopping)
        return 0;
    return emit_to_target(target, NULL, event, args);
}

int hub_ack(struct hub *hub, hop_socket which, uint64_t ack_id,
            const struct sio_args *args)
{
    struct socket *socket = socket_find_open(hub, which);
    struct sio_packet head;
    struct bytes *packet;

    if (!socket || hub->is_stopping || ack_id >> 56 >= SIO_MAX_ID_DIGITS ||
        !is_sound(hub, args))
        return -1;
    head = packet_of(socket->nsp, SIO_ACK);
    head.has_id = true;
    head.id = ack_id;
    packet = encode_ack(hub->parser, &head, args);
    if (!packet)
        return -1;
    emit_to_socket(socket, packet, 0);
    return 0;
}

static bool may_wait(const struct hub *hub, int timeout_ms)
{
    return !hub->is_stopping && timeout_ms >= 1 && timeout_ms <= ACK_MAX_TIMEOUT_MS;
}

int hub_emit_with_ack(struct hub *hub, hop_socket which, const char *event,
                      const struct sio_args *args, int timeout_ms,
                      sio_on_answer *on_answer, void *self)
{
    struct socket *socket = socket_find_alive(hub, which);
    struct sio_packet head;
    struct bytes *bytes;

    if (!socket || !may_wait(hub, timeout_ms) || !acks_have_room(&hub->acks, 1) ||
        !emit_is_sound(hub, event, args))
        return -1;
    head = packet_of(socket->nsp, SIO_EVENT);
    head.has_id = true;
    head.id = hub->acks.next_id; /* which ack_new() takes */
    bytes = emit_encode_event(hub->parser, &head, event, args);
    if (!bytes)
        return -1;
    ack_new(socket, timeout_ms, on_answer, self);
    emit_to_socket(socket, bytes, 0);
    return 0;
}

/* Who is asked, and who gets it, are the same: both are known from here, and what changes
 * later reaches the shards behind the packet. */
int hub_emit_with_acks(hop_target *target, const char *event, const struct sio_args *args,
                       int timeout_ms, sio_on_answers *on_answers, void *self)
{
    struct hub *hub = target->nsp->hub;
    const uint64_t id = hub->acks.next_id; /* which roll_new() takes */
    const struct socket_list *list;

    if (!may_wait(hub, timeout_ms) || !emit_is_sound(hub, event, args))
        return -1;
    list = target_sockets(target);
    if (!acks_have_room(&hub->acks, list->n))
        return -1;
    if (emit_to_target(target, &id, event, args) < 0)
        return -1;
    roll_new(hub, list, timeout_ms, on_answers, self);
    return 0;
}
