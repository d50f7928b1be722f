/*
 * files.c - serves the folder of its conf file below the prefix of its conf file; answers
 * GET PREFIX/exact itself. Thread: logic.
 */
#include <sockhop/sockhop.h>

struct files {
    const char *prefix, *folder; /* borrowed: from the conf file */
    bool fail;
};

static const hop_config_key keys[] = {
    HOP_STRING(struct files, prefix, "prefix", "/files", "where"),
    HOP_STRING(struct files, folder, "folder", "www", "what"),
    HOP_BOOL(struct files, fail, "fail", false, "whether init() fails in the end"),
    HOP_KEYS_END,
};

static void on_exact(hop_request *request, void *self)
{
    (void)self;
    hop_respond(request, 200, "text/plain", "the route", 9);
}

static int init(hop_server *server, void *self)
{
    const struct files *files = self;

    hop_static(server, files->prefix, files->folder);
    hop_route(server, "GET", "/files/exact", on_exact, NULL);
    return files->fail ? hop_fail(server, "told to fail") : 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("files", "1.0", "serves a folder"),
    .state_size = sizeof(struct files),
    .keys = keys,
    .init = init,
};
