/*
 * crash.h - what is written to stderr when the process dies of SIGSEGV, SIGBUS, SIGFPE,
 * SIGILL or SIGABRT: the signal, whose code ran, the plugins, a backtrace. Then it dies of
 * that signal, as it would have without.
 *
 * A build with sanitizers leaves all that to them.
 */
#ifndef BASE_CRASH_H
#define BASE_CRASH_H

#include <signal.h>

/* From now on crashes are reported. Once, before other threads. Thread: main. */
void crash_install(void);

/*
 * The calling thread gets a stack of its own for the report, so that one that has used up
 * its stack is reported too; crash_thread_end() frees it. name: a constant, such as "shard"; the
 * one called "logic" is the one that running.h tells of. Thread: any.
 */
void crash_thread_begin(const char *name);
void crash_thread_end(void);

/* Take the signals of a crash out of those that a new thread blocks: one that comes to a
 * thread which blocks it kills without a report. Thread: any. */
void crash_unblock(sigset_t *blocked);

/* "auth 1.0, lobby 1.0": copied, cut to fit. Thread: logic. */
void crash_set_plugins(const char *list);

#endif
