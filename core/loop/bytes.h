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

struct bytes {
    atomic_int refs;
    size_t len;
    size_t cap;
    char *data; /* owned: behind this struct, or on its own when growable */
};

/* A block of len bytes to be filled by the caller, count 1. */
struct bytes *bytes_new(size_t len);
/* The same for sizes that a client chooses: may return NULL. */
struct bytes *bytes_try_new(size_t len);
struct bytes *bytes_copy(const void *data, size_t len);
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
