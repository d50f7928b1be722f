/*
 * lane.h - the one-way queue from one loop to another: records in blocks.
 *
 * The sender writes records into blocks of its own and publishes them once a turn: a swap
 * under the mutex. The receiver takes all that is published in one step. Order is FIFO.
 * A lane from a loop to itself needs no publishing: lane_take() gets the open blocks.
 */
#ifndef LOOP_LANE_H
#define LOOP_LANE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/loop/loop.h"

struct lane;
struct lane_block;

struct lane *lane_new(void);
/* Releases what nobody took, without running it. */
void lane_free(struct lane *lane);

/* Room for a payload in the sender's open block. Thread: sender. */
void *lane_push(struct lane *lane, lane_work *work, size_t payload_bytes, size_t weight);
/* The same for sizes that a client chooses: NULL without memory for a large one. */
void *lane_try_push(struct lane *lane, lane_work *work, size_t payload_bytes,
                    size_t weight);

/* Make what was pushed visible. Returns whether there was anything. Thread: sender. */
bool lane_publish(struct lane *lane);

/* Push and publish in one step, from any thread; false once the lane is shut. */
bool lane_post(struct lane *lane, lane_work *work, const void *payload, size_t bytes);
void lane_shut(struct lane *lane); /* Thread: receiver */

/* What was put back, else everything that has arrived; NULL when empty. is_own: sender and
 * receiver are one. */
struct lane_block *lane_take(struct lane *lane, bool is_own);
/* What was taken and not run: the next lane_take() gets it. */
void lane_put_back(struct lane *lane, struct lane_block *blocks);

/* Run and release taken blocks; returns the weight that was delivered. */
size_t lane_run(struct lane_block *blocks, struct loop *to);
/* The same for the first of them, which must be there; *blocks are those that follow. */
size_t lane_run_first(struct lane_block **blocks, struct loop *to);

/* Bytes pushed and not yet delivered. Thread: any. */
size_t lane_pending(struct lane *lane);
/* How much waits: the sender may ask to be told once that is over. */
enum lane_mark { LANE_FULL, LANE_BEHIND, LANE_MARKS };
/* Ask, or not any more. Thread: sender */
void lane_want_relief(struct lane *lane, enum lane_mark mark, bool wanted);
/* Count delivered bytes; returns true when the sender asked for relief of a mark and no more
 * than relief_below[mark] is left. Thread: receiver */
bool lane_delivered(struct lane *lane, size_t weight,
                    const size_t relief_below[LANE_MARKS]);

#endif
