/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the blocks of a benchmark lie, for every rank alike.
 *
 * One size T (elements, as nccl-tests count: of all blocks together) is cut into shares. Blocks of
 * one length have one share each. Of the collectives with lengths of their own the block of rank r
 * has (r + 1) mod 4 shares: 1, 2, 3, none, 1, 2, …; of alltoallv the block from rank o to rank d
 * has (o + d + 1) mod 4. Shares are the most whole elements that fit, one at least.
 */
#ifndef WEFT_TOOLS_BENCH_BLOCKS_H
#define WEFT_TOOLS_BENCH_BLOCKS_H

#include "kinds.h"

typedef struct weft_bench_blocks {
    const weft_kind *kind;
    int size;
    size_t share; /* elements */
} weft_bench_blocks;

/* For a wish of so many elements. */
weft_bench_blocks weft_bench_blocks_of(const weft_kind *kind, int size, size_t elements);
/* Blocks of a rank's input or output. */
int weft_bench_block_count(const weft_bench_blocks *b, bool input);
/* Elements of one of them, and before it; a side's only block is the rank's own of the other's. */
size_t weft_bench_block_length(const weft_bench_blocks *b, bool input, int rank, int block);
size_t weft_bench_block_offset(const weft_bench_blocks *b, bool input, int rank, int block);
/* Elements of a side. */
size_t weft_bench_side_length(const weft_bench_blocks *b, bool input, int rank);
/* T as it came out (of alltoallv the most that a rank sends), and the longest block. */
size_t weft_bench_all_elements(const weft_bench_blocks *b);
size_t weft_bench_longest(const weft_bench_blocks *b);

#endif
