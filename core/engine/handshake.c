/*
 * handshake.c - verification of requests, and the answers to those that fail it: see
 * handshake.h.
 *
 * The order of the checks is the reference's, with the Origin's host behind its characters:
 * what is refused there learns nothing of sessions. Called by: route.c, open.c, raw.c, bundle.c.
 * Thread: shard.
 */
#include "core/engine/handshake.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockhop/log.h>

#include "core/base/text.h"
#include "core/net/uri.h"

enum {
    ORIGIN_MAX = 512,    /* a host name has 253 characters at most */
    REQUESTED_MAX = 512, /* names of headers that a preflight may ask for */
    QUERY_VALUE_MAX = 64 /* of what we look for; longer is not it */
};

/* ---- Origin */

struct host {
    const char *name; /* borrowed */
    size_t len;
    long port;
};

/* "host", "host:port", "[v6]:port". Returns false when it is none. */
static bool parse_host(const char *text, size_t len, long default_port, struct host *host)
{
    const char *end = text + len;
    const char *bracket = len && *text == '[' ? memchr(text, ']', len) : text;
    const char *colon = bracket ? memchr(bracket, ':', (size_t)(end - bracket)) : NULL;

    if (!bracket)
        return false;
    host->name = text;
    host->len = (size_t)((colon ? colon : end) - text);
    host->port = default_port;
    if (host->len == 0 || memchr(text, '/', len) || memchr(text, '@', len))
        return false;
    if (!colon)
        return *text != '[' || bracket + 1 == end;
    if (end - colon < 2 || end - colon > 6 || (*text == '[' && colon != bracket + 1))
        return false;
    host->port = 0;
    for (const char *digit = colon + 1; digit < end; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        host->port = host->port * 10 + (*digit - '0');
    }
    return host->port >= 1 && host->port <= 65535;
}

static bool starts_with(const char *text, size_t len, const char *prefix)
{
    size_t prefix_len = strlen(prefix);

    return len >= prefix_len && ascii_equal_nocase(text, prefix_len, prefix);
}

/* "http://host" or "https://host:port": the default port is the scheme's. */
static bool parse_origin(const char *text, size_t len, bool *is_https, struct host *host)
{
    size_t skip;

    *is_https = starts_with(text, len, "https://");
    if (!*is_https && !starts_with(text, len, "http://"))
        return false;
    skip = *is_https ? 8 : 7;
    return parse_host(text + skip, len - skip, *is_https ? 443 : 80, host);
}

static bool same_host(const struct host *a, const struct host *b)
{
    if (a->port != b->port || a->len != b->len)
        return false;
    for (size_t i = 0; i < a->len; i++) {
        char pair[2] = {b->name[i], '\0'};

        if (!ascii_equal_nocase(a->name + i, 1, pair))
            return false;
    }
    return true;
}

static bool is_listed(const struct host *origin, bool is_https, const char *origins)
{
    const char *item;
    size_t len;

    while ((item = list_next(&origins, &len))) {
        struct host listed;
        bool listed_https;

        if (parse_origin(item, len, &listed_https, &listed) && listed_https == is_https &&
            same_host(&listed, origin))
            return true;
    }
    return false;
}

/* RFC 9110 5.5: visible characters, blanks, and bytes above 0x7f. */
static bool has_bad_characters(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return true;
    return false;
}

enum origin_verdict origin_check(const char *origin, const char *host,
                                 const char *origins)
{
    size_t len = origin ? strlen(origin) : 0;
    struct host ours, theirs;
    bool is_https;

    if (!origin)
        return ORIGIN_SAME; /* not a browser */
    if (has_bad_characters(origin))
        return ORIGIN_INVALID;
    if (len > ORIGIN_MAX || !parse_origin(origin, len, &is_https, &theirs))
        return len <= ORIGIN_MAX && list_has(origins, "*") ? ORIGIN_ANY
                                                           : ORIGIN_FORBIDDEN;
    if (host && parse_host(host, strlen(host), is_https ? 443 : 80, &ours) &&
        same_host(&ours, &theirs))
        return ORIGIN_SAME;
    if (is_listed(&theirs, is_https, origins))
        return ORIGIN_LISTED;
    return list_has(origins, "*") ? ORIGIN_ANY : ORIGIN_FORBIDDEN;
}

