/*
 * assets.c - the folders that plugins serve below prefixes of their own.
 *
 * A router forgets nothing, so a prefix stays there, as an asset, and is had again by the next
 * plugin that asks for it; without files it is not there (is_there()), as if nobody had ever
 * asked. Shards look at an asset's files, which logic replaces: hence a mutex, held
 * while a reference is taken, and not while a file is opened.
 * Called by: plugins (init()), change.c, server.c: logic; the router, httpconn.c: shard.
 */
#include "core/plugin/assets.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockhop/static.h>

#include "core/base/mem.h"
#include "core/net/router.h"
#include "core/net/static.h"
#include "core/plugin/routes.h"
#include "core/plugin/state.h"
#include "core/plugin/table.h"

enum {
    MAX_BODY_BYTES = 16384 /* read and dropped, as for the page: 405 instead of 413 */
};

/* A folder, opened; counted, since a shard may serve from it while it goes. */
struct folder {
    atomic_size_t n_refs;
    struct static_files *files; /* owned */
    char *path;                 /* owned */
};

struct asset {
    struct asset *next;
    char *prefix;          /* owned: without a slash at its end */
    struct plugin *plugin; /* borrowed: NULL for nobody's; with the next two, logic */
    struct plugin *next_plugin; /* borrowed: that is to have it, or NULL */
    struct folder *next_folder; /* ref: its own */
    pthread_mutex_t mutex;      /* of folder */
    struct folder *folder;      /* ref: served; NULL: none */
    atomic_bool is_there;       /* folder is not NULL: for the router */
};

/* ---- folders */

static struct folder *folder_open(const char *path, hop_error *error)
{
    struct static_files *files = static_new(path, error);
    struct folder *folder;

    if (files && !static_is_readable(files)) {
        hop_error_set(error, "%s may not be read by uid %lu: make it readable", path,
                      (unsigned long)getuid());
        static_free(files);
        return NULL;
    }
    if (!files)
        return NULL;
    folder = mem_alloc(sizeof *folder);
    atomic_init(&folder->n_refs, 1);
    folder->files = files;
    folder->path = mem_strdup(path);
    return folder;
}

static void folder_unref(struct folder *folder)
{
    if (!folder || atomic_fetch_sub(&folder->n_refs, 1) > 1)
        return;
    static_free(folder->files);
    free(folder->path);
    free(folder);
}

/* folder: its reference is the asset's then; NULL: none. */
static void serve_from(struct asset *asset, struct folder *folder)
{
    struct folder *old;

    pthread_mutex_lock(&asset->mutex);
    old = asset->folder;
    asset->folder = folder;
    pthread_mutex_unlock(&asset->mutex);
    atomic_store(&asset->is_there, folder != NULL);
    folder_unref(old);
}

/* ---- in the shards */

static struct folder *folder_of(struct asset *asset)
{
    struct folder *folder;

    pthread_mutex_lock(&asset->mutex);
    folder = asset->folder;
    if (folder)
        atomic_fetch_add(&folder->n_refs, 1);
    pthread_mutex_unlock(&asset->mutex);
    return folder;
}

static void on_request(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg)
{
    static const char gone[] = "Not Found\n";
    const struct http_response response = {.status = 404,
                                           .content_type = "text/plain; charset=utf-8",
                                           .data = gone,
                                           .len = sizeof gone - 1};
    struct asset *asset = arg;
    struct folder *folder = folder_of(asset);

    (void)body;
    (void)body_len;
    if (folder)
        static_serve_below(folder->files, http, request, asset->prefix);
    else
        http_respond(http, &response); /* it has gone since the router looked */
    folder_unref(folder);
}

/* ---- registration */

static struct asset *find_asset(const hop_server *server, const char *prefix)
{
    struct asset *asset = server->assets;

    while (asset && strcmp(asset->prefix, prefix) != 0)
        asset = asset->next;
    return asset;
}

static void asset_free(struct asset *asset)
{
    folder_unref(asset->folder);
    folder_unref(asset->next_folder);
    pthread_mutex_destroy(&asset->mutex);
    free(asset->prefix);
    free(asset);
}

static struct asset *asset_new(hop_server *server, const char *prefix)
{
    struct asset *asset = mem_calloc(1, sizeof *asset);
    const struct http_route route = {.max_body_bytes = MAX_BODY_BYTES,
                                     .on_request = on_request,
                                     .is_there = &asset->is_there,
                                     .arg = asset};

    asset->prefix = mem_strdup(prefix);
    pthread_mutex_init(&asset->mutex, NULL);
    if (router_add_prefix(server->router, prefix, &route) < 0) {
        asset_free(asset);
        return NULL;
    }
    asset->next = server->assets;
    server->assets = asset;
    return asset;
}

