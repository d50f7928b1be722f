/*
 * lane.c - records from one loop to another: see lane.h.
 *
 * Called by: loop.c only. Thread: sender and receiver as each function says.
 */
#include "core/loop/lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

enum { BLOCK_BYTES = 8192, ALIGN = 16 };

struct record {
    lane_work *work;
    size_t size;   /* of the payload, rounded up */
    size_t weight; /* of payload and what it keeps alive */
    size_t unused; /* keeps the payload 16-byte aligned */
};

struct lane_block {
    struct lane_block *next;
    size_t used, cap;
    size_t unused;
    /* records follow */
};

struct lane {
    /* the sender's own */
    struct lane_block *open_head, *open_tail;
    /* the receiver's own */
    struct lane_block *rest; /* taken before, and put back */
    /* shared */
    pthread_mutex_t mutex;
    struct lane_block *head, *tail;
    bool is_shut;
    atomic_size_t pending;
    atomic_bool wants_relief[LANE_MARKS];
};

_Static_assert(sizeof(struct record) % ALIGN == 0, "payloads are aligned");
_Static_assert(sizeof(struct lane_block) % ALIGN == 0, "records are aligned");

struct lane *lane_new(void)
{
    struct lane *lane = mem_calloc(1, sizeof *lane);

    pthread_mutex_init(&lane->mutex, NULL);
    atomic_init(&lane->pending, 0);
    for (unsigned i = 0; i < LANE_MARKS; i++)
        atomic_init(&lane->wants_relief[i], false);
    return lane;
}

static void free_blocks(struct lane_block *block)
{
    while (block) {
        struct lane_block *next = block->next;

        free(block);
        block = next;
    }
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    free_blocks(lane->open_head);
    free_blocks(lane->rest);
    free_blocks(lane->head);
    pthread_mutex_destroy(&lane->mutex);
    free(lane);
}

static void append(struct lane_block **head, struct lane_block **tail,
                   struct lane_block *first, struct lane_block *last)
{
    if (*tail)
        (*tail)->next = first;
    else
        *head = first;
    *tail = last;
}

/* NULL only when alloc gives that. */
static struct lane_block *new_block(size_t need, void *(*alloc)(size_t bytes))
{
    size_t cap = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    struct lane_block *block = alloc(sizeof *block + cap);

    if (block)
        *block = (struct lane_block){.cap = cap};
    return block;
}

/* Place a record into a block that has room for it; returns its payload. */
static void *place(struct lane_block *block, lane_work *work, size_t size, size_t weight)
{
    char *at = (char *)(block + 1) + block->used;
    struct record *record = (struct record *)(void *)at;

    *record = (struct record){.work = work, .size = size, .weight = weight};
    block->used += sizeof *record + size;
    return record + 1;
}

static void *push(struct lane *lane, lane_work *work, size_t payload_bytes, size_t weight,
                  void *(*alloc)(size_t bytes))
{
    size_t size = (payload_bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t need = sizeof(struct record) + size;
    struct lane_block *block = lane->open_tail;

    if (!block || block->cap - block->used < need) {
        block = new_block(need, alloc);
        if (!block)
            return NULL;
        append(&lane->open_head, &lane->open_tail, block, block);
    }
    weight += need;
    atomic_fetch_add(&lane->pending, weight);
    return place(block, work, size, weight);
}

void *lane_push(struct lane *lane, lane_work *work, size_t payload_bytes, size_t weight)
{
    return push(lane, work, payload_bytes, weight, mem_alloc);
}

void *lane_try_push(struct lane *lane, lane_work *work, size_t payload_bytes,
                    size_t weight)
{
    return push(lane, work, payload_bytes, weight, mem_alloc_mixed);
}

bool lane_publish(struct lane *lane)
{
    if (!lane->open_head)
        return false;
    pthread_mutex_lock(&lane->mutex);
    append(&lane->head, &lane->tail, lane->open_head, lane->open_tail);
    pthread_mutex_unlock(&lane->mutex);
    lane->open_head = lane->open_tail = NULL;
    return true;
}

bool lane_post(struct lane *lane, lane_work *work, const void *payload, size_t bytes)
{
    size_t size = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct lane_block *block = mem_alloc(sizeof *block + sizeof(struct record) + size);
    bool is_shut;

    *block = (struct lane_block){.cap = sizeof(struct record) + size};
    memcpy(place(block, work, size, 0), payload, bytes);
    pthread_mutex_lock(&lane->mutex);
    is_shut = lane->is_shut;
    if (!is_shut)
        append(&lane->head, &lane->tail, block, block);
    pthread_mutex_unlock(&lane->mutex);
    if (is_shut)
        free(block);
    return !is_shut;
}

void lane_shut(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    lane->is_shut = true;
    pthread_mutex_unlock(&lane->mutex);
}

struct lane_block *lane_take(struct lane *lane, bool is_own)
{
    struct lane_block *blocks = lane->rest;

    lane->rest = NULL;
    if (blocks)
        return blocks;
    if (is_own) {
        blocks = lane->open_head;
        lane->open_head = lane->open_tail = NULL;
        return blocks;
    }
    pthread_mutex_lock(&lane->mutex);
    blocks = lane->head;
    lane->head = lane->tail = NULL;
    pthread_mutex_unlock(&lane->mutex);
    return blocks;
}

void lane_put_back(struct lane *lane, struct lane_block *blocks)
{
    lane->rest = blocks;
}

size_t lane_run_first(struct lane_block **blocks, struct loop *to)
{
    struct lane_block *block = *blocks;
    char *at = (char *)(block + 1), *end = at + block->used;
    size_t weight = 0;

    while (at < end) {
        struct record *record = (struct record *)(void *)at;

        record->work(to, record + 1);
        weight += record->weight;
        at += sizeof *record + record->size;
    }
    *blocks = block->next;
    free(block);
    return weight;
}

size_t lane_run(struct lane_block *blocks, struct loop *to)
{
    size_t weight = 0;

    while (blocks)
        weight += lane_run_first(&blocks, to);
    return weight;
}

size_t lane_pending(struct lane *lane)
{
    return atomic_load(&lane->pending);
}

void lane_want_relief(struct lane *lane, enum lane_mark mark, bool wanted)
{
    atomic_store(&lane->wants_relief[mark], wanted);
}

bool lane_delivered(struct lane *lane, size_t weight,
                    const size_t relief_below[LANE_MARKS])
{
    size_t left = atomic_fetch_sub(&lane->pending, weight) - weight;
    bool is_due = false;

    for (unsigned i = 0; i < LANE_MARKS; i++)
        if (left <= relief_below[i] && atomic_load(&lane->wants_relief[i]) &&
            atomic_exchange(&lane->wants_relief[i], false))
            is_due = true;
    return is_due;
}
