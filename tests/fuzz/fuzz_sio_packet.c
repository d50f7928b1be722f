/*
 * fuzz_sio_packet.c - Socket.IO packets (core/socketio/packet.c) and what becomes of their
 * attachments (placeholder.c, core/plugin/args.c, emit.c): C10, C11, C12.
 *
 * Input: messages with 0x1e between each two; one that starts with b is bytes. Properties of
 * each text:
 *   - a packet that decodes, written again, decodes to the same packet (but for one whose
 *     payload starts with a slash: no JSON, and as a head for "/" has no namespace, it would
 *     be taken for one);
 *   - an ack id comes back digit by digit;
 *   - its parts lie within the text, in order, and are within their limits;
 *   - a packet that is refused stays refused whatever is appended to it, but for one that
 *     was merely cut short;
 *   - an event's name that is taken is text without NUL.
 * And of each event whose attachments are all there:
 *   - passed on, it is the same text but for the numbers, which name the same bytes; and so
 *     is that, passed on again, which changes nothing any more;
 *   - the packet of it decodes, and has as many attachments as it says;
 *   - beside binary data of the plugin's own, nothing that came without attachments is taken
 *     for one.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/plugin/args.h"
#include "core/plugin/event.h"
#include "core/socketio/emit.h"
#include "core/socketio/json.h"
#include "core/socketio/packet.h"
#include "core/socketio/placeholder.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "sio_packet";

static bool is_binary(enum sio_packet_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static void check_parts(const struct sio_packet *packet, const char *input, size_t len)
{
    FUZZ_CHECK(packet->nsp_len > 0 && packet->nsp[0] == '/' &&
                   !memchr(packet->nsp, ',', packet->nsp_len),
               "a namespace starts with a slash and holds no comma");
    FUZZ_CHECK(packet->n_attachments <= SIO_MAX_ATTACHMENTS,
               "C10: attachments are bounded");
    FUZZ_CHECK(is_binary(packet->type) || packet->n_attachments == 0,
               "only binary packets have attachments");
    FUZZ_CHECK(packet->has_id || packet->id == 0, "no id is no id");
    FUZZ_CHECK(sio_id_value(packet->id) < (uint64_t)1 << 53, "an id fits JavaScript");
    FUZZ_CHECK((packet->payload == NULL) == (packet->payload_len == 0),
               "a payload is there or not");
    FUZZ_CHECK(!packet->payload || packet->payload + packet->payload_len == input + len,
               "the payload reaches to the end");
}

/* The digits of the id stand right before the payload, in what came and in what goes. */
static void check_id(const struct sio_packet *packet, const char *input, size_t len,
                     const char *head, size_t head_len)
{
    size_t at = len - packet->payload_len;

    if (!packet->has_id)
        return;
    while (at > 0 && head_len > 0 && input[at - 1] >= '0' && input[at - 1] <= '9') {
        at--;
        FUZZ_CHECK(head[--head_len] == input[at], "an ack id comes back digit by digit");
        if (at == 1)
            break; /* the type is a digit too */
    }
}

/* Written again: the same packet. */
static void check_again(const struct sio_packet *packet, const char *input, size_t len)
{
    size_t room = SIO_HEAD_SIZE + packet->nsp_len;
    char *head = malloc(room); /* exactly what is promised to suffice */
    struct fuzz_text text = {0};
    struct sio_packet again;
    char *copy;

    fuzz_put(&text, head, sio_packet_head(packet, head));
    FUZZ_CHECK(text.len <= room, "a head fits the promised room");
    check_id(packet, input, len, head, text.len);
    fuzz_put(&text, packet->payload, packet->payload_len);
    copy = fuzz_copy(text.text, text.len);
    FUZZ_CHECK(sio_packet_decode(copy, text.len, &again) == SIO_PACKET_OK,
               "a packet written again decodes");
    FUZZ_CHECK(
        again.type == packet->type && again.has_id == packet->has_id &&
            again.id == packet->id && again.n_attachments == packet->n_attachments &&
            again.nsp_len == packet->nsp_len &&
            memcmp(again.nsp, packet->nsp, again.nsp_len) == 0 &&
            again.payload_len == packet->payload_len &&
            memcmp(again.payload_len ? again.payload : "",
                   packet->payload_len ? packet->payload : "", again.payload_len) == 0,
        "a packet written again is the same");
    free(copy);
    free(head);
    free(text.text);
}

/* Cut short: more bytes may mend it. */
static bool may_be_mended(enum sio_packet_result result, const char *input, size_t len)
{
    if (result == SIO_PACKET_EMPTY)
        return true;
    return result == SIO_PACKET_BAD_ATTACHMENTS &&
           strspn(input + 1, "0123456789") == len - 1;
}

