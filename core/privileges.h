/*
 * privileges.h - who the server is while it serves: never root by accident, and with no way back.
 * Called by daemon.c. Thread: main, while it is the only one of ours.
 */
#ifndef CORE_PRIVILEGES_H
#define CORE_PRIVILEGES_H

#include <sys/types.h>

#include <sockhop/types.h>

struct config;
struct settings;

/* Whether server.user names an account and server.seccomp can be had. 0, or -1 with the reason. */
int privileges_check(const struct settings *settings, const struct config *config,
                     hop_error *error);

/* The same, and refuse to start as root unless server.user says who to become. Call it before
 * anything is opened: from now on neither this thread nor one that it starts gains anything by
 * execve(). 0, or -1 with the reason. */
int privileges_check_start(const struct settings *settings, const struct config *config,
                           hop_error *error);

/* Who the server is going to be: whom server.user names, or who it is already. */
int privileges_account(const struct settings *settings, const struct config *config,
                       uid_t *uid, gid_t *gid, hop_error *error);

/*
 * Become server.user when started as root (user and groups for good, which is verified), give up
 * every capability, and install the system call filter where
 * server.seccomp asks for it. Call it when all is open and no thread of ours has started.
 *
 * 0, or -1 with the reason: then the server must not serve.
 */
int privileges_drop(const struct settings *settings, const struct config *config,
                    hop_error *error);

#endif
