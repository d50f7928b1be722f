/*
 * dispatch.h - event name -> ordered handlers. Thread: logic.
 *
 * Order: phase, then before= and after= among the handlers of that phase, then the order
 * of the plugins in the conf file, then that of registration.
 */
#ifndef PLUGIN_DISPATCH_H
#define PLUGIN_DISPATCH_H

#include <sockhop/server.h>

struct dispatch;
struct plugin;
struct sio_event;

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

/* Put every list in order, once all are known. -1: before= and after= make a circle. */
int dispatch_sort(struct dispatch *dispatch, hop_error *error);

/* Call the handlers of an event; one that nobody handles is ignored. */
void dispatch_event(struct dispatch *dispatch, const struct sio_event *in);

#endif
