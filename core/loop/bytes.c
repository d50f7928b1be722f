/*
 * bytes.c - counted blocks of bytes: see bytes.h.
 *
 * Called by: every layer that sends. Thread: any; the count is atomic, the content is
 * written before a block is shared.
 */
#include "core/loop/bytes.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

static struct bytes *init_inline(struct bytes *bytes, size_t len)
{
    atomic_init(&bytes->refs, 1);
    bytes->n_parts = 0;
    bytes->len = len;
    bytes->cap = len;
    bytes->data = (char *)(bytes + 1);
    return bytes;
}

/* C29: a sum that a caller's length is part of. One that does not fit is asked for as
 * SIZE_MAX, which no allocation gives. */
static size_t add(size_t a, size_t b)
{
    size_t sum;

    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

struct bytes *bytes_new(size_t len)
{
    return init_inline(mem_alloc(add(sizeof(struct bytes), len)), len);
}

struct bytes *bytes_try_new(size_t len)
{
    struct bytes *bytes = mem_try_alloc(add(sizeof *bytes, len));

    return bytes ? init_inline(bytes, len) : NULL;
}

struct bytes *bytes_copy(const void *data, size_t len)
{
    struct bytes *bytes = bytes_new(len);

    if (len)
        memcpy(bytes->data, data, len);
    return bytes;
}

/* ---- parts: where they end stands behind the content, in the same block */

static size_t round_up(size_t len)
{
    const size_t mask = sizeof(size_t) - 1;

    return add(len, mask) == SIZE_MAX ? SIZE_MAX : (len + mask) & ~mask;
}

static size_t *part_ends(const struct bytes *bytes)
{
    return (size_t *)(void *)(bytes->data + bytes->cap);
}

struct bytes *bytes_try_new_parts(size_t cap, unsigned max_parts)
{
    size_t rounded = round_up(cap);
    struct bytes *bytes;

    assert(max_parts <= BYTES_MAX_PARTS);
    bytes = mem_try_alloc(
        add(sizeof *bytes, add(rounded, (size_t)max_parts * sizeof(size_t))));
    if (!bytes)
        return NULL;
    init_inline(bytes, 0);
    bytes->cap = rounded;
    return bytes;
}

void bytes_end_part(struct bytes *bytes, size_t len)
{
    assert(bytes->cap - bytes->len >= len);
    bytes->len += len;
    part_ends(bytes)[bytes->n_parts++] = bytes->len;
}

size_t bytes_part_end(const struct bytes *bytes, unsigned n)
{
    assert(n < bytes->n_parts);
    return part_ends(bytes)[n];
}

void bytes_ref(struct bytes *bytes, int n)
{
    atomic_fetch_add_explicit(&bytes->refs, n, memory_order_relaxed);
}

void bytes_unref(struct bytes *bytes)
{
    if (!bytes)
        return;
    if (atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (bytes->data != (char *)(bytes + 1))
        free(bytes->data);
    free(bytes);
}

struct bytes *bytes_growable(size_t cap)
{
    struct bytes *bytes = mem_alloc(sizeof *bytes);

    atomic_init(&bytes->refs, 1);
    bytes->n_parts = 0;
    bytes->len = 0;
    bytes->cap = cap ? cap : 64;
    bytes->data = mem_alloc(bytes->cap);
    return bytes;
}

char *bytes_reserve(struct bytes *bytes, size_t len)
{
    assert(bytes->data != (char *)(bytes + 1)); /* fixed blocks do not grow */
    if (bytes->cap - bytes->len < len) {
        size_t cap = add(bytes->cap, bytes->cap);

        if (cap - bytes->len < len)
            cap = add(bytes->len, len);
        bytes->data = mem_realloc(bytes->data, cap);
        bytes->cap = cap;
    }
    return bytes->data + bytes->len;
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    if (!len)
        return;
    memcpy(bytes_reserve(bytes, len), data, len);
    bytes->len += len;
}

void bytes_trim(struct bytes *bytes)
{
    if (bytes->data == (char *)(bytes + 1) || bytes->cap - bytes->len < 256)
        return;
    bytes->cap = bytes->len ? bytes->len : 1;
    bytes->data = mem_realloc(bytes->data, bytes->cap);
}
