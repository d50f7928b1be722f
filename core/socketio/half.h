/*
 * half.h - a packet whose attachments are still coming: its record for logic is made when
 * the text has come, and waits for them beside the link. Thread: shard.
 */
#ifndef SOCKETIO_HALF_H
#define SOCKETIO_HALF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop/loop.h"

struct attachments;
struct link;
struct settings;
struct sio;

void halves_init(struct sio *sio, const struct settings *settings);
void halves_done(struct sio *sio); /* after the last link has gone */

/*
 * A packet with n_due attachments (at least one) has begun, and the link has no other.
 * Returns room for its record (of size bytes, for work), to be filled at once;
 * *attachments is borrowed, for the record to name. NULL without memory.
 */
void *half_begin(struct link *link, lane_work *work, size_t size, unsigned n_due,
                 struct attachments **attachments);

enum half_result {
    HALF_MORE,     /* further ones are to come */
    HALF_COMPLETE, /* now half_send() it */
    HALF_TOO_LARGE,
    HALF_NO_MEMORY
};

/* The next attachment of link->half. */
enum half_result half_take(struct link *link, const void *data, size_t len);

/* Into the lane to logic. Returns false without memory: then it is still there. */
bool half_send(struct link *link);

/* Forget it, if there is one. */
void half_drop(struct link *link);

/* What it has allocated. */
size_t half_bytes(const struct link *link);

#endif
