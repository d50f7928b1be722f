/*
 * emit.c - targets and fan-out: from an emit to one record for each shard concerned.
 *
 * Called by: core/plugin through hub.h, and core/socketio/hub.c. A target keeps names and
 * handles; what they mean is looked up at each emit, so that a target may outlive a room.
 * The packet is encoded once, and not at all when nobody would get it. Thread: logic.
 */
#include "core/socketio/emit.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/loop/bytes.h"
#include "core/socketio/ack.h"
#include "core/socketio/hub_private.h"
#include "core/socketio/json.h"
#include "core/socketio/namespace.h"
#include "core/socketio/room.h"
#include "core/socketio/socket.h"

enum {
    MAX_SPARE = 32,      /* targets kept for the next turn */
    MAX_SPARE_CAP = 1024 /* bytes or handles of a list that is kept with one */
};

/* Room for one more in an array. */
#define RESERVE(array, n, cap)                                                           \
    do {                                                                                 \
        if ((n) == (cap)) {                                                              \
            (cap) = (cap) ? (cap)*2 : 4;                                                 \
            (array) = mem_realloc((array), (cap) * sizeof *(array));                     \
        }                                                                                \
    } while (0)

/* ---- targets */

static void add_name(struct name_list *list, const char *name)
{
    size_t size = strlen(name) + 1;

    if (size - 1 > ROOM_MAX_NAME)
        return; /* no room is called that */
    if (list->len + size > list->cap) {
        list->cap = (list->len + size) * 2;
        list->text = mem_realloc(list->text, list->cap);
    }
    memcpy(list->text + list->len, name, size);
    list->len += size;
}

static void add_socket(struct socket_list *list, hop_socket socket)
{
    RESERVE(list->socket, list->n, list->cap);
    list->socket[list->n++] = socket;
}

static void target_free(struct hop_target *target)
{
    free(target->rooms.text);
    free(target->except_rooms.text);
    free(target->sockets.socket);
    free(target->except.socket);
    free(target);
}

static struct hop_target *target_new(struct hub *hub)
{
    struct emitter *emitter = &hub->emitter;
    struct hop_target *target = emitter->spare;

    if (target) {
        emitter->spare = target->next;
        emitter->n_spare--;
    } else {
        target = mem_calloc(1, sizeof *target);
    }
    target->nsp = hub->main;
    target->next = emitter->used;
    emitter->used = target;
    return target;
}

static bool is_small(const struct hop_target *target)
{
    return target->rooms.cap <= MAX_SPARE_CAP &&
           target->except_rooms.cap <= MAX_SPARE_CAP &&
           target->sockets.cap <= MAX_SPARE_CAP && target->except.cap <= MAX_SPARE_CAP;
}

static void target_release(struct emitter *emitter, struct hop_target *target)
{
    if (emitter->n_spare >= MAX_SPARE || !is_small(target)) {
        target_free(target);
        return;
    }
    target->is_all = target->is_volatile = false;
    target->rooms.len = target->except_rooms.len = 0;
    target->sockets.n = target->except.n = 0;
    target->next = emitter->spare;
    emitter->spare = target;
    emitter->n_spare++;
}

void emitter_end_turn(struct emitter *emitter)
{
    while (emitter->used) {
        struct hop_target *target = emitter->used;

        emitter->used = target->next;
        target_release(emitter, target);
    }
}

void emitter_done(struct emitter *emitter)
{
    emitter_end_turn(emitter);
    while (emitter->spare) {
        struct hop_target *target = emitter->spare;

        emitter->spare = target->next;
        target_free(target);
    }
    free(emitter->audience.rooms);
    free(emitter->audience.except_rooms);
    free(emitter->audience.stays);
    free(emitter->audience.except);
}

hop_target *hub_target_all(struct hub *hub)
{
    struct hop_target *target = target_new(hub);

    target->is_all = true;
    return target;
}

hop_target *hub_target_room(struct hub *hub, const char *room)
{
    struct hop_target *target = target_new(hub);

    add_name(&target->rooms, room);
    return target;
}

hop_target *hub_target_socket(struct hub *hub, hop_socket socket)
{
    struct hop_target *target = target_new(hub);

    add_socket(&target->sockets, socket);
    return target;
}

