/*
 * http_outcome.h - what the HTTP codec makes of bytes, however they are cut: for the unit
 * tests of core/net/http.c. Include behind cmocka.h. Thread: the test's.
 */
#ifndef TESTS_HTTP_OUTCOME_H
#define TESTS_HTTP_OUTCOME_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/net/http.h"

static const struct http_limits limits = {16 * 1024, 8 * 1024, 100};

/* What came out: a text, then how it ended. Zeroed, but for on_head, to begin with. */
struct outcome {
    /* Writes what it wants of a request; the bodies are added by feed(). */
    void (*on_head)(struct outcome *, const struct http_request *);
    const char *end; /* written behind each request */
    bool drops_body; /* set by on_head */
    char *text;      /* owned: NUL-terminated once there is any */
    size_t len, cap;
    size_t n_requests; /* complete ones */
    size_t done_len;   /* of the text, theirs */
    int error;         /* status, 0: none */
    const char *reason;
};

static inline void note(struct outcome *outcome, const char *text, size_t len)
{
    if (outcome->len + len + 1 > outcome->cap) {
        outcome->cap = 2 * (outcome->len + len + 1);
        outcome->text = realloc(outcome->text, outcome->cap);
        assert_non_null(outcome->text);
    }
    if (len > 0)
        memcpy(outcome->text + outcome->len, text, len);
    outcome->len += len;
    outcome->text[outcome->len] = '\0';
}

static inline void outcome_reset(struct outcome *outcome)
{
    outcome->len = outcome->done_len = outcome->n_requests = 0;
    outcome->error = 0;
    outcome->reason = NULL;
    outcome->drops_body = false;
    note(outcome, "", 0);
}

static inline void outcome_done(struct outcome *outcome)
{
    free(outcome->text);
}

/* Every span of a head is a string. */
static inline void check_head(const struct http_request *request)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        const struct http_header *header = &request->headers[i];

        assert_int_equal(header->name.text[header->name.len], 0);
        assert_int_equal(strlen(header->value.text), header->value.len);
    }
    assert_int_equal(strlen(request->target.text), request->target.len);
    assert_int_equal(strlen(request->path.text), request->path.len);
    assert_int_equal(strlen(request->query.text), request->query.len);
}

/* Give one piece, copied to memory of exactly its size. Returns false on error. */
static inline bool feed(struct http_parser *parser, struct outcome *outcome,
                        const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);
    char *at = copy;

    assert_non_null(copy);
    memcpy(copy, data, len);
    for (;;) {
        size_t used, body_len;
        const char *body;
        enum http_status status = http_parse(parser, at, len, &used, &body, &body_len);

        if (status == HTTP_ERROR) {
            outcome->error = http_parser_error(parser, &outcome->reason);
            assert_non_null(outcome->reason);
            break;
        }
        assert_true(used <= len);
        at += used;
        len -= used;
        if (status == HTTP_HEAD_DONE) {
            check_head(http_parser_request(parser));
            outcome->on_head(outcome, http_parser_request(parser));
        }
        if (status == HTTP_BODY && !outcome->drops_body)
            note(outcome, body, body_len);
        if (status == HTTP_DONE) {
            note(outcome, outcome->end, strlen(outcome->end));
            outcome->n_requests++;
            outcome->done_len = outcome->len;
            http_parser_next(parser);
            assert_false(http_parser_has_begun(parser));
        }
        if (status == HTTP_MORE) {
            assert_int_equal(len, 0);
            break;
        }
    }
    free(copy);
    return outcome->error == 0;
}

/* Give bytes in pieces that end at `cut`, or of one byte each with cut = SIZE_MAX. */
static inline void parse(struct outcome *outcome, const char *data, size_t len,
                         size_t cut)
{
    struct http_parser *parser = http_parser_new(&limits);
    size_t at = 0;

    outcome_reset(outcome);
    while (at < len) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut && cut < len ? cut - at : len - at;

        if (!feed(parser, outcome, data + at, n))
            break;
        at += n;
    }
    http_parser_free(parser);
}

static inline void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->text, b->text, a->len);
    assert_int_equal(a->n_requests, b->n_requests);
    if (a->error)
        assert_string_equal(a->reason, b->reason);
}

/* What is long is not cut everywhere, unless there is time. */
static inline size_t next_cut(size_t cut, size_t len)
{
    enum { SHORT = 2048, EDGE = 128, STEP = 997, LONG_MAX_CUTS = 64 * 1024 };
    const char *is_long = getenv("SOCKHOP_LONG");

    if (len <= SHORT || cut < EDGE || cut + EDGE >= len ||
        (is_long && strcmp(is_long, "1") == 0 && len <= LONG_MAX_CUTS))
        return cut + 1;
    cut += len > LONG_MAX_CUTS ? STEP * 97 : STEP;
    return cut < len - EDGE ? cut : len - EDGE;
}

/* Whole, in single bytes, and cut at every place: the same outcome. Returns in how many
 * ways it was parsed. */
static inline size_t parse_all_ways(struct outcome *outcome, const char *data, size_t len)
{
    struct outcome other = {.on_head = outcome->on_head, .end = outcome->end};
    size_t n = 2;

    parse(outcome, data, len, len);
    parse(&other, data, len, SIZE_MAX);
    assert_same(outcome, &other);
    for (size_t cut = 1; cut < len; cut = next_cut(cut, len), n++) {
        parse(&other, data, len, cut);
        assert_same(outcome, &other);
    }
    outcome_done(&other);
    return n;
}

#endif
