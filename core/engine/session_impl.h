/*
 * session_impl.h - what the files of core/engine know of each other's structs, and nobody
 * else does. Thread: shard.
 */
#ifndef ENGINE_SESSION_IMPL_H
#define ENGINE_SESSION_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/lookup.h"
#include "core/engine/engine.h"
#include "core/engine/frame.h"
#include "core/engine/jsonp.h"
#include "core/loop/timer.h"

enum {
    SID_BYTES = 19,       /* the shard, then 144 random bits (C01) */
    SID_CHARS = 26,       /* of base64url */
    LOG_ID_BYTES = 6,     /* 8 characters: 40 random bits, 104 stay secret (T23) */
    FIRST_PING_LISTS = 8, /* the first ping comes after 8/16 .. 15/16 of the interval */
    ORIGIN_HEADERS_MAX = 1024 /* the CORS lines of a response */
};

struct websocket;
struct websocket_offer;
struct packet;
struct polling;
struct raw;
struct rest;

struct session {
    struct engine *engine;   /* borrowed: outlives its sessions */
    void *upper;             /* the layer above's own */
    handle self;             /* stale once it has ended */
    struct polling *polling; /* owned: NULL once on WebSocket */
    struct websocket *ws; /* borrowed, frees itself: NULL while polling, and at the end */
    union {
        struct timer_node beat; /* until the next ping, its pong, v3's silence has lasted
                                   too long, or the end of lingering */
        struct session *next_dead; /* once it is buried */
    };
    char
        *given_id; /* owned: what a plugin calls it; NULL: its sid is the text of `sid` */
    unsigned char sid[SID_BYTES]; /* random, or made of given_id */
    bool is_open : 1;             /* false once ended */
    bool is_dirty : 1;     /* on the engine's list: has something to do at LOOP_PACK */
    bool is_lingering : 1; /* ended, but owes its last packets to the next GET */
    bool awaits_pong : 1;
    bool is_v3 : 1; /* its client speaks Engine.IO protocol 3 */
};

/* A session's long-polling half. */
struct polling {
    struct session *session; /* borrowed: owns us */
    struct session *next_dirty;
    struct httpconn *get; /* borrowed: the held GET, or NULL */
    union {
        struct httpconn *post; /* borrowed: the POST whose body is arriving, or NULL */
        struct rest *rest;     /* borrowed: of the POST that is_posting */
    };
    char *get_headers;    /* owned: lines of its response, or NULL for NO_STORE alone */
    char *headers;        /* owned: lines of every response, or NULL */
    struct bytes **queue; /* refs: packets for the next response */
    uint32_t n_queued, queue_cap;
    size_t queued_bytes;
    struct timer_node slow;  /* since queued_bytes passed the soft limit */
    struct websocket *probe; /* borrowed, frees itself: the upgrade under way, or NULL */
    struct timer_node upgrade; /* limits the probe; while is_probing, the next noop */
    uint16_t n_noops;          /* how many of them may still come */
    uint8_t get_encoding;      /* enum http_encoding that its response may have */
    bool may_compress;         /* a queued packet's maker allows it */
    bool is_probing;           /* "2probe" was answered: the client waits for its GET */
    bool is_posting;           /* packets of a complete POST wait for their turn */
    bool is_over_limit;        /* ends with SESSION_SLOW at LOOP_PACK */
    bool takes_bytes;          /* v3, without b64=1: bodies of bytes may be its */
    struct jsonp_index jsonp;
};

/* A connection that speaks WebSocket. */
struct websocket {
    struct engine *engine; /* borrowed */
    struct conn *conn;     /* borrowed: NULL once it has ended */
    union {                /* borrowed: NULL when it has none (any more) */
        struct session *session;
        struct raw *raw; /* when is_raw */
    };
    struct frame_reader *reader; /* from the pool: NULL between messages */
    union {
        char *pong;                  /* owned: the newest ping's payload while blocked */
        struct websocket *next_dead; /* once it has ended */
    };
    uint32_t controls_since_ms; /* the clock's low half */
    uint32_t n_controls;        /* control frames since then */
    uint16_t close_code;        /* close asked for before the connection was ours */
    uint8_t pong_len;
    uint8_t window_bits; /* of the peer, for deflated messages; 0: none may be deflated */
    bool is_raw : 1;     /* of a raw endpoint: no Engine.IO */
    bool is_ours : 1;    /* http_upgrade() is done */
    bool is_closing : 1; /* our close frame is queued: nothing counts any more */
    bool is_reading : 1; /* within on_data: the reader must stay */
    bool has_deadline : 1; /* a message in flight is being timed */
    bool is_v3 : 1;        /* binary messages begin with their type */
    bool is_base64 : 1;    /* v3 with b64=1: and leave as text */
};

