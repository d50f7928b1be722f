/*
 * api.c - the public hop_* functions on server, sockets, targets: checked, then handed on.
 *
 * Every one checks its thread, so that a plugin's mistake is a log line and an error, not
 * a race. Called by: plugins. Thread: any may call, logic alone gets through.
 */
#include <sockhop/sockhop.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/plugin/args.h"
#include "core/plugin/plugin.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"

/* ---- who may call */

/* The running server's logic loop: one in a process, set before any plugin's code runs. */
static const struct loop *logic;

void on_logic_set(const struct loop *loop)
{
    logic = loop;
}

bool on_logic(const char *function)
{
    if (!logic || loop_is_mine(logic))
        return true;
    hop_log(HOP_ERROR, "api.wrong_thread function=%s", function);
    return false;
}

bool in_init(hop_server *server, const char *function)
{
    if (!on_logic(function))
        return false;
    if (server->is_registering)
        return true;
    hop_log(HOP_ERROR, "api.not_in_init function=%s plugin=%s", function,
            server->current ? server->current->name : "");
    return false;
}

int refuse(hop_server *server, const char *format, ...)
{
    char text[sizeof server->refusal.text];
    va_list values;

    if (server->refusal.text[0] != '\0')
        return -1; /* the first reason is the one to mend */
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    hop_error_set(&server->refusal, "%s", text);
    return -1;
}

int hop_fail(hop_server *server, const char *format, ...)
{
    char text[sizeof server->refusal.text];
    va_list values;

    if (!in_init(server, __func__))
        return -1;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (server->refusal.text[0] == '\0')
        hop_error_set(&server->refusal, "%s", text);
    return -1;
}

/* ---- handlers */

static int check_options(hop_server *server, const char *event,
                         const hop_on_options *given, hop_on_options *options)
{
    if (!given || given->size < offsetof(hop_on_options, before))
        return refuse(server, "hop_on_with(\"%s\"): set options.size", event);
    memset(options, 0, sizeof *options);
    memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    if ((unsigned)options->phase > HOP_OBSERVE)
        return refuse(server, "hop_on_with(\"%s\"): no such phase", event);
    if ((options->before && strcmp(options->before, server->current->name) == 0) ||
        (options->after && strcmp(options->after, server->current->name) == 0))
        return refuse(server, "hop_on_with(\"%s\"): before or after itself", event);
    return 0;
}

static int add_any(hop_server *server, hop_handler *handler, void *self,
                   const hop_on_options *given)
{
    hop_on_options options;

    if (!handler)
        return refuse(server, "hop_on_any(): NULL is no handler");
    if (check_options(server, "*", given, &options) < 0)
        return -1;
    dispatch_add_any(server->dispatch, server->current, handler, self, &options);
    return 0;
}

static int add_handler(hop_server *server, const char *event, hop_handler *handler,
                       void *self, const hop_on_options *given)
{
    hop_on_options options;

    const char *also = handler ? "" : "no handler, and "; /* all that is wrong, at once */

    if (!event || !utf8_is_valid(event, strlen(event)))
        return refuse(server, "hop_on(): %sno event's name in UTF-8", also);
    if (sio_is_reserved(event))
        return refuse(server,
                      "hop_on(\"%s\"): %sa reserved event, which no client can emit: use "
                      "hop_on_connect() or hop_on_disconnect()",
                      event, also);
    if (!handler)
        return refuse(server, "hop_on(\"%s\"): NULL is no handler", event);
    if (check_options(server, event, given, &options) < 0)
        return -1;
    dispatch_add(server->dispatch, server->current, event, handler, self, &options);
    return 0;
}

int hop_on(hop_server *server, const char *event, hop_handler *handler, void *self)
{
    const hop_on_options options = {.size = sizeof options, .phase = HOP_HANDLE};

    return in_init(server, __func__) ? add_handler(server, event, handler, self, &options)
                                     : -1;
}

int hop_on_with(hop_server *server, const char *event, hop_handler *handler, void *self,
                const hop_on_options *options)
{
    return in_init(server, __func__) ? add_handler(server, event, handler, self, options)
                                     : -1;
}

