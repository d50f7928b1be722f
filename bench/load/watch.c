/*
 * watch.c - clocks, what the server uses of the machine, and latencies.
 */
#include "bench/load/load.h"

#include "bench/count.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    REST_MS = 30, /* without any work: the server is at rest */
    MAX_WAIT_MS = 5000,
    MAX_THREADS = 64,
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Read the ns on a CPU of each of the server's threads; returns how many there are. */
static int read_threads(const struct options *options, uint64_t *ns)
{
    char path[64];
    struct dirent *entry;
    DIR *folder;
    int n = 0;

    snprintf(path, sizeof path, "/proc/%d/task", (int)options->pid);
    folder = opendir(path);
    if (!folder)
        fail("no process %d", (int)options->pid);
    while ((entry = readdir(folder)) && n < MAX_THREADS) {
        char file[sizeof path + sizeof entry->d_name + 16];
        FILE *stream;

        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(file, sizeof file, "%s/%s/schedstat", path, entry->d_name);
        stream = fopen(file, "r");
        if (!stream)
            continue;
        if (fscanf(stream, "%lu", &ns[n]) == 1)
            n++;
        fclose(stream);
    }
    closedir(folder);
    return n;
}

uint64_t server_cpu_ns(const struct options *options)
{
    uint64_t ns[MAX_THREADS], sum = 0;
    int n;

    if (!options->pid)
        return 0;
    n = read_threads(options, ns);
    for (int i = 0; i < n; i++)
        sum += ns[i];
    return sum;
}

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L},
              NULL);
}

/* The ticks of timers do not count as work. */
uint64_t server_rest_ns(const struct options *options)
{
    uint64_t before, after = server_cpu_ns(options);

    for (unsigned waited = 0; options->pid && waited < MAX_WAIT_MS; waited += REST_MS) {
        before = after;
        sleep_ms(REST_MS);
        after = server_cpu_ns(options);
        if (after - before < REST_MS * 1000000ull / 100)
            break;
    }
    return after;
}

static uint64_t shares_before[MAX_THREADS];

void thread_shares_begin(const struct options *options)
{
    memset(shares_before, 0, sizeof shares_before);
    if (options->pid)
        read_threads(options, shares_before);
}

const char *thread_shares(const struct options *options)
{
    static char text[MAX_THREADS * 8];
    uint64_t ns[MAX_THREADS], sum = 0;
    size_t at = 1;
    int n = options->pid ? read_threads(options, ns) : 0;

    for (int i = 0; i < n; i++)
        sum += ns[i] -= shares_before[i];
    strcpy(text, "[");
    for (int i = 0; i < n && sum; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%.1f", i ? "," : "",
                               100.0 * (double)ns[i] / (double)sum);
    snprintf(text + at, sizeof text - at, "]");
    return text;
}

long server_rss(const struct options *options)
{
    char path[64], line[256];
    long kib = -1;
    FILE *stream;

    server_rest_ns(options);
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)options->pid);
    stream = fopen(path, "r");
    if (!stream)
        fail("no process %d", (int)options->pid);
    while (kib < 0 && fgets(line, sizeof line, stream))
        if (sscanf(line, "Rss: %ld kB", &kib) != 1)
            kib = -1;
    fclose(stream);
    return kib * 1024;
}

/* ---- counters */

static const struct count_row *count_rows(const struct options *options)
{
    static const struct count_row *rows;
    int fd;

    if (rows)
        return rows;
    fd = open(options->counters, O_RDONLY | O_CLOEXEC);
    rows = mmap(NULL, COUNT_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || rows == MAP_FAILED)
        fail("%s: cannot be read", options->counters);
    close(fd);
    return rows;
}

static void read_counters(const struct options *options, uint64_t *values)
{
    const struct count_row *rows;

    if (!options->counters)
        return;
    rows = count_rows(options);
    for (int i = 0; i < COUNT_ROWS; i++)
        values[i] = __atomic_load_n(&rows[i].n, __ATOMIC_RELAXED);
}

void print_counters(const struct stretch *stretch, const struct options *options,
                    double n)
{
    const struct count_row *rows;

    if (!options->counters)
        return;
    rows = count_rows(options);
    for (int i = 0; i < COUNT_ROWS && rows[i].name[0]; i++)
        printf(",\"%s\":%.4f", rows[i].name, (double)(int64_t)stretch->counters[i] / n);
}

void stretch_begin(struct stretch *stretch, const struct options *options)
{
    read_counters(options, stretch->counters);
    stretch->server_ns = server_cpu_ns(options);
    stretch->own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    stretch->wall_ns = now_ns();
}

void stretch_end(struct stretch *stretch, const struct options *options)
{
    uint64_t counters[COUNT_ROWS] = {0};

    stretch->wall_ns = now_ns() - stretch->wall_ns;
    stretch->own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - stretch->own_ns;
    stretch->server_ns = server_rest_ns(options) - stretch->server_ns;
    read_counters(options, counters);
    for (int i = 0; i < COUNT_ROWS; i++)
        stretch->counters[i] = counters[i] - stretch->counters[i];
}

/* ---- latencies */

/* 32 steps for each power of two. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned power = ns < 32 ? 0 : 58 - (unsigned)__builtin_clzll(ns);

    return ns < 32 ? (unsigned)ns : (power + 1) * 32 + (unsigned)(ns >> power & 31);
}

void latency_add(struct latencies *latencies, uint64_t ns)
{
    latencies->counts[bucket_of(ns)]++;
    latencies->n++;
}

double latency_us(const struct latencies *latencies, double quantile)
{
    uint64_t seen = 0, wanted = (uint64_t)(quantile * (double)latencies->n);

    for (unsigned i = 0; i < sizeof latencies->counts / sizeof *latencies->counts; i++) {
        seen += latencies->counts[i];
        if (seen > wanted || (seen == latencies->n && seen)) {
            uint64_t ns = i < 32 ? i : (uint64_t)(32 + i % 32) << (i / 32 - 1);
            return (double)ns / 1000;
        }
    }
    return 0;
}
