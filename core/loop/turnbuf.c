/*
 * turnbuf.c - append-only buffers of one turn: see turnbuf.h.
 *
 * Called by: core/engine/websocket.c (frames), core/net/conn_send.c (direct copies), loop.c (end
 * of the turn). Thread: shard.
 */
#include "core/loop/turnbuf.h"

#include <stdatomic.h>

#include "core/loop/bytes.h"
#include "core/loop/loop.h"

enum {
    TURNBUF_FIRST = 1024,  /* most turns send a few small frames */
    TURNBUF_MAX = 16 << 10 /* what a slow reader of one frame may keep alive */
};

static void list(struct turnbuf *turnbuf, struct loop *loop)
{
    if (turnbuf->is_listed)
        return;
    turnbuf->is_listed = true;
    turnbuf->next = loop->turnbufs;
    loop->turnbufs = turnbuf;
}

/* Give our reference up: whoever holds slices keeps the block alive, trimmed. */
static void let_go(struct turnbuf *turnbuf)
{
    bytes_trim(turnbuf->bytes);
    bytes_unref(turnbuf->bytes);
    turnbuf->bytes = NULL;
}

char *turnbuf_append(struct turnbuf *turnbuf, struct loop *loop, size_t len,
                     struct bytes **bytes, size_t *from)
{
    char *space;

    if (turnbuf->bytes && turnbuf->bytes->len &&
        turnbuf->bytes->len + len > TURNBUF_MAX) {
        loop_keep_bytes(loop, turnbuf->bytes);
        turnbuf->bytes = NULL;
    }
    if (!turnbuf->bytes)
        turnbuf->bytes = bytes_growable(len > TURNBUF_FIRST ? len : TURNBUF_FIRST);
    list(turnbuf, loop);
    space = bytes_reserve(turnbuf->bytes, len);
    *bytes = turnbuf->bytes;
    *from = turnbuf->bytes->len;
    turnbuf->bytes->len += len;
    return space;
}

void turnbufs_end_turn(struct loop *loop)
{
    struct turnbuf *turnbuf = loop->turnbufs;

    loop->turnbufs = NULL;
    while (turnbuf) {
        struct turnbuf *next = turnbuf->next;

        turnbuf->is_listed = false;
        turnbuf->next = NULL;
        if (turnbuf->bytes) {
            bool is_shared =
                atomic_load_explicit(&turnbuf->bytes->refs, memory_order_relaxed) > 1;

            if (is_shared || turnbuf->bytes->cap > TURNBUF_FIRST)
                let_go(turnbuf);
            else
                turnbuf->bytes->len = 0;
        }
        turnbuf = next;
    }
}

void turnbuf_done(struct turnbuf *turnbuf, struct loop *loop)
{
    struct turnbuf **at = &loop->turnbufs;

    while (turnbuf->is_listed && *at) {
        if (*at == turnbuf) {
            *at = turnbuf->next;
            break;
        }
        at = &(*at)->next;
    }
    turnbuf->is_listed = false;
    turnbuf->next = NULL;
    if (turnbuf->bytes)
        loop_keep_bytes(loop, turnbuf->bytes);
    turnbuf->bytes = NULL;
}
