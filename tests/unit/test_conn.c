/*
 * test_conn.c - core/net/conn.c, conn_send.c, net.c: a connection's queue, limits, and end.
 *
 * Most tests run one loop turn by turn, with the other end of the connection in the same
 * thread; conn_move() has shards in threads of their own, and the test as the client.
 */
#include "core/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/loop/bytes.h"
#include "core/net/conn_impl.h"
#include "tests/unit/turns.h"

enum { STREAM_MAX = 8 << 20 };

static const struct settings settings = {
    .head_timeout_ms = 60000,
    .body_timeout_ms = 60000,
    .keep_alive_ms = 60000,
    .max_queue_bytes = 256 << 10,
    .soft_queue_bytes = 64 << 10,
    .soft_queue_ms = 60000,
    .max_queue_frames = 1000,
};

struct bench {
    struct loops *loops;
    struct net *net;
    struct net *all[1];
};

/* One connection and what its callbacks saw. */
struct end {
    struct bench *bench;
    struct conn *conn;
    int peer_fd;
    char got[4096]; /* what on_data() was given */
    size_t n_got;
    unsigned n_drained, n_deadlines, n_closed;
    enum conn_end why;
    bool is_sending;              /* no callback may come now */
    void (*act)(struct end *end); /* done in the callback under test */
};

static void act(struct end *end)
{
    assert_false(end->is_sending);
    if (end->act)
        end->act(end);
}

static void on_data(struct conn *conn, const char *data, size_t len)
{
    struct end *end = conn->user;

    assert_true(end->n_got + len <= sizeof end->got);
    memcpy(end->got + end->n_got, data, len);
    end->n_got += len;
    act(end);
}

static void on_drained(struct conn *conn)
{
    struct end *end = conn->user;

    end->n_drained++;
    act(end);
}

static void on_deadline(struct conn *conn, enum net_deadline which)
{
    struct end *end = conn->user;

    assert_int_equal(which, NET_HEAD);
    end->n_deadlines++;
    act(end);
}

static void on_closed(struct conn *conn, enum conn_end why)
{
    struct end *end = conn->user;

    assert_false(end->is_sending);
    assert_false(conn->is_open);
    end->n_closed++;
    end->why = why;
}

static void on_moved(struct conn *conn)
{
    (void)conn;
    fail();
}

static const struct conn_ops plain_ops = {
    .on_data = on_data,
    .on_drained = on_drained,
    .on_closed = on_closed,
    .on_moved = on_moved,
};

static const struct conn_ops patient_ops = {
    .on_data = on_data,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
    .on_moved = on_moved,
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    bench->loops = loops_for_turns();
    bench->net = bench->all[0] = net_new(bench->loops->logic, &settings, bench->all);
    *state = bench;
    return 0;
}

/* Whatever a test did: nothing may be left. */
static int tear_down(void **state)
{
    struct bench *bench = *state;
    struct loop *loop = bench->loops->logic;

    if (!net_is_empty(bench->net))
        return -1; /* the test has failed, and its struct end is gone */
    turn(loop);
    assert_int_equal(bench->net->conns.n_used, 0);
    assert_null(bench->net->paused);
    net_free(bench->net);
    assert_int_equal(metric_of(loop, METRIC_CONNECTIONS), 0);
    assert_int_equal(metric_of(loop, METRIC_QUEUED_BYTES), 0);
    assert_int_equal(metric_of(loop, METRIC_TIMERS), 0);
    loops_free(bench->loops);
    free(bench);
    return 0;
}

