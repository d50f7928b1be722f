/*
 * http.c - HTTP/1.1 codec: see http.h.
 *
 * Called by: httpconn.c. Thread: any; no state outside the parser.
 * A head is collected under its limits (count_plain, scan_byte), each line checked when
 * it ends (end_line), the whole given to llhttp in one piece (parse_head), and what
 * llhttp understood checked for what HTTP leaves ambiguous (http_head_check). What a line
 * and a whole head must satisfy is in http_head.c. A body goes through llhttp piece by
 * piece; the bytes around chunks are bounded and checked by us (check_framing).
 */
#include "core/net/http.h"

#include <assert.h>
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/net/http_head.h"

enum {
    MAX_EMPTY_LINES = 2,   /* before a request line; RFC 9112 2.2 wants one tolerated */
    MAX_METHOD_BYTES = 32, /* the longest that llhttp knows has 11 */
    FIRST_HEAD_BYTES = 512,
    /* What chunk sizes, extensions and trailers may take beyond the body itself. */
    MAX_FRAMING_BYTES = 16 * 1024
};

enum stage { AT_HEAD, AT_BODY, AT_END, AT_ERROR };

struct http_parser {
    struct http_limits limits;
    enum stage stage;
    struct http_refusal refusal; /* once AT_ERROR */

    /* the head as it comes */
    char *head; /* owned: NULL between requests */
    size_t head_len, head_cap;
    size_t line_from;  /* in head: where the line at hand begins */
    size_t target_len; /* bytes behind the first blank of the request line */
    size_t n_lines;    /* complete ones: the request line, then headers */
    uint8_t n_empty;   /* empty lines met before the request line */
    uint8_t n_blanks;  /* met in the request line */
    bool is_after_cr;  /* the last byte of the head, or of chunk framing, was CR */
    bool is_after_lf;  /* the last byte of chunk framing was LF */

    /* the head as llhttp sees it */
    llhttp_t llhttp;
    struct http_request request;
    struct http_header *headers; /* owned: NULL before llhttp runs; the path behind */
    bool is_head_done, is_complete;

    /* the body */
    const char *piece; /* borrowed from the input */
    size_t piece_len;
    uint64_t body_bytes, framing_bytes;
};

static enum http_status refuse(struct http_parser *parser, int status, const char *reason)
{
    parser->stage = AT_ERROR;
    parser->refusal = (struct http_refusal){status, reason};
    return HTTP_ERROR;
}

/* What a check of http_head.c found: 0, or -1 with our refusal set. */
static enum http_status checked(struct http_parser *parser, int result)
{
    if (result == 0)
        return HTTP_MORE;
    parser->stage = AT_ERROR;
    return HTTP_ERROR;
}

/* ---- what llhttp reports */

