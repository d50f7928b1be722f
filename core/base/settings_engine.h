/*
 * settings_engine.h - what must hold between the values of [engine]. Thread: start.
 */
#ifndef BASE_SETTINGS_ENGINE_H
#define BASE_SETTINGS_ENGINE_H

#include "core/base/settings.h"

/* Returns 0, or -1 with the reason, which names the key's place. */
int settings_check_engine(const struct settings *settings, const struct config *config,
                          hop_error *error);

#endif
