/*
 * fuzz_frame.c - WebSocket frames (core/engine/frame.c): C05, C16, C17, C21, C34, T11.
 *
 * Input: two bytes, then what a client sends behind the upgrade. The first byte chooses
 * how the stream is cut; the second what stands in it: 'r' frames as they are on the wire,
 * 'd' frames as below where permessage-deflate was negotiated (RFC 7692), else frames as a
 * fuzzer writes them easily, which are masked here (see write_frames()).
 * Properties:
 *   - what comes out is the same whole, byte by byte and cut in any other way;
 *   - a second decoder, which has the whole stream and only the rules of RFC 6455, agrees;
 *   - a reader that was used before is as good as a new one;
 *   - messages are within max_message and max_fragments, text is UTF-8;
 *   - a message written as a frame, by us or by a client, reads back;
 *   - deflated messages obey the same limits, and what we deflate inflates to the same.
 * Thread: main.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/engine/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/masked.h"

const char *const fuzz_name = "frame";

static struct frame_limits limits = {.max_message_bytes = 70000, .max_fragments = 8};

static const char *const words[] = {"more", "text",  "binary", "ping",
                                    "pong", "close", "bad"};

static struct frame_pool pool; /* readers go from one run to the next within an input */

/* ---- a stream as the reader takes it */

static void note(struct fuzz_text *out, enum frame_event event, unsigned code,
                 const char *data, size_t len)
{
    fuzz_print(out, "%s %u %zu:", words[event], code, len);
    fuzz_put(out, data, len);
    fuzz_put(out, "\n", 1);
}

static void check_frame(enum frame_event event, const struct frame *frame)
{
    switch (event) {
    case FRAME_TEXT:
        FUZZ_CHECK(utf8_is_valid(frame->data, frame->len), "text is UTF-8");
        FUZZ_CHECK(frame->len <= limits.max_message_bytes, "C16: max_message holds");
        break;
    case FRAME_BINARY:
        FUZZ_CHECK(frame->len <= limits.max_message_bytes, "C16: max_message holds");
        break;
    case FRAME_PING:
    case FRAME_PONG:
        FUZZ_CHECK(frame->len <= FRAME_CONTROL_MAX, "a control frame is short");
        break;
    case FRAME_CLOSE:
        FUZZ_CHECK(frame->len <= FRAME_CONTROL_MAX && frame->len != 1,
                   "a close payload has no byte or at least two");
        FUZZ_CHECK((frame->len == 0) == (frame->code == 0), "a close has a code or none");
        break;
    case FRAME_BAD:
        FUZZ_CHECK(frame->reason && (frame->code == WS_CLOSE_PROTOCOL ||
                                     frame->code == WS_CLOSE_BAD_DATA ||
                                     frame->code == WS_CLOSE_POLICY ||
                                     frame->code == WS_CLOSE_TOO_BIG),
                   "a refusal has a code and a reason");
        break;
    case FRAME_MORE:
        break;
    }
}

/* What comes of the input when it is cut like this: free(text). */
static struct fuzz_text run(const char *input, size_t len, struct fuzz_cuts cuts)
{
    struct frame_reader *reader = frame_pool_take(&pool);
    struct fuzz_text out = {0};
    bool is_over = false;

    while (len > 0 && !is_over) {
        size_t piece = fuzz_piece(&cuts, len), left = piece;
        char *copy = cuts.fixed == 1 ? NULL : fuzz_copy(input, piece);
        const char *data = copy ? copy : input;
        enum frame_event event = FRAME_TEXT;

        while (event != FRAME_MORE && !is_over) {
            struct frame frame;

            event = frame_read(reader, &limits, &data, &left, &frame);
            FUZZ_CHECK(data + left == (copy ? copy : input) + piece,
                       "data and len advance together");
            FUZZ_CHECK(frame_reader_bytes(reader) <= 5 * limits.max_message_bytes,
                       "a message costs a few times its limit at most");
            check_frame(event, &frame);
            is_over = event == FRAME_BAD || event == FRAME_CLOSE;
            if (event == FRAME_BAD)
                note(&out, event, frame.code, "", 0);
            else if (event != FRAME_MORE)
                note(&out, event, frame.code, frame.data, frame.len);
        }
        FUZZ_CHECK(is_over || left == 0, "the reader wants more only when it has all");
        free(copy);
        input += piece;
        len -= piece;
    }
    fuzz_print(&out, "idle=%d\n", is_over || frame_reader_is_idle(reader));
    frame_pool_give(&pool, reader);
    return out;
}

