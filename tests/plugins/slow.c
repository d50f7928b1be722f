/*
 * slow.c - what no plugin should do.
 *
 *   sleep MS       logs slow.sleeps, and holds the logic thread that long (at most
 *                  5,000 ms); then ack []
 *   wrong-thread   calls hop_to_all() and hop_socket_join() from a thread of its own;
 *                  ack [true] when both refused (the log has api.wrong_thread twice)
 *   late-on        registers a handler outside of init(); ack the result, -1
 *   post N         N times hop_post() (at most 1,000) from another thread; each emits
 *                  `posted` i to every socket, in their order
 *
 * Thread: logic; run_away() and post_all() in threads of their own.
 */
#include <pthread.h>
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <time.h>

struct slow {
    hop_server *server; /* borrowed */
};

/* What one thread gets and gives. */
struct job {
    struct slow *slow;
    hop_socket socket;
    json_int_t n; /* of hop_post() calls; for one call: its number */
    bool was_refused;
};

static hop_verdict on_sleep(hop_socket socket, hop_event *event, void *self)
{
    struct timespec time;
    json_int_t ms;

    (void)socket;
    (void)self;
    if (hop_event_unpack(event, "[I]", &ms) < 0 || ms < 0 || ms > 5000)
        return hop_reject(event, "bad_number", "up to 5000, please");
    time.tv_sec = (time_t)(ms / 1000);
    time.tv_nsec = (long)(ms % 1000) * 1000000;
    hop_log(HOP_INFO, "slow.sleeps ms=%" JSON_INTEGER_FORMAT, ms);
    nanosleep(&time, NULL);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static void *run_away(void *arg)
{
    struct job *job = arg;
    bool has_target = hop_to_all(job->slow->server) != NULL;

    job->was_refused =
        !has_target && hop_socket_join(job->slow->server, job->socket, "a") < 0;
    return NULL;
}

static hop_verdict on_wrong_thread(hop_socket socket, hop_event *event, void *self)
{
    struct job job = {.slow = self, .socket = socket};
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_away, &job) != 0)
        return hop_reject(event, "no_thread", "no thread");
    pthread_join(thread, NULL);
    hop_event_ack(event, json_pack("[b]", job.was_refused));
    return HOP_STOP;
}

static hop_verdict on_late_on(hop_socket socket, hop_event *event, void *self)
{
    struct slow *slow = self;

    (void)socket;
    hop_event_ack(event, json_pack("[i]", hop_on(slow->server, "late", on_sleep, slow)));
    return HOP_STOP;
}

static void posted(void *self)
{
    struct job *job = self;

    hop_emit(hop_to_all(job->slow->server), "posted", json_pack("[I]", job->n));
    free(job);
}

static void *post_all(void *arg)
{
    struct job *job = arg;

    for (json_int_t i = 0; i < job->n; i++) {
        struct job *one = malloc(sizeof *one);

        if (!one)
            break;
        *one = (struct job){.slow = job->slow, .n = i};
        if (hop_post(job->slow->server, posted, one) < 0)
            free(one);
    }
    return NULL;
}

static hop_verdict on_post(hop_socket socket, hop_event *event, void *self)
{
    struct job job = {.slow = self};
    pthread_t thread;

    (void)socket;
    if (hop_event_unpack(event, "[I]", &job.n) < 0 || job.n < 0 || job.n > 1000)
        return hop_reject(event, "bad_number", "up to 1000, please");
    if (pthread_create(&thread, NULL, post_all, &job) != 0)
        return hop_reject(event, "no_thread", "no thread");
    pthread_join(thread, NULL);
    return HOP_STOP;
}

static int slow_init(hop_server *server, void *self)
{
    struct slow *slow = self;

    slow->server = server;
    hop_on(server, "sleep", on_sleep, slow);
    hop_on(server, "wrong-thread", on_wrong_thread, slow);
    hop_on(server, "late-on", on_late_on, slow);
    hop_on(server, "post", on_post, slow);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("slow", "1.0", "does what no plugin should"),
    .state_size = sizeof(struct slow),
    .init = slow_init,
};
