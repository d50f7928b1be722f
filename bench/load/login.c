/*
 * login.c - clients that come and go; and many that come while all who are there are told.
 */
#include "bench/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 30000,
    WARM_UP_MS = 150,
};

/* ---- connect, join, login, leave */

struct visits {
    struct client *
        *gone; /* owned: those that have left, to come again under another name */
    unsigned n_gone, n_there;
    uint64_t n_visits;
    bool is_over;
};

static void on_ready(struct crowd *crowd, struct client *client)
{
    struct visits *visits = crowd->owner;

    client_close(crowd, client, END_ORDERLY);
    visits->n_visits++;
    visits->n_there--;
    visits->gone[visits->n_gone++] = client;
}

static void come_and_go(struct crowd *crowd, double seconds)
{
    struct visits *visits = crowd->owner;
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);

    visits->n_visits = 0;
    do {
        visits->is_over = now_ns() > end_ns;
        while (visits->n_gone && !visits->is_over) {
            struct client *client = visits->gone[--visits->n_gone];

            client->id += crowd->n_clients;
            client_connect(crowd, client);
            visits->n_there++;
        }
        if (visits->n_there && crowd_turn(crowd, PATIENCE_MS) == 0)
            fail("lost: %u clients are not logged in", visits->n_there);
    } while (!visits->is_over || visits->n_there);
}

void run_login(const struct options *options)
{
    struct visits visits = {.gone = allocate(options->n_clients * sizeof *visits.gone)};
    struct stretch stretch;
    struct crowd crowd;

    crowd_init(&crowd, options, options->n_clients);
    crowd.n_clients = options->n_clients;
    crowd.owner = &visits;
    crowd.on_ready = on_ready;
    for (unsigned i = 0; i < options->n_clients; i++)
        visits.gone[visits.n_gone++] = &crowd.clients[i];
    come_and_go(&crowd, WARM_UP_MS / 1000.0);
    server_rest_ns(options);
    stretch_begin(&stretch, options);
    come_and_go(&crowd, options->seconds);
    stretch_end(&stretch, options);
    printf("{\"clients\":%u,\"visits\":%lu,\"visits_per_s\":%.0f,\"cpu_us\":%.3f,"
           "\"server_busy\":%.3f,\"generator_busy\":%.3f",
           options->n_clients, (unsigned long)visits.n_visits,
           (double)visits.n_visits * 1e9 / (double)stretch.wall_ns,
           (double)stretch.server_ns / 1000 / (double)visits.n_visits,
           (double)stretch.server_ns / (double)stretch.wall_ns,
           (double)stretch.own_ns / (double)stretch.wall_ns);
    print_counters(&stretch, options, (double)visits.n_visits);
    puts("}");
    crowd_done(&crowd);
    free(visits.gone);
}

/* ---- notices of each login to all, the one who logs in too */

static void on_notice(struct crowd *crowd, struct client *client, const char *text,
                      size_t n)
{
    static const char joined[] = "42[\"userJoined\"";
    uint64_t *n_notices = crowd->owner;

    (void)client;
    if (n > sizeof joined && memcmp(text, joined, sizeof joined - 1) == 0)
        ++*n_notices;
}

void run_notices(const struct options *options)
{
    uint64_t n_notices = 0;
    uint64_t n = options->n_clients;
    struct stretch stretch;
    struct crowd crowd;

    crowd_init(&crowd, options, options->n_clients);
    crowd.owner = &n_notices;
    crowd.on_message = on_notice;
    stretch_begin(&stretch, options);
    crowd_connect(&crowd, options->n_clients);
    while (n_notices < n * (n + 1) / 2)
        if (crowd_turn(&crowd, PATIENCE_MS) == 0)
            fail("lost: %lu notices of %lu have come", (unsigned long)n_notices,
                 (unsigned long)(n * (n + 1) / 2));
    stretch_end(&stretch, options);
    if (n_notices != n * (n + 1) / 2)
        fail("doubled: %lu notices have come", (unsigned long)n_notices);
    printf("{\"clients\":%u,\"seconds\":%.4f,\"cpu_s\":%.4f,\"generator_busy\":%.3f}\n",
           options->n_clients, (double)stretch.wall_ns / 1e9,
           (double)stretch.server_ns / 1e9,
           (double)stretch.own_ns / (double)stretch.wall_ns);
    crowd_done(&crowd);
}
