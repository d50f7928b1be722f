/*
 * conformance_delay.c - handshakes that take their time, as those of the server that
 * socket.io-client's own suite is written for.
 *
 * Called by: conformance_client.c. A thread wakes for each that waits: all wait equally long,
 * so the first to come is the first to go. Thread: logic, but for the waker.
 */
#include "tests/plugins/conformance.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { DELAY_MS = 10, TIMEOUT_MS = 10000 };

struct delay {
    struct delay *next;
    hop_deferral which;
    struct timespec due;
};

struct delays {
    hop_server *server; /* borrowed */
    pthread_t waker;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct delay *first, **end; /* owned: guarded by the mutex, as is has_ended */
    bool has_ended;
};

static void *wake(void *arg)
{
    struct delays *delays = arg;

    pthread_mutex_lock(&delays->mutex);
    while (!delays->has_ended) {
        struct delay *delay = delays->first;

        if (!delay) {
            pthread_cond_wait(&delays->cond, &delays->mutex);
            continue;
        }
        delays->first = delay->next;
        if (!delays->first)
            delays->end = &delays->first;
        pthread_mutex_unlock(&delays->mutex);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &delay->due, NULL);
        hop_handshake_resume(delays->server, delay->which, NULL);
        free(delay);
        pthread_mutex_lock(&delays->mutex);
    }
    pthread_mutex_unlock(&delays->mutex);
    return NULL;
}

static hop_verdict hold(hop_handshake *handshake, void *self)
{
    struct delays *delays = self;
    struct delay *delay = malloc(sizeof *delay);

    if (!delay)
        return HOP_NEXT;
    delay->next = NULL;
    delay->which = hop_handshake_defer(handshake, TIMEOUT_MS);
    clock_gettime(CLOCK_MONOTONIC, &delay->due);
    delay->due.tv_nsec += DELAY_MS * 1000000L;
    if (delay->due.tv_nsec >= 1000000000L) {
        delay->due.tv_nsec -= 1000000000L;
        delay->due.tv_sec++;
    }
    pthread_mutex_lock(&delays->mutex);
    *delays->end = delay;
    delays->end = &delay->next;
    pthread_cond_signal(&delays->cond);
    pthread_mutex_unlock(&delays->mutex);
    return HOP_DEFER;
}

void delays_start(struct conformance *conformance)
{
    struct delays *delays = calloc(1, sizeof *delays);

    if (!delays)
        abort();
    delays->server = conformance->server;
    delays->end = &delays->first;
    pthread_mutex_init(&delays->mutex, NULL);
    pthread_cond_init(&delays->cond, NULL);
    if (pthread_create(&delays->waker, NULL, wake, delays) != 0) {
        free(delays);
        hop_fail(conformance->server, "no thread");
        return;
    }
    conformance->delays = delays;
    hop_on_handshake(conformance->server, NULL, hold, delays);
}

void delays_free(struct delays *delays)
{
    if (!delays)
        return;
    pthread_mutex_lock(&delays->mutex);
    delays->has_ended = true;
    pthread_cond_signal(&delays->cond);
    pthread_mutex_unlock(&delays->mutex);
    pthread_join(delays->waker, NULL);
    while (delays->first) {
        struct delay *delay = delays->first;

        delays->first = delay->next;
        free(delay);
    }
    pthread_cond_destroy(&delays->cond);
    pthread_mutex_destroy(&delays->mutex);
    free(delays);
}
