/*
 * outgoing.h - those who are told of every event that plugins emit. Thread: logic.
 */
#ifndef PLUGIN_OUTGOING_H
#define PLUGIN_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>

#include <sockhop/answer.h>

struct plugin;
struct sio_args;

struct outgoing_hook {
    struct plugin *plugin; /* borrowed */
    hop_outgoing_hook *call;
    void *self;      /* borrowed: the plugin's own */
    unsigned serial; /* of registration */
};

struct outgoing_hooks {
    struct outgoing_hook *list; /* owned */
    size_t n;
    unsigned n_added;
    bool is_telling; /* what the hooks emit themselves is not told */
};

void outgoing_done(struct outgoing_hooks *hooks);
/* In the order of the plugins' init(), then of registration. */
void outgoing_sort(struct outgoing_hooks *hooks);
void outgoing_remove(struct outgoing_hooks *hooks, const struct plugin *plugin);

/* Tell of an emit that is about to be. Costs a comparison where nobody asked. */
void outgoing_tell(hop_server *server, hop_target *target, const char *event,
                   const struct sio_args *args, bool has_ack);

#endif
