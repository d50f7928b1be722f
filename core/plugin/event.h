/*
 * event.h - the inside of hop_event: one event while its handlers run. Thread: logic.
 */
#ifndef PLUGIN_EVENT_H
#define PLUGIN_EVENT_H

#include <stdbool.h>

#include <sockhop/event.h>

#include "core/socketio/hub.h"

struct replacement;
struct wait;

/* Starts as {.server, .in}; ends with event_done(). */
struct hop_event {
    hop_server *server;         /* borrowed */
    const struct sio_event *in; /* borrowed, or of `replaced` */
    json_t *args;               /* ref: NULL before was_parsed, or when jansson cannot */
    bool was_parsed;
    bool was_acked;
    bool is_observed;         /* by a handler of HOP_OBSERVE: it decides nothing */
    struct wait *wait;        /* owned by defer.c: NULL where nobody deferred it */
    hop_deferral deferral;    /* 0: nobody waits for it */
    int defer_ms;             /* of the deferral */
    char *code, *message;     /* owned: of the last hop_reject() */
    struct replacement *next; /* owned: of the last hop_replace(), not in force yet */
    struct replacement
        *replaced; /* owned: the arguments in force, or NULL: the client's */
};

void event_done(hop_event *event);

/* As if hop_reject() had not been called. */
void event_forget_rejection(hop_event *event);

/* Tell the client that the event was refused: see hop_reject(). */
void event_answer_rejection(hop_event *event);

#endif
