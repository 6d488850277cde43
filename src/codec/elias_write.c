/* SPDX-License-Identifier: Apache-2.0 */
/* Elias' code: lengths and writing. */
#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "codec/elias.h"
#include "codec/levels.h"
#include "kernel/kernel_quant.h"

enum {
    BATCH = WEFT_LEVELS_BATCH,
    COMMON = WEFT_ELIAS_COMMON,
    PUT_MOST = 56, /* bits that are added at a time: 7 may be waiting */
    WORD = 64
};

unsigned weft_elias_bits(uint64_t n)
{
    unsigned bits = 1;
    while (n > 1) {
        const unsigned digits = weft_elias_digits(n);
        bits += digits;
        n = digits - 1;
    }
    return bits;
}

void weft_elias_make(weft_elias_codes *ret)
{
    ret->prefix[0] = 0;
    ret->bits[0] = 0;
    ret->prefix[1] = UINT64_MAX; /* and 1 makes 0: the number 1 has no digits of its own */
    ret->bits[1] = 1;
    for (unsigned digits = 2; digits <= WEFT_ELIAS_DIGITS; digits++) {
        uint64_t prefix = 0;
        unsigned shift = digits;
        for (unsigned n = digits - 1; n > 1; n = weft_elias_digits(n) - 1) {
            prefix |= (uint64_t)n << shift;
            shift += weft_elias_digits(n);
        }
        ret->prefix[digits] = prefix;
        ret->bits[digits] = (uint8_t)(shift + 1);
    }
}

/* ---- lengths ---- */

/* Bits that omega(2^k) is longer than omega(2^k - 1). */
static unsigned growth(unsigned k)
{
    return weft_elias_bits(UINT64_C(1) << k) - weft_elias_bits((UINT64_C(1) << k) - 1);
}

/* Bits of omega of the gaps before the levels that are not 0, whose places are the bits of mask,
 * but for the first of them, whose gap may begin earlier. */
static uint64_t inner_gaps(uint64_t mask)
{
    const uint64_t later = mask & (mask - 1);
    uint64_t bits = (uint64_t)__builtin_popcountll(later);
    uint64_t empty = ~mask << 1; /* the place before is 0; then 2, 4, ... places */
    uint64_t clear = empty;      /* the 2^k - 1 places before are 0 */
    for (unsigned k = 1; k < 6 && (later & clear); k++) {
        bits += growth(k) * (uint64_t)__builtin_popcountll(later & clear);
        const unsigned places = 1u << (k - 1);
        empty &= empty << places;
        clear = empty & empty << (2 * places - 1); /* 2^(k+1) - 1 of them */
    }
    return bits;
}

static void count_gaps(weft_elias_size *size, const uint64_t *mask, size_t count)
{
    for (size_t i = 0; i < count; i += WORD) {
        const uint64_t m = mask[i / WORD];
        const unsigned n = count - i < WORD ? (unsigned)(count - i) : WORD;
        if (m == 0) {
            size->gap += n;
            continue;
        }
        size->sparse += weft_elias_bits(size->gap + 1 + (unsigned)__builtin_ctzll(m));
        size->sparse += inner_gaps(m);
        size->gap = n - weft_elias_digits(m);
    }
}

void weft_elias_count(weft_elias_size *size, const uint16_t *number, size_t count, unsigned top)
{
    uint16_t magnitude[BATCH];
    uint64_t mask[BATCH / WORD];
    assert(count <= BATCH);
    for (size_t i = 0; i < count; i++) {
        const int16_t level = (int16_t)(number[i] - top);
        magnitude[i] = (uint16_t)(level < 0 ? -level : level);
    }
    const uint16_t most = weft_kernel_most16(magnitude, count);
    const uint64_t nonzero = weft_kernel_least16(magnitude, count, 1);
    weft_kernel_others16(number, count, (uint16_t)top, mask);
    size->dense += count + nonzero; /* omega(1), and the signs */
    size->sparse += 2 * nonzero;
    size->nonzero += nonzero;
    for (unsigned k = 1; (most + 1u) >> k > 0; k++) {
        const uint16_t least = (uint16_t)(1u << k);
        const uint64_t above = k == 1 ? nonzero : weft_kernel_least16(magnitude, count, least - 1);
        size->dense += growth(k) * above;
        if (most >> k > 0)
            size->sparse += growth(k) * weft_kernel_least16(magnitude, count, least);
    }
    count_gaps(size, mask, count);
}

uint64_t weft_elias_dense_bytes(const weft_elias_size *size)
{
    return (size->dense + 7) / 8;
}

uint64_t weft_elias_sparse_bytes(const weft_elias_size *size)
{
    return (size->sparse + weft_elias_bits(size->nonzero + 1) + 7) / 8;
}

/* ---- writing ---- */

/* A batch is put together in a buffer, since each code writes 8 bytes. Where it stands is held
 * apart from the bytes, which might be anything for all that the compiler knows. */
typedef struct stream {
    uint64_t bits;
    unsigned used;
    uint8_t *next;
} stream;

enum { PART_BYTES = BATCH * 10 + 8 }; /* a gap of 53 bits, a sign, a level of 22 */

static stream part_begin(const weft_elias_writer *w, uint8_t part[PART_BYTES])
{
    return (stream){.bits = w->bits, .used = w->used, .next = part};
}

/* A code and its length, at most PUT_MOST. */
typedef struct coded {
    uint64_t code;
    unsigned bits;
} coded;