void hub_target_add_room(hop_target *target, const char *room)
{
    add_name(&target->rooms, room);
}

void hub_target_except(hop_target *target, hop_socket socket)
{
    add_socket(&target->except, socket);
}

void hub_target_except_room(hop_target *target, const char *room)
{
    add_name(&target->except_rooms, room);
}

void hub_target_set_volatile(hop_target *target)
{
    target->is_volatile = true;
}

/* ---- from a target to its audience */

static void include_room(struct audience *audience, struct room *room)
{
    if (!room || room->n_members == 0)
        return;
    for (size_t i = 0; i < audience->n_rooms; i++)
        if (audience->rooms[i] == room)
            return;
    RESERVE(audience->rooms, audience->n_rooms, audience->rooms_cap);
    audience->rooms[audience->n_rooms++] = room;
}

static void include_socket(struct audience *audience, const struct socket *socket)
{
    if (!socket || socket->state != SOCKET_OPEN)
        return;
    RESERVE(audience->stays, audience->n_stays, audience->stays_cap);
    audience->stays[audience->n_stays++] =
        (struct stay){socket->client->session, socket->epoch};
}

static void exclude_room(struct audience *audience, struct room *room)
{
    if (!room || room->n_members == 0)
        return;
    RESERVE(audience->except_rooms, audience->n_except_rooms, audience->except_rooms_cap);
    audience->except_rooms[audience->n_except_rooms++] = room;
}

static void exclude_socket(struct audience *audience, const struct socket *socket)
{
    if (!socket)
        return;
    RESERVE(audience->except, audience->n_except, audience->except_cap);
    audience->except[audience->n_except++] = socket->client->session;
}

/* A name is a room's, a socket's id, or (when somebody has joined the id of another)
 * both. */
static void resolve_names(struct audience *audience, const struct hop_target *target)
{
    const struct name_list *in = &target->rooms, *out = &target->except_rooms;

    for (size_t at = 0, len; at < in->len; at += len + 1) {
        len = strlen(in->text + at);
        include_room(audience, namespace_find_room(target->nsp, in->text + at, len));
        include_socket(audience, namespace_find_id(target->nsp, in->text + at, len));
    }
    for (size_t at = 0, len; at < out->len; at += len + 1) {
        len = strlen(out->text + at);
        exclude_room(audience, namespace_find_room(target->nsp, out->text + at, len));
        exclude_socket(audience, namespace_find_id(target->nsp, out->text + at, len));
    }
}

static const struct socket *socket_of(const struct hop_target *target, hop_socket which)
{
    const struct socket *socket = socket_find(target->nsp->hub, which);

    return socket && socket->nsp == target->nsp ? socket : NULL;
}

static struct audience *resolve(const struct hop_target *target)
{
    struct audience *audience = &target->nsp->hub->emitter.audience;

    audience->n_rooms = audience->n_except_rooms = 0;
    audience->n_stays = audience->n_except = 0;
    if (target->is_all)
        include_room(audience, target->nsp->all);
    resolve_names(audience, target);
    for (size_t i = 0; i < target->sockets.n; i++)
        include_socket(audience, socket_of(target, target->sockets.socket[i]));
    for (size_t i = 0; i < target->except.n; i++)
        exclude_socket(audience, socket_of(target, target->except.socket[i]));
    return audience;
}

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
                      bool is_volatile)
{
    const size_t size = largest_record(audience), weight = packet->len;

    if (n > 1)
        bytes_ref(packet, (int)n - 1);
    for (unsigned i = 0; i < n; i++) {
        struct down_broadcast *record = loop_send(hub->loop, hub->loops->loop[shards[i]],
                                                  link_take_broadcast, size, weight);

        record->sio = hub->shard[shards[i]];
        record->packet = packet;
        record->is_volatile = is_volatile;
        fill_record(record, audience, shards[i]);
    }
}

