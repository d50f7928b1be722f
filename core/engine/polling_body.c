/*
 * polling_body.c - bodies of long-polling: see polling_body.h.
 *
 * v4 joins packets with separators; v3 writes their lengths, or bytes where the client
 * takes them (payload3.c); either may be wrapped into a script and a form (jsonp.c).
 * Called by: polling.c. Thread: shard.
 */
#include "core/engine/polling_body.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/engine/packet.h"
#include "core/engine/payload3.h"
#include "core/engine/session_impl.h"
#include "core/loop/bytes.h"

/* ---- responses */

/* The packets of a response, by number; `last` is behind what is queued. */
static struct bytes *packet_at(const struct polling *polling, struct bytes *last,
                               uint32_t i)
{
    return i < polling->n_queued ? polling->queue[i] : last;
}

static struct bytes *join_v4(const struct polling *polling, struct bytes *last)
{
    uint32_t n = polling->n_queued + (last != NULL);
    size_t len = n - 1; /* a separator between each two */
    struct bytes *body;
    char *at;

    for (uint32_t i = 0; i < n; i++)
        len += packet_payload_len(packet_at(polling, last, i));
    body = bytes_try_new(len);
    if (!body)
        return NULL;
    at = body->data;
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0)
            *at++ = PACKET_SEPARATOR;
        at = packet_write_payload(packet_at(polling, last, i), at);
    }
    return body;
}

static size_t room_v3(const struct bytes *packet, enum payload_format format)
{
    struct packet_parts parts;
    struct packet_part part;
    size_t room = 0;

    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        room += part.is_binary ? payload3_room_bytes(format, part.len)
                               : payload3_room(part.len);
    return room;
}

static char *write_v3(const struct bytes *packet, enum payload_format format, char *at)
{
    struct packet_parts parts;
    struct packet_part part;

    packet_parts_init(&parts, packet);
    while (packet_parts_next(&parts, &part))
        at = part.is_binary ? payload3_put_bytes(at, format, part.data, part.len)
                            : payload3_put(at, format, part.data, part.len);
    return at;
}

/* As the reference: bytes only where some packet needs them. */
static enum payload_format format_v3(const struct polling *polling)
{
    if (!polling->takes_bytes)
        return PAYLOAD_V3_TEXT;
    for (uint32_t i = 0; i < polling->n_queued; i++)
        if (polling->queue[i]->n_parts > 0)
            return PAYLOAD_V3_BYTES;
    return PAYLOAD_V3_TEXT;
}

static struct bytes *join_v3(const struct polling *polling, struct bytes *last,
                             enum payload_format format)
{
    uint32_t n = polling->n_queued + (last != NULL);
    size_t room = 0;
    struct bytes *body;
    char *at;

    for (uint32_t i = 0; i < n; i++)
        room += room_v3(packet_at(polling, last, i), format);
    body = bytes_try_new(room);
    if (!body)
        return NULL;
    at = body->data;
    for (uint32_t i = 0; i < n; i++)
        at = write_v3(packet_at(polling, last, i), format, at);
    body->len = (size_t)(at - body->data);
    return body;
}

/* payload: a reference, given up. */
static struct bytes *wrap(struct jsonp_index index, struct bytes *payload)
{
    struct bytes *script = NULL;

    if (payload)
        script = bytes_try_new(jsonp_write(index, payload->data, payload->len, NULL));
    if (script)
        jsonp_write(index, payload->data, payload->len, script->data);
    bytes_unref(payload);
    return script;
}

void polling_body_forget(struct engine *engine)
{
    bytes_unref(engine->joined);
    bytes_unref(engine->joined_of);
    engine->joined = engine->joined_of = NULL;
}

/* The body of one packet with attachments: made once for all who get it in this turn. */
static struct bytes *join_one(const struct polling *polling, struct bytes *packet,
                              struct bytes *last)
{
    struct engine *engine = polling->session->engine;
    struct bytes *body;

    if (engine->joined_of != packet) {
        body = join_v4(polling, last);
        if (!body)
            return NULL;
        polling_body_forget(engine);
        engine->joined = body;
        engine->joined_of = packet;
        bytes_ref(packet, 1);
    }
    bytes_ref(engine->joined, 1);
    return engine->joined;
}

struct bytes *polling_body_join(const struct polling *polling, struct bytes *last,
                                const char **content_type)
{
    bool is_v3 = polling->session->is_v3;
    enum payload_format format = is_v3 ? format_v3(polling) : PAYLOAD_V4;
    struct bytes *only = last ? last : polling->queue[0];
    struct bytes *body;

    *content_type = format == PAYLOAD_V3_BYTES ? "application/octet-stream"
                                               : "text/plain; charset=UTF-8";
    if (is_v3) {
        body = join_v3(polling, last, format);
    } else if (polling->n_queued + (last != NULL) > 1) {
        body = join_v4(polling, last);
    } else if (only->n_parts > 0) {
        body = join_one(polling, only, last);
    } else {
        bytes_ref(only, 1); /* the packet is the body */
        body = only;
    }
    if (!polling->jsonp.is_given)
        return body;
    *content_type = "text/javascript; charset=UTF-8"; /* nosniff: else it is no script */
    return wrap(polling->jsonp, body);
}

/* ---- POSTs */

static bool is_octet_stream(const struct http_request *request)
{
    const char *type = http_header(request, "content-type", NULL);
    size_t len = type ? strcspn(type, "; \t") : 0;

    return type && ascii_equal_nocase(type, len, "application/octet-stream");
}

/* A form's payload. Returns 0 or the status. */
static int open_form(struct session *session, const char **body, size_t *body_len,
                     char **decoded)
{
    long len;

    *decoded = mem_try_alloc(*body_len);
    if (!*decoded) {
        session_end(session, SESSION_TRANSPORT_ERROR, "no memory for a POST");
        return 503;
    }
    len = jsonp_read(*body, *body_len, *decoded);
    if (len < 0) {
        session_end(session, SESSION_PARSE_ERROR, "body is no form with a field d");
        return 400;
    }
    *body = *decoded;
    *body_len = (size_t)len;
    return 0;
}

int polling_body_open(struct session *session, const struct http_request *request,
                      const char *body, size_t body_len, struct payload *payload,
                      char **decoded)
{
    bool is_jsonp = session->polling->jsonp.is_given;
    bool is_bytes = !is_jsonp && is_octet_stream(request);
    int status = 0;

    *decoded = NULL;
    if (is_bytes && !session->is_v3) {
        session_end(session, SESSION_TRANSPORT_ERROR, "octet-stream from a v4 client");
        return 400;
    }
    if (is_jsonp)
        status = open_form(session, &body, &body_len, decoded);
    if (status)
        return status;
    if (!is_bytes && !utf8_is_valid(body, body_len)) {
        session_end(session, SESSION_PARSE_ERROR, "body is not UTF-8");
        return 400;
    }
    if (is_bytes)
        payload3_init_bytes(payload, body, body_len);
    else if (session->is_v3)
        payload3_init(payload, body, body_len);
    else
        payload_init(payload, body, body_len);
    return 0;
}
