/*
 * bytes.h - encoded once, counted: the only memory that several connections and threads
 * share. Content is written by its maker before it is shared, and never after; a growable
 * one (turnbuf.h) is appended to by its one owner and read by the same thread.
 * Thread: any (the count is atomic).
 */
#ifndef LOOP_BYTES_H
#define LOOP_BYTES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    atomic_int refs;
    uint16_t n_parts; /* 0: all of it is one piece; see bytes_try_new_parts() */
    size_t len;
    size_t cap;
    char *data; /* owned: behind this struct, or on its own when growable */
};

/* A block of len bytes to be filled by the caller, count 1. */
struct bytes *bytes_new(size_t len);
/* The same for sizes that a client chooses: may return NULL. */
struct bytes *bytes_try_new(size_t len);
struct bytes *bytes_copy(const void *data, size_t len);
/*
 * A block of several parts, of at most max_parts and cap bytes in all: starts empty. What
 * its maker has written behind data + len becomes a part by bytes_end_part(). May return
 * NULL.
 */
enum { BYTES_MAX_PARTS = UINT16_MAX };
struct bytes *bytes_try_new_parts(size_t cap, unsigned max_parts);
/* The next len bytes are one more part: len grows by them. */
void bytes_end_part(struct bytes *bytes, size_t len);
/* Where part n ends; it starts where the one before it ends. */
size_t bytes_part_end(const struct bytes *bytes, unsigned n);
/* Take n more references at once. */
void bytes_ref(struct bytes *bytes, int n);
/* Give one back; frees at the last. Takes NULL. */
void bytes_unref(struct bytes *bytes);

/* Growable: starts empty; append may move data, so that readers keep offsets only. */
struct bytes *bytes_growable(size_t cap);
void bytes_append(struct bytes *bytes, const void *data, size_t len);
/* Room for len more bytes at data + len; then add what was written to len. */
char *bytes_reserve(struct bytes *bytes, size_t len);
/* Give back what a growable one does not use. */
void bytes_trim(struct bytes *bytes);

#endif
