/*
 * test_sio_packet.c - the codec of Socket.IO packets: by table, cut at every byte, and
 * what decodes encodes to the same text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/socketio/packet.h"

/* Decode a copy of exactly that size, so that a read behind it is seen. */
static enum sio_packet_result decode(char **copy, const char *text, size_t len,
                                     struct sio_packet *packet)
{
    *copy = malloc(len ? len : 1);
    assert_non_null(*copy);
    memcpy(*copy, text, len);
    return sio_packet_decode(*copy, len, packet);
}

static const struct {
    const char *text;
    enum sio_packet_type type;
    const char *nsp;
    int64_t id; /* -1: none */
    unsigned n_attachments;
    const char *payload; /* NULL: none */
} good[] = {
    {"0", SIO_CONNECT, "/", -1, 0, NULL},
    {"0{}", SIO_CONNECT, "/", -1, 0, "{}"},
    {"0/admin", SIO_CONNECT, "/admin", -1, 0, NULL},
    {"0/admin,", SIO_CONNECT, "/admin", -1, 0, NULL},
    {"0/admin,{\"token\":\"1,2\"}", SIO_CONNECT, "/admin", -1, 0, "{\"token\":\"1,2\"}"},
    {"0/?a=1&b=2,{}", SIO_CONNECT, "/?a=1&b=2", -1, 0, "{}"},
    {"1", SIO_DISCONNECT, "/", -1, 0, NULL},
    {"1/admin,", SIO_DISCONNECT, "/admin", -1, 0, NULL},
    {"2[\"a\"]", SIO_EVENT, "/", -1, 0, "[\"a\"]"},
    {"20[\"a\"]", SIO_EVENT, "/", 0, 0, "[\"a\"]"},
    {"212[\"a\"]", SIO_EVENT, "/", 12, 0, "[\"a\"]"},
    {"2/a,12[\"a\"]", SIO_EVENT, "/a", 12, 0, "[\"a\"]"},
    {"2", SIO_EVENT, "/", -1, 0, NULL},
    {"25", SIO_EVENT, "/", 5, 0, NULL},
    {"2-1[\"a\"]", SIO_EVENT, "/", -1, 0, "-1[\"a\"]"},
    {"2{}", SIO_EVENT, "/", -1, 0, "{}"},
    {"29007199254740991[\"a\"]", SIO_EVENT, "/", 9007199254740991, 0, "[\"a\"]"},
    {"30[]", SIO_ACK, "/", 0, 0, "[]"},
    {"3/a,7[1]", SIO_ACK, "/a", 7, 0, "[1]"},
    {"4{\"message\":\"x\"}", SIO_CONNECT_ERROR, "/", -1, 0, "{\"message\":\"x\"}"},
    {"50-[\"a\"]", SIO_BINARY_EVENT, "/", -1, 0, "[\"a\"]"},
    {"51-[\"a\"]", SIO_BINARY_EVENT, "/", -1, 1, "[\"a\"]"},
    {"510-/a,3[\"a\"]", SIO_BINARY_EVENT, "/a", 3, 10, "[\"a\"]"},
    {"61-/a,456[1]", SIO_BINARY_ACK, "/a", 456, 1, "[1]"},
};

static void packets_decode_by_table_and_encode_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sio_packet packet;
        size_t len = strlen(good[i].text), head_len;
        char *copy, head[SIO_HEAD_SIZE + 64];

        assert_int_equal(decode(&copy, good[i].text, len, &packet), SIO_PACKET_OK);
        assert_int_equal(packet.type, good[i].type);
        assert_int_equal(packet.nsp_len, strlen(good[i].nsp));
        assert_memory_equal(packet.nsp, good[i].nsp, packet.nsp_len);
        assert_int_equal(packet.has_id, good[i].id >= 0);
        if (packet.has_id)
            assert_true(packet.id == (uint64_t)good[i].id);
        assert_int_equal(packet.n_attachments, good[i].n_attachments);
        assert_int_equal(packet.payload != NULL, good[i].payload != NULL);
        assert_int_equal(packet.payload_len,
                         good[i].payload ? strlen(good[i].payload) : 0);
        if (packet.payload)
            assert_memory_equal(packet.payload, good[i].payload, packet.payload_len);

        /* The comma behind a namespace is optional in, and always there out. */
        head_len = sio_packet_head(&packet, head);
        if (strcmp(good[i].text, "0/admin") != 0)
            assert_int_equal(head_len + packet.payload_len, len);
        assert_memory_equal(head, good[i].text, len - packet.payload_len);
        free(copy);
    }
}

