/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops over bit-sliced counters. A part of kernel_loops.h.
 *
 * Rows of bits are counted by carry-save adders, three bits of one weight to one of it and one of
 * twice the weight (Harley and Seal; Warren, Hacker's Delight, 2nd edition, section 5-1): eight
 * rows at a time cost seven adders. 256 counters are worked on side by side.
 */
#ifndef WEFT_KERNEL_KERNEL_VOTE_LOOPS_H
#define WEFT_KERNEL_KERNEL_VOTE_LOOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CHUNK = 32, BLOCK = 1024, PLANES_MOST = 16, GROUP_ROWS = 8, GROUP_PLANES = 3 };

/* So that a chunk of CHUNK bytes is loaded and stored by one instruction. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

typedef uint64_t bits256 __attribute__((vector_size(CHUNK)));

/* n <= CHUNK bytes, zeros behind them. By pointers: passing such vectors by value differs between
 * instruction sets. */
ALWAYS_INLINE void bits_load(bits256 *v, const uint8_t *p, size_t n)
{
    const bits256 none = {0};
    *v = none;
    memcpy(v, p, n);
}

/* high, low = a + b + low, as bits of weight two and one. */
ALWAYS_INLINE void carry_save(bits256 *high, bits256 *low, const bits256 *a, const bits256 *b)
{
    const bits256 either = *low ^ *a, both = (*low & *a) | (either & *b);
    *low = either ^ *b;
    *high = both;
}

/* Add bits to a counter. What goes beyond its planes is never set. */
ALWAYS_INLINE void ripple(bits256 *counter, unsigned planes, const bits256 *bits)
{
    bits256 carry = *bits;
    for (unsigned p = 0; p < planes; p++) {
        const bits256 both = counter[p] & carry;
        counter[p] ^= carry;
        carry = both;
    }
}

/* Counters of a block of each plane: small enough for the first cache, and long enough that rows
 * which lie a multiple of a page apart do not chase each other out of it. */
typedef struct tally_block {
    uint8_t plane[PLANES_MOST][BLOCK];
} tally_block;

/* Add n bytes of eight rows, from their byte `at` on, to the counters at byte `to`. */
ALWAYS_INLINE void tally_eight(const uint8_t *const *rows, size_t at, size_t n, unsigned planes,
                               tally_block *block, size_t to)
{
    bits256 in[GROUP_ROWS], c[GROUP_PLANES], twos[2], fours[2], eights;
    for (size_t k = 0; k < GROUP_ROWS; k++)
        bits_load(&in[k], rows[k] + at, n);
    for (size_t p = 0; p < GROUP_PLANES; p++)
        bits_load(&c[p], &block->plane[p][to], CHUNK);
    carry_save(&twos[0], &c[0], &in[0], &in[1]);
    carry_save(&twos[1], &c[0], &in[2], &in[3]);
    carry_save(&fours[0], &c[1], &twos[0], &twos[1]);
    carry_save(&twos[0], &c[0], &in[4], &in[5]);
    carry_save(&twos[1], &c[0], &in[6], &in[7]);
    carry_save(&fours[1], &c[1], &twos[0], &twos[1]);
    carry_save(&eights, &c[2], &fours[0], &fours[1]);
    for (size_t p = 0; p < GROUP_PLANES; p++)
        memcpy(&block->plane[p][to], &c[p], CHUNK);
    for (unsigned p = GROUP_PLANES; p < planes; p++) {
        bits256 counter, both;
        bits_load(&counter, &block->plane[p][to], CHUNK);
        both = counter & eights;
        counter ^= eights;
        memcpy(&block->plane[p][to], &counter, CHUNK);
        eights = both;
    }
}

/* What is left: fewer rows than eight. */
ALWAYS_INLINE void tally_rest(const uint8_t *const *rows, size_t count, size_t at, size_t n,
                              unsigned planes, tally_block *block, size_t to)
{
    bits256 c[PLANES_MOST];
    for (unsigned p = 0; p < planes; p++)
        bits_load(&c[p], &block->plane[p][to], CHUNK);
    for (size_t r = 0; r < count; r++) {
        bits256 row;
        bits_load(&row, rows[r] + at, n);
        ripple(c, planes, &row);
    }
    for (unsigned p = 0; p < planes; p++)
        memcpy(&block->plane[p][to], &c[p], CHUNK);
}

static void tally(const uint8_t *const *rows, size_t count, size_t bytes, uint8_t *out)
{
    tally_block block;
    unsigned planes = 0;
    for (size_t n = count; n; n >>= 1)
        planes++;
    for (size_t at = 0; at < bytes; at += BLOCK) {
        const size_t n = bytes - at < BLOCK ? bytes - at : BLOCK, whole = n / CHUNK * CHUNK;
        size_t r = 0;
        memset(&block, 0, planes * sizeof(block.plane[0]));
        for (; r + GROUP_ROWS <= count; r += GROUP_ROWS) {
            for (size_t to = 0; to < whole; to += CHUNK)
                tally_eight(rows + r, at + to, CHUNK, planes, &block, to);
            if (whole < n)
                tally_eight(rows + r, at + whole, n - whole, planes, &block, whole);
        }
        for (size_t to = 0; r < count && to < whole; to += CHUNK)
            tally_rest(rows + r, count - r, at + to, CHUNK, planes, &block, to);
        if (r < count && whole < n)
            tally_rest(rows + r, count - r, at + whole, n - whole, planes, &block, whole);
        for (unsigned p = 0; p < planes; p++)
            memcpy(out + p * bytes + at, block.plane[p], n);
    }
}

ALWAYS_INLINE void tally_add_chunk(uint8_t *acc, unsigned acc_planes, const uint8_t *in,
                                   unsigned in_planes, size_t stride, size_t at, size_t n)
{
    bits256 carry = {0};
    for (unsigned p = 0; p < acc_planes; p++) {
        bits256 sum, other = {0}, next;
        bits_load(&sum, acc + p * stride + at, n);
        if (p < in_planes)
            bits_load(&other, in + p * stride + at, n);
        carry_save(&next, &sum, &other, &carry);
        memcpy(acc + p * stride + at, &sum, n);
        carry = next;
    }
}

static void tally_add(uint8_t *acc, unsigned acc_planes, const uint8_t *in, unsigned in_planes,
                      size_t bytes)
{
    size_t at = 0;
    for (; at + CHUNK <= bytes; at += CHUNK)
        tally_add_chunk(acc, acc_planes, in, in_planes, bytes, at, CHUNK);
    if (at < bytes)
        tally_add_chunk(acc, acc_planes, in, in_planes, bytes, at, bytes - at);
}

ALWAYS_INLINE void compare_chunk(const uint8_t *planes, unsigned count, size_t stride, size_t n,
                                 uint32_t than, uint8_t *above, uint8_t *equal)
{
    bits256 more = {0}, same = ~more;
    for (unsigned p = count; p-- > 0;) {
        bits256 bits;
        bits_load(&bits, planes + p * stride, n);
        if (than >> p & 1) {
            same &= bits;
        } else {
            more |= same & bits;
            same &= ~bits;
        }
    }
    memcpy(above, &more, n);
    memcpy(equal, &same, n);
}

/* `than` has no bits above those of the planes. */
static void compare(const uint8_t *planes, unsigned count, size_t stride, size_t bytes,
                    uint32_t than, uint8_t *above, uint8_t *equal)
{
    size_t at = 0;
    for (; at + CHUNK <= bytes; at += CHUNK)
        compare_chunk(planes + at, count, stride, CHUNK, than, above + at, equal + at);
    if (at < bytes)
        compare_chunk(planes + at, count, stride, bytes - at, than, above + at, equal + at);
}

#endif
