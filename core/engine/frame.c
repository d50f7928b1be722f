/*
 * frame.c - WebSocket frames through wslay, with our guards: see frame.h.
 *
 * Called by: websocket.c. Thread: any; a pool, a reader and a writer have one user each.
 */
#include "core/engine/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "core/base/mem.h"
#include "core/base/text.h"

enum {
    HEAD_MAX = 14,          /* RFC 6455 5.2: 2 bytes, 8 of length, 4 of mask */
    WSLAY_BYTES = 4224,     /* of a frame context: its buffer of 4,096, and its state */
    POOL_MAX = 64,          /* readers kept for reuse: 9 kB each, as a rule */
    FIRST_MESSAGE = 4096,   /* a buffer's first size */
    KEPT_MESSAGE = 16 << 10 /* the largest buffer that a reader keeps for the next */
};

struct frame_reader {
    wslay_frame_context_ptr wslay; /* owned */
    struct frame_pool *pool;       /* borrowed: that it is from */
    struct frame_reader *next;     /* in the pool */

    /* the frame at hand */
    unsigned char head[HEAD_MAX];
    uint8_t head_len, head_need; /* bytes of the head: here, and in all (0: unknown) */
    uint8_t head_given;          /* bytes of it that wslay has taken */
    uint8_t opcode;
    bool is_final;
    bool in_payload; /* the head is complete and good */
    uint64_t payload_left;
    const char *in; /* borrowed: what wslay may take now */
    size_t in_len;

    /* the message that its fragments make */
    uint8_t message_opcode; /* 0: none has begun */
    uint32_t n_fragments;
    char *message; /* owned */
    size_t message_len, message_cap;
    struct utf8_check utf8;
    struct inflater *inflater; /* of the pool: NULL when the message is not deflated */
    uint64_t n_deflated;       /* bytes of it that were announced */

    char control[FRAME_CONTROL_MAX];
    uint8_t control_len;
};

/* ---- the pool */

static ssize_t on_wslay_recv(uint8_t *buffer, size_t size, int flags, void *arg)
{
    struct frame_reader *reader = arg;
    size_t n = (size_t)(reader->head_len - reader->head_given);

    (void)flags;
    if (n) {
        n = n < size ? n : size;
        memcpy(buffer, reader->head + reader->head_given, n);
        reader->head_given = (uint8_t)(reader->head_given + n);
        return (ssize_t)n;
    }
    n = reader->in_len < size ? reader->in_len : size;
    if (n)
        memcpy(buffer, reader->in, n);
    reader->in += n;
    reader->in_len -= n;
    return (ssize_t)n; /* 0 makes wslay say that it wants more */
}

static void drop_inflater(struct frame_reader *reader)
{
    inflater_give(&reader->pool->deflate, reader->inflater);
    reader->inflater = NULL;
}

static void reader_free(struct frame_reader *reader)
{
    drop_inflater(reader);
    wslay_frame_context_free(reader->wslay);
    free(reader->message);
    free(reader);
}

static struct frame_reader *reader_new(struct frame_pool *pool)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback =
                                                               on_wslay_recv};
    struct frame_reader *reader = mem_calloc(1, sizeof *reader);

    if (wslay_frame_context_init(&reader->wslay, &callbacks, reader) != 0)
        mem_exhausted(WSLAY_BYTES);
    reader->pool = pool;
    return reader;
}

struct frame_reader *frame_pool_take(struct frame_pool *pool)
{
    struct frame_reader *reader = pool->free_readers;

    if (!reader)
        return reader_new(pool);
    pool->free_readers = reader->next;
    pool->n_free--;
    return reader;
}

void frame_pool_give(struct frame_pool *pool, struct frame_reader *reader)
{
    if (!reader)
        return;
    /* wslay cannot be told to forget half a frame. */
    if (pool->n_free >= POOL_MAX || !frame_reader_is_idle(reader)) {
        reader_free(reader);
        return;
    }
    if (reader->message_cap > KEPT_MESSAGE) {
        free(reader->message);
        reader->message = NULL;
        reader->message_cap = 0;
    }
    reader->next = pool->free_readers;
    pool->free_readers = reader;
    pool->n_free++;
}

