/*
 * static.h - files that a plugin brings along.
 */
#ifndef SOCKHOP_STATIC_H
#define SOCKHOP_STATIC_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Serve the files of a folder to GET and HEAD, below a prefix, where the clients are: with
 * "/admin", /admin/js/main.js is js/main.js of the folder, and /admin/ its index.html (link
 * to that with the slash, so that what it links to is found below it). Types, ETag, packed
 * copies and lifetimes are as those of the page: see static files in sockhop(8).
 *
 * No list of a folder, no file whose path has a component that begins with a dot, nothing
 * that a symbolic link leads to: such is 404, as is what is not there. The folder itself
 * may be a symbolic link. What is written into it is served at once; another folder in its place, or
 * another target of such a link, once the plugin is reloaded by its name (sockhopctl(8)).
 * HTML files get the page's Content-Security-Policy: no script that stands in them runs.
 *
 *   prefix  starts with '/', a decoded path; one slash at its end counts for nothing. Not "/"
 *           itself, no component that begins with a dot, and neither the Socket.IO path nor one below it
 *   folder  absolute, or below the plugin's own folder: PLUGIN_DIR/PLUGIN/, beside its file.
 *           It must be there, and readable for the user that the server runs as
 *
 * A path of hop_route() below the prefix comes first, and a longer prefix before a shorter one.
 * Prefixes may be had at any time, but for those that a hop_engine() has once had; they go with the plugin: then the path is again what it
 * was without it.
 * Returns 0, or -1 when an argument is none of these, the folder cannot be opened, or the
 * prefix is taken: the plugin is refused with the reason then. Only in init(). Thread: logic.
 */
HOP_API int hop_static(hop_server *server, const char *prefix, const char *folder);

#ifdef __cplusplus
}
#endif

#endif
