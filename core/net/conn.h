/*
 * conn.h - one TCP connection: its reading, its queue of slices, its close.
 *
 * Who calls it: httpconn.c, then websocket.c once upgraded; each is told by struct
 * conn_ops. conn_send*() never calls back: a connection that fails or overflows there is
 * closed at the end of the turn, so a walk over many connections is safe. conn_close()
 * calls on_closed before it returns, exactly once; the memory stays until the turn ends.
 * Thread: shard.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/loop/slots.h"
#include "core/loop/timer.h"
#include "core/net/net.h"

struct bytes;
struct conn;

/* Why a connection ended. */
enum conn_end {
    CONN_PEER_CLOSED, /* FIN */
    CONN_FAILED,      /* RST, or another error of the socket */
    CONN_TIMED_OUT,   /* a deadline passed */
    CONN_SLOW,        /* over its queue limits */
    CONN_BY_US        /* conn_close() */
};

struct conn_ops {
    /* Bytes have come: borrowed until it returns; all of them are the callee's now. */
    void (*on_data)(struct conn *conn, const char *data, size_t len);
    /* The queue has become empty after a flush. May be NULL. */
    void (*on_drained)(struct conn *conn);
    /* A deadline passed. NULL: the connection is closed with CONN_TIMED_OUT. */
    void (*on_deadline)(struct conn *conn, enum net_deadline which);
    /* The peer has sent its FIN. Returns whether the connection lives on to send what is
     * left; it is read no more then. Else, or when NULL, it is closed. */
    bool (*on_half_closed)(struct conn *conn);
    /* It has ended: release `user`. Sending does nothing from now on. */
    void (*on_closed)(struct conn *conn, enum conn_end end);
    /* It has arrived on another shard (conn_move()): go on where it stopped. */
    void (*on_moved)(struct conn *conn);
    /* Bytes that it holds of what the peer has sent. NULL: none. */
    size_t (*held)(const struct conn *conn);
};

enum { CONN_FEW_SLICES = 4 };

struct slice {
    struct bytes *bytes; /* ref */
    size_t from, to;
};

/* The one deadline of a connection, while it runs: most have none. */
struct conn_deadline {
    struct timer_node node; /* on one of net->deadline[] */
    union {
        struct conn *conn;                /* borrowed: has us */
        struct conn_deadline *next_spare; /* of net->spare_deadlines */
    };
    uint32_t n_watched; /* bytes read since the last look at the rate; RATE_EXCUSED */
    uint32_t body_due;  /* of NET_BODY while NET_RATE runs: the clock's low half */
};

/* What is queued behind the first slice, and what comes with that. */
struct conn_backlog {
    struct conn *conn;      /* borrowed: owns us */
    struct timer_node slow; /* since the queue passed the soft limit */
    struct bytes *own; /* ref: collects frames to this one receiver while it is blocked */
    struct slice *more; /* a ring of `cap`: `few`, or owned */
    uint32_t head, cap;
    struct slice few[CONN_FEW_SLICES];
};

