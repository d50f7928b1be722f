/*
 * route.c - HTTP paths of a plugin.
 *
 *   GET  /test/hello    200 text/plain "hello\n"
 *   GET  /test/query    200 the raw query, as it came
 *   GET  /test/agent    200 the header User-Agent, or 404 when there is none
 *   POST /test/body     200 application/octet-stream: the body, as it came
 *   GET  /test/forgets  answers nothing: the client gets 500
 *   GET  /test/twice    answers twice: the client gets the first, 200 "first\n"
 *   GET  /test/big      200 with 300,000 times x
 *
 * Thread: logic.
 */
#include <sockhop/sockhop.h>
#include <stdlib.h>
#include <string.h>

static const char text_plain[] = "text/plain; charset=utf-8";

static void answer(hop_request *request, int status, const char *text)
{
    hop_respond(request, status, text_plain, text, strlen(text));
}

static void hello(hop_request *request, void *self)
{
    (void)self;
    answer(request, 200, "hello\n");
}

static void query(hop_request *request, void *self)
{
    (void)self;
    answer(request, 200, hop_request_query(request));
}

static void user_agent(hop_request *request, void *self)
{
    const char *value = hop_request_header(request, "User-Agent");

    (void)self;
    answer(request, value ? 200 : 404, value ? value : "");
}

static void body(hop_request *request, void *self)
{
    size_t len;
    const char *data = hop_request_body(request, &len);

    (void)self;
    hop_respond(request, 200, "application/octet-stream", data, len);
}

static void forgets(hop_request *request, void *self)
{
    (void)request;
    (void)self;
}

static void twice(hop_request *request, void *self)
{
    (void)self;
    answer(request, 200, "first\n");
    answer(request, 500, "second\n");
}

static void big(hop_request *request, void *self)
{
    const size_t len = 300000;
    char *text = malloc(len);

    (void)self;
    if (!text)
        return;
    memset(text, 'x', len);
    hop_respond(request, 200, text_plain, text, len);
    free(text);
}

static int route_init(hop_server *server, void *self)
{
    hop_route(server, "GET", "/test/hello", hello, self);
    hop_route(server, "GET", "/test/query", query, self);
    hop_route(server, "GET", "/test/agent", user_agent, self);
    hop_route(server, "POST", "/test/body", body, self);
    hop_route(server, "GET", "/test/forgets", forgets, self);
    hop_route(server, "GET", "/test/twice", twice, self);
    hop_route(server, "GET", "/test/big", big, self);
    return 0;
}

HOP_API const hop_plugin hop_plugin_entry = {
    HOP_PLUGIN("route", "1.0", "answers paths"),
    .init = route_init,
};