void frame_pool_done(struct frame_pool *pool)
{
    while (pool->free_readers) {
        struct frame_reader *reader = pool->free_readers;

        pool->free_readers = reader->next;
        reader_free(reader);
    }
    pool->n_free = 0;
    deflate_pool_done(&pool->deflate);
}

size_t frame_reader_bytes(const struct frame_reader *reader)
{
    if (!reader)
        return 0;
    return sizeof *reader + WSLAY_BYTES + reader->message_cap +
           (reader->inflater ? INFLATER_BYTES : 0);
}

bool frame_reader_is_idle(const struct frame_reader *reader)
{
    return reader->head_len == 0 && reader->message_opcode == 0;
}

/* ---- reading: the head */

static enum frame_event refuse(struct frame *frame, uint16_t code, const char *reason)
{
    *frame = (struct frame){.code = code, .reason = reason};
    return FRAME_BAD;
}

static bool is_control(const struct frame_reader *reader)
{
    return reader->opcode >= WSLAY_CONNECTION_CLOSE;
}

/* What the first two bytes tell. */
static enum frame_event check_start(struct frame_reader *reader,
                                    const struct frame_limits *limits,
                                    struct frame *frame)
{
    uint8_t length = reader->head[1] & 0x7f, reserved = reader->head[0] & 0x70;

    reader->is_final = reader->head[0] & 0x80;
    reader->opcode = reader->head[0] & 0x0f;
    if (reserved && (reserved != FRAME_DEFLATED || !limits->may_inflate))
        return refuse(frame, WS_CLOSE_PROTOCOL, "RSV bits without an extension");
    if (reserved && (is_control(reader) || reader->opcode == WSLAY_CONTINUATION_FRAME))
        return refuse(frame, WS_CLOSE_PROTOCOL, "RSV1 where no message begins");
    if ((reader->opcode > WSLAY_BINARY_FRAME && !is_control(reader)) ||
        reader->opcode > WSLAY_PONG)
        return refuse(frame, WS_CLOSE_PROTOCOL, "unknown opcode");
    if (!(reader->head[1] & 0x80))
        return refuse(frame, WS_CLOSE_PROTOCOL, "frame is not masked");
    if (is_control(reader) && (!reader->is_final || length > FRAME_CONTROL_MAX))
        return refuse(frame, WS_CLOSE_PROTOCOL, "control frame fragmented or too long");
    if (!is_control(reader) && reader->opcode == WSLAY_CONTINUATION_FRAME &&
        !reader->message_opcode)
        return refuse(frame, WS_CLOSE_PROTOCOL, "continuation of no message");
    if (!is_control(reader) && reader->opcode != WSLAY_CONTINUATION_FRAME &&
        reader->message_opcode)
        return refuse(frame, WS_CLOSE_PROTOCOL, "new message within another");
    reader->head_need = (uint8_t)(2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + 4);
    return FRAME_MORE;
}

/* The length field; false when it is not the shortest form or over 2^63 - 1. */
static bool read_length(struct frame_reader *reader)
{
    uint64_t length = reader->head[1] & 0x7f;
    uint64_t n_bytes = length == 127 ? 8 : length == 126 ? 2 : 0;

    if (n_bytes) {
        length = 0;
        for (uint64_t i = 0; i < n_bytes; i++)
            length = length << 8 | reader->head[2 + i];
        if (length < (n_bytes == 8 ? 0x10000u : 126u) || length >> 63)
            return false;
    }
    reader->payload_left = length;
    return true;
}

