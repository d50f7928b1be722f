/*
 * pressure.c - the cap on memory in all: see pressure.h.
 *
 * Called by: net.c and conn.c (probe), listener.c and core/engine/open.c (refuse), daemon.c. A round
 * is three records to every shard: collect (its sizes come back), shed (what was freed
 * comes back, a turn later), resume. Thread: measuring (meter.c) any; a round shard 0;
 * collect and shed each shard.
 */
#include "core/net/pressure.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/loop/loop.h"
#include "core/net/meter.h"
#include "core/net/net.h"

enum {
    HOLDER_MIN = 1024, /* who holds less is not closed: nothing would be won */
    BUCKETS = 24,      /* of sizes: each twice the one before */
    TIGHT_MS = 5000,
    STUCK_MS = 100, /* no further round when one freed nothing; below the cap TIGHT_MS */
    LOG_EVERY_MS = 1000,
    LARGE_BYTES = 256 << 10, /* from here on, what is freed goes back at once */
    PROBES = 64, /* measured when clients of all shards have grown by such a part, */
    PROBE_MIN = 64 << 10, /* but not for less, nor only for more */
    PROBE_MAX = 16 << 20
};

/* One shard's part of a round. Thread: shard 0, but for the walk. */
struct pressure_part {
    struct pressure *pressure; /* borrowed */
    struct net *net;           /* borrowed */
    struct holders holders;    /* between collect and shed; the shard's */
    size_t held[BUCKETS];      /* in all, by size of the holder */
};

struct pressure {
    struct loops *loops; /* borrowed */
    size_t max_bytes, tight_bytes, relaxed_bytes;
    struct meter meter;

    /* any thread */
    atomic_bool is_full;       /* a round is due or under way */
    _Atomic uint64_t tight_ms; /* since when; 0: it is not */
    _Atomic uint64_t stuck_ms; /* no round before, */
    _Atomic uint64_t calm_ms;  /* nor before this below the cap */
    atomic_bool was_passed;    /* the cap, since the last line logged */

    /* a round: shard 0 */
    unsigned n_awaited;
    unsigned n_closed_now; /* in this round */
    unsigned n_closed;     /* since the last line of the log */
    size_t closed_bytes;
    uint64_t logged_ms;
    struct pressure_part part[LOOPS_MAX];
};

static uint64_t clock_ms(void)
{
    return meter_clock_us() / 1000;
}

static size_t measure(struct pressure *pressure, bool must_be_fresh)
{
    size_t used = meter_read(&pressure->meter, must_be_fresh);

    if (used < pressure->tight_bytes)
        atomic_store(&pressure->tight_ms, 0);
    else if (!atomic_load(&pressure->tight_ms))
        atomic_store(&pressure->tight_ms, clock_ms());
    return used;
}

/* ---- holders */

void holders_add(struct holders *holders, const struct holder *holder)
{
    if (holder->bytes < HOLDER_MIN)
        return;
    if (holders->n == holders->cap) {
        holders->cap = holders->cap ? holders->cap * 2 : 64;
        holders->all = mem_realloc(holders->all, holders->cap * sizeof *holders->all);
    }
    holders->all[holders->n++] = *holder;
}

static int most_first(const void *a, const void *b)
{
    const struct holder *left = a, *right = b;

    return (left->bytes < right->bytes) - (left->bytes > right->bytes);
}

static unsigned bucket_of(size_t bytes)
{
    unsigned bucket = 0;

    while (bytes >= 2 * HOLDER_MIN && bucket < BUCKETS - 1) {
        bytes /= 2;
        bucket++;
    }
    return bucket;
}

/* ---- a round; each step is a record with its part */

struct step {
    struct pressure_part *part;
    size_t bytes;      /* shed: to free; shed_done: freed */
    size_t idle_bytes; /* shed: to free of those who have not joined */
    unsigned n;        /* shed_done: closed */
};

static void to_shard(lane_work *work, const struct step *step)
{
    struct loop *first = step->part->pressure->loops->loop[0];

    *(struct step *)loop_send(first, step->part->net->loop, work, sizeof *step, 0) =
        *step;
}

static void to_first(lane_work *work, const struct step *step)
{
    struct loop *first = step->part->pressure->loops->loop[0];

    *(struct step *)loop_send(step->part->net->loop, first, work, sizeof *step, 0) =
        *step;
}

static void to_all(struct pressure *pressure, lane_work *work)
{
    for (unsigned i = 0; i < pressure->loops->n_shards; i++)
        to_shard(work, &(struct step){.part = &pressure->part[i]});
}

static void begin_round(struct pressure *pressure);

/* Thread: shard. */
static void take_resume(struct loop *loop, void *payload)
{
    const struct step *step = payload;

    (void)loop;
    net_resume(step->part->net);
}

