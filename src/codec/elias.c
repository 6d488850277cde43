/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/elias.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codec/levels.h"

enum {
    WINDOW = WEFT_ELIAS_WINDOW,
    DIGITS = 42, /* of the largest number written: an element's index plus one, 2^40 at most */
    RUN = 5,     /* windows that one load of 64 bits holds from any bit on */
    BATCH = WEFT_LEVELS_BATCH
};

/* omega of numbers of `digits` binary digits is (prefix + number) << 1, in `bits` bits: what stands
 * in front of the number's own digits depends on how many they are. */
typedef struct omega_codes {
    uint64_t prefix[DIGITS + 1];
    uint8_t bits[DIGITS + 1];
} omega_codes;

static unsigned digits_of(uint64_t n)
{
    return 64 - (unsigned)__builtin_clzll(n);
}

unsigned weft_elias_bits(uint64_t n)
{
    unsigned bits = 1;
    while (n > 1) {
        const unsigned digits = digits_of(n);
        bits += digits;
        n = digits - 1;
    }
    return bits;
}

static void make_codes(omega_codes *o)
{
    o->prefix[1] = UINT64_MAX; /* and 1 makes 0: the number 1 has no digits of its own */
    o->bits[1] = 1;
    for (unsigned digits = 2; digits <= DIGITS; digits++) {
        uint64_t prefix = 0, shift = digits;
        for (unsigned n = digits - 1; n > 1; n = digits_of(n) - 1) {
            prefix |= (uint64_t)n << shift;
            shift += digits_of(n);
        }
        o->prefix[digits] = prefix;
        o->bits[digits] = (uint8_t)(shift + 1);
    }
}

static unsigned magnitude(uint16_t number, unsigned top)
{
    return (unsigned)abs((int)number - (int)top);
}

/* Indices of the numbers that are not `top`; no branch depends on them. */
static size_t nonzeros(const uint16_t *number, size_t count, unsigned top, uint16_t index[BATCH])
{
    size_t n = 0;
    assert(count <= BATCH);
    for (size_t i = 0; i < count; i++) {
        index[n] = (uint16_t)i;
        n += number[i] != top;
    }
    return n;
}

