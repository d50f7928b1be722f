/*
 * fanout.c - messages to all: every delivery is compared with what was sent, byte by byte, so that one
 * that is lost, doubled, changed or out of its sender's order ends the run.
 */
#include "bench/load/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MIN_MESSAGES = 10,
    WARM_UP_MS = 150,
    PATIENCE_MS = 30000,
    MAX_ROOM = MAX_TEXT + 256, /* of a message with all around it */
    HEAD_OF_TEXT = 32,         /* sender, number and time */
};

/* A message on its way. */
struct sent {
    uint64_t at_ns;
    unsigned n_seen; /* how many clients have it */
    size_t n;
    char *payload; /* owned: what each client should get */
};

struct sender {
    struct client *client;
    unsigned n_sent, n_credits; /* credits: how many it may send now */
    struct sent *window;        /* owned: message k is in row k % n_window */
};

struct fanout {
    struct crowd *crowd; /* borrowed */
    struct phase phase;
    struct sender *senders; /* owned */
    unsigned n_window;      /* of each sender */
    unsigned *next;         /* owned: for each client, the next number of each sender */
    unsigned n_on_their_way;
    uint64_t n_deliveries, n_messages;
    struct latencies latencies;
    bool is_over;     /* nothing more is sent */
    int publisher_fd; /* nchan's, or -1 */
    char *frames;     /* owned: what one sender sends at once */
};

/* ---- sending */

/* What others will see of it; returns the length, and where its text begins. */
static size_t make_payload(const struct fanout *fanout, const struct sender *sender,
                           char *to, size_t *text_at)
{
    size_t n = 0;
    char head[HEAD_OF_TEXT + 1];

    if (!fanout->crowd->options->is_nchan)
        n = (size_t)sprintf(to, "42[\"chat\",{\"sender\":\"%s%u\",\"message\":\"",
                            fanout->crowd->name, sender->client->id);
    *text_at = n;
    snprintf(head, sizeof head, "%03u %010u %016lx ", sender->client->id, sender->n_sent,
             (unsigned long)now_ns());
    memset(to + n, 'x', fanout->phase.size);
    memcpy(to + n, head, HEAD_OF_TEXT);
    n += fanout->phase.size;
    if (!fanout->crowd->options->is_nchan)
        n += (size_t)sprintf(to + n, "\"}]");
    return n;
}

/* Add what the sender sends of it to `to`; returns the length. */
static size_t put_request(const struct fanout *fanout, char *to, const char *text)
{
    char packet[MAX_ROOM];
    size_t n = fanout->phase.size;

    if (fanout->publisher_fd >= 0) {
        n = (size_t)sprintf(to,
                            "POST /pub HTTP/1.1\r\nHost: localhost\r\n"
                            "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                            n);
        memcpy(to + n, text, fanout->phase.size);
        return n + fanout->phase.size;
    }
    n = (size_t)sprintf(packet, "42[\"chat\",\"%.*s\"]", (int)n, text);
    return put_frame(to, packet, n);
}

static void publish(const struct fanout *fanout, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fanout->publisher_fd, bytes, n, MSG_NOSIGNAL);

        if (sent < 0)
            fail("publishing: %s", strerror(errno));
        bytes += sent;
        n -= (size_t)sent;
    }
}

static void send_credits(struct fanout *fanout, struct sender *sender)
{
    size_t n = 0;

    for (; sender->n_credits; sender->n_credits--) {
        struct sent *sent = &sender->window[sender->n_sent % fanout->n_window];
        size_t text_at;

        sent->n = make_payload(fanout, sender, sent->payload, &text_at);
        sent->n_seen = 0;
        sent->at_ns = now_ns();
        n += put_request(fanout, fanout->frames + n, sent->payload + text_at);
        sender->n_sent++;
        fanout->n_on_their_way++;
        fanout->n_messages++;
    }
    if (n && fanout->publisher_fd >= 0)
        publish(fanout, fanout->frames, n);
    else if (n)
        client_send(fanout->crowd, sender->client, fanout->frames, n);
}

/* ---- receiving */

