/*
 * test_router.c - which route a path gets (core/net/router.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/net/router.h"

static int tags[16];

static struct http_route route(int n)
{
    return (struct http_route){.arg = &tags[n]};
}

static struct router *make_router(void)
{
    struct router *router = router_new();
    struct http_route all = route(0), get = route(1), post = route(2), deep = route(3),
                      shallow = route(4), fallback = route(5);

    assert_int_equal(router_add(router, NULL, "/all", &all), 0);
    assert_int_equal(router_add(router, "GET", "/page", &get), 0);
    assert_int_equal(router_add(router, "POST", "/page", &post), 0);
    assert_int_equal(router_add(router, "POST", "/form", &post), 0);
    assert_int_equal(router_add_prefix(router, "/a", &shallow), 0);
    assert_int_equal(router_add_prefix(router, "/a/b/", &deep), 0);
    router_set_fallback(router, &fallback);
    return router;
}

/* The route's number, or minus the status. */
static int find(const struct router *router, enum http_method method, const char *path,
                const char **allow)
{
    struct http_request request = {.method = method, .path = {path, strlen(path)}};
    int status;
    const struct http_route *found = router_find(router, &request, &status, allow);

    if (!found)
        return -status;
    assert_int_equal(status, 0);
    return (int)((int *)found->arg - tags);
}

static void the_decoded_path_chooses_the_route(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        int route;
        const char *allow;
    } rows[] = {
        {HTTP_M_GET, "/all", 0, NULL},
        {HTTP_M_OTHER, "/all", 0, NULL},
        {HTTP_M_GET, "/page", 1, NULL},
        {HTTP_M_HEAD, "/page", 1, NULL},
        {HTTP_M_POST, "/page", 2, NULL},
        {HTTP_M_GET, "/p%61ge", 1, NULL},
        {HTTP_M_OTHER, "/page", -405, "GET, HEAD, POST"},
        {HTTP_M_GET, "/form", -405, "POST"},
        {HTTP_M_HEAD, "/form", -405, "POST"},
        {HTTP_M_GET, "/page/", 5, NULL},
        {HTTP_M_GET, "/pag", 5, NULL},
        {HTTP_M_GET, "/a", 4, NULL},
        {HTTP_M_GET, "/a/", 4, NULL},
        {HTTP_M_GET, "/a/x", 4, NULL},
        {HTTP_M_GET, "/a/bc", 4, NULL},
        {HTTP_M_GET, "/a/b", 3, NULL},
        {HTTP_M_POST, "/a/b/c", 3, NULL},
        {HTTP_M_GET, "/ab", 5, NULL},
        {HTTP_M_GET, "/", 5, NULL},
        {HTTP_M_OPTIONS, "*", 5, NULL},
        {HTTP_M_GET, "/page%00", 5, NULL},
        {HTTP_M_GET, "/page%zz", 5, NULL},
    };
    struct router *router = make_router();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *allow = NULL;

        assert_int_equal(find(router, rows[i].method, rows[i].path, &allow),
                         rows[i].route);
        if (rows[i].allow)
            assert_string_equal(allow, rows[i].allow);
    }
    router_free(router);
}

static void without_a_fallback_the_rest_is_404(void **state)
{
    struct router *router = router_new();
    const char *allow;

    (void)state;
    assert_int_equal(find(router, HTTP_M_GET, "/", &allow), -404);
    assert_int_equal(find(router, HTTP_M_GET, "/%", &allow), -404);
    router_free(router);
    router_free(NULL);
}

static void a_path_is_taken_once(void **state)
{
    struct router *router = make_router();
    struct http_route other = route(6);

    (void)state;
    assert_int_equal(router_add(router, "GET", "/page", &other), -1);
    assert_int_equal(router_add(router, NULL, "/all", &other), -1);
    assert_int_equal(router_add(router, "BREW", "/pot", &other), -1);
    assert_int_equal(router_add_prefix(router, "/a/", &other), -1);
    assert_int_equal(router_add(router, "OPTIONS", "/page", &other), 0);
    router_free(router);
}

static atomic_bool is_there_now;

static void a_prefix_that_comes_and_goes_leaves_no_trace(void **state)
{
    struct router *router = make_router();
    struct http_route sometimes = route(6);

    (void)state;
    sometimes.is_there = &is_there_now;
    assert_int_equal(router_add_prefix(router, "/a/b/c", &sometimes), 0);
    for (int i = 0; i < 2; i++) {
        const char *allow;

        is_there_now = true;
        assert_int_equal(find(router, HTTP_M_GET, "/a/b/c/d", &allow), 6);
        is_there_now = false;
        assert_int_equal(find(router, HTTP_M_GET, "/a/b/c/d", &allow), 3);
    }
    router_free(router);
}

static void a_method_that_comes_and_goes_is_allowed_while_it_is_there(void **state)
{
    struct router *router = make_router();
    struct http_route get = route(1), sometimes = route(6);
    const char *allow;

    (void)state;
    sometimes.is_there = &is_there_now;
    is_there_now = false;
    assert_int_equal(router_add(router, "POST", "/x", &sometimes), 0);
    assert_int_equal(find(router, HTTP_M_POST, "/x", &allow), 5); /* nothing is there */
    assert_int_equal(router_add(router, "GET", "/x", &get), 0);
    assert_int_equal(find(router, HTTP_M_POST, "/x", &allow), -405);
    assert_string_equal(allow, "GET, HEAD");
    is_there_now = true;
    assert_int_equal(find(router, HTTP_M_POST, "/x", &allow), 6);
    assert_int_equal(find(router, HTTP_M_OTHER, "/x", &allow), -405);
    assert_string_equal(allow, "GET, HEAD, POST");
    router_free(router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_decoded_path_chooses_the_route),
        cmocka_unit_test(without_a_fallback_the_rest_is_404),
        cmocka_unit_test(a_path_is_taken_once),
        cmocka_unit_test(a_prefix_that_comes_and_goes_leaves_no_trace),
        cmocka_unit_test(a_method_that_comes_and_goes_is_allowed_while_it_is_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
