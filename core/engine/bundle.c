/*
 * bundle.c - the client's scripts below the Socket.IO path: see bundle.h.
 *
 * They are public: whatever its Origin, a request is answered, but only pages of origins that
 * are let in may read more of it than a <script> does.
 * Called by: route.c. Thread: shard; bundle_init() at the start.
 */
#include "core/engine/bundle.h"

#include <string.h>

#include "core/engine/handshake.h"
#include "core/net/static.h"

#define FOLDER "socket.io/"

/* "Socket.IO v4.8.4" stands in the first lines of each script: its version is the ETag, as the
 * reference has it. */
static void read_version(struct bundle *bundle)
{
    static const char mark[] = "Socket.IO v";
    char text[128];
    size_t len = static_peek(bundle->files, FOLDER "socket.io.js", text, sizeof text);
    const char *at = memmem(text, len, mark, strlen(mark));
    size_t n = 0;

    if (!at)
        return;
    for (at += strlen(mark); at < text + len && n + 1 < sizeof bundle->version; at++) {
        if ((*at < '0' || *at > '9') && (*at < 'a' || *at > 'z') && *at != '.' &&
            *at != '-')
            break;
        bundle->version[n++] = *at;
    }
}

void bundle_init(struct bundle *bundle, const struct settings *settings,
                 struct static_files *files)
{
    *bundle = (struct bundle){
        .settings = settings,
        .files = settings->serve_client ? files : NULL,
    };
    if (bundle->files)
        read_version(bundle);
}

/* The file's name below the folder of the page, or NULL. */
static const char *find(const struct http_span *path, size_t path_len)
{
    static const char *const names[] = {
        FOLDER "socket.io.js",
        FOLDER "socket.io.js.map",
        FOLDER "socket.io.min.js",
        FOLDER "socket.io.min.js.map",
        FOLDER "socket.io.esm.min.js",
        FOLDER "socket.io.esm.min.js.map",
        FOLDER "socket.io.msgpack.min.js",
        FOLDER "socket.io.msgpack.min.js.map",
    };

    if (path->len <= path_len + 1 || path->text[path_len] != '/')
        return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *name = names[i] + strlen(FOLDER);

        if (path->len - path_len - 1 == strlen(name) &&
            memcmp(path->text + path_len + 1, name, strlen(name)) == 0)
            return names[i];
    }
    return NULL;
}

bool bundle_serve(const struct bundle *bundle, struct httpconn *http,
                  const struct http_request *request, size_t path_len)
{
    char headers[ORIGIN_HEADERS_MAX];
    struct static_options options = {
        .headers = headers,
        .version = bundle->version[0] ? bundle->version : NULL,
    };
    const char *name = bundle->files ? find(&request->path, path_len) : NULL;

    if (!name || (request->method != HTTP_M_GET && request->method != HTTP_M_HEAD))
        return false;
    handshake_cors(bundle->settings, request, headers);
    static_serve(bundle->files, http, request, name, &options);
    return true;
}
