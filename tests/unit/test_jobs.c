/*
 * test_jobs.c - core/plugin/{jobs,workers}.c: every job ends once, in logic; what is cancelled
 * does not run; and when a plugin goes, no worker runs its code any more.
 *
 * Plugins are made by hand here: a name and a place in the conf file.
 */
#include "tests/unit/fakehub.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include <sockhop/job.h>

#include "core/plugin/async.h"
#include "core/plugin/jobs.h"
#include "core/plugin/workers.h"

enum { A, B, PLUGINS, MANY = 1000 };

/* One job of these tests. */
struct task {
    atomic_uint n_runs;
    unsigned n_ends;
    hop_job_status status;
    hop_job job;
};

static struct fixture fixture;
static struct plugin plugins[PLUGINS];
static struct task tasks[MANY];
static unsigned n_ended;
static char called[4096]; /* what ran in logic, a word each */

/* Works wait here until they are let go. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned n_stalled;
static bool may_go;

static int set_up(void **state)
{
    static const char *const names[] = {"a", "b"};

    (void)state;
    fixture_open(&fixture, "", NULL);
    memset(plugins, 0, sizeof plugins);
    for (unsigned i = 0; i < PLUGINS; i++) {
        plugins[i].name = mem_strdup(names[i]);
        plugins[i].conf_index = i;
    }
    for (unsigned i = 0; i < MANY; i++)
        tasks[i] = (struct task){.n_ends = 0};
    n_ended = n_stalled = 0;
    may_go = false;
    called[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PLUGINS; i++)
        server_forget(fixture.server, &plugins[i]);
    fixture_close(&fixture);
    for (unsigned i = 0; i < PLUGINS; i++)
        free(plugins[i].name);
    return 0;
}

static void note(const char *word)
{
    strcat(strcat(called, word), " ");
}

static void called_is(const char *expected)
{
    assert_string_equal(called, expected);
    called[0] = '\0';
}

static hop_server *as(int plugin)
{
    fixture.server->current = &plugins[plugin];
    return fixture.server;
}

/* What is posted is delivered, until so many jobs have ended. */
static void turns_until(unsigned n)
{
    fixture.server->current = NULL;
    loops_drain(fixture.loops);
    while (n_ended < n) {
        event_base_loop(fixture.loops->logic->base, EVLOOP_ONCE); /* a worker wakes it */
        loops_drain(fixture.loops);
    }
}

static void run_once(void *self)
{
    struct task *task = self;

    atomic_fetch_add(&task->n_runs, 1);
}

static void take_end(hop_job job, hop_job_status status, void *self)
{
    struct task *task = self;

    assert_int_equal(job, task->job);
    task->status = status;
    task->n_ends++;
    n_ended++;
    note(fixture.server->current ? fixture.server->current->name : "core");
}

static void ended_as(unsigned i, hop_job_status status)
{
    assert_int_equal(tasks[i].n_ends, 1);
    assert_int_equal(tasks[i].status, status);
    assert_int_equal(tasks[i].n_runs, status == HOP_JOB_DONE ? 1 : 0);
}

static void start(int plugin, unsigned i, hop_job_work *work)
{
    tasks[i].job = hop_job_start(as(plugin), work, take_end, &tasks[i]);
    assert_true(tasks[i].job != HOP_NO_JOB);
}

/* It waits until it is let go, or asked to stop. */
static void stall(void *self)
{
    const struct timespec time = {0, 1000000};
    bool goes;

    run_once(self);
    pthread_mutex_lock(&mutex);
    n_stalled++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    do {
        nanosleep(&time, NULL);
        pthread_mutex_lock(&mutex);
        goes = may_go;
        pthread_mutex_unlock(&mutex);
    } while (!goes && !hop_job_is_cancelled());
}

