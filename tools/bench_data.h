/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known data for the benchmark, and what must come out.
 *
 * Element i of rank r is base[(i + 1009 r) mod 8191]: both primes, so that no block or lane edge
 * falls together with the period and a block at the wrong place is seen. For dense operations the
 * values are small whole numbers, whose sums are exact in every type (of float16 and bfloat16 up to
 * the period in peers); for lossy codecs they are spread like a gradient.
 */
#ifndef WEFT_TOOLS_BENCH_DATA_H
#define WEFT_TOOLS_BENCH_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/types.h>

enum { WEFT_BENCH_PERIOD = 8191, WEFT_BENCH_SHIFT = 1009, WEFT_BENCH_CELL = 8 };

typedef struct weft_bench_data {
    weft_dtype dtype;
    weft_op op;
    int size;
    double base[WEFT_BENCH_PERIOD];
    /* element i of the reduction over all ranks, i mod the period, as dtype */
    unsigned char reduced[WEFT_BENCH_PERIOD * WEFT_BENCH_CELL];
} weft_bench_data;

/* real: values for a lossy codec (float32); else whole numbers. */
void weft_bench_data_init(weft_bench_data *d, weft_dtype dtype, weft_op op, int size, bool real);

/* Write elements first … first + count - 1 of a rank. */
void weft_bench_fill(const weft_bench_data *d, int rank, size_t first, size_t count, void *to);

/* Elements that differ in any bit from what a rank put in, or from the reduction. */
uint64_t weft_bench_wrong_copy(const weft_bench_data *d, int rank, size_t first, size_t count,
                               const void *got);
uint64_t weft_bench_wrong_reduced(const weft_bench_data *d, size_t first, size_t count,
                                  const void *got);

/* A checksum (FNV-1a over words) to compare results of peers and runs. */
uint64_t weft_bench_hash(const void *bytes, size_t len);

#endif
