/*
 * sockhopctl.c - the operator's program: hands one command to a server that runs, through its
 * control socket, and prints the answer.
 *
 * 0: done; 1: the server says no; 2: wrong usage, or no server. See sockhopctl(8).
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/config.h"
#include "core/base/mem.h"
#include "core/base/settings.h"

enum { FAILED = 1, MISUSED = 2, WAIT_S = 30, WAIT_MAX_S = 3600, ANSWER_STEP = 65536 };

struct flags {
    const char *conf_file, *socket; /* borrowed from argv; socket may be NULL */
    long wait_s;
    bool is_json;
    int first; /* of the command's words in argv */
};

static void print_help(void)
{
    printf("Usage: sockhopctl [-c FILE | -s SOCKET] [-j] [-w SECONDS] COMMAND...\n"
           "Hands a command to a sockhop that runs. `sockhopctl help` lists them.\n"
           "\n"
           "  -c, --config FILE    the server's configuration, whose server.control "
           "names the\n"
           "                       socket (default %s)\n"
           "  -s, --socket SOCKET  the socket itself\n"
           "  -j, --json           print the answer as JSON\n"
           "  -w, --wait SECONDS   for the answer, 1 to %d (default %d)\n"
           "  -h, --help           this text\n"
           "  -V, --version        the version\n"
           "\n"
           "Exit status: 0 done, 1 the server says no, 2 wrong usage or no server.\n"
           "See sockhopctl(8).\n",
           HOP_CONF_FILE, WAIT_MAX_S, WAIT_S);
}

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"wait", required_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static bool read_wait(const char *text, long *seconds)
{
    char *end;

    *seconds = strtol(text, &end, 10);
    if (end != text && *end == '\0' && *seconds >= 1 && *seconds <= WAIT_MAX_S)
        return true;
    fprintf(stderr, "sockhopctl: --wait is a number from 1 to %d, not '%s'\n", WAIT_MAX_S,
            text);
    return false;
}

/* Returns -1 to go on, else the exit status. */
static int parse_flags(int argc, char **argv, struct flags *flags)
{
    int option;

    *flags = (struct flags){.conf_file = HOP_CONF_FILE, .wait_s = WAIT_S};
    while ((option = getopt_long(argc, argv, "+c:s:jw:hV", long_options, NULL)) >= 0) {
        if (option == 'c')
            flags->conf_file = optarg;
        else if (option == 's')
            flags->socket = optarg;
        else if (option == 'j')
            flags->is_json = true;
        else if (option == 'w' && read_wait(optarg, &flags->wait_s))
            continue;
        else if (option == 'h')
            print_help();
        else if (option == 'V')
            printf("sockhopctl %s\n", HOP_VERSION);
        else
            return MISUSED;
        if (option == 'h' || option == 'V')
            return 0;
    }
    flags->first = optind;
    if (optind < argc)
        return -1;
    fprintf(stderr,
            "sockhopctl: which command? `sockhopctl help` asks the server for all, "
            "`sockhopctl --help` tells the options\n");
    return MISUSED;
}

/* ---- the socket */

/* Owned by the caller; NULL with the reason printed. */
static char *find_socket(const struct flags *flags)
{
    struct settings settings = {0};
    struct config *config;
    hop_error error;
    char *path = NULL;

    if (flags->socket)
        return mem_strdup(flags->socket);
    config = config_load(flags->conf_file, &error);
    if (!config || settings_fill(&settings, config, &error) < 0)
        fprintf(stderr, "sockhopctl: %s\n", error.text);
    else if (!*settings.control)
        fprintf(stderr,
                "sockhopctl: %s: server.control is empty: name a path there and restart "
                "the server, or give the socket with -s\n",
                flags->conf_file);
    else
        path = mem_strdup(settings.control);
    config_free(config);
    return path;
}

static int open_socket(const char *path, long wait_s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval limit = {.tv_sec = wait_s};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "sockhopctl: %s: a socket's path has %zu bytes at most\n", path,
                sizeof address.sun_path - 1);
        goto fail;
    }
    strcpy(address.sun_path, path);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    fprintf(stderr, "sockhopctl: %s: %s: %s\n", path, strerror(errno),
            errno == ENOENT || errno == ECONNREFUSED ? "no server runs there"
            : errno == EAGAIN ? "the server does not answer: it is busy, or hangs"
            : errno != EACCES ? "is that the socket of server.control?"
                              : "root and the server's own user may control it");

fail:
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- asking */

static int send_request(int fd, char *const *words, int n)
{
    json_t *list = json_array(), *request;
    char *text;
    size_t len, sent = 0;

    for (int i = 0; i < n; i++)
        if (json_array_append_new(list, json_string(words[i])) < 0) {
            fprintf(stderr, "sockhopctl: '%s' is no UTF-8\n", words[i]);
            json_decref(list);
            return -1;
        }
    request = json_pack("{s:o}", "command", list);
    text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!text)
        mem_exhausted(1);
    len = strlen(text);
    text[len++] = '\n'; /* in the place of the NUL */
    while (sent < len) {
        const ssize_t n_sent = send(fd, text + sent, len - sent, MSG_NOSIGNAL);

        if (n_sent < 0 && errno == EINTR)
            continue;
        if (n_sent <= 0)
            break; /* it may have said why */
        sent += (size_t)n_sent;
    }
    free(text);
    return 0;
}

