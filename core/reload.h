/*
 * reload.h - SIGHUP: the conf file is read again, checked, and applied as far as a server that
 * runs can. Called by: daemon.c. Thread: logic.
 */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include <sockhop/types.h>

#include "core/plugin/change.h"

struct config;
struct reloads;

/* now: the configuration that the server was started with. Both are borrowed. */
struct reloads *reloads_new(hop_server *server, const struct config *now);
void reloads_free(struct reloads *reloads); /* takes NULL */

/*
 * Reload, now or once what is under way has ended. What comes of it is logged; if anything is
 * wrong, nothing has been changed. done: NULL, or called once, from within this or later.
 */
void reloads_request(struct reloads *reloads, change_done *done, void *arg);

/* The server is about to stop: nothing is reloaded any more, and who waits for it is told so. */
void reloads_stop(struct reloads *reloads);

#endif