static void check_refusal(enum sio_packet_result result, const char *input, size_t len)
{
    static const char tail[] = "0-/x,1[\"a\"]";
    struct fuzz_text text = {0};
    struct sio_packet packet;

    FUZZ_CHECK(*sio_packet_word(result), "a refusal has a word");
    fuzz_put(&text, input, len);
    if (!may_be_mended(result, text.text, len)) {
        fuzz_put(&text, tail, sizeof tail - 1);
        FUZZ_CHECK(sio_packet_decode(text.text, text.len, &packet) != SIO_PACKET_OK,
                   "what is appended does not make a bad packet good");
    }
    free(text.text);
}

/* As link.c takes an event's name: C12. */
static void check_name(const struct sio_packet *packet)
{
    static const struct json_limits limits = {.max_depth = 64, .max_values = 10000};
    struct json_span span;
    size_t n;
    char *name;
    long len;

    if (json_scan_array(packet->payload, packet->payload_len, &limits, &span, 1, &n) !=
            JSON_OK ||
        n == 0 || packet->payload[span.from] != '"')
        return;
    name = malloc(span.to - span.from);
    len = json_unescape(packet->payload, span, name);
    FUZZ_CHECK(len < 0 || strlen(name) == (size_t)len, "C12: a name holds no NUL");
    FUZZ_CHECK(len < 0 || !utf8_is_valid(packet->payload, packet->payload_len) ||
                   utf8_is_valid(name, (size_t)len),
               "a name is UTF-8 if the packet is");
    free(name);
}

static void check_text(const char *input, size_t len)
{
    struct sio_packet packet;
    enum sio_packet_result result = sio_packet_decode(input, len, &packet);

    if (result != SIO_PACKET_OK) {
        check_refusal(result, input, len);
        return;
    }
    check_parts(&packet, input, len);
    if (!packet.payload || packet.payload[0] != '/')
        check_again(&packet, input, len);
    if (packet.payload && utf8_is_valid(packet.payload, packet.payload_len))
        check_name(&packet);
}

/* ---- events with attachments */

enum { MAX_SPANS = 64, MAX_ATTACHMENTS = 10 };

static const struct json_limits limits = {.max_depth = 64, .max_values = 10000};

struct received {
    struct sio_packet packet; /* borrows text */
    char *text;               /* owned: the message */
    struct json_span spans[MAX_SPANS];
    size_t n_spans;
    struct bytes *attachments[MAX_ATTACHMENTS]; /* refs */
    size_t n_attachments;
};

static void forget(struct received *received)
{
    for (size_t i = 0; i < received->n_attachments; i++)
        bytes_unref(received->attachments[i]);
    free(received->text);
    *received = (struct received){0};
}

/* As link.c takes a text: whether it is an event that waits for its attachments, or has none. */
static bool take_text(struct received *received, const char *text, size_t len)
{
    struct sio_packet *packet = &received->packet;

    received->text = fuzz_copy(text, len);
    return sio_packet_decode(received->text, len, packet) == SIO_PACKET_OK &&
           (packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT) &&
           packet->payload && packet->n_attachments <= MAX_ATTACHMENTS &&
           utf8_is_valid(packet->payload, packet->payload_len) &&
           json_scan_array(packet->payload, packet->payload_len, &limits, received->spans,
                           MAX_SPANS, &received->n_spans) == JSON_OK &&
           received->n_spans > 0 && received->n_spans <= MAX_SPANS &&
           (packet->n_attachments == 0 ||
            placeholders_are_below(packet->payload, packet->payload_len,
                                   packet->n_attachments));
}

static struct sio_event event_of(const struct received *received)
{
    return (struct sio_event){
        .name = "e",
        .name_len = 1,
        .n_args = received->n_spans - 1,
        .args = received->spans + 1,
        .text = received->packet.payload,
        .text_len = received->packet.payload_len,
        .n_attachments = received->n_attachments,
        .attachments = received->attachments,
    };
}

/* The text with each placeholder's number struck out, and what the numbers name: the walk
 * tells them in the order in which they end, which is the same in both. */
static void normalize(const struct sio_args *args, struct fuzz_text *out)
{
    char *plain = fuzz_copy(args->text, args->len);
    struct placeholders walk;
    struct placeholder one;

    placeholders_init(&walk, args->text, args->len);
    while (args->n_attachments > 0 && placeholders_next(&walk, &one)) {
        const struct bytes *bytes = args->attachments[one.num];

        fuzz_print(out, "<%zu ", bytes->len);
        fuzz_put(out, bytes->data, bytes->len);
        memset(plain + one.num_from, 0, one.num_to - one.num_from);
    }
    for (size_t i = 0; i < args->len; i++)
        if (plain[i])
            fuzz_put(out, &plain[i], 1);
    free(plain);
}

