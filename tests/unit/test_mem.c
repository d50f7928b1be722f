/*
 * test_mem.c - promises of core/base/mem.c and core/base/hash.h.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/hash.h"
#include "core/base/mem.h"

/* ASan's malloc() ends the process by itself unless told to fail as the system's does. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static volatile size_t impossible = SIZE_MAX / 2;

static void no_bytes_are_still_memory(void **state)
{
    void *memory[] = {
        mem_alloc(0),         mem_calloc(0, 0), mem_calloc(0, 8),        mem_calloc(8, 0),
        mem_realloc(NULL, 0), mem_try_alloc(0), mem_try_realloc(NULL, 0)};

    (void)state;
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) {
        assert_non_null(memory[i]);
        free(memory[i]);
    }
}

static void calloc_gives_zeros(void **state)
{
    static const char zeros[300];
    char *memory = mem_calloc(100, 3);

    (void)state;
    assert_memory_equal(memory, zeros, sizeof zeros);
    free(memory);
}

static void copies_are_whole_and_terminated(void **state)
{
    char *whole = mem_strdup("hello");
    char *part = mem_strndup("hello", 4);
    char *odd = mem_strndup("a\0b", 3);
    char *none = mem_strndup(NULL, 0);

    (void)state;
    assert_string_equal(whole, "hello");
    assert_string_equal(part, "hell");
    assert_memory_equal(odd, "a\0b", 4);
    assert_string_equal(none, "");
    free(whole);
    free(part);
    free(odd);
    free(none);
}

static void realloc_keeps_the_bytes(void **state)
{
    char *memory = mem_strdup("hello");

    (void)state;
    memory = mem_realloc(memory, 100000);
    assert_string_equal(memory, "hello");
    free(memory);
}

static void try_returns_null_for_what_cannot_be(void **state)
{
    char *memory = mem_try_alloc(10);

    (void)state;
    assert_null(mem_try_alloc(impossible));
    assert_null(mem_try_realloc(memory, impossible));
    free(memory); /* still ours */
}

static void whoever_was_refused_can_tell(void **state)
{
    (void)state;
    mem_refusal_forget();
    free(mem_try_alloc(10));
    free(mem_alloc_mixed(MEM_LARGE + 1));
    assert_false(mem_was_refused());
    assert_null(mem_alloc_mixed(impossible));
    assert_true(mem_was_refused());
    assert_true(mem_was_refused()); /* until it is forgotten */
    mem_refusal_forget();
    assert_false(mem_was_refused());
}

static void ask_alloc(void)
{
    free(mem_alloc(impossible));
}

static void ask_calloc(void)
{
    free(mem_calloc(impossible, 4)); /* the product overflows */
}

static void ask_realloc(void)
{
    free(mem_realloc(NULL, impossible));
}

static void ask_strndup(void)
{
    free(mem_strndup("", impossible * 2 + 1));
}

static void exhaustion_ends_the_process_with_a_line(void **state)
{
    static void (*const asks[])(void) = {ask_alloc, ask_calloc, ask_realloc, ask_strndup};

    (void)state;
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        char text[4096] = "";
        int ends[2], status;
        pid_t child;

        assert_int_equal(pipe(ends), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct rlimit no_core = {0, 0};

            setrlimit(RLIMIT_CORE, &no_core);
            signal(SIGABRT, SIG_DFL);
            dup2(ends[1], STDERR_FILENO);
            asks[i]();
            _exit(0);
        }
        close(ends[1]);
        for (size_t n = 0; n < sizeof text - 1;) {
            ssize_t got = read(ends[0], text + n, sizeof text - 1 - n);

            if (got <= 0)
                break;
            n += (size_t)got;
        }
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, " ERROR mem.exhausted bytes="));
    }
}

struct item {
    int value;
    UT_hash_handle hh;
    char name[24];
};

static void a_table_finds_what_it_was_given(void **state)
{
    struct item *table = NULL, *item, *next;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        item = mem_calloc(1, sizeof *item);
        item->value = i;
        snprintf(item->name, sizeof item->name, "room-%d", i);
        HASH_ADD_STR(table, name, item);
    }
    for (int i = 0; i < 1000; i++) {
        char name[24];

        snprintf(name, sizeof name, "room-%d", i);
        HASH_FIND_STR(table, name, item);
        assert_non_null(item);
        assert_int_equal(item->value, i);
    }
    HASH_FIND_STR(table, "room-1000", item);
    assert_null(item);
    HASH_ITER(hh, table, item, next)
    {
        HASH_DEL(table, item);
        free(item);
    }
    assert_null(table);
}

static void hashes_depend_on_the_seed(void **state)
{
    uint64_t seed = hash_seed;
    unsigned first = hash_bytes("lobby", 5);
    int n_same = 0;

    (void)state;
    assert_true(seed != 0);
    assert_int_equal(hash_bytes("lobby", 5), first);
    for (uint64_t i = 1; i <= 16; i++) {
        hash_seed = seed + i;
        n_same += hash_bytes("lobby", 5) == first;
    }
    hash_seed = seed;
    assert_true(n_same < 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bytes_are_still_memory),
        cmocka_unit_test(calloc_gives_zeros),
        cmocka_unit_test(copies_are_whole_and_terminated),
        cmocka_unit_test(realloc_keeps_the_bytes),
        cmocka_unit_test(try_returns_null_for_what_cannot_be),
        cmocka_unit_test(whoever_was_refused_can_tell),
        cmocka_unit_test(exhaustion_ends_the_process_with_a_line),
        cmocka_unit_test(a_table_finds_what_it_was_given),
        cmocka_unit_test(hashes_depend_on_the_seed),
    };

    return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
