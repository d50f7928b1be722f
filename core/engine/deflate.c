/*
 * deflate.c - permessage-deflate through zlib: see deflate.h.
 *
 * Called by: open.c (the handshake), frame.c (in), websocket_send.c (out). Thread: any; a pool
 * has one user.
 */
#include "core/engine/deflate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/mem.h"

enum {
    LEVEL = 1,              /* the fastest: a shard has many receivers to serve */
    MEM_LEVEL = 8,          /* zlib's default: 256 KiB with the widest window */
    POOL_MAX = 8,           /* inflaters kept for reuse: 40 KiB each */
    KEPT_SCRATCH = 64 << 10 /* the largest buffer that is kept for the next message */
};

/* ---- the negotiation */

/* A walk over a header's value. */
struct reader {
    const char *at; /* borrowed */
};

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t')
        reader->at++;
}

/* Whether it stands next, with blanks around it; then it is taken. */
static bool take(struct reader *reader, char c)
{
    skip_blanks(reader);
    if (*reader->at != c)
        return false;
    reader->at++;
    skip_blanks(reader);
    return true;
}

/* RFC 9110 5.6.2 */
static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A token; len 0: there is none. */
static size_t take_token(struct reader *reader, const char **token)
{
    *token = reader->at;
    while (is_token_char(*reader->at))
        reader->at++;
    return (size_t)(reader->at - *token);
}

/* A token, or one in quotes (RFC 6455 9.1: what stands in them must be one). */
static bool take_value(struct reader *reader, const char **value, size_t *len)
{
    bool is_quoted = *reader->at == '"';

    if (is_quoted)
        reader->at++;
    *len = take_token(reader, value);
    if (*len == 0 || (is_quoted && *reader->at != '"'))
        return false;
    if (is_quoted)
        reader->at++;
    return true;
}

/* 7.1.2: 8 to 15, without a leading zero. 0: it is not. */
static unsigned window_bits_of(const char *value, size_t len)
{
    if (len == 1 && (*value == '8' || *value == '9'))
        return (unsigned)(*value - '0');
    if (len == 2 && value[0] == '1' && value[1] >= '0' && value[1] <= '5')
        return 10 + (unsigned)(value[1] - '0');
    return 0;
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(text, word, len) == 0;
}

enum parameter {
    SERVER_NO_CONTEXT_TAKEOVER = 1,
    CLIENT_NO_CONTEXT_TAKEOVER = 2,
    SERVER_MAX_WINDOW_BITS = 4,
    CLIENT_MAX_WINDOW_BITS = 8
};

/* An offer as far as it has been read. */
struct offer {
    unsigned seen; /* enum parameter */
    unsigned window_bits;
    bool is_declined;
};

/* value: NULL for a parameter without one. Whatever the RFC does not define, and what
 * stands twice, declines the offer (7.1). */
static void note_parameter(struct offer *offer, const char *name, size_t name_len,
                           const char *value, size_t value_len)
{
    static const char *const names[] = {
        "server_no_context_takeover", "client_no_context_takeover",
        "server_max_window_bits", "client_max_window_bits"};
    unsigned bits = value ? window_bits_of(value, value_len) : 0, which = 0;

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (is_word(name, name_len, names[i]))
            which = 1u << i;
    if (!which || offer->seen & which ||
        (which <= CLIENT_NO_CONTEXT_TAKEOVER ? value != NULL : value && !bits) ||
        (which == SERVER_MAX_WINDOW_BITS && !value))
        offer->is_declined = true;
    if (which == SERVER_MAX_WINDOW_BITS && bits)
        offer->window_bits = bits;
    offer->seen |= which;
}

/* One extension with its parameters. Returns false when it is malformed. */
static bool take_offer(struct reader *reader, struct offer *offer)
{
    const char *name, *value;
    size_t name_len = take_token(reader, &name), value_len;

    *offer = (struct offer){.window_bits = DEFLATE_MAX_BITS};
    if (name_len == 0)
        return false;
    offer->is_declined = !is_word(name, name_len, "permessage-deflate");
    while (take(reader, ';')) {
        name_len = take_token(reader, &name);
        value = NULL;
        value_len = 0;
        if (name_len == 0)
            return false;
        if (take(reader, '=') && !take_value(reader, &value, &value_len))
            return false;
        note_parameter(offer, name, name_len, value, value_len);
    }
    return true;
}