/* Nobody's, or of the one that the plugin in init() replaces, and not promised either. */
static bool is_free(const hop_server *server, const struct asset *asset)
{
    return !asset->next_plugin &&
           (!asset->plugin || asset->plugin == server->current->replaces);
}

/* As the router compares: no empty component, and none that no file is served by. */
static bool is_prefix(const char *prefix)
{
    if (!route_is_path(prefix) || strlen(prefix) > 512 || strchr(prefix, '\\'))
        return false;
    return prefix[1] && !strstr(prefix, "//") && !strstr(prefix, "/.");
}

/* PLUGIN_DIR/PLUGIN/folder, unless it is absolute. Owned by the caller. */
static char *path_of(const hop_server *server, const char *folder)
{
    const char *dir = server->settings->plugin_dir, *plugin = server->current->name;
    size_t size = strlen(dir) + strlen(plugin) + strlen(folder) + sizeof "//";
    char *path = mem_alloc(size);

    if (*folder == '/')
        snprintf(path, size, "%s", folder);
    else
        snprintf(path, size, "%s/%s/%s", dir, plugin, folder);
    return path;
}

static int add(hop_server *server, const char *prefix, const char *folder_name)
{
    struct asset *asset = find_asset(server, prefix);
    char *path = path_of(server, folder_name);
    hop_error error;
    struct folder *folder = folder_open(path, &error);

    free(path);
    if (!folder)
        return refuse(server, "hop_static(\"%s\"): %s: name a folder that is there",
                      prefix, error.text);
    if (asset ? !is_free(server, asset) : !(asset = asset_new(server, prefix))) {
        folder_unref(folder);
        return refuse(server, "hop_static(\"%s\"): taken already", prefix);
    }
    asset->next_plugin = server->current;
    asset->next_folder = folder;
    if (server->current
            ->is_live) /* at the start; else once all of the change has succeeded */
        assets_take_over(server, server->current);
    return 0;
}

int hop_static(hop_server *server, const char *prefix, const char *folder)
{
    char *bare;
    size_t len;
    int result;

    if (!in_init(server, __func__))
        return -1;
    if (!is_prefix(prefix) || !folder || !*folder)
        return refuse(server, "hop_static(): a prefix such as \"/admin\" and a folder");
    if (route_is_below(prefix, server->settings->path))
        return refuse(server,
                      "hop_static(\"%s\"): %s and all below it is Socket.IO's own",
                      prefix, server->settings->path);
    len = strlen(prefix);
    bare = mem_strndup(prefix, prefix[len - 1] == '/' ? len - 1 : len);
    result = add(server, bare, folder);
    free(bare);
    return result;
}

/* ---- the header's functions */

void assets_take_over(hop_server *server, const struct plugin *plugin)
{
    for (struct asset *asset = server->assets; asset; asset = asset->next) {
        if (asset->next_plugin != plugin)
            continue;
        asset->plugin = asset->next_plugin;
        serve_from(asset, asset->next_folder);
        asset->next_plugin = NULL;
        asset->next_folder = NULL;
    }
}

void assets_remove(hop_server *server, const struct plugin *plugin)
{
    for (struct asset *asset = server->assets; asset; asset = asset->next) {
        if (asset->next_plugin == plugin) {
            asset->next_plugin = NULL;
            folder_unref(asset->next_folder);
            asset->next_folder = NULL;
        }
        if (asset->plugin != plugin)
            continue;
        asset->plugin = NULL;
        serve_from(asset, NULL);
    }
}

/* They were opened by whom we started as. */
int assets_check(const hop_server *server, hop_error *error)
{
    for (const struct asset *asset = server->assets; asset; asset = asset->next) {
        struct folder *again;
        hop_error reason;

        if (!asset->folder)
            continue;
        again = folder_open(asset->folder->path, &reason);
        folder_unref(again);
        if (again)
            continue;
        config_error(
            server->config, asset->plugin->section, NULL, error,
            "hop_static(\"%s\"): %s (chmod -R a+rX, and a+x for the folders above "
            "it), or name another server.user",
            asset->prefix, reason.text);
        return -1;
    }
    return 0;
}

void assets_show(const hop_server *server, struct table *table)
{
    for (const struct asset *asset = server->assets; asset; asset = asset->next) {
        table_add(table, asset->prefix);
        table_add(table, "files");
        table_add(table, asset->plugin ? asset->plugin->name : NULL);
    }
}

void assets_free(hop_server *server)
{
    while (server->assets) {
        struct asset *asset = server->assets;

        server->assets = asset->next;
        asset_free(asset);
    }
}
