/*
 * test_static.c - files over HTTP (core/net/static.c): T23, T29, T30. Runs all twice:
 * with openat2, and as on a kernel without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "core/net/static.h"
#include "http_fixture.h"

#define SECRET "the planted secret"
#define CLOSE " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

struct site {
    char folder[64];
    struct static_files *files;
    struct fixture *fixture;
};

static void write_file(const struct site *site, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", site->folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static void make_folder(const struct site *site, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", site->folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void make_link(const struct site *site, const char *to, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", site->folder, name);
    assert_int_equal(symlink(to, path), 0);
}

static void on_named(struct httpconn *http, const struct http_request *request,
                     const char *body, size_t body_len, void *arg)
{
    (void)body;
    (void)body_len;
    static_serve(arg, http, request, request->query.text, &(struct static_options){0});
}

static int start(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    struct http_route route, named = {.on_request = on_named};
    char root[128], fifo[128];
    hop_error error;

    assert_non_null(site);
    strcpy(site->folder, "/tmp/sockhop-static-XXXXXX");
    assert_non_null(mkdtemp(site->folder));
    make_folder(site, "root");
    make_folder(site, "root/assets");
    make_folder(site, "root/.git");
    make_folder(site, "root-sibling");
    write_file(site, "secret.txt", SECRET);
    write_file(site, "root-sibling/secret.txt", SECRET);
    write_file(site, "root/.env", SECRET);
    write_file(site, "root/.git/config", SECRET);
    write_file(site, "root/assets/.hidden.js", SECRET);
    write_file(site, "root/index.html", "<page>");
    write_file(site, "root/favicon.svg", "<svg>");
    write_file(site, "root/empty.txt", "");
    write_file(site, "root/data.bin", "bin");
    write_file(site, "root/a b.txt", "blank");
    write_file(site, "root/assets/page-5X2QAZ7K.js", "script");
    write_file(site, "root/assets/page-5X2QAZ7K.js.gz", "gzipped");
    write_file(site, "root/assets/page-5X2QAZ7K.js.map", "{}");
    write_file(site, "root/style.css", "style");
    write_file(site, "root/style.css.gz", "gzipped");
    write_file(site, "root/style.css.br", "brotli");
    write_file(site, "root/assets/my-component.css", "style");
    make_link(site, "../secret.txt", "root/link.txt");
    make_link(site, "..", "root/up");
    make_link(site, "favicon.svg", "root/inside.svg");
    make_link(site, "/proc/self/cwd", "root/magic");
    snprintf(fifo, sizeof fifo, "%s/root/fifo.txt", site->folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    make_folder(site, "root/folder.txt");

    snprintf(root, sizeof root, "%s/root", site->folder);
    site->files = static_new(root, &error);
    assert_non_null(site->files);
    site->fixture = fixture_new(0);
    route = static_route(site->files);
    named.arg = site->files;
    router_set_fallback(site->fixture->router, &route);
    router_add(site->fixture->router, NULL, "/named", &named);
    fixture_start(site->fixture);
    *state = site;
    return 0;
}

static int stop(void **state)
{
    struct site *site = *state;
    char command[128];

    fixture_free(site->fixture);
    static_free(site->files);
    snprintf(command, sizeof command, "rm -rf '%s'", site->folder);
    assert_int_equal(system(command), 0);
    free(site);
    return 0;
}

/* One request on a connection of its own; more: further header lines. */
static struct reply request(struct site *site, const char *method, const char *path,
                            const char *more)
{
    char text[9000];

    snprintf(text, sizeof text, "%s %s" CLOSE "%s\r\n", method, path, more);
    return ask(site->fixture, text);
}

