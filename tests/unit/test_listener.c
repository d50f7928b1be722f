/*
 * test_listener.c - core/net/listener.c: opening, dealing to the shards, the limits on
 * connections, and the pause when descriptors run out.
 *
 * The test is the client; the server's loops run in threads, or (where the limit of
 * descriptors is lowered) in a process of their own.
 */
#include "core/net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/net/conn.h"
#include "core/net/gate.h"
#include "tests/unit/turns.h"

enum { SHARDS = 2 };

static const struct settings settings = {.head_timeout_ms = 60000,
                                         .body_timeout_ms = 60000,
                                         .keep_alive_ms = 60000,
                                         .max_queue_bytes = 1 << 20,
                                         .soft_queue_bytes = 1 << 18,
                                         .soft_queue_ms = 60000,
                                         .max_queue_frames = 1000};

/* ---- a server that echoes ---- */

static atomic_int n_dealt[SHARDS], n_open;
static const char router_mark[] = "stands for a router: only passed on";

static void echo(struct conn *conn, const char *data, size_t len)
{
    conn_send_copy(conn, data, len);
}

static void on_closed(struct conn *conn, enum conn_end end)
{
    (void)conn;
    (void)end;
    atomic_fetch_sub(&n_open, 1);
}

static const struct conn_ops echo_ops = {.on_data = echo, .on_closed = on_closed};

/* What is small must not wait for the peer's ACK of what was before. */
static bool sends_at_once(int fd)
{
    int is_on = 0;
    socklen_t len = sizeof is_on;

    return getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &is_on, &len) == 0 && is_on;
}

static struct conn *latest;

static struct conn *deal(struct net *net, int fd, const struct sockaddr_storage *peer,
                         const struct router *router)
{
    struct conn *conn;

    assert_true(loop_is_mine(net->loop));
    assert_ptr_equal(router, router_mark);
    assert_int_equal(peer->ss_family, AF_INET);
    assert_true(sends_at_once(fd));
    conn = conn_new(net, fd, peer, &echo_ops, NULL);
    if (!conn)
        return NULL;
    latest = conn;
    atomic_fetch_add(&n_open, 1);
    atomic_fetch_add(&n_dealt[net->loop->index], 1);
    return conn;
}

struct server {
    struct settings settings;
    struct loops *loops;
    struct gate *gate;
    struct net *net[SHARDS];
    struct listener *listener;
    int port;
};

static void open_server_with(struct server *server, int n_threads, const char *address)
{
    hop_error error;

    server->loops = loops_new(n_threads, 1 << 20);
    server->gate = gate_new(&server->settings);
    server->port = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        atomic_store(&n_dealt[i], 0);
    for (unsigned i = 0; i < server->loops->n_shards; i++) {
        server->net[i] = net_new(server->loops->loop[i], &server->settings, server->net);
        server->net[i]->gate = server->gate;
    }
    server->listener =
        listener_open(server->net[0], address, &server->port, "listener",
                      (const struct router *)(const void *)router_mark, deal, &error);
    assert_non_null(server->listener);
    listener_set_gate(server->listener, server->gate);
}

static void open_server(struct server *server, int n_threads)
{
    *server = (struct server){.settings = settings};
    open_server_with(server, n_threads, "127.0.0.1");
}

static void stop_loop(void *loop)
{
    loop_stop(loop);
}

static void end_server(struct server *server)
{
    struct loops *loops = server->loops;

    if (loops->n_loops > 1)
        for (unsigned i = 0; i < loops->n_shards; i++)
            loop_post(loops->loop[i], stop_loop, loops->loop[i]);
    loops_join(loops);
    for (unsigned i = 0; i < loops->n_shards; i++)
        server->net[i]->is_closing = true;
    listener_close(server->listener);
    loops_drain(loops);
    for (unsigned i = 0; i < loops->n_shards; i++)
        net_free(server->net[i]);
    for (unsigned i = 0; i < loops->n_loops; i++)
        assert_int_equal(metric_of(loops->loop[i], METRIC_CONNECTIONS), 0);
    assert_int_equal(gate_connections(server->gate), 0);
    gate_free(server->gate);
    loops_free(loops);
}

/* ---- a client ---- */

