/*
 * test_bytes.c - core/loop/bytes.c: counted blocks. Thread: one, but where it says.
 */
#include "core/loop/bytes.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/turns.h"

/* ASan's malloc() ends the process by itself unless told to fail as the system's does. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static int refs_of(struct bytes *bytes)
{
    return atomic_load(&bytes->refs);
}

static void a_copy_holds_its_own_bytes(void **state)
{
    char text[] = "hello";
    struct bytes *bytes = bytes_copy(text, 5);

    (void)state;
    text[0] = 'j';
    assert_int_equal(bytes->len, 5);
    assert_memory_equal(bytes->data, "hello", 5);
    assert_int_equal(refs_of(bytes), 1);
    bytes_unref(bytes);
}

static void an_empty_block_can_be_made_and_released(void **state)
{
    struct bytes *copy = bytes_copy(NULL, 0);
    struct bytes *fixed = bytes_new(0);
    struct bytes *tried = bytes_try_new(0);

    (void)state;
    assert_int_equal(copy->len, 0);
    assert_int_equal(fixed->len, 0);
    assert_non_null(tried);
    bytes_unref(copy);
    bytes_unref(fixed);
    bytes_unref(tried);
    bytes_unref(NULL);
}

static void references_are_taken_many_at_once_and_given_back_one_by_one(void **state)
{
    struct bytes *bytes = bytes_copy("x", 1);

    (void)state;
    bytes_ref(bytes, 3);
    assert_int_equal(refs_of(bytes), 4);
    for (int i = 0; i < 3; i++)
        bytes_unref(bytes);
    assert_int_equal(refs_of(bytes), 1);
    assert_int_equal(bytes->data[0], 'x');
    bytes_unref(bytes);
}

static void a_growable_block_keeps_its_content_while_it_grows(void **state)
{
    struct bytes *bytes = bytes_growable(0);

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char piece[3] = {(char)i, (char)(i >> 8), 'x'};

        bytes_append(bytes, piece, (size_t)(1 + i % 3));
    }
    for (size_t i = 0, at = 0; i < 5000; i++) {
        assert_int_equal(bytes->data[at], (char)i);
        at += 1 + i % 3;
    }
    bytes_append(bytes, NULL, 0);
    assert_true(bytes->len <= bytes->cap);
    bytes_unref(bytes);
}

static void reserving_gives_room_and_leaves_the_length(void **state)
{
    struct bytes *bytes = bytes_growable(4);
    char *space;

    (void)state;
    bytes_append(bytes, "abc", 3);
    space = bytes_reserve(bytes, 10000);
    assert_ptr_equal(space, bytes->data + 3);
    assert_int_equal(bytes->len, 3);
    assert_true(bytes->cap >= 10003);
    memset(space, 'z', 10000);
    bytes->len += 10000;
    assert_memory_equal(bytes->data, "abcz", 4);
    bytes_unref(bytes);
}

static void trimming_gives_back_what_is_unused(void **state)
{
    struct bytes *bytes = bytes_growable(16384);
    struct bytes *empty = bytes_growable(16384);
    struct bytes *fixed = bytes_copy("fixed", 5);

    (void)state;
    bytes_append(bytes, "kept", 4);
    bytes_trim(bytes);
    assert_true(bytes->cap < 256);
    assert_memory_equal(bytes->data, "kept", 4);
    bytes_append(bytes, " and grown again", 16);
    assert_memory_equal(bytes->data, "kept and grown again", 20);
    bytes_trim(empty);
    bytes_trim(fixed);
    assert_memory_equal(fixed->data, "fixed", 5);
    bytes_unref(bytes);
    bytes_unref(empty);
    bytes_unref(fixed);
}

static void make(size_t len)
{
    bytes_unref(bytes_new(len));
}

static void reserve(size_t len)
{
    struct bytes *bytes = bytes_growable(100);

    bytes_append(bytes, "abc", 3);
    bytes_reserve(bytes, len);
    bytes_unref(bytes);
}

/* Whether the child that does it ends by our own abort(), not by what it wrote where. */
static bool aborts(void (*act)(size_t len), size_t len)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        act(len);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* C29: a length that makes a sum wrap round must not become a small block. */
static void a_length_near_the_largest_is_refused(void **state)
{
    static const size_t offsets[] = {0,  1,  2,  3,  4,  7,  8,  15, 16,  17,
                                     23, 24, 31, 32, 33, 63, 64, 96, 100, 4096};

    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        size_t len = SIZE_MAX - offsets[i];

        assert_null(bytes_try_new(len));
        assert_true(aborts(make, len));
        assert_true(aborts(reserve, len));
    }
    assert_null(bytes_try_new(SIZE_MAX / 2));
    assert_true(aborts(reserve, SIZE_MAX / 2));
    assert_false(aborts(reserve, 4096));
    assert_false(aborts(make, 4096));
}

static void a_block_of_parts_knows_where_each_ends(void **state)
{
    struct bytes *bytes = bytes_try_new_parts(13, 3);

    (void)state;
    assert_int_equal(bytes->n_parts, 0);
    assert_int_equal(bytes->len, 0);
    memcpy(bytes->data, "first", 5);
    bytes_end_part(bytes, 5);
    bytes_end_part(bytes, 0);
    memcpy(bytes->data + bytes->len, "the last", 8);
    bytes_end_part(bytes, 8);
    assert_int_equal(bytes->n_parts, 3);
    assert_int_equal(bytes->len, 13);
    assert_int_equal(bytes_part_end(bytes, 0), 5);
    assert_int_equal(bytes_part_end(bytes, 1), 5);
    assert_int_equal(bytes_part_end(bytes, 2), 13);
    assert_memory_equal(bytes->data, "firstthe last", 13);
    bytes_unref(bytes);
    for (size_t offset = 0; offset <= 64; offset++)
        assert_null(bytes_try_new_parts(SIZE_MAX - offset, 3));
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *ref_and_unref(void *arg)
{
    struct bytes *bytes = arg;

    for (int i = 0; i < ROUNDS; i++) {
        bytes_ref(bytes, 2);
        bytes_unref(bytes);
        bytes_unref(bytes);
    }
    bytes_unref(bytes); /* the one it was started with */
    return NULL;
}

static void threads_may_count_at_the_same_time(void **state)
{
    struct bytes *bytes = bytes_copy("shared", 6);
    pthread_t thread[THREADS];

    (void)state;
    bytes_ref(bytes, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, ref_and_unref, bytes), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(refs_of(bytes), 1);
    assert_memory_equal(bytes->data, "shared", 6);
    bytes_unref(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_holds_its_own_bytes),
        cmocka_unit_test(an_empty_block_can_be_made_and_released),
        cmocka_unit_test(references_are_taken_many_at_once_and_given_back_one_by_one),
        cmocka_unit_test(a_growable_block_keeps_its_content_while_it_grows),
        cmocka_unit_test(reserving_gives_room_and_leaves_the_length),
        cmocka_unit_test(trimming_gives_back_what_is_unused),
        cmocka_unit_test(a_length_near_the_largest_is_refused),
        cmocka_unit_test(a_block_of_parts_knows_where_each_ends),
        cmocka_unit_test(threads_may_count_at_the_same_time),
    };

    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
