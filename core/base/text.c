/*
 * text.c - UTF-8, base64url, ids, and lists as conf files write them.
 *
 * Called by: everything. Thread: any: no state but the random bytes that each thread holds.
 */
#include "core/base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <sockhop/log.h>

enum { RANDOM_POOL_BYTES = 1024 /* ids of some thirty clients */ };

/* ---- UTF-8 */

/* Takes the first byte of a character: RFC 3629 section 4, the table of its grammar. */
static bool utf8_check_lead(struct utf8_check *check, unsigned char byte)
{
    check->min = 0x80;
    check->max = 0xbf;
    if (byte < 0x80) {
        check->need = 0;
    } else if (byte >= 0xc2 && byte <= 0xdf) { /* C0, C1: overlong */
        check->need = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        check->need = 2;
        if (byte == 0xe0)
            check->min = 0xa0; /* overlong below */
        else if (byte == 0xed)
            check->max = 0x9f; /* surrogates above */
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        check->need = 3;
        if (byte == 0xf0)
            check->min = 0x90; /* overlong below */
        else if (byte == 0xf4)
            check->max = 0x8f; /* beyond U+10FFFF above */
    } else {
        return false;
    }
    return true;
}

/* How many bytes at the start are ASCII, found eight at a time. */
static size_t ascii_prefix(const char *data, size_t len)
{
    size_t n = 0;

    while (len - n >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, data + n, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        n += sizeof word;
    }
    while (n < len && (unsigned char)data[n] < 0x80)
        n++;
    return n;
}

bool utf8_check_feed(struct utf8_check *check, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte;

        if (check->need == 0) {
            i += ascii_prefix(data + i, len - i);
            if (i == len)
                break;
        }
        byte = (unsigned char)data[i];
        if (check->need == 0) {
            if (!utf8_check_lead(check, byte))
                return false;
            continue;
        }
        if (byte < check->min || byte > check->max)
            return false;
        check->need--;
        check->min = 0x80;
        check->max = 0xbf;
    }
    return true;
}

bool utf8_is_valid(const char *data, size_t len)
{
    struct utf8_check check = {0};

    return utf8_check_feed(&check, data, len) && utf8_check_is_complete(&check);
}

size_t utf8_decode(const char *data, size_t len, uint32_t *code)
{
    struct utf8_check check = {0};
    size_t size;

    if (len == 0 || !utf8_check_lead(&check, (unsigned char)data[0]))
        return 0;
    size = 1 + (size_t)check.need;
    if (size > len || !utf8_is_valid(data, size))
        return 0;
    *code = (unsigned char)data[0] & (size == 1 ? 0x7f : 0x7f >> size);
    for (size_t i = 1; i < size; i++)
        *code = *code << 6 | ((unsigned char)data[i] & 0x3f);
    return size;
}

size_t utf8_encode(uint32_t code, char *out)
{
    const size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = len; i > 1; i--, code >>= 6)
        out[i - 1] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(first[len] | code);
    return len;
}

size_t utf8_count(const char *data, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)data[i] & 0xc0) != 0x80; /* all but continuations */
    return n;
}

size_t utf8_cut(const char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);

    if (len <= max)
        return len;
    for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len;
}

/* ---- base64url and random */

void base64url(const void *bytes, size_t n, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *in = bytes;
    uint32_t bits = 0;
    unsigned n_bits = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | in[i];
        n_bits += 8;
        while (n_bits >= 6) {
            n_bits -= 6;
            *out++ = digits[bits >> n_bits & 63];
        }
    }
    if (n_bits)
        *out++ = digits[bits << (6 - n_bits) & 63];
    *out = '\0';
}

/* A call of the kernel costs more than the bytes do, so a thread draws some for the ids to
 * come. Those it has given are wiped. */
static _Thread_local struct {
    unsigned char bytes[RANDOM_POOL_BYTES];
    size_t n_left; /* at the beginning */
} pool;

static void draw(unsigned char *at, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) { /* ids that could be guessed would be worse than no server */
            hop_log(HOP_ERROR, "random.failed reason=\"%s\"", strerror(errno));
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

static void empty_pool(void)
{
    explicit_bzero(pool.bytes, sizeof pool.bytes);
    pool.n_left = 0;
}

/* A child would give the same bytes as its parent. */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, empty_pool);
}

void random_bytes(void *out, size_t n)
{
    if (n > sizeof pool.bytes / 4) {
        draw(out, n);
        return;
    }
    if (n > pool.n_left) {
        draw(pool.bytes, sizeof pool.bytes);
        pool.n_left = sizeof pool.bytes;
    }
    pool.n_left -= n;
    memcpy(out, pool.bytes + pool.n_left, n);
    explicit_bzero(pool.bytes + pool.n_left, n);
}

uint32_t random_below(uint32_t bound)
{
    uint32_t skip, value;

    if (bound < 2)
        return 0;
    skip = -bound % bound; /* 2^32 mod bound: the lowest that many would come too often */
    do
        random_bytes(&value, sizeof value);
    while (value < skip);
    return value % bound;
}

/* ---- lists and words */

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

const char *list_next(const char **list, size_t *len)
{
    const char *at = *list;

    while (at && *at) {
        size_t size = strcspn(at, ",");
        const char *end = at + size;
        const char *start = at;

        at = *end ? end + 1 : end;
        while (start < end && is_blank(*start))
            start++;
        while (end > start && is_blank(end[-1]))
            end--;
        if (end == start)
            continue;
        *list = at;
        *len = (size_t)(end - start);
        return start;
    }
    *list = at;
    *len = 0;
    return NULL;
}

bool list_has(const char *list, const char *word)
{
    size_t word_len = strlen(word);
    const char *item;
    size_t len;

    while ((item = list_next(&list, &len)))
        if (len == word_len && memcmp(item, word, len) == 0)
            return true;
    return false;
}

bool is_short_name(const char *name, size_t max)
{
    size_t len = name ? strnlen(name, max + 1) : 0;

    return len > 0 && len <= max && *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static char ascii_lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

bool ascii_equal_nocase(const char *a, size_t a_len, const char *b)
{
    for (size_t i = 0; i < a_len; i++)
        if (b[i] == '\0' || ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    return b[a_len] == '\0';
}
