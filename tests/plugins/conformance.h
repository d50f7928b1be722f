/*
 * conformance.h - what the files of the plugin `conformance` share: docs/CONFORMANCE.md.
 */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <sockhop/sockhop.h>
#include <stdio.h>
#include <string.h>

struct delays;

enum profile { PROFILE_PROTO, PROFILE_SMOKE, PROFILE_CLIENT, PROFILE_ENGINE };

struct conformance {
    hop_server *server;    /* borrowed */
    int profile;           /* enum profile */
    bool is_prepared;      /* the server runs with the profile's settings */
    struct delays *delays; /* owned: NULL where handshakes are not delayed */
};

/* One event that a profile answers. */
struct reaction {
    const char *event;
    hop_handler *handler;
};

/* Each registers what its profile answers. Only in init(). */
void proto_init(struct conformance *conformance);
void smoke_init(struct conformance *conformance);
void client_init(struct conformance *conformance);
void engine_init(struct conformance *conformance);

/* Handshakes of Socket.IO take 10 ms from now on. Only in init(). delays_free(): takes NULL. */
void delays_start(struct conformance *conformance);
void delays_free(struct delays *delays);

/* Register a list that ends with a NULL event for a namespace: "*" for all of them. */
void reactions_register(struct conformance *conformance, const char *nsp,
                        const struct reaction *list);

/* An event for one socket, without arguments that came from a client. args: owned. */
void emit_to(struct conformance *conformance, hop_socket socket, const char *event,
             json_t *args);

/* Refuses a handshake that has a parameter `deny`. */
hop_verdict deny_if_asked(hop_handshake *handshake, void *self);

/* Sends a message of a bare endpoint back as it came; self: the struct conformance. */
void echo_message(hop_peer peer, hop_message_kind kind, const char *data, size_t len,
                  void *self);

/* A list of all arguments of a received event from n on, as they came. Owned by the caller. */
hop_args *raw_from(const hop_event *event, size_t n);

#endif
