/*
 * job.h - work that blocks or takes long, in threads of the server.
 *
 * While a handler runs, nobody else is served. What waits for a disk, a database or another
 * server, or computes for more than some milliseconds, is a job: work() runs in one of
 * server.workers threads, then done() in the logic thread.
 */
#ifndef SOCKHOP_JOB_H
#define SOCKHOP_JOB_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * One job, by value. It may be stored for as long as one likes: cancelling one that is over
 * does nothing and says so. HOP_NO_JOB is never one.
 */
typedef uint64_t hop_job;
#define HOP_NO_JOB ((hop_job)0)

typedef enum hop_job_status {
    HOP_JOB_DONE,     /* work() has returned */
    HOP_JOB_CANCELLED /* it never ran: cancelled, its plugin goes, or there are no threads */
} hop_job_status;

/*
 * The work. It may block; of the server it may call what says "Thread: any". It must not
 * wait for the logic thread, which may wait for it: see below. Thread: a worker.
 */
typedef void hop_job_work(void *self);

/* The end of a job, exactly once. What work() has posted has run by then. Thread: logic. */
typedef void hop_job_done(hop_job job, hop_job_status status, void *self);

/*
 * Have work(self) run in a worker thread, then done(job, status, self) in the logic thread.
 *   work  jobs of one plugin begin in their order, and run at the same time; plugins that
 *         have jobs waiting take turns
 *   done  may be NULL
 *   self  the plugin's own: work() has it to itself, unless the plugin sees to it otherwise;
 *         it must live until done() has been called
 *
 * No job begins before the server runs, and none of a plugin before its init() has returned
 * 0: where that fails, done() is not called.
 *
 * When a plugin goes, jobs that have not begun are cancelled and those that run are asked to
 * stop (hop_job_is_cancelled()) and awaited; done() of all comes before the plugin's free().
 * From then on no job can be started. A server that stops waits for server.jobs_timeout;
 * then it does not call that plugin's free(), stops the others, and ends with status 1.
 *
 * In init() and at any time after it. Returns the job, or HOP_NO_JOB, and done() is not
 * called then: when limits.max_jobs of the plugin wait to begin, when the plugin is going,
 * or, with a line in the log, when work is NULL. Thread: logic.
 */
HOP_API hop_job hop_job_start(hop_server *server, hop_job_work *work, hop_job_done *done,
                              void *self);

/*
 * Cancel a job that has not begun: done() comes in a later turn, with HOP_JOB_CANCELLED.
 * Returns 0, or -1 when it has begun, and is then asked to stop by hop_job_is_cancelled()
 * but ends as HOP_JOB_DONE; or is over. Thread: logic.
 */
HOP_API int hop_job_cancel(hop_server *server, hop_job job);

/*
 * Whether the job at hand should come to its end, since it was cancelled or its plugin goes:
 * for work that takes long, to ask now and then. Nothing but a hint: it is not ended by
 * force. Thread: any; false outside of work(), also in threads that work() has started.
 */
HOP_API bool hop_job_is_cancelled(void);

#ifdef __cplusplus
}
#endif

#endif
