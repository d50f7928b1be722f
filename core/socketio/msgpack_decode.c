/*
 * msgpack_decode.c - from MessagePack to JSON text: see msgpack.h.
 *
 * Two passes: the first checks everything and counts the bytes in it, the second writes. A
 * length that a message announces is held against what is there before anything is made of
 * it. No recursion: depth is a client's to choose. libmsgpack would allocate by announced
 * lengths, and a tree besides.
 * Called by: core/socketio/link.c. Thread: any.
 */
#include "core/socketio/msgpack.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/socketio/msgpack_item.h"

enum {
    DEPTH_MAX = 1025,   /* as json.h's 1,024: the scan of the text says no to one more */
    PACKET_VALUES = 16, /* of a packet beside its data */
    VALUE_CHARS = 32,   /* of a number as text, or of a word */
    MAX_TYPE = 4,
    DATE_MAX_DIGITS = 64
};

static const int64_t DATE_MAX_MS = 8640000000000000; /* ECMAScript: a Date's range */
static const uint64_t ID_MAX = UINT64_C(1) << 53;    /* excluded, as in packet.c */

/* ---- the first pass */

struct scan {
    struct msgpack_reader reader;
    size_t n_values, max_values;
    size_t n_bytes; /* how many values are bytes */
};

static bool holds_bytes(const struct msgpack_item *item)
{
    return item->kind == MSGPACK_BYTES || item->kind == MSGPACK_EXT;
}

/* One value with all that is in it. */
static enum msgpack_result skip(struct scan *scan)
{
    uint64_t n_due = 1;

    while (n_due > 0) {
        struct msgpack_item item;

        if (!msgpack_read(&scan->reader, &item))
            return MSGPACK_BAD;
        if (++scan->n_values > scan->max_values)
            return MSGPACK_TOO_MANY;
        n_due += msgpack_inside(&item);
        n_due--;
        scan->n_bytes += holds_bytes(&item);
    }
    return MSGPACK_OK;
}

/* A packet before its data is looked into. */
struct outline {
    struct msgpack_item nsp;
    struct msgpack_reader data; /* at NULL: there is none */
    uint64_t type, id;
    bool has_type, has_nsp, has_id;
    size_t n_bytes; /* in data */
};

static bool is_name(const struct msgpack_item *key, const char *name)
{
    return key->kind == MSGPACK_STRING && key->len == strlen(name) &&
           memcmp(key->data, name, key->len) == 0;
}

/* One member. A second one of a name counts, as in JavaScript. */
static enum msgpack_result take_member(struct scan *scan, const struct msgpack_item *key,
                                       struct outline *out)
{
    const unsigned char *from = scan->reader.at;
    struct msgpack_reader peek = scan->reader;
    enum msgpack_result result;
    struct msgpack_item value;

    scan->n_bytes = 0;
    result = skip(scan);
    if (result != MSGPACK_OK)
        return result;
    msgpack_read(&peek, &value);
    if (is_name(key, "type")) {
        out->type = value.n;
        out->has_type = value.kind == MSGPACK_UNSIGNED && value.n <= MAX_TYPE;
    } else if (is_name(key, "nsp")) {
        out->nsp = value;
        out->has_nsp = value.kind == MSGPACK_STRING;
    } else if (is_name(key, "id")) {
        out->id = value.n;
        out->has_id = value.kind != MSGPACK_UNDEFINED;
        if (out->has_id && (value.kind != MSGPACK_UNSIGNED || value.n >= ID_MAX))
            return MSGPACK_BAD_PACKET;
    } else if (is_name(key, "data")) {
        out->n_bytes = scan->n_bytes;
        out->data = value.kind == MSGPACK_UNDEFINED || value.kind == MSGPACK_NIL
                        ? (struct msgpack_reader){0}
                        /* nil: python-socketio's word for none */
                        : (struct msgpack_reader){from, scan->reader.at};
    }
    return MSGPACK_OK;
}

