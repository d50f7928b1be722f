/*
 * health.h - what a plugin says about its own state on /readyz of the status listener.
 *
 * A check is told, never asked: a callback that /readyz called in the logic thread would
 * invite to look at a database there while everybody waits, and whoever looks in a job, or
 * hears of a lost connection, knows when the state changes. So a prober of /readyz costs the
 * plugins nothing, however often it comes.
 */
#ifndef SOCKHOP_HEALTH_H
#define SOCKHOP_HEALTH_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One check, by value. It may be stored for as long as one likes, and given to any thread:
 * that of a plugin that has gone does nothing and says so. HOP_NO_HEALTH is never one.
 */
typedef uint64_t hop_health;
#define HOP_NO_HEALTH ((hop_health)0)

typedef enum hop_health_state {
    HOP_HEALTHY,
    HOP_DEGRADED, /* it works, less well: /readyz stays 200 */
    HOP_UNHEALTHY /* /readyz is 503 while one check is this */
} hop_health_state;

/*
 * Add a check. /readyz lists it as PLUGIN.NAME with its state and text, once the plugin is
 * live. Until it is set it is HOP_UNHEALTHY, "not known yet"; when the plugin is reloaded,
 * it is as the old code's of that name was.
 *   name  [a-z][a-z0-9_]*, at most 32 bytes; copied
 * Returns the check, or HOP_NO_HEALTH when the name is none, the plugin has it already, or
 * has 16 checks: the plugin is refused with the reason then. It goes with the plugin. Only
 * in init(). Thread: logic.
 */
HOP_API hop_health hop_health_new(hop_server *server, const char *name);

/*
 * Say how it is now, until it is said again.
 *   text  for who reads /readyz: one line of UTF-8, no secret; copied, and cut at 200 bytes;
 *         NULL for none
 * Returns 0, or -1 when the check has gone or state is none. Thread: any.
 */
HOP_API int hop_health_set(hop_health health, hop_health_state state, const char *text);

#ifdef __cplusplus
}
#endif

#endif