/* What is deflated may be a little longer than what comes of it: blocks that are stored. */
static bool is_deflated_too_big(struct frame_reader *reader,
                                const struct frame_limits *limits)
{
    uint64_t most = limits->max_message_bytes + limits->max_message_bytes / 1000 + 64;

    reader->n_deflated += reader->payload_left;
    return reader->n_deflated > most;
}

static enum frame_event begin_message(struct frame_reader *reader, struct frame *frame)
{
    reader->message_opcode = reader->opcode;
    reader->message_len = 0;
    reader->n_fragments = 0;
    reader->n_deflated = 0;
    reader->utf8 = (struct utf8_check){0};
    if (!(reader->head[0] & FRAME_DEFLATED))
        return FRAME_MORE;
    reader->inflater = inflater_take(&reader->pool->deflate);
    if (!reader->inflater)
        return refuse(frame, WS_CLOSE_TOO_BIG, "no memory to inflate the message");
    reader->head[0] &= (unsigned char)~FRAME_DEFLATED; /* wslay knows of no extension */
    return FRAME_MORE;
}

/* The head is complete: may this frame come? */
static enum frame_event check_head(struct frame_reader *reader,
                                   const struct frame_limits *limits, struct frame *frame)
{
    if (!read_length(reader))
        return refuse(frame, WS_CLOSE_PROTOCOL, "bad length field");
    reader->in_payload = true;
    reader->head_given = 0;
    if (is_control(reader)) {
        reader->control_len = 0;
        return FRAME_MORE;
    }
    if (!reader->message_opcode && begin_message(reader, frame) == FRAME_BAD)
        return FRAME_BAD;
    if (++reader->n_fragments > limits->max_fragments)
        return refuse(frame, WS_CLOSE_POLICY, "too many fragments");
    if (reader->inflater
            ? is_deflated_too_big(reader, limits)
            : reader->payload_left > limits->max_message_bytes - reader->message_len)
        return refuse(frame, WS_CLOSE_TOO_BIG, "message too big");
    return FRAME_MORE;
}

/* False: there are not yet so many bytes of the head. */
static bool collect_head(struct frame_reader *reader, uint8_t need, const char **data,
                         size_t *len)
{
    size_t n = (size_t)(need - reader->head_len);

    n = *len < n ? *len : n;
    memcpy(reader->head + reader->head_len, *data, n);
    reader->head_len = (uint8_t)(reader->head_len + n);
    *data += n;
    *len -= n;
    return reader->head_len == need;
}

/* Collect the head; FRAME_MORE with in_payload set when it is complete. */
static enum frame_event read_head(struct frame_reader *reader,
                                  const struct frame_limits *limits, const char **data,
                                  size_t *len, struct frame *frame)
{
    if (reader->head_len < 2 && (!collect_head(reader, 2, data, len) ||
                                 check_start(reader, limits, frame) == FRAME_BAD))
        return reader->head_len < 2 ? FRAME_MORE : FRAME_BAD;
    if (!collect_head(reader, reader->head_need, data, len))
        return FRAME_MORE;
    return check_head(reader, limits, frame);
}

/* ---- reading: the payload */

/* Sizes that a client chooses: may fail, and costs that client its connection. */
static bool make_room(struct frame_reader *reader, size_t n)
{
    size_t cap = reader->message_cap ? reader->message_cap : FIRST_MESSAGE;
    char *grown;

    if (reader->message_cap - reader->message_len >= n)
        return true;
    while (cap - reader->message_len < n)
        cap *= 2;
    grown = mem_try_realloc(reader->message, cap);
    if (!grown)
        return false;
    reader->message = grown;
    reader->message_cap = cap;
    return true;
}

static bool append(struct frame_reader *reader, const void *data, size_t n)
{
    if (n == 0)
        return true;
    if (!make_room(reader, n))
        return false;
    memcpy(reader->message + reader->message_len, data, n);
    reader->message_len += n;
    return true;
}

/* ---- reading: what is deflated */