/* Whose message it is, by the number behind "user"; a foreign one is nobody's. */
static unsigned sender_of(const struct fanout *fanout, const char *text, size_t n)
{
    static const char prefix[] = "42[\"chat\",{\"sender\":\"user";
    unsigned id = 0;

    if (fanout->phase.n_senders == 1)
        return 0;
    for (size_t at = sizeof prefix - 1; at < n && text[at] >= '0' && text[at] <= '9';
         at++)
        id = id * 10 + (unsigned)(text[at] - '0');
    return id;
}

static void on_message(struct crowd *crowd, struct client *client, const char *text,
                       size_t n)
{
    struct fanout *fanout = crowd->owner;
    unsigned who = sender_of(fanout, text, n);
    struct sender *sender = &fanout->senders[who];
    struct sent *sent;
    unsigned *next;

    if (who >= fanout->phase.n_senders)
        fail("client %u: from nobody: %.*s", client->id, (int)n, text);
    next = &fanout->next[(size_t)client->id * fanout->phase.n_senders + who];
    sent = &sender->window[*next % fanout->n_window];
    if (*next == sender->n_sent || n != sent->n || memcmp(text, sent->payload, n) != 0)
        fail("client %u: wanted message %u of %u, got %.*s", client->id, *next, who,
             (int)n, text);
    ++*next;
    latency_add(&fanout->latencies, crowd->read_at_ns - sent->at_ns);
    fanout->n_deliveries++;
    if (++sent->n_seen == crowd->n_clients) {
        fanout->n_on_their_way--;
        if (!fanout->is_over && fanout->phase.rate == 0)
            sender->n_credits++;
    }
}

/* ---- a phase */

static int open_publisher(const struct options *options)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(options->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("publisher: %s", strerror(errno));
    return fd;
}

/* What nchan says to each publication is not looked at: subscribers tell. */
static void drain_publisher(const struct fanout *fanout)
{
    char waste[65536];

    if (fanout->publisher_fd >= 0)
        while (recv(fanout->publisher_fd, waste, sizeof waste, MSG_DONTWAIT) > 0)
            ;
}

static void fanout_init(struct fanout *fanout, struct crowd *crowd,
                        const struct phase *phase)
{
    unsigned room = phase->rate != 0 ? phase->window : phase->window / phase->n_senders;

    *fanout = (struct fanout){.crowd = crowd, .phase = *phase, .publisher_fd = -1};
    fanout->n_window = room ? room : 1;
    fanout->senders = allocate(phase->n_senders * sizeof *fanout->senders);
    fanout->next =
        allocate((size_t)crowd->n_clients * phase->n_senders * sizeof *fanout->next);
    fanout->frames = allocate((size_t)fanout->n_window * (phase->size + 512));
    for (unsigned i = 0; i < phase->n_senders; i++) {
        struct sender *sender = &fanout->senders[i];

        sender->client = &crowd->clients[i];
        sender->window = allocate(fanout->n_window * sizeof *sender->window);
        for (unsigned k = 0; k < fanout->n_window; k++)
            sender->window[k].payload = allocate(phase->size + 256);
    }
    if (crowd->options->is_nchan)
        fanout->publisher_fd = open_publisher(crowd->options);
    crowd->owner = fanout;
    crowd->on_message = on_message;
}

static void fanout_done(struct fanout *fanout)
{
    for (unsigned i = 0; i < fanout->phase.n_senders; i++) {
        for (unsigned k = 0; k < fanout->n_window; k++)
            free(fanout->senders[i].window[k].payload);
        free(fanout->senders[i].window);
    }
    free(fanout->senders);
    free(fanout->next);
    free(fanout->frames);
    if (fanout->publisher_fd >= 0)
        close(fanout->publisher_fd);
    fanout->crowd->on_message = NULL;
}

/* At a rate the clock gives the credits. Returns how long the turn may wait, ms. */
static int credit_by_clock(struct fanout *fanout, uint64_t began_ns)
{
    uint64_t interval_ns, due;

    if (fanout->phase.rate == 0 || fanout->is_over)
        return PATIENCE_MS;
    interval_ns = (uint64_t)(1e9 / fanout->phase.rate);
    due = (now_ns() - began_ns) / interval_ns + 1;
    for (; fanout->n_messages + fanout->senders[0].n_credits < due;
         fanout->senders[0].n_credits++)
        if (fanout->n_on_their_way + fanout->senders[0].n_credits >= fanout->n_window)
            fail("%.0f messages/s are more than the server can do", fanout->phase.rate);
    return 1;
}