static int dial_address(const char *address, int port)
{
    const struct timeval deadline = {DEADLINE_MS / 1000, 0};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(inet_pton(AF_INET, address, &name.sin_addr), 1);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    close(fd);
    return -1;
}

static int dial(int port)
{
    return dial_address("127.0.0.1", port);
}

static bool is_served(int fd)
{
    char byte = 0;

    return send(fd, "e", 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1 &&
           byte == 'e';
}

/* ---- opening ---- */

static struct listener *try_open(struct net *net, const char *address, int port,
                                 hop_error *error)
{
    return listener_open(net, address, &port, "listener", NULL, deal, error);
}

static void what_cannot_be_opened_is_told_with_the_way_out(void **state)
{
    struct server server;
    hop_error error;

    (void)state;
    open_server(&server, 0);
    assert_true(server.port > 0); /* a free one, stored back */
    assert_null(try_open(server.net[0], "127.0.0.1", server.port, &error));
    assert_non_null(strstr(error.text, "another program listens there"));
    assert_null(try_open(server.net[0], "localhost", 0, &error));
    assert_string_equal(error.text, "localhost is no numeric address");
    assert_null(try_open(server.net[0], "192.0.2.1", 0, &error));
    assert_non_null(strstr(error.text, "this machine has no such address"));
    listener_close(NULL);
    end_server(&server);
}

/* ---- dealing ---- */

static void connections_are_dealt_to_the_shards_in_turn(void **state)
{
    struct server server;
    int fd[20];

    (void)state;
    open_server(&server, SHARDS);
    loops_start(server.loops);
    for (int i = 0; i < 20; i++) {
        fd[i] = dial(server.port);
        assert_true(is_served(fd[i]));
    }
    assert_int_equal(atomic_load(&n_dealt[0]), 10);
    assert_int_equal(atomic_load(&n_dealt[1]), 10);
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    end_server(&server);
    assert_int_equal(atomic_load(&n_open), 0);
}

static bool all_are_open(void *arg)
{
    return atomic_load(&n_open) == *(int *)arg;
}

/* The port of /metrics and /readyz: a probe must be answered while all come back at once. */
static void only_who_passes_the_gate_is_a_newcomer(void **state)
{
    struct server server;
    struct listener *status;
    int fd[2], port = 0, n_expected = 1, none = 0;
    hop_error error;

    (void)state;
    open_server(&server, 0);
    loop_on_stage(server.loops->logic, LOOP_FREE, stop_after_turn, server.loops->logic);
    status =
        listener_open(server.net[0], "127.0.0.1", &port, "status",
                      (const struct router *)(const void *)router_mark, deal, &error);
    assert_non_null(status);
    fd[0] = dial(server.port);
    turns_until(server.loops->logic, all_are_open, &n_expected);
    assert_int_equal(latest->n_reads, 0);
    fd[1] = dial(port);
    n_expected = 2;
    turns_until(server.loops->logic, all_are_open, &n_expected);
    assert_int_equal(latest->n_reads, NEWCOMER_READS);
    close(fd[0]);
    close(fd[1]);
    turns_until(server.loops->logic, all_are_open, &none);
    listener_close(status);
    end_server(&server);
}

/* T48 */
static void more_than_a_batch_is_accepted_over_some_turns(void **state)
{
    struct server server;
    int fd[150], n = 150, none = 0;

    (void)state;
    open_server(&server, 0);
    loop_on_stage(server.loops->logic, LOOP_FREE, stop_after_turn, server.loops->logic);
    for (int i = 0; i < n; i++)
        fd[i] = dial(server.port);
    turn(server.loops->logic);
    assert_int_equal(atomic_load(&n_open), 32);
    turns_until(server.loops->logic, all_are_open, &n);
    for (int i = 0; i < n; i++)
        close(fd[i]);
    turns_until(server.loops->logic, all_are_open, &none);
    assert_int_equal(metric_of(server.loops->logic, METRIC_CONNECTIONS_ACCEPTED), n);
    end_server(&server);
}

static void a_client_that_has_gone_before_it_was_accepted_harms_nothing(void **state)
{
    const struct linger at_once = {1, 0}; /* RST */
    struct server server;
    int fd, none = 0, one = 1;

    (void)state;
    open_server(&server, 0);
    loop_on_stage(server.loops->logic, LOOP_FREE, stop_after_turn, server.loops->logic);
    for (int i = 0; i < 10; i++) {
        fd = dial(server.port);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
    }
    fd = dial(server.port);
    turns_until(server.loops->logic, all_are_open, &one);
    close(fd);
    turns_until(server.loops->logic, all_are_open, &none);
    end_server(&server);
}

static void one_that_is_dealt_while_the_server_stops_is_closed(void **state)
{
    struct server server;
    char byte;
    int fd[4];

    (void)state;
    open_server(&server, SHARDS);
    for (int i = 0; i < 4; i++)
        fd[i] = dial(server.port);
    /* Only shard 0 has a turn: the connections of shard 1 lie in its lane. */
    loop_on_stage(server.loops->loop[0], LOOP_FREE, stop_after_turn,
                  server.loops->loop[0]);
    turn(server.loops->loop[0]);
    assert_int_equal(atomic_load(&n_open), 2);
    server.net[1]->is_closing = true;
    loops_drain(server.loops);
    assert_int_equal(atomic_load(&n_dealt[1]), 0);
    for (int i = 1; i < 4; i += 2) {
        assert_int_equal(recv(fd[i], &byte, 1, 0), 0);
        close(fd[i]);
    }
    listener_close(server.listener);
    for (unsigned i = 0; i < SHARDS; i++)
        net_free(server.net[i]);
    for (int i = 0; i < 4; i += 2)
        close(fd[i]);
    assert_int_equal(atomic_load(&n_open), 0);
    assert_int_equal(gate_connections(server.gate), 0);
    gate_free(server.gate);
    loops_free(server.loops);
}

/* ---- limits on connections (T47) ---- */

static int64_t refused(struct server *server, enum metric id)
{
    return metric_of(server->loops->loop[0], id);
}

/* All that comes, to the end. */
static void assert_refused(int fd)
{
    static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\n"
                                 "Content-Length: 0\r\nConnection: close\r\n\r\n";
    char text[512];
    ssize_t n;

    n = recv(fd, text, sizeof text, MSG_WAITALL);
    assert_int_equal(n, sizeof answer - 1);
    assert_memory_equal(text, answer, sizeof answer - 1);
    close(fd);
}

static bool all_have_left(void *arg)
{
    const struct server *server = arg;

    return gate_connections(server->gate) == 0;
}

static void wait_all_have_left(struct server *server)
{
    uint64_t deadline_ms = clock_ms() + DEADLINE_MS;

    while (!all_have_left(server)) {
        assert_true(clock_ms() < deadline_ms);
        poll(NULL, 0, 1);
    }
}

/* In shards of their own: one counts in, the others count out. */
static void one_connection_above_the_limit_is_answered_503(void **state)
{
    struct server server = {.settings = settings};
    int fd[6];

    (void)state;
    server.settings.max_connections = 6;
    open_server_with(&server, SHARDS, "127.0.0.1");
    loops_start(server.loops);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i++) {
            fd[i] = dial(server.port);
            assert_true(is_served(fd[i]));
        }
        for (int i = 0; i < 5; i++) {
            assert_refused(dial(server.port));
            assert_true(is_served(fd[i])); /* the others notice nothing */
        }
        assert_int_equal(refused(&server, METRIC_REFUSED_FULL), 5 * (round + 1));
        for (int i = 0; i < 6; i++)
            close(fd[i]);
        wait_all_have_left(&server);
    }
    assert_int_equal(metric_of(server.loops->loop[0], METRIC_CONNECTIONS_ACCEPTED), 18);
    end_server(&server);
    assert_int_equal(atomic_load(&n_open), 0);
}

