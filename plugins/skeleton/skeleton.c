/*
 * skeleton.c - the plugin to copy: one of everything that most plugins need.
 *
 * What it does: on connect a client gets the event "greeting" with a text from the conf
 * file. Each "note" of a client is kept (the last one) and counted, and its ack tells the
 * number and the note before. When the client goes, the log tells how many it wrote.
 *
 * To make your own: copy the folder to plugins/NAME/, rename the two files, replace
 * "skeleton" by NAME, and list the files in Makefile.am as skeleton's are. Outside of
 * this tree, one compiler call is enough; see README.md.
 *
 * Called by: core/plugin/loader.c (check, init, free), dispatch.c and hooks.c (handlers).
 * Thread: logic. All code of plugins runs there, one call at a time: so no locks, and
 * nothing that waits (files, other servers), for everyone would wait with it.
 */
#include <stdlib.h>
#include <string.h>

#include <sockhop/sockhop.h>

/*
 * The plugin's state: the server allocates it, zeroed, fills the members that the table
 * of keys names, and gives it to init() and free() as `self`. No global variables needed.
 */
struct skeleton {
    hop_server *server;   /* borrowed: outlives every plugin */
    hop_slot slot;        /* of struct writer */
    const char *greeting; /* borrowed from the config: lives as long as we do */
    size_t max_bytes;     /* longest note, in bytes of UTF-8 */
    char *last;           /* owned: the last note of all clients; NULL before the first */
};

/* What we remember of one socket: its slot holds a pointer to this. */
struct writer {
    int64_t n_notes;
};

/*
 * Our section of the conf file, [plugin:skeleton]: name, default, help. Values are
 * checked before init() runs, and a key that is not here stops the start. A new greeting
 * takes effect while we run; for a new max_bytes we are replaced, at SIGHUP both.
 */
static const hop_config_key skeleton_keys[] = {
    HOP_STRING(struct skeleton, greeting, "greeting", "hello", "text that a client gets",
               .flags = HOP_KEY_RELOADABLE),
    HOP_SIZE_RANGE(struct skeleton, max_bytes, "max_bytes", 200, 1, 65536,
                   "longest note, bytes"),
    HOP_KEYS_END,
};

/*
 * When the plugin is reloaded, the old code saves and the new code restores: first the state,
 * then each slot's values. Without these a plugin with values would not be reloaded.
 */
static json_t *skeleton_save(const void *self)
{
    const struct skeleton *skeleton = self;

    return json_pack("{s:s?}", "last", skeleton->last);
}

static int skeleton_restore(void *self, json_t *saved, hop_error *error)
{
    struct skeleton *skeleton = self;
    const char *last = json_string_value(json_object_get(saved, "last"));

    if (!last)
        return 0;
    skeleton->last = strdup(last);
    if (skeleton->last)
        return 0;
    hop_error_set(error, "no memory for the last note");
    return -1;
}

static json_t *writer_save(const void *value, void *self)
{
    const struct writer *writer = value;

    (void)self;
    return json_integer(writer->n_notes);
}

static void *writer_restore(json_t *saved, const hop_owner *owner, void *self)
{
    struct writer *writer = calloc(1, sizeof *writer);

    (void)owner;
    (void)self;
    if (writer)
        writer->n_notes = json_integer_value(saved);
    return writer; /* NULL: the old code goes on */
}

/* Lifecycle is no event: a client may emit one that is called "connect". */
static void on_connect(hop_socket socket, void *self)
{
    struct skeleton *skeleton = self;
    struct writer *writer = calloc(1, sizeof *writer);

    /* From here on the slot owns it; it gives it to free() when the socket has gone. */
    if (!writer || hop_socket_set(skeleton->server, socket, skeleton->slot, writer) < 0) {
        free(writer);
        return;
    }
    hop_emit(hop_to_socket(skeleton->server, socket), "greeting",
             json_pack("[s]", skeleton->greeting)); /* [arguments], released for us */
}

/* Slots are still set here; the socket itself gets nothing any more. */
static void on_disconnect(hop_socket socket, const char *reason, void *self)
{
    struct skeleton *skeleton = self;
    const struct writer *writer =
        hop_socket_get(skeleton->server, socket, skeleton->slot);

    if (writer)
        hop_log(HOP_DEBUG, "skeleton.left notes=%lld reason=\"%s\"",
                (long long)writer->n_notes, reason);
}

/*
 * One event of a client. Whatever it sends, it must not hurt us: types and lengths are
 * checked first, and a refusal says what would be right.
 */
static hop_verdict on_note(hop_socket socket, hop_event *event, void *self)
{
    struct skeleton *skeleton = self;
    struct writer *writer = hop_socket_get(skeleton->server, socket, skeleton->slot);
    const char *note; /* borrowed from the event: copy what has to live longer */
    char *copy;

    if (!writer)
        return HOP_NEXT; /* not ours: let other plugins have it */
    if (hop_event_unpack(event, "[s]", &note) < 0)
        return hop_reject(event, "bad_note", "a note as text, please");
    if (strlen(note) > skeleton->max_bytes)
        return hop_reject(event, "too_long", "longer than max_bytes");
    copy = strdup(note);
    if (!copy)
        return hop_reject(event, "no_memory", "try again later");

    /* The ack comes before the change only because it tells the note before. It does
     * nothing (and says so by -1) when the client asked for none. */
    writer->n_notes++;
    hop_event_ack(event,
                  json_pack("[{s:b, s:I, s:s?}]", "ok", true, "notes",
                            (json_int_t)writer->n_notes, "before", skeleton->last));
    free(skeleton->last);
    skeleton->last = copy;
    return HOP_STOP; /* handled: later plugins are not asked */
}

/*
 * What the table of keys cannot say. `sockhop -t` asks as well, so that a check means what
 * it says: nothing but the state may be looked at here.
 */
static int skeleton_check(const void *self, const char **key, hop_error *error)
{
    const struct skeleton *skeleton = self;

    if (*skeleton->greeting != '\0')
        return 0;
    *key = "greeting"; /* the error then names its file and line */
    hop_error_set(error, "is empty: write a text or remove the key");
    return -1;
}

/*
 * Called once, before the first client. Registrations that fail are remembered with their
 * reason, and the plugin is refused at the end of init(): no need to check each one.
 */
static int skeleton_init(hop_server *server, void *self)
{
    struct skeleton *skeleton = self;

    skeleton->server = server;
    skeleton->slot =
        hop_slot_new_with(server, &(hop_slot_options){.size = sizeof(hop_slot_options),
                                                      .on = HOP_ON_SOCKET,
                                                      .name = "writer",
                                                      .free = free,
                                                      .save = writer_save,
                                                      .restore = writer_restore});
    hop_on_connect(server, on_connect, skeleton);
    hop_on_disconnect(server, on_disconnect, skeleton);
    hop_on(server, "note", on_note, skeleton);
    return 0;
}

/* Called once, after the last client: what we acquired. The state goes without us. */
static void skeleton_free(void *self)
{
    struct skeleton *skeleton = self;

    free(skeleton->last);
}

/* The one thing that a plugin exports. */
HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("skeleton", "1.0", "the one to copy"),
    .state_size = sizeof(struct skeleton),
    .keys = skeleton_keys,
    .init = skeleton_init,
    .free = skeleton_free,
    .check = skeleton_check,
    .save = skeleton_save,
    .restore = skeleton_restore,
};
