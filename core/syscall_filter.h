/*
 * syscall_filter.h - the system calls that a serving sockhop may make (seccomp), all others
 * failing with EPERM.
 * Called by privileges.c. Thread: main; it holds for every thread of the process.
 */
#ifndef CORE_SYSCALL_FILTER_H
#define CORE_SYSCALL_FILTER_H

#include <stdbool.h>

#include <sockhop/types.h>

/* Whether this build has libseccomp. */
bool syscall_filter_is_built_in(void);

/* From now on and for good. 0, or -1 with the reason. */
int syscall_filter_install(hop_error *error);

#endif
