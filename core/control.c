/*
 * control.c - the control socket: see control.h.
 *
 * A client that does not read, says nothing for long, or sends too long a line is closed. While a
 * command of its is under way its further lines wait.
 * Called by: daemon.c. Thread: logic.
 */
#include "core/control.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/mem.h"
#include "core/console.h"
#include "core/loop/loop.h"

enum {
    WORDS_MAX = 64,
    PAUSE_MS = 100, /* of accepting, for want of descriptors */
    IDLE_S = 600,   /* without a request */
    REFUSED_S = 5,  /* until it has noticed */
    SLOW_S = 30     /* an answer that the client does not take */
};

struct control {
    struct loops *loops;     /* borrowed */
    struct console *console; /* borrowed */
    char *path;              /* owned */
    dev_t device;            /* of the socket that we made there, and its inode */
    ino_t inode;
    uid_t uid, starter; /* who may, beside root */
    int fd, spare_fd;   /* spare_fd: see take_spare(); -1: none */
    struct event *event,
        *pause; /* owned: of fd, and until it is looked at again; NULL once it has stopped */
    struct control_client *clients; /* owned: a list */
    unsigned n_clients;
};

struct control_client {
    struct control *control; /* borrowed */
    int fd;                  /* -1: it has gone, and a command of it is still under way */
    struct event *readable, *writable; /* owned */
    char *in;                          /* owned: CONTROL_LINE_MAX + 1 bytes */
    size_t n_in;
    char *out; /* owned: what is still to be sent, or NULL */
    size_t n_out, n_sent;
    bool is_asking;  /* a command is under way */
    bool is_reading; /* lines are being taken: not again from within */
    bool is_refused; /* it was told so; the rest of its line goes nowhere */
    bool has_ended;  /* no more will come: closed once all is answered */
    struct control_client *previous, *next;
};

