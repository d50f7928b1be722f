/*
 * msgpack_encode.c - from JSON text to MessagePack: see msgpack.h.
 *
 * The text was scanned or written by us, and is not checked again; what is wrong with it is
 * wrong in what comes of it, but nothing behind it is read. Heads tell how much follows: so
 * the first pass counts the members of each container, the second writes.
 * Called by: core/socketio/emit.c. Thread: any.
 */
#include "core/socketio/msgpack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/socketio/placeholder.h"

enum {
    FIRST_CONTAINERS = 16,
    NUMBER_CHARS = 400, /* json.h takes no longer ones */
    HEAD_MAX = 9
};

struct container {
    uint32_t n;     /* elements or members */
    uint32_t outer; /* the container that it is in */
};

struct writer {
    const char *text; /* borrowed: JSON */
    size_t at, len;
    struct container *containers; /* owned: in the order in which they begin */
    size_t n_containers, containers_cap;
    struct placeholder *placeholders; /* owned: in the order of the text */
    size_t n_placeholders;
    struct bytes *const *attachments; /* borrowed */
    unsigned char *out;               /* owned */
    size_t out_len, out_cap;
    bool is_full; /* no memory */
};

/* ---- out */

static unsigned char *reserve(struct writer *writer, size_t n)
{
    if (writer->out_cap - writer->out_len < n) {
        size_t cap = (writer->out_len + n) * 2;
        unsigned char *grown = writer->is_full ? NULL : mem_try_realloc(writer->out, cap);

        if (!grown) {
            writer->is_full = true;
            return NULL;
        }
        writer->out = grown;
        writer->out_cap = cap;
    }
    return writer->out + writer->out_len;
}

static void put(struct writer *writer, const void *data, size_t len)
{
    unsigned char *to = reserve(writer, len);

    if (!to)
        return;
    if (len > 0)
        memcpy(to, data, len);
    writer->out_len += len;
}

/* A byte, then a number of n bytes, big-endian. */
static void put_number(struct writer *writer, unsigned first, uint64_t value, unsigned n)
{
    unsigned char head[HEAD_MAX];

    head[0] = (unsigned char)first;
    for (unsigned i = 0; i < n; i++)
        head[1 + i] = (unsigned char)(value >> 8 * (n - 1 - i));
    put(writer, head, 1 + n);
}

/* The smallest head for a length: in the first byte (up to `most`), or in 1, 2 or 4 bytes
 * behind it. one: 0 where there is no form of one byte. */
static void put_length(struct writer *writer, unsigned fixed, size_t most, unsigned one,
                       unsigned two, size_t len)
{
    if (len <= most && fixed)
        put_number(writer, fixed | (unsigned)len, 0, 0);
    else if (one && len <= UINT8_MAX)
        put_number(writer, one, len, 1);
    else if (len <= UINT16_MAX)
        put_number(writer, two, len, 2);
    else
        put_number(writer, two + 1, len, 4);
}

static void put_map(struct writer *writer, size_t n)
{
    put_length(writer, 0x80, 15, 0, 0xde, n);
}

static void put_string_head(struct writer *writer, size_t len)
{
    put_length(writer, 0xa0, 31, 0xd9, 0xda, len);
}

static void put_string(struct writer *writer, const char *text, size_t len)
{
    put_string_head(writer, len);
    put(writer, text, len);
}

static void put_bytes(struct writer *writer, const struct bytes *bytes)
{
    put_length(writer, 0, 0, 0xc4, 0xc5, bytes->len);
    put(writer, bytes->data, bytes->len);
}

static void put_unsigned(struct writer *writer, uint64_t value)
{
    if (value < 0x80)
        put_number(writer, (unsigned)value, 0, 0);
    else if (value <= UINT8_MAX)
        put_number(writer, 0xcc, value, 1);
    else if (value <= UINT16_MAX)
        put_number(writer, 0xcd, value, 2);
    else if (value <= UINT32_MAX)
        put_number(writer, 0xce, value, 4);
    else
        put_number(writer, 0xcf, value, 8);
}

