/*
 * crash.c - the report of a crash: see crash.h.
 *
 * The handler allocates nothing, takes no lock and calls what POSIX allows in one, but for
 * backtrace(), which is called once at start, so that what it loads is there; the report's
 * head is out before it. A fault in the handler ends the process, since its signals are
 * blocked there; where it hangs, in a lock that the crash has left behind, an alarm does.
 * Called by: main.c, loop.c (threads), core/plugin/server.c (plugins). Thread: any.
 */
#include "core/base/crash.h"

#include "config.h"

#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/base/running.h"

#ifndef HOP_VERSION
#define HOP_VERSION "unknown"
#endif

enum {
    STACK_BYTES = 64 << 10, /* backtrace() takes some 10 KiB of it */
    FRAMES = 64,            /* of a recursion without end it shows enough */
    LIST_BYTES = 2048,
    REPORT_BYTES = 1024,
    REPORT_SECONDS = 10,  /* then an alarm ends the process */
    NEAR_BYTES = 64 << 10 /* a fault so near to the stack's end is one of the stack */
};

static const struct {
    int number;
    const char *name;
} signals[] = {
    {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
    {SIGILL, "SIGILL"},   {SIGABRT, "SIGABRT"},
};

enum { SIGNALS = sizeof signals / sizeof *signals };

static _Thread_local const char *thread_name; /* NULL: one that a plugin has made */

static char lists[2][LIST_BYTES]; /* one is read while the other is written */
static _Atomic(const char *) plugins = "";

/* ---- text without stdio */

struct report {
    char text[REPORT_BYTES];
    size_t len;
};

static void add(struct report *report, const char *text)
{
    for (; *text && report->len < sizeof report->text; text++)
        report->text[report->len++] = *text;
}

static void add_hex(struct report *report, uint64_t number, int n_digits)
{
    char digits[17] = "";

    for (int i = n_digits; i-- > 0; number >>= 4)
        digits[i] = "0123456789abcdef"[number & 15];
    add(report, digits);
}

/* A client has chosen it: it stays within its quotes. */
static void add_quoted(struct report *report, const char *text)
{
    char one[2] = "";

    add(report, "\"");
    for (; *text; text++) {
        one[0] = *text;
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\') {
            add(report, "\\x");
            add_hex(report, (unsigned char)*text, 2);
        } else {
            add(report, one);
        }
    }
    add(report, "\"");
}

static void put(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, text, len);

        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
}

/* ---- the report */

/* Where the stack of the code that was interrupted ends; 0: not known here. */
static uintptr_t stack_pointer(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#else
    (void)context;
    return 0;
#endif
}

static bool is_stack_overflow(int number, const siginfo_t *info, const void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr, sp = stack_pointer(context);

    return number == SIGSEGV && info->si_code > 0 && sp && address + NEAR_BYTES > sp &&
           address < sp + NEAR_BYTES;
}

static void add_who(struct report *report)
{
    struct running running;

    add(report, " thread=");
    add(report, thread_name ? thread_name : "other");
    if (!thread_name || strcmp(thread_name, "logic") != 0 || !running_get(&running))
        return;
    add(report, " plugin=");
    add(report, running.plugin);
    if (!running.kind)
        return;
    add(report, " ");
    add(report, running.kind);
    add(report, "=");
    add_quoted(report, running.what);
}

static void write_head(int number, const siginfo_t *info, const void *context)
{
    struct report report = {.len = 0};
    const char *name = "?";

    for (int i = 0; i < SIGNALS; i++)
        if (signals[i].number == number)
            name = signals[i].name;
    add(&report, "server.crashed signal=");
    add(&report, name);
    if (info->si_code > 0) { /* the kernel's, not another process's */
        add(&report, " address=0x");
        add_hex(&report, (uintptr_t)info->si_addr, 2 * sizeof(void *));
    }
    add_who(&report);
    if (is_stack_overflow(number, info, context))
        add(&report, " hint=\"the stack is full\"");
    add(&report, " version=" HOP_VERSION "\n");
    put(report.text, report.len);
}

static void write_plugins(void)
{
    static const char head[] = "server.crashed plugins=\"";
    const char *list = atomic_load_explicit(&plugins, memory_order_acquire);

    put(head, strlen(head));
    put(list, strlen(list));
    put("\"\n", strlen("\"\n"));
}

static void write_backtrace(void)
{
    static const char head[] = "server.crashed backtrace, of the thread at hand:\n";
    void *frames[FRAMES];
    int n;

    put(head, strlen(head));
    n = backtrace(frames, FRAMES);
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
}

/* Whoever crashes while another thread reports waits: that one ends the process. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    static atomic_flag is_reported = ATOMIC_FLAG_INIT;

    while (atomic_flag_test_and_set(&is_reported))
        poll(NULL, 0, -1);
    signal(SIGALRM, SIG_DFL);
    alarm(REPORT_SECONDS);
    write_head(number, info, context);
    write_plugins();
    write_backtrace();
    for (int i = 0; i < SIGNALS; i++)
        signal(signals[i].number, SIG_DFL);
    if (info->si_code <= 0)
        raise(number); /* comes once this returns; a fault comes again by itself */
}

/* ---- the header's functions */

#ifdef HAVE_SANITIZER
static const bool is_wanted = false;
#else
static const bool is_wanted = true;
#endif

void crash_install(void)
{
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK};
    void *frames[1];

    if (!is_wanted)
        return;
    backtrace(frames, 1); /* loads what it needs */
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&action.sa_mask, signals[i].number);
    for (int i = 0; i < SIGNALS; i++)
        sigaction(signals[i].number, &action, NULL);
    crash_thread_begin("logic");
}

void crash_thread_begin(const char *name)
{
    stack_t stack = {.ss_size = STACK_BYTES};

    thread_name = name;
    if (!is_wanted)
        return;
    stack.ss_sp = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack.ss_sp == MAP_FAILED)
        return; /* its own stack serves, unless that is full */
    if (sigaltstack(&stack, NULL) < 0)
        munmap(stack.ss_sp, STACK_BYTES);
}

void crash_thread_end(void)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    stack_t stack;

    if (!is_wanted || sigaltstack(&none, &stack) < 0 || (stack.ss_flags & SS_DISABLE))
        return;
    munmap(stack.ss_sp, STACK_BYTES);
}

void crash_unblock(sigset_t *blocked)
{
    for (int i = 0; i < SIGNALS; i++)
        sigdelset(blocked, signals[i].number);
}

void crash_set_plugins(const char *list)
{
    static int which;

    which = !which;
    snprintf(lists[which], sizeof lists[which], "%s", list);
    atomic_store_explicit(&plugins, lists[which], memory_order_release);
}
