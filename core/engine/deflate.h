/*
 * deflate.h - permessage-deflate: what is negotiated, and messages inflated and deflated.
 *
 * No context is kept from one message to the next, on either side: so a frame that was
 * deflated once serves all receivers, and an idle connection holds no state. Knows neither
 * connections nor clocks. Thread: any; a pool and what comes from it have one user.
 * Source: RFC 7692.
 */
#ifndef ENGINE_DEFLATE_H
#define ENGINE_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the negotiation: RFC 7692 5.1 and 7.1, RFC 6455 9.1 */

enum {
    DEFLATE_MAX_BITS = 15,   /* of the window: 32 KiB */
    DEFLATE_NARROW_BITS = 9, /* the smallest window that zlib writes */
    DEFLATE_ANSWER_MAX = 120 /* the answer's value and its NUL */
};

enum deflate_offer {
    DEFLATE_NONE,     /* no offer that we take: the connection goes on without */
    DEFLATE_ACCEPTED, /* *window_bits: how far back what we send may refer, 8 to 15 */
    DEFLATE_MALFORMED /* it is no list of extensions: refuse the handshake */
};

/*
 * Look for an offer that can be taken in the value of one Sec-WebSocket-Extensions: the
 * first one counts. Offers of other extensions are passed over.
 */
enum deflate_offer deflate_read_offer(const char *value, unsigned *window_bits);

/* The value to answer an accepted offer with. */
void deflate_answer(unsigned window_bits, char answer[DEFLATE_ANSWER_MAX]);

/* ---- messages in */

struct inflater;

enum inflate_result {
    INFLATE_OK,   /* all input is taken, and there may be more to come */
    INFLATE_FULL, /* all room is filled: call again with more */
    INFLATE_BAD,
    INFLATE_NO_MEMORY
};

struct deflate_pool {
    struct inflater *free_inflaters; /* owned */
    struct deflater *wide, *narrow; /* owned: made with the first message that needs it */
    char *scratch;                  /* owned */
    size_t scratch_cap;
    unsigned n_free;
};
void deflate_pool_done(struct deflate_pool *pool);

/* For one message. NULL without memory. */
struct inflater *inflater_take(struct deflate_pool *pool);
void inflater_give(struct deflate_pool *pool, struct inflater *inflater); /* takes NULL */

/* *in, *in_len advance, *out_len bytes of room become what was written. */
enum inflate_result inflater_run(struct inflater *inflater, const char **in,
                                 size_t *in_len, char *out, size_t *out_len);
/* The message's last byte is in: give it the four that its sender left out. in_len is 0
 * with the first call; again after INFLATE_FULL. */
enum inflate_result inflater_end(struct inflater *inflater, char *out, size_t *out_len);

enum { INFLATER_BYTES = 40 << 10 /* what one holds, about */ };

/* ---- messages out */

/*
 * Deflate a message for a receiver whose window has so many bits. Returns what stands in
 * *out (borrowed until the pool is used again), or 0: it does not become shorter, or not
 * within this window, or there is no memory; send it as it is.
 */
size_t deflate_message(struct deflate_pool *pool, unsigned window_bits, const void *data,
                       size_t len, const char **out);

/*
 * Receivers with windows of different sizes share what was deflated when this is the same
 * for their windows and the message.
 */
enum deflate_class { DEFLATE_WIDE, DEFLATE_NARROW, DEFLATE_NOT, DEFLATE_CLASSES = 2 };
enum deflate_class deflate_class(unsigned window_bits, size_t len);

#endif
