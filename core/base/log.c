/*
 * log.c - one line a call to stderr, escaped, so that no client writes our log.
 *
 * Called by: everything. Thread: any: the level is atomic, and a line is one write(2),
 * which the kernel does not mix with another's (a pipe takes up to PIPE_BUF in one piece).
 */
#include "core/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/text.h"

enum { LOG_LINE_BYTES = 1024 }; /* the newline included */

static atomic_int level_now = HOP_INFO;

void log_set_level(hop_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool hop_log_enabled(hop_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* ---- escaping */

/* C0, DEL and C1, line and paragraph separator, and what reverses the text's direction. */
static bool is_unsafe(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Write the escaped form of what src starts with to out; *used: bytes taken of src. */
static size_t escape_one(char out[8], const char *src, size_t len, bool is_quoted,
                         size_t *used)
{
    uint32_t code = 0;

    *used = utf8_decode(src, len, &code);
    if (*used == 0 || (is_unsafe(code) && code < 0x80)) {
        *used = 1;
        return (size_t)snprintf(out, 8, "\\x%02x", (unsigned)(unsigned char)*src);
    }
    if (is_unsafe(code))
        return (size_t)snprintf(out, 8, "\\u%04x", (unsigned)(code & 0xffff));
    if (is_quoted && (code == '"' || code == '\\')) {
        out[0] = '\\';
        out[1] = *src;
        return 2;
    }
    memcpy(out, src, *used);
    return *used;
}

/* Escape src into dst, NUL-terminated, cut between characters. Returns dst's length. */
static size_t escape(char *dst, size_t dst_size, const char *src, size_t len,
                     bool is_quoted)
{
    static const char dots[] = "...";
    size_t n_dots = dst_size > strlen(dots) ? strlen(dots) : dst_size - 1;
    size_t size = 0; /* of what is in dst */
    size_t fits = 0; /* the last size that leaves room for the dots */

    while (len > 0) {
        char one[8];
        size_t used, n = escape_one(one, src, len, is_quoted, &used);

        if (size + n >= dst_size) {
            memcpy(dst + fits, dots, n_dots);
            size = fits + n_dots;
            break;
        }
        memcpy(dst + size, one, n);
        size += n;
        src += used;
        len -= used;
        if (size + n_dots < dst_size)
            fits = size;
    }
    dst[size] = '\0';
    return size;
}

char *log_escape(char *dst, size_t dst_size, const char *src, size_t len)
{
    if (dst_size > 0)
        escape(dst, dst_size, src, len, true);
    return dst;
}

/* ---- lines */

/* "2026-11-23T22:40:01.123Z INFO ": returns its length. */
static size_t write_head(char *line, size_t size, hop_log_level level)
{
    static const char *const words[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    const char *word = (unsigned)level <= HOP_DEBUG ? words[level] : "ERROR";
    struct timespec now = {0};
    struct tm utc = {0};
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    n = snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s ",
                 utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min,
                 utc.tm_sec, (int)(now.tv_nsec / 1000000), word);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

/* What is left when that fails: there is nobody to tell. */
static void write_all(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, line, size);

        if (n < 0 && errno != EINTR)
            return;
        if (n > 0) {
            line += n;
            size -= (size_t)n;
        }
    }
}

void hop_log(hop_log_level level, const char *format, ...)
{
    char text[2 * LOG_LINE_BYTES]; /* longer than a line, so that only escape() cuts */
    char line[LOG_LINE_BYTES + 1];
    int saved_errno = errno;
    va_list values;
    size_t size;
    int n;

    if (!hop_log_enabled(level))
        return;
    va_start(values, format);
    n = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (n < 0)
        n = snprintf(text, sizeof text, "log.unprintable format=\"%s\"", format);
    size = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

    n = (int)write_head(line, sizeof line, level);
    size = (size_t)n + escape(line + n, LOG_LINE_BYTES - (size_t)n, text, size, false);
    line[size++] = '\n';
    write_all(line, size);
    errno = saved_errno;
}

/* ---- errors */

/* Length of text without a character that a cut at len has left incomplete. */
static size_t whole_characters(const char *text, size_t len)
{
    struct utf8_check check = {0};
    size_t tail = 0; /* bytes of the last character */

    while (tail < len && tail < 4) {
        tail++;
        if (((unsigned char)text[len - tail] & 0xc0) != 0x80)
            break;
    }
    if (utf8_check_feed(&check, text + len - tail, tail) &&
        !utf8_check_is_complete(&check))
        return len - tail;
    return len;
}

void hop_error_set(hop_error *error, const char *format, ...)
{
    char text[sizeof error->text]; /* the values may point into *error itself */
    va_list values;
    size_t size;
    int n;

    if (!error)
        return;
    va_start(values, format);
    n = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    if (n < 0)
        n = snprintf(text, sizeof text, "%s", format);
    size = (size_t)n;
    if (size >= sizeof text)
        size = whole_characters(text, sizeof text - 1);
    memcpy(error->text, text, size);
    error->text[size] = '\0';
}
