/*
 * versions.c - a plugin that is built twice, as 1.0 and as 2.0 (-DSECOND), to be reloaded.
 *
 *   version       ack [its version, its `word` key, how often it was asked, versions before it included]
 *   hold          deferred for 60 s: nobody resumes it
 *   ask           emits `question` to the sender with an ack that has a minute; ack ["asked"]
 *   live          ack [the keys `text` and `number`, what changed() was told of, by ","]
 *   marks         ack [what it keeps on the socket, and on its membership]
 *   dropped       ack [how many answers were told to be dropped, versions before it included]
 *   work          a job of 200 ms begins, ack ["begun"]; `worked` [its version] to all once it is done
 *   `tick`        [its version] to all, every 20 ms
 *   GET /version  the version
 *   /versions     a namespace for those who come with auth.token
 *
 * Keys: word (text); text and number (1 to 10), which may change while it runs; fail = init | restore: where it fails; stuck = yes: it keeps what it cannot save;
 * slots: how many it has on sockets; meddle = yes: it keeps a value on each socket and its membership of "marked", and
 * saving any of them takes those of the first socket away and cuts the second. Middleware lets in who has no auth.hold, and
 * defers the others for 60 s.
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef SECOND
#define VERSION "2.0"
#else
#define VERSION "1.0"
#endif

struct versions {
    hop_server *server; /* borrowed */
    const char *word;
    int fail;
    bool is_stuck;
    int64_t n_slots;
    bool is_meddler;
    hop_slot mark, membership;
    hop_socket first, second;
    const char *text;
    int64_t number;
    char told[64]; /* keys, each with a comma behind it */
    json_int_t n_asked, n_dropped;
};

enum { FAIL_NOWHERE, FAIL_INIT, FAIL_RESTORE };

static const hop_config_key versions_keys[] = {
    HOP_STRING(struct versions, word, "word", "", "what `version` tells"),
    HOP_CHOICE(struct versions, fail, "fail", "nowhere", "nowhere|init|restore",
               "where it fails"),
    HOP_STRING(struct versions, text, "text", "", "what `live` tells",
               .flags = HOP_KEY_RELOADABLE),
    HOP_INT(struct versions, number, "number", 1, 1, 10, "what `live` tells",
            .flags = HOP_KEY_RELOADABLE),
    HOP_INT(struct versions, n_slots, "slots", 0, 0, 100, "how many it has"),
    HOP_BOOL(struct versions, is_meddler, "meddle", false, "saving changes things"),
    HOP_BOOL(struct versions, is_stuck, "stuck", false, "keeps what it cannot save"),
    HOP_KEYS_END,
};

static hop_verdict on_version(hop_socket socket, hop_event *event, void *self)
{
    struct versions *versions = self;

    (void)socket;
    hop_event_ack(event,
                  json_pack("[s, s, I]", VERSION, versions->word, ++versions->n_asked));
    return HOP_STOP;
}

static hop_verdict on_hold(hop_socket socket, hop_event *event, void *self)
{
    (void)socket;
    (void)self;
    hop_event_defer(event, 60000);
    return HOP_DEFER;
}

static void on_answer(hop_socket socket, hop_ack_status status, json_t *args, void *self)
{
    struct versions *versions = self;

    (void)socket;
    (void)args;
    versions->n_dropped += status == HOP_ACK_DROPPED;
}

static hop_verdict on_ask(hop_socket socket, hop_event *event, void *self)
{
    struct versions *versions = self;

    hop_emit_with_ack(versions->server, socket, "question", NULL, 60000, on_answer,
                      versions);
    hop_event_ack(event, json_pack("[s]", "asked"));
    return HOP_STOP;
}

static hop_verdict on_dropped(hop_socket socket, hop_event *event, void *self)
{
    const struct versions *versions = self;

    (void)socket;
    hop_event_ack(event, json_pack("[I]", versions->n_dropped));
    return HOP_STOP;
}

static hop_verdict on_live(hop_socket socket, hop_event *event, void *self)
{
    const struct versions *versions = self;

    (void)socket;
    hop_event_ack(event, json_pack("[s, I, s]", versions->text,
                                   (json_int_t)versions->number, versions->told));
    return HOP_STOP;
}

static void versions_changed(void *self, const char *const *keys, size_t n)
{
    struct versions *versions = self;

    versions->told[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        strcat(versions->told, keys[i]);
        strcat(versions->told, ",");
    }
}

static void tick(hop_timer timer, void *self)
{
    const struct versions *versions = self;

    (void)timer;
    hop_emit(hop_to_all(versions->server), "tick", json_pack("[s]", VERSION));
}

