/*
 * loop.h - one event_base and its turn; threads talk through lanes only.
 *
 * Loops 0..n_shards-1 are the shards; `logic` is the thread of plugins. With threads = 0
 * one loop is both shard 0 and logic, and the same code runs: what it sends to itself
 * goes through a lane too, drained at the end of the turn.
 *
 * The turn: what was put off to this turn -> wait for events, unless busy (what much input
 * leads to is done and sent in between: loop_take()) -> due timers -> inbound lanes in rounds (at most 16, and for some 20 ms; the rest is for the next turn,
 * which does not wait) -> stage PACK (sessions build responses) -> stage FLUSH (one send per
 * connection) -> publish outbound lanes -> stage FREE (what died in this turn).
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/metrics.h"
#include "core/loop/timer.h"

struct bytes;
struct event_base;
struct event;
struct lane;
struct turnbuf;

enum { LOOPS_MAX = 65, LOOP_HOOKS = 16 }; /* 64 shards and logic */

enum loop_stage { LOOP_PACK, LOOP_FLUSH, LOOP_FREE, LOOP_STAGES };

struct loop_hook {
    void (*run)(void *arg);
    void *arg;
};

struct loop {
    struct loops *loops; /* borrowed: the group */
    unsigned index;      /* in loops->loop */
    struct event_base *base;
    struct metrics metrics;

    /* private to core/loop */
    struct lane *in[LOOPS_MAX]; /* owned: lane from loop i to this one */
    struct lane *posts;         /* owned: from any thread, loop_post() */
    struct lane *next_turn;     /* owned: to itself, loop_send_next_turn() */
    struct timer_list *timer_lists;
    struct event *timer_event, *wake_event;
    uint64_t timer_armed_ms;
    int wake_fd;
    atomic_bool wake_sent;
    struct loop_hook hook[LOOP_STAGES][LOOP_HOOKS], relief[LOOP_HOOKS];
    unsigned n_hooks[LOOP_STAGES], n_reliefs;
    struct turnbuf *turnbufs;
    struct bytes **kept; /* refs: until the turn ends */
    size_t n_kept, kept_cap;
    uint64_t now_ms, drain_until_ms;
    uint64_t parts_until_ms; /* of this turn: loop_take(); 0 before its first */
    size_t n_taken;          /* bytes of input in this part of the turn: loop_take() */
    bool now_is_fresh, must_stop, is_busy;
    atomic_bool is_running;
    atomic_uint n_turns;
    pthread_t thread;  /* that runs it: for loop_is_mine() */
    pthread_t started; /* by loops_start(), for loops_join() */
};

struct loops {
    unsigned n_shards; /* at least 1 */
    unsigned n_loops;  /* n_shards, or n_shards + 1 when logic has a thread of its own */
    struct loop *loop[LOOPS_MAX]; /* owned */
    struct loop *logic;           /* borrowed: loop[n_loops - 1] */
    size_t max_lane_bytes;
};

/* n_threads: 0 for one loop in all, else that many shards beside logic. */
struct loops *loops_new(int n_threads, size_t max_lane_bytes);
void loops_free(struct loops *loops);

/*
 * Start a thread for each shard (none with threads = 0). loops_join() waits for them; the
 * caller's thread is logic and calls loop_run() itself.
 */
void loops_start(struct loops *loops);
void loops_join(struct loops *loops);

/* Run turns until loop_stop() was called in this loop's thread. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Whether its turns have begun, and not ended. Thread: any. */
bool loop_is_running(const struct loop *loop);

/* After loops_join(): loop_post() refuses from now on, in loops that never ran too. What was
 * posted before is still delivered. */
void loops_shut(struct loops *loops);

/* After loops_join(): deliver what still lies in lanes, in the caller's thread. */
void loops_drain(struct loops *loops);

/* The number of the turn at hand, or of the one that waits for events. Thread: any. */
unsigned loop_turn(const struct loop *loop);

/* The monotonic clock in ms, read once a turn. Thread: the loop's. */
uint64_t loop_now(struct loop *loop);

/* Give a reference up at the end of this turn, or of its part. Thread: the loop's. */
void loop_keep_bytes(struct loop *loop, struct bytes *bytes);

/* Whether the calling thread runs this loop now (or no loop runs yet). */
bool loop_is_mine(const struct loop *loop);

/* At most LOOP_HOOKS a stage, called in the order of registration. */
void loop_on_stage(struct loop *loop, enum loop_stage stage, void (*run)(void *),
                   void *arg);
/* Take back what loop_on_stage() was given with these; not from within that stage. */
void loop_off_stage(struct loop *loop, enum loop_stage stage, void (*run)(void *),
                    void *arg);

/*
 * Send work to a loop (itself included): returns room for the payload (16-byte aligned),
 * to be filled before the callback at hand returns. work runs in `to`, in the order of
 * sending, with the payload borrowed until it returns. weight: further bytes that the
 * record keeps alive, for back-pressure. Thread: from's.
 */
typedef void lane_work(struct loop *to, void *payload);
void *loop_send(struct loop *from, struct loop *to, lane_work *work, size_t payload_bytes,
                size_t weight);

/* The same for sizes that a client chooses: NULL without memory for a large one. */
void *loop_try_send(struct loop *from, struct loop *to, lane_work *work,
                    size_t payload_bytes, size_t weight);

/* The same from a loop to itself, but in its next turn, which does not wait for events:
 * those come in between. Thread: the loop's. */
void *loop_send_next_turn(struct loop *loop, lane_work *work, size_t payload_bytes);

/*
 * n bytes of input have been dealt with. After LOOP_PART_BYTES of them all that they lead to
 * is sent before the next event of the turn is looked at: what is under way stays in the
 * processor's cache, and who was read first is answered before the last is read. Timers,
 * other threads and LOOP_FREE wait for the turn's end. Called last in a callback of
 * libevent. Thread: the loop's.
 */
enum { LOOP_PART_BYTES = 128 << 10 };
void loop_take(struct loop *loop, size_t n);

/*
 * Whether the lane from -> to holds more than max_lane_bytes. Once it has drained to half,
 * the hook of loop_on_relief() is called in `from`. Logic takes nothing from the shards
 * while a lane of its own is so full: theirs fill then. Thread: from's.
 */
bool loop_is_congested(struct loop *from, struct loop *to);
/* The same at a 32nd of that: who has sent much already should send no more just now. */
bool loop_is_behind(struct loop *from, struct loop *to);
void loop_on_relief(struct loop *loop, void (*run)(void *), void *arg);

/* Run work(arg) in the loop. Returns 0, or -1 when the loop has ended. Thread: any. */
int loop_post(struct loop *to, void (*work)(void *arg), void *arg);

#endif
