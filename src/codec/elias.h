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
 * Numbers here are level + top, in words.
 */
#ifndef WEFT_CODEC_ELIAS_H
#define WEFT_CODEC_ELIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of omega(n), n >= 1. */
unsigned weft_elias_bits(uint64_t n);

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

/* Writes where counting said how many bytes there will be. */
typedef struct weft_elias_writer {
    uint8_t *out;
    uint64_t bits; /* those not yet written, from the highest on */
    unsigned used; /* how many, below 8 */
    uint64_t gap;
    unsigned top;
} weft_elias_writer;

void weft_elias_write_dense(weft_elias_writer *w, const uint16_t *number, size_t count);
void weft_elias_write_count(weft_elias_writer *w, uint64_t nonzero); /* first of all, of sparse */
void weft_elias_write_sparse(weft_elias_writer *w, const uint16_t *number, size_t count);
void weft_elias_write_end(weft_elias_writer *w);

/* What the next bits stand for, when those of a window decide it: a level and how many elements
 * it is behind the one before. */
enum { WEFT_ELIAS_WINDOW = 11 };
typedef struct weft_elias_entry {
    int16_t level;
    uint8_t gap;
    uint8_t bits; /* 0: the window is too short */
} weft_elias_entry;

typedef struct weft_elias_reader {
    const uint8_t *in;
    size_t len;
    uint64_t bit; /* of in: the next */
    unsigned top;
    bool sparse;
    uint64_t count; /* elements in all */
    uint64_t at;    /* the next element to give out */
    uint64_t left;  /* levels not 0 that are not yet read */
    uint64_t next;  /* sparse: element of the level that was read ahead, if `ahead` */
    int32_t next_level;
    bool ahead;
    weft_elias_entry table[1 << WEFT_ELIAS_WINDOW];
} weft_elias_reader;

/* Functions that read return NULL or what is wrong; byte() tells where. */
const char *weft_elias_begin(weft_elias_reader *r, bool sparse, const uint8_t *in, size_t len,
                             uint64_t count, unsigned top);
/* The next count <= 640 numbers. */
const char *weft_elias_read(weft_elias_reader *r, uint16_t *number, size_t count);
/* All numbers are read: is that all there is? */
const char *weft_elias_end(const weft_elias_reader *r);
size_t weft_elias_byte(const weft_elias_reader *r);
/* Read the same again, which has been right. */
void weft_elias_rewind(weft_elias_reader *r);

#endif