struct conn {
    struct net *net;            /* borrowed: of the shard it lives on */
    const struct conn_ops *ops; /* borrowed */
    void *user;                 /* the ops' own */
    handle self;
    int fd;
    uint8_t watched;       /* EPOLLIN, EPOLLOUT: what net->watch waits for */
    bool is_open : 1;      /* false once closed: sends and reads are over */
    bool is_blocked : 1;   /* the last flush met EAGAIN: EPOLLOUT is on */
    bool is_capped : 1;    /* the queue limits apply (WebSocket) */
    bool wants_read : 1;   /* what its user asked for; a full lane may override */
    bool is_dirty : 1;     /* on the net's list of these */
    bool is_paused : 1;    /* the same */
    bool is_holding : 1;   /* conn_hold(): not read meanwhile */
    bool is_waiting : 1;   /* newcomers_wait(): nor now */
    bool is_ending : 1;    /* close once the queue is empty, and read no more */
    bool is_shut : 1;      /* our FIN is sent: waiting for the peer's */
    bool is_doomed : 1;    /* failed while sending: closed with `doom` by the flush */
    bool is_counted : 1;   /* by net->gate */
    uint8_t n_reads : 3;   /* that have brought something; up to NEWCOMER_READS */
    uint8_t doom : 4;      /* enum conn_end */
    uint8_t deadline_kind; /* enum net_deadline: the latest */
    struct conn_deadline *deadline; /* owned: NULL where none was set */
    struct conn_backlog *backlog;   /* owned: NULL where one slice is all */
    struct slice one;               /* the first slice, so that most need no more */
    size_t queued_bytes;
    uint32_t n_slices;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } peer; /* TCP only: 28 bytes instead of sockaddr_storage's 128 */
    struct conn *next_dirty;
    union {
        struct conn *next_paused; /* while is_paused */
        struct conn *next_dead;   /* once it has ended */
    };
};

/* Adopt a connected, non-blocking socket. Takes the fd over, also on failure (NULL). */
struct conn *conn_new(struct net *net, int fd, const struct sockaddr_storage *peer,
                      const struct conn_ops *ops, void *user);

/* Close it at the end of this turn, whatever is queued; no callback before that. */
void conn_doom(struct conn *conn, enum conn_end end);

/*
 * Queue bytes[from, to): one more reference is taken, or the last slice extended. Sent at
 * the end of the turn. Returns false when the connection is closed, or was just closed for
 * being over its limits.
 */
bool conn_send(struct conn *conn, struct bytes *bytes, size_t from, size_t to);

/* The same for a copy of data. While the connection is blocked it goes into a buffer of
 * its own, else into the shard's direct buffer. */
bool conn_send_copy(struct conn *conn, const void *data, size_t len);

/* The same as space to be filled at once; NULL when closed. */
char *conn_send_space(struct conn *conn, size_t len);

/* Write what is queued now, so that it is a segment of its own. Nobody is called back: what
 * fails is told by the flush. */
void conn_write_now(struct conn *conn);

/* Whether a volatile packet may go: open, and nothing left over from the last flush. */
bool conn_is_writable(const struct conn *conn);

/* End it now: the queue is dropped, on_closed called. Safe when it has ended. */
void conn_close(struct conn *conn, enum conn_end end);

/* End it when the queue is empty, in LINGER time at most; nothing is read from now on. */
void conn_close_after_flush(struct conn *conn);

/* Whether its peer has sent what was not read yet: a deadline then is not the peer's fault. */
bool conn_has_input(const struct conn *conn);

/*
 * Have on_data called with this in the next turn, and read nothing before all of it was
 * taken. For an on_data that has done its share for one turn: data may be a tail of what it
 * was given. Copied.
 */
void conn_hold(struct conn *conn, const char *data, size_t len);

/* Switch reading on or off (a full pipeline, a body nobody takes yet). */
void conn_read(struct conn *conn, bool on);

/* Set the one deadline, or clear it. One that is ending keeps its NET_LINGER. Under
 * NET_BODY the peer must also send limits.min_body_rate; too slow is NET_BODY passed. */
void conn_set_deadline(struct conn *conn, enum net_deadline which);
void conn_clear_deadline(struct conn *conn);
bool conn_has_deadline(const struct conn *conn);

/*
 * Hand the connection over to another shard; its queue must be empty. `user` and ops move
 * along; on_moved is called there. The pointer is not this thread's any more.
 */
void conn_move(struct conn *conn, struct net *to);

/* Address as text: "127.0.0.1", "::1"; "unknown" for what has none. */
enum { CONN_ADDRESS_MAX = 64 };
void conn_address(const struct conn *conn, char *out, size_t size);
void conn_print_address(const struct sockaddr *peer, char *out, size_t size);

#endif
