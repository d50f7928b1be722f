/*
 * jobs.c - blocking work of plugins: see jobs.h, <sockhop/job.h>.
 *
 * Each plugin has a line with the workers. The end of a job is posted to logic behind what the
 * job itself has posted, one post for each, and each takes the first that has ended.
 * Called by: plugins; async.c, loader.c (they go); workers.c, in a worker (tell_logic()).
 * Thread: logic, but for tell_logic() and hop_job_is_cancelled().
 */
#include "core/plugin/jobs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/job.h>
#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"
#include "core/plugin/workers.h"

enum { TELL_MS = 1000 /* a job that is waited for is named after that time */ };

/* The jobs of one plugin. */
struct job_line {
    struct line line;
    struct plugin *plugin;      /* borrowed: NULL for the core's */
    bool is_ending;             /* no more are taken */
    bool was_full;              /* and the log says so */
    void (*on_idle)(void *arg); /* NULL: nobody waits */
    void *arg;                  /* borrowed */
};

struct job {
    struct work work; /* first: a work is its job */
    hop_job id;
    struct job_line *line; /* borrowed */
    hop_job_done *done;    /* may be NULL */
};

struct jobs {
    hop_server *server; /* borrowed: NULL when it has gone */
    struct loop *logic; /* borrowed */
    struct slots by_id; /* owned objects: struct job */
    struct workers workers;
    struct job_line *core_line; /* owned: NULL before the first job */
    size_t n_taken;             /* whose post is still to come: it takes none */
    atomic_uint n_refs;         /* the server's, and one for each post */
};

/* ---- posts */

static void unref(struct jobs *jobs)
{
    if (atomic_fetch_sub(&jobs->n_refs, 1) == 1)
        free(jobs);
}

static void post(struct jobs *jobs, void (*work)(void *arg))
{
    atomic_fetch_add(&jobs->n_refs, 1);
    if (loop_post(jobs->logic, work, jobs) < 0)
        unref(jobs); /* the server stops, and collects them itself */
}

static void take_one(void *arg);

/* Thread: any. */
static void tell_logic(void *arg)
{
    post(arg, take_one);
}

struct jobs *jobs_new(hop_server *server)
{
    struct jobs *jobs = mem_calloc(1, sizeof *jobs);

    jobs->server = server;
    jobs->logic = server->loops->logic;
    atomic_init(&jobs->n_refs, 1);
    slots_init(&jobs->by_id, 0);
    workers_init(&jobs->workers, (unsigned)server->settings->n_workers, tell_logic, jobs);
    return jobs;
}

/* ---- lines */

static struct job_line *find_line(const struct jobs *jobs, const struct plugin *plugin)
{
    return plugin ? plugin->async.jobs : jobs->core_line;
}

static void set_line(struct jobs *jobs, struct plugin *plugin, struct job_line *line)
{
    if (plugin)
        plugin->async.jobs = line;
    else
        jobs->core_line = line;
}

static struct job_line *need_line(struct jobs *jobs, struct plugin *plugin)
{
    struct job_line *line = find_line(jobs, plugin);

    if (line)
        return line;
    line = mem_calloc(1, sizeof *line);
    line->plugin = plugin;
    line_init(&jobs->workers, &line->line, plugin && plugin->async.is_held);
    set_line(jobs, plugin, line);
    return line;
}

static const char *name_of(const struct plugin *plugin)
{
    return plugin ? plugin->name : "";
}

static bool is_idle(struct jobs *jobs, const struct job_line *line)
{
    size_t queued, running;

    return !line || workers_count(&jobs->workers, &line->line, &queued, &running) == 0;
}

/* ---- ends */

static void job_free(struct jobs *jobs, struct job *job)
{
    slots_remove(&jobs->by_id, job->id);
    free(job);
}

static void tell_idle(struct jobs *jobs, struct job_line *line)
{
    void (*call)(void *arg) = line->on_idle;

    if (!call || !is_idle(jobs, line))
        return;
    line->on_idle = NULL;
    call(line->arg);
}

