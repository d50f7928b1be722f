/*
 * auth.h - the interface that the plugin `auth` provides to others, as "auth".
 *
 *   const hop_auth *auth = hop_require(server, "auth", sizeof *auth);
 *   const char *name = auth->name_of(auth->self, socket);
 */
#ifndef SOCKHOP_AUTH_H
#define SOCKHOP_AUTH_H

#include <sockhop/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Called when a socket has logged in (after `welcome`), or a socket with a name leaves.
 * A login hook may disconnect the socket: later login hooks are then not called for it,
 * but every leave hook is. name: borrowed until the hook returns, or disconnects the socket.
 */
typedef void hop_auth_hook(hop_socket socket, const char *name, void *self);

typedef struct hop_auth {
    size_t size; /* of this struct in the provider's build */
    void *self;  /* first argument of every function */

    /* The socket's name, or NULL before its login. Borrowed until it leaves. */
    const char *(*name_of)(void *self, hop_socket socket);

    /* Calls each(name, arg) for every name in use, in the order of login. each() may not
     * make anybody log in or leave. */
    void (*each_name)(void *self, void (*each)(const char *name, void *arg), void *arg);

    /* Register hooks: only in init(). Return 0, or -1. A hook runs in the logic thread. */
    int (*on_login)(void *self, hop_auth_hook *hook, void *hook_self);
    int (*on_leave)(void *self, hop_auth_hook *hook, void *hook_self);
} hop_auth;

#ifdef __cplusplus
}
#endif

#endif
