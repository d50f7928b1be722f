/*
 * count.c - counts what a server asks of the machine: system calls, bytes sent, allocations and the
 * bytes that they hold. A library to preload; BENCH_COUNTERS names the file (count.h) for the figures,
 * which the load generator reads. Unlike a clock, these do not depend on what else the machine does.
 *
 * Called by: the server, and the libraries in it, instead of libc's functions. Thread: any.
 */
#undef _FORTIFY_SOURCE /* its inline functions have the names of ours */
#pragma GCC visibility push(default)
#pragma GCC diagnostic ignored "-Wpedantic" /* libc declares addresses as a union */

#include "bench/count.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    AT_SYSCALLS, /* all of the kinds below */
    AT_SEND,
    AT_RECV,
    AT_EPOLL_WAIT,
    AT_EPOLL_CTL,
    AT_ACCEPT,
    AT_CLOSE,
    AT_SOCKOPT,
    AT_SHUTDOWN,
    AT_GETRANDOM,
    AT_READ_WRITE, /* of wake-ups, files and the log */
    AT_SENT_BYTES,
    AT_ALLOCATIONS,
    AT_HEAP_BYTES, /* held now */
    N_COUNTERS
};

static const char *const names[N_COUNTERS] = {
    "syscalls",   "send",       "recv",        "epoll_wait", "epoll_ctl",
    "accept",     "close",      "sockopt",     "shutdown",   "getrandom",
    "read_write", "sent_bytes", "allocations", "heap_bytes",
};

/* Until the file is open, counts go where nobody looks. */
static struct count_row nowhere[COUNT_ROWS];
static struct count_row *rows = nowhere;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t n);
extern void __libc_free(void *memory);

static void add(int at, int64_t n)
{
    __atomic_fetch_add(&rows[at].n, (uint64_t)n, __ATOMIC_RELAXED);
}

static void count_call(int at)
{
    add(AT_SYSCALLS, 1);
    add(at, 1);
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("BENCH_COUNTERS");
    struct count_row *file;
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0 || ftruncate(fd, COUNT_BYTES) < 0) {
        fputs("count: BENCH_COUNTERS names no file that can be written\n", stderr);
        exit(1);
    }
    file = mmap(NULL, COUNT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        exit(1);
    for (int i = 0; i < N_COUNTERS; i++)
        strcpy(file[i].name, names[i]);
    rows = file;
}

/* ---- memory */

void *malloc(size_t n)
{
    void *memory = __libc_malloc(n);

    add(AT_ALLOCATIONS, 1);
    add(AT_HEAP_BYTES, (int64_t)malloc_usable_size(memory));
    return memory;
}

void *calloc(size_t n, size_t size)
{
    void *memory = __libc_calloc(n, size);

    add(AT_ALLOCATIONS, 1);
    add(AT_HEAP_BYTES, (int64_t)malloc_usable_size(memory));
    return memory;
}

void *realloc(void *memory, size_t n)
{
    int64_t before = (int64_t)malloc_usable_size(memory);
    void *after = __libc_realloc(memory, n);

    add(AT_ALLOCATIONS, 1);
    if (after || n == 0)
        add(AT_HEAP_BYTES, (int64_t)malloc_usable_size(after) - before);
    return after;
}

void free(void *memory)
{
    add(AT_HEAP_BYTES, -(int64_t)malloc_usable_size(memory));
    __libc_free(memory);
}

/* ---- system calls */

/* The function of that name in libc. */
#define REAL(name)                                                                       \
    static __typeof__(&name) real;                                                       \
    if (!real)                                                                           \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

static ssize_t count_sent(ssize_t n)
{
    if (n > 0)
        add(AT_SENT_BYTES, n);
    return n;
}

ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    REAL(send);
    count_call(AT_SEND);
    return count_sent(real(fd, bytes, n, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    count_call(AT_SEND);
    return count_sent(real(fd, message, flags));
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    REAL(writev);
    count_call(AT_SEND);
    return count_sent(real(fd, pieces, n));
}

ssize_t recv(int fd, void *bytes, size_t n, int flags)
{
    REAL(recv);
    count_call(AT_RECV);
    return real(fd, bytes, n, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
    REAL(epoll_wait);
    count_call(AT_EPOLL_WAIT);
    return real(fd, events, n, timeout);
}

int epoll_ctl(int fd, int how, int of, struct epoll_event *event)
{
    REAL(epoll_ctl);
    count_call(AT_EPOLL_CTL);
    return real(fd, how, of, event);
}

int accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
    REAL(accept4);
    count_call(AT_ACCEPT);
    return real(fd, address, n, flags);
}

int close(int fd)
{
    REAL(close);
    count_call(AT_CLOSE);
    return real(fd);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    REAL(setsockopt);
    count_call(AT_SOCKOPT);
    return real(fd, level, name, value, n);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    REAL(getsockopt);
    count_call(AT_SOCKOPT);
    return real(fd, level, name, value, n);
}

int getsockname(int fd, struct sockaddr *address, socklen_t *n)
{
    REAL(getsockname);
    count_call(AT_SOCKOPT);
    return real(fd, address, n);
}

int shutdown(int fd, int how)
{
    REAL(shutdown);
    count_call(AT_SHUTDOWN);
    return real(fd, how);
}

ssize_t getrandom(void *bytes, size_t n, unsigned flags)
{
    REAL(getrandom);
    count_call(AT_GETRANDOM);
    return real(bytes, n, flags);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    REAL(read);
    count_call(AT_READ_WRITE);
    return real(fd, bytes, n);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    REAL(write);
    count_call(AT_READ_WRITE);
    return real(fd, bytes, n);
}
