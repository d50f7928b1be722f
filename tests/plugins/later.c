/*
 * later.c - decides on events later, from a thread of its own; and answers acks later.
 *
 *   work N ARGS...  decided in the thread: N = 0: goes on; 1: stopped; 2: rejected with the
 *                   code `late`; 3: never, so that its deadline of 200 ms rejects it;
 *                   4: goes on with other arguments, "late" and the bytes 7 8 9.
 *                   `worked` N ARGS... is what the handler behind emits
 *   hold            deferred until somebody says `release`
 *   release         ack [how many were held]
 *   note ARGS...    `noted` ARGS...
 *   swap ARGS...    as note, after two guards: "swapped", [ARGS...], then the bytes 1 2
 *   answer ARGS...  acks ARGS... in a later turn
 *   observed        ack [how many `work` and `hold` were seen by the observer]
 *
 * Thread: logic, but for the worker, which resumes.
 */
#include <pthread.h>
#include <sockhop/sockhop.h>
#include <stdlib.h>

enum { HELD_MAX = 1000 };

struct job {
    struct job *next;
    hop_deferral which;
    hop_verdict verdict;
};

struct later {
    hop_server *server; /* borrowed */
    pthread_t worker;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct job *first, **end; /* owned: guarded by the mutex, as is has_ended */
    bool has_ended;
    hop_deferral held[HELD_MAX];
    size_t n_held;
    json_int_t n_observed;
};

static void decide(struct later *later, const struct job *job)
{
    hop_args *args;

    if (job->verdict != HOP_REPLACE) {
        hop_event_resume(later->server, job->which, job->verdict, "late", "so sorry");
        return;
    }
    args = hop_args_new();
    hop_args_string(args, "late");
    hop_args_binary(args, "\7\10\11", 3);
    hop_event_resume_replace(later->server, job->which, args);
}

static void *run_worker(void *arg)
{
    struct later *later = arg;

    pthread_mutex_lock(&later->mutex);
    while (later->first || !later->has_ended) {
        struct job *job = later->first;

        if (!job) {
            pthread_cond_wait(&later->cond, &later->mutex);
            continue;
        }
        later->first = job->next;
        if (!later->first)
            later->end = &later->first;
        pthread_mutex_unlock(&later->mutex);
        decide(later, job);
        free(job);
        pthread_mutex_lock(&later->mutex);
    }
    pthread_mutex_unlock(&later->mutex);
    return NULL;
}

static void give_to_worker(struct later *later, hop_deferral which, hop_verdict verdict)
{
    struct job *job = malloc(sizeof *job);

    if (!job)
        abort();
    *job = (struct job){NULL, which, verdict};
    pthread_mutex_lock(&later->mutex);
    *later->end = job;
    later->end = &job->next;
    pthread_cond_signal(&later->cond);
    pthread_mutex_unlock(&later->mutex);
}

static hop_verdict guard_work(hop_socket socket, hop_event *event, void *self)
{
    static const hop_verdict verdicts[] = {HOP_NEXT, HOP_STOP, HOP_REJECTED, HOP_DEFER,
                                           HOP_REPLACE};
    struct later *later = self;
    hop_deferral which;
    json_int_t n;

    (void)socket;
    if (hop_event_unpack(event, "[I]", &n) < 0 || n < 0 || n > 4)
        return hop_reject(event, "bad_work", "0 to 4, please");
    which = hop_event_defer(event, n == 3 ? 200 : 60000);
    if (n != 3)
        give_to_worker(later, which, verdicts[n]);
    return HOP_DEFER;
}

static hop_verdict on_work(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, 0);
    hop_emit_args(hop_to_socket(later->server, socket), "worked", args);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_hold(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;

    (void)socket;
    if (later->n_held == HELD_MAX)
        return hop_reject(event, "full", "enough are held");
    later->held[later->n_held++] = hop_event_defer(event, 3600000);
    return HOP_DEFER;
}

static hop_verdict on_release(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;

    (void)socket;
    hop_event_ack(event, json_pack("[I]", (json_int_t)later->n_held));
    while (later->n_held > 0)
        hop_event_resume(later->server, later->held[--later->n_held], HOP_STOP, NULL,
                         NULL);
    return HOP_STOP;
}

static hop_verdict on_note(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, 0);
    hop_emit_args(hop_to_socket(later->server, socket), "noted", args);
    return HOP_STOP;
}

static hop_verdict swap_first(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_string(args, "swapped");
    hop_args_begin_array(args);
    hop_args_raw_from(args, event, 0);
    hop_args_end(args);
    return hop_replace(event, args);
}

static hop_verdict swap_second(hop_socket socket, hop_event *event, void *self)
{
    hop_args *args = hop_args_new();

    (void)socket;
    (void)self;
    hop_args_raw_from(args, event, 0);
    hop_args_binary(args, "\1\2", 2);
    return hop_replace(event, args);
}

struct answer {
    hop_late_ack *ack;
    json_t *args;
};

static void send_answer(void *self)
{
    struct answer *answer = self;

    hop_late_ack_send(answer->ack, answer->args);
    free(answer);
}

static hop_verdict on_answer(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;
    struct answer *answer = malloc(sizeof *answer);

    (void)socket;
    if (!answer)
        abort();
    *answer =
        (struct answer){hop_event_take_ack(event), json_incref(hop_event_args(event))};
    hop_post(later->server, send_answer, answer);
    return HOP_STOP;
}

static hop_verdict observe(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;

    (void)socket;
    (void)event;
    later->n_observed++;
    return HOP_NEXT;
}

static hop_verdict on_observed(hop_socket socket, hop_event *event, void *self)
{
    struct later *later = self;

    (void)socket;
    hop_event_ack(event, json_pack("[I]", later->n_observed));
    return HOP_STOP;
}

static int later_init(hop_server *server, void *self)
{
    const hop_on_options guard = {.size = sizeof guard, .phase = HOP_GUARD},
                         watch = {.size = sizeof watch, .phase = HOP_OBSERVE};
    struct later *later = self;

    later->server = server;
    later->end = &later->first;
    pthread_mutex_init(&later->mutex, NULL);
    pthread_cond_init(&later->cond, NULL);
    hop_on_with(server, "work", guard_work, later, &guard);
    hop_on(server, "work", on_work, later);
    hop_on_with(server, "work", observe, later, &watch);
    hop_on(server, "hold", on_hold, later);
    hop_on_with(server, "hold", observe, later, &watch);
    hop_on(server, "release", on_release, later);
    hop_on(server, "note", on_note, later);
    hop_on_with(server, "swap", swap_first, later, &guard);
    hop_on_with(server, "swap", swap_second, later, &guard);
    hop_on(server, "swap", on_note, later);
    hop_on(server, "answer", on_answer, later);
    hop_on(server, "observed", on_observed, later);
    if (pthread_create(&later->worker, NULL, run_worker, later) != 0)
        return hop_fail(server, "no thread");
    return 0;
}

static void later_free(void *self)
{
    struct later *later = self;

    pthread_mutex_lock(&later->mutex);
    later->has_ended = true;
    pthread_cond_signal(&later->cond);
    pthread_mutex_unlock(&later->mutex);
    pthread_join(later->worker, NULL);
    pthread_cond_destroy(&later->cond);
    pthread_mutex_destroy(&later->mutex);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("later", "1.0", "decides later"),
    .state_size = sizeof(struct later),
    .init = later_init,
    .free = later_free,
};