/* A part of the head as one that we may write into. */
static char *in_head(const struct http_parser *parser, const char *at)
{
    assert(at >= parser->head && at <= parser->head + parser->head_len);
    return parser->head + (at - parser->head);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *parser = llhttp->data;

    parser->request.target = (struct http_span){at, len};
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *parser = llhttp->data;
    struct http_request *request = &parser->request;

    if (parser->is_head_done)
        return 0; /* a trailer */
    if (request->n_headers + 1 >= parser->n_lines)
        return -1; /* llhttp found a header where we found none */
    parser->headers[request->n_headers].name = (struct http_span){at, len};
    parser->headers[request->n_headers].value = (struct http_span){"", 0};
    request->n_headers++;
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *parser = llhttp->data;
    struct http_header *header;

    if (parser->is_head_done)
        return 0;
    if (parser->request.n_headers == 0)
        return -1;
    header = &parser->headers[parser->request.n_headers - 1];
    if (header->value.len == 0)
        header->value.text = at;
    header->value.len = (size_t)(at + len - header->value.text);
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;

    parser->is_head_done = true;
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t len)
{
    struct http_parser *parser = llhttp->data;

    if (len == 0)
        return 0;
    parser->piece = at;
    parser->piece_len = len;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;

    parser->is_complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* Upgrade is for whoever reads the request to decide: to llhttp's own pause for it we
 * pay no heed. */
static bool is_pause(llhttp_errno_t code)
{
    return code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE;
}

/* ---- the head */

static enum http_method method_of(uint8_t method)
{
    switch (method) {
    case HTTP_GET:
        return HTTP_M_GET;
    case HTTP_HEAD:
        return HTTP_M_HEAD;
    case HTTP_POST:
        return HTTP_M_POST;
    case HTTP_OPTIONS:
        return HTTP_M_OPTIONS;
    default:
        return HTTP_M_OTHER;
    }
}

/* Trim values and put a NUL behind every span: there stands a ':', a blank or a CR. */
static void end_spans(struct http_parser *parser)
{
    struct http_request *request = &parser->request;

    for (size_t i = 0; i < request->n_headers; i++) {
        struct http_span *name = &parser->headers[i].name;
        struct http_span *value = &parser->headers[i].value;

        *in_head(parser, name->text + name->len) = '\0';
        while (value->len > 0 && http_is_blank(value->text[value->len - 1]))
            value->len--;
        if (value->len > 0)
            *in_head(parser, value->text + value->len) = '\0';
        else
            value->text = "";
    }
    *in_head(parser, request->target.text + request->target.len) = '\0';
}

static enum http_status refuse_by_llhttp(struct http_parser *parser, llhttp_errno_t code)
{
    if (code == HPE_INVALID_METHOD)
        return refuse(parser, 501, "unknown method");
    return refuse(parser, 400, llhttp_get_error_reason(&parser->llhttp));
}

/* The head is here: let llhttp read it. */
static enum http_status parse_head(struct http_parser *parser)
{
    struct http_request *request = &parser->request;
    size_t n_headers = parser->n_lines - 1;
    size_t table_bytes = n_headers * sizeof *parser->headers;
    llhttp_errno_t code;
    char *path;

    parser->headers = mem_alloc_mixed(table_bytes + parser->target_len + 2);
    if (!parser->headers)
        return refuse(parser, 503, "no memory for the head");
    path = (char *)parser->headers + table_bytes; /* in the same block */
    request->headers = parser->headers;
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &callbacks);
    parser->llhttp.data = parser;

    code = llhttp_execute(&parser->llhttp, parser->head, parser->head_len);
    if (code != HPE_OK && !is_pause(code))
        return refuse_by_llhttp(parser, code);
    if (!parser->is_head_done || request->n_headers != n_headers ||
        request->target.len == 0 ||
        (is_pause(code) &&
         llhttp_get_error_pos(&parser->llhttp) != parser->head + parser->head_len))
        return refuse(parser, 400, "ambiguous head");

    end_spans(parser);
    request->method = method_of(llhttp_get_method(&parser->llhttp));
    request->minor = llhttp_get_http_minor(&parser->llhttp);
    if (checked(parser, http_head_check(request, path, &parser->refusal)) == HTTP_ERROR)
        return HTTP_ERROR;
    if (request->has_body == parser->is_complete)
        return refuse(parser, 400, "ambiguous length");
    parser->stage = request->has_body ? AT_BODY : AT_END;
    return HTTP_HEAD_DONE;
}

static enum http_status end_line(struct http_parser *parser)
{
    const char *line = parser->head + parser->line_from;
    size_t len = parser->head_len - parser->line_from - 2;

    if (len == 0 && parser->n_lines > 0)
        return parse_head(parser);
    if (len == 0) {
        parser->head_len = 0;
        if (++parser->n_empty > MAX_EMPTY_LINES)
            return refuse(parser, 400, "empty lines before the request");
        return HTTP_MORE;
    }
    parser->line_from = parser->head_len;
    if (parser->n_lines++ == 0)
        return checked(parser, http_head_check_request_line(line, len, &parser->refusal));
    if (parser->n_lines - 1 > parser->limits.max_headers)
        return refuse(parser, 431, "too many headers");
    return checked(parser, http_head_check_header_line(line, len, &parser->refusal));
}

