/*
 * test_httpconn.c - a connection while it speaks HTTP (core/net/httpconn.c): order,
 * limits, deadlines, files, upgrade, and the move to another shard (C04, C25, T03, T04,
 * T61).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "core/loop/bytes.h"
#include "http_fixture.h"

#define H " HTTP/1.1\r\nHost: a\r\n"
#define LAST H "Connection: close\r\n\r\n"
#define GET(path) "GET " path H "\r\n"

enum { BODY_MAX = 1000, FILE_BYTES = 1 << 20, BIG_BYTES = 1 << 20 };

static atomic_int n_aborted, n_too_large, n_held;
static char file_path[] = "/tmp/sockhop-httpconn-XXXXXX";

/* ---- routes */

static void answer(struct httpconn *http, const char *text)
{
    struct http_response response = {
        .status = 200, .content_type = "text/plain", .data = text, .len = strlen(text)};

    http_respond(http, &response);
}

/* The path, the body, and the shard that serves it. */
static void on_echo(struct httpconn *http, const struct http_request *request,
                    const char *body, size_t len, void *arg)
{
    char text[2048];

    (void)arg;
    snprintf(text, sizeof text, "%s?%s=%.*s(%zu)@%u", request->path.text,
             request->query.text, (int)len, body, strlen(body),
             http_conn(http)->net->loop->index);
    answer(http, text);
}

/* Answers from the loop's next step, by handle, as a plugin's route does. */
struct later {
    struct net *net;
    handle conn;
    char text[64];
};

static void answer_later(struct loop *loop, void *payload)
{
    const struct later *later = payload;
    struct httpconn *http = httpconn_find(later->net, later->conn);

    (void)loop;
    if (http)
        answer(http, later->text);
}

static void on_aborted(struct httpconn *http, void *arg)
{
    (void)http;
    (void)arg;
    atomic_fetch_add(&n_aborted, 1);
}

static void on_later(struct httpconn *http, const struct http_request *request,
                     const char *body, size_t len, void *arg)
{
    struct net *net = http_conn(http)->net;
    struct later *later = loop_send(net->loop, net->loop, answer_later, sizeof *later, 0);

    (void)body;
    (void)len;
    (void)arg;
    *later = (struct later){.net = net, .conn = http_conn(http)->self};
    snprintf(later->text, sizeof later->text, "later %.40s", request->path.text);
    http_hold(http, on_aborted, NULL);
}

static void on_hold(struct httpconn *http, const struct http_request *request,
                    const char *body, size_t len, void *arg)
{
    (void)request;
    (void)body;
    (void)len;
    (void)arg;
    http_hold(http, on_aborted, NULL);
    atomic_fetch_add(&n_held, 1);
}

static void on_file(struct httpconn *http, const struct http_request *request,
                    const char *body, size_t len, void *arg)
{
    struct http_response response = {.status = 200, .has_file = true};

    (void)body;
    (void)len;
    (void)arg;
    response.file = open(file_path, O_RDONLY | O_CLOEXEC);
    response.file_len = FILE_BYTES;
    if (request->query.len > 0)
        response.file_len += 10; /* it has shrunk since */
    http_respond(http, &response);
}

static void on_bytes(struct httpconn *http, const struct http_request *request,
                     const char *body, size_t len, void *arg)
{
    struct bytes *bytes = bytes_new(request->query.len ? BIG_BYTES : 20000);
    struct http_response response = {.status = 200, .bytes = bytes};

    (void)body;
    (void)len;
    (void)arg;
    memset(bytes->data, 'b', bytes->len);
    http_respond(http, &response);
}

/* A second answer and bad header values, as a faulty plugin would give them. */
static void on_faulty(struct httpconn *http, const struct http_request *request,
                      const char *body, size_t len, void *arg)
{
    struct http_response response = {
        .status = 200, .content_type = "a\r\nX: y", .data = "once", .len = 4};

    (void)request;
    (void)body;
    (void)len;
    (void)arg;
    http_respond(http, &response);
    response.bytes = bytes_copy("twice", 5);
    response.has_file = true;
    response.file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (http_respond(http, &response) == 0)
        abort();
}

