/*
 * phases.c - a guard and an observer around another plugin's event, "echo"; a guard of "login".
 *
 *   login "forbidden"      the guard refuses it: code `forbidden`
 *   echo "forbidden" ...   the guard refuses it: code `forbidden`
 *   echo "mine" ...        the guard handles it: ack or event `echo` with ["guarded"]
 *   echo ...               goes on to the plugin echo, if that is enabled
 *   observed               ack: how many echo events the observer has seen, of all three
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <string.h>

struct phases {
    hop_server *server; /* borrowed */
    json_int_t n_seen;
};

static hop_verdict guard(hop_socket socket, hop_event *event, void *self)
{
    struct phases *phases = self;
    const char *word;

    if (hop_event_unpack(event, "[s]", &word) < 0)
        return HOP_NEXT;
    if (strcmp(word, "forbidden") == 0)
        return hop_reject(event, "forbidden", "not this word");
    if (strcmp(word, "mine") != 0)
        return HOP_NEXT;
    if (hop_event_ack(event, json_pack("[s]", "guarded")) < 0)
        hop_emit(hop_to_socket(phases->server, socket), "echo",
                 json_pack("[s]", "guarded"));
    return HOP_STOP;
}

static hop_verdict observe(hop_socket socket, hop_event *event, void *self)
{
    struct phases *phases = self;

    (void)socket;
    phases->n_seen++;
    return hop_reject(event, "observer", "an observer's verdict does not count");
}

static hop_verdict on_observed(hop_socket socket, hop_event *event, void *self)
{
    struct phases *phases = self;

    (void)socket;
    hop_event_ack(event, json_pack("[I]", phases->n_seen));
    return HOP_STOP;
}

static int phases_init(hop_server *server, void *self)
{
    const hop_on_options before = {.size = sizeof before, .phase = HOP_GUARD};
    const hop_on_options behind = {.size = sizeof behind, .phase = HOP_OBSERVE};
    struct phases *phases = self;

    phases->server = server;
    hop_on_with(server, "echo", guard, phases, &before);
    hop_on_with(server, "login", guard, phases, &before);
    hop_on_with(server, "echo", observe, phases, &behind);
    hop_on(server, "observed", on_observed, phases);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("phases", "1.0", "guards and observes echo"),
    .state_size = sizeof(struct phases),
    .init = phases_init,
};