void weft_elias_count(weft_elias_size *size, const uint16_t *number, size_t count, unsigned top)
{
    omega_codes o;
    uint16_t index[BATCH];
    make_codes(&o);
    const size_t n = nonzeros(number, count, top, index);
    uint64_t dense = 0, sparse = 0, gap = size->gap + 1, before = 0;
    for (size_t k = 0; k < n; k++) {
        const unsigned level = magnitude(number[index[k]], top);
        dense += o.bits[digits_of(level + 1)];
        sparse += o.bits[digits_of(level)];
        sparse += o.bits[digits_of(gap + index[k] - before)];
        gap = 0;
        before = index[k];
    }
    size->dense += dense + count; /* each a sign, or the one bit of a zero */
    size->sparse += sparse + n;
    size->nonzero += n;
    size->gap = n > 0 ? count - 1 - index[n - 1] : size->gap + count;
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

/* A batch is put together here, since each code writes 8 bytes. */
typedef struct part {
    uint64_t bits;
    unsigned used;
    uint8_t *next;
    uint8_t bytes[BATCH * 10 + 8]; /* a gap of 53 bits, a sign, a level of 24 */
} part;

static void part_begin(part *p, const weft_elias_writer *w)
{
    p->bits = w->bits;
    p->used = w->used;
    p->next = p->bytes;
}

static void part_end(const part *p, weft_elias_writer *w)
{
    const size_t len = (size_t)(p->next - p->bytes);
    memcpy(w->out, p->bytes, len);
    w->out += len;
    w->bits = p->bits;
    w->used = p->used;
}

/* `bits` <= 56 bits of code. */
static inline void put(part *p, uint64_t code, unsigned bits)
{
    p->bits |= code << (64 - p->used - bits);
    for (int i = 0; i < 8; i++) /* big endian; compilers make one store of it */
        p->next[i] = (uint8_t)(p->bits >> (56 - 8 * i));
    p->used += bits;
    p->next += p->used / 8;
    p->bits <<= p->used & ~7u;
    p->used &= 7;
}

static inline void put_omega(part *p, const omega_codes *o, uint64_t n)
{
    const unsigned digits = digits_of(n);
    put(p, (o->prefix[digits] + n) << 1, o->bits[digits]);
}

void weft_elias_write_dense(weft_elias_writer *w, const uint16_t *number, size_t count)
{
    omega_codes o;
    part p;
    make_codes(&o);
    part_begin(&p, w);
    for (size_t i = 0; i < count; i++) {
        const uint64_t n = magnitude(number[i], w->top) + 1u, sign = n > 1;
        const unsigned digits = digits_of(n);
        const uint64_t code = (o.prefix[digits] + n) << 1;
        put(&p, code << sign | (number[i] < w->top), o.bits[digits] + (unsigned)sign);
    }
    part_end(&p, w);
}

void weft_elias_write_count(weft_elias_writer *w, uint64_t nonzero)
{
    omega_codes o;
    part p;
    make_codes(&o);
    part_begin(&p, w);
    put_omega(&p, &o, nonzero + 1);
    part_end(&p, w);
}

void weft_elias_write_sparse(weft_elias_writer *w, const uint16_t *number, size_t count)
{
    omega_codes o;
    part p;
    uint16_t index[BATCH];
    make_codes(&o);
    part_begin(&p, w);
    const size_t n = nonzeros(number, count, w->top, index);
    uint64_t gap = w->gap + 1, before = 0;
    for (size_t k = 0; k < n; k++) {
        const uint16_t it = number[index[k]];
        const uint64_t level = magnitude(it, w->top);
        const unsigned digits = digits_of(level), bits = o.bits[digits];
        put_omega(&p, &o, gap + index[k] - before);
        put(&p, (uint64_t)(it < w->top) << bits | (o.prefix[digits] + level) << 1, bits + 1);
        gap = 0;
        before = index[k];
    }
    w->gap = n > 0 ? count - 1 - index[n - 1] : w->gap + count;
    part_end(&p, w);
}

void weft_elias_write_end(weft_elias_writer *w)
{
    if (w->used > 0)
        *w->out++ = (uint8_t)(w->bits >> 56);
}

/* ---- reading ---- */

static const char cut_short[] = "the levels are cut short";
static const char too_high[] = "a level is above levels=";

/* The 64 bits from `bit` on, zeros beyond the end. */
static uint64_t window_at(const weft_elias_reader *r, uint64_t bit)
{
    const size_t from = (size_t)(bit / 8);
    const unsigned skip = bit % 8;
    uint8_t bytes[9] = {0};
    if (from < r->len)
        memcpy(bytes, r->in + from, r->len - from < sizeof(bytes) ? r->len - from : sizeof(bytes));
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return skip > 0 ? v << skip | bytes[8] >> (8 - skip) : v;
}

static const char *read_omega(weft_elias_reader *r, uint64_t *ret)
{
    const uint64_t end = 8 * (uint64_t)r->len;
    uint64_t n = 1;
    while (r->bit < end) {
        const uint64_t v = window_at(r, r->bit);
        if (!(v >> 63)) {
            r->bit++;
            *ret = n;
            return NULL;
        }
        if (n >= 64)
            return "a number of more than 64 bits";
        if (r->bit + n + 1 > end)
            return cut_short;
        r->bit += n + 1;
        n = v >> (63 - n);
    }
    return cut_short;
}

static const char *read_sign(weft_elias_reader *r, bool *ret_negative)
{
    if (r->bit >= 8 * (uint64_t)r->len)
        return cut_short;
    *ret_negative = window_at(r, r->bit) >> 63;
    r->bit++;
    return NULL;
}

/* One level of whatever length, and its distance from the one before. */
static const char *read_level(weft_elias_reader *r, uint64_t *ret_gap, int32_t *ret_level)
{
    uint64_t gap = 1, level = 0;
    bool negative = false;
    const char *reason = r->sparse ? read_omega(r, &gap) : NULL;
    if (!reason && r->sparse)
        reason = read_sign(r, &negative);
    if (!reason)
        reason = read_omega(r, &level);
    level -= !r->sparse;
    if (!reason && level > r->top)
        reason = too_high;
    if (!reason && !r->sparse && level > 0)
        reason = read_sign(r, &negative);
    if (reason)
        return reason;
    *ret_gap = gap;
    *ret_level = negative ? -(int32_t)level : (int32_t)level;
    return NULL;
}

/* All windows that begin with this code. */
static void set_entries(weft_elias_reader *r, uint64_t code, unsigned bits, weft_elias_entry entry)
{
    const unsigned free_bits = WINDOW - bits;
    entry.bits = (uint8_t)bits;
    for (size_t i = 0; i < (size_t)1 << free_bits; i++)
        r->table[(code << free_bits) + i] = entry;
}

static void make_table(weft_elias_reader *r)
{
    omega_codes o;
    make_codes(&o);
    memset(r->table, 0, sizeof(r->table));
    if (!r->sparse)
        set_entries(r, 0, 1, (weft_elias_entry){.level = 0, .gap = 1});
    for (unsigned gap = 1; gap < (r->sparse ? 16u : 2u); gap++)
        for (unsigned level = 1; level <= r->top && level < 16; level++)
            for (unsigned negative = 0; negative < 2; negative++) {
                const unsigned n = r->sparse ? level : level + 1;
                const unsigned g = digits_of(gap), d = digits_of(n);
                const uint64_t gap_code = (o.prefix[g] + gap) << 1, code = (o.prefix[d] + n) << 1;
                const unsigned gap_bits = r->sparse ? o.bits[g] : 0;
                const unsigned bits = gap_bits + o.bits[d] + 1;
                const weft_elias_entry entry = {
                    .level = (int16_t)(negative ? -(int)level : (int)level), .gap = (uint8_t)gap};
                if (bits > WINDOW)
                    continue;
                if (r->sparse)
                    set_entries(r, (gap_code << 1 | negative) << o.bits[d] | code, bits, entry);
                else
                    set_entries(r, code << 1 | negative, bits, entry);
            }
}

static const char *begin_again(weft_elias_reader *r)
{
    r->bit = 0;
    r->at = 0;
    r->ahead = false;
    r->left = r->count;
    if (!r->sparse)
        return NULL;
    r->next = UINT64_MAX; /* and a gap of 1 makes index 0 */
    uint64_t nonzero = 0;
    const char *reason = read_omega(r, &nonzero);
    r->left = nonzero - 1;
    if (!reason && r->left > r->count)
        reason = "more levels than elements";
    return reason;
}

const char *weft_elias_begin(weft_elias_reader *r, bool sparse, const uint8_t *in, size_t len,
                             uint64_t count, unsigned top)
{
    r->in = in;
    r->len = len;
    r->count = count;
    r->top = top;
    r->sparse = sparse;
    make_table(r);
    return begin_again(r);
}

void weft_elias_rewind(weft_elias_reader *r)
{
    const char *reason = begin_again(r);
    assert(!reason);
    (void)reason;
}

/* Can RUN windows be had from one load here? */
static inline bool is_inside(const weft_elias_reader *r)
{
    return r->bit / 8 + 8 <= r->len;
}

static inline uint64_t load_run(const weft_elias_reader *r)
{
    const uint8_t *p = r->in + r->bit / 8;
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) /* big endian; compilers make one load of it */
        v = v << 8 | p[i];
    return v << (r->bit % 8);
}

