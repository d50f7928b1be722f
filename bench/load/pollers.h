/*
 * pollers.h - many clients that speak HTTP long-polling.
 */
#ifndef BENCH_POLLERS_H
#define BENCH_POLLERS_H

#include "bench/load/load.h"

enum poller_state {
    POLLER_CONNECTING,
    POLLER_OPENING,    /* its handshake */
    POLLER_JOINING,    /* posted 40 */
    POLLER_JOINED,     /* polls for the answer */
    POLLER_LOGGING_IN, /* posted the login */
    POLLER_LOGGED_IN,  /* polls for the welcome */
    POLLER_READY,      /* holds a poll */
    POLLER_PONGING,    /* posted a pong; its next poll follows */
};

struct poller {
    int fd;
    unsigned id;
    enum poller_state state;
    char sid[64];
    char *rest; /* owned: the start of a response whose end has not come, or NULL */
    size_t n_rest;
};

struct pollers {
    const struct options *options; /* borrowed */
    struct poller *pollers;        /* owned: never moved */
    unsigned n_pollers, n_ready;
    int epoll;
    uint64_t read_at_ns;
    void (*on_message)(struct pollers *pollers, struct poller *poller, const char *text,
                       size_t n);
    void *owner; /* borrowed */
};

void pollers_init(struct pollers *pollers, const struct options *options,
                  unsigned capacity);
void pollers_done(struct pollers *pollers);

/* n more of them; returns when all are logged in and hold a poll. */
void pollers_connect(struct pollers *pollers, unsigned n);

/* Wait for events, at most so long, and handle them; returns how many. */
int pollers_turn(struct pollers *pollers, int timeout_ms);

#endif
