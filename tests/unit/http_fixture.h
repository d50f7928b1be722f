/*
 * http_fixture.h - a small server in threads of its own, and a blocking client for it:
 * for the unit tests of core/net. Include behind cmocka.h. Thread: the test's, but for
 * what is posted to a shard.
 */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/loop/loop.h"
#include "core/net/httpconn.h"
#include "core/net/net.h"
#include "core/net/router.h"

struct fixture {
    struct settings settings;
    struct router *router;
    struct loops *loops;
    struct net *nets[LOOPS_MAX];
    pthread_t thread; /* with n_threads = 0 */
    int n_threads;
};

struct fixture_deal {
    struct fixture *fixture;
    int fd;
};

/* What came back, NUL-terminated. */
struct reply {
    char *text;
    size_t len;
};

static void *fixture_run(void *arg)
{
    loop_run(arg);
    return NULL;
}

static inline struct fixture *fixture_new(int n_threads)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->n_threads = n_threads;
    fixture->settings = (struct settings){
        .max_head_bytes = 16 * 1024,
        .max_target_bytes = 8 * 1024,
        .max_headers = 100,
        .head_timeout_ms = 10000,
        .body_timeout_ms = 10000,
        .keep_alive_ms = 10000,
        .max_queue_bytes = 1 << 20,
        .soft_queue_bytes = 256 * 1024,
        .soft_queue_ms = 10000,
        .max_queue_frames = 16384,
        .max_lane_bytes = 8 << 20,
        .max_turn_packets = 64,
    };
    fixture->router = router_new();
    return fixture;
}

/* Once settings and router are filled. */
static inline void fixture_start(struct fixture *fixture)
{
    struct loops *loops = loops_new(fixture->n_threads, fixture->settings.max_lane_bytes);

    fixture->loops = loops;
    for (unsigned i = 0; i < loops->n_shards; i++)
        fixture->nets[i] = net_new(loops->loop[i], &fixture->settings, fixture->nets);
    loops_start(loops);
    if (fixture->n_threads == 0)
        assert_int_equal(
            pthread_create(&fixture->thread, NULL, fixture_run, loops->loop[0]), 0);
}

static inline void fixture_stop_loop(void *arg)
{
    loop_stop(arg);
}

static inline void fixture_free(struct fixture *fixture)
{
    struct loops *loops = fixture->loops;

    for (unsigned i = 0; i < loops->n_shards; i++)
        loop_post(loops->loop[i], fixture_stop_loop, loops->loop[i]);
    if (fixture->n_threads == 0)
        pthread_join(fixture->thread, NULL);
    loops_join(loops);
    loops_drain(loops);
    for (unsigned i = 0; i < loops->n_shards; i++)
        net_free(fixture->nets[i]);
    loops_free(loops);
    router_free(fixture->router);
    free(fixture);
}

static inline void fixture_deal_one(void *arg)
{
    struct fixture_deal *deal = arg;
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};

    httpconn_deal(deal->fixture->nets[0], deal->fd, &peer, deal->fixture->router);
    free(deal);
}

/* Connect; the client's end blocks, for at most 5 s. */
static inline int fixture_connect(struct fixture *fixture)
{
    struct fixture_deal *deal = malloc(sizeof *deal);
    const struct timeval limit = {.tv_sec = 5};
    int fds[2];

    assert_non_null(deal);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    *deal = (struct fixture_deal){fixture, fds[1]};
    assert_int_equal(loop_post(fixture->loops->loop[0], fixture_deal_one, deal), 0);
    return fds[0];
}

/* Gives up quietly when the server has closed. */
static inline void client_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

/* Read until the server's end; a test that waits in vain fails. */
static inline struct reply client_read_all(int fd)
{
    struct reply reply = {malloc(1), 0};

    for (;;) {
        ssize_t n;

        reply.text = realloc(reply.text, reply.len + 65537);
        assert_non_null(reply.text);
        n = recv(fd, reply.text + reply.len, 65536, 0);
        if (n < 0 && errno == ECONNRESET)
            n = 0;
        if (n < 0)
            fail_msg("no end of the reply: %s", strerror(errno));
        if (n == 0)
            break;
        reply.len += (size_t)n;
    }
    reply.text[reply.len] = '\0';
    return reply;
}

/* Read until the reply ends with that text. */
static inline struct reply client_read_until(int fd, const char *end)
{
    struct reply reply = {calloc(1, 1), 0};
    size_t end_len = strlen(end);

    while (reply.len < end_len ||
           memcmp(reply.text + reply.len - end_len, end, end_len) != 0) {
        ssize_t n;

        reply.text = realloc(reply.text, reply.len + 4097);
        assert_non_null(reply.text);
        n = recv(fd, reply.text + reply.len, 4096, 0);
        if (n <= 0)
            fail_msg("no \"%s\" at the end of \"%.*s\"", end, (int)reply.len, reply.text);
        reply.len += (size_t)n;
        reply.text[reply.len] = '\0';
    }
    return reply;
}

/* Blank the value of every Date, so that replies can be compared. */
static inline void reply_blank_dates(struct reply *reply)
{
    for (char *at = reply->text; (at = strstr(at, "\r\nDate: ")) != NULL;)
        for (at += 8; *at && *at != '\r'; at++)
            *at = 'x';
}

/* Send all of a connection's requests, cut in two (0: whole), and read to the end. */
static inline struct reply exchange(struct fixture *fixture, const char *data, size_t len,
                                    size_t cut)
{
    int fd = fixture_connect(fixture);
    struct reply reply;

    client_send(fd, data, cut);
    if (cut > 0)
        sched_yield();
    client_send(fd, data + cut, len - cut);
    reply = client_read_all(fd);
    close(fd);
    reply_blank_dates(&reply);
    return reply;
}

static inline struct reply ask(struct fixture *fixture, const char *request)
{
    return exchange(fixture, request, strlen(request), 0);
}

static inline int reply_status(const struct reply *reply)
{
    return reply->len > 12 ? atoi(reply->text + 9) : 0;
}

static inline const char *reply_body(const struct reply *reply)
{
    const char *end = strstr(reply->text, "\r\n\r\n");

    return end ? end + 4 : "";
}

static inline bool reply_has(const struct reply *reply, const char *text)
{
    return strstr(reply->text, text) != NULL;
}

#endif
