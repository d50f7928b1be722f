/*
 * privileges.c - from root to server.user for good, and no more rights than that: privileges.h.
 *
 * Started as root, the server needs it to listen on low ports and to read the page's folder and
 * the plugins wherever they lie; from then on it is only what an intruder would gain. So it
 * changes user and groups (glibc does it for every thread), gives up its capabilities and
 * what a set-user-ID program could give back, and makes sure that it cannot return.
 * Called by: daemon.c. Thread: main, while it is the only one of ours.
 */
#include "core/privileges.h"

#include "config.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/syscall_filter.h"

/* Whom server.user names. */
struct account {
    uid_t uid;
    gid_t gid;
    char
        *name; /* owned: the account whose further groups are taken too; NULL: none are */
};

/* ---- server.user: "", USER or USER:GROUP, each a name or a number */

/* A user's or group's number, or -1. The last number of 32 bits means "leave it as it is". */
static int64_t read_id(const char *text)
{
    char *end;
    unsigned long long id;

    if (!*text || strspn(text, "0123456789") != strlen(text))
        return -1;
    errno = 0;
    id = strtoull(text, &end, 10);
    return errno == 0 && id < UINT32_MAX ? (int64_t)id : -1;
}

/* Whether a look-up failed for reasons of its own, instead of finding nothing. */
static bool has_failed(int code, hop_error *reason)
{
    if (code != EMFILE && code != ENFILE && code != ENOMEM && code != EIO &&
        code != EINTR)
        return false;
    hop_error_set(reason, "cannot look users up: %s", strerror(code));
    return true;
}

static int find_group(const char *text, gid_t *gid, hop_error *reason)
{
    int64_t number = read_id(text);
    const struct group *group;

    errno = 0;
    group = getgrnam(text);
    if (!group && has_failed(errno, reason))
        return -1;
    if (!group && number < 0) {
        hop_error_set(reason,
                      "no group \"%s\" on this system: create it, or name another", text);
        return -1;
    }
    *gid = group ? group->gr_gid : (gid_t)number;
    return 0;
}

/* The user's own group and the groups that it is in, unless group names the only one. */
static int find_account(const char *user, const char *group, struct account *account,
                        hop_error *reason)
{
    int64_t number = read_id(user), group_number = group ? read_id(group) : -1;
    const struct passwd *entry;

    if (number >= 0 && group_number >= 0) { /* says all: nobody is asked */
        account->uid = (uid_t)number;
        account->gid = (gid_t)group_number;
        return 0;
    }
    errno = 0;
    entry = getpwnam(user);
    if (!entry && number >= 0)
        entry = getpwuid((uid_t)number);
    if (!entry && has_failed(errno, reason))
        return -1;
    if (!entry && number < 0) {
        hop_error_set(reason,
                      "no user \"%s\" on this system: create it, or name another, such "
                      "as nobody",
                      user);
        return -1;
    }
    account->uid = entry ? entry->pw_uid : (uid_t)number;
    if (group)
        return find_group(group, &account->gid, reason);
    if (!entry) {
        hop_error_set(reason,
                      "user %s has no account that tells its group: write %s:GROUP", user,
                      user);
        return -1;
    }
    account->gid = entry->pw_gid;
    account->name = mem_strdup(entry->pw_name);
    return 0;
}

static void account_done(struct account *account)
{
    free(account->name);
    account->name = NULL;
}

/* server.user is not empty. Returns 0 and the account, which is the caller's to end. */
static int read_account(const struct settings *settings, const struct config *config,
                        struct account *account, hop_error *error)
{
    const char *colon = strchr(settings->user, ':');
    char *user = mem_strndup(settings->user, colon ? (size_t)(colon - settings->user)
                                                   : strlen(settings->user));
    hop_error reason;
    int result;

    *account = (struct account){.name = NULL};
    result = find_account(user, colon ? colon + 1 : NULL, account, &reason);
    free(user);
    if (result == 0 && account->uid == 0 && colon) {
        hop_error_set(&reason, "root stays as it is, groups and all: write root alone");
        account_done(account);
        result = -1;
    }
    if (result < 0)
        config_error(config, "server", "user", error, "%s", reason.text);
    return result;
}

/* ---- checking */

/* Any of the three: what was put aside can be taken up again. */
static bool is_root(void)
{
    uid_t real, effective, saved;

    return getresuid(&real, &effective, &saved) < 0 || real == 0 || effective == 0 ||
           saved == 0;
}

int privileges_check(const struct settings *settings, const struct config *config,
                     hop_error *error)
{
    if (*settings->user) {
        struct account account;

        if (read_account(settings, config, &account, error) < 0)
            return -1;
        account_done(&account);
    }
    if (settings->seccomp && !syscall_filter_is_built_in()) {
        config_error(config, "server", "seccomp", error,
                     "this sockhop was built without libseccomp: build it with, or set "
                     "seccomp = no");
        return -1;
    }
    return 0;
}

int privileges_account(const struct settings *settings, const struct config *config,
                       uid_t *uid, gid_t *gid, hop_error *error)
{
    struct account account;

    *uid = getuid();
    *gid = getgid();
    if (!is_root() || !*settings->user)
        return 0;
    if (read_account(settings, config, &account, error) < 0)
        return -1;
    *uid = account.uid;
    *gid = account.uid == 0 ? *gid : account.gid;
    account_done(&account);
    return 0;
}

/* What no program that we might ever run could get back. It takes a capability that a
 * container may lack; then no_new_privs alone stands for it. */