/* A descriptor to give up when no other is left: then an operator is let in all the same. */
static void take_spare(struct control *control)
{
    if (control->spare_fd < 0)
        control->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- one client */

static void client_unlink(struct control_client *client)
{
    struct control *control = client->control;

    *(client->previous ? &client->previous->next : &control->clients) = client->next;
    if (client->next)
        client->next->previous = client->previous;
}

static void client_free(struct control_client *client)
{
    client_unlink(client);
    free(client->in);
    free(client->out);
    free(client);
}

/* What it has asked goes on, and is answered to nobody: client_end() frees it then. */
static void client_close(struct control_client *client)
{
    if (client->fd < 0)
        return;
    event_free(client->readable);
    event_free(client->writable);
    close(client->fd);
    client->fd = -1;
    client->control->n_clients--;
    take_spare(client->control);
}

/* The last of each callback: the client may be gone when this returns. */
static void client_end(struct control_client *client)
{
    if (client->fd < 0 && !client->is_asking && !client->is_reading)
        client_free(client);
}

static void wait_for(struct event *event, time_t seconds)
{
    const struct timeval limit = {.tv_sec = seconds};

    if (event_add(event, seconds ? &limit : NULL) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

/* False: it has been closed. */
static bool client_send(struct control_client *client)
{
    while (client->n_sent < client->n_out) {
        const ssize_t n = send(client->fd, client->out + client->n_sent,
                               client->n_out - client->n_sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            wait_for(client->writable, SLOW_S);
            return true;
        }
        if (n < 0) {
            client_close(client);
            return false;
        }
        client->n_sent += (size_t)n;
    }
    free(client->out);
    client->out = NULL;
    client->n_out = client->n_sent = 0;
    return true;
}

/* ---- requests */

static void on_answer(json_t *data, const char *error, void *arg);

/* reply: stolen; NULL, or what cannot be written: a plugin's data may be anything. */
static void reply(struct control_client *client, json_t *reply)
{
    static const char no_json[] = "{\"ok\":false,\"error\":\"the answer cannot be "
                                  "written as JSON: text in it is no "
                                  "UTF-8, or it holds itself\"}";
    char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    size_t len;

    json_decref(reply);
    if (!text)
        text = mem_strdup(no_json);
    len = strlen(text);
    client->out = mem_realloc(client->out, client->n_out + len + 1);
    memcpy(client->out + client->n_out, text, len);
    client->out[client->n_out + len] = '\n';
    client->n_out += len + 1;
    free(text);
}

static void reply_error(struct control_client *client, const char *error)
{
    json_t *text = json_string(error);

    if (!text) /* somebody else's bytes stand in it */
        text = json_string("it failed, for a reason that is no UTF-8: see the log");
    reply(client, json_pack("{s:b, s:o}", "ok", false, "error", text));
}

static void on_answer(json_t *data, const char *error, void *arg)
{
    struct control_client *client = arg;

    client->is_asking = false;
    if (client->fd < 0) {
        client_end(client);
        return;
    }
    if (error)
        reply_error(client, error);
    else
        reply(client, json_pack("{s:b, s:O}", "ok", true, "data", data));
    if (!client->is_reading) /* whoever takes lines goes on by itself */
        event_active(client->readable, EV_READ, 0);
}

/* The words of a request, borrowed from it; -1: it is none. */
static int read_words(const json_t *request, const char **words, size_t *n)
{
    const json_t *list = json_object_get(request, "command");

    *n = json_array_size(list);
    if (*n < 1 || *n > WORDS_MAX)
        return -1;
    for (size_t i = 0; i < *n; i++) {
        const json_t *word = json_array_get(list, i);

        words[i] = json_string_value(word);
        if (!words[i] || strlen(words[i]) != json_string_length(word))
            return -1;
    }
    return 0;
}

static void take_line(struct control_client *client, const char *line, size_t len)
{
    json_t *request = json_loadb(line, len, 0, NULL);
    const char *words[WORDS_MAX];
    size_t n;

    if (read_words(request, words, &n) < 0) {
        reply_error(client, "a request is a line {\"command\": [\"help\"]}, with 1 to 64 "
                            "texts");
    } else {
        client->is_asking = true;
        console_run(client->control->console, n, words, on_answer, client);
    }
    json_decref(request);
}

/* Lines that are whole, as long as nothing is under way. */
static void take_lines(struct control_client *client)
{
    size_t at = 0;
    char *end;

    client->is_reading = true;
    while (client->fd >= 0 && !client->is_asking && !client->out &&
           (end = memchr(client->in + at, '\n', client->n_in - at))) {
        const size_t len = (size_t)(end - (client->in + at));

        take_line(client, client->in + at, len);
        at += len + 1;
        if (client->out && !client_send(client))
            break;
    }
    client->is_reading = false;
    client->n_in -= at;
    memmove(client->in, client->in + at, client->n_in);
}

/* Closing at once would take the answer back, for there is more to read. */
static void refuse_long(struct control_client *client)
{
    reply_error(client, "a request has 65536 bytes at most");
    if (!client_send(client))
        return;
    shutdown(client->fd, SHUT_WR);
    client->is_refused = true;
    wait_for(client->readable, REFUSED_S);
}

static void swallow(struct control_client *client, short what)
{
    if ((what & EV_READ) &&
        recv(client->fd, client->in, CONTROL_LINE_MAX, MSG_DONTWAIT) > 0)
        wait_for(client->readable, REFUSED_S);
    else
        client_close(client);
}

/* Whether it takes no answers any more, either. */
static bool is_gone(const struct control_client *client)
{
    struct pollfd state = {.fd = client->fd};

    return poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR));
}

/* After lines were taken, or an answer has come. */
static void go_on(struct control_client *client)
{
    const bool is_idle = !client->is_asking && !client->out;

    if (client->fd < 0)
        return;
    if (is_idle && client->n_in == CONTROL_LINE_MAX)
        refuse_long(client);
    else if (client->has_ended && (is_idle || is_gone(client)))
        client_close(client);
    else if (client->n_in < CONTROL_LINE_MAX && !client->has_ended)
        wait_for(client->readable, is_idle ? IDLE_S : 0);
}

/* False: it has been closed. */
static bool client_receive(struct control_client *client)
{
    while (!client->has_ended && client->n_in < CONTROL_LINE_MAX) {
        const ssize_t n = recv(client->fd, client->in + client->n_in,
                               CONTROL_LINE_MAX - client->n_in, MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (n < 0) {
            client_close(client);
            return false;
        }
        client->has_ended = n == 0;
        client->n_in += (size_t)n;
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct control_client *client = arg;

    (void)fd;
    if (client->is_refused) {
        swallow(client, what);
    } else if ((what & EV_TIMEOUT) && !client->is_asking && !client->out) {
        client_close(client);
    } else if ((!client->out || client_send(client)) && client_receive(client)) {
        take_lines(client); /* behind an answer that came in between */
        go_on(client);
    }
    client_end(client);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct control_client *client = arg;

    (void)fd;
    if (what & EV_TIMEOUT) {
        hop_log(HOP_WARN, "control.slow hint=\"a client did not take its answer\"");
        client_close(client);
    } else if (client_send(client) && !client->out) {
        take_lines(client);
        go_on(client);
    }
    client_end(client);
}

/* ---- accepting */

static bool may_control(const struct control *control, int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    *uid = peer.uid;
    return peer.uid == 0 || peer.uid == control->uid || peer.uid == control->starter;
}

/* Says why, as far as the socket takes it. */
static void turn_away(int fd, const char *why)
{
    char line[200];
    const int len = snprintf(line, sizeof line, "{\"ok\":false,\"error\":\"%s\"}\n", why);

    if (send(fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        hop_log(HOP_DEBUG, "control.unheard");
    close(fd);
}

static void client_new(struct control *control, int fd)
{
    struct control_client *client = mem_calloc(1, sizeof *client);
    struct event_base *base = control->loops->logic->base;

    client->control = control;
    client->fd = fd;
    client->in = mem_alloc(CONTROL_LINE_MAX + 1);
    client->readable = event_new(base, fd, EV_READ, on_readable, client);
    client->writable = event_new(base, fd, EV_WRITE, on_writable, client);
    if (!client->readable || !client->writable)
        mem_exhausted(128); /* the one reason that libevent has */
    client->next = control->clients;
    if (client->next)
        client->next->previous = client;
    control->clients = client;
    control->n_clients++;
    wait_for(client->readable, IDLE_S);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    struct control *control = arg;

    (void)fd;
    (void)what;
    take_spare(control);
    wait_for(control->event, 0);
}

/* Whoever waits would keep the loop busy. */
static void pause_accepting(struct control *control)
{
    static const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};

    event_del(control->event);
    if (evtimer_add(control->pause, &pause) < 0)
        mem_exhausted(128); /* the one reason that libevent has */
}

static void on_connection(evutil_socket_t listener, short what, void *arg)
{
    struct control *control = arg;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uid_t uid = (uid_t)-1;

    (void)what;
    if (fd < 0 && errno == EMFILE && control->spare_fd >= 0) {
        close(control->spare_fd);
        control->spare_fd = -1;
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            pause_accepting(control);
        take_spare(control);
        return;
    }
    if (!may_control(control, fd, &uid)) {
        hop_log(HOP_WARN, "control.refused uid=%lu", (unsigned long)uid);
        turn_away(fd, "only root and the server's own user may control it");
    } else if (control->n_clients == CONTROL_CLIENTS_MAX) {
        turn_away(fd, "16 clients control it already: try again");
    } else {
        client_new(control, fd);
    }
}

/* ---- opening */

static int fill_address(struct sockaddr_un *address, const char *path, hop_error *error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof address->sun_path) {
        strcpy(address->sun_path, path);
        return 0;
    }
    hop_error_set(error, "%s: a socket's path has %zu bytes at most", path,
                  sizeof address->sun_path - 1);
    return -1;
}

/* A socket that another server left behind goes; one that answers, and anything else, stays. */
static int clear_path(const char *path, const struct sockaddr_un *address,
                      hop_error *error)
{
    struct stat status;
    int fd, result;

    if (lstat(path, &status) < 0)
        return 0;
    if (!S_ISSOCK(status.st_mode)) {
        hop_error_set(error, "%s is there, and is no socket: name another path", path);
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    result = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)address, sizeof *address);
    if (result < 0 && errno == ECONNREFUSED && unlink(path) == 0)
        result = 0;
    else if (result == 0 || errno == EAGAIN)
        hop_error_set(error,
                      "%s: another server listens there: stop it, or name another "
                      "path",
                      path);
    else
        hop_error_set(error, "%s: cannot replace what is there: %s", path,
                      strerror(errno));
    if (fd >= 0)
        close(fd);
    return *error->text ? -1 : result;
}

/* To whom the server will be; whatever else has taken the path meanwhile is left alone. */
static int give_path(struct control *control, uid_t uid, gid_t gid)
{
    const int fd = open(control->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    int result = -1, cause;

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) == 0) {
        errno = EBUSY;
        if (S_ISSOCK(status.st_mode) && status.st_nlink == 1 &&
            status.st_uid == geteuid() &&
            (status.st_uid == uid || fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0)) {
            control->device = status.st_dev;
            control->inode = status.st_ino;
            result = 0;
        }
    }
    cause = errno;
    close(fd);
    errno = cause;
    return result;
}

static int bind_path(struct control *control, uid_t uid, gid_t gid, hop_error *error)
{
    struct sockaddr_un address;

    if (fill_address(&address, control->path, error) < 0 ||
        clear_path(control->path, &address, error) < 0)
        return -1;
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode of the descriptor is that of the path, from its first moment on. */
    if (control->fd < 0 || fchmod(control->fd, 0600) < 0 ||
        bind(control->fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        hop_error_set(error, "cannot listen at %s: %s", control->path, strerror(errno));
        return -1;
    }
    if (give_path(control, uid, gid) == 0 &&
        listen(control->fd, CONTROL_CLIENTS_MAX) == 0)
        return 0;
    hop_error_set(error, "cannot listen at %s: %s", control->path, strerror(errno));
    return -1;
}

struct control *control_open(struct loops *loops, struct console *console,
                             const char *path, uid_t uid, gid_t gid, hop_error *error)
{
    struct control *control = mem_calloc(1, sizeof *control);

    error->text[0] = '\0';
    control->loops = loops;
    control->console = console;
    control->path = mem_strdup(path);
    control->fd = control->spare_fd = -1;
    control->uid = uid;
    control->starter = getuid();
    if (bind_path(control, uid, gid, error) < 0) {
        control_free(control);
        return NULL;
    }
    control->event = event_new(loops->logic->base, control->fd, EV_READ | EV_PERSIST,
                               on_connection, control);
    control->pause = evtimer_new(loops->logic->base, on_pause_over, control);
    if (!control->event || !control->pause)
        mem_exhausted(128); /* the one reason that libevent has */
    wait_for(control->event, 0);
    take_spare(control);
    hop_log(HOP_INFO, "control.open path=\"%s\"", path);
    return control;
}

/* ---- the end */

void control_stop(struct control *control)
{
    struct stat status;

    if (!control || control->fd < 0)
        return;
    if (control->event) {
        event_free(control->event);
        event_free(control->pause);
    }
    control->event = control->pause = NULL;
    close(control->fd);
    control->fd = -1;
    if (control->inode != 0 && lstat(control->path, &status) == 0 &&
        status.st_dev == control->device && status.st_ino == control->inode &&
        unlink(control->path) < 0)
        hop_log(HOP_DEBUG, "control.path_stays path=\"%s\"", control->path);
}

void control_free(struct control *control)
{
    struct control_client *next;

    if (!control)
        return;
    control_stop(control);
    for (struct control_client *client = control->clients; client; client = next) {
        next = client->next;
        client_close(client);
        client_end(client);
    }
    if (control->spare_fd >= 0)
        close(control->spare_fd);
    free(control->path);
    free(control);
}
