/*
 * link_up.c - what a client sends, on its way to logic: each packet is checked, its JSON
 * scanned, and goes up as a record. What is malformed ends the session here.
 *
 * Called by: link.c. Each of the functions may end the link: callers return at once, or look
 * whether the session is open. Thread: shard.
 */
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/emit.h"
#include "core/socketio/half.h"
#include "core/socketio/hub.h"
#include "core/socketio/json.h"
#include "core/socketio/link.h"
#include "core/socketio/packet.h"
#include "core/socketio/placeholder.h"
#include "core/socketio/records.h"
#include "core/socketio/sio.h"

/* ---- records */

static struct loop *logic_of(const struct sio *sio)
{
    return sio->loop->loops->logic;
}

static struct up_head up_head(const struct link *link, uint32_t epoch)
{
    return (struct up_head){link->sio->hub, session_handle(link->session), epoch};
}

static void *send_up(struct link *link, lane_work *work, size_t size)
{
    link->was_told_of = true;
    return loop_send(link->sio->loop, logic_of(link->sio), work, size, 0);
}

/* The same for a size that the client chose: without memory its session ends, and the
 * caller returns at once. */
static void *try_send_up(struct link *link, lane_work *work, size_t size)
{
    void *record = loop_try_send(link->sio->loop, logic_of(link->sio), work, size, 0);

    if (record)
        link->was_told_of = true;
    else
        session_close(link->session, SESSION_TRANSPORT_ERROR, "no memory for a packet");
    return record;
}

/*
 * The same for a packet that may have attachments: with them, its record waits until they
 * are here. *attachments is for the record to name; NULL: it has none.
 */
static void *begin_record(struct link *link, const struct sio_packet *packet,
                          lane_work *work, size_t size, struct attachments **attachments)
{
    void *record;

    *attachments = NULL;
    if (packet->n_attachments == 0)
        return try_send_up(link, work, size);
    record = half_begin(link, work, size, packet->n_attachments, attachments);
    if (!record)
        session_close(link->session, SESSION_TRANSPORT_ERROR, "no memory for a packet");
    return record;
}

/* ---- refusing */

void link_refuse(struct link *link, const char *reason, enum session_end end)
{
    hop_log(HOP_DEBUG, "sio.refused id=%s reason=\"%s\"",
            session_log_id(link->session).text, reason);
    session_close(link->session, end, reason);
}

static const char *json_word(enum json_result result)
{
    static const char *const words[] = {
        [JSON_OK] = "ok",
        [JSON_BAD] = "payload is not JSON",
        [JSON_TOO_DEEP] = "JSON deeper than max_json_depth",
        [JSON_TOO_MANY] = "JSON with more than max_json_values",
        [JSON_NOT_ARRAY] = "payload is not an array",
    };

    return words[result];
}

/* Longer names are cut, at the start of a code point. */
static size_t cut_name(const char *name, size_t len)
{
    if (len <= SIO_MAX_NSP)
        return len;
    len = SIO_MAX_NSP;
    while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
        len--;
    return len;
}

static bool is_main(const struct sio_packet *packet)
{
    return packet->nsp_len == 1 && packet->nsp[0] == '/';
}

static char *put_text(char *out, const char *text, size_t len)
{
    if (len > 0)
        memcpy(out, text, len);
    out[len] = '\0';
    return out + len + 1;
}

void link_send_connect(struct link *link, const struct sio_packet *packet)
{
    const uint32_t epoch = stay_new(link, packet->nsp, packet->nsp_len)->epoch;
    const struct link_rare nothing = {0}, *rare = link->rare ? link->rare : &nothing;
    const char *address = rare->address ? rare->address : "";
    const size_t address_len = strlen(address),
                 auth_len =
                     atomic_load_explicit(&link->sio->wants_auth, memory_order_relaxed) &&
                             packet->payload
                         ? packet->payload_len
                         : 0;
    struct up_connect *record =
        try_send_up(link, hub_take_connect,
                    sizeof *record + packet->nsp_len + address_len + auth_len + 3);
    char *at;

    if (!record)
        return;
    record->head = up_head(link, epoch);
    record->sid[0] = '\0';
    if (session_protocol(link->session) == 3)
        session_sid(link->session, record->sid);
    record->opening = rare->opening;
    if (record->opening)
        bytes_ref(record->opening, 1);
    record->nsp_len = (uint32_t)packet->nsp_len;
    record->address_len = (uint32_t)address_len;
    record->auth_len = (uint32_t)auth_len;
    at = put_text(put_text(record->text, packet->nsp, packet->nsp_len), address,
                  address_len);
    put_text(at, auth_len ? packet->payload : "", auth_len);
}

