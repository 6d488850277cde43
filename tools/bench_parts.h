/* SPDX-License-Identifier: Apache-2.0 */
/* The commands behind `weft bench` that are no collective: each is a file bench_*.c. */
#ifndef WEFT_TOOLS_BENCH_PARTS_H
#define WEFT_TOOLS_BENCH_PARTS_H

#include "cli.h"

extern const weft_command weft_bench_matrix, weft_bench_tune;

#endif