/* Send and receive for so long, then until all have all. */
static void exchange(struct fanout *fanout, double seconds)
{
    uint64_t began_ns = now_ns();
    uint64_t end_ns = began_ns + (uint64_t)(seconds * 1e9);

    fanout->is_over = false;
    fanout->n_deliveries = fanout->n_messages = 0;
    fanout->latencies = (struct latencies){0};
    for (unsigned i = 0; i < fanout->phase.n_senders && fanout->phase.rate == 0; i++)
        fanout->senders[i].n_credits = fanout->n_window;
    do {
        int wait_ms = credit_by_clock(fanout, began_ns);

        for (unsigned i = 0; i < fanout->phase.n_senders; i++)
            send_credits(fanout, &fanout->senders[i]);
        if (crowd_turn(fanout->crowd, wait_ms) == 0 && wait_ms == PATIENCE_MS)
            fail("lost: %u messages did not reach all", fanout->n_on_their_way);
        drain_publisher(fanout);
        if (now_ns() > end_ns && fanout->n_messages >= MIN_MESSAGES) {
            fanout->is_over = true;
            for (unsigned i = 0; i < fanout->phase.n_senders; i++)
                fanout->senders[i].n_credits = 0;
        }
    } while (!fanout->is_over || fanout->n_on_their_way);
}

void fanout_phase(struct crowd *crowd, const struct phase *phase, double seconds)
{
    const struct options *options = crowd->options;
    struct fanout *fanout = allocate(sizeof *fanout);
    struct stretch stretch;
    double n;

    fanout_init(fanout, crowd, phase);
    exchange(fanout, WARM_UP_MS / 1000.0);
    server_rest_ns(options);
    thread_shares_begin(options);
    stretch_begin(&stretch, options);
    exchange(fanout, seconds);
    stretch_end(&stretch, options);
    n = (double)fanout->n_deliveries;
    printf("{\"clients\":%u,\"size\":%zu,\"window\":%u,\"senders\":%u,\"rate\":%g,"
           "\"messages\":%lu,\"deliveries_per_s\":%.0f,\"cpu_us\":%.4f,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"server_busy\":%.3f,\"generator_busy\":%.3f,\"threads\":%s",
           crowd->n_clients, phase->size, phase->window, phase->n_senders, phase->rate,
           (unsigned long)fanout->n_messages, n * 1e9 / (double)stretch.wall_ns,
           (double)stretch.server_ns / 1000 / n, latency_us(&fanout->latencies, 0.5),
           latency_us(&fanout->latencies, 0.99),
           (double)stretch.server_ns / (double)stretch.wall_ns,
           (double)stretch.own_ns / (double)stretch.wall_ns, thread_shares(options));
    print_counters(&stretch, options, n);
    puts("}");
    fanout_done(fanout);
    free(fanout);
}

void fanout_quietly(struct crowd *crowd, const struct phase *phase, double seconds)
{
    struct fanout *fanout = allocate(sizeof *fanout);

    fanout_init(fanout, crowd, phase);
    exchange(fanout, seconds);
    fanout_done(fanout);
    free(fanout);
}

/* "SIZE:WINDOW[:SENDERS[:RATE]]" */
static struct phase read_phase(const char *text)
{
    struct phase phase = {.window = 1, .n_senders = 1};

    if (sscanf(text, "%zu:%u:%u:%lf", &phase.size, &phase.window, &phase.n_senders,
               &phase.rate) < 2 ||
        phase.size <= HEAD_OF_TEXT || phase.size > MAX_TEXT || !phase.window ||
        !phase.n_senders)
        fail("\"%s\" is no SIZE:WINDOW[:SENDERS[:RATE]]", text);
    return phase;
}

void run_fanout(const struct options *options)
{
    struct crowd crowd;

    crowd_init(&crowd, options, options->n_clients);
    crowd_connect(&crowd, options->n_clients);
    for (int i = 0; i < options->n_operands; i++) {
        struct phase phase = read_phase(options->operands[i]);

        if (phase.n_senders > options->n_clients)
            fail("\"%s\": more senders than clients", options->operands[i]);
        fanout_phase(&crowd, &phase, options->seconds);
    }
    crowd_done(&crowd);
}