/* The answer arrives although the client has sent its request already. */
static void a_refused_client_that_has_spoken_first_gets_its_answer(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct server server = {.settings = settings};
    int fd[20], inside, none = 0, one = 1;

    (void)state;
    server.settings.max_connections = 1;
    open_server_with(&server, 0, "127.0.0.1");
    loop_on_stage(server.loops->logic, LOOP_FREE, stop_after_turn, server.loops->logic);
    inside = dial(server.port);
    turns_until(server.loops->logic, all_are_open, &one);
    for (int i = 0; i < 20; i++) {
        fd[i] = dial(server.port);
        assert_int_equal(send(fd[i], request, sizeof request - 1, 0), sizeof request - 1);
    }
    while (refused(&server, METRIC_REFUSED_FULL) < 20)
        turn(server.loops->logic);
    for (int i = 0; i < 20; i++)
        assert_refused(fd[i]);
    close(inside);
    turns_until(server.loops->logic, all_are_open, &none);
    end_server(&server);
}

/*
 * Loopback has no limit by address; so this one lives in a network of its own, where a
 * loopback device has a further address. The child: returns a step that failed, or 0.
 */
enum { NO_NETWORK = 99, PER_ADDRESS = 3 };

static bool make_network(void)
{
    struct ifreq request = {.ifr_name = "lo:1"};
    struct sockaddr_in *name = (struct sockaddr_in *)(void *)&request.ifr_addr;
    int fd;
    bool is_made;

    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return false;
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    name->sin_family = AF_INET;
    inet_pton(AF_INET, "192.0.2.1", &name->sin_addr);
    is_made = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    is_made = is_made && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return is_made;
}