enum deflate_offer deflate_read_offer(const char *value, unsigned *window_bits)
{
    struct reader reader = {value};
    enum deflate_offer result = DEFLATE_NONE;
    struct offer offer;

    /* RFC 9110 5.6.1: a list may have empty elements. */
    do {
        skip_blanks(&reader);
        if (*reader.at == ',' || *reader.at == '\0')
            continue;
        if (!take_offer(&reader, &offer))
            return DEFLATE_MALFORMED;
        if (!offer.is_declined && result == DEFLATE_NONE) {
            *window_bits = offer.window_bits;
            result = DEFLATE_ACCEPTED;
        }
    } while (take(&reader, ','));
    return *reader.at ? DEFLATE_MALFORMED : result;
}

void deflate_answer(unsigned window_bits, char answer[DEFLATE_ANSWER_MAX])
{
    int len = snprintf(answer, DEFLATE_ANSWER_MAX,
                       "permessage-deflate; server_no_context_takeover; "
                       "client_no_context_takeover");

    if (window_bits < DEFLATE_MAX_BITS)
        snprintf(answer + len, DEFLATE_ANSWER_MAX - (size_t)len,
                 "; server_max_window_bits=%u", window_bits);
}

/* ---- zlib's memory: how much there is of it at a time is for clients to say */

static void *on_alloc(void *arg, unsigned n, unsigned size)
{
    (void)arg;
    return mem_try_alloc((size_t)n * size);
}

static void on_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

/* ---- in */

struct inflater {
    z_stream zlib;
    struct inflater *next; /* in the pool */
    uint8_t tail_given;    /* of the four bytes */
    bool is_at_end;        /* behind a block that said it was the last */
};

static void inflater_free(struct inflater *inflater)
{
    inflateEnd(&inflater->zlib);
    free(inflater);
}

struct inflater *inflater_take(struct deflate_pool *pool)
{
    struct inflater *inflater = pool->free_inflaters;

