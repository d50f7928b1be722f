/*
 * timer.h - callbacks that come later, once or again and again.
 *
 * The server owns every timer and stops it when its plugin goes. Their callbacks run in the
 * logic thread, between events, like all of a plugin's code.
 */
#ifndef SOCKHOP_TIMER_H
#define SOCKHOP_TIMER_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One timer, by value. It may be stored for as long as one likes: cancelling one that is
 * over does nothing and says so. HOP_NO_TIMER is never one.
 */
typedef uint64_t hop_timer;
#define HOP_NO_TIMER ((hop_timer)0)

/* The longest time of a timer, ms: 366 days. */
#define HOP_TIMER_MAX_MS INT64_C(31622400000)

/*
 * It is time. May cancel timer, and start others. self is the pointer given at the start.
 * Thread: logic.
 */
typedef void hop_timer_callback(hop_timer timer, void *self);

/*
 * Call callback once, delay_ms from now, or every every_ms, first every_ms from now.
 *   delay_ms  0 to HOP_TIMER_MAX_MS; 0: in a later turn, never from within this call
 *   every_ms  1 to HOP_TIMER_MAX_MS
 *   self      the plugin's own; must live until the timer is over
 *
 * The clock is monotonic: it does not jump with the time of day, and stands still while the
 * machine sleeps. A callback never comes early; it comes late when something else holds the
 * logic thread. One of every_ms that has missed its time comes once, and then at its next
 * time: there is no burst. Of those that are due at once, the one that was due first comes
 * first; then in the order of their start.
 *
 * In init() and at any time after it. Returns the timer, or HOP_NO_TIMER, with a line in the
 * log, where an argument is none of these or the plugin has 100,000 timers already.
 * Thread: logic.
 */
HOP_API hop_timer hop_timer_once(hop_server *server, int64_t delay_ms,
                                 hop_timer_callback *callback, void *self);
HOP_API hop_timer hop_timer_every(hop_server *server, int64_t every_ms,
                                  hop_timer_callback *callback, void *self);

/*
 * Its callback does not come any more. Returns 0, or -1 when it is over: called (not with
 * hop_timer_every()), cancelled, or none. Thread: logic.
 */
HOP_API int hop_timer_cancel(hop_server *server, hop_timer timer);

#ifdef __cplusplus
}
#endif

#endif
