/*
 * test_members.c - the shard's arrays of rooms: joining, leaving and sending against a
 * model, with a double of session_send() that notes who got what, and may end a link.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/mem.h"
#include "core/engine/session.h"
#include "core/loop/loop.h"
#include "core/socketio/link.h"
#include "core/socketio/members.h"

enum { N_LINKS = 40, N_ROOMS = 12 };

struct session {
    unsigned number;
    unsigned n_got;
    bool ends_when_sent_to;
};

static struct loops *loops;
static struct members members;
static struct session sessions[N_LINKS];
static struct link links[N_LINKS];
static struct turnbuf *last_buffer;

void session_send(struct session *session, struct outgoing *out)
{
    session->n_got++;
    last_buffer = out->buffer;
    if (session->ends_when_sent_to)
        members_leave_all(&members, &links[session->number]);
}

static int set_up(void **state)
{
    (void)state;
    loops = loops_new(0, 1 << 20);
    members_init(&members, loops->logic);
    memset(sessions, 0, sizeof sessions);
    memset(links, 0, sizeof links);
    for (unsigned i = 0; i < N_LINKS; i++) {
        sessions[i].number = i;
        links[i].session = &sessions[i];
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < N_LINKS; i++)
        members_leave_all(&members, &links[i]);
    members_done(&members);
    assert_int_equal(
        metric_sum(&(struct metrics *){&loops->logic->metrics}, 1, METRIC_MEMBERSHIPS),
        0);
    loops_free(loops);
    return 0;
}

static void join(unsigned link, uint32_t room)
{
    members_join(&members, &links[link], 0, room);
}

static void send_to_rooms(const uint32_t *rooms, size_t n)
{
    struct outgoing out = {0};

    for (size_t i = 0; i < n; i++)
        members_send_room(&members, rooms[i], &out);
}

static void a_link_in_two_rooms_gets_a_packet_once(void **state)
{
    struct outgoing out = {0};

    (void)state;
    join(0, 1);
    join(0, 2);
    join(1, 2);
    members_begin(&members);
    send_to_rooms((uint32_t[]){1, 2}, 2);
    members_send_link(&members, &links[1], &out);
    members_send_link(&members, &links[2], &out);
    members_send_link(&members, &links[2], &out);
    assert_int_equal(sessions[0].n_got, 1);
    assert_int_equal(sessions[1].n_got, 1);
    assert_int_equal(sessions[2].n_got, 1);
    members_begin(&members);
    send_to_rooms((uint32_t[]){1, 2}, 2);
    assert_int_equal(sessions[0].n_got, 2);
}

static void who_is_marked_gets_nothing(void **state)
{
    (void)state;
    join(0, 1);
    join(1, 1);
    join(2, 1);
    join(2, 7);
    members_begin(&members);
    members_mark(&members, &links[0]);
    members_mark_room(&members, 7);
    members_mark_room(&members, 99);
    send_to_rooms((uint32_t[]){1, 99}, 2);
    assert_int_equal(sessions[0].n_got, 0);
    assert_int_equal(sessions[1].n_got, 1);
    assert_int_equal(sessions[2].n_got, 0);
}

static void a_room_has_a_buffer_while_it_has_a_member(void **state)
{
    struct outgoing out = {0};

    (void)state;
    members_use_buffer(&members, 3, &out);
    assert_null(out.buffer);
    join(0, 3);
    members_use_buffer(&members, 3, &out);
    assert_non_null(out.buffer);
    members_begin(&members);
    members_send_room(&members, 3, &out);
    assert_ptr_equal(last_buffer, out.buffer);
}

static void joining_twice_is_once_and_leaving_twice_is_nothing(void **state)
{
    (void)state;
    join(0, 1);
    join(0, 1);
    members_leave(&members, &links[0], 1);
    members_leave(&members, &links[0], 1);
    members_leave(&members, &links[0], 1000000);
    members_begin(&members);
    send_to_rooms((uint32_t[]){1}, 1);
    assert_int_equal(sessions[0].n_got, 0);
}

static void leaving_a_namespace_keeps_the_rooms_of_others(void **state)
{
    (void)state;
    for (uint32_t room = 0; room < 10; room++)
        members_join(&members, &links[0], room % 3 == 0, room);
    members_leave_namespace(&members, &links[0], 0);
    for (uint32_t room = 0; room < 10; room++) {
        members_begin(&members);
        send_to_rooms(&room, 1);
    }
    assert_int_equal(sessions[0].n_got, 4);
}

/* A slow consumer is closed by the very packet that was one too many. */
static void a_walk_survives_links_that_end_in_it(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 1 << 6; mask++) {
        for (unsigned i = 0; i < 6; i++) {
            join(i, 1);
            join(i, 2);
            sessions[i].n_got = 0;
            sessions[i].ends_when_sent_to = mask >> i & 1;
        }
        members_begin(&members);
        send_to_rooms((uint32_t[]){1, 2}, 2);
        for (unsigned i = 0; i < 6; i++) {
            assert_int_equal(sessions[i].n_got, 1);
            assert_int_equal(links[i].memberships.n, mask >> i & 1 ? 0 : 2);
        }
    }
}

/* C26 */
static void one_link_joins_ten_thousand_rooms(void **state)
{
    (void)state;
    for (uint32_t room = 0; room < 10000; room++) {
        join(0, room);
        join(1, room);
    }
    members_begin(&members);
    for (uint32_t room = 0; room < 10000; room++)
        send_to_rooms(&room, 1);
    assert_int_equal(sessions[0].n_got, 1);
    for (uint32_t room = 10000; room-- > 5000;)
        members_leave(&members, &links[0], room);
    assert_int_equal(links[0].memberships.n, 5000);
    members_leave_all(&members, &links[0]);
    assert_int_equal(links[1].memberships.n, 10000);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void check_against(bool model[N_LINKS][N_ROOMS])
{
    for (uint32_t room = 0; room < N_ROOMS; room++) {
        for (unsigned i = 0; i < N_LINKS; i++)
            sessions[i].n_got = 0;
        members_begin(&members);
        send_to_rooms(&room, 1);
        for (unsigned i = 0; i < N_LINKS; i++)
            assert_int_equal(sessions[i].n_got, model[i][room]);
    }
}

static void random_joins_and_leaves_are_as_in_a_model(void **state)
{
    static bool model[N_LINKS][N_ROOMS];
    uint64_t seed = 4711;

    (void)state;
    memset(model, 0, sizeof model);
    for (unsigned step = 0; step < 30000; step++) {
        unsigned link = next_random(&seed) % N_LINKS, what = next_random(&seed) % 20;
        uint32_t room = next_random(&seed) % N_ROOMS;

        if (what == 0) {
            members_leave_all(&members, &links[link]);
            memset(model[link], 0, sizeof model[link]);
        } else if (what < 12) {
            join(link, room);
            model[link][room] = true;
        } else {
            members_leave(&members, &links[link], room);
            model[link][room] = false;
        }
        if (step % 50 == 0)
            check_against(model);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_link_in_two_rooms_gets_a_packet_once),
        TEST(who_is_marked_gets_nothing),
        TEST(a_room_has_a_buffer_while_it_has_a_member),
        TEST(joining_twice_is_once_and_leaving_twice_is_nothing),
        TEST(leaving_a_namespace_keeps_the_rooms_of_others),
        TEST(a_walk_survives_links_that_end_in_it),
        TEST(one_link_joins_ten_thousand_rooms),
        TEST(random_joins_and_leaves_are_as_in_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
