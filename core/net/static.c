/*
 * static.c - the files of one folder over GET and HEAD: see static.h.
 *
 * Called by: httpconn.c (through static_route) and the Engine.IO route (static_serve).
 * Thread: shard; struct static_files is read-only once made, so that all share it.
 */
#include "core/net/static.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/net/encoding.h"
#include "core/net/uri.h"

enum {
    NAME_MAX_BYTES = 1024, /* of a path below the folder; a longer one is no file */
    HASH_LEN = 8,          /* of a name's hash: page-5X2QAZ7K.js */
    ETAG_BYTES = 40,
    OPEN_RETRIES = 4,      /* openat2 gives EAGAIN when somebody renames meanwhile */
    MAX_BODY_BYTES = 16384 /* read and dropped, to answer 405 instead of 413 */
};

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* For documents: scripts, styles and sockets from here alone, no way into a frame; and a
 * sid that stands in an address reaches nobody as Referer (T23). */
#define DOCUMENT_HEADERS                                                                 \
    "Content-Security-Policy: default-src 'self'; img-src 'self' data:; "                \
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'\r\n"                    \
    "Referrer-Policy: no-referrer\r\n"

struct static_files {
    int root; /* owned: the folder, O_PATH */
};

struct type {
    const char *extension;
    const char *content_type;
    bool is_text; /* worth a packed copy */
};

/* Also: what a browser expects to be a file, never the page. */
static const struct type types[] = {
    {"css", "text/css; charset=utf-8", true},
    {"gif", "image/gif", false},
    {"html", "text/html; charset=utf-8", true},
    {"ico", "image/x-icon", false},
    {"jpeg", "image/jpeg", false},
    {"jpg", "image/jpeg", false},
    {"js", "text/javascript; charset=utf-8", true},
    {"json", "application/json; charset=utf-8", true},
    {"map", "application/json; charset=utf-8", true},
    {"mjs", "text/javascript; charset=utf-8", true},
    {"mp3", "audio/mpeg", false},
    {"ogg", "audio/ogg", false},
    {"png", "image/png", false},
    {"svg", "image/svg+xml; charset=utf-8", true},
    {"txt", "text/plain; charset=utf-8", true},
    {"wasm", "application/wasm", true},
    {"webmanifest", "application/manifest+json; charset=utf-8", true},
    {"webp", "image/webp", false},
    {"woff", "font/woff", false},
    {"woff2", "font/woff2", false},
    {"xml", "text/xml; charset=utf-8", true},
};

/* Of the packed copies that may lie beside a text file, and of their tags. */
static const char *const suffixes[N_HTTP_ENCODINGS] = {
    [HTTP_BROTLI] = ".br",
    [HTTP_GZIP] = ".gz",
};
static const char *const etag_ends[N_HTTP_ENCODINGS] = {
    [HTTP_BROTLI] = "-br",
    [HTTP_GZIP] = "-gz",
};

static const struct type unknown_type = {"", "application/octet-stream", false};

/* An open regular file. */
struct opened {
    int fd; /* owned; -1: there is none */
    struct stat stat;
};

/* ---- names */

static const char *last_component(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? slash + 1 : name;
}

/* The type of a name, or NULL when its extension is not in the table. */
static const struct type *type_of(const char *name)
{
    const char *dot = strrchr(last_component(name), '.');

    if (!dot)
        return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (ascii_equal_nocase(dot + 1, strlen(dot + 1), types[i].extension))
            return &types[i];
    return NULL;
}

/* Whether a name carries the hash of its content: "assets/page-5X2QAZ7K.js.map". */
static bool is_hashed(const char *name)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *at = last_component(name);

    while ((at = strchr(at, '-')) != NULL) {
        at++;
        if (strspn(at, digits) == HASH_LEN && at[HASH_LEN] == '.')
            return true;
    }
    return false;
}

/* No empty component, none that begins with a dot (so no ".." either), no backslash. One
 * slash at the end is left to the caller. */
