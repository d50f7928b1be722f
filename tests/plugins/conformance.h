/*
 * conformance.h - what the files of the plugin `conformance` share: docs/CONFORMANCE.md.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <sockhop/sockhop.h>
#include <stdio.h>
#include <string.h>

enum profile { PROFILE_PROTO, PROFILE_SMOKE, PROFILE_CLIENT, PROFILE_ENGINE };

struct conformance {
    hop_server *server; /* borrowed */
    int profile;        /* enum profile */
    bool is_prepared;   /* the server runs with the profile's settings */
    hop_slot seen;      /* client profile: what a socket has sent so far */
};

/* One event of a profile, in the main namespace. */
struct reaction {
    const char *event;
    hop_handler *handler;
};

/* Each registers what its profile answers. Only in init(). */
void proto_init(struct conformance *conformance);
void smoke_init(struct conformance *conformance);
void client_init(struct conformance *conformance);
void engine_init(struct conformance *conformance);

/* Register a list that ends with a NULL event. */
void reactions_register(struct conformance *conformance, const struct reaction *list);

/* A list of all arguments of a received event from n on, as they came. Owned by the caller. */
hop_args *raw_from(const hop_event *event, size_t n);

#endif
