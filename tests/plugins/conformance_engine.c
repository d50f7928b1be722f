/*
 * conformance_engine.c - the profile `engine`: what engine.io-client's own suite asks for.
 *
 * Called by: conformance.c (init). Thread: logic.
 */
#include "tests/plugins/conformance.h"

void engine_init(struct conformance *conformance)
{
    (void)conformance;
}
