/*
 * load.h - the load generator: what its files share.
 *
 * It speaks Engine.IO v4 and Socket.IO v5 by hand, over sockets of its own on one epoll loop, so that
 * it costs less than any server that it measures; and where it does not, it says so. One thread. An
 * error ends the process with a message: a figure of a run that went wrong is worth nothing.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    MAX_TEXT = 64 * 1024, /* longest text of a message, bytes */
};

/* What the command line said. */
struct options {
    uint16_t port;
    pid_t pid;            /* the server's; 0: nobody's CPU is read */
    const char *counters; /* the file of the counters (count.c), or NULL */
    bool is_nchan;        /* fan-out through nchan's own locations */
    bool over_polling;    /* `idle` with held polls */
    unsigned n_clients;
    unsigned depth;  /* echo: emits on their way from each client */
    double seconds;  /* how long each phase lasts at least */
    char **operands; /* borrowed from argv: phases, sizes or a command */
    int n_operands;
};

/* One connection. */
enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING, /* of TCP */
    CLIENT_UPGRADING,  /* the answer to the upgrade has not come */
    CLIENT_OPENING,    /* the open packet has not come */
    CLIENT_JOINING,    /* the namespace has not answered */
    CLIENT_LOGGING_IN,
    CLIENT_READY,
};

struct client {
    int fd;
    enum client_state state;
    unsigned id; /* the number in its name; its place in the crowd, if it never leaves */
    char *rest;  /* owned: the start of a frame whose end has not come, or NULL */
    size_t n_rest;
    char *out; /* owned: what send() did not take, or NULL */
    size_t n_out;
};

/* Many of them. */
struct crowd {
    const struct options *options; /* borrowed */
    struct client *clients;        /* owned: never moved, epoll points into it */
    unsigned n_clients, n_ready;
    unsigned n_refused; /* connections and logins that the server did not take */
    int epoll;
    const char *name;    /* what the names of users begin with */
    uint64_t read_at_ns; /* when the message at hand was read */

    /* Each may be NULL. */
    void (*on_ready)(struct crowd *crowd, struct client *client);
    void (*on_message)(struct crowd *crowd, struct client *client, const char *text,
                       size_t n);
    void (*on_closed)(struct crowd *crowd, struct client *client); /* by the server */
    void *owner;                                                   /* borrowed: theirs */
};

void crowd_init(struct crowd *crowd, const struct options *options, unsigned capacity);
void crowd_done(struct crowd *crowd);

/* n more clients, some at a time; returns when all are logged in. */
void crowd_connect(struct crowd *crowd, unsigned n);

/* Begin the connection of a client that is closed; on_ready follows. */
void client_connect(struct crowd *crowd, struct client *client);

/* Close it from our side; with a reset if it is to be abrupt. */
enum ending { END_ORDERLY, END_ABRUPT };
void client_close(struct crowd *crowd, struct client *client, enum ending ending);

/* Send a text frame, or bytes that are one or more frames already. */
void client_send_text(struct crowd *crowd, struct client *client, const char *text,
                      size_t n);
void client_send(struct crowd *crowd, struct client *client, const char *bytes, size_t n);

/* Write a masked text frame at `to`, which has room for n + 14 bytes; returns its length. */
size_t put_frame(char *to, const char *text, size_t n);

/* Wait for events, at most so long, and handle them; returns how many. */
int crowd_turn(struct crowd *crowd, int timeout_ms);

/* ---- watch.c: clocks, and what the server uses */

uint64_t now_ns(void);

/* CPU of a process and of its threads so far, ns; reaps of ended threads are not in it. */
uint64_t server_cpu_ns(const struct options *options);

/* The same after it has come to rest. */
uint64_t server_rest_ns(const struct options *options);

/* "[12.3,4.5]": the share of each of the server's threads since `thread_shares_begin`, percent. */
void thread_shares_begin(const struct options *options);
const char *thread_shares(const struct options *options);

/* Resident memory, bytes, once it is at rest. */
long server_rss(const struct options *options);

/* A measured stretch. */
struct stretch {
    uint64_t wall_ns, server_ns, own_ns;
    uint64_t counters[32];
};
void stretch_begin(struct stretch *stretch, const struct options *options);
void stretch_end(struct stretch *stretch, const struct options *options);

/* Print what the counters of count.c rose by, per `n` things, as members of a JSON object. */
void print_counters(const struct stretch *stretch, const struct options *options,
                    double n);

/* Latencies, ns: a histogram with a resolution of 3 % or better. */
struct latencies {
    uint64_t counts[64 * 32];
    uint64_t n;
};
void latency_add(struct latencies *latencies, uint64_t ns);
double latency_us(const struct latencies *latencies, double quantile);

/* ---- what is measured: each prints JSON objects, a line each */

/* Messages to all: how long, how many on their way at once, from how many, how many a second (0: as
 * fast as they arrive). */
struct phase {
    size_t size;
    unsigned window, n_senders;
    double rate;
};
void fanout_phase(struct crowd *crowd, const struct phase *phase, double seconds);

/* The same without a measurement. */
void fanout_quietly(struct crowd *crowd, const struct phase *phase, double seconds);

void run_fanout(const struct options *options);
void run_echo(const struct options *options);
void run_idle(const struct options *options);
void run_login(const struct options *options);
void run_notices(const struct options *options);
void run_poll(const struct options *options);
void run_storm(const struct options *options);
void run_start(const struct options *options);

/* ---- errors */

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t n);

#endif
