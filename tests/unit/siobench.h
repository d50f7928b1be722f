/*
 * siobench.h - for the unit tests of core/socketio: both halves on real loops and lanes,
 * above a double of the engine that notes what each session was sent.
 *
 * Included by: test_hub.c, test_link.c. Thread: the test's, which drives all loops.
 */
#ifndef TESTS_UNIT_SIOBENCH_H
#define TESTS_UNIT_SIOBENCH_H

#include "tests/unit/turns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/engine/engine.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/loop/slots.h"
#include "core/socketio/hub.h"
#include "core/socketio/sio.h"
#include "core/socketio/socket.h"

enum {
    BENCH_SHARDS = 3,
    BENCH_ROOMS = 20,
    BENCH_ACKS = 21000,
    BENCH_ANSWER_BYTES = 1000,
    BENCH_QUEUE = 1 << 20, /* bytes of packets for one that connects */
    BENCH_NAMESPACES = 5,  /* that clients make */
    BENCH_OF_CLIENT = 4,
    GOT_MAX = 1 << 16,
    LOG_MAX = 1 << 16
};

struct engine {
    struct slots slots;
    struct engine_upper upper;
};

struct session {
    struct engine *engine;
    struct session *next; /* all of the bench */
    handle handle;
    void *upper;
    int protocol;
    bool is_open, ends_when_sent_to, has_input;
    enum session_end end;
    const char *detail; /* borrowed: a constant; of its end */
    unsigned n_got;
    struct turnbuf *buffer; /* of the last packet */
    bool was_volatile;      /* the last packet */
    bool may_compress;
    size_t got_len;
    char got[GOT_MAX]; /* packets without their '4', attachments as " <x>", each with a
                          newline */
};

static struct bench {
    struct loops *loops;
    struct hub *hub;
    struct sio *sio[BENCH_SHARDS];
    struct engine engine[BENCH_SHARDS];
    struct session *sessions;
    hop_socket socket[4096]; /* in the order of connecting, from 1 on */
    unsigned n_sockets;
    char log[LOG_MAX]; /* what the upper was told, a line each */
    size_t log_len;
    void (*on_connecting)(hop_socket socket); /* NULL: it is accepted */
    void (*on_connect)(hop_socket socket);
    void (*on_event)(const struct sio_event *event);
    void (*on_disconnect)(hop_socket socket);
    void (*on_join)(hop_socket socket, const char *room);
    void (*on_leave)(hop_socket socket, const char *room);
} bench;

/* ---- the double of the engine */

const char *session_end_word(enum session_end end)
{
    static const char *const words[] = {
#define SESSION_END_WORD(id, word, counter) [SESSION_##id] = word,
        SESSION_ENDS(SESSION_END_WORD)
#undef SESSION_END_WORD
    };

    return words[end];
}

void session_close(struct session *session, enum session_end end, const char *detail)
{
    if (!session->is_open)
        return;
    session->is_open = false;
    session->end = end;
    session->detail = detail;
    slots_remove(&session->engine->slots, session->handle);
    session->engine->upper.on_closed(session, end);
    session->upper = NULL;
}

static inline void note_packet(struct session *session, const struct bytes *packet)
{
    char *put = session->got + session->got_len;
    struct packet_parts parts;
    struct packet_part part;

    assert_true(session->got_len + packet->len + 4 * packet->n_parts + 2 < GOT_MAX);
    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        if (part.is_binary)
            put += sprintf(put, " <%.*s>", (int)part.len, part.data);
        else
            put += sprintf(put, "%.*s", (int)part.len - 1, part.data + 1);
    *put++ = '\n';
    *put = '\0';
    session->got_len = (size_t)(put - session->got);
}

void session_send(struct session *session, struct outgoing *out)
{
    struct bytes *packet = out->packet;

    assert_true(session->is_open);
    assert_int_equal(packet->data[0], '4');
    session->n_got++;
    session->buffer = out->buffer;
    session->was_volatile = out->is_volatile;
    session->may_compress = out->may_compress;
    note_packet(session, packet);
    if (session->ends_when_sent_to)
        session_close(session, SESSION_SLOW, NULL);
}

handle session_handle(const struct session *session)
{
    return session->handle;
}

bool session_is_open(const struct session *session)
{
    return session->is_open;
}

void *session_upper(const struct session *session)
{
    return session->upper;
}

int session_protocol(const struct session *session)
{
    return session->protocol;
}

void session_sid(const struct session *session, char sid[SESSION_SID_SIZE])
{
    (void)session;
    strcpy(sid, "the-sid");
}