static void deliver(struct jobs *jobs, struct job *job)
{
    const hop_job_status status = job->work.has_run ? HOP_JOB_DONE : HOP_JOB_CANCELLED;
    struct job_line *line = job->line;
    hop_job_done *done = job->done;
    void *self = job->work.self;
    hop_job id = job->id;
    struct call call;

    job_free(jobs, job);
    if (done) {
        call_begin_as(jobs->server, line->plugin, "hook", "job", &call);
        done(id, status, self);
        call_end(jobs->server, &call, "hook", "job");
    }
    tell_idle(jobs, line);
}

static struct job *take_ended(struct jobs *jobs, const struct job_line *line)
{
    return (struct job *)(void *)workers_take_ended(&jobs->workers,
                                                    line ? &line->line : NULL);
}

/* The post of an end. One that was taken out of its turn leaves a post behind, which may be
 * another's: each of those lets one go by, so that none is taken before its own. */
static void take_one(void *arg)
{
    struct jobs *jobs = arg;
    struct job *job = NULL;

    if (jobs->server && jobs->n_taken == 0)
        job = take_ended(jobs, NULL);
    else if (jobs->server)
        jobs->n_taken--;
    if (job)
        deliver(jobs, job);
    unref(jobs);
}

static struct job *take_early(struct jobs *jobs, const struct job_line *line)
{
    struct job *job = take_ended(jobs, line);

    if (job)
        jobs->n_taken++;
    return job;
}

/* ---- threads */

static void start_threads(struct jobs *jobs)
{
    if (workers_start(&jobs->workers) == 0)
        return;
    hop_log(HOP_ERROR, "job.no_thread reason=\"%s\" hint=\"all jobs are cancelled\"",
            strerror(errno));
    for (uint32_t slot = 0; slot < jobs->by_id.n; slot++) {
        struct job *job = slots_at(&jobs->by_id, slot);

        if (job)
            workers_cancel(&jobs->workers, &job->work);
    }
}

static void start_late(void *arg)
{
    struct jobs *jobs = arg;

    if (jobs->server)
        start_threads(jobs);
    unref(jobs);
}

/* No thread of ours is there before the server has given up root, and what it may not do
 * later. */
static void want_threads(struct jobs *jobs)
{
    if (atomic_load(&jobs->logic->is_running))
        start_threads(jobs);
    else
        post(jobs, start_late);
}

/* ---- the header's functions */

bool jobs_is_idle(hop_server *server, const struct plugin *plugin)
{
    return is_idle(server->jobs, find_line(server->jobs, plugin));
}

void jobs_cancel(hop_server *server, const struct plugin *plugin)
{
    struct job_line *line = find_line(server->jobs, plugin);

    if (line)
        workers_cancel_line(&server->jobs->workers, &line->line);
}

bool jobs_when_idle(hop_server *server, struct plugin *plugin, void (*call)(void *arg),
                    void *arg)
{
    struct job_line *line = find_line(server->jobs, plugin);

    if (is_idle(server->jobs, line))
        return true;
    line->on_idle = call;
    line->arg = arg;
    return false;
}

/* Wait for what runs. */
static bool await(struct jobs *jobs, const struct job_line *line)
{
    const int64_t ms = jobs->server->settings->jobs_timeout_ms,
                  first_ms = ms < TELL_MS ? ms : TELL_MS;

    if (workers_await(&jobs->workers, &line->line, first_ms))
        return true;
    hop_log(HOP_WARN,
            "job.awaited plugin=%s hint=\"work() should ask hop_job_is_cancelled()\"",
            name_of(line->plugin));
    return workers_await(&jobs->workers, &line->line, ms - first_ms);
}

