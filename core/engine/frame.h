/*
 * frame.h - WebSocket frames: bytes in, whole messages and control frames out; and frames
 * written. Knows neither connections nor clocks.
 *
 * wslay's frame API does the framing. Around it stand the guards that it lacks: a head is
 * checked before it is handed on (wslay reports a frame only with its first byte of
 * payload, and neither RSV bits, nor opcodes, masks and the order of fragments), messages
 * grow as bytes arrive and never by what a length field promises.
 * Readers are pooled: a connection takes one with the first byte of a message and gives it
 * back behind the last. Thread: any; a pool and its readers have one user.
 * Deflated messages (RFC 7692) are inflated as they come, under the same limit.
 * Source: RFC 6455 section 5; docs/threats.md 0.2, C05, C16, C17, C21.
 */
#ifndef ENGINE_FRAME_H
#define ENGINE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/engine/deflate.h"

/* RFC 6455 7.4.1 */
enum {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_NO_STATUS = 1005, /* these two are never sent */
    WS_CLOSE_LOST = 1006,
    WS_CLOSE_BAD_DATA = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009,
};

enum {
    FRAME_CONTROL_MAX = 125, /* RFC 6455 5.5 */
    FRAME_REASON_MAX = 123,  /* of a close frame: behind its code */
    FRAME_HEAD_MAX = 10      /* 5.2: of a frame without a mask */
};

enum frame_event {
    FRAME_MORE,   /* wants more input */
    FRAME_TEXT,   /* a whole message of valid UTF-8 */
    FRAME_BINARY, /* a whole message of bytes */
    FRAME_PING,
    FRAME_PONG,
    FRAME_CLOSE, /* data: its payload, checked; code: 0 when it is empty */
    FRAME_BAD    /* refused: close with code; nothing more may be read */
};

struct frame {
    const char *data; /* borrowed from the reader until it is used again */
    size_t len;
    uint16_t code;      /* FRAME_CLOSE, FRAME_BAD */
    const char *reason; /* FRAME_BAD: for the log */
};

struct frame_limits {
    size_t max_message_bytes;
    uint32_t max_fragments;
    bool
        may_inflate; /* permessage-deflate was negotiated: RSV1 means a deflated message */
};

struct frame_reader;

struct frame_pool {
    struct frame_reader *free_readers; /* owned */
    struct deflate_pool deflate; /* inflaters; the rest of it is its owner's to use */
    unsigned n_free;
    size_t n_inflated; /* bytes that came of deflated messages: for the pool's owner */
};

struct frame_reader *frame_pool_take(struct frame_pool *pool);
/* Whatever it held is dropped. Takes NULL. */
void frame_pool_give(struct frame_pool *pool, struct frame_reader *reader);
void frame_pool_done(struct frame_pool *pool);

/*
 * Take input: *data and *len advance. Call until FRAME_MORE, which leaves none, or until
 * FRAME_BAD or FRAME_CLOSE, behind which nothing counts.
 */
enum frame_event frame_read(struct frame_reader *reader,
                            const struct frame_limits *limits, const char **data,
                            size_t *len, struct frame *frame);

/* Whether a close frame may have this code (RFC 6455 7.4, and those registered since). */
bool frame_is_close_code(unsigned code);

/* What it has allocated. Takes NULL. */
size_t frame_reader_bytes(const struct frame_reader *reader);

/* Whether nothing of a frame or of a fragmented message is pending. */
bool frame_reader_is_idle(const struct frame_reader *reader);

enum frame_kind {
    FRAME_KIND_TEXT = 1,
    FRAME_KIND_BINARY = 2,
    FRAME_KIND_CLOSE = 8,
    FRAME_KIND_PING = 9,
    FRAME_KIND_PONG = 10
};

/* Bytes of a frame with len bytes of payload, unmasked as servers send. */
size_t frame_size(size_t len);

/* The head alone of a frame of len bytes, which stay where they are. Returns its size. */
size_t frame_head(enum frame_kind kind, size_t len, unsigned char head[FRAME_HEAD_MAX]);

enum { FRAME_DEFLATED = 0x40 /* or'ed to the first byte of a head: RSV1, RFC 7692 6 */ };

/* Write one whole frame to out, which holds frame_size(len) bytes. */
struct frame_writer;
struct frame_writer *frame_writer_new(void);
void frame_writer_free(struct frame_writer *writer);
void frame_write(struct frame_writer *writer, enum frame_kind kind, const void *data,
                 size_t len, char *out);

#endif
