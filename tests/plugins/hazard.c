/*
 * hazard.c - does what plugins must not, where it is asked to; and tells what ready() sees.
 *
 *   do WHAT MS     in the handler
 *   join WHAT MS   in a join hook
 *   post WHAT MS   in the next turn, from hop_post()
 *   thread WHAT MS in a thread of its own
 *   fine           acks: the server is well
 *   echo           seen by a guard, before that of another plugin (key `before`)
 *
 * WHAT: sleep (MS of them), loop, segfault, fpe, abort, overflow (the stack). Any event may be
 * watched by a guard for all of them (key `watch`), which does the same for `watched`.
 *
 * Thread: logic.
 */
#include <pthread.h>
#include <sockhop/sockhop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct hazard {
    hop_server *server; /* borrowed */
    bool watch;
    const char *in_init; /* WHAT to do there; "": nothing */
    const char *token;
    int64_t pin;
    const char *before; /* a plugin: a guard of echo comes before its own */
    char what[32];      /* of the post, the thread */
    int64_t ms;
    pthread_t thread;
    bool has_thread;
};

static const hop_config_key hazard_keys[] = {
    HOP_BOOL(struct hazard, watch, "watch", false, "whether a guard sees every event"),
    HOP_STRING(struct hazard, in_init, "in_init", "", "what goes wrong at the start"),
    HOP_STRING(struct hazard, token, "token", "", "what nobody must see",
               .flags = HOP_KEY_SECRET),
    HOP_INT(struct hazard, pin, "pin", 1234, 1000, 9999, "a number that nobody must see",
            .flags = HOP_KEY_SECRET | HOP_KEY_RELOADABLE),
    HOP_STRING(struct hazard, before, "before", "",
               "plugin whose guard of echo is second"),
    HOP_KEYS_END,
};

static void sleep_for(int64_t ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) < 0)
        ;
}

static void loop_for_good(void)
{
    volatile bool goes_on = true;

    while (goes_on)
        ;
}

static int fill_the_stack(volatile int *depth)
{
    volatile char page[1024];

    if (*depth < 0)
        return 0; /* never, but the compiler does not know */
    page[0] = (char)*depth;
    ++*depth;
    return fill_the_stack(depth) + page[0];
}

static void do_harm(const char *what, int64_t ms)
{
    volatile int zero = 0, one = 1;
    volatile int *volatile nowhere = NULL;

    if (strcmp(what, "sleep") == 0)
        sleep_for(ms);
    else if (strcmp(what, "loop") == 0)
        loop_for_good();
    else if (strcmp(what, "segfault") == 0)
        *nowhere = 1;
    else if (strcmp(what, "fpe") == 0)
        one = one / zero;
    else if (strcmp(what, "abort") == 0)
        abort();
    else if (strcmp(what, "overflow") == 0)
        fill_the_stack(&zero);
}

/* What the event asks for, kept for later. */
static int keep(struct hazard *hazard, hop_event *event)
{
    json_int_t ms = 0;
    const char *what;

    if (hop_event_unpack(event, "[sI]", &what, &ms) < 0)
        return -1;
    snprintf(hazard->what, sizeof hazard->what, "%s", what);
    hazard->ms = ms;
    return 0;
}

static void harm(void *self)
{
    struct hazard *hazard = self;

    do_harm(hazard->what, hazard->ms);
}

static void *harm_elsewhere(void *self)
{
    harm(self);
    return NULL;
}

static hop_verdict on_do(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    if (keep(self, event) == 0)
        harm(self);
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict on_join_event(hop_socket socket, hop_event *event, void *self)
{
    struct hazard *hazard = self;

    if (keep(hazard, event) == 0)
        hop_socket_join(hazard->server, socket, "harm");
    return HOP_STOP;
}

static void on_join(hop_socket socket, const char *room, void *self)
{
    (void)socket;
    (void)room;
    harm(self);
}

static hop_verdict on_post(hop_socket socket, hop_event *event, void *self)
{
    struct hazard *hazard = self;

    (void)socket;
    if (keep(hazard, event) == 0)
        hop_post(hazard->server, harm, hazard);
    return HOP_STOP;
}

static hop_verdict on_thread(hop_socket socket, hop_event *event, void *self)
{
    struct hazard *hazard = self;

    (void)socket;
    if (keep(hazard, event) == 0 && !hazard->has_thread)
        hazard->has_thread =
            pthread_create(&hazard->thread, NULL, harm_elsewhere, hazard) == 0;
    return HOP_STOP;
}

static hop_verdict on_fine(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    hop_event_ack(event, NULL);
    return HOP_STOP;
}

static hop_verdict guard(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    if (strcmp(hop_event_name(event), "watched") == 0 && keep(self, event) == 0)
        harm(self);
    return HOP_NEXT;
}

static int hazard_init(hop_server *server, void *self)
{
    struct hazard *hazard = self;
    const hop_on_options first = {
        .size = sizeof first, .phase = HOP_GUARD, .before = hazard->before, .nsp = "*"};

    hazard->server = server;
    do_harm(hazard->in_init, 0);
    if (hazard->watch)
        hop_on_any(server, guard, hazard);
    if (*hazard->before)
        hop_on_with(server, "echo", guard, hazard, &first);
    hop_on(server, "do", on_do, hazard);
    hop_on(server, "join", on_join_event, hazard);
    hop_on(server, "post", on_post, hazard);
    hop_on(server, "thread", on_thread, hazard);
    hop_on(server, "fine", on_fine, hazard);
    return hop_on_join(server, on_join, hazard);
}

static void note_ready(void *self)
{
    (void)self;
    hop_log(HOP_INFO, "hazard.posted");
}

static void hazard_ready(hop_server *server, void *self)
{
    int result = hop_on(server, "late", on_fine, self);

    hop_post(server, note_ready, self);
    hop_log(HOP_INFO, "hazard.ready late_on=%d", result);
}

static void hazard_free(void *self)
{
    struct hazard *hazard = self;

    if (hazard->has_thread)
        pthread_join(hazard->thread, NULL);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("hazard", "6.6", "does what plugins must not"),
    .state_size = sizeof(struct hazard),
    .keys = hazard_keys,
    .init = hazard_init,
    .free = hazard_free,
    .ready = hazard_ready,
};
