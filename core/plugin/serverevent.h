/*
 * serverevent.h - what plugins tell each other, on every server of a cluster: the list of
 * handlers, and what waits for its turn. Thread: logic.
 *
 * Until there is a cluster this server is all of it. The seam for one: hop_server_emit()
 * passes the event to the others as well, server_event_deliver() is for what comes from
 * them, and answers of theirs join those of this server.
 */
#ifndef PLUGIN_SERVEREVENT_H
#define PLUGIN_SERVEREVENT_H

#include <stddef.h>

#include <sockhop/cluster.h>

struct event;
struct plugin;
struct server_message;

struct server_event_handler {
    struct plugin *plugin; /* borrowed */
    char *name;            /* owned */
    const char *shown;     /* the same, of running_name() */
    hop_server_handler *call;
    void *self;      /* borrowed: the plugin's own */
    unsigned serial; /* of registration */
};

struct server_events {
    struct server_event_handler *list; /* owned */
    size_t n;
    unsigned n_added;
    struct server_message *first, **end; /* owned: emitted, not delivered yet */
    struct event *timer;                 /* owned: NULL before the first emit */
    bool has_ended;                      /* nothing is taken any more */
};

/* In the order of the plugins' init(), then of registration. */
void server_events_sort(struct server_events *events);
/* Before its free(): who waits for answers is told that there are none. */
void server_events_clear(hop_server *server, const struct plugin *plugin);
void server_events_remove(struct server_events *events, const struct plugin *plugin);
/* What waits is not delivered any more; who waits for answers is told so. */
void server_events_end(hop_server *server);
void server_events_done(struct server_events *events);

/*
 * Call the handlers of an event. args: borrowed. is_own: it was emitted here. Returns the
 * first answer (owned by the caller), or NULL.
 */
json_t *server_event_deliver(hop_server *server, const char *name, json_t *args,
                             bool is_own, bool has_ack);

#endif
