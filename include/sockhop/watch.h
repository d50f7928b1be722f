/*
 * watch.h - a plugin's own descriptors: told when they can be read or written.
 *
 * The server owns every watch and ends it when its plugin goes; the descriptor stays the
 * plugin's. Callbacks run in the logic thread, between events.
 */
#ifndef SOCKHOP_WATCH_H
#define SOCKHOP_WATCH_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One watch, by value. It may be stored for as long as one likes: a function that gets one
 * that is over does nothing and says so. HOP_NO_WATCH is never one.
 */
typedef uint64_t hop_watch;
#define HOP_NO_WATCH ((hop_watch)0)

/* What to wait for, or'ed. A descriptor that has failed or was hung up is both. */
#define HOP_READABLE 1u
#define HOP_WRITABLE 2u

/*
 * The descriptor is ready.
 *   events  which of those that are waited for
 * Comes again in each turn until it is read, written or not waited for any more (level
 * triggered). Must not block: set O_NONBLOCK. May change or free the watch. Thread: logic.
 */
typedef void hop_watch_callback(hop_watch watch, int fd, unsigned events, void *self);

/*
 * Wait for a descriptor.
 *   fd      borrowed: stays the plugin's. Free the watch before you close it: else it may
 *           stand for somebody else's descriptor of that number
 *   events  of HOP_READABLE and HOP_WRITABLE; 0: for nothing yet
 *   self    the plugin's own; must live until the watch is over
 *
 * In init() and at any time after it. Returns the watch, or HOP_NO_WATCH, with a line in the
 * log, where an argument is none of these, fd is closed or of a kind that is always ready (a
 * regular file, a folder), or the plugin has 100,000 watches already. Thread: logic.
 */
HOP_API hop_watch hop_watch_new(hop_server *server, int fd, unsigned events,
                                hop_watch_callback *callback, void *self);

/*
 * Wait for other events from now on; 0: for nothing, until they are set again. Returns 0, or
 * -1 where the watch is over, or, with a line in the log, events are none of these or the
 * descriptor was closed. Thread: logic.
 */
HOP_API int hop_watch_set(hop_server *server, hop_watch watch, unsigned events);

/* End it. Returns 0, or -1 when it is over already. Thread: logic. */
HOP_API int hop_watch_free(hop_server *server, hop_watch watch);

#ifdef __cplusplus
}
#endif

#endif
