/*
 * watch.h - readiness of many descriptors: an epoll of their own, which the loop waits for
 * as for one descriptor. It keeps nothing for each but what the kernel does, where libevent
 * needs 200 bytes. Thread: the loop's.
 */
#ifndef LOOP_WATCH_H
#define LOOP_WATCH_H

#include <stdint.h>

struct epoll_event;
struct event;
struct loop;

struct watch {
    int epoll_fd;
    struct event *event;       /* owned: of epoll_fd in the loop */
    struct epoll_event *ready; /* owned: room for those of one turn */
    int n_ready;
    /* events: EPOLLIN, EPOLLOUT; both where the descriptor has failed. An object that was
     * dropped in this very turn may still come once: its memory must live until the turn
     * ends. */
    void (*on_ready)(void *object, uint32_t events);
};

/* Ends the process where the system refuses: at the start. */
void watch_init(struct watch *watch, struct loop *loop,
                void (*on_ready)(void *object, uint32_t events));
void watch_done(struct watch *watch);

/*
 * Wait for `events`, where it was waited for `old` until now; 0: for nothing. Returns the
 * new ones, or `old` and errno where the system refuses.
 */
uint32_t watch_change(struct watch *watch, int fd, void *object, uint32_t old,
                      uint32_t events);

/* Wait for nothing any more, before a descriptor that is waited for is closed or given away:
 * closing it would not do while a child process has a copy of it. Needs no memory, and is
 * never refused. */
void watch_drop(struct watch *watch, int fd);

#endif