static enum frame_event refuse_inflated(enum inflate_result result, struct frame *frame)
{
    if (result == INFLATE_NO_MEMORY)
        return refuse(frame, WS_CLOSE_TOO_BIG, "no memory to inflate the message");
    return refuse(frame, WS_CLOSE_BAD_DATA, "message does not inflate");
}

/*
 * One step: as much as there is room for, which grows only to what really comes of the
 * input, and one byte past the limit at most. *in NULL: the message's end.
 */
static enum inflate_result inflate_step(struct frame_reader *reader,
                                        const struct frame_limits *limits,
                                        const char **in, size_t *in_len, size_t *n)
{
    size_t left = limits->max_message_bytes + 1 - reader->message_len;
    char *out;

    if (!make_room(reader, 1))
        return INFLATE_NO_MEMORY;
    out = reader->message + reader->message_len;
    *n = reader->message_cap - reader->message_len;
    *n = *n < left ? *n : left;
    return *in ? inflater_run(reader->inflater, in, in_len, out, n)
               : inflater_end(reader->inflater, out, n);
}

static enum frame_event inflate_piece(struct frame_reader *reader,
                                      const struct frame_limits *limits, const char *in,
                                      size_t in_len, struct frame *frame)
{
    enum inflate_result result;

    do {
        size_t n = 0;

        result = inflate_step(reader, limits, &in, &in_len, &n);
        if (result != INFLATE_OK && result != INFLATE_FULL)
            return refuse_inflated(result, frame);
        if (reader->message_opcode == WSLAY_TEXT_FRAME &&
            !utf8_check_feed(&reader->utf8, reader->message + reader->message_len, n))
            return refuse(frame, WS_CLOSE_BAD_DATA, "text is not UTF-8");
        reader->message_len += n;
        reader->pool->n_inflated += n;
        if (reader->message_len > limits->max_message_bytes)
            return refuse(frame, WS_CLOSE_TOO_BIG, "message inflates beyond the limit");
    } while (result == INFLATE_FULL);
    return FRAME_MORE;
}

static enum frame_event end_inflated(struct frame_reader *reader,
                                     const struct frame_limits *limits,
                                     struct frame *frame)
{
    if (inflate_piece(reader, limits, NULL, 0, frame) == FRAME_BAD)
        return FRAME_BAD;
    drop_inflater(reader);
    frame->data = reader->message;
    frame->len = reader->message_len;
    return FRAME_MORE;
}

/* ---- reading: pieces */

/* One unmasked piece. A message that comes in one piece is passed on from where it is. */
static enum frame_event take_piece(struct frame_reader *reader,
                                   const struct frame_limits *limits, const char *piece,
                                   size_t n, struct frame *frame)
{
    if (is_control(reader)) {
        memcpy(reader->control + reader->control_len, piece, n);
        reader->control_len = (uint8_t)(reader->control_len + n);
        return FRAME_MORE;
    }
    if (reader->inflater)
        return n ? inflate_piece(reader, limits, piece, n, frame) : FRAME_MORE;
    if (reader->message_opcode == WSLAY_TEXT_FRAME &&
        !utf8_check_feed(&reader->utf8, piece, n))
        return refuse(frame, WS_CLOSE_BAD_DATA, "text is not UTF-8");
    if (reader->is_final && reader->message_len == 0 && reader->payload_left == 0) {
        frame->data = piece;
        frame->len = n;
        return FRAME_MORE;
    }
    if (!append(reader, piece, n))
        return refuse(frame, WS_CLOSE_TOO_BIG, "no memory for the message");
    frame->data = reader->message;
    frame->len = reader->message_len;
    return FRAME_MORE;
}