static int64_t count(const struct pressure *pressure, enum metric id)
{
    struct metrics *all[LOOPS_MAX];

    for (unsigned i = 0; i < pressure->loops->n_loops; i++)
        all[i] = &pressure->loops->loop[i]->metrics;
    return metric_sum(all, pressure->loops->n_loops, id);
}

static void log_round(struct pressure *pressure, size_t used)
{
    uint64_t now_ms = loop_now(pressure->loops->loop[0]);
    const char *word;

    if (!pressure->n_closed && used <= pressure->tight_bytes) {
        atomic_store(&pressure->was_passed, false);
        return; /* it had fallen by itself */
    }
    if (pressure->logged_ms && now_ms - pressure->logged_ms < LOG_EVERY_MS)
        return;
    pressure->logged_ms = now_ms;
    word = atomic_exchange(&pressure->was_passed, false) ? "full" : "tight";
    if (pressure->n_closed)
        hop_log(HOP_WARN,
                "memory.%s closed=%u held=%zu used=%zu max=%zu hint=\"these clients held "
                "the most, had not joined or were silent; raise limits.max_memory, if "
                "they are not hostile\"",
                word, pressure->n_closed, pressure->closed_bytes, used,
                pressure->max_bytes);
    else
        hop_log(HOP_WARN,
                "memory.%s closed=0 held=0 used=%zu max=%zu connections=%" PRId64
                " sessions=%" PRId64 " hint=\"none of these holds 1 kB; raise "
                "limits.max_memory, or look at the plugins\"",
                word, used, pressure->max_bytes, count(pressure, METRIC_CONNECTIONS),
                count(pressure, METRIC_SESSIONS_POLLING) +
                    count(pressure, METRIC_SESSIONS_WEBSOCKET));
    pressure->n_closed = 0;
    pressure->closed_bytes = 0;
}

static void judge_round(struct pressure *pressure)
{
    size_t used = measure(pressure, true);

    log_round(pressure, used);
    if (used > pressure->max_bytes && pressure->n_closed_now) {
        begin_round(pressure); /* bytes that many hold were counted for each */
        return;
    }
    if (used > pressure->max_bytes) /* nobody could be closed */
        atomic_store(&pressure->stuck_ms, clock_ms() + STUCK_MS);
    if (!pressure->n_closed_now)
        atomic_store(&pressure->calm_ms, clock_ms() + TIGHT_MS);
    atomic_store(&pressure->is_full, false);
    to_all(pressure, take_resume);
}

static void take_shed_done(struct loop *loop, void *payload)
{
    const struct step *step = payload;
    struct pressure *pressure = step->part->pressure;

    (void)loop;
    pressure->n_closed += step->n;
    pressure->n_closed_now += step->n;
    pressure->closed_bytes += step->bytes;
    if (--pressure->n_awaited == 0)
        judge_round(pressure);
}

/* Thread: shard. In the turn behind: what goes with a turn's end has gone. */
static void take_closed(struct loop *loop, void *payload)
{
    (void)loop;
    to_first(take_shed_done, payload);
}

/* Thread: shard. */
static void take_shed(struct loop *loop, void *payload)
{
    struct step step = *(const struct step *)payload;
    struct holders *holders = &step.part->holders;
    struct step done = {.part = step.part};

    if (holders->end_idle && step.idle_bytes)
        done.bytes = holders->end_idle(holders->idle_arg, step.idle_bytes, &done.n);
    step.bytes += done.bytes;
    for (size_t i = 0; i < holders->n && done.bytes < step.bytes; i++) {
        const struct holder *holder = &holders->all[i];

        holder->end(holder->arg, holder->who);
        done.bytes += holder->bytes;
        done.n++;
    }
    metric_add(&loop->metrics, METRIC_SHED, done.n);
    free(holders->all);
    *holders = (struct holders){0};
    *(struct step *)loop_send_next_turn(loop, take_closed, sizeof done) = done;
}

static size_t held_in(const struct pressure *pressure, unsigned bucket)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < pressure->loops->n_shards; i++)
        bytes += pressure->part[i].held[bucket];
    return bytes;
}

/* Those who have not joined go first where that is enough, else last. */
static size_t idle_share(const struct pressure *pressure, size_t need, size_t *idle)
{
    size_t held = 0;

    *idle = 0;
    for (unsigned i = 0; i < pressure->loops->n_shards; i++)
        *idle += pressure->part[i].holders.idle_bytes;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        held += held_in(pressure, bucket);
    if (*idle >= need)
        return need;
    return need > held ? (need - held < *idle ? need - held : *idle) : 0;
}

/* The largest first, whoever's they are: all of the upper buckets, and of the last one that
 * is needed, of each shard the same part. */