/* T15: a name that no namespace has goes no further, and comes back cut. */
static void refuse_name(struct link *link, const struct sio_packet *packet)
{
    const bool is_bare = session_protocol(link->session) == 3;
    struct bytes *bytes = emit_encode_refusal(link->sio->parser, packet->nsp,
                                              cut_name(packet->nsp, packet->nsp_len),
                                              INVALID_NAMESPACE, is_bare);
    struct outgoing out = {.packet = bytes};

    hop_log(HOP_DEBUG, "sio.connect_refused id=%s reason=\"longer than %d bytes\"",
            session_log_id(link->session).text, (int)SIO_MAX_NSP);
    metric_add(&link->sio->loop->metrics, METRIC_CONNECTS_REFUSED_NAMESPACE, 1);
    metric_add(&link->sio->loop->metrics, METRIC_PACKETS_OUT, 1);
    session_send(link->session, &out);
    bytes_unref(bytes);
}

static bool is_object(const struct sio_packet *packet)
{
    size_t blanks = 0;

    while (blanks < packet->payload_len && strchr(" \t\r\n", packet->payload[blanks]) &&
           packet->payload[blanks])
        blanks++;
    return blanks < packet->payload_len && packet->payload[blanks] == '{';
}

/* Of clients of v3 the payload is a query, which logic makes an object of. */
static bool has_too_many_parameters(const struct link *link,
                                    const struct sio_packet *packet)
{
    size_t n = 1;

    for (size_t i = 0; i < packet->payload_len; i++)
        n += packet->payload[i] == '&';
    return n > (size_t)link->sio->limits.max_values;
}

static void on_connect(struct link *link, const struct sio_packet *packet)
{
    const struct link_stay *stay;

    if (session_protocol(link->session) == 3) {
        if (has_too_many_parameters(link, packet)) {
            link_refuse(link, "query with more than max_json_values",
                        SESSION_PARSE_ERROR);
            return;
        }
    } else if (packet->payload) {
        enum json_result result =
            json_scan(packet->payload, packet->payload_len, &link->sio->limits);

        if (result != JSON_OK) {
            link_refuse(link, json_word(result), SESSION_PARSE_ERROR);
            return;
        }
        if (!is_object(packet)) {
            link_refuse(link, "auth payload is not an object", SESSION_PARSE_ERROR);
            return;
        }
    }
    if (packet->nsp_len > SIO_MAX_NSP) {
        refuse_name(link, packet);
        return;
    }
    stay = stay_find_nsp(link, packet->nsp, packet->nsp_len);
    if (stay && (stay->is_joined || is_main(packet)))
        link_refuse(link, "second CONNECT", SESSION_SERVER_FORCED);
    else
        link_send_connect(link, packet); /* a second one, maybe, to what does not exist */
}

/* Spans of all elements: their array grows to the largest event so far. */
static enum json_result scan_arguments(struct sio *sio, const struct sio_packet *packet,
                                       size_t *n)
{
    struct json_span *spans;
    enum json_result result =
        json_scan_array(packet->payload, packet->payload_len, &sio->limits, sio->spans,
                        sio->spans_cap, n);

    if (result != JSON_OK || *n <= sio->spans_cap)
        return result;
    spans = mem_try_alloc(*n * sizeof *spans);
    if (!spans)
        return JSON_TOO_MANY; /* for the memory that there is */
    free(sio->spans);
    sio->spans = spans;
    sio->spans_cap = *n;
    return json_scan_array(packet->payload, packet->payload_len, &sio->limits, sio->spans,
                           sio->spans_cap, n);
}

/* The event's name into sio->name, or the reason why it is none. */
static const char *read_name(struct sio *sio, const struct sio_packet *packet,
                             size_t *len)
{
    struct json_span span = sio->spans[0];
    const char *text = packet->payload + span.from;
    long name_len = span.to - span.from;

    if (name_len > 6 * SIO_MAX_EVENT + 2)
        return "event name longer than 1024 bytes";
    if (*text == '"') {
        name_len = json_unescape(packet->payload, span, sio->name);
        if (name_len < 0)
            return "event name with NUL or half a surrogate pair";
        if (name_len > SIO_MAX_EVENT)
            return "event name longer than 1024 bytes";
    } else if (*text == '-' || (*text >= '0' && *text <= '9')) {
        put_text(sio->name, text, (size_t)name_len);
    } else {
        return "event name is neither a string nor a number";
    }
    if (sio_is_reserved(sio->name))
        return "reserved event name";
    *len = (size_t)name_len;
    return NULL;
}

