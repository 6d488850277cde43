/* SPDX-License-Identifier: Apache-2.0 */
/* What weft bench tells of its rows, on rank 0: the table of nccl-tests, and JSON. */
#ifndef WEFT_TOOLS_BENCH_PRINT_H
#define WEFT_TOOLS_BENCH_PRINT_H

#include <stdio.h>

#include <jansson.h>

#include "bench_case.h"

typedef struct weft_bench_output {
    FILE *text;
    json_t *rows;
    double busbw_sum;
    int busbw_count;
    uint64_t wrong;
} weft_bench_output;

void weft_bench_print_head(const weft_bench_settings *s, const weft_peer *peer, FILE *to);
void weft_bench_print_row(const weft_bench_settings *s, const weft_bench_row *row, int peers,
                          weft_bench_output *out);
/* The closing lines and the JSON. 0, or the exit status after telling. */
int weft_bench_print_end(weft_peer *peer, const weft_bench_settings *s, weft_bench_output *out);

#endif