static void every_path_gets_its_file_the_page_or_404(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *body; /* NULL: whatever */
    } rows[] = {
        {"/", 200, "<page>"},
        {"/?x=/../secret.txt", 200, "<page>"},
        {"/index.html", 200, "<page>"},
        {"/favicon.svg", 200, "<svg>"},
        {"/favicon.svg?v=1", 200, "<svg>"},
        {"/empty.txt", 200, ""},
        {"/data.bin", 200, "bin"},
        {"/a%20b.txt", 200, "blank"},
        {"/f%61vicon.svg", 200, "<svg>"},
        {"/assets/page-5X2QAZ7K.js", 200, "script"},
        {"/assets/page-5X2QAZ7K.js.map", 200, "{}"},
        {"/assets/my-component.css", 200, "style"},
        /* the page routes itself */
        {"/lobby", 200, "<page>"},
        {"/rooms/12", 200, "<page>"},
        {"/rooms/12/", 200, "<page>"},
        {"/assets", 200, "<page>"},
        {"/assets/", 200, "<page>"},
        {"/user@example.org", 200, "<page>"},
        {"/favicon.svg/x", 200, "<page>"},
        {"/favicon.svg/", 200, "<page>"},
        /* what a browser loads is a file or nothing */
        {"/missing.js", 404, NULL},
        {"/assets/missing-5X2QAZ7K.js", 404, NULL},
        {"/assets/missing.css", 404, NULL},
        {"/missing.js.map", 404, NULL},
        {"/MISSING.PNG", 404, NULL},
        {"/robots.txt", 404, NULL},
        /* T29 */
        {"/..", 404, NULL},
        {"/../secret.txt", 404, NULL},
        {"/../root-sibling/secret.txt", 404, NULL},
        {"/assets/../../secret.txt", 404, NULL},
        {"/assets/../favicon.svg", 404, NULL},
        {"/./favicon.svg", 404, NULL},
        {"/assets/.", 404, NULL},
        {"/assets/..", 404, NULL},
        {"/%2e%2e/secret.txt", 404, NULL},
        {"/%2E%2E/secret.txt", 404, NULL},
        {"/.%2e/secret.txt", 404, NULL},
        {"/..%2fsecret.txt", 404, NULL},
        {"/..%2Fsecret.txt", 404, NULL},
        {"/%2e%2e%2fsecret.txt", 404, NULL},
        {"/assets%2fpage-5X2QAZ7K.js", 404, NULL},
        {"/%2fetc/passwd", 404, NULL},
        {"/%2f", 404, NULL},
        {"/..%5csecret.txt", 404, NULL},
        {"/..\\secret.txt", 404, NULL},
        {"/assets%5cpage-5X2QAZ7K.js", 404, NULL},
        {"/%252e%252e/secret.txt", 404, NULL},
        {"/%252e%252e%252fsecret.txt", 404, NULL},
        {"/favicon.svg%00", 404, NULL},
        {"/favicon.svg%00.html", 404, NULL},
        {"/%00", 404, NULL},
        {"/..%00/secret.txt", 404, NULL},
        {"/..%c0%afsecret.txt", 404, NULL},
        {"/%c0%ae%c0%ae/secret.txt", 404, NULL},
        {"/..%e0%80%afsecret.txt", 404, NULL},
        {"/..%ef%bc%8fsecret.txt", 404, NULL},
        {"/%ff", 404, NULL},
        {"/%", 404, NULL},
        {"/%zz", 404, NULL},
        {"/%0d%0aX:1", 404, NULL},
        {"//", 404, NULL},
        {"//favicon.svg", 404, NULL},
        {"//etc/passwd", 404, NULL},
        {"/assets//page-5X2QAZ7K.js", 404, NULL},
        {"/rooms//", 404, NULL},
        {"/.env", 404, NULL},
        {"/%2eenv", 404, NULL},
        {"/.git/config", 404, NULL},
        {"/.git/", 404, NULL},
        {"/assets/.hidden.js", 404, NULL},
        {"/...", 404, NULL},
        {"/link.txt", 404, NULL},
        {"/up/secret.txt", 404, NULL},
        {"/up/root/favicon.svg", 404, NULL},
        {"/inside.svg", 404, NULL},
        {"/magic/x.txt", 404, NULL},
        {"/fifo.txt", 404, NULL},
        {"/folder.txt", 404, NULL},
        {"*", 400, NULL},
        /* by name: no page instead */
        {"/named?assets/page-5X2QAZ7K.js", 200, "script"},
        {"/named?missing", 404, NULL},
        {"/named?assets", 404, NULL},
        {"/named?", 404, NULL},
        {"/named?../secret.txt", 404, NULL},
        {"/named?/etc/passwd", 404, NULL},
        {"/named?.env", 404, NULL},
        {"/named?assets/", 404, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = request(*state, "GET", rows[i].path, "");

        if (reply_status(&reply) != rows[i].status)
            print_message("%s: %s\n", rows[i].path, reply.text);
        assert_int_equal(reply_status(&reply), rows[i].status);
        assert_false(reply_has(&reply, SECRET));
        assert_false(reply_has(&reply, "root:"));
        assert_true(reply_has(&reply, "\r\nX-Content-Type-Options: nosniff\r\n"));
        if (rows[i].body)
            assert_string_equal(reply_body(&reply), rows[i].body);
        if (rows[i].status == 404)
            assert_string_equal(reply_body(&reply), "Not Found\n");
        free(reply.text);
    }
}

