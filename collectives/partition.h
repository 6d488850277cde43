/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a lane into P spans. */
#ifndef WEFT_COLLECTIVES_PARTITION_H
#define WEFT_COLLECTIVES_PARTITION_H

#include "collectives/algo.h"

/* The index-th (taken modulo size, negatives too) of s->size spans that cut the lane in order, as
 * evenly as the edges allow: codec block edges when the lane has at least s->size blocks, else
 * multiples of 8 elements. Spans may be empty. */
weft_span weft_part(const weft_shape *s, int index);

/* The same of a span instead of the lane, into so many parts; the span begins on an edge. */
weft_span weft_cut(const weft_shape *s, weft_span whole, int parts, int index);

/* Neighbouring parts of equal length: as many as lie before `to` and behind the run before. */
typedef struct weft_run {
    int to;
    size_t count; /* elements of each */
} weft_run;

enum { WEFT_RUNS = 4 };

/* The lengths of all parts that weft_cut() makes of the lane, as runs. Returns how many. */
int weft_cut_runs(const weft_shape *s, int parts, weft_run ret[WEFT_RUNS]);

/* The whole lane, of block b. */
weft_span weft_whole(const weft_shape *s, uint32_t b);

#endif
