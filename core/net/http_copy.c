/*
 * http_copy.c - a request's head that outlives its parser.
 *
 * Called by: core/engine (a handshake that waits). Thread: any; no state.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/net/http.h"

static size_t size_of(struct http_span span)
{
    return span.len + 1;
}

static struct http_span put(char **to, struct http_span span)
{
    struct http_span copy = {*to, span.len};

    if (span.len)
        memcpy(*to, span.text, span.len);
    (*to)[span.len] = '\0';
    *to += span.len + 1;
    return copy;
}

struct http_request *http_request_copy(const struct http_request *request,
                                       size_t *n_bytes)
{
    size_t headers_size = request->n_headers * sizeof *request->headers;
    size_t size = sizeof *request + headers_size + size_of(request->target) +
                  size_of(request->path) + size_of(request->query);
    struct http_request *copy;
    char *to;

    for (size_t i = 0; i < request->n_headers; i++)
        size += size_of(request->headers[i].name) + size_of(request->headers[i].value);
    copy = mem_try_alloc(size);
    if (!copy)
        return NULL;
    *copy = *request;
    copy->headers = (struct http_header *)(copy + 1);
    to = (char *)copy->headers + headers_size;
    copy->target = put(&to, request->target);
    copy->path = put(&to, request->path);
    copy->query = put(&to, request->query);
    for (size_t i = 0; i < request->n_headers; i++) {
        copy->headers[i].name = put(&to, request->headers[i].name);
        copy->headers[i].value = put(&to, request->headers[i].value);
    }
    *n_bytes = size;
    return copy;
}