static void share_out(struct pressure *pressure)
{
    size_t used = measure(pressure, true);
    size_t need = used > pressure->relaxed_bytes ? used - pressure->relaxed_bytes : 0;
    size_t idle, of_idle = idle_share(pressure, need, &idle);
    unsigned last = BUCKETS - 1;
    double part_of_last;
    size_t held;

    need -= of_idle;

    while ((held = held_in(pressure, last)) < need && last > 0) {
        need -= held;
        last--;
    }
    part_of_last = held > need ? (double)need / (double)held : 1.0;
    pressure->n_awaited = pressure->loops->n_shards;
    for (unsigned i = 0; i < pressure->loops->n_shards; i++) {
        struct step step = {.part = &pressure->part[i]};

        for (unsigned bucket = last + 1; bucket < BUCKETS; bucket++)
            step.bytes += step.part->held[bucket];
        step.bytes += (size_t)(part_of_last * (double)step.part->held[last]);
        if (of_idle)
            step.idle_bytes =
                (size_t)((double)of_idle * (double)step.part->holders.idle_bytes /
                         (double)idle);
        to_shard(take_shed, &step);
    }
}

static void take_collected(struct loop *loop, void *payload)
{
    const struct step *step = payload;

    (void)loop;
    if (--step->part->pressure->n_awaited == 0)
        share_out(step->part->pressure);
}

/* Thread: shard. */
static void take_collect(struct loop *loop, void *payload)
{
    struct pressure_part *part = ((const struct step *)payload)->part;

    (void)loop;
    net_collect(part->net, &part->holders);
    if (part->holders.n > 0)
        qsort(part->holders.all, part->holders.n, sizeof *part->holders.all, most_first);
    memset(part->held, 0, sizeof part->held);
    for (size_t i = 0; i < part->holders.n; i++)
        part->held[bucket_of(part->holders.all[i].bytes)] += part->holders.all[i].bytes;
    to_first(take_collected, &(struct step){.part = part});
}

static void begin_round(struct pressure *pressure)
{
    pressure->n_closed_now = 0;
    pressure->n_awaited = pressure->loops->n_shards;
    to_all(pressure, take_collect);
}

static void take_begin(struct loop *loop, void *payload)
{
    (void)loop;
    begin_round(*(struct pressure **)payload);
}

static void demand_round(struct pressure *pressure, struct loop *loop)
{
    if (clock_ms() < atomic_load(&pressure->stuck_ms) ||
        atomic_exchange(&pressure->is_full, true))
        return;
    *(struct pressure **)loop_send(loop, pressure->loops->loop[0], take_begin,
                                   sizeof pressure, 0) = pressure;
}

/* ---- the interface */

struct pressure *pressure_new(struct loops *loops, struct net *const *nets,
                              size_t max_bytes)
{
    struct pressure *pressure;
    size_t probe_bytes = max_bytes / PROBES / loops->n_shards;

    if (!max_bytes)
        return NULL;
    pressure = mem_calloc(1, sizeof *pressure);
    pressure->loops = loops;
    pressure->max_bytes = max_bytes;
    pressure->tight_bytes = max_bytes - max_bytes / 10;
    pressure->relaxed_bytes = max_bytes - max_bytes / 5;
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    meter_init(&pressure->meter, max_bytes, pressure->tight_bytes);
    for (unsigned i = 0; i < loops->n_shards; i++) {
        pressure->part[i].pressure = pressure;
        pressure->part[i].net = nets[i];
        nets[i]->pressure = pressure;
        nets[i]->probe_bytes = (int64_t)(probe_bytes < PROBE_MIN   ? PROBE_MIN
                                         : probe_bytes > PROBE_MAX ? PROBE_MAX
                                                                   : probe_bytes);
    }
    return pressure;
}

void pressure_free(struct pressure *pressure)
{
    if (!pressure)
        return;
    for (unsigned i = 0; i < pressure->loops->n_shards; i++)
        free(pressure->part[i].holders.all);
    meter_done(&pressure->meter);
    free(pressure);
}

bool pressure_is_tight(struct pressure *pressure, struct loop *loop)
{
    uint64_t since_ms, now_ms;

    if (!pressure || !atomic_load(&pressure->tight_ms))
        return false;
    measure(pressure, false); /* it may be over */
    since_ms = atomic_load(&pressure->tight_ms);
    if (!since_ms)
        return false;
    now_ms = clock_ms();
    if (now_ms - since_ms > TIGHT_MS && now_ms >= atomic_load(&pressure->calm_ms))
        demand_round(pressure, loop);
    return true;
}

bool pressure_is_full(const struct pressure *pressure)
{
    return pressure && atomic_load_explicit(&pressure->is_full, memory_order_relaxed);
}

void pressure_probe(struct pressure *pressure, struct loop *loop)
{
    if (measure(pressure, false) <= pressure->max_bytes)
        return;
    atomic_store(&pressure->was_passed, true);
    demand_round(pressure, loop);
}
