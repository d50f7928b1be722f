/*
 * poll.c - messages to all, who hold polls: one at a time, from a client over WebSocket.
 */
#include "bench/load/pollers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WARM_UP_MS = 300,
    PATIENCE_MS = 30000,
    HEAD_OF_TEXT = 11, /* the number and a space */
};

struct poll {
    struct crowd sender; /* of one */
    struct pollers pollers;
    int size;
    unsigned n_sent;
    unsigned *next; /* owned: for each poller, the message it needs next */
    char payload[MAX_TEXT + 128];
    size_t n_payload;
    uint64_t sent_at_ns, n_deliveries;
    unsigned n_seen;
    struct latencies latencies;
};

static void on_message(struct pollers *pollers, struct poller *poller, const char *text,
                       size_t n)
{
    struct poll *poll = pollers->owner;

    if (poll->next[poller->id]++ != poll->n_sent - 1 || n != poll->n_payload ||
        memcmp(text, poll->payload, n) != 0)
        fail("poller %u: wanted message %u, got %.*s", poller->id, poll->n_sent - 1,
             (int)n, text);
    latency_add(&poll->latencies, pollers->read_at_ns - poll->sent_at_ns);
    poll->n_seen++;
}

static void broadcast(struct poll *poll)
{
    char text[MAX_TEXT], packet[MAX_TEXT + 128], frame[MAX_TEXT + 256];
    int n;

    memset(text, 'x', (size_t)poll->size);
    n = sprintf(text, "%010u", poll->n_sent++);
    text[n] = ' ';
    poll->n_payload = (size_t)sprintf(
        poll->payload, "42[\"chat\",{\"sender\":\"user0\",\"message\":\"%.*s\"}]",
        poll->size, text);
    n = sprintf(packet, "42[\"chat\",\"%.*s\"]", poll->size, text);
    poll->n_seen = 0;
    poll->sent_at_ns = now_ns();
    client_send(&poll->sender, &poll->sender.clients[0], frame,
                put_frame(frame, packet, (size_t)n));
    while (poll->n_seen < poll->pollers.n_pollers) {
        if (pollers_turn(&poll->pollers, PATIENCE_MS) == 0)
            fail("lost: %u of %u have the message", poll->n_seen,
                 poll->pollers.n_pollers);
        crowd_turn(&poll->sender, 0);
    }
    poll->n_deliveries += poll->n_seen;
}

static void exchange(struct poll *poll, double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);

    poll->n_deliveries = 0;
    poll->latencies = (struct latencies){0};
    while (now_ns() < end_ns)
        broadcast(poll);
}

void run_poll(const struct options *options)
{
    struct poll *poll = allocate(sizeof *poll);
    struct stretch stretch;
    double n;

    poll->size = options->n_operands ? atoi(options->operands[0]) : 64;
    if (poll->size <= HEAD_OF_TEXT || poll->size > MAX_TEXT - 1)
        fail("\"%s\" is no SIZE", options->operands[0]);
    poll->next = allocate(options->n_clients * sizeof *poll->next);
    pollers_init(&poll->pollers, options, options->n_clients);
    poll->pollers.owner = poll;
    poll->pollers.on_message = on_message;
    pollers_connect(&poll->pollers, options->n_clients);
    crowd_init(&poll->sender, options, 1);
    crowd_connect(&poll->sender, 1);
    exchange(poll, WARM_UP_MS / 1000.0);
    server_rest_ns(options);
    stretch_begin(&stretch, options);
    exchange(poll, options->seconds);
    stretch_end(&stretch, options);
    n = (double)poll->n_deliveries;
    printf("{\"clients\":%u,\"size\":%d,\"deliveries_per_s\":%.0f,\"cpu_us\":%.4f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"server_busy\":%.3f,\"generator_busy\":%.3f",
           options->n_clients, poll->size, n * 1e9 / (double)stretch.wall_ns,
           (double)stretch.server_ns / 1000 / n, latency_us(&poll->latencies, 0.5),
           latency_us(&poll->latencies, 0.99),
           (double)stretch.server_ns / (double)stretch.wall_ns,
           (double)stretch.own_ns / (double)stretch.wall_ns);
    print_counters(&stretch, options, n);
    puts("}");
    crowd_done(&poll->sender);
    pollers_done(&poll->pollers);
    free(poll->next);
    free(poll);
}