static void empty_bounding_set(void)
{
    for (unsigned long capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return; /* EINVAL: the kernel has no more; EPERM: see above */
}

/* For each thread by itself: those that a plugin starts in its init() are to inherit it. It
 * hinders nothing that is still to be opened. */
static int limit_threads(const struct settings *settings, const struct config *config,
                         hop_error *error)
{
    struct account account;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        hop_error_set(error, "cannot set no_new_privs: %s", strerror(errno));
        return -1;
    }
    if (!is_root())
        return 0;
    if (read_account(settings, config, &account, error) < 0)
        return -1;
    if (account.uid != 0)
        empty_bounding_set();
    account_done(&account);
    return 0;
}

int privileges_check_start(const struct settings *settings, const struct config *config,
                           hop_error *error)
{
    if (is_root() && !*settings->user) {
        config_error(config, "server", "user", error,
                     "started as root: name the user to become, such as nobody "
                     "(server.user = nobody), or stay root on purpose (server.user = "
                     "root)");
        return -1;
    }
    if (privileges_check(settings, config, error) < 0)
        return -1;
    return limit_threads(settings, config, error);
}

/* ---- giving up */

static int fail(hop_error *reason, const char *what)
{
    hop_error_set(reason, "cannot %s: %s", what, strerror(errno));
    return -1;
}

static int become(const struct account *account, hop_error *reason)
{
    int result =
        account->name ? initgroups(account->name, account->gid) : setgroups(0, NULL);

    if (result < 0)
        return fail(reason, "change groups");
    if (setresgid(account->gid, account->gid, account->gid) < 0)
        return fail(reason, "change group");
    if (setresuid(account->uid, account->uid, account->uid) < 0)
        return fail(reason, "change user");
    return 0;
}

static int drop_capabilities(hop_error *reason)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3];

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, none) < 0)
        return fail(reason, "give up capabilities");
    head.pid = 0;
    memset(left, 0xff, sizeof left); /* what is not written counts as left */
    if (syscall(SYS_capget, &head, left) < 0)
        return fail(reason, "read capabilities");
    if (memcmp(left, none, sizeof left) == 0)
        return 0;
    hop_error_set(reason, "capabilities are left after giving them up");
    return -1;
}

/* Tried, not assumed: a system call filter around us may have swallowed one of the calls. */
static int verify(const struct account *account, hop_error *reason)
{
    uid_t uid[3];
    gid_t gid[3];

    if (getresuid(&uid[0], &uid[1], &uid[2]) < 0 ||
        getresgid(&gid[0], &gid[1], &gid[2]) < 0)
        return fail(reason, "read user and group");
    for (int i = 0; i < 3; i++)
        if (uid[i] != account->uid || gid[i] != account->gid) {
            hop_error_set(reason, "user or group have not changed");
            return -1;
        }
    if (setuid(0) == 0 || (account->gid != 0 && setgid(0) == 0)) {
        hop_error_set(reason, "root can be had back after it was given up");
        return -1;
    }
    return 0;
}

/* LeakSanitizer traces us at the end, which the kernel allows no longer after a change of user. A
 * release stays closed to others that run as the same user, such as nobody. */
static void allow_sanitizers_to_trace(void)
{
#ifdef HAVE_SANITIZER
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
}

static int leave_root(const struct account *account, hop_error *reason)
{
    if (become(account, reason) < 0 || drop_capabilities(reason) < 0 ||
        verify(account, reason) < 0)
        return -1;
    allow_sanitizers_to_trace();
    hop_log(HOP_INFO, "privileges.dropped uid=%lu gid=%lu", (unsigned long)account->uid,
            (unsigned long)account->gid);
    return 0;
}

/* As root: become the user, unless that is root. */
static int change_user(const struct settings *settings, const struct config *config,
                       hop_error *error)
{
    struct account account;
    hop_error reason;
    int result = 0;

    if (read_account(settings, config, &account, error) < 0)
        return -1;
    if (account.uid == 0)
        hop_log(HOP_WARN, "privileges.kept user=root hint=\"whoever breaks in is root: "
                          "name another server.user\"");
    else
        result = leave_root(&account, &reason);
    account_done(&account);
    if (result < 0)
        config_error(config, "server", "user", error, "%s", reason.text);
    return result;
}

/* As anybody else: nothing to change; capabilities may have been given to us all the same. */
static int stay(const struct settings *settings, const struct config *config,
                hop_error *error)
{
    struct account account;
    hop_error reason;

    if (drop_capabilities(&reason) < 0) {
        config_error(config, "server", "user", error, "%s", reason.text);
        return -1;
    }
    if (!*settings->user)
        return 0;
    if (read_account(settings, config, &account, error) < 0)
        return -1;
    if (account.uid != getuid())
        hop_log(HOP_INFO,
                "privileges.user_ignored uid=%lu hint=\"only root can become "
                "server.user\"",
                (unsigned long)getuid());
    account_done(&account);
    return 0;
}

int privileges_drop(const struct settings *settings, const struct config *config,
                    hop_error *error)
{
    hop_error reason;

    if ((is_root() ? change_user : stay)(settings, config, error) < 0)
        return -1;
    if (!settings->seccomp)
        return 0;
    if (syscall_filter_install(&reason) < 0) {
        config_error(config, "server", "seccomp", error, "%s: set seccomp = no",
                     reason.text);
        return -1;
    }
    hop_log(HOP_INFO, "privileges.filtered");
    return 0;
}
