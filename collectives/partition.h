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

/* The same cuts when many are asked for: the divisions are done once. Parts in [0, parts). */
typedef struct weft_cuts {
    weft_span whole;
    int parts;
    size_t edge, edges; /* elements between two edges where a cut may be; how many there are */
    size_t each, more;  /* edges of every part; how many parts have one more */
} weft_cuts;

weft_cuts weft_cuts_of(const weft_shape *s, weft_span whole, int parts);
weft_span weft_cuts_part(const weft_cuts *c, int index);
/* Elements of so many parts in a row. */
size_t weft_cuts_run(const weft_cuts *c, int first, int count);

/* The whole lane, of block b. */
weft_span weft_whole(const weft_shape *s, uint32_t b);

#endif
