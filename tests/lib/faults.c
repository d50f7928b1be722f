/*
 * faults.c - system calls that fail, or do one byte only, when a test says so; and clocks
 * that go wrong. A library to preload: see faults.h and faults.js.
 *
 * Called by: the server, and the libraries in it, instead of libc's functions. Thread: any.
 */
#undef _FORTIFY_SOURCE /* its inline functions have the names of ours */
#pragma GCC visibility push(default)
#pragma GCC diagnostic ignored                                                           \
    "-Wpedantic" /* libc declares addresses as a union of pointers */

#include "tests/lib/faults.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

/* Each function has its row and the function that it stands before. */
#define FUNCTIONS(X)                                                                     \
    X(accept4)                                                                           \
    X(bind)                                                                              \
    X(epoll_create1)                                                                     \
    X(epoll_ctl)                                                                         \
    X(epoll_wait)                                                                        \
    X(eventfd)                                                                           \
    X(fcntl)                                                                             \
    X(fstat)                                                                             \
    X(getrandom)                                                                         \
    X(getsockname)                                                                       \
    X(listen)                                                                            \
    X(open)                                                                              \
    X(openat)                                                                            \
    X(pread)                                                                             \
    X(pthread_create)                                                                    \
    X(read)                                                                              \
    X(recv)                                                                              \
    X(send)                                                                              \
    X(sendmsg)                                                                           \
    X(setsockopt)                                                                        \
    X(shutdown)                                                                          \
    X(socket)                                                                            \
    X(socketpair)                                                                        \
    X(syscall)                                                                           \
    X(write)

enum {
#define NUMBER(name) AT_##name,
    FUNCTIONS(NUMBER)
#undef NUMBER
        N_FUNCTIONS
};

static struct {
    const char *name;
    void (*real)(void);
    struct fault_row *row;
} table[N_FUNCTIONS] = {
#define ROW(name) {#name, NULL, NULL},
    FUNCTIONS(ROW)
#undef ROW
};

static struct fault_row *realtime, *monotonic;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void start(void)
{
    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    open_fault_rows();
    for (int i = 0; i < N_FUNCTIONS; i++)
        table[i].row = find_fault_row(table[i].name);
    realtime = find_fault_row("realtime");
    monotonic = find_fault_row("monotonic");
}

/* Found when it is called first: a library's constructor may come before ours. */
static void (*real_of(int at))(void)
{
    if (!table[at].real)
        *(void **)&table[at].real = dlsym(RTLD_NEXT, table[at].name);
    return table[at].real;
}

#define REAL(name) ((__typeof__(&name))real_of(AT_##name))

/* Whether this call is to fail: errno is set then. *is_short: it is to do one byte. */
static bool fails(int at, bool *is_short)
{
    int error = count_call(table[at].row);

    *is_short = error == FAULT_SHORT;
    if (error > 0)
        errno = error;
    return error > 0;
}

