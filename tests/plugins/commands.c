/*
 * commands.c - a plugin with a command of each kind.
 *
 *   commands say TEXT...   answers the texts
 *   commands list N        answers N rows
 *   commands nothing       answers that there is nothing to tell
 *   commands fail TEXT     answers that it failed
 *   commands silent        gives no answer
 *   commands bytes         answers what is no UTF-8
 *   commands twice         answers twice, and defers then: tells what that returned
 *   commands job MS        defers, and answers from a worker after that time
 *   commands never MS      defers for that time, and never answers
 *
 * Thread: logic, and a worker.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <time.h>

struct commands {
    hop_server *server; /* borrowed */
    int after_answer;
};

struct work {
    hop_server *server;
    hop_deferral deferral;
    long ms;
};

static void run_say(hop_command_call *call, size_t n, const char *const *args, void *self)
{
    json_t *list = json_array();

    (void)self;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(args[i]));
    hop_command_answer(call, list);
}

static void run_list(hop_command_call *call, size_t n, const char *const *args,
                     void *self)
{
    json_t *list = json_array();

    (void)self;
    for (int i = 0; n == 1 && i < atoi(args[0]); i++)
        json_array_append_new(list,
                              json_pack("{s:i, s:s}", "number", i, "text", "\x1b[31m"));
    hop_command_answer(call, list);
}

static void run_nothing(hop_command_call *call, size_t n, const char *const *args,
                        void *self)
{
    (void)n;
    (void)args;
    (void)self;
    hop_command_answer(call, NULL);
}

static void run_fail(hop_command_call *call, size_t n, const char *const *args,
                     void *self)
{
    (void)self;
    hop_command_fail(call, "because of %s", n > 0 ? args[0] : "nothing");
}

static void run_silent(hop_command_call *call, size_t n, const char *const *args,
                       void *self)
{
    (void)call;
    (void)n;
    (void)args;
    (void)self;
}

static void run_bytes(hop_command_call *call, size_t n, const char *const *args,
                      void *self)
{
    (void)n;
    (void)args;
    (void)self;
    hop_command_answer(call, json_stringn_nocheck("\xe9", 1));
}

static void run_twice(hop_command_call *call, size_t n, const char *const *args,
                      void *self)
{
    struct commands *commands = self;

    (void)n;
    (void)args;
    hop_command_answer(call, json_integer(commands->after_answer));
    commands->after_answer = hop_command_answer(call, json_string("no")) == -1 &&
                             hop_command_fail(call, "no") == -1 &&
                             hop_command_defer(call, 1000) == 0;
}

static void work(void *arg)
{
    struct work *work = arg;

    nanosleep(&(struct timespec){work->ms / 1000, work->ms % 1000 * 1000000}, NULL);
    hop_command_resume(work->server, work->deferral, json_string("worked"), NULL);
    hop_command_resume(work->server, work->deferral, NULL, "too late");
}

static void worked(hop_job job, hop_job_status status, void *arg)
{
    (void)job;
    (void)status;
    free(arg);
}

static void run_job(hop_command_call *call, size_t n, const char *const *args, void *self)
{
    struct commands *commands = self;
    struct work *job = malloc(sizeof *job);

    *job = (struct work){commands->server, hop_command_defer(call, 20000),
                         n > 0 ? atol(args[0]) : 0};
    hop_job_start(commands->server, work, worked, job);
}

static void run_never(hop_command_call *call, size_t n, const char *const *args,
                      void *self)
{
    (void)self;
    hop_command_defer(call, n > 0 ? atoi(args[0]) : 60000);
}

static int commands_init(hop_server *server, void *self)
{
    struct commands *commands = self;

    commands->server = server;
    hop_command(server, "say", "TEXT...", "say it again", run_say, self);
    hop_command(server, "list", "N", "rows", run_list, self);
    hop_command(server, "nothing", "", "nothing to tell", run_nothing, self);
    hop_command(server, "fail", "[TEXT]", "fail", run_fail, self);
    hop_command(server, "silent", "", "no answer", run_silent, self);
    hop_command(server, "bytes", "", "no UTF-8", run_bytes, self);
    hop_command(server, "twice", "", "answers twice", run_twice, self);
    hop_command(server, "job", "MS", "answers from a worker", run_job, self);
    hop_command(server, "never", "MS", "never answers", run_never, self);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("commands", "1.0", "a command of each kind"),
    .state_size = sizeof(struct commands),
    .init = commands_init,
};
