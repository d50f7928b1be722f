/*
 * status.h - /metrics, /readyz and /livez on the listener of server.status. Thread: logic.
 */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include <stdbool.h>
#include <stdio.h>

#include <sockhop/types.h>

struct loops;
struct router;
struct status;

struct status *status_new(struct loops *loops, hop_server *server);
void status_free(struct status *status); /* takes NULL */

/* For listener_open(). Borrowed. */
const struct router *status_router(const struct status *status);

/* What /metrics says, as Prometheus text. */
void status_print(const struct status *status, FILE *out);

/* What /readyz says: 200 when ready and no check of a plugin is unhealthy, 503 before and while
 * stopping. */
void status_set_ready(struct status *status, bool is_ready);

#endif
