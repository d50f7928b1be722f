/*
 * config_again.c - a configuration that is read once more, and several of them at a time.
 *
 * Called by: core/reload.c, core/plugin/change.c. Thread: logic.
 */
#include "core/base/config.h"

#include "core/base/config_store.h"

struct config *config_ref(struct config *config)
{
    config->n_refs++;
    return config;
}

struct config *config_load_again(const struct config *config, hop_error *error)
{
    struct config *again;

    if (!config->path) {
        hop_error_set(error, "the configuration does not come from a file");
        return NULL;
    }
    again = config_load(config->path, error);
    for (size_t i = 0; again && i < config->n_assignments; i++) {
        if (config_override(again, config->assignments[i], error) == 0)
            continue;
        config_free(again);
        again = NULL;
    }
    return again;
}
