/*
 * fuzz_http.c - the HTTP codec (core/net/http.c, http_head.c): C20, C25, C27, C31, T07,
 * T28.
 *
 * Input: one byte that chooses how the stream is cut (a capital letter: and longer targets
 * are taken), then what a client sends: requests, one behind the other. Properties:
 *   - what comes out (requests, bodies, the refusal) is the same whole, byte by byte and
 *     cut in any other way;
 *   - an accepted head, written again in the plainest form, is accepted and is the same;
 *   - an accepted head holds what the rest of the server takes for granted;
 *   - the framing of a body takes no more than 16 kB beyond what the body has;
 *   - nothing comes out behind a refusal.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/net/http.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_name = "http";

/* Small, so that inputs of a kilobyte reach them. */
static struct http_limits limits = {.max_head_bytes = 1024, .max_headers = 12};
/* What is written again may be longer than what came. */
static const struct http_limits wide = {
    .max_head_bytes = 8192, .max_target_bytes = 1024, .max_headers = 12};

static const char *const methods[] = {"GET", "HEAD", "POST", "OPTIONS", "PUT"};

/* ---- an accepted head */

static bool has_control(const struct http_span *span)
{
    for (size_t i = 0; i < span->len; i++) {
        unsigned char c = (unsigned char)span->text[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static void check_span(const struct http_span *span)
{
    FUZZ_CHECK(strlen(span->text) == span->len, "a span ends with its NUL");
    FUZZ_CHECK(!has_control(span), "no control byte is let through");
}

static bool is_blank_at_an_end(const struct http_span *value)
{
    return value->len > 0 &&
           (strchr(" \t", value->text[0]) || strchr(" \t", value->text[value->len - 1]));
}

static void check_head(const struct http_request *request)
{
    size_t n_hosts, n_lengths, n_codings;

    FUZZ_CHECK(request->n_headers <= limits.max_headers, "max_headers holds");
    FUZZ_CHECK(request->target.len <= limits.max_target_bytes, "max_target holds");
    FUZZ_CHECK(request->target.len > 0, "there is a target");
    check_span(&request->target);
    check_span(&request->path);
    check_span(&request->query);
    FUZZ_CHECK(request->path.text[0] == '/' || strcmp(request->path.text, "*") == 0,
               "a path starts with a slash, or is the asterisk");
    FUZZ_CHECK(!strchr(request->path.text, '?'), "a path has no query");
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        check_span(&header->name);
        check_span(&header->value);
        FUZZ_CHECK(header->name.len > 0 && !strpbrk(header->name.text, " \t:"),
                   "a name has neither blanks nor colons");
        FUZZ_CHECK(!is_blank_at_an_end(&header->value), "a value is trimmed");
    }
    http_header(request, "host", &n_hosts);
    http_header(request, "content-length", &n_lengths);
    http_header(request, "transfer-encoding", &n_codings);
    FUZZ_CHECK(n_hosts <= 1 && n_hosts + (request->minor == 0) >= 1, "Host stands once");
    FUZZ_CHECK(n_lengths + n_codings <= 1, "C31: the length of a body is said once");
    FUZZ_CHECK(n_codings == 0 || request->minor == 1, "HTTP/1.0 has no chunks");
    FUZZ_CHECK(!request->is_websocket || !request->has_body, "an upgrade has no body");
    FUZZ_CHECK(!request->expects_continue || request->has_body,
               "who waits for 100 has a body");
}

/* The request in the plainest form: one blank, CRLF. */
static void write_head(struct fuzz_text *out, const struct http_request *request)
{
    fuzz_print(out, "%s %s HTTP/1.%d\r\n", methods[request->method], request->target.text,
               request->minor);
    for (size_t i = 0; i < request->n_headers; i++)
        fuzz_print(out, "%s: %s\r\n", request->headers[i].name.text,
                   request->headers[i].value.text);
    fuzz_put(out, "\r\n", 2);
}

/* All that is derived from a head, as text. */
static void note_head(struct fuzz_text *out, const struct http_request *request)
{
    fuzz_print(out, "[%s ?%s %d keep=%d body=%d %llu continue=%d websocket=%d\n",
               request->path.text, request->query.text, request->minor,
               request->keep_alive, request->has_body,
               (unsigned long long)request->content_length, request->expects_continue,
               request->is_websocket);
    write_head(out, request);
}

static void check_same_when_written_again(const struct http_request *request)
{
    struct http_parser *parser = http_parser_new(&wide);
    struct fuzz_text text = {0}, before = {0}, after = {0};
    size_t used, body_len;
    const char *body;

    write_head(&text, request);
    note_head(&before, request);
    FUZZ_CHECK(http_parse(parser, text.text, text.len, &used, &body, &body_len) ==
                   HTTP_HEAD_DONE,
               "a head that was accepted is accepted when written again");
    FUZZ_CHECK(used == text.len, "the head ends where it was written to end");
    note_head(&after, http_parser_request(parser));
    FUZZ_CHECK(fuzz_same(&before, &after), "a head written again is the same");
    http_parser_free(parser);
    free(text.text);
    free(before.text);
    free(after.text);
}

/* ---- a stream */

struct stream {
    struct http_parser *parser; /* owned */
    struct fuzz_text out;       /* owned: what came of it, in words */
    struct fuzz_text body;      /* owned: of the request at hand */
    size_t body_used;           /* bytes of the stream that it took, framing included */
    bool is_in_body;            /* a head is done, its request is not */
    bool is_first;              /* the first of the runs: heads are checked */
    bool is_over;
};

static void note_end(struct stream *stream)
{
    const struct http_request *request = http_parser_request(stream->parser);

    FUZZ_CHECK(request->content_length == 0 ||
                   request->content_length == stream->body.len,
               "a body has the length that was promised");
    FUZZ_CHECK(request->has_body || stream->body.len == 0,
               "a request without a body has none");
    FUZZ_CHECK(stream->body_used <= 2 * stream->body.len + 16 * 1024,
               "the framing of a body is bounded");
    fuzz_put(&stream->out, stream->body.text, stream->body.len);
    fuzz_print(&stream->out, "]\n");
    stream->body.len = stream->body_used = 0;
    stream->is_in_body = false;
    http_parser_next(stream->parser);
    FUZZ_CHECK(!http_parser_has_begun(stream->parser), "the next request is fresh");
}

static void note_error(struct stream *stream)
{
    const char *reason, *body;
    size_t used, body_len;
    int status = http_parser_error(stream->parser, &reason);

    FUZZ_CHECK(status == 400 || status == 414 || status == 417 || status == 431 ||
                   status == 501 || status == 505,
               "a refusal has one of the promised codes");
    FUZZ_CHECK(reason && *reason && strcmp(http_reason(status), http_reason(0)) != 0,
               "a refusal has a reason and a phrase");
    FUZZ_CHECK(http_parse(stream->parser, "GET / HTTP/1.0\r\n\r\n", 18, &used, &body,
                          &body_len) == HTTP_ERROR &&
                   used == 0,
               "nothing comes behind a refusal");
    /* What of a body came before its framing broke depends on the cuts: it is dropped. */
    fuzz_print(&stream->out, "refused: %d %s\n", status, reason);
    stream->is_over = true;
}

/* One call of the parser. Returns false when it wants more. */
static bool step(struct stream *stream, const char **data, size_t *len)
{
    const char *body;
    size_t used, body_len;
    enum http_status status =
        http_parse(stream->parser, *data, *len, &used, &body, &body_len);

    FUZZ_CHECK(used <= *len, "the parser takes no more than there is");
    FUZZ_CHECK(http_parser_bytes(stream->parser) <= 16 * limits.max_head_bytes,
               "a head costs a few times its limit at most");
    *data += used;
    *len -= used;
    stream->body_used += stream->is_in_body ? used : 0;
    switch (status) {
    case HTTP_MORE:
        FUZZ_CHECK(*len == 0, "the parser wants more only when it has all");
        return false;
    case HTTP_HEAD_DONE:
        note_head(&stream->out, http_parser_request(stream->parser));
        stream->is_in_body = true;
        if (stream->is_first) {
            check_head(http_parser_request(stream->parser));
            check_same_when_written_again(http_parser_request(stream->parser));
        }
        return true;
    case HTTP_BODY:
        FUZZ_CHECK(body && body_len > 0, "a piece of a body is not empty");
        fuzz_put(&stream->body, body, body_len);
        return true;
    case HTTP_DONE:
        note_end(stream);
        return *len > 0;
    case HTTP_ERROR:
        note_error(stream);
        return false;
    }
    return false;
}

/* What comes of the input when it is cut like this: free(text). */
static struct fuzz_text run(const char *input, size_t len, struct fuzz_cuts cuts,
                            bool is_first)
{
    struct stream stream = {.parser = http_parser_new(&limits), .is_first = is_first};

    while (len > 0 && !stream.is_over) {
        size_t piece = fuzz_piece(&cuts, len), left = piece;
        char *copy = cuts.fixed == 1 ? NULL : fuzz_copy(input, piece);
        const char *data = copy ? copy : input;

        while (step(&stream, &data, &left))
            continue;
        free(copy);
        input += piece;
        len -= piece;
    }
    fuzz_print(&stream.out, "begun=%d\n", http_parser_has_begun(stream.parser));
    http_parser_free(stream.parser);
    free(stream.body.text);
    return stream.out;
}

void fuzz_one(const char *input, size_t len)
{
    struct fuzz_cuts cuts[] = {{.fixed = len}, {.fixed = 1}, {.fixed = 0}};
    struct fuzz_text whole;

    http_parser_free(NULL);
    if (len == 0)
        return;
    limits.max_target_bytes = input[0] >= 'A' && input[0] <= 'Z' ? 1024 : 128;
    cuts[2].state = (uint32_t)(unsigned char)input[0] << 16;
    whole = run(input + 1, len - 1, cuts[0], true);
    for (size_t i = 1; i < sizeof cuts / sizeof *cuts; i++) {
        struct fuzz_text again = run(input + 1, len - 1, cuts[i], false);

        FUZZ_CHECK(fuzz_same(&whole, &again), "nothing depends on the cuts");
        free(again.text);
    }
    free(whole.text);
}