/* The limits and blanks of the request line, as it comes. */
static enum http_status scan_request_line(struct http_parser *parser, unsigned char c)
{
    if (c >= 0x80 || c == '\t')
        return refuse(parser, 400, "bad byte in the request line");
    if (c == ' ') {
        if (++parser->n_blanks > 2)
            return refuse(parser, 400, "malformed request line");
        return HTTP_MORE;
    }
    if (parser->n_blanks == 0 && parser->head_len >= MAX_METHOD_BYTES)
        return refuse(parser, 400, "malformed method");
    if (parser->n_blanks == 1 && c != '\r' && c != '\n' &&
        ++parser->target_len > parser->limits.max_target_bytes)
        return refuse(parser, 414, "request target too long");
    return HTTP_MORE;
}

/* RFC 9112 2.2: a CR stands before an LF and nowhere else; no other control bytes. */
static enum http_status scan_control(struct http_parser *parser, unsigned char c)
{
    if (c == '\n' && !parser->is_after_cr)
        return refuse(parser, 400, "bare LF");
    if (c != '\n' && parser->is_after_cr)
        return refuse(parser, 400, "bare CR");
    if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
        return refuse(parser, 400, "control byte");
    parser->is_after_cr = c == '\r';
    return HTTP_MORE;
}

/* Check one byte before it joins the head. */
static enum http_status scan_byte(struct http_parser *parser, unsigned char c)
{
    bool is_first_of_line = parser->head_len == parser->line_from;

    if (parser->head_len >= parser->limits.max_head_bytes)
        return parser->n_lines == 0 && parser->n_blanks == 1
                   ? refuse(parser, 414, "request target too long")
                   : refuse(parser, 431, "head too large");
    if (scan_control(parser, c) == HTTP_ERROR)
        return HTTP_ERROR;
    if (parser->n_lines == 0)
        return scan_request_line(parser, c);
    if (is_first_of_line && http_is_blank((char)c))
        return refuse(parser, 400, "folded header");
    return HTTP_MORE;
}

/*
 * How many of the bytes to come need no more than a place in the head: within a header or the
 * target, all but control bytes and the target's end. scan_byte(), six times as slow, would
 * let each of them pass.
 */
static size_t count_plain(const struct http_parser *parser, const char *data, size_t len)
{
    const struct http_limits *limits = &parser->limits;
    const bool is_target = parser->n_lines == 0;
    const unsigned char least = is_target ? '!' : ' ';
    const unsigned char most = is_target ? 0x7e : 0xff;
    size_t n = 0;

    if (parser->is_after_cr || parser->head_len == parser->line_from ||
        (is_target && parser->n_blanks != 1))
        return 0;
    if (len > limits->max_head_bytes - parser->head_len)
        len = limits->max_head_bytes - parser->head_len;
    if (is_target && len > limits->max_target_bytes - parser->target_len)
        len = limits->max_target_bytes - parser->target_len;
    while (n < len) {
        const unsigned char c = (unsigned char)data[n];

        if (c < least || c > most || c == 0x7f)
            break;
        n++;
    }
    return n;
}

static enum http_status add_to_head(struct http_parser *parser, const char *data,
                                    size_t len)
{
    size_t cap = parser->head_cap ? parser->head_cap : FIRST_HEAD_BYTES;

    while (cap < parser->head_len + len)
        cap *= 2;
    if (cap > parser->head_cap) {
        char *head = mem_try_realloc(parser->head, cap);

        if (!head)
            return refuse(parser, 503, "no memory for the head");
        parser->head = head;
        parser->head_cap = cap;
    }
    memcpy(parser->head + parser->head_len, data, len);
    parser->head_len += len;
    return HTTP_MORE;
}

static enum http_status take_head(struct http_parser *parser, const char *data,
                                  size_t len, size_t *used)
{
    while (*used < len) {
        const char *at = data + *used;
        size_t n = count_plain(parser, at, len - *used);
        enum http_status status;

        if (n == 0 && scan_byte(parser, (unsigned char)*at) == HTTP_ERROR)
            return HTTP_ERROR;
        if (parser->n_lines == 0)
            parser->target_len += n;
        if (add_to_head(parser, at, n ? n : 1) == HTTP_ERROR)
            return HTTP_ERROR;
        *used += n ? n : 1;
        if (n || *at != '\n')
            continue;
        status = end_line(parser);
        if (status != HTTP_MORE)
            return status;
    }
    return HTTP_MORE;
}

