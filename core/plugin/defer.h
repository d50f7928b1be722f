/*
 * defer.h - events whose handlers decide later, and the events behind them. Thread: logic,
 * but for hop_event_resume() and hop_event_resume_replace().
 */
#ifndef PLUGIN_DEFER_H
#define PLUGIN_DEFER_H

#include <stdbool.h>

#include "core/loop/slots.h"
#include "core/plugin/event.h"

struct plugin;
struct wait;
struct walk;

struct deferrals {
    struct wait *waits;    /* owned: hashed by socket */
    struct slots by_id;    /* waits, by hop_deferral */
    size_t max_held_bytes; /* of events behind a deferred one, a socket */
};

void defer_init(hop_server *server);
void defer_done(hop_server *server);

/* Whether the event has to wait behind another of its socket: it is copied then. */
bool defer_holds_up(hop_server *server, const struct sio_event *in);

/* A handler has deferred the event of this walk: it is copied, and goes on later. */
void defer_keep(const struct walk *walk);

/* A plugin that is to see the event of this walk, which has not begun, leaves: it waits for
 * defer_release(). */
void defer_hold(const struct walk *walk);
/* What was held goes on. */
void defer_release(hop_server *server);
/* The handlers' table has changed. */
void defer_relocate(hop_server *server);
/* Whether events wait for a decision of this plugin; decide them all: refused. */
bool defer_has_any(const hop_server *server, const struct plugin *plugin);
void defer_refuse_all(hop_server *server, const struct plugin *plugin);

/* What a handler asked for with hop_event_defer(), but did not mean. */
void defer_cancel(hop_event *event);

/* The socket goes: its deferred event ends, and those behind it are seen by observers. */
void defer_end(hop_server *server, hop_socket socket);

#endif