static void shrink_buffers(int fd)
{
    int size = 4096; /* the kernel doubles it, and has a minimum of its own */

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void open_with(struct bench *bench, struct end *end, const struct conn_ops *ops)
{
    struct sockaddr_storage peer = {0};
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    shrink_buffers(fd[0]);
    shrink_buffers(fd[1]);
    *end = (struct end){.bench = bench, .peer_fd = fd[1]};
    end->conn = conn_new(bench->net, fd[0], &peer, ops, end);
    assert_non_null(end->conn);
}

static void open_end(struct bench *bench, struct end *end)
{
    open_with(bench, end, &plain_ops);
}

static void run(struct end *end)
{
    turn(end->bench->loops->logic);
}

static bool is_closed(void *arg)
{
    return ((struct end *)arg)->n_closed > 0;
}

static void until_closed(struct end *end)
{
    turns_until(end->bench->loops->logic, is_closed, end);
}

/* The peer goes; then the connection has ended with CONN_PEER_CLOSED. */
static void leave(struct end *end)
{
    close(end->peer_fd);
    until_closed(end);
    assert_int_equal(end->n_closed, 1);
}

/* What the peer can read now. Returns its length; 0 at the end of the stream too. */
static size_t peer_reads(struct end *end, char *into, size_t max)
{
    size_t n_read = 0;
    ssize_t n;

    while (n_read < max && (n = read(end->peer_fd, into + n_read, max - n_read)) > 0)
        n_read += (size_t)n;
    return n_read;
}

static bool peer_sees_end(struct end *end)
{
    char byte;
    ssize_t n = read(end->peer_fd, &byte, 1);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

static bool send_text(struct end *end, const char *text)
{
    bool is_queued;

    end->is_sending = true;
    is_queued = conn_send_copy(end->conn, text, strlen(text));
    end->is_sending = false;
    return is_queued;
}

static bool send_bytes(struct end *end, struct bytes *bytes)
{
    bool is_queued;

    end->is_sending = true;
    is_queued = conn_send(end->conn, bytes, 0, bytes->len);
    end->is_sending = false;
    return is_queued;
}

/* Queue until the kernel takes no more: the connection is blocked afterwards. */
static void block(struct end *end)
{
    struct bytes *bytes = bytes_new(1000);
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    memset(bytes->data, 'b', bytes->len);
    while (!end->conn->is_blocked) {
        send_bytes(end, bytes);
        run(end);
        assert_true(clock_ms() < deadline_ms);
    }
    bytes_unref(bytes);
}

static void close_it(struct end *end)
{
    conn_close(end->conn, CONN_BY_US);
    conn_close(end->conn, CONN_FAILED);
    conn_set_deadline(end->conn, NET_HEAD);
    assert_int_equal(end->n_closed, 1);
    assert_false(conn_send_copy(end->conn, "x", 1));
    assert_null(conn_send_space(end->conn, 1));
}

/* ---- sending ---- */

static void many_frames_of_a_turn_leave_in_one_send(void **state)
{
    struct bytes *room = bytes_copy("room.", 5);
    char text[2048];
    struct end end;
    int64_t sends;

    open_end(*state, &end);
    sends = metric_of(end.bench->loops->logic, METRIC_SENDS);
    for (int i = 0; i < 30; i++) {
        assert_true(send_text(&end, "ab"));
        assert_true(send_text(&end, "cd"));
        assert_true(send_bytes(&end, room));
    }
    assert_int_equal(peer_reads(&end, text, sizeof text), 0); /* nothing before the end */
    run(&end);
    assert_int_equal(metric_of(end.bench->loops->logic, METRIC_SENDS) - sends, 1);
    assert_int_equal(peer_reads(&end, text, sizeof text), 30 * 9);
    for (int i = 0; i < 30; i++)
        assert_memory_equal(text + 9 * i, "abcdroom.", 9);
    assert_int_equal(end.n_drained, 1);
    bytes_unref(room);
    leave(&end);
}

static void what_follows_the_last_slice_extends_it(void **state)
{
    struct bytes *bytes = bytes_copy("0123456789", 10);
    char text[32];
    struct end end;

    open_end(*state, &end);
    assert_true(conn_send(end.conn, bytes, 0, 3));
    assert_true(conn_send(end.conn, bytes, 3, 7));
    assert_true(conn_send(end.conn, bytes, 7, 7)); /* nothing */
    assert_int_equal(end.conn->n_slices, 1);
    assert_int_equal(atomic_load(&bytes->refs), 2);
    assert_true(conn_send(end.conn, bytes, 8, 10)); /* a gap */
    assert_int_equal(end.conn->n_slices, 2);
    run(&end);
    assert_int_equal(peer_reads(&end, text, sizeof text), 9);
    assert_memory_equal(text, "012345689", 9);
    assert_int_equal(atomic_load(&bytes->refs), 1);
    bytes_unref(bytes);
    leave(&end);
}

static void an_idle_connection_holds_nothing_for_sending(void **state)
{
    struct end end;
    char text[STREAM_MAX / 64];

    open_end(*state, &end);
    block(&end);
    send_text(&end, "into its own buffer");
    assert_non_null(end.conn->backlog->own);
    while (end.conn->n_slices) {
        peer_reads(&end, text, sizeof text);
        run(&end);
    }
    assert_null(end.conn->backlog);
    assert_int_equal(end.conn->watched, EPOLLIN);
    assert_int_equal(end.conn->queued_bytes, 0);
    leave(&end);
}

static void space_is_filled_by_its_user_before_the_turn_ends(void **state)
{
    struct end end;
    char text[32], *space;

    open_end(*state, &end);
    space = conn_send_space(end.conn, 5);
    memcpy(space, "space", 5);
    assert_non_null(conn_send_space(end.conn, 0));
    run(&end);
    assert_int_equal(peer_reads(&end, text, sizeof text), 5);
    assert_memory_equal(text, "space", 5);
    leave(&end);
}

/* A stream of pieces that go all four ways; the reader takes what it likes. */
static void the_stream_stays_exact(struct end *end, unsigned seed)
{
    char *sent = malloc(STREAM_MAX), *got = malloc(STREAM_MAX);
    size_t n_sent = 0, n_got = 0;
    struct bytes *room = bytes_growable(1 << 16);
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    for (int i = 0; i < 1500 || n_got < n_sent; i++) {
        for (int frames = rand_r(&seed) % 4; i < 1500 && frames > 0; frames--) {
            size_t len = (size_t)(rand_r(&seed) % 200), from = room->len;
            char *piece = sent + n_sent;

            for (size_t at = 0; at < len; at++)
                piece[at] = (char)rand_r(&seed);
            switch (rand_r(&seed) % 3) {
            case 0:
                bytes_append(room, piece, len);
                assert_true(conn_send(end->conn, room, from, room->len));
                break;
            case 1:
                assert_true(conn_send_copy(end->conn, piece, len));
                break;
            default:
                memcpy(conn_send_space(end->conn, len), piece, len);
            }
            n_sent += len;
        }
        run(end);
        if (rand_r(&seed) % 3 == 0)
            n_got += peer_reads(end, got + n_got, (size_t)(rand_r(&seed) % 3000));
        assert_true(clock_ms() < deadline_ms);
    }
    assert_int_equal(n_got, n_sent);
    assert_memory_equal(got, sent, n_sent);
    assert_int_equal(end->conn->n_slices, 0);
    bytes_unref(room);
    free(sent);
    free(got);
}

static void order_and_bytes_survive_a_full_kernel_buffer(void **state)
{
    struct end end;

    for (unsigned seed = 1; seed <= 4; seed++) { /* C28 */
        open_end(*state, &end);
        the_stream_stays_exact(&end, seed);
        leave(&end);
    }
}

static void order_and_bytes_survive_over_tcp(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof name;
    struct end end = {.bench = *state};
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd;

    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    shrink_buffers(listener);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&name, &len);
    end.peer_fd = socket(AF_INET, SOCK_STREAM, 0);
    shrink_buffers(end.peer_fd);
    assert_int_equal(connect(end.peer_fd, (struct sockaddr *)&name, sizeof name), 0);
    fcntl(end.peer_fd, F_SETFL, O_NONBLOCK);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    end.conn = conn_new(end.bench->net, fd, &peer, &plain_ops, &end);
    the_stream_stays_exact(&end, 99);
    leave(&end);
    close(listener);
}

static void a_blocked_connection_collects_in_a_buffer_of_its_own(void **state)
{
    struct bytes *direct;
    struct end slow, fast;

    open_end(*state, &slow);
    open_end(*state, &fast);
    block(&slow);
    send_text(&fast, "x");
    direct = slow.bench->net->direct.bytes;
    for (int i = 0; i < 2000; i++)
        send_text(&slow, "0123456789");
    assert_ptr_equal(slow.bench->net->direct.bytes, direct);
    assert_int_equal(direct->len, 1); /* the fast one's */
    assert_true(slow.conn->backlog->own->len <= 16 << 10);
    assert_true(slow.conn->n_slices < 100); /* not one for each frame */
    run(&slow);
    leave(&fast);
    leave(&slow);
}

static void only_a_connection_with_nothing_left_over_is_writable(void **state)
{
    static char text[1 << 20];
    struct end end;

    open_end(*state, &end);
    assert_true(conn_is_writable(end.conn));
    send_text(&end, "queued in this turn: still writable");
    assert_true(conn_is_writable(end.conn));
    block(&end);
    assert_false(conn_is_writable(end.conn));
    while (end.conn->n_slices) {
        peer_reads(&end, text, sizeof text);
        run(&end);
    }
    assert_true(conn_is_writable(end.conn));
    conn_close(end.conn, CONN_BY_US);
    assert_false(conn_is_writable(end.conn));
    close(end.peer_fd);
}

static void send_after_drained(struct end *end)
{
    end->act = NULL;
    assert_true(conn_send_copy(end->conn, "second", 6));
}

static bool has_second(void *arg)
{
    struct end *end = arg;

    end->n_got += peer_reads(end, end->got + end->n_got, sizeof end->got - end->n_got);
    return end->n_got >= 11;
}

static void what_is_sent_while_the_turn_flushes_leaves_later_and_is_not_lost(void **state)
{
    struct end end;

    open_end(*state, &end);
    end.act = send_after_drained;
    send_text(&end, "first");
    turns_until(end.bench->loops->logic, has_second, &end);
    assert_memory_equal(end.got, "firstsecond", 11);
    assert_int_equal(end.n_drained, 2);
    leave(&end);
}

/* ---- limits ---- */

static void over_the_hard_limit_it_ends_with_the_turn_and_not_in_the_send(void **state)
{
    struct bytes *bytes = bytes_new(10000);
    struct end end;
    bool is_queued = true;

    memset(bytes->data, 'x', bytes->len);
    open_end(*state, &end);
    end.conn->is_capped = true;
    block(&end);
    for (int i = 0; i < 100 && is_queued; i++)
        is_queued = send_bytes(&end, bytes); /* asserts that nothing calls back */
    assert_false(is_queued);
    assert_true(end.conn->queued_bytes <= settings.max_queue_bytes + 10000);
    assert_true(end.conn->is_open);
    assert_false(send_text(&end, "one more"));
    assert_int_equal(end.n_closed, 0);
    run(&end);
    assert_int_equal(end.n_closed, 1);
    assert_int_equal(end.why, CONN_SLOW);
    assert_int_equal(atomic_load(&bytes->refs), 1);
    bytes_unref(bytes);
    close(end.peer_fd);
}

static void copies_over_the_hard_limit_end_it_with_the_turn_too(void **state)
{
    static char text[5000];
    struct end end;

    memset(text, 'x', sizeof text - 1);
    open_end(*state, &end);
    end.conn->is_capped = true;
    block(&end);
    for (int i = 0; i < 100; i++) {
        char *space;

        end.is_sending = true;
        space = conn_send_space(end.conn, sizeof text);
        end.is_sending = false;
        if (space)
            memset(space, 's', sizeof text);
        if (!send_text(&end, text))
            break;
    }
    assert_true(end.conn->is_open);
    assert_true(end.conn->queued_bytes <= settings.max_queue_bytes + 2 * sizeof text);
    run(&end);
    assert_int_equal(end.why, CONN_SLOW);
    assert_int_equal(end.n_closed, 1);
    close(end.peer_fd);
}

static void too_many_frames_are_over_the_hard_limit_as_well(void **state)
{
    struct bytes *bytes = bytes_copy("tiny", 4);
    struct end end;
    int n = 0;

    open_end(*state, &end);
    end.conn->is_capped = true;
    block(&end);
    while (n < 5000 && send_bytes(&end, bytes))
        n++;
    assert_true(n <= settings.max_queue_frames + 1);
    run(&end);
    assert_int_equal(end.why, CONN_SLOW);
    bytes_unref(bytes);
    close(end.peer_fd);
}

static void more_than_the_limit_in_a_turn_is_fine_when_the_kernel_takes_it(void **state)
{
    static char text[1 << 20];
    struct bytes *bytes = bytes_new(settings.max_queue_bytes / 5 + 100);
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;
    struct sockaddr_storage peer = {0};
    struct end end = {.bench = *state};
    int fd[2];

    memset(bytes->data, 'y', bytes->len);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    end.peer_fd = fd[1]; /* buffers as large as the system makes them */
    end.conn = conn_new(end.bench->net, fd[0], &peer, &plain_ops, &end);
    end.conn->is_capped = true;
    for (int turns = 0; turns < 10; turns++) {
        size_t n_read = 0;

        for (int i = 0; i < 5; i++)
            assert_true(send_bytes(&end, bytes));
        while (n_read < 5 * bytes->len) {
            run(&end);
            n_read += peer_reads(&end, text, sizeof text);
            assert_true(clock_ms() < deadline_ms);
        }
    }
    assert_int_equal(end.n_closed, 0);
    bytes_unref(bytes);
    leave(&end);
}

static void a_connection_that_is_not_capped_has_no_limit(void **state)
{
    struct bytes *bytes = bytes_new(100000);
    struct end end;

    memset(bytes->data, 'z', bytes->len);
    open_end(*state, &end);
    block(&end);
    for (int i = 0; i < 50; i++)
        assert_true(send_bytes(&end, bytes));
    run(&end);
    assert_int_equal(end.n_closed, 0);
    assert_true(end.conn->queued_bytes >= 5000000 - 100000);
    bytes_unref(bytes);
    leave(&end);
}

/* Above the soft limit by shared frames, which came while it was blocked. */
static void go_above_the_soft_limit(struct end *end)
{
    struct bytes *bytes = bytes_new(settings.soft_queue_bytes + 1);

    memset(bytes->data, 's', bytes->len);
    end->bench->net->deadline[NET_SLOW].interval_ms = 40;
    end->conn->is_capped = true;
    block(end);
    assert_int_equal(end->n_closed, 0);
    assert_true(send_bytes(end, bytes));
    bytes_unref(bytes);
    run(end);
}

static void above_the_soft_limit_it_ends_after_a_time(void **state)
{
    struct end end;

    open_end(*state, &end);
    go_above_the_soft_limit(&end);
    assert_int_equal(end.n_closed, 0);
    until_closed(&end);
    assert_int_equal(end.why, CONN_SLOW);
    assert_int_equal(end.n_closed, 1);
    close(end.peer_fd);
}

static bool slow_timer_is_off(void *arg)
{
    static char text[1 << 20];
    struct end *end = arg;

    peer_reads(end, text, sizeof text);
    return !end->conn->backlog || !timer_is_running(&end->conn->backlog->slow);
}

static void a_receiver_that_catches_up_in_time_stays(void **state)
{
    struct end end;

    open_end(*state, &end);
    go_above_the_soft_limit(&end);
    timer_stop(&end.conn->backlog->slow); /* as long as this test may take */
    end.bench->net->deadline[NET_SLOW].interval_ms = DEADLINE_MS;
    send_text(&end, "more");
    run(&end);
    assert_true(timer_is_running(&end.conn->backlog->slow));
    turns_until(end.bench->loops->logic, slow_timer_is_off, &end);
    assert_int_equal(end.n_closed, 0);
    leave(&end);
}

/* ---- reading ---- */

static void what_the_peer_sends_is_given_on(void **state)
{
    struct end end;

    open_end(*state, &end);
    assert_int_equal(write(end.peer_fd, "hello", 5), 5);
    run(&end);
    assert_int_equal(end.n_got, 5);
    assert_memory_equal(end.got, "hello", 5);
    leave(&end);
    assert_int_equal(end.why, CONN_PEER_CLOSED);
}

static void reading_can_be_switched_off_and_on(void **state)
{
    struct end end;

    open_end(*state, &end);
    conn_read(end.conn, false);
    assert_int_equal(write(end.peer_fd, "later", 5), 5);
    run(&end);
    assert_int_equal(end.n_got, 0);
    conn_read(end.conn, true);
    run(&end);
    assert_int_equal(end.n_got, 5);
    leave(&end);
}

static void heavy(struct loop *loop, void *payload)
{
    (void)loop;
    (void)payload;
}

static void fill_lane(struct bench *bench)
{
    loop_send(bench->loops->logic, bench->loops->logic, heavy, 0, 2 << 20);
}

static void a_full_lane_stops_reading_until_it_has_drained(void **state)
{
    struct end end;

    open_end(*state, &end);
    assert_int_equal(write(end.peer_fd, "waits", 5), 5);
    fill_lane(*state);
    run(&end);
    assert_int_equal(end.n_got, 0); /* though it was readable */
    assert_false(end.conn->is_paused);
    run(&end);
    assert_int_equal(end.n_got, 5);
    leave(&end);
}

/* As if its event had come while the lane was full. */
static void pause_it(struct end *end)
{
    conn_read(end->conn, false);
    end->conn->wants_read = true;
    end->conn->is_paused = true;
    end->conn->next_paused = end->bench->net->paused;
    end->bench->net->paused = end->conn;
}

static void what_its_user_switched_off_stays_off_after_a_pause(void **state)
{
    struct end end;

    open_end(*state, &end);
    assert_int_equal(write(end.peer_fd, "waits", 5), 5);
    pause_it(&end);
    conn_read(end.conn, false);
    fill_lane(*state);
    assert_true(loop_is_congested(end.bench->loops->logic, end.bench->loops->logic));
    run(&end); /* relief */
    assert_false(end.conn->is_paused);
    run(&end);
    assert_int_equal(end.n_got, 0);
    conn_read(end.conn, true);
    run(&end);
    assert_int_equal(end.n_got, 5);
    leave(&end);
}

static void a_paused_connection_may_end(void **state)
{
    struct end end[3];

    for (int i = 0; i < 3; i++) {
        open_end(*state, &end[i]);
        pause_it(&end[i]);
    }
    conn_close(end[1].conn, CONN_BY_US);
    conn_close_after_flush(end[2].conn);
    conn_close(end[0].conn, CONN_BY_US);
    assert_null(end[0].bench->net->paused);
    for (int i = 0; i < 3; i++)
        leave(&end[i]);
}

/* A plugin may fork: until its child has gone, or has become another program, a descriptor
 * that we close lives on there. */
static void one_that_a_child_still_has_is_heard_of_no_more(void **state)
{
    struct bench *bench = *state;
    struct pollfd ready = {.fd = bench->net->watch.epoll_fd, .events = POLLIN};
    struct end end;
    int copy;

    open_end(bench, &end);
    copy = dup(end.conn->fd);
    conn_close(end.conn, CONN_BY_US);
    run(&end);
    assert_int_equal(write(end.peer_fd, "x", 1), 1);
    assert_int_equal(poll(&ready, 1, 0), 0);
    close(copy);
    close(end.peer_fd);
}

/* ---- newcomers ---- */

enum { CROWD = 3 * NEWCOMERS_A_TURN };

static void open_crowd(struct bench *bench, struct end *crowd)
{
    for (int i = 0; i < CROWD; i++)
        open_end(bench, &crowd[i]);
}

static void all_say(struct end *crowd, const char *text)
{
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(write(crowd[i].peer_fd, text, strlen(text)), strlen(text));
}

/* So often that nobody is a newcomer any more. */
static void settle_in(struct end *crowd)
{
    for (int i = 0; i < NEWCOMER_READS; i++) {
        all_say(crowd, "x");
        for (int j = 0; j < CROWD; j++)
            while (crowd[j].n_got <= (size_t)i)
                run(&crowd[j]);
    }
}

static unsigned count_heard(const struct end *crowd)
{
    unsigned n = 0;

    for (int i = 0; i < CROWD; i++)
        n += crowd[i].n_got > 0;
    return n;
}

static unsigned count_closed(const struct end *crowd)
{
    unsigned n = 0;

    for (int i = 0; i < CROWD; i++)
        n += crowd[i].n_closed;
    return n;
}

static void newcomers_have_a_share_of_each_turn(void **state)
{
    struct bench *bench = *state;
    struct end crowd[CROWD];

    open_crowd(bench, crowd);
    all_say(crowd, "hello");
    for (unsigned n = 1; n <= 3; n++) {
        run(crowd);
        assert_int_equal(count_heard(crowd), n * NEWCOMERS_A_TURN);
    }
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].n_got, 5);
        leave(&crowd[i]);
    }
}

