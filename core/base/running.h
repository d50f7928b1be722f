/*
 * running.h - whose code logic runs just now, for those who cannot ask logic: the watchdog,
 * and the report of a crash.
 *
 * Thread: logic, but for running_get().
 */
#ifndef BASE_RUNNING_H
#define BASE_RUNNING_H

#include <stdbool.h>

struct running {
    const char *plugin;
    const char *kind; /* "event", "hook"; NULL: not known */
    const char *what; /* "chat", "connect"; NULL without a kind */
};

/*
 * A copy of text that is never freed, the same for the same text: whoever reads it from
 * another thread cannot come too late. For what is registered, which the code of plugins
 * bounds; never for what clients choose.
 */
const char *running_name(const char *text);

/* All three are constants, or from running_name(); kind and what may be NULL. */
void running_set(const char *plugin, const char *kind, const char *what);
void running_clear(void);

/* False: the core's own code, or it changes so fast that nobody hangs. Thread: any; also for
 * signal handlers. */
bool running_get(struct running *out);

#endif