static void a_long_path_is_no_file(void **state)
{
    char path[4096] = "/";
    struct reply reply;

    memset(path + 1, 'a', 3000);
    reply = request(*state, "GET", path, "");
    assert_int_equal(reply_status(&reply), 404);
    free(reply.text);
}

static void types_and_caching_follow_the_name(void **state)
{
    static const struct {
        const char *path, *type, *cache;
    } rows[] = {
        {"/", "text/html; charset=utf-8", "no-cache"},
        {"/lobby", "text/html; charset=utf-8", "no-cache"},
        {"/favicon.svg", "image/svg+xml; charset=utf-8", "public, max-age=0"},
        {"/data.bin", "application/octet-stream", "public, max-age=0"},
        {"/assets/my-component.css", "text/css; charset=utf-8", "public, max-age=0"},
        {"/assets/page-5X2QAZ7K.js", "text/javascript; charset=utf-8",
         "public, max-age=31536000, immutable"},
        {"/assets/page-5X2QAZ7K.js.map", "application/json; charset=utf-8",
         "public, max-age=31536000, immutable"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = request(*state, "GET", rows[i].path, "");
        bool is_page = strstr(rows[i].type, "html") != NULL;
        char line[128];

        snprintf(line, sizeof line, "\r\nContent-Type: %s\r\n", rows[i].type);
        assert_true(reply_has(&reply, line));
        snprintf(line, sizeof line, "\r\nCache-Control: %s\r\n", rows[i].cache);
        assert_true(reply_has(&reply, line));
        assert_int_equal(reply_has(&reply, "\r\nContent-Security-Policy: default-src "
                                           "'self'; img-src 'self' data:;"),
                         is_page);
        assert_int_equal(reply_has(&reply, "\r\nReferrer-Policy: no-referrer\r\n"),
                         is_page);
        free(reply.text);
    }
}

static void head_tells_the_length_and_sends_no_body(void **state)
{
    struct reply reply = request(*state, "HEAD", "/favicon.svg", "");

    assert_int_equal(reply_status(&reply), 200);
    assert_true(reply_has(&reply, "\r\nContent-Length: 5\r\n"));
    assert_string_equal(reply_body(&reply), "");
    free(reply.text);
}

static void other_methods_are_told_which_there_are(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        struct reply reply = request(*state, methods[i], "/favicon.svg", "");

        assert_int_equal(reply_status(&reply), 405);
        assert_true(reply_has(&reply, "\r\nAllow: GET, HEAD\r\n"));
        free(reply.text);
        reply = request(*state, methods[i], "/named?favicon.svg", "");
        assert_int_equal(reply_status(&reply), 405);
        free(reply.text);
    }
}

static void etag_of(struct site *site, const char *path, const char *more, char *out)
{
    struct reply reply = request(site, "GET", path, more);
    const char *at = strstr(reply.text, "\r\nETag: \"");

    assert_non_null(at);
    at += strlen("\r\nETag: ");
    snprintf(out, 64, "%.*s", (int)strcspn(at, "\r"), at);
    free(reply.text);
}

