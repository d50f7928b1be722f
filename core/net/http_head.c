/*
 * http_head.c - what a complete head of a request must satisfy: see http_head.h; and the
 * look-ups of its headers, see http.h.
 *
 * Called by: http.c (http_head_*), whoever reads a request (http_header(),
 * http_has_token() and http_is_token()). Thread: any; no state, all is in the arguments.
 */
#include "core/net/http_head.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"

static int refuse(struct http_refusal *refusal, int status, const char *reason)
{
    *refusal = (struct http_refusal){status, reason};
    return -1;
}

/* RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

bool http_is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_token_char((unsigned char)text[i]))
            return false;
    return len > 0;
}

/* ---- reading header fields */

const char *http_header(const struct http_request *request, const char *name,
                        size_t *n_found)
{
    const char *found = NULL;
    size_t n = 0, len = strlen(name);

    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        if (header->name.len != len || !ascii_equal_nocase(header->name.text, len, name))
            continue;
        if (n++ == 0)
            found = header->value.text;
    }
    if (n_found)
        *n_found = n;
    return found;
}

/* Up to the comma; not strcspn(), which a strict sanitizer lets read to the end. */
static size_t item_length(const char *list)
{
    size_t len = 0;

    while (list[len] && list[len] != ',')
        len++;
    return len;
}

static bool list_has_token(const char *list, const char *token)
{
    while (*list) {
        size_t len = item_length(list);
        const char *item = list;
        size_t item_len = len;

        while (item_len > 0 && http_is_blank(*item)) {
            item++;
            item_len--;
        }
        while (item_len > 0 && http_is_blank(item[item_len - 1]))
            item_len--;
        if (ascii_equal_nocase(item, item_len, token))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

bool http_has_token(const struct http_request *request, const char *name,
                    const char *token)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        if (header->name.len == len && ascii_equal_nocase(header->name.text, len, name) &&
            list_has_token(header->value.text, token))
            return true;
    }
    return false;
}

/* ---- lines */

/* "HTTP/1.0" and "HTTP/1.1"; any other of that form is a version we do not speak. */
static int check_version(const char *text, size_t len, struct http_refusal *refusal)
{
    if (len != 8 || memcmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) ||
        text[6] != '.' || !is_digit(text[7]))
        return refuse(refusal, 400, "malformed version");
    if (text[5] != '1' || (text[7] != '0' && text[7] != '1'))
        return refuse(refusal, 505, "version is neither 1.0 nor 1.1");
    return 0;
}

/* method SP target SP version, one blank each. */
int http_head_check_request_line(const char *line, size_t len,
                                 struct http_refusal *refusal)
{
    const char *end = line + len;
    const char *target = memchr(line, ' ', len);
    const char *version;

    if (!target || target == line)
        return refuse(refusal, 400, "malformed request line");
    if (!http_is_token(line, (size_t)(target - line)))
        return refuse(refusal, 400, "malformed method");
    version = memchr(target + 1, ' ', (size_t)(end - target - 1));
    if (!version)
        return refuse(refusal, 400, "no version: HTTP/0.9 is not served");
    if (version == target + 1)
        return refuse(refusal, 400, "no request target");
    if (memchr(target, '#', (size_t)(version - target)))
        return refuse(refusal, 400, "fragment in the request target");
    if (check_version(version + 1, (size_t)(end - version - 1), refusal) < 0)
        return -1;
    if (target - line == 7 && memcmp(line, "CONNECT", 7) == 0)
        return refuse(refusal, 501, "CONNECT is not served");
    return 0;
}

/* A name, and the colon right behind it. */
int http_head_check_header_line(const char *line, size_t len,
                                struct http_refusal *refusal)
{
    size_t name_len = 0;

    while (name_len < len && is_token_char((unsigned char)line[name_len]))
        name_len++;
    if (name_len == len || line[name_len] != ':')
        return refuse(refusal, 400, "malformed header name");
    if (name_len == 0)
        return refuse(refusal, 400, "empty header name");
    return 0;
}

/* ---- the request target */

static bool has_prefix_nocase(const struct http_span *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return text->len >= len && ascii_equal_nocase(text->text, len, prefix);
}

/* Divide path?query; the path's text is copied, as the target stays as it was sent. */
static void split_path(struct http_request *request, char *path, const char *text,
                       size_t len)
{
    const char *mark = memchr(text, '?', len);
    size_t path_len = mark ? (size_t)(mark - text) : len;

    if (path_len > 0)
        memcpy(path, text, path_len);
    else
        path[path_len++] = '/'; /* "http://host": RFC 9110 4.2.3 */
    path[path_len] = '\0';
    request->path = (struct http_span){path, path_len};
    request->query = (struct http_span){text + len, 0};
    if (mark)
        request->query = (struct http_span){mark + 1, (size_t)(text + len - mark - 1)};
}

/* http://authority/path?query, where authority must be what Host says. */
static int split_absolute(struct http_request *request, char *path, size_t scheme_len,
                          struct http_refusal *refusal)
{
    const char *authority = request->target.text + scheme_len;
    size_t len = strcspn(authority, "/?");
    const char *host = http_header(request, "host", NULL);

