/*
 * static.h - the files of one folder over GET and HEAD.
 *
 * Paths are decoded once, NUL and control bytes refused, then opened below the folder
 * with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS); regular
 * files only, no component starting with a dot, no "%2f". A path that is no file gets
 * /index.html (the page routes itself), unless its extension is one that a browser loads
 * (the table of types in static.c: .js, .css, .map, .png ...): that is 404, as is every
 * path above. ETag and 304, `NAME.br` and `NAME.gz` for who takes them, names with a hash
 * (`-[A-Z0-9]{8}.`) are immutable. No ranges: a Range header is ignored, as it may be.
 * Thread: shard.
 */
#ifndef NET_STATIC_H
#define NET_STATIC_H

#include <sockhop/types.h>

#include "core/net/httpconn.h"

struct static_files;

/* root: a folder. Returns NULL with the reason. */
struct static_files *static_new(const char *root, hop_error *error);
void static_free(struct static_files *files);

/* Whether this process, as the user that it now is, may read the folder and its index.html; one
 * that is not there counts as readable. */
bool static_is_readable(const struct static_files *files);

/* For router_set_fallback(): arg is the static_files (borrowed). */
struct http_route static_route(struct static_files *files);

/* Serve a file below the folder by the path of the request, behind the prefix, which has no slash
 * at its end; index.html for the prefix itself, 404 for what is not there. */
void static_serve_below(struct static_files *files, struct httpconn *http,
                        const struct http_request *request, const char *prefix);

/*
 * Serve one named file of the folder ("socket.io/socket.io.js"), 404 when it is not
 * there: no index.html instead. For routes that have decided already.
 */
struct static_options {
    const char *headers; /* further lines, each ended by CRLF, or NULL */
    const char
        *version; /* the ETag of all copies of the file, or NULL: made of the file */
};
void static_serve(struct static_files *files, struct httpconn *http,
                  const struct http_request *request, const char *name,
                  const struct static_options *options);

/* The first bytes of a file, at most size; 0 when there is none. */
size_t static_peek(const struct static_files *files, const char *name, char *out,
                   size_t size);

#endif