static void bad_packets_are_refused_by_table(void **state)
{
    static const struct {
        const char *text;
        enum sio_packet_result result;
    } rows[] = {
        {"", SIO_PACKET_EMPTY},
        {"7", SIO_PACKET_BAD_TYPE},
        {"9[\"a\"]", SIO_PACKET_BAD_TYPE},
        {"a", SIO_PACKET_BAD_TYPE},
        {" 2[\"a\"]", SIO_PACKET_BAD_TYPE},
        {"-1", SIO_PACKET_BAD_TYPE},
        {"\x80", SIO_PACKET_BAD_TYPE},
        {"5", SIO_PACKET_BAD_ATTACHMENTS},
        {"5-", SIO_PACKET_BAD_ATTACHMENTS},
        {"5[\"a\"]", SIO_PACKET_BAD_ATTACHMENTS},
        {"51", SIO_PACKET_BAD_ATTACHMENTS},
        {"51[\"a\"]", SIO_PACKET_BAD_ATTACHMENTS},
        {"51.5-[\"a\"]", SIO_PACKET_BAD_ATTACHMENTS},
        {"5-1-[\"a\"]", SIO_PACKET_BAD_ATTACHMENTS},
        {"5 1-[\"a\"]", SIO_PACKET_BAD_ATTACHMENTS},
        {"51001-[\"a\"]", SIO_PACKET_MANY_ATTACHMENTS},
        {"5999999999-", SIO_PACKET_MANY_ATTACHMENTS},
        {"54294967296-", SIO_PACKET_MANY_ATTACHMENTS},
        {"518446744073709551617-", SIO_PACKET_MANY_ATTACHMENTS},
        {"60000000000000001-", SIO_PACKET_MANY_ATTACHMENTS},
        {"29007199254740992[\"a\"]", SIO_PACKET_BAD_ID},
        {"29999999999999999[\"a\"]", SIO_PACKET_BAD_ID},
        {"210000000000000000[\"a\"]", SIO_PACKET_BAD_ID},
        {"218446744073709551616[\"a\"]", SIO_PACKET_BAD_ID},
        {"200000000000000000[\"a\"]", SIO_PACKET_BAD_ID},
        {"3/a,99999999999999999999[1]", SIO_PACKET_BAD_ID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sio_packet packet;
        char *copy;

        if (decode(&copy, rows[i].text, strlen(rows[i].text), &packet) != rows[i].result)
            fail_msg("not refused as it should be: %s", rows[i].text);
        assert_true(strlen(sio_packet_word(rows[i].result)) > 0);
        free(copy);
    }
}

/* T14 */
static void ack_ids_are_echoed_digit_by_digit(void **state)
{
    static const char *const ids[] = {"0",
                                      "00",
                                      "007",
                                      "0000000000000000",
                                      "0000000000000001",
                                      "1000",
                                      "0100",
                                      "9007199254740991",
                                      "10"};

    (void)state;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct sio_packet packet;
        char text[64] = "2", head[SIO_HEAD_SIZE + 1], *copy;

        strcat(strcat(text, ids[i]), "[\"a\"]");
        assert_int_equal(decode(&copy, text, strlen(text), &packet), SIO_PACKET_OK);
        assert_true(packet.has_id);
        assert_true(sio_id_value(packet.id) == strtoull(ids[i], NULL, 10));
        packet.type = SIO_ACK;
        head[sio_packet_head(&packet, head)] = '\0';
        assert_string_equal(head + 1, ids[i]);
        free(copy);
    }
}

/* C10 */
static void a_megabyte_of_digits_costs_nothing(void **state)
{
    static const struct {
        const char *prefix;
        enum sio_packet_result result;
    } rows[] = {
        {"5", SIO_PACKET_MANY_ATTACHMENTS},
        {"2", SIO_PACKET_BAD_ID},
        {"2/", SIO_PACKET_OK}, /* all of it is a namespace */
    };
    const size_t len = 1000000;
    char *text = malloc(len);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sio_packet packet;

        memset(text, '1', len);
        memcpy(text, rows[i].prefix, strlen(rows[i].prefix));
        assert_int_equal(sio_packet_decode(text, len, &packet), rows[i].result);
    }
    free(text);
}

static void any_cut_decodes_to_a_part_or_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        for (size_t len = 0; len < strlen(good[i].text); len++) {
            struct sio_packet packet;
            char *copy, head[SIO_HEAD_SIZE + 64];

            if (decode(&copy, good[i].text, len, &packet) == SIO_PACKET_OK &&
                good[i].text[len - 1] != '/') { /* "2/" encodes to "2" */
                size_t head_len = sio_packet_head(&packet, head);

                assert_true(head_len + packet.payload_len >= len);
                assert_memory_equal(head, good[i].text, len - packet.payload_len);
            }
            free(copy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_decode_by_table_and_encode_back),
        cmocka_unit_test(bad_packets_are_refused_by_table),
        cmocka_unit_test(ack_ids_are_echoed_digit_by_digit),
        cmocka_unit_test(a_megabyte_of_digits_costs_nothing),
        cmocka_unit_test(any_cut_decodes_to_a_part_or_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
