/*
 * conformance.c - answers what outside test suites and clients ask of a server, in four
 * profiles: docs/CONFORMANCE.md.
 *
 *   key   profile = smoke   proto, smoke, client or engine
 *
 * A profile also has timings and limits, which are the server's settings and not a plugin's
 * to change. So, where they are not in force yet, init() starts the server anew in the same
 * process with them on its command line, before those of whoever started it.
 *
 * Here: the choice of the profile. conformance_proto.c, conformance_smoke.c,
 * conformance_client.c and conformance_engine.c: what each answers. Thread: logic.
 */
#include "tests/plugins/conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static const hop_config_key conformance_keys[] = {
    HOP_CHOICE(struct conformance, profile, "profile", "smoke",
               "proto|smoke|client|engine", "what is answered: see docs/CONFORMANCE.md"),
    HOP_BOOL(struct conformance, is_prepared, "prepared", false,
             "set by the plugin itself: the profile's settings are in force"),
    HOP_KEYS_END,
};

/* ---- the settings of a profile */

enum { MAX_SETTINGS = 6, MAX_ARGUMENTS = 256, MAX_COMMAND_LINE = 64 * 1024 };

/* Not const, as execv() wants its words. */
static char settings[][MAX_SETTINGS][40] = {
    [PROFILE_PROTO] = {"engine.ping_interval=300ms", "engine.ping_timeout=200ms",
                       "engine.connect_timeout=1s", "engine.origins=*"},
    [PROFILE_SMOKE] = {""}, /* tests/conformance.ini has what it needs */
    [PROFILE_CLIENT] = {"engine.ping_interval=2s", "engine.allow_eio3=no"},
    [PROFILE_ENGINE] = {"engine.allow_eio3=no", "engine.ping_interval=500ms",
                        "engine.max_http_buffer_size=100"},
};

/* This process's command line: words with a NUL behind each. Returns its length, or -1. */
static ssize_t read_command_line(char *text, size_t size)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = 0, n = -1;

    if (fd < 0)
        return -1;
    while ((size_t)len < size && (n = read(fd, text + len, size - (size_t)len)) > 0)
        len += n;
    close(fd);
    return n == 0 ? len : -1; /* the whole of it, or an error */
}

/* Become the same server with the profile's settings. Root stays root: the rights to become
 * somebody else do not survive an exec (core/privileges.c). Returns only when that fails. */
static int start_anew(const struct conformance *conformance)
{
    static char text[MAX_COMMAND_LINE], option[] = "-o",
                                        mark[] = "plugin:conformance.prepared=yes",
                                        root[] = "server.user=root";
    ssize_t len = read_command_line(text, sizeof text);
    char *words[MAX_ARGUMENTS + 2];
    size_t n = 0;

    if (len <= 0)
        return hop_fail(conformance->server, "cannot read /proc/self/cmdline: %s",
                        strerror(errno));
    words[n++] = text;
    words[n++] = option;
    words[n++] = mark;
    for (size_t i = 0; i < MAX_SETTINGS && *settings[conformance->profile][i]; i++) {
        words[n++] = option;
        words[n++] = settings[conformance->profile][i];
    }
    for (char *word = text + strlen(text) + 1; word < text + len && n < MAX_ARGUMENTS - 1;
         word += strlen(word) + 1)
        words[n++] = word;
    if (geteuid() == 0) {
        words[n++] = option;
        words[n++] = root;
    }
    words[n] = NULL;
    execv("/proc/self/exe", words);
    return hop_fail(conformance->server, "cannot start anew: %s", strerror(errno));
}

/* ---- what the profiles share */

void reactions_register(struct conformance *conformance, const char *nsp,
                        const struct reaction *list)
{
    const hop_on_options options = {
        .size = sizeof options, .phase = HOP_HANDLE, .nsp = nsp};

    for (; list->event; list++)
        hop_on_with(conformance->server, list->event, list->handler, conformance,
                    &options);
}

void emit_to(struct conformance *conformance, hop_socket socket, const char *event,
             json_t *args)
{
    hop_emit(hop_to_socket(conformance->server, socket), event, args);
}

hop_args *raw_from(const hop_event *event, size_t n)
{
    hop_args *args = hop_args_new();

    hop_args_raw_from(args, event, n);
    return args;
}

hop_verdict deny_if_asked(hop_handshake *handshake, void *self)
{
    const char *query = hop_request_query(hop_handshake_request(handshake));
    const char *deny = strstr(query, "deny");

    (void)self;
    if (deny && (deny == query || deny[-1] == '&') && strchr("=&", deny[4]))
        return hop_handshake_reject(handshake, NULL);
    return HOP_NEXT;
}

void echo_message(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                  void *self)
{
    struct conformance *conformance = self;

    hop_peer_send(conformance->server, peer, kind, data, len);
}

static int conformance_init(hop_server *server, void *self)
{
    static void (*const inits[])(struct conformance *) = {
        [PROFILE_PROTO] = proto_init,
        [PROFILE_SMOKE] = smoke_init,
        [PROFILE_CLIENT] = client_init,
        [PROFILE_ENGINE] = engine_init,
    };
    struct conformance *conformance = self;

    conformance->server = server;
    hop_want_handshake(server);
    if (*settings[conformance->profile][0] && !conformance->is_prepared)
        return start_anew(conformance);
    inits[conformance->profile](conformance);
    return 0;
}

static void conformance_free(void *self)
{
    struct conformance *conformance = self;

    delays_free(conformance->delays);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("conformance", "1.0", "answers outside test suites and clients"),
    .state_size = sizeof(struct conformance),
    .keys = conformance_keys,
    .init = conformance_init,
    .free = conformance_free,
};
