/* SPDX-License-Identifier: Apache-2.0 */
/* Is a benchmark's result right? */
#ifndef WEFT_TOOLS_BENCH_CHECK_H
#define WEFT_TOOLS_BENCH_CHECK_H

#include "bench_case.h"

/* Wrong elements of this peer's result of one of the operations at once: every bit must be as
 * known. */
uint64_t weft_bench_wrong_dense(const weft_bench_peer *b, const weft_bench_row *row,
                                size_t operation, const void *got);

/*
 * Add this peer's wrong elements of a lossy allreduce to *wrong:
 *  - the result must be rank 0's, bit for bit;
 *  - it must be the sum (mean) of what the contributions were decoded to (b->own), within the
 *    rounding of a sum of floats;
 *  - an unbiased codec's error must be within a small multiple of its bound omega |v|^2.
 * 0, or the exit status after telling.
 */
int weft_bench_wrong_lossy(weft_bench_peer *b, const weft_bench_row *row, size_t operation,
                           const void *got, uint64_t *wrong);

#endif
