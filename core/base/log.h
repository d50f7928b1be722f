/*
 * log.h - the core's side of <sockhop/log.h>: level and escaping. Thread: any.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <sockhop/log.h>

enum { LOG_NAME_SIZE = 200 }; /* room for a client's name of something in a line */

/* Lines above this level are not written. Default HOP_INFO. */
void log_set_level(hop_log_level level);

/*
 * Escape src (any bytes) into dst as one quoted-string body: control bytes, DEL, quote,
 * backslash, bad UTF-8 and U+2028/2029/0085 as \xNN or \uNNNN; cut with "..." when dst
 * is too small. Returns dst: for use as an argument.
 */
char *log_escape(char *dst, size_t dst_size, const char *src, size_t len);

#endif