int hop_on_any(hop_server *server, hop_handler *handler, void *self)
{
    const hop_on_options options = {.size = sizeof options, .phase = HOP_GUARD};

    return in_init(server, __func__) ? add_any(server, handler, self, &options) : -1;
}

int hop_on_any_with(hop_server *server, hop_handler *handler, void *self,
                    const hop_on_options *options)
{
    return in_init(server, __func__) ? add_any(server, handler, self, options) : -1;
}

/* ---- interfaces */

/* One that is to replace another finds what was registered with it first. */
static const struct provided *find_provided(const hop_server *server, const char *name)
{
    const struct provided *found = NULL;

    for (size_t i = 0; i < server->n_provided; i++) {
        const struct provided *each = &server->provided[i];

        if (strcmp(each->name, name) != 0 ||
            (each->plugin->is_leaving && !server->current->is_live))
            continue;
        if (!found || each->plugin->is_live == server->current->is_live)
            found = each;
    }
    return found;
}

static void add_use(hop_server *server, struct plugin *provider)
{
    server->uses = mem_realloc(server->uses, (server->n_uses + 1) * sizeof *server->uses);
    server->uses[server->n_uses++] = (struct use){provider, server->current};
}

int hop_provide(hop_server *server, const char *name, const void *interface, size_t size)
{
    const struct provided *taken;

    if (!in_init(server, __func__))
        return -1;
    if (!name || !interface || size < sizeof(size_t))
        return refuse(server, "hop_provide(): a name, a struct and its size, please");
    taken = find_provided(server, name);
    if (taken && taken->plugin != server->current->replaces)
        return refuse(server, "hop_provide(\"%s\"): the plugin %s provides it already",
                      name, taken->plugin->name);
    server->provided = mem_realloc(server->provided,
                                   (server->n_provided + 1) * sizeof *server->provided);
    server->provided[server->n_provided++] = (struct provided){
        .plugin = server->current,
        .name = mem_strdup(name),
        .interface = interface,
        .size = size,
    };
    return 0;
}

const void *hop_require(hop_server *server, const char *name, size_t size)
{
    const struct provided *found;

    if (!in_init(server, __func__) || !name)
        return NULL;
    found = find_provided(server, name);
    if (!found || found->size < size)
        return NULL;
    add_use(server, found->plugin);
    return found->interface;
}

/* ---- sockets */

bool hop_socket_is_connected(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) && hub_is_connected(server->hub, socket);
}

const char *hop_socket_id(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) ? hub_socket_id(server->hub, socket) : NULL;
}

hop_socket hop_socket_find(hop_server *server, const char *id)
{
    return on_logic(__func__) && id ? hub_find(server->hub, "/", id) : HOP_NO_SOCKET;
}

const char *hop_socket_address(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) ? hub_socket_address(server->hub, socket) : NULL;
}

int hop_socket_join(hop_server *server, hop_socket socket, const char *room)
{
    return on_logic(__func__) && room ? hub_join(server->hub, socket, room) : -1;
}

int hop_socket_leave(hop_server *server, hop_socket socket, const char *room)
{
    return on_logic(__func__) && room ? hub_leave(server->hub, socket, room) : -1;
}

bool hop_socket_in_room(hop_server *server, hop_socket socket, const char *room)
{
    return on_logic(__func__) && room && hub_in_room(server->hub, socket, room);
}

const char *hop_socket_room(hop_server *server, hop_socket socket, size_t n)
{
    return on_logic(__func__) ? hub_socket_room(server->hub, socket, n) : NULL;
}

json_t *hop_socket_data(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) ? hub_socket_data(server->hub, socket) : NULL;
}

static bool is_close_mode(hop_close_mode mode)
{
    return mode == HOP_CLOSE_SOCKET || mode == HOP_CLOSE_TRANSPORT;
}

int hop_socket_disconnect(hop_server *server, hop_socket socket, hop_close_mode mode)
{
    if (!on_logic(__func__) || !is_close_mode(mode))
        return -1;
    return hub_disconnect(server->hub, socket, mode);
}

/* ---- targets */