static void a_known_etag_is_answered_304(void **state)
{
    static const struct {
        const char *format;
        int status;
    } rows[] = {
        {"If-None-Match: %s\r\n", 304},
        {"If-None-Match: W/%s\r\n", 304},
        {"If-None-Match: \"x\", %s\r\n", 304},
        {"If-None-Match: W/\"x\" ,W/%s,\"y\"\r\n", 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"x\"\r\n", 200},
        {"If-None-Match: x%s\r\n", 200},
        {"If-None-Match: \"\r\n", 200},
        {"If-None-Match: \r\n", 200},
        {"If-None-Match: \"x\" y %s\r\n", 200},
    };
    char etag[64];

    etag_of(*state, "/favicon.svg", "", etag);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char more[256];
        struct reply reply;
        const char *mark = strstr(rows[i].format, "%s");
        int before = mark ? (int)(mark - rows[i].format) : (int)strlen(rows[i].format);

        snprintf(more, sizeof more, "%.*s%s%s", before, rows[i].format, mark ? etag : "",
                 mark ? mark + 2 : "");
        reply = request(*state, "GET", "/favicon.svg", more);
        assert_int_equal(reply_status(&reply), rows[i].status);
        assert_true(reply_has(&reply, etag));
        if (rows[i].status == 304) {
            assert_string_equal(reply_body(&reply), "");
            assert_false(reply_has(&reply, "Content-Length"));
            assert_true(reply_has(&reply, "\r\nCache-Control: "));
        }
        free(reply.text);
    }
}

static void a_changed_file_has_another_etag(void **state)
{
    char before[64], after[64];

    etag_of(*state, "/data.bin", "", before);
    etag_of(*state, "/data.bin", "", after);
    assert_string_equal(before, after);
    write_file(*state, "root/data.bin", "bin2");
    etag_of(*state, "/data.bin", "", after);
    assert_string_not_equal(before, after);
    write_file(*state, "root/data.bin", "bin");
}

static void gzip_goes_to_those_who_take_it(void **state)
{
    static const struct {
        const char *accept;
        bool is_gzip;
    } rows[] = {
        {"", false},
        {"Accept-Encoding: gzip\r\n", true},
        {"Accept-Encoding: deflate, GZIP, br\r\n", true},
        {"Accept-Encoding: x-gzip\r\n", true},
        {"Accept-Encoding: br;q=1.0, gzip;q=0.5\r\n", true},
        {"Accept-Encoding: gzip ; q=0.001\r\n", true},
        {"Accept-Encoding: *\r\n", true},
        {"Accept-Encoding: gzip;q=0\r\n", false},
        {"Accept-Encoding: gzip; q=0.000, *\r\n", false},
        {"Accept-Encoding: *;q=0\r\n", false},
        {"Accept-Encoding: br, deflate\r\n", false},
        {"Accept-Encoding: gzipx\r\n", false},
        {"Accept-Encoding: identity, ,\r\n", false},
        {"Accept-Encoding:\r\n", false},
    };
    char plain[64], packed[64];
    struct reply reply;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reply = request(*state, "GET", "/assets/page-5X2QAZ7K.js", rows[i].accept);
        assert_string_equal(reply_body(&reply), rows[i].is_gzip ? "gzipped" : "script");
        assert_int_equal(reply_has(&reply, "\r\nContent-Encoding: gzip\r\n"),
                         rows[i].is_gzip);
        assert_true(reply_has(&reply, "\r\nVary: Accept-Encoding\r\n"));
        assert_true(reply_has(&reply, "\r\nContent-Type: text/javascript"));
        free(reply.text);
    }
    etag_of(*state, "/assets/page-5X2QAZ7K.js", "", plain);
    etag_of(*state, "/assets/page-5X2QAZ7K.js", "Accept-Encoding: gzip\r\n", packed);
    assert_string_not_equal(plain, packed);

    reply = request(*state, "GET", "/favicon.svg", "Accept-Encoding: gzip\r\n");
    assert_false(reply_has(&reply, "Vary:"));
    assert_string_equal(reply_body(&reply), "<svg>");
    free(reply.text);
}

