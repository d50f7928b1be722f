/*
 * bad_event.c - registers a reserved event and returns 0: refused all the same (T12), and
 * freed, since it believes that it has started. Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>

struct bad_event {
    void *kept; /* owned */
};

static hop_verdict never(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)event;
    (void)self;
    return HOP_STOP;
}

static int bad_event_init(hop_server *server, void *self)
{
    struct bad_event *bad_event = self;

    bad_event->kept = malloc(1);
    hop_on(server, "disconnecting", never, self);
    return 0;
}

static void bad_event_free(void *self)
{
    struct bad_event *bad_event = self;

    free(bad_event->kept);
    hop_log(HOP_INFO, "bad_event.freed");
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_event", "1.0", "takes a reserved name"),
    .state_size = sizeof(struct bad_event),
    .init = bad_event_init,
    .free = bad_event_free,
};
