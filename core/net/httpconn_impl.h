/*
 * httpconn_impl.h - what httpconn.c and http_response.c share, and nobody else knows.
 * Thread: shard.
 */
#ifndef NET_HTTPCONN_IMPL_H
#define NET_HTTPCONN_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net/httpconn.h"

struct file_send;
struct input;

enum {
    QUEUE_HIGH =
        64 * 1024 /* unsent: no further request is taken up, nor is it soon gone */
};

/* What the connection is about. */
enum httpconn_state {
    HTTPCONN_READING,  /* between requests, or in the middle of one */
    HTTPCONN_MOVING,   /* a head is here that another shard must serve */
    HTTPCONN_DUE,      /* a request is with its route: the response is due */
    HTTPCONN_SENDING,  /* a file is on its way */
    HTTPCONN_CLOSING,  /* the last response is queued */
    HTTPCONN_UPGRADED, /* http_upgrade() took the connection */
};

struct httpconn {
    struct conn *conn;              /* borrowed: its user is this */
    const struct router *router;    /* borrowed: of its listener (public, or status) */
    const struct http_route *route; /* borrowed: of the request at hand */
    struct http_parser *parser;     /* owned: NULL between requests */
    char *body;                     /* owned: NULL until some came */
    size_t body_len, body_cap;
    struct input *in; /* borrowed: while feed() runs */
    char *kept;       /* owned: input that waits */
    size_t kept_len;
    void (*on_aborted)(struct httpconn *http, void *arg);
    void *aborted_arg;
    size_t n_kept_bytes; /* elsewhere, for a request that is held; see http_note_kept() */
    struct file_send *file;    /* owned: while HTTPCONN_SENDING */
    int16_t move_to;           /* while HTTPCONN_MOVING: the shard */
    uint8_t state;             /* enum httpconn_state */
    uint8_t minor;             /* HTTP/1.minor of the request at hand */
    uint8_t n_inside;          /* calls that still use this: freed by the last */
    bool is_gone;              /* the connection has ended or was upgraded */
    bool is_head, keeps_alive; /* of the request at hand */
    bool is_in_head;           /* the head deadline runs for a request that has begun */
    bool is_resuming;          /* httpconn_resume_later() is on its way */
    bool waits_for_drain;      /* QUEUE_HIGH was met */
};

/* ---- httpconn.c */

/* Go on with kept input, or move, in the loop's next turn. */
void httpconn_resume_later(struct httpconn *http);

/* ---- http_response.c */

/* The queue has drained while HTTPCONN_SENDING: send more of the file, or end. */
void http_response_continue(struct httpconn *http);
/* Close the file that is being sent, if one is. */
void http_response_end_file(struct httpconn *http);
/* An answer of ours that the connection survives: 404 and 405 of the router.
 * allow: what the Allow header says, or NULL for none. */
void http_response_status(struct httpconn *http, int status, const char *allow);

#endif