struct log_id session_log_id(const struct session *session)
{
    (void)session;
    return (struct log_id){"double"};
}

bool session_has_input(const struct session *session)
{
    return session->has_input;
}

bool session_is_receiving(const struct session *session)
{
    (void)session;
    return false;
}

struct session *engine_find(struct engine *engine, handle session)
{
    return slots_get(&engine->slots, session);
}

/* ---- the double of the plugin layer */

static inline unsigned number_of(hop_socket socket)
{
    for (unsigned i = 1; i <= bench.n_sockets; i++)
        if (bench.socket[i] == socket)
            return i;
    return 0;
}

static void __attribute__((format(printf, 1, 2))) note(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    bench.log_len += (size_t)vsnprintf(bench.log + bench.log_len, LOG_MAX - bench.log_len,
                                       format, values);
    va_end(values);
    if (bench.log_len > LOG_MAX / 2)
        bench.log_len = 0; /* a test that makes so much does not read it */
}

static void bench_on_connecting(const struct hub_connect *connect, void *arg)
{
    (void)arg;
    if (bench.on_connecting)
        bench.on_connecting(connect->socket);
    else
        hub_accept(bench.hub, connect->socket);
}

static void bench_on_connect(hop_socket socket, void *arg)
{
    (void)arg;
    bench.socket[++bench.n_sockets % 4096] = socket;
    note("connect %u\n", number_of(socket));
    if (bench.on_connect)
        bench.on_connect(socket);
}

static void bench_on_event(const struct sio_event *event, void *arg)
{
    (void)arg;
    note("event %u %s %s", number_of(event->socket), event->name, event->text);
    for (size_t i = 0; i < event->n_attachments; i++)
        note(" <%.*s>", (int)event->attachments[i]->len, event->attachments[i]->data);
    if (event->has_ack)
        note(" %llu", (unsigned long long)event->ack_id);
    note("\n");
    if (bench.on_event)
        bench.on_event(event);
}

static void bench_on_disconnect(hop_socket socket, const char *reason, void *arg)
{
    (void)arg;
    note("disconnect %u %s\n", number_of(socket), reason);
    if (bench.on_disconnect)
        bench.on_disconnect(socket);
}

static void bench_on_join(hop_socket socket, const char *room, void *arg)
{
    (void)arg;
    note("join %u %s\n", number_of(socket), room);
    if (bench.on_join)
        bench.on_join(socket, room);
}

static void bench_on_leave(hop_socket socket, const char *room, void *arg)
{
    (void)arg;
    note("leave %u %s\n", number_of(socket), room);
    if (bench.on_leave)
        bench.on_leave(socket, room);
}

static void bench_free_slot(hop_slot slot, void *value, void *arg)
{
    (void)arg;
    note("free %d %s\n", slot, (const char *)value);
}

/* ---- the bench */

/* Twice: what logic sends while nothing else is under way is published by the first. */
static inline void pump(void)
{
    loops_drain(bench.loops);
    loops_drain(bench.loops);
}

static inline struct session *open_session_of(unsigned shard, int protocol)
{
    struct session *session = mem_calloc(1, sizeof *session);
    char address[] = "127.0.0.1";

    session->engine = &bench.engine[shard];
    session->is_open = true;
    session->protocol = protocol;
    session->handle = slots_add(&session->engine->slots, session);
    session->next = bench.sessions;
    bench.sessions = session;
    session->upper = session->engine->upper.on_open(session, NULL, address,
                                                    session->engine->upper.arg);
    memset(address, 'x', sizeof address - 1); /* it was borrowed */
    return session;
}

static inline struct session *open_session(unsigned shard)
{
    return open_session_of(shard, 4);
}

/* From a block of exactly that size, so that a read behind it is seen. */
static inline void say_bytes(struct session *session, const char *text, size_t len)
{
    char *copy = mem_alloc(len);

    memcpy(copy, text, len);
    if (session->is_open)
        session->engine->upper.on_text(session, copy, len);
    free(copy);
}

static inline void say(struct session *session, const char *text)
{
    say_bytes(session, text, strlen(text));
}

/* The same for bytes. */
static inline void attach(struct session *session, const char *text)
{
    char *copy = mem_alloc(strlen(text));

    memcpy(copy, text, strlen(text));
    if (session->is_open)
        session->engine->upper.on_binary(session, copy, strlen(text));
    free(copy);
}

