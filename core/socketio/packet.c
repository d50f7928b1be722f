/*
 * packet.c - codec of Socket.IO packets: text <-> struct.
 *
 * Called by: core/socketio/link.c (decode, shard) and emit.c (heads, logic).
 * Thread: any (no state).
 */
#include "core/socketio/packet.h"

#include <string.h>

static const uint64_t max_id = ((uint64_t)1 << 53) - 1;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_binary(enum sio_packet_type type)
{
    return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

/* Digits at *at: their value (at most one more digit than the limit is read). */
static size_t decode_digits(const char **at, const char *end, size_t max_digits,
                            uint64_t *value)
{
    const char *from = *at;

    *value = 0;
    while (*at < end && is_digit(**at) && (size_t)(*at - from) <= max_digits)
        *value = *value * 10 + (uint64_t)(*(*at)++ - '0');
    return (size_t)(*at - from);
}

static enum sio_packet_result decode_attachments(const char **at, const char *end,
                                                 struct sio_packet *packet)
{
    uint64_t n;
    size_t n_digits = decode_digits(at, end, 9, &n);

    if (n_digits > 9 || n > SIO_MAX_ATTACHMENTS)
        return SIO_PACKET_MANY_ATTACHMENTS;
    if (n_digits == 0 || *at == end || *(*at)++ != '-')
        return SIO_PACKET_BAD_ATTACHMENTS;
    packet->n_attachments = (unsigned)n;
    return SIO_PACKET_OK;
}

/* A namespace reaches to its comma, or to the end of the packet. */
static void decode_namespace(const char **at, const char *end, struct sio_packet *packet)
{
    const char *comma;

    packet->nsp = "/";
    packet->nsp_len = 1;
    if (*at == end || **at != '/')
        return;
    comma = memchr(*at, ',', (size_t)(end - *at));
    packet->nsp = *at;
    packet->nsp_len = (size_t)((comma ? comma : end) - *at);
    *at = comma ? comma + 1 : end;
}

static enum sio_packet_result decode_id(const char **at, const char *end,
                                        struct sio_packet *packet)
{
    const char *from = *at;
    size_t n_zeros = 0;
    uint64_t value;
    size_t n_digits = decode_digits(at, end, SIO_MAX_ID_DIGITS, &value);

    if (n_digits == 0)
        return SIO_PACKET_OK;
    if (n_digits > SIO_MAX_ID_DIGITS || value > max_id)
        return SIO_PACKET_BAD_ID;
    while (n_zeros + 1 < n_digits && from[n_zeros] == '0')
        n_zeros++;
    packet->has_id = true;
    packet->id = value | (uint64_t)n_zeros << 56;
    return SIO_PACKET_OK;
}

enum sio_packet_result sio_packet_decode(const char *text, size_t len,
                                         struct sio_packet *packet)
{
    const char *at = text, *end = text + len;
    enum sio_packet_result result;

    *packet = (struct sio_packet){0};
    if (len == 0)
        return SIO_PACKET_EMPTY;
    if (*at < '0' || *at > '6')
        return SIO_PACKET_BAD_TYPE;
    packet->type = (enum sio_packet_type)(*at++ - '0');
    if (is_binary(packet->type)) {
        result = decode_attachments(&at, end, packet);
        if (result != SIO_PACKET_OK)
            return result;
    }
    decode_namespace(&at, end, packet);
    result = decode_id(&at, end, packet);
    if (result != SIO_PACKET_OK)
        return result;
    packet->payload = at < end ? at : NULL;
    packet->payload_len = (size_t)(end - at);
    return SIO_PACKET_OK;
}

const char *sio_packet_word(enum sio_packet_result result)
{
    static const char *const words[] = {
        [SIO_PACKET_OK] = "ok",
        [SIO_PACKET_EMPTY] = "empty packet",
        [SIO_PACKET_BAD_TYPE] = "unknown packet type",
        [SIO_PACKET_BAD_ATTACHMENTS] = "bad number of attachments",
        [SIO_PACKET_MANY_ATTACHMENTS] = "too many attachments",
        [SIO_PACKET_BAD_ID] = "ack id above 2^53-1",
    };

    return words[result];
}

static bool is_main(const struct sio_packet *packet)
{
    return packet->nsp_len == 1 && packet->nsp[0] == '/';
}

/* printf() would cost more than the rest of an ack. */
static char *put_number(char *put, uint64_t number)
{
    char digits[20];
    size_t from = sizeof digits;

    do
        digits[--from] = (char)('0' + number % 10);
    while (number /= 10);
    memcpy(put, digits + from, sizeof digits - from);
    return put + sizeof digits - from;
}

size_t sio_packet_head(const struct sio_packet *packet, char *out)
{
    char *put = out;

    *put++ = (char)('0' + packet->type);
    if (is_binary(packet->type)) {
        put = put_number(put, packet->n_attachments);
        *put++ = '-';
    }
    if (!is_main(packet)) {
        memcpy(put, packet->nsp, packet->nsp_len);
        put += packet->nsp_len;
        *put++ = ',';
    }
    if (packet->has_id) {
        size_t n_zeros = packet->id >> 56;

        memset(put, '0', n_zeros);
        put += n_zeros;
        put = put_number(put, sio_id_value(packet->id));
    }
    return (size_t)(put - out);
}