/* 1012 to 1014 were registered after RFC 6455; 1004 to 1006 and 1015 never travel. */
bool frame_is_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static enum frame_event end_close(struct frame_reader *reader, struct frame *frame)
{
    const unsigned char *payload = (const unsigned char *)reader->control;

    if (reader->control_len == 0)
        return FRAME_CLOSE;
    if (reader->control_len == 1)
        return refuse(frame, WS_CLOSE_PROTOCOL, "close payload of one byte");
    frame->code = (uint16_t)(payload[0] << 8 | payload[1]);
    if (!frame_is_close_code(frame->code))
        return refuse(frame, WS_CLOSE_PROTOCOL, "close code that may not be sent");
    if (!utf8_is_valid(reader->control + 2, (size_t)reader->control_len - 2))
        return refuse(frame, WS_CLOSE_BAD_DATA, "close reason is not UTF-8");
    return FRAME_CLOSE;
}

/* The frame is complete: what does it amount to? FRAME_MORE: a fragment, go on. */
static enum frame_event end_frame(struct frame_reader *reader,
                                  const struct frame_limits *limits, struct frame *frame)
{
    bool is_text = reader->message_opcode == WSLAY_TEXT_FRAME;

    reader->in_payload = false;
    reader->head_len = reader->head_need = 0;
    if (is_control(reader)) {
        frame->data = reader->control;
        frame->len = reader->control_len;
        if (reader->opcode == WSLAY_CONNECTION_CLOSE)
            return end_close(reader, frame);
        return reader->opcode == WSLAY_PING ? FRAME_PING : FRAME_PONG;
    }
    if (!reader->is_final)
        return FRAME_MORE;
    if (reader->inflater && end_inflated(reader, limits, frame) == FRAME_BAD)
        return FRAME_BAD;
    reader->message_opcode = 0;
    if (is_text && !utf8_check_is_complete(&reader->utf8))
        return refuse(frame, WS_CLOSE_BAD_DATA, "text ends within a character");
    return is_text ? FRAME_TEXT : FRAME_BINARY;
}

/* One call of wslay: *n bytes of payload came. False when it wants more input. */
static bool pull(struct frame_reader *reader, const char **data, size_t *len,
                 struct wslay_frame_iocb *iocb, ssize_t *n)
{
    size_t most = *len < reader->payload_left ? *len : (size_t)reader->payload_left;

    reader->in = *data;
    reader->in_len = most;
    *n = wslay_frame_recv(reader->wslay, iocb);
    *data += most - reader->in_len;
    *len -= most - reader->in_len;
    return *n != WSLAY_ERR_WANT_READ;
}

/* Sets *is_over when the frame has ended. */
static enum frame_event read_payload(struct frame_reader *reader,
                                     const struct frame_limits *limits, const char **data,
                                     size_t *len, struct frame *frame, bool *is_over)
{
    do {
        struct wslay_frame_iocb iocb;
        ssize_t n;

        if (!pull(reader, data, len, &iocb, &n))
            return FRAME_MORE;
        if (n < 0)
            return refuse(frame, WS_CLOSE_PROTOCOL, "bad frame");
        reader->payload_left -= (uint64_t)n;
        if (take_piece(reader, limits, (const char *)iocb.data, (size_t)n, frame) ==
            FRAME_BAD)
            return FRAME_BAD;
    } while (reader->payload_left);
    *is_over = true;
    return end_frame(reader, limits, frame);
}

/* ---- reading: a frame that is here whole, as most are */

/* RFC 6455 5.3. */
static void unmask(char *to, const char *from, size_t n, const unsigned char *mask)
{
    uint64_t word, twice;
    size_t i = 0;

    memcpy(&twice, mask, 4);
    memcpy((char *)&twice + 4, mask, 4);
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, from + i, sizeof word);
        word ^= twice;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < n; i++)
        to[i] = (char)((unsigned char)from[i] ^ mask[i % 4]);
}

static bool is_whole(const struct frame_reader *reader, size_t len)
{
    return reader->head_given == 0 && len >= reader->payload_left && !reader->inflater;
}

