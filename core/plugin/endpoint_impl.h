/*
 * endpoint_impl.h - what endpoints.c and peers.c know of each other, and nobody else does.
 * Thread: as each says.
 */
#ifndef PLUGIN_ENDPOINT_IMPL_H
#define PLUGIN_ENDPOINT_IMPL_H

#include <stdatomic.h>

#include <sockhop/endpoint.h>

#include "core/engine/frame.h"
#include "core/loop/loop.h"
#include "core/loop/slots.h"
#include "core/net/conn.h"
#include "core/net/httpconn.h"
#include "core/plugin/routes.h"

struct bytes;
struct engine;
struct peer;
struct plugin;
struct settings;

/* The peers whose connections are in one shard, by the slot of the connection's handle. */
struct peer_table {
    struct peer **peer; /* owned */
    uint32_t n;
};

/* An Engine.IO endpoint's part in one shard. */
struct part {
    struct endpoint *endpoint; /* borrowed */
    struct loop *loop;         /* borrowed */
};

struct endpoint {
    hop_server *server;         /* borrowed */
    struct plugin *plugin;      /* borrowed */
    char *path;                 /* owned */
    const char *shown;          /* the path, of running_name() */
    hop_endpoint calls;         /* all NULL once its plugin has gone; logic */
    void *self;                 /* borrowed: the callbacks' own */
    struct plugin *next_plugin; /* borrowed: that is to replace it, with the next two */
    hop_endpoint next_calls;
    void *next_self;
    size_t n_peers;
    atomic_bool is_there; /* somebody answers: for the router */
    struct http_route route;
    /* of an Engine.IO endpoint, by shard number; NULL: a raw WebSocket's */
    struct engine **engines;            /* owned, and they */
    struct part *parts;                 /* owned */
    struct settings *settings;          /* owned: the core's with our path */
    struct peer_table shard[LOOPS_MAX]; /* logic */
    struct endpoint *next;              /* of the server's list */
};

/* ---- records */

struct up_head {
    struct endpoint *endpoint; /* borrowed: outlives the loops */
    handle conn;
};

struct up_open {
    struct up_head head;
    hop_request request; /* its texts: a ref */
    char address[CONN_ADDRESS_MAX];
};

struct up_message {
    struct up_head head;
    hop_message_kind kind;
    size_t len;
    char data[]; /* and a NUL */
};

struct close_reason {
    uint16_t code;
    uint8_t len;
    char text[FRAME_REASON_MAX + 1]; /* NUL behind len */
};

struct up_close {
    struct up_head head;
    struct close_reason reason;
};

struct down_message {
    struct endpoint *endpoint; /* borrowed */
    handle conn;
    struct bytes *packet; /* ref: owned by the record */
};

struct down_close {
    struct endpoint *endpoint; /* borrowed */
    handle conn;
    struct close_reason reason;
};

/* ---- peers.c: logic */

/* Records of the shards. */
void peers_take_open(struct loop *logic, void *payload);
void peers_take_message(struct loop *logic, void *payload);
void peers_take_close(struct loop *logic, void *payload);
/* The server stops: each hears its last. */
void peers_end(hop_server *server);
/* Those of an endpoint that is freed; nothing is told. */
void peers_free(struct endpoint *endpoint);

/* ---- endpoints.c: records of logic, in the shard */

void endpoint_take_message(struct loop *shard, void *payload);
void endpoint_take_close(struct loop *shard, void *payload);

#endif
