/*
 * escape.c - tries what only an intruder would, and tells what became of it (T45).
 *
 * The event "try" with the name of a call answers its errno, 0 when it succeeded.
 * Called by: privileges.test.js. Thread: logic.
 */
#include <sockhop/sockhop.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct escape {
    pthread_t thread;
    sem_t end;
};

static long try_execve(void)
{
    char *const words[] = {(char[]){"true"}, NULL};

    return execv("/bin/true", words); /* a success ends the server */
}

static long try_fork(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return child;
}

static long try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_mount(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static long try_unshare(void)
{
    return unshare(CLONE_NEWUSER);
}

static long try_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0)
        close(fd);
    return fd;
}

static long try_kill(void)
{
    return kill(getppid(), 0);
}

static long try_setuid(void)
{
    return setuid(0);
}

static long try_bpf(void)
{
    return syscall(SYS_bpf, -1, NULL, 0);
}

static long try_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 0, NULL);
}

static long try_unlink(void)
{
    return unlink("/nowhere/at/all");
}

/* Code that came over the network. */
static long try_code(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return -1;
    munmap(page, 4096);
    return 0;
}

/* What server.user may not read: 0 only for root. */
static long try_shadow(void)
{
    int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd;
}

static const struct {
    const char *name;
    long (*call)(void);
} calls[] = {
    {"execve", try_execve},     {"fork", try_fork},       {"ptrace", try_ptrace},
    {"mount", try_mount},       {"unshare", try_unshare}, {"socket", try_socket},
    {"kill", try_kill},         {"setuid", try_setuid},   {"bpf", try_bpf},
    {"io_uring", try_io_uring}, {"unlink", try_unlink},   {"code", try_code},
    {"shadow", try_shadow},
};

static hop_verdict on_try(hop_socket socket, hop_event *event, void *self)
{
    const char *name;

    (void)socket;
    (void)self;
    if (hop_event_unpack(event, "[s]", &name) < 0)
        return hop_reject(event, "bad_call", "a call's name, please");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0) {
            long result = calls[i].call();

            hop_event_ack(event, json_pack("[i]", result < 0 ? errno : 0));
            return HOP_STOP;
        }
    return hop_reject(event, "bad_call", "no such call");
}

/* A thread from before the rights are given up. */
static void *wait_for_end(void *end)
{
    while (sem_wait(end) < 0)
        continue;
    return NULL;
}

static int escape_init(hop_server *server, void *self)
{
    struct escape *escape = self;

    hop_on(server, "try", on_try, NULL);
    sem_init(&escape->end, 0, 0);
    return pthread_create(&escape->thread, NULL, wait_for_end, &escape->end) ? -1 : 0;
}

static void escape_free(void *self)
{
    struct escape *escape = self;

    sem_post(&escape->end);
    pthread_join(escape->thread, NULL);
    sem_destroy(&escape->end);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("escape", "1.0", "tries to get out"),
    .state_size = sizeof(struct escape),
    .init = escape_init,
    .free = escape_free,
};