static void those_who_are_known_wait_for_no_newcomer(void **state)
{
    struct bench *bench = *state;
    struct end crowd[CROWD], old;

    open_end(bench, &old);
    for (size_t i = 1; i <= NEWCOMER_READS; i++) {
        assert_int_equal(write(old.peer_fd, "x", 1), 1);
        run(&old);
        assert_int_equal(old.n_got, i);
    }
    open_crowd(bench, crowd);
    all_say(crowd, "hello");
    run(&old);
    assert_true(bench->net->newcomers.n > 0);
    while (bench->net->newcomers.n > 0) {
        const size_t n_got = old.n_got;

        assert_int_equal(write(old.peer_fd, "x", 1), 1);
        run(&old);
        assert_int_equal(old.n_got, n_got + 1);
    }
    leave(&old);
    for (int i = 0; i < CROWD; i++)
        leave(&crowd[i]);
}

static void ends_have_a_share_of_each_turn_too(void **state)
{
    struct bench *bench = *state;
    struct end crowd[CROWD];

    open_crowd(bench, crowd);
    settle_in(crowd);
    for (int i = 0; i < CROWD; i++) {
        if (i % 2) /* unread: our close would be a reset, and so is the peer's */
            send_text(&crowd[i], "unread");
    }
    run(crowd);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i].peer_fd);
    for (unsigned n = 1; n <= 3; n++) {
        run(crowd);
        assert_int_equal(count_closed(crowd), n * NEWCOMERS_A_TURN);
    }
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(crowd[i].why, i % 2 ? CONN_FAILED : CONN_PEER_CLOSED);
}

