/*
 * compress.h - bodies of polling responses, compressed. Thread: shard.
 */
#ifndef ENGINE_COMPRESS_H
#define ENGINE_COMPRESS_H

#include "core/net/encoding.h"

struct bytes;
struct compressor;

/* What compressor_pack() can do: a set for http_choose_encoding(). */
enum { COMPRESS_ENCODINGS = 1 << HTTP_GZIP | 1 << HTTP_DEFLATE };

struct compressor *compressor_new(void);
void compressor_free(struct compressor *compressor); /* takes NULL */

/*
 * The body compressed, on its own: a new reference, or NULL where it would not be smaller,
 * or for want of memory. The same body in the same turn is compressed once.
 */
struct bytes *compressor_pack(struct compressor *compressor, struct bytes *body,
                              enum http_encoding encoding);

/* The turn ends: forget what it made. */
void compressor_forget(struct compressor *compressor);

#endif