/* After the upgrade: sends back what comes. */
static void raw_on_data(struct conn *conn, const char *data, size_t len)
{
    conn_send_copy(conn, data, len);
    if (memchr(data, '!', len))
        conn_close_after_flush(conn);
}

static void raw_on_closed(struct conn *conn, enum conn_end end)
{
    (void)conn;
    (void)end;
}

static const struct conn_ops raw_ops = {.on_data = raw_on_data,
                                        .on_closed = raw_on_closed};

static void on_upgrade(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t len, void *arg)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";

    (void)request;
    (void)body;
    (void)len;
    (void)arg;
    conn_send_copy(http_conn(http), head, strlen(head));
    http_upgrade(http, &raw_ops, NULL);
}

static void on_drop(struct httpconn *http, const struct http_request *request,
                    const char *body, size_t len, void *arg)
{
    (void)request;
    (void)body;
    (void)len;
    (void)arg;
    conn_close(http_conn(http), CONN_BY_US);
}

static void on_too_large(struct httpconn *http, const struct http_request *request,
                         void *arg)
{
    (void)http;
    (void)arg;
    if (strcmp(request->path.text, "/echo") == 0)
        atomic_fetch_add(&n_too_large, 1);
}

/* "?1" is served by shard 1. */
static int shard_of_query(const struct http_request *request, void *arg)
{
    (void)arg;
    return request->query.len > 0 ? request->query.text[0] - '0' : -1;
}

static void add(struct fixture *fixture, const char *method, const char *path,
                void (*on_request)(struct httpconn *, const struct http_request *,
                                   const char *, size_t, void *))
{
    struct http_route route = {.max_body_bytes = BODY_MAX,
                               .on_request = on_request,
                               .on_too_large = on_too_large};

    assert_int_equal(router_add(fixture->router, method, path, &route), 0);
}

static struct fixture *make_fixture(int n_threads)
{
    struct fixture *fixture = fixture_new(n_threads);
    struct http_route move = {
        .max_body_bytes = BODY_MAX, .on_request = on_echo, .shard_for = shard_of_query};

    add(fixture, NULL, "/echo", on_echo);
    add(fixture, "GET", "/get", on_echo);
    add(fixture, NULL, "/later", on_later);
    add(fixture, NULL, "/hold", on_hold);
    add(fixture, NULL, "/file", on_file);
    add(fixture, NULL, "/bytes", on_bytes);
    add(fixture, NULL, "/faulty", on_faulty);
    add(fixture, NULL, "/up", on_upgrade);
    add(fixture, NULL, "/drop", on_drop);
    assert_int_equal(router_add_prefix(fixture->router, "/move", &move), 0);
    return fixture;
}

static int start(void **state)
{
    struct fixture *fixture = make_fixture(0);

    fixture_start(fixture);
    *state = fixture;
    return 0;
}

/* With deadlines that a test can wait for. */
static int start_hasty(void **state)
{
    struct fixture *fixture = make_fixture(0);

    fixture->settings.head_timeout_ms = 150;
    fixture->settings.body_timeout_ms = 150;
    fixture->settings.keep_alive_ms = 150;
    fixture_start(fixture);
    *state = fixture;
    return 0;
}

/* Only idlers have little time. */
static int start_patient(void **state)
{
    struct fixture *fixture = make_fixture(0);

    fixture->settings.keep_alive_ms = 50;
    fixture->settings.min_body_rate = 1000;
    fixture_start(fixture);
    *state = fixture;
    return 0;
}

static int start_two_shards(void **state)
{
    struct fixture *fixture = make_fixture(2);

    fixture_start(fixture);
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    fixture_free(*state);
    return 0;
}

/* ---- answers */

