/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a benchmark on one peer: made, filled with known values, and where what lies. */
#ifndef WEFT_TOOLS_BENCH_BUFFERS_H
#define WEFT_TOOLS_BENCH_BUFFERS_H

#include "bench_case.h"

/* Make and touch the buffers for the largest size. 0, or the exit status after telling. */
int weft_bench_make_buffers(weft_bench_peer *b);
void weft_bench_free_buffers(weft_bench_peer *b);

/* The first element of an operation's values, in the sequence of a rank: each operation has other
 * values, so that one that came out in the other's buffer is seen. */
size_t weft_bench_first(size_t operation);
/* Put the known values where an operation reads, and what cannot be right where it writes; or of
 * all that are started together. */
void weft_bench_set_buffer(weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                           size_t operation);
void weft_bench_set_buffers(weft_bench_peer *b, const weft_bench_row *row, bool inplace);
/* Where input or output of an operation begins; NULL: the rank has none. In place one lies in the
 * other; a rank that has one side only has no other way. */
unsigned char *weft_bench_side(const weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                               bool input, size_t operation);

#endif
