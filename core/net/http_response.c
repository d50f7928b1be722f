/*
 * http_response.c - the responses of a connection that speaks HTTP: head, content, files,
 * refusals; see httpconn.h (http_respond, http_respond_error) and httpconn_impl.h.
 *
 * Called by: whoever serves a route, or refuses; httpconn.c. Thread: shard.
 * A file is sent piece by piece, the next when the queue has drained; everything else is
 * queued at once. Either way end_response() decides how the connection goes on.
 */
#include "core/net/httpconn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/loop/bytes.h"
#include "core/net/httpconn_impl.h"

enum {
    FILE_PIECE = 64 * 1024,
    COPY_MAX = 4096, /* a longer body gets bytes of its own */
    TYPE_MAX = 256,
    ADDRESS_MAX = 64
};

struct file_send {
    int fd; /* owned */
    uint64_t at, end;
};

/* ---- the head */

/* The Date header's value, made once a second. */
static const char *date_now(void)
{
    static _Thread_local time_t made_at;
    static _Thread_local char text[40];
    time_t now = time(NULL);
    struct tm tm;

    if (now != made_at || !text[0]) {
        static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

        gmtime_r(&now, &tm); /* not strftime(): its names follow the locale */
        snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                 days[tm.tm_wday % 7], tm.tm_mday % 100, months[tm.tm_mon % 12],
                 (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100,
                 tm.tm_sec % 100);
        made_at = now;
    }
    return text;
}

/* Whether text may stand as a header's value: a plugin may have made it. */
static bool is_value(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len <= TYPE_MAX;
}

static uint64_t body_len_of(const struct http_response *response)
{
    if (response->has_file)
        return response->file_len;
    return response->bytes ? response->bytes->len : response->len;
}

