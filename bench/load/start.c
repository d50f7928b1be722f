/*
 * start.c - the time from a server's start to the first login.
 */
#include "bench/load/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_STARTS = 15 };

/* Start the command; it says on one of its outputs where it listens. */
static pid_t spawn(char **command, FILE **output)
{
    int ends[2];
    pid_t child;

    if (pipe(ends) < 0)
        fail("pipe: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execvp(command[0], command);
        _exit(127);
    }
    close(ends[1]);
    *output = fdopen(ends[0], "r");
    return child;
}

static uint16_t read_port(FILE *output)
{
    char line[4096];
    unsigned port;

    while (fgets(line, sizeof line, output)) {
        const char *at = strstr(line, "listener.open ");
        const char *number = at ? strstr(at, " port=") : NULL;

        if (number && strstr(at, "address=127.0.0.1") &&
            sscanf(number, " port=%u", &port) == 1)
            return (uint16_t)port;
    }
    fail("the server did not start");
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double start_once(const struct options *options)
{
    struct options own = *options;
    uint64_t began_ns = now_ns();
    struct crowd crowd;
    FILE *output;
    double ms;
    pid_t child = spawn(options->operands, &output);

    own.port = read_port(output);
    crowd_init(&crowd, &own, 1);
    crowd_connect(&crowd, 1);
    ms = (double)(now_ns() - began_ns) / 1e6;
    crowd_done(&crowd);
    kill(child, SIGTERM);
    fclose(output);
    waitpid(child, NULL, 0);
    return ms;
}

void run_start(const struct options *options)
{
    double ms[N_STARTS];

    if (!options->n_operands)
        fail("start: what is to be started?");
    for (int i = 0; i < N_STARTS; i++)
        ms[i] = start_once(options);
    qsort(ms, N_STARTS, sizeof *ms, by_size);
    printf("{\"starts\":%d,\"ms\":%.2f,\"ms_max\":%.2f}\n", N_STARTS, ms[N_STARTS / 2],
           ms[N_STARTS - 1]);
}
