/*
 * watch.c - an epoll in the loop's: see watch.h.
 *
 * Called by: net.c, conn.c, conn_send.c. Thread: the loop's.
 */
#include "core/loop/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/loop/loop.h"

enum {
    READY_FIRST = 64,
    READY_MAX = 4096 /* of a turn: the others come in the next */
};

static uint32_t wanted_by(uint32_t events)
{
    return events & (EPOLLERR | EPOLLHUP) ? EPOLLIN | EPOLLOUT : events;
}

/* What a turn has found has filled the room: there may be more the next time. */
static void grow(struct watch *watch)
{
    if (watch->n_ready == READY_MAX)
        return;
    watch->n_ready *= 2;
    watch->ready =
        mem_realloc(watch->ready, (size_t)watch->n_ready * sizeof *watch->ready);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;
    int n = epoll_wait(fd, watch->ready, watch->n_ready, 0);

    (void)what;
    for (int i = 0; i < n; i++)
        watch->on_ready(watch->ready[i].data.ptr, wanted_by(watch->ready[i].events));
    if (n == watch->n_ready)
        grow(watch);
}

static void die(const char *what)
{
    hop_log(HOP_ERROR, "loop.failed what=%s reason=\"%s\"", what, strerror(errno));
    _exit(1);
}

void watch_init(struct watch *watch, struct loop *loop,
                void (*on_ready)(void *object, uint32_t events))
{
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll_fd < 0)
        die("epoll");
    watch->event =
        event_new(loop->base, watch->epoll_fd, EV_READ | EV_PERSIST, on_event, watch);
    if (!watch->event || event_add(watch->event, NULL) < 0)
        die("event");
    watch->n_ready = READY_FIRST;
    watch->ready = mem_alloc(READY_FIRST * sizeof *watch->ready);
    watch->on_ready = on_ready;
}

void watch_done(struct watch *watch)
{
    event_free(watch->event);
    close(watch->epoll_fd);
    free(watch->ready);
}

uint32_t watch_change(struct watch *watch, int fd, void *object, uint32_t old,
                      uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = object};
    int how = !old ? EPOLL_CTL_ADD : !events ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

    if (old == events || epoll_ctl(watch->epoll_fd, how, fd, &event) == 0)
        return events;
    return old;
}

void watch_drop(struct watch *watch, int fd)
{
    epoll_ctl(watch->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
