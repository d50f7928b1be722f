/*
 * conn_impl.h - what conn.c, conn_send.c and net.c need of each other, and nobody else.
 * Thread: shard.
 */
#ifndef NET_CONN_IMPL_H
#define NET_CONN_IMPL_H

#include <stdbool.h>
#include <stdint.h>

struct conn;

/* ---- conn_send.c ---- */

/* Something was queued, or the end is near: flush at the end of this turn, or when the
 * kernel has room. */
void conn_wants_flush(struct conn *conn);

/* The kernel has room again. */
void conn_on_writable(struct conn *conn);

/* Send what is queued; close what has failed, overflowed, or is done. */
void conn_flush(struct conn *conn);

/* Forget what is queued. */
void conn_drop_queue(struct conn *conn);

/* ---- conn.c ---- */

/* Have net->watch wait for these, EPOLLIN, EPOLLOUT; it is doomed where that fails. */
void conn_watch(struct conn *conn, uint32_t events);

/* net->watch: `conn` is ready. */
void conn_on_ready(void *conn, uint32_t events);

/* Its one deadline is due. */
void conn_deadline_passed(struct conn *conn);

/* While NET_BODY runs: has enough come since the last look? */
void conn_check_rate(struct conn *conn);

/* It has waited for this (newcomers.h): read, or end if that has failed. */
void conn_take_turn(struct conn *conn, bool has_failed);

/* Release the memory of one that has ended. */
void conn_free(struct conn *conn);

#endif
