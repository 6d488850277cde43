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

enum { CHUNK = 32, PLANES_MOST = 16, GROUP_ROWS = 8, GROUP_PLANES = 3 };

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

/* Add bits of weight 2^p to the counter. What goes beyond its planes is never set. */
ALWAYS_INLINE void ripple(bits256 *counter, unsigned planes, unsigned p, const bits256 *bits)
{
    bits256 carry = *bits;
    for (; p < planes; p++) {
        const bits256 both = counter[p] & carry;
        counter[p] ^= carry;
        carry = both;
    }
}

/* n bytes of all rows from byte `at` on; n is CHUNK but at the end. */
ALWAYS_INLINE void tally_chunk(const uint8_t *const *rows, size_t count, size_t at, size_t n,
                               unsigned planes, size_t stride, uint8_t *out)
{
    bits256 c[PLANES_MOST] = {{0}};
    size_t r = 0;
    for (; r + GROUP_ROWS <= count; r += GROUP_ROWS) {
        bits256 in[GROUP_ROWS], twos[2], fours[2], eights;
        for (size_t k = 0; k < GROUP_ROWS; k++)
            bits_load(&in[k], rows[r + k] + at, n);
        carry_save(&twos[0], &c[0], &in[0], &in[1]);
        carry_save(&twos[1], &c[0], &in[2], &in[3]);
        carry_save(&fours[0], &c[1], &twos[0], &twos[1]);
        carry_save(&twos[0], &c[0], &in[4], &in[5]);
        carry_save(&twos[1], &c[0], &in[6], &in[7]);
        carry_save(&fours[1], &c[1], &twos[0], &twos[1]);
        carry_save(&eights, &c[2], &fours[0], &fours[1]);
        ripple(c, planes, GROUP_PLANES, &eights);
    }
    for (; r < count; r++) {
        bits256 row;
        bits_load(&row, rows[r] + at, n);
        ripple(c, planes, 0, &row);
    }
    for (unsigned p = 0; p < planes; p++)
        memcpy(out + p * stride + at, &c[p], n);
}

static void tally(const uint8_t *const *rows, size_t count, size_t bytes, uint8_t *out)
{
    unsigned planes = 0;
    for (size_t n = count; n; n >>= 1)
        planes++;
    size_t at = 0;
    for (; at + CHUNK <= bytes; at += CHUNK)
        tally_chunk(rows, count, at, CHUNK, planes, bytes, out);
    if (at < bytes)
        tally_chunk(rows, count, at, bytes - at, planes, bytes, out);
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
