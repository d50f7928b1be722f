/*
 * syscall_filter.c - the allowlist behind server.seccomp: see syscall_filter.h.
 *
 * What is in it: what the core, glibc, libevent, ICU and OpenSSL use once all is open, found by
 * reading them and by tracing the whole scenario suite. No program can be started, no socket made
 * or connected, no process traced or signalled, no memory made executable; files can be
 * opened, which the page needs, with the rights of server.user. What is not in it fails with EPERM:
 * a plugin that needs more fails as it would for want of rights, and goes on.
 * Called by: privileges.c. Thread: main; the kernel applies it to every thread (TSYNC).
 */
#include "core/syscall_filter.h"

#include "config.h"

#include <errno.h>
#include <string.h>

#ifdef HAVE_SECCOMP

#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define N(array) (sizeof(array) / sizeof *(array))

/* clang-format off */

/* Whatever their arguments are. */
static const int allowed[] = {
    /* descriptors that are open */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fcntl),
    SCMP_SYS(fcntl64), SCMP_SYS(dup), SCMP_SYS(sendfile), SCMP_SYS(sendfile64),
    SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    /* connections that a listener accepts */
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt),
    /* waiting */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(restart_syscall),
    /* files */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(fstat),
    SCMP_SYS(fstat64), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads and signals, those of this process */
    SCMP_SYS(futex), SCMP_SYS(futex_time64), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address), SCMP_SYS(membarrier), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(alarm), SCMP_SYS(setitimer),
    /* time, numbers, who we are */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_gettime64), SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getpid),
    SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
    SCMP_SYS(getgroups), SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(ugetrlimit),
    SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(capget),
#ifdef HAVE_SANITIZER
    /* LeakSanitizer stops the process from a second one, and traces it */
    SCMP_SYS(clone), SCMP_SYS(ptrace), SCMP_SYS(wait4), SCMP_SYS(prctl), SCMP_SYS(kill),
    SCMP_SYS(tgkill), SCMP_SYS(process_vm_readv), SCMP_SYS(getdents),
    SCMP_SYS(getdents64), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(mmap),
    SCMP_SYS(mprotect), SCMP_SYS(setrlimit), SCMP_SYS(prlimit64),
#endif
};

/* clang-format on */

/* Where one argument decides: allowed when (argument & mask) == value. */
static const struct {
    int call;
    unsigned argument;
    uint64_t mask, value;
} conditional[] = {
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mmap2), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD}, /* a thread, never a process */
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_NAME},
    {SCMP_SYS(prlimit64), 2, UINT64_MAX, 0}, /* asking, not setting */
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIOCLEX},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS}, /* isatty() */
};

/* Each returns 0, or a negative error number as libseccomp does. */

static int add_allowed(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < N(allowed); i++) {
        int result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);

        if (result < 0)
            return result;
    }
    return 0;
}

static int add_conditional(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < N(conditional); i++) {
        struct scmp_arg_cmp fits = {
            .arg = conditional[i].argument,
            .op = SCMP_CMP_MASKED_EQ,
            .datum_a = conditional[i].mask,
            .datum_b = conditional[i].value,
        };
        int result =
            seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, conditional[i].call, 1, &fits);

        if (result < 0)
            return result;
    }
    return 0;
}

/* abort() and raise(): signals to a thread of our own. */
static int add_own_signals(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                            SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

/* clone3() hides its flags in memory; told that there is none, glibc takes clone(). */
static int refuse_clone3(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

static int load(scmp_filter_ctx filter)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE,
                     2); /* a tree; older ones have none */
    if (result == 0)
        result = add_allowed(filter);
    if (result == 0)
        result = add_conditional(filter);
    if (result == 0)
        result = add_own_signals(filter);
    if (result == 0)
        result = refuse_clone3(filter);
    return result == 0 ? seccomp_load(filter) : result;
}

bool syscall_filter_is_built_in(void)
{
    return true;
}

int syscall_filter_install(hop_error *error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = filter ? load(filter) : -ENOMEM;

    if (filter)
        seccomp_release(filter);
    if (result == 0)
        return 0;
    hop_error_set(error, "the kernel takes no system call filter: %s", strerror(-result));
    return -1;
}

#else

bool syscall_filter_is_built_in(void)
{
    return false;
}

int syscall_filter_install(hop_error *error)
{
    hop_error_set(error, "built without libseccomp");
    return -1;
}

#endif