/* The first line that comes. NULL with the reason printed; owned by the caller. */
static json_t *read_answer(int fd, long wait_s)
{
    char *text = NULL, *end = NULL;
    size_t len = 0;
    json_t *answer = NULL;
    ssize_t n;

    do {
        text = mem_realloc(text, len + ANSWER_STEP);
        do
            n = recv(fd, text + len, ANSWER_STEP, 0);
        while (n < 0 && errno == EINTR); /* it was stopped, and goes on */
        if (n > 0)
            end = memchr(text + len, '\n', (size_t)n);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && !end);
    if (end)
        answer = json_loadb(text, (size_t)(end - text), 0, NULL);
    if (!answer && n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fprintf(stderr,
                "sockhopctl: no answer within %ld s: the command may still be under way "
                "(-w waits for longer)\n",
                wait_s);
    else if (!answer)
        fprintf(stderr, "sockhopctl: the server has closed the connection without an "
                        "answer: see its log\n");
    free(text);
    return answer;
}

/* ---- printing: texts may hold what a client has chosen, so no control byte comes through */

static void print_text(const char *text, bool is_whole)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        const bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;

        const bool is_layout = is_whole && (*at == '\n' || *at == '\t');

        at += is_c1; /* its second byte is its number */
        if (is_layout || (*at >= 0x20 && *at != 0x7f && !is_c1))
            putchar(*at);
        else
            printf("\\x%02x", *at);
    }
}

/* Owned by the caller. */
static char *cell_text(const json_t *value)
{
    char *text;

    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    if (!value || json_is_null(value))
        return mem_strdup("");
    text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text)
        mem_exhausted(1);
    return text;
}

/* Columns of a terminal, as far as code points tell. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static size_t column_width(const json_t *rows, const char *key)
{
    size_t width = strlen(key), i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        char *text = cell_text(json_object_get(row, key));

        if (width_of(text) > width)
            width = width_of(text);
        free(text);
    }
    return width;
}

static void print_cell(const char *text, size_t width, bool is_last)
{
    print_text(text, false);
    for (size_t n = width_of(text); !is_last && n < width + 2; n++)
        putchar(' ');
}

/* Rows are objects with the keys of the first. */
static void print_table(json_t *rows)
{
    json_t *first = json_array_get(rows, 0), *row;
    size_t n_keys = json_object_size(first), at = 0, i;
    size_t *widths = mem_calloc(n_keys + 1, sizeof *widths);
    const char *key;
    json_t *value;

    json_object_foreach(first, key, value)
    {
        widths[at] = column_width(rows, key);
        print_cell(key, widths[at], at + 1 == n_keys);
        at++;
    }
    putchar('\n');
    json_array_foreach(rows, i, row)
    {
        at = 0;
        json_object_foreach(first, key, value)
        {
            char *text = cell_text(json_object_get(row, key));

            print_cell(text, widths[at], at + 1 == n_keys);
            free(text);
            at++;
        }
        putchar('\n');
    }
    free(widths);
}

static bool is_table(const json_t *value)
{
    return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

static void print_line(const json_t *value)
{
    char *text = cell_text(value);

    print_text(text, false);
    putchar('\n');
    free(text);
}

static void print_object(json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) if (!is_table(value))
    {
        print_text(key, false);
        fputs(": ", stdout);
        print_line(value);
    }
    json_object_foreach(object, key, value) if (is_table(value))
    {
        putchar('\n');
        print_table(value);
    }
}

static void print_data(json_t *data)
{
    size_t i;
    json_t *value;

    if (is_table(data)) {
        print_table(data);
    } else if (json_is_object(data)) {
        print_object(data);
    } else if (json_is_array(data)) {
        json_array_foreach(data, i, value) print_line(value);
    } else if (json_is_string(data)) {
        const char *text = json_string_value(data);
        const size_t len = strlen(text);

        print_text(text, true);
        if (len == 0 || text[len - 1] != '\n')
            putchar('\n');
    } else if (!json_is_null(data)) {
        print_line(data);
    }
}

/* Returns the exit status. */
static int print_answer(json_t *answer, bool is_json)
{
    const bool is_ok = json_is_true(json_object_get(answer, "ok"));
    const char *error = json_string_value(json_object_get(answer, "error"));

    if (is_json) {
        json_dumpf(answer, stdout, JSON_INDENT(2));
        putchar('\n');
    } else if (is_ok) {
        print_data(json_object_get(answer, "data"));
    } else {
        fprintf(stderr, "sockhopctl: %s\n", error ? error : "the server gave no reason");
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sockhopctl: cannot print the answer: %s\n", strerror(errno));
        return MISUSED;
    }
    return is_ok ? 0 : FAILED;
}

int main(int argc, char **argv)
{
    struct flags flags;
    int status = parse_flags(argc, argv, &flags), fd;
    json_t *answer = NULL;
    char *path;

    if (status >= 0)
        return status;
    path = find_socket(&flags);
    fd = path ? open_socket(path, flags.wait_s) : -1;
    if (fd >= 0 && send_request(fd, argv + flags.first, argc - flags.first) == 0)
        answer = read_answer(fd, flags.wait_s);
    if (fd >= 0)
        close(fd);
    free(path);
    status = answer ? print_answer(answer, flags.is_json) : MISUSED;
    json_decref(answer);
    return status;
}