/* As read_payload() does it. wslay would unmask byte by byte, and copy once more. */
static enum frame_event read_whole(struct frame_reader *reader,
                                   const struct frame_limits *limits, const char **data,
                                   size_t *len, struct frame *frame)
{
    const size_t n = (size_t)reader->payload_left;
    const unsigned char *mask = reader->head + reader->head_need - 4;
    char *to = reader->control;

    if (!is_control(reader)) {
        if (!make_room(reader, n ? n : 1))
            return refuse(frame, WS_CLOSE_TOO_BIG, "no memory for the message");
        to = reader->message + reader->message_len;
    }
    unmask(to, *data, n, mask);
    *data += n;
    *len -= n;
    reader->payload_left = 0;
    if (is_control(reader)) {
        reader->control_len = (uint8_t)n;
        return end_frame(reader, limits, frame);
    }
    if (reader->message_opcode == WSLAY_TEXT_FRAME &&
        !utf8_check_feed(&reader->utf8, to, n))
        return refuse(frame, WS_CLOSE_BAD_DATA, "text is not UTF-8");
    reader->message_len += n;
    frame->data = reader->message;
    frame->len = reader->message_len;
    return end_frame(reader, limits, frame);
}

enum frame_event frame_read(struct frame_reader *reader,
                            const struct frame_limits *limits, const char **data,
                            size_t *len, struct frame *frame)
{
    for (;;) {
        bool is_over = false;
        enum frame_event event;

        *frame = (struct frame){0};
        if (!reader->in_payload) {
            event = read_head(reader, limits, data, len, frame);
            if (event != FRAME_MORE || !reader->in_payload)
                return event;
        }
        if (is_whole(reader, *len)) {
            event = read_whole(reader, limits, data, len, frame);
            is_over = true;
        } else {
            event = read_payload(reader, limits, data, len, frame, &is_over);
        }
        if (event != FRAME_MORE || !is_over)
            return event;
    }
}

/* ---- writing */

struct frame_writer {
    wslay_frame_context_ptr wslay; /* owned */
    char *at;                      /* borrowed: where the next byte goes */
};

static ssize_t on_wslay_send(const uint8_t *data, size_t len, int flags, void *arg)
{
    struct frame_writer *writer = arg;

    (void)flags;
    memcpy(writer->at, data, len);
    writer->at += len;
    return (ssize_t)len;
}

struct frame_writer *frame_writer_new(void)
{
    static const struct wslay_frame_callbacks callbacks = {.send_callback =
                                                               on_wslay_send};
    struct frame_writer *writer = mem_calloc(1, sizeof *writer);

    if (wslay_frame_context_init(&writer->wslay, &callbacks, writer) != 0)
        mem_exhausted(WSLAY_BYTES);
    return writer;
}

void frame_writer_free(struct frame_writer *writer)
{
    if (!writer)
        return;
    wslay_frame_context_free(writer->wslay);
    free(writer);
}

size_t frame_size(size_t len)
{
    return len + (len < 126 ? 2 : len < 0x10000 ? 4 : 10);
}

size_t frame_head(enum frame_kind kind, size_t len, unsigned char head[FRAME_HEAD_MAX])
{
    size_t n_bytes = len < 126 ? 0 : len < 0x10000 ? 2 : 8;

    head[0] = (unsigned char)(0x80 | kind); /* RFC 6455 5.2: all of it in one frame */
    head[1] = (unsigned char)(n_bytes == 0 ? len : n_bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < n_bytes; i++)
        head[2 + i] = (unsigned char)(len >> 8 * (n_bytes - 1 - i));
    return 2 + n_bytes;
}

void frame_write(struct frame_writer *writer, enum frame_kind kind, const void *data,
                 size_t len, char *out)
{
    struct wslay_frame_iocb iocb = {
        .fin = 1,
        .opcode = (uint8_t)kind,
        .payload_length = len,
        .data = data,
        .data_length = len,
    };
    ssize_t n;

    writer->at = out;
    n = wslay_frame_send(writer->wslay, &iocb);
    assert(n == (ssize_t)len && writer->at == out + frame_size(len));
    (void)n;
}
