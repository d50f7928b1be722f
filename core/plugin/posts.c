/*
 * posts.c - hop_post(): see posts.h.
 *
 * A post carries the number of its owner, not the plugin: what waits in the lane when the
 * plugin goes is dropped there, and its code not called.
 * Called by: plugins, in any thread; async.c. Thread: logic, but for hop_post().
 */
#include "core/plugin/posts.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/plugin/owner.h"
#include "core/plugin/state.h"

struct post {
    struct post *next;  /* while it is held */
    hop_server *server; /* borrowed: looked at while a plugin of it is there */
    uint64_t owner;     /* 0: the core's own */
    void (*work)(void *self);
    void *self; /* borrowed */
};

static struct post *post_new(hop_server *server, uint64_t owner, void (*work)(void *self),
                             void *self)
{
    struct post *post = mem_calloc(1, sizeof *post);

    post->server = server;
    post->owner = owner;
    post->work = work;
    post->self = self;
    return post;
}

static void run_for(struct plugin *plugin, const struct post *post)
{
    struct call call;

    call_begin_as(post->server, plugin, "hook", "post", &call);
    post->work(post->self);
    call_end(post->server, &call, "hook", "post");
}

/* ---- while the plugin is held */

static void hold(struct plugin *plugin, struct post *post)
{
    struct held_posts *held = &plugin->async.posts;

    if (!held->first)
        held->end = &held->first;
    *held->end = post;
    held->end = &post->next;
}

static struct post *take_held(struct plugin *plugin)
{
    struct post *post = plugin->async.posts.first;

    if (post)
        plugin->async.posts.first = post->next;
    return post;
}

/* The post of posts_release(). */
static void run_held(void *arg)
{
    struct post *release = arg, *post;
    struct plugin *plugin = owner_plugin(release->owner);

    while (plugin && !plugin->async.is_held && (post = take_held(plugin))) {
        run_for(plugin, post);
        free(post);
    }
    free(release);
}

void posts_release(hop_server *server, struct plugin *plugin)
{
    struct post *release;

    if (!plugin->async.posts.first)
        return;
    release = post_new(server, owner_of(plugin), NULL, NULL);
    if (loop_post(server->loops->logic, run_held, release) < 0)
        free(release); /* the server stops */
}

void posts_forget(struct plugin *plugin)
{
    struct post *post;

    while ((post = take_held(plugin)))
        free(post);
}

/* ---- all others */

static void run_post(void *arg)
{
    struct post *post = arg;
    struct plugin *plugin = owner_plugin(post->owner);

    if (plugin && (plugin->async.is_held || plugin->async.posts.first)) {
        hold(plugin, post);
        return;
    }
    if (plugin)
        run_for(plugin, post);
    else if (!post->owner)
        post->work(post->self);
    free(post);
}

/* Whose it is, 0 for the core's; false where that plugin has gone. */
static bool find_owner(hop_server *server, uintptr_t code, uint64_t *owner)
{
    *owner = owner_at(code);
    if (*owner)
        return owner_plugin(*owner) != NULL;
    if (pthread_equal(pthread_self(), server->thread) && server->current)
        *owner = owner_of(server->current);
    return true;
}

int hop_post(hop_server *server, void (*work)(void *self), void *self)
{
    struct post *post;
    uint64_t owner;

    if (!work || !find_owner(server, (uintptr_t)work, &owner))
        return -1;
    post = post_new(server, owner, work, self);
    if (loop_post(server->loops->logic, run_post, post) == 0)
        return 0;
    free(post);
    return -1;
}