static inline size_t text_len(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Arguments without attachments, as text; NULL: none. */
#define ARGS(args) (&(struct sio_args){.text = (args), .len = text_len(args)})

static inline void forget(struct session *session)
{
    session->got_len = 0;
    session->n_got = 0;
    session->got[0] = '\0';
}

/* A session that has joined the main namespace; its reply is forgotten. */
static inline struct session *open_joined(unsigned shard)
{
    struct session *session = open_session(shard);

    say(session, "0");
    pump();
    forget(session);
    return session;
}

static inline hop_socket last_socket(void)
{
    return bench.socket[bench.n_sockets];
}

/* What the upper was told since the last time. */
static inline void expect_log(const char *expected)
{
    bench.log[bench.log_len] = '\0';
    bench.log_len = 0;
    assert_string_equal(bench.log, expected);
}

static inline void expect_got(struct session *session, const char *expected)
{
    assert_string_equal(session->got, expected);
    forget(session);
}

static inline int64_t bench_metric(enum metric id)
{
    int64_t sum = 0;

    for (unsigned i = 0; i < bench.loops->n_loops; i++)
        sum += metric_of(bench.loops->loop[i], id);
    return sum;
}

static inline void bench_open(int n_threads)
{
    static const struct settings settings = {.connect_timeout_ms = 30,
                                             .max_json_depth = 64,
                                             .max_json_values = 10000,
                                             .max_attachments = 10,
                                             .max_attached_bytes = 1000,
                                             .attachment_timeout_ms = 30,
                                             .max_rooms = BENCH_ROOMS,
                                             .max_queue_bytes = BENCH_QUEUE,
                                             .max_acks = BENCH_ACKS,
                                             .max_answer_bytes = BENCH_ANSWER_BYTES,
                                             .namespaces = "/chat, /news",
                                             .max_namespaces = BENCH_NAMESPACES,
                                             .max_client_namespaces = BENCH_OF_CLIENT,
                                             .cleanup_empty_child_namespaces = true};
    const struct hub_upper upper = {
        .on_connecting = bench_on_connecting,
        .on_connect = bench_on_connect,
        .on_event = bench_on_event,
        .on_disconnect = bench_on_disconnect,
        .on_join = bench_on_join,
        .on_leave = bench_on_leave,
        .free_slot = bench_free_slot,
    };

    memset(&bench, 0, sizeof bench);
    bench.loops = loops_new(n_threads, 1 << 20);
    loop_on_stage(bench.loops->logic, LOOP_FREE, stop_after_turn, bench.loops->logic);
    bench.hub = hub_new(bench.loops, &settings);
    hub_want_slots(bench.hub, SOCKET_MAX_SLOTS);
    hub_set_upper(bench.hub, &upper);
    for (unsigned i = 0; i < bench.loops->n_shards; i++) {
        bench.sio[i] = sio_new(bench.loops->loop[i], &settings, bench.hub);
        bench.engine[i].upper = sio_upper(bench.sio[i]);
        slots_init(&bench.engine[i].slots, i);
        sio_attach(bench.sio[i], &bench.engine[i]);
    }
    hub_set_shards(bench.hub, bench.sio);
}

/* When all have gone, every table counts 0. */
static inline void bench_close(void)
{
    while (bench.sessions) {
        struct session *session = bench.sessions;

        bench.sessions = session->next;
        session->ends_when_sent_to = false;
        session_close(session, SESSION_TRANSPORT_CLOSE, NULL);
        free(session);
    }
    bench.on_disconnect = NULL;
    bench.on_leave = NULL;
    pump();
    assert_int_equal(bench_metric(METRIC_SOCKETS), 0);
    assert_int_equal(bench_metric(METRIC_ROOMS), 0);
    assert_int_equal(bench_metric(METRIC_MEMBERSHIPS), 0);
    assert_int_equal(bench_metric(METRIC_ACKS_PENDING), 0);
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_PACKETS), 0);
    assert_int_equal(bench_metric(METRIC_INCOMPLETE_BYTES), 0);
    hub_free(bench.hub);
    for (unsigned i = 0; i < bench.loops->n_shards; i++) {
        sio_free(bench.sio[i]);
        slots_done(&bench.engine[i].slots);
    }
    loops_free(bench.loops);
}

static int one_loop(void **state)
{
    (void)state;
    bench_open(0);
    return 0;
}

static int three_shards(void **state)
{
    (void)state;
    bench_open(BENCH_SHARDS);
    return 0;
}

static int bench_done(void **state)
{
    (void)state;
    bench_close();
    return 0;
}

/* Each promise holds on one loop and on several. */
#define ON_BOTH(name)                                                                    \
    {#name " (threads=0)", name, one_loop, bench_done, NULL},                            \
    {                                                                                    \
#name " (threads=3)", name, three_shards, bench_done, NULL                       \
    }

#endif