static bool is_cross(enum origin_verdict verdict)
{
    return verdict == ORIGIN_LISTED || verdict == ORIGIN_ANY;
}

/* Credentials only where the operator named the origin: "*" names nobody (C02). Vary: as the
 * answer to another origin, or to none, is not this one. */
static void print_cors(const struct settings *settings, enum origin_verdict verdict,
                       const char *origin, char headers[ORIGIN_HEADERS_MAX])
{
    static const char vary[] = "Vary: Origin\r\n";
    const char *exposed = settings->cors_exposed_headers;

    if (is_cross(verdict))
        snprintf(headers, ORIGIN_HEADERS_MAX,
                 "Access-Control-Allow-Origin: %s\r\n%s%s%s%s%s", origin,
                 verdict == ORIGIN_LISTED && settings->cors_credentials
                     ? "Access-Control-Allow-Credentials: true\r\n"
                     : "",
                 *exposed ? "Access-Control-Expose-Headers: " : "", exposed,
                 *exposed ? "\r\n" : "", vary);
    else if (*settings->origins)
        memcpy(headers, vary, sizeof vary);
    else
        headers[0] = '\0';
}

/* Of the request's Origin, several of which are as good as a foreign one. */
static enum origin_verdict verdict_of(const struct settings *settings,
                                      const struct http_request *request,
                                      const char **origin)
{
    size_t n_origins = 0;
    enum origin_verdict verdict;

    *origin = http_header(request, "origin", &n_origins);
    verdict =
        origin_check(*origin, http_header(request, "host", NULL), settings->origins);
    return n_origins > 1 && verdict != ORIGIN_INVALID ? ORIGIN_FORBIDDEN : verdict;
}

void handshake_cors(const struct settings *settings, const struct http_request *request,
                    char headers[ORIGIN_HEADERS_MAX])
{
    const char *origin;
    enum origin_verdict verdict = verdict_of(settings, request, &origin);

    print_cors(settings, verdict, origin, headers);
}

enum handshake_error handshake_check_origin(const struct engine *engine,
                                            const struct http_request *request,
                                            struct handshake *handshake)
{
    const char *origin;
    enum origin_verdict verdict = verdict_of(engine->settings, request, &origin);

    if (verdict == ORIGIN_INVALID) {
        handshake->reason = "bad characters in Origin";
        return HANDSHAKE_BAD_REQUEST;
    }
    handshake->is_cross_origin = is_cross(verdict);
    print_cors(engine->settings, verdict, origin, handshake->headers);
    if (verdict == ORIGIN_FORBIDDEN) {
        handshake->reason = "Origin is not allowed (engine.origins)";
        return HANDSHAKE_FORBIDDEN;
    }
    return HANDSHAKE_OK;
}

/* ---- preflight */

/* The header's value when it is a list of names, as a browser sends it; else NULL. */
static const char *requested_headers(const struct http_request *request)
{
    const char *names = http_header(request, "access-control-request-headers", NULL);
    const char *rest = names, *item;
    size_t len;

    if (!names || strlen(names) > REQUESTED_MAX)
        return NULL;
    while ((item = list_next(&rest, &len)))
        if (!http_is_token(item, len))
            return NULL;
    return names;
}

bool handshake_preflight(const struct engine *engine, struct httpconn *http,
                         const struct http_request *request)
{
    struct handshake handshake = {0};
    char headers[ORIGIN_HEADERS_MAX + REQUESTED_MAX + 256], max_age[64] = "";
    const char *names = engine->settings->cors_allowed_headers;
    int64_t max_age_ms = engine->settings->cors_max_age_ms;

    if (request->method != HTTP_M_OPTIONS ||
        !http_header(request, "access-control-request-method", NULL) ||
        handshake_check_origin(engine, request, &handshake) != HANDSHAKE_OK ||
        !handshake.is_cross_origin)
        return false;
    if (!*names)
        names = requested_headers(request);
    if (max_age_ms > 0)
        snprintf(max_age, sizeof max_age, "Access-Control-Max-Age: %" PRId64 "\r\n",
                 max_age_ms / 1000);
    snprintf(headers, sizeof headers,
             "%sAccess-Control-Allow-Methods: GET, POST\r\n%s%s%s%s", handshake.headers,
             names ? "Access-Control-Allow-Headers: " : "", names ? names : "",
             names ? "\r\n" : "", max_age);
    http_respond(http, &(struct http_response){.status = 204, .headers = headers});
    return true;
}