hop_target *hop_to_all(hop_server *server)
{
    return on_logic(__func__) ? hub_target_all(server->hub, "/") : NULL;
}

hop_target *hop_to_room(hop_server *server, const char *room)
{
    return on_logic(__func__) && room ? hub_target_room(server->hub, "/", room) : NULL;
}

hop_target *hop_to_socket(hop_server *server, hop_socket socket)
{
    return on_logic(__func__) ? hub_target_socket(server->hub, socket) : NULL;
}

hop_target *hop_and_room(hop_target *target, const char *room)
{
    if (on_logic(__func__) && target && room)
        hub_target_add_room(target, room);
    return target;
}

hop_target *hop_except(hop_target *target, hop_socket socket)
{
    if (on_logic(__func__) && target && socket != HOP_NO_SOCKET)
        hub_target_except(target, socket);
    return target;
}

hop_target *hop_except_room(hop_target *target, const char *room)
{
    if (on_logic(__func__) && target && room)
        hub_target_except_room(target, room);
    return target;
}

hop_target *hop_volatile(hop_target *target)
{
    if (on_logic(__func__) && target)
        hub_target_set_volatile(target);
    return target;
}

hop_target *hop_compress(hop_target *target, bool may_compress)
{
    if (on_logic(__func__) && target)
        hub_target_compress(target, may_compress);
    return target;
}

hop_target *hop_local(hop_target *target)
{
    if (on_logic(__func__) && target)
        hub_target_set_local(target);
    return target;
}

/* ---- all sockets of a target */

const hop_socket *hop_target_sockets(hop_target *target, size_t *n)
{
    *n = 0;
    return on_logic(__func__) && target ? hub_target_sockets(target, n) : NULL;
}

size_t hop_target_join(hop_target *target, const char *room)
{
    return on_logic(__func__) && target && room ? hub_target_join(target, room) : 0;
}

size_t hop_target_leave(hop_target *target, const char *room)
{
    return on_logic(__func__) && target && room ? hub_target_leave(target, room) : 0;
}

size_t hop_target_disconnect(hop_target *target, hop_close_mode mode)
{
    if (!on_logic(__func__) || !target || !is_close_mode(mode))
        return 0;
    return hub_target_disconnect(target, mode);
}

/* ---- emits */

bool is_emittable(const char *event)
{
    return event && !sio_is_reserved(event) && utf8_is_valid(event, strlen(event));
}

static int emit_list(hop_target *target, const char *event, const struct sio_args *args)
{
    outgoing_tell(hub_target_owner(target), target, event, args, false);
    return hub_emit(target, event, args);
}

int hop_emit(hop_target *target, const char *event, json_t *args)
{
    char *text = NULL;
    int result = -1;

    if (on_logic(__func__) && target && is_emittable(event) &&
        (!args || json_is_array(args)))
        text = args_dump(args);
    if (text)
        result = emit_list(target, event,
                           &(struct sio_args){.text = text, .len = strlen(text)});
    free(text);
    json_decref(args);
    return result;
}

int hop_send(hop_target *target, json_t *args)
{
    return hop_emit(target, "message", args);
}

int hop_emit_args(hop_target *target, const char *event, hop_args *args)
{
    struct sio_args list;
    int result = -1;

    if (on_logic(__func__) && target && is_emittable(event) &&
        args_finish(args, &list) == 0)
        result = emit_list(target, event, &list);
    hop_args_free(args);
    return result;
}

/* ---- routes */

int hop_route(hop_server *server, const char *method, const char *path,
              hop_route_handler *handler, void *self)
{
    if (!in_init(server, __func__))
        return -1;
    if (!route_is_path(path) || !handler)
        return refuse(server, "hop_route(): a path that starts with '/' and a handler");
    if (!method || (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0))
        return refuse(server, "hop_route(\"%s\"): the method is GET or POST", path);
    if (route_is_below(path, server->settings->path))
        return refuse(server, "hop_route(\"%s\"): %s and all below it is Socket.IO's own",
                      path, server->settings->path);
    if (routes_add(server, method, path, handler, self) < 0)
        return refuse(server, "hop_route(\"%s %s\"): taken already", method, path);
    return 0;
}
