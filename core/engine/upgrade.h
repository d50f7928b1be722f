/*
 * upgrade.h - a session's way from polling to WebSocket: probe, switch, or give up.
 * Thread: shard. Source: Engine.IO protocol v4, "Upgrade"; threats.md C09, T25.
 */
#ifndef ENGINE_UPGRADE_H
#define ENGINE_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>

struct session;
struct timer_node;
struct websocket;

/* Whether a WebSocket may come for this session now. */
bool upgrade_is_possible(const struct session *session);

/* The WebSocket becomes the session's probe. */
void upgrade_begin(struct session *session, struct websocket *ws);

/* A text message on the probe: "2probe", "5", or what ends the attempt. */
void upgrade_on_text(struct websocket *ws, const char *text, size_t len);

/* The probe has ended or is no good: the session stays on polling. */
void upgrade_give_up(struct session *session, const char *reason);

/* Between two noops for a GET that is held while the client waits for its end. */
enum { NOOP_MS = 100 };

void upgrade_on_timeout(struct timer_node *node); /* upgrade list */
void upgrade_on_noop(struct timer_node *node);    /* noop list */

#endif
