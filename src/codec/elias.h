/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels in Elias' omega code (Elias 1975), as QSGD sends them (Alistarh et al. 2017).
 *
 * omega(1) = "0". Else: begin with "0"; while N > 1 put N in binary in front and go on with the
 * number of its digits less one: 2 100, 3 110, 4 101000, 8 1110000, 16 10100100000. Every string of
 * bits begins with one number, or is too short for it.
 *
 * dense:  of each element omega(|level| + 1), then its sign, 1 negative, where the level is not 0
 * sparse: omega(number of levels that are not 0, + 1); of each such level omega(its distance from
 *         the one before; of the first: its index + 1), its sign, omega(|level|)
 * The first bit is the highest of the first byte; the last byte is filled with zeros.
 *
 * Numbers here are level + top, in words; they are handled in batches of up to 640.
 */
#ifndef WEFT_CODEC_ELIAS_H
#define WEFT_CODEC_ELIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of omega(n), n >= 1. */
unsigned weft_elias_bits(uint64_t n);

/* omega of numbers of d binary digits is (prefix[d] + number) << 1, in bits[d] bits: what stands in
 * front of a number's own digits depends on how many they are. Up to 2^40 + 1. */
enum { WEFT_ELIAS_DIGITS = 42 };
typedef struct weft_elias_codes {
    uint64_t prefix[WEFT_ELIAS_DIGITS + 1];
    uint8_t bits[WEFT_ELIAS_DIGITS + 1];
} weft_elias_codes;

void weft_elias_make(weft_elias_codes *ret);

/* Bits that a span takes either way; grows as batches are counted, from zeros. */
typedef struct weft_elias_size {
    uint64_t dense, sparse; /* sparse without the count in front */
    uint64_t nonzero;
    uint64_t gap; /* elements behind the last that is not 0 */
} weft_elias_size;

void weft_elias_count(weft_elias_size *size, const uint16_t *number, size_t count, unsigned top);
/* Bytes of either form, once all is counted. */
uint64_t weft_elias_dense_bytes(const weft_elias_size *size);
uint64_t weft_elias_sparse_bytes(const weft_elias_size *size);

/* Writes as many bytes as counting said there will be. */
enum { WEFT_ELIAS_COMMON = 64 };
typedef struct weft_elias_writer {
    uint8_t *out;
    uint64_t bits; /* those not yet written, from the highest on */
    unsigned used; /* how many, below 8 */
    unsigned top;
    bool sparse;
    uint64_t gap; /* elements behind the last that is not 0 */
    weft_elias_codes codes;
    /* Of levels below COMMON, as they are written with their sign, and of such gaps, and of both
     * where they are small, gap - 1 from the fourth bit on, then level + 8: code << 8 and its bits.
     */
    uint32_t level[2 * WEFT_ELIAS_COMMON - 1], gap_of[WEFT_ELIAS_COMMON], both[128];
} weft_elias_writer;

/* nonzero: of sparse, how many levels are not 0. */
void weft_elias_write_begin(weft_elias_writer *w, bool sparse, uint64_t nonzero, unsigned top,
                            uint8_t *out);
void weft_elias_write(weft_elias_writer *w, const uint16_t *number, size_t count);
/* Fills the last byte; returns the end of what was written. */
uint8_t *weft_elias_write_end(weft_elias_writer *w);

/* Elements that the next bits stand for, whole codes of them: as many as fit the window. */
enum { WEFT_ELIAS_WINDOW = 11, WEFT_ELIAS_ENTRY = 8 };
typedef struct weft_elias_entry {
    int8_t level[WEFT_ELIAS_ENTRY];
    uint8_t count; /* of elements; 0: the first code is longer than the window */
    uint8_t codes; /* of these elements */
    uint8_t bits;
} weft_elias_entry;

typedef struct weft_elias_reader {
    const uint8_t *in;
    size_t len;
    uint64_t bit; /* of in: the next */
    unsigned top;
    bool sparse;
    uint64_t count; /* elements in all */
    uint64_t at;    /* the next element to give out */
    uint64_t left;  /* codes that are not yet read */
    uint64_t next;  /* element of the code that was read last; UINT64_MAX before the first */
    int32_t level;  /* its level, if it is `ahead`: not yet given out */
    bool ahead;
    unsigned window;
    weft_elias_entry table[1 << WEFT_ELIAS_WINDOW];
} weft_elias_reader;

/* Functions that read return NULL or what is wrong; byte() tells where. Numbers may be above 2 top:
 * the caller looks at them anyway. */
const char *weft_elias_begin(weft_elias_reader *r, bool sparse, const uint8_t *in, size_t len,
                             uint64_t count, unsigned top);
const char *weft_elias_read(weft_elias_reader *r, uint16_t *number, size_t count);
/* All numbers are read: is that all there is? */
const char *weft_elias_end(const weft_elias_reader *r);
size_t weft_elias_byte(const weft_elias_reader *r);
/* Read the same again, which has been right. */
void weft_elias_rewind(weft_elias_reader *r);

/* Binary digits of n >= 1. */
static inline unsigned weft_elias_digits(uint64_t n)
{
    return 64 - (unsigned)__builtin_clzll(n);
}

#endif