/* ---- the other checks */

static long query_get(const struct http_request *request, const char *name, char *out)
{
    return uri_query_get(request->query.text, request->query.len, name, out,
                         QUERY_VALUE_MAX);
}

static enum handshake_error verify_transport(const struct engine *engine,
                                             const struct http_request *request,
                                             struct handshake *handshake)
{
    char transport[QUERY_VALUE_MAX];
    bool is_known = query_get(request, "transport", transport) > 0;

    handshake->is_websocket = is_known && strcmp(transport, "websocket") == 0;
    if (is_known && handshake->is_websocket && engine->takes_websocket)
        return HANDSHAKE_OK;
    if (is_known && strcmp(transport, "polling") == 0 && engine->takes_polling)
        return HANDSHAKE_OK;
    handshake->reason = "transport is unknown or off";
    return HANDSHAKE_UNKNOWN_TRANSPORT;
}

/* Whether the parameter is there and not empty: the reference asks no more. */
static bool wants_base64(const struct http_request *request)
{
    char value[QUERY_VALUE_MAX];
    long len = query_get(request, "b64", value);

    return len != -1 && len != 0;
}

/* A request of a session. */
static enum handshake_error verify_session(const struct engine *engine,
                                           const struct http_request *request,
                                           const char *sid, long sid_len,
                                           struct handshake *handshake)
{
    struct session *session =
        sid_len > 0 ? session_by_sid(engine, sid, (size_t)sid_len) : NULL;

    if (!session) {
        handshake->reason = "no such session";
        return HANDSHAKE_UNKNOWN_SID;
    }
    handshake->session = session;
    if (request->is_websocket) {
        handshake->is_base64 = session->is_v3 && wants_base64(request);
        if (handshake->is_websocket && (session->ws || engine->takes_upgrades))
            return HANDSHAKE_OK;
        handshake->reason = "upgrades are off, or not to polling";
        return HANDSHAKE_BAD_REQUEST;
    }
    if (handshake->is_websocket || session->ws) {
        handshake->reason = "transport is not the session's";
        return HANDSHAKE_BAD_REQUEST;
    }
    return HANDSHAKE_OK;
}

/*
 * What browsers load as a script carries no Origin: where it comes from, other headers say,
 * or, when the page holds them back, none. Then it may not speak for anybody.
 */
static bool is_from_elsewhere(const struct engine *engine,
                              const struct http_request *request)
{
    const char *origins = engine->settings->origins;
    const char *host = http_header(request, "host", NULL);
    const char *referer = http_header(request, "referer", NULL);
    const char *site = http_header(request, "sec-fetch-site", NULL);
    char origin[ORIGIN_MAX + 1];
    size_t len;

    if (list_has(origins, "*") || http_header(request, "origin", NULL))
        return false; /* or handshake_check_origin() has said so */
    if (!referer)
        return site ? strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0
                    : http_header(request, "cookie", NULL) != NULL;
    len = strcspn(referer, ":");
    if (strncmp(referer + len, "://", 3) == 0)
        len += 3 + strcspn(referer + len + 3, "/?#");
    if (len > ORIGIN_MAX)
        return true;
    memcpy(origin, referer, len);
    origin[len] = '\0';
    switch (origin_check(origin, host, origins)) {
    case ORIGIN_SAME:
    case ORIGIN_LISTED:
        return false;
    default:
        return true;
    }
}

static enum handshake_error verify_jsonp(const struct engine *engine,
                                         const struct http_request *request,
                                         struct handshake *handshake)
{
    char index[QUERY_VALUE_MAX];
    long len = query_get(request, "j", index);

    if (len == -1)
        return HANDSHAKE_OK;
    if (len < 0 || !jsonp_index_read(index, (size_t)len, &handshake->jsonp)) {
        handshake->reason = "j is no index";
        return HANDSHAKE_BAD_REQUEST;
    }
    if (is_from_elsewhere(engine, request)) {
        handshake->reason = "JSONP from another site (engine.origins)";
        return HANDSHAKE_FORBIDDEN;
    }
    return HANDSHAKE_OK;
}

