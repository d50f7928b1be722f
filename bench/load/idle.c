/*
 * idle.c - memory for each client that does nothing, over WebSockets or held polls, and what a burst
 * of messages leaves behind.
 */
#include "bench/load/load.h"

#include "bench/load/pollers.h"

#include <stdio.h>
#include <stdlib.h>

enum { WARM_UP = 100 };

static unsigned goal_of(const struct options *options, int i)
{
    int goal = atoi(options->operands[i]);

    if (goal <= WARM_UP)
        fail("\"%s\" is no number above %d", options->operands[i], WARM_UP);
    return (unsigned)goal;
}

static void print_row(const struct options *options, unsigned goal, long before,
                      const struct stretch *stretch)
{
    printf("{\"clients\":%u,\"bytes\":%.0f", goal,
           (double)(server_rss(options) - before) / (goal - WARM_UP));
    print_counters(stretch, options, goal - WARM_UP);
}

/* Messages of 64 bytes, 64 at a time, to all. */
static void print_burst(struct crowd *crowd)
{
    const struct phase phase = {.size = 64, .window = 64, .n_senders = 1};
    long before = server_rss(crowd->options);

    fanout_quietly(crowd, &phase, 0.5);
    printf(",\"burst_bytes\":%.0f",
           (double)(server_rss(crowd->options) - before) / crowd->n_clients);
}

static void idle_websockets(const struct options *options, unsigned most)
{
    struct crowd crowd;
    struct stretch stretch;
    long before;

    crowd_init(&crowd, options, most);
    crowd_connect(&crowd, WARM_UP);
    before = server_rss(options);
    for (int i = 0; i < options->n_operands; i++) {
        unsigned goal = goal_of(options, i);

        if (i == 0)
            stretch_begin(&stretch, options);
        crowd_connect(&crowd, goal - crowd.n_clients);
        if (i == 0)
            stretch_end(&stretch, options);
        print_row(options, goal, before, &stretch);
        if (goal == most)
            print_burst(&crowd);
        puts("}");
    }
    crowd_done(&crowd);
}

static void idle_pollers(const struct options *options, unsigned most)
{
    struct pollers pollers;
    struct stretch stretch;
    long before;

    pollers_init(&pollers, options, most);
    pollers_connect(&pollers, WARM_UP);
    before = server_rss(options);
    for (int i = 0; i < options->n_operands; i++) {
        unsigned goal = goal_of(options, i);

        if (i == 0)
            stretch_begin(&stretch, options);
        pollers_connect(&pollers, goal - pollers.n_pollers);
        if (i == 0)
            stretch_end(&stretch, options);
        print_row(options, goal, before, &stretch);
        puts("}");
    }
    pollers_done(&pollers);
}

void run_idle(const struct options *options)
{
    unsigned most = 0;

    for (int i = 0; i < options->n_operands; i++) {
        unsigned goal = goal_of(options, i);

        if (goal <= most)
            fail("the numbers of clients have to rise");
        most = goal;
    }
    if (!most)
        fail("idle: how many clients?");
    if (options->over_polling)
        idle_pollers(options, most);
    else
        idle_websockets(options, most);
}