static void a_response_is_complete(void **state)
{
    struct reply reply = ask(*state, "GET /echo?q" LAST);

    assert_string_equal(reply.text, "HTTP/1.1 200 OK\r\n"
                                    "Date: xxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"
                                    "Content-Type: text/plain\r\n"
                                    "Content-Length: 13\r\n"
                                    "Connection: close\r\n"
                                    "X-Content-Type-Options: nosniff\r\n\r\n"
                                    "/echo?q=(0)@0");
    free(reply.text);
}

static void the_date_is_an_http_date(void **state)
{
    int fd = fixture_connect(*state);
    struct reply reply;
    struct tm tm = {0};
    const char *at;

    client_send(fd, "GET /echo" LAST, strlen("GET /echo" LAST));
    reply = client_read_all(fd);
    at = strstr(reply.text, "\r\nDate: ");
    assert_non_null(at);
    at = strptime(at + 8, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    assert_non_null(at);
    assert_int_equal(*at, '\r');
    assert_true(llabs((long long)timegm(&tm) - (long long)time(NULL)) < 5);
    close(fd);
    free(reply.text);
}

/* One connection, everything behind everything, cut at every place. */
static void pipelined_requests_are_answered_in_order(void **state)
{
    static const char requests[] = GET("/echo?1") GET(
        "/later") "HEAD /echo" H "\r\n"
                  "POST /echo" H "Content-Length: 5\r\n\r\nhello" GET("/none") GET(
                      "/later") "POST /echo" H "Transfer-Encoding: "
                                "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                                "POST /get" H "\r\n"
                                "POST /later" H "Content-Length: 2\r\n\r\nhi" GET(
                                    "/later") "GET /echo?end" LAST GET("/echo?unserved");
    static const char *const expected[] = {
        "/echo?1=(0)@0", "later /later", "HTTP/1.1 200 OK",   "/echo?=hello(5)@0",
        "404 Not Found", "later /later", "/echo?=abcde(5)@0", "405 Method Not Allowed",
        "later /later",  "later /later", "/echo?end=(0)@0",
    };
    struct reply whole = exchange(*state, requests, strlen(requests), 0);
    const char *at = whole.text;

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        at = strstr(at, expected[i]);
        assert_non_null(at);
        at += strlen(expected[i]);
    }
    assert_string_equal(at, "");
    assert_false(reply_has(&whole, "unserved"));
    assert_true(reply_has(&whole, "\r\nAllow: GET, HEAD\r\n"));
    for (size_t cut = 1; cut < strlen(requests); cut++) {
        struct reply reply = exchange(*state, requests, strlen(requests), cut);

        assert_string_equal(reply.text, whole.text);
        free(reply.text);
    }
    free(whole.text);
}

static void a_flood_of_pipelined_requests_is_served_whole(void **state)
{
    enum { N = 3000 };
    static const char one[] = GET("/bytes");
    int fd = fixture_connect(*state);
    size_t n_bodies = 0, sent = 0, total = N * strlen(one);
    char *all = malloc(total), *got = malloc(65536);
    struct pollfd poll_fd = {.fd = fd};

    assert_non_null(all);
    assert_non_null(got);
    for (size_t i = 0; i < N; i++)
        memcpy(all + i * strlen(one), one, strlen(one));
    while (n_bodies < (size_t)N * 20000) {
        poll_fd.events = (short)(POLLIN | (sent < total ? POLLOUT : 0));
        assert_true(poll(&poll_fd, 1, 5000) > 0);
        if (poll_fd.revents & POLLOUT && sent < total) {
            ssize_t n = send(fd, all + sent, total - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n > 0)
                sent += (size_t)n;
        }
        if (poll_fd.revents & POLLIN) {
            ssize_t n = recv(fd, got, 65536, 0);

            assert_true(n > 0);
            for (ssize_t i = 0; i < n; i++)
                n_bodies += got[i] == 'b';
        }
    }
    assert_int_equal(n_bodies, (size_t)N * 20000);
    close(fd);
    free(all);
    free(got);
}