/* ---- the second decoder: a whole stream, by the words of RFC 6455 */

struct simple {
    const unsigned char *at, *end;
    struct fuzz_text message; /* owned */
    unsigned message_opcode, n_fragments;
};

static enum frame_event bad(struct fuzz_text *out, unsigned code)
{
    note(out, FRAME_BAD, code, "", 0);
    return FRAME_BAD;
}

/* 7.4: what may be sent. */
static bool is_sendable(unsigned code)
{
    static const uint16_t never[] = {1004, 1005, 1006, 1015};

    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (code == never[i])
            return false;
    return (code >= 1000 && code < 1015) || (code >= 3000 && code < 5000);
}

/* FRAME_MORE: go on. */
static enum frame_event simple_control(unsigned opcode, const char *data, size_t len,
                                       struct fuzz_text *out)
{
    unsigned code = 0;

    if (opcode != 8) {
        note(out, opcode == 9 ? FRAME_PING : FRAME_PONG, 0, data, len);
        return FRAME_MORE;
    }
    if (len == 1)
        return bad(out, 1002);
    if (len > 1) {
        code = (unsigned)(unsigned char)data[0] << 8 | (unsigned char)data[1];
        if (!is_sendable(code))
            return bad(out, 1002);
        if (!utf8_is_valid(data + 2, len - 2))
            return bad(out, 1007);
    }
    note(out, FRAME_CLOSE, code, data, len);
    return FRAME_CLOSE;
}

/* Whether more bytes could still make text of it. */
static bool may_become_text(const struct fuzz_text *message)
{
    struct utf8_check check = {0};

    return utf8_check_feed(&check, message->text, message->len);
}

/* A data frame, of which `got` bytes are here. FRAME_MORE: go on. */
static enum frame_event simple_data(struct simple *simple, bool is_final,
                                    const char *data, size_t got, bool is_whole,
                                    struct fuzz_text *out)
{
    bool is_text = simple->message_opcode == 1;

    fuzz_put(&simple->message, data, got);
    if (is_text && !may_become_text(&simple->message))
        return bad(out, 1007);
    if (!is_whole || !is_final)
        return FRAME_MORE;
    if (is_text && !utf8_is_valid(simple->message.text, simple->message.len))
        return bad(out, 1007);
    note(out, is_text ? FRAME_TEXT : FRAME_BINARY, 0, simple->message.text,
         simple->message.len);
    simple->message_opcode = 0;
    return FRAME_MORE;
}

/* 5.2 and 5.4: 0, or the code that the first two bytes earn. */
static unsigned refusal_of_start(const struct simple *simple)
{
    unsigned opcode = simple->at[0] & 15, length = simple->at[1] & 127;
    bool is_control = opcode & 8;

    if (simple->at[0] & 0x70 || !(simple->at[1] & 0x80))
        return 1002;
    if ((opcode > 2 && !is_control) || opcode > 10)
        return 1002;
    if (is_control && (!(simple->at[0] & 0x80) || length > 125))
        return 1002;
    if (!is_control && (opcode == 0) != (simple->message_opcode != 0))
        return 1002;
    return 0;
}

static enum frame_event simple_frame(struct simple *simple, struct fuzz_text *out)
{
    size_t left = (size_t)(simple->end - simple->at);
    unsigned n_length, opcode;
    const unsigned char *mask;
    uint64_t length;
    bool is_final;
    size_t got;
    char *data;
    enum frame_event event;

