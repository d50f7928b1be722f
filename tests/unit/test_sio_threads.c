/*
 * test_sio_threads.c - both halves of Socket.IO on threads of their own: what a room is
 * sent reaches each member on each shard completely and in order. For the thread sanitizer.
 *
 * Thread: sessions and their double of the engine live on shards; the test is logic.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/engine/engine.h"
#include "core/engine/packet.h"
#include "core/loop/bytes.h"
#include "core/loop/loop.h"
#include "core/socketio/hub.h"
#include "core/socketio/sio.h"

enum { SHARDS = 3, PER_SHARD = 12, ROUNDS = 25, ALL = SHARDS * PER_SHARD };

struct engine {
    struct slots slots;
    struct engine_upper upper;
    struct session *session[PER_SHARD];
};

struct session {
    struct engine *engine;
    handle handle;
    void *upper;
    bool is_open;
    unsigned n_said, n_got;
};

static struct loops *loops;
static struct hub *hub;
static struct sio *sio[SHARDS];
static struct engine engines[SHARDS];
static unsigned n_connected, n_emitted;
static atomic_uint n_complete;

static void stop(void *loop)
{
    loop_stop(loop);
}

/* ---- the double of the engine; on shards */

const char *session_end_word(enum session_end end)
{
    return end == SESSION_SHUTDOWN ? "server shutting down" : "transport close";
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
    (void)session;
    return 4;
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

struct session *engine_find(struct engine *engine, handle session)
{
    return slots_get(&engine->slots, session);
}

bool session_has_input(const struct session *session)
{
    (void)session;
    return false;
}

bool session_is_receiving(const struct session *session)
{
    (void)session;
    return false;
}

void session_close(struct session *session, enum session_end end, const char *detail)
{
    (void)detail;
    session->is_open = false;
    slots_remove(&session->engine->slots, session->handle);
    session->engine->upper.on_closed(session, end);
}

static void speak(void *arg)
{
    struct session *session = arg;
    static const char text[] = "2[\"say\",{\"text\":\"hello\"}]";
    static const char binary[] = "51-[\"say\",{\"_placeholder\":true,\"num\":0}]";

    if (session->n_said++ % 2) {
        session->engine->upper.on_text(session, text, sizeof text - 1);
        return;
    }
    session->engine->upper.on_text(session, binary, sizeof binary - 1);
    session->engine->upper.on_binary(session, "bytes", 5);
}

static void read_packet(const struct bytes *packet, char *out, size_t size)
{
    struct packet_parts parts;
    struct packet_part part;
    size_t len = 0;

    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        len += (size_t)snprintf(out + len, size - len, "%.*s", (int)part.len, part.data);
}

/* The first packet of an emit is "go"; each later one carries the next number. */
void session_send(struct session *session, struct outgoing *out)
{
    struct loop *shard = loops->loop[session->engine - engines];
    char expected[64], got[128];

    if (memcmp(out->packet->data, "40", 2) == 0)
        return;
    if (memcmp(out->packet->data, "42[\"go\"]", 8) == 0) {
        for (unsigned i = 0; i < ROUNDS; i++)
            loop_post(shard, speak, session);
        return;
    }
    read_packet(out->packet, got, sizeof got);
    snprintf(expected, sizeof expected, "42[\"said\",%u,{\"text\":\"hello\"}]",
             session->n_got);
    if (strcmp(got, expected) != 0) {
        snprintf(expected, sizeof expected,
                 "451-[\"said\",%u,{\"_placeholder\":true,\"num\":0}]bytes",
                 session->n_got);
        if (strcmp(got, expected) != 0)
            abort(); /* cmocka's asserts are for its own thread */
    }
    session->n_got++;
    if (session->n_got == ALL * ROUNDS && atomic_fetch_add(&n_complete, 1) + 1 == ALL)
        loop_post(loops->logic, stop, loops->logic);
}

static void open_sessions(void *arg)
{
    struct engine *engine = arg;

    for (unsigned i = 0; i < PER_SHARD; i++) {
        struct session *session = mem_calloc(1, sizeof *session);

        engine->session[i] = session;
        session->engine = engine;
        session->is_open = true;
        session->handle = slots_add(&engine->slots, session);
        session->upper = engine->upper.on_open(session, NULL, "::1", engine->upper.arg);
        engine->upper.on_text(session, "0{}", 3);
    }
}

/* ---- the double of the plugin layer; in logic */

static void on_connect(hop_socket socket, void *arg)
{
    (void)arg;
    hub_join(hub, socket, "lobby");
    if (++n_connected == ALL)
        hub_emit(hub_target_room(hub, "/", "lobby"), "go",
                 &(struct sio_args){.text = NULL});
}

static void on_event(const struct sio_event *event, void *arg)
{
    char args[128];
    int len = snprintf(args, sizeof args, "[%u,%.*s]", n_emitted++,
                       (int)(event->args[0].to - event->args[0].from),
                       event->text + event->args[0].from);

    (void)arg;
    assert_string_equal(event->name, "say");
    hub_emit(hub_target_room(hub, "/", "lobby"), "said",
             &(struct sio_args){.text = args,
                                .len = (size_t)len,
                                .n_attachments = event->n_attachments,
                                .attachments = event->attachments});
}

static void each_member_on_each_shard_gets_all_in_order(void **state)
{
    static const struct settings settings = {.connect_timeout_ms = 60000,
                                             .max_client_namespaces = 1,
                                             .max_json_depth = 64,
                                             .max_json_values = 10000,
                                             .max_attachments = 1,
                                             .max_attached_bytes = 5,
                                             .attachment_timeout_ms = 60000,
                                             .max_rooms = 1000,
                                             .max_queue_bytes = 1 << 20,
                                             .max_acks = 30000,
                                             .max_answer_bytes = 1000};
    const struct hub_upper upper = {.on_connect = on_connect, .on_event = on_event};

    (void)state;
    loops = loops_new(SHARDS, 8 << 20);
    hub = hub_new(loops, &settings);
    hub_set_upper(hub, &upper);
    for (unsigned i = 0; i < SHARDS; i++) {
        sio[i] = sio_new(loops->loop[i], &settings, hub);
        engines[i].upper = sio_upper(sio[i]);
        slots_init(&engines[i].slots, i);
        sio_attach(sio[i], &engines[i]);
        loop_post(loops->loop[i], open_sessions, &engines[i]);
    }
    hub_set_shards(hub, sio);
    loops_start(loops);
    loop_run(loops->logic);
    for (unsigned i = 0; i < SHARDS; i++)
        loop_post(loops->loop[i], stop, loops->loop[i]);
    loops_join(loops);
    assert_int_equal(n_complete, ALL);
    for (unsigned i = 0; i < SHARDS; i++)
        for (unsigned n = 0; n < PER_SHARD; n++)
            session_close(engines[i].session[n], SESSION_TRANSPORT_CLOSE, NULL);
    loops_drain(loops);
    hub_free(hub);
    for (unsigned i = 0; i < SHARDS; i++) {
        for (unsigned n = 0; n < PER_SHARD; n++)
            free(engines[i].session[n]);
        sio_free(sio[i]);
        slots_done(&engines[i].slots);
    }
    loops_free(loops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_on_each_shard_gets_all_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
