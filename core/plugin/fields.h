/*
 * fields.h - what plugins add to log lines about a socket: see <sockhop/logfield.h>.
 * Thread: logic.
 */
#ifndef PLUGIN_FIELDS_H
#define PLUGIN_FIELDS_H

#include <stddef.h>

#include <sockhop/types.h>

struct field_set;
struct plugin;

struct fields {
    struct field_set *sets; /* owned: by socket; NULL where nobody has set one */
};

/* Room in a line of the log, of 1,024 bytes, behind a client's name of something and what else it
 * begins with. */
enum { LOG_FIELDS_SIZE = 700 };

/*
 * The fields of a socket that are of live plugins, each with a space before it, for the end of a
 * line: ` auth.user="alice"`. The oldest come first; what does not fit is left out. Returns text.
 */
char *fields_write(char text[LOG_FIELDS_SIZE], const hop_server *server,
                   hop_socket socket);

/* The socket has gone. */
void fields_drop_socket(hop_server *server, hop_socket socket);

/* They are the new code's now, but where that has set its own. */
void fields_hand_over(hop_server *server, const struct plugin *from,
                      const struct plugin *to);

/* The plugin has gone. */
void fields_remove(hop_server *server, const struct plugin *plugin);

void fields_done(struct fields *fields);

#endif