    if (left < 2)
        return FRAME_CLOSE; /* the stream ends here */
    if (refusal_of_start(simple))
        return bad(out, refusal_of_start(simple));
    is_final = simple->at[0] & 0x80;
    opcode = simple->at[0] & 15;
    length = simple->at[1] & 127;
    n_length = length == 127 ? 8 : length == 126 ? 2 : 0;
    if (left < 6 + n_length)
        return FRAME_CLOSE;
    if (n_length)
        length = 0;
    for (unsigned i = 0; i < n_length; i++)
        length = length << 8 | simple->at[2 + i];
    if ((n_length == 2 && length < 126) ||
        (n_length == 8 && (length < 65536 || length >> 63)))
        return bad(out, 1002);
    mask = simple->at + 2 + n_length;
    simple->at += 6 + n_length;
    left -= 6 + n_length;
    if (!(opcode & 8)) {
        if (opcode) {
            simple->message_opcode = opcode;
            simple->message.len = 0;
            simple->n_fragments = 0;
        }
        if (++simple->n_fragments > limits.max_fragments)
            return bad(out, 1008);
        if (length > limits.max_message_bytes - simple->message.len)
            return bad(out, 1009);
    }
    got = left < length ? left : (size_t)length;
    data = fuzz_copy(simple->at, got);
    for (size_t i = 0; i < got; i++)
        data[i] = (char)(data[i] ^ (char)mask[i % 4]);
    simple->at += got;
    event = FRAME_MORE;
    if (!(opcode & 8))
        event = simple_data(simple, is_final, data, got, got == length, out);
    else if (got == length)
        event = simple_control(opcode, data, got, out);
    free(data);
    return event == FRAME_MORE && got < length ? FRAME_CLOSE : event;
}

/* The same words as run() has, but for the last line. */
static struct fuzz_text run_simply(const char *input, size_t len)
{
    struct simple simple = {.at = (const unsigned char *)input,
                            .end = (const unsigned char *)input + len};
    struct fuzz_text out = {0};

    fuzz_put(&simple.message, "", 0);
    fuzz_put(&out, "", 0);
    while (simple_frame(&simple, &out) == FRAME_MORE)
        continue;
    free(simple.message.text);
    return out;
}

/* ---- writing */

static void check_written(struct frame_writer *writer, enum frame_kind kind,
                          const char *data, size_t len)
{
    size_t size = frame_size(len), head = size - len;
    unsigned char *out = malloc(size); /* exactly what is promised to suffice */
    unsigned char alone[FRAME_HEAD_MAX];

    frame_write(writer, kind, data, len, (char *)out);
    FUZZ_CHECK(out[0] == (0x80 | kind), "a frame that we write is one whole frame");
    FUZZ_CHECK(out[1] == (head == 2   ? len
                          : head == 4 ? 126
                                      : 127),
               "its length is in the shortest form, without a mask");
    for (size_t i = 2, shift = 8 * (head - 2); i < head; i++) {
        shift -= 8;
        FUZZ_CHECK(out[i] == (unsigned char)((uint64_t)len >> shift),
                   "its length is the payload's");
    }
    FUZZ_CHECK(memcmp(out + head, data, len) == 0, "its payload is the payload");
    FUZZ_CHECK(frame_head(kind, len, alone) == head && memcmp(out, alone, head) == 0,
               "a head alone is the same as one with its payload");
    free(out);
}

/* A message, sent as one frame by a client, is that message. */
static void check_round(unsigned opcode, enum frame_event expected, const char *data,
                        size_t len)
{
    char *wire = malloc(len + 14);
    size_t size = put_frame(wire, FIN | opcode, data, len);
    struct fuzz_text out = run(wire, size, (struct fuzz_cuts){.fixed = size});
    struct fuzz_text wanted = {0};

    note(&wanted, expected, 0, data, len);
    fuzz_print(&wanted, "idle=1\n");
    FUZZ_CHECK(fuzz_same(&out, &wanted), "a message written as a frame reads back");
    free(out.text);
    free(wanted.text);
    free(wire);
}