static void one_that_waits_may_be_closed_or_not_be_read(void **state)
{
    struct bench *bench = *state;
    struct end crowd[CROWD];
    unsigned n_waited = 0;

    open_crowd(bench, crowd);
    all_say(crowd, "hello");
    run(crowd);
    for (int i = 0; i < CROWD; i++) {
        if (!crowd[i].conn->is_waiting)
            continue;
        n_waited++;
        if (n_waited % 2)
            conn_close(crowd[i].conn, CONN_BY_US);
        else
            conn_read(crowd[i].conn, false);
    }
    assert_true(n_waited > 1);
    for (int i = 0; i < 10; i++)
        run(crowd);
    assert_int_equal(count_heard(crowd), CROWD - n_waited);
    assert_null(bench->net->newcomers.ring);
    for (int i = 0; i < CROWD; i++) {
        if (crowd[i].n_closed) {
            close(crowd[i].peer_fd);
            continue;
        }
        conn_read(crowd[i].conn, true);
        leave(&crowd[i]);
        assert_int_equal(crowd[i].n_got, 5);
    }
}

static void a_server_that_stops_waits_for_no_turn(void **state)
{
    struct bench *bench = *state;
    struct end crowd[CROWD];

    open_crowd(bench, crowd);
    all_say(crowd, "hello");
    run(crowd);
    net_shutdown(bench->net);
    run(crowd);
    assert_int_equal(count_closed(crowd), CROWD);
    for (int i = 0; i < CROWD; i++)
        close(crowd[i].peer_fd);
}

/* ---- deadlines ---- */

static void a_deadline_closes_a_connection_that_has_no_other_plan(void **state)
{
    struct end end;

    open_end(*state, &end);
    end.bench->net->deadline[NET_HEAD].interval_ms = 20;
    conn_set_deadline(end.conn, NET_HEAD);
    until_closed(&end);
    assert_int_equal(end.why, CONN_TIMED_OUT);
    close(end.peer_fd);
}

