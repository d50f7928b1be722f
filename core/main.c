/*
 * main.c - flags, what each asks for, and the exit status.
 *
 * 0: all well; 1: the configuration or the start failed; 2: wrong usage.
 * Thread: main, which is logic's once the daemon runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockhop/log.h>

#include "core/base/config.h"
#include "core/base/crash.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/settings.h"
#include "core/daemon.h"

#ifndef HOP_VERSION
#error "HOP_VERSION comes from the build"
#endif

enum mode { MODE_RUN, MODE_CHECK, MODE_PRINT, MODE_HOOKS, MODE_DOC };

struct flags {
    const char *conf_file;  /* borrowed from argv */
    const char **overrides; /* owned array, borrowed texts */
    size_t n_overrides;
    enum mode mode;
    enum config_doc doc; /* of MODE_DOC */
};

static void print_help(void)
{
    printf(
        "Usage: sockhop [-c FILE] [-o SECTION.KEY=VALUE]... [-t | -T | ...]\n"
        "A Socket.IO server whose behaviour is chosen by plugins.\n"
        "\n"
        "  -c, --config FILE    read this configuration (default %s)\n"
        "  -o, --option SECTION.KEY=VALUE\n"
        "                       override one key; repeatable:\n"
        "                       -o server.threads=2 -o plugin:lobby.notices=no\n"
        "  -t, --test           check the configuration and exit\n"
        "  -T, --print-config   check the configuration and print it, merged\n"
        "      --config-doc[=text|conf]\n"
        "                       print every key, of the server and of the plugins named\n"
        "      --print-hooks    start the plugins, print who is called when, and stop "
        "them\n"
        "  -h, --help           this text\n"
        "  -V, --version        the version\n"
        "\n"
        "PORT in the environment overrides server.port.\n"
        "SIGTERM and SIGINT stop the server cleanly. See sockhop(8), sockhop.ini(5).\n",
        HOP_CONF_FILE);
}

enum { PRINT_HOOKS = 256, CONFIG_DOC }; /* options without a letter */

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"option", required_argument, NULL, 'o'},
    {"test", no_argument, NULL, 't'},
    {"print-config", no_argument, NULL, 'T'},
    {"print-hooks", no_argument, NULL, PRINT_HOOKS},
    {"config-doc", optional_argument, NULL, CONFIG_DOC},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* text: of --config-doc=text, or NULL. */
static int parse_doc(const char *text, enum config_doc *doc)
{
    *doc = text && strcmp(text, "conf") == 0 ? CONFIG_DOC_CONF : CONFIG_DOC_TEXT;
    if (!text || *doc == CONFIG_DOC_CONF || strcmp(text, "text") == 0)
        return 0;
    fprintf(stderr, "sockhop: --config-doc is text or conf, not '%s'\n", text);
    return -1;
}

/* Returns -1 to go on, else the exit status. */
static int parse_flags(int argc, char **argv, struct flags *flags)
{
    int option;

    *flags = (struct flags){.conf_file = HOP_CONF_FILE};
    flags->overrides = mem_calloc((size_t)argc, sizeof *flags->overrides);
    while ((option = getopt_long(argc, argv, "c:o:tThV", long_options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            flags->conf_file = optarg;
            break;
        case 'o':
            flags->overrides[flags->n_overrides++] = optarg;
            break;
        case 't':
            flags->mode = MODE_CHECK;
            break;
        case 'T':
            flags->mode = MODE_PRINT;
            break;
        case PRINT_HOOKS:
            flags->mode = MODE_HOOKS;
            break;
        case CONFIG_DOC:
            flags->mode = MODE_DOC;
            if (parse_doc(optarg, &flags->doc) < 0)
                return 2;
            break;
        case 'h':
            print_help();
            return 0;
        case 'V':
            printf("sockhop %s\n", HOP_VERSION);
            return 0;
        default:
            fprintf(stderr, "Try 'sockhop --help'.\n");
            return 2;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "sockhop: what is '%s'? Try 'sockhop --help'.\n", argv[optind]);
    return 2;
}

/* Read the files and apply what overrides them. */
static struct config *load_config(const struct flags *flags, struct settings *settings,
                                  hop_error *error)
{
    struct config *config = config_load(flags->conf_file, error);

    if (!config && access(flags->conf_file, F_OK) < 0 && errno == ENOENT)
        hop_error_set(error, "%s: name the conf file with -c", error->text);
    if (!config)
        return NULL;
    for (size_t i = 0; i < flags->n_overrides; i++) {
        if (config_override(config, flags->overrides[i], error) < 0) {
            config_free(config);
            return NULL;
        }
    }
    if (settings_fill(settings, config, error) == 0)
        return config;
    config_free(config);
    return NULL;
}

static int run_mode(enum mode mode, const struct flags *flags,
                    const struct settings *settings, const struct config *config,
                    hop_error *error)
{
    if (mode == MODE_RUN)
        return daemon_run(settings, config, error);
    if (mode == MODE_DOC)
        return daemon_print_config_doc(settings, config, flags->doc, stdout, error);
    if (daemon_check(settings, config, error) < 0)
        return -1;
    if (mode == MODE_HOOKS)
        return daemon_print_hooks(settings, config, stdout, error);
    if (mode == MODE_CHECK)
        printf("%s: the configuration is good\n", flags->conf_file);
    else if (daemon_print_config(settings, config, stdout, error) < 0)
        return -1;
    return 0;
}

/* Do what the flags ask for. Returns the exit status. */
static int run(const struct flags *flags, hop_error *error)
{
    struct settings settings = {0};
    struct config *config = load_config(flags, &settings, error);
    int status = 1;

    if (config) {
        log_set_level((hop_log_level)settings.log_level);
        if (run_mode(flags->mode, flags, &settings, config, error) == 0)
            status = 0;
    }
    config_free(config);
    return status;
}

/* A descriptor we open must never become somebody's stdout (T53). */
static void open_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    struct flags flags;
    hop_error error = {""};
    int status;

    open_standard_fds();
    crash_install();
    status = parse_flags(argc, argv, &flags);
    if (status < 0)
        status = run(&flags, &error);
    if (status == 0 && fflush(stdout) != 0) {
        hop_error_set(&error, "cannot write: %s", strerror(errno));
        status = 1;
    }
    if (*error.text && status != 0)
        fprintf(stderr, "sockhop: %s\n", error.text);
    free(flags.overrides);
    return status;
}