/* A request for a new session. */
static enum handshake_error verify_new(const struct engine *engine,
                                       const struct http_request *request,
                                       struct handshake *handshake)
{
    char version[QUERY_VALUE_MAX];

    if (request->method != HTTP_M_GET) {
        handshake->reason = "handshakes are GETs";
        return HANDSHAKE_BAD_METHOD;
    }
    if (handshake->is_websocket != request->is_websocket) {
        handshake->reason = "upgrade and transport do not agree";
        return HANDSHAKE_BAD_REQUEST;
    }
    if (query_get(request, "EIO", version) != 1)
        version[0] = '\0';
    handshake->is_v3 = version[0] == '3';
    if (version[0] != '4' && (!handshake->is_v3 || !engine->settings->allow_eio3)) {
        handshake->reason =
            handshake->is_v3 ? "EIO is 3 (engine.allow_eio3)" : "EIO is neither 4 nor 3";
        return HANDSHAKE_BAD_VERSION;
    }
    handshake->is_base64 = handshake->is_v3 && wants_base64(request);
    return request->is_websocket ? HANDSHAKE_OK
                                 : verify_jsonp(engine, request, handshake);
}

enum handshake_error handshake_verify(const struct engine *engine,
                                      const struct http_request *request,
                                      struct handshake *handshake)
{
    char sid[SESSION_SID_SIZE];
    enum handshake_error error;
    long sid_len;

    *handshake = (struct handshake){0};
    error = verify_transport(engine, request, handshake);
    if (error == HANDSHAKE_OK)
        error = handshake_check_origin(engine, request, handshake);
    if (error != HANDSHAKE_OK)
        return error;
    sid_len =
        uri_query_get(request->query.text, request->query.len, "sid", sid, sizeof sid);
    if (sid_len == 0 || sid_len == -1) /* as the reference: an empty sid is none */
        return verify_new(engine, request, handshake);
    if (request->is_websocket && request->method != HTTP_M_GET) {
        handshake->reason = "upgrades are GETs";
        return HANDSHAKE_BAD_METHOD;
    }
    return verify_session(engine, request, sid, sid_len, handshake);
}

/* ---- refusals */

const char *handshake_error_message(enum handshake_error error)
{
    static const char *const messages[] = {
        [HANDSHAKE_UNKNOWN_TRANSPORT] = "Transport unknown",
        [HANDSHAKE_UNKNOWN_SID] = "Session ID unknown",
        [HANDSHAKE_BAD_METHOD] = "Bad handshake method",
        [HANDSHAKE_BAD_REQUEST] = "Bad request",
        [HANDSHAKE_FORBIDDEN] = "Forbidden",
        [HANDSHAKE_BAD_VERSION] = "Unsupported protocol version",
    };

    return error == HANDSHAKE_OK ? "" : messages[error];
}

/* A plugin's words as JSON: owned by the caller. */
static char *error_json(enum handshake_error error, const char *message)
{
    json_t *body = json_pack("{siss}", "code", (int)error, "message", message);
    char *text = json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return text;
}

void handshake_refuse(struct httpconn *http, const struct http_request *request,
                      enum handshake_error error, const struct handshake *handshake)
{
    const char *message =
        handshake->message ? handshake->message : handshake_error_message(error);
    char *json = NULL;
    struct http_response response = {
        .status = error == HANDSHAKE_FORBIDDEN ? 403 : 400,
        .headers = handshake->headers,
        .more_headers = handshake->more_headers,
    };

    hop_log(HOP_DEBUG, "handshake.refused code=%d reason=\"%s\"", (int)error,
            handshake->reason ? handshake->reason : message);
    if (request->is_websocket) {
        response.content_type =
            handshake->message ? "text/plain; charset=utf-8" : "text/html";
        response.data = message;
        response.close = true;
    } else {
        response.content_type = "application/json";
        response.data = json = error_json(error, message);
    }
    response.len = strlen(response.data);
    http_respond(http, &response);
    free(json);
}
