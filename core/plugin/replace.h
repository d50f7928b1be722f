/*
 * replace.h - an event with other arguments: what hop_replace() makes, and when it counts.
 * Thread: logic.
 */
#ifndef PLUGIN_REPLACE_H
#define PLUGIN_REPLACE_H

#include <sockhop/event.h>

struct replacement;

/* The handler's verdict stands: from now on the event has the arguments of the last
 * hop_replace(), which there has been. */
void replace_apply(hop_event *event);

/* As if hop_replace() had not been called. */
void replace_forget(hop_event *event);

void replacement_free(struct replacement *replacement); /* takes NULL */

#endif