    if (inflater) {
        pool->free_inflaters = inflater->next;
        pool->n_free--;
        return inflater;
    }
    inflater = mem_try_alloc(sizeof *inflater);
    if (!inflater)
        return NULL;
    *inflater = (struct inflater){.zlib = {.zalloc = on_alloc, .zfree = on_free}};
    if (inflateInit2(&inflater->zlib, -DEFLATE_MAX_BITS) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

void inflater_give(struct deflate_pool *pool, struct inflater *inflater)
{
    if (!inflater)
        return;
    if (pool->n_free >= POOL_MAX || inflateReset(&inflater->zlib) != Z_OK) {
        inflater_free(inflater);
        return;
    }
    inflater->tail_given = 0;
    inflater->is_at_end = false;
    inflater->next = pool->free_inflaters;
    pool->free_inflaters = inflater;
    pool->n_free++;
}

enum inflate_result inflater_run(struct inflater *inflater, const char **in,
                                 size_t *in_len, char *out, size_t *out_len)
{
    z_stream *zlib = &inflater->zlib;
    size_t room = *out_len;
    int result = Z_OK;

    zlib->next_in = (unsigned char *)(uintptr_t)*in; /* zlib only reads it */
    zlib->avail_in = (unsigned)*in_len;
    zlib->next_out = (unsigned char *)out;
    zlib->avail_out = (unsigned)room;
    do {
        /* 7.2.3.4: a block may say that it is the last; another may follow all the same. */
        if (inflater->is_at_end && zlib->avail_in)
            inflateReset(zlib);
        else if (inflater->is_at_end)
            break;
        result = inflate(zlib, Z_SYNC_FLUSH);
        inflater->is_at_end = result == Z_STREAM_END;
    } while (inflater->is_at_end);
    *in = (const char *)zlib->next_in;
    *in_len = zlib->avail_in;
    *out_len = room - zlib->avail_out;
    if (result == Z_MEM_ERROR)
        return INFLATE_NO_MEMORY;
    if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
        return INFLATE_BAD;
    return zlib->avail_out ? INFLATE_OK : INFLATE_FULL;
}

enum inflate_result inflater_end(struct inflater *inflater, char *out, size_t *out_len)
{
    static const char tail[4] = {'\0', '\0', '\xff', '\xff'}; /* 7.2.2 */
    const char *in = tail + inflater->tail_given;
    size_t left = sizeof tail - inflater->tail_given;
    enum inflate_result result = inflater_run(inflater, &in, &left, out, out_len);

    inflater->tail_given = (uint8_t)(sizeof tail - left);
    if (result != INFLATE_OK)
        return result;
    /* zlib.h: 128 stands for between two blocks. What ends elsewhere was cut. */
    return inflater->is_at_end || inflater->zlib.data_type & 128 ? INFLATE_OK
                                                                 : INFLATE_BAD;
}

/* ---- out */

struct deflater {
    z_stream zlib;
};

static void deflater_free(struct deflater *deflater)
{
    if (!deflater)
        return;
    deflateEnd(&deflater->zlib);
    free(deflater);
}

static struct deflater *deflater_new(int bits)
{
    struct deflater *deflater = mem_try_alloc(sizeof *deflater);

    if (!deflater)
        return NULL;
    *deflater = (struct deflater){.zlib = {.zalloc = on_alloc, .zfree = on_free}};
    if (deflateInit2(&deflater->zlib, LEVEL, Z_DEFLATED, -bits, MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) == Z_OK)
        return deflater;
    free(deflater);
    return NULL;
}

enum deflate_class deflate_class(unsigned window_bits, size_t len)
{
    /* A message refers to nothing before it: one that fits into the window may be
     * deflated with a wider one. */
    if (window_bits == DEFLATE_MAX_BITS || len <= (size_t)1 << window_bits)
        return DEFLATE_WIDE;
    return window_bits >= DEFLATE_NARROW_BITS ? DEFLATE_NARROW : DEFLATE_NOT;
}

static bool make_room(struct deflate_pool *pool, size_t len)
{
    char *grown;

    if (len <= pool->scratch_cap &&
        (pool->scratch_cap <= KEPT_SCRATCH || len > KEPT_SCRATCH))
        return true;
    if (len < KEPT_SCRATCH)
        len = KEPT_SCRATCH;
    free(pool->scratch);
    pool->scratch_cap = 0;
    pool->scratch = grown = mem_try_alloc(len);
    if (!grown)
        return false;
    pool->scratch_cap = len;
    return true;
}

size_t deflate_message(struct deflate_pool *pool, unsigned window_bits, const void *data,
                       size_t len, const char **out)
{
    enum deflate_class class = deflate_class(window_bits, len);
    struct deflater **deflater = class == DEFLATE_WIDE ? &pool->wide : &pool->narrow;
    z_stream *zlib;
    size_t n;
    int result;

    if (class == DEFLATE_NOT || len < 8 || len > UINT32_MAX || !make_room(pool, len))
        return 0;
    if (!*deflater)
        *deflater =
            deflater_new(class == DEFLATE_WIDE ? DEFLATE_MAX_BITS : DEFLATE_NARROW_BITS);
    if (!*deflater)
        return 0;
    zlib = &(*deflater)->zlib;
    zlib->next_in = (unsigned char *)(uintptr_t)data; /* zlib only reads it */
    zlib->avail_in = (unsigned)len;
    zlib->next_out = (unsigned char *)pool->scratch;
    zlib->avail_out = (unsigned)len;
    result = deflate(zlib, Z_SYNC_FLUSH);
    n = len - zlib->avail_out;
    if (deflateReset(zlib) != Z_OK || result != Z_OK || n < 5 || n >= len)
        return 0;
    *out = pool->scratch;
    return n - 4; /* 7.2.1: an empty block's last four bytes are left out */
}

void deflate_pool_done(struct deflate_pool *pool)
{
    while (pool->free_inflaters) {
        struct inflater *inflater = pool->free_inflaters;

        pool->free_inflaters = inflater->next;
        inflater_free(inflater);
    }
    deflater_free(pool->wide);
    deflater_free(pool->narrow);
    free(pool->scratch);
    *pool = (struct deflate_pool){0};
}
