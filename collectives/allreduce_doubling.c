/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive doubling: whole vectors are exchanged over distances 1, 2, 4, …  P = 4:
 *
 *   round   0         1         2         3
 *   1       <- x0 x1 ->         <- x2 x3 ->          all hold the sum of their pair
 *   2       <---- x01 x23 ---->                      0 with 2, 1 with 3: all hold the sum
 *                     <---- x01 x23 ---->
 *
 * Any P: with Q the largest power of two up to P, the first 2 (P - Q) ranks pair up, 2i with 2i+1:
 * the odd one gives its vector to the even one first, and gets the result back at the end. The Q
 * ranks that are left exchange as above, numbered anew in rank order.
 *
 * lg Q rounds, and 1 or 2 more when P is no power of two: up to 3 Q / 2 no message back waits for
 * one that has made all hops. The busiest rank sends n w bytes a hop, and once more where it serves
 * another rank: (lg Q + [P > Q]) n w.
 * Order of summation: in every merge the operand with the lower ranks stands first, on both sides:
 * same bits everywhere. Operands are runs of neighbouring ranks, so that the order is that of
 * ranks, whatever P is: with y_v the vector, or the sum of a pair, of the v-th rank that is left,
 * ((y0+y1)+(y2+y3))+…
 * Needs encodings that merge. Best for short vectors; a long one sends lg P times itself.
 * Source: Thakur, Rabenseifner & Gropp, Optimization of collective communication operations in
 * MPICH, IJHPCA 19 (2005).
 */
#include "collectives/doubled.h"
#include "collectives/partition.h"

static weft_cost cost(const weft_shape *s, double width, double reply)
{
    const int q = weft_doubled_power(s->size), extra = s->size > q;
    int levels = 0;

    (void)reply;
    for (int d = 1; d < q; d *= 2)
        levels++;
    /* The rank that serves another one: a merge, a message and a peer more. */
    const double each = levels + extra, bytes = each * (double)s->count * width;
    return (weft_cost){.rounds = levels + extra + (s->size - q > q / 2),
                       .messages = each,
                       .bytes = bytes,
                       .reduced_bytes = bytes,
                       .peers = each};
}

static int build(weft_plan *p, const weft_shape *s)
{
    return weft_doubled(p, s, WEFT_FOLD_NEIGHBOURS);
}

const weft_algo weft_algo_allreduce_doubling = {
    .coll = WEFT_COLL_ALLREDUCE,
    .name = "doubling",
    .summary = "whole vectors are exchanged over distances 1, 2, 4, ...",
    .source = "Thakur, Rabenseifner & Gropp 2005",
    .formula =
        "lg Q + [P>Q] + [P>3Q/2] rounds, (lg Q + [P>Q]) n w bytes, Q the power of two up to P",
    .needs = WEFT_NEEDS_MERGE,
    .traits = WEFT_ALGO_ORDERED,
    .cost = cost,
    .build = build,
};
