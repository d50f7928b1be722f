/*
 * args.h - the core's side of hop_args, and the text of jansson's trees.
 *
 * Thread: any; a list has one user.
 */
#ifndef PLUGIN_ARGS_H
#define PLUGIN_ARGS_H

#include <stddef.h>

#include <sockhop/emit.h>

/* The finished array, or NULL when a call did not fit. Borrowed from args. Takes NULL. */
const char *args_text(hop_args *args, size_t *len);

/* An array as compact text ("[]" for NULL): owned by the caller, or NULL: not writable. */
char *args_dump(json_t *array);

#endif