static void check_packet(const struct sio_args *args)
{
    const struct sio_packet head = {.type = SIO_EVENT, .nsp = "/", .nsp_len = 1};
    struct bytes *bytes = emit_encode_event(PARSER_JSON, &head, "e", args);
    struct packet_parts parts;
    struct packet_part part;
    struct sio_packet packet;
    struct json_span span;
    size_t n = 0, n_values;

    packet_parts_init(&parts, bytes);
    FUZZ_CHECK(packet_parts_next(&parts, &part) && !part.is_binary && part.data[0] == '4',
               "a text comes first");
    FUZZ_CHECK(sio_packet_decode(part.data + 1, part.len - 1, &packet) == SIO_PACKET_OK,
               "what is sent decodes");
    FUZZ_CHECK(packet.n_attachments == args->n_attachments &&
                   (packet.type == SIO_BINARY_EVENT) == (args->n_attachments > 0),
               "what is sent says how many attachments follow");
    FUZZ_CHECK(json_scan_array(packet.payload, packet.payload_len,
                               &(struct json_limits){100, SIZE_MAX}, &span, 1,
                               &n_values) == JSON_OK,
               "what is sent is an array");
    FUZZ_CHECK(args->n_attachments == 0 ||
                   placeholders_are_below(packet.payload, packet.payload_len,
                                          packet.n_attachments),
               "C11: what is sent names what follows");
    for (; packet_parts_next(&parts, &part); n++)
        FUZZ_CHECK(part.is_binary && part.len == args->attachments[n]->len &&
                       memcmp(part.data, args->attachments[n]->data, part.len) == 0,
                   "attachments follow as they are");
    FUZZ_CHECK(n == args->n_attachments, "all attachments follow");
    bytes_unref(bytes);
}

/* The arguments as they came, as one list. */
static struct sio_args whole(const struct received *received, struct fuzz_text *text)
{
    fuzz_put(text, "[", 1);
    for (size_t i = 1; i < received->n_spans; i++) {
        const struct json_span *span = &received->spans[i];

        if (i > 1)
            fuzz_put(text, ",", 1);
        fuzz_put(text, received->packet.payload + span->from, span->to - span->from);
    }
    fuzz_put(text, "]", 1);
    return (struct sio_args){text->text, text->len, received->n_attachments,
                             received->attachments};
}

static void check_relay(const struct received *received)
{
    struct sio_event in = event_of(received);
    const hop_event event = {.in = &in};
    hop_args *args = hop_args_new();
    struct fuzz_text text = {0}, before = {0}, after = {0};
    struct sio_args list, came = whole(received, &text);

    hop_args_raw_from(args, &event, 0);
    FUZZ_CHECK(args_finish(args, &list) == 0, "what came can be passed on");
    FUZZ_CHECK(list.n_attachments <= came.n_attachments, "no attachment is added");
    normalize(&came, &before);
    if (list.n_attachments > 0 || came.n_attachments == 0)
        normalize(&list, &after);
    else
        fuzz_put(&after, list.text, list.len); /* none was named */
    FUZZ_CHECK(fuzz_same(&before, &after), "what is passed on is what came");
    check_packet(&list);
    hop_args_free(args);
    free(text.text);
    free(before.text);
    free(after.text);
}

/* Two events: this one behind something of the plugin's own. */
static void check_beside(const struct received *received)
{
    struct sio_event in = event_of(received);
    const hop_event event = {.in = &in};
    hop_args *args = hop_args_new();
    struct placeholders walk;
    struct placeholder one;
    struct sio_args list;
    size_t n = 0;

    hop_args_binary(args, "own", 3);
    hop_args_raw_from(args, &event, 0);
    FUZZ_CHECK(args_finish(args, &list) == 0, "what came can be passed on");
    placeholders_init(&walk, list.text, list.len);
    while (placeholders_next(&walk, &one))
        n++;
    FUZZ_CHECK(n > 0 && (n == 1 || received->n_attachments > 0),
               "C11: what came without attachments has none");
    check_packet(&list);
    hop_args_free(args);
}

/* As link.c takes bytes. Returns false where they are refused. */
static bool take_bytes(struct received *received, const char *data, size_t len)
{
    if (received->n_attachments >= received->packet.n_attachments)
        return false;
    received->attachments[received->n_attachments++] = bytes_copy(data, len);
    return true;
}

static void check_events(const char *input, size_t len)
{
    struct received received = {0};
    const char *at = input, *end = input + len, *next;
    bool is_event = false;

    for (bool is_last = false; !is_last; at = next + 1) {
        next = at < end ? memchr(at, PACKET_SEPARATOR, (size_t)(end - at)) : NULL;
        is_last = !next;
        next = next ? next : end;
        if (at < next && *at == 'b') {
            if (!is_event || !take_bytes(&received, at + 1, (size_t)(next - at - 1)))
                break;
        } else {
            if (is_event && received.n_attachments < received.packet.n_attachments)
                break;
            forget(&received);
            is_event = take_text(&received, at, (size_t)(next - at));
        }
        if (!is_event || received.n_attachments < received.packet.n_attachments)
            continue;
        check_relay(&received);
        check_beside(&received);
    }
    forget(&received);
}

void fuzz_one(const char *input, size_t len)
{
    const char *end = memchr(input, PACKET_SEPARATOR, len);
    size_t first_len = end ? (size_t)(end - input) : len;
    char *first = fuzz_copy(input, first_len);

    check_text(first, first_len);
    free(first);
    check_events(input, len);
}
