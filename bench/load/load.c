/*
 * load.c - the load generator's command line. See load.h.
 */
#include "bench/load/load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name, *help;
    void (*run)(const struct options *options);
} works[] = {
    {"fanout",
     "SIZE:WINDOW[:SENDERS[:RATE]]...  messages to all, a phase for each operand",
     run_fanout},
    {"echo", "SIZE  an emit with ack from each client, --depth at a time", run_echo},
    {"idle", "N...  memory for each client when there are so many of them", run_idle},
    {"login", "connect, join, login, leave, --clients at a time", run_login},
    {"notices", "--clients logins, each told to all who are there", run_notices},
    {"poll", "SIZE  messages to all, who hold polls", run_poll},
    {"storm", "--clients cut at once, until all are back", run_storm},
    {"start", "COMMAND...  from its start to the first login", run_start},
};

_Noreturn void fail(const char *format, ...)
{
    va_list list;

    fputs("load: ", stderr);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(1);
}

void *allocate(size_t n)
{
    void *memory = calloc(1, n);

    if (!memory)
        fail("out of memory");
    return memory;
}

static void usage(FILE *to)
{
    fputs("load WORK [OPTION...] [OPERAND...]: put a server under load\n\n", to);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++)
        fprintf(to, "  %-8s %s\n", works[i].name, works[i].help);
    fputs("\n  --port PORT       of the server, on 127.0.0.1\n"
          "  --pid PID         of the server, for its CPU and memory\n"
          "  --clients N       1,000 if nothing is said\n"
          "  --depth N         1 if nothing is said\n"
          "  --seconds S       how long a phase lasts at least; 1 if nothing is said\n"
          "  --counters FILE   where the server counts (bench/count.c)\n"
          "  --nchan           publish to /pub, subscribe to /sub\n"
          "  --polling         of idle: held polls\n",
          to);
}

static unsigned positive(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*end || value <= 0 || value > 1000000000)
        fail("\"%s\" is no number above 0", text);
    return (unsigned)value;
}

static void read_options(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},
        {"pid", required_argument, NULL, 'i'},
        {"clients", required_argument, NULL, 'n'},
        {"depth", required_argument, NULL, 'd'},
        {"seconds", required_argument, NULL, 's'},
        {"counters", required_argument, NULL, 'c'},
        {"nchan", no_argument, NULL, 'N'},
        {"polling", no_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    for (int letter; (letter = getopt_long(argc, argv, "+h", known, NULL)) != -1;) {
        switch (letter) {
        case 'p':
            options->port = (uint16_t)positive(optarg);
            break;
        case 'i':
            options->pid = (pid_t)positive(optarg);
            break;
        case 'n':
            options->n_clients = positive(optarg);
            break;
        case 'd':
            options->depth = positive(optarg);
            break;
        case 's':
            options->seconds = strtod(optarg, NULL);
            break;
        case 'c':
            options->counters = optarg;
            break;
        case 'N':
            options->is_nchan = true;
            break;
        case 'P':
            options->over_polling = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            exit(2);
        }
    }
    options->operands = argv + optind;
    options->n_operands = argc - optind;
}

/* As many descriptors as we may have. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    struct options options = {.n_clients = 1000, .depth = 1, .seconds = 1};

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    raise_limit();
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    read_options(&options, argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        if (strcmp(argv[1], works[i].name) == 0) {
            works[i].run(&options);
            return 0;
        }
    }
    fail("there is no work \"%s\": see load --help", argv[1]);
}
