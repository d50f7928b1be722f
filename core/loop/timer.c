/*
 * timer.c - FIFO lists of constant intervals: see timer.h.
 *
 * One libevent timer per loop is armed for the earliest head; nodes cost no system call.
 * Called by: engine and net (deadlines, heartbeats), loop.c (the turn). Thread: the loop.
 */
#include "core/loop/timer.h"

#include <stddef.h>

#include "core/loop/loop.h"

void timer_list_init(struct timer_list *list, struct loop *loop, int64_t interval_ms,
                     void (*on_due)(struct timer_node *node))
{
    *list = (struct timer_list){
        .loop = loop,
        .next_list = loop->timer_lists,
        .interval_ms = interval_ms,
        .on_due = on_due,
    };
    loop->timer_lists = list;
}

void timer_list_done(struct timer_list *list)
{
    struct timer_list **at = &list->loop->timer_lists;

    while (list->head)
        timer_stop(list->head);
    while (*at && *at != list)
        at = &(*at)->next_list;
    if (*at)
        *at = list->next_list;
}

static void insert_behind(struct timer_list *list, struct timer_node *before,
                          struct timer_node *node)
{
    node->list = list;
    node->prev = before;
    node->next = before ? before->next : list->head;
    if (node->next)
        node->next->prev = node;
    else
        list->tail = node;
    if (before)
        before->next = node;
    else
        list->head = node;
    list->n++;
}

void timer_start_at(struct timer_list *list, struct timer_node *node, uint64_t due_ms)
{
    struct timer_node *before;

    timer_stop(node);
    node->due_ms = due_ms;
    before = list->tail;
    while (before && before->due_ms > due_ms)
        before = before->prev;
    insert_behind(list, before, node);
    metric_add(&list->loop->metrics, METRIC_TIMERS, 1);
}

void timer_start(struct timer_list *list, struct timer_node *node)
{
    int64_t interval_ms = list->interval_ms > 0 ? list->interval_ms : 1;

    timer_start_at(list, node, loop_now(list->loop) + (uint64_t)interval_ms);
}

void timer_stop(struct timer_node *node)
{
    struct timer_list *list = node->list;

    if (!list)
        return;
    if (node->prev)
        node->prev->next = node->next;
    else
        list->head = node->next;
    if (node->next)
        node->next->prev = node->prev;
    else
        list->tail = node->prev;
    node->list = NULL;
    list->n--;
    metric_add(&list->loop->metrics, METRIC_TIMERS, -1);
}

void timers_run(struct loop *loop)
{
    for (struct timer_list *list = loop->timer_lists; list; list = list->next_list) {
        /* What a callback starts anew is due later than now: the walk ends. */
        for (int n = 0;
             n < TIMERS_A_TURN && list->head && list->head->due_ms <= loop_now(loop);
             n++) {
            struct timer_node *node = list->head;

            timer_stop(node);
            list->on_due(node);
        }
    }
}

uint64_t timers_next_due(const struct loop *loop)
{
    uint64_t due_ms = UINT64_MAX;

    for (const struct timer_list *list = loop->timer_lists; list; list = list->next_list)
        if (list->head && list->head->due_ms < due_ms)
            due_ms = list->head->due_ms;
    return due_ms;
}
