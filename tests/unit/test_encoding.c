/*
 * test_encoding.c - Accept-Encoding (core/net/encoding.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/net/encoding.h"

enum { BR = 1 << HTTP_BROTLI, GZIP = 1 << HTTP_GZIP, DEFLATE = 1 << HTTP_DEFLATE };

static enum http_encoding choose(const char *first, const char *second, unsigned offered)
{
    struct http_header headers[] = {
        {{"accept-Encoding", 15}, {first, strlen(first)}},
        {{"Accept-Encoding", 15}, {second, strlen(second)}},
    };
    struct http_request request = {.headers = headers, .n_headers = *second ? 2 : 1};

    return http_choose_encoding(&request, offered);
}

static void the_highest_rated_of_those_offered_is_chosen(void **state)
{
    static const struct {
        const char *accept;
        unsigned offered;
        enum http_encoding chosen;
    } rows[] = {
        {"", GZIP | DEFLATE, HTTP_IDENTITY},
        {"gzip, deflate, br", GZIP | DEFLATE, HTTP_GZIP},
        {"gzip, deflate, br", GZIP | DEFLATE | BR, HTTP_BROTLI},
        {"deflate, gzip", GZIP | DEFLATE, HTTP_GZIP},
        {"deflate, gzip", DEFLATE, HTTP_DEFLATE},
        {"deflate, gzip", 0, HTTP_IDENTITY},
        {"gzip;q=0.8, deflate", GZIP | DEFLATE, HTTP_DEFLATE},
        {"gzip;q=0.8,deflate;q=0.801", GZIP | DEFLATE, HTTP_DEFLATE},
        {"gzip;q=1.000,deflate;q=0.999", GZIP | DEFLATE, HTTP_GZIP},
        {"GZIP ; Q=0.5", GZIP, HTTP_GZIP},
        {"x-gzip", GZIP, HTTP_GZIP},
        {"gzip;level=9;q=0", GZIP, HTTP_IDENTITY},
        {"gzip;q=0;q=1", GZIP, HTTP_IDENTITY},
        {"gzip;q=0, *", GZIP | DEFLATE, HTTP_DEFLATE},
        {"*", GZIP | DEFLATE, HTTP_GZIP},
        {"*;q=0", GZIP | DEFLATE, HTTP_IDENTITY},
        {"*;q=0.1, deflate;q=0.2", GZIP | DEFLATE, HTTP_DEFLATE},
        {"identity", GZIP, HTTP_IDENTITY},
        {"identity, gzip", GZIP, HTTP_GZIP},
        {"identity, gzip;q=0.9", GZIP, HTTP_IDENTITY},
        {"identity;q=0.5, gzip;q=0.9", GZIP, HTTP_GZIP},
        {"identity;q=0", GZIP, HTTP_IDENTITY}, /* we have nothing else that it takes */
        /* what is no rating is none */
        {"gzip;q=", GZIP, HTTP_IDENTITY},
        {"gzip;q=2", GZIP, HTTP_IDENTITY},
        {"gzip;q=1.001", GZIP, HTTP_IDENTITY},
        {"gzip;q=0.1234", GZIP, HTTP_IDENTITY},
        {"gzip;q=-1", GZIP, HTTP_IDENTITY},
        {"gzip;q=.5", GZIP, HTTP_IDENTITY},
        {"gzip;q=1.", GZIP, HTTP_GZIP},
        {"gzip;q=1,", GZIP, HTTP_GZIP},
        {";q=1, ,gzip", GZIP, HTTP_GZIP},
        {"gzipx, xgzip, gzi", GZIP, HTTP_IDENTITY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (choose(rows[i].accept, "", rows[i].offered) != rows[i].chosen)
            fail_msg("%s", rows[i].accept);
}

static void several_lines_are_one_list(void **state)
{
    (void)state;
    assert_int_equal(choose("br", "gzip", GZIP), HTTP_GZIP);
    assert_int_equal(choose("gzip;q=0", "gzip", GZIP), HTTP_IDENTITY);
}

static void each_has_a_name(void **state)
{
    (void)state;
    assert_null(http_encoding_name(HTTP_IDENTITY));
    assert_string_equal(http_encoding_name(HTTP_BROTLI), "br");
    assert_string_equal(http_encoding_name(HTTP_GZIP), "gzip");
    assert_string_equal(http_encoding_name(HTTP_DEFLATE), "deflate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_highest_rated_of_those_offered_is_chosen),
        cmocka_unit_test(several_lines_are_one_list),
        cmocka_unit_test(each_has_a_name),
    };

    return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}