static bool has_deadline(void *arg)
{
    return ((struct end *)arg)->n_deadlines > 0;
}

static void a_deadline_is_told_once_and_can_be_cleared(void **state)
{
    struct end end;

    open_with(*state, &end, &patient_ops);
    end.bench->net->deadline[NET_HEAD].interval_ms = 20;
    conn_set_deadline(end.conn, NET_BODY);
    conn_set_deadline(end.conn, NET_HEAD); /* the one deadline */
    turns_until(end.bench->loops->logic, has_deadline, &end);
    assert_int_equal(end.n_deadlines, 1);
    assert_int_equal(metric_of(end.bench->loops->logic, METRIC_TIMERS), 0);
    conn_set_deadline(end.conn, NET_HEAD);
    conn_clear_deadline(end.conn);
    assert_int_equal(metric_of(end.bench->loops->logic, METRIC_TIMERS), 0);
    end.act = close_it;
    conn_set_deadline(end.conn, NET_HEAD);
    until_closed(&end);
    assert_int_equal(end.n_deadlines, 2);
    close(end.peer_fd);
}

/* ---- the rate of a body (T04): looked at here when the test likes */

enum { RATE = 500, WANTED = RATE * (NET_RATE_MS / 1000) };

static const struct settings rated = {
    .body_timeout_ms = 60000,
    .min_body_rate = RATE,
    .max_queue_bytes = 256 << 10,
    .soft_queue_bytes = 64 << 10,
    .soft_queue_ms = 60000,
    .max_queue_frames = 1000,
};

static void open_rated(struct bench *bench, struct end *end)
{
    bench->net->settings = &rated;
    open_end(bench, end);
    conn_set_deadline(end->conn, NET_BODY);
    assert_ptr_equal(end->conn->deadline->node.list, &bench->net->deadline[NET_RATE]);
    assert_int_equal(metric_of(bench->loops->logic, METRIC_TIMERS), 1);
}

static void receive(struct end *end, size_t len)
{
    char data[WANTED + 1] = {0};

    assert_true(len <= sizeof data);
    assert_int_equal(write(end->peer_fd, data, len), len);
    end->n_got = 0;
    while (end->n_got < len) /* socketpair: it is there at once, in one piece or some */
        run(end);
}

static bool survives_a_look(struct end *end)
{
    timer_stop(&end->conn->deadline->node);
    conn_check_rate(end->conn);
    return end->conn->is_open;
}

static void a_body_must_keep_its_rate_in_each_window(void **state)
{
    static const struct {
        size_t len[3]; /* in the windows behind the first */
        int n_passed;
    } rows[] = {
        {{0}, 0},
        {{1}, 0},
        {{WANTED - 1}, 0},
        {{WANTED, WANTED - 1}, 1},
        {{WANTED + 1, WANTED, 0}, 2}, /* what came too early does not count later */
        {{WANTED, WANTED, WANTED}, 3},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct end end;
        int n = 0;

        open_rated(*state, &end);
        assert_true(survives_a_look(&end)); /* the first window is free */
        for (; n < 3; n++) {
            receive(&end, rows[i].len[n]);
            if (!survives_a_look(&end))
                break;
            assert_int_equal(metric_of(end.bench->loops->logic, METRIC_TIMERS), 1);
        }
        assert_int_equal(n, rows[i].n_passed);
        if (n == 3)
            leave(&end);
        else
            assert_int_equal(end.why, CONN_TIMED_OUT);
        close(end.peer_fd);
        run(&end);
    }
}

static void a_look_blames_nobody_for_what_we_have_not_read(void **state)
{
    struct end end;

    open_rated(*state, &end);
    assert_true(survives_a_look(&end));
    conn_read(end.conn, false); /* switched off by its user */
    assert_true(survives_a_look(&end));
    conn_read(end.conn, true);
    assert_true(survives_a_look(&end)); /* and in the window when it was */
    assert_int_equal(write(end.peer_fd, "x", 1), 1);
    assert_true(survives_a_look(&end)); /* unread */
    run(&end);
    assert_true(survives_a_look(&end));
    assert_int_equal(write(end.peer_fd, "x", 1), 1);
    fill_lane(*state);
    run(&end); /* paused, and on again at the end of the turn */
    assert_true(survives_a_look(&end));
    run(&end);
    assert_int_equal(end.n_got, 2);
    assert_true(survives_a_look(&end));
    assert_false(survives_a_look(&end));
    close(end.peer_fd);
}

static void looks_come_by_themselves_and_end_with_the_total_deadline(void **state)
{
    struct bench *bench = *state;
    struct settings mine = rated;
    struct end slow, fast, late;

    bench->net->deadline[NET_RATE].interval_ms = 30;
    open_rated(bench, &slow); /* sends nothing: the second look ends it */
    until_closed(&slow);
    assert_int_equal(slow.why, CONN_TIMED_OUT);
    close(slow.peer_fd);
    mine.body_timeout_ms = 100;
    open_rated(bench, &fast);
    conn_clear_deadline(fast.conn);
    bench->net->settings = &mine;
    conn_set_deadline(fast.conn, NET_BODY);
    while (!is_closed(&fast)) { /* fast enough, but it takes too long */
        if (write(fast.peer_fd, "xxxxxxxxxxxxxxxxxxxx", 20) < 0)
            assert_true(errno == EAGAIN || errno == EPIPE);
        fast.n_got = 0;
        run(&fast);
    }
    assert_int_equal(fast.why, CONN_TIMED_OUT);
    close(fast.peer_fd);
    mine.body_timeout_ms = 30; /* no longer than a window: no look at all */
    open_end(bench, &late);
    conn_set_deadline(late.conn, NET_BODY);
    assert_ptr_equal(late.conn->deadline->node.list, &bench->net->deadline[NET_BODY]);
    until_closed(&late);
    close(late.peer_fd);
    mine.min_body_rate = 0; /* off */
    mine.body_timeout_ms = 60000;
    open_end(bench, &late);
    conn_set_deadline(late.conn, NET_BODY);
    assert_ptr_equal(late.conn->deadline->node.list, &bench->net->deadline[NET_BODY]);
    leave(&late);
    bench->net->settings = &settings;
}

/* ---- the end ---- */

static void closing_tells_its_user_once_and_drops_the_queue(void **state)
{
    struct bytes *bytes = bytes_copy("never sent", 10);
    struct end end;

    open_end(*state, &end);
    send_bytes(&end, bytes);
    close_it(&end);
    assert_int_equal(end.why, CONN_BY_US);
    assert_int_equal(atomic_load(&bytes->refs), 1);
    assert_false(conn_send(end.conn, bytes, 0, 1));
    assert_true(peer_sees_end(&end));
    run(&end);
    bytes_unref(bytes);
    close(end.peer_fd);
}

