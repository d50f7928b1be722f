/*
 * echo.c - an emit with ack from each client, some at a time; each ack is compared with what was sent.
 */
#include "bench/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 30000,
    WARM_UP_MS = 150,
};

/* Of one client. */
struct talk {
    unsigned n_sent, n_acked, n_credits;
    uint64_t *sent_at_ns; /* owned: of emit k in row k % depth */
};

struct echo {
    struct crowd *crowd; /* borrowed */
    struct talk *talks;  /* owned: one for each client */
    unsigned *ready;     /* owned: the clients that have credits */
    unsigned n_ready, n_on_their_way;
    uint64_t n_acked;
    struct latencies latencies;
    bool is_over;
    char *text; /* owned: "[\"...\"]", the argument and the answer */
    size_t n_text;
    char *frames; /* owned */
};

static void on_message(struct crowd *crowd, struct client *client, const char *text,
                       size_t n)
{
    struct echo *echo = crowd->owner;
    struct talk *talk = &echo->talks[client->id];
    char head[16];
    size_t n_head = (size_t)sprintf(head, "43%u", talk->n_acked);

    if (n != n_head + echo->n_text || memcmp(text, head, n_head) != 0 ||
        memcmp(text + n_head, echo->text, echo->n_text) != 0)
        fail("client %u: wanted the ack of %u, got %.*s", client->id, talk->n_acked,
             (int)n, text);
    latency_add(&echo->latencies,
                crowd->read_at_ns -
                    talk->sent_at_ns[talk->n_acked % crowd->options->depth]);
    talk->n_acked++;
    echo->n_acked++;
    echo->n_on_their_way--;
    if (!echo->is_over && talk->n_credits++ == 0)
        echo->ready[echo->n_ready++] = client->id;
}

static void send_credits(struct echo *echo, unsigned id)
{
    struct talk *talk = &echo->talks[id];
    char packet[MAX_TEXT];
    size_t n = 0;

    for (; talk->n_credits; talk->n_credits--) {
        int length = sprintf(packet, "42%u[\"echo\",%s", talk->n_sent, echo->text + 1);

        talk->sent_at_ns[talk->n_sent % echo->crowd->options->depth] = now_ns();
        n += put_frame(echo->frames + n, packet, (size_t)length);
        talk->n_sent++;
        echo->n_on_their_way++;
    }
    client_send(echo->crowd, &echo->crowd->clients[id], echo->frames, n);
}

static void exchange(struct echo *echo, double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);

    echo->is_over = false;
    echo->n_acked = 0;
    echo->latencies = (struct latencies){0};
    for (unsigned i = 0; i < echo->crowd->n_clients; i++) {
        echo->talks[i].n_credits = echo->crowd->options->depth;
        echo->ready[i] = i;
    }
    echo->n_ready = echo->crowd->n_clients;
    do {
        while (echo->n_ready)
            send_credits(echo, echo->ready[--echo->n_ready]);
        if (crowd_turn(echo->crowd, PATIENCE_MS) == 0)
            fail("lost: %u acks have not come", echo->n_on_their_way);
        if (!echo->is_over && now_ns() > end_ns) {
            echo->is_over = true;
            while (echo->n_ready)
                echo->talks[echo->ready[--echo->n_ready]].n_credits = 0;
        }
    } while (!echo->is_over || echo->n_on_their_way);
}

static void echo_init(struct echo *echo, struct crowd *crowd, size_t size)
{
    unsigned depth = crowd->options->depth;

    *echo = (struct echo){.crowd = crowd, .n_text = size + 4};
    echo->talks = allocate(crowd->n_clients * sizeof *echo->talks);
    for (unsigned i = 0; i < crowd->n_clients; i++)
        echo->talks[i].sent_at_ns = allocate(depth * sizeof *echo->talks[i].sent_at_ns);
    echo->ready = allocate(crowd->n_clients * sizeof *echo->ready);
    echo->frames = allocate(depth * (size + 64));
    echo->text = allocate(size + 5);
    sprintf(echo->text, "[\"%*s\"]", (int)size, "");
    crowd->owner = echo;
    crowd->on_message = on_message;
}

static void echo_done(struct echo *echo)
{
    for (unsigned i = 0; i < echo->crowd->n_clients; i++)
        free(echo->talks[i].sent_at_ns);
    free(echo->talks);
    free(echo->ready);
    free(echo->frames);
    free(echo->text);
}

void run_echo(const struct options *options)
{
    int size = options->n_operands ? atoi(options->operands[0]) : 64;
    struct echo *echo = allocate(sizeof *echo);
    struct stretch stretch;
    struct crowd crowd;
    double n;

    if (size < 1 || size > MAX_TEXT / 2)
        fail("\"%s\" is no SIZE", options->operands[0]);
    crowd_init(&crowd, options, options->n_clients);
    crowd_connect(&crowd, options->n_clients);
    echo_init(echo, &crowd, (size_t)size);
    exchange(echo, WARM_UP_MS / 1000.0);
    server_rest_ns(options);
    thread_shares_begin(options);
    stretch_begin(&stretch, options);
    exchange(echo, options->seconds);
    stretch_end(&stretch, options);
    n = (double)echo->n_acked;
    printf("{\"clients\":%u,\"size\":%d,\"depth\":%u,\"acks\":%.0f,\"acks_per_s\":%.0f,"
           "\"cpu_us\":%.4f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"server_busy\":%.3f,"
           "\"generator_busy\":%.3f,\"threads\":%s",
           crowd.n_clients, size, options->depth, n, n * 1e9 / (double)stretch.wall_ns,
           (double)stretch.server_ns / 1000 / n, latency_us(&echo->latencies, 0.5),
           latency_us(&echo->latencies, 0.99),
           (double)stretch.server_ns / (double)stretch.wall_ns,
           (double)stretch.own_ns / (double)stretch.wall_ns, thread_shares(options));
    print_counters(&stretch, options, n);
    puts("}");
    crowd_done(&crowd);
    echo_done(echo);
    free(echo);
}
