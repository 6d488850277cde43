/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a benchmark: one that returns when it is done, or several started together. */
#ifndef WEFT_TOOLS_BENCH_FLIGHT_H
#define WEFT_TOOLS_BENCH_FLIGHT_H

#include "bench_case.h"

/* One iteration. Of several at once all are started in one order, alike on all peers, and waited
 * for in the opposite one. The row's receipt is set. 0, or the exit status after telling. */
int weft_bench_fly(weft_bench_peer *b, weft_bench_row *row, bool inplace);
/* One of the operations alone, with what the peer's own contribution was decoded to. */
int weft_bench_call_alone(weft_bench_peer *b, const weft_bench_row *row, bool inplace,
                          size_t operation, float *own);

#endif
