/*
 * owner.h - whose code an address is: by it a callback belongs to a plugin, whichever thread
 * hands it over.
 *
 * An owner is a number that is never used twice, so that it may wait in a queue for longer
 * than its plugin lives. A plugin that has gone keeps its addresses while its code stays
 * mapped: nothing there is called any more.
 * Thread: logic, but for owner_at().
 */
#ifndef PLUGIN_OWNER_H
#define PLUGIN_OWNER_H

#include <stdbool.h>
#include <stdint.h>

#include <sockhop/types.h>

struct plugin;

/* The plugin's code may call us from now on: before its init(). */
void owner_enter(struct plugin *plugin);

/* The plugin has gone: owner_plugin() of it is NULL. */
void owner_leave(const struct plugin *plugin);

/* Its code is about to be unmapped: somebody else's may lie there next. */
void owner_unmap(const struct plugin *plugin);

/* All have gone, with the server that they were of. */
void owners_clear(void);

/*
 * The owner of the code at an address, 0 where it is no plugin's: the core's, a library's.
 * Thread: any.
 */
uint64_t owner_at(uintptr_t code);

/* The plugin's own number, made where it has none yet. */
uint64_t owner_of(struct plugin *plugin);

/* The plugin of a number, NULL when it has gone; 0 is nobody's. */
struct plugin *owner_plugin(uint64_t owner);

/*
 * Whose callback this is: of the plugin that it is code of, else of the one that is running
 * now, NULL for the core. False: the plugin has gone.
 */
bool owner_find(const hop_server *server, uintptr_t code, struct plugin **plugin);

#endif