static void it_may_be_closed_in_any_callback(void **state)
{
    struct end end;

    open_end(*state, &end);
    end.act = close_it;
    assert_int_equal(write(end.peer_fd, "x", 1), 1);
    until_closed(&end);
    close(end.peer_fd);

    open_end(*state, &end);
    end.act = close_it;
    send_text(&end, "drained, then closed");
    until_closed(&end);
    close(end.peer_fd);

    open_with(*state, &end, &patient_ops);
    end.act = close_it;
    end.bench->net->deadline[NET_HEAD].interval_ms = 10;
    conn_set_deadline(end.conn, NET_HEAD);
    until_closed(&end);
    close(end.peer_fd);
}

static struct end *others;

static void close_all(struct end *end)
{
    (void)end;
    for (int i = 0; i < 4; i++)
        conn_close(others[i].conn, CONN_BY_US);
}

static void one_may_close_the_others_while_the_turn_flushes(void **state)
{
    struct end end[4];

    others = end;
    for (int i = 0; i < 4; i++)
        open_end(*state, &end[i]);
    for (int i = 0; i < 4; i++)
        send_text(&end[i], "to be flushed");
    end[2].act = close_all;
    run(&end[0]);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(end[i].n_closed, 1);
        close(end[i].peer_fd);
    }
}

static void a_peer_that_is_gone_fails_the_flush_and_not_the_send(void **state)
{
    struct end end;

    open_end(*state, &end);
    conn_read(end.conn, false); /* so that only the send finds out */
    close(end.peer_fd);
    assert_true(send_text(&end, "to nobody"));
    assert_int_equal(end.n_closed, 0);
    until_closed(&end);
    assert_int_equal(end.why, CONN_FAILED);
    assert_int_equal(end.n_closed, 1);
}

static void closing_after_the_flush_delivers_everything_then_the_end(void **state)
{
    char *got = malloc(STREAM_MAX);
    size_t n_got = 0, n_sent = 0;
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;
    struct bytes *bytes = bytes_new(300000);
    struct end end;

    for (size_t i = 0; i < bytes->len; i++)
        bytes->data[i] = (char)(i * 7 + i / 256);
    open_end(*state, &end);
    send_bytes(&end, bytes);
    n_sent = bytes->len;
    conn_close_after_flush(end.conn);
    conn_close_after_flush(end.conn);
    assert_false(send_text(&end, "too late"));
    assert_int_equal(write(end.peer_fd, "ignored", 7), 7);
    while (n_got < n_sent) {
        run(&end);
        n_got += peer_reads(&end, got + n_got, STREAM_MAX - n_got);
        assert_true(clock_ms() < deadline_ms);
    }
    assert_int_equal(n_got, n_sent);
    assert_memory_equal(got, bytes->data, n_sent);
    run(&end);
    assert_true(peer_sees_end(&end));
    assert_int_equal(end.n_closed, 0); /* the peer's turn */
    leave(&end);
    assert_int_equal(end.why, CONN_BY_US);
    assert_int_equal(end.n_got, 0);
    bytes_unref(bytes);
    free(got);
}

static void a_peer_that_half_closes_still_gets_what_is_left(void **state)
{
    static char got[400000];
    struct bytes *bytes = bytes_new(300000);
    size_t n_got = 0;
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;
    struct end end;

    memset(bytes->data, 'h', bytes->len);
    open_end(*state, &end);
    send_bytes(&end, bytes);
    conn_close_after_flush(end.conn);
    shutdown(end.peer_fd, SHUT_WR);
    while (end.n_closed == 0) {
        run(&end);
        n_got += peer_reads(&end, got + n_got, sizeof got - n_got);
        assert_true(clock_ms() < deadline_ms);
    }
    n_got += peer_reads(&end, got + n_got, sizeof got - n_got);
    assert_int_equal(n_got, 300000);
    assert_int_equal(end.why, CONN_BY_US);
    bytes_unref(bytes);
    close(end.peer_fd);
}

static void
a_peer_that_neither_reads_nor_closes_is_left_after_the_linger_time(void **state)
{
    struct end blocked, quiet;

    open_end(*state, &blocked);
    open_end(*state, &quiet);
    blocked.bench->net->deadline[NET_LINGER].interval_ms = 30;
    block(&blocked);
    conn_close_after_flush(blocked.conn);
    conn_close_after_flush(quiet.conn);
    run(&blocked);
    assert_int_equal(blocked.n_closed + quiet.n_closed, 0);
    until_closed(&blocked);
    until_closed(&quiet);
    assert_int_equal(blocked.why, CONN_TIMED_OUT);
    assert_int_equal(quiet.why, CONN_TIMED_OUT);
    close(blocked.peer_fd);
    close(quiet.peer_fd);
}

static void
a_server_that_stops_ends_each_connection_when_its_queue_is_written(void **state)
{
    static char text[1 << 20];
    struct end idle, busy;
    size_t n_queued;

    open_end(*state, &idle);
    open_end(*state, &busy);
    block(&busy);
    n_queued = busy.conn->queued_bytes;
    assert_true(n_queued > 0);
    net_shutdown(busy.bench->net);
    run(&idle);
    assert_int_equal(idle.n_closed, 1);
    assert_int_equal(busy.n_closed, 0);
    assert_false(net_is_empty(busy.bench->net));
    while (busy.conn->n_slices) {
        peer_reads(&busy, text, sizeof text);
        run(&busy);
    }
    /* T51: what it still says must not turn our FIN into a RST, which would take away what
     * it has not yet read */
    assert_int_equal(write(busy.peer_fd, "x", 1), 1);
    run(&busy);
    assert_int_equal(write(busy.peer_fd, "y", 1), 1);
    run(&busy);
    assert_int_equal(busy.n_closed, 0);
    while (peer_reads(&busy, text, sizeof text) > 0)
        run(&busy);
    assert_int_equal(recv(busy.peer_fd, text, 1, MSG_DONTWAIT), 0); /* our FIN */
    close(busy.peer_fd);
    run(&busy);
    assert_int_equal(busy.n_closed, 1);
    assert_true(net_is_empty(busy.bench->net));
    close(idle.peer_fd);
}

/* Its last words are written: nobody waits for the peer's any more. */
static void a_server_that_stops_does_not_wait_for_those_that_linger(void **state)
{
    struct end end;

    open_end(*state, &end);
    send_text(&end, "bye");
    conn_close_after_flush(end.conn);
    run(&end);
    assert_int_equal(end.n_closed, 0); /* its peer has not closed yet */
    net_shutdown(end.bench->net);
    run(&end);
    assert_int_equal(end.n_closed, 1);
    close(end.peer_fd);
}

static void one_that_is_ending_keeps_its_linger_time(void **state)
{
    struct end end;

    open_end(*state, &end);
    block(&end); /* its peer does not read */
    conn_close_after_flush(end.conn);
    conn_set_deadline(end.conn, NET_KEEP_ALIVE);
    assert_int_equal(end.conn->deadline_kind, NET_LINGER);
    conn_clear_deadline(end.conn);
    assert_true(conn_has_deadline(end.conn));
    conn_close(end.conn, CONN_BY_US);
    run(&end);
    close(end.peer_fd);
}

