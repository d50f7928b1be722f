/*
 * state.h - the inside of hop_server: for the files of core/plugin alone.
 *
 * Thread: logic; `loops`, `settings` and `routes` of a running server are read-only.
 */
#ifndef PLUGIN_STATE_H
#define PLUGIN_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockhop/server.h>
#include <sockhop/socket.h>

#include "core/base/config.h"
#include "core/base/settings.h"
#include "core/loop/loop.h"
#include "core/loop/slots.h"
#include "core/plugin/claims.h"
#include "core/plugin/commands.h"
#include "core/plugin/connect.h"
#include "core/plugin/defer.h"
#include "core/plugin/dispatch.h"
#include "core/plugin/fields.h"
#include "core/plugin/handshakes.h"
#include "core/plugin/hooks.h"
#include "core/plugin/loader.h"
#include "core/plugin/metric.h"
#include "core/plugin/outgoing.h"
#include "core/plugin/serverevent.h"
#include "core/plugin/timers.h"
#include "core/plugin/users.h"
#include "core/plugin/values.h"
#include "core/plugin/watches.h"
#include "core/socketio/hub.h"

struct asset;
struct awaited;
struct change;
struct endpoint;
struct engine;
struct jobs;
struct logic_route;
struct router;

enum {
    MAX_TIMEOUT_MS = 3600000 /* of an ack, a deferral: promised in the headers */
};

/* An interface that a plugin published. */
struct provided {
    struct plugin *plugin; /* borrowed */
    char *name;            /* owned */
    const void *interface; /* borrowed from the provider */
    size_t size;
};

/* A plugin that has another's interface. */
struct use {
    struct plugin *provider, *user; /* borrowed */
};

struct hop_server {
    struct loops *loops;             /* borrowed */
    const struct settings *settings; /* borrowed */
    const struct config *config;     /* borrowed */
    struct hub *hub;                 /* borrowed */
    struct router *router;           /* borrowed: of the public listener */
    struct loader *loader;           /* owned: NULL before server_load_plugins() */
    struct dispatch *dispatch;       /* owned */
    struct hooks hooks;
    struct deferrals deferrals;
    struct outgoing_hooks outgoing;
    struct server_events server_events;
    struct connects connects;
    struct claims claims;
    struct commands commands;
    struct handshakes handshakes;
    struct logic_route *routes; /* owned: a list */
    struct asset *assets;       /* owned: a list */
    struct fields fields;
    struct plugin_metrics metrics;
    struct engine *const
        *engines;               /* borrowed: by shard number; NULL: server_set_shards() */
    struct endpoint *endpoints; /* owned: a list */
    struct slots peers;         /* of the endpoints, borrowed: struct peer */
    bool is_stopping;           /* endpoints_shutdown() was called */
    struct provided *provided;  /* owned */
    size_t n_provided;
    struct use *uses; /* owned */
    size_t n_uses;
    struct awaited *awaited; /* owned by the hub's acks: a list */
    uint64_t n_awaited;      /* so far */
    struct values values;
    struct users users;

    pthread_t thread; /* logic's */
    struct plugin_timers timers;
    struct watches watches;
    struct jobs *jobs; /* owned */

    struct change *change;         /* owned: under way, or NULL */
    void (*on_settled)(void *arg); /* see server_on_settled() */
    void *on_settled_arg;
    struct plugin
        *unloaded;          /* owned: a list, by next_unloaded: their code stays mapped */
    struct plugin *current; /* borrowed: whose code runs now; NULL: the core's */
    const struct call *call; /* borrowed: the innermost one under way, or NULL */
    bool is_registering;     /* inside init() */
    hop_error refusal;       /* why the plugin in init() is refused; empty: it is not */
};

/*
 * Around every call of a plugin's code: who runs, and for how long. kind and what name
 * it to the watchdog and in the report of a crash, event=chat, hook=connect: constants, or
 * from running_name(). call_begin(): the same without.
 */
struct call {
    const struct call *outer_call; /* borrowed */
    struct plugin *outer;          /* borrowed */
    struct plugin *plugin;         /* borrowed: NULL for the core's own handlers */
    const char *kind, *what;       /* borrowed, or NULL */
    uint64_t from_ns;
};
void call_begin(hop_server *server, struct plugin *plugin, struct call *call);
void call_begin_as(hop_server *server, struct plugin *plugin, const char *kind,
                   const char *what, struct call *call);
/* kind and what name the call in the log, if it was slow; NULL where nobody waits: init()
 * and free(), which the histogram has not either. */
void call_end(hop_server *server, const struct call *call, const char *kind,
              const char *what);

/* Before its free(): who waits for clients' answers hears that there are none. */
void answers_clear(hop_server *server, const struct plugin *plugin);
/* Behind it: nobody hears of what it has asked since. */
void answers_forget(hop_server *server, const struct plugin *plugin);

/* Before a plugin's free(): destroy what its code keeps on others' objects. */
void server_clear(hop_server *server, const struct plugin *plugin);
/* Behind it: remove all that it has registered. */
void server_forget(hop_server *server, struct plugin *plugin);
/* Instead, where its code has to stay, since a job does not end: what others see of it goes. */
void server_hide(hop_server *server, struct plugin *plugin);

/*
 * Whether the calling thread may use the API; else this is logged with the function's
 * name. The loop is that of the process's one running server: targets and argument lists
 * know no server.
 */
bool on_logic(const char *function);
void on_logic_set(const struct loop *logic); /* NULL: every thread may */

/* on_logic(), and a plugin's init() is running; else logged. */
bool in_init(hop_server *server, const char *function);

/* Whether an event of that name can be emitted. */
bool is_emittable(const char *event);

/* Remember the first reason why the plugin in init() is refused. Returns -1. */
int refuse(hop_server *server, const char *format, ...) HOP_PRINTF(2, 3);

#endif
