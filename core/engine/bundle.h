/*
 * bundle.h - the client's scripts below the Socket.IO path. Thread: shard; read-only once
 * made.
 */
#ifndef ENGINE_BUNDLE_H
#define ENGINE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

struct http_request;
struct httpconn;
struct settings;
struct static_files;

struct bundle {
    const struct settings *settings; /* borrowed */
    struct static_files *files;      /* borrowed: NULL when none is served */
    char version[24];                /* "" when the scripts do not say */
};

/* files: where they lie, in socket.io/; NULL when there is no such folder. Thread: start. */
void bundle_init(struct bundle *bundle, const struct settings *settings,
                 struct static_files *files);

/* Answer a GET or HEAD of one of them: PATH/NAME, where PATH has path_len bytes. Returns
 * false, unanswered, when it is none. */
bool bundle_serve(const struct bundle *bundle, struct httpconn *http,
                  const struct http_request *request, size_t path_len);

#endif
