/*
 * attachments.c - what came behind a packet with attachments: see records.h.
 *
 * Called by: core/socketio/half.c (made, shard) and hub.c (released, logic). Thread: any;
 * one owner at a time.
 */
#include <stdlib.h>

#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/socketio/records.h"

struct attachments *attachments_try_new(unsigned n)
{
    struct attachments *attachments =
        mem_try_alloc(sizeof *attachments + n * sizeof(struct bytes *));

    if (attachments)
        *attachments = (struct attachments){.n = 0};
    return attachments;
}

void attachments_free(struct attachments *attachments)
{
    if (!attachments)
        return;
    for (uint32_t i = 0; i < attachments->n; i++)
        bytes_unref(attachments->at[i]);
    free(attachments);
}