static int crowd_one_address(void)
{
    struct server server = {.settings = settings};
    struct loop *loop;
    int fd[PER_ADDRESS], late;
    char text[128];

    if (!make_network())
        return NO_NETWORK;
    server.settings.max_connections_per_address = PER_ADDRESS;
    open_server_with(&server, SHARDS, "192.0.2.1");
    loop = server.loops->loop[0];
    loops_start(server.loops);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < PER_ADDRESS; i++) {
            fd[i] = dial_address("192.0.2.1", server.port);
            if (!is_served(fd[i]))
                return 1;
        }
        for (int i = 0; i < 10; i++) {
            late = dial_address("192.0.2.1", server.port);
            if (recv(late, text, 12, MSG_WAITALL) != 12 ||
                memcmp(text, "HTTP/1.1 503", 12) != 0)
                return 2;
            close(late);
        }
        if (metric_of(loop, METRIC_REFUSED_ADDRESS) != 10 * (round + 1) ||
            !is_served(fd[0]))
            return 3;
        for (int i = 0; i < PER_ADDRESS; i++)
            close(fd[i]);
        wait_all_have_left(&server);
        if (metric_of(loop, METRIC_ADDRESSES) +
                metric_of(server.loops->loop[1], METRIC_ADDRESSES) !=
            0)
            return 4;
    }
    end_server(&server);
    return 0;
}

static int count_lines(FILE *log, const char *word);

static void an_address_above_its_limit_gets_503_and_one_line_a_second(void **state)
{
    uint64_t started_ms = clock_ms();
    FILE *log = tmpfile();
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        dup2(fileno(log), STDERR_FILENO);
        _exit(crowd_one_address());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_NETWORK) {
        fclose(log);
        skip(); /* this system gives no network of one's own */
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_in_range(count_lines(log, "listener.refused "
                                     "reason=max_connections_per_address "
                                     "address=192.0.2.1 clients="),
                    1, (clock_ms() - started_ms) / 1000 + 1);
    fclose(log);
}

/* ---- no descriptors left (T46) ---- */

enum { MAX_FILES = 64, TOO_MANY = 100, ENOUGH_PAUSES = 8 };

struct report {
    int64_t n_pauses;
    uint64_t cpu_ms, wall_ms;
};

static uint64_t cpu_ms(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* The parent speaks through a pipe: 'r' asks for a report, its end stops the server. */
struct control {
    struct loop *loop;
    int from_parent, to_parent;
    uint64_t cpu_ms, wall_ms; /* when the last report was sent */
};

static void on_control(evutil_socket_t fd, short what, void *arg)
{
    struct control *control = arg;
    char byte;

    (void)what;
    if (read(fd, &byte, 1) != 1) {
        loop_stop(control->loop);
        return;
    }
    struct report report = {metric_of(control->loop, METRIC_ACCEPT_PAUSES),
                            cpu_ms() - control->cpu_ms, clock_ms() - control->wall_ms};
    if (write(control->to_parent, &report, sizeof report) != sizeof report)
        abort();
    control->cpu_ms = cpu_ms();
    control->wall_ms = clock_ms();
}

/* The child: a server that may have MAX_FILES descriptors. Does not return. */
static void serve_with_few_files(int from_parent, int to_parent)
{
    const struct rlimit limit = {MAX_FILES, MAX_FILES};
    struct control control = {.from_parent = from_parent, .to_parent = to_parent};
    struct server server;
    struct event *event;

    open_server(&server, 0);
    control.loop = server.loops->logic;
    event = event_new(control.loop->base, from_parent, EV_READ | EV_PERSIST, on_control,
                      &control);
    event_add(event, NULL);
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 ||
        write(to_parent, &server.port, sizeof server.port) != sizeof server.port)
        _exit(2);
    loop_run(control.loop);
    event_free(event);
    listener_close(server.listener);
    net_free(server.net[0]);
    gate_free(server.gate);
    loops_free(server.loops);
    _exit(atomic_load(&n_open) == 0 ? 0 : 1);
}

