/*
 * old_minor.c - a plugin of interface 0.1, whose descriptor ends before check: what lies
 * behind is none of the server's business. Its keys have no flags yet. Thread: logic.
 */
#include <stddef.h>

#include <sockhop/sockhop.h>

struct old_key {
    hop_key_type type;
    const char *name;
    size_t offset;
    const char *text;
    int64_t number, min, max;
    const char *choices, *help;
};

struct state {
    const char *first, *last;
};

static const struct old_key keys[] = {
    {.type = HOP_KEY_STRING, .name = "first", .offset = 0, .text = "a"},
    {.type = HOP_KEY_STRING,
     .name = "last",
     .offset = offsetof(struct state, last),
     .text = "z"},
    {.type = HOP_KEY_END},
};

static int init(hop_server *server, void *self)
{
    const struct state *state = self;

    if (*state->first == 'a' && *state->last == 'z')
        return 0;
    return hop_fail(server, "the state was filled from other keys");
}

static int check(const void *self, const char **key, hop_error *error)
{
    (void)self;
    (void)key;
    hop_error_set(error, "behind the end of the descriptor");
    return -1;
}

HOP_API const hop_plugin hop_plugin_entry = {
    .size = offsetof(hop_plugin, check),
    .abi = HOP_ABI,
    .minor = 1,
    .key_size = sizeof(struct old_key),
    .state_size = sizeof(struct state),
    .keys = (const hop_config_key *)(const void *)keys,
    .name = "old_minor",
    .version = "1.0",
    .summary = "from last year",
    .init = init,
    .check = check,
};
