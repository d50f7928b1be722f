/*
 * dispatch.h - event name -> ordered handlers. Thread: logic.
 *
 * Order: phase, then before= and after= among the handlers of that phase, then the order
 * of the plugins in the conf file, then that of registration.
 */
#ifndef PLUGIN_DISPATCH_H
#define PLUGIN_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

#include <sockhop/server.h>

#include "core/plugin/event.h"

struct dispatch;
struct handler;
struct plugin;
struct row;
struct sio_event;
struct table;

struct dispatch *dispatch_new(hop_server *server);
void dispatch_free(struct dispatch *dispatch);

/* options: complete, its names checked; strings are copied. */
void dispatch_add(struct dispatch *dispatch, struct plugin *plugin, const char *event,
                  hop_handler *handler, void *self, const hop_on_options *options);

/* The same for a handler of every event, whatever its name: it comes before the named ones
 * of its phase, and before= and after= order it among its like. */
void dispatch_add_any(struct dispatch *dispatch, struct plugin *plugin,
                      hop_handler *handler, void *self, const hop_on_options *options);

/* Remove all handlers of a plugin. Not while a handler runs. */
void dispatch_remove(struct dispatch *dispatch, const struct plugin *plugin);

/* Put every list in order and find the namespaces that handlers are for, once all are
 * known. -1: before= and after= make a circle, or a namespace is not declared. */
int dispatch_sort(struct dispatch *dispatch, hop_error *error);
/* Whether that could be done without the plugins that leave; nothing is moved. */
int dispatch_check(struct dispatch *dispatch, hop_error *error);
/* From now on events wait that have a handler of a plugin that leaves, or no more. */
void dispatch_set_leaving(struct dispatch *dispatch, bool is_leaving);

/* For --print-hooks: every event by name, its handlers in the order of their calls. */
void dispatch_show(const struct dispatch *dispatch, struct table *table);

/* One event on its way through the handlers. */
struct walk {
    hop_server *server;    /* borrowed */
    const struct row *row; /* borrowed: of its name, or NULL */
    hop_event event;
    unsigned step; /* of the phases; and the handler to look at next */
    size_t next;
    struct plugin *waits_for; /* borrowed: of the handler that deferred it, or NULL */
    unsigned serial;          /* of that handler */
    bool goes_on;             /* to handlers of HOP_GUARD and HOP_HANDLE */
};
void walk_begin(struct walk *walk, hop_server *server, const struct sio_event *in);
/* True at its end, false where a handler has deferred it. */
bool walk_run(struct walk *walk);
/* The verdict of the handler that deferred it. */
void walk_decide(struct walk *walk, hop_verdict verdict);
const struct plugin *walk_plugin(const struct walk *walk);
/* The table has changed: find the place behind the handler that deferred it, or the start. */
void walk_relocate(struct walk *walk);

/* Call the handlers of an event; one that nobody handles is ignored, and one whose socket
 * waits for a deferred event waits as well. */
void dispatch_event(struct dispatch *dispatch, const struct sio_event *in);

#endif