static void the_best_copy_goes_to_those_who_take_it(void **state)
{
    static const struct {
        const char *accept, *body, *encoding;
    } rows[] = {
        {"", "style", NULL},
        {"Accept-Encoding: br\r\n", "brotli", "\r\nContent-Encoding: br\r\n"},
        {"Accept-Encoding: gzip, deflate, br\r\n", "brotli",
         "\r\nContent-Encoding: br\r\n"},
        {"Accept-Encoding: gzip, br;q=0.9\r\n", "gzipped",
         "\r\nContent-Encoding: gzip\r\n"},
        {"Accept-Encoding: deflate\r\n", "style", NULL},
        {"Accept-Encoding: br;q=0.5, identity\r\n", "style", NULL},
    };
    char br[64], gzip[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = request(*state, "GET", "/style.css", rows[i].accept);

        assert_string_equal(reply_body(&reply), rows[i].body);
        assert_int_equal(reply_has(&reply, "\r\nContent-Encoding:"),
                         rows[i].encoding != NULL);
        if (rows[i].encoding)
            assert_true(reply_has(&reply, rows[i].encoding));
        assert_true(reply_has(&reply, "\r\nVary: Accept-Encoding\r\n"));
        free(reply.text);
    }
    etag_of(*state, "/style.css", "Accept-Encoding: br\r\n", br);
    etag_of(*state, "/style.css", "Accept-Encoding: gzip\r\n", gzip);
    assert_string_not_equal(br, gzip);
}

/* T30: a file and a link to the secret take turns under one name, all the time */
struct swapper {
    char a[128], b[128];
    atomic_bool is_over;
    size_t n;
};

static void *swap(void *arg)
{
    struct swapper *swapper = arg;

    for (; !atomic_load(&swapper->is_over); swapper->n++)
        syscall(SYS_renameat2, AT_FDCWD, swapper->a, AT_FDCWD, swapper->b,
                RENAME_EXCHANGE);
    return NULL;
}

static void a_swapped_link_never_shows_the_secret(void **state)
{
    static const char text[] = "GET /swap.txt" CLOSE "\r\n";
    const char *is_long = getenv("SOCKHOP_LONG");
    time_t until = is_long && strcmp(is_long, "1") == 0 ? time(NULL) + 30 : 0;
    struct site *site = *state;
    struct swapper swapper = {.n = 0};
    size_t n_files = 0, n = 0;
    pthread_t thread;

    write_file(site, "root/swap.txt", "harmless");
    make_link(site, "../secret.txt", "root/other.txt");
    snprintf(swapper.a, sizeof swapper.a, "%s/root/swap.txt", site->folder);
    snprintf(swapper.b, sizeof swapper.b, "%s/root/other.txt", site->folder);
    assert_int_equal(pthread_create(&thread, NULL, swap, &swapper), 0);
    for (; n < 1000 || time(NULL) < until; n++) {
        struct reply reply = ask(site->fixture, text);

        assert_false(reply_has(&reply, SECRET));
        assert_true(reply_status(&reply) == 404 ||
                    strcmp(reply_body(&reply), "harmless") == 0);
        n_files += reply_status(&reply) == 200;
        free(reply.text);
    }
    atomic_store(&swapper.is_over, true);
    pthread_join(thread, NULL);
    print_message("%zu requests, %zu of them served, %zu swaps\n", n, n_files, swapper.n);
    unlink(swapper.a);
    unlink(swapper.b);
}

/* T29: also where only they are */
static void devices_and_sockets_are_no_files(void **state)
{
    static const char *const names[] = {"null", "zero", "full",   "random", "urandom",
                                        "tty",  "ptmx", "stdin",  "stdout", "fd/0",
                                        "fd",   "shm",  "core",   "pts",    "pts/ptmx",
                                        "",     "log",  "mqueue", "console"};
    hop_error error;
    struct static_files *files = static_new("/dev", &error);
    struct fixture *fixture = fixture_new(0);
    struct http_route route;
    struct site *site = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct reply reply;

    assert_non_null(files);
    route = static_route(files);
    router_set_fallback(fixture->router, &route);
    fixture_start(fixture);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[128];

        snprintf(text, sizeof text, "GET /%s" CLOSE "\r\n", names[i]);
        reply = ask(fixture, text);
        if (reply_status(&reply) != 404)
            print_message("/dev/%s: %s\n", names[i], reply.text);
        assert_int_equal(reply_status(&reply), 404);
        free(reply.text);
    }
    fixture_free(fixture);
    static_free(files);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/root/socket.txt",
             site->folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    reply = request(site, "GET", "/socket.txt", "");
    assert_int_equal(reply_status(&reply), 404);
    free(reply.text);
    close(fd);
    unlink(address.sun_path);
}

