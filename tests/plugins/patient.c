/*
 * patient.c - says how it is, as clients tell it, from a job.
 *
 *   is NAME STATE TEXT   ack [0 or -1]; NAME: database or cache, STATE: 0 to 2 (or what is none)
 *
 * Thread: logic, but for work().
 */
#include <sockhop/sockhop.h>
#include <stdio.h>
#include <string.h>

struct patient {
    hop_server *server; /* borrowed */
    hop_health database, cache;
    const char *word; /* borrowed */
    const char *name; /* borrowed */
    bool fail, farewell;

    hop_late_ack *ack; /* owned: of the one job, or NULL */
    hop_health which;
    int state, result;
    char text[300];
};

static const hop_config_key keys[] = {
    HOP_STRING(struct patient, word, "word", "", "any, for a reload"),
    HOP_STRING(struct patient, name, "name", "database", "of the first check"),
    HOP_BOOL(struct patient, farewell, "farewell", false, "whether free() says so"),
    HOP_BOOL(struct patient, fail, "fail", false, "whether init() fails in the end"),
    HOP_KEYS_END,
};

static void work(void *self)
{
    struct patient *patient = self;

    patient->result =
        hop_health_set(patient->which, (hop_health_state)patient->state, patient->text);
}

static void on_done(hop_job job, hop_job_status status, void *self)
{
    struct patient *patient = self;

    (void)job;
    (void)status;
    hop_late_ack_send(patient->ack, json_pack("[i]", patient->result));
    patient->ack = NULL;
}

static hop_verdict on_is(hop_socket socket, hop_event *event, void *self)
{
    struct patient *patient = self;
    const char *name, *text;

    (void)socket;
    if (patient->ack ||
        hop_event_unpack(event, "[sis]", &name, &patient->state, &text) < 0)
        return hop_reject(event, "bad", "a name, a state and a text");
    patient->which = strcmp(name, "cache") == 0 ? patient->cache : patient->database;
    snprintf(patient->text, sizeof patient->text, "%s", text);
    patient->ack = hop_event_take_ack(event);
    hop_job_start(patient->server, work, on_done, patient);
    return HOP_STOP;
}

static int init(hop_server *server, void *self)
{
    struct patient *patient = self;

    patient->server = server;
    patient->database = hop_health_new(server, patient->name);
    patient->cache = hop_health_new(server, "cache");
    hop_health_set(patient->cache, HOP_HEALTHY, NULL);
    hop_on(server, "is", on_is, patient);
    return patient->fail ? hop_fail(server, "told to fail") : 0;
}

static void end(void *self)
{
    const struct patient *patient = self;

    if (patient->farewell)
        hop_health_set(patient->database, HOP_UNHEALTHY, "closing");
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("patient", "1.0", "says how it is"),
    .state_size = sizeof(struct patient),
    .keys = keys,
    .init = init,
    .free = end,
};
