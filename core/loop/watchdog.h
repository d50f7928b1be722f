/*
 * watchdog.h - a thread that ends the process when a turn of a loop does not end: a plugin
 * that loops or sleeps would else keep it from serving anybody for good.
 *
 * It counts its own sleeps, not the time: a process that was stopped, or a machine that was
 * asleep, has not slept them. Thread: the loop's.
 */
#ifndef LOOP_WATCHDOG_H
#define LOOP_WATCHDOG_H

#include <stdint.h>

struct loop;
struct watchdog;

/*
 * Watch the loop that the calling thread is about to run. A turn that takes limit_ms is
 * logged as server.stuck with whoever runs (base/running.h), and its thread gets SIGABRT;
 * after half of that there is a warning. Returns NULL where limit_ms is 0, or no thread can
 * be had, which is logged. Free: watchdog_stop().
 */
struct watchdog *watchdog_start(struct loop *loop, int64_t limit_ms);

/* The loop has ended. Takes NULL. */
void watchdog_stop(struct watchdog *watchdog);

#endif
