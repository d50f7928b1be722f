/*
 * conn_impl.h - what net.c needs of conn.c, and nobody else. Thread: shard.
 */
#ifndef NET_CONN_IMPL_H
#define NET_CONN_IMPL_H

struct conn;

/* Send what is queued; close what has failed, overflowed, or is done. */
void conn_flush(struct conn *conn);

/* Its one deadline is due. */
void conn_deadline_passed(struct conn *conn);

/* Release the memory of one that has ended. */
void conn_free(struct conn *conn);

#endif
