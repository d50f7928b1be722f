/*
 * meter.c - metrics that clients change, from the logic thread and from jobs.
 *
 *   add NAME VALUE, set NAME VALUE, observe NAME VALUE   ack [0 or -1]; NAME: events, level, seconds,
 *                                                        read, write (both of the label of ops)
 *   jobs N      N jobs add 1 to events a thousand times each; ack [] when the last is done
 *   keep        the handle of events is kept on the socket: ack []
 *   late        ack [what adding to the kept one returns]
 *
 * Its keys make it register something that is refused, fail behind all, or add 1 to events, again
 * and again, in a thread of its own that ends with its free(). Thread: logic, but for work() and
 * add_on().
 */
#include <pthread.h>
#include <sockhop/sockhop.h>
#include <stdatomic.h>
#include <string.h>

struct meter {
    hop_server *server; /* borrowed */
    hop_metric events, level, seconds, ops;
    const char *bad;   /* borrowed: from the conf file */
    const char *bound; /* borrowed: the first of seconds */
    bool fail, thread, opens, sets;
    pthread_t adder; /* where thread is set */
    atomic_bool must_end;
    hop_late_ack *ack; /* owned: of jobs, or NULL */
    int n_left;
};

static const hop_config_key keys[] = {
    HOP_STRING(struct meter, bad, "bad", "", "what is wrong"),
    HOP_STRING(struct meter, bound, "bound", "0.1", "the first bound of seconds"),
    HOP_BOOL(struct meter, fail, "fail", false, "whether init() fails in the end"),
    HOP_BOOL(struct meter, opens, "opens", false, "whether init() adds one to level"),
    HOP_BOOL(struct meter, sets, "sets", false, "whether init() sets level to 3"),
    HOP_BOOL(struct meter, thread, "thread", false, "whether a thread adds all the time"),
    HOP_KEYS_END,
};

static hop_metric find(const struct meter *meter, const char *name)
{
    if (strcmp(name, "events") == 0)
        return meter->events;
    if (strcmp(name, "level") == 0)
        return meter->level;
    if (strcmp(name, "seconds") == 0)
        return meter->seconds;
    return hop_metric_of(meter->ops, strcmp(name, "write") == 0);
}

static hop_verdict answer(hop_event *event, int result)
{
    hop_event_ack(event, json_pack("[i]", result));
    return HOP_STOP;
}

typedef int changer(hop_metric metric, double value);

static hop_verdict on_change(hop_event *event, const struct meter *meter, changer *change)
{
    const char *name;
    double value;

    if (hop_event_unpack(event, "[sF]", &name, &value) < 0)
        return hop_reject(event, "bad", "a name and a number");
    return answer(event, change(find(meter, name), value));
}

static hop_verdict on_add(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    return on_change(event, self, hop_metric_add);
}

static hop_verdict on_set(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    return on_change(event, self, hop_metric_set);
}

static hop_verdict on_observe(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    return on_change(event, self, hop_metric_observe);
}

static void work(void *self)
{
    const struct meter *meter = self;

    for (int i = 0; i < 1000; i++)
        hop_metric_add(meter->events, 1);
}

static void on_done(hop_job job, hop_job_status status, void *self)
{
    struct meter *meter = self;

    (void)job;
    (void)status;
    if (--meter->n_left == 0) {
        hop_late_ack_send(meter->ack, json_array());
        meter->ack = NULL;
    }
}

static hop_verdict on_jobs(hop_socket socket, hop_event *event, void *self)
{
    struct meter *meter = self;
    int n;

    (void)socket;
    if (meter->ack || hop_event_unpack(event, "[i]", &n) < 0 || n < 1)
        return hop_reject(event, "bad", "a number of jobs");
    meter->ack = hop_event_take_ack(event);
    meter->n_left = n;
    while (n-- > 0)
        hop_job_start(meter->server, work, on_done, meter);
    return HOP_STOP;
}

/* On the socket, as that outlives this code. */
static hop_verdict on_keep(hop_socket socket, hop_event *event, void *self)
{
    const struct meter *meter = self;
    json_t *data = hop_socket_data(meter->server, socket);

    json_object_set_new(data, "kept", json_integer((json_int_t)meter->events));
    hop_event_ack(event, json_array());
    return HOP_STOP;
}