static void put_negative(struct writer *writer, int64_t value)
{
    if (value >= -32)
        put_number(writer, (unsigned)value & 0xff, 0, 0);
    else if (value >= INT8_MIN)
        put_number(writer, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        put_number(writer, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        put_number(writer, 0xd2, (uint64_t)value, 4);
    else
        put_number(writer, 0xd3, (uint64_t)value, 8);
}

static void put_float(struct writer *writer, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put_number(writer, 0xcb, bits, 8);
}

/* ---- the text */

static char char_at(const struct writer *writer)
{
    return writer->at < writer->len ? writer->text[writer->at] : '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* From an opening quote to behind the closing one. */
static void skip_string(struct writer *writer)
{
    writer->at++;
    while (writer->at < writer->len && writer->text[writer->at] != '"')
        writer->at += writer->text[writer->at] == '\\' ? 2 : 1;
    writer->at = writer->at < writer->len ? writer->at + 1 : writer->len;
}

/* The placeholder that begins here, or NULL. next: where the search goes on. */
static const struct placeholder *placeholder_here(const struct writer *writer,
                                                  size_t *next)
{
    while (*next < writer->n_placeholders &&
           writer->placeholders[*next].from < writer->at)
        ++*next; /* one within another */
    return *next < writer->n_placeholders &&
                   writer->placeholders[*next].from == writer->at
               ? &writer->placeholders[*next]
               : NULL;
}

/* ---- the first pass */

static int compare_placeholders(const void *left, const void *right)
{
    const struct placeholder *a = left, *b = right;

    return a->from < b->from ? -1 : a->from > b->from;
}

static bool find_placeholders(struct writer *writer, size_t n_attachments)
{
    struct placeholders walk;
    struct placeholder one;
    size_t cap = 0;

    if (n_attachments == 0)
        return true;
    placeholders_init(&walk, writer->text, writer->len);
    while (placeholders_next(&walk, &one)) {
        if (one.num < 0 || (uint64_t)one.num >= n_attachments)
            continue; /* stays an object */
        if (writer->n_placeholders == cap) {
            struct placeholder *grown;

            cap = cap ? cap * 2 : FIRST_CONTAINERS;
            grown = mem_try_realloc(writer->placeholders, cap * sizeof *grown);
            if (!grown)
                return false;
            writer->placeholders = grown;
        }
        writer->placeholders[writer->n_placeholders++] = one;
    }
    if (writer->n_placeholders > 1)
        qsort(writer->placeholders, writer->n_placeholders, sizeof one,
              compare_placeholders);
    return true;
}

static bool is_empty_container(const struct writer *writer)
{
    size_t at = writer->at + 1;

    while (at < writer->len && is_blank(writer->text[at]))
        at++;
    return at == writer->len || writer->text[at] == '}' || writer->text[at] == ']';
}

static bool add_container(struct writer *writer, uint32_t outer)
{
    if (writer->n_containers == writer->containers_cap) {
        size_t cap =
            writer->containers_cap ? writer->containers_cap * 2 : FIRST_CONTAINERS;
        struct container *grown =
            mem_try_realloc(writer->containers, cap * sizeof *grown);

        if (!grown)
            return false;
        writer->containers = grown;
        writer->containers_cap = cap;
    }
    writer->containers[writer->n_containers++] =
        (struct container){is_empty_container(writer) ? 0 : 1, outer};
    return true;
}

static bool count_members(struct writer *writer)
{
    size_t next = 0;
    uint32_t inner = 0; /* the innermost, counted from 1 */

    for (writer->at = 0; writer->at < writer->len;) {
        const struct placeholder *placeholder;

        switch (char_at(writer)) {
        case '"':
            skip_string(writer);
            continue;
        case '{':
        case '[':
            placeholder = placeholder_here(writer, &next);
            if (placeholder) {
                writer->at = placeholder->to;
                continue;
            }
            if (!add_container(writer, inner))
                return false;
            inner = (uint32_t)writer->n_containers;
            break;
        case '}':
        case ']':
            if (inner > 0)
                inner = writer->containers[inner - 1].outer;
            break;
        case ',':
            if (inner > 0)
                writer->containers[inner - 1].n++;
            break;
        default:
            break;
        }
        writer->at++;
    }
    return true;
}

/* ---- the second pass: strings */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 0;
}

static uint32_t hex4(const char *text)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++)
        value = value * 16 + (uint32_t)hex_value(text[i]);
    return value;
}

/* \uXXXX, or two of them: from the backslash. Half a pair is U+FFFD: UTF-8 has none. */
static size_t unescape_unicode(const char *text, size_t len, char out[4], size_t *n)
{
    uint32_t code, low = 0;

    if (len < 6) {
        *n = 0;
        return len;
    }
    code = hex4(text + 2);
    if (code < 0xd800 || code > 0xdfff) {
        *n = utf8_encode(code, out);
        return 6;
    }
    if (code < 0xdc00 && len >= 12 && text[6] == '\\' && text[7] == 'u')
        low = hex4(text + 8);
    if (low < 0xdc00 || low > 0xdfff) {
        *n = utf8_encode(0xfffd, out);
        return 6;
    }
    *n = utf8_encode(0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff)), out);
    return 12;
}

/* An escape: from the backslash. Returns its length; *n bytes stand in out. */
static size_t unescape(const char *text, size_t len, char out[4], size_t *n)
{
    static const char letters[] = "bfnrt", values[] = "\b\f\n\r\t";
    const char *found;

    *n = 0;
    if (len < 2)
        return len;
    if (text[1] == 'u')
        return unescape_unicode(text, len, out, n);
    found = strchr(letters, text[1]);
    out[0] = (char)(found ? values[found - letters] : text[1]);
    *n = 1;
    return 2;
}

