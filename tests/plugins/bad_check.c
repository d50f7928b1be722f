/*
 * bad_check.c - check() refuses what its keys ask it to, and blames whom they name.
 * Thread: logic.
 */
#include <string.h>

#include <sockhop/sockhop.h>

struct bad_check {
    const char *blame, *reason; /* borrowed from the config */
    bool is_good;
};

static const hop_config_key keys[] = {
    HOP_BOOL(struct bad_check, is_good, "good", false, "whether check() is content"),
    HOP_STRING(struct bad_check, blame, "blame", "", "the key that check() names"),
    HOP_STRING(struct bad_check, reason, "reason", "no good", "what it says"),
    HOP_KEYS_END,
};

static int check(const void *self, const char **key, hop_error *error)
{
    const struct bad_check *state = self;

    if (state->is_good)
        return 0;
    if (*state->blame)
        *key = state->blame;
    if (*state->reason)
        hop_error_set(error, "%s", state->reason);
    return -1;
}

static int init(hop_server *server, void *self)
{
    (void)self;
    return hop_fail(server, "init() has run");
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("bad_check", "1.0", "refuses its values"),
    .state_size = sizeof(struct bad_check),
    .keys = keys,
    .init = init,
    .check = check,
};
