/*
 * settings.h - the core's own configuration, typed: [server], [engine], [limits], [log].
 *
 * Filled once at start from struct config (config.h) by the tables in settings.c, then
 * read-only. Thread: any.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdio.h>

#include <sockhop/config.h>

#include "core/base/config_doc.h"

struct config;

/* The words of two keys, in their order. */
enum cookie_same_site {
    SAME_SITE_STRICT,
    SAME_SITE_LAX,
    SAME_SITE_NONE,
    SAME_SITE_UNSET
};
enum sio_parser { PARSER_JSON, PARSER_MSGPACK };
enum cookie_priority { PRIORITY_LOW, PRIORITY_MEDIUM, PRIORITY_HIGH, PRIORITY_UNSET };

struct settings {
    /* [server] */
    const char *listen;     /* "127.0.0.1, ::1" */
    int64_t port;           /* 8080; 0 takes a free one; PORT in the environment wins */
    const char *threads;    /* "auto" or 0..64 as text; see n_threads */
    const char *public_dir; /* folder of the page, "" for none */
    const char *plugin_dir; /* folder of NAME.so */
    const char *status;     /* "ADDRESS:PORT" of /metrics, /readyz, /livez; "" for none */
    const char *control;    /* path of the control socket, "" for none */
    int64_t shutdown_timeout_ms; /* 10 s: flush at SIGTERM */
    const char *user;            /* "" or USER[:GROUP] to become as root: privileges.h */
    bool seccomp;                /* whether to filter system calls */
    int64_t slow_ms;             /* 50: calls of plugins that are logged; 0: none */
    int64_t watchdog_ms;     /* 10 s: a turn of logic that ends the process; 0: none */
    const char *include;     /* further conf files; config_load() has read them */
    int64_t jobs_timeout_ms; /* 30 s: for jobs that run when their plugin goes */
    int64_t n_workers;       /* 4: threads for plugins' jobs */
    const char *namespaces;  /* "" or a list such as "/a, /b", beside "/" */
    int n_threads;           /* resolved from threads: 0 means all on one loop */

    /* [engine]: the reference's options in snake case */
    const char *path;             /* /socket.io */
    bool add_trailing_slash;      /* clients ask for PATH/ and nothing else */
    bool serve_client;            /* the client bundles below path */
    int64_t ping_interval_ms;     /* 25,000 */
    int64_t ping_timeout_ms;      /* 20,000 */
    int64_t upgrade_timeout_ms;   /* 10,000 */
    int64_t connect_timeout_ms;   /* 45,000: to join a namespace */
    size_t max_http_buffer_bytes; /* 1,000,000: the handshake's maxPayload */
    int64_t max_attachments;      /* 10 of a packet, in and out */
    const char *transports;       /* "polling, websocket" */
    bool allow_upgrades;
    bool allow_eio3;         /* clients of Socket.IO 2.x */
    bool permessage_deflate; /* no: whether messages of WebSockets may be deflated */
    bool http_compression;
    int parser;                        /* enum sio_parser */
    size_t deflate_min_bytes;          /* 1,024: shorter messages are sent as they are */
    size_t http_compression_threshold; /* 1,024 bytes of a response */
    const char *initial_packet;        /* sent behind "open", "" for none */
    const char *origins;               /* "" same host only; list; "*" any */
    bool cors_credentials;             /* for listed origins */
    const char *cors_allowed_headers;  /* list; "" what a preflight asks for */
    const char *cors_exposed_headers;  /* list */
    int64_t cors_max_age_ms;           /* 10 min: of a preflight's answer */
    bool cookie;                       /* whether a polling handshake sets one */
    const char *cookie_name;           /* io */
    const char *cookie_path;           /* "/"; "" for none, as the next */
    const char *cookie_domain;
    int64_t cookie_max_age_ms; /* 0: until the browser ends */
    bool cookie_http_only;
    bool cookie_secure;
    int cookie_same_site; /* enum cookie_same_site */
    bool cookie_partitioned;
    int cookie_priority; /* enum cookie_priority */
    bool cleanup_empty_child_namespaces;

    /* [limits] */
    size_t max_head_bytes;   /* 16 KiB: request line and headers; 431 */
    size_t max_target_bytes; /* 8 KiB: request target; 414 */
    int64_t max_headers;     /* 100; 431 */
    size_t max_body_bytes;   /* 1,000,000: bodies of plugins' routes; 413 */
    int64_t head_timeout_ms; /* 10 s, total; 408 */
    int64_t body_timeout_ms; /* 30 s, total; 408 */
    size_t min_body_rate;    /* 500 bytes a second of a body or message; 0: any; 408 */
    int64_t keep_alive_ms;   /* 60 s: idle between requests */
    int64_t max_connections; /* in all, of the public listeners; 0: no limit */
    int64_t max_connections_per_address; /* 1,000; 0: no limit; loopback has none */
    const char *max_memory;    /* "auto", a size, or "0"; see max_memory_bytes */
    size_t max_queue_bytes;    /* 1 MiB a connection: closed above */
    size_t soft_queue_bytes;   /* 256 KiB: closed when above for soft_queue_ms */
    int64_t soft_queue_ms;     /* 10 s */
    int64_t max_queue_frames;  /* 16,384 slices or packets a connection */
    size_t max_lane_bytes;     /* 8 MiB between two threads: shards stop reading */
    int64_t max_turn_packets;  /* 64 packets, frames or requests of a connection a turn */
    int64_t max_fragments;     /* 1,024 WebSocket fragments a message */
    int64_t max_controls;      /* 100 WebSocket control frames a second */
    int64_t max_json_depth;    /* 64 */
    int64_t max_json_values;   /* 10,000 */
    size_t max_attached_bytes; /* 1,000,000: all attachments of a client's packet */
    int64_t attachment_timeout_ms; /* 10 s until the next one begins */
    int64_t max_rooms;             /* 1,000 that one socket is in */
    int64_t max_acks;              /* 1,000,000 awaited in all */
    int64_t max_handshakes;        /* 1,000 a shard: held for a plugin's decision */
    size_t max_waiting_bytes;      /* 1 MiB of a client behind a deferred event */
    int64_t max_jobs;              /* 10,000 of a plugin that have not begun */
    size_t max_answer_bytes;       /* 16 MiB of them, kept until the last has come */
    int64_t max_namespaces;        /* 1,000 that clients' CONNECTs have made, in all */
    int64_t max_client_namespaces; /* 16 that one client is in */
    size_t max_memory_bytes;       /* resolved from max_memory; 0: no limit */

    /* [log] */
    int log_level; /* enum hop_log_level */
};

/*
 * Fill settings from config (unknown keys, bad values and contradictions are errors) after
 * PORT of the environment has overridden server.port there. Strings are borrowed from
 * config. Returns 0, or -1 with the reason.
 */
int settings_fill(struct settings *settings, struct config *config, hop_error *error);

/* The tables by section, for -T and the documents: NULL after the last. */
struct settings_section {
    const char *name;
    const hop_config_key *keys;
};
extern const struct settings_section settings_sections[];

/* Where settings->status or an item like it points: "127.0.0.1:9090", "[::1]:9090". */
struct settings_address {
    char address[46]; /* numeric, without brackets */
    int port;
};
/* Returns 0, or -1 when text is no numeric address with a port. */
int settings_address_parse(const char *text, struct settings_address *out);

/* All core sections by their tables, a blank line between. For --config-doc. */
void settings_doc(enum config_doc format, FILE *out);

/* All core sections as config_print() writes them, a blank line between. For -T. */
void settings_print(const struct config *config, FILE *out);

#endif
