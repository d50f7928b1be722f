/*
 * msgpack_item.c - MessagePack, one value after the other: see msgpack_item.h.
 *
 * Called by: msgpack_decode.c. Thread: any.
 */
#include "core/socketio/msgpack_item.h"

#include <string.h>

static size_t left(const struct msgpack_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* A big-endian number of n bytes. */
static bool read_number(struct msgpack_reader *reader, unsigned n, uint64_t *value)
{
    if (left(reader) < n)
        return false;
    for (*value = 0; n > 0; n--)
        *value = *value << 8 | *reader->at++;
    return true;
}

static bool read_data(struct msgpack_reader *reader, uint64_t len,
                      struct msgpack_item *item)
{
    if (len > left(reader))
        return false;
    item->data = (const char *)reader->at;
    item->len = (size_t)len;
    reader->at += len;
    return true;
}

/* Behind the head of a container: each element takes a byte at least. */
static bool set_container(const struct msgpack_reader *reader, enum msgpack_kind kind,
                          uint64_t n, struct msgpack_item *item)
{
    item->kind = kind;
    item->n = n;
    return n * (kind == MSGPACK_MAP ? 2 : 1) <= left(reader);
}

static bool read_sized(struct msgpack_reader *reader, enum msgpack_kind kind,
                       unsigned n_bytes, struct msgpack_item *item)
{
    uint64_t n;

    item->kind = kind;
    if (!read_number(reader, n_bytes, &n))
        return false;
    return kind == MSGPACK_ARRAY || kind == MSGPACK_MAP
               ? set_container(reader, kind, n, item)
               : read_data(reader, n, item);
}

/* A signed number of n bytes. */
static bool read_signed(struct msgpack_reader *reader, unsigned n,
                        struct msgpack_item *item)
{
    const unsigned shift = 64 - 8 * n;
    uint64_t bits;

    if (!read_number(reader, n, &bits))
        return false;
    item->negative = (int64_t)(bits << shift) >> shift;
    item->kind = item->negative < 0 ? MSGPACK_NEGATIVE : MSGPACK_UNSIGNED;
    item->n = (uint64_t)item->negative;
    return true;
}

static bool read_unsigned(struct msgpack_reader *reader, unsigned n,
                          struct msgpack_item *item)
{
    item->kind = MSGPACK_UNSIGNED;
    return read_number(reader, n, &item->n);
}

static bool read_float(struct msgpack_reader *reader, unsigned n,
                       struct msgpack_item *item)
{
    uint64_t bits;
    uint32_t half;
    float narrow;

    item->kind = MSGPACK_FLOAT;
    if (!read_number(reader, n, &bits))
        return false;
    half = (uint32_t)bits;
    memcpy(&narrow, &half, sizeof narrow);
    memcpy(&item->number, &bits, sizeof item->number);
    if (n == 4)
        item->number = (double)narrow;
    return true;
}

/* Of n bytes; type 0 is notepack's own. is_fixed: the length stands in the first byte. */
static bool read_ext(struct msgpack_reader *reader, uint64_t n, bool is_fixed,
                     struct msgpack_item *item)
{
    uint64_t type;
    struct msgpack_reader inside;

    if (!read_number(reader, 1, &type) || !read_data(reader, n, item))
        return false;
    item->ext_type = (int)type - (type > INT8_MAX ? 256 : 0);
    item->kind = item->ext_type == 0 && !is_fixed ? MSGPACK_BYTES : MSGPACK_EXT;
    if (item->ext_type != 0 || !is_fixed)
        return true;
    if (n == 1)
        item->kind = MSGPACK_UNDEFINED;
    if (n != 8)
        return true;
    inside = (struct msgpack_reader){(const unsigned char *)item->data,
                                     (const unsigned char *)item->data + n};
    read_signed(&inside, 8, item);
    item->kind = MSGPACK_DATE;
    return true;
}

static bool read_ext_sized(struct msgpack_reader *reader, unsigned n_bytes,
                           struct msgpack_item *item)
{
    uint64_t n;

    return read_number(reader, n_bytes, &n) && read_ext(reader, n, false, item);
}

/* Those of 0xc0 to 0xdf, in their order. */
static bool read_other(struct msgpack_reader *reader, unsigned first,
                       struct msgpack_item *item)
{
    switch (first) {
    case 0xc0:
    case 0xc2:
    case 0xc3:
        item->kind = first == 0xc0   ? MSGPACK_NIL
                     : first == 0xc2 ? MSGPACK_FALSE
                                     : MSGPACK_TRUE;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return read_sized(reader, MSGPACK_BYTES, 1U << (first - 0xc4), item);
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return read_ext_sized(reader, 1U << (first - 0xc7), item);
    case 0xca:
    case 0xcb:
        return read_float(reader, 4U << (first - 0xca), item);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_unsigned(reader, 1U << (first - 0xcc), item);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_signed(reader, 1U << (first - 0xd0), item);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return read_ext(reader, UINT64_C(1) << (first - 0xd4), true, item);
    case 0xd9:
    case 0xda:
    case 0xdb:
        return read_sized(reader, MSGPACK_STRING, 1U << (first - 0xd9), item);
    case 0xdc:
    case 0xdd:
        return read_sized(reader, MSGPACK_ARRAY, 2U << (first - 0xdc), item);
    case 0xde:
    case 0xdf:
        return read_sized(reader, MSGPACK_MAP, 2U << (first - 0xde), item);
    default: /* 0xc1: never used */
        return false;
    }
}

bool msgpack_read(struct msgpack_reader *reader, struct msgpack_item *item)
{
    unsigned first;

    *item = (struct msgpack_item){0};
    if (reader->at == reader->end)
        return false;
    first = *reader->at++;
    if (first >= 0xc0 && first < 0xe0)
        return read_other(reader, first, item);
    if (first < 0x80 || first >= 0xe0) { /* 0 to 127, -32 to -1 */
        item->negative = (int64_t)first - (first > INT8_MAX ? 256 : 0);
        item->n = first;
        item->kind = first < 0x80 ? MSGPACK_UNSIGNED : MSGPACK_NEGATIVE;
        return true;
    }
    if (first < 0x90)
        return set_container(reader, MSGPACK_MAP, first & 0x0f, item);
    if (first < 0xa0)
        return set_container(reader, MSGPACK_ARRAY, first & 0x0f, item);
    item->kind = MSGPACK_STRING;
    return read_data(reader, first & 0x1f, item);
}

uint64_t msgpack_inside(const struct msgpack_item *item)
{
    return item->kind == MSGPACK_ARRAY ? item->n
           : item->kind == MSGPACK_MAP ? 2 * item->n
                                       : 0;
}
