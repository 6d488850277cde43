/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/rice.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { WORD = 64, WORD_BYTES = 8 };

static size_t bytes_of(uint64_t bits)
{
    return (size_t)((bits + 7) / 8);
}

/* 8 bytes of len at `at`, those behind the end as zeros. Little endian, as everywhere on the wire;
 * codec_raw.c refuses other machines. */
static uint64_t load(const uint8_t *in, size_t len, size_t at)
{
    uint64_t word = 0;
    if (len >= WORD_BYTES && at <= len - WORD_BYTES)
        memcpy(&word, in + at, WORD_BYTES);
    else if (at < len)
        memcpy(&word, in + at, len - at);
    return word;
}

static void store(uint8_t *at, const uint8_t *end, uint64_t word)
{
    if (end - at >= WORD_BYTES)
        memcpy(at, &word, WORD_BYTES);
    else if (end > at)
        memcpy(at, &word, (size_t)(end - at));
}

/* Sum of gap >> b. */
static uint64_t high_sum(const uint32_t *index, size_t n, unsigned b)
{
    uint64_t sum = index[0] >> b;
    for (size_t i = 1; i < n; i++)
        sum += (index[i] - index[i - 1] - 1) >> b;
    return sum;
}

static size_t length(size_t n, unsigned b, uint64_t high)
{
    return bytes_of((uint64_t)n * b) + bytes_of(n + high);
}

/* Fewest bytes that n gaps of that sum can take: each loses at most 2^b - 1 by the shift. */
static size_t least_length(size_t n, unsigned b, uint64_t gaps)
{
    const uint64_t lost = (uint64_t)n * ((UINT64_C(1) << b) - 1);
    const uint64_t high = gaps > lost ? (gaps - lost + (UINT64_C(1) << b) - 1) >> b : 0;
    return length(n, b, high);
}

unsigned weft_rice_choose(const uint32_t *index, size_t n, size_t *ret_bytes)
{
    const uint64_t gaps = (uint64_t)index[n - 1] - (n - 1);
    unsigned near = 0; /* floor(lg(0.69 gaps/n)): the best of geometrically distributed gaps */
    while (near < WEFT_RICE_MOST && (uint64_t)n << (near + 1) <= gaps - gaps / 3)
        near++;
    unsigned best = near;
    size_t bytes = length(n, near, high_sum(index, n, near));
    for (unsigned b = 0; b <= WEFT_RICE_MOST; b++) {
        if (b == near || least_length(n, b, gaps) > bytes)
            continue;
        const size_t other = length(n, b, high_sum(index, n, b));
        if (other < bytes || (other == bytes && b < best)) {
            bytes = other;
            best = b;
        }
    }
    *ret_bytes = bytes;
    return best;
}

size_t weft_rice_bound(size_t n, size_t count)
{
    size_t bytes = SIZE_MAX;
    for (unsigned b = 0; b <= WEFT_RICE_MOST; b++) {
        const size_t most = length(n, b, (uint64_t)(count - n) >> b);
        bytes = most < bytes ? most : bytes;
    }
    return bytes;
}

/* Low bits under way: a word that is stored at `at` again and again, whole bytes leave it. end:
 * where the low bits end; NULL: more than a word from here. */
typedef struct low_writer {
    uint8_t *at;
    uint64_t word;
    unsigned fill;
} low_writer;

static inline low_writer put_low(low_writer w, uint64_t bits, unsigned b, const uint8_t *end)
{
    assert(w.at);
    w.word |= bits << w.fill;
    w.fill += b;
    if (end)
        store(w.at, end, w.word);
    else
        memcpy(w.at, &w.word, WORD_BYTES);
    w.at += w.fill / 8;
    w.word >>= w.fill & ~7u;
    w.fill &= 7;
    return w;
}

static inline uint32_t gap_at(const uint32_t *index, size_t i)
{
    return index[i] - (i > 0 ? index[i - 1] + 1 : 0);
}

/* The low bits of n indices, `whole` of which begin more than a word before the end. Two at a time
 * where a word holds them and 7 bits: each store waits for the one before. */
static void write_low(const uint32_t *index, size_t n, size_t whole, unsigned b, uint8_t *out,
                      const uint8_t *end)
{
    const uint32_t mask = (UINT32_C(1) << b) - 1;
    low_writer w = {.at = out};
    size_t i = 0;
    for (; i + 1 < whole && 2 * b + 7 < WORD; i += 2) {
        const uint64_t one = gap_at(index, i) & mask, other = gap_at(index, i + 1) & mask;
        w = put_low(w, one | other << b, 2 * b, NULL);
    }
    for (; i < n; i++)
        w = put_low(w, gap_at(index, i) & mask, b, end);
}

