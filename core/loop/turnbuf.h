/*
 * turnbuf.h - the append-only buffer that coalesces what one turn sends.
 *
 * A room has one in each shard, and each shard one for direct packets. Frames are
 * appended; a connection's queue holds slices {bytes, from, to}, and the slice that ends
 * where the next begins is extended: sixteen messages of a turn leave in one send(), from
 * memory that all receivers share. At the turn's end a buffer that nobody holds any more
 * is emptied for reuse, else let go. Thread: shard.
 */
#ifndef LOOP_TURNBUF_H
#define LOOP_TURNBUF_H

#include <stdbool.h>
#include <stddef.h>

struct bytes;
struct loop;

struct turnbuf {
    struct bytes *bytes;  /* ref: NULL until used in this turn */
    struct turnbuf *next; /* borrowed: the loop's list of those used in this turn */
    bool is_listed;
};

/*
 * Space for len bytes; *bytes is borrowed and *from their offset in it. A buffer that
 * would pass 16 KiB is let go first, so that a slow reader of one frame holds no more.
 */
char *turnbuf_append(struct turnbuf *turnbuf, struct loop *loop, size_t len,
                     struct bytes **bytes, size_t *from);

/* End of the turn, called by loop.c: empty what nobody holds, let go what someone does. */
void turnbufs_end_turn(struct loop *loop);

/* Forget the buffer (its holder is going). Safe within the turn. */
void turnbuf_done(struct turnbuf *turnbuf, struct loop *loop);

#endif