static hop_verdict on_late(hop_socket socket, hop_event *event, void *self)
{
    const struct meter *meter = self;
    const json_t *data = hop_socket_data(meter->server, socket);

    return answer(
        event,
        hop_metric_add((hop_metric)json_integer_value(json_object_get(data, "kept")), 1));
}

static void *add_on(void *self)
{
    struct meter *meter = self;

    while (!atomic_load(&meter->must_end))
        hop_metric_add(meter->events, 1);
    return NULL;
}

/* One more that the server refuses. */
static void register_bad(hop_server *server, const char *bad)
{
    static const double down[] = {2, 1};
    static const char *const twice[] = {"a", "a"};

    if (strcmp(bad, "name") == 0)
        hop_gauge(server, "x} 1\nfake_metric", "a line of its own");
    else if (strcmp(bad, "help") == 0)
        hop_gauge(server, "x", "two\nlines");
    else if (strcmp(bad, "counter") == 0)
        hop_counter(server, "x", "no _total");
    else if (strcmp(bad, "gauge") == 0)
        hop_gauge(server, "x_total", "no counter");
    else if (strcmp(bad, "row") == 0)
        hop_gauge(server, "seconds_count", "a row of the histogram");
    else if (strcmp(bad, "end") == 0)
        hop_gauge(server, "sum", "a row of another plugin's");
    else if (strcmp(bad, "twice") == 0)
        hop_gauge(server, "level", "again");
    else if (strcmp(bad, "bounds") == 0)
        hop_histogram(server, "x", "bounds that fall", down, 2);
    else if (strcmp(bad, "label") == 0)
        hop_metric_new(server, &(hop_metric_options){.size = sizeof(hop_metric_options),
                                                     .kind = HOP_GAUGE,
                                                     .name = "x",
                                                     .help = "twice the same",
                                                     .label = "a",
                                                     .values = twice,
                                                     .n_values = 2});
}

/* Up to the last that a plugin may have, and one more. */
static void register_many(hop_server *server)
{
    char name[] = "x00";

    for (int i = 0; i <= 64; i++) {
        name[1] = (char)('0' + i / 10);
        name[2] = (char)('0' + i % 10);
        hop_gauge(server, name, "one of many");
    }
}

static int init(hop_server *server, void *self)
{
    static const char *const ops[] = {"read", "write"};
    struct meter *meter = self;
    const double bounds[] = {strcmp(meter->bound, "0.1") == 0 ? 0.1 : 0.2, 1};

    meter->server = server;
    meter->events = hop_counter(server, "events_total", "things that have happened");
    meter->level = hop_gauge(server, "level", "where it stands: \"a\\b\"");
    meter->seconds = hop_histogram(server, "seconds", "how long it took", bounds, 2);
    meter->ops =
        hop_metric_new(server, &(hop_metric_options){.size = sizeof(hop_metric_options),
                                                     .kind = HOP_COUNTER,
                                                     .name = "ops_total",
                                                     .help = "what was done, by kind",
                                                     .label = "op",
                                                     .values = ops,
                                                     .n_values = 2});
    hop_metric_add(hop_metric_of(meter->ops, 0), 1);
    if (meter->opens)
        hop_metric_add(meter->level, 1);
    if (meter->sets)
        hop_metric_set(meter->level, 3);
    hop_on(server, "add", on_add, meter);
    hop_on(server, "set", on_set, meter);
    hop_on(server, "observe", on_observe, meter);
    hop_on(server, "jobs", on_jobs, meter);
    hop_on(server, "keep", on_keep, meter);
    hop_on(server, "late", on_late, meter);
    register_bad(server, meter->bad);
    if (strcmp(meter->bad, "many") == 0)
        register_many(server);
    if (meter->fail)
        return hop_fail(server, "told to fail");
    if (meter->thread && pthread_create(&meter->adder, NULL, add_on, meter) != 0)
        return hop_fail(server, "no thread");
    return 0;
}

static void end(void *self)
{
    struct meter *meter = self;

    atomic_store(&meter->must_end, true);
    if (meter->thread)
        pthread_join(meter->adder, NULL);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("meter", "1.0", "metrics that clients change"),
    .state_size = sizeof(struct meter),
    .keys = keys,
    .init = init,
    .free = end,
};
