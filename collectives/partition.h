/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a lane into P spans; blocks and spans that travel several in a message. */
#ifndef WEFT_COLLECTIVES_PARTITION_H
#define WEFT_COLLECTIVES_PARTITION_H

#include "collectives/algo.h"

/* One of s->size spans, by index taken modulo size, negatives too. */
typedef weft_span weft_piece(const weft_shape *s, int index);

/* The index-th of s->size spans that cut the lane in order, as evenly as the edges allow: codec
 * block edges when the lane has at least s->size blocks, else multiples of 8 elements. Spans may be
 * empty. */
weft_span weft_part(const weft_shape *s, int index);

/* The whole lane, of the index-th block. */
weft_span weft_block(const weft_shape *s, int index);

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

/* Elements in front of a part. */
static inline size_t weft_cuts_before(const weft_cuts *c, int index)
{
    const size_t i = (size_t)index, edges = i * c->each + (i < c->more ? i : c->more);

    /* Only the last edge may lie behind the end: the last block may be partial. */
    return edges < c->edges ? edges * c->edge : c->whole.count;
}

/* Elements of so many parts in a row. */
static inline size_t weft_cuts_run(const weft_cuts *c, int first, int count)
{
    return weft_cuts_before(c, first + count) - weft_cuts_before(c, first);
}

/* Here and not in a file of its own: butterflies ask for tens of thousands. */
static inline weft_span weft_cuts_part(const weft_cuts *c, int index)
{
    return (weft_span){.block = c->whole.block,
                       .off = c->whole.off + weft_cuts_before(c, index),
                       .count = weft_cuts_run(c, index, 1)};
}

/* Neighbouring parts of equal length: as many as lie before `to` and behind the run before. */
typedef struct weft_cut_run {
    int to;
    size_t count; /* elements of each */
} weft_cut_run;

enum { WEFT_CUT_RUNS = 4 };

/* The lengths of all parts that weft_cut() makes of the lane, as runs. Returns how many. */
int weft_cut_runs(const weft_shape *s, int parts, weft_cut_run ret[WEFT_CUT_RUNS]);

/* The whole lane, of block b. */
weft_span weft_whole(const weft_shape *s, uint32_t b);

/* Of collectives with a block for each pair: the one of rank from to rank to, as it travels. */
weft_span weft_between(const weft_shape *s, int from, int to);

/* Elements of so many parts, at most s->size, from the index-th on, around the end. */
size_t weft_parts_count(const weft_shape *s, int index, int parts);

/* One message with so many pieces, at least 1, from the index-th on: in the slots of their index
 * modulo size. */
void weft_send_pieces(weft_plan *p, const weft_shape *s, int index, int pieces, int to);
void weft_recv_pieces(weft_plan *p, const weft_shape *s, weft_piece *piece, int index, int pieces,
                      int from);

/* Nobody is past it before everybody has come to it: messages of no elements to the ranks 1, 2, 4,
 * … further on, ceil(lg P) rounds. Uses the slot and the next. */
void weft_meet(weft_plan *p, int slot);

#endif