static void work(void *self)
{
    (void)self;
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

static void worked(hop_job job, hop_job_status status, void *self)
{
    const struct versions *versions = self;

    (void)job;
    (void)status;
    hop_emit(hop_to_all(versions->server), "worked", json_pack("[s]", VERSION));
}

static hop_verdict on_work(hop_socket socket, hop_event *event, void *self)
{
    const struct versions *versions = self;

    (void)socket;
    hop_job_start(versions->server, work, worked, self);
    hop_event_ack(event, json_pack("[s]", "begun"));
    return HOP_STOP;
}

static hop_verdict let_in(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)self;
    if (!json_is_true(json_object_get(hop_connect_auth(connect), "hold")))
        return HOP_NEXT;
    hop_connect_defer(connect, 60000);
    return HOP_DEFER;
}

static hop_verdict ask_token(hop_socket socket, hop_connect *connect, void *self)
{
    (void)socket;
    (void)self;
    if (json_object_get(hop_connect_auth(connect), "token"))
        return HOP_NEXT;
    return hop_connect_reject(connect, "no token", NULL);
}

static void on_route(hop_request *request, void *self)
{
    (void)self;
    hop_respond(request, 200, "text/plain", VERSION, strlen(VERSION));
}

static json_t *versions_save(const void *self)
{
    const struct versions *versions = self;

    return json_pack("[I, I]", versions->n_asked, versions->n_dropped);
}

static int versions_restore(void *self, json_t *saved, hop_error *error)
{
    struct versions *versions = self;

    if (versions->fail == FAIL_RESTORE) {
        hop_error_set(error, "told to fail");
        return -1;
    }
    return json_unpack(saved, "[I, I]", &versions->n_asked, &versions->n_dropped);
}

static json_t *mark_save(const void *value, void *self)
{
    struct versions *versions = self;
    json_t *saved = json_string(value);

    hop_socket_set(versions->server, versions->first, versions->mark, NULL);
    hop_socket_leave(versions->server, versions->first, "marked");
    hop_socket_disconnect(versions->server, versions->second, HOP_CLOSE_TRANSPORT);
    return saved;
}

static void *mark_restore(json_t *saved, const hop_owner *owner, void *self)
{
    (void)owner;
    (void)self;
    return strdup(json_string_value(saved));
}

static void mark(hop_socket socket, void *self)
{
    struct versions *versions = self;

    versions->second = versions->second || !versions->first ? versions->second : socket;
    versions->first = versions->first ? versions->first : socket;
    hop_socket_join(versions->server, socket, "marked");
    hop_socket_set(versions->server, socket, versions->mark, strdup("marked"));
    hop_member_set(versions->server, socket, "marked", versions->membership,
                   strdup("a member"));
}

static hop_verdict on_marks(hop_socket socket, hop_event *event, void *self)
{
    struct versions *versions = self;

    hop_event_ack(event,
                  json_pack("[s?, s?]",
                            hop_socket_get(versions->server, socket, versions->mark),
                            hop_member_get(versions->server, socket, "marked",
                                           versions->membership)));
    return HOP_STOP;
}

static void init_marks(struct versions *versions)
{
    hop_slot_options options = {.size = sizeof options,
                                .on = HOP_ON_SOCKET,
                                .name = "mark",
                                .free = free,
                                .save = mark_save,
                                .restore = mark_restore,
                                .self = versions};

    versions->mark = hop_slot_new_with(versions->server, &options);
    options.on = HOP_ON_MEMBER;
    versions->membership = hop_slot_new_with(versions->server, &options);
    hop_on_connect(versions->server, mark, versions);
    hop_on(versions->server, "marks", on_marks, versions);
}

static int versions_init(hop_server *server, void *self)
{
    struct versions *versions = self;
    const hop_slot_options unsaved = {.size = sizeof unsaved, .on = HOP_ON_SERVER};

    versions->server = server;
    hop_on(server, "version", on_version, versions);
    hop_on(server, "hold", on_hold, versions);
    hop_on(server, "ask", on_ask, versions);
    hop_on(server, "live", on_live, versions);
    hop_on(server, "dropped", on_dropped, versions);
    hop_on(server, "work", on_work, versions);
    hop_timer_every(server, 20, tick, versions);
    hop_use(server, "/", let_in, versions);
    hop_route(server, "GET", "/version", on_route, versions);
    hop_namespace(server, "/versions");
    hop_use(server, "/versions", ask_token, versions);
    for (int64_t i = 0; i < versions->n_slots; i++)
        hop_slot_new(server, NULL);
    if (versions->is_meddler)
        init_marks(versions);
    if (versions->is_stuck)
        hop_server_set(server, hop_slot_new_with(server, &unsaved), versions);
    return versions->fail == FAIL_INIT ? hop_fail(server, "told to fail") : 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("versions", VERSION, "to be reloaded"),
    .state_size = sizeof(struct versions),
    .keys = versions_keys,
    .init = versions_init,
    .save = versions_save,
    .restore = versions_restore,
    .changed = versions_changed,
};