static inline void put(stream *p, coded c)
{
    const uint64_t all = p->bits | c.code << (WORD - p->used - c.bits);
    weft_store_big(p->next, all);
    const unsigned used = p->used + c.bits;
    p->next += used / 8;
    p->bits = all << (used & ~7u);
    p->used = used & 7;
}

static inline coded join(coded a, coded b)
{
    return (coded){.code = a.code << b.bits | b.code, .bits = a.bits + b.bits};
}

static void part_end(stream p, uint8_t part[PART_BYTES], weft_elias_writer *w)
{
    const size_t len = (size_t)(p.next - part);
    memcpy(w->out, part, len);
    w->out += len;
    w->bits = p.bits;
    w->used = p.used;
}

static inline coded omega(const weft_elias_codes *o, uint64_t n)
{
    const unsigned digits = weft_elias_digits(n);
    return (coded){.code = (o->prefix[digits] + n) << 1, .bits = o->bits[digits]};
}

static coded level_code(const weft_elias_writer *w, int level)
{
    const uint64_t size = (uint64_t)(level < 0 ? -level : level), negative = level < 0;
    if (w->sparse) {
        const coded c = omega(&w->codes, size);
        return (coded){.code = negative << c.bits | c.code, .bits = c.bits + 1};
    }
    const coded c = omega(&w->codes, size + 1);
    const unsigned sign = size > 0;
    return (coded){.code = c.code << sign | negative, .bits = c.bits + sign};
}

static inline coded unpacked(uint32_t code)
{
    return (coded){.code = code >> 8, .bits = code & 0xff};
}

static inline coded of_level(const weft_elias_writer *w, uint16_t number)
{
    const int level = (int)number - (int)w->top;
    const unsigned index = (unsigned)(level + COMMON - 1);
    if (index >= 2 * COMMON - 1)
        return level_code(w, level);
    return unpacked(w->level[index]);
}

static inline coded of_gap(const weft_elias_writer *w, uint64_t gap)
{
    if (gap >= COMMON)
        return omega(&w->codes, gap);
    return unpacked(w->gap_of[gap]);
}

void weft_elias_write_begin(weft_elias_writer *w, bool sparse, uint64_t nonzero, unsigned top,
                            uint8_t *out)
{
    uint8_t part[PART_BYTES];
    w->out = out;
    w->bits = 0;
    w->used = 0;
    w->top = top;
    w->sparse = sparse;
    w->gap = 0;
    weft_elias_make(&w->codes);
    for (int level = 1 - COMMON; level < COMMON; level++) {
        const coded c = level == 0 && sparse ? (coded){0, 0} : level_code(w, level);
        w->level[level + COMMON - 1] = (uint32_t)c.code << 8 | c.bits;
    }
    w->gap_of[0] = 0;
    for (unsigned gap = 1; gap < COMMON; gap++) {
        const coded c = omega(&w->codes, gap);
        w->gap_of[gap] = (uint32_t)c.code << 8 | c.bits;
    }
    for (unsigned i = 0; i < sizeof(w->both) / sizeof(w->both[0]); i++) {
        const unsigned number = i % 16 + top - 8; /* of a level -8 … 7 */
        const coded c = join(of_gap(w, i / 16 + 1), of_level(w, (uint16_t)number));
        w->both[i] = (uint32_t)c.code << 8 | c.bits;
    }
    stream p = part_begin(w, part);
    if (sparse)
        put(&p, omega(&w->codes, nonzero + 1));
    part_end(p, part, w);
}

static stream write_dense(stream from, const weft_elias_writer *w, const uint16_t *number,
                          size_t count)
{
    stream p = from;
    size_t i = 0;
    for (; i + 2 <= count; i += 2) /* 24 bits each at most */
        put(&p, join(of_level(w, number[i]), of_level(w, number[i + 1])));
    if (i < count)
        put(&p, of_level(w, number[i]));
    return p;
}

static void put_rare(stream *p, coded a, coded b)
{
    if (a.bits + b.bits <= PUT_MOST) {
        put(p, join(a, b));
    } else {
        put(p, a);
        put(p, b);
    }
}

static stream write_sparse(stream from, weft_elias_writer *w, const uint16_t *number, size_t count)
{
    stream p = from;
    uint64_t mask[BATCH / WORD];
    weft_kernel_others16(number, count, (uint16_t)w->top, mask);
    uint64_t gap = w->gap + 1; /* of the batch's first element */
    size_t before = 0;
    for (size_t i = 0; i < count; i += WORD)
        for (uint64_t m = mask[i / WORD]; m; m &= m - 1) {
            const size_t at = i + (unsigned)__builtin_ctzll(m);
            const uint64_t step = gap + (at - before) - 1;
            const unsigned level = number[at] - w->top + 8u;
            if ((step | level >> 1) < 8)
                put(&p, unpacked(w->both[step << 4 | level]));
            else
                put_rare(&p, of_gap(w, step + 1), of_level(w, number[at]));
            gap = 0;
            before = at;
        }
    w->gap = gap > 0 ? w->gap + count : count - 1 - before;
    return p;
}

void weft_elias_write(weft_elias_writer *w, const uint16_t *number, size_t count)
{
    uint8_t part[PART_BYTES];
    assert(count <= BATCH);
    const stream p = part_begin(w, part);
    part_end(w->sparse ? write_sparse(p, w, number, count) : write_dense(p, w, number, count), part,
             w);
}

uint8_t *weft_elias_write_end(weft_elias_writer *w)
{
    if (w->used > 0)
        *w->out++ = (uint8_t)(w->bits >> 56);
    return w->out;
}