/* Whether a status has no body by definition: RFC 9110 6.4.1 */
static bool is_bodiless(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static void send_head(struct httpconn *http, const struct http_response *response,
                      uint64_t body_len)
{
    static const char end[] = "\r\n";
    char head[512 + TYPE_MAX];
    const char *type = response->content_type;
    const char *encoding = response->encoding;
    const char *connection = !http->keeps_alive ? "Connection: close\r\n"
                             : http->minor == 0 ? "Connection: keep-alive\r\n"
                                                : "";
    char length[48] = "";
    int n;

    if (type && !is_value(type))
        type = "application/octet-stream";
    if (!is_bodiless(response->status))
        snprintf(length, sizeof length, "Content-Length: %llu\r\n",
                 (unsigned long long)body_len);
    n = snprintf(head, sizeof head,
                 "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s%s"
                 "X-Content-Type-Options: nosniff\r\n",
                 response->status, http_reason(response->status), date_now(),
                 type ? "Content-Type: " : "", type ? type : "", type ? end : "",
                 encoding ? "Content-Encoding: " : "", encoding ? encoding : "",
                 encoding ? end : "", length, connection);
    conn_send_copy(http->conn, head, (size_t)n);
    if (response->headers)
        conn_send_copy(http->conn, response->headers, strlen(response->headers));
    if (response->more_headers)
        conn_send_copy(http->conn, response->more_headers,
                       strlen(response->more_headers));
    conn_send_copy(http->conn, end, strlen(end));
}

/* ---- the content */

/* The next piece of the file. Returns false when there is nothing more to send. */
static bool send_piece(struct httpconn *http)
{
    struct file_send *file = http->file;
    uint64_t left = file->end - file->at;
    size_t want = left < FILE_PIECE ? (size_t)left : FILE_PIECE;
    struct bytes *piece = bytes_try_new(want);
    ssize_t n = -1;

    if (piece)
        do
            n = pread(file->fd, piece->data, want, (off_t)file->at);
        while (n < 0 && errno == EINTR);
    if (n <= 0) { /* the file has shrunk: the length is promised, so the end is a close */
        http->keeps_alive = false;
        bytes_unref(piece);
        return false;
    }
    file->at += (uint64_t)n;
    conn_send(http->conn, piece, 0, (size_t)n);
    bytes_unref(piece);
    return file->at < file->end;
}

static void start_file(struct httpconn *http, const struct http_response *response)
{
    http->file = mem_alloc(sizeof *http->file);
    *http->file = (struct file_send){.fd = response->file, .end = response->file_len};
}

static void send_data(struct httpconn *http, const struct http_response *response)
{
    struct bytes *bytes = response->bytes;

    if (!bytes && response->len <= COPY_MAX) {
        conn_send_copy(http->conn, response->data, response->len);
        return;
    }
    if (!bytes) {
        bytes = bytes_try_new(response->len);
        if (!bytes) {
            conn_doom(http->conn, CONN_FAILED);
            return;
        }
        memcpy(bytes->data, response->data, response->len);
    }
    conn_send(http->conn, bytes, 0, bytes->len);
    if (!response->bytes)
        bytes_unref(bytes);
}

void http_response_end_file(struct httpconn *http)
{
    if (!http->file)
        return;
    close(http->file->fd);
    free(http->file);
    http->file = NULL;
}

/* All of the response is queued: go on, or close behind it. */
static void end_response(struct httpconn *http)
{
    struct conn *conn = http->conn;

    http_response_end_file(http);
    if (!http->keeps_alive) {
        http->state = HTTPCONN_CLOSING;
        if (conn->queued_bytes > QUEUE_HIGH) /* more than a close waits for */
            conn_set_deadline(conn, NET_SEND);
        else
            conn_close_after_flush(conn);
        return;
    }
    http->state = HTTPCONN_READING;
    http->route = NULL;
    http->is_head = false;
    http->is_in_head = http->kept_len > 0;
    conn_set_deadline(conn, http->is_in_head ? NET_HEAD : NET_KEEP_ALIVE);
    if (http->kept_len > 0)
        httpconn_resume_later(http);
}

/* At least a piece in each NET_SEND. */
void http_response_continue(struct httpconn *http)
{
    if (send_piece(http)) {
        conn_set_deadline(http->conn, NET_SEND);
        return;
    }
    end_response(http);
}

static void release_content(const struct http_response *response)
{
    bytes_unref(response->bytes);
    if (response->has_file)
        close(response->file);
}

int http_respond(struct httpconn *http, const struct http_response *response)
{
    uint64_t total = body_len_of(response);

    if (http->state != HTTPCONN_DUE || http->is_gone) {
        release_content(response);
        return -1;
    }
    http->on_aborted = NULL;
    if (response->close)
        http->keeps_alive = false;
    send_head(http, response, total);
    if (!http->is_head && !is_bodiless(response->status)) {
        if (response->has_file && total > 0) {
            http->state = HTTPCONN_SENDING;
            start_file(http, response);
            http_response_continue(http);
            bytes_unref(response->bytes);
            return 0;
        }
        if (!response->has_file && total > 0)
            send_data(http, response);
    }
    release_content(response);
    end_response(http);
    return 0;
}

/* ---- refusing */

static void log_refusal(struct httpconn *http, int status, const char *reason)
{
    char address[ADDRESS_MAX];

    metric_add(&http->conn->net->loop->metrics, METRIC_HTTP_ERRORS, 1);
    if (!hop_log_enabled(HOP_DEBUG))
        return;
    conn_address(http->conn, address, sizeof address);
    hop_log(HOP_DEBUG, "http.refused status=%d reason=\"%s\" peer=%s", status, reason,
            address);
}

void http_respond_error(struct httpconn *http, int status, const char *reason)
{
    char body[64];
    struct http_response response = {.status = status,
                                     .content_type = "text/plain; charset=utf-8",
                                     .data = body,
                                     .close = true};

    if (http->is_gone || http->state == HTTPCONN_SENDING ||
        http->state == HTTPCONN_CLOSING)
        return;
    log_refusal(http, status, reason);
    if (status == 413 && http->route && http->route->is_terse)
        response.content_type = NULL;
    else
        response.len = (size_t)snprintf(body, sizeof body, "%s\n", http_reason(status));
    http->state = HTTPCONN_DUE;
    http_respond(http, &response);
}

void http_response_status(struct httpconn *http, int status, const char *allow)
{
    char headers[128] = "", body[64];
    struct http_response response = {.status = status,
                                     .content_type = "text/plain; charset=utf-8",
                                     .headers = headers,
                                     .data = body};

    if (allow)
        snprintf(headers, sizeof headers, "Allow: %s\r\n", allow);
    response.len = (size_t)snprintf(body, sizeof body, "%s\n", http_reason(status));
    http->state = HTTPCONN_DUE;
    http_respond(http, &response);
}
