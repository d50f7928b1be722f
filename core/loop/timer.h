/*
 * timer.h - timers of a constant interval, in FIFO lists: 24 + 8 bytes each, O(1).
 *
 * A node started on a list is due interval_ms later (monotonic clock, coarse: up to
 * TIMER_TICK_MS late). Thread: the loop that owns the list.
 */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct timer_list;

enum { TIMER_TICK_MS = 10 };

struct timer_node {
    struct timer_node *prev, *next;
    struct timer_list *list; /* borrowed: NULL when not running */
    uint64_t due_ms;
};

struct timer_list {
    struct loop *loop;
    struct timer_list *next_list; /* the loop's lists */
    struct timer_node *head, *tail;
    size_t n;
    int64_t interval_ms;
    void (*on_due)(struct timer_node *node); /* the node is stopped by then */
};

void timer_list_init(struct timer_list *list, struct loop *loop, int64_t interval_ms,
                     void (*on_due)(struct timer_node *node));
/* Stop all its nodes and take it off the loop. */
void timer_list_done(struct timer_list *list);
/* Start, or start anew from now. */
void timer_start(struct timer_list *list, struct timer_node *node);
/* Start with a due time of its own (a moved connection's deadline): kept in order by a
 * walk from the tail. */
void timer_start_at(struct timer_list *list, struct timer_node *node, uint64_t due_ms);
void timer_stop(struct timer_node *node); /* safe when not running */
static inline bool timer_is_running(const struct timer_node *node)
{
    return node->list != NULL;
}

enum { TIMERS_A_TURN = 64 };

/*
 * For loop.c: call what is due, but of each list so many a turn: a crowd that is to be cut
 * at once shall delay nobody. The rest stays due. And the earliest due time, UINT64_MAX
 * when none runs.
 */
void timers_run(struct loop *loop);
uint64_t timers_next_due(const struct loop *loop);

#endif
