/*
 * fuzz_msgpack.c - packets in MessagePack (core/socketio/msgpack_decode.c, msgpack_encode.c):
 * C10, T15, T16.
 *
 * Input: a message as a client sends it; or, behind "J", JSON text to be sent, whose
 * placeholders stand for two attachments. Properties:
 *   - what is read has JSON for its payload, and attachments that lie within the message;
 *   - written again, it is read as the same packet: text, attachments, namespace, id;
 *   - JSON that is sent is read as JSON; text that is none harms nobody.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/socketio/msgpack.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "msgpack";

enum { MOST = 10 /* attachments */ };
static const struct json_limits limits = {.max_depth = 64, .max_values = 2000};
/* What comes back may have a little more around it. */
static const struct json_limits wide = {.max_depth = 64, .max_values = 5000};

static struct packet_part only_part(const struct bytes *packet)
{
    struct packet_parts parts;
    struct packet_part part, none;

    packet_parts_init(&parts, packet);
    FUZZ_CHECK(packet_parts_next(&parts, &part) && part.is_binary,
               "a packet is a message of bytes");
    FUZZ_CHECK(!packet_parts_next(&parts, &none), "and nothing else");
    return part;
}

/* null, also that which no number and no date is in JSON, is read back as none. */
static bool is_none(const struct sio_packet *packet)
{
    return !packet->payload ||
           (packet->payload_len == 4 && memcmp(packet->payload, "null", 4) == 0);
}

static void check_same(const struct msgpack_packet *a, const struct msgpack_packet *b)
{
    const struct sio_packet *one = &a->packet, *two = &b->packet;

    FUZZ_CHECK(one->type == two->type && one->has_id == two->has_id && one->id == two->id,
               "type and id come back");
    FUZZ_CHECK(one->nsp_len == two->nsp_len &&
                   memcmp(one->nsp, two->nsp, one->nsp_len) == 0,
               "the namespace comes back");
    FUZZ_CHECK((is_none(one) && is_none(two)) ||
                   (one->payload_len == two->payload_len &&
                    memcmp(one->payload ? one->payload : "",
                           two->payload ? two->payload : "", one->payload_len) == 0),
               "the payload comes back");
    FUZZ_CHECK(one->n_attachments == two->n_attachments, "attachments come back");
    for (unsigned i = 0; i < one->n_attachments; i++)
        FUZZ_CHECK(a->attachments[i].len == b->attachments[i].len &&
                       memcmp(a->attachments[i].data, b->attachments[i].data,
                              a->attachments[i].len) == 0,
                   "each attachment comes back");
}

static void check_again(const struct msgpack_packet *in)
{
    struct bytes *pieces[MOST];
    struct bytes *sent;
    struct packet_part part;
    struct msgpack_packet back;
    char *copy;

    for (unsigned i = 0; i < in->packet.n_attachments; i++)
        pieces[i] = bytes_copy(in->attachments[i].data, in->attachments[i].len);
    sent = msgpack_encode(&in->packet, pieces, in->packet.n_attachments);
    part = only_part(sent);
    copy = fuzz_copy(part.data, part.len);
    FUZZ_CHECK(msgpack_decode(copy, part.len, &wide, MOST, &back) == MSGPACK_OK,
               "a packet that is written is read");
    check_same(in, &back);
    msgpack_done(&back);
    free(copy);
    bytes_unref(sent);
    for (unsigned i = 0; i < in->packet.n_attachments; i++)
        bytes_unref(pieces[i]);
}

static void check_message(const char *input, size_t len)
{
    struct msgpack_packet in;
    enum msgpack_result result = msgpack_decode(input, len, &limits, MOST, &in);
    enum json_result scanned;

    FUZZ_CHECK(*msgpack_word(result), "every result has a word");
    if (result != MSGPACK_OK)
        return;
    FUZZ_CHECK(in.packet.n_attachments <= MOST, "C10: attachments are bounded");
    FUZZ_CHECK(utf8_is_valid(in.packet.nsp, in.packet.nsp_len), "a namespace is UTF-8");
    for (unsigned i = 0; i < in.packet.n_attachments; i++)
        FUZZ_CHECK(in.attachments[i].data >= input &&
                       in.attachments[i].data + in.attachments[i].len <= input + len,
                   "attachments lie within the message");
    scanned = in.packet.payload
                  ? json_scan(in.packet.payload, in.packet.payload_len, &wide)
                  : JSON_OK;
    FUZZ_CHECK(scanned == JSON_OK || scanned == JSON_TOO_DEEP, "what is read is JSON");
    FUZZ_CHECK(!in.packet.payload ||
                   utf8_is_valid(in.packet.payload, in.packet.payload_len),
               "and UTF-8");
    check_again(&in);
    msgpack_done(&in);
}

static void check_sent(const char *text, size_t len)
{
    const bool is_json =
        utf8_is_valid(text, len) && json_scan(text, len, &limits) == JSON_OK;
    const struct sio_packet packet = {
        .type = SIO_EVENT, .nsp = "/", .nsp_len = 1, .payload = text, .payload_len = len};
    struct bytes *pieces[2] = {bytes_copy("", 0), bytes_copy("abc", 3)};

    for (size_t n = 0; n <= 2; n += 2) {
        struct bytes *sent = msgpack_encode(&packet, pieces, n);
        struct packet_part part = only_part(sent);
        char *copy = fuzz_copy(part.data, part.len);
        struct msgpack_packet back;
        enum msgpack_result result = msgpack_decode(copy, part.len, &wide, 1000, &back);

        FUZZ_CHECK(!is_json || result == MSGPACK_OK ||
                       result == MSGPACK_MANY_ATTACHMENTS || result == MSGPACK_TOO_LONG,
                   "JSON that is sent is read");
        /* null as the data is none */
        FUZZ_CHECK(!is_json || result != MSGPACK_OK || !back.packet.payload ||
                       json_scan(back.packet.payload, back.packet.payload_len, &wide) ==
                           JSON_OK,
                   "as JSON");
        if (result == MSGPACK_OK)
            msgpack_done(&back);
        free(copy);
        bytes_unref(sent);
    }
    bytes_unref(pieces[0]);
    bytes_unref(pieces[1]);
}

void fuzz_one(const char *input, size_t len)
{
    if (len > 0 && *input == 'J')
        check_sent(input + 1, len - 1);
    else
        check_message(input, len);
}