void emit_to_socket(struct socket *socket, struct bytes *packet, bool is_volatile)
{
    struct hub *hub = socket->nsp->hub;
    struct down_send *record;

    if (hub->is_stopping || socket->client->is_gone) {
        bytes_unref(packet);
        return;
    }
    record = hub_send_down(hub, socket, link_take_send, sizeof *record, packet->len);
    record->packet = packet;
    record->is_volatile = is_volatile;
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

static bool is_array(const char *args, size_t len)
{
    return find_inside(&args, &len);
}

bool emit_is_sound(const char *event, const char *args, size_t args_len)
{
    return event && !sio_is_reserved(event) && utf8_is_valid(event, strlen(event)) &&
           is_array(args, args_len);
}

struct bytes *emit_encode(const struct sio_packet *packet)
{
    struct bytes *bytes =
        bytes_new(1 + SIO_HEAD_SIZE + packet->nsp_len + packet->payload_len);
    size_t len = 1;

    bytes->data[0] = '4'; /* Engine.IO message */
    len += sio_packet_head(packet, bytes->data + len);
    if (packet->payload_len > 0)
        memcpy(bytes->data + len, packet->payload, packet->payload_len);
    bytes->len = len + packet->payload_len;
    return bytes;
}

struct bytes *emit_encode_event(const struct sio_packet *head, const char *event,
                                const char *args, size_t args_len)
{
    const size_t event_len = strlen(event);
    struct bytes *bytes;
    char *put;

    find_inside(&args, &args_len);
    bytes =
        bytes_new(1 + SIO_HEAD_SIZE + head->nsp_len + 6 * event_len + 3 + args_len + 3);
    put = bytes->data;
    *put++ = '4';
    put += sio_packet_head(head, put);
    *put++ = '[';
    put += json_quote(event, event_len, put);
    if (args_len > 0) {
        *put++ = ',';
        memcpy(put, args, args_len);
        put += args_len;
    }
    *put++ = ']';
    bytes->len = (size_t)(put - bytes->data);
    return bytes;
}

/* ---- emits */

static struct sio_packet packet_of(const struct namespace *nsp, enum sio_packet_type type)
{
    return (struct sio_packet){.type = type, .nsp = nsp->name, .nsp_len = nsp->name_len};
}

int hub_emit(hop_target *target, const char *event, const char *args, size_t args_len)
{
    struct hub *hub = target->nsp->hub;
    struct sio_packet head = packet_of(target->nsp, SIO_EVENT);
    const struct audience *audience;
    unsigned shards[LOOPS_MAX], n_shards = 0;

    if (!emit_is_sound(event, args, args_len))
        return -1;
    if (hub->is_stopping)
        return 0;
    audience = resolve(target);
    for (unsigned i = 0; i < hub->loops->n_shards; i++)
        if (is_on_shard(audience, i))
            shards[n_shards++] = i;
    if (n_shards > 0)
        broadcast(hub, audience, shards, n_shards,
                  emit_encode_event(&head, event, args, args_len), target->is_volatile);
    return 0;
}

int hub_ack(struct hub *hub, hop_socket which, uint64_t ack_id, const char *args,
            size_t args_len)
{
    struct socket *socket = socket_find_open(hub, which);
    struct sio_packet packet;

    if (!socket || hub->is_stopping || ack_id >> 56 >= SIO_MAX_ID_DIGITS)
        return -1;
    if (!args || args_len == 0) {
        args = "[]";
        args_len = 2;
    }
    if (!is_array(args, args_len))
        return -1;
    packet = packet_of(socket->nsp, SIO_ACK);
    packet.has_id = true;
    packet.id = ack_id;
    packet.payload = args;
    packet.payload_len = args_len;
    emit_to_socket(socket, emit_encode(&packet), false);
    return 0;
}

int hub_emit_with_ack(struct hub *hub, hop_socket which, const char *event,
                      const char *args, size_t args_len, int timeout_ms,
                      hop_ack_handler *on_ack, void *self)
{
    struct socket *socket = socket_find_open(hub, which);
    struct sio_packet head;

    if (!socket || hub->is_stopping || !on_ack || timeout_ms < 1 ||
        timeout_ms > ACK_MAX_TIMEOUT_MS || !emit_is_sound(event, args, args_len))
        return -1;
    head = packet_of(socket->nsp, SIO_EVENT);
    head.has_id = true;
    head.id = ack_new(socket, timeout_ms, on_ack, self);
    emit_to_socket(socket, emit_encode_event(&head, event, args, args_len), false);
    return 0;
}