static void write_high(const uint32_t *index, size_t n, unsigned b, uint8_t *out)
{
    uint64_t word = 0, at = 0; /* at: the next bit of the word */
    uint32_t next = 0;         /* the index that would have gap 0 */
    for (size_t i = 0; i < n; i++) {
        at += (index[i] - next) >> b;
        next = index[i] + 1;
        while (at >= WORD) {
            memcpy(out, &word, WORD_BYTES);
            out += WORD_BYTES;
            word = 0;
            at -= WORD;
        }
        word |= UINT64_C(1) << at++;
    }
    memcpy(out, &word, bytes_of(at));
}

void weft_rice_write(const uint32_t *index, size_t n, unsigned b, uint8_t *out)
{
    const size_t low = bytes_of((uint64_t)n * b);
    if (b > 0) {
        /* Until then a word ends before the low bits do, and is stored as it is. */
        const size_t whole = low > WORD_BYTES ? (low - WORD_BYTES) * 8 / b : 0;
        write_low(index, n, whole, b, out, out + low);
    }
    write_high(index, n, b, out + low);
}

/* Where the low bits of a section end and how many may be read without looking at its end. */
static size_t loadable(size_t len, size_t n, unsigned b)
{
    if (b == 0)
        return len >= WORD_BYTES ? n : 0;
    const size_t most = len >= WORD_BYTES ? (size_t)((len - WORD_BYTES) * UINT64_C(8) / b) : 0;
    return most < n ? most : n;
}

static inline uint64_t low_bits(const uint8_t *in, uint64_t position, unsigned b)
{
    uint64_t word;
    memcpy(&word, in + position / 8, WORD_BYTES);
    return word >> position % 8 & ((UINT64_C(1) << b) - 1);
}

static inline uint64_t last_low_bits(const uint8_t *in, size_t len, uint64_t position, unsigned b)
{
    return load(in, len, (size_t)(position / 8)) >> position % 8 & ((UINT64_C(1) << b) - 1);
}

const char *weft_rice_check(const uint8_t *in, size_t len, size_t n, unsigned b, size_t count,
                            weft_rice *ret, size_t *ret_off)
{
    *ret_off = len;
    if (b > WEFT_RICE_MOST)
        return "the Rice parameter is above 31";
    const size_t low = bytes_of((uint64_t)n * b);
    if (len < low || len - low < bytes_of(n))
        return "the indices are cut short";
    uint64_t ones = 0;
    for (size_t at = low; at < len; at += WORD_BYTES)
        ones += (uint64_t)__builtin_popcountll(load(in, len, at));
    *ret_off = len - 1;
    if (ones != n)
        return "not as many indices as the number of pairs";
    if (in[len - 1] == 0)
        return "bytes behind the last index";
    const unsigned top = 31u - (unsigned)__builtin_clz(in[len - 1]);
    const uint64_t high = (uint64_t)(len - low - 1) * 8 + top + 1 - n;
    if (high > (uint64_t)count >> b)
        return "an index is not below the number of elements";
    *ret_off = low - (low > 0);
    if (low > 0 && (uint64_t)n * b % 8 != 0 && in[low - 1] >> (uint64_t)n * b % 8 != 0)
        return "the padding of the indices is not zero";
    *ret = (weft_rice){.in = in, .len = len, .n = n, .b = b, .high = low, .last = (high << b) + n};
    ret->word = load(in, len, low);
    return NULL;
}

uint64_t weft_rice_end(const weft_rice *r)
{
    const size_t loads = loadable(r->len, r->n, r->b);
    uint64_t sum = r->last;
    for (size_t i = 0; i < loads; i++)
        sum += low_bits(r->in, (uint64_t)i * r->b, r->b);
    for (size_t i = loads; i < r->n; i++)
        sum += last_low_bits(r->in, r->len, (uint64_t)i * r->b, r->b);
    return sum;
}

uint64_t weft_rice_read_end(const weft_rice *r)
{
    return r->last + r->sum;
}

/* The next indices while `read` stays below until. in_reach: low bits are far from the end. */
static inline void read_some(weft_rice *r, uint64_t until, bool in_reach, uint32_t *index)
{
    weft_rice s = *r; /* in registers */
    while (s.read < until) {
        while (s.word == 0) {
            s.high += WORD_BYTES;
            s.base += WORD;
            s.word = load(s.in, s.len, s.high);
        }
        do {
            const uint64_t position = s.base + (unsigned)__builtin_ctzll(s.word), i = s.read++;
            s.word &= s.word - 1;
            s.sum +=
                in_reach ? low_bits(s.in, i * s.b, s.b) : last_low_bits(s.in, s.len, i * s.b, s.b);
            *index++ = (uint32_t)(((position - i) << s.b) + s.sum + i);
        } while (s.word != 0 && s.read < until);
    }
    *r = s;
}

void weft_rice_read(weft_rice *r, size_t n, uint32_t *index)
{
    const uint64_t from = r->read, until = from + n, loads = loadable(r->len, r->n, r->b);
    if (from < loads)
        read_some(r, until < loads ? until : loads, true, index);
    if (r->read < until)
        read_some(r, until, false, index + (r->read - from));
}