static struct report ask(int to_child, int from_child)
{
    struct report report;

    assert_int_equal(write(to_child, "r", 1), 1);
    assert_int_equal(read(from_child, &report, sizeof report), sizeof report);
    return report;
}

static int count_lines(FILE *log, const char *word)
{
    char line[2048];
    int n = 0;

    rewind(log);
    while (fgets(line, sizeof line, log))
        n += strstr(line, word) != NULL;
    return n;
}

static void
without_descriptors_it_pauses_quietly_serves_the_old_and_recovers(void **state)
{
    int to_child[2], from_child[2], old[5], fd[TOO_MANY], status;
    uint64_t deadline_ms = clock_ms() + 3 * DEADLINE_MS, started_ms;
    struct report report, total = {0};
    FILE *log = tmpfile();
    pid_t child;
    int port;

    (void)state;
    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(from_child), 0);
    child = fork();
    if (child == 0) {
        close(to_child[1]);
        close(from_child[0]);
        dup2(fileno(log), STDERR_FILENO);
        serve_with_few_files(to_child[0], from_child[1]);
    }
    close(to_child[0]);
    close(from_child[1]);
    assert_int_equal(read(from_child[0], &port, sizeof port), sizeof port);
    for (int i = 0; i < 5; i++) {
        old[i] = dial(port);
        assert_true(is_served(old[i]));
    }
    ask(to_child[1], from_child[0]);
    started_ms = clock_ms();
    for (int i = 0; i < TOO_MANY; i++)
        fd[i] = dial(port);
    while (total.n_pauses < ENOUGH_PAUSES) {
        report = ask(to_child[1], from_child[0]);
        total.n_pauses = report.n_pauses;
        total.cpu_ms += report.cpu_ms;
        total.wall_ms += report.wall_ms;
        for (int i = 0; i < 5; i++)
            assert_true(is_served(old[i]));
        poll(NULL, 0, 20);
        assert_true(clock_ms() < deadline_ms);
    }
    assert_true(total.cpu_ms * 5 < total.wall_ms); /* a busy loop would use it all */
    for (int i = 0; i < TOO_MANY; i++)
        close(fd[i]);
    /* Accepted again; one that comes before the old ones have been cleared away may be
     * refused, as any beyond the limit. */
    for (fd[0] = dial(port); !is_served(fd[0]); fd[0] = dial(port)) {
        assert_true(clock_ms() < deadline_ms);
        close(fd[0]);
    }
    for (int i = 0; i < 5; i++) {
        assert_true(is_served(old[i]));
        close(old[i]);
    }
    close(fd[0]);
    close(to_child[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_in_range(count_lines(log, "listener.paused"), 1,
                    (clock_ms() - started_ms) / 1000 + 1);
    fclose(log);
    close(from_child[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_opened_is_told_with_the_way_out),
        cmocka_unit_test(connections_are_dealt_to_the_shards_in_turn),
        cmocka_unit_test(only_who_passes_the_gate_is_a_newcomer),
        cmocka_unit_test(more_than_a_batch_is_accepted_over_some_turns),
        cmocka_unit_test(a_client_that_has_gone_before_it_was_accepted_harms_nothing),
        cmocka_unit_test(one_that_is_dealt_while_the_server_stops_is_closed),
        cmocka_unit_test(one_connection_above_the_limit_is_answered_503),
        cmocka_unit_test(a_refused_client_that_has_spoken_first_gets_its_answer),
        cmocka_unit_test(an_address_above_its_limit_gets_503_and_one_line_a_second),
        cmocka_unit_test(
            without_descriptors_it_pauses_quietly_serves_the_old_and_recovers),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