/* The same, deflated. */
static void check_deflated(const char *data, size_t len)
{
    static struct deflate_pool own;
    struct fuzz_text out, wanted = {0};

    for (unsigned bits = 8; bits <= 15; bits += 7) {
        const char *deflated;
        size_t n = deflate_message(&own, bits, data, len, &deflated), size;
        char *wire;

        if (!n)
            continue;
        FUZZ_CHECK(n < len, "what is deflated is shorter");
        wire = malloc(n + 14);
        size = put_frame(wire, FIN | FRAME_DEFLATED | BINARY, deflated, n);
        limits.may_inflate = true;
        out = run(wire, size, (struct fuzz_cuts){.fixed = size});
        limits.may_inflate = false;
        wanted.len = 0;
        note(&wanted, FRAME_BINARY, 0, data, len);
        fuzz_print(&wanted, "idle=1\n");
        FUZZ_CHECK(fuzz_same(&out, &wanted), "what we deflate inflates to the same");
        free(out.text);
        free(wire);
    }
    free(wanted.text);
    deflate_pool_done(&own);
}

static void check_payload(const char *data, size_t len)
{
    struct frame_writer *writer = frame_writer_new();

    check_written(writer, FRAME_KIND_TEXT, data, len);
    if (len <= FRAME_CONTROL_MAX) {
        check_written(writer, FRAME_KIND_PONG, data, len);
        check_round(PING, FRAME_PING, data, len);
        check_round(PONG, FRAME_PONG, data, len);
    }
    check_round(BINARY, FRAME_BINARY, data, len);
    check_deflated(data, len);
    if (utf8_is_valid(data, len))
        check_round(TEXT, FRAME_TEXT, data, len);
    frame_writer_free(writer);
    frame_writer_free(NULL);
}

/* ---- the input */

/*
 * For each frame: its first byte as on the wire, a byte with the payload's length (255:
 * 300 times the next byte, 254: 66,000 times), the payload. What does not make a frame any
 * more goes out as it is. Returns text to free.
 */
static struct fuzz_text write_frames(const char *input, size_t len)
{
    struct fuzz_text out = {0};
    char *wire = malloc(66000 + 14);

    fuzz_put(&out, "", 0);
    while (len >= 2) {
        unsigned n = (unsigned char)input[1];
        size_t taken = 2 + (n >= 254 ? 1 : n);

        if (len < taken)
            break;
        if (n >= 254) {
            size_t size = n == 255 ? 300 : 66000;
            char *payload = malloc(size);

            memset(payload, input[2], size);
            fuzz_put(&out, wire, put_frame(wire, (unsigned char)input[0], payload, size));
            free(payload);
        } else {
            fuzz_put(&out, wire, put_frame(wire, (unsigned char)input[0], input + 2, n));
        }
        input += taken;
        len -= taken;
        if (out.len > 400000)
            break;
    }
    fuzz_put(&out, input, len);
    free(wire);
    return out;
}

void fuzz_one(const char *input, size_t len)
{
    struct fuzz_cuts cuts[] = {{.fixed = 0}, {.fixed = 1}, {.fixed = 0}};
    struct fuzz_text stream = {0}, whole, simply;

    if (len < 2)
        return;
    if (input[1] == 'r')
        fuzz_put(&stream, input + 2, len - 2);
    else
        stream = write_frames(input + 2, len - 2);
    limits.may_inflate = input[1] == 'd';
    cuts[0].fixed = stream.len;
    cuts[2].state = (uint32_t)(unsigned char)input[0] << 16;
    whole = run(stream.text, stream.len, cuts[0]);
    /* byte by byte is slow where nothing new can come of it */
    for (size_t i = stream.len > 20000 ? 2 : 1; i < sizeof cuts / sizeof *cuts; i++) {
        struct fuzz_text again = run(stream.text, stream.len, cuts[i]);

        FUZZ_CHECK(fuzz_same(&whole, &again), "nothing depends on the cuts");
        free(again.text);
    }
    simply =
        limits.may_inflate ? (struct fuzz_text){0} : run_simply(stream.text, stream.len);
    FUZZ_CHECK(limits.may_inflate || (simply.len <= whole.len &&
                                      memcmp(simply.text, whole.text, simply.len) == 0 &&
                                      strncmp(whole.text + simply.len, "idle=", 5) == 0),
               "a simple decoder finds the same");
    limits.may_inflate = false;
    check_payload(input + 2, len - 2);
    frame_pool_give(&pool, NULL);
    frame_pool_done(&pool);
    free(simply.text);
    free(whole.text);
    free(stream.text);
}