/* ---- the body */

/* The bytes between the pieces of a body: llhttp 8.1 lets a lone CR end the trailers, and
 * takes trailers that are folded or have no name. */
static enum http_status check_framing(struct http_parser *parser, const char *data,
                                      size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (scan_control(parser, (unsigned char)data[i]) == HTTP_ERROR)
            return HTTP_ERROR;
        if (parser->is_after_lf && (http_is_blank(data[i]) || data[i] == ':'))
            return refuse(parser, 400, "malformed trailer");
        parser->is_after_lf = data[i] == '\n';
    }
    parser->framing_bytes += len;
    if (parser->framing_bytes > MAX_FRAMING_BYTES + parser->body_bytes)
        return refuse(parser, 400, "too much chunk framing");
    return HTTP_MORE;
}

static enum http_status take_body(struct http_parser *parser, const char *data,
                                  size_t len, size_t *used)
{
    llhttp_errno_t code;
    const char *end = data + len;

    parser->piece = NULL;
    llhttp_resume(&parser->llhttp); /* does nothing when it was not paused */
    code = llhttp_execute(&parser->llhttp, data, len);
    if (code != HPE_OK)
        end = llhttp_get_error_pos(&parser->llhttp);
    *used = (size_t)(end - data);
    /* Ours first: it stands before llhttp's place, and reasons must not follow the cuts. */
    if (check_framing(parser, data,
                      parser->piece ? (size_t)(parser->piece - data) : *used) ==
        HTTP_ERROR)
        return HTTP_ERROR;
    if (code != HPE_OK && !is_pause(code))
        return refuse_by_llhttp(parser, code);
    if (parser->piece) {
        parser->body_bytes += parser->piece_len;
        return HTTP_BODY;
    }
    if (!parser->is_complete)
        return HTTP_MORE;
    if (parser->is_after_cr)
        return refuse(parser, 400, "bare CR");
    parser->stage = AT_END;
    return HTTP_DONE;
}

/* ---- the parser */

struct http_parser *http_parser_new(const struct http_limits *limits)
{
    struct http_parser *parser = mem_calloc(1, sizeof *parser);

    parser->limits = *limits;
    return parser;
}

void http_parser_free(struct http_parser *parser)
{
    if (!parser)
        return;
    free(parser->head);
    free(parser->headers);
    free(parser);
}

enum http_status http_parse(struct http_parser *parser, const char *data, size_t len,
                            size_t *used, const char **body, size_t *body_len)
{
    enum http_status status;

    *used = 0;
    *body = NULL;
    *body_len = 0;
    switch (parser->stage) {
    case AT_HEAD:
        return take_head(parser, data, len, used);
    case AT_BODY:
        status = take_body(parser, len > 0 ? data : "", len, used);
        if (status == HTTP_BODY) {
            *body = parser->piece;
            *body_len = parser->piece_len;
        }
        return status;
    case AT_END:
        return HTTP_DONE;
    case AT_ERROR:
        break;
    }
    return HTTP_ERROR;
}

const struct http_request *http_parser_request(const struct http_parser *parser)
{
    return &parser->request;
}

int http_parser_error(const struct http_parser *parser, const char **reason)
{
    *reason = parser->refusal.reason;
    return parser->refusal.status;
}

void http_parser_next(struct http_parser *parser)
{
    struct http_limits limits = parser->limits;

    free(parser->head);
    free(parser->headers);
    memset(parser, 0, sizeof *parser);
    parser->limits = limits;
}

size_t http_parser_bytes(const struct http_parser *parser)
{
    size_t bytes;

    if (!parser)
        return 0;
    bytes = sizeof *parser + parser->head_cap;
    if (parser->headers)
        bytes += parser->n_lines * sizeof *parser->headers + parser->target_len;
    return bytes;
}

bool http_parser_has_begun(const struct http_parser *parser)
{
    return parser->stage != AT_HEAD || parser->head_len > 1 ||
           (parser->head_len == 1 && parser->head[0] != '\r');
}

/* ---- reason phrases: RFC 9110 15, RFC 6585 */

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Unknown";
}