static void releasing_the_net_ends_what_is_open(void **state)
{
    struct bench *bench = *state;
    struct end end[3];

    for (int i = 0; i < 3; i++)
        open_end(bench, &end[i]);
    block(&end[0]);
    send_text(&end[1], "dirty");
    conn_set_deadline(end[2].conn, NET_KEEP_ALIVE);
    net_close_all(bench->net);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(end[i].n_closed, 1);
        close(end[i].peer_fd);
    }
}

static void the_handle_of_a_connection_is_stale_once_it_has_ended(void **state)
{
    struct end end;
    handle h;

    open_end(*state, &end);
    h = end.conn->self;
    assert_ptr_equal(slots_get(&end.bench->net->conns, h), end.conn);
    close_it(&end);
    assert_null(slots_get(&end.bench->net->conns, h));
    close(end.peer_fd);
}

static void addresses_are_told_as_text(void **state)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)(void *)&peer;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&peer;
    struct conn conn = {0};
    char text[64], tiny[4];

    (void)state;
    conn_address(&conn, text, sizeof text);
    assert_string_equal(text, "unknown");
    in4->sin_family = AF_INET;
    inet_pton(AF_INET, "203.0.113.7", &in4->sin_addr);
    memcpy(&conn.peer, &peer, sizeof conn.peer);
    conn_address(&conn, text, sizeof text);
    assert_string_equal(text, "203.0.113.7");
    conn_address(&conn, tiny, sizeof tiny);
    assert_string_equal(tiny, "unk");
    memset(&peer, 0, sizeof peer);
    in6->sin6_family = AF_INET6;
    inet_pton(AF_INET6, "2001:db8::7", &in6->sin6_addr);
    memcpy(&conn.peer, &peer, sizeof conn.peer);
    conn_address(&conn, text, sizeof text);
    assert_string_equal(text, "2001:db8::7");
}

/* ---- moving between shards ---- */

enum { SHARDS = 2, CLIENTS = 40 };

struct group {
    struct loops *loops;
    struct net *net[SHARDS];
    atomic_int n_opened, n_closed, n_moved, n_timed_out;
};

/* An echo that leaves for the other shard at each 'M'. */
struct mover {
    struct group *group;
    char rest[2 * NET_READ_BYTES]; /* what came with an 'M' before it */
    size_t n_rest;
    bool wants_move;
};

static void leave_shard(struct conn *conn)
{
    struct mover *mover = conn->user;
    unsigned here = conn->net->loop->index;

    assert_true(loop_is_mine(conn->net->loop));
    mover->wants_move = false;
    conn_move(conn, mover->group->net[(here + 1) % SHARDS]);
}

/* Echo up to the next 'M'; keep the rest for the other shard. */
static void mover_takes(struct conn *conn, const char *data, size_t len)
{
    struct mover *mover = conn->user;
    const char *stop = mover->wants_move ? data : memchr(data, 'M', len);
    size_t n = stop ? (size_t)(stop - data) : len;

    assert_true(loop_is_mine(conn->net->loop));
    if (n > 0)
        conn_send_copy(conn, data, n);
    if (!stop)
        return;
    if (!mover->wants_move)
        n++;
    mover->wants_move = true;
    assert_true(mover->n_rest + len - n <= sizeof mover->rest);
    memmove(mover->rest + mover->n_rest, data + n, len - n);
    mover->n_rest += len - n;
    conn_read(conn, mover->n_rest < NET_READ_BYTES); /* the rest waits in the kernel */
    if (conn->n_slices == 0)
        leave_shard(conn);
}

static void mover_drained(struct conn *conn)
{
    struct mover *mover = conn->user;

    if (mover->wants_move)
        leave_shard(conn);
}

static void mover_arrived(struct conn *conn)
{
    struct mover *mover = conn->user;
    char rest[sizeof mover->rest];
    size_t n = mover->n_rest;

    atomic_fetch_add(&mover->group->n_moved, 1);
    memcpy(rest, mover->rest, n);
    mover->n_rest = 0;
    conn_read(conn, true);
    if (n > 0)
        mover_takes(conn, rest, n);
}

static void mover_closed(struct conn *conn, enum conn_end why)
{
    struct mover *mover = conn->user;

    atomic_fetch_add(&mover->group->n_closed, 1);
    if (why == CONN_TIMED_OUT)
        atomic_fetch_add(&mover->group->n_timed_out, 1);
    free(mover);
}

static const struct conn_ops mover_ops = {
    .on_data = mover_takes,
    .on_drained = mover_drained,
    .on_closed = mover_closed,
    .on_moved = mover_arrived,
};

struct opening {
    struct group *group;
    int fd;
    bool has_deadline;
};

static void open_in_shard(void *arg)
{
    struct opening *opening = arg;
    struct group *group = opening->group;
    struct sockaddr_storage peer = {0};
    struct mover *mover = calloc(1, sizeof *mover);
    struct conn *conn;

    mover->group = group;
    conn = conn_new(group->net[0], opening->fd, &peer, &mover_ops, mover);
    assert_non_null(conn);
    if (opening->has_deadline)
        conn_set_deadline(conn, NET_HEAD);
    atomic_fetch_add(&group->n_opened, 1);
    free(opening);
}

/* Returns the client's end, which blocks with a deadline. */
static int open_mover(struct group *group, bool has_deadline)
{
    const struct timeval deadline = {DEADLINE_MS / 1000, 0};
    struct opening *opening = malloc(sizeof *opening);
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    shrink_buffers(fd[0]);
    setsockopt(fd[1], SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    *opening = (struct opening){group, fd[0], has_deadline};
    assert_int_equal(loop_post(group->loops->loop[0], open_in_shard, opening), 0);
    return fd[1];
}

static void await(atomic_int *value, int wanted)
{
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    while (atomic_load(value) != wanted) {
        assert_true(clock_ms() < deadline_ms);
        poll(NULL, 0, 1);
    }
}

static void start_group(struct group *group, const struct settings *with)
{
    *group = (struct group){.loops = loops_new(SHARDS, 1 << 20)};
    for (unsigned i = 0; i < SHARDS; i++)
        group->net[i] = net_new(group->loops->loop[i], with, group->net);
    loops_start(group->loops);
}

static void stop_shard(void *arg)
{
    loop_stop(arg);
}

static void end_group(struct group *group)
{
    static const enum metric gauges[] = {METRIC_CONNECTIONS, METRIC_TIMERS,
                                         METRIC_QUEUED_BYTES};

    await(&group->n_closed, atomic_load(&group->n_opened));
    for (unsigned i = 0; i < SHARDS; i++)
        loop_post(group->loops->loop[i], stop_shard, group->loops->loop[i]);
    loops_join(group->loops);
    loops_drain(group->loops);
    for (unsigned gauge = 0; gauge < 3; gauge++)
        assert_int_equal(metric_of(group->loops->loop[0], gauges[gauge]) +
                             metric_of(group->loops->loop[1], gauges[gauge]),
                         0);
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_true(net_is_empty(group->net[i]));
        assert_int_equal(group->net[i]->conns.n_used, 0);
        net_free(group->net[i]);
    }
    loops_free(group->loops);
}