static void await_stalled(unsigned n)
{
    loops_drain(fixture.loops); /* no thread is made before */
    pthread_mutex_lock(&mutex);
    while (n_stalled < n)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void let_go(void)
{
    pthread_mutex_lock(&mutex);
    may_go = true;
    pthread_mutex_unlock(&mutex);
}

/* All 4 workers are busy with the first 4 tasks. */
static void stall_all(int plugin)
{
    for (unsigned i = 0; i < 4; i++)
        start(plugin, i, stall);
    await_stalled(4);
}

/* ---- promises */

static void a_job_runs_and_then_ends_in_logic(void **state)
{
    (void)state;
    start(A, 0, run_once);
    called_is("");
    assert_int_equal(tasks[0].n_runs, 0); /* no thread is there before the loops run */
    turns_until(1);
    called_is("a ");
    ended_as(0, HOP_JOB_DONE);
    assert_true(jobs_is_idle(fixture.server, &plugins[A]));
    assert_int_equal(hop_job_cancel(fixture.server, tasks[0].job), -1);
    assert_false(hop_job_is_cancelled());
    assert_null(fixture.server->current);
}

static void every_one_of_many_jobs_ends_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        start(i % PLUGINS, i, run_once);
    turns_until(MANY);
    loops_drain(fixture.loops);
    for (unsigned i = 0; i < MANY; i++)
        ended_as(i, HOP_JOB_DONE);
    assert_int_equal(n_ended, MANY);
}

static void the_end_may_be_nobodys(void **state)
{
    (void)state;
    assert_true(hop_job_start(as(A), run_once, NULL, &tasks[1]) != HOP_NO_JOB);
    start(A, 0, run_once);
    turns_until(1);
    while (!jobs_is_idle(fixture.server, &plugins[A]))
        loops_drain(fixture.loops);
    assert_int_equal(tasks[1].n_runs, 1);
    assert_int_equal(hop_job_start(as(A), NULL, take_end, NULL), HOP_NO_JOB);
}

static void what_has_not_begun_can_be_cancelled(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    stall_all(A);
    start(A, 4, run_once);
    start(A, 5, run_once);
    assert_int_equal(hop_job_cancel(server, tasks[4].job), 0);
    assert_int_equal(hop_job_cancel(server, tasks[4].job), -1);
    assert_int_equal(tasks[4].n_ends, 0); /* not at once */
    turns_until(1);
    ended_as(4, HOP_JOB_CANCELLED);
    let_go();
    turns_until(6);
    ended_as(5, HOP_JOB_DONE);
    ended_as(0, HOP_JOB_DONE);
}

static void what_runs_is_asked_to_stop(void **state)
{
    (void)state;
    start(A, 0, stall);
    await_stalled(1);
    assert_int_equal(hop_job_cancel(fixture.server, tasks[0].job), -1);
    turns_until(1); /* nobody lets it go */
    ended_as(0, HOP_JOB_DONE);
}

static void post_word(void *self)
{
    note(self);
}

static void post_twice(void *self)
{
    run_once(self);
    hop_post(fixture.server, post_word, (void *)(uintptr_t) "1");
    hop_post(fixture.server, post_word, (void *)(uintptr_t) "2");
}

static void what_a_job_posts_comes_before_its_end(void **state)
{
    (void)state;
    start(A, 0, post_twice);
    turns_until(1);
    called_is("1 2 a ");
}

static void start_next(hop_job job, hop_job_status status, void *self)
{
    (void)job;
    (void)status;
    (void)self;
    n_ended++;
    if (n_ended < 10)
        assert_true(hop_job_start(fixture.server, run_once, start_next, &tasks[0]) !=
                    HOP_NO_JOB);
}

static void the_end_of_a_job_may_start_the_next(void **state)
{
    (void)state;
    hop_job_start(as(A), run_once, start_next, &tasks[0]);
    turns_until(10);
    assert_int_equal(tasks[0].n_runs, 10);
}

static void a_plugin_has_a_limited_number_of_waiting_jobs(void **state)
{
    (void)state;
    stall_all(A);
    fixture.settings.max_jobs = 3;
    for (unsigned i = 4; i < 7; i++)
        start(A, i, run_once);
    assert_int_equal(hop_job_start(as(A), run_once, take_end, &tasks[7]), HOP_NO_JOB);
    assert_int_equal(hop_job_start(as(A), run_once, take_end, &tasks[7]), HOP_NO_JOB);
    start(B, 7, run_once); /* each its own */
    let_go();
    turns_until(8);
    start(A, 8, run_once);
    turns_until(9);
}

