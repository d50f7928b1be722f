/*
 * log.h - one line in the server's log.
 */
#ifndef SOCKHOP_LOG_H
#define SOCKHOP_LOG_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hop_log_level {
    HOP_ERROR, /* someone must act */
    HOP_WARN,  /* something was wrong, and the server coped */
    HOP_INFO,  /* start, stop, plugins, listeners */
    HOP_DEBUG  /* each connection */
} hop_log_level;

/*
 * Write one line: a fixed dotted name, then key=value, values with spaces in double
 * quotes: hop_log(HOP_WARN, "auth.refused reason=\"%s\"", reason).
 *
 * Control bytes, DEL, and the line separators of Unicode are escaped, so that what a
 * client sent can be a value; a line is cut at 1,024 bytes. Never log a secret or the
 * text of a message. Thread: any.
 */
HOP_API void hop_log(hop_log_level level, const char *format, ...) HOP_PRINTF(2, 3);

/* Whether a line of this level would be written: spares costly arguments. Thread: any. */
HOP_API bool hop_log_enabled(hop_log_level level);

#ifdef __cplusplus
}
#endif

#endif