static const char *read_dense(weft_elias_reader *r, uint16_t *number, size_t count)
{
    size_t i = 0;
    while (i < count) {
        bool known = true;
        if (i + RUN <= count && is_inside(r)) {
            uint64_t v = load_run(r);
            for (int k = 0; k < RUN && known; k++) {
                const weft_elias_entry e = r->table[v >> (64 - WINDOW)];
                known = e.bits > 0;
                number[i] = (uint16_t)((int)r->top + e.level);
                i += known;
                v <<= e.bits;
                r->bit += e.bits;
            }
            if (known)
                continue;
        }
        uint64_t gap = 0;
        int32_t level = 0;
        const char *reason = read_level(r, &gap, &level);
        if (reason)
            return reason;
        number[i++] = (uint16_t)((int)r->top + level);
    }
    return NULL;
}

/* The next level that is not 0 into next and next_level. */
static const char *read_ahead(weft_elias_reader *r)
{
    uint64_t gap = 0;
    const char *reason = read_level(r, &gap, &r->next_level);
    if (!reason && gap > r->count - (r->next + 1))
        reason = "an index is beyond the elements";
    r->next += gap;
    r->left--;
    r->ahead = !reason;
    return reason;
}

static const char *read_sparse(weft_elias_reader *r, uint16_t *number, size_t count)
{
    const uint64_t from = r->at, to = from + count;
    for (size_t i = 0; i < count; i++)
        number[i] = (uint16_t)r->top;
    for (;;) {
        /* Gaps of the table are below 16: RUN of them stay within. */
        while (!r->ahead && r->left >= RUN && is_inside(r) && r->next + 1 + 16 * RUN <= to) {
            uint64_t v = load_run(r);
            bool known = true;
            for (int k = 0; k < RUN && known; k++) {
                const weft_elias_entry e = r->table[v >> (64 - WINDOW)];
                known = e.bits > 0;
                if (!known)
                    break;
                r->next += e.gap;
                r->left--;
                number[r->next - from] = (uint16_t)((int)r->top + e.level);
                v <<= e.bits;
                r->bit += e.bits;
            }
            if (!known)
                break;
        }
        const char *reason = !r->ahead && r->left > 0 ? read_ahead(r) : NULL;
        if (reason)
            return reason;
        if (!r->ahead || r->next >= to)
            return NULL;
        number[r->next - from] = (uint16_t)((int)r->top + r->next_level);
        r->ahead = false;
    }
}

const char *weft_elias_read(weft_elias_reader *r, uint16_t *number, size_t count)
{
    const char *reason = r->sparse ? read_sparse(r, number, count) : read_dense(r, number, count);
    r->at += count;
    return reason;
}

const char *weft_elias_end(const weft_elias_reader *r)
{
    if ((r->bit + 7) / 8 < r->len)
        return "bytes behind the levels";
    if (r->bit % 8 > 0 && (uint8_t)(r->in[r->bit / 8] << (r->bit % 8)))
        return "non-zero padding";
    return NULL;
}

size_t weft_elias_byte(const weft_elias_reader *r)
{
    return (size_t)(r->bit / 8);
}
