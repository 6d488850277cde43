/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ascending indices as Rice codes of their gaps (Rice 1979; Golomb 1966), the two halves of the
 * codes apart so that neither is read bit by bit:
 *
 *   low bits    the b lowest bits of each gap, packed: the first in the lowest bits of the first
 *               byte, zero bits up to a whole byte at the end
 *   high bits   gap >> b of each in unary: so many 0 bits and a 1, from the lowest bit of the first
 *               byte on, zero bits after the last 1 up to a whole byte
 *
 * gap = index - the one before - 1, the first's is the index itself. With b = 0 the high bits are a
 * bitmap. About lg(d/n) + 1.5 bits each for n of d indices, never more than b + 1 + d/(n 2^b).
 */
#ifndef WEFT_CODEC_RICE_H
#define WEFT_CODEC_RICE_H

#include <stddef.h>
#include <stdint.h>

enum { WEFT_RICE_MOST = 31 }; /* the largest b */

/* The b that gives the fewest bytes, of equal ones the lowest, for n > 0 indices; their bytes. */
unsigned weft_rice_choose(const uint32_t *index, size_t n, size_t *ret_bytes);
/* Most bytes of any n or fewer indices below count with the b chosen for them, n <= count. */
size_t weft_rice_bound(size_t n, size_t count);

/* Write them: exactly the bytes of weft_rice_choose(). */
void weft_rice_write(const uint32_t *index, size_t n, unsigned b, uint8_t *out);

/* Indices being read. */
typedef struct weft_rice {
    const uint8_t *in;
    size_t len, n;
    unsigned b;
    uint64_t last; /* one more than the last index, but for the low bits */
    size_t high;   /* offset of the word's bytes */
    uint64_t word; /* high bits that were not read */
    uint64_t base; /* position of the word's first bit */
    uint64_t sum;  /* of the low bits read */
    uint64_t read; /* indices */
} weft_rice;

/* A reader of len bytes that hold exactly n > 0 ascending indices; all that is left to check is
 * that they end by count, with one of the two below. What is wrong, NULL when nothing is; *ret_off
 * says at which byte. */
const char *weft_rice_check(const uint8_t *in, size_t len, size_t n, unsigned b, size_t count,
                            weft_rice *ret, size_t *ret_off);
/* One more than the last index: before anything is read, which takes a pass over the low bits, and
 * when all has been read. */
uint64_t weft_rice_end(const weft_rice *r);
uint64_t weft_rice_read_end(const weft_rice *r);
/* The next n indices, modulo 2^32. */
void weft_rice_read(weft_rice *r, size_t n, uint32_t *index);

#endif