/* ---- a plugin goes */

static void a_plugin_that_goes_has_all_its_jobs_ended(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    stall_all(A);
    start(A, 4, run_once);
    start(B, 5, run_once);
    start(A, 6, run_once);
    fixture.server->current = NULL;
    assert_int_equal(async_end(server, &plugins[A]), 0);
    called_is("a a a a a a ");
    for (unsigned i = 0; i < 4; i++)
        ended_as(i, HOP_JOB_DONE);
    ended_as(4, HOP_JOB_CANCELLED);
    ended_as(6, HOP_JOB_CANCELLED);
    assert_int_equal(hop_job_start(as(A), run_once, take_end, &tasks[7]), HOP_NO_JOB);
    server_forget(server, &plugins[A]);
    turns_until(7);
    ended_as(5, HOP_JOB_DONE);
    loops_drain(fixture.loops);
    assert_int_equal(n_ended, 7);
}

static void ends_of_others_are_not_lost_with_a_plugin(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        start(i % PLUGINS, i, run_once);
    loops_drain(fixture.loops);
    fixture.server->current = NULL;
    async_end(fixture.server, &plugins[A]);
    server_forget(fixture.server, &plugins[A]);
    turns_until(MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(tasks[i].n_ends, 1);
    assert_true(jobs_is_idle(fixture.server, &plugins[B]));
}

static void a_plugin_that_failed_hears_of_no_job(void **state)
{
    (void)state;
    async_hold(&plugins[A]);
    start(A, 0, run_once);
    start(B, 1, run_once);
    turns_until(1);
    server_forget(fixture.server, &plugins[A]);
    loops_drain(fixture.loops);
    assert_int_equal(tasks[0].n_ends, 0);
    assert_int_equal(tasks[0].n_runs, 0);
    ended_as(1, HOP_JOB_DONE);
}

static void jobs_of_a_held_plugin_begin_when_it_is_released(void **state)
{
    (void)state;
    async_hold(&plugins[A]);
    for (unsigned i = 0; i < 10; i++)
        start(A, i, run_once);
    start(B, 10, run_once);
    turns_until(1);
    called_is("b ");
    async_release(fixture.server, &plugins[A]);
    turns_until(11);
    for (unsigned i = 0; i < 10; i++)
        ended_as(i, HOP_JOB_DONE);
}

static void note_idle(void *arg)
{
    (void)arg;
    note("idle");
}

static void who_waits_for_a_plugins_jobs_hears_of_the_last(void **state)
{
    hop_server *server = fixture.server;

    (void)state;
    assert_true(jobs_when_idle(server, &plugins[A], note_idle, NULL));
    stall_all(A);
    start(A, 4, post_twice);
    assert_false(jobs_is_idle(server, &plugins[A]));
    assert_true(jobs_is_idle(server, &plugins[B]));
    assert_false(jobs_when_idle(server, &plugins[A], note_idle, NULL));
    let_go();
    turns_until(5);
    assert_string_equal(called + strlen(called) - strlen("a idle "), "a idle ");
    assert_true(jobs_is_idle(server, &plugins[A]));
    called[0] = '\0';
    start(A, 5, run_once);
    assert_false(jobs_when_idle(server, &plugins[A], note_idle, NULL));
    assert_false(jobs_when_idle(server, &plugins[A], NULL, NULL)); /* taken back */
    turns_until(6);
    called_is("a ");
}

static void jobs_that_wait_can_be_cancelled_all_at_once(void **state)
{
    (void)state;
    stall_all(A);
    for (unsigned i = 4; i < 10; i++)
        start(A, i, run_once);
    jobs_cancel(fixture.server, &plugins[A]); /* which asks those that run, too */
    turns_until(10);
    for (unsigned i = 4; i < 10; i++)
        ended_as(i, HOP_JOB_CANCELLED);
    ended_as(0, HOP_JOB_DONE);
}

static void the_server_may_end_with_jobs_that_never_began(void **state)
{
    (void)state;
    start(A, 0, run_once);
    fixture.server->current = NULL; /* tear_down() does the rest */
}

/* ---- workers, alone */

static char order[64];
static atomic_uint n_told;

static void note_order(void *self)
{
    strcat(order, self);
}

static void count_told(void *arg)
{
    (void)arg;
    atomic_fetch_add(&n_told, 1);
}

static void lines_take_turns_and_each_keeps_its_order(void **state)
{
    static const char *const words[6] = {"a1 ", "a2 ", "a3 ", "a4 ", "b1 ", "b2 "};
    struct workers workers;
    struct line lines[2];
    struct work works[6];
    size_t queued, running;

    (void)state;
    order[0] = '\0';
    atomic_store(&n_told, 0);
    workers_init(&workers, 1, count_told, NULL);
    line_init(&workers, &lines[0], true);
    line_init(&workers, &lines[1], true);
    for (unsigned i = 0; i < 6; i++) {
        works[i].run = note_order;
        works[i].self = (void *)(uintptr_t)words[i];
        workers_add(&workers, &lines[i / 4], &works[i]);
    }
    assert_int_equal(workers_start(&workers), 0);
    assert_int_equal(workers.n_threads, 0); /* nothing may begin */
    assert_int_equal(workers_count(&workers, &lines[0], &queued, &running), 4);
    assert_int_equal(queued, 4);
    pthread_mutex_lock(&workers.mutex); /* both at once */
    lines[0].is_held = lines[1].is_held = false;
    workers.n_waiting = 6;
    pthread_mutex_unlock(&workers.mutex);
    assert_int_equal(workers_start(&workers), 0);
    while (atomic_load(&n_told) < 6)
        sched_yield();
    for (unsigned i = 0; i < 6; i++)
        assert_non_null(workers_take_ended(&workers, NULL));
    assert_null(workers_take_ended(&workers, NULL));
    assert_int_equal(workers.n_threads, 1);
    line_done(&workers, &lines[0]);
    line_done(&workers, &lines[1]);
    workers_done(&workers);
    assert_string_equal(order, "a1 b1 a2 b2 a3 a4 ");
}

static void threads_are_made_as_they_are_needed(void **state)
{
    struct workers workers;
    struct line line;
    struct work works[100];

    (void)state;
    atomic_store(&n_told, 0);
    workers_init(&workers, 1000, count_told, NULL);
    assert_int_equal(workers.max_threads, WORKERS_MAX);
    line_init(&workers, &line, false);
    for (unsigned i = 0; i < 100; i++) {
        works[i].run = run_once;
        works[i].self = &tasks[i];
        workers_add(&workers, &line, &works[i]);
        assert_int_equal(workers_start(&workers), 0);
        while (atomic_load(&n_told) <= i)
            sched_yield();
        assert_ptr_equal(workers_take_ended(&workers, &line), &works[i]);
        assert_int_equal(workers.n_threads, 1); /* it is idle again */
    }
    line_done(&workers, &line);
    workers_done(&workers);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_runs_and_then_ends_in_logic),
        TEST(every_one_of_many_jobs_ends_once),
        TEST(the_end_may_be_nobodys),
        TEST(what_has_not_begun_can_be_cancelled),
        TEST(what_runs_is_asked_to_stop),
        TEST(what_a_job_posts_comes_before_its_end),
        TEST(the_end_of_a_job_may_start_the_next),
        TEST(a_plugin_has_a_limited_number_of_waiting_jobs),
        TEST(a_plugin_that_goes_has_all_its_jobs_ended),
        TEST(ends_of_others_are_not_lost_with_a_plugin),
        TEST(a_plugin_that_failed_hears_of_no_job),
        TEST(jobs_of_a_held_plugin_begin_when_it_is_released),
        TEST(who_waits_for_a_plugins_jobs_hears_of_the_last),
        TEST(jobs_that_wait_can_be_cancelled_all_at_once),
        TEST(the_server_may_end_with_jobs_that_never_began),
        TEST(lines_take_turns_and_each_keeps_its_order),
        TEST(threads_are_made_as_they_are_needed),
    };

    return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
