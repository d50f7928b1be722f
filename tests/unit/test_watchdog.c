/*
 * test_watchdog.c - core/loop/watchdog.c: which turns end the process. Each is run by a
 * process of its own, whose end tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/running.h"
#include "core/loop/loop.h"
#include "core/loop/watchdog.h"

enum { LIMIT_MS = 200, FAR_MS = 60000 };

static void sleep_for(int ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    while (nanosleep(&left, &left) < 0)
        ;
}

static void hang(void *arg)
{
    (void)arg;
    running_set("hazard", "event", "do");
    sleep_for(FAR_MS);
}

static void block_the_signal_and_hang(void *arg)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    hang(arg);
}

/* Several, and all of them together take longer than the limit. */
static void be_slow(void *arg)
{
    struct loop *loop = arg;
    static int n_left = 6;

    sleep_for(LIMIT_MS / 2);
    if (--n_left == 0)
        loop_stop(loop);
    else
        loop_post(loop, be_slow, loop);
}

static void stop_loop(void *loop)
{
    loop_stop(loop);
}

static void *stop_later(void *loop)
{
    sleep_for(5 * LIMIT_MS);
    loop_post(loop, stop_loop, loop);
    return NULL;
}

/* Nothing happens for long. */
static void idle(void *loop)
{
    static pthread_t thread;

    pthread_create(&thread, NULL, stop_later, loop);
    pthread_detach(thread);
}

/* How a process ends that runs a loop with this work in it: as waitpid() tells. */
static int end_of(void (*work)(void *loop), int64_t limit_ms)
{
    const struct rlimit no_core = {0, 0};
    struct watchdog *watchdog;
    struct loops *loops;
    int status = -1;
    pid_t pid = fork();

    if (pid != 0) {
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
    }
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGABRT, SIG_DFL); /* not cmocka's */
    loops = loops_new(0, 1 << 20);
    watchdog = watchdog_start(loops->logic, limit_ms);
    loop_post(loops->logic, work, loops->logic);
    loop_run(loops->logic);
    watchdog_stop(watchdog);
    loops_free(loops);
    _exit(42);
}

static void a_turn_that_hangs_ends_the_process(void **state)
{
    int status = end_of(hang, LIMIT_MS);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void a_thread_that_blocks_the_signal_does_too(void **state)
{
    int status = end_of(block_the_signal_and_hang, LIMIT_MS);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void slow_turns_do_not(void **state)
{
    int status = end_of(be_slow, LIMIT_MS);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void a_loop_that_waits_does_not(void **state)
{
    int status = end_of(idle, LIMIT_MS);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void nobody_watches_without_a_limit(void **state)
{
    struct loops *loops = loops_new(0, 1 << 20);

    (void)state;
    assert_null(watchdog_start(loops->logic, 0));
    watchdog_stop(NULL);
    loops_free(loops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_that_hangs_ends_the_process),
        cmocka_unit_test(a_thread_that_blocks_the_signal_does_too),
        cmocka_unit_test(slow_turns_do_not),
        cmocka_unit_test(a_loop_that_waits_does_not),
        cmocka_unit_test(nobody_watches_without_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