struct talk {
    int fd;
    unsigned seed;
    size_t n_wanted; /* echo bytes */
    char wanted[40000];
    int n_moves;
};

/* Write text with an 'M' here and there, in pieces. */
static void *write_talk(void *arg)
{
    struct talk *talk = arg;
    unsigned seed = talk->seed;
    size_t n = 0;

    while (n < sizeof talk->wanted) {
        char piece[700];
        size_t len = 0;

        while (len < sizeof piece && n < sizeof talk->wanted) {
            if (rand_r(&seed) % 300 == 0) {
                piece[len++] = 'M';
                talk->n_moves++;
            } else {
                piece[len++] = talk->wanted[n++] = (char)('a' + rand_r(&seed) % 26);
            }
        }
        if (write(talk->fd, piece, len) != (ssize_t)len)
            return arg;
    }
    return NULL;
}

static void a_moved_connection_loses_nothing_in_either_direction(void **state)
{
    struct group group;
    static struct talk talk;
    static char got[sizeof talk.wanted];
    int n_moves = 0;

    (void)state;
    start_group(&group, &settings);
    for (unsigned seed = 1; seed <= 5; seed++) {
        pthread_t writer;
        void *failed;
        size_t n_got = 0;

        talk = (struct talk){.fd = open_mover(&group, false), .seed = seed};
        pthread_create(&writer, NULL, write_talk, &talk);
        while (n_got < sizeof got) {
            ssize_t n = read(talk.fd, got + n_got, sizeof got - n_got);

            assert_true(n > 0);
            n_got += (size_t)n;
        }
        pthread_join(writer, &failed);
        assert_null(failed);
        assert_memory_equal(got, talk.wanted, sizeof got);
        n_moves += talk.n_moves;
        close(talk.fd);
    }
    end_group(&group);
    assert_int_equal(atomic_load(&group.n_moved), n_moves);
    assert_true(n_moves > 100);
}

static void a_peer_that_leaves_during_the_move_ends_it_once(void **state)
{
    struct group group;
    int fd[CLIENTS];

    (void)state;
    start_group(&group, &settings);
    for (int i = 0; i < CLIENTS; i++) {
        fd[i] = open_mover(&group, false);
        assert_int_equal(write(fd[i], "MxMyM", 5), 5);
        if (i % 2)
            close(fd[i]);
    }
    for (int i = 0; i < CLIENTS; i += 2)
        close(fd[i]);
    await(&group.n_opened, CLIENTS);
    end_group(&group);
    assert_int_equal(atomic_load(&group.n_closed), CLIENTS);
}

static void the_deadline_moves_along(void **state)
{
    struct settings short_times = settings;
    struct group group;
    int fd;

    (void)state;
    short_times.head_timeout_ms = 60;
    start_group(&group, &short_times);
    fd = open_mover(&group, true);
    assert_int_equal(write(fd, "M", 1), 1);
    await(&group.n_closed, 1);
    end_group(&group);
    assert_int_equal(atomic_load(&group.n_moved), 1);
    assert_int_equal(atomic_load(&group.n_timed_out), 1);
    close(fd);
}

static void shut_net_down(void *arg)
{
    net_shutdown(arg);
}

static void one_that_arrives_where_the_server_stops_ends_there(void **state)
{
    struct group group;
    int fd;

    (void)state;
    start_group(&group, &settings);
    loop_post(group.loops->loop[1], shut_net_down, group.net[1]);
    fd = open_mover(&group, false);
    assert_int_equal(write(fd, "M", 1), 1);
    await(&group.n_closed, 1);
    end_group(&group);
    assert_int_equal(atomic_load(&group.n_moved), 0);
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(many_frames_of_a_turn_leave_in_one_send),
        TEST(what_follows_the_last_slice_extends_it),
        TEST(an_idle_connection_holds_nothing_for_sending),
        TEST(space_is_filled_by_its_user_before_the_turn_ends),
        TEST(order_and_bytes_survive_a_full_kernel_buffer),
        TEST(order_and_bytes_survive_over_tcp),
        TEST(a_blocked_connection_collects_in_a_buffer_of_its_own),
        TEST(only_a_connection_with_nothing_left_over_is_writable),
        TEST(what_is_sent_while_the_turn_flushes_leaves_later_and_is_not_lost),
        TEST(over_the_hard_limit_it_ends_with_the_turn_and_not_in_the_send),
        TEST(copies_over_the_hard_limit_end_it_with_the_turn_too),
        TEST(too_many_frames_are_over_the_hard_limit_as_well),
        TEST(more_than_the_limit_in_a_turn_is_fine_when_the_kernel_takes_it),
        TEST(a_connection_that_is_not_capped_has_no_limit),
        TEST(above_the_soft_limit_it_ends_after_a_time),
        TEST(a_receiver_that_catches_up_in_time_stays),
        TEST(what_the_peer_sends_is_given_on),
        TEST(reading_can_be_switched_off_and_on),
        TEST(a_full_lane_stops_reading_until_it_has_drained),
        TEST(what_its_user_switched_off_stays_off_after_a_pause),
        TEST(a_paused_connection_may_end),
        TEST(one_that_a_child_still_has_is_heard_of_no_more),
        TEST(newcomers_have_a_share_of_each_turn),
        TEST(those_who_are_known_wait_for_no_newcomer),
        TEST(ends_have_a_share_of_each_turn_too),
        TEST(one_that_waits_may_be_closed_or_not_be_read),
        TEST(a_server_that_stops_waits_for_no_turn),
        TEST(a_deadline_closes_a_connection_that_has_no_other_plan),
        TEST(a_deadline_is_told_once_and_can_be_cleared),
        TEST(a_body_must_keep_its_rate_in_each_window),
        TEST(a_look_blames_nobody_for_what_we_have_not_read),
        TEST(looks_come_by_themselves_and_end_with_the_total_deadline),
        TEST(closing_tells_its_user_once_and_drops_the_queue),
        TEST(it_may_be_closed_in_any_callback),
        TEST(one_may_close_the_others_while_the_turn_flushes),
        TEST(a_peer_that_is_gone_fails_the_flush_and_not_the_send),
        TEST(closing_after_the_flush_delivers_everything_then_the_end),
        TEST(a_peer_that_half_closes_still_gets_what_is_left),
        TEST(a_peer_that_neither_reads_nor_closes_is_left_after_the_linger_time),
        TEST(a_server_that_stops_ends_each_connection_when_its_queue_is_written),
        TEST(a_server_that_stops_does_not_wait_for_those_that_linger),
        TEST(one_that_is_ending_keeps_its_linger_time),
        TEST(releasing_the_net_ends_what_is_open),
        TEST(the_handle_of_a_connection_is_stale_once_it_has_ended),
        cmocka_unit_test(addresses_are_told_as_text),
        cmocka_unit_test(a_moved_connection_loses_nothing_in_either_direction),
        cmocka_unit_test(a_peer_that_leaves_during_the_move_ends_it_once),
        cmocka_unit_test(the_deadline_moves_along),
        cmocka_unit_test(one_that_arrives_where_the_server_stops_ends_there),
    };
#undef TEST

    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
