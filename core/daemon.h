/*
 * daemon.h - the running server: what is made in which order, and how it ends.
 * Called by main.c. Thread: main.
 */
#ifndef CORE_DAEMON_H
#define CORE_DAEMON_H

#include <stdio.h>

#include <sockhop/types.h>

#include "core/base/config_doc.h"

struct config;
struct settings;

/* Start, serve until SIGTERM or SIGINT, stop. 0, or -1 with the reason. */
int daemon_run(const struct settings *settings, const struct config *config,
               hop_error *error);

/* What daemon_run() would refuse before it opens a port. 0, or -1 with the reason. */
int daemon_check(const struct settings *settings, const struct config *config,
                 hop_error *error);

/* The merged configuration, as -T shows it. 0, or -1 with the reason. */
int daemon_print_config(const struct settings *settings, const struct config *config,
                        FILE *out, hop_error *error);

/*
 * Start the plugins as daemon_run() does, but open no port and serve nobody; print what they
 * have registered (--print-hooks), and stop them. After daemon_check().
 */
int daemon_print_hooks(const struct settings *settings, const struct config *config,
                       FILE *out, hop_error *error);

/* Every key of the core and of the plugins that the conf file names. 0, or -1 with the reason. */
int daemon_print_config_doc(const struct settings *settings, const struct config *config,
                            enum config_doc format, FILE *out, hop_error *error);

#endif
