/*
 * handover.h - the values of a plugin that is replaced: saved by the old code, restored by the
 * new. Thread: logic.
 */
#ifndef PLUGIN_HANDOVER_H
#define PLUGIN_HANDOVER_H

#include <sockhop/types.h>

struct handover;
struct plugin;

/* Whether each value that the plugin keeps can be saved: 0, or -1 with the reason. */
int handover_check(hop_server *server, struct plugin *from, hop_error *error);

/*
 * Save what the old plugin keeps, its own state and its values on objects, and restore it for
 * the new one, which is not live yet. Nothing has changed when this returns, which it does
 * with NULL and the reason if something cannot be saved or restored. Owned by the caller.
 */
struct handover *handover_prepare(hop_server *server, struct plugin *from,
                                  struct plugin *to, hop_error *error);

/* The new values take the places of the old, which are destroyed. Cannot fail. Frees it. */
void handover_commit(struct handover *handover);

/* The restored ones are destroyed. Frees it; takes NULL. */
void handover_cancel(struct handover *handover);

/* How many values were restored. */
size_t handover_count(const struct handover *handover);

#endif