/* Whoever sends requests and reads no answers is not served without end. */
static void a_client_that_does_not_read_is_not_read_either(void **state)
{
    struct fixture *fixture = *state;
    static const char one[] = GET("/bytes");
    int fd = fixture_connect(fixture);
    struct metrics *all[1] = {&fixture->loops->loop[0]->metrics};
    size_t sent = 0;

    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

        if (poll(&poll_fd, 1, 300) <= 0)
            break;
        if (send(fd, one, strlen(one), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            sent += strlen(one);
        assert_true(sent < 4 << 20);
    }
    assert_true(metric_sum(all, 1, METRIC_QUEUED_BYTES) < 256 * 1024);
    close(fd);
}

static void http_1_0_closes_unless_asked_to_stay(void **state)
{
    struct reply reply = ask(*state, "GET /echo HTTP/1.0\r\n\r\n");

    assert_true(reply_has(&reply, "HTTP/1.1 200 OK\r\n"));
    assert_true(reply_has(&reply, "\r\nConnection: close\r\n"));
    free(reply.text);
    reply = ask(*state, "GET /echo?1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                        "GET /echo?2 HTTP/1.0\r\n\r\n");
    assert_true(reply_has(&reply, "\r\nConnection: keep-alive\r\n"));
    assert_true(reply_has(&reply, "/echo?1="));
    assert_true(reply_has(&reply, "/echo?2="));
    free(reply.text);
}

static void a_faulty_answer_does_no_harm(void **state)
{
    struct reply reply = ask(*state, "GET /faulty" LAST);

    assert_false(reply_has(&reply, "X: y"));
    assert_true(reply_has(&reply, "\r\nContent-Type: application/octet-stream\r\n"));
    assert_string_equal(reply_body(&reply), "once");
    free(reply.text);
}

static void a_route_may_drop_the_connection(void **state)
{
    struct reply reply = ask(*state, GET("/drop") GET("/echo"));

    assert_string_equal(reply.text, "");
    free(reply.text);
}

/* ---- refusals */

static void a_refusal_is_short_and_final(void **state)
{
    static const struct {
        const char *request, *status_line, *body;
    } rows[] = {
        {"GET /\n", "HTTP/1.1 400 Bad Request\r\n", "Bad Request\n"},
        {"GET / HTTP/3.0\r\n", "HTTP/1.1 505 HTTP Version Not Supported\r\n",
         "HTTP Version Not Supported\n"},
        {"BREW /" H "\r\n", "HTTP/1.1 501 Not Implemented\r\n", "Not Implemented\n"},
        {"POST /echo" H "Expect: x\r\n\r\n", "HTTP/1.1 417 Expectation Failed\r\n",
         "Expectation Failed\n"},
        {"POST /echo" H "Content-Length: 1001\r\n\r\n",
         "HTTP/1.1 413 Content Too Large\r\n", "Content Too Large\n"},
        {"POST /echo" H "Transfer-Encoding: chunked\r\n\r\nx",
         "HTTP/1.1 400 Bad Request\r\n", "Bad Request\n"},
        {"POST /none" H "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 404 Not Found\r\n",
         "Not Found\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        struct reply reply;
        const char *last;

        /* a HEAD before it must not cost the refusal its body */
        snprintf(text, sizeof text, "%s%s%s%s", "HEAD /echo" H "\r\n", GET("/later"),
                 rows[i].request, GET("/echo?unserved"));
        for (size_t cut = 0; cut < strlen(text); cut++) {
            reply = exchange(*state, text, strlen(text), cut);
            last = strstr(reply.text, rows[i].status_line);
            assert_non_null(last);
            assert_non_null(strstr(last, "\r\nConnection: close\r\n"));
            assert_string_equal(strstr(last, "\r\n\r\n") + 4, rows[i].body);
            assert_true(reply_has(&reply, "later /later"));
            assert_false(reply_has(&reply, "sockhop")); /* T61 */
            free(reply.text);
        }
    }
}

/* T07, C04, C25: limit - 1, limit, limit + 1, told and untold lengths */
static void a_body_may_have_its_limit_and_no_byte_more(void **state)
{
    char body[BODY_MAX + 2], text[4096];

    memset(body, 'a', sizeof body);
    for (int len = BODY_MAX - 1; len <= BODY_MAX + 1; len++) {
        int status = len > BODY_MAX ? 413 : 200;
        struct reply reply;

        atomic_store(&n_too_large, 0);
        snprintf(text, sizeof text,
                 "POST /echo" H "Connection: close\r\nContent-Length: %d\r\n\r\n%.*s",
                 len, len, body);
        reply = ask(*state, text);
        assert_int_equal(reply_status(&reply), status);
        free(reply.text);
        snprintf(text, sizeof text,
                 "POST /echo" H "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "1\r\na\r\n%x\r\n%.*s\r\n0\r\n\r\n",
                 (unsigned)len - 1, len - 1, body);
        reply = ask(*state, text);
        assert_int_equal(reply_status(&reply), status);
        free(reply.text);
        assert_int_equal(atomic_load(&n_too_large), len > BODY_MAX ? 2 : 0);
    }
}

static void a_client_that_expects_continue_gets_it(void **state)
{
    static const char head[] = "POST /echo" H "Connection: close\r\n"
                               "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    int fd = fixture_connect(*state);
    struct reply reply;

    client_send(fd, head, strlen(head));
    reply = client_read_until(fd, "\r\n\r\n");
    assert_string_equal(reply.text, "HTTP/1.1 100 Continue\r\n\r\n");
    free(reply.text);
    client_send(fd, "hi", 2);
    reply = client_read_all(fd);
    assert_string_equal(reply_body(&reply), "/echo?=hi(2)@0");
    free(reply.text);
    close(fd);

    reply = ask(*state, "POST /echo" H "Expect: 100-continue\r\n"
                        "Content-Length: 5000\r\n\r\n");
    assert_int_equal(reply_status(&reply), 413);
    free(reply.text);
}

/* ---- deadlines */

static void whoever_is_too_slow_is_told_or_closed(void **state)
{
    static const struct {
        const char *sent, *reply; /* reply: how it begins */
    } rows[] = {
        {"", ""},     /* idle from the start */
        {"\r\n", ""}, /* no request yet */
        {"G", "HTTP/1.1 408 Request Timeout\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /echo" H "Content-Length: 5\r\n\r\nhell",
         "HTTP/1.1 408 Request Timeout\r\n"},
        {"POST /echo" H "Transfer-Encoding: chunked\r\n\r\n1\r\n",
         "HTTP/1.1 408 Request Timeout\r\n"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = ask(*state, rows[i].sent);

        if (rows[i].reply[0])
            assert_memory_equal(reply.text, rows[i].reply, strlen(rows[i].reply));
        else
            assert_string_equal(reply.text, "");
        free(reply.text);
    }
}

static void an_idle_connection_is_closed_silently(void **state)
{
    struct reply reply = ask(*state, GET("/echo"));

    assert_string_equal(reply_body(&reply), "/echo?=(0)@0");
    free(reply.text);
    reply = ask(*state, GET("/echo") "GET ");
    assert_true(reply_has(&reply, "/echo?=(0)@0HTTP/1.1 408 Request Timeout\r\n"));
    free(reply.text);
}

/* T03: a byte now and then does not put the deadline off */
static void a_trickle_does_not_extend_the_deadline(void **state)
{
    static const char head[] = "GET /echo HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaa";
    int fd = fixture_connect(*state);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    size_t n = 0;

    while (poll(&poll_fd, 1, 20) == 0 && n < strlen(head))
        client_send(fd, head + n++, 1);
    assert_true(n < 30); /* 150 ms, with room for a slow machine */
    close(fd);
}

static void a_held_request_has_no_deadline(void **state)
{
    int fd = fixture_connect(*state);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    atomic_store(&n_held, 0);
    client_send(fd, GET("/hold"), strlen(GET("/hold")));
    assert_int_equal(poll(&poll_fd, 1, 600), 0);
    assert_int_equal(atomic_load(&n_held), 1);
    close(fd);
}

/* ---- held requests */

static void wait_for(atomic_int *counter, int value)
{
    const struct timespec pause = {.tv_nsec = 2000000};

    for (int i = 0; i < 2500 && atomic_load(counter) != value; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(atomic_load(counter), value);
}

static void the_holder_is_told_when_the_peer_goes(void **state)
{
    int fd;

    atomic_store(&n_aborted, 0);
    atomic_store(&n_held, 0);
    fd = fixture_connect(*state);
    client_send(fd, GET("/hold") GET("/echo"), strlen(GET("/hold") GET("/echo")));
    wait_for(&n_held, 1);
    assert_int_equal(atomic_load(&n_aborted), 0);
    close(fd);
    wait_for(&n_aborted, 1);
}

static void an_answered_request_is_not_told(void **state)
{
    struct reply reply;

    atomic_store(&n_aborted, 0);
    reply = ask(*state, "GET /later" LAST);
    assert_string_equal(reply_body(&reply), "later /later");
    assert_int_equal(atomic_load(&n_aborted), 0);
    free(reply.text);
}

static void requests_behind_a_held_one_are_kept_up_to_a_limit(void **state)
{
    static char flood[1 << 20];
    int fd = fixture_connect(*state);
    size_t sent = 0;

    atomic_store(&n_held, 0);
    client_send(fd, GET("/hold"), strlen(GET("/hold")));
    wait_for(&n_held, 1);
    memset(flood, 'a', sizeof flood);
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
        ssize_t n;

        if (sent == sizeof flood || poll(&poll_fd, 1, 300) <= 0)
            break;
        n = send(fd, flood + sent, sizeof flood - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
    }
    assert_true(sent < sizeof flood);
    close(fd);
}

/* ---- files */

static int make_file(void **state)
{
    static char text[FILE_BYTES];
    int fd = mkstemp(file_path);

    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    assert_int_equal(write(fd, text, sizeof text), sizeof text);
    close(fd);
    (void)state;
    return 0;
}

static int remove_file(void **state)
{
    (void)state;
    unlink(file_path);
    return 0;
}

static void a_file_arrives_whole_and_the_next_answer_behind_it(void **state)
{
    struct reply reply = ask(*state, GET("/file") "HEAD /file" H "\r\n"
                                                  "GET /echo" LAST);
    const char *body = reply_body(&reply);

    assert_true(reply_has(&reply, "\r\nContent-Length: 1048576\r\n"));
    for (size_t i = 0; i < FILE_BYTES; i++)
        if (body[i] != (char)('a' + i % 23))
            fail_msg("byte %zu differs", i);
    assert_memory_equal(body + FILE_BYTES, "HTTP/1.1 200 OK", 15);
    assert_non_null(strstr(body + FILE_BYTES, "/echo?=(0)@0"));
    free(reply.text);
}

static void a_file_that_shrank_ends_with_a_close(void **state)
{
    struct reply reply = ask(*state, GET("/file?short") GET("/echo"));

    assert_true(reply_has(&reply, "\r\nContent-Length: 1048586\r\n"));
    assert_int_equal(strlen(reply_body(&reply)), FILE_BYTES);
    free(reply.text);
}

/* The reader that stops costs one piece of memory, and its connection in the end. */
static void a_file_waits_for_its_reader_but_not_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct metrics *all[1] = {&fixture->loops->loop[0]->metrics};
    int fd = fixture_connect(fixture);
    struct reply reply;

    client_send(fd, GET("/file"), strlen(GET("/file")));
    for (int i = 0; i < 10; i++) {
        poll(NULL, 0, 10);
        assert_true(metric_sum(all, 1, METRIC_QUEUED_BYTES) <= 2 * 65536);
    }
    poll(NULL, 0, 400);
    reply = client_read_all(fd);
    assert_true(reply.len < FILE_BYTES);
    free(reply.text);
    close(fd);
}

/* ---- how long a reader may take */

struct look {
    struct fixture *fixture;
    enum net_deadline which;
    atomic_int n; /* of that deadline; -1: nobody has looked yet */
};

static void look_at_deadlines(void *arg)
{
    struct look *look = arg;

    atomic_store(&look->n, (int)look->fixture->nets[0]->deadline[look->which].n);
}

static int n_deadlines(struct fixture *fixture, enum net_deadline which)
{
    struct look look = {.fixture = fixture, .which = which};

    atomic_init(&look.n, -1);
    loop_post(fixture->loops->loop[0], look_at_deadlines, &look);
    while (atomic_load(&look.n) < 0)
        sched_yield();
    return atomic_load(&look.n);
}

/* T04 asks for a rate of what the client sends: one that takes a file sends nothing. */
static void a_reader_of_a_file_has_no_rate_to_keep(void **state)
{
    struct fixture *fixture = *state;
    struct metrics *all[1] = {&fixture->loops->loop[0]->metrics};
    int fd = fixture_connect(fixture);
    struct reply reply;

    client_send(fd, "GET /file" LAST, strlen("GET /file" LAST));
    while (metric_sum(all, 1, METRIC_QUEUED_BYTES) == 0)
        sched_yield();
    assert_int_equal(n_deadlines(fixture, NET_SEND), 1);
    assert_int_equal(n_deadlines(fixture, NET_RATE), 0);
    reply = client_read_all(fd);
    assert_int_equal(strlen(reply_body(&reply)), FILE_BYTES);
    free(reply.text);
    close(fd);
}

/* Longer than the time between requests: that begins when the response has gone. */
static void whoever_still_takes_a_response_is_no_idler(void **state)
{
    struct fixture *fixture = *state;
    int fd = fixture_connect(fixture);
    struct reply reply;

    client_send(fd, GET("/bytes?big"), strlen(GET("/bytes?big")));
    while (n_deadlines(fixture, NET_SEND) == 0) /* keep_alive has passed */
        poll(NULL, 0, 10);
    reply = client_read_all(fd); /* and again: it is closed then */
    assert_int_equal(strlen(reply_body(&reply)), BIG_BYTES);
    free(reply.text);
    close(fd);
}

/* What a close leaves to the peer is five seconds: enough for what its kernel may hold. */
static void a_long_last_response_has_the_time_of_any_other(void **state)
{
    struct fixture *fixture = *state;
    int fd = fixture_connect(fixture);
    struct reply reply;

    client_send(fd, "GET /bytes?big" LAST, strlen("GET /bytes?big" LAST));
    while (n_deadlines(fixture, NET_SEND) == 0)
        poll(NULL, 0, 10);
    assert_int_equal(n_deadlines(fixture, NET_LINGER), 0);
    reply = client_read_all(fd);
    assert_int_equal(strlen(reply_body(&reply)), BIG_BYTES);
    free(reply.text);
    close(fd);
}

/* ---- upgrade */

static void bytes_behind_the_head_reach_the_new_owner_first(void **state)
{
    static const char text[] = GET("/later") GET("/up") "first GET / second!";

    for (size_t cut = 0; cut < strlen(text); cut++) {
        struct reply reply = exchange(*state, text, strlen(text), cut);
        const char *at = strstr(reply.text, "HTTP/1.1 101");

        assert_non_null(at);
        assert_string_equal(strstr(at, "\r\n\r\n") + 4, "first GET / second!");
        free(reply.text);
    }
}

/* ---- moving */

static void requests_are_served_by_the_shard_they_name(void **state)
{
    static const char text[] = GET("/move?1") GET("/move?0") GET("/echo?here")
        GET("/move") "POST /move?1" H "Content-Length: 5\r\n\r\nhello" GET(
            "/later") "POST /move?0" H
                      "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" GET(
                          "/move?1") "POST /move?0" H "Content-Length: 1001\r\n\r\n";
    struct reply whole = exchange(*state, text, strlen(text), 0);
    static const char *const expected[] = {
        "/move?1=(0)@1",   "/move?0=(0)@0",      "/echo?here=(0)@0",
        "/move?=(0)@0",    "/move?1=hello(5)@1", "later /later",
        "/move?0=hi(2)@0", "/move?1=(0)@1",      "413 Content Too Large"};
    const char *at = whole.text;

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        at = strstr(at, expected[i]);
        assert_non_null(at);
        at += strlen(expected[i]);
    }
    for (size_t cut = 1; cut < strlen(text); cut++) {
        struct reply reply = exchange(*state, text, strlen(text), cut);

        assert_string_equal(reply.text, whole.text);
        free(reply.text);
    }
    free(whole.text);
}

static void a_connection_may_close_while_it_moves(void **state)
{
    static const char text[] = GET("/move?1")
        GET("/move?0") "POST /move?1" H "Content-Length: 5\r\n\r\nhello" GET("/move?0");

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        int fd = fixture_connect(*state);

        client_send(fd, text, cut);
        if (cut % 3 == 0)
            sched_yield();
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_complete),
        cmocka_unit_test(the_date_is_an_http_date),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_flood_of_pipelined_requests_is_served_whole),
        cmocka_unit_test(a_client_that_does_not_read_is_not_read_either),
        cmocka_unit_test(http_1_0_closes_unless_asked_to_stay),
        cmocka_unit_test(a_faulty_answer_does_no_harm),
        cmocka_unit_test(a_route_may_drop_the_connection),
        cmocka_unit_test(a_refusal_is_short_and_final),
        cmocka_unit_test(a_body_may_have_its_limit_and_no_byte_more),
        cmocka_unit_test(a_client_that_expects_continue_gets_it),
        cmocka_unit_test(the_holder_is_told_when_the_peer_goes),
        cmocka_unit_test(an_answered_request_is_not_told),
        cmocka_unit_test(requests_behind_a_held_one_are_kept_up_to_a_limit),
        cmocka_unit_test(a_file_arrives_whole_and_the_next_answer_behind_it),
        cmocka_unit_test(a_file_that_shrank_ends_with_a_close),
        cmocka_unit_test(bytes_behind_the_head_reach_the_new_owner_first),
    };
    const struct CMUnitTest hasty[] = {
        cmocka_unit_test(whoever_is_too_slow_is_told_or_closed),
        cmocka_unit_test(an_idle_connection_is_closed_silently),
        cmocka_unit_test(a_trickle_does_not_extend_the_deadline),
        cmocka_unit_test(a_held_request_has_no_deadline),
        cmocka_unit_test(a_file_waits_for_its_reader_but_not_for_ever),
    };
    const struct CMUnitTest patient[] = {
        cmocka_unit_test(a_reader_of_a_file_has_no_rate_to_keep),
        cmocka_unit_test(whoever_still_takes_a_response_is_no_idler),
        cmocka_unit_test(a_long_last_response_has_the_time_of_any_other),
    };
    const struct CMUnitTest two_shards[] = {
        cmocka_unit_test(requests_are_served_by_the_shard_they_name),
        cmocka_unit_test(a_connection_may_close_while_it_moves),
        cmocka_unit_test(the_holder_is_told_when_the_peer_goes),
    };
    int n_failed;

    make_file(NULL);
    n_failed = cmocka_run_group_tests_name("one loop", tests, start, stop);
    n_failed += cmocka_run_group_tests_name("short deadlines", hasty, start_hasty, stop);
    n_failed += cmocka_run_group_tests_name("time to read", patient, start_patient, stop);
    n_failed +=
        cmocka_run_group_tests_name("two shards", two_shards, start_two_shards, stop);
    remove_file(NULL);
    return n_failed;
}