static bool is_safe_name(const char *name)
{
    if (strchr(name, '\\') || strlen(name) >= NAME_MAX_BYTES)
        return false;
    for (const char *at = name;;) {
        if (*at == '.' || *at == '/' || *at == '\0')
            return false;
        at += strcspn(at, "/");
        if (*at == '\0')
            return true;
        at++;
    }
}

/* ---- opening */

/* For kernels without openat2: one component after the other, no symlink on the way. */
static int open_stepwise(int root, const char *name)
{
    int folder = root, fd;
    const char *slash;

    while ((slash = strchr(name, '/')) != NULL) {
        char part[NAME_MAX_BYTES];
        int next;

        memcpy(part, name, (size_t)(slash - name));
        part[slash - name] = '\0';
        next = openat(folder, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder != root)
            close(folder);
        if (next < 0)
            return -1;
        folder = next;
        name = slash + 1;
    }
    fd = openat(folder, name, OPEN_FLAGS | O_NOFOLLOW);
    if (folder != root)
        close(folder);
    return fd;
}

static int open_beneath(int root, const char *name)
{
    struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int i = 0; i < OPEN_RETRIES; i++) {
        fd = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) /* EPERM: an old seccomp filter */
        return open_stepwise(root, name);
    return (int)fd;
}

/* T30: what was checked is what is served, as both are the one descriptor. With fd -1
 * errno says why. */
static struct opened open_file(const struct static_files *files, const char *name)
{
    struct opened file = {.fd = open_beneath(files->root, name)};

    if (file.fd >= 0 && (fstat(file.fd, &file.stat) < 0 || !S_ISREG(file.stat.st_mode))) {
        close(file.fd);
        file.fd = -1;
        errno = ENOENT;
    }
    return file;
}