static enum msgpack_result read_outline(struct scan *scan, struct outline *out)
{
    struct msgpack_item map;

    *out = (struct outline){0};
    if (!msgpack_read(&scan->reader, &map))
        return MSGPACK_BAD;
    if (map.kind != MSGPACK_MAP)
        return MSGPACK_BAD_PACKET;
    for (uint64_t i = 0; i < map.n; i++) {
        enum msgpack_result result;
        struct msgpack_item key;

        if (!msgpack_read(&scan->reader, &key))
            return MSGPACK_BAD;
        if (key.kind == MSGPACK_ARRAY || key.kind == MSGPACK_MAP)
            return MSGPACK_BAD_PACKET;
        result = take_member(scan, &key, out);
        if (result != MSGPACK_OK)
            return result;
    }
    if (scan->reader.at != scan->reader.end)
        return MSGPACK_BAD;
    return out->has_type && out->has_nsp ? MSGPACK_OK : MSGPACK_BAD_PACKET;
}

/* ---- the second pass */

struct level {
    uint32_t n_left;
    bool is_map, has_some;
};

struct writer {
    struct msgpack_reader reader;
    char *text; /* owned */
    size_t len, cap;
    struct msgpack_piece *attachments; /* owned: room for all */
    size_t n_attachments;
    bool is_full;     /* no memory, or is_too_long */
    bool is_too_long; /* beyond max_len */
    size_t max_len;
    bool has_no_attachments; /* bytes are written as Node's JSON has them */
    size_t depth;
    struct level level[DEPTH_MAX]; /* the last member: build() */
};

/* Room for n bytes more, or NULL. */
static char *reserve(struct writer *writer, size_t n)
{
    writer->is_too_long |= n > writer->max_len - writer->len;
    writer->is_full |= writer->is_too_long;
    if (writer->is_full)
        return NULL;
    if (writer->cap - writer->len < n) {
        size_t cap = (writer->len + n) * 2;
        char *grown = mem_try_realloc(writer->text, cap);

        if (!grown) {
            writer->is_full = true;
            return NULL;
        }
        writer->text = grown;
        writer->cap = cap;
    }
    return writer->text + writer->len;
}

static void put(struct writer *writer, const char *text, size_t len)
{
    char *to = reserve(writer, len);

    if (to && len > 0)
        memcpy(to, text, len);
    if (to)
        writer->len += len;
}

static void put_char(struct writer *writer, char c)
{
    put(writer, &c, 1);
}

static void put_word(struct writer *writer, const char *word)
{
    put(writer, word, strlen(word));
}