struct engine {
    struct net *net;                 /* borrowed */
    const struct settings *settings; /* borrowed */
    struct engine_upper upper;
    struct engine_gate gate;
    int64_t n_held;                        /* handshakes that wait for its decision */
    uint64_t held_warned_ms, id_warned_ms; /* the last line in the log; 0: none yet */
    struct engine *next; /* borrowed: another one of this shard, made before */
    struct slots sessions, raws;
    struct lookup sids;          /* of sessions, by sid */
    unsigned char id_secret[16]; /* of the places of given ids in it */
    char open_end[128]; /* of "open" packets: what is the same for all sessions */
    struct evp_md_ctx_st *accept_hash; /* owned: of websocket_check() */
    struct frame_pool readers;
    struct compressor *compressor; /* owned */
    struct bytes *joined,
        *joined_of;              /* refs: the latest body, and the one packet in it */
    struct frame_writer *writer; /* owned */
    struct frame_limits frame_limits,
        deflate_limits; /* deflate: where it was negotiated */
    struct timer_list first_ping[FIRST_PING_LISTS], ping, pong, upgrade, noop, slow,
        linger;
    struct timer_list silence; /* of v3's clients: they ping, not we */
    struct timer_list raw_ping, raw_pong;
    struct session *dirty, *dead;
    struct raw *dead_raws;
    struct websocket *dead_websockets;
    struct bytes *ping_packet, *pong_packet, *noop_packet, *close_packet,
        *probe_packet;            /* refs */
    struct bytes *initial_packet; /* ref: NULL for none */
    bool takes_polling, takes_websocket, takes_upgrades;
    bool is_shut_down;
};

/* ---- session.c */

/* A new session, with neither transport yet; in the tables, not announced. id: one that
 * engine_is_id() and that is not taken, or NULL. NULL: there are too many. */
struct session *session_new(struct engine *engine, const char *id);
void session_ids_init(struct engine *engine);
bool session_id_is_taken(const struct engine *engine, const char *id);
/* Frees at once, whatever its state; unlinks it everywhere. Takes NULL. */
void session_free(struct session *session);
/* The shard that a sid names, or -1: it is none of ours. */
int session_shard_of(const char *sid, size_t len);
/* By the text of a sid; NULL when there is none. */
struct session *session_by_sid(const struct engine *engine, const char *sid, size_t len);
/* The "open" packet. A new reference. */
struct bytes *session_open_packet(const struct session *session);
/* Tell the layer above, and start the heartbeat. */
void session_announce(struct session *session, const struct http_request *request,
                      const struct conn *conn);
/* A packet of a client as text. The session may have ended when this returns. */
void session_on_packet(struct session *session, const struct packet *packet);
void session_on_binary(struct session *session, const void *data, size_t len);
/*
 * The session has ended by itself: no lingering. `reason` says more for the log, or NULL.
 * Safe when it has ended.
 */
void session_end(struct session *session, enum session_end end, const char *reason);
/* Be called at LOOP_PACK, as one that polls; or not. */
void session_mark_dirty(struct session *session);
void session_unmark_dirty(struct session *session);
/* A last GET came for a lingering session, or nobody did. */
void session_stop_lingering(struct session *session);
/* Add the session to those freed at LOOP_FREE. */
void session_bury(struct session *session);
/* Bytes that the layer above holds of what its client has sent. */
size_t session_held(const struct session *session);
void session_count(const struct session *session, int64_t n); /* in the gauges */

/* Those who have owed a pong for half its time: nobody may be there any more. */
size_t session_count_silent(const struct engine *engine);
/* How many of those who owe a sign of life for longest are looked at, for one that has sent
 * nothing: each costs a system call. */
enum { SILENT_LOOKS = 64 };
/* Who owes one longest; NULL when nobody is known to be silent. */
struct session *session_most_silent(const struct engine *engine);

void session_on_beat(struct timer_node *node);    /* ping lists */
void session_on_no_pong(struct timer_node *node); /* pong list */
void session_on_silence(struct timer_node *node); /* silence list */
void session_on_linger(struct timer_node *node);  /* linger list */

/* ---- raw.c */

void raw_bury_dead(struct engine *engine);

/* ---- engine.c */

struct metrics *engine_metrics(const struct engine *engine);
void engine_pack(void *engine); /* LOOP_PACK */
void engine_bury(void *engine); /* LOOP_FREE */

/* ---- open.c */

/* Answer 503. */
void engine_refuse_full(struct httpconn *http, const char *reason);
/* Whether newcomers have to be refused; counts one. */
bool engine_is_out_of_memory(struct engine *engine);
/* websocket_check(); false: the request has been refused. */
bool engine_take_offer(const struct engine *engine, struct httpconn *http,
                       const struct http_request *request, struct websocket_offer *offer);

#endif