/* A call that has no short form. */
#define FAIL_OR(name, ...)                                                               \
    do {                                                                                 \
        bool is_short;                                                                   \
        return fails(AT_##name, &is_short) ? -1 : REAL(name)(__VA_ARGS__);               \
    } while (0)

/* A call that takes n bytes. */
#define FAIL_OR_SHORT(name, n, ...)                                                      \
    do {                                                                                 \
        bool is_short;                                                                   \
        if (fails(AT_##name, &is_short))                                                 \
            return -1;                                                                   \
        if (is_short && (n) > 1)                                                         \
            (n) = 1;                                                                     \
        return REAL(name)(__VA_ARGS__);                                                  \
    } while (0)

int accept4(int fd, struct sockaddr *restrict name, socklen_t *restrict len, int flags)
{
    FAIL_OR(accept4, fd, name, len, flags);
}

int bind(int fd, const struct sockaddr *name, socklen_t len)
{
    FAIL_OR(bind, fd, name, len);
}

int epoll_create1(int flags)
{
    FAIL_OR(epoll_create1, flags);
}

/* Taking a descriptor out of the set cannot fail in a way that anybody could act on. */
int epoll_ctl(int set, int what, int fd, struct epoll_event *event)
{
    if (what == EPOLL_CTL_DEL)
        return REAL(epoll_ctl)(set, what, fd, event);
    FAIL_OR(epoll_ctl, set, what, fd, event);
}

int epoll_wait(int set, struct epoll_event *events, int n, int timeout_ms)
{
    FAIL_OR_SHORT(epoll_wait, n, set, events, n, timeout_ms);
}

int eventfd(unsigned count, int flags)
{
    FAIL_OR(eventfd, count, flags);
}

int fcntl(int fd, int what, ...)
{
    va_list values;
    void *value;

    va_start(values, what);
    value = va_arg(values, void *);
    va_end(values);
    FAIL_OR(fcntl, fd, what, value);
}

int fstat(int fd, struct stat *stat)
{
    FAIL_OR(fstat, fd, stat);
}

ssize_t getrandom(void *out, size_t n, unsigned flags)
{
    FAIL_OR_SHORT(getrandom, n, out, n, flags);
}

int getsockname(int fd, struct sockaddr *restrict name, socklen_t *restrict len)
{
    FAIL_OR(getsockname, fd, name, len);
}

int listen(int fd, int backlog)
{
    FAIL_OR(listen, fd, backlog);
}

static mode_t mode_of(int flags, va_list values)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(values, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list values;
    mode_t mode;

    va_start(values, flags);
    mode = mode_of(flags, values);
    va_end(values);
    FAIL_OR(open, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list values;
    mode_t mode;

    va_start(values, flags);
    mode = mode_of(flags, values);
    va_end(values);
    FAIL_OR(openat, folder, path, flags, mode);
}

ssize_t pread(int fd, void *out, size_t n, off_t from)
{
    FAIL_OR_SHORT(pread, n, fd, out, n, from);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
                   void *(*run)(void *), void *restrict arg)
{
    bool is_short;

    return fails(AT_pthread_create, &is_short)
               ? errno /* it says so, and not through errno */
               : REAL(pthread_create)(thread, attributes, run, arg);
}

ssize_t read(int fd, void *out, size_t n)
{
    bool is_short;

    if (fails(AT_read, &is_short))
        return -1;
    if (is_short && n > 1 && n != sizeof(uint64_t)) /* an eventfd gives all or nothing */
        n = 1;
    return REAL(read)(fd, out, n);
}

ssize_t recv(int fd, void *out, size_t n, int flags)
{
    FAIL_OR_SHORT(recv, n, fd, out, n, flags);
}

/* Calls of sendmsg and send are one, that of a piece or of many. */
ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    bool is_short;

    if (fails(AT_sendmsg, &is_short))
        return -1;
    return REAL(send)(fd, bytes, is_short && n > 1 ? 1 : n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct msghdr first = *message;
    struct iovec byte;
    bool is_short;

    if (fails(AT_sendmsg, &is_short))
        return -1;
    if (is_short && message->msg_iovlen > 0) {
        byte = (struct iovec){message->msg_iov[0].iov_base, 1};
        first.msg_iov = &byte;
        first.msg_iovlen = 1;
    }
    return REAL(sendmsg)(fd, &first, flags);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    FAIL_OR(setsockopt, fd, level, name, value, len);
}

int shutdown(int fd, int how)
{
    FAIL_OR(shutdown, fd, how);
}

int socket(int family, int type, int protocol)
{
    FAIL_OR(socket, family, type, protocol);
}

int socketpair(int family, int type, int protocol, int fds[2])
{
    FAIL_OR(socketpair, family, type, protocol, fds);
}

/* Only openat2() counts: it has no function of its own. */
long syscall(long number, ...)
{
    long arg[6];
    va_list values;

    va_start(values, number);
    for (int i = 0; i < 6; i++)
        arg[i] = va_arg(values, long);
    va_end(values);
    if (number != SYS_openat2)
        return REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
    FAIL_OR(syscall, number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* What wakes a thread does not count, an eventfd's 8 bytes and libevent's byte for a signal:
 * those descriptors do not block, and the kernel has no reason to refuse. */
ssize_t write(int fd, const void *data, size_t n)
{
    if (n == sizeof(uint64_t) || n == 1)
        return REAL(write)(fd, data, n);
    FAIL_OR_SHORT(write, n, fd, data, n);
}

/* ---- clocks: their row's min_size is the nanoseconds by which they are wrong */

static bool is_monotonic(clockid_t clock)
{
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
           clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const struct fault_row *row = NULL;
    int64_t ns;

    if (!real_clock_gettime)
        *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (real_clock_gettime(clock, now) < 0)
        return -1;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        row = realtime;
    else if (is_monotonic(clock))
        row = monotonic;
    if (!row)
        return 0;
    ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + atomic_load(&row->min_size);
    now->tv_sec = ns / 1000000000;
    now->tv_nsec = ns % 1000000000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
