/*
 * encoding.h - content codings: which one a client takes. Thread: any; no state.
 * Source: RFC 9110 8.4.1 and 12.5.3.
 */
#ifndef NET_ENCODING_H
#define NET_ENCODING_H

#include "core/net/http.h"

/* In the order in which we prefer them to those behind. */
enum http_encoding {
    HTTP_IDENTITY,
    HTTP_BROTLI,
    HTTP_GZIP,
    HTTP_DEFLATE, /* the zlib format */
    N_HTTP_ENCODINGS
};

/* What Content-Encoding calls it: "gzip"; NULL for HTTP_IDENTITY. */
const char *http_encoding_name(enum http_encoding encoding);

/*
 * The coding to answer a request with: of those offered (a set of 1 << enum http_encoding)
 * the one that its Accept-Encoding rates highest, or HTTP_IDENTITY, which is always on offer.
 */
enum http_encoding http_choose_encoding(const struct http_request *request,
                                        unsigned offered);

#endif
