/*
 * compress.c - bodies of polling responses through zlib: see compress.h.
 *
 * Each body is compressed on its own, so that what one client is sent says nothing about
 * another's. A shard has one stream of each format, made when it is first needed: the
 * memory is bounded by the number of shards, not by that of clients.
 * Called by: polling.c, engine.c. Thread: shard.
 */
#include "core/engine/compress.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"

enum {
    GZIP_WINDOW = 15 + 16, /* zlib.h: 16 more asks for gzip's frame */
    ZLIB_WINDOW = 15,
    MEMORY_LEVEL = 8, /* zlib's own default: 256 kB a stream */
    LEVEL = 1         /* 17 ms a megabyte, half of zlib's default, for 15 % more bytes */
};

struct stream {
    z_stream z;
    bool is_ready;
};

struct compressor {
    struct stream gzip, zlib;
    /* what was compressed last in this turn: a broadcast is the same body for many */
    struct bytes *body, *packed; /* refs: NULL for none */
    enum http_encoding encoding; /* of packed */
};

static void *allocate(void *opaque, uInt n, uInt size)
{
    (void)opaque;
    return mem_try_alloc((size_t)n * size);
}

static void release(void *opaque, void *memory)
{
    (void)opaque;
    free(memory);
}

struct compressor *compressor_new(void)
{
    return mem_calloc(1, sizeof(struct compressor));
}

void compressor_forget(struct compressor *compressor)
{
    bytes_unref(compressor->body);
    bytes_unref(compressor->packed);
    compressor->body = compressor->packed = NULL;
}

void compressor_free(struct compressor *compressor)
{
    if (!compressor)
        return;
    compressor_forget(compressor);
    if (compressor->gzip.is_ready)
        deflateEnd(&compressor->gzip.z);
    if (compressor->zlib.is_ready)
        deflateEnd(&compressor->zlib.z);
    free(compressor);
}

/* A stream at its start, or NULL without memory. */
static z_stream *ready(struct stream *stream, int window)
{
    if (stream->is_ready)
        return deflateReset(&stream->z) == Z_OK ? &stream->z : NULL;
    stream->z = (z_stream){.zalloc = allocate, .zfree = release};
    stream->is_ready = deflateInit2(&stream->z, LEVEL, Z_DEFLATED, window, MEMORY_LEVEL,
                                    Z_DEFAULT_STRATEGY) == Z_OK;
    return stream->is_ready ? &stream->z : NULL;
}

/* What does not fit into less than the body itself is not worth it. */
static struct bytes *pack(z_stream *z, const struct bytes *body)
{
    struct bytes *room, *packed;

    if (!z || body->len < 2 || body->len > UINT_MAX)
        return NULL;
    room = bytes_try_new(body->len - 1);
    if (!room)
        return NULL;
    z->next_in = (unsigned char *)body->data;
    z->avail_in = (uInt)body->len;
    z->next_out = (unsigned char *)room->data;
    z->avail_out = (uInt)room->len;
    if (deflate(z, Z_FINISH) != Z_STREAM_END) {
        bytes_unref(room);
        return NULL;
    }
    /* Queues count what is to be sent: it must not stand in much larger a block. */
    packed = bytes_try_new((size_t)z->total_out);
    if (packed)
        memcpy(packed->data, room->data, packed->len);
    bytes_unref(room);
    return packed;
}

struct bytes *compressor_pack(struct compressor *compressor, struct bytes *body,
                              enum http_encoding encoding)
{
    if (compressor->body != body || compressor->encoding != encoding) {
        z_stream *z = encoding == HTTP_GZIP ? ready(&compressor->gzip, GZIP_WINDOW)
                                            : ready(&compressor->zlib, ZLIB_WINDOW);

        compressor_forget(compressor);
        compressor->packed = pack(z, body);
        compressor->body = body;
        compressor->encoding = encoding;
        bytes_ref(body, 1);
    }
    if (compressor->packed)
        bytes_ref(compressor->packed, 1);
    return compressor->packed;
}
