/*
 * msgpack_item.h - MessagePack, one value after the other. Knows nothing of packets.
 *
 * A container is its head alone: what is in it follows. A length that is announced is held
 * against what is there. Thread: any; no state but the reader's.
 * Source: the MessagePack specification; notepack.io for the extension types of number 0.
 */
#ifndef SOCKETIO_MSGPACK_ITEM_H
#define SOCKETIO_MSGPACK_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum msgpack_kind {
    MSGPACK_NIL,
    MSGPACK_UNDEFINED, /* notepack's fixext 1 of type 0 */
    MSGPACK_FALSE,
    MSGPACK_TRUE,
    MSGPACK_UNSIGNED,
    MSGPACK_NEGATIVE,
    MSGPACK_FLOAT,
    MSGPACK_STRING,
    MSGPACK_BYTES, /* also ArrayBuffer: notepack's ext of type 0 */
    MSGPACK_ARRAY,
    MSGPACK_MAP,
    MSGPACK_DATE, /* notepack's fixext 8 of type 0 */
    MSGPACK_EXT
};

/* One value, without what is in a container. */
struct msgpack_item {
    enum msgpack_kind kind;
    uint64_t n;       /* an unsigned number; of a container, its elements or members */
    int64_t negative; /* a negative number; a date, in milliseconds */
    double number;    /* a float */
    const char
        *data; /* of a string, bytes, an extension: borrowed from the reader's input */
    size_t len;
    int ext_type;
};

struct msgpack_reader {
    const unsigned char *at, *end;
};

/* The next value. False: there is none, or not all of it. */
bool msgpack_read(struct msgpack_reader *reader, struct msgpack_item *item);

/* How many values a container is made of: 0 for all others. */
uint64_t msgpack_inside(const struct msgpack_item *item);

#endif