static void send_event(struct link *link, const struct sio_packet *packet, uint32_t epoch,
                       size_t n_args, size_t name_len)
{
    const struct sio *sio = link->sio;
    size_t spans_size = n_args * sizeof *sio->spans;
    struct attachments *attachments;
    struct up_event *record = begin_record(
        link, packet, hub_take_event,
        sizeof *record + spans_size + name_len + packet->payload_len + 2, &attachments);
    char *text;

    if (!record)
        return;
    text = (char *)record->spans + spans_size;
    record->head = up_head(link, epoch);
    record->attachments = attachments;
    record->ack_id = packet->id;
    record->has_ack = packet->has_id;
    record->name_len = (uint32_t)name_len;
    record->text_len = (uint32_t)packet->payload_len;
    record->n_args = (uint32_t)n_args;
    memcpy(record->spans, sio->spans + 1, spans_size);
    put_text(put_text(text, sio->name, name_len), packet->payload, packet->payload_len);
}

static const char bad_placeholder[] = "placeholder of no attachment";

/* Where no attachments come, what looks like a placeholder is an object like others. */
static bool has_sound_placeholders(const struct sio_packet *packet)
{
    return packet->n_attachments == 0 ||
           placeholders_are_below(packet->payload, packet->payload_len,
                                  packet->n_attachments);
}

static void on_event(struct link *link, const struct sio_packet *packet, uint32_t epoch)
{
    enum json_result result;
    const char *reason;
    size_t n, name_len;

    if (!packet->payload) {
        link_refuse(link, "event without payload", SESSION_PARSE_ERROR);
        return;
    }
    result = scan_arguments(link->sio, packet, &n);
    if (result != JSON_OK) {
        link_refuse(link, json_word(result), SESSION_PARSE_ERROR);
        return;
    }
    reason = n > 0 ? read_name(link->sio, packet, &name_len) : "event without a name";
    if (!reason && !has_sound_placeholders(packet))
        reason = bad_placeholder;
    if (reason) {
        link_refuse(link, reason, SESSION_PARSE_ERROR);
        return;
    }
    send_event(link, packet, epoch, n - 1, name_len);
}

static void on_ack(struct link *link, const struct sio_packet *packet, uint32_t epoch)
{
    const char *text = packet->payload ? packet->payload : "[]";
    size_t len = packet->payload ? packet->payload_len : 2, n;
    enum json_result result =
        json_scan_array(text, len, &link->sio->limits, link->sio->spans, 0, &n);
    struct attachments *attachments;
    struct up_ack *record;

    if (result != JSON_OK) {
        link_refuse(link, json_word(result), SESSION_PARSE_ERROR);
        return;
    }
    if (!has_sound_placeholders(packet)) {
        link_refuse(link, bad_placeholder, SESSION_PARSE_ERROR);
        return;
    }
    if (!packet->has_id && packet->n_attachments == 0)
        return; /* as the reference does: an ack of nothing */
    record =
        begin_record(link, packet, hub_take_ack, sizeof *record + len + 1, &attachments);
    if (!record)
        return;
    record->head = up_head(link, epoch);
    record->attachments = attachments;
    record->ack_id = packet->id;
    record->has_id = packet->has_id;
    record->text_len = (uint32_t)len;
    put_text(record->text, text, len);
}

static void on_disconnect(struct link *link, const struct sio_packet *packet,
                          uint32_t epoch)
{
    struct up_head *record;

    if (packet->payload) {
        link_refuse(link, "DISCONNECT with a payload", SESSION_PARSE_ERROR);
        return;
    }
    record = send_up(link, hub_take_disconnect, sizeof *record);
    *record = up_head(link, epoch);
    stay_end(link, stay_find(link, epoch));
}

void link_on_packet(struct link *link, const struct sio_packet *packet)
{
    const struct link_stay *stay;

    metric_add(&link->sio->loop->metrics, METRIC_PACKETS_IN, 1);
    if (packet->type == SIO_CONNECT)
        on_connect(link, packet);
    else if (packet->type == SIO_CONNECT_ERROR)
        link_refuse(link, "CONNECT_ERROR from a client", SESSION_SERVER_FORCED);
    else if (!(stay = stay_find_nsp(link, packet->nsp, packet->nsp_len)))
        link_refuse(link, "packet for a namespace that was not joined",
                    SESSION_SERVER_FORCED);
    else if (packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT)
        on_event(link, packet, stay->epoch);
    else if (packet->type == SIO_ACK || packet->type == SIO_BINARY_ACK)
        on_ack(link, packet, stay->epoch);
    else
        on_disconnect(link, packet, stay->epoch);
}

void link_tell_closed(struct link *link, enum session_end end)
{
    struct up_closed *record;

    if (!link->was_told_of)
        return;
    record = send_up(link, hub_take_closed, sizeof *record);
    record->head = up_head(link, EPOCH_ANY);
    record->end = end;
}
