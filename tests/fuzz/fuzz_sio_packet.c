/*
 * fuzz_sio_packet.c - Socket.IO packets (core/socketio/packet.c): C10, C12.
 *
 * Input: one packet. Properties:
 *   - a packet that decodes, written again, decodes to the same packet (but for one whose
 *     payload starts with a slash: no JSON, and as a head for "/" has no namespace, it would
 *     be taken for one);
 *   - an ack id comes back digit by digit;
 *   - its parts lie within the text, in order, and are within their limits;
 *   - a packet that is refused stays refused whatever is appended to it, but for one that
 *     was merely cut short;
 *   - an event's name that is taken is text without NUL.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/socketio/json.h"
#include "core/socketio/packet.h"
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

void fuzz_one(const char *input, size_t len)
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