/* What stands between the quotes. out: NULL to count. Returns the length. */
static size_t unquote(const char *text, size_t len, unsigned char *out)
{
    size_t total = 0;

    for (size_t at = 0; at < len;) {
        const char *escape = memchr(text + at, '\\', len - at);
        size_t run = escape ? (size_t)(escape - text) - at : len - at, n;
        char bytes[4];

        if (out)
            memcpy(out + total, text + at, run);
        total += run;
        at += run;
        if (!escape)
            break;
        at += unescape(text + at, len - at, bytes, &n);
        if (out)
            memcpy(out + total, bytes, n);
        total += n;
    }
    return total;
}

static void write_string(struct writer *writer)
{
    const char *text = writer->text + writer->at + 1;
    size_t from = writer->at, len, size;
    unsigned char *to;

    skip_string(writer);
    len = writer->at - from >= 2 ? writer->at - from - 2 : 0;
    size = unquote(text, len, NULL);
    put_string_head(writer, size);
    to = reserve(writer, size);
    if (!to)
        return;
    unquote(text, len, to);
    writer->out_len += size;
}

/* ---- the second pass: the rest */

/* Whole numbers of 64 bits as such, all others as JavaScript has them. */
static void write_number(struct writer *writer)
{
    char digits[NUMBER_CHARS + 1];
    size_t n = 0;
    bool is_whole = true;
    char *end;

    for (; n < NUMBER_CHARS && char_at(writer) &&
           strchr("+-.0123456789eE", char_at(writer));
         writer->at++) {
        is_whole &= !strchr(".eE", char_at(writer));
        digits[n++] = char_at(writer);
    }
    digits[n] = '\0';
    errno = 0;
    if (is_whole && digits[0] == '-' && strcmp(digits, "-0") != 0) {
        int64_t value = strtoll(digits, &end, 10);

        if (errno == 0) {
            put_negative(writer, value);
            return;
        }
    } else if (is_whole && digits[0] != '-') {
        uint64_t value = strtoull(digits, &end, 10);

        if (errno == 0) {
            put_unsigned(writer, value);
            return;
        }
    }
    put_float(writer, strtod(digits, NULL));
}

/* true, false, null: the first letter tells. */
static void write_literal(struct writer *writer, unsigned first, size_t len)
{
    put_number(writer, first, 0, 0);
    writer->at = writer->len - writer->at < len ? writer->len : writer->at + len;
}

static void write_container(struct writer *writer, size_t *next_container)
{
    size_t n =
        0; /* of text that is not what it must be, the passes may see different ones */

    if (*next_container < writer->n_containers)
        n = writer->containers[(*next_container)++].n;

    if (char_at(writer) == '{')
        put_map(writer, n);
    else
        put_length(writer, 0x90, 15, 0, 0xdc, n);
    writer->at++;
}

static void write_json(struct writer *writer)
{
    size_t next = 0, next_container = 0;

    for (writer->at = 0; writer->at < writer->len && !writer->is_full;) {
        const struct placeholder *placeholder;
        char c = char_at(writer);

        if (c == '{' || c == '[') {
            placeholder = placeholder_here(writer, &next);
            if (placeholder) {
                put_bytes(writer, writer->attachments[placeholder->num]);
                writer->at = placeholder->to;
            } else {
                write_container(writer, &next_container);
            }
        } else if (c == '"') {
            write_string(writer);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            write_number(writer);
        } else if (c == 't') {
            write_literal(writer, 0xc3, 4);
        } else if (c == 'f') {
            write_literal(writer, 0xc2, 5);
        } else if (c == 'n') {
            write_literal(writer, 0xc0, 4);
        } else {
            writer->at++; /* commas, colons, ends, blanks */
        }
    }
}

/* ---- a packet */

static unsigned type_of(const struct sio_packet *packet)
{
    if (packet->type == SIO_BINARY_EVENT)
        return SIO_EVENT;
    return packet->type == SIO_BINARY_ACK ? SIO_ACK : packet->type;
}

static void write_packet(struct writer *writer, const struct sio_packet *packet)
{
    put_map(writer, 2U + (packet->payload_len > 0) + packet->has_id);
    put_string(writer, "type", 4);
    put_unsigned(writer, type_of(packet));
    if (packet->payload_len > 0) {
        put_string(writer, "data", 4);
        write_json(writer);
    }
    put_string(writer, "nsp", 3);
    put_string(writer, packet->nsp, packet->nsp_len);
    if (packet->has_id) {
        put_string(writer, "id", 2);
        put_unsigned(writer, sio_id_value(packet->id));
    }
}

struct bytes *msgpack_encode(const struct sio_packet *packet,
                             struct bytes *const *attachments, size_t n)
{
    struct writer writer = {
        .text = packet->payload, .len = packet->payload_len, .attachments = attachments};
    struct bytes *bytes = NULL;

    if (find_placeholders(&writer, n) && count_members(&writer)) {
        write_packet(&writer, packet);
        if (!writer.is_full)
            bytes = packet_try_new(0, writer.out_len, 1);
    }
    if (bytes) {
        packet_end_text(bytes, 0);
        packet_attach(bytes, writer.out, writer.out_len);
    }
    free(writer.containers);
    free(writer.placeholders);
    free(writer.out);
    return bytes;
}
