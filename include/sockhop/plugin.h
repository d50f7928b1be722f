/*
 * plugin.h - the one thing that a plugin exports.
 */
#ifndef SOCKHOP_PLUGIN_H
#define SOCKHOP_PLUGIN_H

#include <jansson.h>
#include <sockhop/config.h>
#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The interface's version. HOP_ABI grows with each incompatible change; HOP_MINOR with
 * each addition. A plugin built for ABI n, minor m loads in every server of ABI n whose
 * minor is at least m.
 *   0.1  the first: not yet promised to stay
 *   0.2  hop_plugin.check
 *   0.3  emit.h: hop_compress(), hop_local(), hop_send(), hop_target_*(),
 *        hop_args_binary(), hop_on_any_outgoing(); answer.h; cluster.h
 *        event.h: hop_event_binary(), hop_event_attachment(), hop_event_n_attachments()
 *        hop_event_take_ack(), hop_event_defer(), HOP_DEFER; server.h: hop_on_any()
 *        socket.h: hop_socket_room(), hop_socket_data()
 *        endpoint.h; route.h: hop_request_header_at()
 *        namespace.h; hop_on_options.nsp; handshake.h
 *   0.4  slot.h; user.h; hop_plugin.ready, .save, .restore, .changed; event.h: hop_replace(),
 *        hop_event_resume_replace(), HOP_REPLACE; config.h: hop_config_key.flags; timer.h;
 *        watch.h; job.h; command.h; health.h; logfield.h; metric.h; static.h
 */
#define HOP_ABI 0
#define HOP_MINOR 4

/*
 * Describes a plugin. Start it with HOP_PLUGIN(name, version, summary), then name the
 * members that are wanted; the others stay zero. New members will be appended.
 */
typedef struct hop_plugin {
    size_t size;         /* HOP_PLUGIN sets the first seven */
    int abi;             /* HOP_ABI of its build */
    int minor;           /* HOP_MINOR of its build */
    size_t key_size;     /* of one hop_config_key in its build */
    const char *name;    /* [a-z][a-z0-9_-]*, as in [plugin:NAME] and NAME.so */
    const char *version; /* any text without spaces */
    const char *summary; /* one line */

    size_t state_size;          /* the loader allocates and frees that much, zeroed */
    const hop_config_key *keys; /* fills the state before init; NULL: no keys */
    const char *requires;       /* plugins it cannot do without: "auth, rooms" or NULL */
    const char *wants;          /* plugins to come before it when they are enabled */

    /*
     * Register handlers, hooks, routes, slots. self: the state, already configured.
     * Returns 0, or -1 after hop_fail() said why: the start stops then, free() is not
     * called, and what was registered is removed. A refused registration stops the start
     * as well; after a 0, free() is called then. Thread: logic.
     */
    int (*init)(hop_server *server, void *self);

    /*
     * Release what init() acquired; registrations and the state itself go without it.
     * Called once, in reverse order of init, after the last socket has gone; its jobs are
     * over by then. Threads that it has started must have ended, and been joined, when this
     * returns: the server goes then, and the plugin's code with it. May be NULL.
     * Thread: logic.
     */
    void (*free)(void *self);

    /* since 0.2 */

    /*
     * Whether the values go together: what no key's type and bounds can say alone. Asked
     * by -t, by -T and by each start, before any init(); -t then means what it says.
     *   self   the state, filled from the keys; nothing else of the plugin has run
     *   key    set it to the name of the key to blame, where it is one: the error then
     *          has that key's file and line; a constant, as in the table
     *   error  what is wrong and the way out, for hop_error_set()
     * Returns 0, or -1 after setting error. It looks at values and calls nothing of the
     * server but hop_error_set() and hop_log(); it opens nothing, and has nothing to
     * release: init() and free() need not follow. May be NULL. Thread: logic.
     */
    int (*check)(const void *self, const char **key, hop_error *error);

    /* since 0.4 */

    /*
     * All is there: every plugin's init() has succeeded, listeners are open, privileges are
     * dropped; no client has been let in yet. Called once, in the order of init, before
     * server.ready is logged; not by --print-hooks. For what needs the others complete:
     * first calls of their interfaces, hop_server_emit(), jobs, timers, hop_post(). It
     * registers nothing (that is refused) and cannot fail: what can belongs into init().
     * Emits reach nobody yet; but when the plugin is loaded or reloaded into a server that
     * runs, clients are there, and the old code has just gone. May be NULL. Thread: logic.
     */
    void (*ready)(hop_server *server, void *self);

    /*
     * When the plugin is reloaded: what it keeps for itself as JSON, and back. Values on
     * sockets, rooms and so on are not part of it: those have a slot (slot.h).
     *   save     a new reference, or NULL: nothing is worth keeping
     *   restore  called on the new code after its init(), before any of its handlers and
     *            before its slots' values; saved: borrowed. Returns 0, or -1 after setting
     *            error: the plugin stays as it was.
     * They change nothing of the server. May be NULL, each. Thread: logic.
     */
    json_t *(*save)(const void *self);
    int (*restore)(void *self, json_t *saved, hop_error *error);

    /*
     * Keys of the plugin have other values now, in a server that runs; they are in the state
     * already, and check() has agreed. Called where all that the conf file has changed of the
     * section are keys with HOP_KEY_RELOADABLE (config.h); else the plugin is replaced.
     *   keys  n names as in the table, at least one; the array is borrowed until this returns
     * The texts that they had live until this returns. May be NULL: a plugin that reads its
     * state whenever it needs a value has nothing to do. Thread: logic.
     */
    void (*changed)(void *self, const char *const *keys, size_t n);
} hop_plugin;

#define HOP_PLUGIN(plugin_name, plugin_version, plugin_summary)                          \
    .size = sizeof(hop_plugin), .abi = HOP_ABI, .minor = HOP_MINOR,                      \
    .key_size = sizeof(hop_config_key), .name = (plugin_name),                           \
    .version = (plugin_version), .summary = (plugin_summary)

/* Every plugin defines this one: `HOP_API const hop_plugin hop_plugin_entry = {...};` */
HOP_API extern const hop_plugin hop_plugin_entry;

#ifdef __cplusplus
}
#endif

#endif