/* Whether a file may well be there, only that we cannot open it now (T46). */
static bool is_out_of_resources(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

/* ---- conditions and choices */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Strong: another file, time or size is another tag. It tells nothing of the three. */
static void make_etag(const struct opened *file, enum http_encoding encoding, char *out,
                      size_t size)
{
    uint64_t hash = mix(1, (uint64_t)file->stat.st_ino);

    hash = mix(hash, (uint64_t)file->stat.st_size);
    hash = mix(hash, (uint64_t)file->stat.st_mtim.tv_sec);
    hash = mix(hash, (uint64_t)file->stat.st_mtim.tv_nsec);
    snprintf(out, size, "\"%016llx%s\"", (unsigned long long)hash,
             encoding == HTTP_IDENTITY ? "" : etag_ends[encoding]);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* If-None-Match: "*", or a list of tags compared weakly (RFC 9110 13.1.2). */
static bool matches_etag(const char *list, const char *etag)
{
    size_t etag_len = strlen(etag);

    for (;;) {
        const char *end;

        while (is_blank(*list) || *list == ',')
            list++;
        if (*list == '*')
            return true;
        if (strncmp(list, "W/", 2) == 0)
            list += 2;
        if (*list != '"')
            return false;
        end = strchr(list + 1, '"');
        if (!end)
            return false;
        end++;
        if ((size_t)(end - list) == etag_len && memcmp(list, etag, etag_len) == 0)
            return true;
        list = end;
    }
}

static const char *cache_control(const char *name)
{
    if (is_hashed(name))
        return "public, max-age=31536000, immutable";
    return strcmp(name, "index.html") == 0 ? "no-cache" : "public, max-age=0";
}

/* ---- answering */

static void answer_text(struct httpconn *http, int status, const char *headers)
{
    char text[64];
    struct http_response response = {.status = status,
                                     .content_type = "text/plain; charset=utf-8",
                                     .headers = headers,
                                     .data = text};

    response.len = (size_t)snprintf(text, sizeof text, "%s\n", http_reason(status));
    http_respond(http, &response);
}

static void answer_not_found(struct httpconn *http)
{
    answer_text(http, 404, NULL);
}

/* What a file is answered with. */
struct copy {
    struct opened file; /* the one that is sent */
    enum http_encoding encoding;
    bool has_others; /* there are copies of other codings */
};

/* Serve a copy; takes the descriptor over. */
static void answer_file(struct httpconn *http, const struct http_request *request,
                        const char *name, const struct type *type,
                        const struct copy *copy, const struct static_options *options)
{
    const char *known = http_header(request, "if-none-match", NULL);
    bool is_document = strncmp(type->content_type, "text/html", 9) == 0;
    char etag[ETAG_BYTES], headers[640];
    struct http_response response = {
        .status = 200,
        .headers = headers,
        .more_headers = options->headers,
        .encoding = http_encoding_name(copy->encoding),
    };

    if (options->version && strlen(options->version) < ETAG_BYTES - 2)
        snprintf(etag, sizeof etag, "\"%s\"", options->version);
    else
        make_etag(&copy->file, copy->encoding, etag, sizeof etag);
    snprintf(headers, sizeof headers, "ETag: %s\r\nCache-Control: %s\r\n%s%s", etag,
             cache_control(name), copy->has_others ? "Vary: Accept-Encoding\r\n" : "",
             is_document ? DOCUMENT_HEADERS : "");
    if (known && matches_etag(known, etag)) {
        close(copy->file.fd);
        response.status = 304;
        response.encoding = NULL;
    } else {
        response.content_type = type->content_type;
        response.file = copy->file.fd;
        response.has_file = true;
        response.file_len = (uint64_t)copy->file.stat.st_size;
    }
    http_respond(http, &response);
}

/* Of a file and its packed copies the one that the request had best get; the others are
 * closed. file: owned. */
static struct copy choose_copy(const struct static_files *files,
                               const struct http_request *request, const char *name,
                               const struct opened *file)
{
    struct opened copies[N_HTTP_ENCODINGS] = {[HTTP_IDENTITY] = *file};
    struct copy copy = {.encoding = HTTP_IDENTITY};
    unsigned offered = 0;

    for (int i = 1; i < N_HTTP_ENCODINGS; i++) {
        char packed_name[NAME_MAX_BYTES + 4];

        copies[i].fd = -1;
        if (!suffixes[i])
            continue;
        snprintf(packed_name, sizeof packed_name, "%s%s", name, suffixes[i]);
        copies[i] = open_file(files, packed_name);
        if (copies[i].fd >= 0)
            offered |= 1u << i;
    }
    copy.has_others = offered != 0;
    copy.encoding = http_choose_encoding(request, offered);
    copy.file = copies[copy.encoding];
    for (int i = 0; i < N_HTTP_ENCODINGS; i++)
        if (copies[i].fd >= 0 && i != (int)copy.encoding)
            close(copies[i].fd);
    return copy;
}

/* Serve a name that is_safe_name(). Returns false, unanswered, when it is no file of
 * ours. */
static bool serve(const struct static_files *files, struct httpconn *http,
                  const struct http_request *request, const char *name,
                  const struct static_options *options)
{
    const struct type *type = type_of(name);
    struct copy copy = {.file = open_file(files, name)};

    if (copy.file.fd < 0) {
        if (!is_out_of_resources(errno))
            return false;
        answer_text(http, 503, "Retry-After: 1\r\n");
        return true;
    }
    if (!type)
        type = &unknown_type;
    if (type->is_text) {
        const struct opened file = copy.file;

        copy = choose_copy(files, request, name, &file);
    }
    answer_file(http, request, name, type, &copy, options);
    return true;
}

static const struct static_options no_options = {0};

/* GET and HEAD only. Returns whether to go on. */
static bool is_readable_method(struct httpconn *http, const struct http_request *request)
{
    if (request->method == HTTP_M_GET || request->method == HTTP_M_HEAD)
        return true;
    answer_text(http, 405, "Allow: GET, HEAD\r\n");
    return false;
}

/* Decode the path, without a slash at its end: a folder is the page's business, if a path at
 * all. "%2f" would be a slash that no link of ours means, so it is none. Returns false for what
 * is no path. */
static bool decode_path(const struct http_span *path, char decoded[NAME_MAX_BYTES])
{
    size_t n_sent = 0, n_decoded = 0;
    long len = uri_decode(path->text, path->len, decoded, NAME_MAX_BYTES);

    if (len < 1 || decoded[0] != '/')
        return false;
    for (size_t i = 0; i < path->len; i++)
        n_sent += path->text[i] == '/';
    for (long i = 0; i < len; i++)
        n_decoded += decoded[i] == '/';
    if (n_sent != n_decoded)
        return false;
    if (len > 1 && decoded[len - 1] == '/')
        decoded[len - 1] = '\0';
    return len == 1 || is_safe_name(decoded + 1);
}

static bool is_folder(const struct http_span *path)
{
    return path->text[path->len - 1] == '/';
}

static void on_request(struct httpconn *http, const struct http_request *request,
                       const char *body, size_t body_len, void *arg)
{
    const struct static_files *files = arg;
    char path[NAME_MAX_BYTES];
    const char *name;

    (void)body;
    (void)body_len;
    if (!is_readable_method(http, request))
        return;
    if (!decode_path(&request->path, path)) {
        answer_not_found(http);
        return;
    }
    name = is_folder(&request->path) ? "" : path + 1;
    if (name[0] && serve(files, http, request, name, &no_options))
        return;
    /* A browser that asked for a script or a picture must not get the page instead. */
    if (type_of(name) || !serve(files, http, request, "index.html", &no_options))
        answer_not_found(http);
}

/* ---- the interface */

struct static_files *static_new(const char *root, hop_error *error)
{
    struct static_files *files;
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        hop_error_set(error, "%s: %s", root, strerror(errno));
        return NULL;
    }
    files = mem_alloc(sizeof *files);
    files->root = fd;
    return files;
}

bool static_is_readable(const struct static_files *files)
{
    int fd = open_beneath(files->root, "index.html");

    if (fd < 0)
        return errno != EACCES;
    close(fd);
    return true;
}

void static_free(struct static_files *files)
{
    if (!files)
        return;
    close(files->root);
    free(files);
}

struct http_route static_route(struct static_files *files)
{
    return (struct http_route){
        .max_body_bytes = MAX_BODY_BYTES, .on_request = on_request, .arg = files};
}

/* What the path names behind the prefix, NULL where that is nothing that can be served. */
static const char *name_below(const struct http_span *path, const char *prefix,
                              char decoded[NAME_MAX_BYTES])
{
    const size_t len = strlen(prefix);

    if (!decode_path(path, decoded) || strncmp(decoded, prefix, len) != 0)
        return NULL;
    if (decoded[len] == '\0')
        return "index.html";
    return decoded[len] == '/' && !is_folder(path) ? decoded + len + 1 : NULL;
}

void static_serve_below(struct static_files *files, struct httpconn *http,
                        const struct http_request *request, const char *prefix)
{
    char decoded[NAME_MAX_BYTES];
    const char *name;

    if (!is_readable_method(http, request))
        return;
    name = name_below(&request->path, prefix, decoded);
    if (!name || !serve(files, http, request, name, &no_options))
        answer_not_found(http);
}

void static_serve(struct static_files *files, struct httpconn *http,
                  const struct http_request *request, const char *name,
                  const struct static_options *options)
{
    if (!is_readable_method(http, request))
        return;
    if (!is_safe_name(name) || !serve(files, http, request, name, options))
        answer_not_found(http);
}

size_t static_peek(const struct static_files *files, const char *name, char *out,
                   size_t size)
{
    const struct opened file = open_file(files, name);
    ssize_t n = file.fd < 0 ? 0 : pread(file.fd, out, size, 0);

    if (file.fd >= 0)
        close(file.fd);
    return n > 0 ? (size_t)n : 0;
}