int jobs_end(hop_server *server, struct plugin *plugin)
{
    struct jobs *jobs = server->jobs;
    struct job_line *line = need_line(jobs, plugin);
    struct job *job;

    line->is_ending = true;
    workers_cancel_line(&jobs->workers, &line->line);
    if (!await(jobs, line)) {
        hop_log(HOP_ERROR,
                "job.stuck plugin=%s jobs_timeout_ms=%" PRId64
                " hint=\"its free() is not called\"",
                name_of(plugin), server->settings->jobs_timeout_ms);
        return -1;
    }
    while ((job = take_early(jobs, line)))
        deliver(jobs, job);
    return 0;
}

void jobs_forget(hop_server *server, struct plugin *plugin)
{
    struct jobs *jobs = server->jobs;
    struct job_line *line = find_line(jobs, plugin);
    struct job *job;

    if (!line)
        return;
    workers_cancel_line(&jobs->workers, &line->line);
    while (!await(jobs, line))
        continue;
    while ((job = take_early(jobs, line)))
        job_free(jobs, job);
    line_done(&jobs->workers, &line->line);
    set_line(jobs, plugin, NULL);
    free(line);
}

void jobs_release(hop_server *server, struct plugin *plugin)
{
    struct job_line *line = find_line(server->jobs, plugin);

    if (!line)
        return;
    workers_hold(&server->jobs->workers, &line->line, false);
    want_threads(server->jobs);
}

void jobs_count(hop_server *server, const struct plugin *plugin, size_t *queued,
                size_t *running)
{
    const struct job_line *line = find_line(server->jobs, plugin);

    *queued = *running = 0;
    if (line)
        workers_count(&server->jobs->workers, &line->line, queued, running);
}

void jobs_free(struct jobs *jobs)
{
    jobs_forget(jobs->server, NULL);
    workers_done(&jobs->workers);
    slots_done(&jobs->by_id);
    jobs->server = NULL;
    unref(jobs);
}

/* ---- the public functions */

static bool is_full(struct jobs *jobs, struct job_line *line)
{
    const size_t max = (size_t)jobs->server->settings->max_jobs;
    size_t queued, running;

    workers_count(&jobs->workers, &line->line, &queued, &running);
    if (queued < max) {
        if (queued <= max / 2)
            line->was_full = false;
        return false;
    }
    if (!line->was_full)
        hop_log(HOP_WARN, "job.too_many plugin=%s max_jobs=%zu", name_of(line->plugin),
                max);
    line->was_full = true;
    return true;
}

hop_job hop_job_start(hop_server *server, hop_job_work *work, hop_job_done *done,
                      void *self)
{
    struct jobs *jobs = server->jobs;
    struct job_line *line;
    struct plugin *plugin;
    struct job *job;

    if (!on_logic(__func__) || !owner_find(server, (uintptr_t)work, &plugin))
        return HOP_NO_JOB;
    if (!work) {
        hop_log(HOP_ERROR, "job.refused plugin=%s reason=\"NULL is no work\"",
                name_of(plugin));
        return HOP_NO_JOB;
    }
    line = need_line(jobs, plugin);
    if (line->is_ending || is_full(jobs, line))
        return HOP_NO_JOB;
    job = mem_calloc(1, sizeof *job);
    job->id = slots_add(&jobs->by_id, job);
    if (!job->id) {
        free(job);
        return HOP_NO_JOB;
    }
    job->work.run = work;
    job->work.self = self;
    job->line = line;
    job->done = done;
    workers_add(&jobs->workers, &line->line, &job->work);
    if (!plugin || !plugin->async.is_held)
        want_threads(jobs);
    return job->id;
}

int hop_job_cancel(hop_server *server, hop_job id)
{
    struct job *job;

    if (!on_logic(__func__))
        return -1;
    job = slots_get(&server->jobs->by_id, id);
    return job && workers_cancel(&server->jobs->workers, &job->work) ? 0 : -1;
}

bool hop_job_is_cancelled(void)
{
    return workers_is_cancelled();
}
