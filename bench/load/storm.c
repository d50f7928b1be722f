/*
 * storm.c - all clients cut at once, by resets; the time until all are back, and what others, who stay,
 * notice of it. These are a process of their own, with precedence, or they would wait for the storm's
 * generator and not for the server.
 */
#include "bench/load/load.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    N_OTHERS = 50,
    INTERVAL_MS = 20, /* between an ack and the next emit of each */
    QUIET_S = 2,
    PATIENCE_MS = 30000,
};

enum phase_of_storm { STORM_CONNECTING, STORM_QUIET, STORM_CUT, STORM_OVER, N_PHASES };

/* Between the two processes. */
struct shared {
    volatile int phase;
    volatile int n_there; /* of the others */
    struct latencies latencies[N_PHASES];
};

/* ---- those who stay */

struct other {
    uint64_t sent_at_ns, next_at_ns;
    unsigned n_acked;
};

static struct shared *shared;
static struct other others[N_OTHERS];

static void on_ack(struct crowd *crowd, struct client *client, const char *text, size_t n)
{
    struct other *other = &others[client->id];

    if (n < 2 || memcmp(text, "43", 2) != 0)
        return;
    latency_add(&shared->latencies[shared->phase], crowd->read_at_ns - other->sent_at_ns);
    other->sent_at_ns = 0;
    other->next_at_ns = crowd->read_at_ns + INTERVAL_MS * 1000000ull;
    other->n_acked++;
}

static void emit_what_is_due(struct crowd *crowd)
{
    char packet[64];

    for (unsigned i = 0; i < N_OTHERS; i++) {
        if (others[i].sent_at_ns || now_ns() < others[i].next_at_ns)
            continue;
        others[i].sent_at_ns = now_ns();
        client_send_text(
            crowd, &crowd->clients[i], packet,
            (size_t)sprintf(packet, "42%u[\"echo\",\"hello\"]", others[i].n_acked));
    }
}

static _Noreturn void stay(const struct options *options)
{
    struct crowd crowd;

    setpriority(PRIO_PROCESS, 0, -15); /* where we may */
    crowd_init(&crowd, options, N_OTHERS);
    crowd.name = "stay";
    crowd.on_message = on_ack;
    crowd_connect(&crowd, N_OTHERS);
    for (unsigned i = 0; i < N_OTHERS; i++)
        others[i].next_at_ns = now_ns() + i * INTERVAL_MS * 1000000ull / N_OTHERS;
    shared->n_there = N_OTHERS;
    while (shared->phase != STORM_OVER) {
        emit_what_is_due(&crowd);
        crowd_turn(&crowd, 1);
    }
    for (unsigned i = 0; i < N_OTHERS; i++)
        if (others[i].sent_at_ns &&
            now_ns() - others[i].sent_at_ns > PATIENCE_MS * 1000000ull)
            fail("lost: client %u of those who stay has no answer", i);
    _exit(0);
}

/* ---- the storm */

static void lost(struct crowd *crowd, struct client *client)
{
    client_connect(crowd, client); /* it was refused, which is counted */
}

static void cut_and_return(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->n_clients; i++)
        client_close(crowd, &crowd->clients[i], END_ABRUPT);
    for (unsigned i = 0; i < crowd->n_clients; i++) {
        client_connect(crowd, &crowd->clients[i]);
        if (i % 64 == 0)
            crowd_turn(crowd, 0);
    }
    while (crowd->n_ready < crowd->n_clients)
        if (crowd_turn(crowd, PATIENCE_MS) == 0)
            fail("lost: %u of %u clients are back", crowd->n_ready, crowd->n_clients);
}

static void nap(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L},
              NULL);
}

void run_storm(const struct options *options)
{
    struct crowd crowd;
    struct stretch stretch;
    int status;
    pid_t child;

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        fail("out of memory");
    child = fork();
    if (child == 0)
        stay(options);
    crowd_init(&crowd, options, options->n_clients);
    crowd_connect(&crowd, options->n_clients);
    while (shared->n_there < N_OTHERS && waitpid(child, &status, WNOHANG) == 0)
        nap(10);
    crowd.on_closed = lost;
    crowd.n_refused = 0;
    shared->phase = STORM_QUIET;
    nap(QUIET_S * 1000);
    stretch_begin(&stretch, options);
    shared->phase = STORM_CUT;
    cut_and_return(&crowd);
    shared->phase = STORM_OVER;
    stretch_end(&stretch, options);
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("those who stay have failed");
    printf("{\"clients\":%u,\"seconds\":%.4f,\"refused\":%u,\"cpu_us\":%.3f,"
           "\"quiet_p99_us\":%.1f,\"storm_p99_us\":%.1f,\"storm_max_us\":%.1f,"
           "\"generator_busy\":%.3f}\n",
           crowd.n_clients, (double)stretch.wall_ns / 1e9, crowd.n_refused,
           (double)stretch.server_ns / 1000 / crowd.n_clients,
           latency_us(&shared->latencies[STORM_QUIET], 0.99),
           latency_us(&shared->latencies[STORM_CUT], 0.99),
           latency_us(&shared->latencies[STORM_CUT], 1),
           (double)stretch.own_ns / (double)stretch.wall_ns);
    crowd_done(&crowd);
}
