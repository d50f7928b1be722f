/*
 * test_compress.c - compressed bodies (core/engine/compress.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/text.h"
#include "core/engine/compress.h"
#include "core/loop/bytes.h"

static struct bytes *text_of(size_t len)
{
    struct bytes *body = bytes_new(len);

    for (size_t i = 0; i < len; i++)
        body->data[i] = "4{\"message\":\"hello\"}\x1e"[i * 7 % 20];
    return body;
}

/* What a client makes of it. */
static void assert_unpacks(const struct bytes *packed, enum http_encoding encoding,
                           const struct bytes *body)
{
    unsigned char *out = malloc(body->len + 1);
    z_stream z = {.next_in = (unsigned char *)packed->data,
                  .avail_in = (uInt)packed->len,
                  .next_out = out,
                  .avail_out = (uInt)body->len + 1};

    assert_non_null(out);
    assert_int_equal(inflateInit2(&z, encoding == HTTP_GZIP ? 15 + 16 : 15), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(z.total_out, body->len);
    assert_memory_equal(out, body->data, body->len);
    inflateEnd(&z);
    free(out);
}

static void what_is_packed_unpacks(void **state)
{
    static const size_t sizes[] = {100, 1024, 70000, 1000000};
    struct compressor *compressor = compressor_new();

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int encoding = HTTP_GZIP; encoding <= HTTP_DEFLATE; encoding++) {
            struct bytes *body = text_of(sizes[i]);
            struct bytes *packed =
                compressor_pack(compressor, body, (enum http_encoding)encoding);

            assert_non_null(packed);
            assert_true(packed->len < body->len);
            assert_unpacks(packed, (enum http_encoding)encoding, body);
            bytes_unref(packed);
            bytes_unref(body);
        }
    compressor_free(compressor);
}

static void what_would_grow_stays_as_it_is(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 20, 1000};
    struct compressor *compressor = compressor_new();

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct bytes *body = bytes_new(sizes[i]), *text = text_of(500), *packed;

        if (sizes[i])
            random_bytes(body->data, sizes[i]);
        assert_null(compressor_pack(compressor, body, HTTP_GZIP));
        assert_null(compressor_pack(compressor, body, HTTP_GZIP));
        packed = compressor_pack(compressor, text, HTTP_GZIP); /* it goes on after that */
        assert_unpacks(packed, HTTP_GZIP, text);
        bytes_unref(packed);
        bytes_unref(text);
        bytes_unref(body);
    }
    compressor_free(compressor);
}

static void the_same_body_is_packed_once_a_turn(void **state)
{
    struct compressor *compressor = compressor_new();
    struct bytes *body = text_of(2000), *other = text_of(3000);
    struct bytes *first = compressor_pack(compressor, body, HTTP_GZIP);
    struct bytes *second = compressor_pack(compressor, body, HTTP_GZIP), *zlib, *third;

    (void)state;
    assert_ptr_equal(first, second);
    zlib = compressor_pack(compressor, body, HTTP_DEFLATE);
    assert_unpacks(zlib, HTTP_DEFLATE, body);
    third = compressor_pack(compressor, other, HTTP_DEFLATE);
    assert_unpacks(third, HTTP_DEFLATE, other);
    compressor_forget(compressor);
    assert_int_equal(atomic_load(&body->refs), 1);
    assert_int_equal(atomic_load(&other->refs), 1);
    assert_int_equal(atomic_load(&third->refs), 1);
    bytes_unref(first);
    bytes_unref(second);
    bytes_unref(zlib);
    bytes_unref(third);
    bytes_unref(body);
    bytes_unref(other);
    compressor_free(compressor);
    compressor_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_packed_unpacks),
        cmocka_unit_test(what_would_grow_stays_as_it_is),
        cmocka_unit_test(the_same_body_is_packed_once_a_turn),
    };

    return cmocka_run_group_tests_name("compress", tests, NULL, NULL);
}
