/*
 * masked.h - for the unit tests of WebSocket: frames as clients send them.
 *
 * Included by: test_frame.c, wire.h. Thread: any.
 */
#ifndef TESTS_UNIT_MASKED_H
#define TESTS_UNIT_MASKED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FIN = 0x80, CONT = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* Append a masked frame to out; first: FIN, RSV bits and opcode. Returns its size. */
static inline size_t put_frame(char *out, unsigned first, const void *payload, size_t len)
{
    static const unsigned char mask[4] = {0x12, 0xfe, 0x56, 0x80};
    const unsigned char *bytes = payload;
    size_t n = 0;

    out[n++] = (char)first;
    if (len < 126) {
        out[n++] = (char)(0x80 | len);
    } else if (len < 0x10000) {
        out[n++] = (char)(0x80 | 126);
        out[n++] = (char)(len >> 8);
        out[n++] = (char)len;
    } else {
        out[n++] = (char)(0x80 | 127);
        for (int shift = 56; shift >= 0; shift -= 8)
            out[n++] = (char)((uint64_t)len >> shift);
    }
    memcpy(out + n, mask, 4);
    n += 4;
    for (size_t i = 0; i < len; i++)
        out[n++] = (char)(bytes[i] ^ mask[i % 4]);
    return n;
}

#endif