static void without_index_html_there_is_404(void **state)
{
    struct site *site = *state;
    char path[128];
    struct reply reply;

    snprintf(path, sizeof path, "%s/root/index.html", site->folder);
    unlink(path);
    reply = request(site, "GET", "/lobby", "");
    assert_int_equal(reply_status(&reply), 404);
    free(reply.text);
    write_file(site, "root/index.html", "<page>");
}

/* Such as `printf ... | nc -N`: its FIN says that it asks no more, not that it is gone. */
static void a_client_that_half_closes_gets_the_whole_file(void **state)
{
    enum { BIG = 1 << 20 };
    static const char request[] = "GET /big.js HTTP/1.1\r\nHost: a\r\n\r\n";
    struct site *site = *state;
    char *text = malloc(BIG + 1);
    struct reply reply;
    int fd = fixture_connect(site->fixture);

    assert_non_null(text);
    memset(text, 'x', BIG);
    text[BIG] = '\0';
    write_file(site, "root/big.js", text);
    client_send(fd, request, strlen(request));
    shutdown(fd, SHUT_WR);
    reply = client_read_all(fd);
    close(fd);
    assert_int_equal(reply_status(&reply), 200);
    assert_int_equal(strlen(reply_body(&reply)), BIG);
    free(reply.text);
    free(text);
}

/* T46: 404 would be remembered, and is not true. */
static void without_a_free_descriptor_there_is_503(void **state)
{
    static const char request[] = "GET /page.js HTTP/1.1\r\nHost: a\r\n"
                                  "Connection: close\r\n\r\n";
    struct site *site = *state;
    struct rlimit before, none;
    struct reply reply;
    int fd;

    write_file(site, "root/page.js", "let a;");
    fd = fixture_connect(site->fixture);
    client_send(fd, request, 1); /* adopted once this can be read */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)fd, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    client_send(fd, request + 1, strlen(request) - 1);
    reply = client_read_all(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(fd);
    assert_int_equal(reply_status(&reply), 503);
    free(reply.text);
}

static void a_missing_folder_is_said_so(void **state)
{
    hop_error error;

    (void)state;
    assert_null(static_new("/nonexistent/folder", &error));
    assert_string_equal(error.text, "/nonexistent/folder: No such file or directory");
    static_free(NULL);
}

/* From here on openat2 is as on a kernel that has none. */
static void take_openat2_away(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof rules / sizeof *rules, rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        print_message("no seccomp here: openat2 again\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_gets_its_file_the_page_or_404),
        cmocka_unit_test(a_long_path_is_no_file),
        cmocka_unit_test(types_and_caching_follow_the_name),
        cmocka_unit_test(head_tells_the_length_and_sends_no_body),
        cmocka_unit_test(other_methods_are_told_which_there_are),
        cmocka_unit_test(a_known_etag_is_answered_304),
        cmocka_unit_test(a_changed_file_has_another_etag),
        cmocka_unit_test(gzip_goes_to_those_who_take_it),
        cmocka_unit_test(the_best_copy_goes_to_those_who_take_it),
        cmocka_unit_test(a_swapped_link_never_shows_the_secret),
        cmocka_unit_test(devices_and_sockets_are_no_files),
        cmocka_unit_test(without_index_html_there_is_404),
        cmocka_unit_test(a_client_that_half_closes_gets_the_whole_file),
        cmocka_unit_test(without_a_free_descriptor_there_is_503),
        cmocka_unit_test(a_missing_folder_is_said_so),
    };
    int n_failed = cmocka_run_group_tests_name("openat2", tests, start, stop);

    take_openat2_away();
    return n_failed + cmocka_run_group_tests_name("no openat2", tests, start, stop);
}
