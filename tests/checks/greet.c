/*
 * greet.c - a plugin as somebody outside of this tree writes it: answers GET /greet.
 *
 * Called by: tests/checks/install, which builds it through pkg-config against an installed
 * sockhop and asks for the path. Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <string.h>

struct greet {
    const char *word; /* borrowed from the config */
};

static const hop_config_key greet_keys[] = {
    HOP_STRING(struct greet, word, "word", "hello", "what GET /greet answers"),
    HOP_KEYS_END,
};

static void on_request(hop_request *request, void *self)
{
    const struct greet *greet = self;

    hop_respond(request, 200, "text/plain; charset=utf-8", greet->word,
                strlen(greet->word));
}

static int greet_init(hop_server *server, void *self)
{
    return hop_route(server, "GET", "/greet", on_request, self);
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("greet", "1.0", "answers GET /greet"),
    .state_size = sizeof(struct greet),
    .keys = greet_keys,
    .init = greet_init,
};
