/*
 * args.h - the core's side of hop_args, and the text of jansson's trees.
 *
 * Thread: any; a list has one user.
 */
#ifndef PLUGIN_ARGS_H
#define PLUGIN_ARGS_H

#include <sockhop/emit.h>

struct sio_args;

/*
 * One argument that a client sent, raw[len], and what came with it: as hop_args_raw() says
 * (raw NULL: null); an attachment, and the bytes that the argument is, as event.h says.
 */
void args_relay(hop_args *args, const struct sio_args *from, const char *raw, size_t len);
const void *args_attachment(const struct sio_args *from, size_t n, size_t *len);
const void *args_binary(const struct sio_args *from, const char *raw, size_t raw_len,
                        size_t *len);

/* The finished list, borrowed from args; -1 when a call did not fit. Takes NULL. */
int args_finish(hop_args *args, struct sio_args *out);

/* An array as compact text ("[]" for NULL): owned by the caller, or NULL: not writable. */
char *args_dump(json_t *array);

#endif