/* A control character, quote or backslash within quotes. */
static void put_escaped(struct writer *writer, unsigned char c)
{
    static const char values[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(values, c) : NULL;
    char text[8];

    if (found)
        snprintf(text, sizeof text, "\\%c", letters[found - values]);
    else
        snprintf(text, sizeof text, "\\u%04x", c);
    put_word(writer, text);
}

/* The code point at hand as JSON has it within quotes, or as it is. Returns its end. */
static const char *put_code_point(struct writer *writer, const char *at, const char *end,
                                  bool is_json)
{
    uint32_t code;
    size_t len = utf8_decode(at, (size_t)(end - at), &code);

    if (len == 0) { /* no UTF-8 */
        put_word(writer, "\xef\xbf\xbd");
        return at + 1;
    }
    if (is_json && (code < 0x20 || code == '"' || code == '\\'))
        put_escaped(writer, (unsigned char)code);
    else
        put(writer, at, len);
    return at + len;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

static void put_text(struct writer *writer, const struct msgpack_item *item, bool is_json)
{
    const char *at = item->data, *end = at + item->len;

    while (at < end) {
        const char *from = at;

        while (at < end && is_plain(*at))
            at++;
        put(writer, from, (size_t)(at - from));
        if (at < end)
            at = put_code_point(writer, at, end, is_json);
    }
}

static void put_string(struct writer *writer, const struct msgpack_item *item)
{
    put_char(writer, '"');
    put_text(writer, item, true);
    put_char(writer, '"');
}

/* So many digits that it is read as the same number. Fewer may do, but to find them costs. */
static void put_float(struct writer *writer, double number)
{
    char text[40];

    if (isfinite(number))
        snprintf(text, sizeof text, "%.17g", number);
    put_word(writer, isfinite(number) ? text : "null");
}

/* As Date.prototype.toJSON() has it. */
static void put_date(struct writer *writer, int64_t ms)
{
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    time_t when = (time_t)seconds;
    char text[DATE_MAX_DIGITS];
    struct tm parts;
    int year;

    if (ms > DATE_MAX_MS || ms < -DATE_MAX_MS) {
        put_word(writer, "null");
        return;
    }
    gmtime_r(&when, &parts);
    year = parts.tm_year + 1900;
    snprintf(text, sizeof text,
             year >= 0 && year <= 9999 ? "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\""
                                       : "\"%+07d-%02d-%02dT%02d:%02d:%02d.%03dZ\"",
             year, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
             parts.tm_sec, (int)(ms - seconds * 1000));
    put_word(writer, text);
}

/* What JSON.stringify() makes of a Buffer: in a CONNECT, which has no attachments. */
static void put_buffer(struct writer *writer, const struct msgpack_item *item)
{
    char text[8];

    put_word(writer, "{\"type\":\"Buffer\",\"data\":[");
    for (size_t i = 0; i < item->len && !writer->is_full; i++) {
        snprintf(text, sizeof text, i ? ",%u" : "%u",
                 (unsigned)(unsigned char)item->data[i]);
        put_word(writer, text);
    }
    put_word(writer, "]}");
}

static void put_bytes(struct writer *writer, const struct msgpack_item *item)
{
    char text[64];
    int len;

    if (writer->has_no_attachments) {
        put_buffer(writer, item);
        return;
    }
    len = snprintf(text, sizeof text, "{\"_placeholder\":true,\"num\":%zu}",
                   writer->n_attachments);
    writer->attachments[writer->n_attachments++] =
        (struct msgpack_piece){item->data, item->len};
    put(writer, text, (size_t)len);
}

/* What notepack makes of a type that it does not know. */
static void put_ext(struct writer *writer, const struct msgpack_item *item)
{
    char text[16];

    snprintf(text, sizeof text, "[%d,", item->ext_type);
    put_word(writer, text);
    put_bytes(writer, item);
    put_char(writer, ']');
}

static void put_integer(struct writer *writer, const struct msgpack_item *item)
{
    char text[32];

    if (item->kind == MSGPACK_UNSIGNED)
        snprintf(text, sizeof text, "%" PRIu64, item->n);
    else
        snprintf(text, sizeof text, "%" PRId64, item->negative);
    put_word(writer, text);
}

static bool is_scalar(const struct msgpack_item *item)
{
    return item->kind != MSGPACK_ARRAY && item->kind != MSGPACK_MAP;
}

static void put_scalar(struct writer *writer, const struct msgpack_item *item)
{
    switch (item->kind) {
    case MSGPACK_FALSE:
        put_word(writer, "false");
        break;
    case MSGPACK_TRUE:
        put_word(writer, "true");
        break;
    case MSGPACK_UNSIGNED:
    case MSGPACK_NEGATIVE:
        put_integer(writer, item);
        break;
    case MSGPACK_FLOAT:
        put_float(writer, item->number);
        break;
    case MSGPACK_STRING:
        put_string(writer, item);
        break;
    case MSGPACK_BYTES:
        put_bytes(writer, item);
        break;
    case MSGPACK_DATE:
        put_date(writer, item->negative);
        break;
    case MSGPACK_EXT:
        put_ext(writer, item);
        break;
    default: /* nil, and undefined in an array */
        put_word(writer, "null");
        break;
    }
}

/* Whether it may be a member's name: JavaScript makes text of it. */
static bool is_key(const struct msgpack_item *item)
{
    return item->kind != MSGPACK_UNDEFINED && item->kind <= MSGPACK_STRING;
}

static void put_key(struct writer *writer, const struct msgpack_item *key)
{
    if (key->kind == MSGPACK_STRING) {
        put_string(writer, key);
    } else {
        put_char(writer, '"');
        put_scalar(writer, key);
        put_char(writer, '"');
    }
    put_char(writer, ':');
}

static bool begin_container(struct writer *writer, const struct msgpack_item *item)
{
    if (writer->depth == DEPTH_MAX)
        return false;
    writer->level[writer->depth++] =
        (struct level){.n_left = (uint32_t)item->n, .is_map = item->kind == MSGPACK_MAP};
    put_char(writer, item->kind == MSGPACK_MAP ? '{' : '[');
    return true;
}

/*
 * What would be taken for an attachment where there are some is made to look like none, as
 * args.c does.
 */
static bool is_fake(const struct writer *writer, const struct msgpack_item *key,
                    const struct msgpack_item *value)
{
    return writer->attachments && value->kind == MSGPACK_TRUE &&
           is_name(key, "_placeholder");
}

/* What the first pass has read: all that is in a value. */
static void skip_inside(struct msgpack_reader *reader, const struct msgpack_item *item)
{
    uint64_t n_due = msgpack_inside(item);

    for (struct msgpack_item inner; n_due > 0 && msgpack_read(reader, &inner); n_due--)
        n_due += msgpack_inside(&inner);
}

/* The next element or member of the innermost container. */
static enum msgpack_result write_next(struct writer *writer)
{
    struct level *level = &writer->level[writer->depth - 1];
    struct msgpack_item key = {0}, value;

    level->n_left--;
    if (level->is_map)
        msgpack_read(&writer->reader, &key);
    msgpack_read(&writer->reader, &value);
    if (level->is_map && !is_key(&key))
        return MSGPACK_BAD_PACKET;
    if (level->is_map && value.kind == MSGPACK_UNDEFINED)
        return MSGPACK_OK;
    if (level->is_map && is_name(&key, "__proto__")) {
        skip_inside(&writer->reader, &value);
        return MSGPACK_OK; /* to a receiver it would be no member (T13) */
    }
    if (level->has_some)
        put_char(writer, ',');
    level->has_some = true;
    if (level->is_map)
        put_key(writer, &key);
    if (is_fake(writer, &key, &value))
        put_char(writer, '1');
    else if (is_scalar(&value))
        put_scalar(writer, &value);
    else if (!begin_container(writer, &value))
        return MSGPACK_TOO_DEEP;
    return MSGPACK_OK;
}

static enum msgpack_result full_result(const struct writer *writer)
{
    if (!writer->is_full)
        return MSGPACK_OK;
    return writer->is_too_long ? MSGPACK_TOO_LONG : MSGPACK_NO_MEMORY;
}

/* The first pass has read all of this: only depth and names of members are new. */
static enum msgpack_result write_json(struct writer *writer)
{
    struct msgpack_item item;

    msgpack_read(&writer->reader, &item);
    if (is_scalar(&item))
        put_scalar(writer, &item);
    else
        begin_container(writer, &item);
    while (writer->depth > 0 && !writer->is_full) {
        const struct level *level = &writer->level[writer->depth - 1];
        enum msgpack_result result;

        if (level->n_left == 0) {
            put_char(writer, level->is_map ? '}' : ']');
            writer->depth--;
            continue;
        }
        result = write_next(writer);
        if (result != MSGPACK_OK)
            return result;
    }
    return full_result(writer);
}

/* ---- a packet */

/* The namespace, then the payload, each with a NUL behind it. */
static enum msgpack_result write_texts(struct writer *writer, const struct outline *in,
                                       struct sio_packet *packet)
{
    enum msgpack_result result = MSGPACK_OK;
    size_t from;

    put_text(writer, &in->nsp, false);
    packet->nsp_len = writer->len;
    put_char(writer, '\0');
    from = writer->len;
    if (in->data.at) {
        writer->reader = in->data;
        result = write_json(writer);
        packet->payload_len = writer->len - from;
    }
    put_char(writer, '\0');
    if (writer->is_full)
        return full_result(writer);
    packet->nsp = writer->text;
    packet->payload = in->data.at ? writer->text + from : NULL;
    return result;
}

static bool takes_attachments(enum sio_packet_type type)
{
    return type == SIO_EVENT || type == SIO_ACK;
}

static enum msgpack_result build(const struct outline *in, size_t max_len,
                                 struct msgpack_packet *out)
{
    struct writer writer; /* its levels are set as they begin */
    enum msgpack_result result = MSGPACK_NO_MEMORY;

    memset(&writer, 0, offsetof(struct writer, level));
    writer.max_len = max_len;
    writer.has_no_attachments = !takes_attachments(out->packet.type);
    if (in->n_bytes > 0)
        writer.attachments = mem_try_alloc(in->n_bytes * sizeof *writer.attachments);
    if (in->n_bytes == 0 || writer.attachments)
        result = write_texts(&writer, in, &out->packet);
    if (result != MSGPACK_OK) {
        free(writer.text);
        free(writer.attachments);
        return result;
    }
    out->text = writer.text;
    out->attachments = writer.attachments;
    out->packet.n_attachments = (unsigned)writer.n_attachments;
    if (writer.n_attachments > 0)
        out->packet.type =
            out->packet.type == SIO_EVENT ? SIO_BINARY_EVENT : SIO_BINARY_ACK;
    return MSGPACK_OK;
}

enum msgpack_result msgpack_decode(const char *data, size_t len,
                                   const struct json_limits *limits,
                                   size_t max_attachments, struct msgpack_packet *out)
{
    struct scan scan = {
        .reader = {(const unsigned char *)data, (const unsigned char *)data + len},
        /* names of members, and the packet's own, are counted here too */
        .max_values = 2 * limits->max_values + PACKET_VALUES};
    struct outline outline;
    enum msgpack_result result = read_outline(&scan, &outline);

    *out = (struct msgpack_packet){0};
    if (result != MSGPACK_OK)
        return result;
    out->packet.type = (enum sio_packet_type)outline.type;
    if (takes_attachments(out->packet.type) && outline.n_bytes > max_attachments)
        return MSGPACK_MANY_ATTACHMENTS;
    out->packet.has_id = outline.has_id;
    out->packet.id = outline.has_id ? outline.id : 0;
    /* Escapes and digits may make it longer, but no message a multiple of itself. */
    return build(&outline, 2 * len + VALUE_CHARS * limits->max_values, out);
}

void msgpack_done(struct msgpack_packet *packet)
{
    free(packet->text);
    free(packet->attachments);
}

const char *msgpack_word(enum msgpack_result result)
{
    static const char *const words[] = {
        [MSGPACK_OK] = "ok",
        [MSGPACK_BAD] = "message is not MessagePack",
        [MSGPACK_BAD_PACKET] = "MessagePack is no packet",
        [MSGPACK_TOO_DEEP] = "MessagePack deeper than max_json_depth",
        [MSGPACK_TOO_MANY] = "MessagePack with more than max_json_values",
        [MSGPACK_MANY_ATTACHMENTS] = "more attachments than max_attachments",
        [MSGPACK_TOO_LONG] = "MessagePack that is twice as long as JSON",
        [MSGPACK_NO_MEMORY] = "no memory for a packet",
    };

    return words[result];
}