    if (len == 0 || memchr(authority, '@', len))
        return refuse(refusal, 400, "malformed request target");
    if (host && !ascii_equal_nocase(authority, len, host))
        return refuse(refusal, 400, "request target and Host differ");
    split_path(request, path, authority + len, request->target.len - scheme_len - len);
    return 0;
}

static int split_target(struct http_request *request, char *path,
                        struct http_refusal *refusal)
{
    const struct http_span *target = &request->target;

    if (target->text[0] == '/') {
        split_path(request, path, target->text, target->len);
        return 0;
    }
    if (target->len == 1 && target->text[0] == '*' && request->method == HTTP_M_OPTIONS) {
        split_path(request, path, target->text, target->len);
        return 0;
    }
    if (has_prefix_nocase(target, "http://"))
        return split_absolute(request, path, strlen("http://"), refusal);
    if (has_prefix_nocase(target, "https://"))
        return split_absolute(request, path, strlen("https://"), refusal);
    return refuse(refusal, 400, "malformed request target");
}

/* ---- the head as a whole */

/* name[:port] or [address][:port]; RFC 9110 7.2 without what no client of ours sends. */
static bool is_host(const char *text)
{
    const char *at = text;

    if (*at == '[') {
        at++;
        while (is_alnum(*at) || *at == ':' || *at == '.')
            at++;
        if (at == text + 1 || *at++ != ']')
            return false;
    } else {
        while (is_alnum(*at) || (*at && strchr("-._~", *at)))
            at++;
        if (at == text)
            return false;
    }
    if (*at == '\0')
        return true;
    if (*at++ != ':')
        return false;
    for (size_t n = 0; n < 5 && is_digit(*at); n++)
        at++;
    return *at == '\0';
}

static int check_host(const struct http_request *request, struct http_refusal *refusal)
{
    size_t n;
    const char *host = http_header(request, "host", &n);

    if (n > 1)
        return refuse(refusal, 400, "more than one Host");
    if (n == 0 && request->minor == 1)
        return refuse(refusal, 400, "no Host");
    if (host && !is_host(host))
        return refuse(refusal, 400, "malformed Host");
    return 0;
}

/* Where the body ends must be said once, and clearly. */
static int check_length(struct http_request *request, struct http_refusal *refusal)
{
    size_t n_lengths, n_codings;
    const char *length = http_header(request, "content-length", &n_lengths);
    const char *coding = http_header(request, "transfer-encoding", &n_codings);

    if (n_lengths > 0 && n_codings > 0)
        return refuse(refusal, 400, "Content-Length and Transfer-Encoding");
    if (n_lengths > 1)
        return refuse(refusal, 400, "more than one Content-Length");
    if (n_codings > 1)
        return refuse(refusal, 400, "more than one Transfer-Encoding");
    if (length && (*length == '\0' || length[strspn(length, "0123456789")] != '\0'))
        return refuse(refusal, 400, "malformed Content-Length");
    if (coding && request->minor == 0)
        return refuse(refusal, 400, "Transfer-Encoding in HTTP/1.0");
    if (coding && *coding == '\0')
        return refuse(refusal, 400, "malformed Transfer-Encoding");
    if (coding && !ascii_equal_nocase(coding, strlen(coding), "chunked"))
        return refuse(refusal, 501, "transfer coding other than chunked");
    request->content_length = length ? strtoull(length, NULL, 10) : 0;
    request->has_body = coding || request->content_length > 0;
    return 0;
}

static int check_expect(struct http_request *request, struct http_refusal *refusal)
{
    size_t n;
    const char *expect = http_header(request, "expect", &n);

    if (n == 0 || request->minor == 0)
        return 0; /* RFC 9110 10.1.1: to be ignored in HTTP/1.0 */
    if (n > 1 || !ascii_equal_nocase(expect, strlen(expect), "100-continue"))
        return refuse(refusal, 417, "unknown expectation");
    request->expects_continue = request->has_body;
    return 0;
}

static bool wants_keep_alive(const struct http_request *request)
{
    if (http_has_token(request, "connection", "close"))
        return false;
    return request->minor == 1 || http_has_token(request, "connection", "keep-alive");
}

/* RFC 6455 4.2.1. A body in front of the frames would be nobody's. */
static bool asks_for_websocket(const struct http_request *request)
{
    return request->method == HTTP_M_GET && request->minor == 1 && !request->has_body &&
           http_has_token(request, "connection", "upgrade") &&
           http_has_token(request, "upgrade", "websocket");
}

int http_head_check(struct http_request *request, char *path,
                    struct http_refusal *refusal)
{
    if (check_host(request, refusal) < 0 || check_length(request, refusal) < 0 ||
        check_expect(request, refusal) < 0 || split_target(request, path, refusal) < 0)
        return -1;
    request->keep_alive = wants_keep_alive(request);
    request->is_websocket = asks_for_websocket(request);
    return 0;
}
